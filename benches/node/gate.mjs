// The gate and the routing of a room as Node reaches them, without a room: `gate.mjs MS`. Prints nanoseconds.
//
// `round` is what the Rust side measures (benches/rust/src/gate.rs): a request from its byte stream to the agent's host,
// and its answer back to who asked. The package is taken from the folder that this is started in.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'package.json'));
const { RoomTopic } = createRequire(require.resolve('greenroom'))('./native.js').native;

const CONTROLLERS = 50;
const SAMPLE_US = 5000;
// A ping under the id `req_0123456789ab`.
const PING = Buffer.from('\x22\x14\x0a\x10req_0123456789ab\x12\x00', 'latin1');

/** The response to a request, without a protobuf library: its id, and a pong. */
function answer(request) {
  const length = request[3];
  const response = Buffer.alloc(length + 6);
  response.set([0x2a, length + 4, 0x0a, length]);
  request.copy(response, 4, 4, 4 + length);
  response.set([0x1a, 0x00], length + 4);
  return response;
}

/** Takes requests in and their answers out. The clock stands beside, so that the bucket of messages stays full. */
function passes(board, host, count) {
  for (let now = 0; now < count * 1000; now += 1000) {
    const stream = board.begin('controller-7', '', PING.length, now);
    board.chunk(stream, PING, now);
    board.end(stream, now);
    for (let incoming = board.poll(); incoming; incoming = board.poll()) {
      if (incoming.kind === 'host') board.fromAgent(host, answer(incoming.message), null, now);
    }
    while (board.pollSend(now));
  }
}

function cpuUs() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

const board = new RoomTopic(0);
const host = board.openHost('{}');
for (let number = 0; number < CONTROLLERS; number++) {
  board.setParticipant(`PA_${String(number).padStart(12, '0')}`, `controller-${number}`, true, false, false, 0);
}
const samples = [];
const end = cpuUs() + Number(process.argv[2]) * 1000;
while (cpuUs() < end || samples.length < 5) {
  const begun = cpuUs();
  let count = 0;
  while (cpuUs() - begun < SAMPLE_US) {
    passes(board, host, 50);
    count += 50;
  }
  samples.push(((cpuUs() - begun) * 1e3) / count);
}
samples.sort((a, b) => a - b);
console.log(JSON.stringify({ round: samples[samples.length >> 1] }));
