/**
 * What a session tells. The names are those of the JSON that all languages share, in camelCase; an optional field is
 * absent where the JSON has none. Times of day are RFC 3339 text in UTC. A field that ends in `Ms` is milliseconds;
 * durations that the agent itself measured are seconds, as its SDK gives them.
 */

import type { Speech } from './speech.js';

/** A value newer than this version knows, by its number on the wire. */
export type Newer = `unknown_${number}`;

/** Who speaks: the agent's author (`developer`), the system prompt, the user, or the agent (`assistant`). */
export type Role = 'developer' | 'system' | 'user' | 'assistant' | Newer;

/** What the agent is doing. */
export type AgentState = 'initializing' | 'idle' | 'listening' | 'thinking' | 'speaking' | Newer;

/** What the user is doing, as the agent sees it. */
export type UserState = 'speaking' | 'listening' | 'away' | Newer;

/** The agent's own measurements of one message: delays in seconds. */
export interface Metrics {
  startedSpeakingAt?: string;
  stoppedSpeakingAt?: string;
  /** End of speech to final transcript. */
  transcriptionDelay?: number;
  /** End of speech to the decision that the turn is over. */
  endOfTurnDelay?: number;
  /** Time in the agent's `onUserTurnCompleted`. */
  onUserTurnCompletedDelay?: number;
  /** To the LLM's first token. */
  llmTtft?: number;
  /** To the LLM's first sentence. */
  llmTtfs?: number;
  /** Tokens per second of the LLM. */
  llmTps?: number;
  /** To the first byte of speech. */
  ttsTtfb?: number;
  /** End of the user's speech to the agent's first sound. */
  e2eLatency?: number;
}

/** Somebody said something. */
export interface Message {
  /** The SDK's id of the item. */
  id: string;
  role: Role;
  /** What is said; parts are joined by line breaks. */
  text: string;
  /** How many bytes are missing in `text`, where the message was too large for the link. */
  cutBytes?: number;
  /** The parts, where there is more than one. */
  parts?: string[];
  /** Whether the speech was cut off. */
  interrupted?: boolean;
  /** How sure the speech recognition was, 0 to 1. */
  transcriptConfidence?: number;
  /** What the agent's author put beside the message. */
  extra?: Record<string, string>;
  metrics?: Metrics;
  createdAt?: string;
}

/** A call of a tool, with its output once there is one. */
export interface ToolCall {
  /** The LLM's id of the call. */
  callId: string;
  /** The tool. */
  name: string;
  /** JSON text, as the LLM wrote it. */
  arguments: string;
  /** What the tool gave back, as the SDK encodes it: Python as text, JavaScript as JSON text. */
  output?: string;
  /** Whether the output tells of a failure. */
  isError: boolean;
  /** What failed, in the tool's own words, where the output that the model got does not tell. */
  error?: string;
  /** Whether the call waits for the person's answer and has not run; `output` has the question. */
  waiting?: boolean;
  /** How many bytes of the call are missing, where it was too large for the link. */
  cutBytes?: number;
  /** The SDK's id of the call item; live events have none. */
  id?: string;
  /** The SDK's id of the output item. */
  outputId?: string;
  /** What the agent's author put beside the call. */
  extra?: Record<string, string>;
  createdAt?: string;
  outputAt?: string;
}

/** Another agent takes over; the session's first agent comes with no `from`. */
export interface Handoff {
  id: string;
  /** The agent that leaves. */
  from?: string;
  /** The agent that takes over. */
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

/** An item of a kind that this version does not know. */
export interface UnknownItem {
  /** What is known of it, in words. */
  what: string;
}

/** One item of a conversation; tell them apart by `type`. A call of a tool and its output are one. */
export type Item =
  | ({ type: 'message' } & Message)
  | ({ type: 'tool_call' } & ToolCall)
  | ({ type: 'handoff' } & Handoff)
  | ({ type: 'config' } & ConfigUpdate)
  | ({ type: 'unknown' } & UnknownItem);

/** The use of one model since the session began: tokens are counts, durations seconds. */
export type ModelUsage = { provider: string; model: string } & (
  | {
      kind: 'llm';
      inputTokens: number;
      inputCachedTokens: number;
      inputAudioTokens: number;
      inputCachedAudioTokens: number;
      inputTextTokens: number;
      inputCachedTextTokens: number;
      inputImageTokens: number;
      inputCachedImageTokens: number;
      outputTokens: number;
      outputAudioTokens: number;
      outputTextTokens: number;
      sessionDuration: number;
    }
  | { kind: 'tts'; inputTokens: number; outputTokens: number; charactersCount: number; audioDuration: number }
  | { kind: 'stt'; inputTokens: number; outputTokens: number; audioDuration: number }
  | { kind: 'interruption' | 'eot'; totalRequests: number }
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

/** Who or what answered a call. */
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
  /** What was heard. */
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

/** What each type of event tells. */
export interface EventData {
  /** Somebody said something. */
  message: Message;
  /** A tool was called and has answered. */
  tool_call: ToolCall;
  /** Another agent took over. */
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
  /** What the models have used so far. */
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
  /** The agent does not answer a ping: its event loop is blocked, or the machine is very busy. */
  agent_unresponsive: {
    /** For how long it has been silent. */
    silentMs: number;
    /** Whether it answers again. */
    recovered?: boolean;
  };
  /** The session's link is closed: the last event. */
  closed: { reason: CloseReason; message: string };
  /** Events are missing here, since the reader was too far behind. */
  gap: { dropped: number };
  /** The answer to a turn whose caller had given up. */
  late_turn: { text: string; reply: string; error?: string };
  /** A message that this version does not know, or bytes that are no message; see `raw`. */
  unknown: { what: string };
}

/** The types of events. They are the same in all languages. */
export type EventType = keyof EventData;

/** One thing that happened, at its place in the session. Tell them apart by `type`. */
export type Event<T extends EventType = EventType> = { [K in T]: { type: K } & Stamp & EventData[K] }[T];

/** What every event has. */
export interface Stamp {
  /** Its number; events are numbered from 1 in the order in which they were received. */
  seq: number;
  /** When it was received. */
  time: string;
  /** In a turn: it belongs to what happened before this turn. */
  earlier?: boolean;
  /** It belongs to a turn whose caller had given up. */
  late?: boolean;
  /** The whole message in base64, where it holds more than this version can tell. */
  raw?: string;
}

/** One turn of a conversation, complete. */
export interface Turn {
  /** Its number in the session, from 1. */
  number: number;
  /** What the user said. */
  text: string;
  /** What was said and done, in order; what happened before this turn comes first and is marked `earlier`. */
  events: Event[];
  /** What the agent said in this turn; several messages are joined by line breaks. */
  reply: string;
  /** Whether the agent said nothing, without having failed or been interrupted. */
  silent: boolean;
  /** Whether the turn was cut short, by other input or by speech. */
  interrupted: boolean;
  /** The agent's error, if it answered with one. */
  error?: string;
  /** From the request to the end of the turn. */
  durationMs: number;
  /** From the request to the agent's first message. */
  replyDelayMs?: number;
  /** How long the turn waited for those before it. */
  queuedMs: number;
  /** What the agent's speech recognition made of what the user said aloud; absent in a turn of text. */
  heard?: string;
  /** What could be heard, in a session with audio. */
  voice?: Voice;
  /** The tools that were called in this turn, with their outputs, in order. Not enumerable: they are among the events. */
  readonly toolCalls: readonly Event<'tool_call'>[];
}

/** What could be heard in a turn of a session with audio. */
export interface Voice {
  /** How long the user spoke, from the first sound to the last; 0 in a turn of text. */
  userMs: number;
  /** How long the agent spoke. */
  agentMs: number;
  /**
   * From the user's last sound, or from the request of a turn of text, to the agent's next word; absent if it said nothing
   * after it.
   */
  responseMs?: number;
  /** How much of what the agent was saying had been heard when it was cut off. */
  cutMs?: number;
  /** In a turn that interrupts: from the user's first sound to the agent's silence; absent if it did not yield. */
  yieldMs?: number;
  /** How much of the agent's speech is not in `audio`, since there was too much of it. */
  lostMs: number;
  /**
   * The longest that Greenroom itself stood still in this turn, as on a machine that is too busy; 0 where that was at most
   * 100. `responseMs` and `yieldMs` may hold as much that is not the agent's.
   */
  stalledMs: number;
  /** What the agent said, as it was heard: from its first word to its last, with the pauses between. */
  audio?: Speech;
}

/** A session that is ready for its first turn. */
export interface Started {
  /** The agent's SDK, if it told in time. */
  framework?: FrameworkInfo;
  /** The agent that speaks first, if the session told in time. */
  agentId?: string;
  /** What happened before: the first handoff, a greeting. */
  events: Event[];
}

/** About the agent that speaks now. */
export interface AgentInfo {
  id: string;
  instructions?: string;
  /** Names of its tools. */
  tools: string[];
  /** What it knows of the conversation. */
  context: Item[];
}

/** About the session. */
export interface SessionState {
  agentState: AgentState;
  userState: UserState;
  /** The agent that speaks now. */
  agentId: string;
  /** The session's options, each as its SDK writes it (Python: repr, JavaScript: JSON). */
  options: Record<string, string>;
  createdAt?: string;
}

/** WebRTC statistics as the agent's SDK gives them; empty without a room. */
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
  /** Whether the agent gave no verdict of its own. */
  missing?: boolean;
}

/** Inputs and outputs of the agent to turn on or off; what is absent stays as it is. */
export interface IoUpdate {
  /** Whether the agent hears. */
  inputAudio?: boolean;
  /** Whether the agent sees. */
  inputVideo?: boolean;
  /** Whether the agent speaks. */
  outputAudio?: boolean;
  /** Whether the agent shows. */
  outputVideo?: boolean;
  /** Whether the agent transcribes what it says. */
  outputTranscription?: boolean;
}

/** How a session stands. What does not apply to it is absent or null. */
export interface Status {
  state: 'starting' | 'ready' | 'in_turn' | 'closed';
  /** The loopback port on which the agent was awaited. */
  port?: number | null;
  /** The agent's process. */
  pid?: number | null;
  /** The agent's language. */
  kind?: 'python' | 'node' | null;
  /** `Detected Python agent (agent.py in /home/me/project)`. */
  detected?: string | null;
  /** The version of the agent's SDK, as found installed. */
  sdkVersion?: string | null;
  /** The agent's folder. */
  projectDir?: string | null;
  /** The agent's file, relative to it. */
  entry?: string | null;
  /** The agent's log. */
  logPath?: string | null;
  /** Why the log file is not whole. */
  logError?: string | null;
  /** The file that the session is recorded into. */
  recording?: string | null;
  /** Why the recording is not whole; known once the session has ended. */
  recordingError?: string | null;
  /**
   * What was lost of the session's audio: `lateMs` that the user's was put off, `liveMs` that a live source gave too fast,
   * `linkMs` that the link did not take; `oddFrames` of the agent's in another format.
   */
  audioLosses?: { lateMs: number; liveMs: number; linkMs: number; oddFrames: number };
  startedAt?: string;
  uptimeMs?: number;
  /** How long ago the last call was. */
  idleMs?: number;
  /** After how long without a call the session ends. */
  idleTimeoutMs?: number | null;
  /** How many turns have begun. */
  turns: number;
  turnInProgress: boolean;
  /** What the agent was doing when it last told. */
  agentState?: AgentState | null;
  /** How many events the next turn would show as before it. */
  unseenEvents: number;
  /** The room that was joined. */
  room?: string;
  /** The identity under which it was joined. */
  identity?: string;
  /** The identity of the agent in it. */
  agent?: string;
  /** Why it could not be checked that the connection is the agent's own. */
  peerCheck?: string | null;
  /** Connections that were neither the agent's nor control. */
  refusedConnections?: number;
  /** The last of them. */
  lastRefused?: string | null;
  /** Why the session is closed. */
  closed?: { code: string; message: string; detail?: string } | null;
}

/** What a participant of a room is. */
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
  /** Others are not told of it. */
  hidden: boolean;
}

/** A participant of a room, as the server last told of it. */
export interface Participant {
  /** The server's id of this stay in the room. */
  sid: string;
  /** The name it joined under, unique in the room. */
  identity: string;
  /** What it is called; need not be unique. */
  name: string;
  kind: ParticipantKind;
  /** Whether media and data can reach it: it is connected, and not just about to be. */
  isActive: boolean;
  /** What its owner says about it. */
  metadata: string;
  /** The same, by keys. */
  attributes: Record<string, string>;
  /** What it may do; null where the server does not say. */
  permissions: Permissions | null;
  /** What it publishes. */
  tracks: Track[];
  /** When it joined, in milliseconds since 1970. */
  joinedAtMs: number;
}

/** What a track carries. */
export type TrackKind = 'audio' | 'video' | 'other';

/** What a participant publishes: audio or video. */
export interface Track {
  /** The server's id of it. */
  sid: string;
  /** What its publisher calls it; need not be unique. */
  name: string;
  kind: TrackKind;
  /** Where that comes from. */
  source: TrackSource | 'unknown';
  /** Whether its publisher, or the server, has it silent for now. */
  muted: boolean;
}

/** A room. */
export interface RoomInfo {
  /** The server's id of it. */
  sid: string;
  name: string;
  /** What its owner says about it. */
  metadata: string;
}

/** What a stream says about itself. */
export interface StreamInfo {
  /** The identity of who sends it. */
  from: string;
  id: string;
  /** What it is about. */
  topic: string;
  /** Its name, such as of a file; empty if it has none. */
  name: string;
  /** What its bytes are. */
  mimeType: string;
  /** What is told beside it. */
  attributes: Record<string, string>;
  /** How many bytes it has; null where its sender does not know. */
  size: number | null;
  /** Whether it is text, in UTF-8. */
  isText: boolean;
}

/** What each type of event of a room has. */
export interface RoomEventData {
  /** The server tells of one that publishes nothing up to 3 s late. */
  participant_joined: { participant: Participant };
  /** The participant is as it last was. */
  participant_left: { participant: Participant; reason: string };
  /** This may be the local one. */
  permissions_changed: { participant: Participant };
  /** Anything else of it; this may be the local one. */
  participant_changed: { participant: Participant };
  /** Another participant has published it, or did so before we joined; `Room.subscribe` is to hear it. */
  track_published: { participant: Participant; track: Track };
  /** Another participant has taken it back, or has left. */
  track_unpublished: { participant: Participant; track: Track };
  /** It is silent for now; this may be one of ours. */
  track_muted: { participant: Participant; track: Track };
  /** It is silent no more; this may be one of ours. */
  track_unmuted: { participant: Participant; track: Track };
  /** From here on it comes in; after a full reconnect this is told again. */
  track_subscribed: { participant: Participant; track: Track };
  /** It does not come in any more: nobody here reads it, or it is gone. */
  track_unsubscribed: { participant: Participant; track: Track };
  /** The others are told of a track of ours. */
  local_track_published: { participant: Participant; track: Track };
  /** A track of ours is gone. */
  local_track_unpublished: { participant: Participant; track: Track };
  /** A data packet; `from` is empty if it was the server's API. */
  data: { from: string; topic: string; reliable: boolean; payload: Buffer };
  /** The connection broke; what is sent meanwhile waits. */
  reconnecting: {};
  /** `fresh` tells that this is another stay in the room: what was sent meanwhile by others is lost. */
  reconnected: { fresh: boolean };
  /** This reader was too slow: so many events are missing here. */
  gap: { dropped: number };
  /** The room is left for good; the last event. */
  disconnected: { reason: string; message: string };
}

/** The types of events of a room. */
export type RoomEventType = keyof RoomEventData;

/** Something that happened in a room. */
export type RoomEvent<T extends RoomEventType = RoomEventType> = { [K in T]: { type: K } & RoomEventData[K] }[T];

/** Where a track comes from. */
export type TrackSource = 'camera' | 'microphone' | 'screen_share' | 'screen_share_audio';

/** What a token allows, by LiveKit's names. */
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
  /** Not to be told of to others. */
  hidden: boolean;
  /** To be shown as a recorder. */
  recorder: boolean;
  /** To be an agent. */
  agent: boolean;
}

/** All that a client needs to join a room. `util.inspect`, and so `console.log`, shows nothing of the token. */
export interface Credentials {
  /** The server, as the client reaches it. */
  url: string;
  /** The access token. */
  token: string;
  /** The room. */
  roomId: string;
  /** Who joins, as the token says. */
  identity: string;
  /** Until when one can join with it, as the token says; RFC 3339. */
  expiresAt: string;
  /** What the token allows, as it says. */
  grants: Grants;
}
