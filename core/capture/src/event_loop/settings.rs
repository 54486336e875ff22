//! How a stream is opened, as JSON tells it.

use std::time::Duration;

use greenroom_audio::Clock;
use greenroom_protocol::{Code, Error};
use serde::Deserialize;

use crate::{CaptureOptions, Latency, PlaybackOptions};

/// The JSON of [`CaptureOptions`]; what is absent or null is as there.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureSettings {
    device: Option<String>,
    rate: Option<u32>,
    channels: Option<u16>,
    channel: Option<u16>,
    frame_ms: Option<f64>,
    queue_ms: Option<f64>,
    latency: Delay,
    reopen_ms: Option<f64>,
    timeout_ms: Option<f64>,
    clock: Pace,
}

/// The JSON of [`PlaybackOptions`]; what is absent or null is as there.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlaybackSettings {
    device: Option<String>,
    rate: Option<u32>,
    channels: Option<u16>,
    queue_ms: Option<f64>,
    jitter_ms: Option<f64>,
    latency: Delay,
    reopen_ms: Option<f64>,
    timeout_ms: Option<f64>,
    clock: Pace,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Delay {
    Low,
    #[default]
    Normal,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pace {
    #[default]
    RealTime,
    Fast,
}

impl TryFrom<CaptureSettings> for CaptureOptions {
    type Error = Error;

    fn try_from(settings: CaptureSettings) -> Result<Self, Error> {
        let usual = Self::default();
        Ok(Self {
            device: settings.device,
            rate: settings.rate.unwrap_or(usual.rate),
            channels: settings.channels.unwrap_or(usual.channels),
            channel: settings.channel,
            frame: millis("frame_ms", settings.frame_ms)?.unwrap_or(usual.frame),
            queue: millis("queue", settings.queue_ms)?.unwrap_or(usual.queue),
            latency: settings.latency.into(),
            reopen: millis("reopen", settings.reopen_ms)?,
            start: millis("timeout", settings.timeout_ms)?.unwrap_or(usual.start),
            clock: settings.clock.into(),
            ..usual
        })
    }
}

impl TryFrom<PlaybackSettings> for PlaybackOptions {
    type Error = Error;

    fn try_from(settings: PlaybackSettings) -> Result<Self, Error> {
        let usual = Self::default();
        Ok(Self {
            device: settings.device,
            rate: settings.rate.unwrap_or(usual.rate),
            channels: settings.channels.unwrap_or(usual.channels),
            queue: millis("queue", settings.queue_ms)?.unwrap_or(usual.queue),
            jitter: millis("jitter", settings.jitter_ms)?,
            latency: settings.latency.into(),
            reopen: millis("reopen", settings.reopen_ms)?,
            start: millis("timeout", settings.timeout_ms)?.unwrap_or(usual.start),
            clock: settings.clock.into(),
            ..usual
        })
    }
}

impl From<Delay> for Latency {
    fn from(delay: Delay) -> Self {
        match delay {
            Delay::Low => Self::Low,
            Delay::Normal => Self::Normal,
        }
    }
}

impl From<Pace> for Clock {
    fn from(pace: Pace) -> Self {
        match pace {
            Pace::RealTime => Self::RealTime,
            Pace::Fast => Self::Fast,
        }
    }
}

fn millis(what: &str, given: Option<f64>) -> Result<Option<Duration>, Error> {
    let read = |millis: f64| {
        Duration::try_from_secs_f64(millis / 1e3).map_err(|_| {
            let message = format!("{what} is {millis} ms; it must be 0 or more");
            Error::new(Code::InvalidArgument, message)
        })
    };
    given.map(read).transpose()
}
