/** What carries the messages of a session between its two sides. */

import type { Kinds } from './checks.js';
import { errorOf } from './failures.js';
import type { AgentSessionMessage } from './protocol.js';

/** A received message and its sender. */
export interface IncomingMessage {
  message: AgentSessionMessage;
  /** Identity of the sender; undefined if there is only one peer, which has none. */
  senderIdentity: string | undefined;
}

/** How a message is sent. */
export interface SendMessageOptions {
  /** The only participant who may get it. Default: the receiver that the message implies. */
  destinationIdentity?: string | undefined;
}

/** @internal The kinds of those. */
export const SEND_MESSAGE_OPTIONS: Kinds<SendMessageOptions> = { destinationIdentity: 'text' };

/**
 * What carries the messages of a session between its two sides. A host or a controller, of this
 * package or the SDK's, starts it, reads it with `for await` as long as it lasts, and closes it.
 */
export abstract class SessionTransport implements AsyncIterable<AgentSessionMessage> {
  /** Makes it ready. May be called again. */
  async start(): Promise<void> {}

  /** Sends a message. Rejects if it did not leave. */
  abstract sendMessage(message: AgentSessionMessage, options?: SendMessageOptions): Promise<void>;

  /** Ends it, and with it the iteration. May be called again, and never rejects. */
  abstract close(): Promise<void>;

  /**
   * Received messages with their senders. Each message is returned once, to the first reader.
   * Rejects with the transport's error.
   */
  abstract incoming(): AsyncIterableIterator<IncomingMessage>;

  /** What comes. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<AgentSessionMessage> {
    for await (const { message } of this.incoming()) yield message;
  }
}

/** How many messages, and how many bytes, may wait for a reader. */
const MAX_MESSAGES = 16_384;
const MAX_BYTES = 32 * 1024 * 1024;

/** @internal What has come and waits for its reader, bounded. */
export class Inbox {
  readonly #waiting: [message: Uint8Array, sender: string | undefined][] = [];
  #bytes = 0;
  #end: { error?: Error } | undefined;
  #wakes: (() => void)[] = [];

  put(message: Uint8Array, sender: string | undefined): void {
    if (this.#end !== undefined) return;
    if (this.#waiting.length === MAX_MESSAGES || this.#bytes + message.length > MAX_BYTES) {
      return this.end(errorOf('busy', `this transport was not read while ${this.#waiting.length} messages arrived`));
    }
    this.#waiting.push([message, sender]);
    this.#bytes += message.length;
    this.#wake();
  }

  /** Nothing more comes, because of that error if there is one. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake();
  }

  /** What comes, decoded. */
  async *read(decode: (message: Uint8Array) => AgentSessionMessage): AsyncGenerator<IncomingMessage, void, undefined> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        const [message, senderIdentity] = next;
        this.#bytes -= message.length;
        yield { message: decode(message), senderIdentity };
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => this.#wakes.push(resolve));
      }
    }
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }
}
