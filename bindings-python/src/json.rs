//! JSON text in and out: the contract of all languages.

use std::time::Duration;

use greenroom_protocol::journal::Read;
use greenroom_protocol::message::{Answer, Operation};
use greenroom_protocol::{Error, Time};
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{invalid, raise};

/// An answer as Python gets it: the number of its call, whether it succeeded, and the JSON of the answer or the error.
pub(crate) type Completion = (u64, bool, String);

/// Reads an operation, `{"op": "say", "text": "hi"}`.
pub(crate) fn operation(text: &str) -> PyResult<Operation> {
    parse("operation", text)
}

/// Reads any argument that is JSON; `what` names it in the error.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, text: &str) -> PyResult<T> {
    serde_json::from_str(text)
        .map_err(|error| raise(&Error::unreadable(&format!("not a valid {what}"), &error)))
}

/// Reads seconds.
pub(crate) fn seconds(what: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(format!("{what} is {seconds} s; it must be a number of seconds from 0 on")))
}

/// Reads a timeout in seconds, which must be above 0.
pub(crate) fn timeout(what: &str, seconds: f64) -> PyResult<Duration> {
    greenroom_protocol::time::timeout(what, seconds).map_err(|error| crate::error::raise(&error))
}

/// Reads a timeout that may be left out.
pub(crate) fn maybe_timeout(what: &str, given: Option<f64>) -> PyResult<Option<Duration>> {
    given.map(|given| timeout(what, given)).transpose()
}

/// Reads a time on the caller's clock.
pub(crate) fn time(now: f64) -> PyResult<Time> {
    Ok(Time::from_origin(seconds("now", now)?))
}

/// Writes an answer or an error.
pub(crate) fn completion(number: u64, answer: Result<Answer, Error>) -> Completion {
    match answer {
        Ok(answer) => match serde_json::to_string(&answer) {
            Ok(text) => (number, true, text),
            Err(problem) => (number, false, unwritable(&problem)),
        },
        Err(problem) => (number, false, error(&problem)),
    }
}

/// Writes events, and where to read on.
pub(crate) fn events(read: &Read) -> (Vec<String>, u64) {
    (read.events.iter().map(text).collect(), read.next)
}

/// Writes an error.
pub(crate) fn error(error: &Error) -> String {
    text(error)
}

/// Writes anything of ours. None of our types can fail to be JSON: their maps have text keys.
pub(crate) fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|problem| unwritable(&problem))
}

fn unwritable(problem: &serde_json::Error) -> String {
    serde_json::json!({ "code": "internal", "message": format!("an answer cannot be written as JSON: {problem}") }).to_string()
}
