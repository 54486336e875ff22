/** Sessions that the command `greenroom start` left running. */

import { checkOptions, millis, requireText } from './checks.js';
import { NAME, OPEN_TIMEOUT_MS } from './defaults.js';
import { errorFromNative } from './failures.js';
import type { Logger } from './logger.js';
import { native } from './native.js';
import { quiet, unlessAborted } from './promises.js';
import { Session, type CallOptions } from './session.js';

/** How a session is opened. */
export interface OpenOptions extends CallOptions {
  /** How long the session may take to answer, in milliseconds. 10,000 unless given. */
  timeout?: number | undefined;
  /** Where the package logs: `console`, a pino logger or the like. Nowhere unless given. */
  logger?: Logger | false | undefined;
}

/**
 * The session that the command `greenroom start --name NAME` left running, whose name is `default` unless given. To
 * `close` it lets go of it: the agent runs on. To `end` it ends it and its agent, as `greenroom end` does.
 *
 * Rejects with `NoSession`, `PermissionDenied` (it is another user's) or `SessionTimeout`.
 */
export function open(name: string = NAME, options: OpenOptions = {}): Promise<Session> {
  return quiet(connect(name, options));
}

async function connect(name: string, options: OpenOptions): Promise<Session> {
  checkOptions('open', options, { timeout: 'own', logger: 'logger', signal: 'signal' });
  const { signal, timeout, logger } = options;
  signal?.throwIfAborted();
  requireText('the name of the session', name);
  const deadline = millis('timeout', timeout) ?? OPEN_TIMEOUT_MS;
  const early = new EarlyWake();
  const opening = native.open(name, early.wake).catch((error: unknown) => {
    throw errorFromNative(error);
  });
  const driver = await unlessAborted(opening, signal, (late) => late.close(0));
  const session = new Session((wake) => {
    early.becomes(wake);
    return driver;
  }, logger);
  return session.ready({ signal, timeout: deadline });
}

/** What the driver wakes while there is no session yet. It must hold on to nothing that holds on to the driver. */
class EarlyWake {
  #wake: (() => void) | undefined;
  #isMissed = false;

  readonly wake = (): void => {
    if (this.#wake === undefined) this.#isMissed = true;
    else this.#wake();
  };

  /** From now on the session is woken, also for what it has missed. */
  becomes(wake: () => void): void {
    this.#wake = wake;
    if (this.#isMissed) queueMicrotask(wake);
  }
}
