// tests/env_cases.json says what npm's dotenv and `node --env-file` read.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import dotenv from 'dotenv';
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
