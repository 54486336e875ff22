// The Python and the Node package side by side: the same names modulo case, the same fields, the same defaults. What is
// not the same stands here by name, with the reason.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as greenroom from 'greenroom';
import * as audio from 'greenroom/audio';
import * as livekit from 'greenroom/livekit';
import { PYTHON } from './support/agents.mjs';

const ONLY_PYTHON = {
  names: {
    SoundWarning: 'a warning of the process in Node, by that name',
    sync: 'JavaScript cannot wait without async',
    livekit: 'a module of its own here, greenroom/livekit',
    audio: 'a module of its own here, greenroom/audio',
    Opening: '`async with` needs an object; `await using` takes a promise',
    // A class for each event; here Event<'message'> and so on.
    ...classesOfEvents(),
  },
  session: { aclose: "Python's protocol; here Symbol.asyncDispose" },
  livekit: { Ending: 'an error in JavaScript, with its code' },
  audio: { Opening: '`async with` needs an object; `await using` takes a promise' },
  // Methods of what greenroom.livekit has.
  transports: {
    ending: 'what the iteration rejects with',
    post: 'of its own host',
    receive: 'an iterator in JavaScript',
    remoteIdentity: "the SDK's own name; its JavaScript has none",
  },
};

const ONLY_NODE = {
  names: {
    CallOptions: 'keyword arguments in Python',
    CredentialsOptions: 'keyword arguments in Python',
    JoinOptions: 'keyword arguments in Python',
    PublishAudioOptions: 'keyword arguments in Python',
    PublishOptions: 'keyword arguments in Python',
    RoomEventData: 'what RoomEvent<T> is made of',
    RoomEventType: 'of RoomEvent<T>',
    ReachOptions: 'keyword arguments in Python',
    RoomOptions: 'keyword arguments in Python',
    SendBytesOptions: 'keyword arguments in Python',
    SendTextOptions: 'keyword arguments in Python',
    SubscribeOptions: 'keyword arguments in Python',
    EventData: 'what Event<T> is made of',
    EventListener: 'of `on`',
    EventType: 'of Event<T>',
    EventsOptions: 'keyword arguments in Python',
    StandInParticipant: 'a mapping in Python',
    AgentSessionLike: "the SDK's own type in Python",
    AttachOptions: 'keyword arguments in Python',
    AuditDecision: 'of AuditLine',
    AuditLine: 'a mapping in Python',
    GateOptions: 'keyword arguments in Python',
    GateStatus: 'a mapping in Python',
    InProcessOptions: 'keyword arguments in Python',
    IoUpdate: 'keyword arguments in Python',
    Logger: "Python's logging",
    Newer: 'text in Python',
    OpenOptions: 'keyword arguments in Python',
    Provisional: 'arguments in Python',
    Frame: "the SDK's own type in Python",
    Part: 'of Sound',
    RoomLike: "the SDK's own type in Python",
    Samples: 'arguments in Python',
    SayAudioOptions: 'keyword arguments in Python',
    SayOptions: 'keyword arguments in Python',
    SessionCloseReason: 'text in Python',
    Stamp: 'fields of each event in Python',
    StartOptions: 'keyword arguments in Python',
    StateChange: 'fields of StateEvent in Python',
    ToolUpdate: 'fields of ToolUpdateEvent in Python',
    ErrorCode: 'text in Python',
  },
  session: { on: 'callbacks are a habit of Node', off: 'callbacks are a habit of Node' },
  // What Python has as a property of the session.
  fields: { Status: ['closed'] },
  // Python cancels tasks, and logs through logging.
  options: ['logger', 'signal'],
  audio: {
    Audio: 'a union that Python spells where it is taken',
    AudioCallOptions: 'keyword arguments in Python',
    CaptureOptions: 'keyword arguments in Python',
    FrameOptions: 'keyword arguments in Python',
    NoisyOptions: 'keyword arguments in Python',
    OpenStreamOptions: 'keyword arguments in Python',
    PlaybackOptions: 'keyword arguments in Python',
    RtcAudioFrame: "the SDK's own type in Python",
    RtcAudioFrameClass: 'imported in Python, where there is one copy of it',
  },
  stream: { readable: "Node's own streams", writable: "Node's own streams", ...internal('opened', 'until', 'ask', 'wake') },
  livekit: {
    AgentPeer: 'an argument in Python',
    AgentSessionMessage: "the SDK's own type in Python",
    FinalizeSimulationError: 'the verdict that came before an error is in no Python answer',
    FinalizeSimulationOptions: 'arguments in Python',
    RemoteIoUpdate: 'keyword arguments in Python',
    RemoteSessionCallbacks: "the SDK's own name; Python's callbacks are not typed",
    RoomIOLike: "what the SDK's own transport takes in JavaScript",
    RoomSessionTransportOptions: 'keyword arguments in Python',
  },
};

// Calls of a RemoteSession, and what the SDK of the other language calls them.
const REMOTE = {
  aclose: 'close',
  from_room: undefined, // static
  get_agent_info: 'fetchAgentInfo',
  get_chat_history: 'fetchChatHistory',
  get_framework_info: 'fetchFrameworkInfo',
  get_rtc_stats: 'fetchRtcStats',
  get_session_state: 'fetchSessionState',
  get_session_usage: 'fetchSessionUsage',
  run: 'sendMessage',
};

// The members of a Room that have another name, and why.
const ROOM = { aenter: 'a context manager', aexit: 'a context manager', call: 'internal', closeReader: 'internal' };

const python = JSON.parse(
  execFileSync(PYTHON, [fileURLToPath(new URL('support/python_names.py', import.meta.url))], { encoding: 'utf8' }),
);
/** The modules whose types are of rooms. */
const ROOMS = ['attach', 'credentials', 'gate', 'join', 'policy', 'reach', 'room', 'rtc'];
/** Its modules one by one, and their declarations. */
const DIST = join(dirname(createRequire(import.meta.url).resolve('greenroom/package.json')), 'dist', 'cjs');
const declarations = (name) => readFileSync(join(DIST, `${name}.d.ts`), 'utf8');
/** What joins say of the way to the server. */
const REACH = fieldsOf(declarations('reach'), 'ReachOptions');
const defaults = await import(pathToFileURL(join(DIST, 'defaults.js')));

test('the same names are exported', () => {
  const types = ['types', 'errors', 'events', 'in-process', 'listeners', 'logger', 'open', 'session', 'speech', 'start', ...ROOMS]
    .flatMap((name) => [...declarations(name).matchAll(/^export (?:interface|type) (\w+)/gm)])
    .map(([, name]) => name);
  const node = new Set([...Object.keys(greenroom), 'Events', ...types]);
  node.delete('default');
  const theirs = python.names.map((name) => (name === '__version__' ? 'version' : /^[a-z]/.test(name) ? camel(name) : name));
  const classes = Object.fromEntries(python.room_event_classes.map((name) => [name, 'a class for each event']));
  same(theirs, [...node], { ...ONLY_PYTHON.names, ...classes }, ONLY_NODE.names);
  assert.equal(python.version, greenroom.version);
});

test('the same errors have the same codes', () => {
  const { native } = createRequire(import.meta.url)(join(DIST, 'native.js'));
  const names = Object.entries(greenroom).filter(([, value]) => value?.prototype instanceof greenroom.GreenroomError);
  const codes = Object.entries(python.errors).filter(([name]) => name !== 'GreenroomError');
  assert.deepEqual(codes.map(([name]) => name).sort(), names.map(([name]) => name).sort());
  assert.deepEqual(codes.map(([, code]) => code).sort(), native.errorCodes().sort());
});

test('a session has the same methods', () => {
  const own = Object.getOwnPropertyNames(greenroom.Session.prototype);
  const node = own.filter((name) => !['constructor', 'ready'].includes(name));
  const theirs = [...Object.keys(python.session), ...python.session_properties].map(camel);
  same(theirs, node, ONLY_PYTHON.session, ONLY_NODE.session);
});

test('the ways to get a session take the same arguments', () => {
  const ways = {
    attach: ['attach', 'AttachOptions'],
    in_process: ['in-process', 'InProcessOptions'],
    join: ['join', 'JoinOptions'],
    open: ['open', 'OpenOptions'],
    start: ['start', 'StartOptions'],
  };
  const positional = { attach: ['room'], in_process: ['agent_session'], join: ['url', 'token'], open: ['name'], start: ['entry'] };
  assert.deepEqual(Object.keys(python.functions).sort(), [...Object.keys(ways), 'credentials', 'gate'].sort());
  for (const [name, [file, options]] of Object.entries(ways)) {
    const theirs = Object.keys(python.functions[name]).filter((parameter) => !positional[name].includes(parameter)).map(camel);
    const node = [...fieldsOf(declarations(file), options), ...fieldsOf(declarations('session'), 'CallOptions')];
    if (name === 'join') node.push(...REACH);
    assert.deepEqual(sorted(without(node, ONLY_NODE.options)), sorted(theirs), name);
  }
});

test('credentials take the same arguments', () => {
  const node = fieldsOf(declarations('credentials'), 'CredentialsOptions');
  const theirs = Object.keys(python.functions.credentials).filter((name) => name !== 'room').map(camel);
  assert.deepEqual(sorted(node), sorted(theirs));
});

test('a room has the same methods, which take the same arguments', () => {
  const node = [...Object.getOwnPropertyNames(greenroom.Room), ...methodsOf(greenroom.Room)];
  const ours = without(node, ['length', 'name', 'prototype']);
  same(python.room.map(camel), ours, ROOM, ROOM);
  const text = declarations('room');
  const options = { connect: ['RoomOptions'], publish: ['PublishOptions'], send_text: ['SendTextOptions'] };
  options.send_bytes = ['SendBytesOptions', 'SendTextOptions'];
  Object.assign(options, { publish_audio: ['PublishAudioOptions'], subscribe: ['SubscribeOptions'] });
  for (const [method, interfaces] of Object.entries(options)) {
    const positional = { connect: ['url', 'token'], publish: ['payload'], send_bytes: ['data'], send_text: ['text'], subscribe: ['track'] };
    const theirs = without(Object.keys(python.room_calls[method]), positional[method] ?? []).map(camel);
    const node = without(interfaces.flatMap((name) => fieldsOf(text, name)), ONLY_NODE.options);
    if (method === 'connect') node.push(...REACH);
    assert.deepEqual(sorted(node), sorted(theirs), method);
  }
});

test('the events of a room have the same fields', () => {
  const body = bodyOf(declarations('types'), 'RoomEventData').replace(/\/\*\*[^]*?\*\//g, '');
  const node = Object.fromEntries([...body.matchAll(/^ {4}(\w+): \{([^]*?)\};$/gm)].map(([, type, fields]) => [type, namesIn(fields)]));
  assert.deepEqual(Object.keys(node).sort(), Object.keys(python.room_events).sort());
  for (const [type, fields] of Object.entries(node)) {
    assert.deepEqual(sorted(fields), sorted(without(python.room_events[type].map(camel), ['type'])), type);
  }
});

test('a gate takes the same arguments, and says the same of itself', () => {
  const node = without(fieldsOf(declarations('policy'), 'GateOptions'), ONLY_NODE.options);
  const theirs = Object.keys(python.functions.gate).filter((name) => name !== 'room').map(camel);
  assert.deepEqual(sorted(node), sorted(theirs));
  same(python.gate.map(camel), methodsOf(greenroom.Gate), { enter: 'a context manager', exit: 'a context manager' }, {});
  assert.deepEqual(sorted(fieldsOf(declarations('policy'), 'Policy')), sorted(python.types.Policy.map(camel)));
});

test('greenroom/livekit exports the same names, with the same methods', () => {
  const text = declarations('livekit').replace(/\/\*\*[^]*?\*\//g, '');
  const node = [...text.matchAll(/\b(?:type )?(\w+)(?=,|\s*\})/g)].map(([, name]) => name);
  const ours = without(node, Object.keys({ ...ONLY_NODE.names, ...Object.fromEntries(python.names.map((name) => [name])) }));
  same(python.livekit.names, ours, ONLY_PYTHON.livekit, ONLY_NODE.livekit);
  for (const [name, cls] of Object.entries(livekit).filter(([, value]) => value.prototype !== undefined)) {
    const theirs = python.livekit.methods[name];
    // Abstract methods leave no trace in JavaScript.
    if (theirs === undefined || name === 'SessionTransport') continue;
    const translated = theirs.map((method) => (method in REMOTE ? REMOTE[method] : camel(method))).filter((method) => method);
    const missing = translated.filter((method) => !allMethodsOf(cls).includes(method) && !(method in ONLY_PYTHON.transports));
    assert.deepEqual(missing, [], name);
  }
});

test('greenroom/audio exports the same names', () => {
  const files = ['audio', 'audio-frame', 'audio-function', 'audio-stream', 'noise'].map(declarations).join('\n');
  const types = [...files.matchAll(/^export (?:interface|type) (\w+)/gm)].map(([, name]) => name);
  const events = Object.fromEntries(python.audio.names.filter((name) => /Event$/.test(name)).map((name) => [name, 'a class for each event']));
  same(python.audio.names, [...Object.keys(audio), ...types], { ...ONLY_PYTHON.audio, ...events }, ONLY_NODE.audio);
});

test('streams are opened with the same arguments and defaults, and have the same methods', () => {
  const ways = { capture: ['CaptureOptions', defaults.CAPTURE, audio.Capture], playback: ['PlaybackOptions', defaults.PLAYBACK, audio.Playback] };
  for (const [name, [options, usual, cls]] of Object.entries(ways)) {
    const theirs = python.audio.functions[name];
    const node = [...fieldsOf(declarations('audio'), options), ...fieldsOf(declarations('audio-stream'), 'OpenStreamOptions')];
    assert.deepEqual(sorted(without(node, ONLY_NODE.options)), sorted(Object.keys(theirs).map(camel)), name);
    for (const [option, value] of Object.entries(usual)) {
      const ofPython = Object.entries(theirs).find(([theirName]) => camel(theirName) === option)[1];
      assert.equal(['queue', 'timeout'].includes(option) ? ofPython * 1000 : ofPython, value, `${name} ${option}`);
    }
    const own = python.audio.methods[cls.name].map(camel);
    same([...own, 'rate', 'channels'], allMethodsOf(cls), {}, ONLY_NODE.stream);
  }
});

test('the types and events of audio have the same fields', () => {
  for (const name of ['Device', 'Position', 'Recorded']) {
    assert.deepEqual(sorted(fieldsOf(declarations('audio'), name)), sorted(python.audio.types[name].map(camel)), name);
  }
  const frame = new audio.Frame(new Int16Array(1), { rate: 8000 });
  const accessors = methodsOf(audio.Frame).filter((name) => name !== 'toRtc');
  assert.deepEqual(sorted([...Object.keys(frame), ...accessors]), sorted(python.audio.types.Frame.map(camel)));
  const told = bodyOf(declarations('audio-stream'), 'AudioEvent').replace(/\/\*\*[^]*?\*\//g, '');
  const node = Object.fromEntries([...told.matchAll(/\{\s*type: '(\w+)';([^}]*)\}/g)].map(([, type, fields]) => [type, namesIn(fields)]));
  assert.deepEqual(Object.keys(node).sort(), Object.keys(python.audio.events).sort());
  for (const [type, fields] of Object.entries(node)) {
    assert.deepEqual(sorted(fields), sorted(without(python.audio.events[type].map(camel), ['type'])), type);
  }
});

test('calls take the same arguments', () => {
  const perCall = fieldsOf(declarations('session'), 'CallOptions');
  assert.deepEqual(sorted(without(perCall, ONLY_NODE.options)), ['timeout']);
  for (const [method, parameters] of Object.entries(python.session)) {
    const theirs = Object.keys(parameters).map(camel).filter((name) => name !== 'timeout');
    const node = {
      say: ['text', ...fieldsOf(declarations('session'), 'SayOptions')],
      sayAudio: ['sound', ...fieldsOf(declarations('session'), 'SayAudioOptions')],
      updateIo: fieldsOf(declarations('types'), 'IoUpdate'),
      finalizeSimulation: fieldsOf(declarations('session'), 'Provisional'),
      events: without(fieldsOf(declarations('events'), 'EventsOptions'), ONLY_NODE.options),
    };
    if (!(method in ONLY_PYTHON.session)) assert.deepEqual(sorted(theirs), sorted(node[camel(method)] ?? []), method);
  }
});

test('the same defaults hold', () => {
  const { start, open, in_process: inProcess } = python.functions;
  assert.equal(defaults.START_TIMEOUT_MS, start.timeout * 1000);
  assert.equal(defaults.START_TIMEOUT_MS, inProcess.timeout * 1000);
  assert.equal(defaults.START_TIMEOUT_MS, python.functions.attach.timeout * 1000);
  assert.equal(defaults.START_TIMEOUT_MS, python.functions.join.timeout * 1000);
  assert.equal(defaults.CONNECT_TIMEOUT_MS, python.room_calls.connect.timeout * 1000);
  assert.equal(defaults.TTL_MS, python.functions.credentials.ttl * 1000);
  assert.equal(defaults.ROOM, python.functions.credentials.room);
  assert.equal(python.functions.gate.run_input, 'queue');
  assert.equal(defaults.SYNC, start.sync);
  assert.equal(defaults.NAME, open.name);
  assert.equal(defaults.OPEN_TIMEOUT_MS, open.timeout * 1000);
  assert.equal(defaults.TEXT_MODE, inProcess.text_mode);
  assert.equal(defaults.AUDIO, start.audio);
  assert.equal(python.session.events.from_now, false);
  for (const name of ['python', 'node', 'env', 'cwd', 'port', 'log', 'idle_timeout', 'recording']) assert.equal(start[name], null, name);
});

test('the same types have the same fields', () => {
  const compared = Object.keys(python.types).filter((name) => !name.endsWith('Event') && name !== 'Policy');
  assert.ok(compared.length > 15);
  for (const name of compared) {
    const node = fieldsOf(declarations('types'), name);
    const ours = without(node, ['type', ...(ONLY_NODE.fields[name] ?? [])]);
    assert.deepEqual(sorted(ours), sorted(without(python.types[name].map(camel), ['type'])), name);
  }
});

test('the same events have the same fields', () => {
  const types = declarations('types');
  const data = bodyOf(types, 'EventData');
  const stamp = fieldsOf(types, 'Stamp');
  const node = Object.fromEntries(
    [...data.matchAll(/^ {4}(\w+): (?:(\w+);|\{([^]*?)^ {4}\};|\{(.*)\};)/gm)].map(([, type, name, block, line]) => [
      type,
      name ? fieldsOf(types, name) : namesIn(block ?? line),
    ]),
  );
  assert.deepEqual(Object.keys(node).sort(), Object.keys(python.events).sort());
  for (const [type, fields] of Object.entries(node)) {
    const theirs = without(python.events[type].map(camel), ['type']);
    assert.deepEqual(sorted(new Set([...fields, ...stamp])), sorted(theirs), type);
  }
});

function internal(...names) {
  return Object.fromEntries(names.map((name) => [name, 'internal']));
}

/** Both lists are the same but for what is named. */
function same(theirs, ours, onlyTheirs, onlyOurs) {
  const missing = (from, list, known) => list.filter((name) => !from.includes(name) && !(name in known));
  assert.deepEqual(missing(ours, theirs, onlyTheirs), [], 'only in Python');
  assert.deepEqual(missing(theirs, ours, onlyOurs), [], 'only in Node');
}

/** The names of the fields of an interface, or of all members of a union. */
function fieldsOf(text, name) {
  const body = bodyOf(text, name);
  const isInterface = text.includes(`interface ${name} `);
  return isInterface ? [...body.matchAll(/^ {4}(?:readonly )?(\w+)\??: /gm)].map(([, field]) => field) : namesIn(body);
}

function bodyOf(text, name) {
  const declared = new RegExp(`^export (?:interface ${name}(?: extends [\\w, ]+)? \\{([^]*?)^\\}|type ${name} = ([^]*?);$(?=\\n(?:/\\*\\*|export|$)))`, 'm');
  const found = declared.exec(text);
  assert.ok(found, `the declarations have no ${name}`);
  return found[1] ?? found[2];
}

function namesIn(body) {
  const code = body.replace(/\/\*\*[^]*?\*\//g, '');
  return [...new Set([...code.matchAll(/(?:^|[\s{;])(\w+)\??: /g)].map(([, name]) => name))];
}

function classesOfEvents() {
  const types = ['Message', 'ToolCall', 'Handoff', 'Config', 'Error', 'Log', 'State', 'Transcript', 'ToolsStarted'];
  types.push('ToolUpdate', 'Usage', 'OverlappingSpeech', 'FalseInterruption', 'AmdPrediction', 'AmdCompleted');
  types.push('EotPrediction', 'Debug', 'SessionClosed', 'AgentUnresponsive', 'Closed', 'Gap', 'LateTurn', 'Unknown');
  return Object.fromEntries(types.map((type) => [`${type}Event`, 'a class for each event']));
}

function camel(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

/** The public methods of a class. */
function methodsOf(cls) {
  return Object.getOwnPropertyNames(cls.prototype).filter((name) => name !== 'constructor');
}

/** The same, with what it inherits. */
function allMethodsOf(cls) {
  return cls.prototype === null || cls === Function.prototype ? [] : [...methodsOf(cls), ...inherited(cls)];
}

function inherited(cls) {
  const parent = Object.getPrototypeOf(cls);
  return parent === Function.prototype ? [] : allMethodsOf(parent);
}

const without = (names, some) => [...names].filter((name) => !some.includes(name));
const sorted = (names) => [...new Set(names)].sort();
