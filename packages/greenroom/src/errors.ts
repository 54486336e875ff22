/**
 * The errors: one class for each code of the table that all languages share. What is here is
 * exported, all of it.
 */

import { shareClass } from './realms.js';

/** A stable code. It is the same in Rust, Python, JSON and the command. */
export type ErrorCode =
  | 'agent_error'
  | 'invalid_argument'
  | 'entry_not_found'
  | 'not_an_agent'
  | 'interpreter_not_found'
  | 'sdk_missing'
  | 'sdk_too_old'
  | 'already_running'
  | 'no_session'
  | 'agent_failed_to_start'
  | 'agent_gone'
  | 'session_closed'
  | 'protocol_error'
  | 'io'
  | 'too_large'
  | 'busy'
  | 'permission_denied'
  | 'timeout'
  | 'cancelled'
  | 'unsupported'
  | 'device_not_found'
  | 'device_lost'
  | 'audio_unavailable'
  | 'forked'
  | 'internal';

/**
 * What went wrong. `message` says what happened, with which input, and what to do next; `cause` is
 * what it rests on.
 */
export class GreenroomError extends Error {
  override readonly name: string = 'GreenroomError';
  /** The stable code: branch on it, or on the class. */
  readonly code: ErrorCode;
  /** More to read, such as the last lines of the agent's log. */
  declare readonly detail?: string;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; detail?: string | undefined } = {}) {
    super(message, options);
    this.code = code;
    if (options.detail !== undefined) this.detail = options.detail;
  }

  static {
    shareClass(this, 'GreenroomError');
  }
}

/** The agent answered with an error. Code `agent_error`. */
export class AgentError extends GreenroomError {
  override readonly name = 'AgentError';
  static {
    shareClass(this, 'AgentError');
  }
}

/** An argument is invalid. Code `invalid_argument`. */
export class InvalidArgument extends GreenroomError {
  override readonly name = 'InvalidArgument';
  static {
    shareClass(this, 'InvalidArgument');
  }
}

/** The agent's file, its default or its folder is not there. Code `entry_not_found`. */
export class EntryNotFound extends GreenroomError {
  override readonly name = 'EntryNotFound';
  static {
    shareClass(this, 'EntryNotFound');
  }
}

/** The file is no agent of either SDK. Code `not_an_agent`. */
export class NotAnAgent extends GreenroomError {
  override readonly name = 'NotAnAgent';
  static {
    shareClass(this, 'NotAnAgent');
  }
}

/** No interpreter was found for the agent. Code `interpreter_not_found`. */
export class InterpreterNotFound extends GreenroomError {
  override readonly name = 'InterpreterNotFound';
  static {
    shareClass(this, 'InterpreterNotFound');
  }
}

/** The agent's SDK is not installed where the agent runs. Code `sdk_missing`. */
export class SdkMissing extends GreenroomError {
  override readonly name = 'SdkMissing';
  static {
    shareClass(this, 'SdkMissing');
  }
}

/** The agent's SDK is older than what Greenroom can drive. Code `sdk_too_old`. */
export class SdkTooOld extends GreenroomError {
  override readonly name = 'SdkTooOld';
  static {
    shareClass(this, 'SdkTooOld');
  }
}

/** A session of that name is live already. Code `already_running`. */
export class AlreadyRunning extends GreenroomError {
  override readonly name = 'AlreadyRunning';
  static {
    shareClass(this, 'AlreadyRunning');
  }
}

/** No session of that name is live. Code `no_session`. */
export class NoSession extends GreenroomError {
  override readonly name = 'NoSession';
  static {
    shareClass(this, 'NoSession');
  }
}

/** The agent ended, crashed or never got as far as to connect. Code `agent_failed_to_start`. */
export class AgentFailedToStart extends GreenroomError {
  override readonly name = 'AgentFailedToStart';
  static {
    shareClass(this, 'AgentFailedToStart');
  }
}

/** The agent's process or link is gone. Code `agent_gone`. */
export class AgentGone extends GreenroomError {
  override readonly name = 'AgentGone';
  static {
    shareClass(this, 'AgentGone');
  }
}

/** The session was closed on this side. Code `session_closed`. */
export class SessionClosed extends GreenroomError {
  override readonly name = 'SessionClosed';
  static {
    shareClass(this, 'SessionClosed');
  }
}

/** What came over the link is not the protocol. Code `protocol_error`. */
export class ProtocolError extends GreenroomError {
  override readonly name = 'ProtocolError';
  static {
    shareClass(this, 'ProtocolError');
  }
}

/** An operation of the system failed. Code `io`. */
export class IoError extends GreenroomError {
  override readonly name = 'IoError';
  static {
    shareClass(this, 'IoError');
  }
}

/** A message is over a size cap. Code `too_large`. */
export class TooLarge extends GreenroomError {
  override readonly name = 'TooLarge';
  static {
    shareClass(this, 'TooLarge');
  }
}

/** More calls or turns wait than a session holds. Code `busy`. */
export class Busy extends GreenroomError {
  override readonly name = 'Busy';
  static {
    shareClass(this, 'Busy');
  }
}

/** The grant, a scope or the token does not allow it. Code `permission_denied`. */
export class PermissionDenied extends GreenroomError {
  override readonly name = 'PermissionDenied';
  static {
    shareClass(this, 'PermissionDenied');
  }
}

/** A deadline passed. Code `timeout`. */
export class SessionTimeout extends GreenroomError {
  override readonly name = 'SessionTimeout';
  static {
    shareClass(this, 'SessionTimeout');
  }
}

/**
 * The call was given up, other than by an `AbortSignal`, which rejects with its own reason. Code
 * `cancelled`.
 */
export class Cancelled extends GreenroomError {
  override readonly name = 'Cancelled';
  static {
    shareClass(this, 'Cancelled');
  }
}

/** This platform cannot do it yet. Code `unsupported`. */
export class Unsupported extends GreenroomError {
  override readonly name = 'Unsupported';
  static {
    shareClass(this, 'Unsupported');
  }
}

/**
 * No audio device is called so; the message lists those that there are. Code `device_not_found`.
 */
export class DeviceNotFound extends GreenroomError {
  override readonly name = 'DeviceNotFound';
  static {
    shareClass(this, 'DeviceNotFound');
  }
}

/** An audio device is gone, or returns no samples. Code `device_lost`. */
export class DeviceLost extends GreenroomError {
  override readonly name = 'DeviceLost';
  static {
    shareClass(this, 'DeviceLost');
  }
}

/** There is nothing that audio devices could be reached through. Code `audio_unavailable`. */
export class AudioUnavailable extends GreenroomError {
  override readonly name = 'AudioUnavailable';
  static {
    shareClass(this, 'AudioUnavailable');
  }
}

/** The handle belongs to another process. Code `forked`. */
export class Forked extends GreenroomError {
  override readonly name = 'Forked';
  static {
    shareClass(this, 'Forked');
  }
}

/** A defect of Greenroom itself. Code `internal`. */
export class InternalError extends GreenroomError {
  override readonly name = 'InternalError';
  static {
    shareClass(this, 'InternalError');
  }
}
