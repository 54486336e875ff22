//! What rooms and lines do to speech, for tests. Everything is in place, of one channel unless it says otherwise, and seeded.

use std::time::Duration;

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};

use crate::format::Format;
use crate::noise::{Kind, Noise, Random};
use crate::sample::{Sample, amplitude, rms};

/// Speech is read in blocks this long, and those are active that are at most `ACTIVE_DB` below the loudest.
const BLOCK: Duration = Duration::from_millis(20);
const ACTIVE_DB: f32 = 30.0;

/// The amplitude (RMS, 1 is full scale) of what is speech in the samples; pauses do not count.
pub fn speech_level(samples: &[f32], format: Format) -> f32 {
    let length = usize::try_from(format.samples_in(BLOCK)).unwrap_or(1).max(1) * format.channels();
    let blocks = || samples.chunks(length).filter(|block| block.len() == length).map(rms);
    let loudest = blocks().fold(0.0, f32::max);
    if loudest == 0.0 {
        // Too short for a block, or silent.
        return rms(samples);
    }
    let floor = loudest * amplitude(-ACTIVE_DB);
    let (sum, count) = blocks()
        .filter(|&level| level > floor)
        .fold((0.0, 0.0), |(sum, count), level| (sum + f64::from(level) * f64::from(level), count + 1.0));
    (sum / count).sqrt() as f32
}

/// Adds noise of one kind to a whole recording, so that its speech is `snr_db` above it, and returns the result of [`mix`].
///
/// Several channels get the same noise. It takes memory for the noise, so it is not for the frames of a stream; [`Noise::add`] is.
pub fn add_noise(samples: &mut [f32], format: Format, kind: Kind, snr_db: f32, seed: u64) -> f32 {
    let mut one = vec![0.0; samples.len() / format.channels()];
    Noise::new(kind, -20.0, format.rate(), seed).fill(&mut one);
    let noise: Vec<f32> =
        one.iter().flat_map(|&sample| std::iter::repeat_n(sample, format.channels())).collect();
    mix(samples, &noise, format, snr_db)
}

/// Adds a recording of noise, over and over if it is short, so that the speech is `snr_db` above it.
///
/// If the sum is beyond full scale all of it is made softer, so that the ratio stays as requested. Returns the factor: 1 for not
/// at all. Silence, as speech or as noise, changes nothing.
pub fn mix(samples: &mut [f32], noise: &[f32], format: Format, snr_db: f32) -> f32 {
    let heard = &noise[..noise.len().min(samples.len())];
    let (speech, noise_level) = (speech_level(samples, format), rms(heard));
    if speech == 0.0 || noise_level == 0.0 {
        return 1.0;
    }
    let gain = speech / noise_level * amplitude(-snr_db);
    let mut peak = 0.0_f32;
    for (sample, noise) in samples.iter_mut().zip(noise.iter().cycle()) {
        *sample += gain * noise;
        peak = peak.max(sample.abs());
    }
    if peak <= 1.0 {
        return 1.0;
    }
    samples.iter_mut().for_each(|sample| *sample /= peak);
    1.0 / peak
}

/// Makes samples of any channels louder by `db`, or softer. What is then beyond full scale is not clipped yet.
pub fn gain(samples: &mut [f32], db: f32) {
    let gain = amplitude(db);
    samples.iter_mut().for_each(|sample| *sample *= gain);
}

/// Cuts off what is beyond `ceiling_dbfs`, in any channels, and returns the number of samples cut.
pub fn clip(samples: &mut [f32], ceiling_dbfs: f32) -> usize {
    let ceiling = amplitude(ceiling_dbfs);
    let mut cut = 0;
    for sample in samples {
        if sample.abs() > ceiling {
            *sample = sample.clamp(-ceiling, ceiling);
            cut += 1;
        }
    }
    cut
}

/// What a telephone line's 8 bits leave of samples of any channels: μ-law there and back (G.711).
///
/// The rate stays; a telephone's is 8 kHz.
pub fn mu_law(samples: &mut [f32]) {
    for sample in samples {
        *sample = decode_ulaw(encode_ulaw(i16::from_f32(*sample))).to_f32();
    }
}

/// Silences stretches of a stream at random, as lost packets do.
#[derive(Clone, Debug)]
pub struct Dropouts {
    channels: usize,
    length: u64,
    /// That a dropout begins with a sample that is not in one.
    probability: f64,
    left: u64,
    random: Random,
}

impl Dropouts {
    /// Dropouts of `length` that take `share` of the time, from 0 to 1.
    pub fn new(format: Format, share: f64, length: Duration, seed: u64) -> Self {
        let length = format.samples_in(length).max(1);
        let share = share.clamp(0.0, 1.0);
        Self {
            channels: format.channels(),
            length,
            probability: share / ((1.0 - share) * length as f64 + share),
            left: 0,
            random: Random::new(seed),
        }
    }

    /// Silences what is dropped of the next samples, whole instants of all channels, and returns the number of instants dropped.
    pub fn apply(&mut self, samples: &mut [f32]) -> u64 {
        let mut dropped = 0;
        for instant in samples.chunks_exact_mut(self.channels) {
            if self.left == 0 && self.random.happens(self.probability) {
                self.left = self.length;
            }
            if self.left > 0 {
                self.left -= 1;
                dropped += 1;
                instant.fill(0.0);
            }
        }
        dropped
    }
}
