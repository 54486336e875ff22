//! The session's recent events: one bounded ring for every reader, each with a place of its own.

use crate::kept::{Kept, gap};
use crate::limits::Limits;
use crate::message::{Event, EventKind};
use crate::time::{Time, WallClock};

/// Numbers events and keeps the latest. A reader that is further behind than what is kept reads a gap with the count of what it missed.
#[derive(Debug)]
pub struct Journal {
    clock: WallClock,
    kept: Kept,
    next_seq: u64,
}

/// What a reader finds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// The events, oldest first; the first may be a gap.
    pub events: Vec<Event>,
    /// Where to read on.
    pub next: u64,
}

impl Journal {
    /// An empty journal.
    pub const fn new(limits: &Limits, clock: WallClock) -> Self {
        Self { clock, kept: Kept::new(limits), next_seq: 1 }
    }

    /// Writes down an event and gives it back, numbered.
    pub fn record(&mut self, kind: EventKind, late: bool, raw: Option<String>, now: Time) -> Event {
        let time = self.clock.at(now);
        let event = Event { seq: self.next_seq, time, kind, earlier: false, late, raw };
        self.next_seq += 1;
        self.kept.push(event.clone());
        event
    }

    /// The place after the last event: who reads from here sees only what is to come.
    pub const fn end(&self) -> u64 {
        self.next_seq
    }

    /// Reads up to `most` events from place `from` on, and the gap before them if there is one; 0 is the beginning.
    pub fn read(&self, from: u64, most: usize) -> Read {
        let from = from.max(1);
        if most == 0 {
            return Read { events: Vec::new(), next: from };
        }
        let oldest = self.next_seq - self.kept.len() as u64;
        let start = from.max(oldest);
        let skip = usize::try_from(start - oldest).unwrap_or(usize::MAX);
        let mut events: Vec<Event> = self.kept.iter_from(skip).take(most).cloned().collect();
        let next = events.last().map_or(start, |event| event.seq + 1);
        if from < oldest
            && let Some(first) = events.first()
        {
            events.insert(0, gap(oldest - from, first));
        }
        Read { events, next }
    }
}
