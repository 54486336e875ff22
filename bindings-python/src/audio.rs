//! Capture and playback, as Python holds them.

use std::sync::{Mutex, PoisonError};

use greenroom_capture::event_loop::{
    self, CaptureSettings, EventLoopDevice, PlaybackSettings, Stream, from_bytes,
};
use greenroom_capture::{Capture, CaptureOptions, Playback, PlaybackOptions};
use greenroom_protocol::{Code, Error};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::driver::wait_until_done;
use crate::error::{invalid, raise};
use crate::json;
use crate::wake::{Reader, Wake, pair};

/// A frame as Python gets it: its samples, interleaved, None at the end of the stream; seconds since the stream's clock began; samples of each
/// channel that are missing before it.
type Frame<'py> = (Option<Bound<'py, PyBytes>>, f64, u64);

/// Samples of each channel that are converted at once.
const BLOCK: usize = 4096;

/// Recording. Nothing here blocks, except [`CaptureDriver::wait_closed`].
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct CaptureDriver(Held<Capture>);

/// Playing. Nothing here blocks, except [`PlaybackDriver::wait_closed`].
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct PlaybackDriver(Held<Playback>);

/// A stream, and the socket that is written to when it is time to ask it again.
struct Held<S> {
    stream: Stream<S>,
    reader: Mutex<Option<Reader>>,
}

#[pymethods]
impl CaptureDriver {
    /// Begins to open a device. `options` is JSON: `{"device": str|null, "rate": Hz, "channels": n, "frame_ms": ms, "queue_ms": ms,
    /// "latency": "normal"|"low", "reopen_ms": ms|null, "timeout_ms": ms, "clock": "real_time"|"fast"}`. Where the device is a function,
    /// `poll_wanted` tells when to call it, and `give` or `fail` what came of that.
    #[new]
    fn new(options: &str, is_function: bool) -> PyResult<Self> {
        let settings: CaptureSettings = json::parse("capture", options)?;
        let options = CaptureOptions::try_from(settings).map_err(|error| raise(&error))?;
        let begin = if is_function { Stream::capture_function } else { Stream::capture };
        Held::new(|wake| begin(options, Box::new(move || wake.wake()))).map(Self)
    }

    /// Gives away the socket on which one byte comes when it is time to ask again for what was not there yet. Once only.
    fn detach_fileno(&self) -> PyResult<i64> {
        self.0.detach_fileno()
    }

    /// What it is, as JSON, once it is open: `{"device": id, "rate": Hz, "channels": n}`.
    fn about(&self) -> PyResult<Option<String>> {
        self.0.stream.about().map_err(|error| raise(&error))
    }

    /// The next frame if it is there.
    fn poll_frame<'py>(&self, py: Python<'py>) -> PyResult<Option<Frame<'py>>> {
        let polled = self.0.stream.poll(Capture::poll_frame::<i16>).map_err(|error| raise(&error))?;
        let Some(frame) = polled else { return Ok(None) };
        let Some(frame) = frame else { return Ok(Some((None, 0.0, 0))) };
        Ok(Some((Some(bytes(py, &frame.samples)?), frame.time.as_secs_f64(), frame.lost)))
    }

    /// The next event if it is there, as JSON; `null` after the last.
    fn poll_event(&self) -> PyResult<Option<String>> {
        self.0.stream.poll_event().map_err(|error| raise(&error))
    }

    /// What it has done so far, as JSON, in samples of each channel: `{"samples", "lost", "dropped"}`.
    fn recorded(&self) -> PyResult<String> {
        let recorded = self.0.opened()?.recorded().map_err(|error| raise(&error.into()))?;
        Ok(json::text(&serde_json::json!({
            "samples": recorded.samples, "lost": recorded.lost, "dropped": recorded.dropped,
        })))
    }

    /// How many samples of each channel the function is to give; None while it is not to be called.
    fn poll_wanted(&self) -> PyResult<Option<usize>> {
        self.0.stream.poll_wanted().map_err(|error| raise(&error))
    }

    /// What the function gave: interleaved samples of 16 bits or floats, none at the end.
    fn give(&self, data: &[u8], is_float: bool) -> PyResult<()> {
        self.0.stream.give(from_bytes(data, is_float)).map_err(|error| raise(&error))
    }

    /// The function failed.
    fn fail(&self, why: &str) -> PyResult<()> {
        self.0.stream.fail(why).map_err(|error| raise(&error))
    }

    /// Seconds since its clock began, half a second before it was opened; its frames' times count from there.
    fn age(&self) -> PyResult<f64> {
        Ok(self.0.opened()?.origin().elapsed().as_secs_f64())
    }

    /// Begins to close it.
    fn close(&self) -> PyResult<()> {
        self.0.stream.close(|| {}).map_err(|error| raise(&error))
    }

    /// True once it is closed.
    fn poll_closed(&self) -> PyResult<bool> {
        self.0.stream.is_closed().map_err(|error| raise(&error))
    }

    /// Closes it and blocks until it is closed, for `timeout` seconds at most. Gives whether it is. For the interpreter's exit.
    fn wait_closed(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        self.0.wait_closed(py, timeout)
    }
}

#[pymethods]
impl PlaybackDriver {
    /// Begins to open a device. `options` is JSON: `{"device": str|null, "rate": Hz, "channels": n, "queue_ms": ms, "jitter_ms": ms|null,
    /// "latency": "normal"|"low", "reopen_ms": ms|null, "timeout_ms": ms, "clock": "real_time"|"fast"}`. Where the device is a function,
    /// `poll_played` tells when to call it, and `taken` or `fail` what came of that.
    #[new]
    fn new(options: &str, is_function: bool) -> PyResult<Self> {
        let settings: PlaybackSettings = json::parse("playback", options)?;
        let options = PlaybackOptions::try_from(settings).map_err(|error| raise(&error))?;
        let begin = if is_function { Stream::playback_function } else { Stream::playback };
        Held::new(|wake| begin(options, Box::new(move || wake.wake()))).map(Self)
    }

    /// Gives away the socket on which one byte comes when it is time to ask again for what was not there yet. Once only.
    fn detach_fileno(&self) -> PyResult<i64> {
        self.0.detach_fileno()
    }

    /// What it is, as JSON, once it is open: `{"device": id, "rate": Hz, "channels": n}`.
    fn about(&self) -> PyResult<Option<String>> {
        self.0.stream.about().map_err(|error| raise(&error))
    }

    /// Writes samples of 16 bits or floats, interleaved, whole instants, from byte `start` on. Gives how many bytes there was room for;
    /// None is no room yet.
    fn poll_write(&self, data: &[u8], start: usize, is_float: bool) -> PyResult<Option<usize>> {
        let width = if is_float { 4 } else { 2 };
        let block = BLOCK * width * self.0.opened()?.format().channels();
        let mut written = 0;
        for block in data.get(start..).unwrap_or_default().chunks(block) {
            let samples = from_bytes(block, is_float);
            let polled = self.0.stream.poll(|playback, context| playback.poll_write(context, &samples));
            let taken = polled.map_err(|error| raise(&error))?.unwrap_or_default();
            written += width * taken;
            if taken < samples.len() {
                break;
            }
        }
        Ok((written > 0).then_some(written))
    }

    /// Has what was written played without waiting for more.
    fn flush(&self) -> PyResult<()> {
        self.0.opened()?.flush().map_err(|error| raise(&error.into()))
    }

    /// True once all that was written has been heard or dropped.
    fn poll_drained(&self) -> PyResult<bool> {
        let drained = self.0.stream.poll(Playback::poll_drained).map_err(|error| raise(&error))?;
        Ok(drained.is_some())
    }

    /// Drops what has not reached the device.
    fn clear(&self) -> PyResult<()> {
        self.0.opened()?.clear().map_err(|error| raise(&error.into()))
    }

    /// What the function is to take, interleaved samples of 16 bits; None while it is not to be called.
    fn poll_played<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let played = self.0.stream.poll_played().map_err(|error| raise(&error))?;
        played.map(|samples| bytes(py, &samples)).transpose()
    }

    /// The function took it.
    fn taken(&self) -> PyResult<()> {
        self.0.stream.taken().map_err(|error| raise(&error))
    }

    /// The function failed.
    fn fail(&self, why: &str) -> PyResult<()> {
        self.0.stream.fail(why).map_err(|error| raise(&error))
    }

    /// How far it has come, as JSON, in samples of each channel: `{"written", "heard", "waiting", "dropped"}`.
    fn position(&self) -> PyResult<String> {
        let position = self.0.opened()?.position().map_err(|error| raise(&error.into()))?;
        Ok(json::text(&position))
    }

    /// The next event if it is there, as JSON; `null` after the last.
    fn poll_event(&self) -> PyResult<Option<String>> {
        self.0.stream.poll_event().map_err(|error| raise(&error))
    }

    /// Begins to close it; what has not been heard is not.
    fn close(&self) -> PyResult<()> {
        self.0.stream.close(|| {}).map_err(|error| raise(&error))
    }

    /// True once it is closed.
    fn poll_closed(&self) -> PyResult<bool> {
        self.0.stream.is_closed().map_err(|error| raise(&error))
    }

    /// Closes it and blocks until it is closed, for `timeout` seconds at most. Gives whether it is. For the interpreter's exit.
    fn wait_closed(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        self.0.wait_closed(py, timeout)
    }
}

/// Lists the real devices, as JSON. It blocks while they are asked, for seconds where one does not answer.
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> PyResult<String> {
    let devices = py.detach(greenroom_capture::devices).map_err(|error| raise(&error.into()))?;
    Ok(json::text(&devices))
}

fn bytes<'py>(py: Python<'py>, samples: &[i16]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, samples.len() * 2, |bytes| {
        for (two, sample) in bytes.chunks_exact_mut(2).zip(samples) {
            two.copy_from_slice(&sample.to_ne_bytes());
        }
        Ok(())
    })
}

/// Whether a device of this name would be a virtual one.
#[pyfunction]
pub(crate) fn is_virtual_device(name: &str) -> bool {
    event_loop::is_virtual(name)
}

impl<S: EventLoopDevice> Held<S> {
    fn new(open: impl FnOnce(Wake) -> Result<Stream<S>, Error>) -> PyResult<Self> {
        let (wake, reader) = pair()?;
        let stream = open(wake).map_err(|error| raise(&error))?;
        Ok(Self { stream, reader: Mutex::new(Some(reader)) })
    }

    fn detach_fileno(&self) -> PyResult<i64> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        reader.map(Reader::into_fileno).ok_or_else(|| invalid("the socket was given away already"))
    }

    fn opened(&self) -> PyResult<&S> {
        let opening = || raise(&Error::new(Code::InvalidArgument, "the stream is not open yet"));
        self.stream.get().map_err(|error| raise(&error))?.ok_or_else(opening)
    }

    fn wait_closed(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = json::seconds("timeout", timeout)?;
        py.detach(|| {
            let mut began = Ok(());
            let is_closed = wait_until_done(|done| began = self.stream.close(done), timeout);
            began.map(|()| is_closed)
        })
        .map_err(|error| raise(&error))
    }
}
