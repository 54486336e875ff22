// The JavaScript SDK's own codec on the corpus, without a socket: `codec.mjs FOLDER MS`. Prints nanoseconds per message.
//
// The parts are those of the Rust side (benches/rust/src/codec.rs); a frame is cut as the SDK's TCP transport does it.
// `binding` is ours, as Node reaches it: each message of the conversation given to a controller, the events read as
// JSON. Both packages are taken from the folder that this is started in.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'package.json'));
// The SDK's own copy of its codec, which need not be installed beside it.
const { AgentSession: pb } = createRequire(require.resolve('@livekit/agents'))('@livekit/protocol');
const { Pipe } = createRequire(require.resolve('greenroom'))('./native.js').native;

const PREFIX = 4;
const SAMPLE_US = 5000;

/** Cuts a stream of frames. */
function* messages(stream) {
  let at = 0;
  while (at < stream.length) {
    const length = stream.readUInt32BE(at);
    at += PREFIX;
    yield stream.subarray(at, at + length);
    at += length;
  }
}

function framed(message) {
  const body = message.toBinary();
  const header = Buffer.allocUnsafe(PREFIX);
  header.writeUInt32BE(body.length, 0);
  return Buffer.concat([header, body]);
}

function decode(stream) {
  for (const message of messages(stream)) pb.AgentSessionMessage.fromBinary(message);
}

function bothWays(stream) {
  for (const message of messages(stream)) framed(pb.AgentSessionMessage.fromBinary(message));
}

function converse(received, texts) {
  decode(received);
  texts.forEach((text, number) => {
    const value = new pb.SessionRequest({
      requestId: `gr-${number}`,
      request: { case: 'runInput', value: new pb.SessionRequest_RunInput({ text }) },
    });
    framed(new pb.AgentSessionMessage({ message: { case: 'request', value } }));
  });
}

function throughBinding(received) {
  const pipe = new Pipe('{"start_timeout_ms":60000,"text_mode":true}', () => {});
  const driver = pipe.takeDriver();
  pipe.open();
  for (const message of messages(received)) pipe.receive(message);
  driver.drain();
  driver.readEvents(0, 1024);
  driver.close(0);
}

function processorTime() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** The median processor time of one pass in nanoseconds, over samples of many passes. */
function perPass(work, totalMs) {
  const samples = [];
  const end = processorTime() + totalMs * 1000;
  while (processorTime() < end || samples.length < 5) {
    const begun = processorTime();
    let passes = 0;
    while (processorTime() - begun < SAMPLE_US) {
      work();
      passes += 1;
    }
    samples.push(((processorTime() - begun) / passes) * 1000);
  }
  samples.sort((a, b) => a - b);
  return samples[Math.floor(samples.length / 2)];
}

const [folder, forMs] = [process.argv[2], Number(process.argv[3])];
const received = readFileSync(join(folder, 'received.frames'));
const vectors = readFileSync(join(folder, 'vectors.frames'));
const texts = JSON.parse(readFileSync(join(folder, 'sent.json'), 'utf8'));
const inReceived = [...messages(received)].length;
const inVectors = [...messages(vectors)].length;
// The first call of each compiles; it is not counted.
const timed = (work) => (perPass(work, forMs / 2), perPass(work, forMs));
console.log(
  JSON.stringify({
    conversation: timed(() => converse(received, texts)) / (inReceived + texts.length),
    conversation_wire: timed(() => bothWays(received)) / inReceived,
    vectors_wire: timed(() => bothWays(vectors)) / inVectors,
    binding: timed(() => throughBinding(received)) / inReceived,
  }),
);
