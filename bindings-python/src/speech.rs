//! Speech from files and samples, and into files: signed 16-bit little-endian, 48 kHz, mono.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use greenroom_engine::voice;
use greenroom_protocol::voice::Speech;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;

/// The speech in a WAV file, of any rate and number of channels.
#[pyfunction]
pub(crate) fn speech_from_wav(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    let speech = py.detach(|| voice::speech_from_wav(&path)).map_err(|error| raise(&error))?;
    Ok(PyBytes::new(py, speech.samples()))
}

/// The same, from the content of such a file.
#[pyfunction]
pub(crate) fn speech_from_wav_bytes<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let speech = py.detach(|| voice::speech_from_wav_bytes(content)).map_err(|error| raise(&error))?;
    Ok(PyBytes::new(py, speech.samples()))
}

/// The speech in interleaved samples, at `rate` Hz: signed 16-bit, or floats.
#[pyfunction]
pub(crate) fn speech_from_pcm<'py>(
    py: Python<'py>,
    samples: &[u8],
    rate: u32,
    channels: u16,
    is_float: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let speech = py.detach(|| voice::speech_from_pcm(rate, channels, samples, is_float));
    let speech = speech.map_err(|error| raise(&error))?;
    Ok(PyBytes::new(py, speech.samples()))
}

/// Makes speech of samples that come in parts, as they come.
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct SpeechStream(Mutex<voice::SpeechStream>);

#[pymethods]
impl SpeechStream {
    #[new]
    fn new(rate: u32, channels: u16) -> PyResult<Self> {
        let stream = voice::SpeechStream::new(rate, channels).map_err(|error| raise(&error))?;
        Ok(Self(Mutex::new(stream)))
    }

    /// Takes 16-bit samples, and gives the speech that can be made of them so far.
    fn take<'py>(&self, py: Python<'py>, samples: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let taken = self.lock().take(samples, false);
        Ok(PyBytes::new(py, &taken.map_err(|error| raise(&error))?))
    }

    /// Nothing more comes: gives the rest.
    fn finish<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.lock().finish())
    }
}

impl SpeechStream {
    fn lock(&self) -> MutexGuard<'_, voice::SpeechStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Speech in noise, `"white"`, `"babble"` or `"impulses"` of a seed, which is `snr` dB above it. `samples` are at 48 kHz.
#[pyfunction]
pub(crate) fn noisy<'py>(
    py: Python<'py>,
    samples: &[u8],
    noise: &str,
    snr: f32,
    seed: u32,
) -> PyResult<Bound<'py, PyBytes>> {
    let made = py.detach(|| voice::noisy(&Speech::new(samples.to_vec())?, noise, snr, seed.into()));
    Ok(PyBytes::new(py, made.map_err(|error| raise(&error))?.samples()))
}

/// Writes speech into a WAV file.
#[pyfunction]
pub(crate) fn write_wav(py: Python<'_>, path: PathBuf, samples: &[u8]) -> PyResult<()> {
    let written = py.detach(|| voice::write_wav(&path, &Speech::new(samples.to_vec())?));
    written.map_err(|error| raise(&error))
}
