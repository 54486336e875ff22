// The server of the room tests honours the grant, as rtc-node shows it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dispose } from '@livekit/rtc-node';
import { until } from './support/agents.mjs';
import { holdsGrant, startServer, venue } from './support/livekit-server.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

for (const [grant, shown] of [[true, true], [false, false], [undefined, false]]) {
  test(`a grant of ${grant} in the token shows to all`, async (t) => {
    const room = venue(t, server);
    const alice = await room.connect('alice', { grant });
    const bob = await room.connect('bob');
    await room.gather(alice, bob);
    assert.equal(holdsGrant(bob, 'alice'), shown);
    assert.equal(holdsGrant(alice, 'alice'), shown);
    assert.equal(holdsGrant(alice, 'bob'), false);
  });
}

test('a grant that the server gives and takes shows to all', async (t) => {
  const room = venue(t, server);
  const alice = await room.connect('alice');
  const bob = await room.connect('bob');
  await room.gather(alice, bob);
  for (const grant of [true, false]) {
    await room.setGrant('alice', grant);
    for (const one of [alice, bob]) await until(`the grant is ${grant}`, () => holdsGrant(one, 'alice') === grant);
    assert.equal(bob.remoteParticipants.get('alice').info.permission.canPublishData, true);
  }
});
