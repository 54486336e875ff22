// The addon by itself: what crosses, and how.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { native } from '../dist/cjs/native.js';
import { version } from '../dist/esm/index.js';

test('it is of the very version of the package', () => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.equal(version, manifest.version);
});

test('it exports what its declarations say', () => {
  const declarations = readFileSync(new URL('../../../bindings-node/native.d.ts', import.meta.url), 'utf8');
  const declared = [...declarations.matchAll(/^export declare (?:function|class) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(native).sort(), declared.sort());
});

const OPTIONS = '{"start_timeout_ms":60000,"text_mode":true}';

/** A session over a pipe, and a promise of its next wake-up. */
function carried(options = OPTIONS) {
  let wake;
  const woken = () => new Promise((resolve) => (wake = resolve));
  const first = woken();
  const pipe = new native.Pipe(options, () => wake());
  const driver = pipe.takeDriver();
  driver.ref();
  return { pipe, driver, first, woken };
}

/** Waits until the driver has answers. */
async function drained({ driver, first, woken }) {
  let wake = first;
  for (;;) {
    const answers = driver.drain();
    if (answers.length > 0) return answers;
    await wake;
    wake = woken();
  }
}

test('a session over a pipe refuses calls until it is open, and then has something to send', async () => {
  const session = carried();
  const { pipe, driver } = session;
  driver.submit('{"op":"ping"}', null, 7);
  const [{ token, ok, json }] = await drained(session);
  assert.deepEqual([token, ok, JSON.parse(json).code], [7, false, 'agent_gone']);
  assert.equal(pipe.pollTransmit(), null);
  pipe.open();
  const sent = [];
  for (let message = pipe.pollTransmit(); message; message = pipe.pollTransmit()) sent.push(message);
  assert.ok(sent.length > 1 && sent.every(Buffer.isBuffer));
  assert.throws(() => pipe.takeDriver(), /taken already/);
  driver.close(0);
  driver.unref();
});

test('a session whose agent is gone fails what is pending and what comes', async () => {
  const session = carried();
  const { pipe, driver } = session;
  pipe.open();
  driver.submit('{"op":"history"}', null, 1);
  pipe.closed('agent_left', 'it left');
  driver.submit('{"op":"history"}', null, 2);
  const messages = (await drained(session)).map(({ json }) => JSON.parse(json).message);
  assert.deepEqual(messages, ['it left', 'it left']);
  const { json, next } = driver.readEvents(0, 10);
  assert.deepEqual(JSON.parse(json).map(({ type, reason }) => [type, reason]), [['closed', 'agent_left']]);
  assert.equal(next, driver.endOfEvents());
  assert.equal(JSON.parse(driver.status()).state, 'closed');
  driver.unref();
});

test('what cannot be read is refused with what is wrong', () => {
  const { driver } = carried();
  const wrong = [() => driver.submit('{"op":"dance"}', null, 0), () => native.start('{"agent":{},"extra":1}', () => {})];
  for (const call of wrong) assert.throws(call, /^Error: \{"code":"invalid_argument","message":".*unknown (variant|field)/);
  assert.throws(() => native.start('{}', 1), /TypeError|[Ff]unction/);
  driver.close(0);
  driver.unref();
});

test('garbage from the agent is an event', () => {
  const { pipe, driver } = carried();
  pipe.open();
  pipe.receive(Buffer.alloc(8, 0xff));
  const [event] = JSON.parse(driver.readEvents(0, 10).json);
  assert.equal(event.type, 'error');
  driver.close(0);
  driver.unref();
});
