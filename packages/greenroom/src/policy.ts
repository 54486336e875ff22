/** Policies: permissions of participants in an agent's session, on top of LiveKit's grant. */

import { checkOption, checkOptions, type Kinds } from './checks.js';
import { log, type Logger } from './logger.js';
import { camelCased } from './names.js';
import type { HostUser } from './exchange.js';

/**
 * Scope of a participant with the grant `canManageAgentSession`: `observe` the session (events,
 * history, state and usage), `drive` it (speak as the user, end simulations), or enable and disable
 * its inputs and outputs (`io`).
 */
export type Scope = 'observe' | 'drive' | 'io';

/** Scopes of the holders of the grant. Participants without the grant are always denied. */
export interface Policy {
  /** Scopes of participants that `byIdentity` doesn't list. Default: all. */
  default?: readonly Scope[] | undefined;
  /** Scopes by identity; an empty list permits nothing. */
  byIdentity?: Readonly<Record<string, readonly Scope[]>> | undefined;
  /**
   * Identities of supervisors that join hidden. The server doesn't announce them to the agent and
   * forwards their packets without a name, so their grant can't be read, and they are denied. A
   * hidden `attach` that claims one of these identities counts as a holder of the grant. List
   * identities only if your backend signs tokens with `hidden` for supervisors alone.
   */
  hidden?: readonly string[] | undefined;
}

/** Handling of a text turn that arrives during another: it is queued, or refused with an error. */
export type ConcurrentTurns = 'queue' | 'refuse';

/** Called with each line of the audit log, one for each decision. */
export type AuditCallback = (line: AuditLine) => void;

/** Options of a gate. */
export interface GateOptions {
  /** Scopes of the holders of the grant. */
  policy?: Policy | undefined;
  /** Handling of a text turn that arrives during another. Default: `queue`. */
  runInput?: ConcurrentTurns | undefined;
  /** Called for every decision. Its exceptions are logged. */
  onAudit?: AuditCallback | undefined;
  /** Logs each decision as JSON: permitted ones as `info`, others as `warn`. Default: no log. */
  logger?: Logger | false | undefined;
}

/** One decision. */
export interface AuditLine {
  /**
   * The stay in the room that was decided about; empty for a participant that the room has not
   * announced.
   */
  sid: string;
  identity: string | null;
  /** What was asked for, such as `{ request: 'drive' }`. */
  asked: { request: Scope } | { response: Scope } | { delivery: Scope } | 'malformed' | 'unread';
  /** `allow`, or why not. */
  decision: AuditDecision;
  /** When, in ISO 8601. */
  time: string;
}

/** What a gate says. */
export type AuditDecision =
  | 'allow'
  | 'deny_unknown'
  | 'deny_no_grant'
  | { denyScope: Scope }
  | 'deny_malformed'
  | 'deny_too_large'
  | 'deny_flood'
  | 'deny_stalled';

/** What a gate has counted. */
export interface GateStatus {
  /** Requests that were let in. */
  requests: number;
  /** Responses that went to their requesters. */
  answered: number;
  /** Messages of participants that were denied. */
  denied: number;
  /**
   * Count of the agent's messages that were not sent, because the receiver lacks the grant or too
   * many were queued.
   */
  dropped: number;
  /** Incoming streams that were not read to their end. */
  cut: number;
  /** Participants in the room, this one aside. */
  peers: number;
  /** Requests that wait for their answer. */
  waiting: number;
}

/** @internal The kinds of the options of a gate. */
export const GATE_OPTIONS: Kinds<GateOptions> = {
  policy: 'object',
  runInput: 'text',
  onAudit: 'function',
  logger: 'logger',
};

/** @internal The options as the addon reads them. */
export function gateJson({ policy, runInput }: GateOptions): string {
  // Other values would become JSON as well, and permit every participant.
  checkOptions('the policy', policy, { default: 'texts', byIdentity: 'object', hidden: 'texts' });
  for (const [identity, scopes] of Object.entries(policy?.byIdentity ?? {})) {
    checkOption('the policy', `byIdentity[${JSON.stringify(identity)}]`, scopes ?? null, 'texts');
  }
  const { default: scopes, byIdentity, hidden } = policy ?? {};
  return JSON.stringify({
    policy: policy && { default: scopes, by_identity: byIdentity, hidden },
    run_input: runInput,
  });
}

/** @internal What to do with a line of the audit log. */
export function auditTo({ onAudit, logger }: GateOptions): HostUser['audit'] {
  return (json) => {
    const line = camelCased(JSON.parse(json)) as AuditLine;
    log(logger, line.decision === 'allow' ? 'info' : 'warn', json);
    try {
      onAudit?.(line);
    } catch (error) {
      log(logger, 'error', `onAudit threw: ${String(error)}`);
    }
  };
}

/** @internal The counters, of JSON. */
export function gateStatus(json: string): GateStatus {
  return camelCased(JSON.parse(json)) as GateStatus;
}
