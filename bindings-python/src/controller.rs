//! The protocol alone, for a link that lives in Python: bytes and time in, bytes, answers and events out. No thread, no clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use greenroom_protocol::message::CloseReason;
use greenroom_protocol::session::{CallId, Config, Controller as Protocol};
use greenroom_protocol::time::WallClock;
use greenroom_protocol::{Code, Error};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;

use crate::json::{self, Completion};

/// The controller's side of one session. Every `now` is seconds on one monotonic clock of the caller's choice.
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct Controller {
    protocol: Mutex<Protocol>,
}

/// What a controller can be told at its making.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    id_prefix: String,
    text_mode: bool,
    fetch_history: bool,
}

impl Default for Options {
    fn default() -> Self {
        let Config { id_prefix, text_mode, fetch_history, .. } = Config::default();
        Self { id_prefix, text_mode, fetch_history }
    }
}

#[pymethods]
impl Controller {
    /// A controller without a link yet. `options` is JSON: `{"id_prefix"?: str, "text_mode"?: bool, "fetch_history"?: bool}`.
    #[new]
    fn new(options: &str, now: f64) -> PyResult<Self> {
        let options: Options = json::parse("controller", options)?;
        let mut config = Config::default();
        config.id_prefix = options.id_prefix;
        config.text_mode = options.text_mode;
        config.fetch_history = options.fetch_history;
        let protocol = Protocol::new(config, WallClock::new(json::time(now)?, SystemTime::now()));
        Ok(Self { protocol: Mutex::new(protocol) })
    }

    /// The link is there.
    fn open(&self, now: f64) -> PyResult<()> {
        self.lock().open(json::time(now)?);
        Ok(())
    }

    /// Submits an operation, as JSON, to be answered within `timeout` seconds. Gives the number of the call.
    fn submit(&self, operation: &str, timeout: Option<f64>, now: f64) -> PyResult<u64> {
        let operation = json::operation(operation)?;
        let timeout = json::maybe_seconds("timeout", timeout)?;
        Ok(self.lock().submit(operation, timeout, json::time(now)?).0)
    }

    /// Gives a call up, by its number.
    fn cancel(&self, call: u64, now: f64) -> PyResult<()> {
        self.lock().cancel(CallId(call), json::time(now)?);
        Ok(())
    }

    /// Takes one message from the agent.
    fn receive(&self, message: &[u8], now: f64) -> PyResult<()> {
        self.lock().receive(&Bytes::copy_from_slice(message), json::time(now)?);
        Ok(())
    }

    /// A message of `announced` bytes was over the link's cap and went by; `head` are its first bytes.
    fn receive_skipped(&self, announced: usize, head: &[u8], now: f64) -> PyResult<()> {
        self.lock().receive_skipped(announced, head, json::time(now)?);
        Ok(())
    }

    /// The link is gone. `reason` is one of the event `closed`; what is pending fails at once, and so will every later call.
    fn closed(&self, reason: &str, message: String, now: f64) -> PyResult<()> {
        let reason: CloseReason = json::parse("close reason", &format!("{reason:?}"))?;
        let code = match reason {
            CloseReason::Closed => Code::SessionClosed,
            CloseReason::ProtocolError => Code::ProtocolError,
            _ => Code::AgentGone,
        };
        let error = Error::new(code, message);
        self.lock().close(reason, error, json::time(now)?);
        Ok(())
    }

    /// The next message for the agent.
    fn poll_transmit<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let message = self.lock().poll_transmit()?;
        Some(PyBytes::new(py, &message))
    }

    /// Takes the answers: the number of the call, whether it succeeded, and JSON of the answer or the error.
    fn drain(&self) -> Vec<Completion> {
        let mut protocol = self.lock();
        std::iter::from_fn(|| protocol.poll_answer())
            .map(|(call, answer)| json::completion(call.0, answer))
            .collect()
    }

    /// Reads up to `most` of the recent events, as JSON, from place `start` on, and gives the place to read on from. 0 is the beginning.
    fn read_events(&self, start: u64, most: usize) -> (Vec<String>, u64) {
        json::events(&self.lock().journal().read(start, most))
    }

    /// The place after the last event.
    fn end_of_events(&self) -> u64 {
        self.lock().journal().end()
    }

    /// When to call `handle_timeout`; None while nothing is awaited.
    fn poll_timeout(&self) -> Option<f64> {
        self.lock().poll_timeout().map(|at| at.since_origin().as_secs_f64())
    }

    /// Lets pass what is due.
    fn handle_timeout(&self, now: f64) -> PyResult<()> {
        self.lock().handle_timeout(json::time(now)?);
        Ok(())
    }

    /// How the session stands, as JSON: what does not depend on the link.
    fn status(&self) -> String {
        let protocol = self.lock();
        let stands = match (protocol.closed(), protocol.is_ready(), protocol.in_turn()) {
            (Some(_), ..) => "closed",
            (None, false, _) => "starting",
            (None, true, false) => "ready",
            (None, true, true) => "in_turn",
        };
        serde_json::json!({
            "state": stands,
            "turns": protocol.turns(),
            "turn_in_progress": protocol.in_turn(),
            "agent_state": protocol.agent_state().map(|state| state.to_string()),
            "unseen_events": protocol.unseen_events(),
            "closed": protocol.closed(),
        })
        .to_string()
    }
}

impl Controller {
    fn lock(&self) -> MutexGuard<'_, Protocol> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
