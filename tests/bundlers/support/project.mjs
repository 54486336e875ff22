// A user's project in a folder of its own, and how its programs are run.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of these tests. */
export const HERE = fileURLToPath(new URL('..', import.meta.url));

/** What no error of greenroom's may show: the name and the version of the project that uses it. */
export const APP = { name: 'the-customers-app', version: '9.87.65' };

/** A new folder that is gone after the test. */
export function folder(t) {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'greenroom-bundlers-')));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A project with the files of a fixture and the packages of these tests. */
export function project(t, fixture) {
  const path = folder(t);
  cpSync(join(HERE, 'fixtures', fixture), path, { recursive: true });
  writeFileSync(join(path, 'package.json'), JSON.stringify({ ...APP, private: true }));
  symlinkSync(join(HERE, 'node_modules'), join(path, 'node_modules'));
  return path;
}

/** Runs Node with these arguments in a folder, and gives how it ended and all that it printed. */
export function node(cwd, args, env = {}) {
  // The runner of these tests would take the output of one that runs below it for its own.
  const { NODE_TEST_CONTEXT, NODE_OPTIONS, ...inherited } = process.env;
  const options = { cwd, env: { ...inherited, CI: '1', NO_COLOR: '1', ...env }, encoding: 'utf8', timeout: 300_000, maxBuffer: 1 << 26 };
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, options);
  return { status: status ?? signal, stdout, stderr, output: stdout + stderr };
}

/** The program of an installed package. */
export function bin(path) {
  return join(HERE, 'node_modules', path);
}
