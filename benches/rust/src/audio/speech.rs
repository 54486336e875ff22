//! Who is heard in noise: speech with pauses between, with noise added, through the detector.

use std::path::PathBuf;

use greenroom_audio::impair::add_noise;
use greenroom_audio::noise::Kind;
use greenroom_audio::sample::rms;
use greenroom_audio::{Format, SpeechDetector, Transition, wav};
use serde_json::{Value, json};

use crate::Outcome;
use crate::measure::median;

/// Silence around each utterance, in seconds. The one after it is longer than any pause within.
const BEFORE: f64 = 0.5;
const AFTER: f64 = 1.5;

/// Utterances begin and end where blocks of 10 ms come to 40 dB below the loudest.
const FLOOR: f32 = 0.01;

/// A start this long after an utterance has ended is no longer its own, in seconds: room for the end to be noticed.
const AFTERGLOW: f64 = 0.5;

const CONDITIONS: [(Option<Kind>, f32); 9] = [
    (None, 0.0),
    (Some(Kind::White), 20.0),
    (Some(Kind::White), 10.0),
    (Some(Kind::White), 5.0),
    (Some(Kind::White), 0.0),
    (Some(Kind::Impulses), 10.0),
    (Some(Kind::Impulses), 0.0),
    (Some(Kind::Babble), 10.0),
    (Some(Kind::Babble), 5.0),
];

/// How utterances in WAV files of 16 kHz are heard under each condition.
pub(crate) fn measure(files: &[PathBuf]) -> Outcome<Value> {
    let (mut clean, mut utterances) = (Vec::new(), Vec::new());
    for file in files {
        let (format, samples) = wav::read(file)?;
        if format != Format::SPEECH {
            return Err(format!("{}: {format}, not {}", file.display(), Format::SPEECH).into());
        }
        clean.resize(clean.len() + place(BEFORE) as usize, 0.0);
        let (begin, end) = heard(&samples);
        utterances.push((clean.len() as u64 + begin, clean.len() as u64 + end));
        clean.extend(samples);
        clean.resize(clean.len() + place(AFTER) as usize, 0.0);
    }
    let mut found = Vec::new();
    for (seed, (kind, snr)) in CONDITIONS.into_iter().enumerate() {
        let mut samples = clean.clone();
        if let Some(kind) = kind {
            add_noise(&mut samples, Format::SPEECH, kind, snr, seed as u64);
        }
        let (mut detector, mut input, mut transitions) =
            (SpeechDetector::new(16_000)?, &samples[..], Vec::new());
        while let Some(transition) = detector.next(&mut input) {
            transitions.push(transition);
        }
        let mut row = judge(&utterances, &transitions);
        row["kind"] = kind.map_or_else(|| "clean".to_owned(), |kind| kind.to_string()).into();
        row["snr"] = snr.into();
        found.push(row);
    }
    Ok(
        json!({ "utterances": utterances.len(), "seconds": clean.len() as f64 / 16_000.0, "conditions": found }),
    )
}

/// Where what can be heard of an utterance begins and ends, in samples.
fn heard(samples: &[f32]) -> (u64, u64) {
    let levels: Vec<f32> = samples.chunks(160).map(rms).collect();
    let floor = levels.iter().copied().fold(0.0, f32::max) * FLOOR;
    let first = levels.iter().position(|&level| level > floor).unwrap_or_default();
    let last = levels.iter().rposition(|&level| level > floor).unwrap_or_default();
    (first as u64 * 160, (last as u64 + 1) * 160)
}

fn judge(utterances: &[(u64, u64)], transitions: &[Transition]) -> Value {
    let starts: Vec<u64> = transitions.iter().filter(|t| t.speaking).map(|t| t.noticed).collect();
    let (mut onsets, mut missed, mut once) = (Vec::new(), 0, 0);
    let mut own = 0;
    for &(begin, end) in utterances {
        let within: Vec<_> =
            starts.iter().filter(|&&at| at >= begin && at <= end + place(AFTERGLOW)).collect();
        // Who is still thought to speak from before is heard, but late or early cannot be told.
        let before = transitions.iter().rev().find(|t| t.noticed < begin).is_some_and(|t| t.speaking);
        match within.first() {
            Some(&&at) => onsets.push((at - begin) as f64 / 16.0),
            None if before => {}
            None => missed += 1,
        }
        own += within.len();
        let ends = transitions
            .iter()
            .filter(|t| !t.speaking && t.noticed > begin && t.noticed < end + place(AFTER))
            .count();
        once += usize::from(within.len() == 1 && ends == 1);
    }
    let latest = onsets.iter().copied().fold(0.0, f64::max);
    json!({
        "onset_ms": median(onsets),
        "latest_ms": latest,
        "missed": missed,
        "false_starts": starts.len() - own,
        "once": once,
    })
}

/// Seconds in samples.
fn place(seconds: f64) -> u64 {
    (seconds * 16_000.0) as u64
}
