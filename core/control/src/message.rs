//! The control protocol: what a client and a daemon say to each other over the session's loopback
//! port.
//!
//! The client sends the preamble that distinguishes it from an agent, then frames: a big-endian
//! length of 4 bytes and as much JSON. Its first request is `hello` with the token. Every request
//! has an id of the client's and gets exactly one final reply.
//!
//! | request | final reply |
//! |---|---|
//! | `{"id":0,"op":"hello","token":"…","version":1}` | `{"id":0,"ok":{"version":1,"name":"…","end_of_events":7},"status":{…}}` |
//! | `{"id":1,"op":"say","text":"hi","timeout_ms":9000}`, and every other [`Operation`] | `{"id":1,"ok":{"answer":"turn",…},"status":{…}}` |
//! | `{"id":2,"op":"cancel","call":1}` | none; call 1 ends with `cancelled` |
//! | `{"id":3,"op":"status"}` | `{"id":3,"ok":{},"status":{…}}` |
//! | `{"id":4,"op":"events","from":0,"follow":true}` | `{"id":4,"events":[…],"next":9}`, any number of them, then `{"id":4,"ok":{}}` |
//! | `{"id":5,"op":"end"}` | `{"id":5,"ok":{},"status":{…}}` once the agent is gone |
//!
//! Instead of `ok` there may be `error`: `{"code":"…","message":"…"}`. Fields that one side does
//! not know are passed over.

use std::time::Duration;

use greenroom_protocol::message::{Event, EventKind, Operation};
use greenroom_protocol::{Code, Error};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::name::SessionName;
use crate::token::Token;

/// The version of this protocol. It grows when an old side would misunderstand a new one.
pub const VERSION: u32 = 1;

/// The largest frame a daemon takes: the longest speech that a turn may have, in base64. The
/// longest text, each byte of it escaped, is less.
pub const MAX_REQUEST: usize = 24 << 20;

/// The largest frame a daemon takes before the token is proved.
pub const MAX_HELLO: usize = 4 << 10;

/// The largest frame a client takes.
pub const MAX_REPLY: usize = 64 << 20;

/// How long a client has to prove the token.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The client's number for it.
    pub id: u64,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What it asks.
    pub ask: Ask,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Ask {
    /// To be let in.
    Hello {
        /// The proof.
        token: Token,
        /// The client's version of this protocol.
        version: u32,
    },
    /// A call on the session.
    Call(Operation),
    /// Cancels a call.
    Cancel {
        /// The call's request.
        call: u64,
    },
    /// How the session stands.
    Status,
    /// The events from a place on.
    Events {
        /// The place; 0 is the beginning of what is kept.
        from: u64,
        /// Whether to go on with those that come.
        follow: bool,
    },
    /// The end of the session.
    End,
}

/// What a daemon says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// The request that it is about.
    pub id: u64,
    /// The request is done. It holds the answer of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<Box<RawValue>>,
    /// The request failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// Some of the events that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Box<RawValue>>>,
    /// Where to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// How the session stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// The answer to a hello.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The daemon's version of this protocol.
    pub version: u32,
    /// The session.
    pub name: SessionName,
    /// The place after the last event.
    pub end_of_events: u64,
}

impl Request {
    /// The request as JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = match &self.ask {
            Ask::Hello { token, version } => {
                object([("op", "hello".into()), ("token", json(token)), ("version", (*version).into())])
            }
            Ask::Call(operation) => match json(operation) {
                Value::Object(fields) => fields,
                other => object([("op", other)]),
            },
            Ask::Cancel { call } => object([("op", "cancel".into()), ("call", (*call).into())]),
            Ask::Status => object([("op", "status".into())]),
            Ask::Events { from, follow } => {
                object([("op", "events".into()), ("from", (*from).into()), ("follow", (*follow).into())])
            }
            Ask::End => object([("op", "end".into())]),
        };
        fields.insert("id".to_owned(), self.id.into());
        if let Some(timeout) = self.timeout {
            fields.insert("timeout_ms".to_owned(), (timeout.as_millis() as u64).into());
        }
        Value::Object(fields).to_string().into_bytes()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// The id, where it can be read, and what is wrong.
    pub fn decode(frame: &[u8]) -> Result<Self, (u64, Error)> {
        let invalid = |id, what: String| (id, Error::new(Code::InvalidArgument, what));
        let mut fields: Map<String, Value> = serde_json::from_slice(frame)
            .map_err(|error| invalid(0, format!("the request is not a JSON object: {error}")))?;
        let id = fields.remove("id").and_then(|id| id.as_u64()).unwrap_or_default();
        let timeout = fields.remove("timeout_ms").and_then(|ms| ms.as_u64()).map(Duration::from_millis);
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        let op = fields.get("op").and_then(Value::as_str).unwrap_or_default();
        let ask = match op {
            "hello" => {
                let token = fields.get("token").cloned().and_then(|token| serde_json::from_value(token).ok());
                let token = token.ok_or_else(|| invalid(id, "the hello holds no token".to_owned()))?;
                Ask::Hello {
                    token,
                    version: number("version").and_then(|v| v.try_into().ok()).unwrap_or_default(),
                }
            }
            "cancel" => Ask::Cancel { call: number("call").unwrap_or_default() },
            "status" => Ask::Status,
            "events" => Ask::Events {
                from: number("from").unwrap_or_default(),
                follow: fields.get("follow").and_then(Value::as_bool).unwrap_or_default(),
            },
            "end" => Ask::End,
            op => {
                let op = op.to_owned();
                let operation = Operation::deserialize(Value::Object(fields));
                Ask::Call(operation.map_err(|error| {
                    let version = env!("CARGO_PKG_VERSION");
                    invalid(
                        id,
                        format!(
                            "the daemon of this session (greenroom {version}) cannot do {op:?} as it is asked for ({error}); it may be \
                             of another version than what asks: `greenroom restart` renews it"
                        ),
                    )
                })?)
            }
        };
        Ok(Self { id, timeout, ask })
    }
}

impl Reply {
    /// That a request is done.
    pub fn ok(id: u64, answer: &impl Serialize) -> Self {
        match serde_json::value::to_raw_value(answer) {
            Ok(ok) => Self { id, ok: Some(ok), ..Self::default() },
            Err(error) => Self::error(
                id,
                &Error::new(Code::Internal, format!("an answer cannot be written down: {error}")),
            ),
        }
    }

    /// That a request failed.
    pub fn error(id: u64, error: &Error) -> Self {
        Self { id, error: Some(json(error)), ..Self::default() }
    }

    /// The reply as JSON.
    pub fn encode(&self) -> Vec<u8> {
        // Its parts are JSON already.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// `protocol_error`.
    pub fn decode(frame: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(frame).map_err(|error| {
            Error::new(Code::ProtocolError, format!("the daemon's reply cannot be read: {error}"))
        })
    }

    /// What the request ended with; `None` if this is not its final reply.
    pub fn end(self) -> Option<Result<Box<RawValue>, Error>> {
        match (self.error, self.ok) {
            (Some(error), _) => Some(Err(read_error(error))),
            (None, Some(ok)) => Some(Ok(ok)),
            (None, None) => None,
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// `protocol_error`, when it is of a kind newer than this version.
pub fn read_answer<T: for<'a> Deserialize<'a>>(answer: &RawValue) -> Result<T, Error> {
    serde_json::from_str(answer.get()).map_err(|error| {
        Error::new(
            Code::ProtocolError,
            format!("the daemon's answer is of another version of Greenroom ({error}); `greenroom restart` renews it"),
        )
    })
}

/// Reads an event; one of a kind newer than this version is unknown.
pub fn read_event(event: &RawValue) -> Event {
    serde_json::from_str(event.get()).unwrap_or_else(|_| {
        let fields: Value = serde_json::from_str(event.get()).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Event {
            seq: fields.get("seq").and_then(Value::as_u64).unwrap_or_default(),
            time: text("time").parse().unwrap_or_default(),
            kind: EventKind::Unknown { what: format!("an event {:?} of a newer daemon", text("type")) },
            earlier: false,
            late: false,
            raw: None,
        }
    })
}

/// Puts the length in front.
///
/// # Errors
/// `too_large`, with both sizes, when it is over `most`.
pub fn frame(body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= most).ok_or_else(|| {
        Error::new(
            Code::TooLarge,
            format!("a message of {} bytes is too long; at most {most} are taken", body.len()),
        )
    })?;
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    Ok(frame)
}

/// The length that a frame announces.
///
/// # Errors
/// `too_large`, with both sizes, when it is over `most`.
pub fn frame_length(prefix: [u8; 4], most: usize) -> Result<usize, Error> {
    let length = u32::from_be_bytes(prefix) as usize;
    if length > most {
        return Err(Error::new(
            Code::TooLarge,
            format!("a message of {length} bytes is too long; at most {most} are taken"),
        ));
    }
    Ok(length)
}

fn read_error(error: Value) -> Error {
    Error::deserialize(&error).unwrap_or_else(|_| {
        // A code newer than this version.
        let message = error.get("message").and_then(Value::as_str).unwrap_or("the daemon does not say why");
        Error::new(Code::Internal, message)
    })
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn json(value: &impl Serialize) -> Value {
    // Our own types have text keys only: they cannot fail.
    serde_json::to_value(value).unwrap_or_default()
}
