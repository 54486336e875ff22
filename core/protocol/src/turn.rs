//! A turn: what the user said, and all that came of it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kept::Kept;
use crate::limits::Limits;
use crate::message::{Event, EventKind, Item, Role};
use crate::time::{Time, millis};
use crate::voice::Speech;

/// What the host of @livekit/agents answers when a run made no items: silence, an interruption, or
/// a failure told of by an event.
const JS_NO_ITEMS: &str = "agent produced no response items";

/// One turn of a conversation, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its number in the session, from 1.
    pub number: u64,
    /// What the user said.
    pub text: String,
    /// What was said and done, in order; what happened before this turn comes first and is marked
    /// `earlier`.
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
    pub reply_delay_ms: Option<f64>,
    /// How long the turn waited for those before it, in milliseconds.
    pub queued_ms: f64,
    /// What the agent's speech recognition made of what the user said aloud; empty if it heard
    /// nothing. Unset in a turn of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
    /// What could be heard, in a session with audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<Box<Voice>>,
}

/// Speech and timing of one turn in a session with audio. All times are milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    /// Length of the user's speech, from the first sound to the last; 0 in a text turn.
    pub user_ms: f64,
    /// Length of the agent's speech.
    pub agent_ms: f64,
    /// Time from the user's last sound, or from the request of a text turn, to the agent's next
    /// sound; `None` if the
    /// agent said nothing after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_ms: Option<f64>,
    /// How much of the agent's speech was heard before it was interrupted; `None` if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_ms: Option<f64>,
    /// In an interrupting turn, time from the user's first sound to the agent's silence; `None` if
    /// the agent kept speaking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yield_ms: Option<f64>,
    /// Length of the agent's speech that is missing in `audio`, because it exceeded the limit.
    pub lost_ms: f64,
    /// The longest stall of Greenroom itself in this turn; 0 if it was at most 100. The audio of
    /// that time went to the agent at once, afterwards, so `response_ms` and `yield_ms` may be too
    /// long by this much.
    #[serde(default)]
    pub stalled_ms: f64,
    /// The agent's speech as heard, from its first sound to its last, with pauses. `None` if it
    /// said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Speech>,
}

/// How many different call ids of live events are remembered in one turn.
const REMEMBERED_CALLS: usize = 4_096;
/// How many bytes of a reply are kept for a turn that was given up.
const KEPT_REPLY: usize = 1 << 20;
/// Stands for an error that comes without words: Python's `str` of an exception may be empty.
pub(crate) const WORDLESS: &str = "the agent failed and did not say why";

/// A turn in the making: folds events and the response into a [`Turn`].
#[derive(Debug)]
pub(crate) struct Fold {
    number: u64,
    text: String,
    queued: Duration,
    asked: Time,
    events: Kept,
    /// What was said in events that are no longer here.
    said: Vec<String>,
    /// How often live events told of each call, so that the response tells it no second time.
    calls: HashMap<String, usize>,
    /// How many things of a kind unknown to us live events told of.
    unknown: usize,
    first_reply: Option<Time>,
    own_message: bool,
    foreign_message: bool,
    handoff_unspoken: bool,
    /// Something was said or done, by the agent.
    has_acted: bool,
    /// Speech was cut off.
    is_cut: bool,
    has_error_event: bool,
    error: Option<String>,
    /// What was heard of a user who speaks: transcripts, and messages made of them.
    hearing: Option<Hearing>,
}

/// What an agent heard.
#[derive(Debug, Default)]
struct Hearing {
    transcripts: Vec<String>,
    messages: Vec<String>,
}

impl Fold {
    pub(crate) fn new(limits: &Limits, number: u64, text: String, queued: Duration, asked: Time) -> Self {
        Self {
            number,
            text,
            queued,
            asked,
            events: Kept::new(limits),
            said: Vec::new(),
            calls: HashMap::new(),
            unknown: 0,
            first_reply: None,
            own_message: false,
            foreign_message: false,
            handoff_unspoken: false,
            has_acted: false,
            is_cut: false,
            has_error_event: false,
            error: None,
            hearing: None,
        }
    }

    /// A turn whose user speaks: every user's message is its own.
    pub(crate) fn spoken(limits: &Limits, number: u64, text: String, queued: Duration, asked: Time) -> Self {
        Self { hearing: Some(Hearing::default()), ..Self::new(limits, number, text, queued, asked) }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is the turn's own user message, which has not been seen yet.
    pub(crate) fn expects(&self, kind: &EventKind) -> bool {
        !self.own_message
            && self.hearing.is_none()
            && matches!(kind, EventKind::Message(message) if message.role == Role::User && message.text == self.text)
    }

    /// Whether its own user message was seen.
    pub(crate) const fn is_heard(&self) -> bool {
        self.own_message
    }

    /// When it was asked for.
    pub(crate) const fn asked(&self) -> Time {
        self.asked
    }

    /// Whether the user speaks.
    pub(crate) const fn is_spoken(&self) -> bool {
        self.hearing.is_some()
    }

    /// Whether an error was told of.
    pub(crate) const fn has_error(&self) -> bool {
        self.has_error_event
    }

    /// Whether a message or a call was seen that was too large for the link.
    pub(crate) fn has_cut_message(&self) -> bool {
        self.events.iter().any(|event| match &event.kind {
            EventKind::Message(message) => message.cut_bytes.is_some(),
            EventKind::ToolCall(call) => call.cut_bytes.is_some(),
            _ => false,
        })
    }

    /// Whether somebody else said something meanwhile.
    pub(crate) const fn has_foreign_input(&self) -> bool {
        self.foreign_message
    }

    /// The agent begins with this turn: gives what was said and done before, which is not of it. An
    /// error after that may be: Python tells of it before the user's message.
    pub(crate) fn begin(&mut self) -> Vec<Event> {
        let acts = |event: &Event| {
            matches!(event.kind, EventKind::Message(_) | EventKind::ToolCall(_) | EventKind::Handoff(_))
        };
        let mut before = self.events.take();
        let own = before.split_off(before.iter().rposition(acts).map_or(0, |last| last + 1));
        self.calls.clear();
        self.first_reply = None;
        self.foreign_message = false;
        self.handoff_unspoken = false;
        self.has_acted = false;
        self.is_cut = false;
        own.into_iter().for_each(|event| self.events.push(event));
        before
    }

    /// Takes an event that happened during the turn.
    pub(crate) fn event(&mut self, event: &Event, now: Time) {
        match &event.kind {
            EventKind::Transcript { text, is_final: true, .. } => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.transcripts.push(text.clone());
                }
            }
            EventKind::Message(message) if message.role == Role::User && self.hearing.is_some() => {
                self.own_message = true;
                if let Some(hearing) = &mut self.hearing {
                    hearing.messages.push(message.text.clone());
                }
            }
            kind if self.expects(kind) => {
                self.own_message = true;
                return;
            }
            EventKind::Message(message) if message.role == Role::User => self.foreign_message = true,
            EventKind::Message(message) => {
                self.has_acted = true;
                if message.role == Role::Assistant {
                    self.first_reply.get_or_insert(now);
                    self.handoff_unspoken = false;
                    self.is_cut |= message.interrupted;
                }
            }
            EventKind::ToolCall(call) => {
                self.has_acted = true;
                if self.calls.len() < REMEMBERED_CALLS || self.calls.contains_key(&call.call_id) {
                    *self.calls.entry(call.call_id.clone()).or_default() += 1;
                }
            }
            EventKind::Handoff(_) => {
                self.has_acted = true;
                self.handoff_unspoken = true;
            }
            EventKind::Error { .. } => self.has_error_event = true,
            EventKind::Unknown { .. } => self.unknown += 1,
            _ => {}
        }
        if event.kind.is_part_of_a_turn() {
            self.events.push(event.clone());
        }
    }

    /// Takes events that belong to this turn but were taken for another's.
    pub(crate) fn adopt(&mut self, events: Vec<Event>, now: Time) {
        if events.is_empty() {
            return;
        }
        for event in events {
            self.event(&Event { late: false, ..event }, now);
        }
        self.events.sort();
    }

    /// Takes the response. Gives the items that no event has told of; they are to come back as
    /// events. `is_told` knows the items that have an id.
    pub(crate) fn response(
        &mut self,
        items: Vec<Item>,
        error: Option<String>,
        is_told: impl Fn(&str) -> bool,
    ) -> Vec<Item> {
        self.error = error.map(|error| if error.is_empty() { WORDLESS.to_owned() } else { error });
        self.events.complete_calls(&items);
        let mut calls = self.calls.clone();
        let mut unknown = self.unknown;
        items
            .into_iter()
            .filter(|item| match item {
                Item::ToolCall(call) => !take_one(calls.get_mut(&call.call_id)),
                Item::Unknown { .. } => !take_one(Some(&mut unknown)),
                item => !is_told(item.id()),
            })
            .collect()
    }

    /// Whether live events told of such a call.
    pub(crate) fn has_call(&self, call_id: &str) -> bool {
        self.calls.contains_key(call_id)
    }

    /// Whether a handoff has happened and the new agent has not spoken since.
    pub(crate) const fn awaits_introduction(&self) -> bool {
        self.handoff_unspoken
    }

    /// Whether the answer may be that of a turn that somebody else's input cut short: nothing was
    /// said or done.
    pub(crate) fn may_be_interrupted(&self) -> bool {
        !self.has_acted && !self.has_failed()
    }

    /// The turn, with `backlog` (what happened before it) in front, and with what could be heard.
    pub(crate) fn finish(mut self, backlog: Vec<Event>, voice: Option<Voice>, now: Time) -> Turn {
        let interrupted = self.is_cut || (self.may_be_interrupted() && self.foreign_message);
        // The JS host's error without any other sign of what happened: an agent that failed before
        // it could say so is like one that had nothing to say, and a test is better off with the
        // former.
        let failed = self.has_failed() || (self.error.is_some() && !interrupted);
        let reply = self.reply();
        let mut events: Vec<Event> =
            backlog.into_iter().map(|event| Event { earlier: true, ..event }).collect();
        events.extend(self.events.take());
        Turn {
            number: self.number,
            text: self.text,
            silent: reply.is_empty() && !interrupted && !failed,
            reply,
            interrupted,
            error: if failed { self.error } else { None },
            duration_ms: millis(now.since(self.asked)),
            reply_delay_ms: self.first_reply.map(|at| millis(at.since(self.asked))),
            queued_ms: millis(self.queued),
            heard: self.hearing.map(Hearing::text),
            voice: voice.map(Box::new),
            events,
        }
    }

    /// Takes the events of the turn so far: they are shown elsewhere when its caller has given up.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        let kept: usize = self.said.iter().map(String::len).sum();
        let more: Vec<String> = self.replies().map(str::to_owned).collect();
        if kept + more.iter().map(String::len).sum::<usize>() <= KEPT_REPLY {
            self.said.extend(more);
        }
        self.events.take()
    }

    /// What the agent said; several messages are joined by line breaks.
    pub(crate) fn reply(&self) -> String {
        self.said.iter().map(String::as_str).chain(self.replies()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn error(&self) -> Option<String> {
        if self.has_failed() { self.error.clone() } else { None }
    }

    fn replies(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Message(message) if message.role == Role::Assistant && !message.text.is_empty() => {
                Some(message.text.as_str())
            }
            _ => None,
        })
    }

    /// The JS host calls silence and interruption an error too; it is surely a failure if an error
    /// event came with it.
    fn has_failed(&self) -> bool {
        match self.error.as_deref() {
            None => false,
            Some(JS_NO_ITEMS) => self.has_error_event,
            Some(_) => true,
        }
    }
}

impl Hearing {
    /// What was heard. Where an agent gives no transcripts, its messages tell.
    fn text(self) -> String {
        let heard = if self.transcripts.is_empty() { self.messages } else { self.transcripts };
        heard.join(" ")
    }
}

/// Takes one of what is left, if there is one.
fn take_one(left: Option<&mut usize>) -> bool {
    match left {
        Some(left @ 1..) => {
            *left -= 1;
            true
        }
        _ => false,
    }
}
