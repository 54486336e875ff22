// Projects as people lay them out, started through the installed package.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import * as greenroom from 'greenroom';
import { PYTHON, ROOT, folder } from './support/agents.mjs';

const AGENT = `
import { ServerOptions, cli, defineAgent, voice } from '@livekit/agents';
import { fileURLToPath } from 'node:url';
export default defineAgent({ entry: async (ctx) => {
  const session = new voice.AgentSession({});
  await session.start({ agent: new voice.Agent({ instructions: WORDS }), room: ctx.room });
  await ctx.connect();
} });
const file = fileURLToPath(import.meta.url);
if (process.argv[1] === file) cli.runApp(new ServerOptions({ agent: file }));
`;

const PYTHON_AGENT = `
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
server = AgentServer()
@server.rtc_session()
async def entrypoint(ctx: JobContext):
    await AgentSession().start(agent=Agent(instructions=WORDS), room=ctx.room)
if __name__ == "__main__":
`;

/** Whether the runners' packages hold that one. */
const exists = (name) => existsSync(join(ROOT, 'tests', 'runners', 'node_modules', name));

/** Writes the files of a project, and links the packages that are named to released ones. */
function project(t, files, { sdk = false, runners = [] } = {}) {
  const path = folder(t);
  const write = (name, text) => {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  const link = (name, from) => {
    mkdirSync(dirname(join(path, 'node_modules', name)), { recursive: true });
    symlinkSync(join(ROOT, from, 'node_modules', name), join(path, 'node_modules', name));
  };
  if (sdk) link('@livekit', 'examples/node');
  for (const runner of runners) link(runner, 'tests/runners');
  return path;
}

async function starts(t, path, entry, options = {}) {
  const session = await greenroom.start(join(path, entry), { timeout: 120_000, ...options });
  t.after(() => session.close());
  assert.equal((await session.agentInfo()).instructions, 'x');
  return session;
}

describe('a project starts', { concurrency: 2 }, () => {
  for (const [name, entry, files] of [
    ['relative imports', 'shop/main.py', { 'shop/__init__.py': '', 'shop/words.py': 'WORDS = "x"\n', 'shop/main.py': `from .words import WORDS${PYTHON_AGENT}    cli.run_app(server)\n` }],
    ['src layout', 'src/agent.py', { 'src/__init__.py': '', 'src/words.py': 'WORDS = "x"\n', 'src/agent.py': `from words import WORDS${PYTHON_AGENT}    cli.run_app(server)\n` }],
    ['arguments of its own', 'agent.py', { 'agent.py': `WORDS = "x"${PYTHON_AGENT}    import argparse\n    parser = argparse.ArgumentParser()\n    parser.add_argument("command", choices=["start"])\n    parser.parse_args()\n    cli.run_app(server)\n` }],
  ]) {
    test(`Python: ${name}`, async (t) => {
      await starts(t, project(t, { 'requirements.txt': '', ...files }), entry, { python: PYTHON });
    });
  }

  const TYPESCRIPT = {
    'src/words.ts': 'export enum Size { small }\nexport const WORDS: string = "x";\n',
    'src/mug.ts': 'export class Mug { constructor(readonly size: number) {} }\nexport namespace Shop { export const open = true; }\n',
    'src/main.ts': `import { Size, WORDS } from './words.js';\nimport { Mug, Shop } from './mug';\nif (new Mug(Size.small).size !== 0 || !Shop.open) throw new Error('wrong');\n${AGENT}`,
  };

  test('TypeScript whose script runs it by tsx', async (t) => {
    const manifest = JSON.stringify({ type: 'module', scripts: { dev: 'tsx src/main.ts dev' } });
    const path = project(t, { 'package.json': manifest, ...TYPESCRIPT }, { sdk: true, runners: ['tsx', 'esbuild', '@esbuild', 'get-tsconfig', 'resolve-pkg-maps'].filter(exists) });
    const session = await starts(t, path, 'src/main.ts');
    assert.match(session.status().detected, /tsx/);
  });

  test('TypeScript that Node cannot run, without a runner, names the way out', async (t) => {
    const path = project(t, { 'package.json': '{"type": "module"}', ...TYPESCRIPT }, { sdk: true });
    await assert.rejects(greenroom.start(join(path, 'src/main.ts'), { timeout: 60_000 }), (error) => {
      assert.match(error.message, /npm i -D tsx/);
      return true;
    });
  });
});

test('a preparation leaves CommonJS, workers and child processes as they are', async (t) => {
  const words = "const WORDS = 'x';\n";
  const checks = `
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
if (process.argv[2] === 'child') process.exit(process.execArgv.length);
const [status] = await once(fork(fileURLToPath(import.meta.url), ['child']), 'exit');
const worker = new Worker('require("node:worker_threads").parentPort.postMessage(Object.keys(process.env).filter((name) => /^GREENROOM_(MARK|PREPARE)$/.test(name)).length)', { eval: true });
const [names] = await once(worker, 'message');
if (status !== 0 || names !== 0) throw new Error(\`\${status} \${names}\`);
`;
  const path = project(t, { 'package.json': '{"type": "module"}', 'agent.mjs': `${words}${checks}${AGENT}` }, { sdk: true });
  await starts(t, path, 'agent.mjs');
  const common = `
const { ServerOptions, cli, defineAgent, voice } = require('@livekit/agents');
module.exports = defineAgent({ entry: async (ctx) => {
  if (process.env.START === 'return') return;
  const session = new voice.AgentSession({});
  await session.start({ agent: new voice.Agent({ instructions: 'x' }), room: ctx.room });
  await ctx.connect();
} });
if (require.main === module) cli.runApp(new ServerOptions({ agent: __filename }));
`;
  const folderOfCommon = project(t, { 'package.json': '{}', 'agent.cjs': common }, { sdk: true });
  await starts(t, folderOfCommon, 'agent.cjs');
  const starting = greenroom.start(join(folderOfCommon, 'agent.cjs'), { timeout: 300_000, env: { START: 'return' } });
  await assert.rejects(starting, /returned without starting a session/);
});
