//! The events of a daemon's session received so far: bounded, with an event for every hole.

use std::collections::VecDeque;
use std::time::SystemTime;

use greenroom_protocol::journal::Read;
use greenroom_protocol::limits::Limits;
use greenroom_protocol::message::{CloseReason, Event, EventKind};
use greenroom_protocol::time::Timestamp;

/// Events by their numbers in the daemon's journal.
#[derive(Debug)]
pub(super) struct Mirror {
    events: VecDeque<(Event, usize)>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    /// The request that brings the events, and from which position on; none before the first
    /// reader.
    watch: Option<(u64, u64)>,
    /// The place after the last event that is known of.
    end: u64,
    closed: bool,
}

impl Mirror {
    /// An empty one of a journal that ends at `end`.
    pub(super) const fn new(limits: &Limits, end: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            max_events: limits.kept_events,
            max_bytes: limits.kept_event_bytes,
            watch: None,
            end,
            closed: false,
        }
    }

    /// From now on request `id` brings the events from place `from` on.
    pub(super) fn watch(&mut self, id: u64, from: u64) {
        self.watch = Some((id, from.max(1)));
        self.events.clear();
        self.bytes = 0;
    }

    /// Whether nothing brings what is to come, and something is to come.
    pub(super) const fn wants_watching(&self) -> bool {
        self.watch.is_none() && !self.closed
    }

    /// Whether the events from place `from` on are here or on their way.
    pub(super) fn reaches(&self, from: u64) -> bool {
        self.closed || self.watch.is_some_and(|(_, watched)| watched <= from.max(1))
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Takes an event that request `id` brought. Whether there is one more to read.
    pub(super) fn push(&mut self, id: u64, event: Event, size: usize) -> bool {
        let current = self.watch.is_some_and(|(current, _)| current == id);
        // A hole shows by the numbers.
        if !current || self.closed || matches!(event.kind, EventKind::Gap { .. }) {
            return false;
        }
        self.closed |= matches!(event.kind, EventKind::Closed { .. });
        self.keep(event, size);
        true
    }

    /// Ends it, unless the session itself did.
    pub(super) fn close(&mut self, reason: CloseReason, message: &str) {
        if self.closed {
            return;
        }
        self.closed = true;
        let time = Timestamp::of(SystemTime::now()).unwrap_or_default();
        let kind = EventKind::Closed { reason, message: message.to_owned() };
        self.keep(Event { seq: self.end, time, kind, earlier: false, late: false, raw: None }, 0);
    }

    pub(super) fn read(&self, from: u64, most: usize) -> Read {
        let mut next = from.max(1);
        if !self.reaches(from) {
            return Read { events: Vec::new(), next };
        }
        let first = self.events.partition_point(|(event, _)| event.seq < next);
        let mut events = Vec::new();
        for (event, _) in self.events.iter().skip(first).take(most) {
            if event.seq > next {
                events.push(Event {
                    seq: event.seq - 1,
                    time: event.time,
                    kind: EventKind::Gap { dropped: event.seq - next },
                    earlier: false,
                    late: false,
                    raw: None,
                });
            }
            next = event.seq + 1;
            events.push(event.clone());
        }
        Read { events, next }
    }

    fn keep(&mut self, event: Event, size: usize) {
        self.end = self.end.max(event.seq + 1);
        self.bytes += size;
        self.events.push_back((event, size));
        while self.events.len() > self.max_events || (self.bytes > self.max_bytes && self.events.len() > 1) {
            if let Some((_, size)) = self.events.pop_front() {
                self.bytes -= size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::limits::Limits;
    use greenroom_protocol::message::{CloseReason, Event, EventKind};

    use super::Mirror;

    fn log(seq: u64) -> Event {
        let kind = EventKind::Log { text: seq.to_string() };
        Event { seq, time: Default::default(), kind, earlier: false, late: false, raw: None }
    }

    fn seqs(mirror: &Mirror, from: u64) -> Vec<(u64, bool)> {
        let read = mirror.read(from, 100);
        read.events.iter().map(|event| (event.seq, matches!(event.kind, EventKind::Gap { .. }))).collect()
    }

    #[test]
    fn holes_show_as_gaps_wherever_they_come_from() {
        let mut limits = Limits::default();
        limits.kept_events = 3;
        let mut mirror = Mirror::new(&limits, 1);
        mirror.watch(7, 0);
        for seq in [1, 2, 5, 6] {
            assert!(mirror.push(7, log(seq), 1));
        }
        assert_eq!(seqs(&mirror, 0), [(1, true), (2, false), (4, true), (5, false), (6, false)]);
        assert_eq!(seqs(&mirror, 6), [(6, false)]);
        assert_eq!(mirror.read(7, 100).next, 7);
        assert_eq!(mirror.end(), 7);
    }

    #[test]
    fn a_reader_from_further_back_starts_the_stream_anew() {
        let mut mirror = Mirror::new(&Limits::default(), 9);
        mirror.watch(1, 9);
        assert!(!mirror.reaches(0) && mirror.reaches(9));
        assert!(mirror.push(1, log(9), 1));
        mirror.watch(2, 0);
        assert!(!mirror.push(1, log(10), 1), "the old stream no longer counts");
        assert!((1..=9).all(|seq| mirror.push(2, log(seq), 1)));
        assert_eq!(mirror.read(0, 100).events.len(), 9);
    }

    #[test]
    fn it_ends_once() {
        let mut mirror = Mirror::new(&Limits::default(), 4);
        mirror.watch(1, 4);
        mirror.close(CloseReason::Closed, "let go");
        mirror.close(CloseReason::DaemonGone, "gone");
        assert!(!mirror.push(1, log(5), 1));
        assert_eq!(seqs(&mirror, 4), [(4, false)]);
    }

    #[test]
    fn the_end_is_there_for_who_comes_after_it() {
        let mut mirror = Mirror::new(&Limits::default(), 4);
        mirror.close(CloseReason::DaemonGone, "gone");
        assert!(mirror.reaches(0) && !mirror.wants_watching());
        assert_eq!(seqs(&mirror, 0), [(3, true), (4, false)]);
    }
}
