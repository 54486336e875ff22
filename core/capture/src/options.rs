//! What capture and playback have in common to choose.

use std::time::Duration;

use greenroom_audio::{Format, Patchbay};

use crate::error::AudioError;

/// How much delay a stream takes on, for steadiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// As little as devices can: blocks of 5 ms both ways. A busy machine may cause gaps.
    Low,
    /// Blocks of 10 ms to record, and of 20 ms to play behind a jitter buffer of 40 ms.
    #[default]
    Normal,
}

/// The format that is asked for.
pub(crate) fn format(rate: u32, channels: u16) -> Result<Format, AudioError> {
    Format::new(rate, channels).map_err(|error| AudioError::Invalid(error.to_string()))
}

/// A duration that is a bound of a queue.
pub(crate) fn bounded(
    what: &str,
    duration: Duration,
    least: Duration,
    most: Duration,
) -> Result<Duration, AudioError> {
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(AudioError::Invalid(format!(
        "{what} cannot be {} ms; it goes from {} ms to {} ms",
        duration.as_secs_f64() * 1e3,
        least.as_millis(),
        most.as_millis()
    )))
}

/// Where loopbacks meet, unless the options name another place: a name means the same everywhere in this process.
pub(crate) fn patchbay(given: Option<&Patchbay>) -> Patchbay {
    static COMMON: std::sync::LazyLock<Patchbay> = std::sync::LazyLock::new(Patchbay::new);
    given.unwrap_or(&COMMON).clone()
}
