//! What of the agent's speech is heard, and when.
//!
//! Agents send speech as fast as they make it, then a flush, and go on only when they are told that it was heard. Nothing on the wire
//! says which flush an acknowledgement is for, so it goes out at the very sample at which the speech ends, and never for a flush
//! that a clear has made void: it would be taken for that of the next segment.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{LONGEST, RATE};

/// The most speech that waits to be heard, in samples. What an agent sends beyond is lost and counted, and takes its time all the same.
const MOST_AHEAD: u64 = 2 * LONGEST.as_secs() * RATE as u64;
/// The most of what was heard that is kept for a turn, in bytes.
const MOST_KEPT: usize = LONGEST.as_secs() as usize * RATE as usize * 2;
/// How many segments of a turn are remembered by their beginning.
const SEGMENTS: usize = 256;

/// Who says what is heard when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Time does: speech is heard from the moment it comes, without a gap while there is some.
    #[default]
    Simulated,
    /// A device does: what it pulls is heard so much later.
    Pulled {
        /// From the pull to the ear.
        latency: Duration,
    },
}

/// Where an agent was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// When.
    pub(crate) at: u64,
    /// How much of the segment had been heard, in samples.
    pub(crate) heard: u64,
}

/// What was heard of the agent since it was last asked for. Places are on the line.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The samples, from the first on, with the silence between segments.
    pub(crate) samples: BytesMut,
    /// Where segments began.
    pub(crate) starts: Vec<u64>,
    /// Samples of speech, without the silence between segments.
    pub(crate) speech: u64,
    /// Samples that were lost, or heard but not kept.
    pub(crate) lost: u64,
    /// Up to where `samples` go.
    end: u64,
}

#[derive(Debug)]
struct Piece {
    begins_segment: bool,
    count: u64,
    /// `None` where the samples were lost.
    samples: Option<Bytes>,
    /// Where it is heard at the earliest.
    start: u64,
}

#[derive(Debug)]
struct Flush {
    /// How many samples had come before it.
    came: u64,
    /// Where it is acknowledged; `None` until a device has pulled that far.
    at: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Playback {
    /// Samples between a pull and the ear; `None` with a simulated clock.
    latency: Option<u64>,
    pieces: VecDeque<Piece>,
    /// Samples that wait to be heard.
    waiting: u64,
    /// Samples that have come.
    came: u64,
    /// Up to where on the line the agent is heard, as far as it is known.
    end: u64,
    /// The next sample begins a segment.
    is_between: bool,
    /// Where the segment that is heard began.
    segment: Option<u64>,
    segment_heard: u64,
    flushes: VecDeque<Flush>,
    heard: Heard,
    /// What is recorded and not taken yet, and up to where on the line it goes.
    tape: Option<(BytesMut, u64)>,
}

impl Playback {
    pub(super) fn new(clock: Clock, is_taped: bool) -> Self {
        let latency = match clock {
            Clock::Simulated => None,
            Clock::Pulled { latency } => Some(super::line::samples(latency)),
        };
        Self {
            latency,
            pieces: VecDeque::new(),
            waiting: 0,
            came: 0,
            end: 0,
            is_between: true,
            segment: None,
            segment_heard: 0,
            flushes: VecDeque::new(),
            heard: Heard::default(),
            tape: is_taped.then(|| (BytesMut::new(), 0)),
        }
    }

    /// Takes speech that came at place `now`.
    pub(super) fn receive(&mut self, now: u64, samples: Bytes) {
        self.advance(now);
        let count = samples.len() as u64 / 2;
        if count == 0 {
            return;
        }
        let has_room = self.waiting + count <= MOST_AHEAD;
        if !has_room {
            self.heard.lost += count;
        }
        let start = if self.latency.is_none() { self.end.max(now) } else { now };
        self.pieces.push_back(Piece {
            begins_segment: std::mem::take(&mut self.is_between),
            count,
            samples: has_room.then_some(samples),
            start,
        });
        if self.latency.is_none() {
            self.end = start + count;
        }
        self.waiting += count;
        self.came += count;
    }

    /// The agent's segment is complete; it waits until that was heard. Flushes with nothing between them are one.
    pub(super) fn flush(&mut self, now: u64) {
        self.advance(now);
        self.is_between = true;
        if self.flushes.back().is_some_and(|flush| flush.came == self.came) {
            return;
        }
        let at = match self.latency {
            Some(_) if self.waiting > 0 => None,
            _ => Some(self.end.max(now)),
        };
        self.flushes.push_back(Flush { came: self.came, at });
    }

    /// What is not heard yet never will be, and nobody waits for it any more. Gives where the agent was cut off, if it was.
    pub(super) fn clear(&mut self, now: u64) -> Option<Cut> {
        self.advance(now);
        let was_speaking = self.waiting > 0 || !self.flushes.is_empty();
        let heard = if self.pieces.front().is_some_and(|piece| piece.begins_segment) {
            0
        } else {
            self.segment_heard
        };
        self.pieces.clear();
        self.flushes.clear();
        self.waiting = 0;
        self.end = now;
        self.is_between = true;
        self.segment = None;
        was_speaking.then_some(Cut { at: now, heard })
    }

    /// With a simulated clock, what is due up to place `now` is heard.
    pub(super) fn advance(&mut self, now: u64) {
        if self.latency.is_some() {
            return;
        }
        while let Some(piece) = self.pieces.front()
            && piece.start < now
        {
            let (start, count) = (piece.start, piece.count.min(now - piece.start));
            self.hear(start, count);
        }
    }

    /// A device takes up to `most` samples at place `now`.
    pub(super) fn pull(&mut self, now: u64, most: u64) -> Bytes {
        let mut pulled = BytesMut::new();
        let Some(latency) = self.latency else { return Bytes::new() };
        let mut left = most;
        while left > 0
            && let Some(piece) = self.pieces.front()
        {
            let count = piece.count.min(left);
            let start = self.end.max(now + latency);
            self.end = start + count;
            match self.hear(start, count) {
                Some(samples) => pulled.extend_from_slice(&samples),
                None => pulled.resize(pulled.len() + count as usize * 2, 0),
            }
            left -= count;
        }
        let pulled_to = self.came - self.waiting;
        for flush in self.flushes.iter_mut().filter(|flush| flush.came <= pulled_to) {
            flush.at.get_or_insert(self.end);
        }
        pulled.freeze()
    }

    /// How many acknowledgements are due at place `now`.
    pub(super) fn acknowledge(&mut self, now: u64) -> usize {
        let due = self.flushes.iter().take_while(|flush| flush.at.is_some_and(|at| at <= now)).count();
        self.flushes.drain(..due);
        if due > 0 && self.waiting == 0 {
            self.segment = None;
        }
        due
    }

    /// Where the next acknowledgement is due.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.flushes.front()?.at
    }

    /// Whether something is still to be heard, or to be acknowledged.
    pub(super) fn is_busy(&self, now: u64) -> bool {
        self.waiting > 0 || !self.flushes.is_empty() || self.end > now
    }

    /// Where the segment that is being heard began; `None` while the agent is silent.
    pub(super) fn speaking_since(&self) -> Option<u64> {
        if self.waiting > 0 { self.segment } else { None }
    }

    /// Takes what was heard up to place `now`.
    pub(super) fn take_heard(&mut self, now: u64) -> Heard {
        self.advance(now);
        std::mem::take(&mut self.heard)
    }

    /// Takes what is recorded up to place `to`, with silence where nothing was heard.
    pub(super) fn take_tape(&mut self, to: u64) -> Bytes {
        self.advance(to);
        let Some((tape, end)) = &mut self.tape else { return Bytes::new() };
        let begin = *end - tape.len() as u64 / 2;
        if *end < to {
            tape.resize(tape.len() + (to - *end) as usize * 2, 0);
            *end = to;
        }
        tape.split_to(to.saturating_sub(begin) as usize * 2).freeze()
    }

    /// The first `count` samples that wait are heard from place `start` on. Gives them; `None` if they were lost.
    fn hear(&mut self, start: u64, count: u64) -> Option<Bytes> {
        let piece = self.pieces.front_mut()?;
        let begins_segment = std::mem::take(&mut piece.begins_segment);
        let samples = piece.samples.as_mut().map(|samples| samples.split_to(count as usize * 2));
        piece.count -= count;
        piece.start += count;
        if piece.count == 0 {
            self.pieces.pop_front();
        }
        self.waiting -= count;
        if begins_segment {
            self.segment = Some(start);
            self.segment_heard = 0;
            if self.heard.starts.len() < SEGMENTS {
                self.heard.starts.push(start);
            }
        }
        self.segment_heard += count;
        self.heard.keep(start, count, samples.as_ref());
        if let Some((tape, end)) = &mut self.tape {
            lay(tape, end, start, count, samples.as_ref());
        }
        samples
    }
}

impl Heard {
    fn keep(&mut self, start: u64, count: u64, samples: Option<&Bytes>) {
        self.speech += count;
        if self.samples.is_empty() {
            self.end = start;
        }
        let grown = self.samples.len() as u64 + (start.saturating_sub(self.end) + count) * 2;
        if grown > MOST_KEPT as u64 {
            self.lost += count;
            return;
        }
        lay(&mut self.samples, &mut self.end, start, count, samples);
    }
}

/// Lays samples down at place `start` of what goes up to `end`, with silence before them.
fn lay(onto: &mut BytesMut, end: &mut u64, start: u64, count: u64, samples: Option<&Bytes>) {
    let gap = start.saturating_sub(*end) as usize * 2;
    onto.resize(onto.len() + gap, 0);
    match samples {
        Some(samples) => onto.extend_from_slice(samples),
        None => onto.resize(onto.len() + count as usize * 2, 0),
    }
    *end = start.max(*end) + count;
}
