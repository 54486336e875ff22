// What callers get wrong: an error that names it and the way out, and nothing left running.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import * as greenroom from 'greenroom';
import { EXAMPLES, PYTHON, folder, peer, project } from './support/agents.mjs';

process.on('unhandledRejection', (reason) => assert.fail(`unhandled: ${reason}`));

/** The start is refused with this class, in words that match. */
async function refused(starting, Class, ...words) {
  await assert.rejects(starting, (error) => {
    assert.equal(error.constructor, Class, `${error.name}: ${error.message}`);
    for (const word of words) assert.match(`${error.message}\n${error.detail ?? ''}`, word);
    return true;
  });
}

describe('start', { concurrency: 4 }, () => {
  test('a file that is not there', async () => {
    await refused(greenroom.start('no-such-agent.py'), greenroom.EntryNotFound, /no-such-agent\.py/);
    await refused(greenroom.start('no-such-agent.mjs', { cwd: '/' }), greenroom.EntryNotFound, /no-such-agent\.mjs/);
  });

  test('no file, and none of the usual names', async (t) => {
    const cwd = folder(t);
    await refused(greenroom.start(undefined, { cwd }), greenroom.EntryNotFound, /agent\.py/, new RegExp(cwd));
  });

  test('a folder', async (t) => {
    await refused(greenroom.start(folder(t)), greenroom.EntryNotFound, /folder/);
  });

  test('a file of no such language', async (t) => {
    await refused(greenroom.start(project(t, 'hello', { name: 'agent.rb' })), greenroom.NotAnAgent, /\.py/, /\.mjs/);
  });

  test('a project without the SDK, and one with an old SDK', async (t) => {
    const bare = join(folder(t), 'agent.mjs');
    writeFileSync(bare, '');
    await refused(greenroom.start(bare), greenroom.SdkMissing, /@livekit\/agents/, /npm install/);
    await refused(greenroom.start(project(t, '', { sdkVersion: '1.0.0' })), greenroom.SdkTooOld, /1\.0\.0/, /1\.4\.7/);
  });

  test('a Python without the SDK', async () => {
    // The interpreter that the environment with the SDK was made from.
    const python = execFileSync(PYTHON, ['-c', 'import sys; print(sys._base_executable)'], { encoding: 'utf8' }).trim();
    await refused(greenroom.start(EXAMPLES.python.file, { python }), greenroom.SdkMissing, /livekit-agents/);
  });

  test('an interpreter that is not there', async (t) => {
    await refused(greenroom.start(peer(t), { node: '/no/such/node' }), greenroom.InterpreterNotFound, /\/no\/such\/node/);
  });

  test('TypeScript, where Node cannot take the types out', async (t) => {
    const [major, minor] = process.versions.node.split('.').map(Number);
    const starting = greenroom.start(project(t, 'const text: string = "";', { name: 'agent.ts' }));
    if (major < 22 || (major === 22 && minor < 6)) {
      await refused(starting, greenroom.InterpreterNotFound, /TypeScript/, /22\.6/);
    } else {
      await refused(starting, greenroom.AgentFailedToStart);
    }
  });

  test('a syntax error', async (t) => {
    await refused(greenroom.start(project(t, 'let let = 1;')), greenroom.AgentFailedToStart, /SyntaxError/);
  });

  test('options that cannot be meant', async (t) => {
    const file = peer(t);
    const wrong = [
      [{ port: 70_000 }, /port is 70000/],
      [{ port: 1.5 }, /port is 1.5/],
      [{ timeout: 0 }, /timeout is 0/],
      [{ timeout: Number.NaN }, /timeout is NaN/],
      [{ timeout: '5s' }, /timeout is "5s"/],
      [{ idleTimeout: -1 }, /idleTimeout is -1/],
    ];
    for (const [options, words] of wrong) await refused(greenroom.start(file, options), greenroom.InvalidArgument, words);
    await refused(greenroom.start(7), greenroom.InvalidArgument, /file is 7/);
    await refused(greenroom.start(undefined, { python: 'p', node: 'n' }), greenroom.InvalidArgument, /name the file/);
  });

  test('a file URL, a relative path and a folder to start in are fine', async (t) => {
    const file = peer(t);
    for (const starting of [greenroom.start(pathToFileURL(file)), greenroom.start('agent.mjs', { cwd: dirname(file) })]) {
      const session = await starting;
      assert.equal((await session.say('hi')).reply, 'echo: hi');
      await session.close();
    }
  });
});

test('calls with arguments that cannot be meant leave the session usable', async (t) => {
  const session = await greenroom.start(peer(t));
  t.after(() => session.close());
  await assert.rejects(session.say(''), greenroom.InvalidArgument);
  await assert.rejects(session.say(undefined), /the text to say is undefined/);
  await assert.rejects(session.say('hi', { timeout: -5 }), /timeout is -5/);
  await assert.rejects(session.updateIo({ inputAudoi: true }), greenroom.InvalidArgument);
  assert.equal((await session.say('hi')).reply, 'echo: hi');
});
