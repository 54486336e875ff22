/** A short stretch of audio, and what else may be one. */

import { shown } from './checks.js';
import { invalid } from './failures.js';

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

/** What a frame is besides its samples. */
export interface FrameOptions {
  /** In Hz. */
  rate: number;
  /** How many. One unless given. */
  channels?: number | undefined;
  /** When its first sample was recorded, in milliseconds since the stream was opened. 0 unless given. */
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
  /** When its first sample was recorded, in milliseconds since the stream was opened; see `Capture.origin`. */
  readonly time: number;
  /** How many samples of each channel are missing just before it. */
  readonly lost: number;

  constructor(data: Int16Array, { rate, channels = 1, time = 0, lost = 0 }: FrameOptions) {
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
   * The same as LiveKit's, of the class that is given: `await source.captureFrame(frame.toRtc(AudioFrame))`. The class is
   * an argument since there may be several copies of @livekit/rtc-node in a process, and it has to be that of the source.
   */
  toRtc<T>(AudioFrame: RtcAudioFrameClass<T>): T {
    return new AudioFrame(this.data, this.rate, this.channels, this.samples);
  }

  /** A frame that has the samples of LiveKit's. A playback takes those as they are. */
  static fromRtc({ data, sampleRate, channels }: RtcAudioFrame): Frame {
    return new Frame(data, { rate: sampleRate, channels });
  }
}

/** @internal A frame as the addon gives it; undefined at the end of the stream. */
export function frameOf(
  { data, time, lost }: { data?: Int16Array | undefined; time: number; lost: number },
  rate: number,
  channels: number,
): Frame | undefined {
  return data === undefined ? undefined : new Frame(data, { rate, channels, time, lost });
}

/** @internal The samples of what is to be played at this rate with these channels. */
export function samplesOf(audio: unknown, rate: number, channels: number): Int16Array {
  const samples = audio instanceof Uint8Array ? samplesOfBytes(audio) : audio;
  if (samples instanceof Int16Array) {
    if (samples.length % channels !== 0) {
      throw invalid(`${samples.length} samples are no whole number for ${channels} channels; write as many of each`);
    }
    return samples;
  }
  const frame = audio as Partial<Frame & RtcAudioFrame> | null | undefined;
  if (!(frame?.data instanceof Int16Array)) {
    throw invalid(`what is played is ${shown(audio)}; give a frame, an Int16Array or bytes of 16-bit samples`);
  }
  const given = frame.rate ?? frame.sampleRate;
  if (given !== rate || frame.channels !== channels) {
    throw invalid(
      `the frame is of ${given} Hz and ${frame.channels} channels, and the playback of ${rate} Hz and ${channels}; open the ` +
        `playback with { rate: ${given}, channels: ${frame.channels} }`,
    );
  }
  return frame.data;
}

function samplesOfBytes(bytes: Uint8Array): Int16Array {
  if (bytes.byteLength % 2 !== 0) throw invalid(`${bytes.byteLength} bytes are no whole number of 16-bit samples`);
  // An Int16Array begins at an even place.
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Int16Array(buffer, byteOffset, byteLength / 2);
}
