//! WAV files: there and back, beside another library, and as the wild has them.

use std::io::Cursor;

use greenroom_audio::Format;
use greenroom_audio::wav::{self, Encoding, Reader, Why, Writer};
use proptest::prelude::*;

fn stereo(rate: u32) -> Format {
    Format::new(rate, 2).expect("stereo")
}

fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|step| (step as f32 / count as f32 - 0.5) * 1.9).collect()
}

fn written(format: Format, encoding: Encoding, samples: &[f32]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = Writer::new("memory", &mut bytes, format, encoding).expect("a header");
    writer.write(samples).expect("samples");
    assert_eq!(writer.length(), (samples.len() / format.channels()) as u64);
    writer.finish().expect("an end");
    bytes.into_inner()
}

fn all(bytes: &[u8]) -> (Format, Vec<f32>, bool) {
    let mut reader = Reader::new("memory", bytes).unwrap_or_else(|error| panic!("{error}"));
    let channels = reader.format().channels();
    let (mut samples, mut chunk) = (Vec::new(), vec![0.0; 100 * channels]);
    loop {
        let got = reader.read(&mut chunk).expect("samples");
        samples.extend_from_slice(&chunk[..got * channels]);
        if got == 0 {
            return (reader.format(), samples, reader.is_truncated());
        }
    }
}

fn refused(bytes: &[u8]) -> String {
    Reader::new("odd.wav", bytes).expect_err("refused").to_string()
}

/// A file of the given chunks, with their sizes as given and nothing added.
fn file(chunks: &[(&[u8; 4], u32, &[u8])]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, size, body) in chunks {
        bytes.extend_from_slice(*name);
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(body);
    }
    let size = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    bytes
}

/// A `fmt ` chunk's body.
fn fmt(tag: u16, channels: u16, rate: u32, instant: u16, bits: u16) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&tag.to_le_bytes());
    body.extend_from_slice(&channels.to_le_bytes());
    body.extend_from_slice(&rate.to_le_bytes());
    body.extend_from_slice(&(rate * u32::from(instant)).to_le_bytes());
    body.extend_from_slice(&instant.to_le_bytes());
    body.extend_from_slice(&bits.to_le_bytes());
    body
}

const S16: &[u8] = &[0, 0x40, 0, 0xc0];
const S16_MEANT: [f32; 2] = [0.5, -0.5];

#[test]
fn what_is_written_is_read_again() {
    for channels in [1, 2, 6, 8] {
        let format = Format::new(44_100, channels).expect("a format");
        let samples = ramp(301 * format.channels());
        for (encoding, step) in
            [(Encoding::S16, 1.0 / 65_536.0), (Encoding::S24, 1.0 / 16_777_216.0), (Encoding::F32, 0.0)]
        {
            let bytes = written(format, encoding, &samples);
            assert_eq!(bytes.len() % 2, 0);
            let (found, read, truncated) = all(&bytes);
            assert_eq!((found, read.len(), truncated), (format, samples.len(), false));
            for (a, b) in read.iter().zip(&samples) {
                assert!((a - b).abs() <= step, "{encoding:?}: {a} for {b}");
            }
        }
    }
}

#[test]
fn what_is_beyond_full_scale_is_clipped_in_whole_numbers_and_kept_in_float() {
    let samples = [2.0, -2.0, f32::NAN];
    let (_, read, _) = all(&written(Format::SPEECH, Encoding::S16, &samples));
    assert_eq!(read, [32_767.0 / 32_768.0, -1.0, 0.0]);
    let (_, read, _) = all(&written(Format::SPEECH, Encoding::F32, &samples));
    assert_eq!(read[..2], [2.0, -2.0]);
}

#[test]
fn another_library_reads_what_we_write() {
    for (encoding, bits, kind) in [
        (Encoding::S16, 16, hound::SampleFormat::Int),
        (Encoding::S24, 24, hound::SampleFormat::Int),
        (Encoding::F32, 32, hound::SampleFormat::Float),
    ] {
        for channels in [1, 2, 8] {
            let format = Format::new(48_000, channels).expect("a format");
            let samples = ramp(99 * format.channels());
            let bytes = written(format, encoding, &samples);
            let mut theirs = hound::WavReader::new(&bytes[..]).expect("a file for hound");
            let spec = theirs.spec();
            assert_eq!((spec.channels, spec.sample_rate), (channels, 48_000));
            assert_eq!((spec.bits_per_sample, spec.sample_format), (bits, kind));
            let read: Vec<f32> = match kind {
                hound::SampleFormat::Float => {
                    theirs.samples().map(|sample| sample.expect("a sample")).collect()
                }
                hound::SampleFormat::Int => {
                    let scale = (1_u32 << (bits - 1)) as f32;
                    theirs.samples::<i32>().map(|sample| sample.expect("a sample") as f32 / scale).collect()
                }
            };
            assert_eq!(read, all(&bytes).1);
        }
    }
}

#[test]
fn we_read_what_another_library_writes() {
    for (bits, kind) in [(8, "int"), (16, "int"), (24, "int"), (32, "int"), (32, "float")] {
        let sample_format = if kind == "int" { hound::SampleFormat::Int } else { hound::SampleFormat::Float };
        let spec = hound::WavSpec { channels: 2, sample_rate: 16_000, bits_per_sample: bits, sample_format };
        let mut bytes = Cursor::new(Vec::new());
        let mut theirs = hound::WavWriter::new(&mut bytes, spec).expect("a header");
        let meant = [0.5, -0.25, 0.0, -1.0, 0.75, 0.125];
        for sample in meant {
            match sample_format {
                hound::SampleFormat::Float => theirs.write_sample(sample).expect("a sample"),
                hound::SampleFormat::Int => {
                    let whole = f64::from(sample) * (1_u64 << (bits - 1)) as f64;
                    theirs.write_sample(whole as i32).expect("a sample");
                }
            }
        }
        theirs.finalize().expect("an end");
        let (format, read, truncated) = all(&bytes.into_inner());
        assert_eq!((format, truncated), (stereo(16_000), false));
        assert_eq!(read, meant, "{bits} bits, {kind}");
    }
}

#[test]
fn chunks_that_nobody_asked_for_are_passed_over() {
    let description = fmt(1, 1, 16_000, 2, 16);
    let long = [&description[..], &[0; 26]].concat();
    for bytes in [
        file(&[(b"LIST", 4, b"INFO"), (b"fmt ", 16, &description), (b"fact", 4, &[9; 4]), (b"data", 4, S16)]),
        // A chunk of odd size with the byte after it, and without.
        file(&[(b"JUNK", 3, b"odd\0"), (b"fmt ", 16, &description), (b"data", 4, S16)]),
        file(&[(b"JUNK", 3, b"odd"), (b"fmt ", 16, &description), (b"data", 4, S16)]),
        // A description that is longer than it needs to be, and chunks behind the data.
        file(&[
            (b"fmt ", 18, &[&description[..], &[0, 0]].concat()),
            (b"data", 4, S16),
            (b"LIST", 4, b"INFO"),
        ]),
        file(&[(b"fmt ", long.len() as u32, &long), (b"data", 4, S16)]),
        file(&[(b"bext", 602, &[7; 602]), (b"fmt ", 16, &description), (b"data", 4, S16)]),
    ] {
        let (format, samples, truncated) = all(&bytes);
        assert_eq!((format, &samples[..], truncated), (Format::SPEECH, &S16_MEANT[..], false));
    }
}

#[test]
fn a_file_from_a_pipe_goes_up_to_its_end() {
    let description = fmt(1, 1, 16_000, 2, 16);
    for size in [u32::MAX, 0x7fff_ffff, 0x7fff_f000] {
        let (_, samples, truncated) = all(&file(&[(b"fmt ", 16, &description), (b"data", size, S16)]));
        assert_eq!((&samples[..], truncated), (&S16_MEANT[..], false), "{size:#x}");
    }
    // Killed before the sizes were filled in.
    let mut killed = file(&[(b"fmt ", 16, &description), (b"data", 0, S16)]);
    killed[4..8].fill(0);
    assert_eq!(all(&killed).1, S16_MEANT);
    // Really without samples.
    let empty = file(&[(b"fmt ", 16, &description), (b"data", 0, &[]), (b"LIST", 4, b"INFO")]);
    assert_eq!(all(&empty).1, [] as [f32; 0]);
}

#[test]
fn what_is_left_of_a_truncated_file_is_read_and_the_loss_told() {
    let description = fmt(1, 1, 16_000, 2, 16);
    let whole = file(&[(b"fmt ", 16, &description), (b"data", 400, S16)]);
    let (_, samples, truncated) = all(&whole);
    assert_eq!((&samples[..], truncated), (&S16_MEANT[..], true));
    // In the middle of a sample.
    let (_, samples, truncated) = all(&whole[..whole.len() - 1]);
    assert_eq!((&samples[..], truncated), (&S16_MEANT[..1], true));
    let announced = Reader::new("memory", &whole[..]).expect("a header").announced();
    assert_eq!(announced, Some(200));
}

#[test]
fn a_writer_that_was_killed_leaves_a_file_that_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("killed.wav");
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = Writer::new("memory", &mut bytes, Format::SPEECH, Encoding::S16).expect("a header");
    writer.write(&[0.5, -0.5]).expect("samples");
    std::mem::forget(writer);
    let bytes = bytes.into_inner();
    assert_eq!(all(&bytes), (Format::SPEECH, S16_MEANT.to_vec(), false));
    // One that was only dropped is whole.
    Writer::create(&path, Format::SPEECH, Encoding::S16)
        .and_then(|mut writer| writer.write(&[0.5, -0.5]))
        .expect("a file");
    let (format, samples) = wav::read(&path).expect("a whole file");
    assert_eq!((format, &samples[..]), (Format::SPEECH, &S16_MEANT[..]));
    assert_eq!(hound::WavReader::open(&path).expect("a whole file").duration(), 2);
}

#[test]
fn other_kinds_of_samples_are_read() {
    let bits_12 = file(&[(b"fmt ", 16, &fmt(1, 1, 8_000, 2, 12)), (b"data", 4, S16)]);
    let bits_24_in_32 =
        file(&[(b"fmt ", 16, &fmt(1, 1, 8_000, 4, 24)), (b"data", 8, &[0, 0, 0x40, 0, 0, 0, 0xc0, 0xff])]);
    let double = [0.5_f64.to_le_bytes(), (-0.5_f64).to_le_bytes()].concat();
    let double = file(&[(b"fmt ", 16, &fmt(3, 1, 8_000, 8, 64)), (b"data", 16, &double)]);
    for bytes in [bits_12, bits_24_in_32, double] {
        assert_eq!(all(&bytes).1, S16_MEANT);
    }
    // The loudest of both laws.
    let mu = all(&file(&[(b"fmt ", 16, &fmt(7, 1, 8_000, 1, 8)), (b"data", 2, &[0x80, 0x00])])).1;
    let a = all(&file(&[(b"fmt ", 16, &fmt(6, 1, 8_000, 1, 8)), (b"data", 2, &[0xaa, 0x2a])])).1;
    assert_eq!(mu, [32_124.0 / 32_768.0, -32_124.0 / 32_768.0]);
    assert_eq!(a, [32_256.0 / 32_768.0, -32_256.0 / 32_768.0]);
}

#[test]
fn a_file_beyond_4_gib_announces_its_size_elsewhere() {
    let sizes = [100_u64.to_le_bytes(), 4_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat();
    let mut bytes = file(&[
        (b"ds64", 24, &sizes),
        (b"fmt ", 16, &fmt(1, 1, 16_000, 2, 16)),
        (b"data", u32::MAX, S16),
        (b"LIST", 4, b"INFO"),
    ]);
    bytes[..4].copy_from_slice(b"RF64");
    assert_eq!(all(&bytes), (Format::SPEECH, S16_MEANT.to_vec(), false));
}

#[test]
fn what_is_no_wav_file_is_refused_by_name_and_with_a_way_out() {
    let description = fmt(1, 1, 16_000, 2, 16);
    assert!(refused(b"").starts_with("odd.wav: "));
    assert!(refused(b"ID3 this is an mp3").contains("does not begin with RIFF"));
    assert!(refused(&file(&[(b"fmt ", 16, &description)])).contains("no data chunk"));
    assert!(refused(&file(&[(b"data", 4, S16)])).contains("before its format"));
    assert!(refused(&file(&[(b"JUNK", 400, b"short")])).contains("ends before"));
    assert!(refused(&file(&[(b"fmt ", 16, &fmt(2, 1, 16_000, 2, 4)), (b"data", 4, S16)])).contains("ffmpeg"));
    assert!(
        refused(&file(&[(b"fmt ", 16, &fmt(1, 0, 16_000, 2, 16)), (b"data", 4, S16)])).contains("0 channels")
    );
    assert!(refused(&file(&[(b"fmt ", 16, &fmt(1, 1, 3, 2, 16)), (b"data", 4, S16)])).contains("3 Hz"));
    let missing = Reader::open("/nowhere/at all.wav".as_ref()).expect_err("there is none");
    assert!(missing.to_string().contains("/nowhere/at all.wav") && matches!(missing.why, Why::Io(_)));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..60, cut in 0_usize..100) {
        let mut whole = written(stereo(8_000), Encoding::S24, &ramp(20));
        for (offset, byte) in bytes.drain(..).enumerate().take(6) {
            whole[at + offset] = byte;
        }
        whole.truncate(whole.len() - cut);
        if let Ok(mut reader) = Reader::new("memory", &whole[..]) {
            let mut samples = vec![0.0; 64 * reader.format().channels()];
            while reader.read(&mut samples).expect("memory cannot fail") > 0 {}
        }
    }
}
