/** How errors are made, of a code and of what comes from the addon. */

import {
  AgentError,
  AgentFailedToStart,
  AgentGone,
  AlreadyRunning,
  AudioUnavailable,
  Busy,
  Cancelled,
  DeviceLost,
  DeviceNotFound,
  EntryNotFound,
  type ErrorCode,
  Forked,
  GreenroomError,
  InternalError,
  InterpreterNotFound,
  InvalidArgument,
  IoError,
  NoSession,
  NotAnAgent,
  PermissionDenied,
  ProtocolError,
  SdkMissing,
  SdkTooOld,
  SessionClosed,
  SessionTimeout,
  TooLarge,
  Unsupported,
} from './errors.js';
import { isError } from './realms.js';
import { SdkError } from './sdk.js';

const CLASSES: Record<ErrorCode, typeof GreenroomError> = {
  agent_error: AgentError,
  invalid_argument: InvalidArgument,
  entry_not_found: EntryNotFound,
  not_an_agent: NotAnAgent,
  interpreter_not_found: InterpreterNotFound,
  sdk_missing: SdkMissing,
  sdk_too_old: SdkTooOld,
  already_running: AlreadyRunning,
  no_session: NoSession,
  agent_failed_to_start: AgentFailedToStart,
  agent_gone: AgentGone,
  session_closed: SessionClosed,
  protocol_error: ProtocolError,
  io: IoError,
  too_large: TooLarge,
  busy: Busy,
  permission_denied: PermissionDenied,
  timeout: SessionTimeout,
  cancelled: Cancelled,
  unsupported: Unsupported,
  device_not_found: DeviceNotFound,
  device_lost: DeviceLost,
  audio_unavailable: AudioUnavailable,
  forked: Forked,
  internal: InternalError,
};

/** @internal The error of a code, as an instance of its class. */
export function errorOf(
  code: ErrorCode,
  message: string,
  options?: ErrorOptions & { detail?: string | undefined },
): GreenroomError {
  return new CLASSES[code](code, message, options);
}

/** @internal An error that came as JSON. */
export function errorFromJson(json: string): GreenroomError {
  const { code, message, detail } = JSON.parse(json) as { code: ErrorCode; message: string; detail?: string };
  return errorOf(code, message, { detail });
}

/** @internal What a call of the addon threw: an error of the table has JSON for its message, all else is a defect. */
export function errorFromNative(thrown: unknown): GreenroomError {
  const cause = isError(thrown) ? thrown : new Error(String(thrown));
  if (cause.message.startsWith('{"code":')) return errorFromJson(cause.message);
  return errorOf('internal', `greenroom has a defect, please report it: ${cause.message}`, { cause });
}

/** @internal An invalid argument. */
export function invalid(message: string): GreenroomError {
  return errorOf('invalid_argument', message);
}

/** @internal The error of the table for an SDK that cannot be used; any other error stays. */
export function errorFromSdk(error: unknown): unknown {
  return error instanceof SdkError ? errorOf(error.code, error.message, { cause: error.cause }) : error;
}
