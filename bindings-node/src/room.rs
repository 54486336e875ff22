//! A room that was joined natively.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use greenroom_protocol::Secret;
use greenroom_room::RoomOptions;
use greenroom_room::{RoomAnswer, RoomCall, RoomCalls};
use napi::bindgen_prelude::Buffer;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;

use crate::driver::Wake;
use crate::exchange::{from_json, millis, signed, thrown, to_json, unsigned};

/// A room. It is left when it is closed, or garbage-collected.
#[napi]
pub struct RoomDriver {
    room: RoomCalls,
    wake: Arc<Mutex<Wake>>,
}

/// The answer to one call of a room.
#[napi(object)]
pub struct RoomCompletion {
    /// The number of the call.
    pub token: i64,
    /// Whether `json` is an answer; else it is an error.
    pub ok: bool,
    /// The answer or the error.
    pub json: String,
    /// The bytes that came with it.
    pub bytes: Option<Buffer>,
}

/// What a room is joined with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    url: String,
    token: Secret,
    connect_timeout_ms: f64,
    ca: Option<Secret>,
    proxy: Option<Secret>,
}

/// Joins a room; `options` is JSON. Returns at once: the answer under `token` says that data can be sent, or why not.
/// `wake` is called when there is something to drain, once until the next `drain`.
#[napi(catch_unwind)]
pub fn join_room(
    options: String,
    token: i64,
    #[napi(ts_arg_type = "() => void")] wake: Wake,
) -> Result<RoomDriver> {
    let options: Options = from_json("the options cannot be read", &options)?;
    let mut join = RoomOptions::new(options.url, options.token)
        .reached_by(options.ca.as_ref(), options.proxy.as_ref())
        .map_err(|error| thrown(&error))?;
    join.connect_timeout = millis(options.connect_timeout_ms);
    let wake = Arc::new(Mutex::new(wake));
    let waker = Arc::clone(&wake);
    let wakes = Box::new(move || {
        // It fails when the environment is being torn down: nobody is left to hear of it.
        waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .call((), ThreadsafeFunctionCallMode::NonBlocking);
    });
    let room = RoomCalls::join(join, unsigned(token), wakes).map_err(|error| thrown(&error))?;
    Ok(RoomDriver { room, wake })
}

#[napi]
impl RoomDriver {
    /// Submits a call, which is JSON, and the bytes that it sends. The answer is drained under `token`, exactly once.
    #[napi(catch_unwind)]
    pub fn submit(&self, json: String, payload: Buffer, token: i64) -> Result<()> {
        let call: RoomCall = from_json("the call cannot be read", &json)?;
        self.room.submit(unsigned(token), call, Bytes::copy_from_slice(&payload));
        Ok(())
    }

    /// Gives a call up, the join too. It is answered all the same, with the code `cancelled` if nothing else.
    #[napi(catch_unwind)]
    pub fn cancel(&self, token: i64) {
        self.room.cancel(unsigned(token));
    }

    /// Takes all answers.
    #[napi(catch_unwind)]
    pub fn drain(&self) -> Vec<RoomCompletion> {
        self.room.drain().into_iter().map(RoomCompletion::from).collect()
    }

    /// The room as it is now, as JSON; `null` before it is joined.
    #[napi(catch_unwind)]
    pub fn snapshot(&self) -> String {
        self.room.snapshot().to_string()
    }

    /// A reader of what happens: the first one from the join on, later ones from now on.
    #[napi(catch_unwind)]
    pub fn open_events(&self) -> Result<i64> {
        self.room.open_events().map(signed).map_err(|error| thrown(&error))
    }

    /// A reader of the streams of a topic that begin from now on.
    #[napi(catch_unwind)]
    pub fn receive(&self, topic: String) -> Result<i64> {
        self.room.receive(&topic).map(signed).map_err(|error| thrown(&error))
    }

    /// Lets go of a reader.
    #[napi(catch_unwind)]
    pub fn close_reader(&self, reader: i64) {
        self.room.close_reader(unsigned(reader));
    }

    /// Leaves the room. What is drained under `token` says that nothing is left of it.
    #[napi(catch_unwind)]
    pub fn close(&self, token: i64) {
        self.room.leave_as(unsigned(token));
    }

    /// From now on the room keeps Node alive.
    #[napi(catch_unwind, js_name = "ref")]
    pub fn refer(&self, env: Env) -> Result<()> {
        #[allow(deprecated, reason = "there is no other way to change it after the function is made")]
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).refer(&env)
    }

    /// From now on the room does not keep Node alive.
    #[napi(catch_unwind)]
    pub fn unref(&self, env: Env) -> Result<()> {
        #[allow(deprecated, reason = "there is no other way to change it after the function is made")]
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).unref(&env)
    }
}

impl From<RoomAnswer> for RoomCompletion {
    fn from(answer: RoomAnswer) -> Self {
        let (ok, json) = match answer.outcome {
            Ok(value) => (true, value.to_string()),
            Err(error) => (false, to_json(&error)),
        };
        let bytes = answer.bytes.map(|bytes| Buffer::from(Vec::from(bytes)));
        Self { token: signed(answer.token), ok, json, bytes }
    }
}
