/** Sessions with an agent in a room that this process joins by itself. */

import { checkOptions, millis, requireSecret, requireText } from './checks.js';
import { START_TIMEOUT_MS } from './defaults.js';
import type { Logger } from './logger.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import { reachedBy, type ReachOptions } from './reach.js';
import { Session, type CallOptions } from './session.js';

/** How a session with an agent in a room begins. */
export interface JoinOptions extends CallOptions, ReachOptions {
  /** The agent's identity. The only participant of kind agent unless given. */
  agent?: string | undefined;
  /** How long it may take until the room is joined and the agent is there and answers, in milliseconds. 60,000 unless given. */
  timeout?: number | undefined;
  /** After how long without a call the session ends by itself, in milliseconds. Never unless given. */
  idleTimeout?: number | undefined;
  /** Where the package logs: `console`, a pino logger or the like. Nowhere unless given. */
  logger?: Logger | false | undefined;
}

/**
 * Joins the room that `token` names, and resolves once the agent in it is ready to be talked to. No LiveKit SDK is
 * needed, and none is loaded. The token needs the grant `canManageAgentSession`; `credentials` makes one. The agent
 * needs no grant, and nothing of this package. Its audio is left as it is. Closing the session leaves the room.
 *
 * Rejects with `PermissionDenied` if the server refuses the token, which may have expired, or it lacks the grant; with
 * `InvalidArgument` if url, token, authorities or proxy are none, or there are several agents and none is named; with
 * `SessionTimeout` if there was no agent, or it or the server did not answer in time; with `IoError` if the server or
 * the proxy cannot be found or reached, or the server is not trusted; with `Unsupported` if it is too old.
 */
export function join(url: string, token: string, options: JoinOptions = {}): Promise<Session> {
  return quiet(begin(url, token, options));
}

async function begin(url: string, token: string, options: JoinOptions): Promise<Session> {
  checkOptions('join', options, {
    agent: 'own',
    timeout: 'own',
    idleTimeout: 'own',
    ca: 'own',
    proxy: 'own',
    logger: 'logger',
    signal: 'signal',
  });
  const { agent, timeout, idleTimeout, signal, logger } = options;
  signal?.throwIfAborted();
  const json = JSON.stringify({
    url: requireSecret('the url', url),
    token: requireSecret('the token', token),
    agent: agent === undefined ? null : requireText('the identity of the agent', agent),
    start_timeout_ms: millis('timeout', timeout) ?? START_TIMEOUT_MS,
    idle_timeout_ms: millis('idleTimeout', idleTimeout),
    ...reachedBy(options),
  });
  const session = new Session((wake) => native.join(json, wake), logger);
  return session.ready({ signal });
}
