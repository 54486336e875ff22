// Sessions that the command left running.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as greenroom from 'greenroom';
import { collect, folder, isAlive, peer, until } from './support/agents.mjs';

process.on('unhandledRejection', (reason) => assert.fail(`unhandled: ${reason}`));

const COMMAND = join(dirname(createRequire(import.meta.url).resolve('greenroom/package.json')), 'dist', 'cjs', 'bin.cjs');

/** Runs the command that npm installed. */
async function command(...args) {
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, ...args], { timeout: 60_000 });
  return stdout;
}

/** Starts the bare agent under a name, in a state folder of the test's own. */
async function started(t, name) {
  process.env.GREENROOM_HOME = folder(t);
  t.after(() => command('end', '--name', name).catch(() => {}));
  await command('start', peer(t), '--name', name);
  const { pid } = JSON.parse(await command('status', '--name', name, '--json'));
  return pid;
}

test('a session of the command is opened, talked to and let go of', async (t) => {
  const pid = await started(t, 'node-test');
  const session = await greenroom.open('node-test');
  assert.equal(session.status().state, 'ready');
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  assert.equal((await session.history()).length, 2);
  const other = await greenroom.open('node-test');
  const [one, two] = await Promise.all([session.say('one'), other.say('two')]);
  assert.deepEqual([one.reply, two.reply], ['echo: one', 'echo: two']);
  const events = session.events();
  const texts = [];
  for await (const { text } of events) if (text && texts.push(text) === 6) break;
  assert.equal(texts[0], 'hi');
  await other.close();
  await session.close();
  await assert.rejects(session.say('hi'), greenroom.SessionClosed);
  assert.equal(isAlive(pid), true, 'the daemon holds it on');
  assert.match(await command('say', 'still there', '--name', 'node-test'), /echo: still there/);
});

test('an opened session is told when its agent or its daemon goes', async (t) => {
  const pid = await started(t, 'mortal');
  const session = await greenroom.open('mortal');
  const hanging = session.say('hang');
  const events = collect(session.events({ fromNow: true }));
  await until('the turn has begun', async () => JSON.parse(await command('status', '-n', 'mortal', '--json')).turn_in_progress);
  process.kill(pid, 'SIGKILL');
  await assert.rejects(hanging, (error) => error instanceof greenroom.GreenroomError);
  assert.equal((await events).at(-1).type, 'closed');
  await assert.rejects(session.ping());
  await session.close();
});

test('a session that is not there, and a name that none can have', async (t) => {
  process.env.GREENROOM_HOME = folder(t);
  await assert.rejects(greenroom.open('nobody'), (error) => error instanceof greenroom.NoSession && /nobody/.test(error.message));
  await assert.rejects(greenroom.open(), greenroom.NoSession);
  await assert.rejects(greenroom.open('a/b'), greenroom.InvalidArgument);
  await assert.rejects(greenroom.open('x'.repeat(400)), greenroom.InvalidArgument);
  await assert.rejects(greenroom.open('nobody', { signal: AbortSignal.abort() }), { name: 'AbortError' });
});
