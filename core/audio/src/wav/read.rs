//! Reading.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use super::chunks::{Input, is_chunk};
use super::coding::{Coding, Description, FMT, Question};
use super::{UNKNOWN, WavError, Why, name_of, u32_at};
use crate::format::Format;
use crate::note::Note;

/// Programs that write into a pipe announce such a size or more, and mean that they do not know.
const ABSURD: u64 = 0x7fff_0000;

/// Samples that are decoded at once.
const STEP: usize = 2048;

/// Bytes to inspect if only the samples show how they are stored.
const LOOK: usize = 1 << 20;

/// Reads a WAV file bit by bit.
#[derive(Debug)]
pub struct Reader<R> {
    name: String,
    input: Input<R>,
    format: Format,
    coding: Coding,
    question: Option<Question>,
    answered: bool,
    /// Where the samples begin, in bytes, and how many bytes of them there are; `None` up to the end.
    begin: u64,
    announced: Option<u64>,
    /// Bytes of the whole file, where that is known.
    length: Option<u64>,
    /// Bytes that were read.
    read: u64,
    notes: Vec<Note>,
    bytes: Vec<u8>,
}

impl Reader<BufReader<File>> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`WavError`] where there is no such file, or it is none that can be read.
    pub fn open(path: &Path) -> Result<Self, WavError> {
        let name = name_of(path);
        let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
        match opened {
            // A pipe has no length.
            Ok((file, about)) => {
                Self::start(name, BufReader::new(file), about.is_file().then_some(about.len()))
            }
            Err(error) => Err(WavError { name, why: error.into() }),
        }
    }
}

impl<'a> Reader<Cursor<&'a [u8]>> {
    /// Reads the header of a file's content, which errors call `name`.
    ///
    /// # Errors
    /// [`WavError`] where it is none that can be read.
    pub fn of_content(name: impl Into<String>, content: &'a [u8]) -> Result<Self, WavError> {
        Self::start(name.into(), Cursor::new(content), Some(content.len() as u64))
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header of `input`, which errors call `name`.
    ///
    /// # Errors
    /// [`WavError`] where it is none that can be read.
    pub fn new(name: impl Into<String>, input: R) -> Result<Self, WavError> {
        Self::start(name.into(), input, None)
    }

    fn start(name: String, input: R, length: Option<u64>) -> Result<Self, WavError> {
        let mut input = Input::new(input);
        match Header::read(&mut input, length) {
            Ok(header) => {
                let Description { format, coding, question, note } = header.description;
                let mut notes = header.notes;
                notes.extend(note);
                let bytes = vec![0; coding.size * format.channels() * STEP];
                let (begin, announced) = (header.begin, header.announced);
                let mut reader = Self {
                    name,
                    input,
                    format,
                    coding,
                    question,
                    answered: question.is_none(),
                    begin,
                    announced,
                    length,
                    read: 0,
                    notes,
                    bytes,
                };
                reader.compare_with_length();
                Ok(reader)
            }
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

    /// What is odd about the file, as far as it has been read. Each kind is there once.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether the file has ended before what its header announces, or in the middle of an instant.
    pub fn is_truncated(&self) -> bool {
        self.notes.iter().any(|note| matches!(note, Note::Truncated { .. } | Note::PartialSample))
    }

    /// Reads interleaved samples, as many whole instants as `samples` holds or are left, and returns the number of instants; 0 at the end.
    ///
    /// # Errors
    /// [`WavError`] where the system says no, or where the samples are not stored as they seemed to be.
    pub fn read(&mut self, samples: &mut [f32]) -> Result<usize, WavError> {
        self.read_some(samples).map_err(|why| WavError { name: self.name.clone(), why })
    }

    fn read_some(&mut self, samples: &mut [f32]) -> Result<usize, Why> {
        let channels = self.format.channels();
        let mut done = 0;
        for part in samples.chunks_mut(STEP * channels) {
            self.answer()?;
            let instant = self.instant();
            let wanted = part.len() / channels * instant;
            let got = self.fill(wanted)? / instant;
            let bytes = &self.bytes[..got * instant];
            if let Some(question) = self.question.filter(|_| self.answered) {
                question.check(self.coding, bytes)?;
            }
            self.coding.decode(bytes, part);
            done += got;
            if got * instant < wanted {
                break;
            }
        }
        if done == 0 && !samples.is_empty() {
            self.look_behind()?;
        }
        Ok(done)
    }

    /// Inspects the samples, if only they show how they are stored.
    fn answer(&mut self) -> Result<(), Why> {
        let Some(question) = self.question.filter(|_| !self.answered) else { return Ok(()) };
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        let ahead = self.input.peek(LOOK.min(left))?;
        if let Some((coding, note)) = question.answer(ahead)? {
            self.coding = coding;
            self.answered = true;
            note.into_iter().for_each(|note| self.note(note));
        }
        Ok(())
    }

    /// Bytes of one sample of every channel.
    const fn instant(&self) -> usize {
        self.coding.size * self.format.channels()
    }

    /// Bytes that are left of what is announced.
    fn left(&self) -> u64 {
        self.announced.map_or(u64::MAX, |announced| announced - self.read)
    }

    /// Reads up to `wanted` bytes of samples; fewer only at the end.
    fn fill(&mut self, wanted: usize) -> Result<usize, Why> {
        let wanted = usize::try_from(self.left()).unwrap_or(usize::MAX).min(wanted);
        let got = self.input.take(&mut self.bytes[..wanted])?;
        self.read += got as u64;
        let instant = self.instant();
        if got < wanted
            && let Some(announced) = self.announced()
        {
            self.note(Note::Truncated { announced, found: self.read / instant as u64 });
        }
        if got % instant > 0 {
            self.note(Note::PartialSample);
        }
        Ok(got)
    }

    /// Notes what the length of the file says about what its header announces.
    fn compare_with_length(&mut self) {
        if let (Some(bytes), Some(announced), Some(length)) = (self.announced, self.announced(), self.length)
        {
            let there = length.saturating_sub(self.begin);
            if there < bytes {
                self.note(Note::Truncated { announced, found: there / self.instant() as u64 });
            }
        }
    }

    /// Notes what follows the samples, where that is no chunk.
    fn look_behind(&mut self) -> Result<(), Why> {
        let (Some(announced), Some(length)) = (self.announced, self.length) else { return Ok(()) };
        let bytes = length.saturating_sub(self.begin + announced);
        if self.read < announced || bytes == 0 {
            return Ok(());
        }
        let next = self.input.peek(9)?;
        let begins = |at: usize| {
            let rest = next.get(at..).unwrap_or_default();
            !rest.starts_with(b"data") && is_chunk(rest, Some(bytes - at as u64))
        };
        let is_rest = next.len() < 8 && next.iter().all(|&byte| byte == 0);
        if !(is_rest || begins(0) || begins(1)) {
            self.note(Note::MoreFollows { bytes });
        }
        Ok(())
    }

    fn note(&mut self, note: Note) {
        if self.notes.iter().all(|known| known.code() != note.code()) {
            self.notes.push(note);
        }
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Goes back to the first sample.
    ///
    /// # Errors
    /// [`WavError`] where the system says no.
    pub fn rewind(&mut self) -> Result<(), WavError> {
        self.read = 0;
        self.input.seek(self.begin).map_err(|error| WavError { name: self.name.clone(), why: error.into() })
    }
}

struct Header {
    description: Description,
    begin: u64,
    announced: Option<u64>,
    notes: Vec<Note>,
}

impl Header {
    fn read(input: &mut Input<impl Read>, length: Option<u64>) -> Result<Self, Why> {
        let mut tags = [0; 12];
        if input.take(&mut tags)? < tags.len() {
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
        let (mut described, mut big_size, mut empty, mut notes) = (None, None, None, Vec::new());
        loop {
            let mut head = [0; 8];
            if input.take(&mut head)? < head.len() {
                break;
            }
            let size = u32_at(&head, 4);
            let is_padded = match &head[..4] {
                b"fmt " => {
                    let (fmt, length, is_padded) = input.chunk::<FMT>(size)?;
                    described = Some(Description::read(&fmt[..length])?);
                    is_padded
                }
                b"ds64" if big => {
                    let (sizes, length, is_padded) = input.chunk::<24>(size)?;
                    big_size = (length >= 16)
                        .then(|| u64::from(u32_at(&sizes, 8)) | u64::from(u32_at(&sizes, 12)) << 32);
                    is_padded
                }
                b"data" => {
                    let description =
                        described.take().ok_or(Why::NotWav("its data comes before its format"))?;
                    let begin = input.at();
                    let left = length.map(|length| length.saturating_sub(begin));
                    let announced = announced(size, big_size.filter(|_| big), left);
                    if announced.is_none() {
                        let next = input.peek(8)?;
                        if next.is_empty() {
                            // It died, or stopped, before the first sample.
                            return Ok(Self { description, begin, announced: Some(0), notes });
                        }
                        if size == 0 && is_chunk(next, left) {
                            empty = Some(begin);
                            described = Some(description);
                            continue;
                        }
                        notes.push(Note::SizeNotWritten);
                    }
                    if empty.is_some() {
                        notes.push(Note::EmptyData);
                    }
                    return Ok(Self { description, begin, announced, notes });
                }
                _ => input.chunk::<0>(size)?.2,
            };
            if !is_padded && !notes.contains(&Note::Padding) {
                notes.push(Note::Padding);
            }
        }
        match (empty, described) {
            (Some(begin), Some(description)) => Ok(Self { description, begin, announced: Some(0), notes }),
            _ => Err(Why::NotWav("it has no data chunk")),
        }
    }
}

/// The bytes of samples that a header announces; `None` where that is no size, and they go up to the end. `left` is what is left of the
/// file, where that is known.
fn announced(size: u32, big: Option<u64>, left: Option<u64>) -> Option<u64> {
    let size_32 = Some(u64::from(size)).filter(|&size| size != 0 && size != u64::from(UNKNOWN));
    match big {
        Some(big) if size_32.is_none() => Some(big).filter(|&big| big != 0 && i64::try_from(big).is_ok()),
        Some(_) => size_32,
        // Between 2 and 4 GiB it may be the real size.
        None => size_32.filter(|&size| size < ABSURD || left.is_some_and(|left| size <= left)),
    }
}
