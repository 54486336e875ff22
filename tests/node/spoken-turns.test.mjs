// Spoken turns with real agents of both SDKs, which hear and sing melodies: what they hear was in the sound, or nowhere.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { DeviceLost, InvalidArgument, IoError, SessionTimeout, Speech, TooLarge, Unsupported, start } from 'greenroom';
import { capture, Frame, playback } from 'greenroom/audio';
import { listen, sing } from '../../examples/node/melody.mjs';
import { EXAMPLES, PYTHON, ROOT, folder } from './support/agents.mjs';

const RATE = 48_000;
const AGENTS = {
  node: [join(ROOT, 'examples', 'node', 'voice_agent.mjs'), {}],
  python: [join(ROOT, 'examples', 'python', 'voice_agent.py'), { python: PYTHON }],
};

/** Without digital silence, which sound that is late leaves in its place; a melody has none within. */
function voiced(samples) {
  let zeros = 0;
  return samples.filter((sample) => (zeros = sample === 0 ? zeros + 1 : 0) < 48);
}

/** What the agent said, as an ear makes it of its sound. */
const sung = (turn) => listen(voiced(turn.voice.audio.samples)).join(' ');

for (const [language, [file, options]] of Object.entries(AGENTS)) {
  test(`${language}: what is said is heard and answered by sound, and recorded`, async (t) => {
    const recording = join(folder(t), 'session.wav');
    const session = await start(file, { ...options, audio: true, recording });
    t.after(() => session.close());
    const before = session.status().audioLosses.lateMs;
    const turn = await session.say('hello there', { tts: sing });
    // What a busy machine was late with was put off, and counts.
    const late = session.status().audioLosses.lateMs - before;
    assert.deepEqual([turn.text, turn.heard, turn.reply], ['hello there', 'hello there', 'echo hello there']);
    assert.equal(sung(turn), 'echo hello there');
    assert.deepEqual([turn.silent, turn.interrupted, turn.voice.cutMs, turn.voice.lostMs], [false, false, undefined, 0]);
    assert.ok(turn.voice.responseMs > 0 && turn.voice.responseMs < turn.durationMs);
    const said = (sing('hello there').length / RATE - 0.08) * 1000;
    assert.ok(turn.voice.userMs > said - 5 && turn.voice.userMs < said + late + 5, `${turn.voice.userMs}, late ${late}`);

    const text = await session.say('hello');
    assert.deepEqual([text.heard, sung(text)], [undefined, 'echo hello']);

    const tool = await session.say('weather please', { tts: async (words) => sing(words) });
    assert.deepEqual(tool.toolCalls.map(({ name }) => name), ['lookup_weather']);
    assert.equal(sung(tool), tool.reply);

    await session.close();
    assert.equal(session.status().recordingError, undefined);
    const [left, right] = channels(readFileSync(recording));
    assert.deepEqual(listen(voiced(left)), ['hello there', 'weather please']);
    assert.deepEqual(listen(voiced(right)), ['echo hello there', 'echo hello', tool.reply]);
  });

  test(`${language}: who interrupts is heard, and the agent yields`, async (t) => {
    const session = await start(file, { ...options, audio: true });
    t.after(() => session.close());
    const story = session.say('story', { tts: sing });
    const interruption = await session.say('stop', { tts: sing, interruptAfter: 400 });
    const cut = await story;
    assert.equal(cut.interrupted, true);
    assert.ok(cut.voice.cutMs > 400 && cut.voice.cutMs < 4000, String(cut.voice.cutMs));
    assert.ok(interruption.voice.yieldMs > 0);
    assert.deepEqual([interruption.heard, sung(interruption)], ['stop', 'echo stop']);
  });
}

test('sound comes in many shapes', async (t) => {
  const session = await start(AGENTS.node[0], { audio: true });
  t.after(() => session.close());
  const samples = sing('hi', 24_000);
  const bytes = Buffer.from(samples.buffer);
  const file = join(folder(t), 'hi.wav');
  new Speech(sing('hi')).save(file);
  const parts = [samples.subarray(0, 1000), samples.subarray(1000)];
  const shapes = [
    [file],
    [readFileSync(file)],
    [samples, 24_000],
    [bytes, 24_000],
    [{ samples, rate: 24_000 }],
    [Float32Array.from(samples, (sample) => sample / 32768), 24_000],
    [new Frame(samples, { rate: 24_000 })],
    [{ data: samples, sampleRate: 24_000, channels: 1 }],
    [parts, 24_000],
    [Readable.from(parts), 24_000],
    [new Speech(sing('hi'))],
  ];
  for (const [sound, rate] of shapes) assert.equal((await session.sayAudio(sound, { rate })).heard, 'hi');
});

/** A function that gives a melody whole, and ends. */
function whole(words, rate) {
  const left = [sing(words, rate)];
  return () => left.pop();
}

test('a device is heard until it ends, is closed, or for a duration', async (t) => {
  const session = await start(AGENTS.node[0], { audio: true });
  t.after(() => session.close());
  const file = join(folder(t), 'hello.wav');
  new Speech(sing('hello there')).save(file);
  const turn = await session.sayAudio(`file:${file}`, { text: 'hello there' });
  assert.deepEqual([turn.text, turn.heard, sung(turn)], ['hello there', 'hello there', 'echo hello there']);

  const ear = await capture({ device: 'loopback:said', rate: 24_000, clock: 'fast' });
  const mouth = await playback({ device: 'loopback:said', rate: 24_000, clock: 'fast' });
  const saying = session.sayAudio(ear);
  await mouth.write(sing('weather please', 24_000));
  await mouth.drain();
  await mouth.close();
  assert.equal((await saying).heard, 'weather please');
  await ear.close();

  const mic = await capture({ device: whole('hello there', RATE), rate: RATE, clock: 'fast' });
  const duration = (sing('hello there').length / RATE / 2) * 1000;
  const half = await session.sayAudio(mic, { duration });
  assert.ok(half.voice.userMs > duration - 100, String(half.voice.userMs));
  assert.notEqual(half.heard, 'hello there', 'it was cut');
  assert.notEqual(await mic.read(), undefined, 'the microphone stays open');
  await mic.close();
});

test('a device that fails or gives nothing is an error, and the session goes on', async (t) => {
  const session = await start(AGENTS.node[0], { audio: true });
  t.after(() => session.close());
  await assert.rejects(session.sayAudio('fail:after=500ms'), DeviceLost);
  const silent = await capture({ device: () => undefined });
  await assert.rejects(session.sayAudio(silent), /ended before its first sample/);
  await silent.close();
  await assert.rejects(session.sayAudio('tone:loud'), /write tone:440/);
  await assert.rejects(session.sayAudio('loopback:nobody', { timeout: 100 }), SessionTimeout);
  const reason = new Error('of the test');
  await assert.rejects(session.sayAudio('loopback:nobody', { signal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(session.sayAudio(sing('hi'), { duration: 1000 }), /duration is for a device/);
  await assert.rejects(session.sayAudio('tone:440', { duration: -1 }), /duration is -1/);
  const endless = await capture({ device: 'null', frameMs: 1000, clock: 'fast' });
  await assert.rejects(session.sayAudio(endless), TooLarge);
  await endless.close();
  assert.equal((await session.say('hi', { tts: sing })).heard, 'hi');
});

test('what cannot be said is refused, and the session goes on', async (t) => {
  const session = await start(AGENTS.node[0], { audio: true });
  t.after(() => session.close());
  const broken = join(folder(t), 'broken.wav');
  writeFileSync(broken, 'RIFF');
  const sounds = [12, null, [], Buffer.alloc(0), Buffer.alloc(3), [1, 2], broken, Buffer.from('RIFFnothing'), { samples: 1 }];
  for (const sound of sounds) await assert.rejects(session.sayAudio(sound), InvalidArgument);
  await assert.rejects(session.sayAudio('missing.wav'), IoError);
  await assert.rejects(session.sayAudio(new Int16Array(181 * RATE)), TooLarge);
  await assert.rejects(session.sayAudio(sing('hi'), { interruptAfter: -1 }), InvalidArgument);
  await assert.rejects(session.say('hi', { interruptAfter: 1 }), InvalidArgument);
  assert.equal((await session.say('hi', { tts: sing })).heard, 'hi');
});

test('a session of text cannot be spoken to', async (t) => {
  const { file, options } = EXAMPLES.node;
  await assert.rejects(start(file, { ...options, recording: 'x.wav' }), InvalidArgument);
  const session = await start(file, options);
  t.after(() => session.close());
  await assert.rejects(session.sayAudio(sing('hi')), Unsupported);
});

/** The channels of a stereo WAV file with a header of 44 bytes. */
function channels(file) {
  const both = new Int16Array(new Uint8Array(file.subarray(44)).buffer);
  return [0, 1].map((channel) => both.filter((_, at) => at % 2 === channel));
}
