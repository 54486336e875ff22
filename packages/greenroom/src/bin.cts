#!/usr/bin/env node
/** The npm command `greenroom`: the native command takes this process' place. */

import { dirname, join } from 'node:path';
import { loadError, platformPackage } from './platform.js';

const PROGRAM = process.platform === 'win32' ? 'greenroom.exe' : 'greenroom';

main();

function main(): void {
  try {
    become(programPath(), process.argv.slice(2));
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    process.exitCode = 3;
  }
}

/** The native command's path, in the package for this platform. */
function programPath(): string {
  const name = platformPackage();
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), PROGRAM);
  } catch (cause) {
    throw loadError(name, cause, __filename, 'bin.cjs');
  }
}

/** Runs the program in the place of this process, so that signals, the terminal and the exit code are its own. */
function become(program: string, args: string[]): void {
  if (process.platform === 'win32') {
    // Windows cannot replace a process. The console sends its Ctrl-C to the program too; this one waits for its end.
    const { spawnSync } = require('node:child_process') as typeof import('node:child_process');
    const env = { ...process.env, GREENROOM_HOST_RUNTIME: process.execPath };
    const { status, error } = spawnSync(program, args, { stdio: 'inherit', env });
    if (error) throw error;
    process.exitCode = status ?? 1;
    return;
  }
  const { native } = require('./native.js') as typeof import('./native.js');
  native.replaceProcess(program, args, process.execPath);
}
