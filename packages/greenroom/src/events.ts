/** Events one after the other. */

import { checkOptions } from './checks.js';
import type { Driver } from './driver.js';
import { camelCased } from './names.js';
import { quiet } from './promises.js';
import type { Event } from './types.js';

/** Which events, and until when. */
export interface EventsOptions {
  /**
   * Whether to begin with what is to come, not with the oldest event that is kept. False unless
   * given.
   */
  fromNow?: boolean | undefined;
  /** Ends the iteration: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** @internal What a stream needs of its session. */
export interface Source {
  driver: Driver;
  onNews(listener: () => void): void;
  offNews(listener: () => void): void;
  hold(): void;
  release(): void;
}

/** How many events are read at once. */
const BATCH = 256;

/** @internal Reads events from place `from` on. */
export function readEvents(driver: Driver, from: number): { events: Event[]; next: number } {
  const { json, next } = driver.readEvents(from, BATCH);
  return { events: camelCased(JSON.parse(json)) as Event[], next };
}

/**
 * The events of a session, for `for await`. Leaving the loop ends it; another one is another
 * iterator.
 */
export class Events implements AsyncIterableIterator<Event> {
  readonly #source: Source;
  readonly #signal: AbortSignal | undefined;
  #place: number;
  #read: Event[] = [];
  #ended = false;
  /** Calls of `next` go one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #wake: (() => void) | undefined;

  /** @internal */
  constructor(source: Source, options: EventsOptions) {
    checkOptions('events', options, { fromNow: 'flag', signal: 'signal' });
    const { fromNow = false, signal } = options;
    this.#source = source;
    this.#signal = signal;
    this.#place = fromNow ? source.driver.endOfEvents() : 0;
  }

  /** The next event, as soon as there is one. */
  next(): Promise<IteratorResult<Event, undefined>> {
    const next = this.#last.then(() => this.#next());
    this.#last = next.catch(() => {});
    return quiet(next);
  }

  /** Ends the iteration; a `next` that waits ends too. */
  return(): Promise<IteratorResult<Event, undefined>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<Event, undefined>> {
    for (;;) {
      if (this.#signal?.aborted) {
        this.#end();
        throw this.#signal.reason;
      }
      if (this.#ended) return { done: true, value: undefined };
      if (this.#read.length === 0) {
        const { events, next } = readEvents(this.#source.driver, this.#place);
        this.#read = events.reverse();
        this.#place = next;
      }
      const event = this.#read.pop();
      if (event !== undefined) {
        if (event.type === 'closed') this.#end();
        return { done: false, value: event };
      }
      if (this.#isPastTheLast()) this.#end();
      else await this.#news();
    }
  }

  /** Whether the session's last event lies before the place of this stream. */
  #isPastTheLast(): boolean {
    const { driver } = this.#source;
    const end = driver.endOfEvents();
    return end > 1 && readEvents(driver, end - 1).events.at(-1)?.type === 'closed';
  }

  /** Waits until there may be more. */
  #news(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake = undefined;
        this.#signal?.removeEventListener('abort', wake);
        this.#source.offNews(wake);
        this.#source.release();
        resolve();
      };
      this.#wake = wake;
      this.#signal?.addEventListener('abort', wake, { once: true });
      this.#source.onNews(wake);
      this.#source.hold();
    });
  }

  #end(): void {
    this.#ended = true;
    this.#read = [];
    this.#wake?.();
  }
}
