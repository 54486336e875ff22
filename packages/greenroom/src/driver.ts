/** What a session is driven by: the addon's `Driver`, or the like for an agent in this process. */

/** @internal The answer or the error to one call, as JSON. */
export interface Completion {
  token: number;
  ok: boolean;
  json: string;
}

/** @internal A session, however it is reached. Nothing here waits. */
export interface Driver {
  /** Submits an operation, which is JSON. Its answer is drained under `token`. Returns the number to cancel it by. */
  submit(json: string, timeout: number | null, token: number): number;
  cancel(call: number): void;
  /** Takes all answers. */
  drain(): Completion[];
  /** Reads events, a JSON array, from place `from` on; 0 is the beginning of what is kept. `next` is where to read on. */
  readEvents(from: number, most: number): { json: string; next: number };
  /** The place after the last event. */
  endOfEvents(): number;
  /** How the session stands, as JSON. */
  status(): string;
  /** Ends the session; what is drained under `token` says that nothing is left of it. */
  close(token: number): void;
  /** Ends the session itself; what is drained under `token` says how that went. Absent where closing does the same. */
  endSession?(token: number): void;
  /** From now on the session keeps Node alive. */
  ref(): void;
  /** From now on it does not, as from the beginning. */
  unref(): void;
}

/** @internal Makes a driver that calls `wake` when there is something to drain or to read, once until the next `drain`. */
export type Open = (wake: () => void) => Driver;
