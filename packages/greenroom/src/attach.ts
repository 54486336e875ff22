/** Sessions with an agent in a room that this process is in already. */

import { randomUUID } from 'node:crypto';
import { findAgent } from './agents.js';
import { checkOptions, millis, requireText } from './checks.js';
import { START_TIMEOUT_MS } from './defaults.js';
import { Exchange, type ControllerUser } from './exchange.js';
import { errorFromJson, errorOf } from './failures.js';
import type { Logger } from './logger.js';
import { MachineDriver, type Link } from './machine.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import { checkRoom, type RoomLike } from './rtc.js';
import { Session, type CallOptions } from './session.js';

/** How a session with an agent in a room begins. */
export interface AttachOptions extends CallOptions {
  /** The agent's identity. The only participant of kind agent unless given. */
  agent?: string | undefined;
  /** How long the agent may take to be in the room and to answer, in milliseconds. 60,000 unless given. */
  timeout?: number | undefined;
  /** Where the package logs: `console`, a pino logger or the like. Nowhere unless given. */
  logger?: Logger | false | undefined;
}

/**
 * A session with an agent in a room, through a connected `Room` of @livekit/rtc-node, which stays its owner's. It works
 * with agents that are guarded by this package and with those that are not. The agent's audio is left as it is.
 *
 * This participant needs the grant `canManageAgentSession`, the agent does not. Rejects with `PermissionDenied` without
 * it, before anything is sent; with `InvalidArgument` if the room has several agents and none is named (the message
 * lists them), if the Room is not connected, or if an AgentSession that runs on this very Room has its topic; with
 * `SessionTimeout` if the agent is not there in time.
 */
export function attach(room: RoomLike, options: AttachOptions = {}): Promise<Session> {
  return quiet(connect(room, options));
}

/** How long an agent may take to answer a ping before it is asked again: one whose session has not begun hears nothing. */
const PING_MS = 500;

async function connect(room: RoomLike, options: AttachOptions): Promise<Session> {
  checkOptions('attach', options, { agent: 'own', timeout: 'own', logger: 'logger', signal: 'signal' });
  const { agent, timeout, signal, logger } = options;
  const deadline = performance.now() + (millis('timeout', timeout) ?? START_TIMEOUT_MS);
  const left = () => Math.max(deadline - performance.now(), 1);
  if (agent !== undefined) requireText('the identity of the agent', agent);
  checkRoom(room);
  for (;;) {
    const found = await findAgent(room, { agent, timeout: left(), signal });
    const probe = new Probe(room, found);
    let session: Session;
    try {
      // One that has left meanwhile may come again, or another may.
      if (!(await probe.answers(left(), signal))) continue;
      const link = new RoomLink(room, found);
      session = new Session((wake) => link.driver.handle(wake), logger);
      link.open();
    } finally {
      const closing = probe.close();
      // Who gave up does not wait.
      if (!signal?.aborted) await closing;
    }
    return session.ready({ signal, timeout: left() });
  }
}

/** Asks an agent whether its session answers. */
class Probe implements ControllerUser {
  readonly #exchange: Exchange;
  readonly #agent: string;
  readonly #machine = new native.Controller(false, performance.now(), randomUUID());
  #answered: (isThere: boolean) => void = () => {};
  #failed: (error: unknown) => void = () => {};

  constructor(room: RoomLike, agent: string) {
    this.#exchange = Exchange.of(room);
    this.#agent = agent;
    this.#machine.open(performance.now());
    // What a session asks first is none of the probe's.
    this.#transmits();
  }

  /** Whether it answers; false if it leaves instead. Rejects with why it does not want to, or `SessionTimeout`. */
  async answers(timeout: number, signal: AbortSignal | undefined): Promise<boolean> {
    signal?.throwIfAborted();
    const abort = () => this.#failed(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const pings = setInterval(() => this.#ping(), PING_MS);
    const late = setTimeout(() => this.#failed(this.#silence()), timeout);
    try {
      return await new Promise<boolean>((resolve, reject) => {
        [this.#answered, this.#failed] = [resolve, reject];
        this.#exchange.listen(this.#agent, this);
        this.#ping();
      });
    } finally {
      clearInterval(pings);
      clearTimeout(late);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Lets go of the agent. */
  close(): Promise<void> {
    return quiet(this.#exchange.unlisten(this.#agent, this));
  }

  message(message: Buffer): void {
    this.#machine.receive(message, performance.now());
    for (const { ok, json } of this.#machine.drain()) {
      if (ok) this.#answered(true);
      else this.#failed(errorFromJson(json));
    }
  }

  skipped(): void {}

  gone(why: 'agent_left' | 'room_disconnected'): void {
    if (why === 'agent_left') this.#answered(false);
    else this.#failed(errorOf('agent_gone', 'the Room was disconnected before the agent answered'));
  }

  #ping(): void {
    this.#machine.submit('{"op":"ping"}', null, performance.now());
    for (const message of this.#transmits()) this.#exchange.send(message, this.#agent).catch(this.#failed);
  }

  #transmits(): Buffer[] {
    const messages: Buffer[] = [];
    for (let it = this.#machine.pollTransmit(); it; it = this.#machine.pollTransmit()) messages.push(it);
    return messages;
  }

  #silence(): Error {
    return errorOf(
      'timeout',
      `the agent ${JSON.stringify(this.#agent)} is in the room but does not answer: its session has not started, or its ` +
        'host obeys only other participants',
    );
  }
}

/** The agent in the room at the other end of the link. */
class RoomLink implements Link {
  readonly driver: MachineDriver;
  readonly #exchange: Exchange;
  readonly #agent: string;
  readonly #user: ControllerUser;

  constructor(room: RoomLike, agent: string) {
    this.driver = new MachineDriver(new native.Controller(false, performance.now(), randomUUID()), this);
    this.#exchange = Exchange.of(room);
    this.#agent = agent;
    this.#user = {
      message: (message) => this.driver.receive(message),
      skipped: (size, head) => this.driver.receiveSkipped(size, head),
      gone: (why) => this.#gone(why),
    };
  }

  open(): void {
    this.#exchange.listen(this.#agent, this.#user);
    this.driver.open();
  }

  send(message: Buffer): void {
    this.#exchange.send(message, this.#agent).catch((error: Error) => {
      // A message that is lost leaves a call without its answer: better no link than one that lies.
      this.driver.closed('room_disconnected', 'agent_gone', error.message);
      void this.driver.detach();
    });
  }

  async close(): Promise<void> {
    await this.#exchange.unlisten(this.#agent, this.#user);
  }

  status(): object {
    return {};
  }

  #gone(why: 'agent_left' | 'room_disconnected'): void {
    const agent = JSON.stringify(this.#agent);
    if (why === 'agent_left') this.driver.closed(why, 'agent_gone', `the agent ${agent} left the room`);
    else this.driver.closed(why, 'agent_gone', `the Room was disconnected, and the agent ${agent} with it`);
    void this.driver.detach();
  }
}
