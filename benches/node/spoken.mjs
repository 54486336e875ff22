// Spoken turns: `spoken.mjs PEER TURNS`. The same as benches/python/spoken.py.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// The package is taken from the folder that this is started in.
const require = createRequire(join(process.cwd(), 'package.json'));
const { start } = require('greenroom');

const RATE = 48_000;
// Half a second that can be heard at every sample.
const SOUND = new Int16Array(RATE / 2).fill(0x4000);
const SOUNDS_MS = 1000;
const SLEEP_MS = 20;

const [peer, turns] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'greenroom-bench-'));
try {
  const agent = join(folder, 'agent.py');
  writeFileSync(agent, '# The scripted agent stands for this file.\n');
  const session = await start(agent, { python: peer, env: { GREENROOM_PEER: 'voice' }, audio: true });
  const beyond = [];
  const slept = [];
  for (let turn = 0; turn <= Number(turns); turn++) {
    let begun = performance.now();
    const { reply } = await session.sayAudio(SOUND);
    beyond.push(performance.now() - begun - SOUNDS_MS);
    if (reply !== 'heard') throw new Error(`the scripted agent did not answer: ${reply}`);
    begun = performance.now();
    await sleep(SLEEP_MS);
    slept.push(performance.now() - begun - SLEEP_MS);
  }
  await session.close();
  console.log(JSON.stringify({ beyond_ms: beyond.slice(1), sleep_ms: slept.slice(1) }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
