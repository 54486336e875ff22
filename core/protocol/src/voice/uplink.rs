//! The user's mouth: one frame of 20 ms after the other, silence where nothing is said.
//!
//! A frame goes when its 20 ms are over, as from a microphone. Speech begins at the sample of the moment at which it is given, inside
//! the frame under way, so it waits for nothing.
//!
//! After a standstill of the session's thread all frames that are due go at once, as a network delivers them after one. The agent counts
//! samples, so it hears the same speech; the places of what is said stay those of real time, and the recording has no hole.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::speech::audible;

/// Samples of a frame.
pub(super) const FRAME: u64 = 960;
/// How far the frames may be behind: what is later is skipped and counted, so that a burst has an end. 10 s.
pub(super) const LATEST: u64 = 500 * FRAME;
/// From where on a standstill is noted: what follows in time from what the agent heard is then not the agent's alone. 100 ms.
const STALL: u64 = 5 * FRAME;
/// Standstills that are kept for the turns under way; the oldest make room.
const STALLS: usize = 64;
/// How much of a live source may wait. 300 ms.
const LIVE: u64 = 15 * FRAME;
/// How far ahead a live source is put down when it begins, so that its jitter tears no holes. 20 ms.
const LEAD: u64 = FRAME;
/// The same of an utterance that comes while it is said, over more threads and loops than a microphone of this process. 40 ms.
const FAR_LEAD: u64 = 2 * FRAME;

/// The number of an utterance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Utterance(u64);

/// What an utterance came to, in places on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The first sample that could be heard, so far.
    pub(crate) first: Option<u64>,
    /// The place after the last sample that could be heard, so far.
    pub(crate) last: Option<u64>,
    /// The place after its end, once all of it is sent.
    pub(crate) end: Option<u64>,
}

/// An utterance that is not over, or that nobody has asked about since it was.
#[derive(Debug)]
struct Saying {
    utterance: Utterance,
    said: Said,
    /// Up to where it was sent.
    sent: u64,
    /// More may be added.
    is_open: bool,
}

#[derive(Debug)]
struct Piece {
    utterance: Option<Utterance>,
    /// Where its next sample belongs.
    start: u64,
    samples: Bytes,
}

impl Piece {
    const fn end(&self) -> u64 {
        self.start + self.samples.len() as u64 / 2
    }
}

#[derive(Debug, Default)]
pub(super) struct Uplink {
    /// Up to where frames were made.
    sent: u64,
    pieces: VecDeque<Piece>,
    utterances: VecDeque<Saying>,
    next: u64,
    /// Samples of silence or delay that were skipped since the frames were late.
    skipped: u64,
    /// Samples of a live source that were dropped.
    dropped: u64,
    /// Standstills: the place at which each was over, and how long it was in samples.
    stalls: VecDeque<(u64, u64)>,
}

impl Uplink {
    /// Says `samples` from place `now` on, after all that is being said. One that stays open goes on with what is added.
    pub(super) fn say(&mut self, now: u64, samples: Bytes, is_open: bool) -> Utterance {
        let utterance = Utterance(self.next);
        self.next += 1;
        let said = Said { first: None, last: None, end: None };
        self.utterances.push_back(Saying { utterance, said, sent: self.sent, is_open });
        let start = if is_open { self.live_from(now, FAR_LEAD) } else { self.free_from(now) };
        self.pieces.push_back(Piece { utterance: Some(utterance), start, samples });
        utterance
    }

    /// Adds to an utterance that is open. What comes too late for its place is said later, so all of it is.
    pub(super) fn add(&mut self, now: u64, utterance: Utterance, samples: Bytes) {
        let start = self.live_from(now, FAR_LEAD);
        self.pieces.push_back(Piece { utterance: Some(utterance), start, samples });
    }

    /// Nothing more is added to an utterance.
    pub(super) fn complete(&mut self, utterance: Utterance) {
        let has_more = self.pieces.iter().any(|piece| piece.utterance == Some(utterance));
        if let Some(saying) = self.utterances.iter_mut().find(|saying| saying.utterance == utterance) {
            saying.is_open = false;
            if !has_more {
                saying.said.end = Some(saying.sent);
            }
        }
    }

    /// Takes samples of a live source; what it is too far ahead with is dropped and counted.
    pub(super) fn feed(&mut self, now: u64, samples: Bytes) {
        let count = samples.len() as u64 / 2;
        let start = self.live_from(now, LEAD);
        if start + count > now.max(self.sent) + LIVE {
            self.dropped += count;
            return;
        }
        self.pieces.push_back(Piece { utterance: None, start, samples });
    }

    /// How an utterance stands. It is forgotten once it was given with its end.
    pub(super) fn said(&mut self, utterance: Utterance) -> Option<Said> {
        let at = self.utterances.iter().position(|saying| saying.utterance == utterance)?;
        let said = self.utterances[at].said;
        if said.end.is_some() {
            self.utterances.remove(at);
        }
        Some(said)
    }

    /// Says no more of an utterance.
    pub(super) fn stop(&mut self, utterance: Utterance) {
        self.pieces.retain(|piece| piece.utterance != Some(utterance));
        self.utterances.retain(|saying| saying.utterance != utterance);
    }

    /// Up to where frames were made.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Where the next frame ends: the place at which it goes.
    pub(super) const fn next_at(&self) -> u64 {
        self.sent + FRAME
    }

    /// The next frame that is due at place `now`: its samples, and how many were skipped before it.
    pub(super) fn frame(&mut self, now: u64) -> Option<(Bytes, u64)> {
        let behind = now.saturating_sub(self.sent);
        if behind < FRAME {
            return None;
        }
        if behind - FRAME > STALL && self.stalls.back().is_none_or(|(over, _)| *over < now) {
            if self.stalls.len() == STALLS {
                self.stalls.pop_front();
            }
            self.stalls.push_back((now, behind - FRAME));
        }
        let skip = if behind > LATEST { (behind - FRAME) / FRAME * FRAME } else { 0 };
        if skip > 0 {
            self.skipped += skip;
            self.sent += skip;
            // Nothing that is to be said is lost: it is said later.
            self.pieces.iter_mut().for_each(|piece| piece.start += skip);
        }
        Some((self.cut(FRAME), skip))
    }

    /// What has been said of the frame under way at place `now`.
    pub(super) fn rest(&mut self, now: u64) -> Bytes {
        self.cut(now.saturating_sub(self.sent).min(FRAME))
    }

    /// The next `length` samples.
    fn cut(&mut self, length: u64) -> Bytes {
        let end = self.sent + length;
        let mut frame = BytesMut::zeroed(length as usize * 2);
        while let Some(piece) = self.pieces.front_mut()
            && piece.start < end
        {
            let count = (piece.end().min(end) - piece.start) as usize * 2;
            let at = (piece.start - self.sent) as usize * 2;
            let taken = piece.samples.split_to(count);
            frame[at..at + count].copy_from_slice(&taken);
            let (start, utterance) = (piece.start, piece.utterance);
            piece.start += count as u64 / 2;
            if piece.samples.is_empty() {
                self.pieces.pop_front();
            }
            let has_more = self.pieces.iter().any(|piece| piece.utterance == utterance);
            let saying = self.utterances.iter_mut().find(|saying| Some(saying.utterance) == utterance);
            if let Some(saying) = saying {
                if let Some((first, last)) = audible(&taken) {
                    saying.said.first.get_or_insert(start + first);
                    saying.said.last = Some(start + last + 1);
                }
                saying.sent = start + count as u64 / 2;
                saying.said.end = (!has_more && !saying.is_open).then_some(saying.sent);
            }
        }
        self.sent = end;
        frame.freeze()
    }

    /// The longest standstill that was over at place `since` or later, in samples.
    pub(super) fn stalled_since(&self, since: u64) -> u64 {
        self.stalls.iter().filter(|(over, _)| *over >= since).map(|(_, length)| *length).max().unwrap_or(0)
    }

    /// What was skipped, and what was dropped of a live source, in samples.
    pub(super) const fn losses(&self) -> (u64, u64) {
        (self.skipped, self.dropped)
    }

    /// Where a live source goes on: a little ahead where it begins, or begins again.
    fn live_from(&self, now: u64, lead: u64) -> u64 {
        self.free_from(now) + if self.pieces.is_empty() { lead } else { 0 }
    }

    fn free_from(&self, now: u64) -> u64 {
        let taken = self.pieces.back().map_or(0, Piece::end);
        now.max(self.sent).max(taken)
    }
}
