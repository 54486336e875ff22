//! What responses have told already, so that an event that comes after tells it no second time.

use std::collections::VecDeque;

use crate::message::{EventKind, Item};

/// How many items are remembered: events trail their response by a few, never by hundreds.
const REMEMBERED: usize = 512;

/// Items that a response or the history has told of.
#[derive(Debug, Default)]
pub(super) struct Told {
    ids: VecDeque<String>,
    /// Live events of tools carry no item id, only the call id, which scripted LLMs repeat: each is good for one event.
    calls: VecDeque<String>,
}

impl Told {
    pub(super) fn remember(&mut self, item: &Item) {
        let (list, key) = match item {
            Item::ToolCall(call) => (&mut self.calls, call.call_id.as_str()),
            item => (&mut self.ids, item.id()),
        };
        if key.is_empty() {
            return;
        }
        list.push_back(key.to_owned());
        if list.len() > REMEMBERED {
            list.pop_front();
        }
    }

    /// Whether the event only repeats what was told.
    pub(super) fn repeats(&mut self, kind: &EventKind) -> bool {
        let id = match kind {
            EventKind::Message(message) => &message.id,
            EventKind::Handoff(handoff) => &handoff.id,
            EventKind::Config(update) => &update.id,
            EventKind::ToolCall(call) => {
                let seen = self.calls.iter().position(|told| *told == call.call_id);
                return seen.is_some_and(|at| self.calls.remove(at).is_some());
            }
            _ => return false,
        };
        self.ids.contains(id)
    }

    /// Calls of a turn that is over are not waited for: the next turn may use their ids again.
    pub(super) fn forget_calls(&mut self) {
        self.calls.clear();
    }
}
