// A LiveKit server of the tests' own, on loopback, and rooms on it. tests/python/rooms/support is its twin.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { Room } from '@livekit/rtc-node';
import { AccessToken, RoomServiceClient } from 'livekit-server-sdk';
import { ROOT, until } from './agents.mjs';

const RUN = join(ROOT, 'tests', 'livekit-server', 'run');
// What config.yaml beside it says.
export const KEY = 'devkey';
export const SECRET = 'a-secret-that-protects-nothing-but-tests';
// How long a server may take until it answers: far above what it takes.
const START_DEADLINE_MS = 60_000;

/** Starts a server on free ports; back when it answers. It also ends when this process does, however that happens. */
export async function startServer() {
  // Somebody else may take a port between our look and the server's.
  for (let attemptsLeft = 2; ; attemptsLeft--) {
    const server = new Server(await freePort(), await freeUdpPort());
    try {
      await server.start();
      return server;
    } catch (error) {
      if (!(error instanceof ServerDied) || attemptsLeft === 0) throw error;
    }
  }
}

/** A room on the server for one test: everybody in it is disconnected after the test. */
export function venue(t, server) {
  const room = new Venue(server);
  t.after(() => room.close());
  return room;
}

/** A running server; `stop` ends it surely. */
class Server {
  #port;
  #udpPort;
  #process;
  #log = '';

  constructor(port, udpPort) {
    this.#port = port;
    this.#udpPort = udpPort;
  }

  /** Where clients connect. */
  get url() {
    return `ws://127.0.0.1:${this.#port}`;
  }

  /** Where the server's API is called. */
  get apiUrl() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The process, which leads a group of its own. */
  get pid() {
    return this.#process.pid;
  }

  /** Starts it again after `stop`, on the same ports; its rooms are gone. Back when it answers. */
  async start() {
    const options = { detached: true, stdio: ['pipe', 'pipe', 'pipe'] };
    this.#process = spawn(RUN, [program(), this.#port, this.#udpPort].map(String), options);
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (data) => (this.#log = (this.#log + data).slice(-20_000)));
      // The server keeps this process alive no longer than its tests do.
      stream.unref();
    }
    this.#process.stdin.unref();
    this.#process.unref();
    try {
      await until('livekit-server answers', () => this.#answers(), { within: START_DEADLINE_MS });
    } catch (error) {
      await this.stop();
      if (!(error instanceof ServerDied)) error.message += `\n${this.#log.slice(-2000)}`;
      throw error;
    }
  }

  /** Kills it at once, as a crash would; nobody is told. Does nothing if it is stopped. */
  async stop() {
    if (this.#hasEnded()) return;
    const end = once(this.#process, 'exit');
    this.#process.ref();
    process.kill(-this.#process.pid, 'SIGKILL');
    await end;
  }

  #hasEnded() {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  async #answers() {
    if (this.#hasEnded()) throw new ServerDied(`livekit-server ended with ${this.#process.exitCode}:\n${this.#log}`);
    try {
      return (await fetch(this.apiUrl, { signal: AbortSignal.timeout(5000) })).ok;
    } catch {
      return false;
    }
  }
}

/** The server ended by itself. */
class ServerDied extends Error {}

/** A room with a name of its own. */
class Venue {
  #rooms = [];
  #api;

  constructor(server) {
    this.server = server;
    this.name = `room-${randomUUID().slice(-12)}`;
    this.#api = new RoomServiceClient(server.apiUrl, KEY, SECRET);
  }

  /** A token to join this room. `grant` is canManageAgentSession; undefined leaves it out of the token. */
  async token(identity, { grant, kind = 'standard', hidden } = {}) {
    const token = new AccessToken(KEY, SECRET, { identity });
    token.kind = kind;
    token.addGrant({
      roomJoin: true,
      room: this.name,
      canPublish: true,
      canSubscribe: true,
      canPublishData: true,
      canUpdateOwnMetadata: true,
      hidden,
      agent: kind === 'agent' || undefined,
      canManageAgentSession: grant,
    });
    return token.toJwt();
  }

  /** Joins as that participant, with a Room of ours if none is given; see `token` and `announce`. */
  async connect(identity, { room = new Room(), announce = true, ...options } = {}) {
    this.#rooms.push(room);
    await room.connect(this.server.url, await this.token(identity, options), { autoSubscribe: true, dynacast: false });
    if (announce) await this.announce(identity);
    return room;
  }

  /** Makes the server tell the others of a newcomer at once, which it else does every 3 s: gives it a name. */
  async announce(identity) {
    await this.#api.updateParticipant(this.name, identity, { name: identity });
  }

  /** Waits until all of these know each other, their permissions included. */
  async gather(...rooms) {
    for (const room of rooms) {
      for (const { localParticipant: other } of rooms.filter((one) => one !== room)) {
        const what = `${room.localParticipant.identity} knows ${other.identity}`;
        await until(what, () => room.remoteParticipants.get(other.identity)?.sid === other.sid);
      }
    }
  }

  /** Gives the grant to a participant or takes it away; its other permissions stay. Others hear of it later. */
  async setGrant(identity, grant) {
    const { permission } = await this.#api.getParticipant(this.name, identity);
    permission.canManageAgentSession = grant;
    await this.#api.updateParticipant(this.name, identity, { permission });
  }

  /** Throws a participant out. */
  async remove(identity) {
    await this.#api.removeParticipant(this.name, identity);
  }

  /** Ends the room: all are thrown out. */
  async delete() {
    await this.#api.deleteRoom(this.name);
  }

  /** Disconnects everybody. */
  async close() {
    for (const room of this.#rooms) await room.disconnect();
  }
}

/** Whether, as this room knows it, a participant may manage agent sessions; false if it is not known. */
export function holdsGrant(room, identity) {
  const local = room.localParticipant;
  const known = local.identity === identity ? local : room.remoteParticipants.get(identity);
  return known?.info.permission?.canManageAgentSession ?? false;
}

/** The server's program, which `.ci/livekit-server` gets. */
function program() {
  const path =
    process.env.GREENROOM_TEST_LIVEKIT_SERVER ?? join(ROOT, '.cache', 'livekit-server', 'livekit-server');
  if (!existsSync(path)) throw new Error(`${path} is not there: run .ci/livekit-server`);
  return path;
}

/** A TCP port on loopback that nobody uses at this moment. */
export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** The same for UDP. */
async function freeUdpPort() {
  const probe = createSocket('udp4').bind(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}
