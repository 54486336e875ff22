//! Messages that LiveKit's own libraries wrote (`tests/vectors`), held against our schema, our generated code and our domain types.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use greenroom_protocol::frame::{Decoder, Frame, FrameError, prefix};
use greenroom_protocol::message::{
    Answer, Envelope, Event, EventKind, Inbound, Kind, Operation, encode_request, peek_id,
};
use greenroom_protocol::session::{Config, Controller};
use greenroom_protocol::time::{Time, WallClock};
use greenroom_protocol::{Error, Limits, wire};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
    malformed: Vec<Malformed>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    hex: String,
    json: Value,
}

#[derive(Deserialize)]
struct Malformed {
    name: String,
    hex: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    serde_json::from_slice(&std::fs::read(root().join("tests/vectors").join(file)).unwrap()).unwrap()
}

/// The vectors of both libraries, with the library's name.
fn libraries() -> [(&'static str, Vectors); 2] {
    [("python", read("python.json")), ("javascript", read("javascript.json"))]
}

fn bytes(hex: &str) -> Bytes {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn envelope() -> MessageDescriptor {
    let files = protox::compile(["agent_session.proto"], [root().join("proto")]).unwrap();
    let pool = DescriptorPool::from_file_descriptor_set(files).unwrap();
    pool.get_message_by_name("livekit.agent.AgentSessionMessage").unwrap()
}

/// JSON does not tell 1 from 1.0.
fn numbers_as_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.into_iter().map(numbers_as_floats).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, numbers_as_floats(value))).collect())
        }
        other => other,
    }
}

/// Keys in order, also where a feature of serde_json keeps them as they came.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        other => other,
    }
}

#[test]
fn our_schema_reads_what_the_library_meant() {
    let envelope = envelope();
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    for (library, vectors) in libraries() {
        for Vector { name, hex, json } in vectors.vectors {
            let message = DynamicMessage::decode(envelope.clone(), bytes(&hex)).unwrap();
            let ours = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
            assert_eq!(numbers_as_floats(ours), numbers_as_floats(json), "{library} {name}");
        }
    }
}

#[test]
fn generated_code_writes_the_same_bytes_again_where_it_knows_all_of_them() {
    for (library, vectors) in libraries() {
        for Vector { name, hex, .. } in vectors.vectors {
            let original = bytes(&hex);
            let decoded = wire::AgentSessionMessage::decode(original.clone()).unwrap();
            // What no library writes, what is newer than the schema, and maps come out shorter or in another order.
            if ["unknown/", "odd/", "map/", "struct/"].iter().any(|kind| name.starts_with(kind)) {
                let again = decoded.encode_to_vec();
                let decoded_again = wire::AgentSessionMessage::decode(&again[..]).unwrap();
                assert_eq!(decoded_again, decoded, "{library} {name}");
                continue;
            }
            assert_eq!(Bytes::from(decoded.encode_to_vec()), original, "{library} {name}");
        }
    }
}

#[test]
fn ids_are_found_where_the_library_put_them() {
    for (library, vectors) in libraries() {
        for Vector { name, hex, json } in vectors.vectors {
            let original = bytes(&hex);
            let envelope = match Envelope::parse(original.clone()) {
                Ok(envelope) => envelope,
                // What says one thing twice is legal protobuf, and not let through.
                Err(error) => {
                    assert!(
                        name.starts_with("odd/") && error.to_string().contains("ambiguous"),
                        "{name}: {error}"
                    );
                    continue;
                }
            };
            let id = ["request", "response"].iter().find_map(|kind| json[kind]["request_id"].as_str());
            assert_eq!(envelope.id(), id.unwrap_or_default(), "{library} {name}");
            let kind = match envelope.kind() {
                Kind::Event => json.get("event"),
                Kind::Request { .. } => json.get("request"),
                Kind::Response => json.get("response"),
                _ => Some(&Value::Null),
            };
            assert!(kind.is_some(), "{library} {name}");
            if id.is_some_and(|id| !id.is_empty()) && !name.starts_with("odd/") {
                assert_eq!(envelope.with_id(envelope.id()), original, "{library} {name}");
                if !name.starts_with("unknown/") {
                    assert_eq!(peek_id(&original).map(|(_, id)| id).as_deref(), id, "{library} {name}");
                }
            }
            // Every byte of an unknown field is still there under another id.
            if name.starts_with("unknown/") && id.is_some() {
                let back = Envelope::parse(envelope.with_id("gr-1")).unwrap().with_id(envelope.id());
                assert_eq!(back, original, "{library} {name}");
            }
        }
    }
}

#[test]
fn what_is_no_message_is_refused_or_read_and_never_a_panic() {
    for (_, vectors) in libraries() {
        for Malformed { name, hex } in vectors.malformed {
            let message = bytes(&hex);
            assert!(Inbound::decode(&message).is_err(), "{name}");
            let _ = Envelope::parse(message.clone());
            peek_id(&message);
        }
    }
}

#[test]
fn unknown_events_and_fields_keep_their_bytes() {
    use base64::Engine as _;
    for (library, vectors) in libraries() {
        for Vector { name, hex, json } in vectors.vectors {
            let message = bytes(&hex);
            let kept = match Inbound::decode(&message).unwrap() {
                Inbound::Events { raw, .. } | Inbound::Unknown { raw, .. } => raw,
                _ => continue,
            };
            if let Some(raw) = &kept {
                let raw = base64::engine::general_purpose::STANDARD.decode(raw).unwrap();
                assert_eq!(raw, message, "{library} {name}");
            }
            if name.starts_with("unknown/") && json.get("event").is_some() {
                assert!(kept.is_some(), "{library} {name}");
            }
            if name.starts_with("full/event") {
                assert_eq!(kept, None, "{library} {name}: our schema knows all of it");
            }
        }
    }
}

/// What a message means to a caller: events as JSON, or the answer to the call that a response answers.
fn meaning(message: &Bytes) -> Value {
    match Inbound::decode(message).unwrap() {
        Inbound::Events { events, raw } => json!({"events": events, "raw": raw.is_some()}),
        Inbound::Response(_) => json!({"answer": answer(message)}),
        Inbound::Audio(frame) => json!({"audio": {
            "bytes": frame.data.len(), "sample_rate": frame.sample_rate, "num_channels": frame.num_channels,
            "samples_per_channel": frame.samples_per_channel,
        }}),
        Inbound::PlaybackFlush => json!("playback flush"),
        Inbound::PlaybackClear => json!("playback clear"),
        Inbound::Unknown { what, raw } => json!({"unknown": what, "raw": raw.is_some()}),
        other => panic!("{other:?}"),
    }
}

/// The answer of a controller that asked for what `response` holds.
fn answer(response: &Bytes) -> Result<Answer, Error> {
    use wire::session_response::Response as Wire;
    let Some(wire::agent_session_message::Message::Response(held)) =
        wire::AgentSessionMessage::decode(response.clone()).unwrap().message
    else {
        unreachable!("it is a response")
    };
    let operation = match held.response {
        Some(Wire::GetChatHistory(_)) => Operation::History,
        Some(Wire::GetAgentInfo(_)) => Operation::AgentInfo,
        Some(Wire::GetSessionState(_)) => Operation::SessionState,
        Some(Wire::GetRtcStats(_)) => Operation::RtcStats,
        Some(Wire::GetSessionUsage(_)) => Operation::Usage,
        Some(Wire::GetFrameworkInfo(_)) => Operation::FrameworkInfo,
        Some(Wire::UpdateIo(_)) => Operation::UpdateIo(Default::default()),
        Some(Wire::FinalizeSimulation(_)) => {
            Operation::FinalizeSimulation { provisional_success: true, provisional_reason: String::new() }
        }
        Some(Wire::RunInput(_)) => Operation::Say { text: "hi".to_owned() },
        Some(Wire::Pong(_)) | None => Operation::Ping,
    };
    let mut config = Config::default();
    config.fetch_history = false;
    config.text_mode = false;
    let clock = WallClock::new(Time::ZERO, std::time::UNIX_EPOCH);
    let mut controller = Controller::new(config, clock);
    controller.open(Time::ZERO);
    while let Some(asked) = controller.poll_transmit() {
        let asked = Envelope::parse(asked).unwrap();
        let refused = greenroom_protocol::message::encode_error(asked.id(), "not now");
        controller.receive(&refused, Time::ZERO);
    }
    let mut now = Time::ZERO;
    let mut pass_time = |controller: &mut Controller| {
        while let Some(at) = controller.poll_timeout() {
            now = now.max(at);
            controller.handle_timeout(now);
        }
    };
    pass_time(&mut controller);
    let call = controller.submit(operation, None, Time::ZERO);
    let asked = Envelope::parse(controller.poll_transmit().unwrap()).unwrap();
    controller.receive(&Envelope::parse(response.clone()).unwrap().with_id(asked.id()), Time::ZERO);
    pass_time(&mut controller);
    let (answered, answer) = controller.poll_answer().unwrap();
    assert_eq!(answered, call);
    answer
}

/// What each vector means, by library and name. `GREENROOM_GEN=1` writes it instead of comparing; a person reviews the difference.
#[test]
fn each_message_means_what_was_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/meanings.json");
    let mut meanings = BTreeMap::new();
    for (library, vectors) in libraries() {
        let meant = vectors.vectors.into_iter().map(|vector| (vector.name, meaning(&bytes(&vector.hex))));
        meanings.insert(library.to_owned(), sorted(Value::Object(meant.collect())));
    }
    // One line for each vector.
    let mut text = String::from("{\n");
    for (at, (library, meant)) in meanings.iter().enumerate() {
        text += &format!("{}\"{library}\": {{\n", if at > 0 { ",\n" } else { "" });
        let lines: Vec<String> = meant
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, meaning)| format!("  \"{name}\": {meaning}"))
            .collect();
        text += &lines.join(",\n");
        text += "\n}";
    }
    text += "\n}\n";
    if std::env::var_os("GREENROOM_GEN").is_some() {
        return std::fs::write(path, text).unwrap();
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    for (ours, theirs) in text.lines().zip(reviewed.lines()) {
        assert_eq!(ours, theirs, "core/protocol/tests/meanings.json: run `make gen` and review what changes");
    }
    assert_eq!(text.lines().count(), reviewed.lines().count());
}

#[test]
fn every_event_comes_back_from_json_as_it_went() {
    for (library, vectors) in libraries() {
        for Vector { name, hex, .. } in vectors.vectors {
            let Inbound::Events { events, raw } = Inbound::decode(&bytes(&hex)).unwrap() else { continue };
            for kind in events {
                let event = Event {
                    seq: 7,
                    time: "2026-11-21T00:00:00Z".parse().unwrap(),
                    kind,
                    earlier: true,
                    late: true,
                    raw: raw.clone(),
                };
                let text = serde_json::to_string(&event).unwrap();
                assert!(
                    text.contains(&format!("\"type\":\"{}\"", event.kind.name())),
                    "{library} {name}: {text}"
                );
                let back: Event =
                    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
                assert_eq!(back, event, "{library} {name}");
            }
        }
    }
}

#[test]
fn every_answer_comes_back_from_json_as_it_went() {
    for (library, vectors) in libraries() {
        for Vector { name, hex, .. } in vectors.vectors {
            let message = bytes(&hex);
            let Inbound::Response(_) = Inbound::decode(&message).unwrap() else { continue };
            let Ok(answer) = answer(&message) else { continue };
            let text = serde_json::to_string(&answer).unwrap();
            let back: Answer =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
            assert_eq!(back, answer, "{library} {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// Whatever a hostile peer makes of a message, what we tell of it is JSON that our own readers take.
    #[test]
    fn a_message_with_any_bytes_changed_is_refused_or_told_as_json(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        static MESSAGES: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
            let messages = libraries().into_iter().flat_map(|(_, vectors)| vectors.vectors);
            messages.map(|vector| bytes(&vector.hex)).filter(|message| !message.is_empty()).collect()
        });
        let mut message = which.get(&MESSAGES[..]).to_vec();
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        let message = Bytes::from(message);
        let _ = Envelope::parse(message.clone());
        peek_id(&message);
        if let Ok(Inbound::Events { events, .. }) = Inbound::decode(&message) {
            for kind in events {
                let text = serde_json::to_string(&kind).unwrap();
                let back: EventKind = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(back, kind);
            }
        }
    }
}

#[derive(Deserialize)]
struct Frames {
    frames: Vec<FrameVector>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FrameVector {
    Large { name: String, recipe: Recipe, payload_bytes: usize, head_hex: String, sha256: String },
    Small { name: String, hex: String, payloads: Vec<String> },
}

#[derive(Deserialize)]
struct Recipe {
    request_id: String,
    run_input_text: String,
    repeat: usize,
}

#[test]
fn frames_are_cut_and_written_as_pythons_transport_does() {
    let limits = Limits::default();
    for frame in read::<Frames>("frames.json").frames {
        match frame {
            FrameVector::Small { name, hex, payloads } => {
                let mut decoder = Decoder::new(limits.peer_message, limits.skipped_message, limits.peeked);
                let mut stream = bytes(&hex);
                for payload in payloads {
                    let found = decoder.next(&mut stream).unwrap();
                    assert_eq!(found, Some(Frame::Message(bytes(&payload))), "{name}");
                }
                assert_eq!(decoder.next(&mut stream), Ok(None), "{name}");
                assert!(decoder.is_between_frames(), "{name}");
            }
            FrameVector::Large { name, recipe, payload_bytes, head_hex, sha256 } => {
                let text = recipe.run_input_text.repeat(recipe.repeat);
                let message = encode_request(&recipe.request_id, Operation::Say { text }).unwrap();
                assert_eq!(message.len(), payload_bytes, "{name}");
                let stream = [&u32::try_from(payload_bytes).unwrap().to_be_bytes(), &message[..]].concat();
                assert!(stream.starts_with(&bytes(&head_hex)), "{name}");
                let digest: String =
                    Sha256::digest(&stream).iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(digest, sha256, "{name}");

                for max in [limits.peer_message, limits.agent_message] {
                    let mut decoder = Decoder::new(max, limits.skipped_message, limits.peeked);
                    let found = decoder.next(&mut Bytes::copy_from_slice(&stream)).unwrap().unwrap();
                    let written = prefix(&message, max);
                    if payload_bytes <= max {
                        assert_eq!(found, Frame::Message(message.clone()), "{name}");
                        assert_eq!(written.unwrap(), stream[..4], "{name}");
                        continue;
                    }
                    let Frame::Skipped { announced, head } = found else { panic!("{name}: {max}") };
                    assert_eq!(announced, payload_bytes);
                    assert_eq!(peek_id(&head).map(|(_, id)| id), Some(recipe.request_id.clone()));
                    assert_eq!(
                        written,
                        Err(FrameError::TooLong { size: payload_bytes, limit: max }),
                        "{name}"
                    );
                }
            }
        }
    }
}
