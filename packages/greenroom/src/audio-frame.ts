/** A short stretch of audio, and what else may be one. */

import { types } from 'node:util';
import { checkOptions, shown } from './checks.js';
import { invalid } from './failures.js';
import { shareClass } from './realms.js';

/** An `AudioFrame` of @livekit/rtc-node. */
export interface RtcAudioFrame {
  data: Int16Array;
  sampleRate: number;
  channels: number;
  samplesPerChannel: number;
}

/** The class `AudioFrame` of @livekit/rtc-node. */
export type RtcAudioFrameClass<T> = new (
  data: Int16Array,
  sampleRate: number,
  channels: number,
  samplesPerChannel: number,
) => T;

/**
 * Samples are 16-bit integers, or floats from -1 to 1, the channels of an instant side by side;
 * bytes are of 16-bit integers.
 */
export type Audio = Frame | RtcAudioFrame | Int16Array | Float32Array | Uint8Array;

/** What a frame is besides its samples. */
export interface FrameOptions {
  /** In Hz. */
  rate: number;
  /** How many. One unless given. */
  channels?: number | undefined;
  /** When its first sample was recorded, in milliseconds since `Capture.origin`. 0 unless given. */
  time?: number | undefined;
  /** How many samples of each channel are missing just before it. 0 unless given. */
  lost?: number | undefined;
}

/** A short stretch of audio. */
export class Frame {
  /** The samples, the channels of an instant side by side. */
  readonly data: Int16Array;
  /** In Hz. */
  readonly rate: number;
  /** How many. */
  readonly channels: number;
  /** When its first sample was recorded, in milliseconds since `Capture.origin`. */
  readonly time: number;
  /** How many samples of each channel are missing just before it. */
  readonly lost: number;

  constructor(data: Int16Array, options: FrameOptions) {
    checkOptions('Frame', options, { rate: 'number', channels: 'number', time: 'number', lost: 'number' });
    const { rate, channels = 1, time = 0, lost = 0 } = options ?? {};
    if (rate === undefined) throw invalid('Frame: rate is missing; pass the samples per second');
    this.data = data;
    this.rate = rate;
    this.channels = channels;
    this.time = time;
    this.lost = lost;
  }

  /** How many samples each channel has. */
  get samples(): number {
    return this.data.length / this.channels;
  }

  /** Its length in milliseconds. */
  get duration(): number {
    return (this.samples / this.rate) * 1000;
  }

  /**
   * The same as LiveKit's, of the class that is given:
   * `await source.captureFrame(frame.toRtc(AudioFrame))`. The class is an argument since there may
   * be several copies of @livekit/rtc-node in a process, and it has to be that of the source.
   */
  toRtc<T>(AudioFrame: RtcAudioFrameClass<T>): T {
    return new AudioFrame(this.data, this.rate, this.channels, this.samples);
  }

  /** A frame that has the samples of LiveKit's. A playback takes those as they are. */
  static fromRtc({ data, sampleRate, channels }: RtcAudioFrame): Frame {
    return new Frame(data, { rate: sampleRate, channels });
  }

  static {
    shareClass(this, 'Frame');
  }
}

/** @internal The addon's frame; undefined at the end of the stream. */
export function frameOf(
  { data, time, lost }: { data?: Int16Array | undefined; time: number; lost: number },
  rate: number,
  channels: number,
): Frame | undefined {
  return data === undefined ? undefined : new Frame(data, { rate, channels, time, lost });
}

/** @internal Samples as the addon takes them. */
export interface Samples {
  bytes: Uint8Array;
  /** Whether they are floats of 32 bits, and not integers of 16 bits. */
  isFloat: boolean;
}

/** @internal The samples of what is to be played at this rate with these channels. */
export function samplesOf(audio: unknown, rate: number, channels: number): Samples {
  const samples = samplesIn(audio) ?? samplesOfFrame(audio as Partial<Frame & RtcAudioFrame> | null | undefined, rate, channels);
  const width = (samples.isFloat ? 4 : 2) * channels;
  const { byteLength } = samples.bytes;
  if (byteLength % width !== 0) {
    throw invalid(`${byteLength} bytes are no whole number of ${samples.isFloat ? 32 : 16}-bit samples for ${channels} channels`);
  }
  return samples;
}

/** @internal The samples in an array of those; undefined for anything else. */
export function samplesIn(array: unknown): Samples | undefined {
  if (!types.isFloat32Array(array) && !types.isInt16Array(array) && !types.isUint8Array(array)) return undefined;
  const isFloat = types.isFloat32Array(array);
  return { bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength), isFloat };
}

function samplesOfFrame(frame: Partial<Frame & RtcAudioFrame> | null | undefined, rate: number, channels: number): Samples {
  const samples = types.isInt16Array(frame?.data) ? samplesIn(frame.data) : undefined;
  if (samples === undefined) {
    throw invalid(`the audio is ${shown(frame)}; pass a frame, an Int16Array, a Float32Array or bytes of 16-bit samples`);
  }
  const given = frame?.rate ?? frame?.sampleRate;
  if (given !== rate || frame?.channels !== channels) {
    throw invalid(
      `the frame is of ${given} Hz and ${frame?.channels} channels, and the stream of ${rate} Hz and ${channels}; open the ` +
        `stream with { rate: ${given}, channels: ${frame?.channels} }`,
    );
  }
  return samples;
}
