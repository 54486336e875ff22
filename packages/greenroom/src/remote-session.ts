/** The controller's side of a session, with the names that users of @livekit/agents know. */

import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { AgentSession as pb } from '@livekit/protocol';
import { checkOption, checkOptions, millis, requireText } from './checks.js';
import { AgentError, type GreenroomError } from './errors.js';
import { errorOf, invalid } from './failures.js';
import { quiet } from './promises.js';
import { protocolFor, type AgentSessionMessage, type Protocol } from './protocol.js';
import { shareClass } from './realms.js';
import { RoomSessionTransport, type RoomSessionTransportOptions } from './room-transport.js';
import type { RoomLike } from './rtc.js';
import type { SessionTransport } from './transport.js';

/** How long an agent may take to answer, in milliseconds, unless a call says otherwise. */
const CALL_MS = 60_000;
const READY_MS = 5_000;
const RETRY_MS = 500;

/** The events of a RemoteSession, with what their listeners get. */
export interface RemoteSessionCallbacks {
  agent_false_interruption: (event: pb.AgentSessionEvent_AgentFalseInterruption) => void;
  agent_state_changed: (event: pb.AgentSessionEvent_AgentStateChanged) => void;
  user_state_changed: (event: pb.AgentSessionEvent_UserStateChanged) => void;
  conversation_item_added: (event: pb.AgentSessionEvent_ConversationItemAdded) => void;
  user_input_transcribed: (event: pb.AgentSessionEvent_UserInputTranscribed) => void;
  function_tools_executed: (event: pb.AgentSessionEvent_FunctionToolsExecuted) => void;
  tool_execution_updated: (event: pb.AgentSessionEvent_ToolExecutionUpdated) => void;
  overlapping_speech: (event: pb.AgentSessionEvent_OverlappingSpeech) => void;
  amd_prediction: (event: pb.AgentSessionEvent_AmdPrediction) => void;
  eot_prediction: (event: pb.AgentSessionEvent_EotPrediction) => void;
  session_usage: (event: pb.AgentSessionEvent_SessionUsageUpdated) => void;
  debug_message: (event: pb.DebugMessage) => void;
  error: (event: pb.AgentSessionEvent_Error) => void;
  /** The session is over, and why. It comes once, as the last. */
  closed: (reason: GreenroomError) => void;
}

/** The name of an event of a RemoteSession. */
export type RemoteSessionEventTypes = keyof RemoteSessionCallbacks;

/** Inputs and outputs of an agent to turn on or off; what is left out stays as it is. */
export interface RemoteIoUpdate {
  inputAudioEnabled?: boolean | undefined;
  inputVideoEnabled?: boolean | undefined;
  outputAudioEnabled?: boolean | undefined;
  outputVideoEnabled?: boolean | undefined;
  outputTranscriptionEnabled?: boolean | undefined;
  /** How long the call may take, in milliseconds. 60,000 unless given. */
  timeout?: number | undefined;
}

/** What a simulation thinks so far. */
export interface FinalizeSimulationOptions {
  provisionalSuccess: boolean;
  /** Why. Empty unless given. */
  provisionalReason?: string | undefined;
  /** How long the call may take, in milliseconds. 60,000 unless given. */
  timeout?: number | undefined;
}

/** Which events of the wire have another name here. */
const NAMES: Record<string, RemoteSessionEventTypes> = { sessionUsageUpdated: 'session_usage' };

type Requests = NonNullable<NonNullable<ConstructorParameters<typeof pb.SessionRequest>[0]>['request']>;
type Responses = NonNullable<pb.SessionResponse['response']>;
type Answer<Case extends Responses['case']> =
  Extract<Responses, { case: Case; value?: unknown }> extends { value: infer V } ? V : never;

interface Pending {
  resolve(response: pb.SessionResponse): void;
  reject(error: Error): void;
}

/** The agent's `onSimulationEnd` failed; `userVerdict` is the verdict it recorded before that. Code `agent_error`. */
export class FinalizeSimulationError extends AgentError {
  readonly userVerdict: pb.SessionResponse_FinalizeSimulationResponse_SimulationVerdict | undefined;

  /** @internal */
  constructor(message: string, verdict: pb.SessionResponse_FinalizeSimulationResponse_SimulationVerdict | undefined) {
    super('agent_error', message);
    this.userVerdict = verdict;
  }

  static {
    shareClass(this, 'FinalizeSimulationError');
  }
}

/**
 * Drives an agent's session over a transport, with the method and event names of @livekit/agents' own RemoteSession, and
 * answers in the SDK's messages. `attach` gives a `Session`, which knows turns besides.
 *
 * A call rejects with a `GreenroomError`: `AgentError`, `PermissionDenied`, `SessionTimeout`, and at once with `AgentGone`
 * when the agent is gone or `SessionClosed` when this side closes. No rejection is ever "unhandled", and an event `error`
 * without listener does nothing.
 */
export class RemoteSession {
  readonly #transport: SessionTransport;
  readonly #emitter = new EventEmitter();
  readonly #pending = new Map<string, Pending>();
  #protocol: Protocol | undefined;
  #starting: Promise<void> | undefined;
  #closed: GreenroomError | undefined;
  #closing: Promise<void> | undefined;

  constructor(transport: SessionTransport) {
    this.#transport = transport;
  }

  /** Drives an agent in a room: the one that is named, or the only participant of kind agent. `start` waits for it. */
  static fromRoom(room: RoomLike, agentIdentity?: string, options?: RoomSessionTransportOptions): RemoteSession {
    return new RemoteSession(new RoomSessionTransport(room, { agentIdentity }, options));
  }

  /** Starts the transport. Rejects with what keeps it from starting. */
  start(): Promise<void> {
    this.#starting ??= quiet(this.#start());
    return this.#starting;
  }

  /**
   * Waits until the agent answers: one whose session has not begun hears nothing. `timeout` and `retryInterval` are
   * milliseconds, 5,000 and 500 unless given. Rejects with `SessionTimeout`.
   */
  async waitForReady(options: { timeout?: number; retryInterval?: number } = {}): Promise<void> {
    checkOptions('waitForReady', options, { timeout: 'number', retryInterval: 'number' });
    const { timeout = READY_MS, retryInterval = RETRY_MS } = options;
    await this.start();
    const deadline = performance.now() + timeout;
    for (;;) {
      const left = deadline - performance.now();
      try {
        return await this.ping(Math.max(Math.min(left, retryInterval), 1));
      } catch (error) {
        if ((error as GreenroomError).code !== 'timeout') throw error;
        if (left <= retryInterval) throw errorOf('timeout', `the agent did not answer within ${timeout} ms`);
      }
    }
  }

  /** Asks whether the agent's session answers. `timeout` is milliseconds. */
  async ping(timeout = CALL_MS): Promise<void> {
    await this.#ask('pong', () => ({ case: 'ping', value: {} }), timeout);
  }

  /** What agent and user are doing, and the session's options. */
  fetchSessionState(): Promise<pb.SessionResponse_GetSessionStateResponse> {
    return this.#fetch('getSessionState');
  }

  /** The whole conversation. */
  fetchChatHistory(): Promise<pb.SessionResponse_GetChatHistoryResponse> {
    return this.#fetch('getChatHistory');
  }

  /** The instructions, tools and context of the agent that speaks now. */
  fetchAgentInfo(): Promise<pb.SessionResponse_GetAgentInfoResponse> {
    return this.#fetch('getAgentInfo');
  }

  /** The agent's SDK and its version. */
  fetchFrameworkInfo(): Promise<pb.SessionResponse_GetFrameworkInfoResponse> {
    return this.#fetch('getFrameworkInfo');
  }

  /** The agent's WebRTC statistics; no release of the JS SDK gives any. */
  fetchRtcStats(): Promise<pb.SessionResponse_GetRTCStatsResponse> {
    return this.#fetch('getRtcStats');
  }

  /** What the models have used so far. */
  fetchSessionUsage(): Promise<pb.SessionResponse_GetSessionUsageResponse> {
    return this.#fetch('getSessionUsage');
  }

  /** Says `text` to the agent, as the user, and waits for what it answers. `responseTimeout` is milliseconds. */
  sendMessage(text: string, responseTimeout = CALL_MS): Promise<pb.SessionResponse_RunInputResponse> {
    return this.#ask(
      'runInput',
      () => ({ case: 'runInput', value: { text: requireText('the text to say', text) } }),
      responseTimeout,
    );
  }

  /** Turns inputs and outputs of the agent on or off. */
  async updateIo(options: RemoteIoUpdate): Promise<void> {
    checkOptions('updateIo', options ?? null, {
      inputAudioEnabled: 'flag',
      inputVideoEnabled: 'flag',
      outputAudioEnabled: 'flag',
      outputVideoEnabled: 'flag',
      outputTranscriptionEnabled: 'flag',
      timeout: 'own',
    });
    const { timeout = CALL_MS, ...update } = options;
    await this.#ask(
      'updateIo',
      () => {
        const input = given({ audioEnabled: update.inputAudioEnabled, videoEnabled: update.inputVideoEnabled });
        const output = given({
          audioEnabled: update.outputAudioEnabled,
          videoEnabled: update.outputVideoEnabled,
          transcriptionEnabled: update.outputTranscriptionEnabled,
        });
        return { case: 'updateIo', value: given({ input, output }) ?? {} };
      },
      timeout,
    );
  }

  /** Asks the agent for its verdict on a simulation. Rejects with `FinalizeSimulationError` if its callback fails. */
  finalizeSimulation(options: FinalizeSimulationOptions): Promise<pb.SessionResponse_FinalizeSimulationResponse> {
    return quiet(this.#finalizeSimulation(options));
  }

  async #finalizeSimulation(
    options: FinalizeSimulationOptions,
  ): Promise<pb.SessionResponse_FinalizeSimulationResponse> {
    checkOptions('finalizeSimulation', options ?? null, {
      provisionalSuccess: 'flag',
      provisionalReason: 'text',
      timeout: 'own',
    });
    const { provisionalSuccess, provisionalReason = '', timeout = CALL_MS } = options;
    return this.#ask(
      'finalizeSimulation',
      () => ({ case: 'finalizeSimulation', value: { provisionalSuccess, provisionalReason } }),
      timeout,
    );
  }

  /** Calls `listener` for each event of that name. What it throws is the listener's own affair, and lost. */
  on<Name extends RemoteSessionEventTypes>(name: Name, listener: RemoteSessionCallbacks[Name]): this {
    checkOption('on', 'the listener', listener ?? null, 'function');
    this.#emitter.on(name, listener);
    return this;
  }

  /** The same, for one event. */
  once<Name extends RemoteSessionEventTypes>(name: Name, listener: RemoteSessionCallbacks[Name]): this {
    checkOption('once', 'the listener', listener ?? null, 'function');
    this.#emitter.once(name, listener);
    return this;
  }

  /** Takes back what `on` or `once` did. */
  off<Name extends RemoteSessionEventTypes>(name: Name, listener: RemoteSessionCallbacks[Name]): this {
    this.#emitter.off(name, listener);
    return this;
  }

  /** Ends it and its transport; what is pending rejects with `SessionClosed`. May be called again, and never rejects. */
  close(): Promise<void> {
    return this.#end(errorOf('session_closed', 'the RemoteSession was closed'));
  }

  async #start(): Promise<void> {
    try {
      this.#protocol = await protocolFor('RemoteSession');
      await this.#transport.start();
    } catch (error) {
      void this.#end(error as GreenroomError);
      throw error;
    }
    quiet(this.#receive());
  }

  async #receive(): Promise<void> {
    try {
      for await (const { message } of this.#transport as AsyncIterable<AgentSessionMessage>) {
        if (message.case === 'response') this.#pending.get(message.value.requestId)?.resolve(message.value);
        else if (message.case === 'event') this.#tell(message.value);
      }
      void this.#end(errorOf('agent_gone', 'the agent closed the connection'));
    } catch (error) {
      void this.#end(error as GreenroomError);
    }
  }

  #tell({ event: { case: name, value } }: pb.AgentSessionEvent): void {
    if (name !== undefined)
      this.#emit(NAMES[name] ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value);
  }

  #emit(name: string, value: unknown): void {
    for (const listener of this.#emitter.rawListeners(name)) {
      try {
        listener.call(this.#emitter, value);
      } catch {
        // It must not keep others from their events.
      }
    }
  }

  /** Asks for what has the same name in the request and in the answer. */
  #fetch<Case extends Requests['case'] & Responses['case']>(name: Case): Promise<Answer<Case>> {
    return this.#ask(name, () => ({ case: name, value: {} }) as Requests);
  }

  #ask<Case extends Responses['case']>(
    answer: Case,
    build: () => Requests,
    timeout: number = CALL_MS,
  ): Promise<Answer<Case>> {
    return quiet(this.#asked(answer, build, timeout));
  }

  async #asked<Case extends Responses['case']>(
    answer: Case,
    build: () => Requests,
    timeout: number,
  ): Promise<Answer<Case>> {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#starting === undefined)
      throw invalid('this RemoteSession has not been started: `await session.start()` first');
    const deadline = millis('timeout', timeout) ?? CALL_MS;
    await this.#starting;
    const sdk = this.#protocol as Protocol;
    const request = build();
    const { response, error } = await this.#exchange(sdk, request, deadline);
    if (error !== undefined && error !== '') throw failure(answer, error, response);
    if (response.case !== answer) {
      throw errorOf('protocol_error', `the agent answered ${request.case} with ${response.case ?? 'nothing'}`);
    }
    return response.value as Answer<Case>;
  }

  async #exchange(sdk: Protocol, request: Requests, deadline: number): Promise<pb.SessionResponse> {
    const requestId = `req_${randomUUID()}`;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        // The deadline holds for the send as well.
        const late = () => reject(errorOf('timeout', `the agent did not answer ${request.case} within ${deadline} ms`));
        timer = setTimeout(late, deadline);
        if (this.#closed !== undefined) throw this.#closed;
        this.#pending.set(requestId, { resolve, reject });
        const value = new sdk.SessionRequest({ requestId, request });
        const message = new sdk.AgentSessionMessage({ message: { case: 'request', value } });
        this.#transport.sendMessage(message).catch(reject);
      });
    } finally {
      clearTimeout(timer);
      this.#pending.delete(requestId);
    }
  }

  #end(reason: GreenroomError): Promise<void> {
    this.#closing ??= (async () => {
      this.#closed = reason;
      for (const { reject } of this.#pending.values()) reject(reason);
      await quiet(this.#transport.close()).catch(() => {});
      this.#emit('closed', reason);
    })();
    return this.#closing;
  }
}

/** What an answer that is an error becomes. */
function failure(call: string | undefined, error: string, response: Responses): Error {
  if (response.case === 'finalizeSimulation') return new FinalizeSimulationError(error, response.value.userVerdict);
  if (error === 'permission_denied') {
    return errorOf(
      'permission_denied',
      `this participant may not ask for ${call}: it lacks the grant canManageAgentSession, or the agent's author does not let it`,
    );
  }
  if (error === 'unsupported request') return errorOf('unsupported', `the agent's side does not know this request`);
  return errorOf('agent_error', error);
}

/** The fields that have a value, if there is any. */
function given<T extends object>(fields: T): { [Key in keyof T]?: NonNullable<T[Key]> } | undefined {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as { [Key in keyof T]?: NonNullable<T[Key]> });
}
