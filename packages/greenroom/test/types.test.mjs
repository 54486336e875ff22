// The declarations, as a user's compiler sees them.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const TSC = createRequire(import.meta.url).resolve('typescript/package.json').replace('package.json', 'bin/tsc');

/** Compiles usage.mts in a project that has the package; gives what the compiler says. */
function compile(t, flags) {
  const folder = mkdtempSync(join(tmpdir(), 'greenroom-types-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(PACKAGE, join(folder, 'node_modules', 'greenroom'));
  symlinkSync(join(PACKAGE, 'node_modules', '@types'), join(folder, 'node_modules', '@types'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  for (const file of ['usage.mts', 'usage.cts']) {
    copyFileSync(new URL('usage.mts', import.meta.url), join(folder, file));
  }
  const done = spawnSync(process.execPath, [TSC, '--noEmit', '--strict', '--types', 'node', ...flags], {
    cwd: folder,
    encoding: 'utf8',
  });
  return done.stdout;
}

test('strict users compile, as ES module and as CommonJS', (t) => {
  const flags = ['--module', 'nodenext', '--target', 'es2022', '--lib', 'es2023,esnext.disposable'];
  assert.equal(compile(t, [...flags, '--exactOptionalPropertyTypes', 'usage.mts', 'usage.cts']), '');
});

test('users with a bundler compile, without skipping the checks of declarations', (t) => {
  const flags = ['--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022'];
  assert.equal(compile(t, [...flags, '--lib', 'es2023,esnext.disposable', '--skipLibCheck', 'false', 'usage.mts']), '');
});

test('no declaration tells of what is internal', () => {
  const grep = spawnSync('grep', ['-rlE', '@internal|bindings-node', join(PACKAGE, 'dist'), '--include=*.d.ts', '--include=*.d.cts'], {
    encoding: 'utf8',
  });
  assert.equal(grep.stdout, '');
  assert.ok(execFileSync('ls', [join(PACKAGE, 'dist', 'esm')], { encoding: 'utf8' }).includes('index.d.ts'));
});
