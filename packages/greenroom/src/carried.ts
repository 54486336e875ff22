/** A native session whose messages the event loop carries. */

import type { Completion, Driver } from './driver.js';
import type { native } from './native.js';
import { quiet } from './promises.js';

type NativeDriver = InstanceType<typeof native.Driver>;

/** @internal Carries the messages of a session between its native half and the agent. */
export interface Carrier {
  /** Carries the messages that wait. */
  carry(): void;
  /** Lets go of the agent. May be called again. */
  close(): Promise<void>;
}

/** Ends sessions that were garbage-collected, and their carriers. */
const lost = new FinalizationRegistry(({ driver, carrier }: { driver: NativeDriver; carrier: Carrier }) => {
  driver.close(0);
  void quiet(carrier.close());
});

/** @internal */
export class CarriedDriver implements Driver {
  readonly #driver: NativeDriver;
  readonly #carrier: Carrier;
  readonly #wake: () => void;
  #done: Completion[] = [];

  /** `open` makes the native session, which calls what it is given when there is something to drain or to carry. */
  constructor(open: (wake: () => void) => NativeDriver, carrier: Carrier, wake: () => void) {
    this.#driver = open(() => {
      carrier.carry();
      wake();
    });
    this.#carrier = carrier;
    this.#wake = wake;
    lost.register(this, { driver: this.#driver, carrier });
  }

  submit(json: string, timeout: number | null, token: number): number {
    const call = this.#driver.submit(json, timeout, token);
    this.#carrier.carry();
    return call;
  }

  cancel(call: number): void {
    this.#driver.cancel(call);
    this.#carrier.carry();
  }

  drain(): Completion[] {
    const done = this.#done;
    this.#done = [];
    return [...this.#driver.drain(), ...done];
  }

  readEvents(from: number, most: number): { json: string; next: number } {
    return this.#driver.readEvents(from, most);
  }

  endOfEvents(): number {
    return this.#driver.endOfEvents();
  }

  status(): string {
    return this.#driver.status();
  }

  close(token: number): void {
    // Pending calls fail now; the end is reported once the carrier has closed.
    this.#driver.close(0);
    const closed = () => {
      this.#done.push({ token, ok: true, json: '{"answer":"done"}' });
      this.#wake();
    };
    void this.#carrier.close().then(closed, closed);
  }

  ref(): void {
    this.#driver.ref();
  }

  unref(): void {
    this.#driver.unref();
  }
}
