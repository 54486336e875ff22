//! What may come in, whoever sends it: one function for each way in, which takes any bytes and holds what must hold for all of them.
//! The targets of `fuzz/` call these with what they make up, and a test with what was ever found. No part of the interface.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::frame::{Decoder, Frame, FrameError, PREFIX};
use crate::gate::Peer;
use crate::limits::Limits;
use crate::message::{Envelope, Inbound, Operation, encode_request, peek_id};
use crate::room::{Incoming, Outgoing, StreamId, Switchboard};
use crate::session::{Config, Controller, HostConfig};
use crate::time::{Time, WallClock};
use crate::voice::VoiceConfig;

/// What an agent sends in [`room`], which nobody gets who holds no grant.
const SECRET: &[u8] = b"what only holders of the grant may see";

/// Cuts the bytes into pieces: each begins with its length in two bytes, and the last may be cut off.
pub fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk()?;
        let (piece, rest) = rest.split_at(rest.len().min(u16::from_be_bytes(*length).into()));
        data = rest;
        Some(piece)
    })
}

/// The frames of a TCP link, which are the same however the stream is cut. The first byte says how it is.
pub fn frame(data: &[u8]) {
    const MAX: usize = 64;
    const SKIP_MAX: usize = 300;
    const PEEK: usize = 16;
    let Some((&chunk, stream)) = data.split_first() else { return };
    let found = |chunk: usize| {
        let mut decoder = Decoder::new(MAX, SKIP_MAX, PEEK);
        let mut found: Vec<Result<Frame, FrameError>> = Vec::new();
        for chunk in stream.chunks(chunk) {
            let mut chunk = Bytes::copy_from_slice(chunk);
            loop {
                match decoder.next(&mut chunk) {
                    Ok(Some(frame)) => found.push(Ok(frame)),
                    Ok(None) => break,
                    Err(error) => {
                        found.push(Err(error));
                        return found;
                    }
                }
            }
        }
        found
    };
    let frames = found(stream.len().max(1));
    assert_eq!(frames, found(usize::from(chunk).max(1)), "the frames depend on how the stream is cut");
    let mut taken = 0;
    for frame in frames.into_iter().flatten() {
        taken += PREFIX;
        match frame {
            Frame::Message(message) => {
                assert!(message.len() <= MAX);
                taken += message.len();
            }
            Frame::Skipped { announced, head } => {
                assert!(announced > MAX && announced <= SKIP_MAX && head.len() == PEEK.min(announced));
                taken += announced;
            }
        }
    }
    assert!(taken <= stream.len(), "more was read than there was");
}

/// One message, as a controller and as a host reads it.
pub fn message(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let _ = peek_id(data);
    let inbound = Inbound::decode(&bytes);
    let Ok(envelope) = Envelope::parse(bytes.clone()) else { return };
    assert_eq!(*envelope.bytes(), bytes);
    let read = |bytes: &Bytes| Envelope::parse(bytes.clone()).expect("what was read is read again");
    let other = envelope.with_id("another");
    assert_eq!(read(&other).kind(), envelope.kind());
    if envelope.id().is_empty() {
        return;
    }
    assert_eq!(read(&other).id(), "another");
    let back = read(&other).with_id(envelope.id());
    assert_eq!(read(&back).id(), envelope.id());
    if let Ok(Inbound::Response(response)) = inbound {
        assert_eq!(response.request_id, envelope.id(), "the two read another id");
    }
}

/// A whole session of a controller: what its agent sends and how time goes. The first byte tells whether it has audio.
pub fn session(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else { return };
    let mut now = Time::ZERO;
    let config = Config { voice: (kind & 1 != 0).then(VoiceConfig::default), ..Config::default() };
    let mut controller = Controller::new(config, WallClock::new(now, SystemTime::UNIX_EPOCH));
    controller.open(now);
    controller.submit(Operation::Start, None, now);
    let mut submitted = 1;
    let mut answered = 0;
    for piece in pieces(rest) {
        let Some((&what, piece)) = piece.split_first() else { continue };
        match what % 8 {
            0 => {
                now = now + Duration::from_millis(u64::from(piece.first().copied().unwrap_or(1)) * 50);
                controller.handle_timeout(now);
            }
            1 => {
                let text = String::from_utf8_lossy(piece).into_owned();
                controller.submit(Operation::Say { text }, None, now);
                submitted += 1;
            }
            2 => {
                controller.submit(Operation::History, None, now);
                submitted += 1;
            }
            3 => controller.receive_skipped(20 << 20, piece, now),
            4 => {
                controller.feed(Bytes::copy_from_slice(&piece[..piece.len() & !1]), now);
                let _ = controller.pull(480, now);
            }
            _ => controller.receive(&Bytes::copy_from_slice(piece), now),
        }
        while controller.poll_transmit().is_some() {}
        while controller.poll_recording().is_some() {}
        answered += std::iter::from_fn(|| controller.poll_answer()).count();
        let _ = controller.poll_timeout();
    }
    let error = crate::Error::new(crate::Code::AgentGone, "the input ended");
    controller.close(crate::message::CloseReason::AgentLeft, error, now);
    answered += std::iter::from_fn(|| controller.poll_answer()).count();
    assert_eq!(answered, submitted, "one answer or one error for each");
    for event in controller.journal().read(0, usize::MAX).events {
        serde_json::to_string(&event).expect("an event is JSON");
    }
}

/// A room with a host and a controller of ours: participants, their streams, what the host's agent sends, and how time goes.
pub fn room(data: &[u8]) {
    if data.windows(SECRET.len()).any(|window| window == SECRET) {
        // Whoever says it in an id is told so in that id.
        return;
    }
    let mut now = Time::ZERO;
    let limits = Limits { stream_bytes: 1 << 16, streams: 8, held_streams: 4, ..Limits::default() };
    let mut board = Switchboard::new(limits, now);
    let host = board.open_host(HostConfig::default());
    board.listen("b");
    let mut streams: Vec<StreamId> = Vec::new();
    let mut granted = [false; 4];
    for piece in pieces(data) {
        let [what, who, piece @ ..] = piece else { continue };
        let index = usize::from(who % 4);
        let identity = ["a", "b", "c", "d"][index];
        let sid = format!("PA_{identity}");
        match what % 8 {
            0 => {
                granted[index] = who & 4 != 0;
                let can_manage_agent_session = (who & 8 == 0).then_some(granted[index]);
                granted[index] &= who & 8 == 0;
                board.set_peer(Peer { sid, identity: identity.to_owned(), can_manage_agent_session }, now);
            }
            1 => {
                granted[index] = false;
                board.remove_peer(&sid, now);
            }
            2 => {
                now = now + Duration::from_millis(u64::from(*who) * 50);
                board.handle_timeout(now);
            }
            3 => {
                board.send_from_agent(host, [SECRET, piece].concat().into(), None, now);
            }
            4 => {
                let stream = board.begin(identity, (who & 16 != 0).then_some(piece.len()), now);
                board.chunk(stream, piece, now);
                streams.push(stream);
            }
            5 => {
                if let Some(stream) = streams.get(usize::from(*who)) {
                    board.chunk(*stream, piece, now);
                }
            }
            6 => {
                if let Some(stream) = streams.get(usize::from(*who)) {
                    board.end(*stream, now);
                }
            }
            _ => {
                // A whole message, which is the most that a fuzzer can hardly make up.
                let said = String::from_utf8_lossy(piece).into_owned();
                let request = encode_request(&said, Operation::Say { text: said.clone() });
                let stream = board.begin(identity, None, now);
                board.chunk(stream, &request.unwrap_or_default(), now);
                board.end(stream, now);
            }
        }
        while let Some(incoming) = board.poll() {
            if let Incoming::Request { host, message, .. } = incoming {
                let response = crate::message::encode_error(
                    peek_id(&message).map_or_else(String::new, |(_, id)| id).as_str(),
                    std::str::from_utf8(SECRET).unwrap_or_default(),
                );
                board.send_from_agent(host, response, None, now);
            }
        }
        while let Some(outgoing) = board.poll_send() {
            let Outgoing::Send { to, message, .. } = outgoing else { continue };
            assert!(!to.is_empty(), "no message is broadcast");
            let is_secret = message.windows(SECRET.len()).any(|window| window == SECRET);
            for recipient in to.iter().filter(|_| is_secret) {
                let at = ["a", "b", "c", "d"].iter().position(|name| *name == recipient.identity);
                assert!(at.is_some_and(|at| granted[at]), "{recipient:?} holds no grant");
            }
        }
    }
}
