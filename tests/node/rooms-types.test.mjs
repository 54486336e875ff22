// The SDK's own types are taken where greenroom takes a Room or a session, and ours where the SDK takes a transport.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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

// Every name of greenroom/livekit, each where somebody on the SDK would have the SDK's.
const NAMES = `
  import { voice } from '@livekit/agents';
  import type { AgentSession as pb } from '@livekit/protocol';
  import type { Room } from '@livekit/rtc-node';
  import {
    FinalizeSimulationError,
    host,
    RemoteSession,
    RoomSessionTransport,
    SessionHost,
    SessionTransport,
    TcpSessionTransport,
    type AgentPeer,
    type AgentSessionLike,
    type AgentSessionMessage,
    type AuditCallback,
    type AuditDecision,
    type AuditLine,
    type FinalizeSimulationOptions,
    type GateOptions,
    type GateStatus,
    type IncomingMessage,
    type Logger,
    type ConcurrentTurns,
    type Policy,
    type RemoteIoUpdate,
    type RemoteSessionCallbacks,
    type RemoteSessionEventTypes,
    type RoomIOLike,
    type RoomLike,
    type RoomSessionTransportOptions,
    type Scope,
    type SendMessageOptions,
  } from 'greenroom/livekit';

  // Somebody's own transport, for either side of either package.
  class Pipe extends SessionTransport {
    override async sendMessage(message: AgentSessionMessage, options: SendMessageOptions = {}): Promise<void> {
      void [message.message.case, options.destinationIdentity];
    }
    override async *incoming(): AsyncIterableIterator<IncomingMessage> {}
    override async close(): Promise<void> {}
  }

  export function transports(room: Room, io: RoomIOLike, peer: AgentPeer, bytes: pb.AgentSessionMessage): void {
    const options: RoomSessionTransportOptions = { timeout: 1_000, signal: AbortSignal.timeout(5) };
    const all = [
      new Pipe(),
      new TcpSessionTransport('127.0.0.1', 1),
      new RoomSessionTransport(room),
      new RoomSessionTransport(room, io, options),
      new RoomSessionTransport(room, peer, options),
    ];
    for (const ours of all) {
      const theirs: voice.SessionTransport = ours;
      const [host, remote] = [new voice.SessionHost(theirs), new voice.RemoteSession(theirs)];
      void [host, remote, new SessionHost(ours), new RemoteSession(ours), ours.sendMessage(bytes)];
    }
  }

  export async function hosts(session: voice.AgentSession, room: Room): Promise<GateStatus | undefined> {
    const scopes: Scope[] = ['observe', 'drive', 'io'];
    const policy: Policy = { default: scopes, byIdentity: { a: [] }, hidden: ['supervisor'] };
    const runInput: ConcurrentTurns = 'refuse';
    const onAudit: AuditCallback = ({ decision, sid, identity, time }: AuditLine) => {
      const why: AuditDecision = decision;
      void [why === 'allow', sid, identity, time];
    };
    const logger: Logger = console;
    const options: GateOptions = { policy, runInput, onAudit, logger };
    const [like, place]: [AgentSessionLike, RoomLike] = [session, room];
    const answering: SessionHost = await host(like, place, options);
    return answering.status();
  }

  // What a controller on the SDK's RemoteSession calls.
  export async function controller(remote: RemoteSession | voice.RemoteSession): Promise<string> {
    await remote.start();
    const names: pb.SessionResponse_RunInputResponse = await remote.sendMessage('hi', 1_000);
    const state: pb.SessionResponse_GetSessionStateResponse = await remote.fetchSessionState();
    const history: pb.SessionResponse_GetChatHistoryResponse = await remote.fetchChatHistory();
    const agent: pb.SessionResponse_GetAgentInfoResponse = await remote.fetchAgentInfo();
    const sdk: pb.SessionResponse_GetFrameworkInfoResponse = await remote.fetchFrameworkInfo();
    const stats: pb.SessionResponse_GetRTCStatsResponse = await remote.fetchRtcStats();
    const usage: pb.SessionResponse_GetSessionUsageResponse = await remote.fetchSessionUsage();
    const simulation: FinalizeSimulationOptions = { provisionalSuccess: true, provisionalReason: 'so far' };
    try {
      await remote.finalizeSimulation(simulation);
    } catch (error) {
      if (error instanceof FinalizeSimulationError) return String(error.userVerdict?.success);
    }
    await remote.close();
    return [names, state, history, agent, sdk, stats, usage].map((one) => one.toJsonString()).join();
  }

  export function events(ours: RemoteSession, theirs: voice.RemoteSession): void {
    const changed: RemoteSessionCallbacks['agent_state_changed'] = ({ oldState, newState }) => void (oldState === newState);
    const name: RemoteSessionEventTypes = 'agent_state_changed';
    ours.on('agent_state_changed', changed).off('agent_state_changed', changed);
    theirs.on('agent_state_changed', changed).off('agent_state_changed', changed);
    const update: RemoteIoUpdate = { outputAudioEnabled: false, timeout: 1_000 };
    void [ours.once(name, changed), ours.updateIo(update)];
  }
`;

/** What the compiler says of a module, which is in this folder so that it finds the SDK's declarations and the installed package's. */
function compiled(t, source) {
  const folder = mkdtempSync(join(HERE, 'types-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'usage.mts'), source);
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2022'];
  flags.push('--lib', 'es2023,esnext.disposable', '--types', 'node', '--typeRoots', join(MODULES, '@types'));
  const tsc = join(MODULES, 'typescript', 'bin', 'tsc');
  return spawnSync(process.execPath, [tsc, ...flags, 'usage.mts'], { cwd: folder, encoding: 'utf8' }).stdout;
}

test("the types of rooms compile with the SDK's own", (t) => {
  assert.equal(compiled(t, USAGE), '');
});

test('each name of greenroom/livekit has its type, and does where the SDK takes one', (t) => {
  const { resolve } = createRequire(import.meta.url);
  const declared = readFileSync(resolve('greenroom/livekit').replace(/\.js$/, '.d.ts'), 'utf8').matchAll(/export (?:type )?\{([^}]*)\}/g);
  const names = [...declared].flatMap(([, list]) => list.match(/\w+/g)).filter((word) => word !== 'type');
  assert.ok(names.length > 25, names.join());
  assert.deepEqual(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(NAMES)), []);
  assert.equal(compiled(t, NAMES), '');
});
