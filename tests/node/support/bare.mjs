// Projects that have greenroom as people install it, and nothing else.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { folder } from './agents.mjs';

/** A project that has greenroom and nothing else: its folder, its node_modules, and what greenroom says it works with. */
export function bare(t) {
  const project = folder(t);
  const modules = join(project, 'node_modules');
  mkdirSync(modules);
  const installed = join(dirname(createRequire(import.meta.url).resolve('greenroom/package.json')), '..');
  for (const name of readdirSync(installed).filter((name) => /^greenroom(-|$)/.test(name))) {
    cpSync(join(installed, name), join(modules, name), { recursive: true, dereference: true });
  }
  const { peerDependencies } = JSON.parse(readFileSync(join(modules, 'greenroom', 'package.json'), 'utf8'));
  return { project, modules, peerDependencies };
}

/** What a script prints that runs in a project, as JSON. */
export function printed(project, script, type = 'commonjs') {
  const args = [`--input-type=${type}`, '--eval', script];
  const done = spawnSync(process.execPath, args, { cwd: project, encoding: 'utf8', timeout: 60_000 });
  return JSON.parse(done.stdout || JSON.stringify(done.stderr));
}
