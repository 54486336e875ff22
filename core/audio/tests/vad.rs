//! Who speaks when. The voice is of a TTS; tests/data/README.md says which.

use std::path::Path;
use std::time::Duration;

use greenroom_audio::impair::add_noise;
use greenroom_audio::noise::{Kind, Noise};
use greenroom_audio::vad::Settings;
use greenroom_audio::{Format, Resampler, SpeechDetector, Transition, wav};
use proptest::prelude::*;

const SECOND: usize = 16_000;

/// Two utterances, after 1 s of silence, with 1 s between them and 2 s behind; and where each begins and ends.
fn conversation() -> (Vec<f32>, [(usize, usize); 2]) {
    let utterance = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let (format, samples) = wav::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format, Format::SPEECH);
        samples
    };
    let mut samples = vec![0.0; SECOND];
    let places = ["first.wav", "second.wav"].map(|name| {
        let begin = samples.len();
        samples.extend(utterance(name));
        let end = samples.len();
        samples.resize(end + SECOND, 0.0);
        (begin, end)
    });
    samples.resize(samples.len() + SECOND, 0.0);
    (samples, places)
}

fn transitions(detector: &mut SpeechDetector, samples: &[f32], chunk: usize) -> Vec<Transition> {
    let mut found = Vec::new();
    for mut part in samples.chunks(chunk) {
        while let Some(transition) = detector.next(&mut part) {
            assert_eq!(transition.speaking, detector.is_speaking());
            found.push(transition);
        }
    }
    found
}

fn detector(rate: u32) -> SpeechDetector {
    SpeechDetector::new(rate).expect("a usual rate")
}

/// Asserts that each utterance has one start and one end, in time.
fn assert_each_once(found: &[Transition], places: &[(usize, usize)], rate: u32, what: &str) {
    let at = |place: usize| (place as u64) * u64::from(rate) / 16_000;
    let seconds = |samples: u64| samples as f64 / f64::from(rate);
    assert_eq!(
        found.iter().map(|t| t.speaking).collect::<Vec<_>>(),
        [true, false, true, false],
        "{what}: {found:?}"
    );
    for (pair, &(begin, end)) in found.chunks(2).zip(places) {
        let late = seconds(pair[0].noticed) - seconds(at(begin));
        assert!((0.0..0.3).contains(&late), "{what}: heard {late} s after it began");
        assert!(pair[0].at < pair[0].noticed && pair[1].at < pair[1].noticed);
        let off = seconds(pair[1].at) - seconds(at(end));
        assert!((-0.4..0.4).contains(&off), "{what}: ended {off} s after it did");
        assert!(seconds(pair[1].noticed - pair[1].at) >= 0.39, "{what}: a pause is waited for");
    }
}

#[test]
fn each_utterance_begins_and_ends_once() {
    let (samples, places) = conversation();
    assert_each_once(&transitions(&mut detector(16_000), &samples, 160), &places, 16_000, "clean");
    for (kind, snr) in [(Kind::White, 20.0), (Kind::White, 10.0), (Kind::White, 5.0), (Kind::Impulses, 10.0)]
    {
        let mut noisy = samples.clone();
        add_noise(&mut noisy, Format::SPEECH, kind, snr, 2);
        let found = transitions(&mut detector(16_000), &noisy, 160);
        assert_each_once(&found, &places, 16_000, &format!("{kind} at {snr} dB"));
    }
}

#[test]
fn speech_is_heard_at_any_rate() {
    let (samples, places) = conversation();
    for rate in [8_000, 24_000, 44_100, 48_000] {
        let mut resampler = Resampler::new(Format::SPEECH, rate).expect("usual rates");
        let mut made = Vec::new();
        resampler.append(&samples, &mut made);
        let found = transitions(&mut detector(rate), &made, rate as usize / 100);
        assert_each_once(&found, &places, rate, &format!("{rate} Hz"));
    }
}

#[test]
fn noise_and_silence_are_no_speech() {
    let mut samples = vec![0.0; 20 * SECOND];
    assert_eq!(transitions(&mut detector(16_000), &samples, 160), []);
    for level in [-60.0, -40.0, -20.0] {
        Noise::new(Kind::White, level, 16_000, 3).fill(&mut samples);
        assert_eq!(transitions(&mut detector(16_000), &samples, 160), [], "white noise at {level} dBFS");
    }
}

#[test]
fn who_speaks_from_the_start_is_heard_from_the_start() {
    let (samples, [(begin, _), _]) = conversation();
    let found = transitions(&mut detector(16_000), &samples[begin..], 160);
    assert!(found[0].speaking && found[0].at < 160 * 15 && found[0].noticed <= 20 * 256, "{:?}", found[0]);
}

#[test]
fn a_short_pause_does_not_end_speech_and_a_shorter_setting_does() {
    let (samples, [(begin, end), _]) = conversation();
    let utterance = &samples[begin..end];
    let mut joined = vec![0.0; SECOND];
    joined.extend_from_slice(utterance);
    joined.resize(joined.len() + SECOND / 5, 0.0);
    joined.extend_from_slice(utterance);
    joined.resize(joined.len() + SECOND, 0.0);
    let usual = transitions(&mut detector(16_000), &joined, 160);
    assert_eq!(usual.len(), 2, "{usual:?}");
    let settings = Settings { end_after: Duration::from_millis(96), ..Settings::default() };
    let mut hasty = SpeechDetector::with(16_000, settings).expect("a usual rate");
    assert!(transitions(&mut hasty, &joined, 160).len() >= 4);
}

#[test]
fn a_detector_can_begin_anew() {
    let (samples, _) = conversation();
    for rate in [16_000, 48_000] {
        let mut one = detector(rate);
        let first = transitions(&mut one, &samples, 160);
        let _ = transitions(&mut one, &samples[SECOND..SECOND * 2], 100);
        one.reset();
        assert!(!one.is_speaking());
        assert_eq!(transitions(&mut one, &samples, 160), first, "{rate} Hz");
    }
}

#[test]
fn what_is_not_a_number_does_not_deafen() {
    let (mut samples, places) = conversation();
    samples[100] = f32::NAN;
    samples[200] = f32::INFINITY;
    samples[300] = 1e30;
    let mut detector = detector(16_000);
    assert_each_once(&transitions(&mut detector, &samples, 160), &places, 16_000, "with a NaN");
    assert!(detector.score().is_finite());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn chunks_change_nothing(chunk in 1_usize..4000) {
        let (samples, _) = conversation();
        let whole = transitions(&mut detector(24_000), &samples, samples.len());
        prop_assert_eq!(transitions(&mut detector(24_000), &samples, chunk), whole);
    }
}
