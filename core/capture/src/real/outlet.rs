//! A device that is played to.
//!
//! The callback converts samples out of a ring, plays silence where there are none, notes what it did and wakes the pump: it takes no lock,
//! allocates nothing and calls nothing that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use cpal::traits::DeviceTrait;
use cpal::{FromSample, OutputCallbackInfo, SampleFormat, SizedSample, StreamConfig};
use greenroom_audio::Format;
use rtrb::{Consumer, Producer, RingBuffer};

use super::config;
use super::feed::{Watch, unread};
use super::health::{ERRORS, Health};
use super::hosts::Found;
use super::stream::Running;
use super::{quiet, trouble};
use crate::devices::Direction;
use crate::error::AudioError;
use crate::event::Event;
use crate::options::Latency;
use crate::pump::playback::{Outlet, Room};

/// Notes of the callback's that wait for the pump.
const NOTES: usize = 256;

/// When the pump looks even if the callback is not called.
const LOOK: Duration = Duration::from_millis(5);

/// What a device may claim to hold; more is a mistake.
const HELD: Duration = Duration::from_secs(2);

/// What the callback notes of a block.
#[derive(Clone, Copy)]
struct Note {
    /// Samples of each channel that were given to the device before it.
    before: u64,
    /// When its first sample is heard.
    heard_at: Duration,
}

/// What the callback has done, and is to do, in samples of each channel.
#[derive(Debug, Default)]
struct Gauge {
    given: AtomicU64,
    skipped: AtomicU64,
    silence: AtomicU64,
    /// Of all that was put into the ring, this is to be skipped as far as it has not been given.
    skip_to: AtomicU64,
}

/// The callback's end of the ring.
pub(super) struct PlaybackConsumer {
    samples: Consumer<f32>,
    notes: Producer<Note>,
    gauge: Arc<Gauge>,
    channels: usize,
    origin: Instant,
    pump: Thread,
}

impl PlaybackConsumer {
    /// What the callback does; `latency` is how long the device takes until the first sample is heard.
    pub(super) fn fill<T>(&mut self, data: &mut [T], latency: Duration)
    where
        T: SizedSample + FromSample<f32>,
    {
        let gauge = &self.gauge;
        let given = gauge.given.load(Ordering::Relaxed);
        let skipped = gauge.skipped.load(Ordering::Relaxed);
        let skip = gauge.skip_to.load(Ordering::Acquire).saturating_sub(given + skipped);
        let there = self.samples.slots() / self.channels;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(there);
        if skip > 0
            && let Ok(chunk) = self.samples.read_chunk(skip * self.channels)
        {
            chunk.commit_all();
            gauge.skipped.store(skipped + skip as u64, Ordering::Release);
        }
        let instants = data.len() / self.channels;
        let give = instants.min(there - skip);
        let (filled, silent) = data.split_at_mut(give * self.channels);
        if let Ok(chunk) = self.samples.read_chunk(filled.len()) {
            for (sample, made) in filled.iter_mut().zip(chunk) {
                *sample = T::from_sample_(made);
            }
        }
        silent.fill(T::EQUILIBRIUM);
        gauge.given.store(given + give as u64, Ordering::Release);
        gauge.silence.fetch_add((instants - give) as u64, Ordering::Release);
        let heard_at = self.origin.elapsed() + latency.min(HELD);
        // Without room, the pump has later notes than this one to look at soon.
        let _ = self.notes.push(Note { before: given, heard_at });
        self.pump.unpark();
    }
}

/// The pump's end.
pub(super) struct PlaybackProducer {
    format: Format,
    samples: Producer<f32>,
    notes: Consumer<Note>,
    gauge: Arc<Gauge>,
    origin: Instant,
    /// Put into the ring.
    put: u64,
    latest: Option<Note>,
}

/// Both ends of a ring for `held` samples of each channel, between a pump, which is the thread that calls, and its callback.
pub(super) fn ring(format: Format, held: usize) -> (PlaybackConsumer, PlaybackProducer) {
    let channels = format.channels();
    let (put, samples) = RingBuffer::new(held * channels);
    let (note, notes) = RingBuffer::new(NOTES);
    let gauge = Arc::new(Gauge::default());
    let (origin, pump) = (Instant::now(), thread::current());
    let consumer =
        PlaybackConsumer { samples, notes: note, gauge: Arc::clone(&gauge), channels, origin, pump };
    (consumer, PlaybackProducer { format, samples: put, notes, gauge, origin, put: 0, latest: None })
}

impl PlaybackProducer {
    /// Samples of each channel that are in the ring.
    fn fill(&self) -> usize {
        (self.samples.buffer().capacity() - self.samples.slots()) / self.format.channels()
    }

    /// Puts samples into the ring, as many as there is room for.
    pub(super) fn put(&mut self, samples: &[f32]) {
        let most = samples.len().min(self.samples.slots());
        if let Ok(chunk) = self.samples.write_chunk_uninit(most) {
            chunk.fill_from_iter(samples.iter().copied());
        }
        self.put += (most / self.format.channels()) as u64;
    }

    /// Has the callback skip what is in the ring.
    pub(super) fn skip(&self) {
        self.gauge.skip_to.store(self.put, Ordering::Release);
    }

    /// Whether it has.
    pub(super) fn is_settled(&self) -> bool {
        self.given() + self.gauge.skipped.load(Ordering::Acquire)
            >= self.gauge.skip_to.load(Ordering::Relaxed)
    }

    pub(super) fn given(&self) -> u64 {
        self.gauge.given.load(Ordering::Acquire)
    }

    /// Reads the callback's notes, and gives their number.
    fn read(&mut self) -> u64 {
        let mut notes = 0;
        while let Ok(note) = self.notes.pop() {
            self.latest = Some(note);
            notes += 1;
        }
        notes
    }

    /// What of the given has been heard: by the latest note, and by the time that has passed since.
    pub(super) fn heard(&self) -> u64 {
        let Some(Note { before, heard_at }) = self.latest else { return 0 };
        let now = self.origin.elapsed();
        match now.checked_sub(heard_at) {
            Some(since) => self.given().min(before + self.format.samples_in(since)),
            None => before.saturating_sub(self.format.samples_in(heard_at - now)),
        }
    }
}

/// A device that is played to.
pub(crate) struct RealOutlet {
    producer: PlaybackProducer,
    health: Health,
    /// What the ring is kept filled to, and below which it is about to run dry.
    target: usize,
    low: usize,
    watch: Option<Watch>,
    event: Option<Event>,
    _stream: Running,
}

impl RealOutlet {
    /// Opens a device for what is written in this format.
    pub(crate) fn open(
        found: Found,
        wanted: Format,
        latency: Latency,
        patience: Duration,
    ) -> Result<Self, AudioError> {
        let id = found.id;
        quiet(&id);
        let config = config::best(&found.device, Direction::Output, Some(wanted));
        let config = config.map_err(|error| trouble(&id, &error))?;
        let format = Format::new(config.rate, config.channels);
        let format =
            format.map_err(|error| AudioError::Failed { device: id.clone(), why: error.to_string() })?;
        let block = config::block(Direction::Output, latency);
        let target = format.samples_in(block * 2) as usize;
        let (consumer, producer) = ring(format, target);
        let (mut fail, errors) = RingBuffer::new(ERRORS);
        let pump = thread::current();
        let on_error = move |error| {
            let _ = fail.push(error);
            pump.unpark();
        };
        let stream = config.stream(block);
        let device = found.device;
        let stream = Running::start(&id, patience, move || {
            build(&device, stream, config.sample, consumer, on_error, patience)
        })?;
        Ok(Self {
            producer,
            health: Health::new(id.clone(), errors, patience),
            target,
            low: target / 2,
            watch: Watch::new(id, found.default, Direction::Output),
            event: None,
            _stream: stream,
        })
    }

    fn check(&mut self) -> Result<(), AudioError> {
        let calls = self.producer.read();
        let symptoms = self.health.check(calls)?;
        if let Some(watch) = &mut self.watch {
            self.event = watch.look(symptoms.rerouted)?.or(self.event.take());
        }
        Ok(())
    }
}

impl Outlet for RealOutlet {
    fn format(&self) -> Format {
        self.producer.format
    }

    fn room(&mut self) -> Result<Room, AudioError> {
        self.check()?;
        let fill = self.producer.fill();
        Ok(Room { most: self.target.saturating_sub(fill), least: self.low.saturating_sub(fill) })
    }

    fn play(&mut self, samples: &[f32]) -> Result<(), AudioError> {
        self.producer.put(samples);
        Ok(())
    }

    fn discard(&mut self) {
        self.producer.skip();
    }

    fn is_settled(&mut self) -> Result<bool, AudioError> {
        self.check()?;
        Ok(self.producer.is_settled())
    }

    fn given(&self) -> u64 {
        self.producer.given()
    }

    fn heard(&self) -> u64 {
        self.producer.heard()
    }

    fn silence(&self) -> u64 {
        self.producer.gauge.silence.load(Ordering::Acquire)
    }

    fn wake_at(&self) -> Instant {
        Instant::now() + LOOK
    }

    fn event(&mut self) -> Option<Event> {
        self.event.take()
    }
}

fn build(
    device: &cpal::Device,
    config: StreamConfig,
    sample: SampleFormat,
    consumer: PlaybackConsumer,
    fail: impl FnMut(cpal::Error) + Send + 'static,
    patience: Duration,
) -> Result<cpal::Stream, cpal::Error> {
    fn of<T>(
        device: &cpal::Device,
        config: StreamConfig,
        mut consumer: PlaybackConsumer,
        fail: impl FnMut(cpal::Error) + Send + 'static,
        patience: Duration,
    ) -> Result<cpal::Stream, cpal::Error>
    where
        T: SizedSample + FromSample<f32> + Send + 'static,
    {
        let fill = move |data: &mut [T], info: &OutputCallbackInfo| {
            let stamp = info.timestamp();
            let latency = stamp.playback.saturating_duration_since(stamp.callback);
            consumer.fill(data, latency);
        };
        device.build_output_stream(config, fill, fail, Some(patience))
    }
    match sample {
        SampleFormat::I16 => of::<i16>(device, config, consumer, fail, patience),
        SampleFormat::I32 => of::<i32>(device, config, consumer, fail, patience),
        SampleFormat::F32 => of::<f32>(device, config, consumer, fail, patience),
        SampleFormat::I24 => of::<cpal::I24>(device, config, consumer, fail, patience),
        SampleFormat::F64 => of::<f64>(device, config, consumer, fail, patience),
        SampleFormat::U16 => of::<u16>(device, config, consumer, fail, patience),
        SampleFormat::U8 => of::<u8>(device, config, consumer, fail, patience),
        other => Err(unread(other)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greenroom_audio::Format;

    use super::ring;

    const MONO: Format = Format::WIRE;

    #[test]
    fn the_callback_allocates_nothing_whatever_happens() {
        let (mut consumer, mut producer) = ring(MONO, 960);
        producer.put(&[0.5; 960]);
        let mut block = [0_i16; 480];
        // Samples, then silence, more often than there is room for notes.
        let counted = allocation_counter::measure(|| {
            (0..1000).for_each(|_| consumer.fill(&mut block, Duration::from_millis(20)));
        });
        assert_eq!(counted.count_total, 0);
        assert_eq!(
            (producer.given(), producer.gauge.silence.load(std::sync::atomic::Ordering::Relaxed)),
            (960, 479_040)
        );
    }

    #[test]
    fn what_is_put_comes_out_and_then_silence() {
        let (mut consumer, mut producer) = ring(MONO, 960);
        producer.put(&[0.25; 700]);
        let mut block = [1.0_f32; 480];
        consumer.fill(&mut block, Duration::ZERO);
        assert!(block.iter().all(|&sample| sample == 0.25));
        consumer.fill(&mut block, Duration::ZERO);
        assert!(block[..220].iter().all(|&sample| sample == 0.25) && block[220..].iter().all(|&s| s == 0.0));
    }

    #[test]
    fn what_is_skipped_is_not_heard_and_what_comes_after_is() {
        let (mut consumer, mut producer) = ring(MONO, 960);
        producer.put(&[0.25; 960]);
        let mut block = [1.0_f32; 480];
        consumer.fill(&mut block, Duration::ZERO);
        producer.skip();
        assert!(!producer.is_settled());
        consumer.fill(&mut block, Duration::ZERO);
        assert!(producer.is_settled() && block.iter().all(|&sample| sample == 0.0));
        producer.put(&[0.5; 480]);
        consumer.fill(&mut block, Duration::ZERO);
        assert!(block.iter().all(|&sample| sample == 0.5));
        assert_eq!(producer.given(), 960);
    }

    #[test]
    fn what_is_heard_is_what_was_given_and_has_had_its_time() {
        let (mut consumer, mut producer) = ring(MONO, 960);
        producer.put(&[0.25; 960]);
        let mut block = [0.0_f32; 480];
        consumer.fill(&mut block, Duration::from_secs(1000));
        consumer.fill(&mut block, Duration::from_secs(1000));
        producer.read();
        assert_eq!(
            (producer.given(), producer.heard()),
            (960, 0),
            "no device holds that much, but it is not heard yet"
        );
        let (mut consumer, mut producer) = ring(MONO, 960);
        producer.put(&[0.25; 960]);
        consumer.fill(&mut block, Duration::ZERO);
        producer.read();
        while producer.heard() < 480 {
            std::thread::yield_now();
        }
        assert_eq!(producer.heard(), 480);
    }
}
