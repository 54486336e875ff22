/** Speech that comes while it is said, from a microphone or what stands for one. */

import { randomUUID } from 'node:crypto';
import type { AudioEvent } from './audio-stream.js';
import type { Capture } from './audio.js';
import { InvalidArgument } from './errors.js';
import { errorFromNative, invalid } from './failures.js';
import { native } from './native.js';
import { isShared } from './realms.js';
import { type Note, warn } from './speech.js';

const RATE = 48_000;

/** How long the first sound of a device is waited for, where the caller gives no timeout: as long as a turn. */
const FIRST_MS = 120_000;

/** @internal How a turn says what a device gives. */
export interface LiveOptions {
  /** Which of its channels is said, counted from 0. */
  channel: number | undefined;
  /** How much of it is said, in milliseconds. */
  duration: number | undefined;
  timeout: number | undefined;
  signal: AbortSignal | undefined;
}

/** @internal What is of the session: how it begins a turn with its first speech, and how it goes on. */
export interface LiveCalls<T> {
  begin(audio: string, live: string, signal: AbortSignal): Promise<T>;
  more(operation: object, signal: AbortSignal): Promise<unknown>;
}

/**
 * @internal The native half of every Capture, so that its notices are read without the module that only those load who
 * record. It refers to no Capture: one that nothing else refers to is collected, and closed.
 */
export const captures = new WeakMap<object, { pollEvent(): string | null }>();

/** What is odd about what was recorded, of the events that nobody has read. */
function noticesOf(capture: Capture): Note[] {
  const driver = captures.get(capture);
  const notices: Note[] = [];
  for (let polled = driver?.pollEvent() ?? null; polled !== null; polled = driver?.pollEvent() ?? null) {
    const event = JSON.parse(polled) as AudioEvent | null;
    if (event === null) break;
    if (event.type === 'notice') notices.push({ code: event.note, message: event.message });
  }
  return notices;
}

/** @internal Whether a sound is a device. */
export function isDevice(sound: unknown): sound is Capture | string {
  return isCapture(sound) || (typeof sound === 'string' && native.isVirtualDevice(sound));
}

/** @internal Has a turn that says what a device gives until it ends or the duration is over. */
export async function sayLive<T>(sound: Capture | string, calls: LiveCalls<T>, options: LiveOptions): Promise<T> {
  const stop = new AbortController();
  const abort = () => stop.abort(options.signal?.reason);
  options.signal?.throwIfAborted();
  options.signal?.addEventListener('abort', abort, { once: true });
  // As fast as possible: the session says it in its time, and no late frame tears a hole.
  const device =
    typeof sound === 'string'
      ? await (await import('./audio.js')).capture({ device: sound, rate: RATE, frameMs: 20, clock: 'fast', channel: options.channel, signal: stop.signal })
      : sound;
  try {
    // One that was opened here gives that channel alone.
    const channel = device === sound ? options.channel : undefined;
    const pieces = speech(device, { ...options, channel }, stop.signal);
    const first = await pieces.next();
    if (first.done) throw invalid('the device ended before its first sample; pass one that has audio');
    const live = randomUUID();
    const turn = calls.begin(first.value, live, stop.signal);
    const saying = sayMore(live, pieces, calls, stop.signal);
    // Whichever fails first ends both; what is said may well be over before the turn is.
    await Promise.race([turn, saying]);
    return await turn;
  } finally {
    options.signal?.removeEventListener('abort', abort);
    stop.abort();
    if (device !== sound) {
      warn(noticesOf(device), '');
      await device.close();
    }
  }
}

function isCapture(sound: unknown): sound is Capture {
  // By its brand, not by its class: that module is loaded only by its users.
  return isShared(sound, 'Capture');
}

async function sayMore<T>(live: string, pieces: AsyncIterable<string>, { more }: LiveCalls<T>, signal: AbortSignal): Promise<void> {
  try {
    for await (const audio of pieces) await more({ live, audio }, signal);
    await more({ live, last: true }, signal);
  } catch (error) {
    // A turn that is over takes no more, and tells itself how it ended.
    if (!(error instanceof InvalidArgument)) throw error;
  }
}

/** What the device gives, as it goes over the wire. */
async function* speech(
  device: Capture,
  { channel, duration, timeout = FIRST_MS }: LiveOptions,
  signal: AbortSignal,
): AsyncGenerator<string, undefined, undefined> {
  const { rate, channels } = device;
  const stream = call(() => new native.SpeechStream(rate, channels, channel));
  let left = duration === undefined ? Infinity : Math.round((duration / 1000) * rate);
  let wait: number | undefined = timeout;
  while (left > 0) {
    const frame = await device.read({ timeout: wait, signal });
    if (frame === undefined) break;
    wait = undefined;
    const { buffer, byteOffset, byteLength } = frame.data.subarray(0, Math.min(left, frame.samples) * channels);
    left -= frame.samples;
    const made = call(() => stream.take(Buffer.from(buffer, byteOffset, byteLength)));
    if (made.length > 0) yield made.toString('base64');
  }
  warn(stream.notes(), 'the sound');
  const rest = call(() => stream.finish());
  if (rest.length > 0) yield rest.toString('base64');
  return undefined;
}

function call<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw errorFromNative(error);
  }
}
