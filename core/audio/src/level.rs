//! How loud a stream is.

use crate::format::Format;
use crate::sample::dbfs;

/// Readings per second of the stream, on its own clock.
pub const UPDATES: u32 = 30;

/// Over how many updates the RMS goes: 100 ms, so that a reading of a tone does not depend on where in its cycle a window ends.
const RMS_OVER: usize = 3;

/// A sample counts as clipped from here on: the greatest that 16 bits hold.
const CLIPPED: f32 = 32767.0 / 32768.0;

/// How many updates a peak is held, 1.5 s, before it falls.
const HELD_FOR: u32 = 45;

/// How far a peak that is no longer held falls with each update: 20 dB a second.
const FALL_DB: f32 = 20.0 / UPDATES as f32;

/// One reading of a [`Meter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Where the reading ends: samples of each channel since the beginning.
    pub at: u64,
    /// RMS of the latest 100 ms in dBFS; negative infinity for silence.
    pub rms: f32,
    /// The highest peak since the reading before, in dBFS; negative infinity for silence.
    pub peak: f32,
    /// The highest peak of the latest 1.5 s in dBFS; after that it falls by 20 dB a second.
    pub held: f32,
    /// Samples at full scale since the reading before.
    pub clipped: u32,
}

/// Reads the level of a stream 30 times a second of the stream. Channels are read as one: their highest peak, their common RMS.
#[derive(Debug)]
pub struct Meter {
    rate: u64,
    channels: usize,
    /// Samples of each channel so far, and at the end of this reading.
    at: u64,
    until: u64,
    updates: u64,
    /// Of the latest readings: sum of squares and samples.
    sums: [(f64, u64); RMS_OVER],
    sum: f64,
    count: u64,
    peak: f32,
    clipped: u32,
    held: f32,
    held_for: u32,
}

impl Meter {
    /// A meter of a stream that begins.
    pub fn new(format: Format) -> Self {
        Self {
            rate: format.rate().into(),
            channels: format.channels(),
            at: 0,
            until: u64::from(format.rate() / UPDATES),
            updates: 1,
            sums: [(0.0, 0); RMS_OVER],
            sum: 0.0,
            count: 0,
            peak: 0.0,
            clipped: 0,
            held: f32::NEG_INFINITY,
            held_for: 0,
        }
    }

    /// Takes from `input` up to the end of the next reading and returns it; `None` once `input` is used up.
    ///
    /// Of several channels, `input` holds whole instants. What is not a number counts as clipped.
    pub fn next(&mut self, input: &mut &[f32]) -> Option<Level> {
        let wanted =
            usize::try_from(self.until - self.at).unwrap_or(usize::MAX).saturating_mul(self.channels);
        let (head, rest) = input.split_at(input.len().min(wanted));
        *input = rest;
        self.take(head);
        (self.at == self.until).then(|| self.read())
    }

    fn take(&mut self, samples: &[f32]) {
        for &sample in samples {
            let size = sample.abs();
            if size >= CLIPPED || size.is_nan() {
                self.clipped = self.clipped.saturating_add(1);
            }
            if size.is_finite() {
                self.peak = self.peak.max(size);
                self.sum += f64::from(size) * f64::from(size);
            }
        }
        self.count += samples.len() as u64;
        self.at += (samples.len() / self.channels) as u64;
    }

    fn read(&mut self) -> Level {
        self.sums.rotate_left(1);
        self.sums[RMS_OVER - 1] = (std::mem::take(&mut self.sum), std::mem::take(&mut self.count));
        let (sum, count) = self.sums.iter().fold((0.0, 0), |(sum, count), &(s, c)| (sum + s, count + c));
        let peak = dbfs(std::mem::take(&mut self.peak));
        self.hold(peak);
        self.updates += 1;
        self.until = self.updates * self.rate / u64::from(UPDATES);
        Level {
            at: self.at,
            rms: (10.0 * (sum / count.max(1) as f64).log10()) as f32,
            peak,
            held: self.held,
            clipped: std::mem::take(&mut self.clipped),
        }
    }

    fn hold(&mut self, peak: f32) {
        if self.held_for > 0 {
            self.held_for -= 1;
        } else {
            self.held -= FALL_DB;
        }
        if peak >= self.held {
            self.held = peak;
            self.held_for = HELD_FOR;
        }
    }
}
