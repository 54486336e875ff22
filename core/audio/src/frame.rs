//! A stretch of audio, and where it belongs.

use std::time::Duration;

use crate::format::Format;

/// A stretch of audio. `S` holds the samples: a slice where they are lent, a vector where they are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<S> {
    /// Rate and channels.
    pub format: Format,
    /// When the first sample was, on a monotonic clock whose origin the driver picks.
    pub time: Duration,
    /// How many samples of each channel are missing right before the frame, or are silence in it since they were lost; 0 where the
    /// audio is whole. Over a stream this sums up to all that was lost.
    pub lost: u64,
    /// The samples; those of several channels are interleaved.
    pub samples: S,
}

impl<S> Frame<S> {
    /// Whether something is missing before or in the frame.
    pub const fn has_gap(&self) -> bool {
        self.lost > 0
    }

    /// The same frame with its samples made into something else.
    pub fn map<T>(self, make: impl FnOnce(S) -> T) -> Frame<T> {
        Frame { format: self.format, time: self.time, lost: self.lost, samples: make(self.samples) }
    }
}

impl<T> Frame<&[T]> {
    /// Samples of each channel.
    pub const fn per_channel(&self) -> usize {
        self.samples.len() / self.format.channels()
    }

    /// How long the frame lasts.
    pub const fn duration(&self) -> Duration {
        self.format.duration_of(self.per_channel() as u64)
    }
}
