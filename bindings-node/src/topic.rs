//! All use of the topic of agent sessions in one Room that lives in JavaScript. No IO, no thread, no clock.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use greenroom_engine::{AttachOptions, LocalParticipant, RoomTopic as Engine};
use greenroom_protocol::gate::Peer;
use greenroom_protocol::room::{self, Candidate, HostId, StreamId, Ticket};
use greenroom_protocol::session::HostConfig;
use greenroom_protocol::time::Timestamp;
use greenroom_protocol::{Code, Error, Limits};
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;

use crate::driver::{Driver, Wake};
use crate::exchange::{at, from_json, millis, signed, since, thrown, to_json, unsigned};

/// One for each Room. `now` is milliseconds on a monotonic clock of the caller's.
#[napi]
pub struct RoomTopic {
    engine: Engine,
    /// To whom the last message was given out: that is handed over once, since most go to the same as the one before.
    audience: Arc<[room::Recipient]>,
}

/// What came in. `kind` says which fields there are: `host` has host, message and sender; `agent` identity and message; `skipped` identity,
/// announced and head; `cut` stream; `audit` json.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct Incoming<'env> {
    /// Which of them it is.
    pub kind: &'static str,
    /// The host that a request is for.
    pub host: Option<u32>,
    /// An encoded message.
    pub message: Option<BufferSlice<'env>>,
    /// The identity of who asks.
    pub sender: Option<String>,
    /// The identity of the agent.
    pub identity: Option<String>,
    /// The size of the message that was skipped, in bytes.
    pub announced: Option<i64>,
    /// Its first bytes.
    pub head: Option<BufferSlice<'env>>,
    /// The stream that nobody reads any more.
    pub stream: Option<i64>,
    /// A line of the audit log.
    pub json: Option<String>,
}

/// What to send next. `kind` says which fields there are: `send` has all, `done` only the ticket. A `send` without `to` goes to the same
/// as the `send` before.
#[napi(object, object_from_js = false)]
pub struct Outgoing<'env> {
    /// Which of them it is.
    pub kind: &'static str,
    /// Who waits for it; 0 is nobody.
    pub ticket: i64,
    /// To whom: exactly these.
    pub to: Option<Vec<Recipient>>,
    /// The encoded message.
    pub message: Option<BufferSlice<'env>>,
}

/// A participant that is sent something.
#[napi(object, object_from_js = false)]
pub struct Recipient {
    /// The name it joined under.
    pub identity: String,
    /// Its stay in the room; empty for one that the room has not announced.
    pub sid: String,
}

/// What `attach` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attaching {
    agent: Option<String>,
    start_timeout_ms: f64,
    local: LocalParticipant,
}

/// Throws unless agents can be driven by this local participant; `local` is JSON.
#[napi(catch_unwind)]
pub fn check_local(local: String) -> Result<()> {
    let local: LocalParticipant = from_json("the local participant cannot be read", &local)?;
    local.check().map_err(|error| thrown(&error))
}

#[napi]
impl RoomTopic {
    /// A topic that is not used yet.
    #[napi(constructor, catch_unwind)]
    pub fn new(now: f64) -> Self {
        Self { engine: Engine::new(Limits::default(), at(now)), audience: Arc::default() }
    }

    /// An agent's session host uses the room. `json` is that of a `HostConfig` of the protocol. Returns its number.
    #[napi(catch_unwind)]
    pub fn open_host(&mut self, json: String) -> Result<u32> {
        let config: HostConfig = from_json("the host's options cannot be read", &json)?;
        Ok(self.engine.with(|board| board.open_host(config)).0)
    }

    /// The agent's session host is gone: what waits for it is answered with an error.
    #[napi(catch_unwind)]
    pub fn close_host(&mut self, host: u32) {
        self.engine.with(|board| board.close_host(HostId(host)));
    }

    /// A controller is addressed at this agent.
    #[napi(catch_unwind)]
    pub fn listen(&mut self, agent: String) {
        self.engine.listen(&agent);
    }

    /// Stops what one call of `listen` started.
    #[napi(catch_unwind)]
    pub fn unlisten(&mut self, agent: String) {
        self.engine.unlisten(&agent);
    }

    /// The room announces a participant, or changes of one: whether it is of the kind agent, and
    /// whether it publishes on behalf of one.
    #[napi(catch_unwind)]
    pub fn set_participant(
        &mut self,
        sid: String,
        identity: String,
        can_manage_agent_session: Option<bool>,
        is_agent_kind: bool,
        publishes_on_behalf: bool,
        now: f64,
    ) {
        let candidate =
            Candidate { identity: identity.clone(), is_agent_kind, publishes_on_behalf, is_active: true };
        self.engine.set_participant(Peer { sid, identity, can_manage_agent_session }, candidate, at(now));
    }

    /// A participant left.
    #[napi(catch_unwind)]
    pub fn remove_participant(&mut self, sid: String, now: f64) {
        self.engine.remove_participant(&sid, at(now));
    }

    /// Ends or restarts sessions whose agent is not in the room any more.
    #[napi(catch_unwind)]
    pub fn check_agents(&mut self, is_connected: bool) {
        self.engine.check_agents(is_connected);
    }

    /// Opens a session with an agent in the room; `json` is `{agent, start_timeout_ms, local}`, and
    /// `wake` is as in `start`.
    #[napi(catch_unwind)]
    pub fn attach(&mut self, json: String, #[napi(ts_arg_type = "() => void")] wake: Wake) -> Result<Driver> {
        let options: Attaching = from_json("the options cannot be read", &json)?;
        let mut attach = AttachOptions::default();
        attach.agent = options.agent;
        attach.start_timeout = millis(options.start_timeout_ms);
        let session = self.engine.attach(&options.local, attach).map_err(|error| thrown(&error))?;
        Ok(Driver::new(session.driver(), wake))
    }

    /// The number of attached sessions that are not closed.
    #[napi(catch_unwind)]
    pub fn sessions(&mut self) -> u32 {
        u32::try_from(self.engine.sessions()).unwrap_or(u32::MAX)
    }

    /// Returns the identity of the agent that is named, or of the only one; null while it is not there.
    #[napi(catch_unwind)]
    pub fn find_agent(&self, room: String, wanted: Option<String>) -> Result<Option<String>> {
        self.engine.find_agent(&room, wanted.as_deref()).map_err(|error| thrown(&error))
    }

    /// Throws the error for an agent that was not there within so many milliseconds.
    #[napi(catch_unwind)]
    pub fn throw_no_agent(&self, room: String, wanted: Option<String>, within: f64) -> Result<()> {
        Err(thrown(&self.engine.no_agent(&room, wanted.as_deref(), millis(within))))
    }

    /// A byte stream begins, of `announced` bytes if its sender said so. A hidden sender has no
    /// identity and makes a claim. Returns the stream's number.
    #[napi(catch_unwind)]
    pub fn begin(&mut self, identity: String, claim: String, announced: Option<i64>, now: f64) -> i64 {
        let announced = announced.map(|size| usize::try_from(size).unwrap_or_default());
        let stream = self.engine.with(|board| match identity.as_str() {
            "" => board.begin_hidden(&claim, announced, at(now)),
            identity => board.begin(identity, announced, at(now)),
        });
        signed(stream.0)
    }

    /// More of a stream. Whether to go on reading it.
    #[napi(catch_unwind)]
    pub fn chunk(&mut self, stream: i64, data: BufferSlice<'_>, now: f64) -> bool {
        self.engine.with(|board| board.chunk(StreamId(unsigned(stream)), &data, at(now)))
    }

    /// A stream is complete.
    #[napi(catch_unwind)]
    pub fn end(&mut self, stream: i64, now: f64) {
        self.engine.with(|board| board.end(StreamId(unsigned(stream)), at(now)));
    }

    /// A stream was broken off.
    #[napi(catch_unwind)]
    pub fn abort(&mut self, stream: i64, now: f64) {
        self.engine.with(|board| board.abort(StreamId(unsigned(stream)), at(now)));
    }

    /// An agent's session host sends a message, to `destination` alone if there is one. Returns a ticket.
    #[napi(catch_unwind, js_name = "fromAgent")]
    pub fn send_from_agent(
        &mut self,
        host: u32,
        message: BufferSlice<'_>,
        destination: Option<String>,
        now: f64,
    ) -> i64 {
        let message = Bytes::copy_from_slice(&message);
        number(self.engine.with(|board| board.send_from_agent(HostId(host), message, destination, at(now))))
    }

    /// A controller sends a message to its agent. Returns a ticket.
    #[napi(catch_unwind)]
    pub fn send(&mut self, message: BufferSlice<'_>, agent: String, now: f64) -> i64 {
        let message = Bytes::copy_from_slice(&message);
        number(self.engine.with(|board| board.send(message, &agent, at(now))))
    }

    /// What came in, or null.
    #[napi(catch_unwind)]
    pub fn poll<'env>(&mut self, env: &'env Env) -> Result<Option<Incoming<'env>>> {
        self.engine.poll().map(|incoming| Incoming::new(env, incoming)).transpose()
    }

    /// What to send next, or null. Who may have it is decided in this moment: send it before asking for the next.
    #[napi(catch_unwind)]
    pub fn poll_send<'env>(&mut self, env: &'env Env, now: f64) -> Result<Option<Outgoing<'env>>> {
        let Some(outgoing) = self.engine.poll_send(at(now)) else { return Ok(None) };
        Ok(Some(match outgoing {
            room::Outgoing::Send { ticket, to, message } => {
                let is_same = to == self.audience;
                let recipient =
                    |to: &room::Recipient| Recipient { identity: to.identity.clone(), sid: to.sid.clone() };
                if !is_same {
                    self.audience = to;
                }
                Outgoing {
                    kind: "send",
                    ticket: number(ticket),
                    to: (!is_same).then(|| self.audience.iter().map(recipient).collect()),
                    message: Some(BufferSlice::copy_from(env, message)?),
                }
            }
            room::Outgoing::Done(ticket) => {
                Outgoing { kind: "done", ticket: number(ticket), to: None, message: None }
            }
        }))
    }

    /// The message of a ticket could not be sent. Returns whether it was a session's, which ends then.
    #[napi(catch_unwind)]
    pub fn send_failed(&mut self, ticket: i64, why: String) -> bool {
        self.engine.send_failed(Ticket(unsigned(ticket)), &why)
    }

    /// When to call `handleTimeout`, or null while nothing is awaited.
    #[napi(catch_unwind)]
    pub fn poll_timeout(&self) -> Option<f64> {
        self.engine.with(|board| board.poll_timeout()).map(since)
    }

    /// Lets pass what is due.
    #[napi(catch_unwind)]
    pub fn handle_timeout(&mut self, now: f64) {
        self.engine.with(|board| board.handle_timeout(at(now)));
    }

    /// What a host has counted, as JSON: `{requests, answered, denied, dropped, waiting, cut, peers}`.
    #[napi(catch_unwind)]
    pub fn status(&self, host: u32) -> Result<String> {
        let status = self.engine.with(|board| board.status(HostId(host)));
        let status =
            status.ok_or_else(|| thrown(&Error::new(Code::InvalidArgument, "the host is closed")))?;
        Ok(to_json(&status))
    }
}

impl<'env> Incoming<'env> {
    fn new(env: &'env Env, incoming: room::Incoming) -> Result<Self> {
        let copy = |bytes: &[u8]| BufferSlice::copy_from(env, bytes).map(Some);
        Ok(match incoming {
            room::Incoming::Request { host, message, sender } => {
                let message = copy(&message)?;
                Self { kind: "host", host: Some(host.0), message, sender: Some(sender), ..Self::default() }
            }
            room::Incoming::FromAgent { identity, message } => {
                let message = copy(&message)?;
                Self { kind: "agent", identity: Some(identity), message, ..Self::default() }
            }
            room::Incoming::Skipped { identity, announced, head } => {
                let announced = Some(i64::try_from(announced).unwrap_or(i64::MAX));
                let head = copy(&head)?;
                Self { kind: "skipped", identity: Some(identity), announced, head, ..Self::default() }
            }
            room::Incoming::Cut(stream) => {
                Self { kind: "cut", stream: Some(signed(stream.0)), ..Self::default() }
            }
            room::Incoming::Audit(audit) => {
                let line = to_json(&audit.at(Timestamp::of(SystemTime::now()).unwrap_or_default()));
                Self { kind: "audit", json: Some(line), ..Self::default() }
            }
        })
    }
}

fn number(ticket: Ticket) -> i64 {
    signed(ticket.0)
}
