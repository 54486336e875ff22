//! Noise and what lines do to speech: seeded, and as strong as asked for.

use std::time::Duration;

use greenroom_audio::Format;
use greenroom_audio::impair::{Dropouts, add_noise, clip, gain, mix, mu_law, speech_level};
use greenroom_audio::noise::{Kind, Noise};
use greenroom_audio::sample::{amplitude, dbfs, rms};
use greenroom_audio::signal::{Sine, sinad};
use proptest::prelude::*;

const KINDS: [Kind; 3] = [Kind::White, Kind::Babble, Kind::Impulses];

fn noise(kind: Kind, dbfs: f32, rate: u32, seed: u64, seconds: u32) -> Vec<f32> {
    let mut samples = vec![0.0; (rate * seconds) as usize];
    Noise::new(kind, dbfs, rate, seed).fill(&mut samples);
    samples
}

/// Half a second of a tone, half a second of silence, four times.
fn speech(rate: u32) -> Vec<f32> {
    let mut samples = vec![0.0; rate as usize * 4];
    let half = rate as usize / 2;
    for part in samples.chunks_mut(2 * half) {
        Sine::new(500.0, -20.0, rate).fill(&mut part[..half]);
    }
    samples
}

#[test]
fn a_seed_gives_the_same_noise_again_and_another_seed_another() {
    for kind in KINDS {
        assert_eq!(noise(kind, -20.0, 16_000, 7, 2), noise(kind, -20.0, 16_000, 7, 2), "{kind}");
        assert_ne!(noise(kind, -20.0, 16_000, 7, 2), noise(kind, -20.0, 16_000, 8, 2), "{kind}");
    }
}

#[test]
fn noise_does_not_depend_on_how_it_is_asked_for() {
    for kind in KINDS {
        let whole = noise(kind, -20.0, 16_000, 3, 1);
        let mut parts = vec![0.0; 16_000];
        let mut generator = Noise::new(kind, -20.0, 16_000, 3);
        parts.chunks_mut(77).for_each(|part| generator.fill(part));
        assert_eq!(whole, parts, "{kind}");
    }
}

/// White noise is made of exact sums only, so these hold on every platform.
#[test]
fn white_noise_is_the_same_everywhere() {
    let samples = noise(Kind::White, 0.0, 16_000, 1, 1);
    let first: Vec<i32> = samples[..4].iter().map(|sample| (sample * 65_536.0) as i32).collect();
    assert_eq!(first, GOLDEN);
}

const GOLDEN: [i32; 4] = [42_340, -82_520, -76_297, 25_957];

#[test]
fn noise_is_as_loud_as_asked_for() {
    for rate in [8_000, 16_000, 48_000] {
        for (kind, tolerance) in [(Kind::White, 0.1), (Kind::Babble, 1.5), (Kind::Impulses, 1.0)] {
            let level = dbfs(rms(&noise(kind, -40.0, rate, 5, 30)));
            assert!((level + 40.0).abs() < tolerance, "{kind} at {rate} Hz: {level} dBFS");
        }
    }
}

#[test]
fn each_kind_sounds_like_itself() {
    // How strong the loudest sample is beside the RMS, and how alike neighbours are.
    let shape = |samples: &[f32]| {
        let level = rms(samples);
        let crest = dbfs(samples.iter().fold(0.0, |most: f32, sample| most.max(sample.abs())) / level);
        let alike: f32 = samples.windows(2).map(|pair| pair[0] * pair[1]).sum::<f32>()
            / samples.len() as f32
            / level
            / level;
        (crest, alike)
    };
    let (crest, alike) = shape(&noise(Kind::White, -20.0, 16_000, 1, 10));
    assert!((10.0..16.0).contains(&crest) && alike.abs() < 0.02, "white: {crest} dB, {alike}");
    let (crest, alike) = shape(&noise(Kind::Babble, -20.0, 16_000, 1, 10));
    assert!((8.0..20.0).contains(&crest) && alike > 0.7, "babble: {crest} dB, {alike}");
    let (crest, alike) = shape(&noise(Kind::Impulses, -20.0, 16_000, 1, 10));
    assert!(crest > 20.0 && alike.abs() < 0.2, "impulses: {crest} dB, {alike}");
}

#[test]
fn the_level_of_speech_leaves_pauses_out() {
    let level = dbfs(speech_level(&speech(16_000), Format::SPEECH));
    assert!((level + 23.01).abs() < 0.05, "{level}");
    assert_eq!(speech_level(&[0.0; 1000], Format::SPEECH), 0.0);
}

#[test]
fn noise_is_added_at_the_ratio_asked_for() {
    for kind in KINDS {
        for snr in [20.0, 10.0, 5.0, 0.0] {
            let clean = speech(16_000);
            let mut noisy = clean.clone();
            let scaled = add_noise(&mut noisy, Format::SPEECH, kind, snr, 11);
            let added: Vec<f32> =
                noisy.iter().zip(&clean).map(|(noisy, clean)| noisy / scaled - clean).collect();
            let found = dbfs(speech_level(&clean, Format::SPEECH) / rms(&added));
            assert!((found - snr).abs() < 0.05, "{kind} at {snr} dB: {found} dB");
            assert!(noisy.iter().all(|sample| sample.abs() <= 1.0));
        }
    }
}

#[test]
fn too_loud_a_sum_is_made_softer_as_a_whole() {
    let mut samples = vec![0.9; 1600];
    let scaled = mix(&mut samples, &[0.9], Format::SPEECH, 0.0);
    assert!((scaled - 1.0 / 1.8).abs() < 1e-6);
    assert!(samples.iter().all(|sample| (sample - 1.0).abs() < 1e-6));
    let mut silence = vec![0.0; 100];
    assert_eq!(mix(&mut silence, &[0.5], Format::SPEECH, 10.0), 1.0);
    assert_eq!(mix(&mut silence, &[], Format::SPEECH, 10.0), 1.0);
    assert!(silence.iter().all(|&sample| sample == 0.0));
}

#[test]
fn gain_clipping_and_a_telephone_do_what_they_say() {
    let mut samples = vec![0.0; 16_000];
    Sine::new(1000.0, -12.0, 16_000).fill(&mut samples);
    let mut louder = samples.clone();
    gain(&mut louder, 6.0);
    assert!((dbfs(rms(&louder)) - dbfs(rms(&samples)) - 6.0).abs() < 0.001);
    let cut = clip(&mut louder, -9.0);
    assert!(cut > 4000, "{cut}");
    assert!(louder.iter().all(|sample| sample.abs() <= amplitude(-9.0)));
    Sine::new(997.0, -12.0, 16_000).fill(&mut samples);
    mu_law(&mut samples);
    let left = sinad(&samples, 997.0, 16_000);
    assert!((33.0..42.0).contains(&left), "μ-law leaves about 38 dB: {left}");
}

#[test]
fn dropouts_take_their_share_in_whole_stretches() {
    let stereo = Format::new(16_000, 2).expect("stereo");
    let mut samples = vec![0.5; 16_000 * 2 * 100];
    let mut dropouts = Dropouts::new(stereo, 0.1, Duration::from_millis(20), 4);
    let dropped: u64 = samples.chunks_mut(320).map(|part| dropouts.apply(part)).sum();
    let share = dropped as f64 / 1_600_000.0;
    assert!((0.08..0.12).contains(&share), "{share}");
    let silent =
        samples.chunks(2).filter(|instant| instant.iter().all(|&sample| sample == 0.0)).count() as u64;
    assert_eq!(silent, dropped);
    let first = samples.iter().position(|&sample| sample == 0.0).expect("a dropout");
    assert!(samples[first..first + 640].iter().all(|&sample| sample == 0.0), "20 ms of two channels");
    for (share, all) in [(0.0, 0), (1.0, 1000)] {
        let mut dropouts = Dropouts::new(Format::SPEECH, share, Duration::from_millis(1), 4);
        assert_eq!(dropouts.apply(&mut [0.5; 1000]), all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn noise_is_always_a_number(kind in prop::sample::select(&KINDS[..]), rate in 1_000_u32..192_000, seed: u64) {
        let mut samples = vec![0.0; 5000];
        Noise::new(kind, 0.0, rate, seed).fill(&mut samples);
        prop_assert!(samples.iter().all(|sample| sample.is_finite()));
    }
}
