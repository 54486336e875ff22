/**
 * What Greenroom uses of @livekit/rtc-node, all of it. It is never loaded from here: users bring their `Room`.
 *
 * Public: of a Room `isConnected`, `connectionState`, `remoteParticipants`, `localParticipant`, `registerByteStreamHandler`,
 * `unregisterByteStreamHandler` and its events; of a participant `sid`, `identity`, `kind` and `attributes`; of the local
 * one `streamBytes` and `sendFile`; a byte stream's reader, which has `close` from 0.13.34 on, and writer.
 *
 * Not promised by it:
 *
 * - `participant.info.permission`, the only place where a participant's permissions are, `hidden` among them. No event tells of them, so they
 *   are read at the moment of each decision;
 * - that the SDK's own host calls those methods on the Room object, where a guard can stand before them (interception.ts);
 * - the calls `sendBytes`, `sendStreamHeader`, `sendStreamChunk` and `sendStreamTrailer` of `globalThis._ffiClientInstance`,
 *   with its `request` and `waitFor`, for the participant's `ffi_handle`. All that is public sends the bytes of a stream to
 *   everybody in the room, whomever it is addressed to; these do not. Without them, what is public is used, with a warning.
 *
 * tests/node/rooms-sdk.test.mjs watches all of that.
 */

import { randomUUID } from 'node:crypto';
import { types } from 'node:util';
import { errorFromSdk, invalid } from './failures.js';
import { RTC, rtcLacks } from './sdk.js';

/** A `Room` of @livekit/rtc-node, as far as it matters here. */
export interface RoomLike {
  readonly isConnected: boolean;
  readonly connectionState: number;
  readonly remoteParticipants: ReadonlyMap<string, any>;
  localParticipant?: any;
  readonly name?: string | undefined;
  registerByteStreamHandler(topic: string, callback: (...args: any[]) => void): void;
  unregisterByteStreamHandler(topic: string): void;
  on(event: any, listener: (...args: any[]) => void): unknown;
  off(event: any, listener: (...args: any[]) => void): unknown;
  listeners(event: any): unknown[];
}

/** @internal Somebody in the room. */
export interface Participant {
  readonly sid?: string | undefined;
  readonly identity: string;
  readonly kind?: number;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly info?: { permission?: { canManageAgentSession?: boolean; hidden?: boolean } };
}

/** @internal The participant that this process is. */
export interface LocalParticipant extends Participant, Sends {
  readonly ffi_handle?: { readonly handle?: bigint };
}

/** @internal How a byte stream leaves. No release has the last yet; one that had it would have a way past a guard. */
export interface Sends {
  streamBytes?: ((options?: SendOptions) => Promise<Writer>) | undefined;
  sendFile?: ((path: string | URL, options?: SendOptions) => Promise<unknown>) | undefined;
  sendBytes?: ((data: Uint8Array, options?: SendOptions) => Promise<unknown>) | undefined;
}

/** @internal */
export interface SendOptions {
  topic?: string;
  name?: string;
  destinationIdentities?: string[];
  totalSize?: number;
  attributes?: Record<string, string>;
}

/** @internal What writes a byte stream. */
export interface Writer {
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** @internal What reads a byte stream. */
export interface Reader extends AsyncIterable<Uint8Array> {
  readonly info: {
    readonly totalSize?: number | undefined;
    readonly attributes?: Readonly<Record<string, string>> | undefined;
  };
  /** Releases before 0.13.34 have none: they keep what is not read, as much as the sender likes. */
  close?(): Promise<void>;
}

/** @internal Takes the byte streams of a topic. */
export type StreamHandler = (reader: any, sender: { identity: string }) => void;

/** What the SDK calls an agent, and a Room that reconnects. */
const KIND_AGENT = 4;
const CONNECTION_RECONNECTING = 2;

/** What a participant has that lends an agent its face, and is none itself. */
const ON_BEHALF = 'lk.publish_on_behalf';

/** @internal Whether a participant is of the kind agent. */
export function isAgentKind({ kind }: Participant): boolean {
  return kind === KIND_AGENT;
}

/** @internal Whether a participant publishes in place of an agent, as the worker of an avatar does. */
export function publishesOnBehalf({ attributes }: Participant): boolean {
  return ON_BEHALF in (attributes ?? {});
}

/** @internal The Room and our place in it, as the addon takes it. */
export function localOf(room: RoomLike): object {
  const local = room.localParticipant as LocalParticipant | undefined;
  const mayDrive = local === undefined || mayManage(local) === true;
  if (room.isConnected && local !== undefined && !mayDrive) checkPermissions(local);
  return {
    is_connected: room.isConnected,
    room: room.name ?? '',
    identity: local?.identity ?? '',
    can_manage_agent_session: mayDrive,
  };
}

/** @internal Whether a Room was connected and will be again. */
export function isReconnecting({ connectionState }: RoomLike): boolean {
  return connectionState === CONNECTION_RECONNECTING;
}

/** @internal Whether, at this moment, a participant may manage agent sessions; null if nothing is said of it. */
export function mayManage({ info }: Participant): boolean | null {
  return info?.permission?.canManageAgentSession ?? null;
}

/** @internal Throws unless this is a Room that can be used. */
export function checkRoom(room: RoomLike): void {
  const methods = ['registerByteStreamHandler', 'unregisterByteStreamHandler', 'on', 'off', 'listeners'] as const;
  const isMap = types.isMap(room?.remoteParticipants);
  const lacking = methods.find((name) => typeof room?.[name] !== 'function');
  if (isMap && lacking !== undefined && typeof room.on === 'function') {
    throw errorFromSdk(rtcLacks(`Room.${lacking}`, 'an agent session in a Room'));
  }
  if (!isMap || lacking !== undefined) {
    throw invalid(`this is no Room of ${RTC.name}, such as \`ctx.room\` of an agent or \`new Room()\``);
  }
}

/** @internal Throws if the SDK tells of no grant canManageAgentSession: nobody would ever seem to hold it. */
export function checkPermissions({ info }: Participant): void {
  const permission = info?.permission;
  if (permission === undefined || 'canManageAgentSession' in permission) return;
  throw errorFromSdk(rtcLacks('participant.info.permission.canManageAgentSession', 'an agent session in a Room'));
}

/** The attribute of a stream by which a controller that is hidden says who it is: the server does not. */
const CLAIM = 'greenroom.identity';

/** @internal Who a sender says that it is whom the server does not name. It is hidden: nobody else comes without a name. */
export function claimIn({ info }: Reader): string {
  return info.attributes?.[CLAIM] ?? '';
}

function claimOf({ info, identity }: LocalParticipant): Record<string, string> {
  return info?.permission?.hidden ? { [CLAIM]: identity } : {};
}

/** What our streams are called. */
const NAME = 'AS_greenroom';
/** What fits into one packet, which goes to those alone to whom it is addressed, in bytes; header and addresses aside. */
const MAX_PACKET = 14_000;
/** How much of a longer message goes into each of its packets. */
const CHUNK = 14_000;

/** @internal Somebody to send to: a name, and the stay in the room that it means, empty for one that the room has not announced. */
export interface Recipient {
  identity: string;
  sid: string;
}

/** @internal To whom a message goes, as the SDK is told. Most go to the same as the one before. */
export class Addresses {
  readonly identities: string[];
  /** What they take in a packet, in bytes. */
  readonly size: number;
  /** Whether the room has announced them all. */
  readonly areKnown: boolean;

  constructor(recipients: readonly Recipient[]) {
    this.identities = recipients.map(({ identity }) => identity);
    this.size = this.identities.reduce((sum, identity) => sum + 4 + Buffer.byteLength(identity), 0);
    this.areKnown = recipients.every(({ sid }) => sid !== '');
  }
}

/** @internal What is sent, and by whom. */
export interface Delivery {
  local: LocalParticipant;
  topic: string;
  message: Uint8Array;
  to: Addresses;
  /** Gives up. */
  signal: AbortSignal;
}

/** @internal Sends one message as one byte stream to these participants, and to nobody else where the SDK allows it. */
export async function sendMessage(delivery: Delivery): Promise<void> {
  try {
    await sendToSome(delivery);
  } catch (error) {
    if (!(error instanceof NoSuchCall)) throw error;
    warnOfLeak();
    const { local, topic, message, to } = delivery;
    const size = { totalSize: message.length, attributes: claimOf(local) };
    const { streamBytes } = sendsOf(local);
    if (streamBytes === undefined) throw errorFromSdk(rtcLacks('LocalParticipant.streamBytes', 'an agent session'));
    const writer = await streamBytes({ topic, name: NAME, destinationIdentities: to.identities, ...size });
    await writer.write(message);
    await writer.close();
  }
}

async function sendToSome({ local, topic, message, to, signal }: Delivery): Promise<void> {
  const ffi = new Ffi(local, to.identities, signal);
  // To somebody of whom the SDK knows nothing it sends even short messages in pieces.
  if (to.areKnown && message.length + to.size <= MAX_PACKET) {
    const sender = { senderIdentity: local.identity, attributes: claimOf(local) };
    const options = { topic, name: NAME, destinationIdentities: to.identities, compress: true, ...sender };
    return ffi.call('sendBytes', { bytes: message, options });
  }
  const streamId = randomUUID();
  const contentHeader = { case: 'byteHeader', value: { name: NAME } };
  const attributes = claimOf(local);
  const size = { timestamp: BigInt(Date.now()), totalLength: BigInt(message.length), attributes };
  const header = { streamId, topic, mimeType: 'application/octet-stream', contentHeader, ...size };
  await ffi.call('sendStreamHeader', { header });
  // Each waits for the one before: the SDK would mix up their order.
  for (let index = 0; index * CHUNK < message.length; index++) {
    const content = message.subarray(index * CHUNK, (index + 1) * CHUNK);
    await ffi.call('sendStreamChunk', { chunk: { streamId, chunkIndex: BigInt(index), content } });
  }
  await ffi.call('sendStreamTrailer', { trailer: { streamId, reason: '' } });
}

/** The SDK's own way to its native part. */
interface FfiClient {
  request(request: { message: { case: string; value: object } }): { asyncId?: bigint } | undefined;
  waitFor(isIt: (event: FfiEvent) => boolean, options: { signal: AbortSignal }): Promise<FfiEvent['message']['value']>;
}

interface FfiEvent {
  message: {
    case: string;
    value: { asyncId?: bigint; error?: string; result?: { case: string; value: { description?: string } } };
  };
}

/** Calls that send to some participants alone. */
class Ffi {
  readonly #client: FfiClient;
  readonly #common: object;
  readonly #signal: AbortSignal;

  constructor(local: LocalParticipant, destinationIdentities: string[], signal: AbortSignal) {
    const { _ffiClientInstance: client } = globalThis as { _ffiClientInstance?: FfiClient };
    const localParticipantHandle = local.ffi_handle?.handle;
    if (typeof client?.request !== 'function' || typeof client.waitFor !== 'function') throw new NoSuchCall();
    if (localParticipantHandle === undefined) throw new NoSuchCall();
    this.#client = client;
    this.#common = { localParticipantHandle, destinationIdentities, senderIdentity: local.identity };
    this.#signal = signal;
  }

  async call(name: string, value: object): Promise<void> {
    const asyncId = this.#client.request({ message: { case: name, value: { ...this.#common, ...value } } })?.asyncId;
    if (asyncId === undefined) throw new NoSuchCall();
    const isIt = ({ message }: FfiEvent) => message.case === name && message.value.asyncId === asyncId;
    const { error, result } = await this.#client.waitFor(isIt, { signal: this.#signal });
    if (error) throw new Error(error);
    if (result?.case === 'error') throw new Error(result.value.description ?? 'unknown error');
  }
}

/** The SDK has no call that is asked for. */
class NoSuchCall extends Error {}

let hasWarned = false;

function warnOfLeak(): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    `this release of ${RTC.name} can't address single participants: every participant of the room receives the ` +
      'bytes of agent sessions, though no handler is called with them',
    { code: 'GREENROOM_ROOM_LEAK' },
  );
}

/** @internal How a guarded participant sends past its guard. */
export const behindGuard = new WeakMap<LocalParticipant, Sends>();

/** @internal How a participant sends. */
export function sendsOf(local: LocalParticipant): Sends {
  const known = behindGuard.get(local);
  if (known !== undefined) return known;
  const { streamBytes, sendFile, sendBytes } = local;
  return {
    streamBytes: streamBytes?.bind(local),
    sendFile: sendFile?.bind(local),
    sendBytes: sendBytes?.bind(local),
  };
}
