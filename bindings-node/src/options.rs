//! How a session is started or joined, as the package asks for it.

use std::path::PathBuf;

use greenroom_engine::launch::AgentSpec;
use greenroom_engine::{AudioOptions, JoinOptions, LogTarget, StartOptions};
use greenroom_protocol::{Error, Secret};
use serde::Deserialize;

use crate::exchange::millis;

/// The options of `start`. What is absent is as the engine has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    agent: AgentSpec,
    port: Option<u16>,
    start_timeout_ms: Option<f64>,
    idle_timeout_ms: Option<f64>,
    log: Option<PathBuf>,
    #[serde(default)]
    audio: bool,
    recording: Option<PathBuf>,
}

impl From<Options> for StartOptions {
    fn from(options: Options) -> Self {
        let mut start = Self::new(options.agent);
        start.port = options.port;
        if let Some(timeout) = options.start_timeout_ms {
            start.start_timeout = millis(timeout);
        }
        start.idle_timeout = options.idle_timeout_ms.map(millis);
        if let Some(file) = options.log {
            start.log = LogTarget::File(file);
        }
        let recording = options.recording;
        start.audio = options.audio.then(|| AudioOptions { recording, ..AudioOptions::default() });
        start
    }
}

/// The options of `join`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Joining {
    url: String,
    token: Secret,
    agent: Option<String>,
    start_timeout_ms: f64,
    idle_timeout_ms: Option<f64>,
    ca: Option<Secret>,
    proxy: Option<Secret>,
}

impl TryFrom<Joining> for JoinOptions {
    type Error = Error;

    fn try_from(options: Joining) -> Result<Self, Error> {
        let mut join = Self::new(options.url, options.token);
        join.room = join.room.reached_by(options.ca.as_ref(), options.proxy.as_ref())?;
        join.agent = options.agent;
        join.start_timeout = millis(options.start_timeout_ms);
        join.idle_timeout = options.idle_timeout_ms.map(millis);
        Ok(join)
    }
}
