// Servers that are reached through a proxy, and that an authority of their own signed for.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { connectProxy, tlsFront } from './support/front.mjs';
import { freePort, startServer, venue } from './support/livekit-server.mjs';
import { scene } from './support/rooms.mjs';

const URL = 'wss://livekit.test';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

test('a session and a room', async (t) => {
  const { venue } = await scene(t, server, 'host');
  const { port, ca } = await tlsFront(t, server);
  const { url: proxy, asked } = await connectProxy(t, { 'livekit.test:443': port });
  const session = await greenroom.join(URL, await venue.token('boss', { grant: true }), { ca, proxy });
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  await session.close();
  for (const kind of [ca, pathToFileURL(ca), readFileSync(ca), readFileSync(ca, 'utf8')]) {
    const room = await greenroom.Room.connect(URL, await venue.token('ours'), { ca: kind, proxy });
    assert.equal(room.local.identity, 'ours');
    await room.close();
  }
  assert.deepEqual(asked, Array(5).fill('livekit.test:443'));
});

test('what cannot be used is named', async (t) => {
  const token = await venue(t, server).token('boss', { grant: true });
  const { port, ca } = await tlsFront(t, server);
  const { url: proxy } = await connectProxy(t, { 'livekit.test:443': port });
  const refused = async (options, type, message) => {
    const error = await greenroom.join(URL, token, options).then(assert.fail, (error) => error);
    assert.ok(error instanceof type, error);
    assert.match(error.message, message);
  };
  await refused({ ca: `${ca}.missing` }, greenroom.InvalidArgument, /client\.pem\.missing.*PEM/);
  await refused({ ca: Buffer.from([0x30, 0x82]) }, greenroom.InvalidArgument, /no PEM/);
  await refused({ ca: 1 }, greenroom.InvalidArgument, /the ca is 1/);
  await refused({ proxy: 'proxy.example.com' }, greenroom.InvalidArgument, /no url of an HTTP proxy/);
  await refused({ proxy }, greenroom.IoError, /is not trusted/);
  const dead = `127.0.0.1:${await freePort()}`;
  await refused({ ca, proxy: `http://${dead}` }, greenroom.IoError, new RegExp(`through the proxy ${dead}.*NO_PROXY`));
});
