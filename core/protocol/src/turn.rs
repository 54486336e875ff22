//! A turn: what the user said, and all that came of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kept::Kept;
use crate::limits::Limits;
use crate::message::{Event, EventKind, Item, Role};
use crate::time::{Time, millis};

/// What the host of @livekit/agents answers when a run made no items: silence, an interruption, or a failure told of by an event.
const JS_NO_ITEMS: &str = "agent produced no response items";

/// One turn of a conversation, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its number in the session, from 1.
    pub number: u64,
    /// What the user said.
    pub text: String,
    /// What was said and done, in order; what happened before this turn comes first and is marked `earlier`.
    pub events: Vec<Event>,
    /// What the agent said in this turn; several messages are joined by line breaks.
    pub reply: String,
    /// Whether the agent said nothing, without having failed or been interrupted.
    pub silent: bool,
    /// Whether the turn was cut short, by other input or by speech.
    pub interrupted: bool,
    /// The agent's error, if it answered with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From the request to the end of the turn, in milliseconds.
    pub duration_ms: f64,
    /// From the request to the agent's first message, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_ms: Option<f64>,
    /// How long the turn waited for those before it, in milliseconds.
    pub queued_ms: f64,
}

/// A turn in the making: folds events and the response into a [`Turn`].
#[derive(Debug)]
pub(crate) struct Fold {
    number: u64,
    text: String,
    queued: Duration,
    asked: Time,
    events: Kept,
    /// Item ids and call ids of what live events told, so that the response tells it no second time.
    ids: Vec<String>,
    calls: Vec<String>,
    first_reply: Option<Time>,
    own_message: bool,
    foreign_message: bool,
    handoff_unspoken: bool,
    error: Option<String>,
    answered: bool,
}

impl Fold {
    pub(crate) const fn new(
        limits: &Limits,
        number: u64,
        text: String,
        queued: Duration,
        asked: Time,
    ) -> Self {
        Self {
            number,
            text,
            queued,
            asked,
            events: Kept::new(limits),
            ids: Vec::new(),
            calls: Vec::new(),
            first_reply: None,
            own_message: false,
            foreign_message: false,
            handoff_unspoken: false,
            error: None,
            answered: false,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the host has begun with it: its own user message was seen, or its answer.
    pub(crate) const fn has_begun(&self) -> bool {
        self.own_message || self.answered
    }

    /// Whether it is the turn's own user message.
    pub(crate) fn is_own(&self, kind: &EventKind) -> bool {
        matches!(kind, EventKind::Message(message) if message.role == Role::User && message.text == self.text)
    }

    /// Whether somebody else said something meanwhile.
    pub(crate) const fn has_foreign_input(&self) -> bool {
        self.foreign_message
    }

    /// Takes an event that happened during the turn.
    pub(crate) fn event(&mut self, event: &Event, now: Time) {
        if let EventKind::Message(message) = &event.kind {
            self.ids.push(message.id.clone());
            match message.role {
                Role::User if !self.own_message && self.is_own(&event.kind) => {
                    self.own_message = true;
                    return;
                }
                Role::User => self.foreign_message = true,
                Role::Assistant => {
                    self.first_reply.get_or_insert(now);
                    self.handoff_unspoken = false;
                }
                _ => {}
            }
        }
        match &event.kind {
            EventKind::ToolCall(call) => self.calls.push(call.call_id.clone()),
            EventKind::Handoff(handoff) => {
                self.ids.push(handoff.id.clone());
                self.handoff_unspoken = true;
            }
            EventKind::Config(update) => self.ids.push(update.id.clone()),
            _ => {}
        }
        if event.kind.is_part_of_a_turn() {
            self.events.push(event.clone());
        }
    }

    /// Takes the response. Gives the items that no event has told of; they are to come back as events.
    pub(crate) fn response(&mut self, items: Vec<Item>, error: Option<String>) -> Vec<Item> {
        self.answered = true;
        self.error = error;
        let mut calls = self.calls.clone();
        items
            .into_iter()
            .filter(|item| match item {
                Item::ToolCall(call) => match calls.iter().position(|seen| *seen == call.call_id) {
                    Some(seen) => {
                        calls.swap_remove(seen);
                        false
                    }
                    None => true,
                },
                item => item.id().is_empty() || !self.ids.iter().any(|seen| seen == item.id()),
            })
            .collect()
    }

    /// Whether a handoff has happened and the new agent has not spoken since.
    pub(crate) const fn awaits_introduction(&self) -> bool {
        self.handoff_unspoken
    }

    /// Whether the answer may be that of a turn that somebody else's input cut short: nothing was said or done.
    pub(crate) fn may_be_interrupted(&self) -> bool {
        self.is_empty() && !self.has_failed()
    }

    /// The turn, with `backlog` (what happened before it) in front.
    pub(crate) fn finish(mut self, backlog: Vec<Event>, now: Time) -> Turn {
        let cut = self.replies().any(|(_, interrupted)| interrupted);
        let interrupted = cut || (self.may_be_interrupted() && self.foreign_message);
        let failed = self.has_failed();
        let reply = self
            .replies()
            .map(|(text, _)| text)
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        let mut events: Vec<Event> =
            backlog.into_iter().map(|event| Event { earlier: true, ..event }).collect();
        let error = if failed { self.error } else { None };
        events.extend(self.events.take());
        Turn {
            number: self.number,
            text: self.text,
            silent: reply.is_empty() && !interrupted && !failed,
            reply,
            interrupted,
            error,
            duration_ms: millis(now.since(self.asked)),
            reply_ms: self.first_reply.map(|at| millis(at.since(self.asked))),
            queued_ms: millis(self.queued),
            events,
        }
    }

    /// The events of the turn so far; what stays of a turn whose caller gave up.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.events.take()
    }

    pub(crate) fn reply(&self) -> String {
        self.replies().map(|(text, _)| text).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn error(&self) -> Option<String> {
        if self.has_failed() { self.error.clone() } else { None }
    }

    fn replies(&self) -> impl Iterator<Item = (&str, bool)> {
        self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Message(message) if message.role == Role::Assistant => {
                Some((message.text.as_str(), message.interrupted))
            }
            _ => None,
        })
    }

    /// Nothing was said and no tool was called.
    fn is_empty(&self) -> bool {
        !self.events.iter().any(|event| match &event.kind {
            EventKind::Message(message) => message.role != Role::User,
            EventKind::ToolCall(_) | EventKind::Handoff(_) => true,
            _ => false,
        })
    }

    /// The JS host calls silence and interruption an error too; it is one only if an error event came with it.
    fn has_failed(&self) -> bool {
        match self.error.as_deref() {
            None => false,
            Some(JS_NO_ITEMS) => {
                self.events.iter().any(|event| matches!(event.kind, EventKind::Error { .. }))
            }
            Some(_) => true,
        }
    }
}
