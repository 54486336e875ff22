//! What a controller can ask of a session, and what it gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{AgentState, UserState};
use super::item::{Item, is_false};
use super::usage::{self, ModelUsage};
use super::value::{json, timestamp};
use crate::time::Timestamp;
use crate::turn::Turn;
use crate::voice::Speech;
use crate::wire;

/// One call on a session, the same in every language: `{"op": "say", "text": "hi"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Wait until the session is ready. Answer: [`Answer::Started`].
    Start,
    /// One turn of the user, as text. Turns queue and go one at a time. Answer: [`Answer::Turn`].
    Say {
        /// What the user says.
        text: String,
    },
    /// One turn of the user, aloud, in a session with audio. Answer: [`Answer::Turn`].
    SayAudio(SpokenTurn),
    /// More of what a live turn says. Answer: [`Answer::Done`].
    SayMore(MoreSpeech),
    /// The whole conversation. Answer: [`Answer::History`].
    History,
    /// The agent's instructions, tools and context. Answer: [`Answer::AgentInfo`].
    AgentInfo,
    /// What agent and user are doing, and the session's options. Answer: [`Answer::SessionState`].
    SessionState,
    /// What the models have used so far. Answer: [`Answer::Usage`].
    Usage,
    /// The agent's WebRTC statistics. Answer: [`Answer::RtcStats`].
    RtcStats,
    /// The agent's SDK and its version. Answer: [`Answer::FrameworkInfo`].
    FrameworkInfo,
    /// Turn inputs and outputs of the agent on or off. Answer: [`Answer::Done`].
    UpdateIo(IoUpdate),
    /// Ask the agent for its verdict on a simulation. Answer: [`Answer::Verdict`].
    FinalizeSimulation {
        /// What the simulation thinks so far.
        provisional_success: bool,
        /// Why.
        #[serde(default)]
        provisional_reason: String,
    },
    /// Ask whether the session answers. Answer: [`Answer::Done`].
    Ping,
}

/// What a user says aloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpokenTurn {
    /// The speech.
    pub audio: Speech,
    /// What it says in words, if that is known. It is not sent: the agent hears the speech.
    #[serde(default)]
    pub text: String,
    /// Unset, the turn waits for those before it. Set, the user speaks while the agent does: as soon as it has been heard for so many
    /// milliseconds without a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupt_after_ms: Option<f64>,
    /// A name for the turn, where the speech is only its beginning, as of a microphone. The rest comes under that name, by
    /// [`Operation::SayMore`], and the turn waits for the last of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
}

/// More of what a user says aloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoreSpeech {
    /// The name of the turn.
    pub live: String,
    /// The speech that follows what the turn has so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Speech>,
    /// Whether nothing more comes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub last: bool,
}

/// Toggles of an agent's inputs and outputs; unset leaves one alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IoUpdate {
    /// Whether the agent hears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<bool>,
    /// Whether the agent sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_video: Option<bool>,
    /// Whether the agent speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<bool>,
    /// Whether the agent shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_video: Option<bool>,
    /// Whether the agent transcribes what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_transcription: Option<bool>,
}

/// What a session answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// The session is ready.
    Started(Started),
    /// The turn is over.
    Turn(Turn),
    /// The conversation, oldest first.
    History {
        /// Its items.
        items: Vec<Item>,
    },
    /// About the agent.
    AgentInfo(AgentInfo),
    /// About the session.
    SessionState(SessionState),
    /// What the models have used so far.
    Usage {
        /// One entry for each model.
        models: Vec<ModelUsage>,
    },
    /// The agent's WebRTC statistics; empty without a room.
    RtcStats(RtcStats),
    /// The agent's SDK.
    FrameworkInfo(FrameworkInfo),
    /// The agent's verdict on a simulation.
    Verdict(Verdict),
    /// Done; there is nothing to tell.
    Done,
}

/// A session that is ready for its first turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The agent's SDK, if it told in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<FrameworkInfo>,
    /// The agent that speaks first, if the session told in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// What happened before: the first handoff, a greeting.
    pub events: Vec<super::event::Event>,
}

/// About the agent that speaks now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its id.
    pub id: String,
    /// Its instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Names of its tools.
    pub tools: Vec<String>,
    /// What it knows of the conversation.
    pub context: Vec<Item>,
}

/// About the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionState {
    /// What the agent is doing.
    pub agent_state: AgentState,
    /// What the user is doing, as the agent sees it.
    pub user_state: UserState,
    /// The agent that speaks now.
    pub agent_id: String,
    /// The session's options, each as its SDK writes it (Python: repr, JS: JSON).
    pub options: BTreeMap<String, String>,
    /// When the session began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

/// WebRTC statistics as the agent's SDK gives them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RtcStats {
    /// Of what the agent publishes.
    pub publisher: Vec<Value>,
    /// Of what the agent subscribes to.
    pub subscriber: Vec<Value>,
}

/// The agent's SDK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkInfo {
    /// `python` or `js`.
    pub sdk: String,
    /// Its version.
    pub sdk_version: String,
}

/// The agent's verdict on a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it succeeded.
    pub success: bool,
    /// Why.
    pub reason: String,
    /// Whether the agent gave no verdict of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub missing: bool,
}

impl Operation {
    /// The operation's name in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Say { .. } => "say",
            Self::SayAudio(_) => "say_audio",
            Self::SayMore(_) => "say_more",
            Self::History => "history",
            Self::AgentInfo => "agent_info",
            Self::SessionState => "session_state",
            Self::Usage => "usage",
            Self::RtcStats => "rtc_stats",
            Self::FrameworkInfo => "framework_info",
            Self::UpdateIo(_) => "update_io",
            Self::FinalizeSimulation { .. } => "finalize_simulation",
            Self::Ping => "ping",
        }
    }

    pub(crate) fn into_wire(self) -> Option<wire::session_request::Request> {
        use wire::session_request as request;
        use wire::session_request::Request as Wire;
        Some(match self {
            Self::Start | Self::SayAudio(_) | Self::SayMore(_) => return None,
            Self::Say { text } => Wire::RunInput(request::RunInput { text }),
            Self::History => Wire::GetChatHistory(request::GetChatHistory {}),
            Self::AgentInfo => Wire::GetAgentInfo(request::GetAgentInfo {}),
            Self::SessionState => Wire::GetSessionState(request::GetSessionState {}),
            Self::Usage => Wire::GetSessionUsage(request::GetSessionUsage {}),
            Self::RtcStats => Wire::GetRtcStats(request::GetRtcStats {}),
            Self::FrameworkInfo => Wire::GetFrameworkInfo(request::GetFrameworkInfo {}),
            Self::UpdateIo(io) => Wire::UpdateIo(io.into()),
            Self::FinalizeSimulation { provisional_success, provisional_reason } => {
                Wire::FinalizeSimulation(request::FinalizeSimulation {
                    provisional_success,
                    provisional_reason,
                })
            }
            Self::Ping => Wire::Ping(request::Ping {}),
        })
    }
}

impl Answer {
    /// Whether it is of the kind that the operation of this name asks for.
    pub(crate) fn is_for(&self, operation: &str) -> bool {
        operation
            == match self {
                Self::Started(_) => "start",
                Self::Turn(_) => "say",
                Self::History { .. } => "history",
                Self::AgentInfo(_) => "agent_info",
                Self::SessionState(_) => "session_state",
                Self::Usage { .. } => "usage",
                Self::RtcStats(_) => "rtc_stats",
                Self::FrameworkInfo(_) => "framework_info",
                Self::Verdict(_) => "finalize_simulation",
                Self::Done => return matches!(operation, "update_io" | "ping"),
            }
    }
}

impl IoUpdate {
    /// Text only: neither ears nor mouth.
    pub const fn text_mode() -> Self {
        Self {
            input_audio: Some(false),
            input_video: None,
            output_audio: Some(false),
            output_video: None,
            output_transcription: Some(false),
        }
    }
}

impl From<IoUpdate> for wire::session_request::UpdateIo {
    fn from(io: IoUpdate) -> Self {
        use wire::session_request::update_io::{Input, Output};
        let input = Input { audio_enabled: io.input_audio, video_enabled: io.input_video };
        let output = Output {
            audio_enabled: io.output_audio,
            video_enabled: io.output_video,
            transcription_enabled: io.output_transcription,
        };
        Self {
            input: (input != Input::default()).then_some(input),
            output: (output != Output::default()).then_some(output),
        }
    }
}

/// The payload of a response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Payload {
    Answer(Answer),
    RunInput(Vec<Item>),
}

impl Payload {
    /// What a response holds; `None` for a kind newer than this schema.
    pub(crate) fn from_wire(response: wire::session_response::Response) -> Self {
        use wire::session_response::Response as Wire;
        Self::Answer(match response {
            Wire::Pong(_) | Wire::UpdateIo(_) => Answer::Done,
            Wire::GetChatHistory(history) => Answer::History { items: Item::from_wire(history.items) },
            Wire::RunInput(run) => return Self::RunInput(Item::from_wire(run.items)),
            Wire::GetAgentInfo(info) => Answer::AgentInfo(AgentInfo {
                id: info.id,
                instructions: info.instructions,
                tools: info.tools,
                context: Item::from_wire(info.chat_ctx),
            }),
            Wire::GetSessionState(state) => Answer::SessionState(SessionState {
                agent_state: state.agent_state.into(),
                user_state: state.user_state.into(),
                agent_id: state.agent_id,
                options: state.options,
                created_at: timestamp(state.created_at),
            }),
            Wire::GetRtcStats(stats) => Answer::RtcStats(RtcStats {
                publisher: stats.publisher_stats.into_iter().map(json).collect(),
                subscriber: stats.subscriber_stats.into_iter().map(json).collect(),
            }),
            Wire::GetSessionUsage(used) => Answer::Usage { models: usage::from_wire(used.usage) },
            Wire::GetFrameworkInfo(info) => {
                Answer::FrameworkInfo(FrameworkInfo { sdk: info.sdk, sdk_version: info.sdk_version })
            }
            Wire::FinalizeSimulation(done) => Answer::Verdict(
                done.user_verdict
                    .map(|verdict| Verdict {
                        success: verdict.success,
                        reason: verdict.reason,
                        missing: false,
                    })
                    .unwrap_or(Verdict { missing: true, ..Verdict::default() }),
            ),
        })
    }
}
