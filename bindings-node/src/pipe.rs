//! The caller's end of a session whose messages it carries: that of an agent in this process.

use bytes::Bytes;
use greenroom_engine::{Pipe as Engine, PipeOptions, Session};
use greenroom_protocol::message::CloseReason;
use greenroom_protocol::{Code, Error, Limits};
use napi::bindgen_prelude::BufferSlice;
use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;

use crate::driver::{Driver, Wake};
use crate::exchange::{from_json, millis, thrown, to_json};

/// Messages of the agent in, messages for it out. Take them after each call, and when the session wakes.
#[napi]
pub struct Pipe {
    engine: Engine,
    driver: Option<Driver>,
}

/// What the constructor takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    start_timeout_ms: f64,
    text_mode: bool,
    sdk_version: Option<String>,
}

#[napi]
impl Pipe {
    /// Makes a session over a pipe; `json` is `{start_timeout_ms, text_mode, sdk_version}`, and `wake`
    /// is as in `start`.
    #[napi(constructor, catch_unwind)]
    pub fn new(json: String, #[napi(ts_arg_type = "() => void")] wake: Wake) -> Result<Self> {
        let options: Options = from_json("the options cannot be read", &json)?;
        let mut pipe = PipeOptions::default();
        pipe.start_timeout = millis(options.start_timeout_ms);
        pipe.controller.text_mode = options.text_mode;
        pipe.kind = Some("node");
        pipe.sdk_version = options.sdk_version;
        let (session, engine) = Session::over_pipe(pipe).map_err(|error| thrown(&error))?;
        Ok(Self { engine, driver: Some(Driver::new(session.driver(), wake)) })
    }

    /// The session. Once only.
    #[napi(catch_unwind)]
    pub fn take_driver(&mut self) -> Result<Driver> {
        let twice = || thrown(&Error::new(Code::Internal, "the session was taken already"));
        self.driver.take().ok_or_else(twice)
    }

    /// The agent can be reached.
    #[napi(catch_unwind)]
    pub fn open(&self) {
        self.engine.open();
    }

    /// Takes one message from the agent.
    #[napi(catch_unwind)]
    pub fn receive(&self, message: BufferSlice<'_>) {
        let limits = Limits::default();
        if message.len() > limits.agent_message {
            self.engine.receive_skipped(message.len(), &message[..limits.peeked]);
        } else {
            self.engine.receive(&Bytes::copy_from_slice(&message));
        }
    }

    /// Returns the next message for the agent, or null.
    #[napi(catch_unwind)]
    pub fn poll_transmit<'env>(&self, env: &'env Env) -> Result<Option<BufferSlice<'env>>> {
        self.engine.poll_transmit().map(|message| BufferSlice::copy_from(env, &message)).transpose()
    }

    /// The agent cannot be reached any more; `reason` is one of the event `closed`.
    #[napi(catch_unwind)]
    pub fn closed(&self, reason: String, message: String) -> Result<()> {
        let reason: CloseReason = from_json("the reason cannot be read", &to_json(&reason))?;
        self.engine.close(reason, Error::new(Code::AgentGone, message));
        Ok(())
    }
}
