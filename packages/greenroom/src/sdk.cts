/**
 * What Greenroom uses of @livekit/agents in this process, all of it, the parts that it does not promise among them:
 *
 * - `voice.SessionHost(transport)`, `registerSession`, `start` and `close`, which it marks experimental, and which
 *   drives a transport with `start`, `sendMessage`, `close` and async iteration over its messages;
 * - its dependency @livekit/protocol, whose `AgentSession.AgentSessionMessage` those messages are;
 * - of an AgentSession its events `close`, and `currentAgent`, which throws until it has started.
 *
 * tests/node/in-process.test.mjs watches all of that.
 */

import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The releases that this was written against. package.json has the same, as a peer dependency. */
const RANGE = { from: [1, 9, 0], below: [2, 0, 0], text: '^1.9.0' } as const;

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
  newHost(transport: Transport): Host;
  decode(message: Uint8Array): Message;
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
    AgentSession: new (...args: never[]) => unknown;
    SessionHost: new (transport: Transport) => Host;
  };
}

interface Found {
  agents: Agents;
  /** Resolves what the SDK itself would. */
  require: NodeJS.Require;
}

const NAME = '@livekit/agents';

/** @internal Loads the SDK, the very copy that `agentSession` is of where there are several. */
export async function loadSdk(agentSession: unknown): Promise<Sdk> {
  const { agents, require } = await find(agentSession);
  checkVersion(agents.version);
  const { AgentSession } = require('@livekit/protocol') as {
    AgentSession: { AgentSessionMessage: { fromBinary(bytes: Uint8Array): Message } };
  };
  return {
    version: agents.version,
    newHost: (transport) => new agents.voice.SessionHost(transport),
    decode: (message) => AgentSession.AgentSessionMessage.fromBinary(message),
  };
}

async function find(agentSession: unknown): Promise<Found> {
  // As ES module, as CommonJS, and as the script that runs sees it: where this package is linked, not installed, it
  // does not find what its user has.
  const own = createRequire(__filename);
  const users = createRequire(join(process.cwd(), 'greenroom.cjs'));
  const ways: (() => Promise<Found>)[] = [
    async () => ({ agents: (await import(NAME)) as Agents, require: createRequire(own.resolve(NAME)) }),
    async () => ({ agents: own(NAME) as Agents, require: createRequire(own.resolve(NAME)) }),
    async () => ({ agents: users(NAME) as Agents, require: createRequire(users.resolve(NAME)) }),
  ];
  let first: Found | undefined;
  let cause: unknown;
  for (const way of ways) {
    try {
      const found = await way();
      if (agentSession instanceof found.agents.voice.AgentSession) return found;
      first ??= found;
    } catch (error) {
      cause ??= error;
    }
  }
  if (first !== undefined) return first;
  throw new SdkError(
    'sdk_missing',
    `inProcess needs ${NAME}, which cannot be loaded from ${__dirname} or ${process.cwd()}: ` +
      `run \`npm install ${NAME}@${RANGE.text}\` (${String((cause as Error).message).split('\n', 1)[0]})`,
    { cause },
  );
}

function checkVersion(version: string): void {
  const numbers = version.split(/[.-]/, 3).map(Number);
  if (compare(numbers, RANGE.from) < 0) {
    throw new SdkError(
      'sdk_too_old',
      `${NAME} ${version} is installed, and inProcess needs ${RANGE.text}: run \`npm install ${NAME}@${RANGE.text}\``,
    );
  }
  if (compare(numbers, RANGE.below) >= 0) {
    throw new SdkError(
      'unsupported',
      `${NAME} ${version} is newer than what this greenroom knows (${RANGE.text}): upgrade greenroom, or run ` +
        `\`npm install ${NAME}@${RANGE.text}\``,
    );
  }
}

function compare(one: readonly number[], other: readonly number[]): number {
  for (const [at, number] of one.entries()) {
    const difference = number - (other[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
