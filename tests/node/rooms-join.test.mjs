// A session with an agent in a real room that is joined without any SDK.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { TokenVerifier } from 'livekit-server-sdk';
import { collect, folder, until } from './support/agents.mjs';
import { KEY, SECRET, startServer, venue } from './support/livekit-server.mjs';
import { agentIn, scene } from './support/rooms.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

async function join(venue, { identity = 'boss', ...options } = {}) {
  return greenroom.join(server.url, await venue.token(identity, { grant: true }), options);
}

for (const guard of ['host', 'gate']) {
  test(`holds a conversation with an agent behind ${guard}, and leaves the room`, async (t) => {
    const { venue, agent } = await scene(t, server, guard);
    const session = await join(venue);
    assert.equal(session.started.framework.sdk, 'js');
    assert.equal((await session.say('hi')).reply, 'echo: hi');
    assert.equal((await session.history()).filter(({ role }) => role === 'user').length, 1);
    assert.equal((await session.agentInfo()).instructions, 'Echo.');
    const { room, identity, agent: found } = session.status();
    assert.deepEqual([room, identity, found], [venue.name, 'boss', 'agent']);
    await session.close();
    await session.close();
    await assert.rejects(session.say('hi'), greenroom.SessionClosed);
    assert.equal((await collect(session.events())).at(-1).reason, 'closed');
    await until('it has left the room', () => !agent.room.remoteParticipants.has('boss'));
  });
}

test('works with a host of the SDK that nobody guards', async (t) => {
  const place = venue(t, server);
  await agentIn(t, place, { linked: 'boss' });
  const session = await join(place);
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  await session.close();
});

test('why there is no session is an error with its name', async (t) => {
  const place = venue(t, server);
  const token = await place.token('boss', { grant: true });
  await assert.rejects(join(place, { timeout: 1_000 }), (error) => {
    assert.ok(error instanceof greenroom.SessionTimeout);
    assert.match(error.message, /no agent came into the room/);
    return true;
  });
  await assert.rejects(greenroom.join(server.url, `${token}x`), (error) => {
    assert.ok(error instanceof greenroom.PermissionDenied);
    assert.match(error.message, /refused the token/);
    assert.ok(!error.message.includes(token));
    return true;
  });
  const ungranted = await place.token('eve');
  await assert.rejects(greenroom.join(server.url, ungranted), greenroom.PermissionDenied);
  await assert.rejects(greenroom.join('ws://nobody.invalid', token), greenroom.IoError);
  await assert.rejects(greenroom.join('localhost', token), greenroom.InvalidArgument);
  await assert.rejects(greenroom.join(server.url, undefined), greenroom.InvalidArgument);
  await agentIn(t, place, { guard: 'host', identity: 'one' });
  await agentIn(t, place, { guard: 'host', identity: 'two' });
  await assert.rejects(join(place), /2 agents: "one", "two"/);
  const session = await join(place, { agent: 'two' });
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  await session.close();
});

test('a join that is given up leaves nothing behind', async (t) => {
  const place = venue(t, server);
  const witness = await place.connect('witness');
  for (const millis of [0, 10, 50, 500]) {
    const signal = AbortSignal.timeout(millis);
    await assert.rejects(join(place, { signal }), { name: 'TimeoutError' });
  }
  await until('nobody is left', () => witness.remoteParticipants.size === 0);
});

test('credentials are what the server and the SDK take', async (t) => {
  const path = folder(t);
  const changes = { LIVEKIT_API_KEY: KEY, LIVEKIT_API_SECRET: SECRET, GREENROOM_AUDIT_LOG: `${path}/audit` };
  Object.assign(process.env, changes);
  t.after(() => Object.keys(changes).forEach((name) => delete process.env[name]));
  const { venue } = await scene(t, server, 'host');
  const made = await greenroom.credentials(venue.name, {
    identity: 'ada',
    canManageAgentSession: true,
    grants: { canUpdateOwnMetadata: true },
    attributes: { 'a.b_c': '1' },
    url: server.url,
  });
  const claims = await new TokenVerifier(KEY, SECRET).verify(made.token);
  assert.equal(claims.sub, made.identity);
  assert.match(made.identity, /^ada-/);
  assert.deepEqual(claims.attributes, { 'a.b_c': '1' });
  assert.equal(claims.video.canManageAgentSession, true);
  assert.deepEqual([made.roomId, made.grants.canManageAgentSession], [venue.name, true]);
  assert.equal(Date.parse(made.expiresAt), claims.exp * 1000);
  const { inspect } = await import('node:util');
  assert.ok(!inspect(made).includes(made.token));
  assert.equal(JSON.parse(JSON.stringify(made)).token, made.token);
  const session = await greenroom.join(made.url, made.token);
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  await session.close();
  await assert.rejects(greenroom.credentials(''), greenroom.InvalidArgument);
  await assert.rejects(greenroom.credentials('r', { url: 'ws://livekit:7880' }), /inside containers/);
  await assert.rejects(greenroom.credentials('r', { url: server.url, grants: { canFly: true } }), /unknown field/);
});
