// The Room of LiveKit's Node SDK: `client.mjs TRIPS STREAMS` measures what `greenroom-benches client` does, and prints the same JSON.
// The SDK is taken from the folder that this is started in.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'package.json'));
const idle = status('VmRSS');
const { dispose, Room, RoomEvent } = require('@livekit/rtc-node');

// Longer than any answer takes.
const ANSWER_MS = 60_000;

/** A number of this process, as Linux tells it. */
function status(name) {
  const line = readFileSync('/proc/self/status', 'utf8').split('\n').find((line) => line.startsWith(`${name}:`));
  return parseInt(line.slice(name.length + 1), 10);
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

const [trips, streams] = process.argv.slice(2).map(Number);
const room = new Room();
let answered;
room.on(RoomEvent.DataReceived, (_payload, _participant, _kind, topic) => {
  if (topic === 'pong') answered?.();
});

/** Does something, and waits for its answer. */
async function answer(work) {
  let timer;
  const came = new Promise((resolve, reject) => {
    answered = resolve;
    timer = setTimeout(reject, ANSWER_MS, new Error('no answer'));
  });
  await work();
  await came;
  clearTimeout(timer);
}

const message = Buffer.alloc(200, 7);
const echo = ['echo'];
const ping = () =>
  answer(() => room.localParticipant.publishData(message, { reliable: true, topic: 'ping', destination_identities: echo }));

const begun = performance.now();
await room.connect(process.env.LIVEKIT_URL, process.env.LIVEKIT_TOKEN, { autoSubscribe: true, dynacast: false });
const joined = performance.now() - begun;
await ping();
const first = performance.now() - begun;
const [held, threads] = [status('VmRSS'), status('Threads')];

const before = process.cpuUsage();
const roundTrips = [];
for (let done = 0; done < trips; done++) {
  const sent = performance.now();
  await ping();
  roundTrips.push((performance.now() - sent) * 1000);
}
const used = process.cpuUsage(before);

const content = Buffer.from(Uint8Array.from({ length: 4 << 20 }, (_, n) => Math.imul(n, 2_654_435_761) >>> 24));
const taken = [];
for (let done = 0; done < streams; done++) {
  const sent = performance.now();
  await answer(async () => {
    const writer = await room.localParticipant.streamBytes({ topic: 'files', name: 'file', destinationIdentities: echo });
    await writer.write(content);
    await writer.close();
  });
  taken.push(performance.now() - sent);
}
await room.disconnect();
const found = {
  join_ms: joined,
  answered_ms: first,
  trip_us: median(roundTrips),
  processor_ms: (used.user + used.system) / trips,
  stream_ms: median(taken),
  room_kib: held - idle,
  threads,
};
// What the SDK's native part logs goes to standard output too.
console.log(`\n${JSON.stringify(found)}`);
await dispose();
