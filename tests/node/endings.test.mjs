// Agents of the released SDKs that end or misbehave, through the installed package.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as greenroom from 'greenroom';
import { PYTHON, ROOT, collect, folder } from './support/agents.mjs';

// What an end may take until it is reported, as is promised, and a tenth more.
const AT_ONCE_MS = 1_100;

/** The agent of `tests/agents` in a project of its own, and a file for the time at which its end begins. */
function faulty(t, name) {
  const path = folder(t);
  const file = join(path, name);
  copyFileSync(join(ROOT, 'tests', 'agents', name), file);
  if (name.endsWith('.mjs')) symlinkSync(join(ROOT, 'examples', 'node', 'node_modules'), join(path, 'node_modules'));
  return { file, moment: join(path, 'moment') };
}

/** Starts that agent; after the test it is closed. */
async function start(t, name, options = {}) {
  const { file, moment } = faulty(t, name);
  const python = name.endsWith('.py') ? { python: PYTHON } : {};
  const session = await greenroom.start(file, { timeout: 90_000, env: { MOMENT: moment }, ...python, ...options });
  t.after(() => session.close());
  const endedAt = () => Number(readFileSync(moment, 'utf8')) * 1_000;
  return { session, endedAt };
}

for (const name of ['faulty.py', 'faulty.mjs']) {
  describe(name, { concurrency: 2 }, () => {
    for (const text of ['tool job shutdown', 'tool session shutdown', 'end call']) {
      test(`an agent that hangs up gives its turn and its history: ${text}`, async (t) => {
        const { session, endedAt } = await start(t, name);
        const turn = await session.say(text);
        assert.equal(turn.error, undefined);
        const events = await collect(session.events());
        const over = events.find((event) => event.type === 'session_closed');
        assert.equal(over.error, undefined);
        const closed = events.at(-1);
        assert.deepEqual([closed.type, closed.reason], ['closed', 'agent_ended']);
        assert.ok(Date.parse(closed.time) - endedAt() < AT_ONCE_MS);
        const history = await session.history();
        assert.ok(history.some((item) => item.type === 'message' && item.text === text));
        assert.ok(history.some((item) => item.type === 'tool_call'));
        await assert.rejects(session.say('hello'), greenroom.AgentGone);
      });
    }

    test('a blocked loop is reported within five seconds', async (t) => {
      const { session } = await start(t, name);
      const turn = await session.say('tool block for a while');
      const [first, last] = turn.events.filter((event) => event.type === 'agent_unresponsive');
      assert.deepEqual([first.recovered ?? false, last.recovered], [false, true]);
      assert.ok(first.silentMs <= 5_500, `${first.silentMs}`);
      assert.match(turn.reply, /awake again/);
    });

    test('a big item is cut, and the rest of the history arrives', async (t) => {
      const { session } = await start(t, name);
      await session.say('big 20000000');
      await session.say('last');
      const history = await session.history();
      assert.ok(history.find((item) => item.cutBytes > 0).cutBytes > 19_900_000);
      assert.equal(history.at(-1).text, 'echo: last');
    });

    test('tools of a batch come in the order of their calls', async (t) => {
      const { session } = await start(t, name);
      const turn = await session.say('two tools');
      assert.deepEqual(turn.toolCalls.map((call) => call.name), ['slow_tool', 'fast_tool']);
      assert.ok(turn.toolCalls[0].outputAt > turn.toolCalls[1].outputAt);
      const history = (await session.history()).filter((item) => item.type === 'tool_call');
      assert.deepEqual(history.map((call) => call.name), ['slow_tool', 'fast_tool']);
    });

    for (const [how, words] of [
      ['return', /returned without starting a session/],
      ['shutdown', /was shut down before it connected \(nothing to do\)/],
    ]) {
      test(`a start that never makes a session fails at once: ${how}`, async (t) => {
        const { file } = faulty(t, name);
        const python = name.endsWith('.py') ? { python: PYTHON } : {};
        const starting = greenroom.start(file, { env: { START: how }, timeout: 300_000, ...python });
        await assert.rejects(starting, (error) => {
          assert.ok(error instanceof greenroom.AgentFailedToStart, error.stack);
          assert.match(error.message, words);
          return true;
        });
      });
    }
  });
}

describe('an end is reported within a second', { concurrency: 2 }, () => {
  for (const [name, text, words] of [
    ['faulty.py', 'tool sys exit', /SystemExit: a tool exits/],
    ['faulty.py', 'tool stop loop', /event loop has ended/],
    ['faulty.py', 'tool os exit', /exit status: 7/],
    ['faulty.mjs', 'tool process exit', /exit status: 7/],
  ]) {
    test(`${name}: ${text}`, async (t) => {
      const { session, endedAt } = await start(t, name);
      await assert.rejects(session.say(text), (error) => {
        assert.ok(error instanceof greenroom.AgentGone);
        assert.match(error.message, words);
        return true;
      });
      const closed = (await collect(session.events())).at(-1);
      assert.deepEqual([closed.type, closed.reason], ['closed', 'agent_exited']);
      assert.ok(Date.parse(closed.time) - endedAt() < AT_ONCE_MS);
    });
  }
});

test('odd results of tools leave the session whole', async (t) => {
  const { session } = await start(t, 'faulty.py');
  assert.equal((await session.say('tool surrogate')).toolCalls[0].output, 'ok \ufffd');
  assert.equal((await session.say('tool base exception')).toolCalls[0].isError, true);
  assert.equal((await session.history()).find((item) => item.type === 'tool_call').output, 'ok \ufffd');
});

test('a stand-in is what the agent reads', async (t) => {
  const { session } = await start(t, 'faulty.py', {
    participant: { name: 'Ada', metadata: '{"tier": "gold"}', attributes: { 'sip.phoneNumber': '+15550100' } },
    room: { name: 'lobby' },
    jobMetadata: 'from the dispatch',
  });
  const turn = await session.say('tool read participant');
  const known = `mock_user|Ada|{"tier": "gold"}|{'sip.phoneNumber': '+15550100'}|lobby|from the dispatch`;
  assert.ok(turn.reply.includes(known), turn.reply);
});
