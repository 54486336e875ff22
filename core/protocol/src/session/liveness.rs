//! Whether the agent still answers: pings while nothing is heard.

use std::time::Duration;

use crate::time::Time;

/// What a controller knows of the agent's event loop.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When the last message was received.
    heard: Time,
    /// When the ping was sent that has not been answered.
    pinged: Option<Time>,
    /// Whether the silence has been reported.
    is_reported: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a ping.
    Ping,
    /// Report that the agent has been silent for so long.
    Report(Duration),
}

/// Since when the agent's silence counts, how long it lasts before a ping is sent, and how long the ping may
/// stay unanswered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) since: Time,
    pub(super) before_ping: Duration,
    pub(super) for_answer: Duration,
}

impl Liveness {
    /// Takes account of a message. Returns for how long the agent was silent, if that was reported.
    pub(super) fn hear(&mut self, now: Time) -> Option<Duration> {
        let silence = std::mem::take(&mut self.is_reported).then(|| now.since(self.heard));
        self.pinged = None;
        self.heard = now;
        silence
    }

    /// Returns for how long the agent has been silent, if that was reported and still holds.
    pub(super) fn silence(&self, now: Time) -> Option<Duration> {
        self.is_reported.then(|| now.since(self.heard))
    }

    /// Returns when something is due.
    pub(super) fn due_at(&self, watch: Watch) -> Option<Time> {
        match self.pinged {
            None => Some(self.heard.max(watch.since) + watch.before_ping),
            Some(_) if self.is_reported => None,
            Some(at) => Some(at + watch.for_answer),
        }
    }

    /// Returns what is due now. A ping counts as sent, a report as made.
    pub(super) fn due(&mut self, watch: Watch, now: Time) -> Option<Due> {
        if self.due_at(watch)? > now {
            return None;
        }
        Some(match self.pinged {
            None => {
                self.pinged = Some(now);
                Due::Ping
            }
            Some(_) => {
                self.is_reported = true;
                Due::Report(now.since(self.heard))
            }
        })
    }
}
