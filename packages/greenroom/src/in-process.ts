/** Sessions with an agent that runs in this very process. */

import type { Logger } from './logger.js';
import { quiet } from './promises.js';
import type { CallOptions, Session } from './session.js';

/** An `AgentSession` of @livekit/agents, as far as it matters here. */
export interface AgentSessionLike {
  on(event: any, listener: (...args: any[]) => void): unknown;
  off(event: any, listener: (...args: any[]) => void): unknown;
  run(...args: any[]): unknown;
  readonly currentAgent: unknown;
}

/** How a session with an agent of this process begins. */
export interface InProcessOptions extends CallOptions {
  /** How long the agent's session may take to answer, in milliseconds. 60,000 unless given. */
  timeout?: number | undefined;
  /** Whether the agent's audio is turned off, so that it works without speech models. True unless given. */
  textMode?: boolean | undefined;
  /** Where the package logs: `console`, a pino logger or the like. Nowhere unless given. */
  logger?: Logger | false | undefined;
}

/**
 * A session with an `AgentSession` of this process, which has started: `await agentSession.start({ agent })`. There is
 * no socket and no other process. To close it lets go of the agent's session and leaves that to its owner.
 *
 * It needs @livekit/agents, an optional peer dependency: rejects with `SdkMissing`, `SdkTooOld` or `Unsupported` (it is
 * lacks what this needs) otherwise.
 */
export function inProcess(agentSession: AgentSessionLike, options: InProcessOptions = {}): Promise<Session> {
  // Loaded when it is needed: who drives agents as processes has no use for it.
  return quiet(import('./in-memory.js').then(({ attach }) => attach(agentSession, options)));
}
