/** Drive, test and observe LiveKit voice agents. */

import { native } from './native.js';

export { attach, type AttachOptions } from './attach.js';
export { credentials, type CredentialsOptions } from './credentials.js';
export * from './errors.js';
export type { Events, EventsOptions } from './events.js';
export { Gate, gate } from './gate.js';
export { inProcess, type AgentSessionLike, type InProcessOptions } from './in-process.js';
export { join, type JoinOptions } from './join.js';
export type { EventListener } from './listeners.js';
export type { Logger } from './logger.js';
export { open, type OpenOptions } from './open.js';
export type { AuditCallback, AuditDecision, AuditLine, GateOptions, GateStatus, ConcurrentTurns, Policy, Scope } from './policy.js';
export type { ReachOptions } from './reach.js';
export {
  AudioStream,
  IncomingStream,
  IncomingStreams,
  LocalAudioTrack,
  Room,
  RoomEvents,
  type PublishAudioOptions,
  type PublishOptions,
  type RoomOptions,
  type SendBytesOptions,
  type SendTextOptions,
  type SubscribeOptions,
} from './room.js';
export type { RoomLike } from './rtc.js';
export { Session, type CallOptions, type Provisional, type SayAudioOptions, type SayOptions } from './session.js';
export { Speech, type Frame, type Part, type Samples, type Sound, type TextToSpeech } from './speech.js';
export { start, type StandInParticipant, type StartOptions } from './start.js';
export * from './types.js';

/** The version of this package. */
export const version: string = native.version();
