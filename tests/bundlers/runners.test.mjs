// The package in test runners, which evaluate it in a realm of their own, in worker threads, and twice in a process.

import assert from 'node:assert/strict';
import { cpSync, symlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { startServer, venue } from '../node/support/livekit-server.mjs';
import { bin, folder, HERE, node } from './support/project.mjs';

const RUNNERS = join(HERE, 'fixtures', 'runners');

let server;
before(async () => (server = await startServer()));
after(() => server.stop());

/** Runs a test runner on the cases, all of which have to pass. */
async function passes(t, args, env = {}) {
  const room = venue(t, server);
  const { status, output } = node(RUNNERS, args, {
    GREENROOM_TEST_ROOM_URL: server.url,
    GREENROOM_TEST_ROOM_TOKEN: await room.token('ada'),
    ...env,
  });
  assert.equal(status, 0, output);
  assert.match(output, /\b6 passed/, output);
}

// Far above what a case takes: this machine may be busy.
const WITHIN = '--testTimeout=120000';
const JEST = [bin('jest/bin/jest.js'), WITHIN, '--runInBand', '--config', JSON.stringify({ rootDir: RUNNERS, transform: {}, testMatch: ['**/jest.test.*js'] })];

test('jest_commonjs_keeps_classes', (t) => passes(t, [...JEST, 'jest.test.cjs']));

test('jest_es_modules_keep_classes', (t) => passes(t, ['--experimental-vm-modules', ...JEST, 'jest.test.mjs']));

for (const pool of ['threads', 'forks', 'vmThreads', 'vmForks']) {
  test(`vitest_${pool}_keeps_classes`, (t) =>
    passes(t, [bin('vitest/vitest.mjs'), 'run', '--root', RUNNERS, '--pool', pool, WITHIN, '--cache=false', 'vitest.test.mjs']));
}

// Not in the pools of `vm`, nor in jest: the SDK's own `instanceof` does not hold there, and it breaks down without us.
test('vitest_forks_drives_an_agent_in_process', (t) => {
  const path = folder(t);
  cpSync(join(HERE, 'fixtures', 'sdk'), path, { recursive: true });
  // Where the SDK is; vitest's own functions are globals.
  symlinkSync(join(HERE, '..', 'node', 'node_modules'), join(path, 'node_modules'));
  const { status, output } = node(path, [bin('vitest/vitest.mjs'), 'run', '--root', path, '--pool', 'forks', WITHIN, '--globals', '--cache=false']);
  assert.equal(status, 0, output);
  assert.match(output, /\b2 passed/, output);
});

test('worker_threads_and_two_copies_share_classes', () => {
  const { status, output } = node(RUNNERS, ['worker.mjs']);
  assert.deepEqual([status, output], [0, 'workers are done\n']);
});
