/** Credentials for a room: the server that the client reaches, a token, and what the token says. */

import { basename } from 'node:path';
import { inspect } from 'node:util';
import { checkOptions, millis, requireText } from './checks.js';
import { ROOM, TTL_MS } from './defaults.js';
import { errorFromNative } from './failures.js';
import { camelCased, snakeCased } from './names.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import type { Credentials, Grants } from './types.js';

/** What credentials are asked for. */
export interface CredentialsOptions {
  /** The participant's identity, before the suffix that makes it unique. Default: `user`. */
  identity?: string | undefined;
  /**
   * Whether the identity gets that suffix: two of one identity put each other out of the room. True
   * unless given.
   */
  uniqueIdentity?: boolean | undefined;
  /** What the participant is called. */
  name?: string | undefined;
  /** What the participant is to the server, such as `agent`. */
  kind?: string | undefined;
  /** What is said about the participant. */
  metadata?: string | undefined;
  /** The same, by keys. */
  attributes?: Readonly<Record<string, string>> | undefined;
  /** What to allow or not beside joining, publishing, subscribing and sending data. */
  grants?: Partial<Grants> | undefined;
  /** Whether it may observe and drive the session of an agent. False unless given. */
  canManageAgentSession?: boolean | undefined;
  /**
   * Names of agent workers that the server dispatches to the room when the room is created, or a
   * record of names to their job metadata.
   */
  dispatch?: readonly string[] | Readonly<Record<string, string>> | undefined;
  /** How long the token is valid, in milliseconds. 600,000 unless given. */
  ttl?: number | undefined;
  /** The server, as the client reaches it; else `LIVEKIT_PUBLIC_URL`, else `LIVEKIT_URL`. */
  url?: string | undefined;
  /** Whether to accept a url that only containers can resolve. Default: false. */
  allowInternalUrl?: boolean | undefined;
  /**
   * The API key that signs. Default: `LIVEKIT_API_KEY`; for a server on this machine none is
   * needed, with a warning.
   */
  apiKey?: string | undefined;
  /** Its secret. Default: `LIVEKIT_API_SECRET`. */
  apiSecret?: string | undefined;
  /**
   * Name of the requester in the audit log, for every read of the secret. Default: this program.
   */
  requestedBy?: string | undefined;
}

/**
 * Makes credentials for a room (default: `general`), for your own client or another. Missing values
 * are read from the environment, then from `.env.local`, then from `.env` of the current folder.
 *
 * Rejects with `InvalidArgument` if an option is invalid, if there is no url, key or secret, if
 * clients can't reach the url, or if the pair for development would be used with a server
 * elsewhere; with `IoError` if the audit log cannot be written.
 */
export function credentials(room: string = ROOM, options: CredentialsOptions = {}): Promise<Credentials> {
  return quiet(make(room, options));
}

async function make(room: string, options: CredentialsOptions): Promise<Credentials> {
  const asked = JSON.stringify(request(room, options));
  let json;
  try {
    json = await native.credentials(asked);
  } catch (error) {
    throw errorFromNative(error);
  }
  const { notes, doubts, ...made } = JSON.parse(json) as { notes: string[]; doubts: string[] };
  for (const note of notes) process.emitWarning(note, { code: 'GREENROOM_DEVELOPMENT_KEY' });
  for (const doubt of doubts) process.emitWarning(doubt, { code: 'GREENROOM_SUSPECT_KEY' });
  return hidden(camelCased(made) as Credentials);
}

function request(room: string, options: CredentialsOptions): object {
  checkOptions('credentials', options, {
    identity: 'text',
    uniqueIdentity: 'flag',
    name: 'text',
    kind: 'text',
    metadata: 'text',
    attributes: 'textObject',
    grants: 'object',
    canManageAgentSession: 'flag',
    dispatch: 'textsOrObject',
    ttl: 'own',
    url: 'text',
    allowInternalUrl: 'flag',
    apiKey: 'text',
    apiSecret: 'text',
    requestedBy: 'text',
  });
  const { grants, canManageAgentSession, dispatch = [], ttl, uniqueIdentity, allowInternalUrl } = options;
  const agents = Array.isArray(dispatch) ? dispatch.map((agent: string) => [agent, null]) : Object.entries(dispatch);
  return {
    room: requireText('the name of the room', room),
    identity: options.identity,
    unique_identity: uniqueIdentity ?? true,
    name: options.name,
    kind: options.kind,
    metadata: options.metadata,
    attributes: options.attributes ?? {},
    grants: { ...(snakeCased(grants ?? {}) as object), ...(canManageAgentSession ? { can_manage_agent_session: true } : {}) },
    dispatch: agents.map(([agent, metadata]) => ({ agent_name: agent, metadata })),
    ttl_ms: Math.round(millis('ttl', ttl) ?? TTL_MS),
    url: options.url,
    allow_internal_url: allowInternalUrl ?? false,
    api_key: options.apiKey,
    api_secret: options.apiSecret,
    requested_by: options.requestedBy ?? basename(process.argv[1] ?? process.execPath),
  };
}

/** Printing them doesn't show the token. */
function hidden(made: Credentials): Credentials {
  return Object.defineProperty(made, inspect.custom, { value: () => ({ ...made, token: '…' }) });
}
