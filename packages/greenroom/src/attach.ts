/** Sessions with an agent in a room that this process is in already. */

import { CarriedDriver } from './carried.js';
import { checkOptions, millis, requireText } from './checks.js';
import { START_TIMEOUT_MS } from './defaults.js';
import { checkLocal, Exchange } from './exchange.js';
import type { Logger } from './logger.js';
import { quiet } from './promises.js';
import { checkRoom, localOf, type RoomLike } from './rtc.js';
import { Session, type CallOptions } from './session.js';

/** How a session with an agent in a room begins. */
export interface AttachOptions extends CallOptions {
  /** The agent's identity. The only participant of kind agent unless given. */
  agent?: string | undefined;
  /** How long the agent may take to be in the room and to answer, in milliseconds. 60,000 unless given. */
  timeout?: number | undefined;
  /** Where the package logs: `console`, a pino logger or the like. Nowhere unless given. */
  logger?: Logger | false | undefined;
}

/**
 * A session with an agent in a room, through a connected `Room` of @livekit/rtc-node, which stays its owner's. It works
 * with agents that are guarded by this package and with those that are not. The agent's audio is left as it is.
 *
 * This participant needs the grant `canManageAgentSession`, the agent does not. Rejects with `PermissionDenied` without
 * it, before anything is sent; with `InvalidArgument` if the room has several agents and none is named (the message
 * lists them), if the Room is not connected, or if an AgentSession that runs on this very Room has its topic; with
 * `SessionTimeout` if the agent is not there in time.
 */
export function attach(room: RoomLike, options: AttachOptions = {}): Promise<Session> {
  return quiet(connect(room, options));
}

async function connect(room: RoomLike, options: AttachOptions): Promise<Session> {
  checkOptions('attach', options, { agent: 'own', timeout: 'own', logger: 'logger', signal: 'signal' });
  const { agent, timeout, signal, logger } = options;
  const json = {
    agent: agent === undefined ? null : requireText('the identity of the agent', agent),
    start_timeout_ms: millis('timeout', timeout) ?? START_TIMEOUT_MS,
  };
  checkRoom(room);
  signal?.throwIfAborted();
  checkLocal(room);
  const exchange = Exchange.of(room);
  const attaching = JSON.stringify({ ...json, local: localOf(room) });
  const carrier = { carry: () => exchange.carry(), close: () => exchange.settle() };
  const session = new Session(
    (wake) => new CarriedDriver((both) => exchange.attach(attaching, both), carrier, wake),
    logger,
  );
  return session.ready({ signal });
}
