// What stands before a server in other people's networks: TLS, and an HTTP proxy. tests/python/rooms/support/front.py is its twin.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { folder, PYTHON } from './agents.mjs';

/** Speaks TLS before a server that does not, as `livekit.test`, until the test ends. Gives its port, and the file of its authority. */
export async function tlsFront(t, server) {
  const path = folder(t);
  execFileSync(PYTHON, ['-m', 'trustme', '--quiet', '--dir', path, '--identities', 'livekit.test']);
  const [key, cert] = ['server.key', 'server.pem'].map((name) => readFileSync(join(path, name)));
  const listener = createTlsServer({ key, cert }, (socket) => carry(socket, Number(new URL(server.url).port)));
  listener.on('tlsClientError', () => {});
  return { port: await listen(t, listener), ca: join(path, 'client.pem') };
}

/** An HTTP proxy that takes names to ports of this machine, until the test ends. Gives its url, and what it was asked for. */
export async function connectProxy(t, names) {
  const asked = [];
  const listener = createHttpServer();
  listener.on('connect', ({ url }, socket) => {
    asked.push(url);
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    carry(socket, names[url]);
  });
  return { url: `http://127.0.0.1:${await listen(t, listener)}`, asked };
}

async function listen(t, listener) {
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => listener.close());
  return listener.address().port;
}

function carry(socket, port) {
  const back = connect(port, '127.0.0.1');
  for (const [from, to] of [[socket, back], [back, socket]]) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}
