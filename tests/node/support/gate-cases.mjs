// Who may drive and observe an agent in a real room: the same for our host in place of the SDK's and for our gate before it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { voice } from '@livekit/agents';
import * as greenroom from 'greenroom';
import { until } from './agents.mjs';
import { holdsGrant } from './livekit-server.mjs';
import { history, ping, runInput, saidIn, scene, TOPIC, unknownRequest, updateIo, Wire } from './rooms.mjs';

/** Resolves when the agent works on what it was told. */
async function busy({ agent }) {
  await until('the agent thinks', () => agent.session.agentState === 'thinking');
}

/** The tests, for an agent that is guarded in that way; `server` gives the LiveKit server. */
export function gateCases(guard, server) {
  test(`${guard}: a supervisor who is not linked gets through, the linked user without the grant does not`, async (t) => {
    const { audit, join } = await scene(t, server(), guard, { linked: 'user' });
    const user = await join('user');
    const onlooker = await join('onlooker');
    const supervisor = await join('supervisor', { grant: true });
    assert.deepEqual(saidIn(await supervisor.answer('s-1', runInput('hi'))), ['echo: hi']);
    const denied = await user.answer('u-1', runInput('let me in'));
    assert.deepEqual([denied.error, denied.response.case], ['permission_denied', undefined]);
    assert.equal((await supervisor.answer('s-2')).response.case, 'pong');
    assert.deepEqual(saidIn(await supervisor.answer('s-3', runInput('again'))), ['echo: again']);
    assert.ok(supervisor.events.includes('conversationItemAdded'));
    // The denial is all that others ever get.
    assert.deepEqual(
      user.received.map(({ case: kind, value }) => [kind, value.requestId]),
      [['response', 'u-1']],
    );
    assert.deepEqual(onlooker.received, []);
    const lines = audit.map(({ identity, asked, decision }) => [identity, asked, decision]);
    assert.deepEqual(lines.slice(0, 2), [
      ['supervisor', { request: 'drive' }, 'allow'],
      ['user', lines[1][1], 'deny_no_grant'],
    ]);
    assert.ok(audit.every(({ time, sid }) => Date.parse(time) > 0 && sid.startsWith('PA_')));
  });

  test(`${guard}: a grant that is revoked while the agent works turns the answer into the denial`, async (t) => {
    const { venue, agent, join } = await scene(t, server(), guard);
    const wire = await join('wire', { grant: true });
    const release = agent.model.hold();
    await wire.ask('r-1', runInput('secret'));
    await busy({ agent });
    await venue.setGrant('wire', false);
    await until('the agent knows', () => !holdsGrant(agent.room, 'wire'));
    const before = wire.received.length;
    release();
    const { error, response } = await wire.answered('r-1');
    assert.deepEqual([error, response.case], ['permission_denied', undefined]);
    // Neither does it see any more what the agent says.
    assert.deepEqual(
      wire.received.slice(before).map(({ case: kind }) => kind),
      ['response'],
    );
  });

  test(`${guard}: a grant that is given late counts from then on`, async (t) => {
    const { venue, agent, join } = await scene(t, server(), guard);
    const wire = await join('wire');
    assert.equal((await wire.answer('l-1')).error, 'permission_denied');
    await venue.setGrant('wire', true);
    await until('the agent knows', () => holdsGrant(agent.room, 'wire'));
    assert.equal((await wire.answer('l-2')).response.case, 'pong');
    await wire.answer('l-3', runInput('hi'));
    assert.ok(wire.events.includes('conversationItemAdded'));
  });

  test(`${guard}: who rejoins under the same identity inherits nothing`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const first = await join('twin', { grant: true });
    const release = agent.model.hold();
    await first.ask('t-1', runInput('secret'));
    await busy({ agent });
    // The server throws the first one out.
    const second = await join('twin');
    release();
    assert.equal((await second.answer('t-2')).error, 'permission_denied');
    await until('the turn is over', () => agent.session.agentState === 'listening');
    const third = await join('witness', { grant: true });
    assert.equal((await third.answer('w-1')).response.case, 'pong');
    assert.deepEqual(
      second.received.map(({ value }) => value.requestId),
      ['t-2'],
    );
  });

  test(`${guard}: requests of two controllers with the same ids do not mix`, async (t) => {
    const { join } = await scene(t, server(), guard);
    const wires = [await join('one', { grant: true }), await join('two', { grant: true })];
    await Promise.all(wires.map((wire) => wire.ask('same', runInput(wire.room.localParticipant.identity))));
    for (const wire of wires) {
      assert.deepEqual(saidIn(await wire.answered('same')), [`echo: ${wire.room.localParticipant.identity}`]);
      assert.equal(wire.responses.length, 1);
    }
    // What both may see, both see, and in the same order.
    await until('both have all events', () => wires[0].events.length === wires[1].events.length);
    assert.deepEqual(wires[0].events, wires[1].events);
  });

  test(`${guard}: each request is answered, also one that nobody knows`, async (t) => {
    const { join } = await scene(t, server(), guard);
    const wire = await join('wire', { grant: true });
    const { error, response } = await wire.answer('odd', unknownRequest('odd'));
    assert.deepEqual([error, response.case], ['unsupported request', undefined]);
    assert.equal((await wire.answer('even')).response.case, 'pong');
  });

  test(`${guard}: a request that fails is answered with an error that tells nothing else`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const wire = await join('wire', { grant: true });
    const fail = () => assert.fail('a secret of the agent');
    Object.defineProperty(agent.session, 'history', { configurable: true, get: fail });
    const { error, response } = await wire.answer('bad', history());
    assert.deepEqual([error, response.case], ['internal error', undefined]);
    delete agent.session.history;
    assert.equal((await wire.answer('good', history())).response.case, 'getChatHistory');
  });

  test(`${guard}: what the agent expects of a turn's end is told`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const wire = await join('wire', { grant: true });
    const type = voice.AgentSessionEventTypes.EotPrediction;
    const timing = { inferenceDurationMs: 10, delayMs: 5 };
    agent.session.emit(type, { type, probability: 0.5, threshold: 0.25, createdAt: Date.now(), ...timing });
    await until('it is told', () => wire.events.includes('eotPrediction'));
  });

  test(`${guard}: a text turn that comes while another runs waits`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const wire = await join('wire', { grant: true });
    const release = agent.model.hold();
    await wire.ask('first', runInput('one'));
    await busy({ agent });
    await wire.ask('second', runInput('two'));
    // Other requests do not.
    assert.equal((await wire.answer('third', ping())).response.case, 'pong');
    release();
    assert.deepEqual(saidIn(await wire.answered('first')), ['echo: one']);
    assert.deepEqual(saidIn(await wire.answered('second')), ['echo: two']);
  });

  test(`${guard}: a text turn that comes while another runs is refused where that is chosen`, async (t) => {
    const { agent, join } = await scene(t, server(), guard, { runInput: 'refuse' });
    const wire = await join('wire', { grant: true });
    const release = agent.model.hold();
    await wire.ask('first', runInput('one'));
    await busy({ agent });
    const { error, response } = await wire.answer('second', runInput('two'));
    assert.match(error, /busy/);
    assert.equal(response.case, undefined);
    release();
    assert.deepEqual(saidIn(await wire.answered('first')), ['echo: one']);
  });

  test(`${guard}: a flood of someone without the grant is cut, and delays nobody`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const flooder = await join('flooder');
    const wire = await join('wire', { grant: true });
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let number = 0; number < 25; number++) await flooder.ask(`f-${lane}-${number}`);
    });
    const flood = Promise.all(lanes);
    assert.equal((await wire.answer('w-1')).response.case, 'pong');
    await flood;
    assert.deepEqual(saidIn(await wire.answer('w-2', runInput('hi'))), ['echo: hi']);
    await until('all were seen', () => agent.guarding.status().denied >= 200);
    assert.ok(flooder.responses.length < 60, `${flooder.responses.length} denials`);
    assert.ok(flooder.responses.every(({ error }) => error === 'permission_denied'));
    assert.equal(agent.guarding.status().requests, 2);
  });

  test(`${guard}: a message that is announced as 5 GB, or never finished, delays nobody`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const hostile = await join('hostile', { grant: true });
    const wire = await join('wire', { grant: true });
    const open = (options) =>
      hostile.room.localParticipant.streamBytes({ topic: TOPIC, destinationIdentities: ['agent'], ...options });
    const huge = await open({ totalSize: 5_000_000_000 });
    const stalled = await open();
    await stalled.write(Buffer.from([0x22]));
    await huge.write(Buffer.alloc(15_000));
    assert.equal((await wire.answer('w-1')).response.case, 'pong');
    assert.deepEqual(saidIn(await wire.answer('w-2', runInput('hi'))), ['echo: hi']);
    await until('it was cut', () => agent.guarding.status().cut >= 1);
  });

  test(`${guard}: an identity may contain anything`, async (t) => {
    const identity = 'she said "hi"\nand\t\\ left {"a": 1} 🎙';
    const { audit, join } = await scene(t, server(), guard, {
      policy: { default: [], byIdentity: { [identity]: ['observe'] } },
    });
    const wire = await join(identity, { grant: true });
    assert.equal((await wire.answer('w-1')).response.case, 'pong');
    assert.equal((await wire.answer('w-2', runInput('hi'))).error, 'permission_denied');
    assert.deepEqual(
      audit.map((line) => [line.identity, line.decision]),
      [
        [identity, 'allow'],
        [identity, { denyScope: 'drive' }],
      ],
    );
  });

  test(`${guard}: the policy narrows what holders of the grant may do, and gives nobody the grant`, async (t) => {
    const { join } = await scene(t, server(), guard, {
      policy: { default: ['observe'], byIdentity: { driver: ['drive'], stranger: ['observe', 'drive'], mixer: ['io'] } },
    });
    const viewer = await join('viewer', { grant: true });
    const driver = await join('driver', { grant: true });
    const mixer = await join('mixer', { grant: true });
    const stranger = await join('stranger');
    assert.equal((await viewer.answer('v-1', history())).response.case, 'getChatHistory');
    assert.equal((await viewer.answer('v-2', runInput('hi'))).error, 'permission_denied');
    assert.deepEqual(saidIn(await driver.answer('d-1', runInput('hi'))), ['echo: hi']);
    assert.equal((await driver.answer('d-2', history())).error, 'permission_denied');
    assert.equal((await stranger.answer('s-1', history())).error, 'permission_denied');
    assert.equal((await mixer.answer('m-1', updateIo())).response.case, 'updateIo');
    assert.equal((await mixer.answer('m-2', history())).error, 'permission_denied');
    assert.equal((await viewer.answer('v-3', updateIo())).error, 'permission_denied');
    assert.ok(viewer.events.includes('conversationItemAdded'));
    assert.deepEqual(driver.events, []);
  });

  test(`${guard}: a hidden supervisor is denied, unless it is allowed by name`, async (t) => {
    const { venue, agent } = await scene(t, server(), guard, { policy: { hidden: ['known'] } });
    const join = (identity) => venue.connect(identity, { grant: true, hidden: true, announce: false });
    const [unknown, known] = [await join('unknown'), await join('known')];
    // The denial goes to the identity that the hidden sender claims: its own.
    await assert.rejects(greenroom.attach(unknown), greenroom.PermissionDenied);
    const session = await greenroom.attach(known);
    assert.equal((await session.say('hi')).reply, 'echo: hi');
    assert.ok(agent.guarding.status().requests > 0);
    await session.close();
  });

  test(`${guard}: who is hidden cannot pass for somebody else`, async (t) => {
    const { venue, agent, join } = await scene(t, server(), guard);
    await join('boss', { grant: true });
    const liar = await venue.connect('liar', { grant: true, hidden: true, announce: false });
    const wire = new Wire(liar);
    for (const identity of ['boss', 'agent', 'liar', '']) {
      await wire.ask(`as ${identity}`, runInput('hi'), 'agent', { attributes: { 'greenroom.identity': identity } });
    }
    await until('all were refused', () => agent.guarding.status().cut + agent.guarding.status().denied >= 4);
    assert.equal(agent.guarding.status().requests, 0);
    // Only a claim of its own identity is answered, by a denial.
    await wire.answered('as liar');
    assert.deepEqual(
      wire.received.map(({ value }) => [value.requestId, value.error]),
      [['as liar', 'permission_denied']],
    );
  });

  test(`${guard}: a message over the cap is refused with both sizes`, async (t) => {
    const { join } = await scene(t, server(), guard);
    const wire = await join('wire', { grant: true });
    const { error } = await wire.answer('big', runInput('x'.repeat(1_200_000)));
    assert.match(error, /is 10\d{5} bytes long; at most 1048576 /);
    assert.equal((await wire.answer('small')).response.case, 'pong');
  });

  test(`${guard}: what waits when the session closes is answered`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const wire = await join('wire', { grant: true });
    agent.model.hold();
    await wire.ask('w-1', runInput('hi'));
    await busy({ agent });
    const closing = agent.session.close();
    assert.notEqual((await wire.answered('w-1')).error, undefined);
    await closing;
  });

  test(`${guard}: nothing is sent while nobody may have it`, async (t) => {
    const { agent, join } = await scene(t, server(), guard);
    const wires = [await join('one'), await join('two', { grant: false })];
    await agent.session.run({ userInput: 'hi' }).wait();
    // What comes after all that was to come before it.
    for (const wire of wires) assert.equal((await wire.answer('last')).error, 'permission_denied');
    for (const wire of wires) assert.equal(wire.received.length, 1);
  });

  test(`${guard}: two controllers of ours speak at once, and each has its own turn`, async (t) => {
    const { venue, agent } = await scene(t, server(), guard);
    const rooms = [await venue.connect('one', { grant: true }), await venue.connect('two', { grant: true })];
    await venue.gather(agent.room, ...rooms);
    const sessions = await Promise.all(rooms.map((room) => greenroom.attach(room)));
    for (let turn = 0; turn < 3; turn++) {
      const turns = await Promise.all(sessions.map((session, who) => session.say(`turn ${turn} of ${who}`)));
      assert.deepEqual(
        turns.map(({ reply }) => reply),
        [`echo: turn ${turn} of 0`, `echo: turn ${turn} of 1`],
      );
    }
    for (const session of sessions) {
      assert.equal((await session.history()).filter(({ role }) => role === 'user').length, 6);
      await session.close();
    }
  });
}
