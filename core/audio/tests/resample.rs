//! From one rate to another: exact lengths, no dependence on chunks, and nothing audible added or lost.

use std::time::Duration;

use greenroom_audio::signal::{Sine, sinad, tone};
use greenroom_audio::{Format, Resampler};
use proptest::prelude::*;

const RATES: [u32; 5] = [8_000, 16_000, 24_000, 44_100, 48_000];

fn mono(rate: u32) -> Format {
    Format::mono(rate).expect("a rate")
}

fn resampler(from: u32, to: u32) -> Resampler {
    Resampler::new(mono(from), to).expect("usual rates")
}

/// All that comes out of `input` in chunks of the given sizes, over and over.
fn run(resampler: &mut Resampler, input: &[f32], chunks: &[usize]) -> Vec<f32> {
    let mut made = Vec::new();
    let mut rest = input;
    for &size in chunks.iter().cycle() {
        let (mut chunk, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        while let Some(part) = resampler.next(&mut chunk) {
            assert!(!part.is_empty());
            made.extend_from_slice(part);
        }
        assert!(chunk.is_empty(), "a chunk is used up");
        if rest.is_empty() {
            break;
        }
    }
    while let Some(part) = resampler.finish() {
        made.extend_from_slice(part);
    }
    made
}

fn rounded(samples: u64, from: u32, to: u32) -> u64 {
    (samples as f64 * f64::from(to) / f64::from(from)).round() as u64
}

fn sine(hz: f64, dbfs: f32, rate: u32, seconds: f64) -> Vec<f32> {
    let mut samples = vec![0.0; (f64::from(rate) * seconds) as usize];
    Sine::new(hz, dbfs, rate).fill(&mut samples);
    samples
}

/// The middle of a signal, where its beginning and end are not heard.
fn middle(samples: &[f32]) -> &[f32] {
    &samples[samples.len() / 4..samples.len() * 3 / 4]
}

#[test]
fn every_usual_rate_becomes_every_other_to_the_sample() {
    for from in RATES {
        for to in RATES {
            for length in [0, 1, 2, 79, 441, 480, 481, 4_799, 12_345] {
                let input = sine(440.0, -6.0, from, 1.0);
                let made = run(&mut resampler(from, to), &input[..length.min(input.len())], &[480]);
                let taken = length.min(input.len()) as u64;
                assert_eq!(
                    made.len() as u64,
                    rounded(taken, from, to),
                    "{taken} samples of {from} Hz as {to} Hz"
                );
            }
        }
    }
}

#[test]
fn an_hour_comes_out_exactly_as_long() {
    let (from, to) = (44_100, 16_000);
    let mut resampler = resampler(from, to);
    let second = vec![0.25; from as usize];
    let (mut made, mut taken) = (0, 0);
    // And a little more, which fills no block.
    for length in std::iter::repeat_n(second.len(), 3600).chain([17]) {
        let mut chunk = &second[..length];
        taken += length as u64;
        while let Some(part) = resampler.next(&mut chunk) {
            made += part.len() as u64;
        }
    }
    while let Some(part) = resampler.finish() {
        made += part.len() as u64;
    }
    assert_eq!(made, (taken * u64::from(to) + u64::from(from) / 2) / u64::from(from));
}

#[test]
fn one_resampler_serves_stream_after_stream_alike() {
    let input = sine(1000.0, -6.0, 44_100, 0.3);
    let mut one = resampler(44_100, 16_000);
    let first = run(&mut one, &input, &[441]);
    let second = run(&mut one, &input, &[100]);
    assert_eq!(first, second);
    let mut chunk = &input[..1234];
    let _ = one.next(&mut chunk);
    one.reset();
    assert_eq!(first, run(&mut one, &input, &[441]));
}

#[test]
fn a_tone_keeps_its_level_and_place_and_gets_no_company() {
    for (from, to) in
        [(48_000, 16_000), (44_100, 24_000), (24_000, 48_000), (16_000, 48_000), (44_100, 16_000)]
    {
        let input = sine(1000.0, -1.0, from, 1.0);
        let made = run(&mut resampler(from, to), &input, &[from as usize / 100]);
        let heard = middle(&made);
        assert!(
            (tone(heard, 1000.0, to) + 1.0).abs() < 0.005,
            "{from} to {to}: {} dBFS",
            tone(heard, 1000.0, to)
        );
        assert!(sinad(heard, 1000.0, to) > 130.0, "{from} to {to}: {} dB", sinad(heard, 1000.0, to));
        // Aligned with the input, to a part of a sample.
        let wanted = sine(1000.0, -1.0, to, 1.0);
        let error =
            made.iter().zip(&wanted).skip(1000).take(5000).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let one_sample = std::f32::consts::TAU * 1000.0 / to as f32;
        assert!(error < 0.5 * one_sample, "{from} to {to}: off by {error}");
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_gone() {
    for (from, to) in [(48_000_u32, 16_000_u32), (44_100, 24_000), (48_000, 8_000), (44_100, 16_000)] {
        for above in [1.0005, 1.01, 1.05, 1.2, 1.6] {
            let hz = f64::from(to) / 2.0 * above;
            if hz * 2.0 >= f64::from(from) {
                continue;
            }
            let made = run(&mut resampler(from, to), &sine(hz, 0.0, from, 0.5), &[480]);
            let level =
                greenroom_audio::sample::dbfs(greenroom_audio::sample::rms(middle(&made)) * 2.0_f32.sqrt());
            assert!(level < -120.0, "{hz} Hz in {from} Hz is heard with {level} dBFS in {to} Hz");
        }
    }
}

#[test]
fn the_latency_is_told_and_kept() {
    for (from, to) in [(48_000, 16_000), (44_100, 24_000), (24_000, 48_000)] {
        let mut resampler = resampler(from, to);
        assert!(resampler.latency() <= Duration::from_millis(6), "{:?}", resampler.latency());
        assert_eq!(resampler.block(), Duration::from_millis(10));
        let chunk = vec![0.1; from as usize / 100];
        let mut made = 0;
        for taken in 1..=50 {
            let mut input = &chunk[..];
            while let Some(part) = resampler.next(&mut input) {
                made += part.len();
            }
            let behind = Duration::from_millis(10 * taken) - mono(to).duration_of(made as u64);
            assert!(behind <= Duration::from_millis(6), "{behind:?} behind after {taken} chunks");
        }
    }
}

#[test]
fn a_rate_that_stays_costs_no_time_and_no_bit() {
    let mut same = resampler(48_000, 48_000);
    assert_eq!(same.latency(), Duration::ZERO);
    assert_eq!(same.next(&mut &[0.1, 0.2, 0.3][..]), Some(&[0.1, 0.2, 0.3][..]));
    assert_eq!(same.next(&mut &[][..]), None);
    assert_eq!(same.finish(), None);
}

#[test]
fn channels_do_not_mix() {
    let left = sine(1000.0, -6.0, 48_000, 0.5);
    let both: Vec<f32> = left.iter().flat_map(|&sample| [sample, 0.0]).collect();
    let mut stereo = Resampler::new(Format::new(48_000, 2).expect("stereo"), 16_000).expect("usual rates");
    let made = run(&mut stereo, &both, &[960]);
    let alone = run(&mut resampler(48_000, 16_000), &left, &[480]);
    assert_eq!(made.iter().copied().step_by(2).collect::<Vec<_>>(), alone);
    assert!(made.iter().skip(1).step_by(2).all(|&sample| sample == 0.0));
}

#[test]
fn what_is_not_a_number_is_silence_and_leaves_no_trace() {
    let mut input = sine(1000.0, -6.0, 48_000, 0.5);
    input[5000] = f32::NAN;
    input[5001] = f32::INFINITY;
    let made = run(&mut resampler(48_000, 16_000), &input, &[480]);
    assert!(made.iter().all(|sample| sample.is_finite()));
    assert!(sinad(middle(&made), 1000.0, 16_000) > 120.0);
}

#[test]
fn rates_that_share_no_factor_are_refused_by_name() {
    let error = Resampler::new(mono(44_101), 48_000).expect_err("no");
    assert!(error.to_string().contains("44101") && error.to_string().contains("48000"), "{error}");
    assert!(Resampler::new(mono(48_000), 10).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_change_nothing(
        from in prop::sample::select(&RATES[..]),
        to in prop::sample::select(&RATES[..]),
        sizes in prop::collection::vec(1_usize..1500, 1..8),
        input in prop::collection::vec(-1.0_f32..1.0, 0..6000),
    ) {
        let whole = run(&mut resampler(from, to), &input, &[input.len().max(1)]);
        prop_assert_eq!(whole.len() as u64, rounded(input.len() as u64, from, to));
        prop_assert!(whole.iter().all(|sample| sample.is_finite()));
        let parts = run(&mut resampler(from, to), &input, &sizes);
        prop_assert_eq!(whole, parts);
    }
}
