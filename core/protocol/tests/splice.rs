//! The id of an encoded message is read and replaced in its bytes, and nothing else changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use greenroom_protocol::message::{Envelope, Kind, Operation, encode_error, encode_request, peek_id};
use greenroom_protocol::wire::{self, agent_session_message::Message, session_request, session_response};
use proptest::prelude::*;
use prost::Message as _;
use prost::encoding::encode_varint;

const REQUEST: u32 = 4;
const RESPONSE: u32 = 5;

fn parse(bytes: &[u8]) -> Result<Envelope, String> {
    Envelope::parse(Bytes::copy_from_slice(bytes)).map_err(|error| error.to_string())
}

/// One field: its number and wire type, then its content, for which a length is written where the type has one.
fn field(number: u32, wire_type: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_varint(u64::from(number << 3 | wire_type), &mut out);
    if wire_type == 2 {
        encode_varint(content.len() as u64, &mut out);
    }
    out.extend(content);
    out
}

fn text(number: u32, content: &str) -> Vec<u8> {
    field(number, 2, content.as_bytes())
}

/// A field of any wire type that no schema of ours has.
fn unknown_field(numbers: std::ops::Range<u32>) -> impl Strategy<Value = Vec<u8>> {
    let varint = any::<u64>().prop_map(|value| {
        let mut out = Vec::new();
        encode_varint(value, &mut out);
        out
    });
    let content = prop_oneof![
        varint.prop_map(|content| (0, content)),
        prop::collection::vec(any::<u8>(), 8).prop_map(|content| (1, content)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|content| (2, content)),
        prop::collection::vec(any::<u8>(), 4).prop_map(|content| (5, content)),
    ];
    (numbers, content, 0..3_u32).prop_map(|(number, (wire_type, content), groups)| {
        let mut out = field(number, wire_type, &content);
        for depth in 0..groups {
            let number = number + depth;
            out = [field(number, 3, &[]), out, field(number, 4, &[])].concat();
        }
        out
    })
}

fn unknown_fields(numbers: std::ops::Range<u32>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(unknown_field(numbers), 0..3).prop_map(|fields| fields.concat())
}

fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "gr-[0-9]{1,20}", "\\PC{1,40}", "x{100,200}", "x{16380,16400}"]
}

/// A request or a response in parts: what stands around it, before its id, after its id.
#[derive(Clone, Debug)]
struct Parts {
    is_request: bool,
    around: [Vec<u8>; 2],
    inside: [Vec<u8>; 2],
}

impl Parts {
    fn with_id(&self, id: &str) -> Vec<u8> {
        let id = if id.is_empty() { Vec::new() } else { text(1, id) };
        let inner = [&self.inside[0][..], &id, &self.inside[1]].concat();
        let arm = field(if self.is_request { REQUEST } else { RESPONSE }, 2, &inner);
        [&self.around[0][..], &arm, &self.around[1]].concat()
    }
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let payload = prop_oneof![
        Just(Vec::new()),
        Just(field(2, 2, &[])),
        "\\PC{0,30}".prop_map(|said| field(5, 2, &text(1, &said))),
        unknown_fields(100..200).prop_map(|inner| field(11, 2, &inner)),
    ];
    // An error beside the payload, as hosts send it. The payload there is a history, or of a kind newer than ours.
    let answer = prop_oneof![
        Just(text(2, "internal error")),
        unknown_fields(100..200).prop_map(|inner| field(5, 2, &inner)),
        Just([text(2, "no"), field(40, 2, b"new")].concat()),
    ];
    let body = prop_oneof![payload.prop_map(|body| (true, body)), answer.prop_map(|body| (false, body))];
    let newer = || (unknown_fields(50..1000), unknown_fields(50..1000));
    (body, newer(), newer(), any::<bool>()).prop_map(|((is_request, body), around, inside, body_first)| {
        Parts {
            is_request,
            around: around.into(),
            inside: if body_first {
                [[inside.0, body].concat(), inside.1]
            } else {
                [inside.0, [body, inside.1].concat()]
            },
        }
    })
}

proptest! {
    #[test]
    fn another_id_changes_no_other_byte(parts in any_parts(), old in any_id(), new in any_id()) {
        let before = Bytes::from(parts.with_id(&old));
        let envelope = Envelope::parse(before.clone()).unwrap();
        prop_assert_eq!(envelope.id(), &old);
        prop_assert_eq!(envelope.bytes(), &before);
        prop_assert_eq!(matches!(envelope.kind(), Kind::Request { .. }), parts.is_request);
        // Without an id of its own, the id goes where a serializer writes it: first.
        let expected = if old.is_empty() {
            let inside = [Vec::new(), parts.inside.concat()];
            Parts { inside, ..parts.clone() }.with_id(&new)
        } else {
            parts.with_id(&new)
        };
        let after = envelope.with_id(&new);
        prop_assert_eq!(&after[..], &expected[..]);
        // There and back again is the original.
        if !old.is_empty() && !new.is_empty() {
            prop_assert_eq!(Envelope::parse(after).unwrap().with_id(&old), before);
        }
    }

    #[test]
    fn the_peers_decoder_reads_the_new_id_and_the_same_everything_else(
        parts in any_parts(), old in any_id(), new in any_id(),
    ) {
        let set = |mut message: wire::AgentSessionMessage| {
            match &mut message.message {
                Some(Message::Request(request)) => request.request_id.clone_from(&new),
                Some(Message::Response(response)) => response.request_id.clone_from(&new),
                other => panic!("{other:?}"),
            }
            message
        };
        let before = Bytes::from(parts.with_id(&old));
        let expected = set(wire::AgentSessionMessage::decode(before.clone()).unwrap());
        let after = Envelope::parse(before).unwrap().with_id(&new);
        prop_assert_eq!(wire::AgentSessionMessage::decode(after).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(envelope) = parse(&bytes) {
            let _ = envelope.with_id("new");
        }
        peek_id(&bytes);
    }

    /// Whoever reads a message we let through must read what we read.
    #[test]
    fn what_is_let_through_means_the_same_to_a_decoder(parts in any_parts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = parts.with_id("say-1");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (Ok(envelope), Ok(decoded)) = (parse(&bytes), wire::AgentSessionMessage::decode(&bytes[..])) else {
            return Ok(());
        };
        match decoded.message {
            Some(Message::Request(request)) => {
                prop_assert_eq!(envelope.id(), request.request_id);
                let is_request = matches!(envelope.kind(), Kind::Request { .. });
                prop_assert!(is_request);
                let runs = matches!(request.request, Some(session_request::Request::RunInput(_)));
                prop_assert_eq!(envelope.is_run_input(), runs);
                prop_assert_eq!(envelope.is_known_request(), request.request.is_some());
            }
            Some(Message::Response(response)) => {
                prop_assert_eq!(envelope.id(), response.request_id);
                prop_assert_eq!(envelope.kind(), Kind::Response);
            }
            Some(Message::Event(_)) => prop_assert_eq!(envelope.kind(), Kind::Event),
            _ => prop_assert_eq!(envelope.kind(), Kind::Other),
        }
    }

    #[test]
    fn the_head_of_a_message_tells_its_id_or_nothing(id in any_id(), length in 0_usize..40_000) {
        let request = encode_request(&id, Operation::Say { text: "x".repeat(30_000) }).unwrap();
        let response = wire::SessionResponse {
            request_id: id.clone(),
            error: None,
            response: Some(session_response::Response::RunInput(Default::default())),
        };
        let response = wire::AgentSessionMessage { message: Some(Message::Response(response)) }.encode_to_vec();
        for (whole, kind) in [(&request[..], Kind::Request { asks: None }), (&response[..], Kind::Response)] {
            let head = &whole[..length.min(whole.len())];
            // The id, and what stands before it, takes at most 16 bytes more than the id.
            match peek_id(head) {
                Some(found) => prop_assert_eq!(found, (kind, id.clone())),
                None => prop_assert!(id.is_empty() || head.len() < id.len() + 16),
            }
        }
    }
}

#[test]
fn what_has_no_id_is_passed_on_as_it_is() {
    for (bytes, kind) in [
        (&b""[..], Kind::Other),
        (b"\x0a\x00", Kind::Other),
        (b"\x32\x00", Kind::Other),
        (b"\x42\x00", Kind::Other),
        (b"\x1a\x02\x52\x00", Kind::Event),
        (b"\x4a\x03new", Kind::Other),
    ] {
        let envelope = parse(bytes).unwrap();
        assert_eq!((envelope.kind(), envelope.id()), (kind, ""));
        assert_eq!(&envelope.with_id("gr-1")[..], bytes);
        assert!(!envelope.is_known_request() && !envelope.is_run_input());
    }
}

#[test]
fn requests_that_a_host_can_answer_are_told_from_others() {
    let run = encode_request("r", Operation::Say { text: "hi".to_owned() }).unwrap();
    let run = Envelope::parse(run).unwrap();
    assert!(run.is_run_input() && run.is_known_request() && !run.has_newer_fields());
    let ping = Envelope::parse(encode_request("r", Operation::Ping).unwrap()).unwrap();
    assert!(!ping.is_run_input() && ping.is_known_request());
    assert_eq!(ping.kind(), Kind::Request { asks: Some(2) });
    for (bytes, asks) in
        [(&b"\x22\x00"[..], None), (b"\x22\x02\x1a\x00", Some(3)), (b"\x22\x02\x6a\x00", Some(13))]
    {
        let envelope = parse(bytes).unwrap();
        assert_eq!(envelope.kind(), Kind::Request { asks });
        assert!(!envelope.is_known_request(), "{asks:?}");
    }
    let response = Envelope::parse(encode_error("r", "no")).unwrap();
    assert_eq!((response.kind(), response.id()), (Kind::Response, "r"));
    assert!(!response.is_known_request());
}

#[test]
fn what_means_different_things_to_different_readers_is_refused() {
    let ping = field(2, 2, &[]);
    let id = text(1, "a");
    let request = |inner: &[Vec<u8>]| field(REQUEST, 2, &inner.concat());
    let long_tag = |mut tag: u64, rest: &[u8]| {
        tag |= 1 << 35;
        let mut out = Vec::new();
        encode_varint(tag, &mut out);
        [&out[..], rest].concat()
    };
    let table: [(&str, Vec<u8>); 9] = [
        ("it has two ids", request(&[id.clone(), text(1, "b"), ping.clone()])),
        ("it has two ids", request(&[id.clone(), id.clone()])),
        ("it asks for two things", request(&[id.clone(), ping.clone(), field(5, 2, &text(1, "hi"))])),
        ("it asks for two things", request(&[id.clone(), ping.clone(), ping.clone()])),
        (
            "it has two payloads",
            [request(std::slice::from_ref(&ping)), request(std::slice::from_ref(&id))].concat(),
        ),
        ("it has two payloads", [request(std::slice::from_ref(&id)), field(3, 2, &[])].concat()),
        ("it has two payloads", [field(1, 2, &[]), field(RESPONSE, 2, &id)].concat()),
        ("a field number is too large", long_tag(0x22, b"\x00")),
        ("a field number is too large", request(&[id.clone(), long_tag(0x2a, b"\x00")])),
    ];
    for (why, bytes) in table {
        let error = parse(&bytes).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn what_is_no_protobuf_is_refused() {
    let deep: Vec<u8> = field(60, 3, &[]).repeat(101);
    let table: [(&str, Vec<u8>); 15] = [
        ("ends within", b"\x22\x05\x0a".to_vec()),
        ("ends within", b"\x22\x03\x0a\x09a".to_vec()),
        ("ends within", [b"\x22".to_vec(), vec![0xff; 9], vec![1]].concat()),
        ("ends within", field(60, 1, &[0; 7])),
        ("ends within", field(60, 5, &[0; 3])),
        ("broken varint", b"\x22".to_vec()),
        ("broken varint", b"\x80".to_vec()),
        ("broken varint", [field(60, 0, &[0x80; 10]), vec![1]].concat()),
        ("field number 0", b"\x02\x00".to_vec()),
        ("unknown wire type", b"\x26".to_vec()),
        ("payload that is no message", b"\x20\x01".to_vec()),
        ("id that is no text", b"\x22\x02\x08\x01".to_vec()),
        ("not UTF-8", b"\x22\x03\x0a\x01\xff".to_vec()),
        ("group", [field(60, 3, &[]), field(61, 4, &[])].concat()),
        ("nested too deep", deep),
    ];
    for (why, bytes) in table {
        let error = parse(&bytes).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert!(parse(b"\x22\x02\x28\x01").unwrap_err().contains("request that is no message"));
    assert!(parse(&field(60, 4, &[])).is_err(), "a group ends that never began");
    assert!(parse(&field(60, 3, &[])).is_err(), "a group never ends");
}

#[test]
fn a_truncated_head_gives_no_half_an_id() {
    let whole = encode_request("say-1", Operation::Ping).unwrap();
    for length in 0..whole.len() {
        let found = peek_id(&whole[..length]).map(|(_, id)| id);
        assert_eq!(found, (length >= 9).then(|| "say-1".to_owned()), "{length} bytes");
    }
    for other in [
        &b"\x1a\x0a\x0a\x03abc"[..],
        b"\x22\x05\x12\x03abc",
        b"\x20\x05\x0a\x03abc",
        b"\x22\x05\x0a\x02\xff\xff",
    ] {
        assert_eq!(peek_id(other), None, "{other:02x?}");
    }
}
