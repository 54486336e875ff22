//! Speech from files and samples, and into files: signed 16-bit little-endian, 48 kHz, mono.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use greenroom_engine::voice::{self, Note};
use greenroom_protocol::Error;
use greenroom_protocol::voice::Speech;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;

/// Speech, and what was odd about the sound that it was made of: a stable name and a text of each thing.
type Made<'py> = (Bound<'py, PyBytes>, Vec<(&'static str, String)>);

fn made(py: Python<'_>, sound: Result<voice::Sound, Error>) -> PyResult<Made<'_>> {
    let sound = sound.map_err(|error| raise(&error))?;
    Ok((PyBytes::new(py, sound.speech.samples()), told(&sound.notes)))
}

fn told(notes: &[Note]) -> Vec<(&'static str, String)> {
    notes.iter().map(|note| (note.code(), note.to_string())).collect()
}

/// The speech in a WAV file, of any rate and number of channels; of several, `channel` or those that are heard.
#[pyfunction]
pub(crate) fn speech_from_wav(py: Python<'_>, path: PathBuf, channel: Option<usize>) -> PyResult<Made<'_>> {
    made(py, py.detach(|| voice::speech_from_wav(&path, channel)))
}

/// The speech in interleaved samples, at `rate` Hz: signed 16-bit, or floats; or in the content of a WAV file.
#[pyfunction]
pub(crate) fn speech_from_pcm<'py>(
    py: Python<'py>,
    samples: &[u8],
    rate: u32,
    channels: u16,
    is_float: bool,
    channel: Option<usize>,
) -> PyResult<Made<'py>> {
    made(py, py.detach(|| voice::speech_from_pcm(rate, channels, samples, is_float, channel)))
}

/// Makes speech of samples that come in parts, as they come.
#[pyclass(frozen, module = "greenroom._native")]
pub(crate) struct SpeechStream(Mutex<voice::SpeechStream>);

#[pymethods]
impl SpeechStream {
    #[new]
    fn new(rate: u32, channels: u16, channel: Option<usize>) -> PyResult<Self> {
        let stream = voice::SpeechStream::new(rate, channels, channel).map_err(|error| raise(&error))?;
        Ok(Self(Mutex::new(stream)))
    }

    /// Takes 16-bit samples, and gives the speech that can be made of them so far.
    fn take<'py>(&self, py: Python<'py>, samples: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let taken = self.lock().take(samples, false);
        Ok(PyBytes::new(py, &taken.map_err(|error| raise(&error))?))
    }

    /// What is odd about what has come so far.
    fn notes(&self) -> Vec<(&'static str, String)> {
        told(&self.lock().notes())
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
