//! From the device's format to the stream's frames: channels, rate, cutting, in that order.

use std::time::Duration;

use greenroom_audio::resample::ResampleError;
use greenroom_audio::{Cutter, Format, Frame, Resampler, channels};

/// Samples of each channel that are mapped at once.
const PIECE: usize = 1024;

/// Makes frames of what a device gives.
pub(super) struct Chain {
    from: Format,
    to: Format,
    mapped: Vec<f32>,
    resampler: Resampler,
    cutter: Cutter<f32>,
    /// Lost samples of the device times the stream's rate, as far as they make no whole sample of the stream.
    part: u64,
    /// Samples of each channel that were made or lost, and how many of them before this device.
    place: u64,
    before: u64,
}

impl Chain {
    /// Frames of `length` and format `to`, the first of which is at `start`.
    pub(super) fn new(
        from: Format,
        to: Format,
        length: Duration,
        start: Duration,
    ) -> Result<Self, ResampleError> {
        Ok(Self {
            from,
            to,
            mapped: vec![0.0; PIECE * to.channels()],
            resampler: resampler(from, to)?,
            cutter: Cutter::new(to, length, start),
            part: 0,
            place: 0,
            before: 0,
        })
    }

    /// Another device goes on where the last one was lost, `missing` later.
    pub(super) fn reconnect(&mut self, from: Format, missing: Duration) -> Result<(), ResampleError> {
        self.resampler = resampler(from, self.to)?;
        self.from = from;
        self.part = 0;
        self.skip(self.to.samples_in(missing));
        self.before = self.place;
        Ok(())
    }

    /// So many samples of each of the device's channels are missing.
    pub(super) fn lose(&mut self, samples: u64) {
        let whole = samples * u64::from(self.to.rate()) + self.part;
        self.part = whole % u64::from(self.from.rate());
        self.skip(whole / u64::from(self.from.rate()));
    }

    /// Takes what the device gave, whole instants, and gives the frames.
    pub(super) fn take(&mut self, samples: &[f32], give: &mut dyn FnMut(&Frame<&[f32]>)) {
        for piece in samples.chunks(PIECE * self.from.channels()) {
            let mapped = channels::remap(piece, self.from.channels(), self.to.channels(), &mut self.mapped);
            let mut input = &self.mapped[..mapped];
            while let Some(mut part) = self.resampler.next(&mut input) {
                self.place += (part.len() / self.to.channels()) as u64;
                cut(&mut self.cutter, &mut part, give);
            }
        }
    }

    /// Gives what is left at the device's end; the last frame is filled up with silence.
    pub(super) fn finish(&mut self, give: &mut dyn FnMut(&Frame<&[f32]>)) {
        while let Some(mut part) = self.resampler.finish() {
            cut(&mut self.cutter, &mut part, give);
        }
        if let Some(frame) = self.cutter.finish() {
            give(&frame);
        }
    }

    /// Sets the time of the device's first sample, where clocks have drifted apart.
    pub(super) fn set_origin(&mut self, origin: Duration) {
        self.cutter.set_time(origin + self.to.duration_of(self.place - self.before));
    }

    fn skip(&mut self, samples: u64) {
        self.place += samples;
        self.cutter.lose(samples);
    }
}

fn cut(cutter: &mut Cutter<f32>, part: &mut &[f32], give: &mut dyn FnMut(&Frame<&[f32]>)) {
    while let Some(frame) = cutter.next(part) {
        give(&frame);
    }
}

fn resampler(from: Format, to: Format) -> Result<Resampler, ResampleError> {
    // Channels are mapped before.
    let mapped = Format::new(from.rate(), u16::try_from(to.channels()).unwrap_or(1))?;
    Resampler::new(mapped, to.rate())
}
