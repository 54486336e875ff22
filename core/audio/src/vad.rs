//! Speech activity: transitions only.
//!
//! The crate earshot scores 16 ms of audio from 0 to 1. Scores become transitions by hysteresis: speech begins with two blocks in a row
//! above one threshold and ends when all blocks of some time are below a lower one.

use std::fmt;
use std::time::Duration;

use earshot::Detector;

use crate::format::Format;
use crate::resample::{ResampleError, Resampler};
use crate::sample::finite;

/// The rate at which speech is detected, in Hz.
const RATE: u32 = 16_000;

/// Samples that are scored together: 16 ms.
const BLOCK: usize = 256;

/// Blocks at the start of a stream without detection: the network takes the onset of noise for a voice for a
/// while. Speech from the start is detected after that, from the start.
const SETTLING: u64 = 20;

/// How speech is distinguished from pauses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// A block with this score or more may be speech; 0 to 1.
    pub begin_score: f32,
    /// Speech continues with this score or more; 0 to 1, not above `begin_score`.
    pub keep_score: f32,
    /// How long the score must be up before speech starts; in steps of 16 ms.
    pub begin_after: Duration,
    /// How long the score must be down before speech ends; in steps of 16 ms.
    pub end_after: Duration,
}

impl Default for Settings {
    /// Begins after 32 ms, ends after a pause of 400 ms, which is longer than those within a sentence.
    ///
    /// Lower scores hear speech in noise sooner, but then noise of its own strength (0 dB) begins and keeps it too.
    fn default() -> Self {
        Self {
            begin_score: 0.6,
            keep_score: 0.5,
            begin_after: Duration::from_millis(32),
            end_after: Duration::from_millis(400),
        }
    }
}

/// The start or end of speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whether speech starts here.
    pub speaking: bool,
    /// Where speech began, or ended: samples since the beginning of the stream.
    pub at: u64,
    /// Where that was sure: samples since the beginning of the stream, later than `at`.
    pub noticed: u64,
}

/// Detects speech in one channel of any rate.
pub struct SpeechDetector {
    rate: u32,
    settings: Settings,
    resampler: Option<Resampler>,
    /// What the resampler made, and how much of it is used.
    made: Vec<f32>,
    used: usize,
    block: [f32; BLOCK],
    filled: usize,
    detector: Box<Detector>,
    score: f32,
    speaking: bool,
    /// Blocks in a row that say otherwise.
    against: u32,
    /// Blocks so far.
    blocks: u64,
}

impl SpeechDetector {
    /// A detector of a stream that begins, with the usual settings.
    ///
    /// # Errors
    /// [`ResampleError`] where the rate, in Hz, cannot become 16 kHz.
    pub fn new(rate: u32) -> Result<Self, ResampleError> {
        Self::with(rate, Settings::default())
    }

    /// A detector of a stream that begins.
    ///
    /// # Errors
    /// [`ResampleError`] where the rate, in Hz, cannot become 16 kHz.
    pub fn with(rate: u32, settings: Settings) -> Result<Self, ResampleError> {
        let format = Format::mono(rate)?;
        let resampler = if rate == RATE { None } else { Some(Resampler::new(format, RATE)?) };
        let longest = resampler
            .as_ref()
            .map_or(BLOCK, |resampler| Format::SPEECH.samples_in(resampler.block()) as usize + 1);
        Ok(Self {
            rate,
            settings,
            resampler,
            made: Vec::with_capacity(longest.max(BLOCK)),
            used: 0,
            block: [0.0; BLOCK],
            filled: 0,
            detector: Detector::default_boxed(),
            score: 0.0,
            speaking: false,
            against: 0,
            blocks: 0,
        })
    }

    /// Takes from `input` up to the next transition and returns it; `None` once `input` is used up.
    pub fn next(&mut self, input: &mut &[f32]) -> Option<Transition> {
        loop {
            while self.used < self.made.len() {
                let take = (BLOCK - self.filled).min(self.made.len() - self.used);
                self.block[self.filled..self.filled + take]
                    .copy_from_slice(&self.made[self.used..self.used + take]);
                self.used += take;
                self.filled += take;
                if self.filled == BLOCK {
                    self.filled = 0;
                    if let Some(transition) = self.score_block() {
                        return Some(transition);
                    }
                }
            }
            self.made.clear();
            self.used = 0;
            match &mut self.resampler {
                Some(resampler) => self.made.extend_from_slice(resampler.next(input)?),
                None if input.is_empty() => return None,
                None => {
                    let (head, rest) = input.split_at(input.len().min(BLOCK));
                    self.made.extend_from_slice(head);
                    *input = rest;
                }
            }
        }
    }

    /// Whether there is speech now.
    pub const fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// The score of the latest block, 0 to 1.
    pub const fn score(&self) -> f32 {
        self.score
    }

    /// Forgets what came before; a new stream begins, without speech.
    pub fn reset(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        self.made.clear();
        self.used = 0;
        self.filled = 0;
        self.detector.reset();
        self.score = 0.0;
        self.speaking = false;
        self.against = 0;
        self.blocks = 0;
    }

    fn score_block(&mut self) -> Option<Transition> {
        for sample in &mut self.block {
            *sample = finite(*sample).clamp(-1.0, 1.0);
        }
        self.score = self.detector.predict_f32(&self.block);
        self.blocks += 1;
        let Settings { begin_score, keep_score, begin_after, end_after } = self.settings;
        let (threshold, after) =
            if self.speaking { (keep_score, end_after) } else { (begin_score, begin_after) };
        if (self.score >= threshold) == self.speaking {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let settling = !self.speaking && self.blocks < SETTLING;
        if settling || self.against < in_blocks(after) {
            return None;
        }
        let began = self.blocks - u64::from(std::mem::take(&mut self.against));
        self.speaking = !self.speaking;
        Some(Transition { speaking: self.speaking, at: self.place(began), noticed: self.place(self.blocks) })
    }

    /// Where a block begins, in samples of the stream.
    fn place(&self, block: u64) -> u64 {
        block * BLOCK as u64 * u64::from(self.rate) / u64::from(RATE)
    }
}

impl fmt::Debug for SpeechDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpeechDetector")
            .field("rate", &self.rate)
            .field("settings", &self.settings)
            .field("speaking", &self.speaking)
            .field("score", &self.score)
            .finish_non_exhaustive()
    }
}

/// The duration in blocks, at least one.
fn in_blocks(duration: Duration) -> u32 {
    let block = Format::SPEECH.duration_of(BLOCK as u64);
    u32::try_from(duration.as_nanos() / block.as_nanos()).unwrap_or(u32::MAX).max(1)
}
