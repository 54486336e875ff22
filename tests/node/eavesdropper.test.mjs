// What somebody overhears with this SDK, which leaks. Once livekit-data-stream 0.1.9 is in the SDK, the tests that say so
// fail, and it matters no more in which form we send.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { dispose } from '@livekit/rtc-node';
import { folder } from './support/agents.mjs';
import { TOPIC, eavesdrop } from './support/eavesdropper.mjs';
import { startServer, venue } from './support/livekit-server.mjs';

const SECRET = Buffer.from('the code of the safe is 4711');

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

/** Alice, Bob and who listens in, who know each other. */
async function company(t) {
  const room = venue(t, server);
  const [alice, bob, eve] = [await room.connect('alice'), await room.connect('bob'), await eavesdrop(t, room)];
  await room.gather(alice, bob, eve.room);
  return { alice, bob, eve };
}

async function stream(room, content, destinationIdentities) {
  const writer = await room.localParticipant.streamBytes({ topic: TOPIC, destinationIdentities });
  await writer.write(content);
  await writer.close();
}

test('it hears what is sent to all', async (t) => {
  const { alice, eve } = await company(t);
  const large = Buffer.alloc(40_000, SECRET);
  await stream(alice, SECRET);
  await stream(alice, large);
  await eve.caughtUp(alice);
  assert.deepEqual(eve.delivered, [['alice', SECRET], ['alice', large]]);
  assert.equal(eve.strays.size, 0);
});

test('it hears every stream to another, though the SDK does not show it', async (t) => {
  const { alice, eve } = await company(t);
  const large = Buffer.alloc(40_000, SECRET);
  await stream(alice, SECRET, ['bob']);
  await stream(alice, large, ['bob']);
  await eve.caughtUp(alice);
  assert.deepEqual([...eve.strays.values()], [['alice', SECRET], ['alice', large]]);
  assert.deepEqual(eve.delivered, []);
});

test('deflating hides nothing', async (t) => {
  const { alice, eve } = await company(t);
  const file = join(folder(t), 'file');
  const content = Buffer.alloc(2_800, SECRET);
  writeFileSync(file, content);
  await alice.localParticipant.sendFile(file, { topic: TOPIC, destinationIdentities: ['bob'] });
  await eve.caughtUp(alice);
  const [[, stray]] = eve.strays.values();
  assert.ok(stray.length < 200, `${stray.length} bytes`);
  assert.ok(eve.saw(content));
});
