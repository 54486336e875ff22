//! Speech as it goes over the wire: signed 16-bit little-endian samples, 48 kHz, mono.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::line;
use crate::error::{Code, Error};

/// Samples of speech per second. Agents of both SDKs take and give nothing else.
pub const RATE: u32 = 48_000;

/// The longest speech of one turn, the user's or the agent's: 3 minutes.
pub const LONGEST: Duration = Duration::from_secs(180);

/// What is louder than this, in either direction, is heard: -50 dBFS.
const AUDIBLE: u16 = 104;

/// Speech of the wire's one format. In JSON it is base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Speech(Bytes);

impl Speech {
    /// Speech of these samples: signed 16-bit little-endian, 48 kHz, mono.
    ///
    /// # Errors
    /// `invalid_argument` where there are none, or half a sample; `too_large` beyond [`LONGEST`].
    pub fn new(samples: impl Into<Bytes>) -> Result<Self, Error> {
        let samples = samples.into();
        if samples.is_empty() || samples.len() % 2 != 0 {
            return Err(Error::new(
                Code::InvalidArgument,
                format!("speech is whole samples of 16 bits, at least one; {} bytes are none", samples.len()),
            ));
        }
        let speech = Self(samples);
        if speech.duration() > LONGEST {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "the speech lasts {:.1} s; at most {} s are said in one turn, so say it in several",
                    speech.duration().as_secs_f64(),
                    LONGEST.as_secs()
                ),
            ));
        }
        Ok(speech)
    }

    /// The samples: signed 16-bit little-endian, 48 kHz, mono.
    pub const fn samples(&self) -> &Bytes {
        &self.0
    }

    /// The samples, without a copy.
    pub fn into_samples(self) -> Bytes {
        self.0
    }

    /// How long it lasts.
    pub const fn duration(&self) -> Duration {
        line::duration(self.0.len() as u64 / 2)
    }
}

impl std::fmt::Debug for Speech {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Speech({:?})", self.duration())
    }
}

impl Serialize for Speech {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Speech {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let samples = base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .map_err(|error| serde::de::Error::custom(format!("speech is no base64: {error}")))?;
        Self::new(samples).map_err(|error| serde::de::Error::custom(error.message))
    }
}

/// Where in these samples the first and the last are that can be heard.
pub(super) fn audible(samples: &[u8]) -> Option<(u64, u64)> {
    let loud = |pair: &[u8]| match pair {
        [low, high] => i16::from_le_bytes([*low, *high]).unsigned_abs() >= AUDIBLE,
        _ => false,
    };
    let first = samples.chunks_exact(2).position(loud)?;
    let last = samples.chunks_exact(2).rposition(loud)?;
    Some((first as u64, last as u64))
}
