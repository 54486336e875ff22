//! A session over a link that lives in JavaScript: the protocol's state machine, without IO.

use bytes::Bytes;
use greenroom_protocol::Error;
use greenroom_protocol::message::CloseReason;
use greenroom_protocol::session::{CallId, Config, Controller as Machine};
use greenroom_protocol::time::WallClock;
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Result};
use napi_derive::napi;
use serde_json::json;

use crate::exchange::{
    Completion, EventsRead, at, from_json, millis, operation, signed, since, to_json, unsigned,
};

/// The controller's side of one session. `now` is milliseconds on a monotonic clock of the caller's, which also says
/// when to call `handleTimeout`. What a method causes queues up: drain it after each.
#[napi]
pub struct Controller {
    machine: Machine,
    config: Config,
}

#[napi]
impl Controller {
    /// A controller whose link is not there yet. `textMode` is whether the agent's audio is turned off at the start;
    /// `idPrefix` what the ids of its requests begin with, where several controllers share an agent.
    #[napi(constructor, catch_unwind)]
    pub fn new(text_mode: bool, now: f64, id_prefix: Option<String>) -> Self {
        let mut config = Config::default();
        config.text_mode = text_mode;
        if let Some(prefix) = id_prefix {
            config.id_prefix = prefix;
        }
        let clock = WallClock::new(at(now), std::time::SystemTime::now());
        Self { machine: Machine::new(config.clone(), clock), config }
    }

    /// The link is there.
    #[napi(catch_unwind)]
    pub fn open(&mut self, now: f64) {
        self.machine.open(at(now));
    }

    /// Takes an operation, which is JSON; `timeout` is milliseconds, or null for the operation's default. Returns its
    /// number: its answer is drained under it.
    #[napi(catch_unwind)]
    pub fn submit(&mut self, json: String, timeout: Option<f64>, now: f64) -> Result<i64> {
        let call = self.machine.submit(operation(&json)?, timeout.map(millis), at(now));
        Ok(signed(call.0))
    }

    /// Gives a call up. It is answered all the same, with the code `cancelled` if nothing else.
    #[napi(catch_unwind)]
    pub fn cancel(&mut self, call: i64, now: f64) {
        self.machine.cancel(CallId(unsigned(call)), at(now));
    }

    /// Takes one message from the agent.
    #[napi(catch_unwind)]
    pub fn receive(&mut self, message: BufferSlice<'_>, now: f64) {
        let limits = &self.config.limits;
        if message.len() > limits.agent_message {
            let head = &message[..limits.peeked];
            return self.machine.receive_skipped(message.len(), head, at(now));
        }
        self.machine.receive(&Bytes::copy_from_slice(&message), at(now));
    }

    /// A message of `announced` bytes was over the link's cap and went by; `head` are its first bytes.
    #[napi(catch_unwind)]
    pub fn receive_skipped(&mut self, announced: i64, head: BufferSlice<'_>, now: f64) {
        let announced = usize::try_from(announced).unwrap_or_default();
        self.machine.receive_skipped(announced, &head, at(now));
    }

    /// The next message for the agent, or null.
    #[napi(catch_unwind)]
    pub fn poll_transmit<'env>(&mut self, env: &'env Env) -> Result<Option<BufferSlice<'env>>> {
        self.machine.poll_transmit().map(|message| BufferSlice::copy_from(env, &message)).transpose()
    }

    /// Takes all answers.
    #[napi(catch_unwind)]
    pub fn drain(&mut self) -> Vec<Completion> {
        std::iter::from_fn(|| self.machine.poll_answer())
            .map(|(call, answer)| Completion::new(call.0, answer))
            .collect()
    }

    /// Reads up to `most` events from place `from` on; 0 is the beginning of what is kept.
    #[napi(catch_unwind)]
    pub fn read_events(&self, from: i64, most: u32) -> EventsRead {
        self.machine.journal().read(unsigned(from), usize::try_from(most).unwrap_or(usize::MAX)).into()
    }

    /// The place after the last event.
    #[napi(catch_unwind)]
    pub fn end_of_events(&self) -> i64 {
        signed(self.machine.journal().end())
    }

    /// When to call `handleTimeout`, or null while nothing is awaited.
    #[napi(catch_unwind)]
    pub fn poll_timeout(&self) -> Option<f64> {
        self.machine.poll_timeout().map(since)
    }

    /// Lets pass what is due.
    #[napi(catch_unwind)]
    pub fn handle_timeout(&mut self, now: f64) {
        self.machine.handle_timeout(at(now));
    }

    /// The link is gone: `reason` is one of the close event's, `error` the JSON of what every call gets from now on.
    #[napi(catch_unwind)]
    pub fn closed(&mut self, reason: String, error: String, now: f64) -> Result<()> {
        let reason: CloseReason = from_json("the reason cannot be read", &to_json(&reason))?;
        let error: Error = from_json("the error cannot be read", &error)?;
        self.machine.close(reason, error, at(now));
        Ok(())
    }

    /// How the session stands, as JSON: the fields of the engine's status that hold without a process.
    #[napi(catch_unwind)]
    pub fn status(&self) -> String {
        let machine = &self.machine;
        let state = match (machine.closed(), machine.is_ready(), machine.in_turn()) {
            (Some(_), ..) => "closed",
            (None, false, _) => "starting",
            (None, true, false) => "ready",
            (None, true, true) => "in_turn",
        };
        to_json(&json!({
            "state": state,
            "turns": machine.turns(),
            "turn_in_progress": machine.in_turn(),
            "agent_state": machine.agent_state().map(|state| state.to_string()),
            "unseen_events": machine.unseen_events(),
            "closed": machine.closed(),
        }))
    }
}
