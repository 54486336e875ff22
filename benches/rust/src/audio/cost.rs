//! What audio costs, in processor time.

use std::hint::black_box;
use std::time::Duration;

use greenroom_audio::signal::Sine;
use greenroom_audio::{
    Clock, Format, Framer, Level, Meter, Pace, Patchbay, Resampler, Source, SpeechDetector, VirtualDevice,
};
use serde_json::{Value, json};

use super::chunk;
use super::resample::{Engine, Stream};
use crate::Outcome;
use crate::measure::per_pass;

/// The conversions with a target.
const CONVERSIONS: [(u32, u32); 3] = [(48_000, 16_000), (44_100, 24_000), (24_000, 48_000)];

/// Streams that run at once.
const STREAMS: u64 = 100;

/// Nanoseconds of processor time: for a chunk of 10 ms through each resampler; for cutting, level and speech of a frame of 10 ms; for 10
/// ms of 100 virtual streams, from source to 16 kHz frames with level and speech. And the readings of a meter.
pub(crate) fn measure(for_ms: u64) -> Outcome<Value> {
    let time = Duration::from_millis(for_ms);
    let mut resamplers = Vec::new();
    for (from, to) in CONVERSIONS {
        let mut taken = json!({ "from": from, "to": to });
        for (engine, name) in [(Engine::Greenroom, "greenroom"), (Engine::Speexdsp, "speexdsp")] {
            let mut stream = Stream::new(engine, from, to)?;
            let mut input = vec![0.0; chunk(from)];
            Sine::new(997.0, -6.0, from).fill(&mut input);
            taken[name] =
                per_pass(time, || stream.push(black_box(&input), |part| _ = black_box(part))).into();
        }
        resamplers.push(taken);
    }
    Ok(json!({
        "resamplers": resamplers,
        "frame_16k": frame(16_000, time)?,
        "frame_48k": frame(48_000, time)?,
        "streams": STREAMS,
        "streams_10ms": streams(time)?,
        "level": level(48_000)?,
    }))
}

/// Cutting, level and speech of 10 ms at one rate.
fn frame(rate: u32, time: Duration) -> Outcome<f64> {
    let mut ears = Ears::new(Format::mono(rate)?)?;
    let samples = speechlike(rate, rate as usize);
    let mut chunks = samples.chunks(chunk(rate)).cycle();
    Ok(per_pass(time, || ears.hear(chunks.next().unwrap_or_default())))
}

/// 10 ms of all virtual streams.
fn streams(time: Duration) -> Outcome<f64> {
    let patchbay = Patchbay::new();
    let mut streams = Vec::new();
    for index in 0..STREAMS {
        let name = match index % 3 {
            0 => format!("tone:{}", 200 + index),
            1 => format!("noise:babble:-30?seed={index}"),
            _ => format!("noise:white:-40?seed={index}"),
        };
        streams.push(Virtual::open(&name.parse()?, &patchbay)?);
    }
    let mut now = Duration::ZERO;
    Ok(per_pass(time, || {
        now += Duration::from_millis(10);
        streams.iter_mut().for_each(|stream| stream.step(now));
    }))
}

/// A virtual microphone at 48 kHz whose frames of 16 kHz are heard.
struct Virtual {
    pace: Pace,
    source: Box<dyn Source>,
    read: Vec<f32>,
    resampler: Resampler,
    ears: Ears,
}

impl Virtual {
    fn open(device: &VirtualDevice, patchbay: &Patchbay) -> Outcome<Self> {
        Ok(Self {
            pace: Pace::new(Clock::RealTime, 48_000, Duration::ZERO, Duration::from_millis(200)),
            source: device.open_source(Format::WIRE, patchbay)?,
            read: vec![0.0; chunk(48_000)],
            resampler: Resampler::new(Format::WIRE, 16_000)?,
            ears: Ears::new(Format::SPEECH)?,
        })
    }

    fn step(&mut self, now: Duration) {
        let due = self.pace.due(now, self.read.len() as u64).samples as usize;
        let Ok(filled) = self.source.read(&mut self.read[..due]) else { return };
        let mut input = &self.read[..filled.samples];
        while let Some(part) = self.resampler.next(&mut input) {
            self.ears.hear(part);
        }
    }
}

/// Cuts frames, and reads their level and whether they are speech.
struct Ears {
    framer: Framer<f32>,
    meter: Meter,
    detector: SpeechDetector,
}

impl Ears {
    fn new(format: Format) -> Outcome<Self> {
        Ok(Self {
            framer: Framer::new(format, Duration::from_millis(10), Duration::ZERO),
            meter: Meter::new(format),
            detector: SpeechDetector::new(format.rate())?,
        })
    }

    fn hear(&mut self, mut chunk: &[f32]) {
        while let Some(frame) = self.framer.next(&mut chunk) {
            let mut samples = frame.samples;
            while let Some(level) = self.meter.next(&mut samples) {
                black_box(level);
            }
            let mut samples = frame.samples;
            while let Some(transition) = self.detector.next(&mut samples) {
                black_box(transition);
            }
        }
    }
}

/// What a meter reads of a sine of 1 kHz at -6.02 dBFS over ten seconds: the readings furthest off, and how many a second. The first two
/// are left out: an RMS goes over 100 ms.
fn level(rate: u32) -> Outcome<Value> {
    let mut meter = Meter::new(Format::mono(rate)?);
    let mut samples = vec![0.0; rate as usize * 10];
    Sine::new(1000.0, -6.02, rate).fill(&mut samples);
    let (mut input, mut levels) = (&samples[..], Vec::new());
    while let Some(level) = meter.next(&mut input) {
        levels.push(level);
    }
    let furthest = |of: fn(&Level) -> f32, meant: f32| {
        let off =
            levels.iter().skip(2).map(of).max_by(|a, b| (a - meant).abs().total_cmp(&(b - meant).abs()));
        off.unwrap_or(f32::NAN)
    };
    Ok(json!({
        "peak": furthest(|level| level.peak, -6.02),
        "rms": furthest(|level| level.rms, -9.03),
        "per_second": levels.len() as f64 / 10.0,
    }))
}

/// Babble, in which the detector has something to do.
fn speechlike(rate: u32, samples: usize) -> Vec<f32> {
    use greenroom_audio::noise::{Kind, Noise};
    let mut made = vec![0.0; samples];
    Noise::new(Kind::Babble, -25.0, rate, 1).fill(&mut made);
    made
}
