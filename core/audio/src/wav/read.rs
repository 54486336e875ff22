//! Reading.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use audio_codec_algorithms::{decode_alaw, decode_ulaw};

use super::{A_LAW, EXTENSIBLE, FLOAT, GUID_TAIL, MU_LAW, PCM, UNKNOWN, WavError, Why, name_of};
use crate::format::Format;
use crate::sample::Sample as _;

/// Programs that write into a pipe announce such a size or more, and mean that they do not know.
const ABSURD: u64 = 0x7fff_0000;

/// The most of a `fmt ` chunk that means anything.
const FMT: usize = 40;

/// Samples that are decoded at once.
const STEP: usize = 2048;

/// Reads a WAV file bit by bit.
#[derive(Debug)]
pub struct Reader<R> {
    name: String,
    input: R,
    format: Format,
    coding: Coding,
    /// Where the samples begin, in bytes, and how many bytes of them there are; `None` up to the end.
    begin: u64,
    announced: Option<u64>,
    /// Bytes that were read.
    read: u64,
    truncated: bool,
    bytes: Vec<u8>,
}

/// How a sample is stored: in how many bytes, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Coding {
    size: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned8,
    /// Shifted left by so many bits it fills its bytes.
    Signed {
        shift: u32,
    },
    Float32,
    Float64,
    ALaw,
    MuLaw,
}

impl Reader<BufReader<File>> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`WavError`] where there is no such file, or it is none that can be read.
    pub fn open(path: &Path) -> Result<Self, WavError> {
        let name = name_of(path);
        match File::open(path) {
            Ok(file) => Self::new(name, BufReader::new(file)),
            Err(error) => Err(WavError { name, why: error.into() }),
        }
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header of `input`, which errors call `name`.
    ///
    /// # Errors
    /// [`WavError`] where it is none that can be read.
    pub fn new(name: impl Into<String>, mut input: R) -> Result<Self, WavError> {
        let name = name.into();
        match Header::read(&mut input) {
            Ok(header) => Ok(Self {
                name,
                input,
                format: header.format,
                coding: header.coding,
                begin: header.begin,
                announced: header.announced,
                read: 0,
                truncated: false,
                bytes: vec![0; header.coding.size * header.format.channels() * STEP],
            }),
            Err(why) => Err(WavError { name, why }),
        }
    }

    /// Rate and channels.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// How many samples of each channel the header announces; `None` where it says nothing.
    pub fn announced(&self) -> Option<u64> {
        self.announced.map(|bytes| bytes / self.instant() as u64)
    }

    /// Whether the file has ended before what its header announces, or in the middle of an instant.
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Reads interleaved samples, as many whole instants as `samples` holds or are left, and gives the number of instants; 0 at the end.
    ///
    /// # Errors
    /// [`WavError`] where the system says no.
    pub fn read(&mut self, samples: &mut [f32]) -> Result<usize, WavError> {
        let (instant, channels) = (self.instant(), self.format.channels());
        let mut done = 0;
        for part in samples.chunks_mut(STEP * channels) {
            let wanted = part.len() / channels * instant;
            let got = match self.fill(wanted) {
                Ok(got) => got / instant,
                Err(error) => return Err(WavError { name: self.name.clone(), why: error.into() }),
            };
            self.coding.decode(&self.bytes[..got * instant], part);
            done += got;
            if got * instant < wanted {
                break;
            }
        }
        Ok(done)
    }

    /// Bytes of one sample of every channel.
    const fn instant(&self) -> usize {
        self.coding.size * self.format.channels()
    }

    /// Reads up to `wanted` bytes of samples; fewer only at the end.
    fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        let left = self.announced.map_or(u64::MAX, |announced| announced - self.read);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
        let got = read_up_to(&mut self.input, &mut self.bytes[..wanted])?;
        self.read += got as u64;
        if got < wanted && self.announced.is_some() || got % self.instant() > 0 {
            self.truncated = true;
        }
        Ok(got)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Goes back to the first sample.
    ///
    /// # Errors
    /// [`WavError`] where the system says no.
    pub fn rewind(&mut self) -> Result<(), WavError> {
        self.read = 0;
        match self.input.seek(SeekFrom::Start(self.begin)) {
            Ok(_) => Ok(()),
            Err(error) => Err(WavError { name: self.name.clone(), why: error.into() }),
        }
    }
}

struct Header {
    format: Format,
    coding: Coding,
    begin: u64,
    announced: Option<u64>,
}

impl Header {
    fn read(input: &mut impl Read) -> Result<Self, Why> {
        let mut walk = Walk { input, at: 0, held: None };
        let mut tags = [0; 12];
        if walk.take(&mut tags)? < tags.len() {
            return Err(Why::NotWav("it is shorter than a header"));
        }
        let big = match &tags[..4] {
            b"RIFF" => false,
            b"RF64" | b"BW64" => true,
            b"RIFX" => return Err(Why::Unsupported("its numbers are big-endian (RIFX)".to_owned())),
            _ => return Err(Why::NotWav("it does not begin with RIFF")),
        };
        if &tags[8..] != b"WAVE" {
            return Err(Why::NotWav("what follows RIFF is not WAVE"));
        }
        let whole = u32_at(&tags, 4);
        let (mut described, mut big_size) = (None, None);
        loop {
            let mut head = [0; 8];
            if walk.take(&mut head)? < head.len() {
                return Err(Why::NotWav("it has no data chunk"));
            }
            let size = u32_at(&head, 4);
            match &head[..4] {
                b"fmt " => {
                    described =
                        Some(walk.chunk::<FMT>(size).and_then(|(fmt, length)| describe(&fmt[..length]))?)
                }
                b"ds64" if big => {
                    let (sizes, length) = walk.chunk::<24>(size)?;
                    big_size = (length >= 16)
                        .then(|| u64::from(u32_at(&sizes, 8)) | u64::from(u32_at(&sizes, 12)) << 32);
                }
                b"data" => {
                    let (format, coding) =
                        described.ok_or(Why::NotWav("its data comes before its format"))?;
                    let announced = match big_size {
                        Some(size_64) if size == UNKNOWN => Some(size_64),
                        // A size that was to be filled in at the end, by a program that did not come to it.
                        _ if size == 0 && matches!(whole, 0 | UNKNOWN) => None,
                        _ => Some(size.into()),
                    };
                    let announced = announced.filter(|&size| big_size.is_some() || size < ABSURD);
                    return Ok(Self { format, coding, begin: walk.at, announced });
                }
                _ => {
                    walk.chunk::<0>(size)?;
                }
            }
        }
    }
}

/// Goes through chunks, counting bytes.
struct Walk<'a, R> {
    input: &'a mut R,
    at: u64,
    /// A byte that was looked at and belongs to the next chunk.
    held: Option<u8>,
}

impl<R: Read> Walk<'_, R> {
    /// Reads bytes, fewer only at the end.
    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let held = usize::from(self.held.is_some() && !bytes.is_empty());
        if held == 1 {
            bytes[0] = self.held.take().unwrap_or_default();
        }
        let got = held + read_up_to(self.input, &mut bytes[held..])?;
        self.at += got as u64;
        Ok(got)
    }

    /// Goes over a chunk and keeps up to `N` bytes of it; gives how many.
    fn chunk<const N: usize>(&mut self, size: u32) -> Result<([u8; N], usize), Why> {
        let mut kept = [0; N];
        let wanted = N.min(size as usize);
        let got = self.take(&mut kept[..wanted])?;
        let mut left = u64::from(size) - wanted as u64;
        let mut dropped = [0; 512];
        while left > 0 {
            let part = dropped.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if self.take(&mut dropped[..part])? < part {
                return Err(Why::NotWav("it ends before its data chunk"));
            }
            left -= part as u64;
        }
        // A chunk of odd size is followed by a byte to make it even, which some programs forget; no chunk's name begins with 0.
        let mut even = [0];
        if size % 2 == 1 && self.take(&mut even)? == 1 && even[0] != 0 {
            self.at -= 1;
            self.held = Some(even[0]);
        }
        Ok((kept, got))
    }
}

/// Reads a `fmt ` chunk.
fn describe(fmt: &[u8]) -> Result<(Format, Coding), Why> {
    if fmt.len() < 16 {
        return Err(Why::NotWav("its format chunk is too short"));
    }
    let (mut tag, channels, rate) = (u16_at(fmt, 0), u16_at(fmt, 2), u32_at(fmt, 4));
    let (instant, bits) = (u16_at(fmt, 12), u16_at(fmt, 14));
    let format = Format::new(rate, channels)?;
    if tag == EXTENSIBLE {
        if fmt.len() < FMT || fmt[26..40] != GUID_TAIL {
            return Err(Why::Unsupported("its format is one that only its maker knows".to_owned()));
        }
        tag = u16_at(fmt, 24);
    }
    let size = usize::from(instant / channels);
    let kind = match (tag, size, bits) {
        _ if instant % channels != 0 => None,
        (PCM, 1, 1..=8) => Some(Kind::Unsigned8),
        // Fewer bits than bytes hold are at the top of the last bytes that they need.
        (PCM, 2..=4, 1..=32) => {
            let needed = usize::from(bits.div_ceil(8));
            size.checked_sub(needed).map(|spare| Kind::Signed { shift: 8 * spare as u32 })
        }
        (FLOAT, 4, 32) => Some(Kind::Float32),
        (FLOAT, 8, 64) => Some(Kind::Float64),
        (A_LAW, 1, 8) => Some(Kind::ALaw),
        (MU_LAW, 1, 8) => Some(Kind::MuLaw),
        _ => None,
    };
    match kind {
        Some(kind) => Ok((format, Coding { size, kind })),
        None => Err(Why::Unsupported(format!(
            "its samples of {bits} bits in {size} bytes are of kind {tag:#06x}"
        ))),
    }
}

impl Coding {
    fn decode(self, bytes: &[u8], samples: &mut [f32]) {
        for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(self.size)) {
            *sample = match (self.kind, bytes) {
                (Kind::Unsigned8, &[byte]) => (f32::from(byte) - 128.0) / 128.0,
                (Kind::ALaw, &[byte]) => decode_alaw(byte).to_f32(),
                (Kind::MuLaw, &[byte]) => decode_ulaw(byte).to_f32(),
                (Kind::Signed { shift }, &[a, b]) => (i16::from_le_bytes([a, b]) << shift).to_f32(),
                (Kind::Signed { shift }, &[a, b, c]) => (i32::from_le_bytes([0, a, b, c]) << shift).to_f32(),
                (Kind::Signed { shift }, &[a, b, c, d]) => {
                    (i32::from_le_bytes([a, b, c, d]) << shift).to_f32()
                }
                (Kind::Float32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
                (Kind::Float64, &[a, b, c, d, e, f, g, h]) => {
                    f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
                }
                // A size goes with its kind.
                _ => 0.0,
            };
        }
    }
}

/// Reads until the slice is full or the input has ended.
fn read_up_to(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match input.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
