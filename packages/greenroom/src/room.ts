/**
 * A LiveKit room that this process joins by itself, without LiveKit's SDK: participants, data, byte
 * and text streams.
 */

import { types } from 'node:util';
import { Frame, type RtcAudioFrame } from './audio-frame.js';
import { checkOption, checkOptions, millis, requireSecret, requireText, shown } from './checks.js';
import { CONNECT_TIMEOUT_MS } from './defaults.js';
import { errorFromJson, errorFromNative, invalid } from './failures.js';
import { camelCased } from './names.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import { shareClass } from './realms.js';
import { reachedBy, type ReachOptions } from './reach.js';
import type { Participant, RoomEvent, RoomInfo, StreamInfo, Track, TrackSource } from './types.js';

/** How a room is joined. */
export interface RoomOptions extends ReachOptions {
  /**
   * How long each step may take, in milliseconds: the signal connection, and from there until data
   * can be sent. 15,000 unless given.
   */
  timeout?: number | undefined;
  /** Gives up, and leaves nothing behind: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** How a data packet is sent. */
export interface PublishOptions {
  /** What it is about. Nothing unless given. */
  topic?: string | undefined;
  /** Identities of the receivers. Default: the whole room. */
  to?: readonly string[] | undefined;
  /** Whether over the channel on which nothing is lost. True unless given. */
  reliable?: boolean | undefined;
  /** Gives up waiting for it to leave. */
  signal?: AbortSignal | undefined;
}

/** How text is sent. */
export interface SendTextOptions {
  /** Its topic; listeners of the topic receive the stream. */
  topic: string;
  /** Identities of the receivers. Default: the whole room. */
  to?: readonly string[] | undefined;
  /** Attributes of the stream. */
  attributes?: Readonly<Record<string, string>> | undefined;
  /** Whether it may be compressed, where all recipients can read that. True unless given. */
  compress?: boolean | undefined;
  /** Gives up waiting for it to leave. */
  signal?: AbortSignal | undefined;
}

/** How bytes are sent. */
export interface SendBytesOptions extends SendTextOptions {
  /** Its name, such as of a file. */
  name?: string | undefined;
  /** What the bytes are. */
  mimeType?: string | undefined;
}

/** How audio is published. */
export interface PublishAudioOptions {
  /** What it is called; need not be unique. `microphone` unless given. */
  name?: string | undefined;
  /** Where it comes from. Agents listen to microphones, which it is unless given. */
  source?: TrackSource | undefined;
  /** Gives up waiting for the server. */
  signal?: AbortSignal | undefined;
}

/** How a track is read. */
export interface SubscribeOptions {
  /** Of the frames, in Hz: 48000, 24000, 16000, 12000 or 8000. 48,000 unless given. */
  rate?: number | undefined;
  /** Gives up waiting for it. */
  signal?: AbortSignal | undefined;
}

/** A room at one moment. */
interface Snapshot {
  room: RoomInfo;
  local: Participant;
  participants: Participant[];
  disconnected: { reason: string; message: string } | null;
}

interface Answer {
  fields: Record<string, unknown>;
  bytes: Buffer | undefined;
}

interface Call {
  resolve(answer: Answer): void;
  reject(reason: unknown): void;
}

const NOTHING = Buffer.alloc(0);

// Node 20 before 20.4 has no such symbol; compilers of `await using` provide this one.
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/** Rooms that something waits for. Others may be garbage-collected, and are left then. */
const awaited = new Set<Room>();

/**
 * A room that was joined by `Room.connect`. It keeps Node running only while something of it is
 * awaited.
 *
 * What sends rejects with `PermissionDenied` if the token does not allow it (the server would drop
 * it silently), with `TooLarge` over a size cap, with `AgentGone` or `SessionClosed` once the room
 * is left, and with `Busy`. No rejection is ever "unhandled".
 */
export class Room {
  readonly #driver: InstanceType<typeof native.RoomDriver>;
  readonly #calls = new Map<number, Call>();
  #nextToken = 1;
  #holds = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: string, joined: Call) {
    // The driver holds on to what wakes it: a reference to the room there would keep it from being
    // collected.
    const self = new WeakRef(this);
    const wake = () => {
      const room = self.deref();
      if (room !== undefined) room.#drain();
    };
    const token = this.#nextToken++;
    this.#calls.set(token, joined);
    try {
      this.#driver = native.joinRoom(options, token, wake);
    } catch (error) {
      throw errorFromNative(error);
    }
    this.#hold();
  }

  /**
   * Joins the room that the token names, and resolves once data can be sent.
   *
   * Rejects with `InvalidArgument` if url, token, authorities or proxy are none, with
   * `PermissionDenied` if the server refuses the token, with `Unsupported` if it is too old, with
   * `SessionTimeout` or `IoError` if it cannot be reached or is not trusted.
   */
  static connect(url: string, token: string, options: RoomOptions = {}): Promise<Room> {
    return quiet(Room.#connect(url, token, options));
  }

  static async #connect(url: string, token: string, options: RoomOptions): Promise<Room> {
    checkOptions('connect', options, { timeout: 'own', ca: 'own', proxy: 'own', signal: 'signal' });
    const { timeout, signal } = options;
    signal?.throwIfAborted();
    const json = JSON.stringify({
      url: requireSecret('the url', url),
      token: requireSecret('the token', token),
      connect_timeout_ms: millis('timeout', timeout) ?? CONNECT_TIMEOUT_MS,
      ...reachedBy(options),
    });
    const room: { current?: Room } = {};
    const abort = () => void room.current?.close();
    try {
      await new Promise<unknown>((resolve, reject) => {
        room.current = new Room(json, { resolve, reject });
        signal?.addEventListener('abort', abort, { once: true });
      });
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    return room.current as Room;
  }

  /** The room. */
  get info(): RoomInfo {
    return this.#snapshot().room;
  }

  /** Our own participant. */
  get local(): Participant {
    return this.#snapshot().local;
  }

  /** The others, by identity. */
  get participants(): Map<string, Participant> {
    return new Map(this.#snapshot().participants.map((participant) => [participant.identity, participant]));
  }

  /** Why the room was left, once it was. */
  get disconnected(): { reason: string; message: string } | undefined {
    return this.#snapshot().disconnected ?? undefined;
  }

  /**
   * What happens, for `for await`; it ends after `disconnected`. The first iterator of a room
   * begins with the join, later ones with now. Each keeps up to 512 events for its reader; one that
   * is slower gets a `gap` that counts what it missed.
   */
  events(): RoomEvents {
    return new RoomEvents(this, this.#ask(() => this.#driver.openEvents()));
  }

  /** Sends a data packet of up to about 63 kB; resolves when it has left. */
  publish(payload: Uint8Array, options: PublishOptions = {}): Promise<void> {
    return quiet(this.#publish(payload, options));
  }

  async #publish(payload: Uint8Array, options: PublishOptions): Promise<void> {
    checkOptions('publish', options, { topic: 'text', to: 'texts', reliable: 'flag', signal: 'signal' });
    const { topic = '', to = [], reliable = true, signal } = options;
    await this.call({ call: 'publish', topic, to, reliable }, payload, signal);
  }

  /**
   * Sends bytes, up to 64 MiB, as one stream. Resolves with its id when all bytes have left, which
   * is before they arrive.
   */
  sendBytes(data: Uint8Array, options: SendBytesOptions): Promise<string> {
    return quiet(this.#send('send_bytes', data, options));
  }

  /** Sends text as one stream and resolves with its id, as `sendBytes`. */
  sendText(text: string, options: SendTextOptions): Promise<string> {
    return quiet((async () => this.#send('send_text', Buffer.from(requireText('the text to send', text)), options))());
  }

  /**
   * From now on the streams of a topic come in here, bytes and texts. Those that begin before are
   * dropped. Throws `InvalidArgument` if they come in elsewhere already.
   */
  receive(topic: string): IncomingStreams {
    requireText('the topic', topic);
    return new IncomingStreams(this, this.#ask(() => this.#driver.receive(topic)));
  }

  /**
   * Publishes audio; resolves when it can be given. It is published until it is taken back, or the
   * room is left. Rejects with `PermissionDenied` if the token does not grant `canPublish`, or not
   * for this source, and with `SessionTimeout` if the server does not take it.
   */
  publishAudio(options: PublishAudioOptions = {}): Promise<LocalAudioTrack> {
    return quiet(this.#publishAudio(options));
  }

  async #publishAudio(options: PublishAudioOptions): Promise<LocalAudioTrack> {
    checkOptions('publishAudio', options, { name: 'text', source: 'text', signal: 'signal' });
    const { name = 'microphone', source = 'microphone', signal } = options;
    const { fields } = await this.call({ call: 'publish_audio', name, source }, NOTHING, signal);
    return new LocalAudioTrack(this, Number(fields['track']), String(fields['sid']), name);
  }

  /**
   * Reads an audio track that another participant publishes, given it or its sid; resolves when it
   * comes in. A track that is not read is not sent to us.
   *
   * Rejects with `InvalidArgument` if there is no such track, it is read already, or there is no
   * such rate, with `PermissionDenied` if the token does not grant `canSubscribe`, and with
   * `SessionTimeout` if the server doesn't send it.
   */
  subscribe(track: Track | string, options: SubscribeOptions = {}): Promise<AudioStream> {
    return quiet(this.#subscribe(track, options));
  }

  async #subscribe(track: Track | string, options: SubscribeOptions): Promise<AudioStream> {
    checkOptions('subscribe', options, { rate: 'number', signal: 'signal' });
    const { rate = 48_000, signal } = options;
    const sid = requireText('the track', typeof track === 'object' && track !== null ? track.sid : track);
    const { fields } = await this.call({ call: 'subscribe', sid, rate }, NOTHING, signal);
    const what = camelCased(fields['track']) as Track;
    return new AudioStream(this, Number(fields['reader']), what, String(fields['from']), rate);
  }

  /**
   * Changes attributes of our own participant; an empty value removes one. It needs
   * `canUpdateMetadata`.
   */
  setAttributes(attributes: Readonly<Record<string, string>>): Promise<void> {
    return quiet(this.#setAttributes(attributes));
  }

  /**
   * Changes the metadata of our own participant, to what is not empty. It needs
   * `canUpdateMetadata`.
   */
  setMetadata(metadata: string): Promise<void> {
    return quiet(this.#setMetadata(metadata));
  }

  /**
   * Leaves the room, after what was sent has arrived or 3 s have passed. May be called again, and
   * never rejects.
   */
  close(): Promise<void> {
    this.#closing ??= quiet(
      new Promise<void>((resolve) => {
        const token = this.#expect({ resolve: () => resolve(), reject: () => resolve() });
        this.#driver.close(token);
      }),
    );
    return this.#closing;
  }

  /** The same as `close`, for `await using`. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Submits a call and the bytes that it sends. */
  call(call: object, payload: Uint8Array = NOTHING, signal?: AbortSignal): Promise<Answer> {
    return quiet(
      new Promise<Answer>((resolve, reject) => {
        signal?.throwIfAborted();
        if (!types.isUint8Array(payload)) throw invalid('what is sent has to be a Uint8Array or a Buffer');
        const json = JSON.stringify(call);
        const token = this.#expect({
          resolve: (answer) => {
            signal?.removeEventListener('abort', abort);
            resolve(answer);
          },
          reject: (error) => {
            signal?.removeEventListener('abort', abort);
            reject(error);
          },
        });
        const abort = () => {
          this.#driver.cancel(token);
          this.#settle(token)?.reject(signal?.reason);
        };
        try {
          this.#driver.submit(json, Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength), token);
          signal?.addEventListener('abort', abort, { once: true });
        } catch (error) {
          this.#settle(token)?.reject(errorFromNative(error));
        }
      }),
    );
  }

  /** @internal Lets go of a reader. */
  closeReader(reader: number): void {
    this.#driver.closeReader(reader);
  }

  async #setAttributes(attributes: Readonly<Record<string, string>>): Promise<void> {
    checkOption('setAttributes', 'the attributes', attributes ?? null, 'textObject');
    await this.call({ call: 'set_attributes', attributes });
  }

  async #setMetadata(metadata: string): Promise<void> {
    await this.call({ call: 'set_metadata', metadata: requireText('the metadata', metadata) });
  }

  async #send(call: string, data: Uint8Array, options: SendBytesOptions): Promise<string> {
    checkOptions('a send', options ?? null, {
      topic: 'text',
      to: 'texts',
      name: 'text',
      mimeType: 'text',
      attributes: 'textObject',
      compress: 'flag',
      signal: 'signal',
    });
    const { topic, to = [], name, mimeType, attributes = {}, compress = true, signal } = options;
    const sending = { call, topic, to, name, mime_type: mimeType, attributes, compress };
    const { fields } = await this.call(sending, data, signal);
    return String(fields['id']);
  }

  #snapshot(): Snapshot {
    return camelCased(JSON.parse(this.#driver.snapshot())) as Snapshot;
  }

  #ask<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw errorFromNative(error);
    }
  }

  /** Expects an answer, and keeps Node running until it is there. */
  #expect(call: Call): number {
    const token = this.#nextToken++;
    this.#calls.set(token, call);
    this.#hold();
    return token;
  }

  #settle(token: number): Call | undefined {
    const call = this.#calls.get(token);
    if (call !== undefined) {
      this.#calls.delete(token);
      this.#release();
    }
    return call;
  }

  /** Called when there are answers. Nothing may be thrown from here. */
  #drain(): void {
    for (const { token, ok, json, bytes } of this.#driver.drain()) {
      const call = this.#settle(token);
      if (ok) call?.resolve({ fields: JSON.parse(json) as Record<string, unknown>, bytes });
      else call?.reject(errorFromJson(json));
    }
  }

  #hold(): void {
    if (this.#holds++ === 0) {
      awaited.add(this);
      this.#driver.ref();
    }
  }

  #release(): void {
    if (--this.#holds === 0) {
      awaited.delete(this);
      this.#driver.unref();
    }
  }

  static {
    shareClass(this, 'Room');
  }
}

/** What comes in, one after the other. */
abstract class Reader<T> implements AsyncIterableIterator<T> {
  protected readonly room: Room;
  readonly #number: number;
  #isEnded = false;
  /** Calls of `next` go one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(room: Room, number: number) {
    this.room = room;
    this.#number = number;
  }

  /** The next, as soon as there is one. */
  next(): Promise<IteratorResult<T, undefined>> {
    const next = this.#last.then(() => this.#next());
    this.#last = next.catch(() => {});
    return quiet(next);
  }

  /** Ends the iteration; the room stays joined. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#isEnded = true;
    this.room.closeReader(this.#number);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  protected abstract decode(answer: Answer): T;

  async #next(): Promise<IteratorResult<T, undefined>> {
    if (this.#isEnded) return { done: true, value: undefined };
    const answer = await this.room.call({ call: 'next', reader: this.#number });
    if (answer.fields['end'] === true) return this.return();
    return { done: false, value: this.decode(answer) };
  }
}

/** What happens in a room; see `Room.events`. */
export class RoomEvents extends Reader<RoomEvent> {
  protected override decode({ fields, bytes }: Answer): RoomEvent {
    const event = camelCased(fields) as RoomEvent;
    return bytes === undefined ? event : ({ ...event, payload: bytes } as RoomEvent);
  }
}

/** The streams of one topic, in the order in which they began; see `Room.receive`. */
export class IncomingStreams extends Reader<IncomingStream> {
  protected override decode({ fields }: Answer): IncomingStream {
    return new IncomingStream(this.room, Number(fields['reader']), camelCased(fields['info']) as StreamInfo);
  }
}

/** A stream that comes in: iterate over its parts, or `read` it whole. */
export class IncomingStream extends Reader<Buffer> {
  /** What it says about itself. */
  readonly info: StreamInfo;

  /** @internal */
  constructor(room: Room, number: number, info: StreamInfo) {
    super(room, number);
    this.info = info;
  }

  /**
   * All of it. Rejects with `TooLarge` if it was not read fast enough, with `ProtocolError` if it
   * was broken off.
   */
  read(): Promise<Buffer> {
    return quiet(this.#read());
  }

  /** All of it, as text. */
  readText(): Promise<string> {
    return quiet(this.#read().then((all) => all.toString()));
  }

  async #read(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this) parts.push(part);
    return Buffer.concat(parts);
  }

  protected override decode({ bytes }: Answer): Buffer {
    return bytes ?? NOTHING;
  }
}

/**
 * The audio of another participant's track, in frames of usually 20 ms; see `Room.subscribe`.
 *
 * Two seconds wait for a slow reader, then the oldest is dropped. What is missing is made up as
 * well as Opus can; such frames, and the first after a longer hole, say in `lost` how much it is.
 * `time` counts from the first frame.
 */
export class AudioStream extends Reader<Frame> {
  /** What is read, as it was when it was asked for. */
  readonly track: Track;
  /** Identity of the publisher. */
  readonly from: string;
  /** Of the frames, in Hz. */
  readonly rate: number;

  /** @internal */
  constructor(room: Room, number: number, track: Track, from: string, rate: number) {
    super(room, number);
    this.track = track;
    this.from = from;
    this.rate = rate;
  }

  protected override decode({ fields, bytes }: Answer): Frame {
    // An Int16Array begins at an even place.
    const samples = new Uint8Array(bytes ?? NOTHING);
    const data = new Int16Array(samples.buffer, 0, samples.byteLength / 2);
    return new Frame(data, { rate: this.rate, time: Number(fields['time_ms']), lost: Number(fields['lost']) });
  }
}

/**
 * A track that we publish: one channel, which leaves in real time; see `Room.publishAudio`. It
 * survives reconnects; after a full one the others know it under another sid.
 */
export class LocalAudioTrack {
  /** The server's id of it when it was published. */
  readonly sid: string;
  /** What it is called. */
  readonly name: string;
  readonly #room: Room;
  readonly #number: number;

  /** @internal */
  constructor(room: Room, number: number, sid: string, name: string) {
    this.#room = room;
    this.#number = number;
    this.sid = sid;
    this.name = name;
  }

  /**
   * Writes audio of any rate and number of channels, LiveKit's own frames too; resolves once less
   * than a second of it has not left yet. It follows on what was given before; after a pause it
   * leaves at once. Rejects with `InvalidArgument` if the rate cannot become 48 kHz, or the track
   * is not published any more.
   */
  captureFrame(frame: Frame | RtcAudioFrame): Promise<void> {
    if (!types.isInt16Array((frame as Partial<Frame> | null | undefined)?.data)) {
      return quiet(Promise.reject(invalid(`the frame is ${shown(frame)}; pass one of greenroom/audio or @livekit/rtc-node`)));
    }
    const { data, rate, channels } = 'sampleRate' in frame ? Frame.fromRtc(frame) : frame;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return this.#call({ call: 'capture_frame', rate, channels }, bytes);
  }

  /** Resolves when all that was given has left. */
  waitForPlayout(): Promise<void> {
    return this.#call({ call: 'wait_for_playout' });
  }

  /** Drops queued audio, as for an interrupted speaker. */
  clearQueue(): Promise<void> {
    return this.#call({ call: 'clear_queue' });
  }

  /** Mutes it, and announces that to the room. Audio written meanwhile is dropped in real time. */
  mute(): Promise<void> {
    return this.#call({ call: 'set_muted', muted: true });
  }

  /** Ends the silence. */
  unmute(): Promise<void> {
    return this.#call({ call: 'set_muted', muted: false });
  }

  /** Takes it back; what has not left is dropped. May be called again. */
  unpublish(): Promise<void> {
    return this.#call({ call: 'unpublish' });
  }

  #call(call: object, payload?: Uint8Array): Promise<void> {
    return quiet(this.#room.call({ ...call, track: this.#number }, payload).then(() => {}));
  }
}
