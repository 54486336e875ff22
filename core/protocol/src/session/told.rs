//! What has been told already, so that nothing is told twice: most items come both as an event and in a response, in either order.

use std::collections::{HashSet, VecDeque};

use crate::message::{EventKind, Item};

/// How many item ids are remembered.
const IDS: usize = 4_096;
/// How many calls are remembered that a response told before an event did: events trail their response by a few, never by hundreds.
const CALLS: usize = 512;
/// Longer ids are no SDK's, and not worth their memory: such an item may be told twice.
const LONGEST: usize = 256;

/// Items that an event, a response or the history has told of.
#[derive(Debug, Default)]
pub(super) struct Told {
    ids: HashSet<String>,
    order: VecDeque<String>,
    /// Live events of tools carry no item id, only the call id, which scripted LLMs repeat: each is good for one event.
    calls: VecDeque<String>,
}

impl Told {
    /// Whether an item of this id was told. Items without an id are never known.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Takes down an item of a response or of the history.
    pub(super) fn item(&mut self, item: &Item) {
        match item {
            Item::ToolCall(call) if call.call_id.len() <= LONGEST => {
                if self.calls.len() == CALLS {
                    self.calls.pop_front();
                }
                self.calls.push_back(call.call_id.clone());
            }
            item => {
                self.learn(item.id());
            }
        }
    }

    /// Takes down an event. Whether it only repeats what was told.
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
        self.knows(id) || {
            self.learn(id);
            false
        }
    }

    /// A newer turn is under way: it may use the same call ids again.
    pub(super) fn forget_calls(&mut self) {
        self.calls.clear();
    }

    fn learn(&mut self, id: &str) {
        if id.is_empty() || id.len() > LONGEST || !self.ids.insert(id.to_owned()) {
            return;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}
