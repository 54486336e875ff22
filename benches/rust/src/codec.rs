//! Our codec on the corpus, without a socket.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use greenroom::{Limits, Operation};
use greenroom_protocol::frame::{self, Decoder, Frame};
use greenroom_protocol::message::{self, Inbound};
use greenroom_protocol::wire::AgentSessionMessage;
use prost::Message as _;
use serde_json::{Value, json};

use crate::measure::per_pass;
use crate::{Outcome, corpus};

/// The time of one message, in nanoseconds:
/// - `conversation`: what a controller does. Frames to messages with their meaning; turns to frames.
/// - `conversation_wire`, `vectors_wire`: each message decoded and encoded again, without its meaning.
pub(crate) fn measure(folder: &Path, for_ms: u64) -> Outcome<Value> {
    let received = Bytes::from(fs::read(folder.join(corpus::RECEIVED))?);
    let vectors = Bytes::from(fs::read(folder.join(corpus::VECTORS))?);
    let texts: Vec<String> = serde_json::from_slice(&fs::read(folder.join(corpus::SENT))?)?;
    let total = Duration::from_millis(for_ms);
    let limits = Limits::default();

    let conversation = per_pass(total, || {
        read(&received, &limits, |message| {
            let _ = black_box(Inbound::decode(&message));
        });
        for (number, text) in texts.iter().enumerate() {
            let say = Operation::Say { text: text.clone() };
            let Some(message) = message::encode_request(&format!("gr-{number}"), say) else { continue };
            let _ = black_box((frame::prefix(&message, limits.sent_message), message));
        }
    });
    let both_ways = |stream: &Bytes| {
        per_pass(total, || {
            read(stream, &limits, |message| {
                if let Ok(decoded) = AgentSessionMessage::decode(&message[..]) {
                    let message = decoded.encode_to_vec();
                    let _ = black_box((frame::prefix(&message, limits.sent_message), message));
                }
            });
        })
    };
    let conversation_wire = both_ways(&received);
    let vectors_wire = both_ways(&vectors);

    let (in_received, in_vectors) = (count(&received, &limits), count(&vectors, &limits));
    Ok(json!({
        "conversation": conversation / (in_received + texts.len() as f64),
        "conversation_wire": conversation_wire / in_received,
        "vectors_wire": vectors_wire / in_vectors,
    }))
}

/// Cuts the stream into messages as the link does, which reads 64 KiB at once.
fn read(stream: &Bytes, limits: &Limits, mut each: impl FnMut(Bytes)) {
    let mut decoder = Decoder::new(limits.agent_message, limits.skipped_message, limits.peeked);
    for at in (0..stream.len()).step_by(64 << 10) {
        let mut read = stream.slice(at..stream.len().min(at + (64 << 10)));
        while let Ok(Some(Frame::Message(message))) = decoder.next(&mut read) {
            each(message);
        }
    }
}

fn count(stream: &Bytes, limits: &Limits) -> f64 {
    let mut count = 0_u32;
    read(stream, limits, |_| count += 1);
    f64::from(count)
}
