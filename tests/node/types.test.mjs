// The SDK's own AgentSession is taken by inProcess, as a user's compiler sees it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROOT } from './support/agents.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = join(ROOT, 'packages', 'greenroom', 'node_modules');

test("the SDK's AgentSession is one that inProcess takes", (t) => {
  // In this folder, so that the compiler finds the SDK's declarations and the installed package's.
  const folder = mkdtempSync(join(HERE, 'types-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, 'usage.mts'),
    `
      import type { voice } from '@livekit/agents';
      import { inProcess, type Session } from 'greenroom';
      export const attach = (session: voice.AgentSession): Promise<Session> => inProcess(session);
      // @ts-expect-error: that is none
      export const wrong = (): Promise<Session> => inProcess({ run() {} });
    `,
  );
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2022'];
  flags.push('--lib', 'es2023,esnext.disposable', '--types', 'node', '--typeRoots', join(MODULES, '@types'));
  const tsc = join(MODULES, 'typescript', 'bin', 'tsc');
  const done = spawnSync(process.execPath, [tsc, ...flags, 'usage.mts'], { cwd: folder, encoding: 'utf8' });
  assert.equal(done.stdout, '');
});
