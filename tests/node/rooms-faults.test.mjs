// What breaks between a controller and an agent in a real room.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AgentSession as pb } from '@livekit/protocol';
import { dispose, SimulateScenarioKind } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { RemoteSession, RoomSessionTransport } from 'greenroom/livekit';
import { collect, until } from './support/agents.mjs';
import { startServer, venue } from './support/livekit-server.mjs';
import { pair, TOPIC } from './support/rooms.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

/** Has a Room lose its connection, and waits until it has another. */
async function reconnect(room, scenario) {
  const back = new Promise((resolve) => room.once('reconnected', resolve));
  await room.simulateScenario(scenario);
  await back;
}

test('a connection that is resumed is no event, on either side', async (t) => {
  const { agent, room } = await pair(t, server);
  const session = await greenroom.attach(room);
  for (const one of [room, agent.room]) {
    const release = agent.model.hold();
    const turn = session.say('hi');
    await until('the agent thinks', () => agent.session.agentState === 'thinking');
    await reconnect(one, SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT);
    release();
    assert.equal((await turn).reply, 'echo: hi');
  }
  await session.close();
});

test('who connects anew is somebody else: what was pending fails at once, and the next session works', async (t) => {
  const { venue, agent, room } = await pair(t, server);
  for (const one of [room, agent.room]) {
    const session = await greenroom.attach(room);
    const release = agent.model.hold();
    const turn = session.say('hi');
    await until('the agent thinks', () => agent.session.agentState === 'thinking');
    await reconnect(one, SimulateScenarioKind.SIMULATE_FULL_RECONNECT);
    await assert.rejects(turn, greenroom.AgentGone);
    release();
    await session.close();
    await venue.gather(agent.room, room);
    const next = await greenroom.attach(room);
    assert.equal((await next.say('again')).reply, 'echo: again');
    await next.close();
  }
});

test('a server that dies in the middle of a turn ends the session, and both sides end', async (t) => {
  const own = await startServer();
  t.after(() => own.stop());
  const { agent, room } = await pair(t, own);
  const session = await greenroom.attach(room);
  agent.model.hold();
  const turn = session.say('hi', { timeout: 60_000 });
  await until('the agent thinks', () => agent.session.agentState === 'thinking');
  await own.stop();
  await assert.rejects(turn, greenroom.AgentGone);
  assert.equal((await collect(session.events())).at(-1).reason, 'room_disconnected');
  await session.close();
  await agent.guarding.close();
});

test('a controller that does not read delays nobody, with 10,000 events', async (t) => {
  const place = venue(t, server);
  const agent = await place.connect('agent', { kind: 'agent' });
  const transport = new RoomSessionTransport(agent);
  t.after(() => transport.close());
  await transport.start();
  run(t, DEAF, await place.token('deaf', { grant: true }));
  const room = await place.connect('boss', { grant: true });
  await place.gather(agent, room);
  await until('the agent knows it', () => agent.remoteParticipants.has('deaf'), { within: 20_000 });
  const session = RemoteSession.fromRoom(room);
  t.after(() => session.close());
  await session.start();
  const heard = [];
  session.on('user_input_transcribed', ({ transcript }) => heard.push(Number(transcript)));
  // Of more than 8,192 that wait to be sent at once, the agent's side drops and counts some.
  for (let number = 0; number < 10_000; number += 5_000) {
    const sends = Array.from({ length: 5_000 }, (_, index) => transport.sendMessage(event(number + index)));
    await Promise.all(sends);
    await until('they are heard', () => heard.length === number + 5_000, { within: 60_000 });
  }
  assert.ok(
    heard.every((number, index) => number === index),
    'in their order',
  );
});

test('a controller whose process stood still for 2.5 s while its agent sent 3,000 events loses none', async (t) => {
  const place = venue(t, server);
  const room = await place.connect('boss', { grant: true });
  const agent = run(t, PROMPT, await place.token('agent', { kind: 'agent' }), ['pipe', 'pipe', 'inherit']);
  await until('the agent is there', () => room.remoteParticipants.has('agent'), { within: 20_000 });
  const session = RemoteSession.fromRoom(room);
  t.after(() => session.close());
  await session.start();
  const heard = [];
  session.on('user_input_transcribed', ({ transcript }) => heard.push(Number(transcript)));
  agent.stdin.write('go\n');
  await once(agent.stdout, 'data');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
  await until('they are heard', () => heard.length === 3_000, { within: 60_000 });
  assert.ok(
    heard.every((number, index) => number === index),
    'in their order',
  );
});

test('an agent that says more than its controller reads keeps a bounded part of it, and counts the rest', async (t) => {
  const place = venue(t, server);
  run(t, DEAF, await place.token('deaf', { grant: true }));
  const host = run(t, TALKATIVE, await place.token('agent', { kind: 'agent' }));
  const chunks = await collect(host.stdout);
  // What the SDK's native part logs goes to standard output too.
  const { said, sent, dropped, growth } = JSON.parse(Buffer.concat(chunks).toString().split('\n').at(-2));
  assert.equal(sent + dropped, 10_000);
  assert.ok(dropped > 5_000, `${dropped} were dropped`);
  assert.ok(said > 280 * MIB, `${said / MIB} MiB were said`);
  assert.ok(growth < 200 * MIB, `the process grew by ${growth / MIB} MiB`);
  t.diagnostic(`of ${said / MIB} MiB, ${sent} messages were sent; the process grew by ${Math.round(growth / MIB)} MiB`);
});

const MIB = 1024 * 1024;

/** Runs a script with the server and a token, in a process of its own: what it keeps is a burden there. */
function run(t, script, token, stdio = ['ignore', 'pipe', 'inherit']) {
  const args = ['--input-type=module', '--eval', script, server.url, token];
  const cwd = dirname(fileURLToPath(import.meta.url));
  const child = spawn(process.execPath, args, { cwd, stdio });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** An agent that says 10,000 things of 30 KB each as fast as it can, as the SDK's host does: it waits for none to be sent. */
const TALKATIVE = `
  import { AgentSession as pb } from '@livekit/protocol';
  import { dispose, Room } from '@livekit/rtc-node';
  import { RoomSessionTransport } from 'greenroom/livekit';
  const [url, token] = process.argv.slice(1);
  const room = new Room();
  await room.connect(url, token, { autoSubscribe: true, dynacast: false });
  const transport = new RoomSessionTransport(room);
  await transport.start();
  while (!room.remoteParticipants.has('deaf')) await new Promise((resolve) => setTimeout(resolve, 20));
  const before = process.memoryUsage().rss;
  let [peak, said] = [before, 0];
  const sends = [];
  for (let number = 0; number < 10_000; number++) {
    const value = new pb.AgentSessionEvent_UserInputTranscribed({ transcript: String(number).padEnd(30_000, '.') });
    const event = new pb.AgentSessionEvent({ event: { case: 'userInputTranscribed', value } });
    const message = new pb.AgentSessionMessage({ message: { case: 'event', value: event } });
    said += message.toBinary().length;
    sends.push(transport.sendMessage(message));
    if (number % 100 === 0) await new Promise(setImmediate);
    peak = Math.max(peak, process.memoryUsage.rss());
  }
  await Promise.all(sends);
  const { dropped } = transport.status();
  peak = Math.max(peak, process.memoryUsage.rss());
  console.log('\\n' + JSON.stringify({ said, sent: sends.length - dropped, dropped, growth: peak - before }));
  await transport.close();
  await room.disconnect();
  await dispose();
`;

/** An agent that answers pings, and sends 3,000 events once it is told to. It says so when it begins. */
const PROMPT = `
  import { AgentSession as pb } from '@livekit/protocol';
  import { Room } from '@livekit/rtc-node';
  import { RoomSessionTransport } from 'greenroom/livekit';
  const [url, token] = process.argv.slice(1);
  const room = new Room();
  await room.connect(url, token, { autoSubscribe: true, dynacast: false });
  const transport = new RoomSessionTransport(room);
  await transport.start();
  process.stdin.once('data', async () => {
    console.log('now');
    for (let number = 0; number < 3_000; number++) {
      const value = new pb.AgentSessionEvent_UserInputTranscribed({ transcript: String(number) });
      const event = new pb.AgentSessionEvent({ event: { case: 'userInputTranscribed', value } });
      await transport.sendMessage(new pb.AgentSessionMessage({ message: { case: 'event', value: event } }));
    }
  });
`;

/** A controller that takes no notice. */
const DEAF = `
  import { Room } from '@livekit/rtc-node';
  const [url, token] = process.argv.slice(1);
  const room = new Room();
  room.registerByteStreamHandler('${TOPIC}', () => {});
  await room.connect(url, token, { autoSubscribe: true, dynacast: false });
  await new Promise(() => setInterval(() => {}, 1_000));
`;

function event(number) {
  const value = new pb.AgentSessionEvent_UserInputTranscribed({ transcript: String(number) });
  const event = new pb.AgentSessionEvent({ event: { case: 'userInputTranscribed', value } });
  return new pb.AgentSessionMessage({ message: { case: 'event', value: event } });
}
