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

/// The speech in interleaved samples, at `rate` Hz: signed 16-bit, or floats.
#[napi(catch_unwind)]
pub fn speech_from_pcm(samples: Buffer, rate: u32, channels: u32, is_float: bool) -> Result<Buffer> {
    // So many are no format either.
    let channels = u16::try_from(channels).unwrap_or(u16::MAX);
    let speech =
        voice::speech_from_pcm(rate, channels, &samples, is_float).map_err(|error| thrown(&error))?;
    Ok(speech.samples().to_vec().into())
}

/// Makes speech of samples that come in parts, as they come.
#[napi]
pub struct SpeechStream(voice::SpeechStream);

#[napi]
impl SpeechStream {
    /// Of interleaved samples at `rate` Hz.
    #[napi(constructor, catch_unwind)]
    pub fn new(rate: u32, channels: u32) -> Result<Self> {
        let stream = voice::SpeechStream::new(rate, u16::try_from(channels).unwrap_or(u16::MAX));
        Ok(Self(stream.map_err(|error| thrown(&error))?))
    }

    /// Takes 16-bit samples, and gives the speech that can be made of them so far.
    #[napi(catch_unwind)]
    pub fn take(&mut self, samples: Buffer) -> Result<Buffer> {
        Ok(self.0.take(&samples, false).map_err(|error| thrown(&error))?.into())
    }

    /// Nothing more comes: gives the rest.
    #[napi(catch_unwind)]
    pub fn finish(&mut self) -> Buffer {
        self.0.finish().into()
    }
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
