// greenroom/livekit where the SDK is not installed, or is of another release.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bare, printed } from './support/bare.mjs';

const FAILURES = `
  const failures = async (...attempts) => {
    const failed = [];
    for (const attempt of attempts) {
      try { failed.push([await attempt(), 'nothing failed']); } catch (error) { failed.push([error.code, error.message]); }
    }
    console.log(JSON.stringify(failed));
  };
`;

/** A Room as far as it is looked at. */
const ROOM = `
  class Room extends require('node:events') {
    remoteParticipants = new Map();
    isConnected = false;
    connectionState = 0;
    registerByteStreamHandler() {}
    unregisterByteStreamHandler() {}
  }
`;

test('it loads without the SDK, as ES module and as CommonJS; what needs the SDK says what to install', (t) => {
  const { project, peerDependencies } = bare(t);
  const names = printed(
    project,
    `import * as all from 'greenroom/livekit'; console.log(JSON.stringify(Object.keys(all)))`,
    'module',
  );
  const script = `
    ${FAILURES} ${ROOM}
    const { host, RemoteSession, RoomSessionTransport, TcpSessionTransport, ...rest } = require('greenroom/livekit');
    failures(
      () => Object.keys(require('greenroom/livekit')),
      () => new TcpSessionTransport('127.0.0.1', 9).start(),
      () => new RemoteSession(new TcpSessionTransport('127.0.0.1', 9)).start(),
      () => new RoomSessionTransport(new Room()).start(),
      () => host({ on() {}, off() {} }, new Room()),
    );
  `;
  const [[loaded], ...failed] = printed(project, script);
  assert.deepEqual([...loaded].sort(), names.filter((name) => !['default', 'module.exports'].includes(name)).sort());
  assert.equal(failed.length, 4);
  for (const [code, message] of failed) {
    assert.equal(code, 'sdk_missing', message);
    assert.ok(message.includes(`npm install "@livekit/agents@${peerDependencies['@livekit/agents']}"`), message);
  }
});

test('a Room is asked for what it has, and its release only named', (t) => {
  const { project, modules, peerDependencies } = bare(t);
  const script = `
    ${FAILURES} ${ROOM}
    const { gate } = require('greenroom');
    class Lacking extends Room {}
    Lacking.prototype.registerByteStreamHandler = undefined;
    failures(() => gate(new Room()).close().then(() => 'fine'), () => gate(new Lacking()), () => gate({}));
  `;
  const install = (version) => {
    const dist = join(modules, '@livekit', 'rtc-node', 'dist');
    mkdirSync(dist, { recursive: true });
    const manifest = { name: '@livekit/rtc-node', version, exports: { '.': './dist/index.cjs' } };
    writeFileSync(join(dist, '..', 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(dist, 'index.cjs'), '');
  };
  assert.equal(printed(project, script)[0][0], 'fine');
  const fix = `npm install "@livekit/rtc-node@${peerDependencies['@livekit/rtc-node']}"`;
  for (const [version, code, wayOut] of [
    ['0.13.1', 'sdk_too_old', fix],
    ['2.0.0', 'unsupported', 'upgrade greenroom'],
    ['1.1.0', 'unsupported', 'upgrade greenroom'],
  ]) {
    install(version);
    const [whole, lacking, none] = printed(project, script);
    assert.equal(whole[0], 'fine', whole[1]);
    assert.equal(lacking[0], code, lacking[1]);
    for (const words of [version, 'has no Room.registerByteStreamHandler', wayOut]) assert.ok(lacking[1].includes(words), lacking[1]);
    assert.equal(none[0], 'invalid_argument', none[1]);
  }
});
