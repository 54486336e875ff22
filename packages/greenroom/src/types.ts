/**
 * The data types of sessions and rooms. Names are those of the JSON that all languages share, in
 * camelCase; an optional field is absent where the JSON has none. Times of day are RFC 3339 text in
 * UTC. A field that ends in `Ms` is milliseconds; durations that the agent itself measured are
 * seconds, as its SDK reports them.
 */

import type { Speech } from './speech.js';

/** A value that this version doesn't know, by its number on the wire. */
export type Newer = `unknown_${number}`;

/**
 * The author of a message: the agent's author (`developer`), the system prompt, the user, or the
 * agent (`assistant`).
 */
export type Role = 'developer' | 'system' | 'user' | 'assistant' | Newer;

/** What the agent is doing. */
export type AgentState = 'initializing' | 'idle' | 'listening' | 'thinking' | 'speaking' | Newer;

/** What the user is doing, as the agent sees it. */
export type UserState = 'speaking' | 'listening' | 'away' | Newer;

/** The agent's own measurements of one message: delays in seconds. */
export interface Metrics {
  /** Start of the speech; RFC 3339. */
  startedSpeakingAt?: string;
  /** End of the speech; RFC 3339. */
  stoppedSpeakingAt?: string;
  /** End of speech to final transcript. */
  transcriptionDelay?: number;
  /** End of speech to the decision that the turn is over. */
  endOfTurnDelay?: number;
  /** Time in the agent's `onUserTurnCompleted`. */
  onUserTurnCompletedDelay?: number;
  /** Time to the LLM's first token. */
  llmTtft?: number;
  /** Time to the LLM's first sentence. */
  llmTtfs?: number;
  /** Tokens per second of the LLM. */
  llmTps?: number;
  /** Time to the first byte of speech. */
  ttsTtfb?: number;
  /** End of the user's speech to the agent's first sound. */
  e2eLatency?: number;
}

/** A message of the conversation. */
export interface Message {
  /** The SDK's id of the item. */
  id: string;
  role: Role;
  /** The text; parts are joined by line breaks. */
  text: string;
  /** Count of bytes missing in `text`, if the message was too large for the link. */
  cutBytes?: number;
  /** The parts, if there is more than one. */
  parts?: string[];
  /** Whether the speech was interrupted. */
  interrupted?: boolean;
  /** Confidence of the speech recognition, 0 to 1. */
  transcriptConfidence?: number;
  /** Data that the agent's author attached to the message. */
  extra?: Record<string, string>;
  metrics?: Metrics;
  createdAt?: string;
}

/** A tool call, with its output once it has one. */
export interface ToolCall {
  /** The LLM's id of the call. */
  callId: string;
  /** The tool's name. */
  name: string;
  /** JSON text, as the LLM wrote it. */
  arguments: string;
  /**
   * The tool's return value as the SDK encodes it: text in Python, JSON text in JavaScript. Absent
   * while the tool runs.
   */
  output?: string;
  /** Whether the output is an error. */
  isError: boolean;
  /** The tool's own error text, if the output for the model doesn't contain it. */
  error?: string;
  /** Whether the call waits for the user's answer and has not run; `output` has the question. */
  waiting?: boolean;
  /** Count of missing bytes of the call, if it was too large for the link. */
  cutBytes?: number;
  /** The SDK's id of the call item; live events have none. */
  id?: string;
  /** The SDK's id of the output item. */
  outputId?: string;
  /** Data that the agent's author attached to the call. */
  extra?: Record<string, string>;
  createdAt?: string;
  outputAt?: string;
}

/** A change of the active agent. The first agent of a session has no `from`. */
export interface Handoff {
  id: string;
  /** Id of the previous agent. */
  from?: string;
  /** Id of the new agent. */
  to: string;
  createdAt?: string;
}

/** The agent's instructions or tools changed. */
export interface ConfigUpdate {
  id: string;
  /** The new instructions, if they changed. */
  instructions?: string;
  toolsAdded: string[];
  toolsRemoved: string[];
  createdAt?: string;
}

/** An item of a kind that this version doesn't know. */
export interface UnknownItem {
  /** A description of it. */
  what: string;
}

/** One item of a conversation, discriminated by `type`. A tool call and its output are one item. */
export type Item =
  | ({ type: 'message' } & Message)
  | ({ type: 'tool_call' } & ToolCall)
  | ({ type: 'handoff' } & Handoff)
  | ({ type: 'config' } & ConfigUpdate)
  | ({ type: 'unknown' } & UnknownItem);

/**
 * The usage of one model since the session began. Tokens, characters and requests are counts;
 * durations are seconds. `provider` and `model` are the names that the agent's plugin reports.
 * Cached and audio, text or image tokens are parts of `inputTokens` and `outputTokens`.
 */
export type ModelUsage = { provider: string; model: string } & (
  | {
      kind: 'llm';
      /** All input tokens. */
      inputTokens: number;
      /** Input tokens that the provider served from its cache. */
      inputCachedTokens: number;
      /** Audio tokens of the input. */
      inputAudioTokens: number;
      /** Cached audio tokens of the input. */
      inputCachedAudioTokens: number;
      /** Text tokens of the input. */
      inputTextTokens: number;
      /** Cached text tokens of the input. */
      inputCachedTextTokens: number;
      /** Image tokens of the input. */
      inputImageTokens: number;
      /** Cached image tokens of the input. */
      inputCachedImageTokens: number;
      /** All output tokens. */
      outputTokens: number;
      /** Audio tokens of the output. */
      outputAudioTokens: number;
      /** Text tokens of the output. */
      outputTextTokens: number;
      /** Time connected to a realtime model, in seconds. */
      sessionDuration: number;
    }
  | {
      kind: 'tts';
      inputTokens: number;
      outputTokens: number;
      /** Characters synthesized. */
      charactersCount: number;
      /** Length of the synthesized speech, in seconds. */
      audioDuration: number;
    }
  | {
      kind: 'stt';
      inputTokens: number;
      outputTokens: number;
      /** Length of the recognized audio, in seconds. */
      audioDuration: number;
    }
  | {
      kind: 'interruption' | 'eot';
      /** Requests to the model. */
      totalRequests: number;
    }
);

/** The agent or the user went from one state to another. */
export type StateChange =
  | { who: 'agent'; from: AgentState; to: AgentState }
  | { who: 'user'; from: UserState; to: UserState };

/** A running tool moved on (Python agents only). */
export type ToolUpdate =
  | { update: 'started'; call: ToolCall }
  | { update: 'progress'; id: string; callId: string; message: string }
  | {
      update: 'reply';
      updateIds: string[];
      status: 'scheduled' | 'completed' | 'interrupted' | 'skipped' | Newer;
      speechId: string;
    }
  | {
      update: 'ended';
      id: string;
      callId: string;
      /** The tool's output or its error. */
      message?: string;
      status: 'running' | 'done' | 'error' | 'cancelled' | Newer;
    }
  | { update: 'unknown' };

/** Kind of callee that answered a call. */
export type AmdCategory =
  | 'unknown'
  | 'human'
  | 'machine_ivr'
  | 'machine_vm'
  | 'machine_unavailable'
  | 'uncertain'
  | 'machine_screening'
  | 'wait'
  | Newer;

/** A guess of the answering machine detection: durations in seconds. */
export interface AmdPrediction {
  category: AmdCategory;
  /** Why the detection thinks so. */
  reason: string;
  /** Transcript of the callee. */
  transcript: string;
  speechDuration?: number;
  delay?: number;
  inferenceDuration?: number;
  /** The turn that the guess is about; 0 where the host sets none. */
  turnId: number;
  stage: AmdCategory;
}

/** Why the agent says that its session is over. */
export type SessionCloseReason =
  | 'unknown'
  | 'error'
  | 'job_shutdown'
  | 'participant_disconnected'
  | 'user_initiated'
  | 'completed'
  | Newer;

/** Why a session's link is closed. */
export type CloseReason =
  | 'closed'
  | 'start_failed'
  | 'agent_exited'
  | 'agent_disconnected'
  | 'agent_ended'
  | 'agent_left'
  | 'room_disconnected'
  | 'protocol_error'
  | 'idle'
  | 'daemon_gone';

/** The fields of each type of event. */
export interface EventData {
  /** The user or the agent said something. */
  message: Message;
  /** A tool was called and has answered. */
  tool_call: ToolCall;
  /** Another agent became active. */
  handoff: Handoff;
  /** The agent's instructions or tools changed. */
  config: ConfigUpdate;
  /** Something failed in the agent. */
  error: { message: string };
  /** A line of the agent's log, cut where it is very long. */
  log: { text: string };
  /** The agent or the user went from one state to another. */
  state: StateChange;
  /** The agent's speech recognition heard something. */
  transcript: { text: string; isFinal: boolean; language?: string };
  /** Tools are about to run. */
  tools_started: { calls: ToolCall[] };
  /** A running tool moved on. */
  tool_update: ToolUpdate;
  /** Usage of the agent's models so far. */
  usage: { models: ModelUsage[] };
  /** User and agent spoke at once. The delay is in seconds. */
  overlapping_speech: {
    /** Whether the agent takes it as an interruption. */
    isInterruption: boolean;
    overlapStartedAt?: string;
    detectionDelay: number;
    detectedAt?: string;
  };
  /** What had looked like an interruption was none. */
  false_interruption: { resumed: boolean };
  /** A guess of the answering machine detection. */
  amd_prediction: AmdPrediction;
  /** The verdict of the answering machine detection. */
  amd_completed: {
    category: AmdCategory;
    reason: string;
    voicemailMessagePlayed: boolean;
    prediction?: AmdPrediction;
  };
  /** A guess of the end-of-turn detection. Durations are in seconds. */
  eot_prediction: { probability: number; threshold: number; inferenceDuration?: number; delay?: number };
  /** A message of the SDK for its own developers. */
  debug: { payload: unknown };
  /** The agent says that the session is over. */
  session_closed: { reason: SessionCloseReason; error?: string };
  /** The agent doesn't answer a ping: its event loop is blocked, or the machine is very busy. */
  agent_unresponsive: {
    /** For how long it has been silent. */
    silentMs: number;
    /** Whether it answers again. */
    recovered?: boolean;
  };
  /** The session's link is closed: the last event. */
  closed: { reason: CloseReason; message: string };
  /** Events are missing here, because the reader was too slow. */
  gap: { dropped: number };
  /** The answer to a turn whose caller had cancelled or timed out. */
  late_turn: { text: string; reply: string; error?: string };
  /** A message that this version does not know, or bytes that are no message; see `raw`. */
  unknown: { what: string };
}

/** The types of events. They are the same in all languages. */
export type EventType = keyof EventData;

/** One event of a session, discriminated by `type`. */
export type Event<T extends EventType = EventType> = { [K in T]: { type: K } & Stamp & EventData[K] }[T];

/** What every event has. */
export interface Stamp {
  /** Its number; events are numbered from 1 in the order in which they were received. */
  seq: number;
  /** When it was received. */
  time: string;
  /** In a turn: the event happened before this turn. */
  earlier?: boolean;
  /** It belongs to a turn whose caller had cancelled or timed out. */
  late?: boolean;
  /** The whole message in base64, if it has fields that this version doesn't know. */
  raw?: string;
}

/** One turn of a conversation, complete. */
export interface Turn {
  /** Its number in the session, from 1. */
  number: number;
  /** The user's text. */
  text: string;
  /**
   * The turn's events in order; events from before this turn come first and are marked `earlier`.
   */
  events: Event[];
  /** The agent's messages in this turn, joined by line breaks. */
  reply: string;
  /** Whether the agent said nothing, without a failure or an interruption. */
  silent: boolean;
  /** Whether the turn was cut short, by other input or by speech. */
  interrupted: boolean;
  /** The agent's error, if it answered with one. */
  error?: string;
  /** Time from the request to the end of the turn. */
  durationMs: number;
  /** Time from the request to the agent's first message; absent if there was none. */
  replyDelayMs?: number;
  /** Time the turn waited for earlier turns. */
  queuedMs: number;
  /** The agent's transcript of the user's speech; absent in a text turn. */
  heard?: string;
  /** Speech and timing of the turn, in a session with audio. */
  voice?: Voice;
  /**
   * The tool calls of this turn with their outputs, in order. Not enumerable, since they are among
   * the events.
   */
  readonly toolCalls: readonly Event<'tool_call'>[];
}

/**
 * Speech and timing of one turn in a session with audio. All times are milliseconds.
 *
 * ```js
 * const turn = await session.say('hello', { tts });
 * assert.ok(turn.voice.responseMs < 800, 'answers within 800 ms');
 * await turn.voice.audio?.save('reply.wav');
 * ```
 */
export interface Voice {
  /** Length of the user's speech, from the first sound to the last; 0 in a text turn. */
  userMs: number;
  /** Length of the agent's speech. */
  agentMs: number;
  /**
   * Time from the user's last sound, or from the request of a text turn, to the agent's next sound;
   * absent if the agent said nothing after that.
   */
  responseMs?: number;
  /**
   * How much of the agent's speech was heard before it was interrupted; absent if it was not
   * interrupted.
   */
  cutMs?: number;
  /**
   * In an interrupting turn, time from the user's first sound to the agent's silence; absent if it
   * kept speaking.
   */
  yieldMs?: number;
  /** Length of the agent's speech that is missing in `audio`, because it exceeded the limit. */
  lostMs: number;
  /**
   * The longest stall of Greenroom itself in this turn, as on an overloaded machine; 0 if it was at
   * most
   * 100. `responseMs` and `yieldMs` may be too long by this much.
   */
  stalledMs: number;
  /** The agent's speech as heard, from its first sound to its last, with pauses. */
  audio?: Speech;
}

/** A session that is ready for its first turn. */
export interface Started {
  /** The agent's SDK, if it answered in time. */
  framework?: FrameworkInfo;
  /** Id of the first agent, if the session answered in time. */
  agentId?: string;
  /** Events before the first turn: the first handoff, a greeting. */
  events: Event[];
}

/** The active agent. */
export interface AgentInfo {
  id: string;
  instructions?: string;
  /** Names of its tools. */
  tools: string[];
  /** The conversation in its context. */
  context: Item[];
}

/** The agent's session. */
export interface SessionState {
  agentState: AgentState;
  userState: UserState;
  /** Id of the active agent. */
  agentId: string;
  /** The session's options, each as its SDK writes it (Python: repr, JavaScript: JSON). */
  options: Record<string, string>;
  createdAt?: string;
}

/** WebRTC statistics as the agent's SDK reports them; empty without a room. */
export interface RtcStats {
  publisher: Record<string, unknown>[];
  subscriber: Record<string, unknown>[];
}

/** The agent's SDK. */
export interface FrameworkInfo {
  /** `python` or `js`. */
  sdk: string;
  sdkVersion: string;
}

/** The agent's verdict on a simulation. */
export interface Verdict {
  success: boolean;
  reason: string;
  /** Whether the agent returned no verdict of its own. */
  missing?: boolean;
}

/** Inputs and outputs of the agent to enable or disable; absent ones stay unchanged. */
export interface IoUpdate {
  /** Whether the agent receives audio. */
  inputAudio?: boolean;
  /** Whether the agent receives video. */
  inputVideo?: boolean;
  /** Whether the agent sends audio. */
  outputAudio?: boolean;
  /** Whether the agent sends video. */
  outputVideo?: boolean;
  /** Whether the agent sends transcripts of its speech. */
  outputTranscription?: boolean;
}

/** The status of a session. Fields that don't apply to its kind are absent or null. */
export interface Status {
  state: 'starting' | 'ready' | 'in_turn' | 'closed';
  /** The loopback port on which the agent connects. */
  port?: number | null;
  /** The agent's process id. */
  pid?: number | null;
  /** The agent's language. */
  kind?: 'python' | 'node' | null;
  /** `Detected Python agent (agent.py in /home/me/project)`. */
  detected?: string | null;
  /** The installed version of the agent's SDK. */
  sdkVersion?: string | null;
  /** The agent's folder. */
  projectDir?: string | null;
  /** The agent's file, relative to it. */
  entry?: string | null;
  /** The agent's log. */
  logPath?: string | null;
  /** Why the log file is incomplete. */
  logError?: string | null;
  /** Path of the session's recording. */
  recording?: string | null;
  /** Why the recording is incomplete; known once the session has ended. */
  recordingError?: string | null;
  /**
   * Losses of the session's audio: `lateMs` by which the user's audio was delayed, `liveMs` that a
   * live source sent too fast, `linkMs` that the link did not accept; `oddFrames` counts the
   * agent's frames in another format.
   */
  audioLosses?: { lateMs: number; liveMs: number; linkMs: number; oddFrames: number };
  startedAt?: string;
  uptimeMs?: number;
  /** Time since the last call. */
  idleMs?: number;
  /** The session ends after this long without a call. */
  idleTimeoutMs?: number | null;
  /** Count of turns begun. */
  turns: number;
  turnInProgress: boolean;
  /** The agent's last reported state. */
  agentState?: AgentState | null;
  /** Count of events that the next turn would show as before it. */
  unseenEvents: number;
  /** The joined room. */
  room?: string;
  /** Greenroom's own identity in the room. */
  identity?: string;
  /** The agent's identity in the room. */
  agent?: string;
  /**
   * Why the connection could not be verified as the agent's own; null or absent if it was verified.
   */
  peerCheck?: string | null;
  /** Count of refused connections, from neither the agent nor control. */
  refusedConnections?: number;
  /** The last refused connection. */
  lastRefused?: string | null;
  /** Why the session is closed. */
  closed?: { code: string; message: string; detail?: string } | null;
}

/** Kind of a room's participant. */
export type ParticipantKind = 'standard' | 'ingress' | 'egress' | 'sip' | 'agent' | 'other';

/** What a participant may do. */
export interface Permissions {
  /** To receive others' tracks. */
  canSubscribe: boolean;
  /** To publish tracks. */
  canPublish: boolean;
  /** To send data. */
  canPublishData: boolean;
  /** To change its own name, metadata and attributes. */
  canUpdateMetadata: boolean;
  /** To observe and drive the session of an agent. */
  canManageAgentSession: boolean;
  /** Other participants are not notified of it. */
  hidden: boolean;
}

/** A participant of a room, as the server last described it. */
export interface Participant {
  /** The server's id of this stay in the room. */
  sid: string;
  /** The name it joined under, unique in the room. */
  identity: string;
  /** Display name; need not be unique. */
  name: string;
  kind: ParticipantKind;
  /** Whether media and data can reach it: it is connected, and not just about to be. */
  isActive: boolean;
  /** Metadata set by the participant's or room's owner. */
  metadata: string;
  /** Attributes, by key. */
  attributes: Record<string, string>;
  /** Its permissions; null if the server doesn't send them. */
  permissions: Permissions | null;
  /** The tracks it publishes. */
  tracks: Track[];
  /** When it joined, in milliseconds since 1970. */
  joinedAtMs: number;
}

/** Media kind of a track. */
export type TrackKind = 'audio' | 'video' | 'other';

/** A published audio or video track. */
export interface Track {
  /** The server's id of it. */
  sid: string;
  /** Name set by its publisher; need not be unique. */
  name: string;
  kind: TrackKind;
  /** The source of the media. */
  source: TrackSource | 'unknown';
  /** Whether its publisher or the server has muted it. */
  muted: boolean;
}

/** A room. */
export interface RoomInfo {
  /** The server's id of it. */
  sid: string;
  name: string;
  /** Metadata set by the participant's or room's owner. */
  metadata: string;
}

/** Header of a byte or text stream. */
export interface StreamInfo {
  /** Identity of the sender. */
  from: string;
  id: string;
  /** Its topic. */
  topic: string;
  /** Its name, such as of a file; empty if it has none. */
  name: string;
  /** MIME type of its bytes. */
  mimeType: string;
  /** Attributes set by the sender. */
  attributes: Record<string, string>;
  /** Size in bytes; null if the sender doesn't know. */
  size: number | null;
  /** Whether it is text, in UTF-8. */
  isText: boolean;
}

/** The fields of each type of room event. */
export interface RoomEventData {
  /** The server announces a participant without tracks up to 3 s late. */
  participant_joined: { participant: Participant };
  /** The participant as last known. */
  participant_left: { participant: Participant; reason: string };
  /** May be the local participant. */
  permissions_changed: { participant: Participant };
  /** Another property changed; may be the local participant. */
  participant_changed: { participant: Participant };
  /** Another participant published it, possibly before we joined; `Room.subscribe` reads it. */
  track_published: { participant: Participant; track: Track };
  /** Another participant unpublished it or left. */
  track_unpublished: { participant: Participant; track: Track };
  /** It was muted; may be one of ours. */
  track_muted: { participant: Participant; track: Track };
  /** It was unmuted; may be one of ours. */
  track_unmuted: { participant: Participant; track: Track };
  /** Its media arrives from now on; sent again after a full reconnect. */
  track_subscribed: { participant: Participant; track: Track };
  /** Its media no longer arrives: it has no reader here, or is gone. */
  track_unsubscribed: { participant: Participant; track: Track };
  /** A track of ours was announced to the room. */
  local_track_published: { participant: Participant; track: Track };
  /** A track of ours is gone. */
  local_track_unpublished: { participant: Participant; track: Track };
  /** A data packet; `from` is empty if it was the server's API. */
  data: { from: string; topic: string; reliable: boolean; payload: Buffer };
  /** The connection broke; data sent meanwhile is queued. */
  reconnecting: {};
  /** `fresh`: this is a new stay in the room, and data that others sent meanwhile is lost. */
  reconnected: { fresh: boolean };
  /** This reader was too slow: count of missing events. */
  gap: { dropped: number };
  /** The room was left; the last event. */
  disconnected: { reason: string; message: string };
}

/** The types of events of a room. */
export type RoomEventType = keyof RoomEventData;

/** Something that happened in a room. */
export type RoomEvent<T extends RoomEventType = RoomEventType> = { [K in T]: { type: K } & RoomEventData[K] }[T];

/** Where a track comes from. */
export type TrackSource = 'camera' | 'microphone' | 'screen_share' | 'screen_share_audio';

/** A token's grants, with LiveKit's names. */
export interface Grants {
  /** To join the room. */
  roomJoin: boolean;
  /** To make rooms and delete them. */
  roomCreate: boolean;
  /** To list rooms. */
  roomList: boolean;
  /** To record rooms. */
  roomRecord: boolean;
  /** To moderate the room. */
  roomAdmin: boolean;
  /** To manage ingresses. */
  ingressAdmin: boolean;
  /** To publish tracks. */
  canPublish: boolean;
  /** Of which sources the tracks may be. None named is all. */
  canPublishSources: TrackSource[];
  /** To receive others' tracks. */
  canSubscribe: boolean;
  /** To send data. */
  canPublishData: boolean;
  /** To change its own name, metadata and attributes. */
  canUpdateOwnMetadata: boolean;
  /** To observe and drive the session of an agent. */
  canManageAgentSession: boolean;
  /** Hidden from other participants. */
  hidden: boolean;
  /** To be shown as a recorder. */
  recorder: boolean;
  /** To be an agent. */
  agent: boolean;
}

/**
 * Everything that a client needs to join a room. `util.inspect`, and so `console.log`, doesn't show
 * the token.
 */
export interface Credentials {
  /** The server's url for clients. */
  url: string;
  /** The access token. */
  token: string;
  /** The room. */
  roomId: string;
  /** The participant's identity, from the token. */
  identity: string;
  /** Until when the token can be used to join; RFC 3339. */
  expiresAt: string;
  /** The token's grants. */
  grants: Grants;
}
