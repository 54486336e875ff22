//! What an agent sends, in the words of the wire. The sequences are those of livekit-agents 1.8.9 and @livekit/agents 1.9.0.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use greenroom_protocol::wire::agent_session_event::{self as event, Event as Wire};
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::chat_context::{ChatItem, chat_item::Item};
use greenroom_protocol::wire::session_response::{self as payload, Response as Payload};
use greenroom_protocol::wire::{self, chat_message};
use prost::Message as _;

pub(crate) type WireEvent = Wire;

pub(crate) fn encode(message: Message) -> Bytes {
    wire::AgentSessionMessage { message: Some(message) }.encode_to_vec().into()
}

pub(crate) fn event(event: Wire) -> Message {
    Message::Event(wire::AgentSessionEvent { created_at: None, event: Some(event) })
}

pub(crate) fn response(id: &str, error: Option<&str>, response: Option<Payload>) -> Message {
    Message::Response(wire::SessionResponse {
        request_id: id.to_owned(),
        error: error.map(str::to_owned),
        response,
    })
}

pub(crate) fn run_input(id: &str, error: Option<&str>, items: impl IntoIterator<Item = ChatItem>) -> Message {
    let items = items.into_iter().collect();
    response(id, error, Some(Payload::RunInput(payload::RunInputResponse { items })))
}

/// An item id that no other item has.
fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("item_{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn item(item: Item) -> ChatItem {
    ChatItem { item: Some(item) }
}

pub(crate) fn message(role: wire::ChatRole, text: &str) -> wire::ChatMessage {
    wire::ChatMessage {
        id: fresh(),
        role: role.into(),
        content: vec![chat_message::ChatContent {
            payload: Some(chat_message::chat_content::Payload::Text(text.to_owned())),
        }],
        metrics: Some(Default::default()),
        ..Default::default()
    }
}

pub(crate) fn user(text: &str) -> ChatItem {
    item(Item::Message(message(wire::ChatRole::User, text)))
}

pub(crate) fn assistant(text: &str) -> ChatItem {
    item(Item::Message(message(wire::ChatRole::Assistant, text)))
}

/// An assistant's message that speech cut off.
pub(crate) fn cut_off(text: &str) -> ChatItem {
    item(Item::Message(wire::ChatMessage { interrupted: true, ..message(wire::ChatRole::Assistant, text) }))
}

pub(crate) fn handoff(from: Option<&str>, to: &str) -> ChatItem {
    item(Item::AgentHandoff(wire::AgentHandoff {
        id: fresh(),
        old_agent_id: from.map(str::to_owned),
        new_agent_id: to.to_owned(),
        created_at: None,
    }))
}

pub(crate) fn config(added: &[&str]) -> ChatItem {
    item(Item::AgentConfigUpdate(wire::AgentConfigUpdate {
        id: fresh(),
        tools_added: added.iter().map(|&name| name.to_owned()).collect(),
        ..Default::default()
    }))
}

/// A tool's run: its name, the LLM's id of the call, its output or its error.
#[derive(Clone, Copy)]
pub(crate) struct Tool<'a> {
    pub(crate) name: &'a str,
    pub(crate) call_id: &'a str,
    pub(crate) output: Result<&'a str, &'a str>,
}

impl Tool<'_> {
    fn output(self, id: String) -> wire::FunctionCallOutput {
        wire::FunctionCallOutput {
            id,
            name: self.name.to_owned(),
            call_id: self.call_id.to_owned(),
            output: self.output.unwrap_or_else(|error| error).to_owned(),
            is_error: self.output.is_err(),
            created_at: None,
        }
    }

    fn call(self, id: String) -> wire::FunctionCall {
        wire::FunctionCall {
            id,
            call_id: self.call_id.to_owned(),
            arguments: "{}".to_owned(),
            name: self.name.to_owned(),
            ..Default::default()
        }
    }

    /// As the response and the history have it: two items with ids of their own.
    pub(crate) fn items(self) -> [ChatItem; 2] {
        [item(Item::FunctionCall(self.call(fresh()))), item(Item::FunctionCallOutput(self.output(fresh())))]
    }

    /// The output alone: Python's response leaves out the call of a tool that the agent does not have.
    pub(crate) fn output_item(self) -> ChatItem {
        item(Item::FunctionCallOutput(self.output(fresh())))
    }
}

/// As live events have it: without item ids.
pub(crate) fn tools(tools: &[Tool<'_>]) -> Wire {
    Wire::FunctionToolsExecuted(event::FunctionToolsExecuted {
        function_calls: tools.iter().map(|tool| tool.call(String::new())).collect(),
        function_call_outputs: tools.iter().map(|tool| tool.output(String::new())).collect(),
    })
}

pub(crate) fn added(item: ChatItem) -> Wire {
    Wire::ConversationItemAdded(event::ConversationItemAdded { item: Some(item) })
}

/// 0 initializing, 1 idle, 2 listening, 3 thinking, 4 speaking.
pub(crate) fn state(from: i32, to: i32) -> Wire {
    Wire::AgentStateChanged(event::AgentStateChanged { old_state: from, new_state: to })
}

pub(crate) fn usage() -> Wire {
    Wire::SessionUsageUpdated(event::SessionUsageUpdated::default())
}

pub(crate) fn error(message: &str) -> Wire {
    Wire::Error(event::Error { message: message.to_owned() })
}

/// Speech of the agent's: so many samples of this value.
pub(crate) fn speech(samples: usize, value: i16) -> Message {
    Message::AudioOutput(wire::agent_session_message::console_io::AudioFrame {
        data: value.to_le_bytes().repeat(samples).into(),
        sample_rate: 48_000,
        num_channels: 1,
        samples_per_channel: samples as u32,
    })
}

/// A segment of speech is complete.
pub(crate) fn flush() -> Message {
    Message::AudioPlaybackFlush(Default::default())
}

/// What is not played yet must not be.
pub(crate) fn clear() -> Message {
    Message::AudioPlaybackClear(Default::default())
}

/// What the agent's speech recognition heard.
pub(crate) fn transcript(text: &str, is_final: bool) -> WireEvent {
    Wire::UserInputTranscribed(event::UserInputTranscribed {
        transcript: text.to_owned(),
        is_final,
        language: None,
    })
}
