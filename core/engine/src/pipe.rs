//! A session whose messages the caller carries: an agent of the same process, or of a room that a
//! host language has joined.
//!
//! The caller's thread pushes messages in and takes messages out of a [`Pipe`] without a thread hop.
//! The session's thread only fires deadlines; what they send wakes the session's listeners.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_protocol::message::CloseReason;
use greenroom_protocol::session::{AgentPlace, Config};
use greenroom_protocol::{Code, Error, Time};
use tokio::time::sleep_until;

use crate::run::{CloseCause, close, failed_start, step};
use crate::session::{AgentChannel, Shared};

/// How a session over a [`Pipe`] behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PipeOptions {
    /// From the call until the session is ready. 60 s.
    pub start_timeout: Duration,
    /// How the protocol behaves.
    pub controller: Config,
    /// The idle time after which the session closes; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// The language of the agent, for the session's status: `python` or `node`.
    pub kind: Option<&'static str>,
    /// The version of the agent's SDK, for the session's status.
    pub sdk_version: Option<String>,
}

impl Default for PipeOptions {
    fn default() -> Self {
        let mut controller = Config::default();
        controller.agent_place = AgentPlace::SameProcess;
        Self {
            start_timeout: Duration::from_secs(60),
            controller,
            idle_timeout: None,
            kind: None,
            sdk_version: None,
        }
    }
}

/// The caller's end of a session: messages in, messages out.
#[derive(Clone)]
pub struct Pipe {
    shared: Arc<Shared>,
    ready_by: Time,
}

impl Pipe {
    pub(crate) const fn new(shared: Arc<Shared>, ready_by: Time) -> Self {
        Self { shared, ready_by }
    }

    /// Starts the session: the agent can be reached from now on. Does nothing once it has started.
    pub fn open(&self) {
        self.shared.with(|state, now| {
            if state.controller.closed().is_none() {
                state.outgoing.get_or_insert_with(|| AgentChannel::Pipe(VecDeque::new()));
                state.controller.open_by(self.ready_by, now);
            }
        });
    }

    /// Takes the agent back from a session that has not started. Returns whether the session now
    /// waits for another [`Pipe::open`]; otherwise nothing changes.
    pub fn unlink(&self) -> bool {
        self.shared.with(|state, _| {
            let was_starting = state.controller.unlink();
            if was_starting {
                state.outgoing = None;
            }
            was_starting
        })
    }

    /// Passes one message of the agent to the session.
    pub fn receive(&self, message: &Bytes) {
        self.shared.with(|state, now| state.controller.receive(message, now));
    }

    /// Reports a message of `announced` bytes that was not read to its end; `head` are its first bytes.
    pub fn receive_skipped(&self, announced: usize, head: &[u8]) {
        self.shared.with(|state, now| state.controller.receive_skipped(announced, head, now));
    }

    /// Returns the next message for the agent. After a call to the session, and whenever its
    /// listeners are woken, take messages until there is none.
    pub fn poll_transmit(&self) -> Option<Bytes> {
        self.shared.with(|state, _| match &mut state.outgoing {
            Some(AgentChannel::Pipe(waiting)) => waiting.pop_front(),
            _ => None,
        })
    }

    /// Closes the session: the agent cannot be reached any more. Pending calls fail with `error`.
    pub fn close(&self, reason: CloseReason, error: Error) {
        close(&self.shared, CloseCause { reason, error });
    }

    /// Whether the session is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.with(|state, _| state.controller.closed().is_some())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Closes a session that has not started.
    pub(crate) fn fail_start(&self, error: Error) {
        close(&self.shared, failed_start(error));
    }

    /// Sets the error of a start that finds no agent in time.
    pub(crate) fn wait_for_agent(&self, error: Error) {
        self.shared.with(|state, _| state.no_agent = Some(error));
    }
}

/// Fires the deadlines of a session until it is closed.
pub(crate) fn run(shared: &Arc<Shared>, ready_by: Time, idle_timeout: Option<Duration>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Code::Io, format!("the session's event loop cannot be started: {error}"));
            return close(shared, failed_start(error));
        }
    };
    let over = runtime.block_on(async {
        loop {
            let (alarm, _) = match step(shared, idle_timeout) {
                Ok(wait_plan) => wait_plan,
                Err(over) => return over,
            };
            let missing = shared.with(|state, now| match &state.outgoing {
                Some(_) => None,
                None if now >= ready_by => Some(Err(state.no_agent.take().unwrap_or_else(never_opened))),
                None => Some(Ok(())),
            });
            let alarm = match missing {
                Some(Err(error)) => return failed_start(error),
                Some(Ok(())) => {
                    Some(alarm.map_or(shared.instant(ready_by), |at| at.min(shared.instant(ready_by))))
                }
                None => alarm,
            };
            tokio::select! {
                biased;
                () = shared.wake.notified() => {}
                () = sleep_until(alarm.unwrap_or_else(tokio::time::Instant::now)), if alarm.is_some() => {}
            }
        }
    });
    close(shared, over);
}

fn never_opened() -> Error {
    Error::new(Code::Timeout, "the agent could not be reached in time")
}

/// The error of sessions whose room was disconnected.
pub(crate) fn room_lost(agent: Option<&str>) -> (CloseReason, Error) {
    let message = match agent {
        Some(agent) => format!("the room was disconnected, and the agent {agent:?} with it"),
        None => "the room was disconnected before an agent was found".to_owned(),
    };
    (CloseReason::RoomDisconnected, Error::new(Code::AgentGone, message))
}
