//! The voice of a session: speech from files and samples, and the recording.

use std::fs::File;
use std::io::{BufWriter, Read, Seek};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
pub use greenroom_audio::Note;
use greenroom_audio::channels::{ChannelMap, Mixdown, pick};
use greenroom_audio::device::DeviceError;
use greenroom_audio::noise::{Kind, NoSuchNoise, Noise};
use greenroom_audio::resample::ResampleError;
use greenroom_audio::wav::{self, Encoding, Reader, WavError, Writer};
use greenroom_audio::{Format, Resampler, Sample as _, Source, impair, sample};
use greenroom_protocol::voice::{Clock, LONGEST, RATE, Speech};
use greenroom_protocol::{Code, Error};

/// The audio of a session with an agent process.
#[derive(Clone, Debug, Default)]
pub struct AudioOptions {
    /// A WAV file to record the session into: the user left, the agent right, 48 kHz. An existing one is replaced.
    pub recording: Option<PathBuf>,
    /// Who says when the agent's speech is heard.
    pub clock: Clock,
}

/// Instants that are taken from a source at once: 100 ms at the wire's rate.
const CHUNK: usize = 4_800;
/// Stretches of the recording that wait for the disk: 20 s. Beyond, they are lost, and the status says so.
const WAITING: usize = 1_000;
/// The rate at which noise is made: there is none above 8 kHz.
const NOISE_RATE: u32 = 16_000;
/// How far speech may be above noise, or below it, in dB.
const SNR_DB: RangeInclusive<f32> = -60.0..=120.0;
/// How long the end of a session waits for the disk.
const FINISH: Duration = Duration::from_secs(5);

/// The most of a WAV file that comes through a pipe, in bytes.
const MOST_PIPED: u64 = 512 << 20;

/// Speech that was made of some sound, and what was odd about that.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// The speech.
    pub speech: Speech,
    /// What a caller shows, so that nothing is passed over silently.
    pub notes: Vec<Note>,
}

/// The speech in a WAV file, of any rate and number of channels. Several become one by the rule of [`greenroom_audio::channels`], unless
/// `channel`, counted from 0, names one.
///
/// # Errors
/// Where it cannot be read, has no such channel, or is longer than a turn.
pub fn speech_from_wav(path: &Path, channel: Option<usize>) -> Result<Sound, Error> {
    let is_file = std::fs::metadata(path).is_ok_and(|about| about.is_file());
    if is_file || !path.exists() {
        return speech_from_reader(Reader::open(path).map_err(|error| unreadable(&error))?, channel);
    }
    // What comes through a pipe comes once, and is read twice.
    let failed = |error: std::io::Error| Error::new(Code::Io, format!("{}: {error}", path.display()));
    speech_from_pipe(&path.display().to_string(), File::open(path).map_err(failed)?, channel)
}

/// The speech in a WAV file that comes through a pipe, such as standard input, which errors call `name`.
///
/// # Errors
/// As [`speech_from_wav`].
pub fn speech_from_pipe(name: &str, pipe: impl Read, channel: Option<usize>) -> Result<Sound, Error> {
    let mut content = Vec::new();
    let read = pipe.take(MOST_PIPED + 1).read_to_end(&mut content);
    read.map_err(|error| Error::new(Code::Io, format!("{name}: {error}")))?;
    if content.len() as u64 > MOST_PIPED {
        let message = format!("{name}: at most {} MiB are read from a pipe; pass a file", MOST_PIPED >> 20);
        return Err(Error::new(Code::TooLarge, message));
    }
    speech_from_content(name, &content, channel)
}

/// The speech in the content of a WAV file.
///
/// # Errors
/// As [`speech_from_wav`].
pub fn speech_from_wav_bytes(content: &[u8], channel: Option<usize>) -> Result<Sound, Error> {
    speech_from_content("the WAV content", content, channel)
}

fn speech_from_content(name: &str, content: &[u8], channel: Option<usize>) -> Result<Sound, Error> {
    let reader = Reader::of_content(name, content);
    speech_from_reader(reader.map_err(|error| unreadable(&error))?, channel)
}

fn speech_from_reader<R: Read + Seek>(mut reader: Reader<R>, channel: Option<usize>) -> Result<Sound, Error> {
    let format = reader.format();
    let mut chunk = vec![0.0; CHUNK * format.channels()];
    let mut pass = |take: &mut Take<'_>| {
        reader.rewind().map_err(|error| unreadable(&error))?;
        loop {
            match reader.read(&mut chunk).map_err(|error| unreadable(&error))? {
                0 => return Ok(()),
                read => take(&chunk[..read * format.channels()])?,
            }
        }
    };
    let mut sound = whole(format, channel, &mut pass)?;
    sound.notes.splice(..0, reader.notes().iter().cloned());
    Ok(sound)
}

/// The speech in interleaved samples.
///
/// # Errors
/// Where there are none, they are longer than a turn, have no such channel, or their rate cannot become the wire's.
pub fn speech_from_samples(format: Format, samples: &[f32], channel: Option<usize>) -> Result<Sound, Error> {
    whole(format, channel, &mut |take| samples.chunks(CHUNK * format.channels()).try_for_each(take))
}

/// The speech in the bytes of interleaved samples, in this machine's order: signed 16-bit integers, or floats of 32 bits. The content of
/// a WAV file is one too.
///
/// # Errors
/// As [`speech_from_samples`]; and where the format is none, or the bytes are not whole samples of each channel, or a file of another kind.
pub fn speech_from_pcm(
    rate: u32,
    channels: u16,
    bytes: &[u8],
    is_float: bool,
    channel: Option<usize>,
) -> Result<Sound, Error> {
    if !is_float {
        match kind_of_file(bytes) {
            Some("WAV") => return speech_from_wav_bytes(bytes, channel),
            Some(kind) => {
                return Err(Error::new(
                    Code::InvalidArgument,
                    format!(
                        "the bytes are {kind} content, no samples; convert it (ffmpeg -i IN -c:a pcm_s16le OUT.wav)"
                    ),
                ));
            }
            None => {}
        }
    }
    let format = format(rate, channels)?;
    speech_from_samples(format, &samples_in(format, bytes, is_float)?, channel)
}

/// What file these bytes begin, rather than samples.
fn kind_of_file(bytes: &[u8]) -> Option<&'static str> {
    let at = |place: usize, tag: &[u8]| bytes.get(place..place + tag.len()) == Some(tag);
    match bytes {
        [b'R', b'I', b'F', b'F' | b'X', ..] | [b'R', b'F', b'6', b'4', ..] | [b'B', b'W', b'6', b'4', ..] => {
            (bytes.len() < 12 || at(8, b"WAVE")).then_some("WAV")
        }
        _ if at(0, b"OggS") => Some("Ogg"),
        _ if at(0, b"fLaC") => Some("FLAC"),
        _ if at(0, b"ID3") => Some("MP3"),
        _ if at(0, b"FORM") && at(8, b"AIF") => Some("AIFF"),
        _ if at(0, b"caff") => Some("CAF"),
        _ if at(4, b"ftyp") => Some("MP4"),
        _ if at(0, b"\x1aE\xdf\xa3") => Some("Matroska or WebM"),
        _ if at(0, b"#!AMR") => Some("AMR"),
        _ if at(0, b".snd") => Some("AU"),
        _ => None,
    }
}

/// Takes interleaved samples.
type Take<'a> = dyn FnMut(&[f32]) -> Result<(), Error> + 'a;

/// Makes speech of sound that is there as a whole: `pass` gives all of it, from the first sample on, as often as it is asked.
fn whole(
    format: Format,
    channel: Option<usize>,
    pass: &mut dyn FnMut(&mut Take<'_>) -> Result<(), Error>,
) -> Result<Sound, Error> {
    let channels = format.channels();
    has_channel(channels, channel)?;
    let mut mono = Vec::new();
    if channels == 1 || channel.is_some() {
        let mut maker = Maker::new(format.rate())?;
        pass(&mut |samples| {
            mono.resize(samples.len() / channels, 0.0);
            pick(samples, channels, channel.unwrap_or(0), &mut mono);
            maker.take(&mono)
        })?;
        return Ok(Sound { speech: maker.finish()?, notes: Vec::new() });
    }
    let mut mixdown = Mixdown::new(format);
    let (mut taken, most) = (0, format.samples_in(LONGEST + Duration::from_secs(1)));
    pass(&mut |samples| {
        taken += (samples.len() / channels) as u64;
        if taken > most {
            return Err(too_long());
        }
        mixdown.observe(samples);
        Ok(())
    })?;
    loop {
        let mut maker = Maker::new(format.rate())?;
        pass(&mut |samples| {
            mono.resize(samples.len() / channels, 0.0);
            mixdown.mix(samples, &mut mono);
            maker.take(&mono)
        })?;
        if !mixdown.settle() {
            return Ok(Sound { speech: maker.finish()?, notes: mixdown.notes() });
        }
    }
}

fn has_channel(channels: usize, channel: Option<usize>) -> Result<(), Error> {
    match channel {
        Some(channel) if channel >= channels => {
            let there = match channels {
                1 => "one channel, 0".to_owned(),
                _ => format!("{channels} channels, 0 to {}", channels - 1),
            };
            Err(Error::new(
                Code::InvalidArgument,
                format!("the sound has {there}; there is no channel {channel}"),
            ))
        }
        _ => Ok(()),
    }
}

fn too_long() -> Error {
    let message =
        format!("the speech is longer than {} s, the most of one turn; say it in several", LONGEST.as_secs());
    Error::new(Code::TooLarge, message)
}

fn format(rate: u32, channels: u16) -> Result<Format, Error> {
    Format::new(rate, channels).map_err(|error| Error::new(Code::InvalidArgument, error.to_string()))
}

fn samples_in(format: Format, bytes: &[u8], is_float: bool) -> Result<Vec<f32>, Error> {
    let width = if is_float { 4 } else { 2 };
    if bytes.len().is_multiple_of(width * format.channels()) {
        return Ok(sample::from_bytes(bytes, is_float));
    }
    let message = format!(
        "{} bytes are not whole samples of {} bits in each of {} channels",
        bytes.len(),
        8 * width,
        format.channels()
    );
    Err(Error::new(Code::InvalidArgument, message))
}

/// The speech that a device gives until it ends, as fast as it gives it.
///
/// # Errors
/// Where it fails, or gives more than a turn may have: an endless source has to be cut by its caller.
pub fn speech_from_source(source: &mut dyn Source) -> Result<Sound, Error> {
    let format = source.format();
    let mut maker = Maker::new(format.rate())?;
    let mut map = ChannelMap::new(format, 1, None);
    let (mut chunk, mut mono) = (vec![0.0; CHUNK * format.channels()], vec![0.0; CHUNK]);
    loop {
        let filled = source.read(&mut chunk).map_err(|error| failing(&error))?;
        let mapped = map.map(&chunk[..filled.samples * format.channels()], &mut mono);
        maker.take(&mono[..mapped])?;
        if filled.ended {
            return Ok(Sound { speech: maker.finish()?, notes: map.notes() });
        }
    }
}

/// Speech in noise: white, babble or impulses, of a seed. What is speech in it, pauses do not count, is `snr_db` above the noise. If the sum
/// is beyond full scale all of it is made softer.
///
/// The noise is below 8 kHz, where speech is and what speech models hear, so that a ratio means the same whatever rate the speech had.
///
/// # Errors
/// Where there is no such noise, or the ratio is none from -60 to 120 dB.
pub fn noisy(speech: &Speech, noise: &str, snr_db: f32, seed: u64) -> Result<Speech, Error> {
    let invalid = |message: String| Error::new(Code::InvalidArgument, message);
    let kind: Kind = noise.parse().map_err(|error: NoSuchNoise| invalid(error.to_string()))?;
    if !SNR_DB.contains(&snr_db) {
        let (least, most) = SNR_DB.into_inner();
        return Err(invalid(format!(
            "the speech cannot be {snr_db} dB above the noise; pass {least} to {most}"
        )));
    }
    let mut samples: Vec<f32> = samples_of(speech.samples()).collect();
    let noise = noise_of(kind, samples.len(), seed).map_err(|error| invalid(error.to_string()))?;
    impair::mix(&mut samples, &noise, Format::WIRE, snr_db);
    let bytes: Vec<u8> = samples.iter().flat_map(|&sample| i16::from_f32(sample).to_le_bytes()).collect();
    Speech::new(bytes)
}

/// At least so many samples of noise, at the wire's rate.
fn noise_of(kind: Kind, length: usize, seed: u64) -> Result<Vec<f32>, ResampleError> {
    let mut made = vec![0.0; length.div_ceil((RATE / NOISE_RATE) as usize)];
    // How loud does not matter: the ratio decides.
    Noise::new(kind, -20.0, NOISE_RATE, seed).fill(&mut made);
    let mut resampler = Resampler::new(Format::mono(NOISE_RATE)?, RATE)?;
    let mut noise = Vec::with_capacity(length);
    resampler.append(&made, &mut noise);
    resampler.append_rest(&mut noise);
    Ok(noise)
}

/// Writes speech into a WAV file.
///
/// # Errors
/// Where it cannot be written.
pub fn write_wav(path: &Path, speech: &Speech) -> Result<(), Error> {
    let samples: Vec<f32> = samples_of(speech.samples()).collect();
    wav::write(path, Format::WIRE, &samples).map_err(|error| unwritable(&error))
}

/// Makes speech of interleaved samples that come in parts, as they come.
pub struct SpeechStream {
    format: Format,
    map: ChannelMap,
    mono: Vec<f32>,
    maker: Maker,
}

impl SpeechStream {
    /// Of samples of this format; of several channels, the one that is named, counted from 0, or those that are heard.
    ///
    /// # Errors
    /// Where it is none, has no such channel, or its rate cannot become the wire's.
    pub fn new(rate: u32, channels: u16, channel: Option<usize>) -> Result<Self, Error> {
        let format = format(rate, channels)?;
        has_channel(format.channels(), channel)?;
        let map = ChannelMap::new(format, 1, channel);
        Ok(Self { format, map, mono: Vec::new(), maker: Maker::new(rate)? })
    }

    /// Takes samples, as [`speech_from_pcm`] does, and gives what can be said of them: signed 16-bit little-endian, 48 kHz, mono.
    ///
    /// # Errors
    /// Where the bytes are not whole samples of each channel.
    pub fn take(&mut self, bytes: &[u8], is_float: bool) -> Result<Vec<u8>, Error> {
        let samples = samples_in(self.format, bytes, is_float)?;
        self.mono.resize(samples.len() / self.format.channels(), 0.0);
        self.map.map(&samples, &mut self.mono);
        self.maker.take(&self.mono)?;
        Ok(std::mem::take(&mut self.maker.made))
    }

    /// Nothing more comes: gives the rest.
    pub fn finish(&mut self) -> Vec<u8> {
        self.maker.rest();
        std::mem::take(&mut self.maker.made)
    }

    /// What is odd about what has come so far.
    pub fn notes(&self) -> Vec<Note> {
        self.map.notes()
    }
}

/// Makes the wire's one format of one channel of any rate.
struct Maker {
    resampler: Resampler,
    made: Vec<u8>,
}

impl Maker {
    fn new(rate: u32) -> Result<Self, Error> {
        let resampler = Format::mono(rate).map_err(Into::into).and_then(|one| Resampler::new(one, RATE));
        let resampler = resampler.map_err(|error| Error::new(Code::InvalidArgument, error.to_string()))?;
        Ok(Self { resampler, made: Vec::new() })
    }

    fn take(&mut self, mut mono: &[f32]) -> Result<(), Error> {
        while let Some(made) = self.resampler.next(&mut mono) {
            self.made.extend(made.iter().flat_map(|&sample| i16::from_f32(sample).to_le_bytes()));
        }
        let most = (LONGEST.as_secs() + 1) as usize * RATE as usize * 2;
        if self.made.len() > most { Err(too_long()) } else { Ok(()) }
    }

    fn rest(&mut self) {
        while let Some(made) = self.resampler.finish() {
            self.made.extend(made.iter().flat_map(|&sample| i16::from_f32(sample).to_le_bytes()));
        }
    }

    fn finish(mut self) -> Result<Speech, Error> {
        self.rest();
        if self.made.is_empty() {
            return Err(Error::new(Code::InvalidArgument, "the speech is empty; pass at least one sample"));
        }
        Speech::new(self.made)
    }
}

fn samples_of(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]).to_f32())
}

fn unreadable(error: &WavError) -> Error {
    let code = match error.why {
        wav::Why::Io(_) => Code::Io,
        _ => Code::InvalidArgument,
    };
    Error::new(code, error.to_string())
}

fn unwritable(error: &WavError) -> Error {
    Error::new(Code::Io, error.to_string())
}

fn failing(error: &DeviceError) -> Error {
    Error::new(Code::Io, error.to_string())
}

/// Writes a session's recording on a thread of its own: a slow disk delays nobody.
pub(crate) struct Recorder {
    stretches: Option<SyncSender<Bytes>>,
    outcome: Receiver<Result<(), Error>>,
    path: PathBuf,
    lost: usize,
}

impl Recorder {
    pub(crate) fn start(path: &Path) -> Result<Self, Error> {
        let stereo = Format::new(RATE, 2).map_err(|error| Error::new(Code::Internal, error.to_string()))?;
        let writer = Writer::create(path, stereo, Encoding::S16).map_err(|error| unwritable(&error))?;
        let (stretches, to_write) = sync_channel::<Bytes>(WAITING);
        let (done, outcome) = channel();
        thread::Builder::new()
            .name("greenroom-record".to_owned())
            .spawn(move || {
                // Nobody waits for it any more if this fails.
                let _ = done.send(write(writer, &to_write));
            })
            .map_err(|error| Error::new(Code::Io, format!("no thread can be started to record: {error}")))?;
        Ok(Self { stretches: Some(stretches), outcome, path: path.to_owned(), lost: 0 })
    }

    pub(crate) fn take(&mut self, stretch: Bytes) {
        if let Some(stretches) = &self.stretches
            && let Err(TrySendError::Full(_)) = stretches.try_send(stretch)
        {
            self.lost += 1;
        }
    }

    /// Makes the file whole. Gives why it is not, if it is not.
    pub(crate) fn finish(mut self) -> Option<String> {
        drop(self.stretches.take());
        match self.outcome.recv_timeout(FINISH) {
            Ok(Ok(())) if self.lost == 0 => None,
            Ok(Ok(())) => Some(format!(
                "{}: the disk was too slow for {} stretches of it",
                self.path.display(),
                self.lost
            )),
            Ok(Err(error)) => Some(error.message),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Some(format!("{}: it could not be finished", self.path.display()))
            }
        }
    }
}

fn write(mut writer: Writer<BufWriter<File>>, stretches: &Receiver<Bytes>) -> Result<(), Error> {
    let mut samples = Vec::new();
    for stretch in stretches {
        samples.clear();
        samples.extend(samples_of(&stretch));
        writer.write(&samples).map_err(|error| unwritable(&error))?;
    }
    writer.finish().map_err(|error| unwritable(&error))
}
