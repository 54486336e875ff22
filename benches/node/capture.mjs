// How old a frame's last sample is when Node has it: `capture.mjs DEVICE SECONDS`. The same as benches/python/capture.py.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// The package is taken from the folder that this is started in.
const require = createRequire(join(process.cwd(), 'package.json'));
const { capture } = require('greenroom/audio');

const SLEEP_MS = 10;

const [device, seconds] = process.argv.slice(2);
const ages = [];
const late = [];
let isOver = false;
const stream = await capture({ device, rate: 48_000 });

async function sleeps() {
  while (!isOver) {
    const begun = performance.now();
    await sleep(SLEEP_MS);
    late.push(performance.now() - begun - SLEEP_MS);
  }
}

const control = sleeps();
const end = performance.now() + Number(seconds) * 1000;
for await (const frame of stream) {
  const now = performance.now();
  if (now > end) break;
  ages.push(now - stream.origin - frame.time - frame.duration);
}
isOver = true;
await control;
console.log(JSON.stringify({ ages_ms: ages, late_sleeps_ms: late }));
