//! A bounded list of events: the oldest go first, and their number is known.

use std::collections::VecDeque;

use crate::limits::Limits;
use crate::message::{Event, EventKind, Item, ToolCall};

/// Events within a bound by count and by size.
#[derive(Debug)]
pub(crate) struct Kept {
    events: VecDeque<(Event, usize)>,
    bytes: usize,
    dropped: u64,
    max_events: usize,
    max_bytes: usize,
}

impl Kept {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            // One event at least, to hang the count of the dropped ones on.
            max_events: if limits.kept_events == 0 { 1 } else { limits.kept_events },
            max_bytes: limits.kept_event_bytes,
        }
    }

    pub(crate) fn push(&mut self, event: Event) {
        let size = approximate_size(&event);
        self.events.push_back((event, size));
        self.bytes += size;
        while (self.events.len() > self.max_events || self.bytes > self.max_bytes)
            && self.events.len() > 1
            && let Some((_, size)) = self.events.pop_front()
        {
            self.bytes -= size;
            self.dropped += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|(event, _)| event)
    }

    /// The events from place `at` on.
    pub(crate) fn iter_from(&self, at: usize) -> impl Iterator<Item = &Event> {
        self.events.range(at.min(self.events.len())..).map(|(event, _)| event)
    }

    /// Takes out the events that `wanted` says, in order.
    pub(crate) fn extract(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let mut found = Vec::new();
        self.events.retain(|(event, size)| {
            let take = wanted(event);
            if take {
                self.bytes -= size;
                found.push(event.clone());
            }
            !take
        });
        found
    }

    /// Adds to the calls of tools what only their items tell: ids, and when they were called and answered. Puts them in the
    /// order of the items, which is that of the calls: a batch may be told of in the order in which its tools were done.
    pub(crate) fn complete_calls(&mut self, items: &[Item]) {
        let mut items: Vec<Option<&ToolCall>> = items
            .iter()
            .map(|item| if let Item::ToolCall(call) = item { Some(call) } else { None })
            .collect();
        // Where each call is among the items, and among the events.
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (at, (event, _)) in self.events.iter_mut().enumerate() {
            let EventKind::ToolCall(call) = &mut event.kind else { continue };
            if !call.id.is_empty() {
                continue;
            }
            let found = items.iter().position(|item| item.is_some_and(|item| item.call_id == call.call_id));
            let Some((item_at, item)) = found.and_then(|found| Some((found, items[found].take()?))) else {
                continue;
            };
            call.id.clone_from(&item.id);
            call.output_id.clone_from(&item.output_id);
            call.extra.clone_from(&item.extra);
            call.created_at = item.created_at;
            call.output_at = item.output_at;
            places.push((item_at, at));
        }
        let slots: Vec<usize> = places.iter().map(|(_, at)| *at).collect();
        places.sort_unstable();
        let ordered: Vec<(Event, usize)> =
            places.iter().filter_map(|(_, at)| self.events.get(*at).cloned()).collect();
        for (slot, event) in slots.into_iter().zip(ordered) {
            if let Some(place) = self.events.get_mut(slot) {
                *place = event;
            }
        }
    }

    /// Puts the events in the order of their numbers.
    pub(crate) fn sort(&mut self) {
        self.events.make_contiguous().sort_by_key(|(event, _)| event.seq);
    }

    /// Takes all events; in front, a gap that counts what was dropped, if anything was.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        let mut events = Vec::with_capacity(self.events.len() + 1);
        if let (1.., Some((first, _))) = (self.dropped, self.events.front()) {
            events.push(gap(self.dropped, first));
        }
        events.extend(std::mem::take(&mut self.events).into_iter().map(|(event, _)| event));
        self.bytes = 0;
        self.dropped = 0;
        events
    }
}

/// The gap of `dropped` events just before `next`.
pub(crate) fn gap(dropped: u64, next: &Event) -> Event {
    Event {
        seq: next.seq.saturating_sub(1),
        time: next.time,
        kind: EventKind::Gap { dropped },
        earlier: next.earlier,
        late: false,
        raw: None,
    }
}

/// What an event weighs in memory, within a factor: as much as its JSON, and a fixed part. Only bounds are built on it.
fn approximate_size(event: &Event) -> usize {
    const FIXED: usize = 512;
    let mut json = Count(0);
    // Nothing in an event can fail to be JSON, and counting does not fail.
    let _ = serde_json::to_writer(&mut json, event);
    FIXED + json.0
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
