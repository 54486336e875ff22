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

test('a controller without a link refuses calls, and says when it has something to send', () => {
  const controller = new native.Controller(true, 0);
  const call = controller.submit('{"op":"ping"}', null, 0);
  const [{ token, ok, json }] = controller.drain();
  assert.deepEqual([token, ok, JSON.parse(json).code], [call, false, 'agent_gone']);
  assert.equal(controller.pollTransmit(), null);
  assert.equal(controller.pollTimeout(), null);
  controller.open(1);
  const sent = [];
  for (let message = controller.pollTransmit(); message; message = controller.pollTransmit()) sent.push(message);
  assert.ok(sent.length > 1 && sent.every(Buffer.isBuffer));
  assert.ok(controller.pollTimeout() > 1);
});

test('a controller lets its deadlines pass on the time that it is given', () => {
  const controller = new native.Controller(true, 0);
  controller.open(0);
  const call = controller.submit('{"op":"ping"}', 500, 0);
  controller.handleTimeout(499);
  assert.deepEqual(controller.drain(), []);
  controller.handleTimeout(500);
  const [{ token, json }] = controller.drain();
  assert.deepEqual([token, JSON.parse(json).code], [call, 'timeout']);
});

test('a controller that is closed tells why, to what is pending and to what comes', () => {
  const controller = new native.Controller(true, 0);
  controller.open(0);
  controller.submit('{"op":"history"}', null, 0);
  controller.closed('agent_left', '{"code":"agent_gone","message":"it left"}', 1);
  controller.submit('{"op":"history"}', null, 2);
  assert.deepEqual(controller.drain().map(({ json }) => JSON.parse(json).message), ['it left', 'it left']);
  const { json, next } = controller.readEvents(0, 10);
  assert.deepEqual(JSON.parse(json).map(({ type, reason }) => [type, reason]), [['closed', 'agent_left']]);
  assert.equal(next, controller.endOfEvents());
  assert.equal(JSON.parse(controller.status()).state, 'closed');
});

test('what cannot be read is refused with what is wrong', () => {
  const controller = new native.Controller(true, 0);
  const wrong = [() => controller.submit('{"op":"dance"}', null, 0), () => native.start('{"agent":{},"extra":1}', () => {})];
  for (const call of wrong) assert.throws(call, /^Error: \{"code":"invalid_argument","message":".*unknown (variant|field)/);
  assert.throws(() => native.start('{}', 1), /TypeError|[Ff]unction/);
});

test('garbage from the agent is an event', () => {
  const controller = new native.Controller(true, 0);
  controller.open(0);
  controller.receive(Buffer.alloc(8, 0xff), 1);
  const [event] = JSON.parse(controller.readEvents(0, 10).json);
  assert.equal(event.type, 'error');
});
