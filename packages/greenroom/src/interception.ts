/** A guard before what others do with a Room, on one topic. */

import { readFile } from 'node:fs/promises';
import { errorOf } from './failures.js';
import {
  behindGuard,
  sendsOf,
  type LocalParticipant,
  type RoomLike,
  type SendOptions,
  type StreamHandler,
  type Writer,
} from './rtc.js';

/** @internal Stands between a Room and those who use it for a topic. */
export interface Guard {
  /** Whether what others send on the topic goes to `sends`, not out. */
  readonly isGuarding: boolean;
  /** Somebody wants the streams of the topic. */
  registered(handler: StreamHandler): void;
  /** Somebody does not want them any more. */
  unregistered(): void;
  /** Somebody sends on the topic. */
  sends(message: Uint8Array, destinations: readonly string[]): Promise<void>;
}

/**
 * @internal Puts a guard before one topic of a Room, on that very object, until `restore`. It stands before whatever is
 * the Room's local participant, which may not be there yet, and is another one after each `connect`.
 */
export class Interception {
  readonly #room: RoomLike;
  readonly #topic: string;
  readonly #guard: Guard;
  readonly #undo: (() => void)[] = [];
  #isOn = true;
  #local: LocalParticipant | undefined;
  #undoLocal: (() => void)[] = [];

  constructor(room: RoomLike, topic: string, guard: Guard) {
    this.#room = room;
    this.#topic = topic;
    this.#guard = guard;
    const { registerByteStreamHandler, unregisterByteStreamHandler } = room;
    const register = (name: string, handler: StreamHandler) => {
      if (this.#isOn && name === topic) guard.registered(handler);
      else registerByteStreamHandler.call(room, name, handler);
    };
    const unregister = (name: string) => {
      if (this.#isOn && name === topic) guard.unregistered();
      else unregisterByteStreamHandler.call(room, name);
    };
    this.#undo.push(replace(room, 'registerByteStreamHandler', register));
    this.#undo.push(replace(room, 'unregisterByteStreamHandler', unregister));
    this.#watchLocal();
  }

  /** Gives the Room back as it was. What somebody else has put before the guard since stays, and finds none behind it. */
  restore(): void {
    this.#isOn = false;
    this.#unguardLocal();
    for (const undo of this.#undo.splice(0)) undo();
  }

  #watchLocal(): void {
    const room = this.#room;
    const before = Object.getOwnPropertyDescriptor(room, 'localParticipant');
    this.#guardLocal(room.localParticipant);
    Object.defineProperty(room, 'localParticipant', {
      configurable: true,
      enumerable: true,
      get: () => this.#local,
      set: (participant: LocalParticipant | undefined) => this.#guardLocal(participant),
    });
    this.#undo.push(() => {
      delete room.localParticipant;
      if (before !== undefined) Object.defineProperty(room, 'localParticipant', { ...before, value: this.#local });
      else if (this.#local !== undefined) room.localParticipant = this.#local;
    });
  }

  #guardLocal(participant: LocalParticipant | undefined): void {
    this.#unguardLocal();
    this.#local = participant;
    if (participant === undefined) return;
    const sends = sendsOf(participant);
    behindGuard.set(participant, sends);
    const { streamBytes, sendFile, sendBytes } = sends;
    const known = new Set(['streamBytes', 'sendFile', 'sendBytes']);
    const isGuarded = (options: SendOptions | undefined) =>
      this.#isOn && options?.topic === this.#topic && this.#guard.isGuarding;
    const give = (message: Uint8Array, options: SendOptions | undefined) =>
      this.#guard.sends(message, options?.destinationIdentities ?? []);
    const put = (name: string, by: unknown) => this.#undoLocal.push(replace(participant, name, by));
    if (streamBytes !== undefined) {
      put('streamBytes', async (options?: SendOptions) =>
        isGuarded(options) ? new GuardedWriter((message) => give(message, options)) : streamBytes(options),
      );
    }
    if (sendFile !== undefined) {
      put('sendFile', async (path: string | URL, options?: SendOptions) =>
        isGuarded(options) ? give(await readFile(path), options) : sendFile(path, options),
      );
    }
    if (sendBytes !== undefined) {
      put('sendBytes', async (data: Uint8Array, options?: SendOptions) =>
        isGuarded(options) ? give(data, options) : sendBytes(data, options),
      );
    }
    for (const [name, method] of sendingMethods(participant)) {
      if (known.has(name)) continue;
      // What a later release adds, the guard does not know: it lets nothing of the topic out.
      put(name, (...args: unknown[]) => {
        if (args.some((argument) => isGuarded(argument as SendOptions | undefined))) throw unguarded(name, this.#topic);
        return method.apply(participant, args);
      });
    }
  }

  #unguardLocal(): void {
    for (const undo of this.#undoLocal.splice(0)) undo();
    if (this.#local !== undefined) behindGuard.delete(this.#local);
  }
}

/** @internal A complete message as a byte stream's reader, for a handler that somebody else registered. */
export class MessageReader {
  readonly info: object;
  onProgress: ((progress: number | undefined) => void) | undefined;
  /** Whether somebody reads it. */
  isRead = false;
  readonly #message: Uint8Array;

  constructor(topic: string, message: Uint8Array) {
    this.#message = message;
    const stream = { streamId: 'greenroom', name: 'AS_greenroom', topic, mimeType: 'application/octet-stream' };
    this.info = { ...stream, timestamp: Date.now(), totalSize: message.length, attributes: {} };
  }

  async readAll(): Promise<Uint8Array[]> {
    this.isRead = true;
    return [this.#message];
  }

  async close(): Promise<void> {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    this.isRead = true;
    yield this.#message;
  }
}

/** What somebody gets who opens a stream on the guarded topic. */
class GuardedWriter implements Writer {
  readonly info = { name: 'AS_greenroom' };
  readonly #give: (message: Uint8Array) => Promise<void>;
  readonly #chunks: Uint8Array[] = [];

  constructor(give: (message: Uint8Array) => Promise<void>) {
    this.#give = give;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#chunks.push(chunk.slice());
  }

  async close(): Promise<void> {
    return this.#give(Buffer.concat(this.#chunks.splice(0)));
  }
}

/** The methods by which a participant may send something under a topic. */
function sendingMethods(participant: object): Map<string, (...args: unknown[]) => unknown> {
  const methods = new Map<string, (...args: unknown[]) => unknown>();
  for (let at = participant; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      // Those that begin with sendStream are the parts of streamBytes itself, and are given no options.
      const isSend = /^(send(?!Stream)|stream|publish)/.test(name);
      if (typeof value === 'function' && isSend && !methods.has(name)) methods.set(name, value);
    }
  }
  return methods;
}

function unguarded(name: string, topic: string): Error {
  return errorOf(
    'unsupported',
    `the guard of this Room knows nothing of what is sent by ${name}, so it lets nothing out that way on the topic ${topic}: ` +
      'upgrade greenroom, or send on another topic',
  );
}

/** Puts a method of an object's own before the one that it has. Gives the way back. */
function replace(object: object, name: string, by: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { configurable: true, enumerable: false, writable: true, value: by });
  return () => {
    if ((object as Record<string, unknown>)[name] !== by) return;
    delete (object as Record<string, unknown>)[name];
    if (before !== undefined) Object.defineProperty(object, name, before);
  };
}
