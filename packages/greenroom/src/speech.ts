/** `Speech`: what is said aloud, and what makes one of the many things that hold sound. */

import { fileURLToPath } from 'node:url';
import { shown } from './checks.js';
import { errorFromNative, invalid } from './failures.js';
import { native } from './native.cjs';

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
    call(() => native.writeWav(pathOf(path), bytesOf(this.samples)));
  }
}

/** Samples with their rate. */
export interface Samples {
  samples: Int16Array | Uint8Array;
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

/** Sound that is there as a whole, or a part of one. Samples are signed 16 bits (little-endian where they are bytes). */
export type Part = Int16Array | Uint8Array | Samples | Frame;

/**
 * Sound in any of these shapes: a `Speech`; the path of a WAV file, of any rate and number of channels, or its content as
 * bytes; signed 16-bit samples, at 48 kHz unless they or `rate` say otherwise; a frame of @livekit/rtc-node; an iterable,
 * or an async iterable such as a Readable, of such samples or frames.
 */
export type Sound = Speech | string | URL | Part | Iterable<Part> | AsyncIterable<Part>;

/** Says a text: gives its sound. */
export type TextToSpeech = (text: string) => Sound | Promise<Sound>;

interface Pcm {
  bytes: Uint8Array;
  rate: number;
  channels: number;
}

/** @internal The speech in a sound. */
export async function speechOf(sound: Sound, rate: number | undefined): Promise<Speech> {
  if (!isAsyncIterable(sound)) return gathered(sound, rate);
  const parts: Part[] = [];
  for await (const part of sound) parts.push(part);
  return gathered(parts, rate);
}

/** @internal The speech in a sound that is there, or comes without waiting. */
export function gathered(sound: Exclude<Sound, AsyncIterable<Part>>, rate: number | undefined): Speech {
  if (sound instanceof Speech) return sound;
  if (typeof sound === 'string' || sound instanceof URL) {
    return speech(call(() => native.speechFromWav(pathOf(sound))));
  }
  const parts: Pcm[] = [];
  if (isPart(sound)) {
    parts.push(pcm(sound, rate));
  } else if (isIterable(sound)) {
    for (const part of sound) parts.push(pcm(part, rate));
  } else {
    throw invalid(`${shown(sound)} holds no sound; give a WAV file, 16-bit samples or frames of @livekit/rtc-node`);
  }
  const [first = { rate: RATE, channels: 1 }] = parts;
  if (parts.some((part) => part.rate !== first.rate || part.channels !== first.channels)) {
    throw invalid('the parts of the sound differ in rate and channels; give one format');
  }
  const bytes = Buffer.concat(parts.map((part) => part.bytes));
  if (bytes.subarray(0, 4).toString('latin1') === 'RIFF') return speech(call(() => native.speechFromWavBytes(bytes)));
  return speech(call(() => native.speechFromPcm(bytes, first.rate, first.channels)));
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
  if (sound instanceof Int16Array || sound instanceof Uint8Array) return true;
  return typeof sound === 'object' && sound !== null && ('sampleRate' in sound || 'samples' in sound);
}

function isIterable(sound: unknown): sound is Iterable<Part> {
  return typeof sound === 'object' && sound !== null && Symbol.iterator in sound;
}

function isAsyncIterable(sound: unknown): sound is AsyncIterable<Part> {
  return typeof sound === 'object' && sound !== null && Symbol.asyncIterator in sound;
}

function pcm(part: Part, rate: number | undefined): Pcm {
  if (part instanceof Int16Array || part instanceof Uint8Array) {
    return { bytes: bytesOf(part), rate: rate ?? RATE, channels: 1 };
  }
  if (isPart(part) && 'sampleRate' in part) {
    return { bytes: bytesOf(part.data), rate: part.sampleRate, channels: part.channels };
  }
  if (isPart(part) && (part.samples instanceof Int16Array || part.samples instanceof Uint8Array)) {
    return { bytes: bytesOf(part.samples), rate: part.rate, channels: part.channels ?? 1 };
  }
  throw invalid(`${shown(part)} holds no sound; give 16-bit samples or frames of @livekit/rtc-node`);
}

function pathOf(path: string | URL): string {
  return path instanceof URL ? fileURLToPath(path) : path;
}

/** @internal What the native part gives or throws. */
export function call<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw errorFromNative(error);
  }
}
