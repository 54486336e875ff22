//! How a stream's samples are to be read: rate and channels.

use std::fmt;
use std::time::Duration;

/// The rates that a stream may have, in Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 1_000..=384_000;

/// The most channels that a stream may have.
pub const MOST_CHANNELS: u16 = 64;

/// Rate and channels of a stream. Samples of several channels are interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    rate: u32,
    channels: u16,
}

/// Why there is no such format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The rate is out of [`RATES`].
    #[error("{0} Hz is no rate for audio; it goes from 1000 Hz to 384000 Hz")]
    Rate(u32),
    /// No channel, or more than [`MOST_CHANNELS`].
    #[error("audio cannot have {0} channels; it has 1 to {MOST_CHANNELS}")]
    Channels(u16),
}

impl Format {
    /// What agents send and take: 48 kHz, mono.
    pub const WIRE: Self = Self { rate: 48_000, channels: 1 };

    /// What speech recognition takes: 16 kHz, mono.
    pub const SPEECH: Self = Self { rate: 16_000, channels: 1 };

    /// A format of `rate` Hz and so many channels.
    ///
    /// # Errors
    /// [`FormatError`] where there is no such audio.
    pub const fn new(rate: u32, channels: u16) -> Result<Self, FormatError> {
        if rate < *RATES.start() || rate > *RATES.end() {
            return Err(FormatError::Rate(rate));
        }
        if channels == 0 || channels > MOST_CHANNELS {
            return Err(FormatError::Channels(channels));
        }
        Ok(Self { rate, channels })
    }

    /// One channel at `rate` Hz.
    ///
    /// # Errors
    /// [`FormatError::Rate`].
    pub const fn mono(rate: u32) -> Result<Self, FormatError> {
        Self::new(rate, 1)
    }

    /// Samples per second in each channel.
    pub const fn rate(self) -> u32 {
        self.rate
    }

    /// The number of channels, at least 1.
    pub const fn channels(self) -> usize {
        self.channels as usize
    }

    /// How many samples of each channel `duration` takes, rounded down.
    pub const fn samples_in(self, duration: Duration) -> u64 {
        let samples = duration.as_nanos() * self.rate as u128 / 1_000_000_000;
        if samples > u64::MAX as u128 { u64::MAX } else { samples as u64 }
    }

    /// How long `samples` of each channel last, rounded down to a nanosecond.
    pub const fn duration_of(self, samples: u64) -> Duration {
        let rate = self.rate as u64;
        Duration::new(samples / rate, ((samples % rate) * 1_000_000_000 / rate) as u32)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.channels {
            1 => write!(f, "{} Hz mono", self.rate),
            2 => write!(f, "{} Hz stereo", self.rate),
            more => write!(f, "{} Hz with {more} channels", self.rate),
        }
    }
}
