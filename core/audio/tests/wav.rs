//! WAV files: there and back, beside another library, and as the wild has them.

use std::io::Cursor;

use greenroom_audio::wav::{self, Encoding, Reader, Why, Writer};
use greenroom_audio::{Format, Note};
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

/// What is odd about a whole file, by its stable names, and its samples.
fn noted(bytes: &[u8]) -> (Vec<&'static str>, Vec<f32>) {
    let mut reader = Reader::of_content("memory", bytes).unwrap_or_else(|error| panic!("{error}"));
    let channels = reader.format().channels();
    let (mut samples, mut chunk) = (Vec::new(), vec![0.0; 100 * channels]);
    loop {
        let got = reader.read(&mut chunk).unwrap_or_else(|error| panic!("{error}"));
        samples.extend_from_slice(&chunk[..got * channels]);
        if got == 0 {
            return (reader.notes().iter().map(Note::code).collect(), samples);
        }
    }
}

/// What reading a whole file fails with, at its header or in its samples.
fn fails(bytes: &[u8]) -> String {
    match Reader::of_content("odd.wav", bytes) {
        Err(error) => error.to_string(),
        Ok(mut reader) => {
            let mut chunk = vec![0.0; 100 * reader.format().channels()];
            loop {
                match reader.read(&mut chunk) {
                    Ok(0) => panic!("it is read"),
                    Ok(_) => {}
                    Err(error) => break error.to_string(),
                }
            }
        }
    }
}

/// A sine over the whole of so many samples, as 16 bits.
fn sine(count: usize) -> Vec<i16> {
    (0..count).map(|at| ((at as f32 * 0.05).sin() * 20_000.0) as i16).collect()
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn floats_of(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
}

/// An extended `fmt ` chunk's body.
fn extended(channels: u16, block: u16, bits: u16, valid: u16, tag: u16, tail: [u8; 14]) -> Vec<u8> {
    let mut body = fmt(0xfffe, channels, 16_000, block, bits);
    body.extend_from_slice(&22_u16.to_le_bytes());
    body.extend_from_slice(&valid.to_le_bytes());
    body.extend_from_slice(&0_u32.to_le_bytes());
    body.extend_from_slice(&tag.to_le_bytes());
    body.extend_from_slice(&tail);
    body
}

const USUAL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
const AMBISONIC: [u8; 14] = [0, 0, 0x21, 0x07, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0];

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
fn data_of_size_zero_from_a_died_recorder_is_read_and_flagged() {
    let spoken = sine(16_000);
    let content = bytes_of(&spoken);
    let mut bytes = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 2, 16)), (b"data", 0, &content)]);
    for whole in [36, 4, 8, 44, 4088, bytes.len() as u32 - 8, 0x7fff_ffff, 0xffff_fffe, 0, u32::MAX] {
        bytes[4..8].copy_from_slice(&whole.to_le_bytes());
        assert_eq!(noted(&bytes), (vec!["size_not_written"], floats_of(&spoken)), "{whole:#x}");
        // The same through a pipe, whose length nobody knows.
        assert_eq!(all(&bytes).1, floats_of(&spoken), "{whole:#x}");
    }
    // It died before the first sample, or has none.
    let empty = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 2, 16)), (b"data", 0, &[])]);
    assert_eq!(noted(&empty), (vec![], vec![]));
    let empty = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 2, 16)), (b"data", 0, &[]), (b"own!", 3, b"abc\0")]);
    assert_eq!(noted(&empty), (vec![], vec![]), "a chunk of no known name that goes to the end");
}

#[test]
fn a_large_file_that_was_never_finished_is_read_and_flagged() {
    let (spoken, description) = (sine(1_000), fmt(1, 1, 16_000, 2, 16));
    let content = bytes_of(&spoken);
    for tag in [b"RF64", b"BW64"] {
        for (sizes, data) in [([0; 24], u32::MAX), ([0; 24], 0), ([0xff; 24], u32::MAX)] {
            let mut bytes =
                file(&[(b"ds64", 24, &sizes), (b"fmt ", 16, &description), (b"data", data, &content)]);
            bytes[..4].copy_from_slice(tag);
            assert_eq!(noted(&bytes), (vec!["size_not_written"], floats_of(&spoken)), "{data:#x}");
        }
        let mut bytes = file(&[(b"fmt ", 16, &description), (b"data", u32::MAX, &content)]);
        bytes[..4].copy_from_slice(tag);
        assert_eq!(noted(&bytes), (vec!["size_not_written"], floats_of(&spoken)));
    }
}

#[test]
fn an_empty_data_chunk_before_a_full_one_is_passed_over_and_flagged() {
    let spoken = sine(1_000);
    let (description, content) = (fmt(1, 1, 16_000, 2, 16), bytes_of(&spoken));
    for between in [&[][..], &[(b"LIST", 4_u32, &b"INFO"[..])]] {
        let mut chunks = vec![(b"fmt ", 16, &description[..]), (b"data", 0, &[])];
        chunks.extend_from_slice(between);
        chunks.push((b"data", content.len() as u32, &content));
        let bytes = file(&chunks);
        assert_eq!(noted(&bytes), (vec!["empty_data"], floats_of(&spoken)));
        assert_eq!(all(&bytes).1, floats_of(&spoken));
    }
}

#[test]
fn a_size_that_is_not_the_files_is_flagged() {
    let spoken = sine(1_000);
    let (description, content) = (fmt(1, 1, 16_000, 2, 16), bytes_of(&spoken));
    let twice = file(&[(b"fmt ", 16, &description), (b"data", 4_000, &content)]);
    assert_eq!(noted(&twice), (vec!["truncated"], floats_of(&spoken)));
    let reader = Reader::of_content("memory", &twice).expect("a header");
    assert_eq!(reader.notes(), [Note::Truncated { announced: 2_000, found: 1_000 }], "before it is read");
    let half = file(&[(b"fmt ", 16, &description), (b"data", 1_000, &content)]);
    assert_eq!(noted(&half), (vec!["more_follows"], floats_of(&spoken[..500])));
    let odd = file(&[(b"fmt ", 16, &description), (b"data", 1_999, &content[..1_999])]);
    assert_eq!(noted(&odd), (vec!["partial_sample"], floats_of(&spoken[..999])));
    // Chunks behind the samples are as they should be.
    let whole = file(&[(b"fmt ", 16, &description), (b"data", 2_000, &content), (b"LIST", 4, b"INFO")]);
    assert_eq!(noted(&whole), (vec![], floats_of(&spoken)));
    let large = file(&[(b"fmt ", 16, &description), (b"data", 0x7fff_fff0, &content)]);
    assert_eq!(noted(&large), (vec!["size_not_written"], floats_of(&spoken)));
}

#[test]
fn chunks_of_odd_size_are_passed_over_however_they_are_padded() {
    let description = fmt(1, 1, 16_000, 2, 16);
    for (padded, notes) in [
        (&b"odd\0"[..], vec![]),
        (b"oddX", vec!["padding"]),
        (b"odd\xff", vec!["padding"]),
        (b"odd", vec!["padding"]),
    ] {
        for front in [true, false] {
            let (list, form) = ((b"LIST", 3, padded), (b"fmt ", 16, &description[..]));
            let (one, two) = if front { (list, form) } else { (form, list) };
            assert_eq!(noted(&file(&[one, two, (b"data", 4, S16)])), (notes.clone(), S16_MEANT.to_vec()));
        }
    }
}

#[test]
fn a_block_size_that_contradicts_bits_and_channels_never_makes_noise() {
    let spoken = sine(4_000);
    let content = bytes_of(&spoken);
    for block in [0, 1, 3, 5, 7] {
        let bytes = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, block, 16)), (b"data", 8_000, &content)]);
        assert_eq!(noted(&bytes), (vec!["block_size"], floats_of(&spoken)), "{block}");
        let bytes = file(&[(b"fmt ", 16, &fmt(1, 2, 16_000, block, 16)), (b"data", 8_000, &content)]);
        assert_eq!(noted(&bytes), (vec!["block_size"], floats_of(&spoken)), "{block} for two channels");
    }
    let float: Vec<u8> = floats_of(&spoken).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let bytes = file(&[(b"fmt ", 16, &fmt(3, 1, 16_000, 0, 32)), (b"data", 16_000, &float)]);
    assert_eq!(noted(&bytes), (vec!["block_size"], floats_of(&spoken)));
    // 4 bytes would do, and these samples are no such.
    let bytes = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 4, 16)), (b"data", 8_000, &content)]);
    assert!(fails(&bytes).contains("16 bits in 4 bytes are neither at the top nor at the bottom"));
    // Unless the bytes per second say so too.
    let mut description = fmt(1, 1, 16_000, 4, 16);
    description[8..12].copy_from_slice(&32_000_u32.to_le_bytes());
    let bytes = file(&[(b"fmt ", 16, &description), (b"data", 8_000, &content)]);
    assert_eq!(noted(&bytes), (vec!["block_size"], floats_of(&spoken)));
    for (bits, block, tag) in
        [(8, 2, 1), (8, 4, 1), (0, 2, 1), (40, 5, 1), (16, 2, 3), (32, 8, 3), (24, 3, 3), (16, 2, 6)]
    {
        let refused =
            fails(&file(&[(b"fmt ", 16, &fmt(tag, 1, 16_000, block, bits)), (b"data", 8_000, &content)]));
        assert!(refused.contains(&format!("{bits} bits")) && refused.contains("ffmpeg"), "{refused}");
    }
}

#[test]
fn fewer_bits_than_bytes_are_found_at_their_top_and_at_their_bottom() {
    let spoken = sine(4_000);
    // Silence at first tells nothing, and is silence whatever comes.
    let spoken: Vec<i16> = std::iter::repeat_n(0, 3_000).chain(spoken).collect();
    for (bits, valid, size, channels) in [
        (24, 24, 4, 1),
        (16, 16, 4, 1),
        (16, 16, 4, 2),
        (20, 20, 3, 1),
        (20, 20, 4, 1),
        (16, 16, 3, 1),
        (32, 24, 4, 1),
        (32, 20, 4, 2),
        (24, 20, 3, 1),
    ] {
        // Samples of as many bits.
        let words = |at_top: bool| -> Vec<u8> {
            let place = if at_top { 8 * size - 16 } else { valid - 16 };
            let words = spoken.iter().map(|&sample| (i64::from(sample) << place) as i32);
            // The lowest bit that counts is set, so that the samples are no shorter ones.
            let lowest = if at_top { 8 * size - valid } else { 0 };
            words
                .flat_map(|word| {
                    let word = if word == 0 || valid == 16 { word } else { word | 1 << lowest };
                    word.to_le_bytes()[..size as usize].to_vec()
                })
                .collect()
        };
        let block = size as u16 * channels;
        for at_top in [true, false] {
            let content = words(at_top);
            let mut headers = vec![extended(channels, block, bits, valid as u16, 1, USUAL)];
            if bits == valid as u16 {
                headers.push(fmt(1, channels, 16_000, block, bits));
            }
            for header in headers {
                let bytes = file(&[
                    (b"fmt ", header.len() as u32, &header),
                    (b"data", content.len() as u32, &content),
                ]);
                let (notes, samples) = noted(&bytes);
                assert_eq!((notes, samples.len()), (vec![], spoken.len()));
                let far =
                    samples.iter().zip(floats_of(&spoken)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(far <= 1.0 / 32_768.0, "{valid} of {bits} bits in {size} bytes, {at_top}: {far}");
            }
        }
    }
    // What seemed to be at the bottom and is not is an error, not noise.
    let mut content: Vec<u8> = (0..400_000).flat_map(|at: i32| (at % 7 * 256).to_le_bytes()).collect();
    content.extend([0x01, 0x02, 0x03, 0x40]);
    let bytes = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 4, 24)), (b"data", content.len() as u32, &content)]);
    assert!(fails(&bytes).contains("at the bottom of them first and elsewhere later"));
}

#[test]
fn floats_that_are_called_integers_are_read_and_flagged() {
    let spoken = sine(4_000);
    for (bits, scale) in [(16, 1.0), (24, 256.0)] {
        let content: Vec<u8> =
            spoken.iter().flat_map(|&sample| (f32::from(sample) * scale).to_le_bytes()).collect();
        let bytes =
            file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 4, bits)), (b"data", content.len() as u32, &content)]);
        assert_eq!(noted(&bytes), (vec!["scaled_float"], floats_of(&spoken)), "{bits}");
    }
}

#[test]
fn extended_formats_are_read_or_refused_with_their_name() {
    let ambisonic = extended(4, 8, 16, 16, 1, AMBISONIC);
    let content = bytes_of(&sine(400));
    let bytes = file(&[(b"fmt ", 40, &ambisonic), (b"data", 800, &content)]);
    assert_eq!(noted(&bytes), (vec![], floats_of(&sine(400))));
    for (tag, size) in [(6, 1), (7, 1), (3, 4), (3, 8)] {
        let header = extended(1, size, size * 8, size * 8, tag, USUAL);
        let bytes = file(&[(b"fmt ", 40, &header), (b"data", 800, &content)]);
        let plain = file(&[(b"fmt ", 16, &fmt(tag, 1, 16_000, size, size * 8)), (b"data", 800, &content)]);
        assert_eq!(noted(&bytes).1.len(), noted(&plain).1.len());
    }
    let unknown = extended(1, 2, 16, 16, 1, [7; 14]);
    let refused = refused(&file(&[(b"fmt ", 40, &unknown), (b"data", 800, &content)]));
    assert!(refused.contains("07070001-0707-0707-0707-070707070707"), "{refused}");
    let large: Vec<u8> =
        [i64::MIN / 2, i64::MAX / 2 + 1].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let bytes = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 8, 64)), (b"data", 16, &large)]);
    assert_eq!(noted(&bytes).1, [-0.5, 0.5]);
}

#[test]
fn a_file_of_compressed_sound_is_refused_by_its_name() {
    for (tag, name) in [(0x55, "MP3"), (2, "ADPCM"), (0x31, "GSM"), (0xf1ac, "FLAC")] {
        let bytes = file(&[(b"fmt ", 16, &fmt(tag, 1, 16_000, 1, 0)), (b"data", 4, S16)]);
        assert!(refused(&bytes).contains(name), "{tag:#x}");
    }
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

    /// Whatever one byte of the header is: the samples are right, or what is odd is flagged, or it is refused by name; unless the byte says
    /// what the samples are, which nothing contradicts.
    #[test]
    fn a_header_with_a_wrong_byte_is_read_right_or_flagged_or_refused(at in 0_usize..44, byte in any::<u8>()) {
        let spoken = sine(2_000);
        let right = file(&[(b"fmt ", 16, &fmt(1, 1, 16_000, 2, 16)), (b"data", 4_000, &bytes_of(&spoken))]);
        let mut bytes = right.clone();
        bytes[at] = byte;
        let says = 20..36;
        if let Ok(mut reader) = Reader::of_content("memory", &bytes) {
            let mut samples = vec![0.0; 64 * reader.format().channels()];
            let (mut read, mut failed) = (Vec::new(), false);
            loop {
                match reader.read(&mut samples) {
                    Ok(0) => break,
                    Ok(got) => read.extend_from_slice(&samples[..got * reader.format().channels()]),
                    Err(_) => { failed = true; break }
                }
            }
            let is_right = read == floats_of(&spoken);
            prop_assert!(failed || is_right || says.contains(&at) || !reader.notes().is_empty(), "{at}: {byte:#x}");
        }
    }
}
