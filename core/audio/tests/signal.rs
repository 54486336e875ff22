//! Samples, channels, formats, and the helpers of tests.

use std::time::Duration;

use greenroom_audio::channels::{mix_down, pick, spread};
use greenroom_audio::noise::{Kind, Noise};
use greenroom_audio::sample::{amplitude, convert, dbfs, rms};
use greenroom_audio::signal::{Sine, delay, sinad, tone};
use greenroom_audio::{Format, Frame};
use proptest::prelude::*;

fn sine(hz: f64, dbfs: f32, rate: u32, samples: usize) -> Vec<f32> {
    let mut made = vec![0.0; samples];
    Sine::new(hz, dbfs, rate).fill(&mut made);
    made
}

fn white(dbfs: f32, seed: u64, samples: usize) -> Vec<f32> {
    let mut made = vec![0.0; samples];
    Noise::new(Kind::White, dbfs, 16_000, seed).fill(&mut made);
    made
}

#[test]
fn a_format_is_audio_or_says_why_not() {
    assert_eq!(Format::new(44_100, 2).expect("stereo").to_string(), "44100 Hz stereo");
    assert_eq!(Format::WIRE.to_string(), "48000 Hz mono");
    assert!(Format::mono(999).expect_err("too low").to_string().contains("999 Hz"));
    assert!(Format::mono(400_000).expect_err("too high").to_string().contains("400000 Hz"));
    assert!(Format::new(48_000, 0).expect_err("none").to_string().contains("0 channels"));
    assert!(Format::new(48_000, 65).expect_err("too many").to_string().contains("65 channels"));
}

#[test]
fn samples_and_time_are_one() {
    let odd = Format::mono(44_100).expect("a rate");
    assert_eq!(odd.samples_in(Duration::from_millis(10)), 441);
    assert_eq!(odd.duration_of(44_100 * 3600), Duration::from_secs(3600));
    assert_eq!(odd.duration_of(1), Duration::from_nanos(22_675));
    let stereo = Format::new(44_100, 2).expect("stereo");
    let frame = Frame { format: stereo, time: Duration::ZERO, lost: 0, samples: &[0_i16; 882][..] };
    assert_eq!(
        (frame.per_channel(), frame.duration(), frame.has_gap()),
        (441, Duration::from_millis(10), false)
    );
    assert_eq!(frame.map(<[i16]>::to_vec).samples.len(), 882);
}

#[test]
fn sixteen_bits_are_rounded_and_clipped() {
    let mut made = [9_i16; 8];
    let written = convert(&[0.0, 1.0, -1.0, 2.0, -2.0, f32::NAN, 1.4 / 32_768.0, -1.6 / 32_768.0], &mut made);
    assert_eq!((written, made), (8, [0, 32_767, -32_768, 32_767, -32_768, 0, 1, -2]));
    let mut few = [0.0; 2];
    assert_eq!(convert(&[i16::MIN, 16_384, 1], &mut few), 2);
    assert_eq!(few, [-1.0, 0.5]);
}

#[test]
fn every_sample_of_16_bits_survives() {
    let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let (mut float, mut back) = (vec![0.0_f32; all.len()], vec![0_i16; all.len()]);
    convert(&all, &mut float);
    convert(&float, &mut back);
    assert_eq!(back, all);
    let (mut wide, mut back) = (vec![0_i32; all.len()], vec![0_i16; all.len()]);
    convert(&all, &mut wide);
    convert(&wide, &mut back);
    assert_eq!(back, all);
}

#[test]
fn decibels_are_of_full_scale() {
    assert_eq!(dbfs(1.0), 0.0);
    assert_eq!(dbfs(0.0), f32::NEG_INFINITY);
    assert!((amplitude(-6.0206) - 0.5).abs() < 1e-6);
    assert_eq!(rms(&[]), 0.0);
    assert!((rms(&[0.5, -0.5]) - 0.5).abs() < 1e-9);
}

#[test]
fn channels_are_mixed_picked_and_spread() {
    let both = [1.0, 0.0, 0.5, -0.5, 0.25, 0.75];
    let mut mono = [9.0; 4];
    assert_eq!(mix_down(&both, 2, &mut mono), 3);
    assert_eq!(mono, [0.5, 0.0, 0.5, 9.0]);
    assert_eq!(pick(&both, 2, 1, &mut mono), 3);
    assert_eq!(mono[..3], [0.0, -0.5, 0.75]);
    assert_eq!(pick(&both, 2, 2, &mut mono), 0);
    let mut spreaded = [0.0; 6];
    assert_eq!(spread(&mono[..3], 2, &mut spreaded), 3);
    assert_eq!(spreaded, [0.0, 0.0, -0.5, -0.5, 0.75, 0.75]);
}

#[test]
fn a_tone_is_found_by_its_frequency_and_no_other() {
    let samples = sine(1000.0, -20.0, 48_000, 48_000);
    assert!((tone(&samples, 1000.0, 48_000) + 20.0).abs() < 0.001);
    assert!(tone(&samples, 1500.0, 48_000) < -120.0);
    assert_eq!(tone(&[], 1000.0, 48_000), f32::NEG_INFINITY);
}

#[test]
fn sinad_is_the_ratio_that_was_made() {
    let mut samples = sine(997.0, -20.0, 16_000, 16_000);
    assert!(sinad(&samples, 997.0, 16_000) > 130.0);
    for (sample, noise) in samples.iter_mut().zip(white(-63.01, 1, 16_000)) {
        *sample += noise + 0.1;
    }
    let found = sinad(&samples, 997.0, 16_000);
    assert!((found - 40.0).abs() < 0.2, "{found}");
}

#[test]
fn what_was_delayed_is_found() {
    let reference = white(-20.0, 1, 1600);
    let mut recorded = white(-40.0, 2, 8000);
    for (sample, reference) in recorded[1234..].iter_mut().zip(&reference) {
        *sample += reference * 0.5;
    }
    let (lag, alike) = delay(&reference, &recorded, 5000).expect("it is there");
    assert_eq!(lag, 1234);
    assert!((0.95..1.0).contains(&alike), "{alike}");
    assert_eq!(delay(&reference, &recorded[..100], 5000), None);
    assert_eq!(delay(&reference, &[0.0; 2000], 5000), None);
}

proptest! {
    #[test]
    fn samples_and_durations_come_back(rate in 1_000_u32..=384_000, samples in 0_u64..1 << 40) {
        let format = Format::mono(rate).expect("a rate");
        let back = format.samples_in(format.duration_of(samples));
        prop_assert!(back == samples || back + 1 == samples, "{} for {}", back, samples);
    }
}
