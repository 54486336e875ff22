//! Speech from files and samples, and into files: signed 16-bit little-endian, 48 kHz, mono.

use std::path::PathBuf;

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

/// The speech in interleaved samples: signed 16-bit little-endian, at `rate` Hz.
#[pyfunction]
pub(crate) fn speech_from_pcm<'py>(
    py: Python<'py>,
    samples: &[u8],
    rate: u32,
    channels: u16,
) -> PyResult<Bound<'py, PyBytes>> {
    let speech =
        py.detach(|| voice::speech_from_pcm(rate, channels, samples)).map_err(|error| raise(&error))?;
    Ok(PyBytes::new(py, speech.samples()))
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
