/** `Speech`: what is said aloud, and what makes one of the many things that hold sound. */

import { type Frame as AudioFrame, samplesIn, type Samples as Bytes } from './audio-frame.js';
import type { Capture } from './audio.js';
import { checkChannel, shown } from './checks.js';
import { errorFromNative, invalid } from './failures.js';
import { native } from './native.js';
import { filePath, isUrl, shareClass } from './realms.js';

const RATE = 48_000;

/** Speech as it goes to an agent and comes from it: signed 16-bit samples, 48 kHz, mono. */
export class Speech {
  /** Samples per second. */
  static readonly rate = RATE;
  /** The samples. */
  readonly samples: Int16Array;

  constructor(samples: Int16Array) {
    this.samples = samples;
  }

  /** How long it lasts, in milliseconds. */
  get durationMs(): number {
    return (this.samples.length / RATE) * 1000;
  }

  /** Writes it into a WAV file. Throws `IoError` where the system says no. */
  save(path: string | URL): void {
    call(() => native.writeWav(filePath(path), bytesOf(this.samples)));
  }

  static {
    shareClass(this, 'Speech');
  }
}

/** Samples with their rate. */
export interface Samples {
  samples: Int16Array | Float32Array | Uint8Array;
  /** Samples per second. */
  rate: number;
  /** 1 unless given; of several channels, the samples are interleaved. */
  channels?: number;
}

/** A frame of @livekit/rtc-node, or anything else that has these. */
export interface Frame {
  data: Int16Array;
  sampleRate: number;
  channels: number;
}

/**
 * Sound that is there as a whole, or a part of one. Samples are signed 16 bits (little-endian where
 * they are bytes), or floats from -1 to 1. A `Frame` of `greenroom/audio` is one too.
 */
export type Part = Int16Array | Float32Array | Uint8Array | Samples | Frame | AudioFrame;

/**
 * Sound in any of these shapes: a `Speech`; the path of a WAV file, of any rate and number of
 * channels, or its content as bytes; samples of signed 16 bits or floats, at 48 kHz unless they or
 * `rate` say otherwise; a frame of `greenroom/audio` or of @livekit/rtc-node; an iterable, or an
 * async iterable such as a Readable, of such samples or frames. For `sayAudio` also a device, which
 * is heard while it is spoken into: the name of a virtual one (`tone:440`, `loopback:x`, …), or a
 * `Capture` of `greenroom/audio`.
 *
 * Several channels become one: the one that `channel` names, counted from 0, or else the mean of
 * those that are heard, which are those at most 20 dB softer than the loudest. One that is another
 * upside down is left out. What is odd about a sound is a warning of the process (`SoundWarning`,
 * its code `GREENROOM_…`); a file that would be noise is refused.
 */
export type Sound = Speech | string | URL | Part | Iterable<Part> | AsyncIterable<Part> | Capture;

/** Synthesizes a text: returns its sound. */
export type TextToSpeech = (text: string) => Sound | Promise<Sound>;

interface Pcm extends Bytes {
  rate: number;
  channels: number;
}

/** @internal The speech in a sound. */
export async function speechOf(sound: Sound, rate: number | undefined, channel: number | undefined): Promise<Speech> {
  if (!isAsyncIterable(sound)) return gathered(sound, rate, channel);
  const parts: Part[] = [];
  for await (const part of sound) parts.push(part);
  return gathered(parts, rate, channel);
}

/** @internal The speech in a sound that is there, or comes without waiting. */
export function gathered(
  sound: Exclude<Sound, AsyncIterable<Part>>,
  rate: number | undefined,
  channel?: number | undefined,
): Speech {
  checkChannel(channel);
  if (sound instanceof Speech) {
    if (channel === undefined) return sound;
    return made('the speech', () => native.speechFromPcm(bytesOf(sound.samples), RATE, 1, false, channel));
  }
  if (typeof sound === 'string' || isUrl(sound)) {
    const path = filePath(sound);
    return made(path, () => native.speechFromWav(path, channel));
  }
  const parts: Pcm[] = [];
  if (isPart(sound)) {
    parts.push(pcm(sound, rate));
  } else if (isIterable(sound)) {
    for (const part of sound) parts.push(pcm(part, rate));
  } else {
    throw invalid(`${shown(sound)} holds no sound; pass a WAV file, samples or frames of @livekit/rtc-node`);
  }
  const [{ rate: given, channels, isFloat } = { rate: RATE, channels: 1, isFloat: false }] = parts;
  if (parts.some((part) => part.rate !== given || part.channels !== channels || part.isFloat !== isFloat)) {
    throw invalid('the parts of the sound differ in rate, channels or kind of samples; pass one format');
  }
  const bytes = Buffer.concat(parts.map((part) => part.bytes));
  return made('the sound', () => native.speechFromPcm(bytes, given, channels, isFloat, channel));
}

/** @internal Something odd about a sound. */
export interface Note {
  code: string;
  message: string;
}

/** @internal Warns of what is odd about a sound. */
export function warn(notes: Note[], what: string): void {
  for (const { code, message } of notes) {
    const text = what === '' ? message : `${what}: ${message}`;
    process.emitWarning(text, { type: 'SoundWarning', code: `GREENROOM_${code.toUpperCase()}` });
  }
}

function made(what: string, make: () => { samples: Buffer; notes: Note[] }): Speech {
  const { samples, notes } = call(make);
  warn(notes, what);
  return speech(samples);
}

/** @internal Speech from the JSON of the core. */
export function decoded(text: string): Speech {
  return speech(Buffer.from(text, 'base64'));
}

/** @internal Speech for the JSON of the core. */
export function encoded({ samples }: Speech): string {
  return bytesOf(samples).toString('base64');
}

/** @internal Speech from its bytes. */
export function speech(bytes: Buffer): Speech {
  // A copy is aligned, and shares nothing with Node's pool.
  return new Speech(new Int16Array(new Uint8Array(bytes).buffer));
}

/** @internal The bytes of samples, without a copy. */
export function bytesOf({ buffer, byteOffset, byteLength }: Int16Array | Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function isPart(sound: unknown): sound is Part {
  if (samplesIn(sound) !== undefined) return true;
  return typeof sound === 'object' && sound !== null && ('sampleRate' in sound || 'samples' in sound);
}

function isIterable(sound: unknown): sound is Iterable<Part> {
  return typeof sound === 'object' && sound !== null && Symbol.iterator in sound;
}

function isAsyncIterable(sound: unknown): sound is AsyncIterable<Part> {
  return typeof sound === 'object' && sound !== null && Symbol.asyncIterator in sound;
}

function pcm(part: Part, rate: number | undefined): Pcm {
  const samples = samplesIn(part);
  if (samples !== undefined) return { ...samples, rate: rate ?? RATE, channels: 1 };
  if (isPart(part)) {
    const { samples: own, data, sampleRate, rate: told, channels = 1 } = part as Partial<Samples & Frame>;
    const held = samplesIn(own) ?? samplesIn(data);
    const heldRate = told ?? sampleRate;
    if (held !== undefined && heldRate !== undefined) return { ...held, rate: heldRate, channels };
  }
  throw invalid(`${shown(part)} holds no sound; pass samples or frames of @livekit/rtc-node`);
}

/** @internal The native half's result or error. */
export function call<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw errorFromNative(error);
  }
}
