// A session that goes through a room, from Node. The package is taken from the folder that this is started in.
//
// - `room.mjs pings BLOCKS TRIPS`: the smallest call, through our host and our controller in turn with the SDK's own pair, in
//   rooms of their own. Prints the median of each block in microseconds.
// - `room.mjs events BLOCKS EVENTS COUNT...`: one event of an agent, in rooms with so many controllers that hold the grant,
//   which `audience.py` has filled, in turn with a bare send of the same bytes to the same. Prints this process's time for
//   one, of each block, in microseconds.
//
// The server and its key are in LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.

import { createRequire } from 'node:module';
import { join as path } from 'node:path';

const require = createRequire(path(process.cwd(), 'package.json'));
const { initializeLogger, voice } = require('@livekit/agents');
const { AgentSession: pb } = createRequire(require.resolve('@livekit/agents'))('@livekit/protocol');
const { dispose, Room } = require('@livekit/rtc-node');
const { AccessToken } = require('livekit-server-sdk');
const greenroom = require('greenroom');
const ours = require('greenroom/livekit');

// How long the server may take until it tells the agent who is there. It does so every 3 s.
const ANNOUNCED_MS = 60_000;

/** A Room that is connected to the room of that name; a holder of the grant, or an agent. */
async function join(name, identity, { grant = false } = {}) {
  const token = new AccessToken(undefined, undefined, { identity });
  token.kind = grant ? 'standard' : 'agent';
  token.addGrant({ roomJoin: true, room: name, canManageAgentSession: grant, agent: !grant });
  const room = new Room();
  await room.connect(process.env.LIVEKIT_URL, await token.toJwt(), { autoSubscribe: true, dynacast: false });
  return room;
}

/** Waits until so many others are known. */
async function populated(room, others) {
  const deadline = performance.now() + ANNOUNCED_MS;
  while (room.remoteParticipants.size < others) {
    if (performance.now() > deadline) throw new Error(`${room.remoteParticipants.size} of ${others} participants were announced`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Measures both pairs in turn; the first block of each warms up. */
async function pings(blocks, trips) {
  const session = new voice.AgentSession({ userAwayTimeout: null });
  await session.start({ agent: new voice.Agent({ instructions: 'Answer.' }) });
  const rooms = {};
  for (const name of ['ours', 'sdk']) rooms[name] = [await join(name, 'agent'), await join(name, 'boss', { grant: true })];
  for (const room of [...rooms.ours, ...rooms.sdk]) await populated(room, 1);

  const host = await ours.host(session, rooms.ours[0]);
  const controller = await greenroom.attach(rooms.ours[1]);
  const sdkHost = new voice.SessionHost(transportTo(rooms.sdk[0], 'boss'));
  sdkHost.registerSession(session);
  await sdkHost.start();
  const sdkController = new voice.RemoteSession(transportTo(rooms.sdk[1], 'agent'));
  await sdkController.start();

  const calls = { ours: () => controller.frameworkInfo(), sdk: () => sdkController.fetchFrameworkInfo() };
  const taken = { ours: [], sdk: [] };
  for (let done = 0; done <= blocks; done++) {
    for (const [name, call] of Object.entries(calls)) taken[name].push(await block(trips, call));
  }

  await controller.close();
  await sdkController.close();
  await host.close();
  await sdkHost.close();
  await session.close();
  for (const room of [...rooms.ours, ...rooms.sdk]) await room.disconnect();
  return { ours: taken.ours.slice(1), sdk: taken.sdk.slice(1) };
}

/** The SDK's own transport, which goes to whom its RoomIO is linked to. */
function transportTo(room, identity) {
  return new voice.RoomSessionTransport(room, { linkedParticipant: { identity } });
}

async function block(trips, call) {
  const taken = [];
  for (let done = 0; done < trips; done++) {
    const begun = performance.now();
    await call();
    taken.push((performance.now() - begun) * 1000);
  }
  taken.sort((a, b) => a - b);
  return taken[trips >> 1];
}

/** Measures the rooms in turn; the first block of each warms up. */
async function events(blocks, count, ...controllers) {
  const said = { transcript: 'what somebody says in a turn '.repeat(4), isFinal: true };
  const event = { case: 'userInputTranscribed', value: new pb.AgentSessionEvent_UserInputTranscribed(said) };
  const message = new pb.AgentSessionMessage({ message: { case: 'event', value: new pb.AgentSessionEvent({ event }) } });
  const stages = [];
  const sends = [];
  for (const number of controllers) {
    const room = await join(`audience-${number}`, 'agent');
    const transport = new ours.RoomSessionTransport(room);
    await transport.start();
    await populated(room, number);
    stages.push({ room, transport });
    sends.push({ name: `event ${number}`, send: () => transport.sendMessage(message), taken: [] });
    sends.push({ name: `bare ${number}`, send: () => bareSend(room, message.toBinary()), taken: [] });
  }
  for (let done = 0; done <= blocks; done++) {
    for (const { send, taken } of sends) {
      const begun = process.cpuUsage();
      for (let sent = 0; sent < count; sent++) await send();
      const { user, system } = process.cpuUsage(begun);
      taken.push((user + system) / count);
    }
  }
  for (const { room, transport } of stages) {
    await transport.close();
    await room.disconnect();
  }
  return Object.fromEntries(sends.map(({ name, taken }) => [name, taken.slice(1)]));
}

/** One message to everybody whom the SDK knows, each by name. */
async function bareSend(room, bytes) {
  const destinationIdentities = [...room.remoteParticipants.keys()];
  const writer = await room.localParticipant.streamBytes({ topic: 'bare', name: 'bare', destinationIdentities });
  await writer.write(bytes);
  await writer.close();
}

initializeLogger({ pretty: false, level: 'silent' });
const [what, ...numbers] = process.argv.slice(2);
const found = await { pings, events }[what](...numbers.map(Number));
// What the SDK's native part logs goes to standard output too.
console.log(`\n${JSON.stringify(found)}`);
await dispose();
