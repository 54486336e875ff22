// Secrets are shown nowhere: not in errors, their stacks and causes, warnings, what `inspect` shows, or files of the package.
// tests/canary.json has the inputs; the command's suite and Python's plant the same.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import * as greenroom from 'greenroom';
import { folder } from './support/agents.mjs';

const CANARY = 'C4n4ryThatN0bodyMaySee0123456789abcdef';
const TEXT = readFileSync(new URL('../canary.json', import.meta.url), 'utf8');
const INPUTS = JSON.parse(TEXT.replaceAll('CANARY', CANARY));
const URL_ = 'ws://127.0.0.1:1';
const SECRET = 'a secret of at least thirty-two letters';
const KEYS = { url: URL_, apiKey: 'k', apiSecret: SECRET };

const warned = [];
process.on('warning', (warning) => warned.push(warning));

function isSeen(text) {
  const shifted = [0, 1, 2].map((shift) => Buffer.from('x'.repeat(shift) + CANARY).toString('base64').slice(4, -4));
  const listed = [...Buffer.from(CANARY)].join(', ');
  return [CANARY, listed, ...shifted].some((form) => text.includes(form)) || text.toLowerCase().includes(CANARY.toLowerCase());
}

function* filesIn(path) {
  for (const name of readdirSync(path)) {
    const file = join(path, name);
    if (statSync(file).isDirectory()) yield* filesIn(file);
    else yield file;
  }
}

/** Watches over a state folder and a project of the test's own, in an environment without credentials. */
function watch(t) {
  const [state, project, before] = [folder(t), folder(t), process.cwd()];
  const kept = { ...process.env };
  for (const name of Object.keys(process.env)) if (/^LIVEKIT_|_proxy$/i.test(name)) delete process.env[name];
  Object.assign(process.env, { GREENROOM_HOME: join(state, 'home'), GREENROOM_AUDIT_LOG: join(state, 'audit.jsonl') });
  process.chdir(project);
  t.after(() => {
    process.chdir(before);
    for (const name of Object.keys(process.env)) if (!(name in kept)) delete process.env[name];
    Object.assign(process.env, kept);
  });
  const counts = { done: 0, refused: 0 };
  const use = async (what, call) => {
    warned.length = 0;
    const shown = [];
    try {
      shown.push(inspect(await call(), { depth: 9, showHidden: true }));
      counts.done += 1;
    } catch (error) {
      counts.refused += 1;
      shown.push(inspect(error, { depth: 9, showHidden: true }), String(error.stack), JSON.stringify(error) ?? '');
    }
    // Warnings come on the next tick.
    await new Promise(setImmediate);
    shown.push(...warned.map((warning) => inspect(warning)));
    shown.push(...[...filesIn(state)].map((file) => readFileSync(file, 'latin1')));
    for (const text of shown) assert.ok(!isSeen(text), `${what} shows it: ${text}`);
  };
  return { use, counts, project };
}

const attempts = (url, token, options) => [
  () => greenroom.join(url, token, { timeout: 2000, ...options }),
  () => greenroom.Room.connect(url, token, { timeout: 2000, ...options }),
];

test('canary that is shown is found', async (t) => {
  const { use } = watch(t);
  const shows = [
    () => Promise.reject(new Error(CANARY)),
    () => Promise.reject(new Error('another', { cause: new Error(CANARY) })),
    () => Promise.reject(Object.assign(new Error('another'), { token: CANARY })),
    async () => ({ token: CANARY }),
    async () => Buffer.from(`key:${CANARY}!`).toString('base64'),
    async () => process.emitWarning(CANARY),
    async () => writeFileSync(process.env.GREENROOM_AUDIT_LOG, CANARY),
  ];
  for (const show of shows) await assert.rejects(use('a test', show), /shows it/);
});

test('env files with secrets are shown nowhere', async (t) => {
  const { use, counts, project } = watch(t);
  for (const name of ['.env.local', '.env']) {
    const file = join(project, name);
    for (const [what, text] of Object.entries(INPUTS.env_files)) {
      writeFileSync(file, text, 'latin1');
      await use(`${name}: ${what}`, () => greenroom.credentials('demo'));
      await use(`${name}: ${what}`, () => greenroom.credentials('demo', { canManageAgentSession: true, url: URL_ }));
    }
    rmSync(file);
  }
  assert.ok(counts.done > 0 && counts.refused > 0);
});

test('secrets in the environment are shown nowhere', async (t) => {
  const { use } = watch(t);
  const good = { LIVEKIT_URL: URL_, LIVEKIT_API_KEY: 'key', LIVEKIT_API_SECRET: SECRET };
  for (const [names, values] of [
    [['LIVEKIT_URL', 'LIVEKIT_PUBLIC_URL'], INPUTS.urls],
    [['LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET'], INPUTS.secrets],
  ]) {
    for (const name of names) {
      for (const value of values) {
        delete process.env.LIVEKIT_PUBLIC_URL;
        Object.assign(process.env, good, { [name]: value });
        await use(`${name}=${value}`, () => greenroom.credentials('demo'));
      }
    }
  }
  // One without more is the name of a host, which is told.
  for (const proxy of INPUTS.proxies.filter((proxy) => proxy !== CANARY)) {
    process.env.HTTP_PROXY = proxy;
    for (const call of attempts('ws://livekit.test', 't')) await use(`HTTP_PROXY=${proxy}`, call);
  }
});

test('secrets in arguments are shown nowhere', async (t) => {
  const { use } = watch(t);
  for (const url of INPUTS.urls) {
    await use(`url ${url}`, () => greenroom.credentials('demo', { ...KEYS, url }));
    for (const call of attempts(url, 't')) await use(`url ${url}`, call);
  }
  for (const secret of INPUTS.secrets) {
    for (const name of ['apiKey', 'apiSecret']) {
      await use(`${name} ${secret}`, () => greenroom.credentials('demo', { ...KEYS, [name]: secret }));
    }
  }
  for (const token of INPUTS.tokens) for (const call of attempts(URL_, token)) await use(`token ${token}`, call);
  for (const proxy of INPUTS.proxies) for (const call of attempts(URL_, 't', { proxy })) await use(`proxy ${proxy}`, call);
  for (const pem of INPUTS.authorities) {
    for (const ca of [pem, Buffer.from(pem)]) {
      for (const call of attempts('wss://127.0.0.1:1', 't', { ca })) await use(`ca ${pem}`, call);
    }
  }
});

test('stand-ins with secrets are shown nowhere', async (t) => {
  const { use, counts } = watch(t);
  // There is no agent: what is right is read, and fails at its file.
  const start = (options) => () => greenroom.start('agent.py', options);
  const { participant, room, job_metadata } = INPUTS.stand_ins;
  for (const given of participant) await use(`participant ${JSON.stringify(given)}`, start({ participant: given }));
  for (const given of room) await use(`room ${JSON.stringify(given)}`, start({ room: given }));
  for (const given of job_metadata) await use(`jobMetadata ${JSON.stringify(given)}`, start({ jobMetadata: given }));
  for (const wrong of [Symbol(CANARY), () => CANARY, new Set([CANARY])]) {
    await use('a wrong type', start({ participant: { metadata: wrong } }));
    await use('a wrong type', start({ participant: { attributes: wrong } }));
  }
  assert.equal(counts.done, 0);
  await assert.rejects(start({ participant: { metadata: 48151623421337 } }), (error) => {
    assert.ok(!error.message.includes('48151623421337'), error.message);
    return error instanceof greenroom.InvalidArgument;
  });
});

test('secrets of a wrong type are shown nowhere', async (t) => {
  const { use, counts } = watch(t);
  for (const wrong of [[CANARY], { [CANARY]: CANARY }, new Set([CANARY]), Symbol(CANARY), () => CANARY]) {
    if (typeof wrong !== 'symbol' && typeof wrong !== 'function') {
      for (const name of ['url', 'apiKey', 'apiSecret']) {
        await use(name, () => greenroom.credentials('demo', { ...KEYS, [name]: wrong }));
      }
    }
    for (const call of [...attempts(URL_, wrong), ...attempts(wrong, 't'), ...attempts(URL_, 't', { proxy: wrong })]) await use('a wrong type', call);
  }
  assert.equal(counts.done, 0);
  await assert.rejects(greenroom.credentials('demo', { ...KEYS, apiSecret: 48151623421337 }), (error) => {
    assert.ok(!error.message.includes('48151623421337'), error.message);
    return error instanceof greenroom.InvalidArgument;
  });
});
