// How long things live: the script, the agent, the worker thread.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { isAlive, peer, until } from './support/agents.mjs';

const WORKER = new URL('./support/worker.cjs', import.meta.url);
const HERE = fileURLToPath(new URL('.', import.meta.url));

// What a script under test begins with. An unhandled rejection ends it with the exit code 1, as Node does by itself.
const BEGIN = `
  import { start } from 'greenroom';
  const session = await start(process.argv[1]);
  console.log(session.status().pid);
`;

/** Runs a script on the bare agent. The first line of its output is the agent's process. */
function run(t, script, { flags = [] } = {}) {
  const args = [...flags, '--input-type=module', '--eval', script, '--', peer(t)];
  const child = spawn(process.execPath, args, { cwd: HERE, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  return {
    kill: (signal) => child.kill(signal),
    line: async (number) => {
      await until(`line ${number} of the script's output`, () => output.split('\n').length > number + 1);
      return output.split('\n')[number];
    },
    ended: new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal }))),
    output: () => output.trim().split('\n'),
  };
}

async function gone(script) {
  const pid = Number(await script.line(0));
  assert.ok(pid > 1);
  await until('the agent is gone', () => !isAlive(pid), { within: 15_000 });
}

test('a script exits by itself after the end, and not before a turn that it awaits', async (t) => {
  const script = run(t, `${BEGIN} console.log((await session.say('hi')).reply); await session.end(); await session.end(); await session.close();`);
  assert.deepEqual(await script.ended, { code: 0, signal: null });
  assert.equal(script.output()[1], 'echo: hi');
  await gone(script);
});

test('a script that forgets to close exits by itself, and its agent goes', async (t) => {
  const script = run(t, `${BEGIN} session.on('message', () => {}); await session.say('hi');`);
  assert.deepEqual(await script.ended, { code: 0, signal: null });
  await gone(script);
});

test('a script does not exit while it awaits an event', async (t) => {
  const script = run(
    t,
    `${BEGIN} for await (const { type, reason } of session.events()) if (type === 'closed') console.log(reason);`,
  );
  process.kill(Number(await script.line(0)), 'SIGKILL');
  assert.deepEqual(await script.ended, { code: 0, signal: null });
  assert.equal(script.output()[1], 'agent_exited');
});

test('an agent goes with a script that exits, is killed, or fails', async (t) => {
  const pending = `${BEGIN} session.say('hang'); `;
  const exits = run(t, `${pending} process.exit(7);`);
  assert.deepEqual(await exits.ended, { code: 7, signal: null });
  await gone(exits);
  const killed = run(t, `${pending} await session.say('hang');`);
  await killed.line(0);
  killed.kill('SIGKILL');
  assert.deepEqual(await killed.ended, { code: null, signal: 'SIGKILL' });
  await gone(killed);
});

test('a session that is neither closed nor referenced any more ends, and its agent goes', async (t) => {
  const script = run(
    t,
    `
      import { setTimeout as sleep } from 'node:timers/promises';
      import { start } from 'greenroom';
      async function forget() {
        const session = await start(process.argv[1], { logger: { debug() {}, info() {}, warn() {}, error() {} } });
        await session.say('hi');
        const { pid } = session.status();
        console.log(pid);
        return pid;
      }
      const pid = await forget();
      const isAlive = () => { try { return process.kill(pid, 0); } catch { return false; } };
      for (let i = 0; i < 500 && isAlive(); i++) { gc(); await sleep(20); }
      console.log(isAlive());
    `,
    { flags: ['--expose-gc'] },
  );
  assert.deepEqual(await script.ended, { code: 0, signal: null });
  assert.equal(script.output()[1], 'false');
});

test('no rejection is unhandled', async (t) => {
  const script = run(
    t,
    `
      ${BEGIN}
      session.say('hang');
      session.say('hang', { timeout: 1 });
      session.say('die', { signal: AbortSignal.timeout(1) });
      session.ping({ timeout: -1 });
      session.events({ signal: AbortSignal.abort() }).next();
      start('/no/such/agent.py');
      await session.close();
      session.history();
    `,
  );
  assert.deepEqual(await script.ended, { code: 0, signal: null });
});

test('each worker thread has sessions of its own, and takes them along', async (t) => {
  const workers = [1, 2, 3].map(() => new Worker(WORKER, { workerData: peer(t) }));
  t.after(() => Promise.all(workers.map((worker) => worker.terminate())));
  const told = await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  assert.deepEqual(told.map(({ reply }) => reply), ['echo: hi', 'echo: hi', 'echo: hi']);
  assert.equal(new Set(told.map(({ pid }) => pid)).size, 3);
  // One is torn down with a turn under way, one closes and exits by itself; the third must not notice.
  assert.equal(await workers[0].terminate(), 1);
  const exited = new Promise((resolve) => workers[1].once('exit', resolve));
  workers[1].postMessage('close');
  assert.equal(await exited, 0);
  await until('the agents of the first two are gone', () => told.slice(0, 2).every(({ pid }) => !isAlive(pid)));
  assert.equal(isAlive(told[2].pid), true);
  await workers[2].terminate();
  await until('the third agent is gone', () => !isAlive(told[2].pid));
});
