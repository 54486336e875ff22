//! From the device's format to the stream's frames: channels, rate, cutting, in that order.

use std::time::Duration;

use greenroom_audio::channels::ChannelMap;
use greenroom_audio::resample::ResampleError;
use greenroom_audio::{Format, Frame, Framer, Note, Resampler};

use super::capture::CapturedBlock;

/// Samples of each channel that are mapped at once.
const PIECE: usize = 1024;

/// Makes frames of what a device gives.
pub(super) struct FramePipeline {
    from: Format,
    to: Format,
    /// The device's channel that is taken alone.
    picked: Option<usize>,
    map: ChannelMap,
    /// That channels cancel each other out was noted.
    is_noted: bool,
    mapped: Vec<f32>,
    resampler: Resampler,
    framer: Framer<f32>,
    /// Lost samples of the device times the stream's rate, as far as they make no whole sample of the stream.
    part: u64,
    /// Samples of each channel that were made or lost, and how many of them before this device.
    place: u64,
    before: u64,
    /// Samples of each of the device's channels that came from it or were lost.
    taken: u64,
}

impl FramePipeline {
    /// Frames of `length` and format `to`, the first of which is at `start`; of the device's channels, one that is picked.
    pub(super) fn new(
        from: Format,
        to: Format,
        picked: Option<usize>,
        length: Duration,
        start: Duration,
    ) -> Result<Self, ResampleError> {
        Ok(Self {
            from,
            to,
            picked,
            map: ChannelMap::new(from, to.channels(), picked),
            is_noted: false,
            mapped: vec![0.0; PIECE * to.channels()],
            resampler: resampler(from, to)?,
            framer: Framer::new(to, length, start),
            part: 0,
            place: 0,
            before: 0,
            taken: 0,
        })
    }

    /// Another device goes on where the last one was lost, `missing` later.
    pub(super) fn reconnect(&mut self, from: Format, missing: Duration) -> Result<(), ResampleError> {
        self.resampler = resampler(from, self.to)?;
        self.map = ChannelMap::new(from, self.to.channels(), self.picked);
        self.from = from;
        self.part = 0;
        self.skip(self.to.samples_in(missing));
        self.before = self.place;
        self.taken = 0;
        Ok(())
    }

    /// So many samples of each of the device's channels are missing.
    fn lose(&mut self, samples: u64) {
        self.taken += samples;
        let whole = samples * u64::from(self.to.rate()) + self.part;
        self.part = whole % u64::from(self.from.rate());
        self.skip(whole / u64::from(self.from.rate()));
    }

    /// Takes what the device gave, and gives the frames.
    pub(super) fn take(&mut self, part: &CapturedBlock<'_>, give: &mut dyn FnMut(&Frame<&[f32]>)) {
        if part.lost > 0 {
            self.lose(part.lost);
        }
        if let Some(time) = part.time {
            self.set_time(time);
        }
        for piece in part.samples.chunks(PIECE * self.from.channels()) {
            let mapped = self.map.map(piece, &mut self.mapped);
            let mut input = &self.mapped[..mapped];
            self.taken += (mapped / self.to.channels()) as u64;
            while let Some(mut part) = self.resampler.next(&mut input) {
                self.place += (part.len() / self.to.channels()) as u64;
                cut(&mut self.framer, &mut part, give);
            }
        }
    }

    /// That channels cancel each other out, once.
    pub(super) fn note(&mut self) -> Option<Note> {
        if self.is_noted || !self.map.is_cancelling() {
            return None;
        }
        self.is_noted = true;
        self.map.notes().into_iter().next()
    }

    /// Gives what is left at the device's end; the last frame is filled up with silence.
    pub(super) fn finish(&mut self, give: &mut dyn FnMut(&Frame<&[f32]>)) {
        while let Some(mut part) = self.resampler.finish() {
            cut(&mut self.framer, &mut part, give);
        }
        if let Some(frame) = self.framer.finish() {
            give(&frame);
        }
    }

    /// Sets the time of the device's next sample.
    fn set_time(&mut self, time: Duration) {
        // What the resampler holds back comes before it.
        let made = self.to.duration_of(self.place - self.before);
        let held = self.from.duration_of(self.taken).saturating_sub(made);
        self.framer.set_time(time.saturating_sub(held));
    }

    fn skip(&mut self, samples: u64) {
        self.place += samples;
        self.framer.lose(samples);
    }
}

fn cut(framer: &mut Framer<f32>, part: &mut &[f32], give: &mut dyn FnMut(&Frame<&[f32]>)) {
    while let Some(frame) = framer.next(part) {
        give(&frame);
    }
}

fn resampler(from: Format, to: Format) -> Result<Resampler, ResampleError> {
    // Channels are mapped before.
    let mapped = Format::new(from.rate(), u16::try_from(to.channels()).unwrap_or(1))?;
    Resampler::new(mapped, to.rate())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greenroom_audio::Format;

    use super::{CapturedBlock, FramePipeline};

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Takes a block of 10 ms that comes `at`, and gives the ends of the frames that it makes, which all were there by then.
    fn ends(pipeline: &mut FramePipeline, lost: u64, time: Option<Duration>, at: Duration) -> Vec<Duration> {
        let mut ends = Vec::new();
        pipeline.take(&CapturedBlock { lost, time, samples: &[0.5; 441] }, &mut |frame| {
            ends.push(frame.time + frame.duration());
        });
        assert!(ends.iter().all(|&end| end <= at), "{ends:?} at {at:?}");
        ends
    }

    #[test]
    fn times_are_those_of_the_devices_samples_whatever_the_resampler_holds_back() {
        let from = Format::mono(44_100).expect("a rate");
        let mut pipeline =
            FramePipeline::new(from, Format::SPEECH, None, ms(10), ms(999)).expect("a pipeline");
        // What was recorded before the stream was opened comes first.
        assert_eq!(ends(&mut pipeline, 0, Some(ms(490)), ms(500)), []);
        assert_eq!(ends(&mut pipeline, 0, None, ms(510)), [ms(500)]);
        // The clocks have drifted apart, as it shows; the frame that this block completes began before it.
        assert_eq!(ends(&mut pipeline, 0, Some(ms(513)), ms(523)), [ms(513)]);
        assert_eq!(ends(&mut pipeline, 0, None, ms(533)), [ms(523)]);
        // Earlier than was thought possible: time stands still until it is right.
        assert_eq!(ends(&mut pipeline, 0, Some(ms(510)), ms(523)), [ms(523)]);
        assert_eq!(ends(&mut pipeline, 0, None, ms(530)), [ms(523)]);
        assert_eq!(ends(&mut pipeline, 0, None, ms(540)), [ms(530)]);
    }

    #[test]
    fn another_device_goes_on_at_its_own_time() {
        let mut pipeline =
            FramePipeline::new(Format::WIRE, Format::SPEECH, None, ms(10), ms(0)).expect("a pipeline");
        let mut frames = Vec::new();
        let mut take = |pipeline: &mut FramePipeline, time| {
            let part = CapturedBlock { lost: 0, time: Some(time), samples: &[0.5; 960] };
            pipeline.take(&part, &mut |frame| frames.push((frame.time, frame.lost)));
        };
        take(&mut pipeline, ms(500));
        let from = Format::mono(44_100).expect("a rate");
        pipeline.reconnect(from, ms(200)).expect("a pipeline");
        take(&mut pipeline, ms(740));
        let (first, last) = (frames[0], *frames.last().expect("some"));
        assert_eq!(first, (ms(500), 0));
        assert!(
            last.0.abs_diff(ms(740)) < ms(11) && frames.iter().map(|(_, lost)| lost).sum::<u64>() == 3200
        );
        assert!(frames.is_sorted(), "{frames:?}");
    }
}
