//! Virtual devices, driven in real time or as fast as possible.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use greenroom_audio::device::Filled;
use greenroom_audio::{Clock, Format, Pace, Sink, Source};

use super::capture::{CapturedBlock, Feed, Flow};
use super::playback::{Outlet, Room};
use crate::error::AudioError;
use crate::event::Event;

/// What is moved at once.
const BLOCK: Duration = Duration::from_millis(10);

/// A device is late by so much before it skips what it should have moved.
const LATEST: Duration = Duration::from_secs(1);

/// The pause of a device without a clock that has nothing to give.
const IDLE: Duration = Duration::from_millis(1);

/// A virtual device that is recorded from.
pub(super) struct VirtualFeed {
    name: String,
    source: Box<dyn Source>,
    clock: Clock,
    begun: Instant,
    /// The same on the stream's clock.
    begun_at: Duration,
    pace: Pace,
    /// Where the next sample is by the samples before it; `None` where those ran out, and at the beginning.
    place: Option<u64>,
    block: u64,
    buffer: Vec<f32>,
}

impl VirtualFeed {
    /// A stream whose clock began at `origin`.
    pub(super) fn new(name: String, source: Box<dyn Source>, clock: Clock, origin: Instant) -> Self {
        let format = source.format();
        let (begun, block) = (Instant::now(), block(format));
        Self {
            name,
            source,
            clock,
            begun,
            begun_at: begun.saturating_duration_since(origin),
            pace: Pace::new(clock, format.rate(), Duration::ZERO, LATEST),
            place: None,
            block,
            buffer: vec![0.0; block as usize * format.channels()],
        }
    }
}

impl Feed for VirtualFeed {
    fn format(&self) -> Format {
        self.source.format()
    }

    fn feed(&mut self, take: &mut dyn FnMut(CapturedBlock<'_>)) -> Result<Flow, AudioError> {
        self.feed_at(self.begun.elapsed(), take)
    }

    fn event(&mut self) -> Option<Event> {
        self.source.note().map(|note| Event::notice(&self.name, &note))
    }
}

impl VirtualFeed {
    /// Hands over what is due when so much time has passed.
    fn feed_at(
        &mut self,
        passed: Duration,
        take: &mut dyn FnMut(CapturedBlock<'_>),
    ) -> Result<Flow, AudioError> {
        let before = self.pace.passed();
        let due = self.pace.due(passed, self.block);
        let mut came = false;
        for block in 0..(due.skipped + due.samples) / self.block {
            let (source, buffer) = (&mut self.source, &mut self.buffer);
            let filled = guarded(&self.name, || source.read(buffer))??;
            came |= filled.samples > 0;
            let time = self.time(&filled, before + block * self.block);
            let samples = &self.buffer[..filled.samples * self.source.format().channels()];
            if block * self.block < due.skipped {
                // Too late for these: a real device would have lost them.
                self.place = None;
                take(CapturedBlock { lost: filled.lost + filled.samples as u64, time: None, samples: &[] });
            } else {
                take(CapturedBlock { lost: filled.lost, time, samples });
            }
            if filled.ended {
                return Ok(Flow::Ended);
            }
        }
        let next = self.begun + self.pace.next_at(self.block);
        // As fast as possible, a loopback that nobody plays to is asked again, but not all the time.
        Ok(Flow::Until(if came { next } else { next.max(Instant::now() + IDLE) }))
    }

    /// When the first sample was of what has been read for the block at `tick`, where that is not what the samples before it say.
    fn time(&mut self, filled: &Filled, tick: u64) -> Option<Duration> {
        if self.clock == Clock::Fast {
            return None;
        }
        let told = self.place.map(|place| place + filled.lost);
        // What a loopback lost may be from before it was listened to; nothing is from the future.
        let latest = self.pace.passed() - filled.samples as u64;
        let place = told.unwrap_or(tick).min(latest);
        let is_whole = filled.samples as u64 == self.block;
        self.place = is_whole.then_some(place + self.block);
        (told != Some(place)).then(|| self.begun_at + self.source.format().duration_of(place))
    }
}

/// A virtual device that is played to.
pub(super) struct VirtualOutlet {
    name: String,
    sink: Box<dyn Sink>,
    clock: Clock,
    /// From the first sample on.
    running: Option<(Instant, Pace)>,
    block: u64,
    due: u64,
    played: u64,
    silence: u64,
    silent: Vec<f32>,
}

impl VirtualOutlet {
    pub(super) fn new(name: String, sink: Box<dyn Sink>, clock: Clock) -> Self {
        let block = block(sink.format());
        let silent = vec![0.0; block as usize * sink.format().channels()];
        Self { name, sink, clock, running: None, block, due: block, played: 0, silence: 0, silent }
    }
}

impl Outlet for VirtualOutlet {
    fn format(&self) -> Format {
        self.sink.format()
    }

    fn room(&mut self) -> Result<Room, AudioError> {
        if self.clock == Clock::Fast {
            return Ok(Room { most: self.block as usize, least: 0 });
        }
        // Before the first sample, there is room for a block and no hurry.
        let Some((begun, pace)) = &mut self.running else {
            return Ok(Room { most: self.block as usize, least: 0 });
        };
        let due = pace.due(begun.elapsed(), self.block);
        self.silence += due.skipped;
        self.due += due.samples;
        let due = usize::try_from(self.due).unwrap_or(usize::MAX);
        Ok(Room { most: due, least: due })
    }

    fn play(&mut self, samples: &[f32]) -> Result<(), AudioError> {
        let instants = (samples.len() / self.sink.format().channels()) as u64;
        if self.running.is_none() {
            // The first block is due at once, and the clock goes from here.
            let pace = Pace::new(self.clock, self.sink.format().rate(), Duration::ZERO, LATEST);
            self.running = Some((Instant::now(), pace));
        }
        self.due = self.due.saturating_sub(instants);
        let sink = &mut self.sink;
        guarded(&self.name, || sink.write(samples))??;
        self.played += instants;
        Ok(())
    }

    fn starve(&mut self, samples: usize) -> Result<(), AudioError> {
        self.due = self.due.saturating_sub(samples as u64);
        self.silence += samples as u64;
        let mut left = samples * self.sink.format().channels();
        while left > 0 {
            let silent = &self.silent[..left.min(self.silent.len())];
            left -= silent.len();
            let sink = &mut self.sink;
            guarded(&self.name, || sink.write(silent))??;
        }
        Ok(())
    }

    fn given(&self) -> u64 {
        self.played
    }

    fn silence(&self) -> u64 {
        self.silence
    }

    fn wake_at(&self) -> Instant {
        match &self.running {
            Some((begun, pace)) if self.clock == Clock::RealTime => *begun + pace.next_at(self.block),
            _ => Instant::now() + BLOCK,
        }
    }

    fn finish(&mut self) -> Result<(), AudioError> {
        Ok(self.sink.finish()?)
    }
}

/// Runs what may be a user's function; a panic of it is an error.
fn guarded<R>(name: &str, run: impl FnOnce() -> R) -> Result<R, AudioError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| AudioError::Panicked(name.to_owned()))
}

fn block(format: Format) -> u64 {
    format.samples_in(BLOCK).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::{Duration, Instant};

    use greenroom_audio::device::Filled;
    use greenroom_audio::{Clock, DeviceError, Format, Source};

    use super::{Feed, VirtualFeed};

    /// What each read gives, in blocks: lost before it, and read; whole blocks after that.
    struct Script(VecDeque<(u64, u64)>);

    impl Source for Script {
        fn format(&self) -> Format {
            Format::SPEECH
        }

        fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
            let (lost, read) = self.0.pop_front().unwrap_or((0, 1));
            let samples = samples.len() * read as usize;
            Ok(Filled { samples, lost: lost * 160, ended: false })
        }
    }

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Lost before it, and its begin, in milliseconds, of each block that comes when so much time has passed.
    fn blocks(feed: &mut VirtualFeed, place: &mut Duration, passed: u64) -> Vec<(u64, u128)> {
        let mut blocks = Vec::new();
        feed.feed_at(ms(passed), &mut |part| {
            *place = part.time.unwrap_or(*place + Format::SPEECH.duration_of(part.lost));
            if !part.samples.is_empty() {
                blocks.push((part.lost / 16, (*place - ms(500)).as_millis()));
            }
            *place += Format::SPEECH.duration_of(part.samples.len() as u64);
        })
        .unwrap_or_else(|error| panic!("{error}"));
        blocks
    }

    fn feed(script: &[(u64, u64)], clock: Clock) -> VirtualFeed {
        let source = Box::new(Script(script.iter().copied().collect()));
        let mut feed = VirtualFeed::new("script".to_owned(), source, clock, Instant::now());
        // The stream was opened when its device was, to the nanosecond.
        feed.begun_at = ms(500);
        assert_eq!(feed.format(), Format::SPEECH);
        feed
    }

    #[test]
    fn a_block_has_the_time_in_which_it_passed() {
        let (mut feed, mut place) = (feed(&[], Clock::RealTime), ms(0));
        assert_eq!(blocks(&mut feed, &mut place, 9), []);
        assert_eq!(blocks(&mut feed, &mut place, 10), [(0, 0)]);
        // A little late, and then so late that all but the last block is lost.
        assert_eq!(blocks(&mut feed, &mut place, 35), [(0, 10), (0, 20)]);
        assert_eq!(blocks(&mut feed, &mut place, 3000), [(0, 2990)]);
        assert_eq!(blocks(&mut feed, &mut place, 3010), [(0, 3000)]);
    }

    #[test]
    fn what_comes_after_a_pause_has_the_time_at_which_it_came() {
        let script = [(0, 1), (0, 0), (0, 0), (0, 1), (0, 1)];
        let (mut feed, mut place) = (feed(&script, Clock::RealTime), ms(0));
        assert_eq!(blocks(&mut feed, &mut place, 30), [(0, 0)]);
        assert_eq!(blocks(&mut feed, &mut place, 60), [(0, 30), (0, 40), (0, 50)]);
    }

    #[test]
    fn nothing_is_from_the_future_however_much_was_lost() {
        // 3 s were lost before anybody listened, and 20 ms while the reader was late by 40 ms.
        let script = [(300, 1), (0, 1), (2, 1), (0, 1)];
        let (mut feed, mut place) = (feed(&script, Clock::RealTime), ms(0));
        assert_eq!(blocks(&mut feed, &mut place, 10), [(3000, 0)]);
        assert_eq!(blocks(&mut feed, &mut place, 20), [(0, 10)]);
        assert_eq!(blocks(&mut feed, &mut place, 60), [(20, 40), (0, 50), (0, 50), (0, 50)]);
        assert_eq!(blocks(&mut feed, &mut place, 70), [(0, 60)]);
    }

    #[test]
    fn as_fast_as_possible_time_is_counted_by_samples() {
        let (mut feed, mut place) = (feed(&[(0, 1), (0, 0), (5, 1)], Clock::Fast), ms(500));
        let come: Vec<_> = (0..4).flat_map(|_| blocks(&mut feed, &mut place, 0)).collect();
        assert_eq!(come, [(0, 0), (50, 60), (0, 70)]);
    }
}
