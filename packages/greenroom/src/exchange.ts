/**
 * All that this package does on one Room. A Room takes one handler for the topic of agent sessions: it is here, once for
 * all hosts, gates and controllers on that Room object. What may go where is decided by the addon's `RoomTopic`; here
 * only bytes are carried.
 */

import { errorFromNative, errorOf, invalid } from './failures.js';
import { Interception, type Guard } from './interception.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import {
  Addresses,
  checkRoom,
  claimIn,
  isAgentKind,
  isReconnecting,
  localOf,
  mayManage,
  publishesOnBehalf,
  sendMessage,
  type LocalParticipant,
  type Participant,
  type Reader,
  type Recipient,
  type RoomLike,
  type StreamHandler,
} from './rtc.js';
import { bounded, Timer } from './timer.js';

/** @internal The topic of agent sessions. */
export const TOPIC = 'lk.agent.session';

/** How long the SDK may take to send one message: longer than a reconnect takes. */
const SEND_MS = 30_000;
/** How long what is still to be sent may take when the last user of a Room closes. */
const FLUSH_MS = 3_000;

/** @internal The agent's side of a session: gets the requests that are let in. */
export interface HostUser {
  request(message: Buffer, sender: string): void;
  /** A line of the audit log, as JSON. */
  audit(json: string): void;
}

/** @internal A controller: gets what its agent sends. */
export interface ControllerUser {
  message(message: Buffer): void;
  /** A message that is too large to be taken: its size and its first bytes. */
  skipped(size: number, head: Buffer): void;
  /** The agent is out of reach for good. */
  gone(why: 'agent_left' | 'room_disconnected'): void;
}

/** @internal What the SDK's own host on a guarded Room is to us. */
export interface Captor {
  registered(handler: StreamHandler): void;
  unregistered(): void;
  sends(message: Uint8Array, destinations: readonly string[]): Promise<void>;
}

/** What the addon gives of what came in. */
type Incoming =
  | { kind: 'host'; host: number; message: Buffer; sender: string }
  | { kind: 'agent'; identity: string; message: Buffer }
  | { kind: 'skipped'; identity: string; announced: number; head: Buffer }
  | { kind: 'cut'; stream: number }
  | { kind: 'audit'; json: string };

/** What the addon gives of what goes out. */
type Outgoing =
  // Without `to` it goes to the same as the one before.
  | { kind: 'send'; ticket: number; to?: Recipient[]; message: Buffer }
  | { kind: 'done'; ticket: number };

/**
 * The exchanges of all copies of this package's release in this realm: a Room has one, whichever
 * copy asks first.
 */
const EXCHANGES = Symbol.for(`greenroom.${native.version()}.exchanges`);
const shared = globalThis as { [EXCHANGES]?: WeakMap<RoomLike, Exchange> };
const exchanges = (shared[EXCHANGES] ??= new WeakMap());

/** The events of a Room after which its participants may be others. No event tells of permissions. */
const NEWS = ['participantConnected', 'participantDisconnected', 'connectionStateChanged', 'reconnected', 'moved'];

/** @internal */
export class Exchange {
  readonly room: RoomLike;
  readonly #topic = new native.RoomTopic(performance.now());
  readonly #timer = new Timer(() => this.#act((now) => this.#topic.handleTimeout(now)));
  readonly #peers = new Map<string, { identity: string; may: boolean | null; isAgent: boolean; onBehalf: boolean }>();
  /** Who waits for changes of the room. */
  readonly #waiting = new Set<() => void>();
  readonly #streams = new Map<number, Reader>();
  readonly #hosts = new Map<number, HostUser>();
  readonly #controllers = new Map<string, Map<ControllerUser, string>>();
  readonly #tickets = new Map<number, Ticket>();
  #captor: Captor | undefined;
  #interception: Interception | undefined;
  #worker: Promise<void> | undefined;
  #audience: { recipients: readonly Recipient[]; addresses: Addresses } = { recipients: [], addresses: new Addresses([]) };
  #sending: AbortController | undefined;
  #isDelivering = false;
  #isClosed = false;

  /** The one of a Room. It lives as long as it has a host or a controller. */
  static of(room: RoomLike): Exchange {
    const known = exchanges.get(room);
    if (known !== undefined) return known;
    checkRoom(room);
    const exchange = new Exchange(room);
    exchanges.set(room, exchange);
    return exchange;
  }

  private constructor(room: RoomLike) {
    this.room = room;
    try {
      room.registerByteStreamHandler(TOPIC, this.#onStream);
    } catch (cause) {
      throw taken(cause);
    }
    this.#listen();
  }

  /** Opens a host; `options` is JSON. The SDK's own host on the Room is silent from now on. */
  openHost(options: string, user: HostUser): number {
    if (this.#captor !== undefined) {
      throw invalid(
        "this Room has a gate, which guards the SDK's own host: close the gate first, or do without this one",
      );
    }
    this.#interception ??= new Interception(this.room, TOPIC, this.#guard);
    return this.#open(options, user);
  }

  /** Opens a host for what the SDK's own host on the Room is, which the captor gets. */
  capture(options: string, user: HostUser, captor: Captor): number {
    if (this.#captor !== undefined) throw invalid('this Room has a gate already');
    if (this.#hosts.size > 0) throw invalid('this Room has a host of greenroom/livekit, which has a gate of its own');
    this.#interception ??= new Interception(this.room, TOPIC, this.#guard);
    const host = this.#open(options, user);
    this.#captor = captor;
    return host;
  }

  /** Closes a host and opens another in its place: what waits for the one is answered with an error. */
  reopenHost(host: number, options: string): number {
    const user = this.#hosts.get(host);
    if (user === undefined) return host;
    this.#close(host);
    return this.#open(options, user);
  }

  /** Resolves once what it still had to say is sent. */
  async closeHost(host: number): Promise<void> {
    if (!this.#hosts.has(host)) return;
    this.#close(host);
    await this.#release();
  }

  /** Closes a host of `capture`. What the SDK's own host registered gets the topic back, if nobody else has use for it. */
  async free(host: number, handlers: readonly StreamHandler[]): Promise<void> {
    if (!this.#hosts.has(host)) return;
    this.#close(host);
    this.#captor = undefined;
    await this.#release();
    if (this.#isClosed && handlers[0] !== undefined) this.room.registerByteStreamHandler(TOPIC, handlers[0]);
  }

  /** Addresses a controller at an agent, which is in the room. */
  listen(identity: string, user: ControllerUser): void {
    const users = this.#controllers.get(identity) ?? new Map<ControllerUser, string>();
    this.#controllers.set(identity, users.set(user, this.#sidOf(identity) ?? ''));
    this.#act(() => this.#topic.listen(identity));
  }

  async unlisten(identity: string, user: ControllerUser): Promise<void> {
    const users = this.#controllers.get(identity);
    if (!users?.delete(user)) return;
    if (users.size === 0) this.#controllers.delete(identity);
    this.#act(() => this.#topic.unlisten(identity));
    if (!this.#isUsed()) await this.#release();
  }

  /** Opens a session with an agent in the room, see the addon's `attach`. Throws what the addon does. */
  attach(json: string, wake: () => void): InstanceType<typeof native.Driver> {
    try {
      return this.#act(() => this.#topic.attach(json, wake));
    } catch (error) {
      void this.#release();
      throw error;
    }
  }

  /** Sends what sessions have to say. */
  carry(): void {
    if (!this.#isClosed) this.#act(() => {});
  }

  /** Lets go of the Room if nobody needs it any more. */
  async settle(): Promise<void> {
    this.carry();
    if (!this.#isUsed()) await this.#release();
  }

  /**
   * The identity of the agent that is named, or of the only one, as soon as it is in the room. Rejects at once if the Room
   * is not connected, if this participant lacks the grant, or if the room has several agents and none is named; with
   * `SessionTimeout` if there is none within so many milliseconds.
   */
  async findAgent(wanted: string | undefined, timeout: number, signal: AbortSignal): Promise<string> {
    const deadline = performance.now() + timeout;
    const name = this.room.name ?? '';
    try {
      for (;;) {
        signal.throwIfAborted();
        if (!isReconnecting(this.room)) checkLocal(this.room);
        this.carry();
        const found = ask(() => this.#topic.findAgent(name, wanted ?? null));
        if (found !== null) return found;
        if (performance.now() >= deadline) ask(() => this.#topic.throwNoAgent(name, wanted ?? null, timeout));
        await this.#news(deadline, signal);
      }
    } catch (error) {
      await this.settle();
      throw error;
    }
  }

  /** Waits until the room changes, or until then. */
  #news(deadline: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(deadline - performance.now(), 0));
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.add(done);
    });
  }

  /** Sends for a host what its agent says, where the gate lets it. Resolves once it is sent. */
  fromAgent(host: number, message: Uint8Array, destination: string | null): Promise<void> {
    return this.#sent((now) => this.#topic.fromAgent(host, bufferOf(message), destination, now));
  }

  /** Sends to an agent. Resolves once it is sent. */
  send(message: Uint8Array, identity: string): Promise<void> {
    return this.#sent((now) => this.#topic.send(bufferOf(message), identity, now));
  }

  /** The counters of a host, as JSON. */
  status(host: number): string {
    this.#sync(performance.now());
    return this.#topic.status(host);
  }

  #open(options: string, user: HostUser): number {
    try {
      const host = this.#act(() => this.#topic.openHost(options));
      this.#hosts.set(host, user);
      return host;
    } catch (error) {
      void this.#release();
      throw errorFromNative(error);
    }
  }

  #close(host: number): void {
    this.#act(() => this.#topic.closeHost(host));
    this.#hosts.delete(host);
  }

  #sent(give: (now: number) => number): Promise<void> {
    return quiet(
      new Promise((resolve, reject) => {
        if (this.#isClosed || !this.room.isConnected) throw notConnected();
        this.#act((now) => this.#tickets.set(give(now), { resolve, reject }));
      }),
    );
  }

  /** Lets the switchboard go on, and passes on what comes of it. */
  #act<T>(step: (now: number) => T): T {
    const now = performance.now();
    this.#listenAgain();
    this.#sync(now);
    const result = step(now);
    this.#deliver();
    this.#worker ??= this.#sendAll();
    this.#timer.at(this.#topic.pollTimeout());
    return result;
  }

  #deliver(): void {
    // Who gets something may act at once; what comes of that waits for its turn.
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    try {
      this.#deliverAll();
    } finally {
      this.#isDelivering = false;
    }
  }

  #deliverAll(): void {
    const poll = () => this.#topic.poll() as Incoming | null;
    for (let it = poll(); it; it = poll()) {
      switch (it.kind) {
        case 'host':
          this.#hosts.get(it.host)?.request(it.message, it.sender);
          break;
        case 'agent':
          for (const user of this.#controllersOf(it.identity)) user.message(it.message);
          break;
        case 'skipped':
          for (const user of this.#controllersOf(it.identity)) user.skipped(it.announced, it.head);
          break;
        case 'cut':
          quiet(this.#streams.get(it.stream)?.close?.() ?? Promise.resolve());
          this.#streams.delete(it.stream);
          break;
        case 'audit':
          for (const user of [...this.#hosts.values()]) user.audit(it.json);
      }
    }
  }

  #controllersOf(identity: string): ControllerUser[] {
    return [...(this.#controllers.get(identity)?.keys() ?? [])];
  }

  /** Sends one message after the other. Who may have it is decided when its turn comes. */
  async #sendAll(): Promise<void> {
    // What is asked for in one go is not sent in the middle of it.
    await null;
    try {
      this.#sync(performance.now());
      for (;;) {
        const next = this.#topic.pollSend(performance.now()) as Outgoing | null;
        this.#deliver();
        if (next === null) break;
        const ticket = this.#tickets.get(next.ticket);
        if (next.kind === 'send') {
          if (next.to !== undefined) this.#audience = { recipients: next.to, addresses: new Addresses(next.to) };
          const error = await this.#send(next.message);
          this.#sync(performance.now());
          const isSessions = error !== undefined && this.#topic.sendFailed(next.ticket, error.message);
          if (ticket !== undefined && !isSessions) ticket.error ??= error;
        } else {
          this.#tickets.delete(next.ticket);
          if (ticket?.error !== undefined) ticket.reject(ticket.error);
          else ticket?.resolve();
        }
      }
    } catch (error) {
      this.#failAll(errorFromNative(error));
    } finally {
      this.#worker = undefined;
      this.#timer.at(this.#topic.pollTimeout());
    }
  }

  /** Sends to the audience, those who have left aside. Gives what went wrong. */
  async #send(message: Buffer): Promise<Error | undefined> {
    const local = this.room.localParticipant as LocalParticipant | undefined;
    if (!this.room.isConnected || local === undefined) return notConnected();
    const { recipients, addresses } = this.#audience;
    const present = recipients.filter(({ identity, sid }) => identity !== '' && (this.#sidOf(identity) ?? '') === sid);
    // To nobody would be to everybody.
    if (present.length === 0) return undefined;
    const to = present.length === recipients.length ? addresses : new Addresses(present);
    this.#sending = new AbortController();
    const late = setTimeout(() => this.#sending?.abort(new Error('it took too long')), SEND_MS);
    try {
      await sendMessage({ local, topic: TOPIC, message, to, signal: this.#sending.signal });
      return undefined;
    } catch (cause) {
      const whom = to.identities.map((identity) => JSON.stringify(identity)).join(', ');
      return errorOf('io', `could not send to ${whom}: ${(cause as Error).message}`, { cause });
    } finally {
      clearTimeout(late);
      this.#sending = undefined;
    }
  }

  readonly #onStream = (reader: Reader, { identity }: { identity: string }) => {
    quiet(this.#read(reader, identity));
  };

  async #read(reader: Reader, identity: string): Promise<void> {
    const stream = this.#act((now) => {
      const stream = this.#topic.begin(identity, claimIn(reader), reader.info.totalSize ?? null, now);
      this.#streams.set(stream, reader);
      return stream;
    });
    try {
      for await (const chunk of reader) {
        // What is not wanted is read all the same, and dropped, where the SDK would keep what is not read.
        const isWanted =
          this.#streams.has(stream) && this.#act((now) => this.#topic.chunk(stream, bufferOf(chunk), now));
        if (!isWanted && reader.close !== undefined) return;
      }
      if (this.#streams.has(stream)) this.#act((now) => this.#topic.end(stream, now));
    } catch {
      // The room or the sender broke it off.
      this.#act((now) => this.#topic.abort(stream, now));
    } finally {
      this.#streams.delete(stream);
    }
  }

  /** Tells the switchboard who is in the room at this moment, and who of them may do what. */
  #sync(now: number): void {
    const { isConnected, remoteParticipants } = this.room;
    const present: ReadonlyMap<string, Participant> = isConnected ? remoteParticipants : new Map();
    let known = 0;
    for (const participant of present.values()) {
      const { sid, identity } = participant;
      if (!sid) continue;
      known += 1;
      const may = mayManage(participant);
      const peer = this.#peers.get(sid);
      const [isAgent, onBehalf] = [isAgentKind(participant), publishesOnBehalf(participant)];
      const isSame = peer?.may === may && peer.isAgent === isAgent && peer.onBehalf === onBehalf;
      if (isSame && peer.identity === identity) continue;
      this.#peers.set(sid, { identity, may, isAgent, onBehalf });
      this.#topic.setParticipant(sid, identity, may, isAgent, onBehalf, now);
    }
    if (known === this.#peers.size) return;
    for (const [sid, { identity }] of this.#peers) {
      if (present.get(identity)?.sid === sid) continue;
      this.#peers.delete(sid);
      this.#topic.removeParticipant(sid, now);
    }
  }

  #sidOf(identity: string): string | undefined {
    return (this.room.remoteParticipants.get(identity) as Participant | undefined)?.sid;
  }

  readonly #onNews = () => {
    if (!this.room.isConnected) this.#sending?.abort(notConnected());
    this.#act(() => {
      // A Room that reconnects has no participants for a while.
      if (!isReconnecting(this.room)) this.#topic.checkAgents(this.room.isConnected);
    });
    for (const done of [...this.#waiting]) done();
    if (isReconnecting(this.room)) return;
    for (const [identity, users] of this.#controllers) {
      for (const [user, sid] of [...users]) {
        if (!this.room.isConnected) user.gone('room_disconnected');
        else if (this.#sidOf(identity) !== sid) user.gone('agent_left');
      }
    }
  };

  #listen(): void {
    for (const event of NEWS) this.room.on(event, this.#onNews);
  }

  /** A Room that is disconnected forgets who listens to it, and may be connected again. */
  #listenAgain(): void {
    if (!this.#isClosed && !this.room.listeners('moved').includes(this.#onNews)) this.#listen();
  }

  readonly #guard: Guard = this.#newGuard();

  #newGuard(): Guard {
    const self = this;
    return {
      get isGuarding() {
        return self.#hosts.size > 0;
      },
      registered(handler) {
        if (self.#hosts.size === 0) throw taken();
        self.#captor?.registered(handler);
      },
      unregistered() {
        self.#captor?.unregistered();
      },
      async sends(message, destinations) {
        return self.#captor?.sends(message, destinations);
      },
    };
  }

  #isUsed(): boolean {
    return (
      this.#hosts.size > 0 || this.#controllers.size > 0 || this.#waiting.size > 0 || this.#topic.sessions() > 0
    );
  }

  /** Lets go of the Room when nobody needs it any more, and what is to be sent is sent. */
  async #release(): Promise<void> {
    if (this.#worker !== undefined) await bounded(this.#worker, FLUSH_MS);
    if (this.#isClosed || this.#isUsed()) return;
    this.#isClosed = true;
    exchanges.delete(this.room);
    this.#timer.stop();
    this.#interception?.restore();
    this.room.unregisterByteStreamHandler(TOPIC);
    for (const event of NEWS) this.room.off(event, this.#onNews);
    for (const reader of this.#streams.values()) void reader.close?.();
    this.#streams.clear();
    this.#failAll(notConnected());
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#tickets.values()) reject(error);
    this.#tickets.clear();
  }
}

/** @internal Throws unless the Room is connected and its own participant may drive agents. */
export function checkLocal(room: RoomLike): void {
  const local = JSON.stringify(localOf(room));
  ask(() => native.checkLocal(local));
}

/** Asks the addon; its errors become those of this package. */
function ask<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw errorFromNative(error);
  }
}

/** Somebody who waits until a message is sent. */
interface Ticket {
  resolve(): void;
  reject(error: Error): void;
  error?: Error | undefined;
}

function taken(cause?: unknown): Error {
  return errorOf(
    'invalid_argument',
    `this Room's topic ${TOPIC} is taken already, probably by the host of an AgentSession: call gate(room), or ` +
      'host(session, room) of greenroom/livekit, before session.start',
    cause === undefined ? {} : { cause },
  );
}

function notConnected(): Error {
  return errorOf('io', 'the Room is not connected');
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
