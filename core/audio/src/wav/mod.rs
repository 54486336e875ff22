//! WAV files in and out.
//!
//! Files come from many programs: with undeclared chunks, sizes that were never filled in because the file was a pipe, ends that are
//! missing because the writer was killed. Audible content is read, as ffmpeg does, and [`Reader::notes`] lists what was odd. What would
//! be noise is refused by name. The usual crate, hound, refuses or misreads such files, so the few lines that walk the chunks are ours;
//! tests hold them to hound for the ordinary ones.

mod chunks;
mod coding;
mod read;
mod write;

use std::path::Path;

pub use read::Reader;
pub use write::{Encoding, Writer};

use crate::format::{Format, FormatError};

/// Why a WAV file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {why}")]
pub struct WavError {
    /// The file, as the caller named it.
    pub name: String,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a WAV file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It is something else.
    #[error("it is no WAV file: {0}")]
    NotWav(&'static str),
    /// It is a WAV file, but of a kind that is not read here.
    #[error(
        "{0}; integers of 8 to 32 and of 64 bits, floats of 32 and 64 bits, A-law and μ-law can be read, so convert it (ffmpeg -i IN -c:a pcm_s16le OUT.wav)"
    )]
    Unsupported(String),
    /// Its rate or channels are not audio.
    #[error("{0}")]
    Format(#[from] FormatError),
    /// A WAV file cannot be as long.
    #[error("a WAV file holds at most 4 GiB; begin another")]
    TooLong,
    /// The system says no.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Reads a whole file: its format, and its samples interleaved.
///
/// # Errors
/// [`WavError`] where there is no such file, or it is none that can be read.
pub fn read(path: &Path) -> Result<(Format, Vec<f32>), WavError> {
    let mut reader = Reader::open(path)?;
    let format = reader.format();
    let mut samples = Vec::new();
    let mut chunk = vec![0.0; 4096 * format.channels()];
    loop {
        let read = reader.read(&mut chunk)?;
        if read == 0 {
            return Ok((format, samples));
        }
        samples.extend_from_slice(&chunk[..read * format.channels()]);
    }
}

/// Writes a whole file of interleaved samples with 16 bits.
///
/// # Errors
/// [`WavError`] where it cannot be written.
pub fn write(path: &Path, format: Format, samples: &[f32]) -> Result<(), WavError> {
    let mut writer = Writer::create(path, format, Encoding::S16)?;
    writer.write(samples)?;
    writer.finish()
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

// Tags of formats, and the tail that makes a GUID of one.
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
/// The same of files whose channels are the parts of a sound field (Ambisonics).
const AMBISONIC_TAIL: [u8; 14] = [0, 0, 0x21, 0x07, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0];

/// A size that was not known when it was written.
const UNKNOWN: u32 = u32::MAX;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
