//! Echo control: takes what a loudspeaker plays out of what a microphone hears, so that an agent does not hear itself. Feature `echo`.
//!
//! The crate sonora does the work, WebRTC's AEC3 in Rust: it finds out by itself how long the way from loudspeaker to microphone is, up to
//! about half a second, and learns within a second what the room does on it. It wants both sides without a break, so each 10 ms that are
//! recorded go with 10 ms that were played, silence too.

use std::fmt;

use sonora::config::{EchoCanceller, NoiseSuppression};
use sonora::{AudioProcessing, Config, StreamConfig};

use crate::sample::finite;

/// The rates at which echoes are taken out, in Hz.
pub const RATES: [u32; 3] = [16_000, 32_000, 48_000];

/// Frames in a second.
const FRAMES: u32 = 100;

/// What is done to what is recorded, besides taking the echo out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Makes steady noise about 12 dB quieter. It helps human listeners, and speech recognition in loud white noise; in babble, and where
    /// it is quiet, recognition gets worse by it.
    pub noise_suppression: bool,
}

/// Why there is no echo control of such audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EchoError {
    /// The rate is none of [`RATES`].
    #[error(
        "echoes are taken out at 16000, 32000 and 48000 Hz, not at {0} Hz; bring both sides to one of these with a Resampler"
    )]
    Rate(u32),
    /// A frame of another length than 10 ms.
    #[error(
        "echoes are taken out of frames of 10 ms, which are {expected} samples here, not {got}; cut them with a Framer"
    )]
    Length {
        /// Samples in the frame.
        got: usize,
        /// Samples in 10 ms.
        expected: usize,
    },
}

/// Takes the echo of what is played out of what is recorded, one channel each.
///
/// [`played`](Self::played) and [`recorded`](Self::recorded) take turns, in frames of 10 ms. Which frames meet does not matter, as long as
/// what is played comes no later than its echo and the two keep their distance: a jump has to be learnt anew.
///
/// What is given lags behind what was recorded by about 9 ms, which sonora takes. It leaves out what is below 100 Hz, and at 48 kHz what is above
/// 16 kHz: with a third band it costs a fifth more, takes out less, and no recognition of speech hears that high. Nothing of ours allocates
/// for a frame; sonora does, a few dozen times.
pub struct EchoControl {
    processing: AudioProcessing,
    frame: usize,
    /// Where sonora leaves what it made, of either side.
    made: Vec<f32>,
    /// What is recorded, without what no sample can be.
    heard: Vec<f32>,
}

impl EchoControl {
    /// Echo control of two streams of `rate` Hz that begin; noise stays.
    ///
    /// # Errors
    /// [`EchoError::Rate`].
    pub fn new(rate: u32) -> Result<Self, EchoError> {
        Self::with(rate, Settings::default())
    }

    /// Echo control of two streams of `rate` Hz that begin.
    ///
    /// # Errors
    /// [`EchoError::Rate`].
    pub fn with(rate: u32, settings: Settings) -> Result<Self, EchoError> {
        if !RATES.contains(&rate) {
            return Err(EchoError::Rate(rate));
        }
        let config = Config {
            echo_canceller: Some(EchoCanceller::default()),
            noise_suppression: settings.noise_suppression.then(NoiseSuppression::default),
            ..Config::default()
        };
        let stream = StreamConfig::new(rate, 1);
        let processing =
            AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build();
        let frame = (rate / FRAMES) as usize;
        Ok(Self { processing, frame, made: vec![0.0; frame], heard: vec![0.0; frame] })
    }

    /// Samples in a frame.
    pub const fn frame(&self) -> usize {
        self.frame
    }

    /// The loudspeaker gets this frame.
    ///
    /// # Errors
    /// [`EchoError::Length`]; then the frame is not used.
    pub fn played(&mut self, frame: &[f32]) -> Result<(), EchoError> {
        self.check(frame)?;
        clean(frame, &mut self.heard);
        // It fails for formats alone, and this one is of its own making.
        let _ = self.processing.process_render_f32(&[&self.heard], &mut [&mut self.made]);
        Ok(())
    }

    /// Removes the echo from a frame of the microphone.
    ///
    /// # Errors
    /// [`EchoError::Length`]; then the frame stays as it is.
    pub fn recorded(&mut self, frame: &mut [f32]) -> Result<(), EchoError> {
        self.check(frame)?;
        clean(frame, &mut self.heard);
        // As above.
        let _ = self.processing.process_capture_f32(&[&self.heard], &mut [frame]);
        Ok(())
    }

    const fn check(&self, frame: &[f32]) -> Result<(), EchoError> {
        if frame.len() == self.frame {
            return Ok(());
        }
        Err(EchoError::Length { got: frame.len(), expected: self.frame })
    }
}

impl fmt::Debug for EchoControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoControl").field("frame", &self.frame).finish_non_exhaustive()
    }
}

/// Copies samples, without what no sample can be.
fn clean(samples: &[f32], into: &mut [f32]) {
    for (cleaned, &sample) in into.iter_mut().zip(samples) {
        *cleaned = finite(sample);
    }
}
