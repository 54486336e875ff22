/** Where the package logs, if anywhere. */

/** `console`, a pino logger, or anything with these methods. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** @internal Logs without ever throwing: a logger's defect is not the session's. */
export function log(logger: Logger | false | undefined, level: keyof Logger, message: string): void {
  try {
    if (logger) logger[level](message);
  } catch {
    // A failing logger can't be reported.
  }
}
