//! A session with an outside world: an agent's process, or a daemon that holds one.

use std::panic;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_control::{Remote, SessionName};
use greenroom_engine::{Driver as Engine, JoinOptions, Outbox, Session};
use greenroom_protocol::session::CallId;
use greenroom_protocol::{Code, Error};
use napi::bindgen_prelude::AsyncTask;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status, Task, Unknown};
use napi_derive::napi;

use crate::exchange::{
    Completion, EventsRead, from_json, millis, operation, signed, thrown, to_json, unsigned,
};
use crate::options::{Joining, Options};

/// The function that says that there is something to drain. It takes nothing, and does not by itself keep Node alive.
pub(crate) type Wake = ThreadsafeFunction<(), Unknown<'static>, (), Status, false, true>;

/// A session. It ends when it is closed, or garbage-collected.
#[napi]
pub struct Driver {
    engine: Arc<dyn Engine>,
    outbox: Arc<Outbox>,
    wake: Arc<Mutex<Wake>>,
}

/// Starts an agent; `options` is JSON. Returns at once: the operation `start` waits until the session is ready.
/// `wake` is called when there is something to drain or events to read, once until the next `drain`.
#[napi(catch_unwind)]
pub fn start(options: String, #[napi(ts_arg_type = "() => void")] wake: Wake) -> Result<Driver> {
    let options: Options = from_json("the options cannot be read", &options)?;
    let session = Session::start(options.into()).map_err(|error| thrown(&error))?;
    Ok(Driver::new(session.driver(), wake))
}

/// Joins a room and drives the session of an agent in it; `options` is JSON. Returns at once; `wake` is as in `start`.
#[napi(catch_unwind)]
pub fn join(options: String, #[napi(ts_arg_type = "() => void")] wake: Wake) -> Result<Driver> {
    let options: Joining = from_json("the options cannot be read", &options)?;
    let session = JoinOptions::try_from(options).and_then(Session::join).map_err(|error| thrown(&error))?;
    Ok(Driver::new(session.driver(), wake))
}

/// Connects to the session that a daemon holds under `name`, on a thread of Node's pool; `wake` is as in `start`.
#[napi(catch_unwind, ts_return_type = "Promise<Driver>")]
pub fn open(name: String, #[napi(ts_arg_type = "() => void")] wake: Wake) -> AsyncTask<Open> {
    AsyncTask::new(Open { name, wake: Some(wake) })
}

/// The work of [`open`].
pub struct Open {
    name: String,
    wake: Option<Wake>,
}

impl Task for Open {
    type Output = Remote;
    type JsValue = Driver;

    fn compute(&mut self) -> Result<Remote> {
        let open = || Remote::open(&self.name.parse::<SessionName>()?);
        // Nothing catches a panic of this thread but this.
        let opened =
            panic::catch_unwind(open).unwrap_or_else(|_| Err(Error::new(Code::Internal, "open panicked")));
        opened.map_err(|error| thrown(&error))
    }

    fn resolve(&mut self, _: Env, remote: Remote) -> Result<Driver> {
        let twice = || thrown(&Error::new(Code::Internal, "open resolved twice"));
        Ok(Driver::new(Arc::new(remote), self.wake.take().ok_or_else(twice)?))
    }
}

#[napi]
impl Driver {
    /// Submits an operation, which is JSON; `timeout` is milliseconds, or null for the operation's default. The answer
    /// is drained under `token`, exactly once. Returns the number to cancel it by.
    #[napi(catch_unwind)]
    pub fn submit(&self, json: String, timeout: Option<f64>, token: i64) -> Result<i64> {
        let operation = operation(&json)?;
        let call = self.outbox.submit(&*self.engine, unsigned(token), operation, timeout.map(millis));
        Ok(signed(call.0))
    }

    /// Gives a call up. It is answered all the same, with the code `cancelled` if nothing else.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: i64) {
        self.engine.cancel(CallId(unsigned(call)));
    }

    /// Takes all answers. Read the events after this, not before, to miss no wake.
    #[napi(catch_unwind)]
    pub fn drain(&self) -> Vec<Completion> {
        self.outbox.drain().into_iter().map(|(token, answer)| Completion::new(token, answer)).collect()
    }

    /// Reads up to `most` events from place `from` on; 0 is the beginning of what is kept.
    #[napi(catch_unwind)]
    pub fn read_events(&self, from: i64, most: u32) -> EventsRead {
        self.engine.read_events(unsigned(from), usize::try_from(most).unwrap_or(usize::MAX)).into()
    }

    /// The place after the last event.
    #[napi(catch_unwind)]
    pub fn end_of_events(&self) -> i64 {
        signed(self.engine.end_of_events())
    }

    /// How the session stands, as JSON.
    #[napi(catch_unwind)]
    pub fn status(&self) -> String {
        to_json(&self.engine.status())
    }

    /// Ends the session. What is drained under `token` says that its agent is gone.
    #[napi(catch_unwind)]
    pub fn close(&self, token: i64) {
        self.outbox.close(&*self.engine, unsigned(token));
    }

    /// Ends the session itself, where closing only lets go of it. What is drained under `token` says how that went.
    #[napi(catch_unwind)]
    pub fn end_session(&self, token: i64) {
        self.outbox.end_session(&*self.engine, unsigned(token));
    }

    /// From now on the session keeps Node alive.
    #[napi(catch_unwind, js_name = "ref")]
    pub fn refer(&self, env: Env) -> Result<()> {
        #[allow(deprecated, reason = "there is no other way to change it after the function is made")]
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).refer(&env)
    }

    /// From now on the session does not keep Node alive.
    #[napi(catch_unwind)]
    pub fn unref(&self, env: Env) -> Result<()> {
        #[allow(deprecated, reason = "there is no other way to change it after the function is made")]
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).unref(&env)
    }
}

impl Driver {
    pub(crate) fn new(engine: Arc<dyn Engine>, wake: Wake) -> Self {
        let wake = Arc::new(Mutex::new(wake));
        let waker = Arc::clone(&wake);
        let outbox = Outbox::new(Box::new(move || {
            // It fails when the environment is being torn down: nobody is left to hear of it.
            waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .call((), ThreadsafeFunctionCallMode::NonBlocking);
        }));
        outbox.watch(&*engine);
        Self { engine, outbox, wake }
    }
}
