/** Promises that can be left alone. */

/**
 * @internal The same promise, whose rejection is never "unhandled": an awaiting caller receives the error, and other code is
 * not killed by it. Every promise that leaves this package goes through here.
 */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/**
 * @internal The promise, or the signal's reason as soon as that aborts. What comes too late is left to `late`.
 */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined, late: (value: T) => void): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const settle = () => signal.removeEventListener('abort', abort);
    promise.then((value) => (signal.aborted ? late(value) : resolve(value)), reject).finally(settle);
  });
}
