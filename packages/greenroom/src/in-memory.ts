/** The link in memory to an agent of this process. */

import { CarriedDriver, type Carrier } from './carried.js';
import { checkOptions, millis } from './checks.js';
import { START_TIMEOUT_MS, TEXT_MODE } from './defaults.js';
import { errorFromSdk, errorOf, invalid } from './failures.js';
import type { AgentSessionLike, InProcessOptions } from './in-process.js';
import { native } from './native.js';
import { quiet } from './promises.js';
import { loadSdk, type Host, type Message, type Sdk, type Transport } from './sdk.js';
import { Session } from './session.js';
import { bounded } from './timer.js';

/** How long the SDK's host may take to end: it waits for a turn that runs, for as long as that takes. */
const HOST_CLOSE_MS = 3_000;

/** @internal See `inProcess`. */
export async function attach(agentSession: AgentSessionLike, options: InProcessOptions): Promise<Session> {
  checkOptions('inProcess', options, { timeout: 'own', textMode: 'flag', logger: 'logger', signal: 'signal' });
  const { signal, logger, timeout, textMode = TEXT_MODE } = options;
  signal?.throwIfAborted();
  const deadline = millis('timeout', timeout) ?? START_TIMEOUT_MS;
  check(agentSession);
  const sdk = await loadSdk('inProcess', agentSession).catch((error: unknown) => {
    throw errorFromSdk(error);
  });
  signal?.throwIfAborted();
  const link = new MemoryLink(sdk, agentSession);
  const json = JSON.stringify({ start_timeout_ms: deadline, text_mode: textMode, sdk_version: sdk.version });
  const session = new Session((wake) => new CarriedDriver((both) => link.drive(json, both), link, wake), logger);
  try {
    await link.open();
  } catch (error) {
    await session.close();
    throw error;
  }
  return session.ready({ signal });
}

function check(agentSession: AgentSessionLike): void {
  if (typeof agentSession?.run !== 'function' || typeof agentSession.on !== 'function') {
    throw invalid('inProcess needs an AgentSession of @livekit/agents, such as `new voice.AgentSession({ llm })`');
  }
  try {
    void agentSession.currentAgent;
  } catch (cause) {
    throw errorOf(
      'invalid_argument',
      'the AgentSession has not started: call `await agentSession.start({ agent })` before inProcess',
      { cause },
    );
  }
}

/** The SDK's host at the other end of the link. */
class MemoryLink implements Carrier {
  readonly #sdk: Sdk;
  readonly #agentSession: AgentSessionLike;
  readonly #host: Host;
  readonly #transport: MemoryTransport;
  #pipe: InstanceType<typeof native.Pipe> | undefined;
  #closing: Promise<void> | undefined;

  constructor(sdk: Sdk, agentSession: AgentSessionLike) {
    this.#sdk = sdk;
    this.#agentSession = agentSession;
    this.#transport = new MemoryTransport((message) => {
      this.#pipe?.receive(message);
      this.carry();
    });
    this.#host = sdk.newHost(this.#transport);
  }

  /** Makes the native session. */
  drive(json: string, wake: () => void): InstanceType<typeof native.Driver> {
    this.#pipe = new native.Pipe(json, wake);
    return this.#pipe.takeDriver();
  }

  async open(): Promise<void> {
    this.#agentSession.on('close', this.#onAgentClose);
    this.#host.registerSession(this.#agentSession);
    await this.#host.start();
    this.#pipe?.open();
    this.carry();
  }

  carry(): void {
    for (let message = this.#pipe?.pollTransmit(); message; message = this.#pipe?.pollTransmit()) {
      this.#transport.deliver(this.#sdk.decode(message));
    }
  }

  close(): Promise<void> {
    this.#closing ??= quiet(this.#close());
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#agentSession.off('close', this.#onAgentClose);
    await bounded(this.#host.close(), HOST_CLOSE_MS);
    await this.#transport.close();
  }

  readonly #onAgentClose = (event?: { reason?: unknown }) => {
    const reason = event?.reason === undefined ? '' : ` (${String(event.reason)})`;
    // What the agent still answers comes first.
    const closed = () => this.#pipe?.closed('agent_disconnected', `the AgentSession was closed${reason}`);
    void this.close().then(closed);
  };
}

/** The SDK's transport between its host and the state machine. */
class MemoryTransport implements Transport {
  readonly #receive: (message: Buffer) => void;
  readonly #messages: Message[] = [];
  #next: (() => void) | undefined;
  #closed = false;

  constructor(receive: (message: Buffer) => void) {
    this.#receive = receive;
  }

  /** A message for the host. */
  deliver(message: Message): void {
    this.#messages.push(message);
    this.#next?.();
  }

  async start(): Promise<void> {}

  async sendMessage(message: Message): Promise<void> {
    if (this.#closed) return;
    const { buffer, byteOffset, byteLength } = message.toBinary();
    this.#receive(Buffer.from(buffer, byteOffset, byteLength));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#next?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, undefined> {
    while (!this.#closed) {
      const message = this.#messages.shift();
      if (message !== undefined) yield message;
      else await new Promise<void>((resolve) => (this.#next = resolve));
    }
  }
}
