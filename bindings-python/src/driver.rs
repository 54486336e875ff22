//! A session whose link and thread are native, as Python holds it.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use greenroom_control::Remote;
use greenroom_control::credentials::Secret;
use greenroom_engine::launch::AgentSpec;
use greenroom_engine::protocol::session::CallId;
use greenroom_engine::{
    AudioOptions, Driver as Drives, JoinOptions, LogTarget, Outbox, Session, StartOptions,
};
use pyo3::prelude::*;
use serde::Deserialize;

use crate::error::{Owner, invalid, raise};
use crate::json::{self, Completion};
use crate::wake::{Reader, pair};

/// A session. Nothing here blocks, except [`Driver::wait_closed`].
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct Driver {
    owner: Owner,
    /// Always there, but for the moment in which a forked child drops it.
    held: Option<Held>,
}

struct Held {
    session: Arc<dyn Drives>,
    outbox: Arc<Outbox>,
    reader: Mutex<Option<Reader>>,
}

/// What [`start`] takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    agent: AgentSpec,
    port: Option<u16>,
    /// Seconds.
    start_timeout: f64,
    /// Seconds; unset is never.
    idle_timeout: Option<f64>,
    /// A file to keep; unset is a temporary one.
    log: Option<PathBuf>,
    /// Whether the agent's audio is kept on.
    audio: bool,
    /// A WAV file to record it into.
    recording: Option<PathBuf>,
}

/// Starts an agent. Returns at once; the operation `start` waits until the session is ready, or tells why it never will be.
///
/// `options` is JSON: `{"agent": AgentSpec, "port": int|null, "start_timeout": s, "idle_timeout": s|null, "log": path|null,
/// "audio": bool, "recording": path|null}`.
#[pyfunction]
pub(crate) fn start(py: Python<'_>, options: &str) -> PyResult<Driver> {
    let options: Options = json::parse("start", options)?;
    let mut start = StartOptions::new(options.agent);
    start.port = options.port;
    start.start_timeout = json::timeout("timeout", options.start_timeout)?;
    start.idle_timeout = json::maybe_timeout("idle_timeout", options.idle_timeout)?;
    start.log = options.log.map_or(LogTarget::Temporary, LogTarget::File);
    let recording = options.recording;
    start.audio = options.audio.then(|| AudioOptions { recording, ..AudioOptions::default() });
    Driver::new(py, || Ok(Arc::new(Session::start(start)?)))
}

/// Reaches the session that the command `greenroom start` left running under `name`. It blocks for milliseconds, and for seconds only
/// if the session's daemon is stuck. To close it is to let go of it: the daemon holds it on.
#[pyfunction]
pub(crate) fn open(py: Python<'_>, name: &str) -> PyResult<Driver> {
    Driver::new(py, || Ok(Arc::new(Remote::open(&name.parse()?)?)))
}

/// What [`join`] takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    url: String,
    token: Secret,
    /// The agent's identity; unset is the only agent of the room.
    agent: Option<String>,
    /// Seconds.
    start_timeout: f64,
    /// Seconds; unset is never.
    idle_timeout: Option<f64>,
    /// PEM, or a file of it; unset is what the system trusts.
    ca: Option<Secret>,
    /// A url; unset is what the environment says.
    proxy: Option<Secret>,
}

/// Joins a room and drives the session of an agent in it. Returns at once, as [`start`] does.
///
/// `options` is JSON: `{"url": str, "token": str, "agent": str|null, "start_timeout": s, "idle_timeout": s|null,
/// "ca": str|null, "proxy": str|null}`.
#[pyfunction]
pub(crate) fn join(py: Python<'_>, options: &str) -> PyResult<Driver> {
    let options: Joining = json::parse("join", options)?;
    let mut join = JoinOptions::new(options.url, options.token);
    let reached = join.room.reached_by(options.ca.as_ref(), options.proxy.as_ref());
    join.room = reached.map_err(|error| raise(&error))?;
    join.agent = options.agent;
    join.start_timeout = json::timeout("timeout", options.start_timeout)?;
    join.idle_timeout = json::maybe_timeout("idle_timeout", options.idle_timeout)?;
    Driver::new(py, || Ok(Arc::new(Session::join(join)?)))
}

#[pymethods]
impl Driver {
    /// Gives away the socket on which one byte comes whenever there is something to drain or to read. Once only.
    fn detach_fileno(&self) -> PyResult<i64> {
        let reader = self.held()?.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        reader.map(Reader::into_fileno).ok_or_else(|| invalid("the socket was given away already"))
    }

    /// Submits an operation, as JSON. Its answer comes under `token` within `timeout` seconds. Gives the number of the call.
    fn submit(&self, py: Python<'_>, operation: &str, timeout: Option<f64>, token: u64) -> PyResult<u64> {
        let held = self.held()?;
        let operation = json::operation(operation)?;
        let timeout = json::maybe_timeout("timeout", timeout)?;
        Ok(py.detach(|| held.outbox.submit(&*held.session, token, operation, timeout).0))
    }

    /// Gives a call up, by its number; its answer becomes the error `cancelled`, if it has none yet.
    fn cancel(&self, py: Python<'_>, call: u64) -> PyResult<()> {
        let held = self.held()?;
        py.detach(|| held.session.cancel(CallId(call)));
        Ok(())
    }

    /// Takes the answers: token, whether it succeeded, and JSON of the answer or the error.
    fn drain(&self, py: Python<'_>) -> PyResult<Vec<Completion>> {
        let held = self.held()?;
        Ok(py.detach(|| {
            held.outbox.drain().into_iter().map(|(token, answer)| json::completion(token, answer)).collect()
        }))
    }

    /// Reads up to `most` of the recent events, as JSON, from place `start` on, and gives the place to read on from. 0 is the beginning.
    fn read_events(&self, py: Python<'_>, start: u64, most: usize) -> PyResult<(Vec<String>, u64)> {
        let held = self.held()?;
        Ok(py.detach(|| json::events(&held.session.read_events(start, most))))
    }

    /// The place after the last event.
    fn end_of_events(&self, py: Python<'_>) -> PyResult<u64> {
        let held = self.held()?;
        Ok(py.detach(|| held.session.end_of_events()))
    }

    /// How the session stands, as JSON.
    fn status(&self, py: Python<'_>) -> PyResult<String> {
        let held = self.held()?;
        Ok(py.detach(|| held.session.status().to_string()))
    }

    /// Ends the session; the answer under `token` says that its agent and its link are gone.
    fn close(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        let held = self.held()?;
        py.detach(|| held.outbox.close(&*held.session, token));
        Ok(())
    }

    /// Ends the session itself, where closing only lets go of it; the answer under `token` says how that went.
    fn end_session(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        let held = self.held()?;
        py.detach(|| held.outbox.end_session(&*held.session, token));
        Ok(())
    }

    /// Ends the session and blocks until it is gone, for `timeout` seconds at most. Gives whether it is. For the interpreter's exit.
    fn wait_closed(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let held = self.held()?;
        let timeout = json::seconds("timeout", timeout)?;
        Ok(py.detach(|| wait_until_done(|done| held.session.close(done), timeout)))
    }
}

impl Driver {
    pub(crate) fn new(
        py: Python<'_>,
        make: impl FnOnce() -> Result<Arc<dyn Drives>, greenroom_protocol::Error> + Send,
    ) -> PyResult<Self> {
        let (wake, reader) = pair()?;
        let outbox = Outbox::new(Box::new(move || wake.wake()));
        let session = py.detach(make).map_err(|error| raise(&error))?;
        outbox.watch(&*session);
        let held = Held { session, outbox, reader: Mutex::new(Some(reader)) };
        Ok(Self { owner: Owner::this(), held: Some(held) })
    }

    fn held(&self) -> PyResult<&Held> {
        self.owner.check()?;
        self.held.as_ref().ok_or_else(|| invalid("the session is gone"))
    }
}

impl Drop for Driver {
    /// In a forked child nothing is ended, joined or unlocked: the copy is left as it is.
    fn drop(&mut self) {
        if !self.owner.is_here() {
            std::mem::forget(self.held.take());
        }
    }
}

/// Begins an end that calls what it is given once it is done, and waits for that; gives whether it is.
pub(crate) fn wait_until_done(begin: impl FnOnce(Box<dyn FnOnce() + Send>), timeout: Duration) -> bool {
    let closed = Arc::new((Mutex::new(false), Condvar::new()));
    let told = Arc::clone(&closed);
    begin(Box::new(move || {
        *told.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.1.notify_all();
    }));
    let waiting = closed.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (is_closed, _) = closed
        .1
        .wait_timeout_while(waiting, timeout, |closed| !*closed)
        .unwrap_or_else(PoisonError::into_inner);
    *is_closed
}
