// Sessions that the command left running.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as greenroom from 'greenroom';
import { collect, folder, isAlive, peer, until } from './support/agents.mjs';
import { command, leftRunning } from './support/daemons.mjs';

process.on('unhandledRejection', (reason) => assert.fail(`unhandled: ${reason}`));

/** Starts the bare agent under a name. */
const started = (t, name) => leftRunning(t, name, peer(t));

test('a session of the command is opened, talked to and let go of', async (t) => {
  const { agent } = await started(t, 'node-test');
  const session = await greenroom.open('node-test');
  assert.equal(session.status().state, 'ready');
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  assert.equal((await session.history()).length, 2);
  const other = await greenroom.open('node-test');
  const [one, two] = await Promise.all([session.say('one'), other.say('two')]);
  assert.deepEqual([one.reply, two.reply], ['echo: one', 'echo: two']);
  const events = session.events();
  const texts = [];
  for await (const { text } of events) if (text && texts.push(text) === 6) break;
  assert.equal(texts[0], 'hi');
  await other.close();
  await session.close();
  await assert.rejects(session.say('hi'), greenroom.SessionClosed);
  await assert.rejects(session.end(), (error) => error instanceof greenroom.SessionClosed && /let go of/.test(error.message));
  assert.equal(isAlive(agent), true, 'the daemon holds it on');
  assert.match(await command('say', 'still there', '--name', 'node-test'), /echo: still there/);
});

test('an opened session is ended for everybody', async (t) => {
  const { agent } = await started(t, 'ended');
  const session = await greenroom.open('ended');
  const other = await greenroom.open('ended');
  const hanging = other.say('hang');
  await Promise.all([session.end(), session.end()]);
  assert.equal(isAlive(agent), false);
  await assert.rejects(hanging, greenroom.GreenroomError);
  await assert.rejects(session.ping(), greenroom.GreenroomError);
  await assert.rejects(greenroom.open('ended'), greenroom.NoSession);
  await session.end();
  await other.end();
});

for (const victim of ['agent', 'daemon']) {
  test(`an opened session is told when its ${victim} is killed, in the middle of a turn`, async (t) => {
    const processes = await started(t, victim);
    const session = await greenroom.open(victim);
    const hanging = session.say('hang');
    const events = collect(session.events({ fromNow: true }));
    for await (const event of session.events()) if (event.role === 'user') break;
    process.kill(processes[victim], 'SIGKILL');
    await assert.rejects(hanging, { code: 'agent_gone' });
    const { type, reason } = (await events).at(-1);
    assert.deepEqual([type, reason], ['closed', victim === 'agent' ? 'agent_exited' : 'daemon_gone']);
    await assert.rejects(session.ping(), greenroom.AgentGone);
    assert.equal(session.status().state, 'closed');
    await session.close();
    await until('the agent is gone', () => !isAlive(processes.agent));
  });
}

test('a session that is not there, and a name that none can have', async (t) => {
  process.env.GREENROOM_HOME = folder(t);
  await assert.rejects(greenroom.open('nobody'), (error) => error instanceof greenroom.NoSession && /nobody/.test(error.message));
  await assert.rejects(greenroom.open(), greenroom.NoSession);
  await assert.rejects(greenroom.open('a/b'), greenroom.InvalidArgument);
  await assert.rejects(greenroom.open('x'.repeat(400)), greenroom.InvalidArgument);
  await assert.rejects(greenroom.open('nobody', { signal: AbortSignal.abort() }), { name: 'AbortError' });
});
