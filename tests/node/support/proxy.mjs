// A way to the server that can be cut. tests/python/rooms/support/proxy.py is its twin.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * Carries the signal connections of those who connect to its `url`; media and data go past it, and so does the server's
 * API. It ends after the test. `accepted` counts connections, those that were cut included.
 */
export async function proxy(t, server) {
  const one = new Proxy(server);
  await one.listen();
  t.after(() => one.close());
  return one;
}

class Proxy {
  accepted = 0;
  #port;
  #listener = createServer((socket) => this.#carry(socket));
  #ends = new Set();

  constructor(server) {
    this.apiUrl = server.apiUrl;
    this.#port = Number(new URL(server.url).port);
  }

  /** Where clients connect. */
  get url() {
    return `ws://127.0.0.1:${this.#listener.address().port}`;
  }

  /** Breaks off all connections that are open, without a word; new ones are carried. */
  cut() {
    for (const end of this.#ends) end.resetAndDestroy();
  }

  async listen() {
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
  }

  close() {
    this.#listener.close();
    this.cut();
  }

  #carry(socket) {
    this.accepted++;
    const back = connect(this.#port, '127.0.0.1');
    for (const [from, to] of [[socket, back], [back, socket]]) {
      this.#ends.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => this.#ends.delete(from));
    }
  }
}
