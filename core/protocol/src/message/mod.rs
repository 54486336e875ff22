//! Messages of the wire and what they mean. Nothing outside this folder reads generated code.

mod event;
mod item;
mod operation;
pub(crate) mod salvage;
mod splice;
mod usage;
mod value;

use std::ops::RangeInclusive;

use base64::Engine as _;
use bytes::Bytes;
use prost::Message as _;

pub use self::event::{
    AgentState, AmdCategory, AmdPrediction, CloseReason, Event, EventKind, SessionCloseReason, StateChange,
    ToolCallStatus, ToolReplyStatus, ToolUpdate, UserState,
};
pub use self::item::{ChatMessage, ConfigUpdate, Handoff, Item, Metrics, Role, ToolCall};
pub(crate) use self::operation::Payload;
pub use self::operation::{
    AgentInfo, Answer, FrameworkInfo, IoUpdate, MoreSpeech, Operation, RtcStats, SessionState, SpokenTurn,
    Started, Verdict,
};
pub use self::splice::{Envelope, Kind, SpliceError, peek_id};
pub use self::usage::{ModelUsage, Used};
use crate::wire;

/// A message as a controller reads it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Inbound {
    /// Something happened. Several where one message tells of several tools.
    Events {
        /// What happened.
        events: Vec<EventKind>,
        /// The whole message in base64, where it holds more than this schema.
        raw: Option<String>,
    },
    /// An answer to a request.
    Response(Response),
    /// Speech of the agent.
    Audio(AudioFrame),
    /// A segment of speech is complete, and its acknowledgement awaited.
    PlaybackFlush,
    /// Speech that is not played yet must not be.
    PlaybackClear,
    /// An empty message, or one of a kind that a controller does not take.
    Unknown {
        /// What it is, in words.
        what: &'static str,
        /// Its bytes in base64; `None` if it is empty.
        raw: Option<String>,
    },
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The id of the request.
    pub request_id: String,
    /// The host's error. A payload may stand beside it.
    pub error: Option<String>,
    pub(crate) payload: Option<Payload>,
}

/// Interleaved signed 16-bit little-endian samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// The samples.
    pub data: Bytes,
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// Channels.
    pub num_channels: u32,
    /// Samples in each channel.
    pub samples_per_channel: u32,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of lk.agent.session ({size} bytes): {reason}")]
pub struct DecodeError {
    /// How many bytes there were.
    pub size: usize,
    reason: String,
}

impl Inbound {
    /// Reads one message.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not protobuf of this envelope.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        use wire::agent_session_message::Message as Wire;
        let message =
            decode(bytes).map_err(|error| DecodeError { size: bytes.len(), reason: error.to_string() })?;
        // What re-encodes to fewer bytes held fields that the schema does not have.
        let raw = || (message.encoded_len() < bytes.len()).then(|| base64(bytes));
        Ok(match message.message {
            Some(Wire::Event(_)) => {
                let raw = raw();
                let Some(Wire::Event(event)) = message.message else { unreachable!() };
                match event.event {
                    Some(event) => {
                        let mut events = EventKind::from_wire(event);
                        if events.is_empty() && raw.is_some() {
                            events
                                .push(EventKind::Unknown { what: "an event of unknown content".to_owned() });
                        }
                        Self::Events { events, raw }
                    }
                    None => Self::Unknown { what: "an event of an unknown kind", raw: Some(base64(bytes)) },
                }
            }
            Some(Wire::Response(response)) => Self::Response(Response {
                request_id: response.request_id,
                error: response.error,
                payload: response.response.map(Payload::from_wire),
            }),
            Some(Wire::AudioOutput(frame)) => Self::Audio(AudioFrame {
                data: frame.data,
                sample_rate: frame.sample_rate,
                num_channels: frame.num_channels,
                samples_per_channel: frame.samples_per_channel,
            }),
            Some(Wire::AudioPlaybackFlush(_)) => Self::PlaybackFlush,
            Some(Wire::AudioPlaybackClear(_)) => Self::PlaybackClear,
            Some(Wire::Request(_) | Wire::AudioInput(_) | Wire::AudioPlaybackFinished(_)) => {
                Self::Unknown { what: "a message that only a controller sends", raw: Some(base64(bytes)) }
            }
            None if bytes.is_empty() => Self::Unknown { what: "an empty message", raw: None },
            None => Self::Unknown { what: "a message of an unknown kind", raw: Some(base64(bytes)) },
        })
    }
}

/// One request, encoded. [`Operation::Start`] and those that speak are none: they give `None`.
pub fn encode_request(request_id: &str, operation: Operation) -> Option<Bytes> {
    let request = operation.into_wire()?;
    let request = wire::SessionRequest { request_id: request_id.to_owned(), request: Some(request) };
    Some(encode(wire::agent_session_message::Message::Request(request)))
}

/// A response that is an error without payload.
pub fn encode_error(request_id: &str, error: &str) -> Bytes {
    encode(wire::agent_session_message::Message::Response(wire::SessionResponse {
        request_id: request_id.to_owned(),
        error: Some(error.to_owned()),
        response: None,
    }))
}

/// The acknowledgement of a flush.
pub fn encode_playback_finished() -> Bytes {
    encode(wire::agent_session_message::Message::AudioPlaybackFinished(
        wire::agent_session_message::console_io::AudioPlaybackFinished {},
    ))
}

/// A frame of the user's speech, mono.
pub fn encode_audio_input(data: Bytes, sample_rate: u32, samples_per_channel: u32) -> Bytes {
    encode(wire::agent_session_message::Message::AudioInput(
        wire::agent_session_message::console_io::AudioFrame {
            data,
            sample_rate,
            num_channels: 1,
            samples_per_channel,
        },
    ))
}

fn decode(bytes: &Bytes) -> Result<wire::AgentSessionMessage, prost::DecodeError> {
    const AUDIO: RangeInclusive<u8> = 1..=2;
    // Only what audio holds is worth sharing; all else is read faster as a slice.
    match bytes.first() {
        Some(key) if AUDIO.contains(&(key >> 3)) => wire::AgentSessionMessage::decode(bytes.clone()),
        _ => wire::AgentSessionMessage::decode(&bytes[..]),
    }
}

fn encode(message: wire::agent_session_message::Message) -> Bytes {
    wire::AgentSessionMessage { message: Some(message) }.encode_to_vec().into()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
