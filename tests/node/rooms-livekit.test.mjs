// The names of greenroom/livekit in a real room, among themselves and with the released SDK's.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { voice } from '@livekit/agents';
import { AgentSession as pb } from '@livekit/protocol';
import { dispose, Room } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { host, RemoteSession, RoomSessionTransport, SessionHost, SessionTransport } from 'greenroom/livekit';
import { until } from './support/agents.mjs';
import { startServer, venue } from './support/livekit-server.mjs';
import { agentIn, pair, saidIn, scripted, TOPIC, Wire } from './support/rooms.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

const said = ({ items }) => saidIn({ response: { value: { items } } });

/** A session that closes after the test. */
function closing(t, session) {
  t.after(() => session.close());
  return session;
}

for (const guard of ['host', 'gate']) {
  test(`${guard}: our RemoteSession drives it, with the names of the SDK`, async (t) => {
    const { room } = await pair(t, server, guard);
    const session = closing(t, RemoteSession.fromRoom(room));
    const events = [];
    for (const name of ['agent_state_changed', 'conversation_item_added', 'session_usage', 'user_input_transcribed']) {
      session.on(name, (event) => events.push([name, event]));
    }
    await session.start();
    await session.waitForReady();
    await session.ping();
    assert.equal((await session.fetchFrameworkInfo()).sdk, 'js');
    assert.equal((await session.fetchAgentInfo()).instructions, 'Echo.');
    const answer = await session.sendMessage('hi');
    assert.ok(answer instanceof pb.SessionResponse_RunInputResponse);
    assert.deepEqual(said(answer), ['echo: hi']);
    assert.equal((await session.fetchChatHistory()).items.filter(({ item }) => item.case === 'message').length, 2);
    assert.equal((await session.fetchSessionState()).agentState, pb.AgentState.AS_LISTENING);
    assert.deepEqual((await session.fetchRtcStats()).publisherStats, []);
    assert.ok((await session.fetchSessionUsage()).usage);
    await session.updateIo({ outputTranscriptionEnabled: false, inputAudioEnabled: false });
    assert.equal((await session.finalizeSimulation({ provisionalSuccess: true })).userVerdict, undefined);
    const names = new Set(events.map(([name]) => name));
    assert.ok(names.has('agent_state_changed') && names.has('conversation_item_added'), [...names].join());
    assert.ok(events.every(([, event]) => typeof event.toBinary === 'function'));
  });

  test(`${guard}: the SDK's RemoteSession drives it`, async (t) => {
    const { agent, room } = await pair(t, server, guard);
    const linkedParticipant = room.remoteParticipants.get('agent');
    const session = closing(t, voice.RemoteSession.fromRoom(room, { linkedParticipant }));
    const states = [];
    session.on('agent_state_changed', ({ newState }) => states.push(newState));
    await session.start();
    assert.equal((await session.fetchFrameworkInfo()).sdk, 'js');
    assert.deepEqual(said(await session.sendMessage('hi')), ['echo: hi']);
    await until('the events are there', () => states.includes(pb.AgentState.AS_THINKING));
    assert.equal(agent.guarding.status().denied, 0);
  });
}

test("the SDK's RemoteSession and ours work over our transport, side by side", async (t) => {
  const { room } = await pair(t, server);
  const theirs = closing(t, new voice.RemoteSession(new RoomSessionTransport(room, 'agent')));
  const ours = closing(t, new RemoteSession(new RoomSessionTransport(room, { agentIdentity: undefined })));
  await Promise.all([theirs.start(), ours.start()]);
  assert.deepEqual(said(await theirs.sendMessage('one')), ['echo: one']);
  assert.deepEqual(said(await ours.sendMessage('two')), ['echo: two']);
  await theirs.close();
  assert.deepEqual(said(await ours.sendMessage('three')), ['echo: three']);
});

test("the SDK's own SessionHost is gated and routed over our transport", async (t) => {
  const place = venue(t, server);
  const room = await place.connect('agent', { kind: 'agent' });
  const { session, agent } = scripted(t);
  const hosting = new voice.SessionHost(new RoomSessionTransport(room, { linkedParticipant: undefined }));
  hosting.registerSession(session);
  await hosting.start();
  t.after(() => hosting.close());
  await session.start({ agent });
  const wires = [];
  for (const [identity, grant] of [
    ['one', true],
    ['two', true],
    ['three', false],
  ]) {
    wires.push(new Wire(await place.connect(identity, { grant })));
  }
  await place.gather(room, ...wires.map((wire) => wire.room));
  const [one, two, three] = await Promise.all(wires.map((wire) => wire.answer('same', runInputOf(wire))));
  assert.deepEqual([saidIn(one), saidIn(two), three.error], [['echo: one'], ['echo: two'], 'permission_denied']);
  assert.equal(three.response.case, undefined);
  assert.deepEqual(wires[2].events, []);
});

const runInputOf = ({ room }) => ({
  case: 'runInput',
  value: new pb.SessionRequest_RunInput({ text: room.localParticipant.identity }),
});

test('a transport gives messages with their senders, and an explicit destination is kept to', async (t) => {
  const place = venue(t, server);
  const room = await place.connect('agent', { kind: 'agent' });
  const transport = new RoomSessionTransport(room);
  t.after(() => transport.close());
  await transport.start();
  await transport.start();
  const wires = [];
  for (const [identity, grant] of [
    ['one', true],
    ['two', true],
    ['three', undefined],
  ]) {
    wires.push(new Wire(await place.connect(identity, { grant })));
  }
  await place.gather(room, ...wires.map((wire) => wire.room));
  await wires[0].ask('a-1');
  const { value } = await transport.incoming().next();
  assert.ok(value.message instanceof pb.AgentSessionMessage);
  assert.deepEqual([value.senderIdentity, value.message.message.value.request.case], ['one', 'ping']);
  const response = new pb.SessionResponse({
    requestId: value.message.message.value.requestId,
    response: { case: 'pong', value: {} },
  });
  await transport.sendMessage(new pb.AgentSessionMessage({ message: { case: 'response', value: response } }));
  assert.equal((await wires[0].answered('a-1')).response.case, 'pong');

  const event = (value) =>
    new pb.AgentSessionMessage({
      message: {
        case: 'event',
        value: new pb.AgentSessionEvent({ event: { case: 'userInputTranscribed', value: { transcript: value } } }),
      },
    });
  await transport.sendMessage(event('for two'), { destinationIdentity: 'two' });
  await transport.sendMessage(event('for three'), { destinationIdentity: 'three' });
  await transport.sendMessage(event('for all'));
  const heard = (wire) =>
    wire.received.filter((message) => message.case === 'event').map((message) => message.value.event.value.transcript);
  await until('all have heard', () => heard(wires[0]).length === 1 && heard(wires[1]).length === 2);
  assert.deepEqual(wires.map(heard), [['for all'], ['for two', 'for all'], []]);
  assert.equal(transport.status().dropped, 1);

  const next = transport[Symbol.asyncIterator]().next();
  await transport.close();
  await transport.close();
  assert.equal((await next).done, true);
  await assert.rejects(transport.sendMessage(event('late')), greenroom.SessionClosed);
  room.registerByteStreamHandler(TOPIC, () => {});
});

test('a call fails at once when the agent leaves, and `closed` tells why', async (t) => {
  const { venue, agent, room } = await pair(t, server);
  const session = RemoteSession.fromRoom(room, 'agent');
  const reasons = [];
  session.on('closed', (reason) => reasons.push(reason));
  await session.start();
  agent.model.hold();
  const pending = session.sendMessage('hi');
  await until('the agent thinks', () => agent.session.agentState === 'thinking');
  await venue.remove('agent');
  await assert.rejects(pending, greenroom.AgentGone);
  await assert.rejects(session.ping(), greenroom.AgentGone);
  assert.deepEqual(
    reasons.map(({ code, message }) => [code, message]),
    [['agent_gone', 'the agent "agent" left the room']],
  );
  await session.close();
  assert.equal(reasons.length, 1);
});

test('a call times out, is refused, and fails when the session closes', async (t) => {
  const { venue, agent, room } = await pair(t, server);
  const session = RemoteSession.fromRoom(room);
  await assert.rejects(session.ping(), /has not been started/);
  await session.start();
  const release = agent.model.hold();
  await assert.rejects(session.sendMessage('slow', 300), greenroom.SessionTimeout);
  release();
  await assert.rejects(
    session.sendMessage(''),
    (error) => error instanceof greenroom.AgentError && /empty run_input text/.test(error.message),
  );
  await venue.setGrant('boss', false);
  await until(
    'the agent knows',
    () => agent.room.remoteParticipants.get('boss').info.permission.canManageAgentSession === false,
  );
  await assert.rejects(session.fetchAgentInfo(), greenroom.PermissionDenied);
  await session.close();
  await assert.rejects(session.ping(), greenroom.SessionClosed);
});

test('fromRoom waits for the agent, and says who is meant if there are several', async (t) => {
  const place = venue(t, server);
  const room = await place.connect('boss', { grant: true });
  await assert.rejects(RemoteSession.fromRoom(room, undefined, { timeout: 200 }).start(), greenroom.SessionTimeout);
  const session = closing(t, RemoteSession.fromRoom(room));
  const starting = session.start();
  const first = await agentIn(t, place, { guard: 'gate', identity: 'one' });
  await place.gather(room, first.room);
  await starting;
  await session.waitForReady();
  const second = await agentIn(t, place, { guard: 'gate', identity: 'two' });
  await place.gather(room, second.room);
  await assert.rejects(RemoteSession.fromRoom(room).start(), /2 agents.*"one", "two"/);
  assert.deepEqual(said(await session.sendMessage('hi')), ['echo: hi']);
});

test('without the grant, start is refused before anything is sent', async (t) => {
  const { venue, agent } = await pair(t, server);
  const room = await venue.connect('nobody');
  await venue.gather(agent.room, room);
  await assert.rejects(RemoteSession.fromRoom(room).start(), greenroom.PermissionDenied);
  assert.equal(agent.guarding.status().denied, 0);
});

test('an error event without a listener, and a listener that throws, do nothing', async (t) => {
  const place = venue(t, server);
  const agent = await place.connect('agent', { kind: 'agent' });
  const transport = new RoomSessionTransport(agent);
  t.after(() => transport.close());
  await transport.start();
  const room = await place.connect('boss', { grant: true });
  await place.gather(agent, room);
  const session = closing(t, RemoteSession.fromRoom(room));
  await session.start();
  session.on('user_input_transcribed', () => {
    throw new Error('a listener of the test');
  });
  const heard = [];
  session.on('user_input_transcribed', ({ transcript }) => heard.push(transcript));
  const event = (event) =>
    new pb.AgentSessionMessage({ message: { case: 'event', value: new pb.AgentSessionEvent({ event }) } });
  await transport.sendMessage(event({ case: 'error', value: new pb.AgentSessionEvent_Error({ message: 'it broke' }) }));
  await transport.sendMessage(
    event({ case: 'userInputTranscribed', value: new pb.AgentSessionEvent_UserInputTranscribed({ transcript: 'hi' }) }),
  );
  await until('it goes on', () => heard.length > 0);
  assert.deepEqual(heard, ['hi']);
});

test('two hosts on one Room: requests go to the first, both tell of their session', async (t) => {
  const place = venue(t, server);
  const room = new Room();
  const agents = [scripted(t), scripted(t)];
  const hosts = [];
  for (const { session } of agents) hosts.push(await host(session, room));
  await place.connect('agent', { room, kind: 'agent' });
  for (const { session, agent } of agents) await session.start({ agent });
  const wire = new Wire(await place.connect('wire', { grant: true }));
  await place.gather(room, wire.room);
  await wire.answer('w-1', runInputOf(wire));
  const answered = () =>
    agents.map(({ session }) => session.history.items.some(({ textContent }) => textContent === 'echo: wire'));
  assert.deepEqual(answered(), [true, false]);
  await agents[1].session.run({ userInput: 'second' }).wait();
  const texts = () =>
    wire.received
      .filter(({ value }) => value.event?.case === 'conversationItemAdded')
      .flatMap(({ value }) => saidIn({ response: { value: { items: [value.event.value.item] } } }));
  await until('both are heard', () => texts().includes('echo: wire') && texts().includes('echo: second'));
  await agents[0].session.close();
  await hosts[0].close();
  await wire.answer('w-2', runInputOf(wire));
  assert.deepEqual(answered(), [true, true]);
  assert.throws(() => greenroom.gate(room), /has a host of greenroom\/livekit/);
});

test('a session with our host ends it, and leaves the Room as it was', async (t) => {
  const place = venue(t, server);
  const { room, session, guarding } = await agentIn(t, place, { guard: 'host' });
  const wire = new Wire(await place.connect('wire', { grant: true }));
  await place.gather(room, wire.room);
  assert.equal((await wire.answer('w-1')).response.case, 'pong');
  await session.close();
  await guarding.close();
  assert.equal(guarding.status().requests, 1);
  room.registerByteStreamHandler(TOPIC, () => {});
  assert.equal(Object.hasOwn(room, 'registerByteStreamHandler'), false);
});

test('a host after the session has started, on a gated Room, or of nothing is refused', async (t) => {
  const place = venue(t, server);
  const { room, session } = await agentIn(t, place);
  await assert.rejects(host(session, room), /before session.start/);
  const gated = new Room();
  const gate = greenroom.gate(gated);
  await assert.rejects(host(session, gated), /has a gate/);
  await gate.close();
  await assert.rejects(host({}, new Room()), /AgentSession of @livekit\/agents/);
  await assert.rejects(host(session, {}), /no Room of @livekit\/rtc-node/);
  const unregistered = new SessionHost(new RoomSessionTransport(new Room()));
  await assert.rejects(unregistered.start(), /registerSession/);
  await unregistered.close();
});

test('our SessionHost works over any transport', async (t) => {
  const { session, agent } = scripted(t);
  await session.start({ agent });
  const [one, other] = Pipe.pair();
  const hosting = new SessionHost(one);
  hosting.registerSession(session);
  await hosting.start();
  const remote = new RemoteSession(other);
  await remote.start();
  assert.deepEqual(said(await remote.sendMessage('hi')), ['echo: hi']);
  await hosting.close();
  await assert.rejects(remote.ping(), greenroom.AgentGone);
});

/** A transport of somebody else's. */
class Pipe extends SessionTransport {
  #waiting = [];
  #wake = () => {};
  #isOpen = true;

  static pair() {
    const [one, other] = [new Pipe(), new Pipe()];
    [one.other, other.other] = [other, one];
    return [one, other];
  }

  async sendMessage(message) {
    this.other.#waiting.push(pb.AgentSessionMessage.fromBinary(message.toBinary()));
    this.other.#wake();
  }

  async close() {
    for (const side of [this, this.other]) {
      side.#isOpen = false;
      side.#wake();
    }
  }

  async *incoming() {
    while (this.#isOpen || this.#waiting.length > 0) {
      const message = this.#waiting.shift();
      if (message !== undefined) yield { message, senderIdentity: undefined };
      else await new Promise((resolve) => (this.#wake = resolve));
    }
  }
}
