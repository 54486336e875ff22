import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as greenroom from '../dist/cjs/index.js';
import { errorFromJson, errorFromNative, errorOf } from '../dist/cjs/failures.js';
import { native } from '../dist/cjs/native.js';

test('each code of the table has a class of its own, and no other class is there', () => {
  const classes = native.errorCodes().map((code) => errorOf(code, 'what happened').constructor);
  assert.equal(new Set(classes).size, classes.length);
  const exported = Object.values(greenroom).filter((value) => value?.prototype instanceof greenroom.GreenroomError);
  assert.deepEqual(new Set(exported), new Set(classes));
});

test('the table in tests/ has the same codes', () => {
  const { errors } = JSON.parse(readFileSync(new URL('../../../tests/errors.json', import.meta.url), 'utf8'));
  assert.deepEqual(errors.map(({ code }) => code), native.errorCodes());
});

test('an error tells what it is', () => {
  const error = errorFromJson('{"code":"agent_gone","message":"it went","detail":"its last words"}');
  assert.ok(error instanceof greenroom.AgentGone && error instanceof greenroom.GreenroomError && error instanceof Error);
  assert.deepEqual([error.name, error.code, error.message, error.detail], ['AgentGone', 'agent_gone', 'it went', 'its last words']);
  assert.match(String(error), /^AgentGone: it went/);
  assert.equal('detail' in errorFromJson('{"code":"io","message":"m"}'), false);
});

test('what the addon throws is an error of the table, or a defect with its cause', () => {
  const known = errorFromNative(new Error('{"code":"no_session","message":"no","detail":"more"}'));
  assert.deepEqual([known.constructor, known.message, known.detail], [greenroom.NoSession, 'no', 'more']);
  const unknown = new TypeError('odd');
  const defect = errorFromNative(unknown);
  assert.deepEqual([defect.constructor, defect.cause], [greenroom.InternalError, unknown]);
});

test('a panic of the addon is an error', () => {
  assert.throws(() => native.panic('on purpose'), /on purpose/);
  assert.throws(() => native.panic('once more'), /once more/);
});
