/** The gate before an agent that the SDK itself hosts. */

import { checkOptions } from './checks.js';
import { Exchange, TOPIC, type Captor, type HostUser } from './exchange.js';
import { MessageReader } from './interception.js';
import { auditTo, GATE_OPTIONS, gateJson, gateStatus, type GateOptions, type GateStatus } from './policy.js';
import { quiet } from './promises.js';
import type { Participant, RoomLike, StreamHandler } from './rtc.js';

const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/**
 * Guards the agents on a `Room` of @livekit/rtc-node: of what the SDK's own host on it does, only those get something who
 * hold the grant `canManageAgentSession` at that moment. The agent is not touched, and the SDK decides no more who may
 * drive it; a supervisor with the grant may, its linked user without may not. Call it before `session.start`; the Room
 * may still be unconnected:
 *
 *     const gate = greenroom.gate(ctx.room);
 *     await session.start({ agent, room: ctx.room });
 *
 * It throws `InvalidArgument` for what is no Room, for a Room whose session has started already, and for a policy that
 * cannot be meant; `SdkTooOld` or `Unsupported` for a release of rtc-node that lacks what this needs.
 */
export function gate(room: RoomLike, options: GateOptions = {}): Gate {
  checkOptions('gate', options, GATE_OPTIONS);
  return new Gate(room, options);
}

/** A gate that stands. Get it from `gate`. */
export class Gate {
  readonly #room: RoomLike;
  readonly #exchange: Exchange;
  readonly #options: string;
  readonly #handlers: StreamHandler[] = [];
  readonly #early: [message: Buffer, sender: string][] = [];
  #host: number;
  #linked: string | undefined;
  #last: GateStatus | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(room: RoomLike, options: GateOptions) {
    this.#room = room;
    this.#options = gateJson(options);
    this.#exchange = Exchange.of(room);
    const user: HostUser = { request: (message, sender) => this.#request(message, sender), audit: auditTo(options) };
    this.#host = this.#exchange.capture(this.#options, user, this.#captor);
  }

  /** What it has counted so far. */
  status(): GateStatus {
    return this.#last ?? gateStatus(this.#exchange.status(this.#host));
  }

  /**
   * Takes the gate away and gives the Room back as it was: what still waits is answered with an error, and a session that
   * still runs is as open as without. Close it after the session. May be called again, and never rejects.
   */
  close(): Promise<void> {
    this.#last ??= this.status();
    this.#closing ??= quiet(this.#exchange.free(this.#host, this.#handlers));
    return this.#closing;
  }

  /** The same as `close`, for `await using`. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #captor: Captor = {
    registered: (handler) => {
      this.#handlers.push(handler);
      for (const [message, sender] of this.#early.splice(0)) this.#request(message, sender);
    },
    unregistered: () => {
      // Nobody says whose: sessions that take over from each other begin before the older one ends.
      this.#handlers.shift();
      if (this.#handlers.length === 0) this.#host = this.#exchange.reopenHost(this.#host, this.#options);
    },
    sends: (message, destinations) => {
      this.#linked = destinations[0] ?? this.#linked;
      return this.#exchange.fromAgent(this.#host, message, null);
    },
  };

  /**
   * Gives a request to the SDK's host, which takes a stream from one participant alone, if it is linked to one, and
   * starts to read at once. So it is told that the request is that participant's.
   */
  #request(message: Buffer, sender: string): void {
    const [handler] = this.#handlers;
    if (handler === undefined) {
      this.#early.push([message, sender]);
      return;
    }
    const others = [...this.#room.remoteParticipants.values()].map(({ identity }: Participant) => identity);
    const reader = new MessageReader(TOPIC, message);
    for (const identity of new Set([this.#linked ?? sender, sender, ...others])) {
      handler(reader, { identity });
      if (reader.isRead) return;
    }
  }
}
