// Microphones and loudspeakers: virtual ones, as fast as possible unless time is the point.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, test } from 'node:test';
import { AudioFrame, AudioSource, dispose } from '@livekit/rtc-node';
import { DeviceLost, InvalidArgument, IoError, Busy, SessionClosed, SessionTimeout, Speech } from 'greenroom';
import { capture, Frame, noisy, playback } from 'greenroom/audio';
import { until } from './support/agents.mjs';

const SOON = { timeout: 20_000 };

// LiveKit's SDK keeps a process running.
after(() => dispose());
const ramp = (length) => Int16Array.from({ length }, (_, at) => at % 30_000);

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'greenroom-audio-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

function writeWav(path, samples, rate = 16_000) {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.byteLength, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.byteLength, 40);
  writeFileSync(path, Buffer.concat([head, Buffer.from(samples.buffer)]));
  return `file:${path}`;
}

/** The samples of a WAV file, behind its last header. */
function readWav(path) {
  const bytes = readFileSync(path);
  const data = bytes.indexOf('data');
  return new Int16Array(Uint8Array.from(bytes.subarray(data + 8)).buffer);
}

async function collect(mic) {
  const frames = [];
  for await (const frame of mic) frames.push(frame);
  return frames;
}

function joined(frames) {
  return Int16Array.from(frames.flatMap(({ data }) => [...data]));
}

test('frames are the file, and end with it', async (t) => {
  const samples = ramp(1600);
  const path = join(folder(t), 'in.wav');
  const mic = await capture({ device: writeWav(path, samples), clock: 'fast' });
  assert.deepEqual([mic.rate, mic.channels, mic.device], [16_000, 1, `file:${path}`]);
  const frames = await collect(mic);
  assert.deepEqual(joined(frames), samples);
  assert.deepEqual(mic.recorded, { samples: 1600, lost: 0, dropped: 0 });
  for (const [at, frame] of frames.entries()) {
    assert.ok(frame.data instanceof Int16Array);
    assert.deepEqual([frame.samples, frame.rate, frame.channels, frame.lost, frame.duration], [160, 16_000, 1, 0, 10]);
    assert.ok(Math.abs(frame.time - frames[0].time - at * 10) < 0.001);
  }
  assert.equal(await mic.read(), undefined);
  await mic.close();
  await mic.close();
});

test('rate, channels and length of frames are what is asked for', async (t) => {
  const device = writeWav(join(folder(t), 'in.wav'), ramp(8820), 44_100);
  const mic = await capture({ device, rate: 8000, channels: 2, frameMs: 20, clock: 'fast' });
  const frames = await collect(mic);
  assert.equal(frames[0].samples, 160);
  assert.equal(frames.reduce((sum, { samples }) => sum + samples, 0), 1600);
  const { data } = frames[0];
  assert.ok(data.every((sample, at) => sample === data[at - (at % 2)]));
  await mic.close();
});

test('a reader that sleeps is told what it missed', async () => {
  const mic = await capture({ device: 'tone:440', queue: 50 });
  await mic.read(SOON);
  const { dropped } = mic.recorded;
  await until('more was dropped than waits', () => mic.recorded.dropped - dropped >= 1600);
  const frame = await mic.read(SOON);
  assert.ok(frame.lost >= 1600);
  for await (const event of mic.events()) {
    assert.deepEqual([event.type, event.cause], ['gap', 'reader']);
    assert.ok(event.samples >= 1600);
    break;
  }
  await mic.close();
});

test('a wait that is given up loses nothing', async () => {
  const mouth = await playback({ device: 'loopback:given-up', rate: 16_000 });
  const ear = await capture({ device: 'loopback:given-up' });
  const reason = new Error('of the test');
  const stop = new AbortController();
  const reading = (async () => {
    for (;;) await ear.read({ signal: stop.signal });
  })();
  stop.abort(reason);
  await assert.rejects(reading, reason);
  await mouth.write(new Int16Array(1600).fill(4097), SOON);
  let heard = 0;
  while (heard < 1600) heard += (await ear.read(SOON)).data.filter((sample) => sample === 4097).length;
  assert.equal(heard, 1600);
  await Promise.all([mouth.close(), ear.close()]);
});

test('a wait has a deadline, and the stream goes on', async () => {
  const mic = await capture({ device: 'tone:440', frameMs: 1000 });
  await assert.rejects(mic.read({ timeout: 10 }), (error) => error instanceof SessionTimeout && /a frame took longer than 10 ms/.test(error.message));
  assert.equal((await mic.read(SOON)).samples, 16_000);
  await mic.close();
});

test('a device that is unplugged is an event, and an error after the last frame', async () => {
  const mic = await capture({ device: 'fail:after=50ms:tone:440', clock: 'fast' });
  for (let frame = 0; frame < 5; frame++) assert.equal((await mic.read(SOON)).samples, 160);
  await assert.rejects(collect(mic), DeviceLost);
  const events = [];
  for await (const event of mic.events()) events.push(event);
  assert.deepEqual(events.map(({ type }) => type), ['lost']);
  assert.match(events[0].why, /as its name says/);
  await mic.close();
});

test('who waits is told of the end', async () => {
  const mic = await capture({ device: 'loopback:nobody-plays' });
  const waits = [mic.events().next(), collect(mic)];
  const left = mic.events();
  const leaving = left.next();
  await left.return();
  assert.deepEqual(await leaving, { done: true, value: undefined });
  await mic.close();
  assert.deepEqual((await waits[0]).done, true);
  await waits[1];
});

test('a reader that is never behind lets others work', async () => {
  const mic = await capture({ device: 'tone:440', clock: 'fast' });
  let turns = 0;
  const other = setInterval(() => turns++, 0);
  const end = performance.now() + 20_000;
  while (turns < 20 && performance.now() < end) await mic.read(SOON);
  clearInterval(other);
  assert.ok(turns >= 20);
  await mic.close();
});

test('what is recorded has a time on this clock', async () => {
  const before = performance.now();
  const mic = await capture({ device: 'tone:440' });
  const { time, duration } = await mic.read(SOON);
  const now = performance.now();
  const { origin } = mic;
  assert.ok(before - 5 <= origin + 500 && origin + 500 <= origin + time && origin + time + duration <= now);
  await mic.close();
});

test('what is written is in the file', async (t) => {
  const path = join(folder(t), 'out.wav');
  const samples = ramp(100_001);
  const speaker = await playback({ device: `file:${path}`, clock: 'fast' });
  await speaker.write(samples, SOON);
  await speaker.drain(SOON);
  assert.deepEqual(speaker.position, { written: 100_001, heard: 100_001, waiting: 0, dropped: 0 });
  await speaker.close();
  assert.deepEqual(readWav(path), samples);
  await assert.rejects(speaker.write(samples), SessionClosed);
});

test('writers at once take turns', async (t) => {
  const path = join(folder(t), 'out.wav');
  const pieces = [1, 2, 3].map((number) => new Int16Array(60_000).fill(number));
  const speaker = await playback({ device: `file:${path}`, clock: 'fast' });
  await Promise.all(pieces.map((piece) => speaker.write(piece, SOON)));
  await speaker.drain(SOON);
  await speaker.close();
  assert.deepEqual(readWav(path), Int16Array.from(pieces.flatMap((piece) => [...piece])));
});

test('all that holds samples can be written, and nothing else', async () => {
  const samples = ramp(480);
  const speaker = await playback({ device: 'null', clock: 'fast' });
  const odd = Buffer.concat([Buffer.alloc(1), Buffer.from(samples.buffer)]).subarray(1);
  const theirs = new AudioFrame(samples, 48_000, 1, 480);
  const floats = Float32Array.from(samples, (sample) => sample / 32768);
  const all = [samples, odd, new Frame(samples, { rate: 48_000 }), theirs, floats, floats.subarray(0, 240)];
  for (const audio of all) await speaker.write(audio, SOON);
  await speaker.drain(SOON);
  assert.equal(speaker.position.heard, 5.5 * 480);
  const wrong = [
    [new Float64Array(480), /the audio is of type Float64Array; pass a frame, an Int16Array, a Float32Array/],
    [Buffer.alloc(3), /3 bytes are no whole number of 16-bit samples/],
    ['text', /the audio is "text"/],
    [null, /the audio is null/],
    [new Frame(samples, { rate: 16_000 }), /the frame is of 16000 Hz and 1 channels/],
    [AudioFrame.create(24_000, 2, 10), /open the stream with \{ rate: 24000, channels: 2 \}/],
  ];
  for (const [audio, why] of wrong) {
    await assert.rejects(speaker.write(audio), (error) => error instanceof InvalidArgument && why.test(error.message));
  }
  await speaker.close();
});

test('floats are samples from -1 to 1, and clipped beyond', async (t) => {
  const path = join(folder(t), 'out.wav');
  const speaker = await playback({ device: `file:${path}`, clock: 'fast' });
  await speaker.write(Float32Array.of(0, 0.5, -0.5, 1, -1, 2, -2, NaN, 1 / 32768), SOON);
  await speaker.drain(SOON);
  await speaker.close();
  assert.deepEqual([...readWav(path)], [0, 16384, -16384, 32767, -32768, 32767, -32768, 0, 1]);
});

test('a recorder of a loopback ends when its player is closed', async () => {
  const ear = await capture({ device: 'loopback:ends', clock: 'fast' });
  const mouth = await playback({ device: 'loopback:ends', rate: 16_000, clock: 'fast' });
  await mouth.write(ramp(1600), SOON);
  await mouth.drain(SOON);
  await mouth.close();
  assert.deepEqual(joined(await collect(ear)), ramp(1600));
  await ear.close();
});

test('what a function gives is recorded, in any portion and later', async () => {
  const wanted = [];
  const portions = [
    ramp(100),
    Float32Array.from(ramp(1000), (sample) => sample / 32768),
    Buffer.from(ramp(300).buffer),
    new Frame(ramp(40), { rate: 16_000 }),
    new AudioFrame(ramp(160), 16_000, 1, 160),
  ];
  const device = async (samples) => {
    wanted.push(samples);
    return portions.shift();
  };
  const mic = await capture({ device, clock: 'fast' });
  assert.equal(mic.device, 'callback');
  const expected = [100, 1000, 300, 40, 160].flatMap((length) => [...ramp(length)]);
  assert.deepEqual([...joined(await collect(mic))], expected);
  assert.deepEqual(wanted.slice(0, 2), [160, 60]);
  await mic.close();
});

test('what is played is given to a function, and heard once it is done with it', async () => {
  const heard = [];
  const speaker = await playback({ device: (frame) => void heard.push(frame), clock: 'fast' });
  await speaker.write(ramp(4800), SOON);
  await speaker.drain(SOON);
  assert.deepEqual(joined(heard), ramp(4800));
  assert.deepEqual(heard.map(({ time }) => Math.round(time)), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
  await speaker.close();
  let goOn;
  const called = new Promise((resolve) => (goOn = resolve));
  let done;
  const device = () => new Promise((resolve) => (goOn(), (done = resolve)));
  const slow = await playback({ device, clock: 'fast' });
  await slow.write(ramp(480), SOON);
  const draining = slow.drain(SOON);
  await called;
  assert.equal(slow.position.heard, 0);
  done();
  await draining;
  assert.equal(slow.position.heard, 480);
  await slow.close();
});

test('a function that throws ends its stream with its error', async () => {
  const broken = new RangeError('as the test wants');
  const failing = [() => { throw broken; }, () => Promise.reject(broken)];
  const isTold = (error) =>
    error instanceof DeviceLost && error.cause === broken && /RangeError: as the test wants; the stream has ended/.test(error.message);
  for (const device of failing) {
    const mic = await capture({ device });
    await assert.rejects(mic.read(SOON), isTold);
    await assert.rejects(mic.read(SOON), isTold);
    await mic.close();
    const speaker = await playback({ device, clock: 'fast' });
    await speaker.write(ramp(480), SOON);
    await assert.rejects(speaker.drain(SOON), isTold);
    await assert.rejects(speaker.close(), isTold);
  }
  const wrong = [['text', /the audio is "text"/], [Buffer.alloc(3), /3 bytes/], [new Frame(ramp(8), { rate: 8000 }), /8000 Hz/]];
  for (const [audio, why] of wrong) {
    const mic = await capture({ device: () => audio });
    await assert.rejects(mic.read(SOON), (error) => error.cause instanceof InvalidArgument && why.test(error.message));
    await mic.close();
  }
});

test('a function that never comes back holds up no end', async () => {
  const mic = await capture({ device: () => new Promise(() => {}) });
  await assert.rejects(mic.read({ timeout: 50 }), SessionTimeout);
  await mic.close();
  assert.deepEqual(await collect(mic), []);
});

test('clear drops what waits, and a late write has a deadline', async () => {
  const speaker = await playback({ device: 'null', rate: 8000, queue: 20_000 });
  await assert.rejects(speaker.write(new Int16Array(8000 * 30), { timeout: 10 }), SessionTimeout);
  speaker.clear();
  await speaker.drain(SOON);
  const { written, heard, waiting, dropped } = speaker.position;
  assert.ok(dropped > 0 && waiting === 0 && written === heard + dropped);
  await speaker.close();
});

test('streams of bytes lead from a microphone to a loudspeaker', async (t) => {
  const there = folder(t);
  const samples = ramp(48_000);
  const mic = await capture({ device: writeWav(join(there, 'in.wav'), samples), clock: 'fast' });
  const speaker = await playback({ device: `file:${there}/out.wav`, rate: 16_000, clock: 'fast' });
  // Parts that end within a sample.
  const split = async function* (source) {
    for await (const chunk of source) yield* [chunk.subarray(0, 7), chunk.subarray(7)];
  };
  await pipeline(mic.readable(), split, speaker.writable());
  await Promise.all([mic.close(), speaker.close()]);
  assert.deepEqual(readWav(join(there, 'out.wav')), samples);
});

test('a stream of bytes that is destroyed leaves the microphone open, and one that ends within a sample fails', async () => {
  const mic = await capture({ device: 'loopback:left-open' });
  const readable = mic.readable();
  readable.resume();
  readable.destroy();
  await new Promise((resolve) => readable.once('close', resolve));
  const mouth = await playback({ device: 'loopback:left-open', rate: 16_000 });
  await mouth.write(new Int16Array(1600), SOON);
  assert.equal((await mic.read(SOON)).samples, 160);
  const writable = mouth.writable();
  const failed = new Promise((resolve) => writable.once('error', resolve));
  writable.end(Buffer.alloc(3));
  assert.match((await failed).message, /ends within a sample: 1 bytes/);
  await Promise.all([mic.close(), mouth.close()]);
});

test('frames go to LiveKit and back', async () => {
  const mic = await capture({ device: 'tone:440', channels: 2, clock: 'fast' });
  const frame = await mic.read(SOON);
  const theirs = frame.toRtc(AudioFrame);
  assert.ok(theirs instanceof AudioFrame);
  assert.deepEqual([theirs.sampleRate, theirs.channels, theirs.samplesPerChannel], [16_000, 2, 160]);
  const back = Frame.fromRtc(theirs);
  assert.deepEqual([back.rate, back.channels, back.samples], [16_000, 2, 160]);
  assert.deepEqual(back.data, frame.data);
  const source = new AudioSource(16_000, 2);
  await source.captureFrame(theirs);
  await source.close();
  await mic.close();
});

test('what cannot be meant is refused', async () => {
  const wrong = [
    [{ device: 1.5 }, /device is 1.5/],
    [{ rate: 0 }, /rate is 0/],
    [{ rate: '16000' }, /rate is 16000/],
    [{ channels: 1.5 }, /channels is 1.5/],
    [{ queue: -1 }, /queue is -1/],
    [{ reopen: NaN }, /reopen is NaN/],
    [{ latency: 'none' }, /unknown variant `none`/],
    [{ clock: 'slow' }, /unknown variant `slow`/],
    [{ device: 'tone:loud' }, /tone:loud/],
    [{ device: 'null', queue: 100_000 }, /queue cannot be 100000 ms/],
  ];
  for (const open of [capture, playback]) {
    for (const [options, why] of wrong) {
      await assert.rejects(open(options), (error) => error instanceof InvalidArgument && why.test(error.message), String(why));
    }
  }
});

test('a device that cannot be had says why', async () => {
  await assert.rejects(capture({ device: 'file:/no/such.wav' }), IoError);
  await assert.rejects(playback({ device: 'tone:440' }), /cannot be played to/);
  const taken = await playback({ device: 'loopback:taken' });
  await assert.rejects(playback({ device: 'loopback:taken' }), Busy);
  await taken.close();
  await assert.rejects(capture({ device: 'null', signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('speech in noise is as far above it as was asked for, and of its seed', () => {
  const spoken = Int16Array.from({ length: 16_000 }, (_, at) => Math.round(2_000 * Math.sin((2 * Math.PI * 440 * at) / 16_000)));
  const clean = noisy(spoken, 'white', { snr: 120, rate: 16_000 });
  for (const noise of ['white', 'babble', 'impulses']) {
    const heard = noisy(spoken, noise, { snr: 10, rate: 16_000 });
    assert.ok(heard instanceof Speech);
    assert.equal(heard.durationMs, 1000);
    assert.deepEqual(noisy(spoken, noise, { snr: 10, rate: 16_000, seed: 0 }).samples, heard.samples);
    assert.notDeepEqual(noisy(spoken, noise, { snr: 10, rate: 16_000, seed: 1 }).samples, heard.samples);
    const power = heard.samples.reduce((sum, sample, at) => sum + (sample - clean.samples[at]) ** 2, 0) / heard.samples.length;
    const above = 10 * Math.log10(2_000 ** 2 / 2 / power);
    assert.ok(Math.abs(above - 10) < 0.2, `${noise} is ${above} dB below`);
  }
});

test('what is no noise and no sound is refused', () => {
  const sound = new Int16Array(100).fill(1_000);
  const wrong = [
    [12, 'white', { snr: 10 }],
    [sound, 'pink', { snr: 10 }],
    [sound, undefined, { snr: 10 }],
    [sound, 'white', undefined],
    [sound, 'white', { snr: NaN }],
    [sound, 'white', { snr: 10, seed: -1 }],
    [sound, 'white', { snr: 10, seed: 0.5 }],
  ];
  for (const given of wrong) assert.throws(() => noisy(...given), InvalidArgument);
  assert.throws(() => noisy('missing.wav', 'white', { snr: 10 }), IoError);
});
