// Conversations with the example agents, unmodified, on the released SDKs.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { start } from 'greenroom';
import { EXAMPLES, collect, folder, isAlive } from './support/agents.mjs';

process.on('unhandledRejection', (reason) => assert.fail(`unhandled: ${reason}`));

const kinds = (events) => events.filter(({ earlier }) => !earlier).map(({ type }) => type);

for (const [kind, { file, options, sdk }] of Object.entries(EXAMPLES)) {
  describe(`the ${kind} example`, () => {
    test('holds a conversation', async (t) => {
      const log = join(folder(t), 'agent.log');
      const session = await start(file, { ...options, log });
      t.after(() => session.close());
      const { pid, ...status } = session.status();
      assert.equal(status.state, 'ready');
      assert.equal(status.kind, kind);
      assert.match(status.detected, new RegExp(`^Detected ${kind} agent \\(agent\\.\\w+ in .*\\)$`, 'i'));
      assert.equal(session.started.framework.sdk, sdk);
      assert.deepEqual(session.started.framework, await session.frameworkInfo());

      const hi = await session.say('hi');
      assert.equal(hi.reply, 'echo: hi');
      assert.deepEqual(kinds(hi.events), ['message']);
      assert.ok(hi.durationMs > 0 && hi.replyDelayMs <= hi.durationMs);

      const weather = await session.say('weather');
      assert.equal(weather.reply, 'The tool said: Sunny in Tokyo');
      const [call, ...others] = weather.toolCalls;
      assert.deepEqual(others, []);
      assert.equal(weather.events.includes(call), true);
      assert.equal(JSON.stringify(weather).includes('toolCalls'), false, 'nothing is there twice');
      assert.equal(call.name, 'lookup_weather');
      assert.deepEqual(JSON.parse(call.arguments), { location: 'Tokyo' });
      assert.match(call.output, /Sunny in Tokyo/);
      assert.equal(call.isError, false);

      const boom = await session.say('boom');
      const [failed] = boom.toolCalls;
      assert.equal(failed.isError, true);
      assert.match(failed.output, /espresso machine is broken/);

      const silent = await session.say('silent');
      assert.deepEqual([silent.silent, silent.reply, silent.error], [true, '', undefined]);

      const handoff = await session.say('handoff');
      assert.equal(handoff.reply, 'Billing here, how can I help?');
      assert.ok(kinds(handoff.events).includes('handoff'));
      assert.match((await session.agentInfo()).instructions, /cashier/);

      const fail = await session.say('fail');
      assert.ok(fail.error, 'a language model that breaks down is an error of the turn');
      assert.equal(fail.silent, false);
      assert.equal((await session.say('still there')).reply, 'echo: still there');

      const said = (await session.history()).filter((item) => item.type === 'message' && item.role === 'user');
      assert.deepEqual(said.map((item) => item.text), ['hi', 'weather', 'boom', 'silent', 'handoff', 'fail', 'still there']);
      assert.ok(['listening', 'idle'].includes((await session.sessionState()).agentState));
      assert.equal((await session.usage()).every((model) => model.kind === 'llm'), true);
      await session.rtcStats();
      await session.updateIo({ inputAudio: false });
      await session.ping();
      assert.equal((await session.finalizeSimulation({ provisionalSuccess: true })).missing, true);

      await session.close();
      assert.equal(isAlive(pid), false);
      const events = await collect(session.events());
      assert.deepEqual(events.map(({ seq }) => seq), events.map((_, index) => index + 1));
      assert.deepEqual(events.at(-1), { ...events.at(-1), type: 'closed', reason: 'closed' });
      assert.ok(readFileSync(log, 'utf8').length > 0, 'the log that was asked for is kept');
    });

    test('greets, and what was said before the first turn is there', async (t) => {
      const session = await start(file, { ...options, env: { GREET: '1' } });
      t.after(() => session.close());
      const greeting = session.started.events.find(({ type }) => type === 'message');
      assert.equal(greeting.text, 'Welcome to the coffee shop!');
      const { logPath } = session.status();
      assert.ok(existsSync(logPath));
      await session.close();
      assert.equal(existsSync(logPath), false, 'the log that nobody asked for is gone');
    });

    test('its history of more than 1 MiB arrives', async (t) => {
      const session = await start(file, options);
      t.after(() => session.close());
      for (let i = 0; i < 3; i++) assert.equal((await session.say('big')).reply.length, 400_000);
      const replies = (await session.history()).filter((item) => item.role === 'assistant');
      assert.deepEqual(replies.map((item) => item.text.length), [400_000, 400_000, 400_000]);
    });

    test('a turn that was aborted goes on, and its late answer is told', async (t) => {
      const session = await start(file, options);
      t.after(() => session.close());
      const events = session.events({ fromNow: true });
      const controller = new AbortController();
      const slow = session.say('slow one', { signal: controller.signal });
      for await (const { text } of session.events()) if (text === 'slow one') break;
      controller.abort();
      await assert.rejects(slow, { name: 'AbortError' });
      assert.equal((await session.say('next')).reply, 'echo: next');
      for await (const { type, text } of events) if (type === 'late_turn' && text === 'slow one') break;
    });
  });
}
