/** A session whose link lives in JavaScript: the protocol's state machine, and what carries its messages. */

import type { Completion, Driver } from './driver.js';
import { native } from './native.js';
import { MAX_TIMER_MS, Timer } from './timer.js';

/** @internal What carries the messages of a session, and ends with it. */
export interface Link {
  /** A message for the agent. */
  send(message: Buffer): void;
  /** Lets go of the agent; called once. It says `closed` to the machine, at the latest when it resolves. */
  close(): Promise<void>;
  /** What the link adds to the session's status. */
  status(): object;
}

/** Ends the links of sessions that nobody has any more. */
const lost = new FinalizationRegistry((driver: MachineDriver) => void driver.detach());

/** @internal The protocol's state machine over a link. The link tells it what comes, with `receive` and the like. */
export class MachineDriver implements Driver {
  readonly #machine: InstanceType<typeof native.Controller>;
  readonly #link: Link;
  #wake: () => void = () => {};
  readonly #tokens = new Map<number, number>();
  readonly #completions: Completion[] = [];
  readonly #startedAt = new Date();
  readonly #timer = new Timer(() => this.#act((now) => this.#machine.handleTimeout(now)));
  #place = 0;
  #woken = false;
  #keepAlive: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(machine: InstanceType<typeof native.Controller>, link: Link) {
    this.#machine = machine;
    this.#link = link;
  }

  /**
   * What a session holds on to, which calls `wake` when there is something to drain or to read. The link holds on to this
   * driver; when nobody has the handle any more, nobody has the session, and the link ends.
   */
  handle(wake: () => void): Driver {
    this.#wake = wake;
    const methods: Driver = {
      submit: (json, timeout, token) => this.submit(json, timeout, token),
      cancel: (call) => this.cancel(call),
      drain: () => this.drain(),
      readEvents: (from, most) => this.readEvents(from, most),
      endOfEvents: () => this.endOfEvents(),
      status: () => this.status(),
      close: (token) => this.close(token),
      ref: () => this.ref(),
      unref: () => this.unref(),
    };
    lost.register(methods, this);
    return methods;
  }

  /** The link is there. */
  open(): void {
    this.#act((now) => this.#machine.open(now));
  }

  /** A message from the agent. */
  receive(message: Buffer): void {
    this.#act((now) => this.#machine.receive(message, now));
  }

  /** A message from the agent that is too large to be taken: its size and its first bytes. */
  receiveSkipped(size: number, head: Buffer): void {
    this.#act((now) => this.#machine.receiveSkipped(size, head, now));
  }

  /** The link is gone: `reason` is one of the close event's, and every call fails with that code and message. */
  closed(reason: string, code: string, message: string): void {
    this.#act((now) => this.#machine.closed(reason, JSON.stringify({ code, message }), now));
  }

  /** Ends the link. */
  detach(): Promise<void> {
    this.#closing ??= this.#link.close().finally(() => this.#timer.stop());
    return this.#closing;
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
      ...this.#link.status(),
      started_at: this.#startedAt.toISOString(),
      uptime_ms: Date.now() - this.#startedAt.getTime(),
    });
  }

  close(token: number): void {
    this.closed('closed', 'session_closed', 'the session was closed');
    void this.detach().then(() => {
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

  /** Lets the state machine go on, and passes on what comes of it. */
  #act<T>(step: (now: number) => T): T {
    const result = step(performance.now());
    for (let message = this.#machine.pollTransmit(); message; message = this.#machine.pollTransmit()) {
      this.#link.send(message);
    }
    for (const { token: call, ok, json } of this.#machine.drain()) {
      const token = this.#tokens.get(call);
      this.#tokens.delete(call);
      if (token !== undefined) this.#completions.push({ token, ok, json });
    }
    const end = this.#machine.endOfEvents();
    if (this.#completions.length > 0 || end !== this.#place) this.#wakeOnce();
    this.#place = end;
    this.#timer.at(this.#machine.pollTimeout());
    return result;
  }

  #wakeOnce(): void {
    if (this.#woken) return;
    this.#woken = true;
    queueMicrotask(this.#wake);
  }
}
