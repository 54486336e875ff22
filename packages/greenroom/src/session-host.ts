/** The agent's side of a session. */

import { checkOptions } from './checks.js';
import { errorFromSdk, invalid } from './failures.js';
import { GATE_OPTIONS, type GateOptions, type GateStatus } from './policy.js';
import { quiet } from './promises.js';
import { RoomSessionTransport } from './room-transport.js';
import type { RoomLike } from './rtc.js';
import { loadSdk, type Host } from './sdk.js';
import { bounded } from './timer.js';
import type { AgentSessionLike } from './in-process.js';
import type { SessionTransport } from './transport.js';

/** How long the SDK's host may take to end: it waits for a turn that runs, for as long as that takes. */
const CLOSE_MS = 3_000;

const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/**
 * Answers for an AgentSession, and tells of it, over a transport: the SDK's own `voice.SessionHost`, which is loaded when
 * it starts.
 */
export class SessionHost {
  readonly #transport: SessionTransport;
  readonly #audio: readonly unknown[];
  #session: AgentSessionLike | undefined;
  #host: Host | undefined;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** `audioInput` and `audioOutput` are the SDK's, of a session whose audio goes over the same transport. */
  constructor(transport: SessionTransport, audioInput?: unknown, audioOutput?: unknown) {
    this.#transport = transport;
    this.#audio = [audioInput, audioOutput];
  }

  /** Says whose side it is; before `start`. */
  registerSession(session: AgentSessionLike): void {
    this.#session = session;
  }

  /**
   * Starts the transport and answers from now on. Rejects with `SdkMissing`, `SdkTooOld` or `Unsupported` where the SDK
   * cannot be used, and with what keeps the transport from starting.
   */
  start(): Promise<void> {
    this.#starting ??= quiet(this.#start());
    return this.#starting;
  }

  /** Through a Room, what its gate has counted. */
  status(): GateStatus | undefined {
    return this.#transport instanceof RoomSessionTransport ? this.#transport.status() : undefined;
  }

  /**
   * Ends it and its transport, within seconds: what still waits is answered with an error. May be called again, and never
   * rejects.
   */
  close(): Promise<void> {
    this.#closing ??= quiet(this.#close());
    return this.#closing;
  }

  /** The same as `close`, for `await using`. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal From now on it ends with its session. */
  endWithSession(): void {
    this.#session?.on('close', this.#onSessionClose);
  }

  async #start(): Promise<void> {
    const session = this.#session;
    if (session === undefined)
      throw invalid('no session is registered: call `host.registerSession(session)` before start');
    // The transport is there first, so that the Room is taken before somebody else does.
    const transport = quiet(this.#transport.start());
    try {
      const sdk = await loadSdk('SessionHost', session).catch((error: unknown) => {
        throw errorFromSdk(error);
      });
      await transport;
      this.#host = sdk.newHost(this.#transport, ...this.#audio);
      this.#host.registerSession(session);
      await this.#host.start();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #close(): Promise<void> {
    this.#session?.off('close', this.#onSessionClose);
    await bounded(this.#host?.close() ?? Promise.resolve(), CLOSE_MS);
    await this.#transport.close();
  }

  readonly #onSessionClose = () => void this.close();
}

/**
 * Answers for an AgentSession in its Room, in place of the SDK's own host, to those only who hold the grant
 * `canManageAgentSession`. Call it before `session.start`, which may then begin at once; the Room may still be unconnected:
 *
 *     const answering = await host(session, ctx.room);
 *     await session.start({ agent, room: ctx.room });
 *
 * It ends with the session. The event `amd_prediction`, which the SDK gives to its own host alone, is not sent; with `gate`
 * in its place it is, and the agent's author has it from the SDK's `AMD` object. Rejects with `InvalidArgument` if the session has started on that Room already, or for a
 * policy that cannot be meant; with `SdkMissing`, `SdkTooOld` or `Unsupported` where the SDK cannot be used.
 */
export function host(session: AgentSessionLike, room: RoomLike, options: GateOptions = {}): Promise<SessionHost> {
  return quiet(open(session, room, options));
}

async function open(session: AgentSessionLike, room: RoomLike, options: GateOptions): Promise<SessionHost> {
  checkOptions('host', options, GATE_OPTIONS);
  if (typeof session?.on !== 'function' || typeof session.off !== 'function') {
    throw invalid('host needs an AgentSession of @livekit/agents, such as `new voice.AgentSession({ llm })`');
  }
  const answering = new SessionHost(new RoomSessionTransport(room, undefined, options));
  answering.registerSession(session);
  answering.endWithSession();
  await answering.start();
  return answering;
}
