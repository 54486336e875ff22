//! Conversations that agents of the released SDKs really held (`traces.json`), played to our controller.
//!
//! A trace holds what a bare driver asked, and every message that the agent sent, in order, as proto3 JSON. `traces.txt` is what we
//! make of them; `GREENROOM_GEN=1` writes it instead of comparing, and a person reviews the difference.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use greenroom_protocol::message::{Answer, Operation};
use greenroom_protocol::session::{CallId, Config};
use greenroom_protocol::wire;
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::chat_context::chat_item::Item;
use greenroom_protocol::wire::session_request::Request as Ask;
use greenroom_protocol::wire::session_response::Response as Payload;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Deserialize;

use crate::stage::{Stage, briefs, secs};

#[derive(Deserialize)]
struct Trace {
    name: String,
    made_with: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Asks { asks: String, id: String, text: Option<String> },
    Sends { sends: serde_json::Value },
}

/// What one step is, with the agent's messages decoded.
enum Turn {
    Asks { text: Option<String>, id: String },
    Sends(Box<Message>),
}

fn envelope() -> MessageDescriptor {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files = protox::compile(["agent_session.proto"], [proto]).unwrap();
    let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
    pool.get_message_by_name("livekit.agent.AgentSessionMessage").unwrap()
}

fn decode(envelope: &MessageDescriptor, json: serde_json::Value) -> Message {
    let message = DynamicMessage::deserialize(envelope.clone(), json).unwrap();
    wire::AgentSessionMessage::decode(&message.encode_to_vec()[..]).unwrap().message.unwrap()
}

/// The steps from the first turn on, what came before it, and the history as it was then.
struct Script {
    before: Vec<Message>,
    history: Vec<wire::chat_context::ChatItem>,
    turns: Vec<Turn>,
}

fn script_of(trace: Vec<Step>) -> Script {
    let envelope = envelope();
    let mut script = Script { before: Vec::new(), history: Vec::new(), turns: Vec::new() };
    for step in trace {
        match step {
            Step::Asks { asks, id, text } if asks == "run_input" => {
                script.turns.push(Turn::Asks { text, id })
            }
            Step::Asks { .. } => {}
            Step::Sends { sends } => {
                let message = decode(&envelope, sends);
                if let Message::Response(wire::SessionResponse {
                    response: Some(Payload::GetChatHistory(all)),
                    ..
                }) = &message
                {
                    script.history.clone_from(&all.items);
                }
                match script.turns.is_empty() {
                    true => script.before.push(message),
                    false => script.turns.push(Turn::Sends(Box::new(message))),
                }
            }
        }
    }
    let first = script.turns.iter().find_map(|turn| match turn {
        Turn::Asks { text, .. } => text.clone(),
        Turn::Sends(_) => None,
    });
    let is_first = |item: &wire::chat_context::ChatItem| match &item.item {
        Some(Item::Message(message)) => {
            message.role() == wire::ChatRole::User
                && message.content.first().and_then(|content| content.payload.clone())
                    == first.clone().map(wire::chat_message::chat_content::Payload::Text)
        }
        _ => false,
    };
    let until = script.history.iter().position(is_first).unwrap_or(0);
    script.history.truncate(until);
    script
}

/// Answers a request of our start as the agent answered the driver's of the same kind.
fn answer_as_recorded(
    ask: &Ask,
    before: &[Message],
    history: &[wire::chat_context::ChatItem],
) -> Option<Payload> {
    if let Ask::GetChatHistory(_) = ask {
        let items = history.to_vec();
        return Some(Payload::GetChatHistory(wire::session_response::GetChatHistoryResponse { items }));
    }
    before.iter().find_map(|message| {
        let Message::Response(wire::SessionResponse { response: Some(answer), .. }) = message else {
            return None;
        };
        let fits = matches!(
            (ask, answer),
            (Ask::Ping(_), Payload::Pong(_))
                | (Ask::UpdateIo(_), Payload::UpdateIo(_))
                | (Ask::GetFrameworkInfo(_), Payload::GetFrameworkInfo(_))
                | (Ask::GetSessionState(_), Payload::GetSessionState(_))
        );
        fits.then(|| answer.clone())
    })
}

fn play(trace: Trace) -> String {
    let mut told = format!("{} ({})\n", trace.name, trace.made_with);
    let script = script_of(trace.steps);
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    for message in script.before.iter().filter(|message| matches!(message, Message::Event(_))) {
        stage.send(message.clone());
    }
    for asked in std::mem::take(&mut stage.asked) {
        let answer = answer_as_recorded(asked.ask.as_ref().unwrap(), &script.before, &script.history);
        stage.respond(&asked.id, answer.is_none().then_some("not recorded"), answer);
    }
    stage.wait(secs(15.0));
    for line in briefs(&stage.started(start).events) {
        writeln!(told, "  start | {line}").unwrap();
    }

    // What the driver asked while its turn before was not answered is somebody else's input to us.
    let mut ours: Option<(String, CallId)> = None;
    let mut ids = HashMap::new();
    for turn in script.turns {
        match turn {
            Turn::Asks { text, id } => {
                // The driver went on when it had its answer; we wait until the turn is over.
                if let Some((_, call)) = ours.take_if(|(id, _)| !ids.contains_key(id)) {
                    stage.wait(secs(1.0));
                    tell(&mut told, stage.answer(call));
                }
                if let (None, Some(text)) = (&ours, text.filter(|text| !text.is_empty())) {
                    let call = stage.submit(Operation::Say { text: text.clone() });
                    ids.insert(id.clone(), stage.heard(&text));
                    ours = Some((id, call));
                }
            }
            Turn::Sends(message) => match *message {
                Message::Response(mut response) => {
                    if let Some(id) = ids.remove(&response.request_id) {
                        response.request_id = id;
                        stage.send(Message::Response(response));
                    }
                }
                message => stage.send(message),
            },
        }
    }
    if let Some((_, call)) = ours {
        stage.wait(secs(1.0));
        tell(&mut told, stage.answer(call));
    }
    let errors = stage.events_named("unknown");
    assert!(errors.is_empty(), "{errors:?}");
    told
}

fn tell(told: &mut String, answer: Option<Result<Answer, greenroom_protocol::Error>>) {
    let Some(Ok(Answer::Turn(turn))) = answer else { panic!("{answer:?}") };
    let flags =
        [("silent", turn.silent), ("interrupted", turn.interrupted), ("failed", turn.error.is_some())];
    let flags: Vec<&str> = flags.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
    writeln!(told, "  {} | You: {} [{}]", turn.number, turn.text, flags.join(" ")).unwrap();
    for line in briefs(&turn.events) {
        writeln!(told, "  {} |   {line}", turn.number).unwrap();
    }
    writeln!(told, "  {} | reply: {:?}, error: {:?}", turn.number, turn.reply, turn.error).unwrap();
}

#[test]
fn conversations_with_the_released_sdks_are_told_as_they_were_held() {
    let traces: Vec<Trace> = serde_json::from_str(include_str!("traces.json")).unwrap();
    let told: String = traces.into_iter().map(play).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pair/traces.txt");
    if std::env::var_os("GREENROOM_GEN").is_some() {
        return std::fs::write(path, told).unwrap();
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        told == reviewed,
        "core/protocol/tests/pair/traces.txt: run `make gen` and review what changes\n{told}"
    );
}
