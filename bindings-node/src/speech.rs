//! Speech from files and samples, and into files: signed 16-bit little-endian, 48 kHz, mono.

use std::path::Path;

use greenroom_engine::voice::{self, Note};
use greenroom_protocol::Error;
use greenroom_protocol::voice::Speech;
use napi::Result;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::exchange::thrown;

/// Speech, and what was odd about the sound that it was made of.
#[napi(object)]
pub struct MadeSpeech {
    /// Signed 16-bit little-endian samples, 48 kHz, mono.
    pub samples: Buffer,
    /// What was odd.
    pub notes: Vec<SoundNote>,
}

/// Something that was odd about a sound.
#[napi(object)]
pub struct SoundNote {
    /// A stable name.
    pub code: String,
    /// What it is.
    pub message: String,
}

fn made(sound: std::result::Result<voice::Sound, Error>) -> Result<MadeSpeech> {
    let sound = sound.map_err(|error| thrown(&error))?;
    Ok(MadeSpeech { samples: sound.speech.samples().to_vec().into(), notes: told(&sound.notes) })
}

fn told(notes: &[Note]) -> Vec<SoundNote> {
    notes.iter().map(|note| SoundNote { code: note.code().to_owned(), message: note.to_string() }).collect()
}

fn channel(named: Option<u32>) -> Option<usize> {
    named.map(|channel| channel as usize)
}

/// The speech in a WAV file, of any rate and number of channels; of several, the named one or those that are heard.
#[napi(catch_unwind)]
pub fn speech_from_wav(path: String, named: Option<u32>) -> Result<MadeSpeech> {
    made(voice::speech_from_wav(Path::new(&path), channel(named)))
}

/// The speech in interleaved samples, at `rate` Hz: signed 16-bit, or floats; or in the content of a WAV file.
#[napi(catch_unwind)]
pub fn speech_from_pcm(
    samples: Buffer,
    rate: u32,
    channels: u32,
    is_float: bool,
    named: Option<u32>,
) -> Result<MadeSpeech> {
    // So many are no format either.
    let channels = u16::try_from(channels).unwrap_or(u16::MAX);
    made(voice::speech_from_pcm(rate, channels, &samples, is_float, channel(named)))
}

/// Makes speech of samples that come in parts, as they come.
#[napi]
pub struct SpeechStream(voice::SpeechStream);

#[napi]
impl SpeechStream {
    /// Of interleaved samples at `rate` Hz; of several channels, the named one or those that are heard.
    #[napi(constructor, catch_unwind)]
    pub fn new(rate: u32, channels: u32, named: Option<u32>) -> Result<Self> {
        let channels = u16::try_from(channels).unwrap_or(u16::MAX);
        let stream = voice::SpeechStream::new(rate, channels, channel(named));
        Ok(Self(stream.map_err(|error| thrown(&error))?))
    }

    /// Takes 16-bit samples, and gives the speech that can be made of them so far.
    #[napi(catch_unwind)]
    pub fn take(&mut self, samples: Buffer) -> Result<Buffer> {
        Ok(self.0.take(&samples, false).map_err(|error| thrown(&error))?.into())
    }

    /// What is odd about what has come so far.
    #[napi(catch_unwind)]
    pub fn notes(&self) -> Vec<SoundNote> {
        told(&self.0.notes())
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
