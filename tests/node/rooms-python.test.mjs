// Controllers in Node and agents in Python, in a real room: with our host, our gate, and as the SDK has them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AgentSession as pb } from '@livekit/protocol';
import { dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { RemoteSession } from 'greenroom/livekit';
import { collect, PYTHON, until } from './support/agents.mjs';
import { startServer, venue } from './support/livekit-server.mjs';
import { history, saidIn, unknownRequest, Wire } from './support/rooms.mjs';

const AGENT = fileURLToPath(new URL('./support/python_agent.py', import.meta.url));
// Importing livekit-agents takes seconds, and many on a busy machine.
const START_DEADLINE_MS = 120_000;

let server;
before(async () => (server = await startServer()));
after(async () => {
  await dispose();
  await server.stop();
});

/** An agent in Python with that guard, and the Room of somebody who may drive it. `leave` makes the agent go. */
async function pair(t, guard) {
  const place = venue(t, server);
  const env = { ...process.env, LIVEKIT_URL: server.url, LIVEKIT_TOKEN: await place.token('agent', { kind: 'agent' }) };
  const child = spawn(PYTHON, [AGENT, guard], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output = (output + data).slice(-4000)));
  const isReady = () => {
    if (child.exitCode !== null) throw new Error(`the agent ended with ${child.exitCode}:\n${output}`);
    return /^ready$/m.test(output);
  };
  await until('the agent is there', isReady, { within: START_DEADLINE_MS });
  const leave = async () => {
    const end = once(child, 'exit');
    child.stdin.end();
    assert.deepEqual(await end, [0, null], output);
  };
  const room = await place.connect('boss', { grant: true });
  const knows = () => room.remoteParticipants.has('agent');
  await until('the controller knows the agent', knows);
  return { place, room, leave };
}

for (const guard of ['host', 'gate', 'unguarded']) {
  test(`${guard}: attach drives it, and ends when it leaves`, async (t) => {
    const { place, room, leave } = await pair(t, guard);
    const session = await greenroom.attach(room);
    assert.equal(session.started.framework.sdk, 'python');
    assert.equal((await session.say('hi')).reply, 'echo: hi');
    const turn = await session.say('weather');
    assert.equal(turn.reply, 'The tool said: Sunny in Tokyo');
    assert.deepEqual(
      turn.toolCalls.map(({ name, output }) => [name, output]),
      [['lookup_weather', 'Sunny in Tokyo']],
    );
    assert.equal((await session.history()).filter(({ role }) => role === 'user').length, 2);
    assert.ok((await session.agentInfo()).tools.includes('lookup_weather'));
    await session.updateIo({ outputTranscription: false });
    await session.ping();
    const guest = new Wire(await place.connect('guest'));
    await until('the guest knows the agent', () => guest.room.remoteParticipants.has('agent'));
    const answer = await guest.answer('g-1', history());
    if (guard === 'unguarded') {
      assert.equal(answer.response.case, 'getChatHistory', 'what the guards are for');
    } else {
      assert.deepEqual([answer.error, answer.response.case], ['permission_denied', undefined]);
      assert.equal((await session.say('again')).reply, 'echo: again');
      assert.equal((await guest.answer('g-2')).error, 'permission_denied');
      assert.equal(guest.received.length, 2);
    }
    const events = collect(session.events());
    await leave();
    assert.equal((await events).at(-1).reason, 'agent_left');
    await assert.rejects(session.ping(), greenroom.AgentGone);
  });

  test(`${guard}: RemoteSession drives it, and each request is answered`, async (t) => {
    const { place, room, leave } = await pair(t, guard);
    const session = RemoteSession.fromRoom(room);
    t.after(() => session.close());
    const states = [];
    session.on('agent_state_changed', ({ newState }) => states.push(newState));
    const updates = [];
    session.on('tool_execution_updated', ({ update }) => updates.push(update.case));
    await session.start();
    await session.waitForReady();
    assert.equal((await session.fetchFrameworkInfo()).sdk, 'python');
    const answer = await session.sendMessage('weather');
    assert.deepEqual(saidIn({ response: { value: answer } }), ['The tool said: Sunny in Tokyo']);
    assert.equal((await session.fetchSessionState()).agentState, pb.AgentState.AS_LISTENING);
    const items = (await session.fetchChatHistory()).items.map(({ item }) => item.case);
    assert.ok(items.includes('functionCall') && items.includes('functionCallOutput'), items.join());
    assert.notEqual((await session.fetchAgentInfo()).instructions, '');
    assert.ok((await session.fetchSessionUsage()).usage);
    await session.fetchRtcStats();
    await session.updateIo({ outputTranscriptionEnabled: false });
    await session.finalizeSimulation({ provisionalSuccess: true });
    await until('its events are there', () => states.includes(pb.AgentState.AS_THINKING) && updates.includes('ended'));
    if (guard !== 'unguarded') {
      const wire = new Wire(await place.connect('wire', { grant: true }));
      await until('the wire knows the agent', () => wire.room.remoteParticipants.has('agent'));
      assert.equal((await wire.answer('odd', unknownRequest('odd'))).error, 'unsupported request');
    }
    const closed = new Promise((resolve) => session.on('closed', resolve));
    const pending = assert.rejects(session.sendMessage('hold the line'), greenroom.AgentGone);
    await until('the agent thinks', () => states.filter((state) => state === pb.AgentState.AS_THINKING).length > 1);
    await place.remove('agent');
    await pending;
    assert.equal((await closed).code, 'agent_gone');
    await leave();
  });
}
