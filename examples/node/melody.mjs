// A voice for agents that needs no key and no network: text as a melody, and back.
//
// Every byte of the text is two tones of 12 ms, each of which differs from the one before it; two
// tones of their own frame the whole, and a checksum detects errors. Recognized text was therefore
// in the sound: there is no other path from the voice to the recognizer.
//
// It is no speech and does not want to be: it stands in for a TTS, an STT and a VAD where a test or
// an example needs an agent that hears and talks. `melody.py` speaks the same language.

import { randomUUID } from 'node:crypto';
import { VAD, VADEventType, VADStream, stt, tts } from '@livekit/agents';
import { AudioFrame, combineAudioFrames } from '@livekit/rtc-node';

export const RATE = 24000;

const TONE_SECONDS = 0.012;
/** How long the tones at both ends are. */
const FRAME_SECONDS = 0.024;
/** Silence after the melody: the SDKs' resamplers keep the last 40 ms to themselves. */
const TAIL_SECONDS = 0.08;
/** Tones of the text: one more than the values of half a byte, so that no tone follows itself. */
const DATA = 17;
const START = DATA;
const END = DATA + 1;
const TONES = Array.from({ length: DATA + 2 }, (_, tone) => 600 + 250 * tone);
const LOUDNESS = 0.4;
/** What is quieter than this, of full scale, is silence. */
const AUDIBLE = 0.005;
/** A silence of this length ends an incomplete melody. */
const LONGEST_PAUSE_SECONDS = 0.15;

/** The melody of a text: signed 16 bits, mono, at 48 kHz unless `rate` says otherwise. */
export function sing(text, rate = 48000) {
  const data = new TextEncoder().encode(text);
  const tones = [[START, FRAME_SECONDS]];
  let last = DATA - 1;
  for (const byte of [...data, checksum(data)]) {
    for (const half of [byte >> 4, byte & 15]) {
      last = (last + 1 + half) % DATA;
      tones.push([last, TONE_SECONDS]);
    }
  }
  tones.push([END, FRAME_SECONDS]);
  const length = tones.reduce((sum, [, seconds]) => sum + Math.round(seconds * rate), 0);
  const samples = new Int16Array(length + Math.round(TAIL_SECONDS * rate));
  let at = 0;
  // One wave whose frequency changes, so that nothing clicks.
  let phase = 0;
  for (const [tone, seconds] of tones) {
    for (let left = Math.round(seconds * rate); left > 0; left--) {
      phase += (2 * Math.PI * TONES[tone]) / rate;
      samples[at++] = Math.round(LOUDNESS * Math.sin(phase) * 32767);
    }
  }
  return samples;
}

/** The texts in a recording, one for each melody; one that was not understood ends in `…`. */
export function listen(samples, rate = 48000) {
  const ear = new Ear(rate);
  const heard = [...ear.hear(samples), ...ear.hear(new Int16Array(rate))];
  return heard.filter(({ kind }) => kind === 'all').map(({ text }) => text);
}

function checksum(data) {
  let crc = 0;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = ((crc & 0x80 ? (crc << 1) ^ 0x07 : crc << 1) & 0xff) >>> 0;
  }
  return crc;
}

/** Finds melodies in a stream of samples, in chunks of any size. */
export class Ear {
  #hop;
  #window;
  #waves;
  #waiting = [];
  #longestPause;
  #candidate = null;
  #sure = null;
  #pause = 0;
  #halves = null;
  #last = DATA - 1;

  constructor(rate) {
    this.#hop = Math.round(0.002 * rate);
    this.#window = Math.round(0.006 * rate);
    this.#longestPause = Math.round((LONGEST_PAUSE_SECONDS * rate) / this.#hop);
    this.#waves = TONES.map((hz) => {
      const at = Array.from({ length: this.#window }, (_, place) => (2 * Math.PI * hz * place) / rate);
      return { cos: Float64Array.from(at, Math.cos), sin: Float64Array.from(at, Math.sin) };
    });
  }

  /** What these samples add to what was heard. */
  *hear(samples) {
    const waiting = this.#waiting;
    for (const sample of samples) waiting.push(sample / 32768);
    let from = 0;
    for (; waiting.length - from >= this.#window; from += this.#hop) yield* this.#note(this.#tone(from));
    waiting.splice(0, from);
  }

  /** The tone of one window; null if there is no clear one. */
  #tone(from) {
    let loudness = 0;
    for (let at = 0; at < this.#window; at++) loudness += this.#waiting[from + at] ** 2;
    loudness /= this.#window;
    if (loudness <= AUDIBLE ** 2) return null;
    let best = 0;
    let most = -1;
    this.#waves.forEach(({ cos, sin }, tone) => {
      let real = 0;
      let imaginary = 0;
      for (let at = 0; at < this.#window; at++) {
        real += this.#waiting[from + at] * cos[at];
        imaginary += this.#waiting[from + at] * sin[at];
      }
      const power = ((real ** 2 + imaginary ** 2) * 2) / this.#window ** 2;
      if (power > most) [best, most] = [tone, power];
    });
    // A tone is clear if it has half of what is heard.
    return most > loudness / 2 ? best : null;
  }

  /** Takes the tone of one window; twice the same is sure. */
  *#note(tone) {
    if (tone === null) {
      this.#candidate = null;
      this.#pause += 1;
      if (this.#pause > this.#longestPause) {
        this.#sure = null;
        if (this.#halves !== null) {
          yield { kind: 'all', text: `${this.#text()}…` };
          this.#halves = null;
        }
      }
      return;
    }
    this.#pause = 0;
    if (tone !== this.#candidate || tone === this.#sure) {
      this.#candidate = tone;
      return;
    }
    this.#sure = tone;
    if (tone === START) {
      this.#halves = [];
      this.#last = DATA - 1;
      yield { kind: 'begin', text: '' };
    } else if (this.#halves === null) {
      return;
    } else if (tone === END) {
      yield { kind: 'all', text: this.#whole() };
      this.#halves = null;
    } else {
      this.#halves.push((tone - this.#last - 1 + 2 * DATA) % DATA);
      this.#last = tone;
      if (this.#halves.length % 20 === 0) yield { kind: 'part', text: this.#text() };
    }
  }

  #bytes() {
    const halves = this.#halves ?? [];
    const bytes = new Uint8Array(halves.length >> 1);
    bytes.forEach((_, at) => (bytes[at] = (halves[2 * at] << 4) | halves[2 * at + 1]));
    return bytes;
  }

  #text(bytes = this.#bytes()) {
    return new TextDecoder().decode(bytes);
  }

  #whole() {
    const bytes = this.#bytes();
    const data = bytes.subarray(0, -1);
    if (bytes.length === 0 || checksum(data) !== bytes.at(-1) || this.#halves.length % 2) return `${this.#text()}…`;
    return this.#text(data);
  }
}

function samplesOf({ data, channels }) {
  return channels === 1 ? data : data.filter((_, at) => at % channels === 0);
}

/** Sings what an agent says. */
export class MelodyTTS extends tts.TTS {
  label = 'melody.MelodyTTS';

  constructor() {
    super(RATE, 1, { streaming: false });
  }

  synthesize(text, connOptions, abortSignal) {
    return new Singing(text, this, connOptions, abortSignal);
  }

  stream() {
    throw new Error('a melody is sung as a whole');
  }
}

class Singing extends tts.ChunkedStream {
  label = 'melody.Singing';

  async run() {
    const requestId = randomUUID();
    const samples = sing(this.inputText, RATE);
    const piece = RATE / 10;
    for (let from = 0; from < samples.length; from += piece) {
      const part = samples.slice(from, from + piece);
      const frame = new AudioFrame(part, RATE, 1, part.length);
      this.queue.put({ requestId, segmentId: requestId, frame, final: from + piece >= samples.length });
    }
    this.queue.close();
  }
}

/** Understands what is sung to an agent. */
export class MelodySTT extends stt.STT {
  label = 'melody.MelodySTT';

  constructor() {
    super({ streaming: true, interimResults: true });
  }

  async _recognize(buffer) {
    const frame = combineAudioFrames(buffer);
    return event(stt.SpeechEventType.FINAL_TRANSCRIPT, listen(samplesOf(frame), frame.sampleRate).join(' '));
  }

  stream({ connOptions } = {}) {
    return new Listening(this, RATE, connOptions);
  }
}

class Listening extends stt.SpeechStream {
  label = 'melody.Listening';

  async run() {
    const ear = new Ear(RATE);
    for await (const frame of this.input) {
      if (frame === stt.SpeechStream.FLUSH_SENTINEL) continue;
      for (const heard of ear.hear(samplesOf(frame))) this.#tell(heard);
    }
  }

  #tell({ kind, text }) {
    if (kind === 'begin') {
      this.queue.put({ type: stt.SpeechEventType.START_OF_SPEECH });
    } else if (kind === 'part') {
      this.queue.put(event(stt.SpeechEventType.INTERIM_TRANSCRIPT, text));
    } else {
      this.queue.put(event(stt.SpeechEventType.FINAL_TRANSCRIPT, text));
      this.queue.put({ type: stt.SpeechEventType.END_OF_SPEECH });
    }
  }
}

function event(type, text) {
  return { type, alternatives: [{ language: 'en', text, startTime: 0, endTime: 0, confidence: 1 }] };
}

const BLOCK_MS = 20;
const BEGINS_AFTER_MS = 40;
const ENDS_AFTER_MS = 100;

/** Distinguishes sound from silence. */
export class MelodyVAD extends VAD {
  label = 'melody.MelodyVAD';

  constructor() {
    super({ updateInterval: BLOCK_MS });
  }

  stream() {
    return new Watching(this);
  }
}

class Watching extends VADStream {
  #index = 0;
  #speech = 0;
  #silence = 0;
  #speaking = false;

  constructor(vad) {
    super(vad);
    void this.#watch();
  }

  async #watch() {
    let waiting = [];
    for (;;) {
      const { done, value } = await this.inputReader.read();
      if (done || this.closed) return;
      if (value === VADStream.FLUSH_SENTINEL) {
        waiting = [];
        this.#speech = 0;
        this.#silence = 0;
        this.#speaking = false;
        continue;
      }
      for (const sample of samplesOf(value)) waiting.push(sample);
      const block = (BLOCK_MS * value.sampleRate) / 1000;
      while (waiting.length >= block) this.#take(Int16Array.from(waiting.splice(0, block)), value.sampleRate);
    }
  }

  /** Takes one block of samples. */
  #take(block, rate) {
    this.#index += block.length;
    const square = block.reduce((sum, sample) => sum + (sample / 32768) ** 2, 0);
    const isLoud = Math.sqrt(square / block.length) > AUDIBLE;
    if (isLoud) {
      this.#silence = 0;
      this.#speech += BLOCK_MS;
    } else {
      this.#silence += BLOCK_MS;
      if (!this.#speaking) this.#speech = 0;
    }
    const frame = new AudioFrame(block, rate, 1, block.length);
    this.#tell(VADEventType.INFERENCE_DONE, frame, isLoud ? 1 : 0);
    if (!this.#speaking && this.#speech >= BEGINS_AFTER_MS) {
      this.#speaking = true;
      this.#tell(VADEventType.START_OF_SPEECH, frame, 1);
    } else if (this.#speaking && this.#silence >= ENDS_AFTER_MS) {
      this.#speaking = false;
      this.#tell(VADEventType.END_OF_SPEECH, frame, 0);
      this.#speech = 0;
    }
  }

  #tell(type, frame, probability) {
    this.sendVADEvent({
      type,
      samplesIndex: this.#index,
      timestamp: Date.now(),
      speechDuration: this.#speech,
      silenceDuration: this.#silence,
      frames: [frame],
      probability,
      inferenceDuration: 0,
      speaking: this.#speaking,
      rawAccumulatedSilence: this.#silence,
      rawAccumulatedSpeech: this.#speech,
    });
  }
}
