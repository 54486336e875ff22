/** Waits that end. */

/** @internal The longest that a timer of Node's can wait. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** @internal Calls a function at the time that was set last, on the clock of `performance.now()`. It never keeps Node running. */
export class Timer {
  readonly #due: () => void;
  #timeout: NodeJS.Timeout | undefined;
  #at: number | null = null;

  constructor(due: () => void) {
    this.#due = due;
  }

  /** Sets the time; null is never. */
  at(time: number | null): void {
    if (time === this.#at) return;
    this.stop();
    if (time === null) return;
    this.#at = time;
    const wait = Math.ceil(Math.min(Math.max(time - performance.now(), 0), MAX_TIMER_MS));
    this.#timeout = setTimeout(() => {
      this.#at = null;
      this.#due();
    }, wait).unref();
  }

  stop(): void {
    clearTimeout(this.#timeout);
    this.#at = null;
  }
}

/** @internal Waits for a promise, however it ends, but no longer than that. */
export async function bounded(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  await Promise.race([promise.catch(() => {}), late]);
  clearTimeout(timer);
}
