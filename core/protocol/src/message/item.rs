//! What a conversation is made of: messages, tool calls, handoffs, configuration changes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::value::{measured, timestamp, wire_enum};
use crate::time::Timestamp;
use crate::wire;

/// What an item is called whose kind is newer than this schema.
pub(super) const UNKNOWN_ITEM: &str = "a conversation item of an unknown kind";

/// How livekit-agents 2 begins the output of a call that waits for the person's approval or answer.
const WAITING_PREFIX: &str = "waiting for the person's answer to: ";

/// One item of a conversation.
///
/// A call of a tool and its output are one item here; on the wire they are two, joined by their call id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Item {
    /// Somebody said something.
    Message(ChatMessage),
    /// The agent called a tool.
    ToolCall(ToolCall),
    /// Another agent took over.
    Handoff(Handoff),
    /// The agent's instructions or tools changed.
    Config(ConfigUpdate),
    /// Something that this version does not know.
    Unknown {
        /// Why it is not understood.
        what: String,
    },
}

/// A message of the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// The SDK's id of the item.
    pub id: String,
    /// Who speaks.
    pub role: Role,
    /// What is said; parts are joined by line breaks. The wire carries no images and no audio.
    pub text: String,
    /// How many bytes of the message are missing in `text`, where it was too large for the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_bytes: Option<u64>,
    /// The parts, where there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// Whether the speech was cut off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub interrupted: bool,
    /// How sure the speech recognition was, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript_confidence: Option<f64>,
    /// What the agent's author put beside the message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
    /// What the agent measured.
    #[serde(default, skip_serializing_if = "Metrics::is_empty")]
    pub metrics: Metrics,
    /// When the SDK made the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

/// The agent's own measurements of one message: delays in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// When the speech began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_speaking_at: Option<Timestamp>,
    /// When the speech ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_speaking_at: Option<Timestamp>,
    /// End of speech to final transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcription_delay: Option<f64>,
    /// End of speech to the decision that the turn is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_turn_delay: Option<f64>,
    /// Time in the agent's `on_user_turn_completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_user_turn_completed_delay: Option<f64>,
    /// To the LLM's first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_ttft: Option<f64>,
    /// To the LLM's first sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_ttfs: Option<f64>,
    /// Tokens per second of the LLM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_tps: Option<f64>,
    /// To the first byte of speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tts_ttfb: Option<f64>,
    /// End of the user's speech to the agent's first sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2e_latency: Option<f64>,
}

/// A call of a tool, with its output once there is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The LLM's id of the call. Scripted LLMs repeat theirs.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// JSON text, as the LLM wrote it.
    pub arguments: String,
    /// What the tool gave back, as the SDK encodes it: Python as text, JS as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Whether the output tells of a failure.
    #[serde(default)]
    pub is_error: bool,
    /// What failed, in the tool's own words, where the output that the model got does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the call waits for the person's answer and has not run; `output` has the question.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waiting: bool,
    /// How many bytes of the call are missing, where it was too large for the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_bytes: Option<u64>,
    /// The SDK's id of the call item; live events have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The SDK's id of the output item.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output_id: String,
    /// What the agent's author put beside the call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
    /// When the SDK made the call item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When the SDK made the output item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_at: Option<Timestamp>,
}

/// Another agent takes over; the session's first agent comes with `from` unset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handoff {
    /// The SDK's id of the item.
    pub id: String,
    /// The agent that leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The agent that takes over.
    pub to: String,
    /// When the SDK made the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

/// The agent's instructions or tools changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigUpdate {
    /// The SDK's id of the item.
    pub id: String,
    /// The new instructions, if they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Names of tools that came.
    #[serde(default)]
    pub tools_added: Vec<String>,
    /// Names of tools that went.
    #[serde(default)]
    pub tools_removed: Vec<String>,
    /// When the SDK made the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

wire_enum! {
    /// Who speaks.
    Role {
        /// The agent's author.
        Developer = 0 "developer",
        /// The system prompt.
        System = 1 "system",
        /// The user.
        User = 2 "user",
        /// The agent.
        Assistant = 3 "assistant",
    }
}

impl Item {
    /// The items of a response or of the history; calls of tools are joined with their outputs.
    pub(crate) fn from_wire(items: Vec<wire::chat_context::ChatItem>) -> Vec<Self> {
        use wire::chat_context::chat_item::Item as Wire;
        let mut found: Vec<Self> = Vec::with_capacity(items.len());
        let mut open = OpenCalls::default();
        for item in items {
            let item = match item.item {
                Some(Wire::Message(message)) => Self::Message(message.into()),
                Some(Wire::FunctionCall(call)) => {
                    open.begin(&call.call_id, found.len());
                    Self::ToolCall(call.into())
                }
                Some(Wire::FunctionCallOutput(output)) => {
                    match open.end(&output.call_id).and_then(|at| found.get_mut(at)) {
                        Some(Self::ToolCall(call)) => {
                            call.complete(output);
                            continue;
                        }
                        _ => Self::ToolCall(ToolCall::from_output(output)),
                    }
                }
                Some(Wire::AgentHandoff(handoff)) => Self::Handoff(handoff.into()),
                Some(Wire::AgentConfigUpdate(update)) => Self::Config(update.into()),
                None => Self::Unknown { what: UNKNOWN_ITEM.to_owned() },
            };
            found.push(item);
        }
        found
    }

    /// The SDK's id of the item; empty where the wire carries none.
    pub fn id(&self) -> &str {
        match self {
            Self::Message(message) => &message.id,
            Self::ToolCall(call) => &call.id,
            Self::Handoff(handoff) => &handoff.id,
            Self::Config(update) => &update.id,
            Self::Unknown { .. } => "",
        }
    }
}

/// Calls whose output has not come, by call id; the first to come is the first to get one.
#[derive(Default)]
struct OpenCalls(HashMap<String, VecDeque<usize>>);

impl OpenCalls {
    fn begin(&mut self, call_id: &str, at: usize) {
        self.0.entry(call_id.to_owned()).or_default().push_back(at);
    }

    fn end(&mut self, call_id: &str) -> Option<usize> {
        self.0.get_mut(call_id)?.pop_front()
    }
}

impl ToolCall {
    pub(crate) fn pair(calls: Vec<wire::FunctionCall>, outputs: Vec<wire::FunctionCallOutput>) -> Vec<Self> {
        let mut found: Vec<Self> = calls.into_iter().map(Self::from).collect();
        let mut open = OpenCalls::default();
        for (at, call) in found.iter().enumerate() {
            open.begin(&call.call_id, at);
        }
        for output in outputs {
            match open.end(&output.call_id).and_then(|at| found.get_mut(at)) {
                Some(call) => call.complete(output),
                None => found.push(Self::from_output(output)),
            }
        }
        found
    }

    fn complete(&mut self, output: wire::FunctionCallOutput) {
        self.waiting = output.output.starts_with(WAITING_PREFIX);
        self.output = Some(output.output);
        self.is_error = output.is_error;
        self.output_id = output.id;
        self.output_at = timestamp(output.created_at);
    }

    fn from_output(output: wire::FunctionCallOutput) -> Self {
        let mut call = Self { call_id: output.call_id.clone(), name: output.name.clone(), ..Self::default() };
        call.complete(output);
        call
    }
}

impl Metrics {
    /// Whether the agent measured nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ConfigUpdate {
    /// What changed, in words: `instructions updated`, `tools added: a, b`, `tools removed: c`.
    pub fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.instructions.is_some() {
            changes.push("instructions updated".to_owned());
        }
        if !self.tools_added.is_empty() {
            changes.push(format!("tools added: {}", self.tools_added.join(", ")));
        }
        if !self.tools_removed.is_empty() {
            changes.push(format!("tools removed: {}", self.tools_removed.join(", ")));
        }
        changes
    }
}

impl From<wire::ChatMessage> for ChatMessage {
    fn from(message: wire::ChatMessage) -> Self {
        let mut parts: Vec<String> = message
            .content
            .into_iter()
            .filter_map(|content| content.payload)
            .map(|wire::chat_message::chat_content::Payload::Text(text)| text)
            .collect();
        let text = if parts.len() == 1 { parts.swap_remove(0) } else { parts.join("\n") };
        Self {
            id: message.id,
            role: message.role.into(),
            text,
            cut_bytes: None,
            parts,
            interrupted: message.interrupted,
            transcript_confidence: measured(message.transcript_confidence),
            extra: message.extra,
            metrics: message.metrics.map(Metrics::from).unwrap_or_default(),
            created_at: timestamp(message.created_at),
        }
    }
}

impl From<wire::MetricsReport> for Metrics {
    fn from(report: wire::MetricsReport) -> Self {
        Self {
            started_speaking_at: timestamp(report.started_speaking_at),
            stopped_speaking_at: timestamp(report.stopped_speaking_at),
            transcription_delay: measured(report.transcription_delay),
            end_of_turn_delay: measured(report.end_of_turn_delay),
            on_user_turn_completed_delay: measured(report.on_user_turn_completed_delay),
            llm_ttft: measured(report.llm_node_ttft),
            llm_ttfs: measured(report.llm_node_ttfs),
            llm_tps: measured(report.llm_node_tps),
            tts_ttfb: measured(report.tts_node_ttfb),
            e2e_latency: measured(report.e2e_latency),
        }
    }
}

impl From<wire::FunctionCall> for ToolCall {
    fn from(call: wire::FunctionCall) -> Self {
        Self {
            call_id: call.call_id,
            name: call.name,
            arguments: call.arguments,
            id: call.id,
            extra: call.extra,
            created_at: timestamp(call.created_at),
            ..Self::default()
        }
    }
}

impl From<wire::AgentHandoff> for Handoff {
    fn from(handoff: wire::AgentHandoff) -> Self {
        Self {
            id: handoff.id,
            from: handoff.old_agent_id,
            to: handoff.new_agent_id,
            created_at: timestamp(handoff.created_at),
        }
    }
}

impl From<wire::AgentConfigUpdate> for ConfigUpdate {
    fn from(update: wire::AgentConfigUpdate) -> Self {
        Self {
            id: update.id,
            instructions: update.instructions,
            tools_added: update.tools_added,
            tools_removed: update.tools_removed,
            created_at: timestamp(update.created_at),
        }
    }
}

pub(crate) const fn is_false(yes: &bool) -> bool {
    !*yes
}
