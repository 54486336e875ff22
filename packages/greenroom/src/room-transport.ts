/** Sessions that go through a Room: the agent's side and the controller's. */

import { checkOptions, millis, shown } from './checks.js';
import { START_TIMEOUT_MS } from './defaults.js';
import { checkLocal, Exchange, type ControllerUser, type HostUser } from './exchange.js';
import { errorOf, invalid } from './failures.js';
import { auditTo, GATE_OPTIONS, gateJson, gateStatus, type GateOptions, type GateStatus } from './policy.js';
import { quiet } from './promises.js';
import { protocolFor, type AgentSessionMessage, type Protocol } from './protocol.js';
import { shareClass } from './realms.js';
import { checkRoom, type RoomLike } from './rtc.js';
import {
  Inbox,
  SEND_MESSAGE_OPTIONS,
  SessionTransport,
  type IncomingMessage,
  type SendMessageOptions,
} from './transport.js';

/** The largest message that a controller takes from its agent, in bytes. */
const MAX_AGENT_MESSAGE = 16 * 1024 * 1024;

/** The SDK's `RoomIO`, or the like. */
export interface RoomIOLike {
  readonly linkedParticipant?: unknown;
}

/** Whom a controller is addressed at. */
export interface AgentPeer {
  /** The agent's identity; the only participant of kind agent if it is undefined. */
  agentIdentity: string | undefined;
}

/** How a transport through a Room works. */
export interface RoomSessionTransportOptions extends GateOptions {
  /** How long a controller waits for its agent to be in the room, in milliseconds. 60,000 unless given. */
  timeout?: number | undefined;
  /** Gives up the wait for the agent. */
  signal?: AbortSignal | undefined;
}

/**
 * The session protocol through a `Room` of @livekit/rtc-node. What is in second place says which side it is:
 *
 * - nothing, or a RoomIO as the SDK has it: the agent's. Requests come from participants who hold the grant
 *   `canManageAgentSession` at that moment, whoever is linked; a response goes to whoever asked, an event to all who may
 *   see it. While it is open, the SDK's own host on that Room is silent.
 * - an agent's identity, or `{ agentIdentity }`: a controller's. `start` waits until the agent is in the room, and rejects
 *   with `PermissionDenied` if this participant lacks the grant. Its iteration ends with `AgentGone` when the agent leaves.
 */
export class RoomSessionTransport extends SessionTransport {
  readonly #side: HostSide | ControllerSide;
  readonly #inbox = new Inbox();
  #protocol: Protocol | undefined;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(room: RoomLike, peer?: RoomIOLike | AgentPeer | string, options: RoomSessionTransportOptions = {}) {
    super();
    checkOptions('RoomSessionTransport', options, { ...GATE_OPTIONS, timeout: 'own', signal: 'signal' });
    if (peer !== undefined && typeof peer !== 'string' && (typeof peer !== 'object' || peer === null)) {
      throw invalid(`the peer of RoomSessionTransport is ${shown(peer)}; pass the agent's identity, or leave it out`);
    }
    const agent = typeof peer === 'string' ? { agentIdentity: peer } : peer;
    this.#side =
      agent !== undefined && 'agentIdentity' in agent
        ? new ControllerSide(room, agent.agentIdentity, options, this.#inbox)
        : new HostSide(room, options, this.#inbox);
  }

  override start(): Promise<void> {
    this.#starting ??= quiet(this.#start());
    return this.#starting;
  }

  override sendMessage(message: AgentSessionMessage, options: SendMessageOptions = {}): Promise<void> {
    return quiet(this.#send(message, options));
  }

  override incoming(): AsyncIterableIterator<IncomingMessage> {
    return this.#inbox.read((message) => this.#decode(message));
  }

  override close(): Promise<void> {
    this.#inbox.end();
    this.#closing ??= quiet(this.#side.close());
    return this.#closing;
  }

  /** What the gate has counted; undefined on a controller's side. */
  status(): GateStatus | undefined {
    return this.#side.status();
  }

  async #start(): Promise<void> {
    // The Room is taken at once: who calls this does not have to wait for it.
    const opening = quiet(this.#side.open());
    try {
      this.#protocol = await protocolFor('RoomSessionTransport');
      await opening;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #send(message: AgentSessionMessage, options: SendMessageOptions): Promise<void> {
    checkOptions('sendMessage', options, SEND_MESSAGE_OPTIONS);
    const { destinationIdentity } = options;
    if (this.#closing !== undefined) throw errorOf('session_closed', 'this transport is closed');
    if (this.#starting === undefined)
      throw invalid('this transport has not been started: `await transport.start()` first');
    await this.#starting;
    // Not awaited here, nor below: a function that waits keeps what it was given, and many messages may wait.
    return this.#side.send(message.toBinary(), destinationIdentity ?? null);
  }

  #decode(message: Uint8Array): AgentSessionMessage {
    if (this.#protocol === undefined)
      throw invalid('this transport has not been started: `await transport.start()` first');
    return this.#protocol.AgentSessionMessage.fromBinary(message);
  }

  static {
    shareClass(this, 'RoomSessionTransport');
  }
}

/** The agent's side. */
class HostSide {
  readonly #room: RoomLike;
  readonly #options: string;
  readonly #user: HostUser;
  #exchange: Exchange | undefined;
  #host = 0;
  #last: GateStatus | undefined;

  constructor(room: RoomLike, options: GateOptions, inbox: Inbox) {
    this.#room = room;
    this.#options = gateJson(options);
    this.#user = { request: (message, sender) => inbox.put(message, sender), audit: auditTo(options) };
  }

  async open(): Promise<void> {
    const exchange = Exchange.of(this.#room);
    this.#host = exchange.openHost(this.#options, this.#user);
    this.#exchange = exchange;
  }

  async send(message: Uint8Array, destination: string | null): Promise<void> {
    return this.#exchange?.fromAgent(this.#host, message, destination);
  }

  async close(): Promise<void> {
    this.#last = this.status();
    await this.#exchange?.closeHost(this.#host);
  }

  status(): GateStatus | undefined {
    if (this.#exchange === undefined || this.#last !== undefined) return this.#last;
    return gateStatus(this.#exchange.status(this.#host));
  }
}

/** The controller's side. */
class ControllerSide implements ControllerUser {
  readonly #room: RoomLike;
  readonly #wanted: string | undefined;
  readonly #timeout: number;
  readonly #abort = new AbortController();
  readonly #inbox: Inbox;
  #agent: { identity: string; exchange: Exchange } | undefined;
  #gone: Error | undefined;

  constructor(
    room: RoomLike,
    agent: string | undefined,
    { timeout, signal }: RoomSessionTransportOptions,
    inbox: Inbox,
  ) {
    this.#room = room;
    this.#wanted = agent;
    this.#timeout = millis('timeout', timeout) ?? START_TIMEOUT_MS;
    this.#inbox = inbox;
    if (signal?.aborted) this.#abort.abort(signal.reason);
    signal?.addEventListener('abort', () => this.#abort.abort(signal.reason), {
      once: true,
      signal: this.#abort.signal,
    });
  }

  async open(): Promise<void> {
    checkRoom(this.#room);
    const { signal } = this.#abort;
    signal.throwIfAborted();
    checkLocal(this.#room);
    const exchange = Exchange.of(this.#room);
    const identity = await exchange.findAgent(this.#wanted, this.#timeout, signal);
    if (signal.aborted) {
      await exchange.settle();
      throw signal.reason;
    }
    this.#agent = { identity, exchange };
    exchange.listen(identity, this);
  }

  async send(message: Uint8Array, destination: string | null): Promise<void> {
    if (this.#gone !== undefined) throw this.#gone;
    if (this.#agent === undefined) return;
    const { identity, exchange } = this.#agent;
    if (destination !== null && destination !== identity) {
      throw invalid(
        `this transport is addressed at ${JSON.stringify(identity)}, not at ${JSON.stringify(destination)}`,
      );
    }
    return exchange.send(message, identity);
  }

  async close(): Promise<void> {
    this.#abort.abort(errorOf('session_closed', 'this transport is closed'));
    await this.#agent?.exchange.unlisten(this.#agent.identity, this);
  }

  status(): undefined {
    return undefined;
  }

  message(message: Buffer): void {
    this.#inbox.put(message, this.#agent?.identity);
  }

  skipped(size: number, head: Buffer): void {
    const why =
      size > MAX_AGENT_MESSAGE
        ? `is ${size} bytes long; at most ${MAX_AGENT_MESSAGE} are taken`
        : 'was lost: its stream stalled, or too much of what the agent sent was still unread';
    process.emitWarning(`a message of the agent ${why}`, { code: 'GREENROOM_SKIPPED' });
    const refusal = refusalOf(head, `the agent's answer ${why}`);
    if (refusal !== undefined) this.#inbox.put(refusal, this.#agent?.identity);
  }

  gone(why: 'agent_left' | 'room_disconnected'): void {
    const agent = JSON.stringify(this.#agent?.identity);
    const what =
      why === 'agent_left'
        ? `the agent ${agent} left the room`
        : `the Room was disconnected, and the agent ${agent} with it`;
    this.#gone = errorOf('agent_gone', what);
    this.#inbox.end(this.#gone);
    quiet(this.close());
  }
}

/** The response with that error in place of one that is too large, of its first bytes; undefined if that is no response. */
function refusalOf(head: Buffer, error: string): Buffer | undefined {
  // AgentSessionMessage { response = 5: SessionResponse { request_id = 1, error = 2 } }, each a tag, a length and bytes.
  const [tag, , afterLength] = fieldAt(head, 0);
  const [idTag, length, start] = fieldAt(head, afterLength);
  if (tag !== 0x2a || idTag !== 0x0a || start + length > head.length) return undefined;
  const response = Buffer.concat([field(0x0a, head.subarray(start, start + length)), field(0x12, Buffer.from(error))]);
  return field(0x2a, response);
}

/** The tag and the length of a field, and where its bytes begin. */
function fieldAt(bytes: Buffer, at: number): [tag: number, length: number, start: number] {
  let length = 0;
  let start = at + 1;
  for (let shift = 0; start < bytes.length && shift < 35; shift += 7) {
    const byte = bytes[start++] ?? 0;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return [bytes[at] ?? 0, length, start];
}

function field(tag: number, bytes: Buffer): Buffer {
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) length.push((rest % 128) | 0x80);
  return Buffer.concat([Buffer.from([tag, ...length, rest]), bytes]);
}
