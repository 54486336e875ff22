// Plays the matrix of tests/gate_cases.json with real agents in real rooms. tests/python/rooms/support/cases.py is its twin.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { voice } from '@livekit/agents';
import { AgentSession as pb } from '@livekit/protocol';
import { Room } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import { host } from 'greenroom/livekit';
import { ROOT, until } from './agents.mjs';
import { eavesdrop, FENCE } from './eavesdropper.mjs';
import { holdsGrant, venue } from './livekit-server.mjs';
import { history, ping, runInput, scripted, TOPIC, unknownRequest } from './rooms.mjs';

const MATRIX = JSON.parse(readFileSync(`${ROOT}tests/gate_cases.json`, 'utf8'));

// In a real room a hidden participant has no name, so its denial cannot be sent to it: it waits in vain.
const NAMELESS = 'hidden participant';

const REQUESTS = { ping: ping(), history: history(), run_input: runInput('hello') };
const ANSWERS = { ping: 'pong', history: 'getChatHistory', run_input: 'runInput' };
const ERRORS = { permission_denied: 'denied', 'unsupported request': 'unsupported' };

/**
 * The situations, each for both ways to guard an agent and both kinds of Room to ask with, the SDK's and ours, with its
 * requests. Those that are played in the same room come one after the other and begin alike; where a grant changes, each
 * request has a room of its own.
 */
export const SITUATIONS = MATRIX.situations.flatMap((situation) => {
  const requests = Object.keys(situation.expected);
  const changes = situation.steps.some((step) => 'set_grant' in step);
  const rooms = changes ? requests.map((request) => [request]) : [requests];
  return rooms.flatMap((requests) =>
    MATRIX.hosts.flatMap((guard) => ['sdk', 'native'].map((client) => ({ situation, guard, client, requests }))),
  );
});

/** Opens a room with an agent, and the participants of a situation. */
export async function stage(t, server, { situation, guard, client }) {
  const { session, agent, model } = scripted(t);
  const place = venue(t, server);
  const room = new Room();
  const audit = [];
  const options = { onAudit: (line) => audit.push(line) };
  const guarding = guard === 'gate' ? greenroom.gate(room, options) : await host(session, room, options);
  t.after(() => guarding.close());
  await place.connect('agent', { room, kind: 'agent', grant: situation.agent_grant ?? undefined });
  const inputOptions = { audioEnabled: false, closeOnDisconnect: false };
  await session.start({ agent, room, inputOptions, outputOptions: { audioEnabled: false, transcriptionEnabled: false } });
  await until('the agent listens', () => session.agentState === 'listening');
  const stage = new Stage({ situation, client, place, room, session, model, audit });
  await stage.open(t);
  return stage;
}

/** The participants of a situation around an agent that listens. */
class Stage {
  #scene;
  #people = new Map();
  // Beside the host under test another of the SDK's tells this process what the session says.
  #told = new Told();
  #request;
  #asked;
  #turnsBefore;
  #held = 0;
  #fences = [];
  #release;
  #isStalled = false;
  // Since when and until when a participant holds the grant, in events told.
  #since = new Map();
  #until = new Map();

  constructor(scene) {
    this.#scene = scene;
  }

  /** Goes through the situation with one request. Gives what everybody received, and what they were to. */
  async play(request) {
    this.#request = request;
    this.#asked = [];
    this.#fences = [];
    this.#told.events.length = 0;
    for (const person of this.#people.values()) person.forget();
    this.#turnsBefore = this.#turns();
    for (const step of this.#scene.situation.steps) await this.#take(step);
    return this.#outcome();
  }

  async open(t) {
    const { situation, client, place, room, session } = this.#scene;
    const people = Object.entries(situation.participants);
    // Whoever listens in needs to see what the SDK's Room sees.
    const kind = (name) => (client === 'sdk' || name === 'eve' ? join : joinNatively);
    await Promise.all(people.map(async ([name, about]) => this.#people.set(name, await kind(name)(t, place, name, about))));
    for (const [name, { hidden }] of people) {
      const person = this.#people.get(name);
      if (!hidden) await until(`the agent knows ${name}`, () => room.remoteParticipants.get(name)?.sid === person.sid);
      await until(`${name} knows the agent`, () => person.knows('agent'));
    }
    for (const [name, { grant, hidden }] of people) if (grant && !hidden) this.#since.set(name, 0);
    const teller = new voice.SessionHost(this.#told);
    t.after(() => teller.close());
    teller.registerSession(session);
    await teller.start();
  }

  /** One step of the situation, until nothing more comes of it. */
  async #take(step) {
    const { place, room } = this.#scene;
    if ('ask' in step) {
      await this.#ask(step.ask, step.hold);
    } else if ('set_grant' in step) {
      const [who, grant] = step.set_grant;
      await place.setGrant(who, grant);
      await until('the agent knows', () => holdsGrant(room, who) === grant);
      (grant ? this.#since : this.#until).set(who, this.#told.events.length);
    } else {
      await this.#letGo();
    }
    await this.#settle();
  }

  async #ask(asker, hold) {
    const { situation, session, model } = this.#scene;
    if (this.#request === 'events') {
      if (!hold) this.#emit();
      return;
    }
    const requestId = `${this.#request}-${this.#asked.length}`;
    this.#asked.push(requestId);
    const isTurn = this.#request === 'run_input';
    // What nobody knows is answered by the guard, so there is no answer of the agent's to keep back.
    const holds = hold && this.#request !== 'unknown';
    if (holds) this.#release = isTurn ? model.hold() : await this.#stall();
    const [denials, admissions] = [this.#namelessDenials(), this.#admissions(asker)];
    await this.#send(asker, requestId, this.#request);
    if (holds && isTurn) {
      await until('the agent works on it', () => session.agentState === 'thinking');
      this.#held++;
    } else if (holds) {
      await until('it is let in', () => this.#admissions(asker) > admissions);
    } else if (situation.name === NAMELESS) {
      await until('it is denied', () => this.#namelessDenials() > denials);
    } else {
      await this.#answered(asker);
    }
  }

  async #letGo() {
    if (this.#request === 'events') {
      this.#emit();
      return;
    }
    this.#release?.();
    this.#release = undefined;
    this.#isStalled = false;
    await this.#answered(this.#scene.situation.steps.find(({ ask }) => ask).ask);
  }

  #emit() {
    const type = voice.AgentSessionEventTypes.UserInputTranscribed;
    const said = { type, transcript: 'overheard', isFinal: true, speakerId: null, createdAt: Date.now(), language: null };
    this.#scene.session.emit(type, said);
  }

  async #send(sender, requestId, request) {
    const bytes = request === 'unknown' ? unknownRequest(requestId) : encoded(requestId, REQUESTS[request]);
    await this.#people.get(sender).send(bytes);
  }

  /** Waits for the response to the last that was asked, and for the end of the turn. */
  async #answered(asker) {
    const last = this.#asked.at(-1);
    await until(`the response to ${last}`, () => this.#people.get(asker).responses.some(({ requestId }) => requestId === last));
    await until('the agent listens', () => this.#scene.session.agentState === 'listening');
  }

  /** Keeps back what an agent answers at once: the denial of eve, who asks first, does not get off until that is let go. */
  async #stall() {
    const { audit, room } = this.#scene;
    const denials = () => audit.filter(({ identity }) => identity === 'eve').length;
    const before = denials();
    const release = stall(room);
    this.#isStalled = true;
    await this.#askAsEve();
    await until('eve is denied', () => denials() > before);
    return release;
  }

  async #askAsEve() {
    const fence = `fence-${this.#request}-${this.#fences.length}`;
    this.#fences.push(fence);
    await this.#send('eve', fence, 'ping');
    return fence;
  }

  /** Waits until all has come that was sent before. What is sent keeps its order: so eve, who may not, asks. */
  async #settle() {
    if (this.#isStalled) return;
    const fence = await this.#askAsEve();
    const { responses } = this.#people.get('eve');
    await until('the fence is denied', () => responses.some(({ requestId }) => requestId === fence));
    for (const person of this.#people.values()) await person.caughtUp(this.#scene.room, this.#people.get('eve').room);
  }

  #turns() {
    return this.#scene.session.history.items.filter(({ role }) => role === 'user').length;
  }

  #admissions(asker) {
    return this.#scene.audit.filter(({ identity, decision }) => identity === asker && decision === 'allow').length;
  }

  #namelessDenials() {
    return this.#scene.audit.filter(({ identity, decision }) => identity === '' && decision === 'deny_unknown').length;
  }

  #outcome() {
    const expected = this.#expected();
    const names = [...this.#people.keys()].filter((name) => name !== 'eve');
    const answered = (expected.ann?.responses ?? []).filter((response) => response === 'answer').length;
    return {
      received: Object.fromEntries(names.map((name) => [name, this.#received(name)])),
      expected: Object.fromEntries(names.map((name) => [name, expected[name] ?? { responses: [], events: [] }])),
      overheard: this.#overheard(),
      turns: this.#turns() - this.#turnsBefore,
      expectedTurns: this.#request === 'run_input' ? answered + this.#held : 0,
    };
  }

  /** As the matrix says. */
  #expected() {
    const { situation } = this.#scene;
    if (situation.name === NAMELESS) return {};
    const received = Object.entries(situation.expected[this.#request]).map(([name, { responses = [], events }]) => {
      // All that the agent told while they held the grant.
      const told = this.#told.events.slice(this.#since.get(name), this.#until.get(name));
      if (events !== undefined) {
        assert.equal(events, this.#until.has(name) ? 'until revoked' : 'all');
        assert.notEqual(told.length, 0, 'the agent has told something');
      }
      return [name, { responses, events: events === undefined ? [] : told }];
    });
    return Object.fromEntries(received);
  }

  #received(name) {
    const { responses, events, senders, ear } = this.#people.get(name);
    assert.deepEqual([...senders], senders.size > 0 ? ['agent'] : []);
    // What was addressed to somebody else.
    assert.deepEqual(of('agent', ear.strays.values()), []);
    const said = responses.map(({ requestId, error, response }, at) => {
      assert.equal(requestId, this.#asked[at], "the asker's own id, in order");
      assert.equal(response.case, error === undefined ? ANSWERS[this.#request] : undefined);
      return error === undefined ? 'answer' : (ERRORS[error] ?? error);
    });
    return { responses: said, events: [...events] };
  }

  /** What the agent told eve beside the denials of her own requests. */
  #overheard() {
    const { responses, events, ear } = this.#people.get('eve');
    const others = responses.filter(({ requestId, error, response }, at) => {
      return requestId !== this.#fences[at] || error !== 'permission_denied' || response.case !== undefined;
    });
    return [...others, ...events, ...of('agent', ear.delivered), ...of('agent', ear.strays.values())];
  }
}

/** By the handle of a participant, what its sends wait for. */
const stalled = new Map();

/** Has what that Room sends take until it is let go, which the call does that this gives. */
function stall(room) {
  if (stalled.size === 0) watchSends();
  const { handle } = room.localParticipant.ffi_handle;
  let release;
  stalled.set(handle, new Promise((resolve) => (release = resolve)));
  return release;
}

function watchSends() {
  const client = globalThis._ffiClientInstance;
  const { request, waitFor } = client;
  let held;
  client.request = (asked) => {
    const { case: kind, value } = asked.message;
    held = kind === 'sendBytes' ? stalled.get(value.localParticipantHandle) : undefined;
    return request.call(client, asked);
  };
  // It is called right after.
  client.waitFor = async (...args) => {
    const first = held;
    held = undefined;
    const done = await waitFor.apply(client, args);
    await first;
    return done;
  };
}

/** What came from that sender: what participants send leaks in a way that is the SDK's, see SECURITY.md. */
function of(sender, streams) {
  return [...streams].filter(([from]) => from === sender);
}

function encoded(requestId, request) {
  return new pb.AgentSessionMessage({ message: { case: 'request', value: new pb.SessionRequest({ requestId, request }) } }).toBinary();
}

/** An event as text, without the time at which its host saw it. */
function contentOf(event) {
  const content = event.clone();
  content.createdAt = undefined;
  return content.toJsonString();
}

/** A participant who keeps all that it gets, in the order in which its sender began it. */
async function join(t, place, identity, { grant, hidden }) {
  const connecting = { connect: (name) => place.connect(name, { grant, hidden }) };
  // The topic is the participant's own; the ear is for what comes beside it.
  const ear = await eavesdrop(t, connecting, { identity, topic: 'nothing' });
  return new Participant(ear);
}

/** The same with a Room of ours. */
async function joinNatively(t, place, identity, { grant, hidden }) {
  const room = await greenroom.Room.connect(place.server.url, await place.token(identity, { grant, hidden }));
  t.after(() => room.close());
  await place.announce(identity);
  return new NativeParticipant(room);
}

/** What somebody has got. */
class Recipient {
  responses = [];
  events = [];
  senders = new Set();

  /** What it has got is of the past. */
  forget() {
    this.responses.length = 0;
    this.events.length = 0;
    this.senders.clear();
  }

  take(content, sender) {
    const { message } = pb.AgentSessionMessage.fromBinary(content);
    this.senders.add(sender);
    if (message.case === 'response') this.responses.push(message.value);
    else this.events.push(message.case === 'event' ? contentOf(message.value) : message.case);
  }
}

class Participant extends Recipient {
  #reads = Promise.resolve();

  constructor(ear) {
    super();
    this.ear = ear;
    this.room = ear.room;
    this.room.registerByteStreamHandler(TOPIC, (reader, { identity }) => {
      this.#reads = this.#reads.then(() => this.#read(reader, identity));
    });
  }

  get sid() {
    return this.room.localParticipant.sid;
  }

  knows(identity) {
    return this.room.remoteParticipants.has(identity);
  }

  async send(bytes) {
    const writer = await this.room.localParticipant.streamBytes({ topic: TOPIC, destinationIdentities: ['agent'] });
    await writer.write(bytes);
    await writer.close();
  }

  async caughtUp(room) {
    await this.ear.caughtUp(room);
    await this.#reads;
  }

  async #read(reader, sender) {
    this.take(Buffer.concat(await reader.readAll()), sender);
  }
}

/** A Room of ours shows nothing of streams to others. */
class NativeParticipant extends Recipient {
  ear = { delivered: [], strays: new Map() };
  #fences = new Set();
  #readUntil = '';

  constructor(room) {
    super();
    this.room = room;
    void this.#hear();
    void this.#keep();
  }

  get sid() {
    return this.room.local.sid;
  }

  knows(identity) {
    return this.room.participants.has(identity);
  }

  async send(bytes) {
    await this.room.sendBytes(bytes, { topic: TOPIC, to: ['agent'], compress: false });
  }

  /** Waits until all is read that `sender` sent before this call; `fencer` is anybody else. */
  async caughtUp(sender, fencer) {
    const mark = randomUUID();
    const to = [this.room.local.identity];
    // Packets of one sender keep their order: what it sent before has come to this Room.
    await sender.localParticipant.publishData(Buffer.from(mark), { reliable: true, destination_identities: to, topic: FENCE });
    await until('the participant catches up', () => this.#fences.has(mark));
    // Streams are read in the order in which they began: what had come is read.
    const writer = await fencer.localParticipant.streamBytes({ topic: TOPIC, name: mark, destinationIdentities: to });
    await writer.close();
    await until('the participant has read all', () => this.#readUntil === mark);
  }

  async #hear() {
    for await (const event of this.room.events()) {
      if (event.type === 'data' && event.topic === FENCE) this.#fences.add(event.payload.toString());
    }
  }

  async #keep() {
    for await (const stream of this.room.receive(TOPIC)) {
      const content = await stream.read();
      if (this.#fences.has(stream.info.name)) this.#readUntil = stream.info.name;
      else this.take(content, stream.info.from);
    }
  }
}

/** A transport that keeps the events it is given, and gives nothing. */
class Told {
  events = [];
  #close;
  #closed = new Promise((resolve) => (this.#close = resolve));

  async start() {}

  async sendMessage({ message }) {
    if (message.case === 'event') this.events.push(contentOf(message.value));
  }

  async close() {
    this.#close();
  }

  async *[Symbol.asyncIterator]() {
    await this.#closed;
  }
}
