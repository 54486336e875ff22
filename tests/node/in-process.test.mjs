// An agent of this very process, on the released SDK; and what src/sdk.ts relies on in it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { initializeLogger, llm, version, voice } from '@livekit/agents';
import * as greenroom from 'greenroom';
import { collect } from './support/agents.mjs';
import { bare, printed } from './support/bare.mjs';

initializeLogger({ pretty: false, level: 'fatal' });
process.on('unhandledRejection', (reason) => assert.fail(`unhandled: ${reason}`));

class ScriptedLLM extends llm.LLM {
  label() {
    return 'ScriptedLLM';
  }

  chat({ chatCtx, toolCtx }) {
    return new ScriptedStream(this, { chatCtx, toolCtx, connOptions: { maxRetry: 0, retryIntervalMs: 0, timeoutMs: 1000 } });
  }
}

class ScriptedStream extends llm.LLMStream {
  async run() {
    const last = this.chatCtx.items.at(-1);
    const delta = { role: 'assistant' };
    if (last.type === 'function_call_output') delta.content = `tool: ${JSON.parse(last.output)}`;
    else if (last.textContent === 'hang') return aborted(this.abortController.signal);
    else if (last.textContent === 'tool') {
      delta.toolCalls = [llm.FunctionCall.create({ callId: 'call-1', name: 'add_one', args: '{"number":1}' })];
    } else delta.content = `echo: ${last.textContent}`;
    this.queue.put({ id: 'chunk', delta });
  }
}

const aborted = (signal) => new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));

const add_one = llm.tool({
  description: 'Adds one.',
  parameters: { type: 'object', properties: { number: { type: 'number' } }, required: ['number'] },
  execute: async ({ number }) => number + 1,
});

async function agentSession(t) {
  const session = new voice.AgentSession({ llm: new ScriptedLLM(), userAwayTimeout: null });
  session.output.setAudioEnabled(false);
  await session.start({ agent: new voice.Agent({ instructions: 'Echo.', tools: { add_one } }) });
  t.after(() => session.close());
  return session;
}

/** Waits until the agent has heard what is said. */
async function heard(session) {
  for await (const event of session.events({ fromNow: true })) if (event.role === 'user') return;
}

test('holds a conversation without socket or process', async (t) => {
  const session = await greenroom.inProcess(await agentSession(t));
  assert.deepEqual(session.started.framework, { sdk: 'js', sdkVersion: version });
  assert.equal(session.status().pid, process.pid);
  assert.equal(session.status().state, 'ready');

  const turn = await session.say('hi');
  assert.equal(turn.reply, 'echo: hi');
  const tool = await session.say('tool');
  assert.equal(tool.reply, 'tool: 2');
  assert.deepEqual(
    tool.events.filter(({ type }) => type === 'tool_call').map(({ name, output }) => ({ name, output })),
    [{ name: 'add_one', output: '2' }],
  );
  assert.deepEqual((await session.agentInfo()).tools, ['add_one']);
  assert.equal((await session.history()).filter(({ role }) => role === 'user').length, 2);
  await session.ping();

  await session.close();
  await session.close();
  assert.equal(session.closed.code, 'session_closed');
  await assert.rejects(session.say('hi'), greenroom.SessionClosed);
  assert.equal((await collect(session.events())).at(-1).type, 'closed');
});

test('closing lets go of the AgentSession, which another session may then drive', async (t) => {
  const agent = await agentSession(t);
  const first = await greenroom.inProcess(agent);
  await first.say('one');
  await first.close();
  const second = await greenroom.inProcess(agent);
  assert.equal((await second.say('two')).reply, 'echo: two');
  await second.end();
  await second.end();
  const third = await greenroom.inProcess(agent);
  assert.equal((await third.say('three')).reply, 'echo: three');
  await third.close();
});

test('an AgentSession that is closed ends the session', async (t) => {
  const agent = await agentSession(t);
  const session = await greenroom.inProcess(agent);
  const events = collect(session.events());
  await agent.close();
  const closed = (await events).at(-1);
  assert.deepEqual([closed.type, closed.reason], ['closed', 'agent_disconnected']);
  await assert.rejects(session.say('hi'), greenroom.AgentGone);
  await session.close();
});

test('a turn that hangs can be aborted, times out, and fails when the session closes', async (t) => {
  const session = await greenroom.inProcess(await agentSession(t));
  const controller = new AbortController();
  const hanging = session.say('hang', { signal: controller.signal });
  await heard(session);
  controller.abort(new Error('enough'));
  await assert.rejects(hanging, /enough/);
  assert.equal((await session.say('hi')).reply, 'echo: hi');
  await assert.rejects(session.say('hang', { timeout: 500 }), greenroom.SessionTimeout);
  const pending = session.say('hang');
  await session.close();
  await assert.rejects(pending, greenroom.SessionClosed);
});

test('what is no AgentSession, or has not started, is named', async () => {
  await assert.rejects(greenroom.inProcess({}), /AgentSession of @livekit\/agents/);
  const unstarted = new voice.AgentSession({ llm: new ScriptedLLM(), userAwayTimeout: null });
  await assert.rejects(greenroom.inProcess(unstarted), (error) => {
    assert.match(error.message, /has not started: call `await agentSession.start/);
    return error instanceof greenroom.InvalidArgument;
  });
});

/** A script that has an AgentSession whose language model never answers `stuck`, not even when it is aborted. */
const BEGIN = `
  const { initializeLogger, llm, voice } = require('@livekit/agents');
  const { inProcess } = require('greenroom');
  initializeLogger({ pretty: false, level: 'fatal' });
  class Model extends llm.LLM {
    label() { return 'Model'; }
    chat({ chatCtx, toolCtx }) { return new Stream(this, { chatCtx, toolCtx, connOptions: { maxRetry: 0, timeoutMs: 1 } }); }
  }
  class Stream extends llm.LLMStream {
    async run() {
      const { textContent } = this.chatCtx.items.at(-1);
      if (textContent === 'stuck') await new Promise(() => {});
      this.queue.put({ id: '1', delta: { role: 'assistant', content: 'echo: ' + textContent } });
    }
  }
  const agent = new voice.AgentSession({ llm: new Model(), userAwayTimeout: null });
  agent.output.setAudioEnabled(false);
  const attach = async () => {
    await agent.start({ agent: new voice.Agent({ instructions: '' }) });
    return inProcess(agent);
  };
`;

function run(script) {
  const args = ['--input-type=commonjs', '--eval', `${BEGIN} attach().then(async (session) => {${script}});`];
  const cwd = dirname(fileURLToPath(import.meta.url));
  const done = spawnSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 60_000 });
  return [done.stdout.trim(), done.status, done.stderr];
}

test('works through CommonJS, and the process exits by itself', () => {
  const script = `console.log((await session.say('hi')).reply); await session.close(); await agent.close();`;
  assert.deepEqual(run(script), ['echo: hi', 0, '']);
});

test('an agent that is stuck does not hold up close for long', () => {
  const script = `
    const stuck = session.say('stuck', { timeout: 60_000 });
    for await (const event of session.events({ fromNow: true })) if (event.role === 'user') break;
    await session.close();
    stuck.catch(({ code }) => { console.log(code); process.exit(); });
  `;
  const begun = performance.now();
  assert.deepEqual(run(script), ['session_closed', 0, '']);
  assert.ok(performance.now() - begun < 30_000);
});

test('the SDK has what is relied on', () => {
  for (const method of ['registerSession', 'start', 'close']) {
    assert.equal(typeof voice.SessionHost.prototype[method], 'function', method);
  }
  const require = createRequire(createRequire(import.meta.url).resolve('@livekit/agents'));
  const { AgentSessionMessage } = require('@livekit/protocol').AgentSession;
  assert.equal(AgentSessionMessage.fromBinary(new Uint8Array()).message.case, undefined);
});

test('without the SDK, or with one that lacks the session host, the error says what to install', (t) => {
  const { project, modules, peerDependencies } = bare(t);
  const script = `
    const { inProcess } = require('greenroom');
    inProcess({ run() {}, on() {}, off() {} }).catch((error) => console.log(JSON.stringify({ ...error, text: error.message })));
  `;
  const failure = () => printed(project, script);
  const install = (version) => {
    const folder = join(modules, '@livekit', 'agents');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: '@livekit/agents', version, main: 'index.js' }));
    const index = `module.exports = { version: ${JSON.stringify(version)}, voice: { AgentSession: class {} } };`;
    writeFileSync(join(folder, 'index.js'), index);
  };
  const range = peerDependencies['@livekit/agents'];
  const fix = `npm install "@livekit/agents@${range}"`;

  const missing = failure();
  assert.equal(missing.code, 'sdk_missing');
  assert.ok(missing.text.includes(fix), missing.text);
  for (const [version, code, wayOut] of [
    ['1.5.4', 'sdk_too_old', fix],
    ['0.9.0', 'sdk_too_old', fix],
    ['2.0.0', 'unsupported', 'upgrade greenroom'],
  ]) {
    install(version);
    const failed = failure();
    assert.equal(failed.code, code, failed.text);
    for (const words of [version, 'has no voice.SessionHost', '1.5.5', wayOut]) assert.ok(failed.text.includes(words), failed.text);
  }
});

test('an SDK of any number is used if it has what is needed, also one that calls an AgentSession a LiveSession', (t) => {
  const { project, modules } = bare(t);
  const folder = join(modules, '@livekit', 'agents');
  mkdirSync(folder, { recursive: true });
  // The real SDK behind another number and name.
  const real = JSON.stringify(createRequire(import.meta.url).resolve('@livekit/agents'));
  const index = `
    const sdk = require(${real});
    const { AgentSession: LiveSession, ...voice } = sdk.voice;
    module.exports = { ...sdk, version: '3.0.0', voice: { ...voice, LiveSession } };
  `;
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: '@livekit/agents', version: '3.0.0', main: 'index.js' }));
  writeFileSync(join(folder, 'index.js'), index);
  const name = join('@livekit', 'protocol');
  const protocol = createRequire(createRequire(import.meta.url).resolve('@livekit/agents')).resolve(name);
  symlinkSync(protocol.slice(0, protocol.lastIndexOf(name) + name.length), join(modules, name));
  const script = `
    const { initializeLogger, llm, voice } = require('@livekit/agents');
    const { inProcess } = require('greenroom');
    initializeLogger({ pretty: false, level: 'fatal' });
    (async () => {
      const agent = new voice.LiveSession({ userAwayTimeout: null });
      agent.output.setAudioEnabled(false);
      await agent.start({ agent: new voice.Agent({ instructions: 'Echo.' }) });
      const session = await inProcess(agent);
      console.log(JSON.stringify((await session.agentInfo()).instructions));
      await session.close();
      await agent.close();
    })();
  `;
  assert.equal(printed(project, script), 'Echo.');
});
