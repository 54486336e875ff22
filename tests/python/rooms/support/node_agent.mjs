// The agent of the Node suite's rooms as a process: `node_agent.mjs URL TOKEN GUARD LINKED`, see node_agent.py.
//
// Prints `ready` once it can be asked. A line `hold` or `release` on its standard input has its turns wait or go on; the
// end of its input ends it.

import { createInterface } from 'node:readline';
import { agentIn } from '../../../node/support/rooms.mjs';

const [url, token, guard, linked] = process.argv.slice(2);
const ends = [];
const test = { after: (end) => ends.unshift(end) };
const venue = { connect: (_, { room }) => room.connect(url, token) };

const { room, model } = await agentIn(test, venue, { guard, linked });
console.log('ready');
let release = () => {};
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'hold') release = model.hold();
  if (line === 'release') release();
}
release();
for (const end of ends) await end();
await room.disconnect();
process.exit(0);
