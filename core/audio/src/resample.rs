//! From one rate to another, in blocks of about 10 ms.
//!
//! rubato's FFT resampler does the work; here it gets blocks of one size whatever the chunks, its delay is cut off the beginning, and
//! the end comes out to the sample. A block of 10 ms is a filter of 10 ms: 5 ms of latency, everything above the lower of the two Nyquist
//! frequencies gone (-120 dB and less), and flat to 0.86 of it for 16 kHz, 0.91 for 24 kHz; README.md has the measurements.

use std::fmt;
use std::time::Duration;

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::format::{Format, FormatError};
use crate::sample::finite;

/// The shortest block, in blocks per second.
const BLOCKS: u32 = 100;

/// The window of the filter: the steepest of those that hold -120 dB.
const WINDOW: WindowFunction = WindowFunction::BlackmanHarris2;

/// The longest block. Between rates that share few factors a block has to be long.
const LONGEST: Duration = Duration::from_millis(100);

/// Why a rate cannot be made of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// There is no such audio.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The rates share too few factors.
    #[error(
        "{from} Hz cannot become {to} Hz here, since the two share too few factors; 8000, 16000, 24000, 44100 and 48000 go with each other"
    )]
    Ratio {
        /// The rate of the input, in Hz.
        from: u32,
        /// The rate that was asked for, in Hz.
        to: u32,
    },
}

/// Changes the rate of a stream. What comes out does not depend on how the input was cut into chunks, is aligned with the input, and is
/// exactly as long.
pub struct Resampler {
    from: u32,
    to: u32,
    channels: usize,
    /// `None` where the rates are the same.
    fft: Option<Fft<f32>>,
    block: Vec<f32>,
    filled: usize,
    made: Vec<f32>,
    /// Samples of each channel at the beginning that are the filter's delay.
    delay: usize,
    delay_left: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// From the rate of `from` to `to` Hz.
    ///
    /// # Errors
    /// [`ResampleError`], for rates that no device has: all usual ones go with each other.
    pub fn new(from: Format, to: u32) -> Result<Self, ResampleError> {
        let channels = from.channels();
        Format::mono(to)?;
        let common = gcd(from.rate(), to);
        let unit = from.rate() / common;
        let block = unit * from.rate().div_ceil(unit * BLOCKS);
        let too_long = Duration::from_secs(block.into()) > LONGEST * from.rate();
        let impossible = || ResampleError::Ratio { from: from.rate(), to };
        if too_long {
            return Err(impossible());
        }
        let made = block / unit * (to / common);
        let (block, made) = (block as usize, made as usize);
        let (fft, delay) = if from.rate() == to {
            (None, 0)
        } else {
            let (from, to) = (from.rate() as usize, to as usize);
            let fft = Fft::new_custom(from, to, block, 1, channels, WINDOW, FixedSync::Both);
            let fft = fft.map_err(|_| impossible())?;
            let delay = fft.output_delay();
            (Some(fft), delay)
        };
        Ok(Self {
            from: from.rate(),
            to,
            channels,
            fft,
            block: vec![0.0; block * channels],
            filled: 0,
            made: vec![0.0; made * channels],
            delay,
            delay_left: delay,
            taken: 0,
            given: 0,
        })
    }

    /// Takes from `input` up to a block and returns its output; `None` once `input` is used up. The output is never empty.
    ///
    /// Of several channels, `input` holds whole instants.
    pub fn next(&mut self, input: &mut &[f32]) -> Option<&[f32]> {
        loop {
            let take = input.len().min(self.block.len() - self.filled);
            let (head, rest) = input.split_at(take);
            *input = rest;
            self.taken += (take / self.channels) as u64;
            if self.fft.is_none() {
                // The rate stays, so nothing waits for a block.
                self.given = self.taken;
                let made = self.made.iter_mut().zip(head);
                made.for_each(|(made, &sample)| *made = finite(sample));
                return (take > 0).then(|| &self.made[..take]);
            }
            for (kept, &sample) in self.block[self.filled..].iter_mut().zip(head) {
                *kept = finite(sample);
            }
            self.filled += take;
            if self.filled < self.block.len() {
                return None;
            }
            let begin = self.process();
            if begin < self.made.len() {
                self.given += ((self.made.len() - begin) / self.channels) as u64;
                return Some(&self.made[begin..]);
            }
        }
    }

    /// Returns the rest at the end of the input, in parts, and `None` after the last. Then a new stream may begin.
    ///
    /// All that was given since the beginning is as long as all that was taken: of n samples, n times the ratio of the rates, rounded.
    pub fn finish(&mut self) -> Option<&[f32]> {
        loop {
            let whole = (self.taken * u64::from(self.to) + u64::from(self.from) / 2) / u64::from(self.from);
            let left = whole - self.given;
            if left == 0 {
                self.reset();
                return None;
            }
            self.block[self.filled..].fill(0.0);
            let begin = self.process();
            let made = (self.made.len() - begin) / self.channels;
            if made > 0 {
                let give = left.min(made as u64);
                self.given += give;
                return Some(&self.made[begin..begin + give as usize * self.channels]);
            }
        }
    }

    /// Takes all of `input`, and puts what that makes behind what is in `made`; see [`next`](Self::next).
    pub fn append(&mut self, mut input: &[f32], made: &mut Vec<f32>) {
        while let Some(part) = self.next(&mut input) {
            made.extend_from_slice(part);
        }
    }

    /// Puts what is left at the end of the input behind what is in `made`; see [`finish`](Self::finish).
    pub fn append_rest(&mut self, made: &mut Vec<f32>) {
        while let Some(part) = self.finish() {
            made.extend_from_slice(part);
        }
    }

    /// Forgets what came before; a new stream begins.
    pub fn reset(&mut self) {
        if let Some(fft) = &mut self.fft {
            fft.reset();
        }
        self.filled = 0;
        self.delay_left = self.delay;
        self.taken = 0;
        self.given = 0;
    }

    /// How far what is given lags behind what was taken, at the end of a block: the filter's delay.
    pub fn latency(&self) -> Duration {
        Duration::from_secs_f64(self.delay as f64 / f64::from(self.to))
    }

    /// How much input makes a block. Chunks that are multiples of it wait for nothing but the filter; where the rate stays, none waits.
    pub fn block(&self) -> Duration {
        Duration::from_secs_f64((self.block.len() / self.channels) as f64 / f64::from(self.from))
    }

    /// The rate that comes out, in Hz.
    pub const fn rate(&self) -> u32 {
        self.to
    }

    /// Makes output of the block, and returns where in it the delay ends.
    fn process(&mut self) -> usize {
        self.filled = 0;
        if let Some(fft) = &mut self.fft {
            let (taken, made) = (self.block.len() / self.channels, self.made.len() / self.channels);
            let input = InterleavedSlice::new(&self.block, self.channels, taken);
            let output = InterleavedSlice::new_mut(&mut self.made, self.channels, made);
            // Sizes are what the constructor asked for, so neither fails.
            if let (Ok(input), Ok(mut output)) = (input, output) {
                let _ = fft.process_into_buffer(&input, &mut output, None);
            }
        }
        let skip = self.delay_left.min(self.made.len() / self.channels);
        self.delay_left -= skip;
        skip * self.channels
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("channels", &self.channels)
            .field("taken", &self.taken)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
