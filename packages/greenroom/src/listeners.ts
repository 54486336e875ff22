/** Functions that are called for events, and the logger among them. */

import type { Driver } from './driver.js';
import { readEvents } from './events.js';
import { log, type Logger } from './logger.js';
import type { EventType, Event } from './types.js';

/** Takes an event of a type. */
export type EventListener<T extends EventType = EventType> = (event: Event<T>) => void;

/** @internal Reads events while there are listeners. */
export class Listeners {
  readonly #driver: Driver;
  readonly #logger: Logger | false | undefined;
  readonly #listeners = new Map<EventType, Set<EventListener>>();
  #place: number;

  constructor(driver: Driver, logger: Logger | false | undefined) {
    this.#driver = driver;
    this.#logger = logger;
    this.#place = 0;
  }

  add<T extends EventType>(type: T, listener: EventListener<T>): void {
    if (!this.#isListening()) this.#place = this.#driver.endOfEvents();
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener as unknown as EventListener));
  }

  delete<T extends EventType>(type: T, listener: EventListener<T>): void {
    const listeners = this.#listeners.get(type);
    listeners?.delete(listener as unknown as EventListener);
    if (listeners?.size === 0) this.#listeners.delete(type);
  }

  /** Calls the listeners with new events. */
  deliver(): void {
    while (this.#isListening()) {
      const { events, next } = readEvents(this.#driver, this.#place);
      this.#place = next;
      if (events.length === 0) return;
      for (const event of events) this.#tell(event);
    }
  }

  #isListening(): boolean {
    return Boolean(this.#logger) || this.#listeners.size > 0;
  }

  #tell(event: Event): void {
    this.#log(event);
    for (const listener of [...(this.#listeners.get(event.type) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        // It must not keep others from their events, nor end the process from within a callback of
        // ours.
        log(this.#logger, 'error', `a listener for ${event.type} events threw: ${String(error)}`);
      }
    }
  }

  /** The agent's own output is logged as debug; losses and errors as warnings. */
  #log(event: Event): void {
    switch (event.type) {
      case 'log':
        return log(this.#logger, 'debug', event.text);
      case 'error':
        return log(this.#logger, 'error', `the agent failed: ${event.message}`);
      case 'gap':
        return log(this.#logger, 'warn', `${event.dropped} events were dropped before they were read`);
      case 'closed':
        return log(this.#logger, 'info', `the session is closed: ${event.message}`);
    }
  }
}
