//! Capture and playback.

use std::panic;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_capture::event_loop::{
    self, CaptureSettings, EventLoopDevice, PlaybackSettings, Stream, from_bytes,
};
use greenroom_capture::{Capture, CaptureOptions, Playback, PlaybackOptions};
use greenroom_protocol::{Code, Error};
use napi::bindgen_prelude::{AsyncTask, Int16Array, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, Result, Task};
use napi_derive::napi;
use serde_json::json;

use crate::driver::Wake;
use crate::exchange::{from_json, millis, signed, thrown, to_json};

/// Samples of each channel that are converted at once: more would hold Node up.
const BLOCK: usize = 48_000;

/// Recording. It is closed when it is garbage-collected.
#[napi]
pub struct CaptureDriver(Held<Capture>);

/// Playing. It is closed when it is garbage-collected.
#[napi]
pub struct PlaybackDriver(Held<Playback>);

/// A stream, and the function that is called when it is time to ask it again.
struct Held<S> {
    stream: Stream<S>,
    wake: Arc<Mutex<Wake>>,
}

/// A stretch of audio; without samples it is the end of the stream.
#[napi(object)]
pub struct FramePolled {
    /// The samples, the channels of an instant side by side.
    pub data: Option<Int16Array>,
    /// Milliseconds since the stream's clock began; see `age`.
    pub time: f64,
    /// Samples of each channel that are missing before it.
    pub lost: i64,
}

/// Begins to record from a device, which is a function where `isFunction` says so; `options` is JSON. `wake` is called when it is time to
/// ask again for what was null.
#[napi(catch_unwind)]
pub fn capture(
    options: String,
    is_function: bool,
    #[napi(ts_arg_type = "() => void")] wake: Wake,
) -> Result<CaptureDriver> {
    let settings: CaptureSettings = from_json("the options cannot be read", &options)?;
    let options = CaptureOptions::try_from(settings).map_err(|error| thrown(&error))?;
    let begin = if is_function { Stream::capture_function } else { Stream::capture };
    Held::new(wake, |wake| begin(options, wake)).map(CaptureDriver)
}

/// Begins to play to a device, which is a function where `isFunction` says so; `options` is JSON. `wake` is called when it is time to ask
/// again for what was null or false.
#[napi(catch_unwind)]
pub fn playback(
    options: String,
    is_function: bool,
    #[napi(ts_arg_type = "() => void")] wake: Wake,
) -> Result<PlaybackDriver> {
    let settings: PlaybackSettings = from_json("the options cannot be read", &options)?;
    let options = PlaybackOptions::try_from(settings).map_err(|error| thrown(&error))?;
    let begin = if is_function { Stream::playback_function } else { Stream::playback };
    Held::new(wake, |wake| begin(options, wake)).map(PlaybackDriver)
}

#[napi]
impl CaptureDriver {
    /// What it is, as JSON, once it is open: `{device, rate, channels}`.
    #[napi(catch_unwind)]
    pub fn about(&self) -> Result<Option<String>> {
        self.0.stream.about().map_err(|error| thrown(&error))
    }

    /// The next frame, or null.
    #[napi(catch_unwind)]
    pub fn poll_frame(&self) -> Result<Option<FramePolled>> {
        let polled = self.0.stream.poll(Capture::poll_frame::<i16>).map_err(|error| thrown(&error))?;
        Ok(polled.map(|frame| match frame {
            None => FramePolled { data: None, time: 0.0, lost: 0 },
            Some(frame) => FramePolled {
                data: Some(Int16Array::new(frame.samples)),
                time: frame.time.as_secs_f64() * 1e3,
                lost: signed(frame.lost),
            },
        }))
    }

    /// The next event, as JSON, or null; `'null'` after the last.
    #[napi(catch_unwind)]
    pub fn poll_event(&self) -> Result<Option<String>> {
        self.0.stream.poll_event().map_err(|error| thrown(&error))
    }

    /// What it has done so far, as JSON, in samples of each channel: `{samples, lost, dropped}`.
    #[napi(catch_unwind)]
    pub fn recorded(&self) -> Result<String> {
        let recorded = self.0.opened()?.recorded().map_err(|error| thrown(&error.into()))?;
        Ok(to_json(&json!({
            "samples": recorded.samples, "lost": recorded.lost, "dropped": recorded.dropped,
        })))
    }

    /// How many samples of each channel the function is to give; null while it is not to be called.
    #[napi(catch_unwind)]
    pub fn poll_wanted(&self) -> Result<Option<i64>> {
        let wanted = self.0.stream.poll_wanted().map_err(|error| thrown(&error))?;
        Ok(wanted.map(|samples| signed(samples as u64)))
    }

    /// What the function gave: the bytes of samples of 16 bits, or floats, none at the end.
    #[napi(catch_unwind)]
    pub fn give(&self, bytes: Uint8Array, is_float: bool) -> Result<()> {
        self.0.stream.give(from_bytes(&bytes, is_float)).map_err(|error| thrown(&error))
    }

    /// The function failed.
    #[napi(catch_unwind)]
    pub fn fail(&self, why: String) -> Result<()> {
        self.0.stream.fail(&why).map_err(|error| thrown(&error))
    }

    /// Milliseconds since its clock began, from which the times of its frames count: 500 ms before it was opened.
    #[napi(catch_unwind)]
    pub fn age(&self) -> Result<f64> {
        Ok(self.0.opened()?.origin().elapsed().as_secs_f64() * 1e3)
    }

    /// Begins to close it.
    #[napi(catch_unwind)]
    pub fn close(&self) -> Result<()> {
        self.0.stream.close(|| {}).map_err(|error| thrown(&error))
    }

    /// Whether it is closed.
    #[napi(catch_unwind)]
    pub fn poll_closed(&self) -> Result<bool> {
        self.0.stream.is_closed().map_err(|error| thrown(&error))
    }

    /// Closes it and blocks until it is closed, for `timeout` milliseconds at most. Gives whether it is. For the process' exit.
    #[napi(catch_unwind)]
    pub fn wait_closed(&self, timeout: f64) -> Result<bool> {
        self.0.wait_closed(timeout)
    }

    /// From now on it keeps Node alive.
    #[napi(catch_unwind, js_name = "ref")]
    pub fn refer(&self, env: Env) -> Result<()> {
        self.0.refer(&env)
    }

    /// From now on it does not keep Node alive.
    #[napi(catch_unwind)]
    pub fn unref(&self, env: Env) -> Result<()> {
        self.0.unref(&env)
    }
}

#[napi]
impl PlaybackDriver {
    /// What it is, as JSON, once it is open: `{device, rate, channels}`.
    #[napi(catch_unwind)]
    pub fn about(&self) -> Result<Option<String>> {
        self.0.stream.about().map_err(|error| thrown(&error))
    }

    /// Writes the bytes of samples of 16 bits, or floats, the channels of an instant side by side, whole instants. Gives how many bytes
    /// there was room for, or null.
    #[napi(catch_unwind)]
    pub fn poll_write(&self, bytes: Uint8Array, is_float: bool) -> Result<Option<i64>> {
        let width = if is_float { 4 } else { 2 };
        let block = BLOCK * width * self.0.opened()?.format().channels();
        let samples = from_bytes(&bytes[..bytes.len().min(block)], is_float);
        let polled = self.0.stream.poll(|playback, context| playback.poll_write(context, &samples));
        Ok(polled.map_err(|error| thrown(&error))?.map(|written| signed((width * written) as u64)))
    }

    /// Has what was written played without waiting for more.
    #[napi(catch_unwind)]
    pub fn flush(&self) -> Result<()> {
        self.0.opened()?.flush().map_err(|error| thrown(&error.into()))
    }

    /// Whether all that was written has been heard or dropped.
    #[napi(catch_unwind)]
    pub fn poll_drained(&self) -> Result<bool> {
        let drained = self.0.stream.poll(Playback::poll_drained).map_err(|error| thrown(&error))?;
        Ok(drained.is_some())
    }

    /// Drops what has not reached the device.
    #[napi(catch_unwind)]
    pub fn clear(&self) -> Result<()> {
        self.0.opened()?.clear().map_err(|error| thrown(&error.into()))
    }

    /// What the function is to take; null while it is not to be called.
    #[napi(catch_unwind)]
    pub fn poll_played(&self) -> Result<Option<Int16Array>> {
        let played = self.0.stream.poll_played().map_err(|error| thrown(&error))?;
        Ok(played.map(Int16Array::new))
    }

    /// The function took it.
    #[napi(catch_unwind)]
    pub fn taken(&self) -> Result<()> {
        self.0.stream.taken().map_err(|error| thrown(&error))
    }

    /// The function failed.
    #[napi(catch_unwind)]
    pub fn fail(&self, why: String) -> Result<()> {
        self.0.stream.fail(&why).map_err(|error| thrown(&error))
    }

    /// How far it has come, as JSON, in samples of each channel: `{written, heard, waiting, dropped}`.
    #[napi(catch_unwind)]
    pub fn position(&self) -> Result<String> {
        let position = self.0.opened()?.position().map_err(|error| thrown(&error.into()))?;
        Ok(to_json(&position))
    }

    /// The next event, as JSON, or null; `'null'` after the last.
    #[napi(catch_unwind)]
    pub fn poll_event(&self) -> Result<Option<String>> {
        self.0.stream.poll_event().map_err(|error| thrown(&error))
    }

    /// Begins to close it; what has not been heard is not.
    #[napi(catch_unwind)]
    pub fn close(&self) -> Result<()> {
        self.0.stream.close(|| {}).map_err(|error| thrown(&error))
    }

    /// Whether it is closed.
    #[napi(catch_unwind)]
    pub fn poll_closed(&self) -> Result<bool> {
        self.0.stream.is_closed().map_err(|error| thrown(&error))
    }

    /// Closes it and blocks until it is closed, for `timeout` milliseconds at most. Gives whether it is. For the process' exit.
    #[napi(catch_unwind)]
    pub fn wait_closed(&self, timeout: f64) -> Result<bool> {
        self.0.wait_closed(timeout)
    }

    /// From now on it keeps Node alive.
    #[napi(catch_unwind, js_name = "ref")]
    pub fn refer(&self, env: Env) -> Result<()> {
        self.0.refer(&env)
    }

    /// From now on it does not keep Node alive.
    #[napi(catch_unwind)]
    pub fn unref(&self, env: Env) -> Result<()> {
        self.0.unref(&env)
    }
}

/// Whether a device of this name would be a virtual one.
#[napi(catch_unwind)]
pub fn is_virtual_device(name: String) -> bool {
    event_loop::is_virtual(&name)
}

/// Lists the real devices, as JSON, on a thread of Node's pool.
#[napi(catch_unwind, ts_return_type = "Promise<string>")]
pub fn devices() -> AsyncTask<Devices> {
    AsyncTask::new(Devices)
}

/// The work of [`devices`].
pub struct Devices;

impl Task for Devices {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> Result<String> {
        // Nothing catches a panic of this thread but this.
        let listed = panic::catch_unwind(greenroom_capture::devices);
        let panicked = |_| thrown(&Error::new(Code::Internal, "devices panicked"));
        Ok(to_json(&listed.map_err(panicked)?.map_err(|error| thrown(&error.into()))?))
    }

    fn resolve(&mut self, _: Env, devices: String) -> Result<String> {
        Ok(devices)
    }
}

impl<S: EventLoopDevice> Held<S> {
    fn new(
        wake: Wake,
        open: impl FnOnce(Box<dyn Fn() + Send + Sync>) -> std::result::Result<Stream<S>, Error>,
    ) -> Result<Self> {
        let wake = Arc::new(Mutex::new(wake));
        let waker = Arc::clone(&wake);
        let wakes = Box::new(move || {
            // It fails when the environment is being torn down: nobody is left to hear of it.
            waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .call((), ThreadsafeFunctionCallMode::NonBlocking);
        });
        let stream = open(wakes).map_err(|error| thrown(&error))?;
        Ok(Self { stream, wake })
    }

    fn opened(&self) -> Result<&S> {
        let opening = || thrown(&Error::new(Code::InvalidArgument, "the stream is not open yet"));
        self.stream.get().map_err(|error| thrown(&error))?.ok_or_else(opening)
    }

    fn wait_closed(&self, timeout: f64) -> Result<bool> {
        let (done, closed) = mpsc::channel();
        // Who does not wait any more is not told.
        self.stream.close(move || _ = done.send(())).map_err(|error| thrown(&error))?;
        Ok(closed.recv_timeout(millis(timeout)).is_ok())
    }

    #[allow(deprecated, reason = "there is no other way to change it after the function is made")]
    fn refer(&self, env: &Env) -> Result<()> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).refer(env)
    }

    #[allow(deprecated, reason = "there is no other way to change it after the function is made")]
    fn unref(&self, env: &Env) -> Result<()> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).unref(env)
    }
}
