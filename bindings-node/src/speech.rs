//! Speech from files and samples, and into files: signed 16-bit little-endian, 48 kHz, mono.

use std::path::Path;

use greenroom_engine::voice;
use greenroom_protocol::voice::Speech;
use napi::Result;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::exchange::thrown;

/// The speech in a WAV file, of any rate and number of channels.
#[napi(catch_unwind)]
pub fn speech_from_wav(path: String) -> Result<Buffer> {
    let speech = voice::speech_from_wav(Path::new(&path)).map_err(|error| thrown(&error))?;
    Ok(speech.samples().to_vec().into())
}

/// The same, from the content of such a file.
#[napi(catch_unwind)]
pub fn speech_from_wav_bytes(content: Buffer) -> Result<Buffer> {
    let speech = voice::speech_from_wav_bytes(&content).map_err(|error| thrown(&error))?;
    Ok(speech.samples().to_vec().into())
}

/// The speech in interleaved samples: signed 16-bit little-endian, at `rate` Hz.
#[napi(catch_unwind)]
pub fn speech_from_pcm(samples: Buffer, rate: u32, channels: u32) -> Result<Buffer> {
    // So many are no format either.
    let channels = u16::try_from(channels).unwrap_or(u16::MAX);
    let speech = voice::speech_from_pcm(rate, channels, &samples).map_err(|error| thrown(&error))?;
    Ok(speech.samples().to_vec().into())
}

/// Speech in noise, `"white"`, `"babble"` or `"impulses"` of a seed, which is `snr` dB above it; both are at 48 kHz.
#[napi(catch_unwind)]
pub fn noisy(samples: Buffer, noise: String, snr: f64, seed: u32) -> Result<Buffer> {
    let noisy = Speech::new(samples.to_vec())
        .and_then(|speech| voice::noisy(&speech, &noise, snr as f32, seed.into()))
        .map_err(|error| thrown(&error))?;
    Ok(noisy.samples().to_vec().into())
}

/// Writes speech into a WAV file.
#[napi(catch_unwind)]
pub fn write_wav(path: String, samples: Buffer) -> Result<()> {
    let written =
        Speech::new(samples.to_vec()).and_then(|speech| voice::write_wav(Path::new(&path), &speech));
    written.map_err(|error| thrown(&error))
}
