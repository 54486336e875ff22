// Sound as people have it: odd WAV files, and voices on one channel of many.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidArgument } from 'greenroom';
import { capture, noisy } from 'greenroom/audio';

const RATE = 48_000;
const VOICE = Int16Array.from({ length: RATE / 2 }, (_, at) => Math.round(12_000 * Math.sin((2 * Math.PI * 440 * at) / RATE)));

/** A WAV file, whose header may say what is not so. */
function wav(samples, { channels = 1, block = 2 * channels, size = samples.length * 2, whole = 36 + samples.length * 2 } = {}) {
  const head = Buffer.alloc(44);
  head.write('RIFF\0\0\0\0WAVEfmt ', 'latin1');
  head.writeUInt32LE(whole, 4);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(RATE * channels * 2, 28);
  head.writeUInt16LE(block, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(size, 40);
  return Buffer.concat([head, Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)]);
}

/** A WAV file of one channel with another kind of samples; with a subtype, an extensible one. */
function kindOfWav(content, { tag = 1, bits, block, valid = bits, subtype }) {
  const extension = Buffer.alloc(subtype ? 24 : 0);
  if (subtype) {
    extension.writeUInt16LE(22, 0);
    extension.writeUInt16LE(valid, 2);
    extension.writeUInt32LE(4, 4);
    Buffer.from(subtype, 'hex').copy(extension, 8);
  }
  const head = Buffer.alloc(36);
  head.write('RIFF\0\0\0\0WAVEfmt ', 'latin1');
  head.writeUInt32LE(36 + extension.length + content.length, 4);
  head.writeUInt32LE(16 + extension.length, 16);
  head.writeUInt16LE(subtype ? 0xfffe : tag, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(RATE * block, 28);
  head.writeUInt16LE(block, 32);
  head.writeUInt16LE(bits, 34);
  const data = Buffer.alloc(8);
  data.write('data', 'latin1');
  data.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, extension, data, content]);
}

/** The voice on one of so many channels. */
function oneOf(channels, channel) {
  const many = new Int16Array(VOICE.length * channels);
  VOICE.forEach((sample, at) => (many[at * channels + channel] = sample));
  return many;
}

function read(sound, options) {
  return noisy(sound, 'white', { snr: 120, ...options }).samples;
}

function assertIsTheVoice(samples, from = 0) {
  assert.equal(samples.length, VOICE.length);
  const far = samples.reduce((most, sample, at) => (at < from ? most : Math.max(most, Math.abs(sample - VOICE[at]))), 0);
  assert.ok(far <= 2, `${far} from the voice`);
}

/** The code of the warning that this makes. */
async function warned(act) {
  const warning = once(process, 'warning');
  act();
  const [{ name, code, message }] = await warning;
  assert.equal(name, 'SoundWarning');
  return [code, message];
}

test('odd files are read, with a warning', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greenroom-sound-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const odd = [
    ['GREENROOM_SIZE_NOT_WRITTEN', { size: 0 }],
    ['GREENROOM_SIZE_NOT_WRITTEN', { size: 0, whole: 4_088 }],
    ['GREENROOM_TRUNCATED', { size: VOICE.length * 4 }],
    ['GREENROOM_BLOCK_SIZE', { block: 3 }],
    ['GREENROOM_BLOCK_SIZE', { block: 0 }],
  ];
  const path = join(folder, 'odd.wav');
  for (const [code, header] of odd) {
    const content = wav(VOICE, header);
    writeFileSync(path, content);
    for (const sound of [content, path]) {
      const [told] = await warned(() => assertIsTheVoice(read(sound)));
      assert.equal(told, code);
    }
  }
});

test('files beyond 4 GiB, with empty data and with odd chunks are read, with a warning', async () => {
  const whole = wav(VOICE);
  const between = (...chunk) => Buffer.concat([whole.subarray(0, 36), Buffer.concat(chunk), whole.subarray(36)]);
  const list = Buffer.from('LIST\x03\0\0\0odd', 'latin1');
  const rf64 = wav(VOICE, { size: 0xffffffff });
  rf64.write('RF64', 'latin1');
  for (const [code, content] of [
    ['GREENROOM_SIZE_NOT_WRITTEN', rf64],
    ['GREENROOM_EMPTY_DATA', between(Buffer.from('data\0\0\0\0', 'latin1'))],
    ['GREENROOM_PADDING', between(list)],
    ['GREENROOM_PADDING', between(list, Buffer.from('X'))],
  ]) {
    const [told] = await warned(() => assertIsTheVoice(read(content)));
    assert.equal(told, code);
  }
});

test('samples of any kind are the voice', () => {
  const top = Buffer.from(Int32Array.from(VOICE, (sample) => sample << 16).buffer);
  const packed = Buffer.from(top.filter((_, at) => at % 4 !== 0));
  const floats = Buffer.from(Float32Array.from(VOICE, (sample) => sample / 32_768).buffer);
  const plain = Buffer.from(VOICE.buffer, VOICE.byteOffset, VOICE.byteLength);
  const pcm = '0100000000001000800000aa00389b71';
  for (const [content, kind] of [
    [floats, { tag: 3, bits: 32, block: 4 }],
    [top, { bits: 32, block: 4 }],
    [packed, { bits: 24, block: 3 }],
    [top, { bits: 24, block: 4 }],
    [top, { bits: 16, block: 4 }],
    [top, { bits: 32, block: 4, valid: 24, subtype: pcm }],
    [top, { bits: 32, block: 4, valid: 16, subtype: pcm }],
    [plain, { bits: 16, block: 2, subtype: '010000002107d3118644c8c1ca000000' }],
  ]) {
    assertIsTheVoice(read(kindOfWav(content, kind)));
  }
});

test('a voice on one channel of many keeps its level, and one that another cancels is heard', async () => {
  for (const channels of [2, 4, 16, 64]) {
    const many = oneOf(channels, channels - 1);
    assertIsTheVoice(read(wav(many, { channels })));
    assertIsTheVoice(read({ samples: many, rate: RATE, channels }));
    assertIsTheVoice(read(wav(many, { channels }), { channel: channels - 1 }));
    assert.throws(
      () => read(wav(many, { channels }), { channel: channels }),
      (error) => error instanceof InvalidArgument && error.message.includes(`there is no channel ${channels}`),
    );
  }
  const opposite = new Int16Array(VOICE.length * 2);
  VOICE.forEach((sample, at) => opposite.set([sample, -sample], at * 2));
  const [code, message] = await warned(() => assertIsTheVoice(read(wav(opposite, { channels: 2 }))));
  assert.equal(code, 'GREENROOM_CHANNELS_CANCEL');
  assert.match(message, /channel 1 is left out/);
  for (const channel of [-1, 1.5, 'left', true]) {
    assert.throws(() => read(VOICE, { channel }), InvalidArgument);
    await assert.rejects(capture({ device: 'null', channel }), InvalidArgument);
  }
});

test('bytes of another kind of file are refused by its name', () => {
  for (const [head, name] of [['OggS', /Ogg content/], ['fLaC', /FLAC content/], ['ID3\0', /MP3 content/]]) {
    assert.throws(() => read(Buffer.concat([Buffer.from(head, 'latin1'), Buffer.alloc(40)])), name);
  }
});

test('a capture takes the channel that is named, and tells what is odd', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greenroom-sound-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'many.wav');
  writeFileSync(path, wav(oneOf(4, 2), { channels: 4, size: 0 }));
  const recorded = async (options) => {
    const device = await capture({ device: `file:${path}`, rate: RATE, clock: 'fast', ...options });
    const samples = [];
    for await (const frame of device) samples.push(...frame.data);
    const notes = [];
    for await (const event of device.events()) if (event.type === 'notice') notes.push(event.note);
    await device.close();
    return [Int16Array.from(samples.slice(0, VOICE.length)), notes];
  };
  const [samples, notes] = await recorded({ channel: 2 });
  assertIsTheVoice(samples);
  assert.deepEqual(notes, ['size_not_written']);
  assert.ok((await recorded({ channel: 0 }))[0].every((sample) => sample === 0));
  assertIsTheVoice((await recorded({}))[0], 960);
  await assert.rejects(recorded({ channel: 4 }), /has no channel 4; it has 4, 0 to 3/);
  await assert.rejects(recorded({ channel: 1, channels: 2 }), /ask for one of the two/);
});
