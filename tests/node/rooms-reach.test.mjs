// Servers that are reached through a proxy, and that an authority of their own signed for.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { connectProxy, tlsFront } from './support/front.mjs';
import { KEY, SECRET, freePort, startServer, venue } from './support/livekit-server.mjs';
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
  await refused({ ca: Buffer.from([0x30, 0x82]) }, greenroom.InvalidArgument, /not PEM/);
  await refused({ ca: 1 }, greenroom.InvalidArgument, /the ca is 1/);
  await refused({ proxy: 'proxy.example.com' }, greenroom.InvalidArgument, /no url of an HTTP proxy/);
  await refused({ proxy }, greenroom.IoError, /is not trusted/);
  const dead = `127.0.0.1:${await freePort()}`;
  await refused({ ca, proxy: `http://${dead}` }, greenroom.IoError, new RegExp(`through the proxy ${dead}.*NO_PROXY`));
});

test('the environment names a proxy, and exceptions from it', async (t) => {
  const { venue } = await scene(t, server, 'host');
  const { port, ca } = await tlsFront(t, server);
  const { url: proxy, asked } = await connectProxy(t, { 'livekit.test:443': port });
  t.after(() => ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'].forEach((name) => delete process.env[name]));
  const join = async (url, options) => {
    const session = await greenroom.join(url, await venue.token('boss', { grant: true }), options);
    await session.ping();
    await session.close();
  };
  process.env.HTTPS_PROXY = proxy;
  await join(URL, { ca });
  assert.deepEqual(asked, ['livekit.test:443']);
  for (const exceptions of ['*', 'livekit.test', 'livekit.test:443', '*.test', '.test', 'livekit.test.']) {
    process.env.NO_PROXY = `other.example, ${exceptions}`;
    await assert.rejects(join(URL, { ca, timeout: 10_000 }), /livekit\.test/, exceptions);
  }
  assert.equal(asked.length, 1, 'nothing more went through the proxy');
  process.env.HTTP_PROXY = 'http://127.0.0.1:9';
  process.env.NO_PROXY = new globalThis.URL(server.url).host;
  await join(server.url, {});
});

test('tokens of other makers join as the server takes them', async (t) => {
  const { venue } = await scene(t, server, 'host');
  const encoded = (text) => Buffer.from(text).toString('base64url');
  const usual = '{"alg":"HS256","typ":"JWT"}';
  const exp = ',"exp":1999999999';
  for (const [more, grants = '', header = usual] of [
    [',"exp":1999999999.75'],
    [',"exp":null'],
    [`${exp},"nbf":1700000000.5`],
    [`${exp},"nbf":null,"name":null,"metadata":null,"attributes":null,"kind":null`],
    [exp, ',"canPublish":null,"hidden":null'],
    [exp, '', '{"typ":"JWT","alg":"HS256","extra":["a",1,null]}'],
  ]) {
    const video = `{"roomJoin":true,"room":"${venue.name}","canManageAgentSession":true${grants}}`;
    const message = `${encoded(header)}.${encoded(`{"iss":"${KEY}","sub":"ada","video":${video}${more}}`)}`;
    const token = `${message}.${createHmac('sha256', SECRET).update(message).digest('base64url')}`;
    const session = await greenroom.join(server.url, token);
    await session.ping();
    await session.close();
  }
});
