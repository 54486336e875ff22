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
    assert.ok(message.includes(`npm install @livekit/agents@${peerDependencies['@livekit/agents']}`), message);
  }
});

test('a Room of another release is refused, one that cannot be told is not', (t) => {
  const { project, modules, peerDependencies } = bare(t);
  const script = `
    ${FAILURES} ${ROOM}
    const { gate } = require('greenroom');
    failures(() => gate(new Room()).close().then(() => 'fine'));
  `;
  const install = (version) => {
    const dist = join(modules, '@livekit', 'rtc-node', 'dist');
    mkdirSync(dist, { recursive: true });
    const manifest = { name: '@livekit/rtc-node', version, exports: { '.': './dist/index.cjs' } };
    writeFileSync(join(dist, '..', 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(dist, 'index.cjs'), '');
  };
  const outcome = () => printed(project, script)[0];
  assert.equal(outcome()[0], 'fine');
  for (const [version, code] of [
    ['0.13.33', 'sdk_too_old'],
    ['2.0.0', 'unsupported'],
    ['0.13.34', 'fine'],
    ['1.1.0', 'fine'],
  ]) {
    install(version);
    const [result, message] = outcome();
    assert.equal(result, code, message);
    if (code === 'fine') continue;
    const fix = `npm install "@livekit/rtc-node@${peerDependencies['@livekit/rtc-node']}"`;
    assert.ok(message.includes(version) && message.includes(fix), message);
  }
});
