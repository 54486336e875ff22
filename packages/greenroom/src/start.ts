/** Sessions with an agent that runs as a process of its own. */

import { resolve } from 'node:path';
import { checkOption, checkOptions, millis, shown, type Kinds } from './checks.js';
import { AUDIO, START_TIMEOUT_MS, SYNC } from './defaults.js';
import { invalid } from './failures.js';
import type { Logger } from './logger.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import { filePath, isUrl } from './realms.js';
import { Session, type CallOptions } from './session.js';

/** A caller where there is no room. What is not given is empty, but for the identity. */
export interface StandInParticipant {
  identity?: string | undefined;
  name?: string | undefined;
  metadata?: string | undefined;
  attributes?: Readonly<Record<string, string>> | undefined;
}

/** How an agent is started. */
export interface StartOptions extends CallOptions {
  /**
   * The interpreter of a Python agent, a path or a name on PATH, instead of the one that its
   * project has.
   */
  python?: string | undefined;
  /**
   * The runtime of a JavaScript agent, a path or a name on PATH or of a program in `node_modules`,
   * instead of the one that is found: a Node, or `bun`, `deno`, `tsx`, `ts-node`.
   */
  node?: string | undefined;
  /** Arguments for the interpreter. */
  args?: readonly string[] | undefined;
  /** Variables on top of the environment of this process. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** The folder that the file is relative to, or is looked for in. The current one unless given. */
  cwd?: string | undefined;
  /** The loopback port on which the agent is awaited. Any free one unless given. */
  port?: number | undefined;
  /**
   * How long it may take until the session is ready, in milliseconds, all included: to find the
   * interpreter, which may sync a uv project, to connect, to answer. An agent that still greets by
   * then is ready all the same. 60,000 unless given.
   */
  timeout?: number | undefined;
  /**
   * The file to which the agent's log is appended. Unless given it goes to a temporary file, gone
   * with the session.
   */
  log?: string | undefined;
  /** Whether a uv project may be synced before it runs, as `uv run` does. True unless given. */
  sync?: boolean | undefined;
  /**
   * After how long without a call the session ends by itself, in milliseconds. Never unless given.
   */
  idleTimeout?: number | undefined;
  /**
   * Whether the agent's audio input and output stay enabled, for `sayAudio`. Its speech then plays
   * in real time, so turns take as long as it speaks. Unless given its audio is turned off.
   */
  audio?: boolean | undefined;
  /**
   * A WAV file to record a session with audio into: the user left, the agent right. An existing one
   * is replaced.
   */
  recording?: string | undefined;
  /**
   * The caller that an agent in Python finds where there is no room. Without it the SDK puts a
   * stand-in there. For agents in JavaScript there is no such thing: it is refused.
   */
  participant?: StandInParticipant | undefined;
  /** The room that such an agent finds. */
  room?: { name?: string | undefined; metadata?: string | undefined } | undefined;
  /** The metadata of such an agent's job. */
  jobMetadata?: string | undefined;
  /** Where the package logs: `console`, a pino logger or the like. Nowhere unless given. */
  logger?: Logger | false | undefined;
}

/**
 * Starts the agent in `file`, unmodified, and resolves once it is ready to be talked to.
 *
 * A Python agent (`livekit-agents`) runs with its project's interpreter: that of uv, its `.venv`,
 * the active environment, that of Poetry, PDM, Pipenv, Hatch or conda, or `python3`. A JavaScript
 * agent (`@livekit/agents`) runs as a script of its `package.json` runs it, or with a runner among
 * its dependencies (tsx, ts-node), or with `node`. Without a file the usual names are tried:
 * `agent.py`, `src/agent.py`, `main.ts` and so on.
 *
 * Rejects with `EntryNotFound`, `NotAnAgent`, `InterpreterNotFound`, `SdkMissing` or `SdkTooOld`
 * before anything runs, with `AgentFailedToStart` (its `detail` has the last lines of the log) or
 * `SessionTimeout` after.
 */
export function start(file?: string | URL | null, options: StartOptions = {}): Promise<Session> {
  return quiet(begin(file, options));
}

const OPTIONS: Kinds<StartOptions> = {
  python: 'text',
  node: 'text',
  args: 'texts',
  env: 'textObject',
  cwd: 'text',
  port: 'own',
  timeout: 'own',
  log: 'text',
  sync: 'flag',
  idleTimeout: 'own',
  audio: 'flag',
  recording: 'text',
  participant: 'object',
  room: 'object',
  jobMetadata: 'text',
  logger: 'logger',
  signal: 'signal',
};

async function begin(file: string | URL | null | undefined, options: StartOptions): Promise<Session> {
  checkOptions('start', options, OPTIONS);
  options.signal?.throwIfAborted();
  const json = JSON.stringify(request(file, options));
  const session = new Session((wake) => native.start(json, wake), options.logger);
  return session.ready({ signal: options.signal });
}

/** The options as the addon reads them. */
function request(file: string | URL | null | undefined, options: StartOptions): object {
  const entry = pathOf(file);
  return {
    agent: {
      entry,
      dir: resolve(options.cwd ?? '.'),
      interpreter: interpreter(entry, options),
      interpreter_hint: process.execPath,
      args: options.args ?? [],
      env: Object.entries(options.env ?? {}).filter(([, value]) => value !== undefined),
      sync: options.sync ?? SYNC,
      stand_in: standIn(options),
    },
    port: port(options.port),
    start_timeout_ms: millis('timeout', options.timeout) ?? START_TIMEOUT_MS,
    idle_timeout_ms: millis('idleTimeout', options.idleTimeout),
    log: options.log === undefined ? null : resolve(options.log),
    audio: options.audio ?? AUDIO,
    recording: recording(options),
  };
}

function pathOf(file: string | URL | null | undefined): string | null {
  if (file === undefined || file === null) return null;
  if (isUrl(file)) return filePath(file);
  if (typeof file !== 'string' || file === '') {
    throw invalid(`the agent's file is ${shown(file)}; pass its path, or leave it out for the usual names`);
  }
  return file;
}

function interpreter(entry: string | null, { python, node }: StartOptions): string | null {
  if (entry !== null) return (entry.endsWith('.py') ? python : node) ?? null;
  if (python !== undefined && node !== undefined) {
    throw invalid('both python and node are given but no file; name the file, or pass only the one of its language');
  }
  return python ?? node ?? null;
}

/** What the agent is to find in place of a room; the addon knows the fields. */
function standIn({ participant, room, jobMetadata }: StartOptions): object | null {
  checkFields('participant', participant, { identity: 'text', name: 'text', metadata: 'text', attributes: 'textObject' });
  checkFields('room', room, { name: 'text', metadata: 'text' });
  if (participant === undefined && room === undefined && jobMetadata === undefined) return null;
  return { participant, room, job_metadata: jobMetadata };
}

function checkFields<T extends object>(name: string, given: T | undefined, kinds: Kinds<T>): void {
  const known = Object.keys(kinds);
  for (const [field, value] of Object.entries(given ?? {})) {
    if (!known.includes(field)) throw invalid(`${name}.${field} is unknown; it has ${known.join(', ')}`);
    checkOption('start', `${name}.${field}`, value, kinds[field as keyof T]);
  }
}

function recording({ audio, recording: file }: StartOptions): string | null {
  if (file === undefined) return null;
  if (!audio) throw invalid('recording is given for a session without audio; start it with audio: true');
  return resolve(file);
}

function port(value: number | undefined): number | null {
  if (value === undefined) return null;
  if (!Number.isInteger(value) || value < 1 || value > 65535) {
    throw invalid(`port is ${shown(value)}; pass a number from 1 to 65535, or leave it out for a free one`);
  }
  return value;
}
