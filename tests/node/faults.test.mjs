// What goes wrong with an agent, and what becomes of it: a clear error or a right answer within the deadline, and no
// process left.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import * as greenroom from 'greenroom';
import { collect, isAlive, peer, until } from './support/agents.mjs';

process.on('unhandledRejection', (reason) => assert.fail(`unhandled: ${reason}`));

/** Starts the bare agent; after the test it is gone. */
async function start(t, options = {}) {
  const session = await greenroom.start(peer(t), options);
  const { pid } = session.status();
  t.after(async () => {
    await session.close();
    assert.equal(isAlive(pid), false, 'the agent is gone once the session is closed');
  });
  return session;
}

async function take(session, count) {
  const taken = [];
  for await (const event of session.events()) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

describe('a bare agent', { concurrency: 4 }, () => {
  test('a turn has its reply, its events and its times', async (t) => {
    const session = await start(t);
    const turn = await session.say('hi');
    assert.equal(turn.reply, 'echo: hi');
    assert.equal(turn.text, 'hi');
    assert.equal(turn.number, 1);
    assert.deepEqual(turn.events.map(({ type, role, text }) => ({ type, role, text })), [
      { type: 'message', role: 'assistant', text: 'echo: hi' },
    ]);
    assert.ok(turn.durationMs > 0 && turn.replyDelayMs > 0 && turn.queuedMs >= 0);
    assert.deepEqual(session.started.framework, { sdk: 'peer', sdkVersion: '0' });
    assert.deepEqual((await session.sessionState()).options, { some_option: 'left_alone' });
  });

  test('an agent that is killed in a turn fails the turn at once, and every call after', async (t) => {
    const session = await start(t);
    await assert.rejects(session.say('die'), greenroom.AgentGone);
    await assert.rejects(session.say('hi'), { code: 'agent_gone' });
    assert.equal(session.status().state, 'closed');
    assert.equal(session.closed.code, 'agent_gone');
    const events = await collect(session.events());
    assert.equal(events.at(-1).type, 'closed');
    assert.equal(events.at(-1).reason, 'agent_exited');
  });

  test('an agent that leaves is gone', async (t) => {
    const session = await start(t);
    await assert.rejects(session.say('leave'), { code: 'agent_gone' });
  });

  test('an agent that crashes fails the start with its last words', async (t) => {
    await assert.rejects(greenroom.start(peer(t), { env: { PEER: 'crash' } }), (error) => {
      assert.ok(error instanceof greenroom.AgentFailedToStart);
      assert.match(error.detail, /the last word/);
      return true;
    });
  });

  test('an agent that never connects fails the start at its deadline', async (t) => {
    const begun = performance.now();
    const starting = greenroom.start(peer(t), { env: { PEER: 'absent' }, timeout: 1500 });
    await assert.rejects(starting, (error) => ['timeout', 'agent_failed_to_start'].includes(error.code));
    assert.ok(performance.now() - begun < 10_000);
  });

  test('an agent that connects and says nothing fails the start', async (t) => {
    const starting = greenroom.start(peer(t), { env: { PEER: 'mute' } });
    await assert.rejects(starting, greenroom.SessionTimeout);
  });

  test('a start can be aborted, and its agent goes', async (t) => {
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const log = [];
    const logger = Object.fromEntries(['debug', 'info', 'warn', 'error'].map((level) => [level, (m) => log.push(m)]));
    const starting = greenroom.start(peer(t), { env: { PEER: 'absent' }, signal: controller.signal, logger });
    controller.abort(reason);
    await assert.rejects(starting, (error) => error === reason);
    await assert.rejects(greenroom.start(peer(t), { signal: AbortSignal.abort(reason) }), (error) => error === reason);
    await until('the session is closed', () => log.some((line) => line.includes('closed')));
  });

  test('garbage is one event, and the link goes on', async (t) => {
    const session = await start(t);
    const turn = await session.say('garbage');
    assert.equal(turn.reply, 'after garbage');
    assert.equal(turn.events.filter((event) => event.type === 'error').length, 1);
    assert.equal((await session.say('hi')).reply, 'echo: hi');
  });

  test('an oversize frame is skipped, and the link goes on', async (t) => {
    const session = await start(t);
    assert.equal((await session.say('oversize')).reply, 'after an oversize frame');
  });

  test('an oversize answer fails its turn with both sizes, and the session lives on', async (t) => {
    const session = await start(t);
    await assert.rejects(session.say('enormous'), (error) => {
      assert.ok(error instanceof greenroom.TooLarge);
      assert.match(error.message, /178\d{5}.*16777216/);
      return true;
    });
    assert.equal((await session.say('hi')).reply, 'echo: hi');
  });

  test('a length that nobody means closes the link', async (t) => {
    const session = await start(t);
    await assert.rejects(session.say('endless'), greenroom.ProtocolError);
  });

  test('a frame cut short is the end of the link', async (t) => {
    const session = await start(t);
    await assert.rejects(session.say('truncated'), (error) => ['agent_gone', 'protocol_error'].includes(error.code));
  });

  test('an aborted turn rejects with the reason, and the next goes at once', async (t) => {
    const session = await start(t);
    const controller = new AbortController();
    const reason = new Error('enough');
    const hanging = session.say('hang', { signal: controller.signal });
    await until('the turn has begun', () => session.status().turnInProgress);
    controller.abort(reason);
    await assert.rejects(hanging, (error) => error === reason);
    assert.equal((await session.say('hi')).reply, 'echo: hi');
    await assert.rejects(session.ping({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
  });

  test('a turn that times out leaves the session usable', async (t) => {
    const session = await start(t);
    await assert.rejects(session.say('hang', { timeout: 100 }), greenroom.SessionTimeout);
    assert.equal((await session.say('hi')).reply, 'echo: hi');
  });

  test('two turns at once go one after the other', async (t) => {
    const session = await start(t);
    const [one, two] = await Promise.all([session.say('one'), session.say('two')]);
    assert.deepEqual([one.reply, two.reply], ['echo: one', 'echo: two']);
    assert.deepEqual([one.number, two.number], [1, 2]);
  });

  test('three replies of 400 KB, and the history of more than 1 MiB', async (t) => {
    const session = await start(t);
    for (let i = 0; i < 3; i++) assert.equal((await session.say('big')).reply.length, 400_000);
    const replies = (await session.history()).filter((item) => item.role === 'assistant');
    assert.deepEqual(replies.map((item) => item.text.length), [400_000, 400_000, 400_000]);
  });

  test('ten thousand events arrive in order', async (t) => {
    const session = await start(t);
    await session.say('flood');
    const events = await take(session, 10_000);
    assert.deepEqual(events.map((event) => event.seq), events.map((_, index) => events[0].seq + index));
    const numbers = events.filter(({ type }) => type === 'debug').map(({ payload }) => payload.some_number);
    assert.deepEqual(numbers, numbers.map((_, index) => index));
  });

  test('an agent that breaks down has a turn with an error', async (t) => {
    const session = await start(t);
    const turn = await session.say('fail');
    assert.equal(turn.error, 'it broke');
    assert.equal(turn.silent, false);
  });

  test('a call that is pending when the session closes fails with the reason', async (t) => {
    const session = await start(t);
    const hanging = session.say('hang');
    await Promise.all([session.close(), session.close()]);
    await assert.rejects(hanging, greenroom.SessionClosed);
    await assert.rejects(session.ping(), greenroom.SessionClosed);
    await session.close();
    await session[Symbol.asyncDispose]();
  });

  test('an agent that does not want to end is ended', async (t) => {
    const session = await greenroom.start(peer(t), { env: { PEER: 'stubborn' } });
    const { pid } = session.status();
    await session.close();
    assert.equal(isAlive(pid), false);
  });

  test('a promise that nobody awaits is no unhandled rejection', async (t) => {
    const session = await start(t);
    session.say('hang', { timeout: 1 });
    session.say('');
    session.events({ signal: AbortSignal.abort() }).next();
    greenroom.start('/no/such/agent.mjs');
    await session.close();
    session.say('hi');
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('each iterator of events has its own place, and ends with the session', async (t) => {
    const session = await start(t);
    await session.say('one');
    const [first, second] = await take(session, 2);
    const all = session.events();
    assert.deepEqual((await all.next()).value, first);
    assert.deepEqual((await all.next()).value, second);
    const coming = session.events({ fromNow: true });
    const rest = collect(all);
    const next = coming.next();
    await session.say('two');
    assert.equal((await next).value.text, 'two');
    await session.close();
    assert.equal((await rest).at(-1).type, 'closed');
    assert.equal((await collect(coming)).at(-1).type, 'closed');
    assert.deepEqual(await coming.next(), { done: true, value: undefined });
    assert.deepEqual(await collect(session.events({ fromNow: true })), []);
  });

  test('an iterator can be aborted and returned while it waits', async (t) => {
    const session = await start(t);
    const controller = new AbortController();
    const aborted = session.events({ fromNow: true, signal: controller.signal }).next();
    const reason = new Error('no more');
    controller.abort(reason);
    await assert.rejects(aborted, (error) => error === reason);
    const returned = session.events({ fromNow: true });
    const waiting = returned.next();
    await returned.return();
    assert.deepEqual(await waiting, { done: true, value: undefined });
  });

  test('listeners hear of what is to come, and one that throws disturbs nobody', async (t) => {
    const errors = [];
    const logger = { debug() {}, info() {}, warn() {}, error: (message) => errors.push(message) };
    const session = await start(t, { logger });
    await session.say('before');
    const heard = [];
    const listener = (event) => heard.push(event.text);
    session.on('message', () => {
      throw new Error('a bad listener');
    });
    session.on('message', listener);
    await session.say('after');
    session.off('message', listener);
    await session.say('later');
    assert.deepEqual(heard, ['after', 'echo: after']);
    assert.ok(errors.some((message) => message.includes('a bad listener')));
  });

  test('a port that is taken is named', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    t.after(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address();
    await assert.rejects(greenroom.start(peer(t), { port }), (error) => {
      assert.match(error.message, new RegExp(String(port)));
      return error instanceof greenroom.GreenroomError;
    });
  });

  test('a text over the cap is refused with sizes', async (t) => {
    const session = await start(t);
    await assert.rejects(session.say('x'.repeat(2 << 20)), (error) => {
      assert.match(error.message, /2097152/);
      return error instanceof greenroom.TooLarge;
    });
    await assert.rejects(session.say(' '), greenroom.InvalidArgument);
  });
});
