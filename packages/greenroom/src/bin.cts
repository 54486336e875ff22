#!/usr/bin/env node
/** The npm command `greenroom`: the native command takes this process' place. */

import platform = require('./platform.cjs');

main();

function main(): void {
  try {
    become(platform.programPath(), process.argv.slice(2));
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    process.exitCode = 3;
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
  const { native } = require('./native.cjs') as typeof import('./native.cjs');
  native.replaceProcess(program, args, process.execPath);
}
