// Agents that other programs than Node run, and hosts that are not Node.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { InterpreterNotFound, start } from 'greenroom';
import { ROOT, folder } from './support/agents.mjs';

const RUNNERS = join(ROOT, 'tests', 'runners', 'node_modules');
const EXAMPLE = join(ROOT, 'examples', 'node');

/** The example agent in TypeScript, with what Node alone does not run, and these packages beside the SDK. */
function project(t, packages) {
  const path = folder(t);
  mkdirSync(join(path, 'node_modules'));
  const links = Object.fromEntries(packages.map((name) => [name, join(RUNNERS, name)]));
  for (const name of ['@livekit', 'zod']) links[name] = join(EXAMPLE, 'node_modules', name);
  for (const [name, original] of Object.entries(links)) symlinkSync(original, join(path, 'node_modules', name));
  writeFileSync(join(path, 'package.json'), '{ "private": true, "type": "module" }');
  writeFileSync(join(path, 'cup.ts'), 'export enum Size { small }\n');
  const imports = "// @ts-nocheck\nimport { Size } from './cup.ts';\nSize.small;\n";
  writeFileSync(join(path, 'agent.ts'), imports + readFileSync(join(EXAMPLE, 'agent.mjs'), 'utf8'));
  return path;
}

/** The agent holds a conversation, and the start says what runs it. */
async function converses(path, options, runner) {
  const session = await start(join(path, 'agent.ts'), options);
  try {
    assert.match(session.status().detected, runner);
    assert.equal((await session.say('weather')).reply, 'The tool said: Sunny in Tokyo');
  } finally {
    await session.close();
  }
}

describe('an agent in TypeScript', { concurrency: 2 }, () => {
  test('with tsx named in NODE_OPTIONS is run with tsx', async (t) => {
    await converses(project(t, ['tsx']), { env: { NODE_OPTIONS: '--import tsx' } }, /, run by tsx$/);
  });

  test('with deno named is run with deno', async (t) => {
    await converses(project(t, []), { node: join(RUNNERS, '.bin', 'deno') }, /, run by Deno \d/);
  });

  test('with bun named is run with bun', async (t) => {
    await converses(project(t, []), { node: join(RUNNERS, '.bin', 'bun') }, /, run by Bun \d/);
  });

  test('with a runner named that is not installed is refused with the command that installs it', async (t) => {
    const path = project(t, []);
    await assert.rejects(start(join(path, 'agent.ts'), { node: 'tsx' }), (error) => {
      assert.ok(error instanceof InterpreterNotFound, error);
      assert.match(error.message, /npm i -D tsx/);
      return true;
    });
  });
});

describe('the command with bun for its host', () => {
  const bun = realpathSync(join(RUNNERS, '.bin', 'bun'));
  const command = join(ROOT, 'tests', 'node', 'node_modules', '.bin', 'greenroom');

  for (const [name, args] of [['without node on PATH', [command]], ['by bun --bun run', ['--bun', 'run', command]]]) {
    test(`starts an agent ${name}`, async (t) => {
      const path = project(t, []);
      const env = { PATH: '/nowhere', GREENROOM_HOME: join(path, 'home'), HOME: path };
      const run = (...words) =>
        execFileSync(bun, [...args, ...words], { cwd: path, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
      try {
        const { status } = JSON.parse(run('start', 'agent.ts', '--json'));
        assert.match(status.detected, /, run by Bun \d/);
        assert.match(run('say', 'weather'), /Sunny in Tokyo/);
      } finally {
        run('end');
      }
    });
  }
});
