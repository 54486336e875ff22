//! Cuts chunks of any size into frames of one length.

use std::time::Duration;

use crate::format::Format;
use crate::frame::Frame;
use crate::sample::Sample;

/// The usual length of a frame.
pub const USUAL: Duration = Duration::from_millis(10);

/// Cuts a stream into frames of one length. Time goes by samples, lost ones too, so frames keep their place however late they come. It never
/// goes back: what would be before the frame before it is at that one's time.
#[derive(Debug)]
pub struct Framer<T> {
    format: Format,
    samples: Vec<T>,
    filled: usize,
    /// The time of sample `anchored_at`.
    anchor: Duration,
    anchored_at: u64,
    /// The time of the latest frame.
    latest: Duration,
    /// The place of the next sample in each channel, counting what was lost.
    place: u64,
    /// What is missing before the next sample.
    missing: u64,
    /// What was lost before and in the frame that is being filled.
    lost: u64,
}

impl<T: Sample> Framer<T> {
    /// Cuts frames of `length`, rounded down to whole samples but at least one, the first of which is at `start`.
    pub fn new(format: Format, length: Duration, start: Duration) -> Self {
        let per_channel = usize::try_from(format.samples_in(length)).unwrap_or(usize::MAX).max(1);
        Self {
            format,
            samples: vec![T::default(); per_channel * format.channels()],
            filled: 0,
            anchor: start,
            anchored_at: 0,
            latest: Duration::ZERO,
            place: 0,
            missing: 0,
            lost: 0,
        }
    }

    /// Records that `samples` of each channel are missing between the previous and the next input.
    ///
    /// A frame that has begun is filled up with silence, so that nothing moves from its place.
    pub const fn lose(&mut self, per_channel: u64) {
        self.missing = self.missing.saturating_add(per_channel);
    }

    /// Sets the time of the next sample, where the device's clock and the monotonic one have drifted apart.
    pub const fn set_time(&mut self, time: Duration) {
        self.anchor = time;
        self.anchored_at = self.place.saturating_add(self.missing);
    }

    /// Takes from `input` up to the end of the next frame and returns it; `None` once `input` is used up.
    ///
    /// Of several channels, `input` holds whole instants.
    pub fn next(&mut self, input: &mut &[T]) -> Option<Frame<&[T]>> {
        self.place_gap();
        if self.filled < self.samples.len() {
            let take = input.len().min(self.samples.len() - self.filled);
            let (head, rest) = input.split_at(take);
            self.samples[self.filled..self.filled + take].copy_from_slice(head);
            *input = rest;
            self.advance(take);
        }
        (self.filled == self.samples.len()).then(|| self.give())
    }

    /// The frame that has begun, filled up with silence; `None` if none has.
    pub fn finish(&mut self) -> Option<Frame<&[T]>> {
        if self.filled == 0 {
            return None;
        }
        self.place_gap();
        let left = self.samples.len() - self.filled;
        self.fill_up(left);
        Some(self.give())
    }

    /// Puts what is missing into the frame that has begun, or before the next.
    fn place_gap(&mut self) {
        if self.missing == 0 {
            return;
        }
        if self.filled == 0 {
            self.place += self.missing;
            self.lost += self.missing;
            self.missing = 0;
            return;
        }
        let room = (self.samples.len() - self.filled) / self.format.channels();
        let silent = self.missing.min(room as u64);
        self.missing -= silent;
        self.lost += silent;
        self.fill_up(silent as usize * self.format.channels());
    }

    fn fill_up(&mut self, samples: usize) {
        self.samples[self.filled..self.filled + samples].fill(T::default());
        self.advance(samples);
    }

    const fn advance(&mut self, samples: usize) {
        self.filled += samples;
        self.place += (samples / self.format.channels()) as u64;
    }

    fn give(&mut self) -> Frame<&[T]> {
        self.filled = 0;
        let lost = std::mem::take(&mut self.lost);
        let first = self.place - (self.samples.len() / self.format.channels()) as u64;
        let time = if first >= self.anchored_at {
            self.anchor + self.format.duration_of(first - self.anchored_at)
        } else {
            self.anchor.saturating_sub(self.format.duration_of(self.anchored_at - first))
        };
        self.latest = self.latest.max(time);
        Frame { format: self.format, time: self.latest, lost, samples: &self.samples }
    }
}
