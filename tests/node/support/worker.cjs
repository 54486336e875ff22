// A worker thread with a session of its own, which it closes when it is told to.

const { parentPort, workerData } = require('node:worker_threads');
const { start } = require('greenroom');

start(workerData).then(async (session) => {
  parentPort.postMessage({ pid: session.status().pid, reply: (await session.say('hi')).reply });
  parentPort.once('message', () => session.close());
  session.say('hang');
});
