/** The link in memory to an agent of this process. */

import { checkOptions, millis } from './checks.js';
import { START_TIMEOUT_MS, TEXT_MODE } from './defaults.js';
import { errorFromSdk, errorOf, invalid } from './failures.js';
import type { AgentSessionLike, InProcessOptions } from './in-process.js';
import { MachineDriver, type Link } from './machine.js';
import { native } from './native.js';
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
  const link = new MemoryLink(sdk, agentSession, textMode);
  const session = new Session((wake) => link.driver.handle(wake), logger);
  await link.open();
  return session.ready({ signal, timeout: deadline });
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
class MemoryLink implements Link {
  readonly driver: MachineDriver;
  readonly #sdk: Sdk;
  readonly #agentSession: AgentSessionLike;
  readonly #host: Host;
  readonly #transport: MemoryTransport;

  constructor(sdk: Sdk, agentSession: AgentSessionLike, textMode: boolean) {
    this.driver = new MachineDriver(new native.Controller(textMode, performance.now()), this);
    this.#sdk = sdk;
    this.#agentSession = agentSession;
    this.#transport = new MemoryTransport((message) => this.driver.receive(message));
    this.#host = sdk.newHost(this.#transport);
  }

  async open(): Promise<void> {
    this.#agentSession.on('close', this.#onAgentClose);
    this.#host.registerSession(this.#agentSession);
    await this.#host.start();
    this.driver.open();
  }

  send(message: Buffer): void {
    this.#transport.deliver(this.#sdk.decode(message));
  }

  async close(): Promise<void> {
    this.#agentSession.off('close', this.#onAgentClose);
    await bounded(this.#host.close(), HOST_CLOSE_MS);
    await this.#transport.close();
  }

  status(): object {
    return { pid: process.pid, kind: 'node', sdk_version: this.#sdk.version };
  }

  readonly #onAgentClose = (event?: { reason?: unknown }) => {
    const reason = event?.reason === undefined ? '' : ` (${String(event.reason)})`;
    // What the agent still answers comes first.
    void this.driver
      .detach()
      .then(() => this.driver.closed('agent_disconnected', 'agent_gone', `the AgentSession was closed${reason}`));
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
