// Agents to start: the examples, on the released SDKs, and the bare one of peer.mjs.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A Python that has livekit-agents. */
export const PYTHON = process.env.GREENROOM_TEST_PYTHON ?? join(ROOT, '.cache', 'venvs', 'suites', 'bin', 'python');

/** The example agents: file, options of `start`, and the SDK's name for itself. */
export const EXAMPLES = {
  node: { file: join(ROOT, 'examples', 'node', 'agent.mjs'), options: nodeOptions(), sdk: 'js' },
  python: { file: join(ROOT, 'examples', 'python', 'agent.py'), options: { python: PYTHON }, sdk: 'python' },
};

/** `make matrix` names other programs than Node.js to run JavaScript agents with. */
function nodeOptions() {
  const { GREENROOM_TEST_NODE: node, GREENROOM_TEST_NODE_ARGS: args } = process.env;
  return node === undefined ? {} : { node, args: args ? args.split(' ') : [] };
}

/** A folder that is gone after the test, once `before` is done. */
export function folder(t, before = async () => {}) {
  const path = mkdtempSync(join(tmpdir(), 'greenroom-test-'));
  t.after(async () => {
    await before();
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** A project with one file, and an SDK that seems to be installed in it. */
export function project(t, text, { name = 'agent.mjs', sdkVersion = '1.9.0' } = {}) {
  const path = folder(t);
  const sdk = join(path, 'node_modules', '@livekit', 'agents');
  mkdirSync(sdk, { recursive: true });
  writeFileSync(join(sdk, 'package.json'), JSON.stringify({ name: '@livekit/agents', version: sdkVersion }));
  writeFileSync(join(path, 'package.json'), '{ "private": true }');
  writeFileSync(join(path, name), text);
  return join(path, name);
}

/** The bare agent's file. */
export function peer(t) {
  return project(t, `import ${JSON.stringify(new URL('./peer.mjs', import.meta.url).href)};\n`);
}

/** All that an iterator gives. */
export async function collect(iterator) {
  const all = [];
  for await (const one of iterator) all.push(one);
  return all;
}

/** Waits until a condition holds, and fails with `what` if it does not in time. */
export async function until(what, condition, { within = 10_000 } = {}) {
  const deadline = performance.now() + within;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether a process runs: one that is gone, or only waits to be reaped, does not. */
export function isAlive(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
