// What tests/session_ways.json says of a session, however it is reached.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { initializeLogger } from '@livekit/agents';
import { dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { collect, EXAMPLES, ROOT, until } from './support/agents.mjs';
import { leftRunning } from './support/daemons.mjs';
import { startServer, venue as venueOf } from './support/livekit-server.mjs';
import { agentIn, scene, scripted } from './support/rooms.mjs';

const CONTRACT = JSON.parse(readFileSync(`${ROOT}tests/session_ways.json`, 'utf8'));

initializeLogger({ pretty: false, level: 'fatal' });

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

/** The ways to an agent that is in the room. */
const REACH = {
  async join(venue, { grant = true, ...options } = {}) {
    return greenroom.join(server.url, await venue.token('boss', { grant }), options);
  },
  async attach(venue, { grant = true, ...options } = {}) {
    return greenroom.attach(await venue.connect('boss', { grant }), options);
  },
};

const OPEN = {
  async start(t, options) {
    const { file, options: how } = EXAMPLES.node;
    return greenroom.start(file, { ...how, ...options });
  },
  async open(t, options) {
    const { file, options: how } = EXAMPLES.node;
    const flags = how.node === undefined ? [] : ['--node', how.node, '--', ...how.args];
    await leftRunning(t, 'ways', file, ...flags);
    return greenroom.open('ways', options);
  },
  async join(t, options) {
    const { venue } = await scene(t, server, 'host');
    return REACH.join(venue, options);
  },
  async attach(t, options) {
    const { venue } = await scene(t, server, 'host');
    return REACH.attach(venue, options);
  },
  async in_process(t, options) {
    const { session, agent } = scripted(t);
    await session.start({ agent });
    return greenroom.inProcess(session, options);
  },
};

const camelCased = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

for (const way of CONTRACT.ways) {
  test(`${way}: the status has the same keys, and a turn the same events`, async (t) => {
    const session = await OPEN[way](t);
    t.after(() => session.close());
    const status = session.status();
    assert.deepEqual(CONTRACT.status_keys.map(camelCased).filter((key) => !(key in status)), []);
    const { text, reply, events } = CONTRACT.turn;
    const turn = await session.say(text);
    assert.equal(turn.reply, reply);
    assert.deepEqual(turn.events.filter(({ earlier }) => !earlier).map(({ type }) => type), events);
  });

  test(`${way}: a pending call fails at once when the session closes`, async (t) => {
    const session = await OPEN[way](t);
    const pending = session.say(CONTRACT.closed_while_pending.text);
    const closing = session.close();
    await assert.rejects(pending, ({ code }) => code === CONTRACT.closed_while_pending.code);
    await closing;
    const { type, reason } = (await collect(session.events())).at(-1);
    const { last_event, reason: expected } = CONTRACT.closed_while_pending;
    assert.deepEqual([type, reason], [last_event, expected]);
  });

  test(`${way}: a timeout that is not above 0 is invalid`, async (t) => {
    for (const timeout of CONTRACT.invalid_timeouts) {
      await assert.rejects(OPEN[way](t, { timeout }), greenroom.InvalidArgument);
    }
  });
}

for (const way of CONTRACT.ways_in_a_room) {
  test(`${way}: one of two agents has to be named`, async (t) => {
    const { agents, code } = CONTRACT.two_agents;
    const place = venueOf(t, server);
    for (const identity of agents) await place.connect(identity, { kind: 'agent' });
    await assert.rejects(REACH[way](place), (error) => {
      for (const identity of agents) assert.ok(error.message.includes(`"${identity}"`), error.message);
      return error.code === code;
    });
  });

  test(`${way}: a controller without the grant is denied`, async (t) => {
    const { code, says } = CONTRACT.no_grant;
    const place = venueOf(t, server);
    await place.connect('agent', { kind: 'agent' });
    await assert.rejects(REACH[way](place, { grant: false }), (error) => {
      assert.ok(error.message.includes(says), error.message);
      return error.code === code;
    });
  });

  test(`${way}: an agent that leaves in a turn ends the session`, async (t) => {
    const { code, last_event, reason: expected } = CONTRACT.agent_leaves_in_a_turn;
    const place = venueOf(t, server);
    const agent = await agentIn(t, place, { guard: 'host' });
    const session = await REACH[way](place);
    agent.model.hold();
    const pending = session.say('hi');
    const failed = assert.rejects(pending, (error) => error.code === code);
    await until('the agent thinks', () => agent.session.agentState === 'thinking');
    await place.remove('agent');
    await failed;
    const { type, reason } = (await collect(session.events())).at(-1);
    assert.deepEqual([type, reason], [last_event, expected]);
    await session.close();
  });
}
