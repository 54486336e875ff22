//! What we write as JSON is what `tests/schema/session.json` says. Python, Node and the command validate against the same file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use bytes::Bytes;
use greenroom_protocol::message::{
    Answer, ChatMessage, CloseReason, ConfigUpdate, Event, EventKind, FrameworkInfo, Handoff, Inbound,
    IoUpdate, Item, MoreSpeech, Operation, Role, SpokenTurn, Started, ToolCall, Verdict,
};
use greenroom_protocol::turn::{Turn, Voice};
use greenroom_protocol::voice::Speech;
use greenroom_protocol::{Code, Error};
use jsonschema::Validator;
use serde::Serialize;
use serde_json::{Value, json};

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(path);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn validator(definition: &str) -> Validator {
    let mut schema = read("schema/session.json");
    schema["$ref"] = json!(format!("#/$defs/{definition}"));
    jsonschema::draft202012::new(&schema).unwrap()
}

#[track_caller]
fn holds(validator: &Validator, value: &impl Serialize) {
    let json = serde_json::to_value(value).unwrap();
    if let Err(error) = validator.validate(&json) {
        panic!("{error}\nat {}\nin {json}", error.instance_path());
    }
}

fn event(seq: u64, kind: EventKind) -> Event {
    Event { seq, time: "2026-11-21T00:00:00Z".parse().unwrap(), kind, earlier: false, late: false, raw: None }
}

fn message(text: &str) -> ChatMessage {
    ChatMessage {
        id: "item_1".to_owned(),
        role: Role::Assistant,
        text: text.to_owned(),
        parts: vec![],
        cut_bytes: Some(7),
        interrupted: true,
        transcript_confidence: Some(0.5),
        extra: [("a".to_owned(), "b".to_owned())].into(),
        metrics: Default::default(),
        created_at: Some("2026-11-21T00:00:00Z".parse().unwrap()),
    }
}

/// Events that no wire message makes.
fn own_events() -> Vec<EventKind> {
    let mut events = vec![
        EventKind::Log { text: "a line".to_owned() },
        EventKind::Gap { dropped: 3 },
        EventKind::LateTurn { text: "hi".to_owned(), reply: String::new(), error: Some("no".to_owned()) },
        EventKind::Unknown { what: "new".to_owned() },
        EventKind::AgentUnresponsive { silent_ms: 4000.5, recovered: true },
        EventKind::AgentUnresponsive { silent_ms: 4000.5, recovered: false },
    ];
    use CloseReason::{
        AgentDisconnected, AgentEnded, AgentExited, AgentLeft, Closed, DaemonGone, Idle, ProtocolError,
        RoomDisconnected, StartFailed,
    };
    let reasons = [
        Closed,
        StartFailed,
        AgentExited,
        AgentDisconnected,
        AgentEnded,
        AgentLeft,
        RoomDisconnected,
        ProtocolError,
        Idle,
        DaemonGone,
    ];
    for reason in reasons {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        events.push(EventKind::Closed { reason, message: "why".to_owned() });
    }
    events
}

/// The events of every message that the peers' libraries wrote.
fn wire_events() -> Vec<EventKind> {
    let mut events = Vec::new();
    for file in ["vectors/python.json", "vectors/javascript.json"] {
        for vector in read(file)["vectors"].as_array().unwrap() {
            let hex = vector["hex"].as_str().unwrap();
            let bytes: Bytes = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            if let Inbound::Events { events: found, .. } = Inbound::decode(&bytes).unwrap() {
                events.extend(found);
            }
        }
    }
    events
}

fn turn(events: Vec<Event>) -> Turn {
    Turn {
        number: 1,
        text: "hi".to_owned(),
        events,
        reply: "hello".to_owned(),
        silent: false,
        interrupted: false,
        error: Some("broken".to_owned()),
        duration_ms: 1.5,
        reply_delay_ms: Some(1.0),
        queued_ms: 0.0,
        heard: Some("high".to_owned()),
        voice: Some(Box::new(Voice {
            user_ms: 1.0,
            agent_ms: 2.0,
            response_ms: Some(3.0),
            cut_ms: Some(1.0),
            yield_ms: Some(0.5),
            lost_ms: 0.0,
            stalled_ms: 0.0,
            audio: Some(Speech::new(vec![0_u8, 1]).unwrap()),
        })),
    }
}

fn items() -> Vec<Item> {
    let handoff =
        Handoff { id: "h".to_owned(), from: Some("a".to_owned()), to: "b".to_owned(), created_at: None };
    let config = ConfigUpdate {
        id: "c".to_owned(),
        instructions: Some("new".to_owned()),
        tools_added: vec!["t".to_owned()],
        tools_removed: vec![],
        created_at: None,
    };
    vec![
        Item::Message(message("hello")),
        Item::ToolCall(ToolCall {
            output: Some("out".to_owned()),
            error: Some("why".to_owned()),
            waiting: true,
            cut_bytes: Some(7),
            ..ToolCall::default()
        }),
        Item::ToolCall(ToolCall::default()),
        Item::Handoff(handoff),
        Item::Config(config),
        Item::Unknown { what: "new".to_owned() },
    ]
}

#[test]
fn every_event_holds() {
    let event_schema = validator("event");
    let mut names = std::collections::BTreeSet::new();
    for (seq, kind) in own_events().into_iter().chain(wire_events()).enumerate() {
        names.insert(kind.name());
        let mut event = event(seq as u64, kind);
        holds(&event_schema, &event);
        (event.earlier, event.late, event.raw) = (true, true, Some("AA==".to_owned()));
        holds(&event_schema, &event);
    }
    // Each kind that the schema has is made somewhere here, and the other way round.
    let schema = read("schema/session.json");
    let kinds = schema["$defs"]["event"]["oneOf"].as_array().unwrap();
    let theirs = kinds.iter().map(|kind| kind["properties"]["type"]["const"].as_str().unwrap());
    assert_eq!(names, theirs.collect());
}

#[test]
fn items_turns_and_errors_hold() {
    let item = validator("item");
    items().iter().for_each(|found| holds(&item, found));
    let events =
        items().into_iter().enumerate().map(|(seq, item)| event(seq as u64 + 1, item.into())).collect();
    holds(&validator("turn"), &turn(events));
    holds(
        &validator("turn"),
        &Turn { error: None, reply_delay_ms: None, heard: None, voice: None, ..turn(vec![]) },
    );
    let error = validator("error");
    for code in Code::ALL {
        holds(&error, &Error::new(*code, "what happened"));
        holds(&error, &Error::new(*code, "what happened").with_detail("more"));
    }
}

#[test]
fn every_answer_holds() {
    let meanings: Value = serde_json::from_str(include_str!("meanings.json")).unwrap();
    let schema = validator("answer");
    let mut names = std::collections::BTreeSet::new();
    let answers = [
        Answer::Started(Started {
            framework: Some(FrameworkInfo { sdk: "js".to_owned(), sdk_version: "1.9.0".to_owned() }),
            agent_id: Some("main".to_owned()),
            events: vec![event(1, EventKind::Log { text: String::new() })],
        }),
        Answer::Started(Started::default()),
        Answer::Turn(turn(vec![])),
        Answer::History { items: items() },
        Answer::Verdict(Verdict { success: true, reason: String::new(), missing: true }),
        Answer::Done,
    ];
    for answer in &answers {
        names.insert(serde_json::to_value(answer).unwrap()["answer"].as_str().unwrap().to_owned());
        holds(&schema, answer);
    }
    // What the responses of both libraries mean.
    for vector in
        ["python", "javascript"].iter().flat_map(|library| meanings[library].as_object().unwrap().values())
    {
        if let Some(answer) = vector.get("answer").and_then(|answer| answer.get("Ok")) {
            names.insert(answer["answer"].as_str().unwrap().to_owned());
            holds(&schema, answer);
        }
    }
    let document = read("schema/session.json");
    let kinds = document["$defs"]["answer"]["oneOf"].as_array().unwrap();
    let theirs = kinds.iter().map(|kind| kind["properties"]["answer"]["const"].as_str().unwrap().to_owned());
    assert_eq!(names, theirs.collect());
}

#[test]
fn every_operation_holds_and_comes_back() {
    let schema = validator("operation");
    let finalize = |reason: &str| Operation::FinalizeSimulation {
        provisional_success: true,
        provisional_reason: reason.to_owned(),
    };
    let more = |audio, last| Operation::SayMore(MoreSpeech { live: "mic".to_owned(), audio, last });
    let operations = [
        Operation::Start,
        Operation::Say { text: "hi".to_owned() },
        Operation::SayAudio(SpokenTurn {
            audio: Speech::new(vec![0_u8, 1]).unwrap(),
            text: "hi".to_owned(),
            interrupt_after_ms: Some(0.5),
            live: None,
        }),
        Operation::SayAudio(SpokenTurn {
            audio: Speech::new(vec![0_u8, 1]).unwrap(),
            text: String::new(),
            interrupt_after_ms: None,
            live: Some("mic".to_owned()),
        }),
        more(Some(Speech::new(vec![0_u8, 1]).unwrap()), false),
        more(None, true),
        Operation::History,
        Operation::AgentInfo,
        Operation::SessionState,
        Operation::Usage,
        Operation::RtcStats,
        Operation::FrameworkInfo,
        Operation::UpdateIo(IoUpdate::text_mode()),
        Operation::UpdateIo(IoUpdate::default()),
        finalize(""),
        finalize("why"),
        Operation::Ping,
    ];
    for operation in operations {
        holds(&schema, &operation);
        let json = serde_json::to_value(&operation).unwrap();
        assert_eq!(json["op"], operation.name());
        assert_eq!(serde_json::from_value::<Operation>(json).unwrap(), operation);
    }
    for wrong in
        [json!({"op": "sing"}), json!({"op": "say"}), json!({"op": "update_io", "audio": true}), json!("say")]
    {
        assert!(!schema.is_valid(&wrong), "{wrong}");
        serde_json::from_value::<Operation>(wrong).unwrap_err();
    }
}

#[test]
fn what_is_not_documented_does_not_hold() {
    let schema = validator("event");
    let good = json!({"seq": 1, "time": "2026-11-21T00:00:00Z", "type": "log", "text": "a"});
    assert!(schema.is_valid(&good));
    for (field, value) in
        [("extra", json!(1)), ("type", json!("lag")), ("seq", json!(-1)), ("text", json!(null))]
    {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(!schema.is_valid(&bad), "{bad}");
    }
}
