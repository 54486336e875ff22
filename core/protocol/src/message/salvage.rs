//! Reads what can be read of an event that was too large for the link, from its first bytes.
//!
//! The encoded fields that are complete stay; the string in which the bytes end is cut there, and the
//! messages around it get their new lengths.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint};

use super::Inbound;
use super::event::EventKind;

/// Where a message is nested in an event: field numbers from the envelope inwards. All else that has
/// a length is a string.
const MESSAGES: &[&[u32]] = &[
    &[3],
    &[3, 1],
    // conversation_item_added: item, message and its content, call, output
    &[3, 12],
    &[3, 12, 1],
    &[3, 12, 1, 1],
    &[3, 12, 1, 1, 3],
    &[3, 12, 1, 2],
    &[3, 12, 1, 3],
    // user_input_transcribed
    &[3, 13],
    // function_tools_executed: calls, outputs
    &[3, 14],
    &[3, 14, 1],
    &[3, 14, 2],
    // error
    &[3, 15],
];

/// Returns the events of a message of `announced` bytes of which `head` is the beginning. Messages and
/// calls say how many bytes are missing. `None` if nothing can be read.
pub(crate) fn events(announced: usize, head: &[u8]) -> Option<Vec<EventKind>> {
    let repaired = repair(head, &mut Vec::new())?;
    let Ok(Inbound::Events { mut events, .. }) = Inbound::decode(&repaired) else { return None };
    let missing = announced.saturating_sub(head.len()) as u64;
    // The bytes end in the last one, or in the last of several tools.
    match events.last_mut()? {
        EventKind::Message(message) => message.cut_bytes = Some(missing),
        EventKind::ToolCall(call) => call.cut_bytes = Some(missing),
        EventKind::Error { message } => message.push_str(&format!("… ({missing} more bytes)")),
        EventKind::Transcript { text, .. } => text.push_str(&format!("… ({missing} more bytes)")),
        _ => return None,
    }
    Some(events)
}

fn repair(bytes: &[u8], path: &mut Vec<u32>) -> Option<Bytes> {
    let mut rest = bytes;
    let mut out = BytesMut::new();
    while !rest.is_empty() {
        let field = rest;
        let Some((number, wire_type)) = key(&mut rest) else { break };
        let length = match wire_type {
            0 => decode_varint(&mut rest).map(|_| 0).ok(),
            1 => Some(8),
            2 => decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok()),
            5 => Some(4),
            _ => return None,
        };
        // The bytes end before the content begins.
        let Some(length) = length else { break };
        if let Some(after) = rest.get(length..) {
            out.put_slice(&field[..field.len() - after.len()]);
            rest = after;
            continue;
        }
        path.push(number);
        let content = if wire_type != 2 {
            None
        } else if MESSAGES.contains(&path.as_slice()) {
            repair(rest, path)
        } else {
            Some(Bytes::copy_from_slice(whole_characters(rest)))
        };
        path.pop();
        if let Some(content) = content {
            encode_key(number, WireType::LengthDelimited, &mut out);
            encode_varint(content.len() as u64, &mut out);
            out.put_slice(&content);
        }
        break;
    }
    Some(out.freeze())
}

fn key(rest: &mut &[u8]) -> Option<(u32, u64)> {
    let key = decode_varint(rest).ok()?;
    Some((u32::try_from(key >> 3).ok()?, key & 7))
}

/// The text without the character in which it ends.
fn whole_characters(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Ok(_) => text,
        Err(error) if error.error_len().is_none() => &text[..error.valid_up_to()],
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use prost::Message as _;

    use super::events;
    use crate::message::EventKind;
    use crate::wire;

    fn added(text: &str) -> Vec<u8> {
        use wire::agent_session_event::Event;
        use wire::chat_context::chat_item::Item;
        use wire::chat_message::chat_content::Payload;
        let content = wire::chat_message::ChatContent { payload: Some(Payload::Text(text.to_owned())) };
        let message = wire::ChatMessage {
            id: "item_1".to_owned(),
            role: wire::ChatRole::Assistant.into(),
            content: vec![content],
            ..Default::default()
        };
        let item = wire::chat_context::ChatItem { item: Some(Item::Message(message)) };
        let event = wire::AgentSessionEvent {
            created_at: None,
            event: Some(Event::ConversationItemAdded(wire::agent_session_event::ConversationItemAdded {
                item: Some(item),
            })),
        };
        let message = wire::agent_session_message::Message::Event(event);
        wire::AgentSessionMessage { message: Some(message) }.encode_to_vec()
    }

    #[test]
    fn message_cut_anywhere_in_its_text_is_a_message() {
        let text = "é".repeat(5_000);
        let bytes = added(&text);
        for kept in (200..1_200).chain([bytes.len() - 1]) {
            let found = events(bytes.len(), &bytes[..kept]).unwrap();
            let [EventKind::Message(message)] = &found[..] else { panic!("{found:?}") };
            assert_eq!(message.id, "item_1");
            assert!(text.starts_with(&message.text) && message.text.len() > 100);
            assert_eq!(message.cut_bytes, Some((bytes.len() - kept) as u64));
        }
    }

    #[test]
    fn tool_output_cut_is_a_call() {
        let call = wire::FunctionCall {
            call_id: "c".to_owned(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
            ..Default::default()
        };
        let output = wire::FunctionCallOutput {
            call_id: "c".to_owned(),
            name: "look".to_owned(),
            output: "x".repeat(10_000),
            ..Default::default()
        };
        let event = wire::AgentSessionEvent {
            created_at: None,
            event: Some(wire::agent_session_event::Event::FunctionToolsExecuted(
                wire::agent_session_event::FunctionToolsExecuted {
                    function_calls: vec![call],
                    function_call_outputs: vec![output],
                },
            )),
        };
        let message = wire::agent_session_message::Message::Event(event);
        let bytes = wire::AgentSessionMessage { message: Some(message) }.encode_to_vec();
        let found = events(bytes.len(), &bytes[..4_096]).unwrap();
        let [EventKind::ToolCall(call)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((call.name.as_str(), call.cut_bytes), ("look", Some((bytes.len() - 4_096) as u64)));
        assert!(call.output.as_ref().unwrap().len() > 3_900);
    }

    #[test]
    fn bytes_that_are_no_event_are_nothing() {
        for bytes in [&b""[..], b"garbage", &[0x1a, 0xff], &[0xff; 40], &[0x2a, 0x05, 1, 2]] {
            assert_eq!(events(1 << 25, bytes), None);
        }
    }
}
