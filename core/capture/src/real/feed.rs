//! A device that is recorded from.
//!
//! The callback converts samples into a ring, notes how many there were and when they came, and wakes the pump: it takes no lock, allocates
//! nothing and calls nothing that waits. What the ring has no room for is counted.

use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use cpal::traits::DeviceTrait;
use cpal::{FromSample, SampleFormat, SizedSample, StreamConfig};
use greenroom_audio::Format;
use rtrb::{Consumer, Producer, RingBuffer};

use super::config;
use super::health::{ERRORS, Health};
use super::hosts::{Found, find, find_default};
use super::stream::Running;
use super::timeline::Timeline;
use super::{quiet, trouble, within};
use crate::capture::LEAD;
use crate::devices::Direction;
use crate::error::AudioError;
use crate::event::Event;
use crate::options::Latency;
use crate::pump::capture::{CapturedBlock, Feed, Flow};

/// How much the ring holds, should the pump be late; so no sample that comes through it is from before the stream's clock.
const RING: Duration = LEAD;

/// Blocks that the ring holds at most. Some systems give a block every half a millisecond.
const BLOCKS: usize = 2048;

/// When the pump looks even if the callback is not called.
const LOOK: Duration = Duration::from_millis(50);

/// How often the system's list of devices is asked for.
const WATCH: Duration = Duration::from_secs(1);

/// What the callback notes of a block.
#[derive(Clone, Copy)]
struct Block {
    /// Samples of each channel in the ring.
    samples: usize,
    /// Samples that found no room, after them.
    lost: u64,
    arrived: Duration,
}

/// The callback's end of the rings.
pub(super) struct CaptureProducer {
    samples: Producer<f32>,
    blocks: Producer<Block>,
    channels: usize,
    /// Lost, and not noted yet since there was no room for that either.
    lost: u64,
    origin: Instant,
    pump: Thread,
}

impl CaptureProducer {
    /// What the callback does.
    pub(super) fn take<T: Copy>(&mut self, data: &[T])
    where
        f32: FromSample<T>,
    {
        let instants = data.len() / self.channels;
        if self.blocks.slots() == 0 {
            self.lost += instants as u64;
            return;
        }
        let taken = instants.min(self.samples.slots() / self.channels);
        if let Ok(chunk) = self.samples.write_chunk_uninit(taken * self.channels) {
            chunk.fill_from_iter(data.iter().map(|&sample| f32::from_sample_(sample)));
        }
        let lost = std::mem::take(&mut self.lost) + (instants - taken) as u64;
        let _ = self.blocks.push(Block { samples: taken, lost, arrived: self.origin.elapsed() });
        self.pump.unpark();
    }
}

/// The pump's end.
pub(super) struct CaptureConsumer {
    format: Format,
    samples: Consumer<f32>,
    blocks: Consumer<Block>,
    /// Lost before the next block.
    lost: u64,
    /// Samples that came or were lost.
    place: u64,
    timeline: Timeline,
}

impl CaptureConsumer {
    /// Hands over the blocks that have come, each in its time, and gives their number. After an overrun, what the system lost is told as
    /// missing before the first of them.
    fn drain(&mut self, overrun: &mut bool, take: &mut dyn FnMut(CapturedBlock<'_>)) -> u64 {
        let mut blocks = 0;
        while let Ok(block) = self.blocks.pop() {
            blocks += 1;
            let format = self.format;
            let mut lost = std::mem::replace(&mut self.lost, block.lost);
            if std::mem::take(overrun) {
                // The system does not say how much it lost; the time that is missing does.
                let end = format.duration_of(self.place + lost + block.samples as u64);
                lost += format.samples_in(self.timeline.missing(end, block.arrived));
            }
            let begin = self.place + lost;
            self.place = begin + block.samples as u64;
            let is_other = self.timeline.observe(format.duration_of(self.place), block.arrived);
            let time = is_other.then(|| self.timeline.time(format.duration_of(begin)));
            let Ok(chunk) = self.samples.read_chunk(block.samples * format.channels()) else { continue };
            let (first, second) = chunk.as_slices();
            take(CapturedBlock { lost, time, samples: first });
            take(CapturedBlock { lost: 0, time: None, samples: second });
            chunk.commit_all();
        }
        blocks
    }
}

/// Both ends of the rings between a callback and its pump, which is the thread that calls.
pub(super) fn rings(format: Format, origin: Instant) -> (CaptureProducer, CaptureConsumer) {
    let channels = format.channels();
    let held = format.samples_in(RING) as usize * channels;
    let (give, samples) = RingBuffer::new(held);
    let (note, blocks) = RingBuffer::new(BLOCKS);
    let producer =
        CaptureProducer { samples: give, blocks: note, channels, lost: 0, origin, pump: thread::current() };
    (producer, CaptureConsumer { format, samples, blocks, lost: 0, place: 0, timeline: Timeline::default() })
}

/// A device that is recorded from.
pub(crate) struct RealFeed {
    consumer: CaptureConsumer,
    health: Health,
    overrun: bool,
    watch: Option<Watch>,
    event: Option<Event>,
    _stream: Running,
}

impl RealFeed {
    /// Opens a device; the frames wanted have this format, and their times count from `origin`.
    pub(crate) fn open(
        found: Found,
        wanted: Format,
        latency: Latency,
        patience: Duration,
        origin: Instant,
    ) -> Result<Self, AudioError> {
        let id = found.id;
        quiet(&id);
        let config = config::best(&found.device, Direction::Input, Some(wanted));
        let config = config.map_err(|error| trouble(&id, &error))?;
        let format = Format::new(config.rate, config.channels);
        let format =
            format.map_err(|error| AudioError::Failed { device: id.clone(), why: error.to_string() })?;
        let (producer, consumer) = rings(format, origin);
        let (mut fail, errors) = RingBuffer::new(ERRORS);
        let pump = thread::current();
        let on_error = move |error| {
            let _ = fail.push(error);
            pump.unpark();
        };
        let stream = config.stream(config::block(Direction::Input, latency));
        let device = found.device;
        let stream = Running::start(&id, patience, move || {
            build(&device, stream, config.sample, producer, on_error, patience)
        })?;
        Ok(Self {
            consumer,
            health: Health::new(id.clone(), errors, patience),
            overrun: false,
            watch: Watch::new(id, found.default, Direction::Input),
            event: None,
            _stream: stream,
        })
    }
}

impl Feed for RealFeed {
    fn format(&self) -> Format {
        self.consumer.format
    }

    fn feed(&mut self, take: &mut dyn FnMut(CapturedBlock<'_>)) -> Result<Flow, AudioError> {
        let calls = self.consumer.drain(&mut self.overrun, take);
        let symptoms = self.health.check(calls)?;
        self.overrun |= symptoms.overrun;
        if let Some(watch) = &mut self.watch {
            self.event = watch.look(symptoms.rerouted)?;
        }
        Ok(Flow::Until(Instant::now() + LOOK))
    }

    fn event(&mut self) -> Option<Event> {
        self.event.take()
    }
}

fn build(
    device: &cpal::Device,
    config: StreamConfig,
    sample: SampleFormat,
    producer: CaptureProducer,
    fail: impl FnMut(cpal::Error) + Send + 'static,
    patience: Duration,
) -> Result<cpal::Stream, cpal::Error> {
    fn of<T>(
        device: &cpal::Device,
        config: StreamConfig,
        mut producer: CaptureProducer,
        fail: impl FnMut(cpal::Error) + Send + 'static,
        patience: Duration,
    ) -> Result<cpal::Stream, cpal::Error>
    where
        T: SizedSample + Send + 'static,
        f32: FromSample<T>,
    {
        device.build_input_stream(config, move |data: &[T], _: &_| producer.take(data), fail, Some(patience))
    }
    match sample {
        SampleFormat::I16 => of::<i16>(device, config, producer, fail, patience),
        SampleFormat::I32 => of::<i32>(device, config, producer, fail, patience),
        SampleFormat::F32 => of::<f32>(device, config, producer, fail, patience),
        SampleFormat::I24 => of::<cpal::I24>(device, config, producer, fail, patience),
        SampleFormat::F64 => of::<f64>(device, config, producer, fail, patience),
        SampleFormat::U16 => of::<u16>(device, config, producer, fail, patience),
        SampleFormat::U8 => of::<u8>(device, config, producer, fail, patience),
        other => Err(unread(other)),
    }
}

/// A format of samples that is not known here.
pub(super) fn unread(sample: SampleFormat) -> cpal::Error {
    let why = format!("samples of {sample} are neither read nor written here");
    cpal::Error::with_message(cpal::ErrorKind::UnsupportedConfig, why)
}

/// Watches the list of devices, since no system tells when it changes. PulseAudio moves a stream whose device is unplugged to another one, and
/// says nothing that cpal would pass on.
pub(super) struct Watch {
    device: String,
    default: bool,
    direction: Direction,
    looked: Instant,
}

impl Watch {
    /// A watch of a device that was opened as the default one, or is one of PulseAudio's. Other systems report an unplugged device.
    pub(super) fn new(device: String, default: bool, direction: Direction) -> Option<Self> {
        let watched = default || device.starts_with("pulseaudio:");
        watched.then(|| Self { device, default, direction, looked: Instant::now() })
    }

    /// Tells if the default device is another one; that a device is not there any more is an error.
    pub(super) fn look(&mut self, at_once: bool) -> Result<Option<Event>, AudioError> {
        if !at_once && self.looked.elapsed() < WATCH {
            return Ok(None);
        }
        self.looked = Instant::now();
        let (device, default, direction) = (self.device.clone(), self.default, self.direction);
        let found = within(WATCH, move || if default { find_default(direction) } else { find(&device) });
        // A system that does not answer has other ways to show it.
        let Some(Ok(found)) = found else { return Ok(None) };
        match found {
            Some(found) if found.id == self.device => Ok(None),
            Some(found) => {
                let from = std::mem::replace(&mut self.device, found.id.clone());
                Ok(Some(Event::DeviceChanged { from, to: found.id }))
            }
            None => Err(AudioError::Lost {
                device: self.device.clone(),
                why: "it is not in the list of devices any more".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use greenroom_audio::Format;

    use super::{Block, CaptureConsumer, CaptureProducer, LEAD, rings};

    /// What the pump would hand over: blocks, and what is missing after each.
    fn read(consumer: &mut CaptureConsumer) -> Vec<(Vec<f32>, u64)> {
        let mut read = Vec::new();
        while let Ok(Block { samples, lost, .. }) = consumer.blocks.pop() {
            let samples =
                consumer.samples.read_chunk(samples * consumer.format.channels()).expect("noted, so there");
            read.push((samples.into_iter().collect(), lost));
        }
        read
    }

    #[test]
    fn the_callback_allocates_nothing_whatever_happens() {
        let stereo = Format::new(48_000, 2).expect("stereo");
        let (mut producer, mut consumer) = rings(stereo, Instant::now());
        let block = [1_i16; 960];
        // Far more than the ring holds.
        let counted = allocation_counter::measure(|| (0..5000).for_each(|_| producer.take(&block)));
        assert_eq!(counted.count_total, 0);
        drop(read(&mut consumer));
        let counted = allocation_counter::measure(|| producer.take(&[0.5_f32; 48]));
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn every_sample_is_handed_over_or_counted() {
        let stereo = Format::new(48_000, 2).expect("stereo");
        let (mut producer, mut consumer) = rings(stereo, Instant::now());
        let (mut given, mut taken, mut lost) = (0_u64, 0, 0);
        for round in 1..=40_usize {
            // Blocks of odd sizes, and a pump that is late more and more often.
            for size in 1..=round {
                let instants = size * 37 % 701;
                producer.take(&vec![0.5_f32; instants * 2]);
                given += instants as u64;
            }
            for (samples, missing) in read(&mut consumer) {
                taken += samples.len() as u64 / 2;
                lost += missing;
            }
        }
        // The next block tells what the last ones lost.
        producer.take::<f32>(&[]);
        lost += read(&mut consumer).iter().map(|(_, missing)| missing).sum::<u64>();
        assert_eq!(taken + lost, given);
    }

    #[test]
    fn tiny_blocks_are_counted_where_there_is_no_room_to_note_them() {
        let mono = Format::mono(48_000).expect("a rate");
        let (mut producer, mut consumer) = rings(mono, Instant::now());
        (0..5000).for_each(|_| producer.take(&[0.5_f32]));
        let noted: u64 = read(&mut consumer).iter().map(|(samples, lost)| samples.len() as u64 + lost).sum();
        producer.take(&[0.5_f32]);
        let later: u64 = read(&mut consumer).iter().map(|(samples, lost)| samples.len() as u64 + lost).sum();
        assert_eq!(noted + later, 5001);
    }

    /// A block of so many milliseconds that came at that time, on the stream's clock.
    fn arrive(producer: &mut CaptureProducer, length: u64, arrived: u64) {
        let samples = length as usize * 48;
        let chunk = producer.samples.write_chunk_uninit(samples).expect("room");
        chunk.fill_from_iter(std::iter::repeat_n(0.5, samples));
        let arrived = Duration::from_millis(arrived);
        producer.blocks.push(Block { samples, lost: 0, arrived }).expect("room");
    }

    #[test]
    fn what_a_device_heard_before_it_was_opened_has_its_own_time() {
        let (mut producer, mut consumer) = rings(Format::WIRE, Instant::now());
        let mut begins = |producer: &mut CaptureProducer, length, arrived| {
            arrive(producer, length, arrived);
            let mut begins = Vec::new();
            assert_eq!(consumer.drain(&mut false, &mut |part| begins.extend(part.time)), 1);
            begins
        };
        // The longest block that there may be comes as soon as the stream is opened.
        let lead = LEAD.as_millis() as u64;
        assert_eq!(begins(&mut producer, lead, lead), [Duration::ZERO]);
        // Late, early, and in time.
        assert_eq!(begins(&mut producer, 10, lead + 30), []);
        assert_eq!(begins(&mut producer, 10, lead + 13), [LEAD + Duration::from_millis(3)]);
        assert_eq!(begins(&mut producer, 10, lead + 23), []);
        // A device without a clock of its own gives more than time passes.
        assert_eq!(begins(&mut producer, 500, lead + 24), [Duration::from_millis(24)]);
    }

    #[test]
    fn what_the_system_lost_is_as_long_as_the_time_that_is_missing() {
        let (mut producer, mut consumer) = rings(Format::WIRE, Instant::now());
        arrive(&mut producer, 10, 510);
        arrive(&mut producer, 10, 560);
        let (mut overrun, mut parts) = (false, Vec::new());
        assert_eq!(consumer.drain(&mut overrun, &mut |part| parts.push((part.lost, part.time))), 2);
        overrun = true;
        arrive(&mut producer, 10, 580);
        assert_eq!(consumer.drain(&mut overrun, &mut |part| parts.push((part.lost, part.time))), 1);
        parts.retain(|part| *part != (0, None));
        assert_eq!(parts, [(0, Some(Duration::from_millis(500))), (50 * 48, None)]);
        assert!(!overrun);
    }

    #[test]
    fn samples_of_16_bits_come_to_the_bit() {
        let mono = Format::mono(48_000).expect("a rate");
        let (mut producer, mut consumer) = rings(mono, Instant::now());
        let every: Vec<i16> = (i16::MIN..=i16::MAX).step_by(3).collect();
        producer.take(&every);
        let back: Vec<i16> =
            read(&mut consumer)[0].0.iter().map(|&sample| (sample * 32_768.0) as i16).collect();
        assert_eq!(back, every);
    }
}
