//! Writing.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::{EXTENSIBLE, FLOAT, GUID_TAIL, PCM, UNKNOWN, WavError, Why, name_of};
use crate::format::Format;
use crate::sample::Sample as _;

/// How samples are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// 16 bits, which everything reads; what is beyond full scale is clipped.
    #[default]
    S16,
    /// 24 bits; what is beyond full scale is clipped.
    S24,
    /// 32 bits, float: exact.
    F32,
}

/// Writes a WAV file bit by bit. Until it is finished its header says that it goes up to its end, so what was written before the process
/// was killed can be read.
#[derive(Debug)]
pub struct Writer<W: Write + Seek> {
    name: String,
    output: W,
    format: Format,
    encoding: Encoding,
    /// Bytes of samples.
    written: u64,
    finished: bool,
}

impl Writer<BufWriter<File>> {
    /// Makes a file, or makes it empty, and writes its header.
    ///
    /// # Errors
    /// [`WavError`] where the system says no.
    pub fn create(path: &Path, format: Format, encoding: Encoding) -> Result<Self, WavError> {
        let name = name_of(path);
        match File::create(path) {
            Ok(file) => Self::new(name, BufWriter::with_capacity(1 << 16, file), format, encoding),
            Err(error) => Err(WavError { name, why: error.into() }),
        }
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Writes the header to `output`, which errors call `name`.
    ///
    /// # Errors
    /// [`WavError`] where the system says no.
    pub fn new(
        name: impl Into<String>,
        output: W,
        format: Format,
        encoding: Encoding,
    ) -> Result<Self, WavError> {
        let mut writer = Self { name: name.into(), output, format, encoding, written: 0, finished: false };
        match writer.head(UNKNOWN) {
            Ok(()) => Ok(writer),
            Err(error) => {
                writer.finished = true;
                Err(writer.failed(error))
            }
        }
    }

    /// Rate and channels.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Writes interleaved samples.
    ///
    /// # Errors
    /// [`WavError`] where the system says no, or 4 GiB are full.
    pub fn write(&mut self, samples: &[f32]) -> Result<(), WavError> {
        let size = (samples.len() * self.encoding.size()) as u64;
        if self.written + size > u64::from(UNKNOWN) - self.head_size() - 1 {
            return Err(WavError { name: self.name.clone(), why: Why::TooLong });
        }
        for &sample in samples {
            let done = match self.encoding {
                Encoding::S16 => self.output.write_all(&i16::from_f32(sample).to_le_bytes()),
                Encoding::S24 => self.output.write_all(&s24(sample)),
                Encoding::F32 => self.output.write_all(&sample.to_le_bytes()),
            };
            done.map_err(|error| self.failed(error))?;
        }
        self.written += size;
        Ok(())
    }

    /// Samples of each channel that were written.
    pub fn length(&self) -> u64 {
        self.written / (self.encoding.size() * self.format.channels()) as u64
    }

    /// Fills in the sizes. Without it that happens when the writer is dropped, but then an error is lost.
    ///
    /// # Errors
    /// [`WavError`] where the system says no.
    pub fn finish(mut self) -> Result<(), WavError> {
        self.complete().map_err(|error| self.failed(error))
    }

    fn complete(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        if self.written % 2 == 1 {
            self.output.write_all(&[0])?;
        }
        self.output.seek(SeekFrom::Start(0))?;
        self.head(self.written as u32)?;
        self.output.seek(SeekFrom::End(0))?;
        self.output.flush()
    }

    fn head(&mut self, size: u32) -> io::Result<()> {
        let whole = if size == UNKNOWN { UNKNOWN } else { size + size % 2 + self.head_size() as u32 - 8 };
        let (rate, channels) = (self.format.rate(), self.format.channels() as u16);
        let bytes = self.encoding.size() as u16;
        let tag = if self.encoding == Encoding::F32 { FLOAT } else { PCM };
        let mut head = Vec::with_capacity(68);
        head.extend_from_slice(b"RIFF");
        head.extend_from_slice(&whole.to_le_bytes());
        head.extend_from_slice(b"WAVEfmt ");
        let extended = self.is_extended();
        head.extend_from_slice(&if extended { 40_u32 } else { 16 }.to_le_bytes());
        head.extend_from_slice(&if extended { EXTENSIBLE } else { tag }.to_le_bytes());
        head.extend_from_slice(&channels.to_le_bytes());
        head.extend_from_slice(&rate.to_le_bytes());
        head.extend_from_slice(&(rate * u32::from(channels * bytes)).to_le_bytes());
        head.extend_from_slice(&(channels * bytes).to_le_bytes());
        head.extend_from_slice(&(bytes * 8).to_le_bytes());
        if extended {
            head.extend_from_slice(&22_u16.to_le_bytes());
            head.extend_from_slice(&(bytes * 8).to_le_bytes());
            // Which speaker a channel is for is not known.
            head.extend_from_slice(&0_u32.to_le_bytes());
            head.extend_from_slice(&tag.to_le_bytes());
            head.extend_from_slice(&GUID_TAIL);
        }
        head.extend_from_slice(b"data");
        head.extend_from_slice(&size.to_le_bytes());
        self.output.write_all(&head)
    }

    /// More than two channels, or more than 16 bits that are not float, need the longer header.
    fn is_extended(&self) -> bool {
        self.format.channels() > 2 || self.encoding == Encoding::S24
    }

    fn head_size(&self) -> u64 {
        if self.is_extended() { 68 } else { 44 }
    }

    fn failed(&self, error: io::Error) -> WavError {
        WavError { name: self.name.clone(), why: error.into() }
    }
}

impl<W: Write + Seek> Drop for Writer<W> {
    fn drop(&mut self) {
        let _ = self.complete();
    }
}

impl Encoding {
    /// Bytes of one sample.
    const fn size(self) -> usize {
        match self {
            Self::S16 => 2,
            Self::S24 => 3,
            Self::F32 => 4,
        }
    }
}

fn s24(sample: f32) -> [u8; 3] {
    let scaled = (sample * 8_388_608.0).round().clamp(-8_388_608.0, 8_388_607.0) as i32;
    let [a, b, c, _] = scaled.to_le_bytes();
    [a, b, c]
}
