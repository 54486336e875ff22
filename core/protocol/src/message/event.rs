//! What happens in a session, in one vocabulary for every language, the command and the daemon.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::item::{ChatMessage, ConfigUpdate, Handoff, Item, ToolCall, UNKNOWN_ITEM, is_false};
use super::usage::{self, ModelUsage};
use super::value::{json, number, seconds, timestamp, wire_enum};
use crate::time::Timestamp;
use crate::wire;

/// One thing that happened, at its place in the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number; events are numbered from 1 in the order in which they were received.
    pub seq: u64,
    /// When it was received.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// In a turn: it belongs to what happened before this turn.
    #[serde(default, skip_serializing_if = "is_false")]
    pub earlier: bool,
    /// It belongs to a turn whose caller had given up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// The whole message in base64, where it holds more than this version can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// What happened. The names in JSON are a superset of those of LiveKit's own debugger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody said something (wire: conversation_item_added).
    Message(ChatMessage),
    /// A tool was called and has answered (wire: function_tools_executed).
    ToolCall(ToolCall),
    /// Another agent took over (wire: conversation_item_added).
    Handoff(Handoff),
    /// The agent's instructions or tools changed (wire: conversation_item_added).
    Config(ConfigUpdate),
    /// Something failed in the agent (wire: error).
    Error {
        /// In the agent's words.
        message: String,
    },
    /// A line of the agent's log.
    Log {
        /// The line, cut where it is very long.
        text: String,
    },
    /// The agent or the user went from one state to another (wire: agent_state_changed, user_state_changed).
    State(StateChange),
    /// The agent's speech recognition heard something (wire: user_input_transcribed).
    Transcript {
        /// What it heard.
        text: String,
        /// Whether it will not change any more.
        is_final: bool,
        /// A language tag; released hosts set none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        language: Option<String>,
    },
    /// Tools are about to run (wire: function_tools_started; no released host sends it).
    ToolsStarted {
        /// The calls, without outputs.
        calls: Vec<ToolCall>,
    },
    /// A running tool moved on (wire: tool_execution_updated; Python only).
    ToolUpdate(ToolUpdate),
    /// What the models have used so far (wire: session_usage_updated).
    Usage {
        /// One entry for each model.
        models: Vec<ModelUsage>,
    },
    /// User and agent spoke at once (wire: overlapping_speech).
    OverlappingSpeech {
        /// Whether the agent takes it as an interruption.
        is_interruption: bool,
        /// When it began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overlap_started_at: Option<Timestamp>,
        /// Seconds.
        detection_delay: f64,
        /// When the agent noticed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detected_at: Option<Timestamp>,
    },
    /// What had looked like an interruption was none (wire: agent_false_interruption).
    FalseInterruption {
        /// Whether the agent went on speaking.
        resumed: bool,
    },
    /// A guess of the answering machine detection (wire: amd_prediction).
    AmdPrediction(AmdPrediction),
    /// The verdict of the answering machine detection (wire: amd_completed, since livekit/protocol 1.54).
    AmdCompleted {
        /// Who or what answered.
        category: AmdCategory,
        /// Why the detection thinks so.
        reason: String,
        /// Whether the voicemail message was played.
        voicemail_message_played: bool,
        /// The guess it rests on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prediction: Option<AmdPrediction>,
    },
    /// A guess of the end-of-turn detection (wire: eot_prediction).
    EotPrediction {
        /// That the turn is over, 0 to 1.
        probability: f32,
        /// From where on the agent takes it as over.
        threshold: f32,
        /// Seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inference_duration: Option<f64>,
        /// Seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delay: Option<f64>,
    },
    /// A message of the SDK for its own developers (wire: debug_message).
    Debug {
        /// As the SDK sent it.
        payload: Value,
    },
    /// The agent says that the session is over (wire: session_closed, since livekit/protocol 1.54).
    SessionClosed {
        /// Why.
        reason: SessionCloseReason,
        /// What went wrong, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The agent does not answer: its event loop is blocked, or the machine is very busy. Comes once
    /// when a ping stays unanswered, and once more when the agent is back.
    AgentUnresponsive {
        /// How long the agent has been silent, in milliseconds.
        silent_ms: f64,
        /// Whether the agent answers again.
        #[serde(default, skip_serializing_if = "is_false")]
        recovered: bool,
    },
    /// The session's link is closed: the last event.
    Closed {
        /// Why.
        reason: CloseReason,
        /// The same for people.
        message: String,
    },
    /// Events are missing here: the reader was too far behind, or the agent's messages could not be
    /// read.
    Gap {
        /// How many.
        dropped: u64,
    },
    /// The answer to a turn whose caller had given up.
    LateTurn {
        /// What the user had said.
        text: String,
        /// What the agent replied.
        reply: String,
        /// The agent's error, if it answered with one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A message that this version does not know, or bytes that are no message.
    Unknown {
        /// Why it is not understood.
        what: String,
    },
}

/// The agent or the user went from one state to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum StateChange {
    /// The agent did.
    Agent {
        /// The state before.
        from: AgentState,
        /// The state now.
        to: AgentState,
    },
    /// The user did, as the agent sees it.
    User {
        /// The state before.
        from: UserState,
        /// The state now.
        to: UserState,
    },
}

/// A running tool moved on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "update", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolUpdate {
    /// It began.
    Started {
        /// The call, without output.
        call: ToolCall,
    },
    /// It told of its progress.
    Progress {
        /// The SDK's id of the update.
        id: String,
        /// The LLM's id of the call.
        call_id: String,
        /// Its words.
        message: String,
    },
    /// The reply about its progress moved on.
    Reply {
        /// The updates that the reply is about.
        update_ids: Vec<String>,
        /// How far the reply is.
        status: ToolReplyStatus,
        /// The SDK's id of the speech.
        speech_id: String,
    },
    /// It ended.
    Ended {
        /// The SDK's id of the update.
        id: String,
        /// The LLM's id of the call.
        call_id: String,
        /// Its output or its error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// How it ended.
        status: ToolCallStatus,
    },
    /// An update newer than this schema.
    Unknown,
}

/// A guess of the answering machine detection. Durations are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmdPrediction {
    /// Who or what answered.
    pub category: AmdCategory,
    /// Why the detection thinks so.
    pub reason: String,
    /// What was heard.
    pub transcript: String,
    /// How long the other side spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech_duration: Option<f64>,
    /// End of speech to the guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<f64>,
    /// How long the model took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_duration: Option<f64>,
    /// The turn that the guess is about; 0 where the host sets none.
    #[serde(default)]
    pub turn_id: u32,
    /// The stage of the detection.
    #[serde(default = "AmdCategory::none")]
    pub stage: AmdCategory,
}

/// Why a session's link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CloseReason {
    /// Somebody on this side closed it.
    Closed,
    /// The agent never got as far as to be ready.
    StartFailed,
    /// The agent's process ended.
    AgentExited,
    /// The agent closed the connection; its process may live on.
    AgentDisconnected,
    /// The agent ended its session by itself: it hung up.
    AgentEnded,
    /// The agent's participant left the room.
    AgentLeft,
    /// The room is gone.
    RoomDisconnected,
    /// What came is not the protocol, and the link could not go on.
    ProtocolError,
    /// Nothing was asked for longer than the session waits.
    Idle,
    /// The daemon that holds the session is gone.
    DaemonGone,
}

wire_enum! {
    /// What the agent is doing.
    AgentState {
        /// It starts.
        Initializing = 0 "initializing",
        /// It waits for nobody.
        Idle = 1 "idle",
        /// It listens.
        Listening = 2 "listening",
        /// It makes up its reply.
        Thinking = 3 "thinking",
        /// It speaks.
        Speaking = 4 "speaking",
    }
}

wire_enum! {
    /// What the user is doing, as the agent sees it.
    UserState {
        /// The user speaks.
        Speaking = 0 "speaking",
        /// The user listens.
        Listening = 1 "listening",
        /// The user has said nothing for long.
        Away = 2 "away",
    }
}

wire_enum! {
    /// How a tool's run stands.
    ToolCallStatus {
        /// It runs.
        Running = 0 "running",
        /// It is done.
        Done = 1 "done",
        /// It failed.
        Error = 2 "error",
        /// It was cancelled.
        Cancelled = 3 "cancelled",
    }
}

wire_enum! {
    /// How the reply about a tool's progress stands.
    ToolReplyStatus {
        /// It will be spoken.
        Scheduled = 0 "scheduled",
        /// It was spoken.
        Completed = 1 "completed",
        /// It was cut off.
        Interrupted = 2 "interrupted",
        /// It was left out.
        Skipped = 3 "skipped",
    }
}

wire_enum! {
    /// Who or what answered a call.
    AmdCategory {
        /// Not known.
        None = 0 "unknown",
        /// A person.
        Human = 1 "human",
        /// A voice menu.
        MachineIvr = 2 "machine_ivr",
        /// A voicemail.
        MachineVm = 3 "machine_vm",
        /// An announcement that nobody is to be had.
        MachineUnavailable = 4 "machine_unavailable",
        /// Not clear yet.
        Uncertain = 5 "uncertain",
        /// A call screening.
        MachineScreening = 6 "machine_screening",
        /// Wait for more.
        Wait = 7 "wait",
    }
}

wire_enum! {
    /// Why the agent says that its session is over.
    SessionCloseReason {
        /// It does not say.
        None = 0 "unknown",
        /// Something failed.
        Error = 1 "error",
        /// The job was shut down.
        JobShutdown = 2 "job_shutdown",
        /// The participant left.
        ParticipantDisconnected = 3 "participant_disconnected",
        /// The user asked for it.
        UserInitiated = 4 "user_initiated",
        /// It ran to its end.
        Completed = 5 "completed",
    }
}

impl AmdCategory {
    const fn none() -> Self {
        Self::None
    }
}

impl CloseReason {
    /// The reason as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::StartFailed => "start_failed",
            Self::AgentExited => "agent_exited",
            Self::AgentDisconnected => "agent_disconnected",
            Self::AgentEnded => "agent_ended",
            Self::AgentLeft => "agent_left",
            Self::RoomDisconnected => "room_disconnected",
            Self::ProtocolError => "protocol_error",
            Self::Idle => "idle",
            Self::DaemonGone => "daemon_gone",
        }
    }
}

impl From<Item> for EventKind {
    fn from(item: Item) -> Self {
        match item {
            Item::Message(message) => Self::Message(message),
            Item::ToolCall(call) => Self::ToolCall(call),
            Item::Handoff(handoff) => Self::Handoff(handoff),
            Item::Config(update) => Self::Config(update),
            Item::Unknown { what } => Self::Unknown { what },
        }
    }
}

impl EventKind {
    /// What one event of the wire tells; several where it tells of several tools.
    pub(crate) fn from_wire(event: wire::agent_session_event::Event) -> Vec<Self> {
        use wire::agent_session_event::Event as Wire;
        vec![match event {
            Wire::AgentStateChanged(change) => {
                Self::State(StateChange::Agent { from: change.old_state.into(), to: change.new_state.into() })
            }
            Wire::UserStateChanged(change) => {
                Self::State(StateChange::User { from: change.old_state.into(), to: change.new_state.into() })
            }
            Wire::ConversationItemAdded(added) => {
                let mut items = Item::from_wire(added.item.into_iter().collect());
                items.pop().unwrap_or_else(|| Item::Unknown { what: UNKNOWN_ITEM.to_owned() }).into()
            }
            Wire::UserInputTranscribed(heard) => Self::Transcript {
                text: heard.transcript,
                is_final: heard.is_final,
                language: heard.language,
            },
            Wire::FunctionToolsExecuted(tools) => {
                return ToolCall::pair(tools.function_calls, tools.function_call_outputs)
                    .into_iter()
                    .map(Self::ToolCall)
                    .collect();
            }
            Wire::Error(error) => Self::Error { message: error.message },
            Wire::OverlappingSpeech(overlap) => Self::OverlappingSpeech {
                is_interruption: overlap.is_interruption,
                overlap_started_at: timestamp(overlap.overlap_started_at),
                detection_delay: number(overlap.detection_delay),
                detected_at: timestamp(overlap.detected_at),
            },
            Wire::SessionUsageUpdated(used) => Self::Usage { models: usage::from_wire(used.usage) },
            Wire::AmdPrediction(guess) => Self::AmdPrediction(guess.into()),
            Wire::AmdCompleted(done) => Self::AmdCompleted {
                category: done.category.into(),
                reason: done.reason,
                voicemail_message_played: done.voicemail_message_played,
                prediction: done.prediction.map(AmdPrediction::from),
            },
            Wire::EotPrediction(guess) => Self::EotPrediction {
                probability: number(guess.probability.into()) as f32,
                threshold: number(guess.threshold.into()) as f32,
                inference_duration: seconds(guess.inference_duration),
                delay: seconds(guess.delay),
            },
            Wire::FunctionToolsStarted(tools) => {
                Self::ToolsStarted { calls: tools.function_calls.into_iter().map(ToolCall::from).collect() }
            }
            Wire::DebugMessage(debug) => {
                Self::Debug { payload: debug.payload.map(json).unwrap_or(Value::Null) }
            }
            Wire::ToolExecutionUpdated(update) => Self::ToolUpdate(update.into()),
            Wire::AgentFalseInterruption(none) => Self::FalseInterruption { resumed: none.resumed },
            Wire::SessionClosed(closed) => {
                Self::SessionClosed { reason: closed.reason.into(), error: closed.error }
            }
        }]
    }

    /// The event's name in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::ToolCall(_) => "tool_call",
            Self::Handoff(_) => "handoff",
            Self::Config(_) => "config",
            Self::Error { .. } => "error",
            Self::Log { .. } => "log",
            Self::State(_) => "state",
            Self::Transcript { .. } => "transcript",
            Self::ToolsStarted { .. } => "tools_started",
            Self::ToolUpdate(_) => "tool_update",
            Self::Usage { .. } => "usage",
            Self::OverlappingSpeech { .. } => "overlapping_speech",
            Self::FalseInterruption { .. } => "false_interruption",
            Self::AmdPrediction(_) => "amd_prediction",
            Self::AmdCompleted { .. } => "amd_completed",
            Self::EotPrediction { .. } => "eot_prediction",
            Self::Debug { .. } => "debug",
            Self::SessionClosed { .. } => "session_closed",
            Self::AgentUnresponsive { .. } => "agent_unresponsive",
            Self::Closed { .. } => "closed",
            Self::Gap { .. } => "gap",
            Self::LateTurn { .. } => "late_turn",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether a turn tells of it: what was said and done, not how the session stood.
    pub(crate) const fn is_part_of_a_turn(&self) -> bool {
        matches!(
            self,
            Self::Message(_)
                | Self::ToolCall(_)
                | Self::Handoff(_)
                | Self::Config(_)
                | Self::Error { .. }
                | Self::Gap { .. }
                | Self::AgentUnresponsive { .. }
        )
    }
}

impl From<wire::agent_session_event::AmdPrediction> for AmdPrediction {
    fn from(guess: wire::agent_session_event::AmdPrediction) -> Self {
        Self {
            category: guess.category.into(),
            reason: guess.reason,
            transcript: guess.transcript,
            speech_duration: seconds(guess.speech_duration),
            delay: seconds(guess.delay),
            inference_duration: seconds(guess.inference_duration),
            turn_id: guess.turn_id,
            stage: guess.stage.into(),
        }
    }
}

impl From<wire::agent_session_event::ToolExecutionUpdated> for ToolUpdate {
    fn from(update: wire::agent_session_event::ToolExecutionUpdated) -> Self {
        use wire::agent_session_event::tool_execution_updated::Update as Wire;
        match update.update {
            Some(Wire::Started(started)) => {
                Self::Started { call: started.function_call.map(ToolCall::from).unwrap_or_default() }
            }
            Some(Wire::CallUpdated(u)) => Self::Progress { id: u.id, call_id: u.call_id, message: u.message },
            Some(Wire::ReplyUpdated(u)) => {
                Self::Reply { update_ids: u.update_ids, status: u.status.into(), speech_id: u.speech_id }
            }
            Some(Wire::Ended(u)) => {
                Self::Ended { id: u.id, call_id: u.call_id, message: u.message, status: u.status.into() }
            }
            None => Self::Unknown,
        }
    }
}
