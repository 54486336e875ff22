// tests/env_cases.json says what npm's dotenv and `node --env-file` read.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import dotenv from 'dotenv';
import { credentials } from 'greenroom';
import { folder } from './support/agents.mjs';

const CASES = JSON.parse(readFileSync(new URL('../env_cases.json', import.meta.url), 'utf8'));

test('table says what npm dotenv reads', () => {
  for (const [name, { text, expected, dotenv: differing }] of Object.entries(CASES)) {
    const found = dotenv.parse(Buffer.from(text));
    for (const [variable, value] of Object.entries({ ...expected, ...differing })) {
      assert.equal(found[variable] ?? null, value, `${name}: ${variable}`);
    }
  }
});

test('table says what node --env-file reads', (t) => {
  const path = folder(t);
  const names = Object.keys(CASES).filter((name) => !CASES[name].node);
  assert.ok(names.length > 30);
  const parse = 'console.log(JSON.stringify(JSON.parse(process.env.TEXTS).map((text) => require("node:util").parseEnv(text))))';
  // The parser of --env-file, for all texts in one process; and the flag itself for one.
  const texts = JSON.stringify(names.map((name) => CASES[name].text));
  const found = JSON.parse(execFileSync(process.execPath, ['-e', parse], { env: { TEXTS: texts }, encoding: 'utf8' }));
  names.forEach((name, at) => {
    for (const [variable, value] of Object.entries(CASES[name].expected)) {
      assert.equal(found[at][variable] ?? null, value, `${name}: ${variable}`);
    }
  });
  const file = join(path, '.env');
  writeFileSync(file, CASES.dollar.text);
  const read = execFileSync(process.execPath, [`--env-file=${file}`, '-p', 'process.env.S'], { env: {}, encoding: 'utf8' });
  assert.equal(read.trim(), CASES.dollar.expected.S);
});

test('tokens are signed with the secrets of the table', async (t) => {
  const before = process.cwd();
  const path = folder(t, async () => process.chdir(before));
  process.chdir(path);
  for (const name of ['URL', 'PUBLIC_URL', 'API_KEY', 'API_SECRET']) delete process.env[`LIVEKIT_${name}`];
  process.env.GREENROOM_AUDIT_LOG = join(path, 'audit.jsonl');
  const signing = Object.entries(CASES).filter(([, { expected }]) => expected.S);
  assert.ok(signing.length > 30);
  for (const [name, { text, expected }] of signing) {
    const named = text.replaceAll(/S(?=[= \t'])/g, 'LIVEKIT_API_SECRET');
    writeFileSync('.env', named);
    const { token } = await credentials('demo', { url: 'ws://127.0.0.1:1', apiKey: 'key' });
    const at = token.lastIndexOf('.');
    const signature = createHmac('sha256', expected.S).update(token.slice(0, at)).digest('base64url');
    assert.equal(token.slice(at + 1), signature, name);
  }
});

test('what is none of our lines is passed over, and an error quotes no value', async (t) => {
  const before = process.cwd();
  const path = folder(t, async () => process.chdir(before));
  process.chdir(path);
  process.env.GREENROOM_AUDIT_LOG = join(path, 'audit.jsonl');
  const ours = 'LIVEKIT_URL=ws://127.0.0.1:1\nLIVEKIT_API_KEY=key\nLIVEKIT_API_SECRET=secret-canary\n';
  const others = ['AGENT_NAME=Front Desk', "GREETING=Don't hang up", 'my-flag=1', 'DEBUG', 'KEY: v', '[section]', '"b" c'];
  for (const line of others) {
    for (const text of [`${line}\n${ours}`, `${ours}${line}\n`, `\ufeff${ours}${line}`]) {
      writeFileSync('.env.local', text);
      assert.equal((await credentials('demo')).url, 'ws://127.0.0.1:1/', line);
    }
  }
  writeFileSync('.env.local', 'LIVEKIT_URL="ws://127.0.0.1:1\nLIVEKIT_API_KEY=key\nLIVEKIT_API_SECRET=secret-canary\n"\n');
  await assert.rejects(async () => credentials('demo'), (error) => {
    assert.match(error.message, /\.env\.local/);
    assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)}`, /secret-canary/);
    return true;
  });
});

test('a named pipe with a writer is read', async (t) => {
  const before = process.cwd();
  const path = folder(t, async () => process.chdir(before));
  process.chdir(path);
  process.env.GREENROOM_AUDIT_LOG = join(path, 'audit.jsonl');
  execFileSync('mkfifo', ['.env.local']);
  const writer = spawn('/bin/sh', ['-c', "printf 'LIVEKIT_API_SECRET=from-a-pipe\\n' > .env.local"]);
  t.after(() => writer.kill());
  const { token } = await credentials('demo', { url: 'ws://127.0.0.1:1', apiKey: 'key' });
  const at = token.lastIndexOf('.');
  assert.equal(token.slice(at + 1), createHmac('sha256', 'from-a-pipe').update(token.slice(0, at)).digest('base64url'));
});
