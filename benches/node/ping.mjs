// Round trips from Node: `ping.mjs PEER ECHO_PORT FRAME_BYTES BLOCKS TRIPS`.
//
// Through a session with the scripted agent, in turn with those of a bare socket to the echo server. Prints the median of
// each block in microseconds. The package is taken from the folder that this is started in.

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { start } = createRequire(join(process.cwd(), 'package.json'))('greenroom');

async function block(trips, trip) {
  const taken = [];
  for (let done = 0; done < trips; done += 1) {
    const begun = process.hrtime.bigint();
    await trip();
    taken.push(Number(process.hrtime.bigint() - begun) / 1000);
  }
  taken.sort((a, b) => a - b);
  return taken[Math.floor(trips / 2)];
}

const [peer, ...numbers] = process.argv.slice(2);
const [echoPort, frameBytes, blocks, trips] = numbers.map(Number);

const socket = connect({ host: '127.0.0.1', port: echoPort, noDelay: true });
await once(socket, 'connect');
let awaited = 0;
let back;
socket.on('data', (read) => {
  awaited -= read.length;
  if (awaited === 0) back();
});
const frame = Buffer.alloc(frameBytes, 7);
const echo = () =>
  new Promise((resolve) => {
    awaited = frameBytes;
    back = resolve;
    socket.write(frame);
  });

const folder = mkdtempSync(join(tmpdir(), 'greenroom-bench-'));
try {
  const agent = join(folder, 'agent.py');
  writeFileSync(agent, '# The scripted agent stands for this file.\n');
  const session = await start(agent, { python: peer });
  const ours = [];
  const bare = [];
  // The first block of each warms up.
  for (let done = 0; done <= blocks; done += 1) {
    ours.push(await block(trips, () => session.ping()));
    bare.push(await block(trips, echo));
  }
  await session.close();
  console.log(JSON.stringify({ session: ours.slice(1), echo: bare.slice(1) }));
} finally {
  socket.destroy();
  rmSync(folder, { recursive: true });
}
