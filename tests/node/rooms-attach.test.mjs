// A session with an agent in a real room, through a Room that is there already.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dispose, Room } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { collect, until } from './support/agents.mjs';
import { startServer, venue } from './support/livekit-server.mjs';
import { agentIn, pair, TOPIC, Wire } from './support/rooms.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

test('holds a conversation, and leaves the Room to its owner', async (t) => {
  const { room } = await pair(t, server);
  const session = await greenroom.attach(room);
  assert.equal(session.started.framework.sdk, 'js');
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  assert.equal((await session.history()).filter(({ role }) => role === 'user').length, 1);
  assert.equal((await session.agentInfo()).instructions, 'Echo.');
  await session.updateIo({ outputTranscription: false });
  await session.close();
  await session.close();
  await assert.rejects(session.say('hi'), greenroom.SessionClosed);
  assert.equal((await collect(session.events())).at(-1).reason, 'closed');
  // It has let go of the Room.
  assert.ok(room.isConnected);
  room.registerByteStreamHandler(TOPIC, () => {});
  assert.equal(room.listenerCount('participantConnected'), 0);
});

test('several sessions share one Room', async (t) => {
  const { room } = await pair(t, server);
  const sessions = await Promise.all([greenroom.attach(room), greenroom.attach(room, { agent: 'agent' })]);
  for (const session of sessions) assert.equal((await session.say('hi')).reply, 'echo: hi');
  await sessions[0].close();
  assert.equal((await sessions[1].say('on')).reply, 'echo: on');
  await sessions[1].close();
});

test('both formats of the package share one Room', async (t) => {
  const { room } = await pair(t, server);
  const cjs = createRequire(import.meta.url)('greenroom');
  const sessions = await Promise.all([greenroom.attach(room), cjs.attach(room)]);
  for (const session of sessions) assert.equal((await session.say('hi')).reply, 'echo: hi');
  await assert.rejects(sessions[1].say('hi', { timeout: -1 }), greenroom.InvalidArgument);
  for (const session of sessions) await session.close();
  room.registerByteStreamHandler(TOPIC, () => {});
});

test('works with a host of the SDK that nobody guards', async (t) => {
  const place = venue(t, server);
  const { room: agent } = await agentIn(t, place, { linked: 'boss' });
  const room = await place.connect('boss', { grant: true });
  await place.gather(agent, room);
  const session = await greenroom.attach(room);
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  await session.close();
});

test('waits for an agent that comes later, and for its session to begin', async (t) => {
  const place = venue(t, server);
  const room = await place.connect('boss', { grant: true });
  const attaching = greenroom.attach(room);
  // A participant that is no agent, and an agent whose session has not begun.
  await place.connect('bystander');
  const session = new Promise((resolve, reject) => attaching.then(resolve, reject));
  await agentIn(t, place, { guard: 'gate' });
  assert.equal((await (await session).say('hi')).reply, 'echo: hi');
  await (await session).close();
});

test('no agent in time is an error that tells who is there', async (t) => {
  const place = venue(t, server);
  const room = await place.connect('boss', { grant: true });
  const other = await place.connect('by"stander');
  await place.gather(room, other);
  await assert.rejects(greenroom.attach(room, { timeout: 300 }), (error) => {
    assert.match(error.message, /no agent came into the room .* \(in it: "by\\"stander"\)/);
    return error instanceof greenroom.SessionTimeout;
  });
  await assert.rejects(greenroom.attach(room, { agent: 'x', timeout: 300 }), /"x" did not come into the room/);
  // A participant without a session does not answer.
  await assert.rejects(greenroom.attach(room, { agent: 'by"stander', timeout: 700 }), (error) => {
    assert.match(error.message, /is in the room but did not answer a ping/);
    return error instanceof greenroom.SessionTimeout;
  });
  room.registerByteStreamHandler(TOPIC, () => {});
});

test('several agents are listed, and the one that is named is driven', async (t) => {
  const place = venue(t, server);
  const agents = [];
  for (const identity of ['one', 'two']) agents.push(await agentIn(t, place, { guard: 'gate', identity }));
  const room = await place.connect('boss', { grant: true });
  await place.gather(room, ...agents.map((agent) => agent.room));
  await assert.rejects(greenroom.attach(room), (error) => {
    assert.match(error.message, /2 agents.*"one", "two"/);
    return error instanceof greenroom.InvalidArgument;
  });
  const session = await greenroom.attach(room, { agent: 'two' });
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  assert.equal(agents[0].session.history.items.filter(({ role }) => role === 'user').length, 0);
  assert.equal(agents[1].session.history.items.filter(({ role }) => role === 'user').length, 1);
  await session.close();
});

test('our own lack of the grant is known before anything is sent', async (t) => {
  const { venue, agent } = await pair(t, server);
  const room = await venue.connect('nobody');
  await venue.gather(agent.room, room);
  await assert.rejects(greenroom.attach(room), (error) => {
    assert.match(error.message, /"nobody" may not manage agent sessions .* lacks the grant canManageAgentSession.*token/);
    return error instanceof greenroom.PermissionDenied;
  });
  assert.equal(agent.guarding.status().denied, 0);
});

test('a grant that is taken away fails the calls, and a scope that is not given', async (t) => {
  const { venue, agent, room } = await pair(t, server, 'host', { policy: { default: ['observe'] } });
  const session = await greenroom.attach(room);
  await assert.rejects(session.say('hi'), greenroom.PermissionDenied);
  assert.deepEqual((await session.agentInfo()).tools, []);
  await venue.setGrant('boss', false);
  await until(
    'the agent knows',
    () => agent.room.remoteParticipants.get('boss').info.permission.canManageAgentSession === false,
  );
  await assert.rejects(session.history(), greenroom.PermissionDenied);
  await session.close();
});

test('an agent that leaves ends the session: what is pending fails at once', async (t) => {
  const { venue, agent, room } = await pair(t, server);
  const session = await greenroom.attach(room);
  agent.model.hold();
  const events = collect(session.events());
  const pending = session.say('hi', { timeout: 60_000 });
  await until('the agent thinks', () => agent.session.agentState === 'thinking');
  await venue.remove('agent');
  const turn = await pending.catch((error) => error);
  assert.ok(turn instanceof greenroom.AgentGone, String(turn));
  const closed = (await events).at(-1);
  assert.deepEqual([closed.type, closed.reason], ['closed', 'agent_left']);
  assert.match(closed.message, /"agent" left the room/);
  await assert.rejects(session.ping(), greenroom.AgentGone);
  await session.close();
  room.registerByteStreamHandler(TOPIC, () => {});
});

test('a Room that is disconnected ends the session', async (t) => {
  const { room } = await pair(t, server);
  const session = await greenroom.attach(room);
  await room.disconnect();
  assert.equal((await collect(session.events())).at(-1).reason, 'room_disconnected');
  await assert.rejects(session.ping(), greenroom.AgentGone);
  await session.close();
  await assert.rejects(greenroom.attach(room), /not connected; `await room.connect/);
});

test('a wait can be aborted, and the Room is free after it', async (t) => {
  const place = venue(t, server);
  const room = await place.connect('boss', { grant: true });
  const controller = new AbortController();
  const waiting = greenroom.attach(room, { signal: controller.signal });
  controller.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  const silent = await place.connect('silent', { kind: 'agent' });
  await place.gather(room, silent);
  const wire = new Wire(silent);
  const second = new AbortController();
  const asking = greenroom.attach(room, { signal: second.signal });
  await until('it is asked', () => wire.received.length > 0);
  second.abort(new Error('enough again'));
  await assert.rejects(asking, /enough again/);
  await until('the Room is free', () => {
    try {
      room.registerByteStreamHandler(TOPIC, () => {});
      return true;
    } catch {
      return false;
    }
  });
});

test('a topic that somebody else has is an error that says what to do', async (t) => {
  const { room } = await pair(t, server);
  room.registerByteStreamHandler(TOPIC, () => {});
  await assert.rejects(greenroom.attach(room), (error) => {
    assert.match(error.message, /taken already.*call gate\(room\).*before session.start/);
    return error instanceof greenroom.InvalidArgument;
  });
});

test('only the agent itself is listened to', async (t) => {
  const { venue, agent, room } = await pair(t, server);
  const liar = new Wire(await venue.connect('liar', { grant: true }));
  await venue.gather(agent.room, room, liar.room);
  const session = await greenroom.attach(room);
  // Garbage, and a request, of somebody who is no agent of ours.
  await liar.ask('l-1', Buffer.alloc(64, 0xff), 'boss');
  await liar.ask('l-2', undefined, 'boss');
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  assert.deepEqual(liar.responses, []);
  await session.close();
});

test('large messages arrive whole, both ways', async (t) => {
  const { room } = await pair(t, server);
  const session = await greenroom.attach(room);
  const text = 'greenroom '.repeat(40_000);
  assert.equal((await session.say(text)).reply, `echo: ${text}`);
  await session.close();
});

/** A script that drives the agent through a Room of its own. */
const SCRIPT = `
  const { Room, dispose } = require('@livekit/rtc-node');
  const { attach } = require('greenroom');
  const [url, token] = process.argv.slice(1);
  (async () => {
    const room = new Room();
    await room.connect(url, token, { autoSubscribe: true, dynacast: false });
    const session = await attach(room);
    console.log((await session.say('hi')).reply);
    await session.close();
    void attach(room, { agent: 'nobody', timeout: 100 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await room.disconnect();
    await dispose();
  })();
`;

/** What a script prints, and its exit code. */
async function run(t, script, token, flags = []) {
  const args = [...flags, '--input-type=commonjs', '--eval', script, server.url, token];
  const cwd = dirname(fileURLToPath(import.meta.url));
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const [code] = await once(child, 'exit');
  return [output.split('\n').filter((line) => line !== '' && !line.includes('lk-rtc')), code];
}

test('works through CommonJS, and the process exits by itself', async (t) => {
  const { venue } = await pair(t, server);
  assert.deepEqual(await run(t, SCRIPT, await venue.token('script', { grant: true })), [['echo: hi'], 0]);
});

test('a session that nobody has any more lets go of the Room', async (t) => {
  const { venue } = await pair(t, server);
  const script = `
    const { Room, dispose } = require('@livekit/rtc-node');
    const { attach } = require('greenroom');
    const [url, token] = process.argv.slice(1);
    (async () => {
      const room = new Room();
      await room.connect(url, token, { autoSubscribe: true, dynacast: false });
      await attach(room);
      const take = () => {
        try {
          room.registerByteStreamHandler('lk.agent.session', () => {});
          return true;
        } catch {
          return false;
        }
      };
      let isFree = false;
      for (let left = 500; left > 0 && !isFree; left--) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 20));
        isFree = take();
      }
      console.log(isFree ? 'free' : 'taken');
      await room.disconnect();
      await dispose();
    })();
  `;
  assert.deepEqual(await run(t, script, await venue.token('script', { grant: true }), ['--expose-gc']), [['free'], 0]);
});

test('a Room that was never connected is named', async () => {
  await assert.rejects(greenroom.attach(new Room()), greenroom.InvalidArgument);
  await assert.rejects(greenroom.attach({}), /no Room of @livekit\/rtc-node/);
});
