//! A room that was joined natively, as Python holds it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use greenroom_control::credentials::Secret;
use greenroom_room::RoomOptions;
use greenroom_room::{RoomAnswer, RoomCall, RoomCalls};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;

use crate::driver::wait_until_done;
use crate::error::{Owner, invalid, raise};
use crate::json;
use crate::wake::{Reader, pair};

/// An answer as Python gets it: the number of its call, whether it succeeded, the JSON of the answer or the error, and bytes.
type Answer = (u64, bool, String, Option<Py<PyBytes>>);

/// A room. Nothing here blocks, except [`RoomDriver::wait_closed`].
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct RoomDriver {
    owner: Owner,
    /// Always there, but for the moment in which a forked child drops it.
    held: Option<Held>,
}

struct Held {
    room: RoomCalls,
    reader: Mutex<Option<Reader>>,
}

/// What a room is joined with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    url: String,
    token: Secret,
    /// Seconds.
    connect_timeout: f64,
    /// PEM, or a file of it; unset is what the system trusts.
    ca: Option<Secret>,
    /// A url; unset is what the environment says.
    proxy: Option<Secret>,
}

#[pymethods]
impl RoomDriver {
    /// Joins a room. Returns at once; the answer under `token` says that data can be sent, or why not.
    ///
    /// `options` is JSON: `{"url": str, "token": str, "connect_timeout": s, "ca": str|null, "proxy": str|null}`.
    #[new]
    fn new(py: Python<'_>, options: &str, token: u64) -> PyResult<Self> {
        let options: Options = json::parse("join", options)?;
        let mut join = RoomOptions::new(options.url, options.token)
            .reached_by(options.ca.as_ref(), options.proxy.as_ref())
            .map_err(|error| raise(&error))?;
        join.connect_timeout = json::seconds("timeout", options.connect_timeout)?;
        let (wake, reader) = pair()?;
        let room = py.detach(|| RoomCalls::join(join, token, Box::new(move || wake.wake())));
        let held = Held { room: room.map_err(|error| raise(&error))?, reader: Mutex::new(Some(reader)) };
        Ok(Self { owner: Owner::this(), held: Some(held) })
    }

    /// Gives away the socket on which one byte comes whenever there is something to drain. Once only.
    fn detach_fileno(&self) -> PyResult<i64> {
        let reader = self.held()?.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        reader.map(Reader::into_fileno).ok_or_else(|| invalid("the socket was given away already"))
    }

    /// Submits a call, as JSON, and the bytes that it sends. Its answer comes under `token`.
    fn submit(&self, py: Python<'_>, call: &str, payload: &[u8], token: u64) -> PyResult<()> {
        let held = self.held()?;
        let call: RoomCall = json::parse("call", call)?;
        let payload = Bytes::copy_from_slice(payload);
        py.detach(|| held.room.submit(token, call, payload));
        Ok(())
    }

    /// Gives a call up, the join too; its answer becomes the error `cancelled`, if it has none yet.
    fn cancel(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        let held = self.held()?;
        py.detach(|| held.room.cancel(token));
        Ok(())
    }

    /// Takes the answers: token, whether it succeeded, JSON of the answer or the error, and the bytes that came with it.
    fn drain(&self, py: Python<'_>) -> PyResult<Vec<Answer>> {
        let held = self.held()?;
        let answers = py.detach(|| held.room.drain());
        Ok(answers.into_iter().map(|answer| as_python(py, answer)).collect())
    }

    /// The room as it is now, as JSON; `null` before it is joined.
    fn snapshot(&self, py: Python<'_>) -> PyResult<String> {
        let held = self.held()?;
        Ok(py.detach(|| held.room.snapshot().to_string()))
    }

    /// A reader of what happens: the first one from the join on, later ones from now on.
    fn open_events(&self) -> PyResult<u64> {
        self.held()?.room.open_events().map_err(|error| raise(&error))
    }

    /// A reader of the streams of a topic that begin from now on.
    fn receive(&self, topic: &str) -> PyResult<u64> {
        self.held()?.room.receive(topic).map_err(|error| raise(&error))
    }

    /// Lets go of a reader.
    fn close_reader(&self, reader: u64) -> PyResult<()> {
        self.held()?.room.close_reader(reader);
        Ok(())
    }

    /// Leaves the room; the answer under `token` says that nothing is left of it.
    fn close(&self, py: Python<'_>, token: u64) -> PyResult<()> {
        let held = self.held()?;
        py.detach(|| held.room.leave_as(token));
        Ok(())
    }

    /// Leaves the room and blocks until nothing is left of it, for `timeout` seconds at most. Gives whether that is so. For the
    /// interpreter's exit.
    fn wait_closed(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let held = self.held()?;
        let timeout = json::seconds("timeout", timeout)?;
        Ok(py.detach(|| wait_until_done(|done| held.room.leave(done), timeout)))
    }
}

impl RoomDriver {
    fn held(&self) -> PyResult<&Held> {
        self.owner.check()?;
        self.held.as_ref().ok_or_else(|| invalid("the room is gone"))
    }
}

impl Drop for RoomDriver {
    /// In a forked child nothing is left, joined or unlocked: the copy stays as it is.
    fn drop(&mut self) {
        if !self.owner.is_here() {
            std::mem::forget(self.held.take());
        }
    }
}

fn as_python(py: Python<'_>, answer: RoomAnswer) -> Answer {
    let bytes = answer.bytes.map(|bytes| PyBytes::new(py, &bytes).unbind());
    match answer.outcome {
        Ok(value) => (answer.token, true, value.to_string(), bytes),
        Err(error) => (answer.token, false, json::error(&error), bytes),
    }
}
