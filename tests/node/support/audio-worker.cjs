// A worker thread with streams of its own, which it closes when it is told to.

const { parentPort, workerData } = require('node:worker_threads');
const { capture, playback } = require('greenroom/audio');

(async () => {
  const mic = await capture({ device: 'tone:440' });
  const speaker = await playback({ device: workerData, clock: 'fast' });
  await speaker.write((await mic.read()).data);
  await speaker.drain();
  parentPort.postMessage('open');
  parentPort.once('message', () => Promise.all([mic.close(), speaker.close()]));
  for await (const frame of mic) if (frame === undefined) throw new Error('no frame');
})();
