/** Sessions over a TCP connection, as the `console` of the SDKs has them. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { checkOptions } from './checks.js';
import { errorOf, invalid } from './failures.js';
import { quiet } from './promises.js';
import { protocolFor, type AgentSessionMessage, type Protocol } from './protocol.js';
import { bounded } from './timer.js';
import { SEND_MESSAGE_OPTIONS, SessionTransport, type IncomingMessage, type SendMessageOptions } from './transport.js';

/**
 * The largest message that is taken or sent, in bytes: what a Greenroom session takes from its
 * agent.
 */
const MAX_MESSAGE = 16 * 1024 * 1024;
/** A message begins with its length, in 4 bytes, the highest first. */
const HEADER = 4;
/** How long what is written may take to leave when the transport closes. */
const FLUSH_MS = 1_000;

/**
 * The session protocol over a TCP connection, which it opens: the side of `lk`'s and Greenroom's
 * agents, which connect to whoever drives them. There is no authentication in this protocol:
 * connect to loopback.
 *
 * `start` rejects with `IoError` if no process listens. The iteration ends when the other side
 * closes, and rejects with `IoError` if the connection breaks, with `TooLarge` for a message over
 * 16 MiB and with `ProtocolError` for what is none.
 */
export class TcpSessionTransport extends SessionTransport {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;
  #protocol: Protocol | undefined;
  #starting: Promise<void> | undefined;
  #failure: Error | undefined;
  #isClosed = false;

  constructor(host: string, port: number) {
    super();
    this.#host = host;
    this.#port = port;
  }

  override start(): Promise<void> {
    this.#starting ??= quiet(this.#start());
    return this.#starting;
  }

  override sendMessage(message: AgentSessionMessage, options: SendMessageOptions = {}): Promise<void> {
    return quiet(this.#send(message, options));
  }

  override async close(): Promise<void> {
    this.#isClosed = true;
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    // What is written leaves first, if the other side reads it.
    const end = once(socket, 'close');
    socket.destroySoon();
    await bounded(end, FLUSH_MS);
    socket.destroy();
    await end;
  }

  override async *incoming(): AsyncIterableIterator<IncomingMessage> {
    const socket = this.#open();
    const frames = new Frames();
    try {
      for await (const chunk of socket) {
        for (const frame of frames.take(chunk as Buffer))
          yield { message: this.#decode(frame), senderIdentity: undefined };
      }
    } catch (error) {
      if (this.#isClosed && this.#failure === undefined) return;
      throw this.#failure ?? this.#broken(error);
    }
    if (frames.isWithin && !this.#isClosed) throw this.#broken(new Error('it ended in the middle of a message'));
  }

  async #start(): Promise<void> {
    if (this.#isClosed) throw closed();
    this.#protocol = await protocolFor('TcpSessionTransport');
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    this.#socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('close', () => reject(closed()));
      // Readers and senders fail, too.
      socket.on('error', (error) => reject(this.#broken(error)));
    });
  }

  async #send(message: AgentSessionMessage, options: SendMessageOptions): Promise<void> {
    checkOptions('sendMessage', options, SEND_MESSAGE_OPTIONS);
    if (options.destinationIdentity !== undefined) throw invalid('this transport has one peer, which has no identity');
    const socket = this.#open();
    const bytes = message.toBinary();
    if (bytes.length > MAX_MESSAGE) {
      throw errorOf('too_large', `the message is ${bytes.length} bytes long; at most ${MAX_MESSAGE} are sent`);
    }
    const header = Buffer.alloc(HEADER);
    header.writeUInt32BE(bytes.length);
    await new Promise<void>((resolve, reject) => {
      socket.write(Buffer.concat([header, bytes]), (error) => {
        if (error) reject(this.#isClosed ? closed() : (this.#failure ?? this.#broken(error)));
        else resolve();
      });
    });
  }

  #open(): Socket {
    if (this.#isClosed) throw closed();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#socket === undefined)
      throw invalid('this transport has not been started: `await transport.start()` first');
    return this.#socket;
  }

  #decode(frame: Buffer): AgentSessionMessage {
    try {
      return (this.#protocol as Protocol).AgentSessionMessage.fromBinary(frame);
    } catch (cause) {
      throw this.#fail(errorOf('protocol_error', `a frame of ${frame.length} bytes is no message`, { cause }));
    }
  }

  #broken(cause: unknown): Error {
    if (cause instanceof TooLong) return this.#fail(errorOf('too_large', cause.message));
    return this.#fail(
      errorOf('io', `no connection to ${this.#host}:${this.#port}: ${(cause as Error).message}`, { cause }),
    );
  }

  #fail(error: Error): Error {
    this.#failure ??= error;
    return error;
  }
}

/** A frame says that it is longer than is taken. */
class TooLong extends Error {}

/** Puts frames together, each byte copied once. */
class Frames {
  readonly #header = Buffer.alloc(HEADER);
  #frame: Buffer | undefined;
  #filled = 0;

  /** Whether a frame has begun that is not complete. */
  get isWithin(): boolean {
    return this.#frame !== undefined || this.#filled > 0;
  }

  /** The frames that these bytes complete. */
  *take(chunk: Buffer): Generator<Buffer, void, undefined> {
    let at = 0;
    while (at < chunk.length || this.#frame?.length === this.#filled) {
      const into = this.#frame ?? this.#header;
      const copied = chunk.copy(into, this.#filled, at);
      at += copied;
      this.#filled += copied;
      if (this.#filled < into.length) return;
      this.#filled = 0;
      if (this.#frame !== undefined) {
        const frame = this.#frame;
        this.#frame = undefined;
        yield frame;
      } else {
        const length = this.#header.readUInt32BE();
        if (length > MAX_MESSAGE)
          throw new TooLong(`a frame says that it is ${length} bytes long; at most ${MAX_MESSAGE} are taken`);
        this.#frame = Buffer.allocUnsafe(length);
      }
    }
  }
}

function closed(): Error {
  return errorOf('session_closed', 'this transport is closed');
}
