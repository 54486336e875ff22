// A Room of LiveKit's Node SDK that sends back what it gets, as witness.py does: `witness.mjs URL TOKEN`.

import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataPacketKind, Room, RoomEvent, dispose } from '@livekit/rtc-node';

const [url, token] = process.argv.slice(2);
const room = new Room();
const folder = await mkdtemp(join(tmpdir(), 'witness-'));
let files = 0;

room.registerByteStreamHandler('files', async (reader, { identity }) => {
  const data = Buffer.concat(await reader.readAll());
  const path = join(folder, `${files++}`);
  await writeFile(path, data);
  await room.localParticipant.sendFile(path, {
    topic: 'echo',
    name: createHash('sha256').update(data).digest('hex'),
    compress: reader.info.attributes.compress === 'true',
    destinationIdentities: [identity],
  });
});
room.registerTextStreamHandler('words', async (reader, { identity }) => {
  const text = await reader.readAll();
  await room.localParticipant.sendText(text, { topic: 'echo', destinationIdentities: [identity] });
});
room.on(RoomEvent.DataReceived, (payload, participant, kind, topic) => {
  if (topic === 'packets') {
    const reliable = kind === DataPacketKind.KIND_RELIABLE;
    room.localParticipant.publishData(payload, { topic: 'echo', reliable });
  }
});
await room.connect(url, token, { autoSubscribe: true, dynacast: false });
console.log('ready');
process.stdin.resume();
await new Promise((resolve) => process.stdin.once('close', resolve));
await room.disconnect();
await rm(folder, { recursive: true });
await dispose();
