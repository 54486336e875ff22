/** A function as a device: the calls that a stream asks for are made here, on the event loop. */

import type { Audio, Frame } from './audio-frame.js';
import { isError } from './realms.js';

/**
 * A function that is recorded from: called with the number of samples of each channel that are
 * wanted, it returns as many, fewer or more, or a promise of them. Undefined, null, or no sample,
 * is the end.
 */
export type Source = (samples: number) => Audio | null | undefined | Promise<Audio | null | undefined>;

/**
 * A function that is played to: called with each frame when it is due. A promise is waited for
 * before the next.
 */
export type Sink = (frame: Frame) => unknown;

/**
 * @internal The function that a stream's device is, and how its calls are asked for and answered.
 */
export class FunctionDevice<Argument, Result> {
  /** What it threw, which has ended the stream. */
  failure: { cause: unknown } | undefined;
  readonly #function: (argument: Argument) => Result | Promise<Result>;
  readonly #driver: { asked(): Argument | null; answer(result: Result): void; fail(why: string): void };

  constructor(
    call: (argument: Argument) => Result | Promise<Result>,
    driver: { asked(): Argument | null; answer(result: Result): void; fail(why: string): void },
  ) {
    this.#function = call;
    this.#driver = driver;
  }

  /**
   * Makes the call that is asked for, if there is one. Each is asked for once, and waited for
   * before the next.
   */
  serve(): void {
    const argument = this.#driver.asked();
    if (argument !== null) void this.#call(argument);
  }

  async #call(argument: Argument): Promise<void> {
    try {
      this.#driver.answer(await this.#function(argument));
    } catch (cause) {
      this.failure = { cause };
      this.#driver.fail(isError(cause) ? `${cause.name}: ${cause.message}` : String(cause));
    }
  }
}
