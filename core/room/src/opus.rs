//! Opus: audio to packets of 20 ms, and packets that may be missing back to audio. Without IO and without a clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_audio::channels::ChannelMap;
use greenroom_audio::sample::{dbfs, rms};
use greenroom_audio::{Format, Frame, Resampler, Sample as _};
use greenroom_protocol::{Code, Error};
use ropus::{Application, Bitrate, Channels, DecodeMode};

/// The rate by which RTP counts Opus, whatever the rate of the audio, in Hz; ours is the same.
pub(super) const RATE: u32 = 48_000;
/// How long a packet of ours is.
pub(super) const PACKET: Duration = Duration::from_millis(20);
/// The same in samples.
pub(super) const SAMPLES: usize = 960;

/// What libwebrtc gives one channel, in bits per second.
const BITRATE: Bitrate = Bitrate::Bits(32_000);
/// The largest packet that Opus makes, in bytes.
const LARGEST: usize = 1_275;
/// The longest packet that there is.
const LONGEST: Duration = Duration::from_millis(120);
/// Holes up to here are filled. Opus leaves out at most 400 ms of a silence.
const FILLED: u64 = RATE as u64;
/// What RTP calls silence, in dBFS.
const SILENT: f32 = -127.0;
/// The shortest stretch that Opus fills, at [`RATE`].
const STEP: u64 = 120;

/// Makes packets of audio: one channel at 48 kHz.
pub(super) struct Packer {
    encoder: ropus::Encoder,
    resampler: Option<(Format, Resampler)>,
    map: Option<ChannelMap>,
    wide: Vec<f32>,
    mono: Vec<f32>,
    /// At 48 kHz, and in no packet yet.
    ready: Vec<f32>,
}

impl Packer {
    pub(super) fn new() -> Result<Self, Error> {
        let encoder =
            ropus::Encoder::builder(RATE, Channels::Mono, Application::Voip).bitrate(BITRATE).build();
        Ok(Self {
            encoder: encoder.map_err(|error| broken(&error))?,
            resampler: None,
            map: None,
            wide: Vec::new(),
            mono: Vec::new(),
            ready: Vec::new(),
        })
    }

    /// Takes from `input` what a packet needs and gives it; `None` once the input is used up. Of several channels the mean is taken.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a rate that cannot become 48 kHz.
    pub(super) fn next(&mut self, input: &mut Frame<&[i16]>) -> Result<Option<Packed>, Error> {
        while self.ready.len() < SAMPLES {
            if input.samples.is_empty() {
                return Ok(None);
            }
            self.take(input)?;
        }
        self.pack().map(Some)
    }

    /// What is left, filled up with silence: at most two packets, one a call. Then other audio may follow.
    ///
    /// # Errors
    /// Where it cannot be encoded, which is a defect.
    pub(super) fn finish(&mut self) -> Result<Option<Packed>, Error> {
        if let Some((_, mut resampler)) = self.resampler.take() {
            resampler.append_rest(&mut self.ready);
        }
        if self.ready.is_empty() {
            return Ok(None);
        }
        self.ready.resize(self.ready.len().max(SAMPLES), 0.0);
        self.pack().map(Some)
    }

    /// Forgets what is in no packet yet.
    pub(super) fn clear(&mut self) {
        self.resampler = None;
        self.ready.clear();
    }

    /// Takes 10 ms of the input.
    fn take(&mut self, input: &mut Frame<&[i16]>) -> Result<(), Error> {
        let format = input.format;
        if self.resampler.as_ref().is_none_or(|(of, _)| *of != format) {
            let mono = Format::mono(format.rate()).map_err(Into::into);
            let resampler = mono.and_then(|mono| Resampler::new(mono, RATE));
            let resampler =
                resampler.map_err(|error| Error::new(Code::InvalidArgument, error.to_string()))?;
            self.map = Some(ChannelMap::new(format, 1, None));
            if let Some((_, mut before)) = self.resampler.replace((format, resampler)) {
                before.append_rest(&mut self.ready);
            }
        }
        let (Some((_, resampler)), Some(map)) = (&mut self.resampler, &mut self.map) else { return Ok(()) };
        let instants = (format.rate() / 100).max(1) as usize;
        let taken = input.samples.len().min(instants * format.channels());
        let (head, rest) = input.samples.split_at(taken);
        input.samples = rest;
        self.wide.clear();
        self.wide.extend(head.iter().map(|sample| sample.to_f32()));
        self.mono.resize(taken / format.channels(), 0.0);
        map.map(&self.wide, &mut self.mono);
        resampler.append(&self.mono, &mut self.ready);
        Ok(())
    }

    fn pack(&mut self) -> Result<Packed, Error> {
        let samples = &self.ready[..SAMPLES];
        let mut data = vec![0; LARGEST];
        let size = self.encoder.encode_float(samples, &mut data);
        data.truncate(size.map_err(|error| broken(&error))?);
        let level = dbfs(rms(samples)).clamp(SILENT, 0.0).round();
        self.ready.drain(..SAMPLES);
        Ok(Packed { data, level: level as i8, is_silent: level <= SILENT })
    }
}

/// A packet that is to be sent.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) data: Vec<u8>,
    /// How loud it is, in dBFS. The server tells by it who speaks.
    pub(super) level: i8,
    pub(super) is_silent: bool,
}

/// A packet that came.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Over which connection: the numbers and times of another one have nothing to do with its own.
    pub(super) connection: u32,
    /// Its place in the order in which packets were sent.
    pub(super) number: u64,
    /// When its first sample is, at [`RATE`].
    pub(super) time: u64,
    /// When it came.
    pub(super) came: Instant,
    pub(super) data: Arc<[u8]>,
}

/// Makes audio of packets: one channel.
pub(super) struct Unpacker {
    decoder: ropus::Decoder,
    format: Format,
    buffer: Vec<i16>,
    last: Option<Last>,
    /// The place of the next sample, at [`RATE`].
    place: u64,
    /// What is missing before it, at [`RATE`].
    missing: u64,
    frames: VecDeque<Frame<Vec<i16>>>,
}

/// The packet before.
struct Last {
    connection: u32,
    number: u64,
    came: Instant,
    /// When its last sample has ended, by its own time.
    end: u64,
    /// How long it was.
    length: u64,
}

impl Unpacker {
    /// Makes audio of this rate.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a rate that Opus does not decode to.
    pub(super) fn new(rate: u32) -> Result<Self, Error> {
        let refuse = || {
            let message =
                format!("Opus is not decoded to {rate} Hz; take 48000, 24000, 16000, 12000 or 8000");
            Error::new(Code::InvalidArgument, message)
        };
        let decoder = ropus::Decoder::new(rate, Channels::Mono).map_err(|_| refuse())?;
        let format = Format::mono(rate).map_err(|_| refuse())?;
        let most = usize::try_from(format.samples_in(LONGEST)).unwrap_or_default();
        Ok(Self {
            decoder,
            format,
            buffer: vec![0; most],
            last: None,
            place: 0,
            missing: 0,
            frames: VecDeque::new(),
        })
    }

    /// The next stretch of audio: a packet's, or what fills the hole of one that is missing, which is flagged as lost.
    pub(super) fn next(&mut self) -> Option<Frame<Vec<i16>>> {
        self.frames.pop_front()
    }

    /// Takes the next packet. One that comes late or twice is dropped.
    pub(super) fn take(&mut self, packet: &Packet) {
        let (hole, is_lost) = match &self.last {
            None => (0, false),
            Some(last) if last.connection == packet.connection => {
                if packet.number <= last.number {
                    return;
                }
                (packet.time.saturating_sub(last.end), packet.number > last.number + 1)
            }
            // Only the clock knows how much is missing between two connections.
            Some(last) => {
                let passed = samples(packet.came.saturating_duration_since(last.came));
                (passed.saturating_sub(last.length), true)
            }
        };
        self.fill(hole, is_lost, &packet.data);
        let length = match self.decode(&packet.data, self.buffer.len(), DecodeMode::Normal) {
            Some(decoded) => self.give(decoded, false),
            // It is no Opus.
            None => self.conceal(SAMPLES as u64, &[], true),
        };
        self.last = Some(Last {
            connection: packet.connection,
            number: packet.number,
            came: packet.came,
            end: packet.time + length,
            length,
        });
    }

    /// Fills a hole of so many samples at [`RATE`], or leaves it where it is long. What is not lost is a silence that was not sent.
    fn fill(&mut self, hole: u64, is_lost: bool, next: &[u8]) {
        let mut left = hole;
        while left >= STEP && hole <= FILLED {
            let part = (left.min(SAMPLES as u64) / STEP) * STEP;
            // The packet after a lost one may tell what was in it.
            let next = if is_lost && left == part { next } else { &[] };
            self.conceal(part, next, is_lost);
            left -= part;
        }
        self.place += left;
        if is_lost {
            self.missing += left;
        }
    }

    /// Makes up so many samples at [`RATE`], from `next` if it has them.
    fn conceal(&mut self, hole: u64, next: &[u8], is_lost: bool) -> u64 {
        let most = self.of_ours(hole);
        let mode = if next.is_empty() { DecodeMode::Normal } else { DecodeMode::Fec };
        let made = self.decode_or_conceal(next, most, mode).unwrap_or_else(|| {
            self.buffer[..most].fill(0);
            most
        });
        self.give(made, is_lost)
    }

    /// Decodes into the buffer; `None` for what is no packet.
    fn decode(&mut self, data: &[u8], most: usize, mode: DecodeMode) -> Option<usize> {
        // To the decoder, nothing at all is a packet that was lost.
        if data.is_empty() { None } else { self.decode_or_conceal(data, most, mode) }
    }

    fn decode_or_conceal(&mut self, data: &[u8], most: usize, mode: DecodeMode) -> Option<usize> {
        self.decoder.decode(data, &mut self.buffer[..most], mode).ok().filter(|&made| made > 0)
    }

    /// Gives what the buffer begins with, and tells how long that is at [`RATE`].
    fn give(&mut self, made: usize, is_lost: bool) -> u64 {
        let length = made as u64 * u64::from(RATE / self.format.rate());
        let missing = std::mem::take(&mut self.missing) + if is_lost { length } else { 0 };
        self.frames.push_back(Frame {
            format: self.format,
            time: Format::WIRE.duration_of(self.place),
            lost: self.of_ours(missing) as u64,
            samples: self.buffer[..made].to_vec(),
        });
        self.place += length;
        length
    }

    /// How many samples of ours so many at [`RATE`] are.
    fn of_ours(&self, samples: u64) -> usize {
        usize::try_from(samples / u64::from(RATE / self.format.rate())).unwrap_or(usize::MAX)
    }
}

fn samples(duration: Duration) -> u64 {
    Format::WIRE.samples_in(duration)
}

fn broken(error: &impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, format!("Opus failed: {error}; please report it"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use greenroom_audio::signal::{Sine, tone};
    use proptest::prelude::*;

    use super::*;

    /// A sine of 440 Hz and -12 dBFS on every channel.
    fn sine(format: Format, seconds: f64) -> Vec<i16> {
        let mut sine = Sine::new(440.0, -12.0, format.rate());
        let instants = (f64::from(format.rate()) * seconds) as usize;
        (0..instants)
            .flat_map(|_| std::iter::repeat_n(i16::from_f32(sine.next_sample()), format.channels()))
            .collect()
    }

    fn frame(format: Format, samples: &[i16]) -> Frame<&[i16]> {
        Frame { format, time: Duration::ZERO, lost: 0, samples }
    }

    /// All packets of such a sine, which is given in chunks of this size.
    fn packed(format: Format, seconds: f64, chunk: usize) -> Vec<Vec<u8>> {
        let mut packer = Packer::new().unwrap();
        let mut packets = Vec::new();
        for chunk in sine(format, seconds).chunks(chunk * format.channels()) {
            let mut input = frame(format, chunk);
            while let Some(packed) = packer.next(&mut input).unwrap() {
                packets.push(packed.data);
            }
        }
        while let Some(packed) = packer.finish().unwrap() {
            packets.push(packed.data);
        }
        packets
    }

    fn numbered(packets: Vec<Vec<u8>>) -> Vec<Packet> {
        let began = Instant::now();
        let number = |(number, data): (usize, Vec<u8>)| Packet {
            connection: 1,
            number: 100 + number as u64,
            time: 5_000 + (number * SAMPLES) as u64,
            came: began + PACKET * number as u32,
            data: data.into(),
        };
        packets.into_iter().enumerate().map(number).collect()
    }

    fn unpacked(rate: u32, packets: &[Packet]) -> Vec<Frame<Vec<i16>>> {
        let mut unpacker = Unpacker::new(rate).unwrap();
        packets.iter().for_each(|packet| unpacker.take(packet));
        std::iter::from_fn(|| unpacker.next()).collect()
    }

    fn floats(frames: &[Frame<Vec<i16>>]) -> Vec<f32> {
        frames.iter().flat_map(|frame| &frame.samples).map(|sample| sample.to_f32()).collect()
    }

    /// How loud the sine is in the middle of what came.
    fn heard(frames: &[Frame<Vec<i16>>]) -> f32 {
        let samples = floats(frames);
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        tone(middle, 440.0, frames[0].format.rate())
    }

    /// Whether each frame begins where the one before has ended.
    fn is_without_holes(frames: &[Frame<Vec<i16>>]) -> bool {
        let end = |frame: &Frame<Vec<i16>>| frame.time + frame.format.duration_of(frame.samples.len() as u64);
        frames.windows(2).all(|pair| end(&pair[0]).abs_diff(pair[1].time) < Duration::from_nanos(10))
    }

    fn lost(frames: &[Frame<Vec<i16>>]) -> Vec<u64> {
        frames.iter().map(|frame| frame.lost).collect()
    }

    #[test]
    fn a_tone_of_any_format_comes_out_at_any_rate_of_opus() {
        for (rate, channels, chunk) in
            [(48_000, 1, 480), (44_100, 2, 441), (24_000, 1, 7), (16_000, 1, 16_000), (8_000, 2, 800)]
        {
            let packets = numbered(packed(Format::new(rate, channels).unwrap(), 1.0, chunk));
            assert!((50..=51).contains(&packets.len()), "{} packets of a second at {rate} Hz", packets.len());
            for rate in [48_000, 24_000, 16_000, 12_000, 8_000] {
                let frames = unpacked(rate, &packets);
                let level = heard(&frames);
                assert!((-13.0..-11.0).contains(&level), "440 Hz at {level} dBFS");
                assert!(is_without_holes(&frames));
                assert_eq!(lost(&frames), vec![0; packets.len()]);
            }
        }
    }

    #[test]
    fn other_rates_are_refused() {
        let error = Unpacker::new(44_100).err().unwrap();
        assert_eq!(error.code, Code::InvalidArgument);
        let mut packer = Packer::new().unwrap();
        let odd = Format::mono(47_999).unwrap();
        assert_eq!(packer.next(&mut frame(odd, &[0; 480])).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn the_format_may_change() {
        let mut packer = Packer::new().unwrap();
        let mut packets = Vec::new();
        for format in [Format::SPEECH, Format::WIRE, Format::new(44_100, 2).unwrap()] {
            let samples = sine(format, 0.1);
            let mut input = frame(format, &samples);
            packets.extend(std::iter::from_fn(|| packer.next(&mut input).unwrap()));
        }
        packets.extend(std::iter::from_fn(|| packer.finish().unwrap()));
        assert_eq!(packets.len(), 15);
    }

    #[test]
    fn a_packet_knows_how_loud_it_is() {
        let mut packer = Packer::new().unwrap();
        let tone = sine(Format::WIRE, 0.02);
        let loud = packer.next(&mut frame(Format::WIRE, &tone)).unwrap().unwrap();
        assert_eq!((loud.level, loud.is_silent), (-15, false));
        let silent = packer.next(&mut frame(Format::WIRE, &[0; SAMPLES])).unwrap().unwrap();
        assert_eq!((silent.level, silent.is_silent), (-127, true));
    }

    #[test]
    fn what_is_cleared_is_in_no_packet() {
        let mut packer = Packer::new().unwrap();
        assert!(packer.next(&mut frame(Format::WIRE, &[1; 900])).unwrap().is_none());
        packer.clear();
        assert!(packer.finish().unwrap().is_none());
    }

    #[test]
    fn a_lost_packet_is_made_up_and_flagged() {
        let mut packets = numbered(packed(Format::WIRE, 1.0, 480));
        packets.drain(20..22);
        let frames = unpacked(16_000, &packets);
        assert_eq!(frames.len(), 50);
        assert!(is_without_holes(&frames));
        let flags = lost(&frames);
        assert_eq!(&flags[19..23], [0, 320, 320, 0]);
        assert_eq!(flags.iter().sum::<u64>(), 640);
        // It is not silence.
        let made_up = floats(&frames[20..22]);
        assert!(greenroom_audio::sample::rms(&made_up) > 0.02);
    }

    #[test]
    fn a_silence_that_was_not_sent_is_filled_and_not_lost() {
        let mut packets = numbered(packed(Format::WIRE, 1.0, 480));
        for packet in &mut packets[20..] {
            packet.time += 20 * SAMPLES as u64;
        }
        let frames = unpacked(48_000, &packets);
        assert_eq!(frames.len(), 70);
        assert!(is_without_holes(&frames));
        assert_eq!(lost(&frames), [0; 70]);
    }

    #[test]
    fn a_long_hole_stays_one() {
        let mut packets = numbered(packed(Format::WIRE, 0.4, 480));
        for packet in &mut packets[10..] {
            packet.number += 500;
            packet.time += 500 * SAMPLES as u64;
        }
        let frames = unpacked(48_000, &packets);
        assert_eq!(frames.len(), 20);
        assert_eq!(frames[10].time, Duration::from_millis(10_200));
        assert_eq!(frames[10].lost, 500 * SAMPLES as u64);
    }

    #[test]
    fn another_connection_goes_by_the_clock() {
        let mut packets = numbered(packed(Format::WIRE, 0.4, 480));
        for packet in &mut packets[10..] {
            packet.connection = 2;
            packet.number -= 105;
            packet.time -= 3_000;
            packet.came += Duration::from_millis(200);
        }
        let frames = unpacked(48_000, &packets);
        assert_eq!(frames.len(), 30);
        assert!(is_without_holes(&frames));
        assert_eq!(lost(&frames).iter().sum::<u64>(), 10 * SAMPLES as u64);
    }

    #[test]
    fn what_comes_late_or_twice_is_dropped() {
        let packets = numbered(packed(Format::WIRE, 0.2, 480));
        let again: Vec<Packet> = packets.iter().flat_map(|packet| [packet.clone(), packet.clone()]).collect();
        assert_eq!(unpacked(48_000, &again).len(), packets.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_packet_breaks_it(
            packets in proptest::collection::vec((
                proptest::collection::vec(any::<u8>(), 0..120),
                0_u32..2, any::<u16>(), prop_oneof![any::<u32>().prop_map(u64::from), 0_u64..4_800],
            ), 1..8),
            rate in prop_oneof![Just(48_000_u32), Just(16_000)],
        ) {
            let came = Instant::now();
            let packets: Vec<Packet> = packets
                .into_iter()
                .map(|(data, connection, number, time)| {
                    Packet { connection, number: number.into(), time, came, data: data.into() }
                })
                .collect();
            unpacked(rate, &packets);
        }
    }
}
