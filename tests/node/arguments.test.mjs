// What are no options: for every exported call that takes an object of options, each wrong kind is `invalid_argument`. A new
// export fails here until it stands in a table.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Room as SdkRoom, dispose } from '@livekit/rtc-node';
import * as greenroom from 'greenroom';
import * as audio from 'greenroom/audio';
import * as livekit from 'greenroom/livekit';
import { peer } from './support/agents.mjs';
import { startServer, venue } from './support/livekit-server.mjs';

const NO_OPTIONS = {
  'a function': () => {},
  'an array': [],
  'a string': 'text',
  'a number': 5,
  null: null,
  'a Map': new Map(),
  'a Set': new Set(),
  'a Date': new Date(),
  'a Promise': Promise.resolve(),
  'an AbortSignal': new AbortController().signal,
  bytes: new Uint8Array(2),
};

/** An AgentSession as far as it is looked at. */
const agentSession = { on() {}, off() {}, run() {}, currentAgent: {} };

/** The calls that take options, by where they come from: each gets what is to be its options. */
const CALLS = {
  greenroom: {
    start: (options) => greenroom.start('agent.py', options),
    open: (options) => greenroom.open('nobody', options),
    join: (options) => greenroom.join('ws://127.0.0.1:9', 'token', options),
    inProcess: (options) => greenroom.inProcess(agentSession, options),
    attach: (options) => greenroom.attach(new SdkRoom(), options),
    gate: (options) => greenroom.gate(new SdkRoom(), options),
    credentials: (options) => greenroom.credentials('room', options),
    'Room.connect': (options) => greenroom.Room.connect('ws://127.0.0.1:9', 'token', options),
  },
  'greenroom/audio': {
    capture: (options) => audio.capture(options),
    playback: (options) => audio.playback(options),
    noisy: (options) => audio.noisy(new Int16Array(480), 'white', options),
    'new Frame': (options) => new audio.Frame(new Int16Array(2), options),
  },
  'greenroom/livekit': {
    host: (options) => livekit.host(agentSession, new SdkRoom(), options),
    'new RoomSessionTransport': (options) => new livekit.RoomSessionTransport(new SdkRoom(), undefined, options),
    'RemoteSession.fromRoom': (options) => livekit.RemoteSession.fromRoom(new SdkRoom(), 'agent', options),
  },
};

/** Exports that take no options, and classes that are tested by their objects or are made by calls above. */
const NO_CALLS = {
  greenroom: ['version', 'Session', 'Room', 'Gate', 'Speech', 'AudioStream', 'IncomingStream', 'IncomingStreams', 'LocalAudioTrack', 'RoomEvents'],
  'greenroom/audio': ['devices', 'Capture', 'Playback', 'AudioEvents'],
  'greenroom/livekit': ['SessionHost', 'SessionTransport', 'TcpSessionTransport', 'FinalizeSimulationError'],
};

/** Methods that take options, by class. */
const METHODS = {
  Session: {
    say: (session, options) => session.say('hi', options),
    sayAudio: (session, options) => session.sayAudio(new Int16Array(480), options),
    history: (session, options) => session.history(options),
    agentInfo: (session, options) => session.agentInfo(options),
    sessionState: (session, options) => session.sessionState(options),
    usage: (session, options) => session.usage(options),
    rtcStats: (session, options) => session.rtcStats(options),
    frameworkInfo: (session, options) => session.frameworkInfo(options),
    ping: (session, options) => session.ping(options),
    updateIo: (session, options) => session.updateIo(options),
    finalizeSimulation: (session, options) => session.finalizeSimulation(options),
    events: (session, options) => session.events(options),
  },
  Room: {
    publish: (room, options) => room.publish(new Uint8Array(1), options),
    sendBytes: (room, options) => room.sendBytes(new Uint8Array(1), options),
    sendText: (room, options) => room.sendText('hi', options),
    publishAudio: (room, options) => room.publishAudio(options),
    subscribe: (room, options) => room.subscribe('TR_x', options),
    setAttributes: (room, options) => room.setAttributes(options),
  },
  Capture: { read: (capture, options) => capture.read(options) },
  Playback: {
    write: (playback, options) => playback.write(new Int16Array(2), options),
    drain: (playback, options) => playback.drain(options),
  },
  RemoteSession: {
    waitForReady: (session, options) => session.waitForReady(options),
    updateIo: (session, options) => session.updateIo(options),
    finalizeSimulation: (session, options) => session.finalizeSimulation(options),
  },
  RoomSessionTransport: { sendMessage: (transport, options) => transport.sendMessage({ toBinary() {} }, options) },
  TcpSessionTransport: { sendMessage: (transport, options) => transport.sendMessage({ toBinary() {} }, options) },
};

/** Methods without options, of the same classes. */
const NO_METHODS = {
  Session: ['status', 'close', 'end', 'on', 'off'],
  Room: ['events', 'receive', 'setMetadata', 'close'],
  Capture: ['readable', 'events', 'close'],
  Playback: ['writable', 'events', 'clear', 'close'],
  RemoteSession: [
    'start', 'ping', 'sendMessage', 'on', 'once', 'off', 'close', 'fetchSessionState', 'fetchChatHistory', 'fetchAgentInfo',
    'fetchFrameworkInfo', 'fetchRtcStats', 'fetchSessionUsage',
  ],
  RoomSessionTransport: ['start', 'incoming', 'close', 'status'],
  TcpSessionTransport: ['start', 'incoming', 'close', 'send'],
};

/** Options that are objects, with one option of a wrong kind. */
const WRONG_OPTIONS = {
  start: [{ env: new Map() }, { env: { A: 1 } }, { args: '-v' }, { python: 5 }, { sync: 'no' }, { signal: {} }, { cwd: [] }, { logger: 5 }],
  open: [{ signal: 'now' }, { timeout: '5' }],
  join: [{ agent: 5 }, { proxy: {} }, { ca: 5 }],
  inProcess: [{ textMode: 'yes' }],
  attach: [{ agent: {} }, { signal: new Map() }],
  gate: [
    { policy: () => {} }, { policy: ['boss'] }, { policy: new Map() }, { policy: { default: 'drive' } },
    { policy: { default: new Set(['drive']) } }, { policy: { byIdentity: new Map([['boss', []]]) } },
    { policy: { byIdentity: { boss: 'drive' } } }, { policy: { byIdentity: { boss: undefined } } },
    { policy: { hidden: 'boss' } }, { policy: { hidden: new Set(['boss']) } }, { onAudit: 'log' }, { runInput: 1 },
  ],
  host: [{ policy: () => {} }, { policy: { byIdentity: new Map() } }, { onAudit: {} }],
  'new RoomSessionTransport': [{ policy: new Map() }, { onAudit: [] }],
  credentials: [{ attributes: new Map([['a', 'b']]) }, { grants: [] }, { dispatch: new Map() }, { apiSecret: 5 }, { uniqueIdentity: 'no' }],
  'Room.connect': [{ ca: {} }, { signal: 1 }],
  capture: [{ latency: 5 }, { signal: true }, { device: {} }],
  playback: [{ clock: {} }],
  'new Frame': [{ rate: '16000' }, {}],
};

/** Whatever a call throws or rejects with. */
async function failureOf(call) {
  try {
    const result = await call();
    result?.close?.();
    return 'nothing failed';
  } catch (error) {
    return error;
  }
}

async function refused(name, call) {
  const error = await failureOf(call);
  assert.equal(error?.code, 'invalid_argument', `${name}: ${error?.stack ?? error}`);
  assert.ok(error instanceof greenroom.InvalidArgument);
}

for (const [from, calls] of Object.entries(CALLS)) {
  for (const [name, call] of Object.entries(calls)) {
    test(`${from}: ${name} takes no other kind for its options`, async () => {
      for (const [kind, value] of Object.entries(NO_OPTIONS)) await refused(`${name} with ${kind}`, () => call(value));
      for (const options of WRONG_OPTIONS[name] ?? []) {
        await refused(`${name} with ${Object.keys(options)}`, () => call(options));
      }
    });
  }
}

test('every export is in a table', () => {
  for (const [from, module] of Object.entries({ greenroom, 'greenroom/audio': audio, 'greenroom/livekit': livekit })) {
    const tested = Object.keys(CALLS[from]).map((name) => name.replace('new ', '').split('.')[0]);
    for (const [name, value] of Object.entries(module)) {
      const isError = typeof value === 'function' && (value === greenroom.GreenroomError || value.prototype instanceof greenroom.GreenroomError);
      assert.ok(isError || [...tested, ...NO_CALLS[from]].includes(name), `${from} exports ${name}: say here whether it takes options`);
    }
  }
});

test('every method is in a table', () => {
  const classes = { ...greenroom, ...audio, ...livekit };
  for (const [name, methods] of Object.entries(METHODS)) {
    const { prototype } = classes[name];
    const own = Object.getOwnPropertyNames(prototype).filter((method) => {
      const { value } = Object.getOwnPropertyDescriptor(prototype, method);
      return typeof value === 'function' && method !== 'constructor';
    });
    for (const method of own) {
      const known = method in methods || NO_METHODS[name].includes(method) || INTERNAL.includes(method);
      assert.ok(known, `${name}.${method}: say here whether it takes options`);
    }
  }
});

/** What is marked internal in the declarations. */
const INTERNAL = ['ready', 'call', 'closeReader', 'until', 'ask', 'wake'];

describe('methods take no other kind for their options', () => {
  const objects = {};
  let server;
  const closings = [];
  before(async () => {
    server = await startServer();
    const t = { after: (closing) => closings.push(closing) };
    objects.Session = await greenroom.start(peer(t));
    objects.Room = await greenroom.Room.connect(server.url, await venue(t, server).token('ada'));
    objects.Capture = await audio.capture({ device: 'null' });
    objects.Playback = await audio.playback({ device: 'null' });
    objects.TcpSessionTransport = new livekit.TcpSessionTransport('127.0.0.1', 9);
    objects.RoomSessionTransport = new livekit.RoomSessionTransport(new SdkRoom());
    objects.RemoteSession = new livekit.RemoteSession(new livekit.TcpSessionTransport('127.0.0.1', 9));
  });
  after(async () => {
    for (const one of Object.values(objects)) await one.close();
    for (const closing of closings) await closing();
    await dispose();
    await server.stop();
  });
  for (const [name, methods] of Object.entries(METHODS)) {
    for (const [method, call] of Object.entries(methods)) {
      test(`${name}.${method}`, async () => {
        for (const [kind, value] of Object.entries(NO_OPTIONS)) {
          await refused(`${name}.${method} with ${kind}`, () => call(objects[name], value));
        }
      });
    }
  }
});
