// How long streams live: the script, the worker thread, garbage; and a real PulseAudio.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { startPulse } from './support/pulse.mjs';

const WORKER = new URL('./support/audio-worker.cjs', import.meta.url);
const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Runs a script to its end; gives how it ended and what it printed. An unhandled rejection ends it with 1. */
function run(t, script, { flags = [], env = {}, args = [] } = {}) {
  const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', script, '--', ...args], {
    cwd: HERE,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, output: output.split('\n').slice(0, -1) }));
  });
}

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'greenroom-audio-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** The samples that a WAV file says that it has. */
function samplesIn(path) {
  const bytes = readFileSync(path);
  return bytes.readUInt32LE(bytes.indexOf('data') + 4) / 2;
}

const WRITE = `
  import { capture, playback } from 'greenroom/audio';
  const mic = await capture({ device: 'tone:440' });
  const speaker = await playback({ device: 'file:' + process.argv[1], clock: 'fast' });
  await speaker.write(new Int16Array(4800));
  await speaker.drain();
  await mic.read();
`;

test('a script with streams open exits by itself, and its file is whole', async (t) => {
  const path = join(folder(t), 'out.wav');
  assert.deepEqual(await run(t, WRITE, { args: [path] }), { code: 0, signal: null, output: [] });
  assert.equal(samplesIn(path), 4800);
});

test('process.exit with streams open and waited for finishes the file', async (t) => {
  const path = join(folder(t), 'out.wav');
  const script = `${WRITE} for await (const frame of mic) if (frame.time > 550) process.exit(3);`;
  assert.deepEqual(await run(t, script, { args: [path] }), { code: 3, signal: null, output: [] });
  assert.equal(samplesIn(path), 4800);
});

test('a script does not exit while it awaits a frame', async (t) => {
  const script = `
    import { capture } from 'greenroom/audio';
    const mic = await capture({ device: 'tone:440', frameMs: 200 });
    console.log((await mic.read()).samples);
  `;
  assert.deepEqual(await run(t, script), { code: 0, signal: null, output: ['3200'] });
});

test('a stream that is neither closed nor referenced any more is closed', async (t) => {
  const script = `
    import { setTimeout as sleep } from 'node:timers/promises';
    import { playback } from 'greenroom/audio';
    const open = async () => (await playback({ device: 'loopback:left' })).rate;
    console.log(await open());
    for (let i = 0; i < 500; i++) {
      gc();
      await sleep(10);
      try { console.log(await open()); break; } catch (error) { if (error.code !== 'busy') throw error; }
    }
  `;
  assert.deepEqual((await run(t, script, { flags: ['--expose-gc'] })).output, ['48000', '48000']);
});

test('a stream of a function is closed as well when nothing refers to it any more', async (t) => {
  const script = `
    import { setTimeout as sleep } from 'node:timers/promises';
    import { capture } from 'greenroom/audio';
    let calls = 0;
    const open = async () => void (await (await capture({ device: () => (calls++, new Int16Array(160)) })).read());
    await open();
    // The function is not called any more once the stream is closed.
    for (let i = 0, last = -1; i < 500 && calls !== last; i++) {
      last = calls;
      gc();
      await sleep(50);
    }
    const before = calls;
    await sleep(200);
    console.log(before > 0, calls === before);
  `;
  assert.deepEqual((await run(t, script, { flags: ['--expose-gc'] })).output, ['true true']);
});

test('no rejection is unhandled', async (t) => {
  const script = `
    import { capture, playback } from 'greenroom/audio';
    capture({ device: 'file:/no/such.wav' });
    playback({ rate: -1 });
    const mic = await capture({ device: 'fail:after=20ms:tone:440' });
    mic.read({ timeout: 1 });
    mic.read({ signal: AbortSignal.timeout(1) });
    mic.events().next();
    const speaker = await playback({ device: 'null' });
    speaker.write('no audio');
    await Promise.all([mic.close(), speaker.close()]);
    speaker.drain();
  `;
  assert.deepEqual(await run(t, script), { code: 0, signal: null, output: [] });
});

test('100 openings leave no thread and no descriptor', async (t) => {
  const script = `
    import { readdirSync } from 'node:fs';
    import { setTimeout as sleep } from 'node:timers/promises';
    import { capture, playback } from 'greenroom/audio';
    const held = () => ['task', 'fd'].map((what) => readdirSync('/proc/self/' + what).length);
    const once = async () => {
      const [mic, speaker] = await Promise.all([capture({ device: 'tone:440' }), playback({ device: 'null' })]);
      await speaker.write((await mic.read()).data);
      await Promise.all([mic.close(), speaker.close()]);
    };
    await once();
    const [threads, descriptors] = held();
    for (let i = 0; i < 100; i++) await once();
    for (let i = 0; i < 500 && (held()[0] > threads || held()[1] > descriptors); i++) await sleep(20);
    console.log(held()[0] <= threads, held()[1] <= descriptors);
  `;
  assert.deepEqual((await run(t, script)).output, ['true true']);
});

test('each worker thread has streams of its own, and takes them along', async (t) => {
  const there = folder(t);
  const files = [1, 2, 3].map((number) => join(there, `${number}.wav`));
  const workers = files.map((file) => new Worker(WORKER, { workerData: `file:${file}` }));
  t.after(() => Promise.all(workers.map((worker) => worker.terminate())));
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  // One is torn down with a read under way, one closes and exits by itself; the third must not notice.
  assert.equal(await workers[0].terminate(), 1);
  const exited = new Promise((resolve) => workers[1].once('exit', resolve));
  workers[1].postMessage('close');
  assert.equal(await exited, 0);
  assert.equal(samplesIn(files[1]), 160);
  const last = new Promise((resolve) => workers[2].once('exit', resolve));
  workers[2].postMessage('close');
  assert.equal(await last, 0);
  assert.equal(samplesIn(files[2]), 160);
});

test('what is played to PulseAudio is recorded from it, and its end is told', async (t) => {
  const { environment, pid } = await startPulse(t);
  const script = `
    import { capture, devices, playback } from 'greenroom/audio';
    const { name, direction, rate } = (await devices()).find(({ id }) => id === 'pulseaudio:mic');
    console.log(name, direction, rate);
    const mic = await capture({ device: 'Microphone' });
    const speaker = await playback({ device: 'pulseaudio:mic_feed', rate: 16_000 });
    console.log(mic.device, speaker.device);
    const sine = Int16Array.from({ length: 16_000 }, (_, at) => Math.sin((at * 2 * Math.PI * 1000) / 16_000) * 16384);
    const whistle = async () => { for (;;) await speaker.write(sine); };
    const lost = whistle().catch(({ code }) => code);
    const isLoud = ({ data }) => data.some((sample) => sample > 13_000);
    while (!isLoud(await mic.read({ timeout: 20_000 })));
    const frames = [];
    for (let i = 0; i < 100; i++) frames.push(await mic.read({ timeout: 20_000 }));
    // How far apart its waves are: the median, which gaps on a busy machine do not change.
    const heard = frames.flatMap(({ data }) => [...data]);
    const waves = [...heard.keys()].filter((at) => at > 0 && heard[at] >= 0 && heard[at - 1] < 0);
    const lengths = waves.slice(1).map((at, before) => at - waves[before]).sort((one, other) => one - other);
    console.log(lengths[lengths.length >> 1]);
    process.kill(Number(process.argv[1]), 'SIGKILL');
    try { for await (const frame of mic); } catch ({ code, message }) { console.log(code, message.includes('pulseaudio:mic is gone')); }
    console.log(await lost);
    for await (const { type } of mic.events()) if (type !== 'gap') console.log(type);
  `;
  const { code, output } = await run(t, script, { env: environment, args: [String(pid)] });
  assert.equal(code, 0);
  assert.deepEqual(output.slice(0, 2), ['Microphone input 48000', 'pulseaudio:mic pulseaudio:mic_feed']);
  // 16 samples at 16 kHz are a wave of 1 kHz.
  assert.equal(output[2], '16');
  assert.deepEqual(output.slice(3), ['device_lost true', 'device_lost', 'lost']);
});
