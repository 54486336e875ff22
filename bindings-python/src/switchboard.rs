//! All use of the topic of agent sessions in one Room that lives in Python. No IO, no thread, no clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use greenroom_protocol::Limits;
use greenroom_protocol::gate::{Audit, Peer};
use greenroom_protocol::room::{HostId, Incoming, Outgoing, Recipient, StreamId, Switchboard as Protocol};
use greenroom_protocol::session::HostConfig;
use greenroom_protocol::time::Timestamp;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::error::invalid;
use crate::json;

/// One for each Room. Every `now` is seconds on one monotonic clock of the caller's choice.
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct Switchboard {
    protocol: Mutex<Protocol>,
    audience: Mutex<Option<Audience>>,
}

/// To whom the last message was given out, and the same for Python: most go to the same as the one before.
struct Audience {
    to: Arc<[Recipient]>,
    list: Py<PyList>,
}

#[pymethods]
impl Switchboard {
    /// A switchboard that nobody uses yet.
    #[new]
    fn new(now: f64) -> PyResult<Self> {
        let protocol = Protocol::new(Limits::default(), json::time(now)?);
        Ok(Self { protocol: Mutex::new(protocol), audience: Mutex::new(None) })
    }

    /// An agent's session host uses the room. `options` is the JSON of a `HostConfig`. Gives its number.
    fn open_host(&self, options: &str) -> PyResult<u32> {
        let config: HostConfig = json::parse("host's options", options)?;
        Ok(self.lock().open_host(config).0)
    }

    /// The agent's session host is gone: what waits for it is answered with an error.
    fn close_host(&self, host: u32) {
        self.lock().close_host(HostId(host));
    }

    /// A controller is addressed at this agent.
    fn listen(&self, agent: &str) {
        self.lock().listen(agent);
    }

    /// A controller is addressed at this agent no more.
    fn unlisten(&self, agent: &str) {
        self.lock().unlisten(agent);
    }

    /// The room announces a participant, or new permissions of one.
    fn set_peer(
        &self,
        sid: String,
        identity: String,
        can_manage_agent_session: Option<bool>,
        now: f64,
    ) -> PyResult<()> {
        self.lock().set_peer(Peer { sid, identity, can_manage_agent_session }, json::time(now)?);
        Ok(())
    }

    /// A participant left.
    fn remove_peer(&self, sid: &str, now: f64) -> PyResult<()> {
        self.lock().remove_peer(sid, json::time(now)?);
        Ok(())
    }

    /// A byte stream begins, of `announced` bytes if its sender said so. Gives its number.
    fn begin(&self, identity: &str, announced: Option<usize>, now: f64) -> PyResult<u64> {
        Ok(self.lock().begin(identity, announced, json::time(now)?).0)
    }

    /// More of a stream. Whether to go on reading it.
    fn chunk(&self, stream: u64, data: &[u8], now: f64) -> PyResult<bool> {
        Ok(self.lock().chunk(StreamId(stream), data, json::time(now)?))
    }

    /// A stream is complete.
    fn end(&self, stream: u64, now: f64) -> PyResult<()> {
        self.lock().end(StreamId(stream), json::time(now)?);
        Ok(())
    }

    /// A stream was broken off.
    fn abort(&self, stream: u64, now: f64) -> PyResult<()> {
        self.lock().abort(StreamId(stream), json::time(now)?);
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
        let message = Bytes::copy_from_slice(message);
        Ok(self.lock().send_from_agent(HostId(host), message, destination, json::time(now)?).0)
    }

    /// A controller sends a message to its agent. Gives a ticket.
    fn send(&self, message: &[u8], agent: &str, now: f64) -> PyResult<u64> {
        Ok(self.lock().send(Bytes::copy_from_slice(message), agent, json::time(now)?).0)
    }

    /// What came in: `("host", host, message, sender)`, `("agent", identity, message)`, `("skipped", identity, announced, head)`,
    /// `("cut", stream)` or `("audit", json)`.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(incoming) = self.lock().poll() else { return Ok(None) };
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
    fn has_outgoing(&self) -> bool {
        self.lock().has_outgoing()
    }

    /// What to send next: `("send", ticket, [(identity, sid)], message)`, whose list is not to be changed, or `("done", ticket)`. An empty sid is a participant that the
    /// room has not announced.
    fn poll_send<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(outgoing) = self.lock().poll_send() else { return Ok(None) };
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
        self.lock().poll_timeout().map(|at| at.since_origin().as_secs_f64())
    }

    /// Lets pass what is due.
    fn handle_timeout(&self, now: f64) -> PyResult<()> {
        self.lock().handle_timeout(json::time(now)?);
        Ok(())
    }

    /// What a host has counted, as JSON: `{"requests", "answered", "denied", "dropped", "waiting", "cut", "peers"}`.
    fn status(&self, host: u32) -> PyResult<String> {
        let status = self.lock().status(HostId(host)).ok_or_else(|| invalid("the host is closed"))?;
        Ok(json::text(&status))
    }
}

impl Switchboard {
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

    fn lock(&self) -> MutexGuard<'_, Protocol> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of the audit log: the decision, and when it was taken.
fn line(audit: &Audit) -> String {
    json::text(&audit.at(Timestamp::of(SystemTime::now()).unwrap_or_default()))
}
