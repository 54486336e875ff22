//! The caller's end of a session whose messages it carries: that of an agent in this process.

use bytes::Bytes;
use greenroom_engine::{Pipe as Engine, PipeOptions, Session};
use greenroom_protocol::message::CloseReason;
use greenroom_protocol::{Code, Error};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;

use crate::driver::Driver;
use crate::json;

/// Messages of the agent in, messages for it out. Take them after each call, and when the session wakes.
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct Pipe(Engine);

/// What [`over_pipe`] takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Seconds.
    start_timeout: f64,
    text_mode: bool,
    sdk_version: Option<String>,
}

/// Makes a session over a pipe. `options` is JSON: `{"start_timeout": s, "text_mode": bool, "sdk_version": str|null}`.
#[pyfunction]
pub(crate) fn over_pipe(py: Python<'_>, options: &str) -> PyResult<(Driver, Pipe)> {
    let options: Options = json::parse("in_process", options)?;
    let mut pipe = PipeOptions::default();
    pipe.start_timeout = json::timeout("timeout", options.start_timeout)?;
    pipe.controller.text_mode = options.text_mode;
    pipe.kind = Some("python");
    pipe.sdk_version = options.sdk_version;
    let mut end = None;
    let driver = Driver::new(py, || {
        let (session, pipe) = Session::over_pipe(pipe)?;
        end = Some(pipe);
        Ok(session.driver())
    })?;
    let end = end.ok_or_else(|| crate::error::invalid("the session has no pipe"))?;
    Ok((driver, Pipe(end)))
}

#[pymethods]
impl Pipe {
    /// The agent can be reached.
    fn open(&self) {
        self.0.open();
    }

    /// Takes one message from the agent.
    fn receive(&self, message: &[u8]) {
        self.0.receive(&Bytes::copy_from_slice(message));
    }

    /// Returns the next message for the agent.
    fn poll_transmit<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let message = self.0.poll_transmit()?;
        Some(PyBytes::new(py, &message))
    }

    /// The agent cannot be reached any more; `reason` is one of the event `closed`.
    fn closed(&self, reason: &str, message: String) -> PyResult<()> {
        let reason: CloseReason = json::parse("close reason", &format!("{reason:?}"))?;
        self.0.close(reason, Error::new(Code::AgentGone, message));
        Ok(())
    }
}
