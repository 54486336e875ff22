/** The link in memory to an agent of this process. */

import { millis } from './checks.js';
import { START_TIMEOUT_MS, TEXT_MODE } from './defaults.js';
import type { Completion, Driver } from './driver.js';
import { errorOf, invalid } from './failures.js';
import type { AgentSessionLike, InProcessOptions } from './in-process.js';
import { native } from './native.cjs';
import { loadSdk, SdkError, type Host, type Message, type Sdk, type Transport } from './sdk.cjs';
import { Session } from './session.js';

/** How long the SDK's host may take to end: it waits for a turn that runs, for as long as that takes. */
const HOST_CLOSE_MS = 3_000;
/** The longest that a timer of Node's can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @internal See `inProcess`. */
export async function attach(agentSession: AgentSessionLike, options: InProcessOptions): Promise<Session> {
  const { signal, logger, timeout, textMode = TEXT_MODE } = options;
  signal?.throwIfAborted();
  const deadline = millis('timeout', timeout) ?? START_TIMEOUT_MS;
  check(agentSession);
  const sdk = await load(agentSession);
  signal?.throwIfAborted();
  const driver = new MemoryDriver(sdk, agentSession, textMode);
  const session = new Session((wake) => driver.wakes(wake), logger);
  await driver.open();
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

async function load(agentSession: AgentSessionLike): Promise<Sdk> {
  try {
    return await loadSdk(agentSession);
  } catch (error) {
    if (error instanceof SdkError) throw errorOf(error.code, error.message, { cause: error.cause });
    throw error;
  }
}

/** The protocol's state machine, with the SDK's host at the other end. */
class MemoryDriver implements Driver {
  readonly #machine: InstanceType<typeof native.Controller>;
  readonly #sdk: Sdk;
  readonly #agentSession: AgentSessionLike;
  readonly #host: Host;
  readonly #link: MemoryTransport;
  #wake: () => void = () => {};
  readonly #tokens = new Map<number, number>();
  readonly #completions: Completion[] = [];
  readonly #startedAt = new Date();
  #place = 0;
  #woken = false;
  #timer: NodeJS.Timeout | undefined;
  #keepAlive: NodeJS.Timeout | undefined;
  #detached: Promise<void> | undefined;

  constructor(sdk: Sdk, agentSession: AgentSessionLike, textMode: boolean) {
    this.#machine = new native.Controller(textMode, performance.now());
    this.#sdk = sdk;
    this.#agentSession = agentSession;
    this.#link = new MemoryTransport((message) => this.#act((now) => this.#machine.receive(message, now)));
    this.#host = sdk.newHost(this.#link);
  }

  wakes(wake: () => void): this {
    this.#wake = wake;
    return this;
  }

  async open(): Promise<void> {
    this.#agentSession.on('close', this.#onAgentClose);
    this.#host.registerSession(this.#agentSession);
    await this.#host.start();
    this.#act((now) => this.#machine.open(now));
  }

  submit(json: string, timeout: number | null, token: number): number {
    return this.#act((now) => {
      const call = this.#machine.submit(json, timeout, now);
      this.#tokens.set(call, token);
      return call;
    });
  }

  cancel(call: number): void {
    this.#act((now) => this.#machine.cancel(call, now));
  }

  drain(): Completion[] {
    this.#woken = false;
    return this.#completions.splice(0);
  }

  readEvents(from: number, most: number): { json: string; next: number } {
    return this.#machine.readEvents(from, most);
  }

  endOfEvents(): number {
    return this.#machine.endOfEvents();
  }

  status(): string {
    return JSON.stringify({
      ...(JSON.parse(this.#machine.status()) as object),
      pid: process.pid,
      kind: 'node',
      sdk_version: this.#sdk.version,
      started_at: this.#startedAt.toISOString(),
      uptime_ms: Date.now() - this.#startedAt.getTime(),
    });
  }

  close(token: number): void {
    const detached = this.#detach(async () => {
      this.#closed('closed', 'session_closed', 'the session was closed');
      await bounded(this.#host.close(), HOST_CLOSE_MS);
    });
    void detached.then(() => {
      this.#completions.push({ token, ok: true, json: '{"answer":"done"}' });
      this.#wakeOnce();
    });
  }

  ref(): void {
    // What the agent does need not keep Node running: a language model that is a script, for instance.
    this.#keepAlive ??= setInterval(() => {}, MAX_TIMER_MS);
  }

  unref(): void {
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
  }

  readonly #onAgentClose = (event?: { reason?: unknown }) => {
    const reason = event?.reason === undefined ? '' : ` (${String(event.reason)})`;
    void this.#detach(async () => {
      // What the agent still answers comes first.
      await bounded(this.#host.close(), HOST_CLOSE_MS);
      this.#closed('agent_disconnected', 'agent_gone', `the AgentSession was closed${reason}`);
    });
  };

  /** Lets the state machine go on, and passes on what comes of it. */
  #act<T>(step: (now: number) => T): T {
    const result = step(performance.now());
    for (let message = this.#machine.pollTransmit(); message; message = this.#machine.pollTransmit()) {
      this.#link.deliver(this.#sdk.decode(message));
    }
    for (const { token: call, ok, json } of this.#machine.drain()) {
      const token = this.#tokens.get(call);
      this.#tokens.delete(call);
      if (token !== undefined) this.#completions.push({ token, ok, json });
    }
    const end = this.#machine.endOfEvents();
    if (this.#completions.length > 0 || end !== this.#place) this.#wakeOnce();
    this.#place = end;
    this.#setTimer();
    return result;
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const due = this.#machine.pollTimeout();
    if (due === null) return;
    const wait = Math.min(Math.max(due - performance.now(), 0), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#act((now) => this.#machine.handleTimeout(now)), Math.ceil(wait)).unref();
  }

  #wakeOnce(): void {
    if (this.#woken) return;
    this.#woken = true;
    queueMicrotask(this.#wake);
  }

  /** The end of the link, in the way that comes first. */
  #detach(end: () => Promise<void>): Promise<void> {
    this.#detached ??= (async () => {
      this.#agentSession.off('close', this.#onAgentClose);
      await end();
      clearTimeout(this.#timer);
      await this.#link.close();
    })();
    return this.#detached;
  }

  #closed(reason: string, code: string, message: string): void {
    this.#act((now) => this.#machine.closed(reason, JSON.stringify({ code, message }), now));
  }
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

/** Waits for a promise, however it ends, but no longer than that. */
async function bounded(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  await Promise.race([promise.catch(() => {}), late]);
  clearTimeout(timer);
}
