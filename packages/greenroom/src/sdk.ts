/**
 * What Greenroom uses of @livekit/agents in this process, all of it, the parts that it does not promise among them:
 *
 * - `voice.SessionHost(transport)`, `registerSession`, `start` and `close`, which it marks experimental, and which
 *   drives a transport with `start`, `sendMessage`, `close` and async iteration over its messages;
 * - its dependency @livekit/protocol, whose `AgentSession.AgentSessionMessage` those messages are;
 * - of an AgentSession its events `close`, and `currentAgent`, which throws until it has started.
 *
 * tests/node/in-process.test.mjs watches all of that. What is used of @livekit/rtc-node stands in rtc.ts, but for its
 * release, which is looked up here.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';
import { file } from './addon.cjs';

/**
 * An SDK, and the oldest release of it that is tested (tests/matrix.json); package.json has the same, as peer dependencies. What
 * is installed is asked for what is needed: the number only says, in an error, which release has it.
 */
interface Dependency {
  name: string;
  oldest: string;
}

const AGENTS: Dependency = { name: '@livekit/agents', oldest: '1.5.5' };
/** @internal The Room's SDK. */
export const RTC: Dependency = { name: '@livekit/rtc-node', oldest: '0.13.31' };
const PROTOCOL = '@livekit/protocol';

/** @internal A message of the SDK's own protobuf library. */
export interface Message {
  toBinary(): Uint8Array;
}

/** @internal What carries messages between a host and us. */
export interface Transport extends AsyncIterable<Message> {
  start(): Promise<void>;
  sendMessage(message: Message): Promise<void>;
  close(): Promise<void>;
}

/** @internal The SDK's side of a session. */
export interface Host {
  registerSession(session: unknown): void;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** @internal What is used of the SDK. */
export interface Sdk {
  version: string;
  newHost(transport: Transport, ...audio: unknown[]): Host;
  decode(message: Uint8Array): Message;
}

/** The SDK's protobuf library, as far as it matters here. */
interface Protocol {
  AgentSessionMessage: { fromBinary(bytes: Uint8Array): Message };
}

/** @internal Why the SDK cannot be used. */
export class SdkError extends Error {
  constructor(
    readonly code: 'sdk_missing' | 'sdk_too_old' | 'unsupported',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

interface Agents {
  version: string;
  voice: {
    AgentSession?: new (...args: never[]) => unknown;
    /** What an AgentSession is called from livekit-agents 2.0 on. */
    LiveSession?: new (...args: never[]) => unknown;
    SessionHost: new (transport: Transport, ...audio: unknown[]) => Host;
  };
}

interface Found<Module> {
  module: Module;
  /** Resolves what the module itself would. */
  require: NodeJS.Require;
}

/** @internal Loads the SDK, the very copy that `agentSession` is of where there are several. `what` needs it. */
export async function loadSdk(what: string, agentSession: unknown): Promise<Sdk> {
  const isItsOwn = ({ voice }: Agents) => {
    const classes = [voice?.AgentSession, voice?.LiveSession].filter((one) => typeof one === 'function');
    return classes.some((one) => agentSession instanceof (one as NonNullable<typeof one>));
  };
  const { module: agents, require } = await find<Agents>(AGENTS.name, isItsOwn).catch((cause: unknown) => {
    throw missing(what, cause);
  });
  if (typeof agents.voice?.SessionHost !== 'function') throw lacks(AGENTS, agents.version, 'voice.SessionHost', what);
  const { AgentSession } = require(PROTOCOL) as { AgentSession: Protocol };
  return {
    version: agents.version,
    newHost: (transport, ...audio) => new agents.voice.SessionHost(transport, ...audio),
    decode: (message) => AgentSession.AgentSessionMessage.fromBinary(message),
  };
}

/**
 * @internal Loads the protobuf library of the SDK that is found, or another where there is none. `what` needs it. It is of
 * no type here: the library has other types for ES modules than for CommonJS.
 */
export async function loadProtocol(what: string): Promise<unknown> {
  const [own] = requires();
  try {
    const agents = requires().flatMap((require) => resolve(require, AGENTS.name) ?? [])[0];
    const theirs = agents === undefined ? undefined : createRequire(agents);
    if (theirs !== undefined && theirs.resolve(PROTOCOL) !== resolve(own, PROTOCOL)) {
      return (theirs(PROTOCOL) as { AgentSession: Protocol }).AgentSession;
    }
    return (await find<{ AgentSession: Protocol }>(PROTOCOL, () => true)).module.AgentSession;
  } catch (cause) {
    throw missing(what, cause);
  }
}

/** @internal The error of something that the release of @livekit/rtc-node that is installed lacks. `what` needs it. */
export function rtcLacks(thing: string, what: string): SdkError {
  const versions = requires().flatMap((require) => installedVersion(require, RTC.name) ?? []);
  return lacks(RTC, versions[0], thing, what);
}

/** A module, as ES module, as CommonJS, and as the script that runs sees it; the first that is wanted, or else the first. */
async function find<Module>(name: string, isWanted: (module: Module) => boolean): Promise<Found<Module>> {
  const [own, users] = requires();
  const ways: (() => Promise<Found<Module>>)[] = [
    async () => ({
      // In a bundle too it is found when it runs.
      module: (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as Module,
      require: createRequire(own.resolve(name)),
    }),
    async () => ({ module: own(name) as Module, require: createRequire(own.resolve(name)) }),
    async () => ({ module: users(name) as Module, require: createRequire(users.resolve(name)) }),
  ];
  let first: Found<Module> | undefined;
  let cause: unknown;
  for (const way of ways) {
    try {
      const found = await way();
      if (isWanted(found.module)) return found;
      first ??= found;
    } catch (error) {
      cause ??= error;
    }
  }
  if (first !== undefined) return first;
  throw cause;
}

/**
 * What this package resolves, and what the script that runs does: where this package is linked, not installed, it does
 * not find what its user has.
 */
function requires(): [own: NodeJS.Require, users: NodeJS.Require] {
  return [createRequire(ownFile()), createRequire(join(process.cwd(), 'greenroom.cjs'))];
}

/** A file of this package, or of the bundle that it is in. */
function ownFile(): string {
  return file !== undefined && isAbsolute(file) ? file : join(process.cwd(), 'greenroom.cjs');
}

function resolve(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

/** The release of a package that exports neither its manifest nor its version. */
function installedVersion(require: NodeJS.Require, name: string): string | undefined {
  const file = resolve(require, name);
  for (let folder = file && dirname(file); folder && folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (manifest.name === name) return manifest.version;
    } catch {
      // It is further up.
    }
  }
  return undefined;
}

function missing(what: string, cause: unknown): SdkError {
  const { name, oldest } = AGENTS;
  return new SdkError(
    'sdk_missing',
    `${what} needs ${name}, which cannot be loaded from ${dirname(ownFile())} or ${process.cwd()}: ` +
      `run \`npm install "${name}@>=${oldest}"\` (${String((cause as Error).message).split('\n', 1)[0]})`,
    { cause },
  );
}

/** The error of something that an SDK lacks: its release is too old, or one that has it no more. */
function lacks({ name, oldest }: Dependency, version: string | undefined, thing: string, what: string): SdkError {
  const installed = version === undefined ? name : `${name} ${version}`;
  const has = `${installed} has no ${thing}, which ${what} needs and ${oldest} has`;
  if (version !== undefined && compare(version, oldest) < 0) {
    return new SdkError('sdk_too_old', `${has}: run \`npm install "${name}@>=${oldest}"\``);
  }
  return new SdkError('unsupported', `${has}: upgrade greenroom, or run \`npm install ${name}@${oldest}\``);
}

function compare(one: string, other: string): number {
  const numbers = (version: string) => version.split(/[.-]/, 3).map(Number);
  const others = numbers(other);
  for (const [at, number] of numbers(one).entries()) {
    const difference = number - (others[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
