/**
 * For those who have @livekit/agents: the agent's side of a session in a Room, guarded, and the names that the SDK has for
 * both sides. This module loads without the SDK; what needs it loads it, and says so if it is not there.
 */

export type { AgentSessionLike } from './in-process.js';
export type { Logger } from './logger.js';
export type { AuditCallback, AuditDecision, AuditLine, GateOptions, GateStatus, ConcurrentTurns, Policy, Scope } from './policy.js';
export type { AgentSessionMessage } from './protocol.js';
export {
  FinalizeSimulationError,
  RemoteSession,
  type FinalizeSimulationOptions,
  type RemoteIoUpdate,
  type RemoteSessionCallbacks,
  type RemoteSessionEventTypes,
} from './remote-session.js';
export {
  RoomSessionTransport,
  type AgentPeer,
  type RoomIOLike,
  type RoomSessionTransportOptions,
} from './room-transport.js';
export type { RoomLike } from './rtc.js';
export { host, SessionHost } from './session-host.js';
export { TcpSessionTransport } from './tcp-transport.js';
export { SessionTransport, type IncomingMessage, type SendMessageOptions } from './transport.js';
