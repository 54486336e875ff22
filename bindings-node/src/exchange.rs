//! How values cross: JSON text, numbers, and errors that carry their code.

use std::time::Duration;

use greenroom_protocol::journal::Read;
use greenroom_protocol::message::{Answer, Operation};
use greenroom_protocol::{Error, Time};
use napi::Result;
use napi_derive::napi;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The answer to one call.
#[napi(object)]
pub struct Completion {
    /// The number of the call.
    pub token: i64,
    /// Whether `json` is an answer; else it is an error.
    pub ok: bool,
    /// The answer or the error.
    pub json: String,
}

/// What a reader of events finds.
#[napi(object)]
pub struct EventsRead {
    /// A JSON array of events, oldest first.
    pub json: String,
    /// Where to read on.
    pub next: i64,
}

impl Completion {
    pub(crate) fn new(token: u64, answer: std::result::Result<Answer, Error>) -> Self {
        match answer.map(|answer| to_json(&answer)) {
            Ok(json) => Self { token: signed(token), ok: true, json },
            Err(error) => Self { token: signed(token), ok: false, json: to_json(&error) },
        }
    }
}

impl From<Read> for EventsRead {
    fn from(read: Read) -> Self {
        Self { json: to_json(&read.events), next: signed(read.next) }
    }
}

/// An error of the table as JavaScript gets it: its message is the error's JSON.
pub(crate) fn thrown(error: &Error) -> napi::Error {
    napi::Error::from_reason(to_json(error))
}

/// Reads an operation or options. What is wrong with them is the package's doing or its caller's.
pub(crate) fn from_json<T: DeserializeOwned>(what: &str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| thrown(&Error::unreadable(what, &error)))
}

pub(crate) fn operation(json: &str) -> Result<Operation> {
    from_json("the operation cannot be read", json)
}

/// Serializing fails only for maps whose keys are no text, and there are none.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Milliseconds from JavaScript; what is no duration counts as none.
pub(crate) fn millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default()
}

/// A time on JavaScript's clock, in milliseconds.
pub(crate) fn at(now: f64) -> Time {
    Time::from_origin(millis(now))
}

/// The same for JavaScript.
pub(crate) fn since(at: Time) -> f64 {
    at.since_origin().as_secs_f64() * 1e3
}

/// A number that JavaScript had from [`signed`].
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Calls and events are numbered from 1: JavaScript's numbers hold them all.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
