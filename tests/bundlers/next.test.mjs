// A route of Next.js that imports the package, in a standalone server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, renameSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../node/support/livekit-server.mjs';
import { bin, folder, HERE, node, project } from './support/project.mjs';

for (const bundler of ['--turbopack', '--webpack']) {
  test(`next_build_${bundler.slice(2)}_standalone_serves_a_route`, async (t) => {
    const path = project(t, 'next');
    const built = node(path, [bin('next/dist/bin/next'), 'build', bundler], { NEXT_TELEMETRY_DISABLED: '1' });
    assert.equal(built.status, 0, built.output);
    const port = await freePort();
    const server = spawn(process.execPath, [join(path, '.next', 'standalone', 'server.js')], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, HOSTNAME: '127.0.0.1', PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => server.kill('SIGKILL'));
    for await (const line of createInterface(server.stdout)) if (/Ready/.test(line)) break;
    const answer = await fetch(`http://127.0.0.1:${port}/api`);
    assert.deepEqual([answer.status, (await answer.json())[1]], [200, true]);
    server.kill();
    await once(server, 'exit');
  });
}
