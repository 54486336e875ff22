//! All use of the topic of agent sessions in one Room that lives in Python. No IO, no thread, no clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use greenroom_engine::{AttachOptions, LocalParticipant, RoomTopic as Engine};
use greenroom_protocol::Limits;
use greenroom_protocol::gate::{Audit, Peer};
use greenroom_protocol::room::{Candidate, HostId, Incoming, Outgoing, Recipient, StreamId, Ticket};
use greenroom_protocol::session::HostConfig;
use greenroom_protocol::time::Timestamp;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use serde::Deserialize;

use crate::driver::Driver;
use crate::error::{invalid, raise};
use crate::json;

/// One for each Room. Every `now` is seconds on one monotonic clock of the caller's choice.
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct RoomTopic {
    engine: Engine,
    audience: Mutex<Option<Audience>>,
}

/// To whom the last message was given out, and the same for Python: most go to the same as the one before.
struct Audience {
    to: Arc<[Recipient]>,
    list: Py<PyList>,
}

/// What [`RoomTopic::attach`] takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attaching {
    agent: Option<String>,
    /// Seconds.
    start_timeout: f64,
    local: LocalParticipant,
}

/// Raises unless agents can be driven by this local participant; `local` is JSON.
#[pyfunction]
pub(crate) fn check_local(local: &str) -> PyResult<()> {
    let local: LocalParticipant = json::parse("local participant", local)?;
    local.check().map_err(|error| raise(&error))
}

#[pymethods]
impl RoomTopic {
    /// A topic that is not used yet.
    #[new]
    fn new(now: f64) -> PyResult<Self> {
        Ok(Self { engine: Engine::new(Limits::default(), json::time(now)?), audience: Mutex::new(None) })
    }

    /// An agent's session host uses the room. `options` is the JSON of a `HostConfig`. Gives its number.
    fn open_host(&self, options: &str) -> PyResult<u32> {
        let config: HostConfig = json::parse("host's options", options)?;
        Ok(self.engine.with(|board| board.open_host(config)).0)
    }

    /// The agent's session host is gone: what waits for it is answered with an error.
    fn close_host(&self, host: u32) {
        self.engine.with(|board| board.close_host(HostId(host)));
    }

    /// A controller is addressed at this agent.
    fn listen(&self, agent: &str) {
        self.engine.listen(agent);
    }

    /// Stops what one call of `listen` started.
    fn unlisten(&self, agent: &str) {
        self.engine.unlisten(agent);
    }

    /// The room announces a participant, or changes of one: whether it is of the kind agent, and
    /// whether it publishes on behalf of one.
    #[pyo3(signature = (sid, identity, can_manage_agent_session, is_agent_kind, publishes_on_behalf, now))]
    fn set_participant(
        &self,
        sid: String,
        identity: String,
        can_manage_agent_session: Option<bool>,
        is_agent_kind: bool,
        publishes_on_behalf: bool,
        now: f64,
    ) -> PyResult<()> {
        let now = json::time(now)?;
        let candidate =
            Candidate { identity: identity.clone(), is_agent_kind, publishes_on_behalf, is_active: true };
        self.engine.set_participant(Peer { sid, identity, can_manage_agent_session }, candidate, now);
        Ok(())
    }

    /// A participant left.
    fn remove_participant(&self, sid: &str, now: f64) -> PyResult<()> {
        self.engine.remove_participant(sid, json::time(now)?);
        Ok(())
    }

    /// Ends or restarts sessions whose agent is not in the room any more.
    fn check_agents(&self, is_connected: bool) {
        self.engine.check_agents(is_connected);
    }

    /// Opens a session with an agent in the room. `options` is JSON: `{"agent": str|null,
    /// "start_timeout": s, "local": LocalParticipant}`.
    fn attach(&self, py: Python<'_>, options: &str) -> PyResult<Driver> {
        let options: Attaching = json::parse("attach", options)?;
        let mut attach = AttachOptions::default();
        attach.agent = options.agent;
        attach.start_timeout = json::timeout("timeout", options.start_timeout)?;
        Driver::new(py, || Ok(Arc::new(self.engine.attach(&options.local, attach)?)))
    }

    /// Returns the identity of the agent that is named, or of the only one; None while it is not there.
    fn find_agent(&self, room: &str, wanted: Option<&str>) -> PyResult<Option<String>> {
        self.engine.find_agent(room, wanted).map_err(|error| raise(&error))
    }

    /// Raises the error for an agent that was not there within so many seconds.
    fn raise_no_agent(&self, room: &str, wanted: Option<&str>, within: f64) -> PyResult<()> {
        Err(raise(&self.engine.no_agent(room, wanted, json::seconds("timeout", within)?)))
    }

    /// A byte stream begins, of `announced` bytes if its sender said so. A hidden sender has no
    /// identity and makes a claim. Returns the stream's number.
    fn begin(&self, identity: &str, claim: &str, announced: Option<usize>, now: f64) -> PyResult<u64> {
        let now = json::time(now)?;
        let stream = self.engine.with(|board| match identity {
            "" => board.begin_hidden(claim, announced, now),
            identity => board.begin(identity, announced, now),
        });
        Ok(stream.0)
    }

    /// More of a stream. Whether to go on reading it.
    fn chunk(&self, stream: u64, data: &[u8], now: f64) -> PyResult<bool> {
        let now = json::time(now)?;
        Ok(self.engine.with(|board| board.chunk(StreamId(stream), data, now)))
    }

    /// A stream is complete.
    fn end(&self, stream: u64, now: f64) -> PyResult<()> {
        let now = json::time(now)?;
        self.engine.with(|board| board.end(StreamId(stream), now));
        Ok(())
    }

    /// A stream was broken off.
    fn abort(&self, stream: u64, now: f64) -> PyResult<()> {
        let now = json::time(now)?;
        self.engine.with(|board| board.abort(StreamId(stream), now));
        Ok(())
    }

    /// An agent's session host sends a message, to `destination` alone if there is one. Gives a ticket.
    #[pyo3(name = "from_agent")]
    fn send_from_agent(
        &self,
        host: u32,
        message: &[u8],
        destination: Option<String>,
        now: f64,
    ) -> PyResult<u64> {
        let (message, now) = (Bytes::copy_from_slice(message), json::time(now)?);
        Ok(self.engine.with(|board| board.send_from_agent(HostId(host), message, destination, now)).0)
    }

    /// A controller sends a message to its agent. Gives a ticket.
    fn send(&self, message: &[u8], agent: &str, now: f64) -> PyResult<u64> {
        let (message, now) = (Bytes::copy_from_slice(message), json::time(now)?);
        Ok(self.engine.with(|board| board.send(message, agent, now)).0)
    }

    /// What came in: `("host", host, message, sender)`, `("agent", identity, message)`, `("skipped", identity, announced, head)`,
    /// `("cut", stream)` or `("audit", json)`.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(incoming) = self.engine.poll() else { return Ok(None) };
        let tuple = match incoming {
            Incoming::Request { host, message, sender } => {
                ("host", host.0, PyBytes::new(py, &message), sender).into_pyobject(py)?
            }
            Incoming::FromAgent { identity, message } => {
                ("agent", identity, PyBytes::new(py, &message)).into_pyobject(py)?
            }
            Incoming::Skipped { identity, announced, head } => {
                ("skipped", identity, announced, PyBytes::new(py, &head)).into_pyobject(py)?
            }
            Incoming::Cut(stream) => ("cut", stream.0).into_pyobject(py)?,
            Incoming::Audit(audit) => ("audit", line(&audit)).into_pyobject(py)?,
        };
        Ok(Some(tuple))
    }

    /// Whether `poll_send` has something to do.
    fn has_outgoing(&self, now: f64) -> PyResult<bool> {
        Ok(self.engine.has_outgoing(json::time(now)?))
    }

    /// The message of a ticket could not be sent. Returns whether it was a session's, which ends then.
    fn send_failed(&self, ticket: u64, why: &str) -> bool {
        self.engine.send_failed(Ticket(ticket), why)
    }

    /// What to send next: `("send", ticket, [(identity, sid)], message)`, whose list is not to be changed, or `("done", ticket)`. An empty sid is a participant that the
    /// room has not announced.
    fn poll_send<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(outgoing) = self.engine.poll_send(json::time(now)?) else { return Ok(None) };
        let tuple = match outgoing {
            Outgoing::Send { ticket, to, message } => {
                ("send", ticket.0, self.audience(py, to)?, PyBytes::new(py, &message)).into_pyobject(py)?
            }
            Outgoing::Done(ticket) => ("done", ticket.0).into_pyobject(py)?,
        };
        Ok(Some(tuple))
    }

    /// When to call `handle_timeout`; None while nothing is awaited.
    fn poll_timeout(&self) -> Option<f64> {
        self.engine.with(|board| board.poll_timeout()).map(|at| at.since_origin().as_secs_f64())
    }

    /// Lets pass what is due.
    fn handle_timeout(&self, now: f64) -> PyResult<()> {
        let now = json::time(now)?;
        self.engine.with(|board| board.handle_timeout(now));
        Ok(())
    }

    /// What a host has counted, as JSON: `{"requests", "answered", "denied", "dropped", "waiting", "cut", "peers"}`.
    fn status(&self, host: u32) -> PyResult<String> {
        let status = self
            .engine
            .with(|board| board.status(HostId(host)))
            .ok_or_else(|| invalid("the host is closed"))?;
        Ok(json::text(&status))
    }
}

impl RoomTopic {
    fn audience<'py>(&self, py: Python<'py>, to: Arc<[Recipient]>) -> PyResult<Bound<'py, PyList>> {
        let mut last = self.audience.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(audience) = last.as_ref().filter(|audience| Arc::ptr_eq(&audience.to, &to)) {
            return Ok(audience.list.bind(py).clone());
        }
        let pairs = to.iter().map(|recipient| (recipient.identity.as_str(), recipient.sid.as_str()));
        let list = PyList::new(py, pairs.collect::<Vec<_>>())?;
        *last = Some(Audience { to, list: list.clone().unbind() });
        Ok(list)
    }
}

/// A line of the audit log: the decision, and when it was taken.
fn line(audit: &Audit) -> String {
    json::text(&audit.at(Timestamp::of(SystemTime::now()).unwrap_or_default()))
}
