// A private PulseAudio, with a loudspeaker and a microphone that are not there, as core/capture/tests/real/support/pulse.rs:
// what is played to `mic_feed` is heard in the microphone `mic`.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const setup = (folder) => `\
.fail
load-module module-native-protocol-unix auth-anonymous=1 socket=${folder}/pulse
load-module module-null-sink sink_name=speaker rate=48000 channels=2 format=s16le
load-module module-null-sink sink_name=mic_feed rate=48000 channels=1 format=s16le
load-module module-remap-source source_name=mic master=mic_feed.monitor source_properties=device.description=Microphone
set-default-sink speaker
set-default-source mic
`;

/** Starts one, which ends with the test; `environment` leads to it and to no other sound. */
export async function startPulse(t) {
  const folder = mkdtempSync(join(tmpdir(), 'greenroom-pulse-'));
  const environment = {
    HOME: folder,
    XDG_RUNTIME_DIR: folder,
    PULSE_RUNTIME_PATH: folder,
    PULSE_SERVER: `unix:${folder}/pulse`,
    ALSA_CONFIG_PATH: `${folder}/nothing`,
  };
  const children = [];
  const start = (command, ...args) => {
    const child = spawn(command, args, { stdio: 'ignore', env: { PATH: process.env.PATH, ...environment } });
    children.push(child);
    return { child, ended: new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject)) };
  };
  t.after(async () => {
    const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(running.map((child) => new Promise((resolve) => child.once('exit', resolve).kill('SIGKILL'))));
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, 'setup.pa'), setup(folder));
  const options = ['-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', '--disable-shm=yes', '--realtime=no'];
  const { child } = start('pulseaudio', ...options, '--high-priority=no', '-F', join(folder, 'setup.pa'));
  const end = performance.now() + 20_000;
  while ((await start('pactl', 'info').ended) !== 0) {
    if (performance.now() > end) throw new Error('PulseAudio does not answer; .ci/audio installs it');
    await sleep(20);
  }
  // Without a reader in a hurry, a microphone that is not there works in blocks of two seconds.
  start('parec', '--latency-msec=10', '-d', 'mic');
  return { environment, pid: child.pid };
}
