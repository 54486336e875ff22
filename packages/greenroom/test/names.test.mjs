import assert from 'node:assert/strict';
import { test } from 'node:test';
import { camelCased, snakeCased } from '../dist/cjs/names.js';

test('names become camelCase, at any depth', () => {
  assert.deepEqual(
    camelCased({ duration_ms: 1, events: [{ call_id: 'a_b', is_error: false, metrics: { e2e_latency: 2 } }], error: null }),
    { durationMs: 1, events: [{ callId: 'a_b', isError: false, metrics: { e2eLatency: 2 } }], error: null },
  );
});

test('maps that belong to the agent are left alone', () => {
  const theirs = { some_key: { other_key: 1 }, __proto: 'x' };
  for (const name of ['extra', 'options', 'payload', 'publisher', 'subscriber']) {
    assert.deepEqual(camelCased({ [name]: theirs }), { [name]: theirs });
  }
  const hostile = JSON.parse('{"extra": {"__proto__": {"polluted": true}}}');
  assert.equal(camelCased(hostile).polluted, undefined);
  assert.equal({}.polluted, undefined);
});

test('names become snake_case', () => {
  assert.deepEqual(snakeCased({ inputAudio: true, provisionalReason: 'aB' }), { input_audio: true, provisional_reason: 'aB' });
  assert.equal(snakeCased(undefined), undefined);
});
