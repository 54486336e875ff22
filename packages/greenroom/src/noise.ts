/** Noise for tests, seeded. */

import { checkOptions, requireText, shown } from './checks.js';
import { invalid } from './failures.js';
import { native } from './native.js';
import { bytesOf, call, gathered, speech, type Part, type Sound, type Speech } from './speech.js';

/**
 * Kinds of noise: as strong at every frequency; eight voices at once, none of which is understood;
 * about eight clicks a second of 3 to 30 ms, as of doors and cups.
 */
export type Noise = 'white' | 'babble' | 'impulses';

/** How noisy speech is. */
export interface NoisyOptions {
  /** How many dB the speech is above the noise, -60 to 120; pauses do not count as speech. */
  snr: number;
  /** The same seed makes the same noise, from 0 to 4294967295. 0 unless given. */
  seed?: number | undefined;
  /** Rate of samples that don't contain theirs, in Hz. Default: 48000. */
  rate?: number | undefined;
  /**
   * Of several channels, the one that is taken, counted from 0; those that are heard unless given.
   */
  channel?: number | undefined;
}

/**
 * Speech in noise, for tests of what an agent still understands:
 *
 *     const turn = await session.say('hello', { tts: (text) => noisy(voice(text), 'babble', { snr: 10 }) });
 *
 * The noise is below 8 kHz, which is what speech models hear, and lasts as long as the sound. If
 * the sum is too loud for 16 bits all of it is made softer. Throws `InvalidArgument` if there is no
 * sound or no such noise in the arguments, `IoError` if the file cannot be read, `TooLarge` if the
 * sound is longer than 3 minutes.
 */
export function noisy(sound: Exclude<Sound, AsyncIterable<Part>>, noise: Noise, options: NoisyOptions): Speech {
  requireText('noise', noise);
  checkOptions('noisy', options, { snr: 'own', seed: 'own', rate: 'own', channel: 'own' });
  const { snr, seed = 0, rate, channel } = options ?? {};
  if (typeof snr !== 'number') throw invalid(`snr is ${shown(snr)}; pass the ratio of speech to noise in dB`);
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    throw invalid(`seed is ${shown(seed)}; pass a whole number from 0 to 4294967295`);
  }
  const { samples } = gathered(sound, rate, channel);
  return speech(call(() => native.noisy(bytesOf(samples), noise, snr, seed)));
}
