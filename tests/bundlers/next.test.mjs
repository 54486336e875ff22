// A route of Next.js that imports the package, built as docs/bundlers.md says, in a standalone server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../node/support/livekit-server.mjs';
import { APP, bin, folder, HERE, node } from './support/project.mjs';

// Next's other bundler takes three times as long, and is webpack as bundlers.test.mjs has it: it is part of `make soak`.
const BUNDLERS = ['turbopack', ...(process.env.GREENROOM_TEST_NEXT_WEBPACK ? ['webpack'] : [])];

for (const bundler of BUNDLERS) {
  test(`next_build_with_${bundler}_standalone_serves_a_route`, async (t) => {
    // Turbopack takes no package from beyond a link out of its root.
    const path = mkdtempSync(join(HERE, '.next-'));
    t.after(() => rmSync(path, { recursive: true, force: true }));
    cpSync(join(HERE, 'fixtures', 'next'), path, { recursive: true });
    writeFileSync(join(path, 'package.json'), JSON.stringify({ ...APP, private: true }));
    const built = node(path, [bin('next/dist/bin/next'), 'build', `--${bundler}`], { NEXT_TELEMETRY_DISABLED: '1' });
    assert.equal(built.status, 0, built.output);

    const standalone = folder(t);
    cpSync(join(path, '.next', 'standalone'), standalone, { recursive: true, verbatimSymlinks: true });
    const port = await freePort();
    const server = spawn(process.execPath, [join(standalone, basename(path), 'server.js')], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, HOSTNAME: '127.0.0.1', PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => server.kill('SIGKILL'));
    for await (const line of createInterface(server.stdout)) if (/Ready/.test(line)) break;
    const answer = await fetch(`http://127.0.0.1:${port}/api`, { signal: AbortSignal.timeout(30_000) });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    assert.equal(JSON.parse(text)[1], true);
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  });
}
