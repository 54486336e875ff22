// What tests/session_ways.json says of a session, however it is reached.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { initializeLogger } from '@livekit/agents';
import { dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { collect, EXAMPLES, ROOT } from './support/agents.mjs';
import { leftRunning } from './support/daemons.mjs';
import { startServer } from './support/livekit-server.mjs';
import { pair, scripted } from './support/rooms.mjs';

const CONTRACT = JSON.parse(readFileSync(`${ROOT}tests/session_ways.json`, 'utf8'));

initializeLogger({ pretty: false, level: 'fatal' });

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

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
    const { venue } = await pair(t, server);
    return greenroom.join(server.url, await venue.token('joiner', { grant: true }), options);
  },
  async attach(t, options) {
    const { room } = await pair(t, server);
    return greenroom.attach(room, options);
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
