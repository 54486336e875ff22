// Agents on the released SDK in rooms, and participants that see what is on the wire.

import assert from 'node:assert/strict';
import { initializeLogger, llm, voice } from '@livekit/agents';
import { AgentSession as pb } from '@livekit/protocol';
import { Room } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { host } from 'greenroom/livekit';
import { until } from './agents.mjs';
import { venue } from './livekit-server.mjs';

export const TOPIC = 'lk.agent.session';

initializeLogger({ pretty: false, level: 'fatal' });
process.on('unhandledRejection', (reason) => assert.fail(`unhandled: ${reason?.stack ?? reason}`));

class ScriptedLLM extends llm.LLM {
  #held;

  /** While it holds, turns do not end; gives what lets them go on. */
  hold() {
    let release;
    this.#held = new Promise((resolve) => (release = resolve));
    return () => {
      this.#held = undefined;
      release();
    };
  }

  label() {
    return 'ScriptedLLM';
  }

  chat({ chatCtx, toolCtx }) {
    const options = { chatCtx, toolCtx, connOptions: { maxRetry: 0, retryIntervalMs: 0, timeoutMs: 1000 } };
    return new ScriptedStream(this, options, () => this.#held);
  }
}

class ScriptedStream extends llm.LLMStream {
  #held;

  constructor(llm, options, held) {
    super(llm, options);
    this.#held = held;
  }

  async run() {
    const { textContent } = this.chatCtx.items.at(-1);
    const aborted = new Promise((resolve) =>
      this.abortController.signal.addEventListener('abort', resolve, { once: true }),
    );
    await Promise.race([this.#held(), aborted]);
    this.queue.put({ id: 'chunk', delta: { role: 'assistant', content: `echo: ${textContent}` } });
  }
}

/**
 * An agent in a room, ready to be asked. `guard` is `host` (ours in place of
 * the SDK's), `gate` (ours before it) or none. Gives its Room, AgentSession, language model and
 * what guards it.
 */
export async function agentIn(t, venue, { guard, identity = 'agent', options, room = new Room(), linked } = {}) {
  const { session, agent, model } = scripted(t);
  let guarding;
  if (guard === 'gate') guarding = greenroom.gate(room, options);
  if (guard === 'host') guarding = await host(session, room, options);
  await venue.connect(identity, { room, kind: 'agent' });
  const { localParticipant: local } = room;
  const setAttributes = local.setAttributes.bind(local);
  // The SDK tells the room of its state and waits for nothing; before rtc-node 0.13.33 that rejects if the Room is left meanwhile.
  local.setAttributes = (attributes) => setAttributes(attributes).catch(() => {});
  await session.start({
    agent,
    room,
    inputOptions: { audioEnabled: false, closeOnDisconnect: false, participantIdentity: linked },
    outputOptions: { audioEnabled: false, transcriptionEnabled: false },
  });
  t.after(() => guarding?.close());
  return { room, session, model, guarding };
}

/** An AgentSession that has not started, its agent, and its language model. */
export function scripted(t) {
  const model = new ScriptedLLM();
  const session = new voice.AgentSession({ llm: model, userAwayTimeout: null });
  session.output.setAudioEnabled(false);
  t.after(() => session.close());
  return { session, agent: new voice.Agent({ instructions: 'Echo.' }), model };
}

/**
 * A participant on the bare wire: it takes whatever comes on the topic, from whomever, and sends what it is told to.
 * `received` is what came: messages of the SDK's, each with the identity of its sender as `from`.
 */
export class Wire {
  received = [];

  #last = Promise.resolve();

  constructor(room) {
    this.room = room;
    room.registerByteStreamHandler(TOPIC, (reader, { identity }) => {
      const read = reader.readAll().catch(() => []);
      // The SDK may be done with a later one first.
      this.#last = this.#last.then(async () => this.#take(await read, identity));
    });
  }

  /** Asks; `request` is such as `{ case: 'ping', value: new pb.SessionRequest_Ping() }`, or bytes as they are. */
  async ask(requestId, request = ping(), to = 'agent', { attributes } = {}) {
    const asked = request instanceof Uint8Array ? request : messageOf({ requestId, request });
    const options = { topic: TOPIC, destinationIdentities: [to], attributes };
    const writer = await this.room.localParticipant.streamBytes(options);
    await writer.write(asked);
    await writer.close();
  }

  /** Asks, and waits for the answer. */
  async answer(requestId, request, to) {
    await this.ask(requestId, request, to);
    return this.answered(requestId);
  }

  /** Waits for the answer to what was asked. */
  async answered(requestId) {
    const find = () => this.responses.find((response) => response.requestId === requestId);
    await until(`the answer to ${requestId}`, find, { within: 15_000 });
    return find();
  }

  /** The responses that came. */
  get responses() {
    return this.received.filter((message) => message.case === 'response').map(({ value }) => value);
  }

  /** The events that came, by name. */
  get events() {
    return this.received.filter((message) => message.case === 'event').map(({ value }) => value.event.case);
  }

  #take(chunks, identity) {
    if (chunks.length === 0) return;
    const { message } = pb.AgentSessionMessage.fromBinary(Buffer.concat(chunks));
    this.received.push({ from: identity, ...message });
  }
}

export const ping = () => ({ case: 'ping', value: new pb.SessionRequest_Ping() });
export const history = () => ({ case: 'getChatHistory', value: new pb.SessionRequest_GetChatHistory() });
export const runInput = (text) => ({ case: 'runInput', value: new pb.SessionRequest_RunInput({ text }) });
export const updateIo = () => ({ case: 'updateIo', value: new pb.SessionRequest_UpdateIO() });

/** A request that no release knows: field 99. */
export function unknownRequest(requestId) {
  const known = messageOf({ requestId });
  const inner = Buffer.concat([known.subarray(2), Buffer.from([0x9a, 0x06, 0x00])]);
  return Buffer.concat([Buffer.from([0x22, inner.length]), inner]);
}

function messageOf(request) {
  return new pb.AgentSessionMessage({ message: { case: 'request', value: new pb.SessionRequest(request) } }).toBinary();
}

/** What an agent said in its answer to run_input. */
export function saidIn({ response }) {
  return response.value.items.flatMap(({ item }) =>
    item.case === 'message' ? item.value.content.map(({ payload }) => payload.value) : [],
  );
}

/** A guarded agent and its audit log. `join` adds a participant on the bare wire, whom the agent knows. */
export async function scene(t, server, guard, { linked, ...options } = {}) {
  const room = venue(t, server);
  const audit = [];
  const agent = await agentIn(t, room, { guard, linked, options: { ...options, onAudit: (line) => audit.push(line) } });
  const join = async (identity, { grant } = {}) => {
    const joined = await room.connect(identity, { grant });
    await room.gather(agent.room, joined);
    return new Wire(joined);
  };
  return { venue: room, agent, audit, join };
}

/** A guarded agent and a Room of somebody who may drive it. */
export async function pair(t, server, guard = 'host', options) {
  const { venue, agent, audit } = await scene(t, server, guard, options);
  const room = await venue.connect('boss', { grant: true });
  await venue.gather(agent.room, room);
  return { venue, agent, room, audit };
}
