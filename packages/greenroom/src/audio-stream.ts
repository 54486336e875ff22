/** What recording and playing have in common. */

import { setImmediate as turn } from 'node:timers/promises';
import { checkOptions, millis, type Kinds } from './checks.js';
import type { FunctionDevice } from './audio-function.js';
import { DeviceLost } from './errors.js';
import { errorFromNative, errorOf } from './failures.js';
import { camelCased } from './names.js';
import { quiet } from './promises.js';
import { MAX_TIMER_MS } from './timer.js';

/**
 * How much delay a stream takes on for steadiness: blocks of 10 ms to record and of 20 ms to play
 * behind a jitter buffer of 40 ms, or blocks of 5 ms, which may cause gaps on a busy machine.
 */
export type Latency = 'normal' | 'low';

/** What a virtual device goes by: as a real device does, or as fast as it is read or written. */
export type Clock = 'real_time' | 'fast';

/** The cause of lost samples: the device or system, a slow reader, or a late writer. */
export type Cause = 'device' | 'reader' | 'writer';

/** How a stream is opened. */
export interface OpenStreamOptions {
  /** In Hz; the device's own may be another. */
  rate?: number | undefined;
  /**
   * How many channels. To record, one is the mean of the device's that are heard, which are those
   * at most 20 dB softer than the loudest; of several, each is the device's of that number.
   */
  channels?: number | undefined;
  /**
   * Length of the queue in milliseconds, up to a minute; default 1000. Writers wait for room. A
   * slow reader loses the oldest audio: it is counted in the next frame's `lost`, and reported by a
   * `gap` event.
   */
  queue?: number | undefined;
  /** How much delay is taken on. */
  latency?: Latency | undefined;
  /**
   * How long a device that is lost is looked for again, in milliseconds, each time; not at all
   * unless given.
   */
  reopen?: number | undefined;
  /**
   * How long a real device may take to open, and then to its first sample, in milliseconds. 5000
   * unless given.
   */
  timeout?: number | undefined;
  /** The clock of a virtual device. */
  clock?: Clock | undefined;
  /** Gives up; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** How long something is waited for. */
export interface AudioCallOptions {
  /** In milliseconds; for ever unless given. */
  timeout?: number | undefined;
  /** Gives up waiting: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

const CALL_OPTIONS: Kinds<AudioCallOptions> = { timeout: 'own', signal: 'signal' };

/** Something that happened to a stream besides audio. */
export type AudioEvent =
  /**
   * Something is odd about what is recorded: about the file that is the device, or its channels.
   * `note` is a stable name.
   */
  | { type: 'notice'; note: string; message: string }
  /** Samples were lost: their count per channel and the cause. */
  | { type: 'gap'; samples: number; cause: Cause }
  /**
   * The device is gone. It is looked for again if `reopen` says so; otherwise the stream ends with
   * `DeviceLost`.
   */
  | { type: 'lost'; device: string; why: string }
  /**
   * A device is open again, after so many milliseconds; another one perhaps, where the default one
   * was asked for.
   */
  | { type: 'reopened'; device: string; afterMs: number }
  /**
   * The system's default device is another. A stream that was opened on it follows, if `reopen`
   * lets it.
   */
  | { type: 'device_changed'; from: string; to: string }
  /** Count of events that were dropped because they were not read; 256 are kept. */
  | { type: 'missed'; count: number };

/** The addon's part of a stream. Nothing here waits, but for `waitClosed`. */
interface Driver {
  about(): string | null;
  pollEvent(): string | null;
  close(): void;
  pollClosed(): boolean;
  waitClosed(timeout: number): boolean;
  ref(): void;
  unref(): void;
}

/**
 * How many answers that are there already are given before others on the event loop have a turn.
 */
const TURN = 16;

/** How long the process' exit waits for a device to close. */
const EXIT_MS = 3000;

// Node 20 before 20.4 has no such symbol; compilers of `await using` provide this one.
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/** Streams that something waits for. Others may be garbage-collected, and are closed then. */
const awaited = new Set<Stream>();

/** What the process' exit closes, so that a file that is written is whole. */
const open = new Set<WeakRef<Driver>>();
const collected = new FinalizationRegistry<WeakRef<Driver>>((driver) => open.delete(driver));
let closesAtExit = false;

/** A stream from or to a device. It keeps Node running only while something of it is awaited. */
export abstract class Stream {
  /** @internal */
  protected readonly driver: Driver;
  /** @internal The function that its device is, if it is one. */
  protected function: Pick<FunctionDevice<never, never>, 'serve' | 'failure'> | undefined;
  readonly #reference: WeakRef<Driver>;
  readonly #news = new Set<() => void>();
  #rate = 0;
  #channels = 0;
  #atOnce = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  protected constructor(begin: (wake: () => void) => Driver) {
    // The driver holds on to what wakes it: a reference to the stream there would keep it from
    // being collected.
    const self = new WeakRef(this);
    this.driver = this.ask(() => begin(() => self.deref()?.wake()));
    this.#reference = new WeakRef(this.driver);
    open.add(this.#reference);
    collected.register(this.driver, this.#reference);
    if (!closesAtExit) process.once('exit', closeAll);
    closesAtExit = true;
  }

  /** @internal A stream that is open. */
  protected static async opened<T extends Stream>(begin: () => T, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    const stream = begin();
    try {
      const about = await stream.until(() => stream.driver.about(), 'opening', { signal });
      ({ rate: stream.#rate, channels: stream.#channels } = JSON.parse(about) as { rate: number; channels: number });
      return stream;
    } catch (error) {
      // A cancelled caller doesn't wait for a device that doesn't answer.
      stream.driver.close();
      open.delete(stream.#reference);
      throw error;
    }
  }

  /** Of its samples, in Hz. */
  get rate(): number {
    return this.#rate;
  }

  /** Of its samples. */
  get channels(): number {
    return this.#channels;
  }

  /** The id of the device that is open, or was last. */
  get device(): string {
    const about = this.ask(() => this.driver.about());
    return (JSON.parse(about ?? '{}') as { device: string }).device;
  }

  /**
   * What happens besides audio, for `for await`; it ends with the stream. Each event goes to one
   * reader.
   */
  events(): AudioEvents {
    return new AudioEvents(({ signal }) => this.until(() => this.driver.pollEvent(), 'an event', { signal }));
  }

  /**
   * Closes the device, and resolves once it is closed. May be called again. Rejects with
   * `SessionTimeout` if the device does not let go, and with what a playback ended with, so that
   * not all of it was heard or is in its file.
   */
  close(): Promise<void> {
    this.#closing ??= quiet(this.#close());
    return this.#closing;
  }

  /** The same as `close`, for `await using`. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Returns the first result of `poll`. */
  protected until<T>(poll: () => T | null, what: string, options: AudioCallOptions): Promise<T> {
    return quiet(this.#checked(poll, what, options));
  }

  /** @internal Asks the addon. */
  protected ask<T>(step: () => T): T {
    try {
      return step();
    } catch (thrown) {
      const error = errorFromNative(thrown);
      if (error instanceof DeviceLost && this.function?.failure !== undefined) error.cause = this.function.failure.cause;
      throw error;
    }
  }

  /** @internal Called when it is time to ask again. Nothing may be thrown from here. */
  protected wake(): void {
    this.function?.serve();
    for (const ready of [...this.#news]) ready();
  }

  async #checked<T>(poll: () => T | null, what: string, options: AudioCallOptions): Promise<T> {
    checkOptions('a call of a stream', options, CALL_OPTIONS);
    return this.#until(poll, what, options);
  }

  async #close(): Promise<void> {
    this.ask(() => this.driver.close());
    try {
      await this.until(() => this.driver.pollClosed() || null, 'closing', {});
    } finally {
      open.delete(this.#reference);
    }
  }

  async #until<T>(poll: () => T | null, what: string, { timeout, signal }: AudioCallOptions): Promise<T> {
    const limit = millis('timeout', timeout);
    const deadline = limit === null ? Infinity : performance.now() + limit;
    if (++this.#atOnce > TURN) {
      this.#atOnce = 0;
      await turn();
    }
    for (;;) {
      signal?.throwIfAborted();
      const found = this.ask(poll);
      if (found !== null) return found;
      this.#atOnce = 0;
      const left = deadline - performance.now();
      if (left <= 0) throw errorOf('timeout', `${what} took longer than ${limit} ms`);
      await this.#wait(left, signal);
    }
  }

  /** Waits until it may be time to ask again, for so many milliseconds at most. */
  #wait(most: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const ready = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', ready);
        this.#news.delete(ready);
        if (this.#news.size === 0) {
          awaited.delete(this);
          this.driver.unref();
        }
        resolve();
      };
      const timer = most < MAX_TIMER_MS ? setTimeout(ready, Math.ceil(most)) : undefined;
      signal?.addEventListener('abort', ready, { once: true });
      if (this.#news.size === 0) {
        awaited.add(this);
        this.driver.ref();
      }
      this.#news.add(ready);
    });
  }
}

/** What happens to a stream besides audio; see `Capture.events`. */
export class AudioEvents implements AsyncIterableIterator<AudioEvent> {
  readonly #read: (options: AudioCallOptions) => Promise<string>;
  readonly #stop = new AbortController();

  /** @internal */
  constructor(read: (options: AudioCallOptions) => Promise<string>) {
    this.#read = read;
  }

  /** The next event, as soon as there is one. */
  next(): Promise<IteratorResult<AudioEvent, undefined>> {
    return quiet(this.#next());
  }

  /** Ends the iteration; a `next` that waits ends too. The stream goes on. */
  return(): Promise<IteratorResult<AudioEvent, undefined>> {
    this.#stop.abort();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<AudioEvent, undefined>> {
    const { signal } = this.#stop;
    try {
      const event = camelCased(JSON.parse(await this.#read({ signal }))) as AudioEvent | null;
      return event === null ? { done: true, value: undefined } : { done: false, value: event };
    } catch (error) {
      if (signal.aborted) return { done: true, value: undefined };
      throw error;
    }
  }
}

/** At process exit: closes all open streams at once and waits for them. */
function closeAll(): void {
  const drivers = [...open].flatMap((reference) => reference.deref() ?? []);
  const end = performance.now() + EXIT_MS;
  for (const driver of drivers) attempt(() => driver.close());
  for (const driver of drivers) attempt(() => driver.waitClosed(Math.max(1, end - performance.now())));
}

/** Ignores errors, since no caller is left. */
function attempt(step: () => unknown): void {
  try {
    step();
  } catch {
    // The next one is closed all the same.
  }
}
