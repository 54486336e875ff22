// Sessions that the command leaves running.

import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { folder, isAlive, until } from './agents.mjs';

const COMMAND = join(dirname(createRequire(import.meta.url).resolve('greenroom/package.json')), 'dist', 'cjs', 'bin.cjs');

/** Runs the command that npm installed. */
export async function command(...args) {
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, ...args], { timeout: 60_000 });
  return stdout;
}

/**
 * Starts an agent under a name, in a state folder of its own, which `GREENROOM_HOME` names from now on. After the test
 * its daemon is gone.
 */
export async function leftRunning(t, name, file, ...flags) {
  let daemon;
  const home = folder(t, async () => {
    if (daemon === undefined) return;
    process.env.GREENROOM_HOME = home;
    await command('end', '--name', name).catch(() => {});
    await until('the daemon is gone', () => !isAlive(daemon));
  });
  process.env.GREENROOM_HOME = home;
  await command('start', file, '--name', name, ...flags);
  const status = JSON.parse(await command('status', '--name', name, '--json'));
  daemon = status.pid;
  return { daemon, agent: status.agent_pid };
}
