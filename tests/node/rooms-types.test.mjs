// The SDK's own types are taken where greenroom takes a Room or a session, and ours where the SDK takes a transport.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROOT } from './support/agents.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = join(ROOT, 'packages', 'greenroom', 'node_modules');

const USAGE = `
  import { voice } from '@livekit/agents';
  import { Room } from '@livekit/rtc-node';
  import { attach, gate, type AuditLine, type Gate, type Session } from 'greenroom';
  import {
    host,
    RemoteSession,
    RoomSessionTransport,
    SessionHost,
    SessionTransport,
    TcpSessionTransport,
    type IncomingMessage,
    type SendMessageOptions,
  } from 'greenroom/livekit';

  export async function agent(session: voice.AgentSession, agent: voice.Agent, room: Room): Promise<void> {
    const audit: AuditLine[] = [];
    await using answering = await host(session, room, { policy: { default: ['observe'], byIdentity: { a: ['io'] } } });
    await using guard: Gate = gate(room, { runInput: 'refuse', onAudit: (line) => audit.push(line), logger: console });
    await session.start({ agent, room });
    const requests: number = guard.status().requests + (answering.status()?.denied ?? 0);
    void requests;
    // @ts-expect-error: there is no such scope
    gate(room, { policy: { default: ['fly'] } });
  }

  export async function controller(room: Room, io: voice.RoomIO): Promise<string> {
    await using session: Session = await attach(room, { agent: 'agent', timeout: 1_000, signal: AbortSignal.timeout(5) });
    const remote = RemoteSession.fromRoom(room, 'agent', { timeout: 1_000 });
    remote.on('agent_state_changed', ({ oldState, newState }) => oldState === newState).on('closed', ({ code }) => code);
    const { items } = await remote.sendMessage('hi', 1_000);
    const { instructions } = await remote.fetchAgentInfo();
    const theirs = [
      new voice.SessionHost(new RoomSessionTransport(room)),
      new voice.SessionHost(new RoomSessionTransport(room, io)),
      new voice.RemoteSession(new RoomSessionTransport(room, 'agent')),
      new voice.RemoteSession(new TcpSessionTransport('127.0.0.1', 1)),
    ];
    new SessionHost(new TcpSessionTransport('127.0.0.1', 1)).registerSession({} as voice.AgentSession);
    const transport: SessionTransport = new RoomSessionTransport(room, { agentIdentity: undefined });
    const options: SendMessageOptions = { destinationIdentity: 'agent' };
    for await (const incoming of transport.incoming()) {
      const { message, senderIdentity }: IncomingMessage = incoming;
      await transport.sendMessage(message, options);
      if (message.message.case === 'response') return message.message.value.requestId + senderIdentity;
    }
    // @ts-expect-error: that is no Room
    await attach({});
    return [instructions, session.started.agentId, items.length, theirs.length].join();
  }
`;

test("the types of rooms compile with the SDK's own", (t) => {
  // In this folder, so that the compiler finds the SDK's declarations and the installed package's.
  const folder = mkdtempSync(join(HERE, 'types-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'usage.mts'), USAGE);
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2022'];
  flags.push('--lib', 'es2023,esnext.disposable', '--types', 'node', '--typeRoots', join(MODULES, '@types'));
  const tsc = join(MODULES, 'typescript', 'bin', 'tsc');
  const done = spawnSync(process.execPath, [tsc, ...flags, 'usage.mts'], { cwd: folder, encoding: 'utf8' });
  assert.equal(done.stdout, '');
});
