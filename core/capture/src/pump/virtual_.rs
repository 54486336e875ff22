//! Virtual devices, driven in real time or as fast as possible.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use greenroom_audio::{Clock, Format, Pace, Sink, Source};

use super::capture::{Feed, Flow};
use super::playback::{Outlet, Room};
use crate::error::AudioError;

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
    begun: Instant,
    pace: Pace,
    block: u64,
    buffer: Vec<f32>,
}

impl VirtualFeed {
    pub(super) fn new(name: String, source: Box<dyn Source>, clock: Clock) -> Self {
        let format = source.format();
        let block = block(format);
        Self {
            name,
            source,
            begun: Instant::now(),
            pace: Pace::new(clock, format.rate(), Duration::ZERO, LATEST),
            block,
            buffer: vec![0.0; block as usize * format.channels()],
        }
    }
}

impl Feed for VirtualFeed {
    fn format(&self) -> Format {
        self.source.format()
    }

    fn feed(&mut self, take: &mut dyn FnMut(&[f32], u64)) -> Result<Flow, AudioError> {
        let due = self.pace.due(self.begun.elapsed(), self.block);
        let mut came = false;
        for block in 0..(due.skipped + due.samples) / self.block {
            let (source, buffer) = (&mut self.source, &mut self.buffer);
            let filled = guarded(&self.name, || source.read(buffer))??;
            came |= filled.samples > 0;
            let samples = &self.buffer[..filled.samples * self.source.format().channels()];
            if block * self.block < due.skipped {
                // Too late for these: a real device would have lost them.
                take(&[], filled.lost + filled.samples as u64);
            } else {
                take(samples, filled.lost);
            }
            if filled.ended {
                return Ok(Flow::Ended);
            }
        }
        let next = self.begun + self.pace.next_at(self.block);
        // As fast as possible, a loopback that nobody plays to is asked again, but not all the time.
        Ok(Flow::Until(if came { next } else { next.max(Instant::now() + IDLE) }))
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
