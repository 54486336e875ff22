//! The messages that all codecs read: those of the test vectors, and those of one conversation, in the proportions in which the
//! released SDKs send them.

use std::fs;
use std::path::{Path, PathBuf};

use greenroom_protocol::wire as proto;
use prost::Message as _;
use proto::agent_session_event as event;
use proto::agent_session_event::Event;
use proto::agent_session_message::Message;
use proto::chat_context::{ChatItem, chat_item};
use proto::session_response::{self, Response};
use proto::{AgentState, ChatRole};
use serde_json::{Value, json};

use crate::Outcome;

/// Frames of what an agent sends in the conversation.
pub(crate) const RECEIVED: &str = "received.frames";
/// What the controller asks for in it: a JSON array of the texts of its turns.
pub(crate) const SENT: &str = "sent.json";
/// Frames of the vectors.
pub(crate) const VECTORS: &str = "vectors.frames";

/// Turns of the conversation; every fourth calls a tool.
const TURNS: usize = 20;

/// Writes the messages, and counts them.
pub(crate) fn write(folder: &Path, vectors: &[PathBuf]) -> Outcome<Value> {
    fs::create_dir_all(folder)?;
    let conversation = Conversation::of(TURNS);
    fs::write(folder.join(RECEIVED), frames(&conversation.received))?;
    fs::write(folder.join(SENT), json!(conversation.texts).to_string())?;
    let vectors = read_vectors(vectors)?;
    fs::write(folder.join(VECTORS), frames(&vectors))?;
    Ok(json!({
        "received": conversation.received.len(),
        "received_bytes": conversation.received.iter().map(Vec::len).sum::<usize>(),
        "sent": conversation.texts.len(),
        "vectors": vectors.len(),
        "vectors_bytes": vectors.iter().map(Vec::len).sum::<usize>(),
    }))
}

fn frames(messages: &[Vec<u8>]) -> Vec<u8> {
    let frame = |message: &Vec<u8>| {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], message.as_slice()].concat()
    };
    messages.iter().flat_map(frame).collect()
}

fn read_vectors(files: &[PathBuf]) -> Outcome<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    for file in files {
        let document: Value = serde_json::from_slice(&fs::read(file)?)?;
        for vector in document["vectors"].as_array().into_iter().flatten() {
            messages.push(unhex(vector["hex"].as_str().unwrap_or_default())?);
        }
    }
    Ok(messages)
}

fn unhex(text: &str) -> Outcome<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?)).collect()
}

/// A conversation as it passes over the wire.
struct Conversation {
    /// What the user says.
    texts: Vec<String>,
    /// What the agent sends, encoded.
    received: Vec<Vec<u8>>,
    items: Vec<ChatItem>,
    made: u64,
}

impl Conversation {
    fn of(turns: usize) -> Self {
        let mut conversation = Self { texts: Vec::new(), received: Vec::new(), items: Vec::new(), made: 0 };
        for turn in 0..turns {
            conversation.turn(turn, turn % 4 == 3);
        }
        let items = conversation.items.clone();
        let history = session_response::GetChatHistoryResponse { items };
        conversation.answer("req_history01", Response::GetChatHistory(history));
        conversation
    }

    /// One turn, its messages in the order of livekit-agents 1.8.9.
    fn turn(&mut self, number: usize, calls_tool: bool) {
        let text = format!("Could I have a flat white with oat milk, order number {number}, to take away?");
        let user = self.message(ChatRole::User, &text, None);
        self.texts.push(text);
        self.added(user);
        self.state(AgentState::AsListening, AgentState::AsThinking);
        self.usage();
        let mut answered = Vec::new();
        if calls_tool {
            answered = self.tool(number);
            self.usage();
        }
        self.state(AgentState::AsThinking, AgentState::AsSpeaking);
        let metrics = proto::MetricsReport {
            started_speaking_at: time(self.made),
            stopped_speaking_at: time(self.made + 1),
            llm_node_ttft: Some(0.412_345),
            e2e_latency: Some(0.812_345),
            ..Default::default()
        };
        let reply = format!(
            "One flat white with oat milk for order {number}. That will be four euros fifty; would you like anything else \
             with it, or shall I send it to the barista right away?"
        );
        let reply = self.message(ChatRole::Assistant, &reply, Some(metrics));
        self.added(reply.clone());
        self.state(AgentState::AsSpeaking, AgentState::AsListening);
        answered.push(reply);
        let run = session_response::RunInputResponse { items: answered };
        self.answer(&format!("req_{number:012x}"), Response::RunInput(run));
    }

    fn tool(&mut self, number: usize) -> Vec<ChatItem> {
        let call_id = format!("call_{number:012x}");
        let call = proto::FunctionCall {
            id: self.id(),
            call_id: call_id.clone(),
            arguments: r#"{"drink": "flat white", "milk": "oat", "size": "large"}"#.to_owned(),
            name: "place_order".to_owned(),
            created_at: time(self.made),
            ..Default::default()
        };
        let output = proto::FunctionCallOutput {
            id: self.id(),
            name: "place_order".to_owned(),
            call_id: call_id.clone(),
            output: "The order was placed and will be ready in four minutes.".to_owned(),
            created_at: time(self.made),
            ..Default::default()
        };
        use event::tool_execution_updated::{Ended, Started, Update};
        for update in [
            Update::Started(Started { function_call: Some(call.clone()) }),
            Update::Ended(Ended {
                id: call_id.clone(),
                call_id,
                message: Some(output.output.clone()),
                status: proto::ToolCallStatus::TcDone.into(),
            }),
        ] {
            self.event(Event::ToolExecutionUpdated(event::ToolExecutionUpdated { update: Some(update) }));
        }
        self.event(Event::FunctionToolsExecuted(event::FunctionToolsExecuted {
            function_calls: vec![call.clone()],
            function_call_outputs: vec![output.clone()],
        }));
        let items = vec![
            item(chat_item::Item::FunctionCall(call)),
            item(chat_item::Item::FunctionCallOutput(output)),
        ];
        self.items.extend(items.iter().cloned());
        items
    }

    fn message(&mut self, role: ChatRole, text: &str, metrics: Option<proto::MetricsReport>) -> ChatItem {
        let payload = proto::chat_message::chat_content::Payload::Text(text.to_owned());
        let message = proto::ChatMessage {
            id: self.id(),
            role: role.into(),
            content: vec![proto::chat_message::ChatContent { payload: Some(payload) }],
            metrics: Some(metrics.unwrap_or_default()),
            created_at: time(self.made),
            ..Default::default()
        };
        item(chat_item::Item::Message(message))
    }

    fn added(&mut self, item: ChatItem) {
        self.items.push(item.clone());
        self.event(Event::ConversationItemAdded(event::ConversationItemAdded { item: Some(item) }));
    }

    fn state(&mut self, from: AgentState, to: AgentState) {
        let changed = event::AgentStateChanged { old_state: from.into(), new_state: to.into() };
        self.event(Event::AgentStateChanged(changed));
    }

    fn usage(&mut self) {
        let llm = proto::LlmModelUsage {
            provider: "openai".to_owned(),
            model: "gpt-4.1-mini".to_owned(),
            input_tokens: 1234,
            output_tokens: 321,
            ..Default::default()
        };
        let usage = proto::ModelUsage { usage: Some(proto::model_usage::Usage::Llm(llm)) };
        let usage = proto::AgentSessionUsage { model_usage: vec![usage] };
        self.event(Event::SessionUsageUpdated(event::SessionUsageUpdated { usage: Some(usage) }));
    }

    fn event(&mut self, event: Event) {
        self.made += 1;
        let event = proto::AgentSessionEvent { created_at: time(self.made), event: Some(event) };
        self.send(Message::Event(event));
    }

    fn answer(&mut self, id: &str, response: Response) {
        let response =
            proto::SessionResponse { request_id: id.to_owned(), error: None, response: Some(response) };
        self.send(Message::Response(response));
    }

    fn send(&mut self, message: Message) {
        self.received.push(proto::AgentSessionMessage { message: Some(message) }.encode_to_vec());
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("item_{:012x}", self.made)
    }
}

fn item(item: chat_item::Item) -> ChatItem {
    ChatItem { item: Some(item) }
}

/// A moment of the conversation.
fn time(at: u64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: 1_795_000_000 + i64::try_from(at).unwrap_or_default(),
        nanos: 673_717_760,
    })
}
