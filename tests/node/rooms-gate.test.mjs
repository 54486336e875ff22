// A gate before the SDK's own host, in a real room; and what a gate does to a Room.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dispose, Room } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { gateCases } from './support/gate-cases.mjs';
import { startServer, venue } from './support/livekit-server.mjs';
import { scene, TOPIC, Wire } from './support/rooms.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

gateCases('gate', () => server);

test('a gate that is closed gives the Room back as it was', async (t) => {
  const room = new Room();
  const before = [Object.getOwnPropertyNames(room), Reflect.ownKeys(Object.getPrototypeOf(room))];
  const gate = greenroom.gate(room);
  assert.throws(() => greenroom.gate(room), /has a gate already/);
  await gate.close();
  await gate.close();
  assert.deepEqual([Object.getOwnPropertyNames(room), Reflect.ownKeys(Object.getPrototypeOf(room))], before);
  room.registerByteStreamHandler(TOPIC, () => {});
  assert.throws(
    () => greenroom.gate(room),
    (error) => error instanceof greenroom.InvalidArgument && /before session.start/.test(error.message),
  );

  const place = venue(t, server);
  const connected = await place.connect('agent');
  const own = Object.getOwnPropertyNames(connected.localParticipant);
  const second = greenroom.gate(connected);
  assert.notDeepEqual(Object.getOwnPropertyNames(connected.localParticipant), own);
  await second.close();
  assert.deepEqual(Object.getOwnPropertyNames(connected.localParticipant), own);
  assert.equal(connected.localParticipant.identity, 'agent');
});

test('a session that outlives its gate is as open as without', async (t) => {
  const { venue, agent } = await scene(t, server, 'gate');
  await agent.guarding.close();
  const anybody = new Wire(await venue.connect('anybody'));
  await venue.gather(agent.room, anybody.room);
  assert.equal((await anybody.answer('a-1')).response.case, 'pong');
});

test('what is sent on other topics is none of a gate', async (t) => {
  const { agent, join } = await scene(t, server, 'gate');
  const wire = await join('wire');
  const heard = new Promise((resolve) => {
    wire.room.registerByteStreamHandler('other', async (reader) =>
      resolve(Buffer.concat(await reader.readAll()).toString()),
    );
  });
  const writer = await agent.room.localParticipant.streamBytes({ topic: 'other' });
  await writer.write(Buffer.from('hello'));
  await writer.close();
  assert.equal(await heard, 'hello');
});

test('a policy that cannot be meant is refused, and leaves the Room alone', () => {
  const room = new Room();
  for (const options of [
    { policy: { default: ['fly'] } },
    { runInput: 'maybe' },
    { policy: { byIdentity: { a: 'observe' } } },
  ]) {
    assert.throws(() => greenroom.gate(room, options), greenroom.InvalidArgument);
  }
  for (const odd of [undefined, {}, 'room']) assert.throws(() => greenroom.gate(odd), /no Room of @livekit\/rtc-node/);
  room.registerByteStreamHandler(TOPIC, () => {});
});
