// TcpSessionTransport against a socket that does as it likes.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { AgentSession as pb } from '@livekit/protocol';
import * as greenroom from '../dist/esm/index.js';
import { RemoteSession, TcpSessionTransport } from '../dist/esm/livekit.js';

const MIB = 1 << 20;

/** A started transport, and the other side of it. */
async function connected(t) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = new TcpSessionTransport('127.0.0.1', server.address().port);
  const accepted = once(server, 'connection');
  await transport.start();
  const [peer] = await accepted;
  peer.on('error', () => {});
  t.after(async () => {
    await transport.close();
    peer.destroy();
    server.close();
  });
  return { transport, peer };
}

const request = (requestId) =>
  new pb.AgentSessionMessage({ message: { case: 'request', value: new pb.SessionRequest({ requestId }) } });
const framed = (payload) => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
};

test('frames come whole however they are cut', async (t) => {
  const { transport, peer } = await connected(t);
  const bytes = Buffer.concat(['a', 'b'.repeat(300_000), 'c'].map((id) => framed(request(id).toBinary())));
  const messages = transport[Symbol.asyncIterator]();
  for (const at of [
    [0, 1],
    [1, 3],
    [3, 20],
    [20, 100_000],
    [100_000, bytes.length],
  ]) {
    await new Promise((resolve) => peer.write(bytes.subarray(...at), resolve));
  }
  for (const id of ['a', 'b'.repeat(300_000), 'c']) {
    const { message } = (await messages.next()).value;
    assert.equal(message.value.requestId, id);
  }
  const { value, done } = (peer.end(framed(Buffer.alloc(0))), await messages.next());
  assert.deepEqual([value.message.case, done], [undefined, false]);
  assert.equal((await messages.next()).done, true);
});

test('what is sent is a frame', async (t) => {
  const { transport, peer } = await connected(t);
  const message = request('x'.repeat(2 * MIB));
  let received = Buffer.alloc(0);
  peer.on('data', (data) => (received = Buffer.concat([received, data])));
  await transport.sendMessage(message);
  await transport.close();
  await once(peer, 'close');
  assert.ok(received.equals(framed(message.toBinary())));
  await assert.rejects(transport.sendMessage(message), greenroom.SessionClosed);
  await transport.close();
});

test('a frame that says that it is too long, or is no message, is an error', async (t) => {
  for (const [bytes, type] of [
    [Buffer.from([1, 0, 0, 1]), greenroom.TooLarge],
    [framed(Buffer.alloc(16, 0xff)), greenroom.ProtocolError],
  ]) {
    const { transport, peer } = await connected(t);
    peer.write(bytes);
    await assert.rejects(transport.incoming().next(), type);
    await assert.rejects(transport.sendMessage(request('late')), type);
  }
  const { transport } = await connected(t);
  await assert.rejects(transport.sendMessage(request('x'.repeat(17 * MIB))), greenroom.TooLarge);
  await transport.sendMessage(request('small'));
});

test('a connection that breaks, or is cut in the middle of a frame, is an error', async (t) => {
  const cut = await connected(t);
  cut.peer.end(Buffer.from([0, 0, 0, 9, 1]));
  await assert.rejects(cut.transport.incoming().next(), /in the middle of a message/);
  const reset = await connected(t);
  const next = reset.transport.incoming().next();
  reset.peer.resetAndDestroy();
  await assert.rejects(next, greenroom.IoError);
});

test('closing ends the iteration and a send that is stuck', async (t) => {
  const { transport, peer } = await connected(t);
  peer.pause();
  const next = transport.incoming().next();
  const stuck = Promise.all(Array.from({ length: 16 }, () => transport.sendMessage(request('x'.repeat(MIB)))));
  stuck.catch(() => {});
  await transport.close();
  await assert.rejects(stuck, greenroom.SessionClosed);
  assert.equal((await next).done, true);
});

test('nobody there is an error, and so is a transport that has not started', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  const transport = new TcpSessionTransport('127.0.0.1', port);
  await assert.rejects(transport.sendMessage(request('early')), /has not been started/);
  await assert.rejects(
    transport.start(),
    (error) => error instanceof greenroom.IoError && error.message.includes(String(port)),
  );
  await transport.close();
  const abandoned = new TcpSessionTransport('127.0.0.1', port);
  const starting = abandoned.start();
  await abandoned.close();
  await assert.rejects(starting, greenroom.GreenroomError);
});

test('a RemoteSession over it fails what is pending when the other side closes', async (t) => {
  const { transport, peer } = await connected(t);
  const session = new RemoteSession(transport);
  const reasons = [];
  session.on('closed', (reason) => reasons.push(reason.code));
  await session.start();
  const pending = session.fetchChatHistory();
  await once(peer, 'data');
  peer.end();
  await assert.rejects(pending, greenroom.AgentGone);
  await session.close();
  assert.deepEqual(reasons, ['agent_gone']);
});
