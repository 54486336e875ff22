/**
 * Microphones and loudspeakers, real and virtual.
 *
 *     await using mic = await capture({ rate: 16_000 });
 *     for await (const frame of mic) meter(frame.data); // an Int16Array
 *
 *     await using speaker = await playback({ rate: 24_000 });
 *     await speaker.write(samples);
 *     await speaker.drain();
 *
 * Wherever a device is named, a virtual one may be: `null`, `file:in.wav?loop`, `file:out.wav`,
 * `tone:440`, `noise:white:-40`, `loopback:name`, `fail:after=2s`. Instead of a name, a function
 * can return the recorded or takes what is played. They go by the clock that is asked for, in real
 * time or as fast as possible, so that code that uses devices can be tested without one. What is
 * played to a loopback is recorded from it, until its playback is closed.
 *
 * Samples are 16-bit integers, the channels of an instant side by side; what is played may also be
 * floats from -1 to 1. Times are milliseconds. Importing this module opens nothing; ALSA's library
 * is looked for when a device is.
 */

import { Readable, Writable } from 'node:stream';
import { type Audio, frameOf, Frame, samplesOf } from './audio-frame.js';
import { FunctionDevice, type Sink, type Source } from './audio-function.js';
import { Stream, type AudioCallOptions, type OpenStreamOptions } from './audio-stream.js';
import { checkChannel, checkOptions, millis, type Kinds } from './checks.js';
import { CAPTURE, PLAYBACK } from './defaults.js';
import { errorFromNative, invalid } from './failures.js';
import { captures } from './live.js';
import { camelCased } from './names.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import { shareClass } from './realms.js';

export { type Audio, Frame, type FrameOptions, type RtcAudioFrame, type RtcAudioFrameClass } from './audio-frame.js';
export type { Sink, Source } from './audio-function.js';
export {
  AudioEvents,
  type AudioCallOptions,
  type AudioEvent,
  type Cause,
  type Clock,
  type Latency,
  type OpenStreamOptions,
} from './audio-stream.js';
export { noisy, type Noise, type NoisyOptions } from './noise.js';

type CaptureDriver = InstanceType<typeof native.CaptureDriver>;
type PlaybackDriver = InstanceType<typeof native.PlaybackDriver>;

/** Whether a device is recorded from or played to. */
export type Direction = 'input' | 'output';

/** A real device. */
export interface Device {
  /**
   * Its place among those of its direction, from 0; it is opened by this too, as long as the list
   * stays the same.
   */
  number: number;
  /** What it is opened by; the same as long as it is plugged in at the same place. */
  id: string;
  /** What people call it. */
  name: string;
  /** Whether it is recorded from or played to; one that does both is listed twice. */
  direction: Direction;
  /** Whether it is the one that is opened when none is named. */
  default: boolean;
  /** What it works at by itself, in Hz; other rates are made of it. */
  rate: number;
  /** The lowest and the highest rate that the system opens it at, in Hz. */
  rates: [lowest: number, highest: number];
  /** Its channels. */
  channels: number;
}

/** What a capture has done so far, in samples of each channel. */
export interface Recorded {
  /** Recorded, those included that wait to be read. */
  samples: number;
  /** Lost by the device, or while there was none. */
  lost: number;
  /** Dropped, since the reader was too slow. */
  dropped: number;
}

/** How far a playback has come, in samples of each channel; `written` is the sum of the others. */
export interface Position {
  /** Written so far. */
  written: number;
  /** Played, as far as the device reports its latency. */
  heard: number;
  /** On its way. */
  waiting: number;
  /** Cleared, or lost with a device. */
  dropped: number;
}

/** How to record. */
export interface CaptureOptions extends OpenStreamOptions {
  /**
   * An id, a name or a part of it, a number from the list of inputs, a virtual device, or a
   * function that returns the audio; the default one unless given.
   */
  device?: string | number | Source | undefined;
  /** The one channel of the device that is recorded, counted from 0, with `channels` of 1. */
  channel?: number | undefined;
  /** The length of a frame in milliseconds, 1 to 1000. 10 unless given. */
  frameMs?: number | undefined;
}

/** How to play. */
export interface PlaybackOptions extends OpenStreamOptions {
  /**
   * An id, a name or a part of it, a number from the list of outputs, a virtual device, or a
   * function that takes the audio; the default one unless given.
   */
  device?: string | number | Sink | undefined;
  /**
   * What must have been written before playing begins, and again after a silence, so that late
   * writes are not heard, in milliseconds; at most `queue`. Unless given, 40, or 5 for low latency.
   */
  jitter?: number | undefined;
}

/**
 * Opens a device to record from; frames are of 16 kHz, one channel and 10 ms unless something else
 * is asked for.
 *
 * Rejects with `DeviceNotFound` if there is no such device, with `InvalidArgument` for an invalid
 * argument and for a name that matches several, with `Busy`, `PermissionDenied` or `DeviceLost` if
 * it can't be opened or returns no samples, and with `AudioUnavailable` if no audio system is
 * available, which says what to install. What a function that is the device throws is the `cause`
 * of a `DeviceLost`.
 */
export function capture(options: CaptureOptions = {}): Promise<Capture> {
  return quiet(Capture.open(options));
}

/**
 * Opens a device to play to, at 48 kHz with one channel unless something else is asked for. Rejects
 * as `capture`.
 */
export function playback(options: PlaybackOptions = {}): Promise<Playback> {
  return quiet(Playback.open(options));
}

/** The real devices, inputs first. Rejects with `AudioUnavailable` if there is nothing to ask. */
export function devices(): Promise<Device[]> {
  const listed = native.devices().then((json) => camelCased(JSON.parse(json)) as Device[]);
  return quiet(
    listed.catch((error: unknown) => {
      throw errorFromNative(error);
    }),
  );
}

const OPEN_OPTIONS: Kinds<OpenStreamOptions & { device?: unknown }> = {
  device: 'own',
  rate: 'own',
  channels: 'own',
  queue: 'own',
  latency: 'text',
  reopen: 'own',
  timeout: 'own',
  clock: 'text',
  signal: 'signal',
};

/**
 * A microphone, or what stands for one; iterate over its frames. Frames that wait to be read are
 * kept while `queue` lasts. After the last one of a device that has an end, or once it is closed,
 * the iteration ends; it rejects with `DeviceLost` if the device was lost. Leaving the loop does
 * not close it.
 */
export class Capture extends Stream implements AsyncIterable<Frame> {
  readonly #driver: CaptureDriver;

  private constructor(options: Settings, device: unknown) {
    const isFunction = typeof device === 'function';
    super((wake) => native.capture(JSON.stringify(options), isFunction, wake));
    this.#driver = this.driver as CaptureDriver;
    captures.set(this, this.#driver);
    if (isFunction) this.function = recordedFrom(device as Source, this.#driver, options);
  }

  /** @internal */
  static async open(options: CaptureOptions): Promise<Capture> {
    checkOptions('capture', options, { ...OPEN_OPTIONS, frameMs: 'own', channel: 'own' });
    const { frameMs = CAPTURE.frameMs, channel } = options;
    checkChannel(channel);
    const checked = settings(options, CAPTURE, { frame_ms: millis('frameMs', frameMs), channel });
    return this.opened(() => new Capture(checked, options.device), options.signal);
  }

  /**
   * What the times of its frames count from, on the clock of `performance.now()`: 500 ms before it
   * was opened.
   *
   * A device may return earlier samples, and a time is never below zero.
   * `origin + frame.time + frame.duration` is never in the future, unless the device is a virtual
   * one that goes as fast as possible: there time is counted by samples.
   */
  get origin(): number {
    return performance.now() - this.ask(() => this.#driver.age());
  }

  /** What it has done so far. */
  get recorded(): Recorded {
    return JSON.parse(this.ask(() => this.#driver.recorded())) as Recorded;
  }

  /**
   * The next frame; undefined after the last. Rejects with `SessionTimeout`, and the stream goes
   * on.
   */
  read(options: AudioCallOptions = {}): Promise<Frame | undefined> {
    const read = this.until(() => this.#driver.pollFrame(), 'a frame', options);
    return quiet(read.then((polled) => frameOf(polled, this.rate, this.channels)));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame, void, undefined> {
    for (;;) {
      const frame = await this.read();
      if (frame === undefined) return;
      yield frame;
    }
  }

  /**
   * The same as a stream of bytes, the samples in this machine's order. To destroy it leaves the
   * capture open.
   */
  readable(): Readable {
    const stop = new AbortController();
    const read = () => this.read({ signal: stop.signal });
    return new Readable({
      read() {
        read().then(
          (frame) => this.push(frame === undefined ? null : bytesOf(frame.data)),
          (error: Error) => this.destroy(error),
        );
      },
      destroy(error, done) {
        stop.abort();
        done(error);
      },
    });
  }

  static {
    shareClass(this, 'Capture');
  }
}

/**
 * A loudspeaker, or what stands for one. To close it drops what has not been heard; `drain` waits
 * for it.
 */
export class Playback extends Stream {
  readonly #driver: PlaybackDriver;
  /** The waiting writers, in order. */
  readonly #writers: object[] = [];

  private constructor(options: Settings, device: unknown) {
    const isFunction = typeof device === 'function';
    super((wake) => native.playback(JSON.stringify(options), isFunction, wake));
    this.#driver = this.driver as PlaybackDriver;
    if (isFunction) this.function = playedTo(device as Sink, this.#driver, options);
  }

  /** @internal */
  static async open(options: PlaybackOptions): Promise<Playback> {
    checkOptions('playback', options, { ...OPEN_OPTIONS, jitter: 'own' });
    const { jitter } = options;
    if (jitter !== undefined && !(jitter >= 0)) throw invalid(`jitter is ${jitter}; pass milliseconds, 0 or more`);
    const checked = settings(options, PLAYBACK, { jitter_ms: jitter });
    return this.opened(() => new Playback(checked, options.device), options.signal);
  }

  /** How far it has come. */
  get position(): Position {
    return JSON.parse(this.ask(() => this.#driver.position())) as Position;
  }

  /**
   * Writes audio, and resolves once there was room for all of it: a `Frame`, an `AudioFrame` of
   * @livekit/rtc-node, an `Int16Array` or the bytes of one, or a `Float32Array`, whose samples
   * beyond -1 and 1 are clipped. What is written at once is played in order; what is given must not
   * change meanwhile.
   *
   * Rejects with `SessionTimeout` or the signal's reason, after which a part may be written; with
   * `InvalidArgument` if a frame has another rate or other channels than the playback; with
   * `DeviceLost`; with `SessionClosed`.
   */
  write(audio: Audio, options: AudioCallOptions = {}): Promise<void> {
    return quiet(this.#write(audio, options));
  }

  async #write(audio: Audio, options: AudioCallOptions): Promise<void> {
    checkOptions('write', options, { timeout: 'own', signal: 'signal' });
    const { bytes, isFloat } = samplesOf(audio, this.rate, this.channels);
    const me = {};
    let written = 0;
    const write = (): true | null => {
      while (written < bytes.length) {
        if (this.#writers[0] !== me) return null;
        const taken = this.#driver.pollWrite(bytes.subarray(written), isFloat);
        if (taken === null) return null;
        written += taken;
      }
      return true;
    };
    this.#writers.push(me);
    try {
      await this.until(write, 'room for what is written', options);
    } finally {
      this.#writers.splice(this.#writers.indexOf(me), 1);
      this.wake();
    }
  }

  /**
   * Resolves once all that was written has been heard. Rejects with `SessionTimeout`, and the
   * stream goes on.
   */
  drain(options: AudioCallOptions = {}): Promise<void> {
    const drain = async () => {
      checkOptions('drain', options, { timeout: 'own', signal: 'signal' });
      this.ask(() => this.#driver.flush());
      await this.until(() => this.#driver.pollDrained() || null, 'playing what was written', options);
    };
    return quiet(drain());
  }

  /** Drops what has not reached the device, which may go on for its own buffer of 10 to 40 ms. */
  clear(): void {
    this.ask(() => this.#driver.clear());
  }

  /**
   * The same as a stream of bytes, the samples in this machine's order. It finishes once all has
   * been heard; to destroy it leaves the playback open.
   */
  writable(): Writable {
    const stop = new AbortController();
    const { signal } = stop;
    const width = 2 * this.channels;
    // A chunk may end within a sample.
    let rest: Buffer = Buffer.alloc(0);
    return new Writable({
      write: (chunk: Buffer, _, done) => {
        const bytes = Buffer.concat([rest, chunk]);
        const whole = bytes.length - (bytes.length % width);
        rest = bytes.subarray(whole);
        this.write(bytes.subarray(0, whole), { signal }).then(() => done(), done);
      },
      final: (done) => {
        if (rest.length > 0) return done(invalid(`the stream ends within a sample: ${rest.length} bytes are left`));
        this.drain({ signal }).then(() => done(), done);
      },
      destroy(error, done) {
        stop.abort();
        done(error);
      },
    });
  }

  static {
    shareClass(this, 'Playback');
  }
}

// Not in the constructors: what wakes a stream would hold on to its driver through them, and it
// would never be collected.

function recordedFrom(source: Source, driver: CaptureDriver, { rate, channels }: Settings) {
  return new FunctionDevice(source, {
    asked: () => driver.pollWanted(),
    answer: (audio) => {
      const { bytes, isFloat } = samplesOf(audio ?? new Uint8Array(), rate, channels);
      driver.give(bytes, isFloat);
    },
    fail: (why) => driver.fail(why),
  });
}

function playedTo(sink: Sink, driver: PlaybackDriver, { rate, channels }: Settings) {
  let played = 0;
  return new FunctionDevice(sink, {
    asked: () => {
      const data = driver.pollPlayed();
      if (data === null) return null;
      const frame = new Frame(data, { rate, channels, time: (played / rate) * 1000 });
      played += frame.samples;
      return frame;
    },
    answer: () => driver.taken(),
    fail: (why) => driver.fail(why),
  });
}

/** How a stream is opened, as the addon takes it in JSON. */
interface Settings {
  rate: number;
  channels: number;
  [name: string]: unknown;
}

function settings(
  options: CaptureOptions | PlaybackOptions,
  usual: typeof PLAYBACK,
  others: Record<string, unknown>,
): Settings {
  const { device, reopen, rate = usual.rate, channels = usual.channels, queue = usual.queue } = options;
  const { timeout = usual.timeout, latency = usual.latency, clock = usual.clock } = options;
  if (!['undefined', 'string', 'function'].includes(typeof device) && !Number.isSafeInteger(device)) {
    throw invalid(`device is ${String(device)}; pass an id, a name, a number, a virtual device or a function`);
  }
  for (const [name, whole] of [['rate', rate], ['channels', channels]] as const) {
    if (!Number.isSafeInteger(whole) || whole <= 0) throw invalid(`${name} is ${whole}; it must be a whole number above 0`);
  }
  return {
    device: typeof device === 'string' || typeof device === 'number' ? String(device) : undefined,
    rate,
    channels,
    queue_ms: millis('queue', queue),
    latency,
    reopen_ms: millis('reopen', reopen),
    timeout_ms: millis('timeout', timeout),
    clock,
    ...others,
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Int16Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
