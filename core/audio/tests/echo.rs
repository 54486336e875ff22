//! Echo control, in a room that is made: a voice from a loudspeaker, a delay, walls, and somebody who talks into it. The voice is of a TTS;
//! tests/data/README.md says which.

#![cfg(feature = "echo")]

use std::ops::Range;
use std::path::Path;

use greenroom_audio::echo::{EchoControl, EchoError, Settings};
use greenroom_audio::noise::{Kind, Noise};
use greenroom_audio::sample::{dbfs, rms};
use greenroom_audio::{Format, Resampler, impair, signal, wav};

/// Two sentences over and over, for so many seconds, beginning with the one of that number.
fn voice(rate: u32, seconds: usize, first: usize) -> Vec<f32> {
    let mut speech = Vec::new();
    for turn in 0.. {
        if speech.len() >= seconds * 16_000 {
            break;
        }
        let name = ["first.wav", "second.wav"][(first + turn) % 2];
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let (format, samples) = wav::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format, Format::SPEECH);
        speech.extend(samples);
        speech.resize(speech.len() + 4_000, 0.0);
    }
    let mut resampler = Resampler::new(Format::SPEECH, rate).expect("usual rates");
    let mut made = Vec::new();
    resampler.append(&speech, &mut made);
    resampler.append_rest(&mut made);
    made.truncate(seconds * rate as usize);
    made
}

/// What a microphone hears of what is played: 60 ms later and 6 dB quieter, with walls that ring for a quarter of a second.
fn echo(played: &[f32], rate: u32) -> Vec<f32> {
    let mut ring = vec![0.0; rate as usize / 4];
    Noise::new(Kind::White, 0.0, rate, 3).fill(&mut ring);
    let length = ring.len() as f32;
    // The straight way, and every so often a wall; 60 dB quieter at the end.
    let walls = (1..ring.len()).step_by(rate as usize / 1_300);
    let walls = walls.map(|at| (at, 0.15 * ring[at] * 10_f32.powf(-3.0 * at as f32 / length)));
    let taps: Vec<(usize, f32)> = std::iter::once((0, 1.0)).chain(walls).collect();
    let norm = 0.5 / taps.iter().map(|(_, gain)| gain * gain).sum::<f32>().sqrt();
    let mut heard = vec![0.0; played.len()];
    for (at, gain) in taps {
        let later = rate as usize * 60 / 1000 + at;
        let pairs = heard[later..].iter_mut().zip(played);
        pairs.for_each(|(heard, played)| *heard += norm * gain * played);
    }
    heard
}

/// What is left of what is recorded.
fn controlled(control: &mut EchoControl, played: &[f32], recorded: &[f32]) -> Vec<f32> {
    let mut clean = recorded.to_vec();
    let size = control.frame();
    for (played, recorded) in played.chunks_exact(size).zip(clean.chunks_exact_mut(size)) {
        control.played(played).expect("a frame");
        control.recorded(recorded).expect("a frame");
    }
    clean
}

fn control(rate: u32) -> EchoControl {
    EchoControl::new(rate).expect("a rate of its own")
}

fn part(samples: &[f32], rate: u32, seconds: Range<usize>) -> &[f32] {
    &samples[seconds.start * rate as usize..seconds.end * rate as usize]
}

fn level(samples: &[f32], rate: u32, seconds: Range<usize>) -> f32 {
    dbfs(rms(part(samples, rate, seconds)))
}

#[test]
fn what_is_played_is_taken_out_of_what_is_recorded() {
    for rate in [16_000, 32_000, 48_000] {
        let played = voice(rate, 12, 0);
        let recorded = echo(&played, rate);
        let clean = controlled(&mut control(rate), &played, &recorded);
        let loss =
            |seconds: Range<usize>| level(&recorded, rate, seconds.clone()) - level(&clean, rate, seconds);
        // It is 30 dB while it learns, and 55 dB after.
        let (early, late) = (loss(1..4), loss(6..12));
        assert!(early > 20.0 && late > 35.0, "{rate} Hz: {early} dB, then {late} dB");
    }
}

#[test]
fn who_speaks_at_the_same_time_is_heard_and_the_echo_is_not() {
    for rate in [16_000, 48_000] {
        let (played, mut near) = (voice(rate, 13, 0), voice(rate, 13, 1));
        // As loud as the echo: with it, 3 dB louder.
        impair::gain(&mut near, -6.0);
        near[..6 * rate as usize].fill(0.0);
        let mut recorded = echo(&played, rate);
        recorded.iter_mut().zip(&near).for_each(|(heard, near)| *heard += near);
        let clean = controlled(&mut control(rate), &played, &recorded);
        for second in 7..13 {
            let change = level(&clean, rate, second..second + 1) - level(&near, rate, second..second + 1);
            assert!((-8.0..0.5).contains(&change), "{rate} Hz, {second} s: {change} dB");
        }
    }
}

#[test]
fn who_speaks_while_nothing_is_played_is_heard_as_loud_at_every_frequency() {
    for rate in [16_000, 32_000, 48_000] {
        let near = voice(rate, 8, 0);
        let silence = vec![0.0; near.len()];
        let clean = controlled(&mut control(rate), &silence, &near);
        let change = level(&clean, rate, 0..8) - level(&near, rate, 0..8);
        assert!(change.abs() < 1.0, "{rate} Hz: {change} dB");
        for hz in [200.0, 1_000.0, 3_000.0, 7_000.0] {
            let mut sine = vec![0.0; 4 * rate as usize];
            signal::Sine::new(hz, -12.0, rate).fill(&mut sine);
            let clean = controlled(&mut control(rate), &vec![0.0; sine.len()], &sine);
            let change = signal::tone(part(&clean, rate, 2..4), hz, rate) + 12.0;
            assert!(change.abs() < 1.5, "{hz} Hz at {rate} Hz: {change} dB");
        }
    }
}

#[test]
fn noise_stays_unless_it_is_not_wanted() {
    let rate = 16_000;
    let mut noise = vec![0.0; 8 * rate as usize];
    Noise::new(Kind::White, -40.0, rate, 1).fill(&mut noise);
    let silence = vec![0.0; noise.len()];
    let change = |control: &mut EchoControl| {
        level(&controlled(control, &silence, &noise), rate, 4..8) - level(&noise, rate, 4..8)
    };
    let stays = change(&mut control(rate));
    assert!(stays.abs() < 1.0, "{stays} dB");
    let settings = Settings { noise_suppression: true };
    let goes = change(&mut EchoControl::with(rate, settings).expect("a rate of its own"));
    assert!(goes < -8.0, "{goes} dB");
}

#[test]
fn other_rates_and_lengths_are_refused_with_the_way_out() {
    for rate in [0, 8_000, 24_000, 44_100] {
        let error = EchoControl::new(rate).expect_err("no rate of its own");
        assert_eq!(error, EchoError::Rate(rate));
        assert!(error.to_string().contains(&format!("not at {rate} Hz; bring both sides")), "{error}");
    }
    let mut control = control(48_000);
    for got in [0, 479, 481, 960] {
        let mut frame = vec![0.25; got];
        let error = control.played(&frame).expect_err("no 10 ms");
        assert_eq!(error, EchoError::Length { got, expected: 480 });
        assert_eq!(control.recorded(&mut frame), Err(error));
        assert_eq!(frame, vec![0.25; got], "it stays as it is");
        assert!(error.to_string().contains("480 samples here"), "{error}");
    }
}

#[test]
fn what_is_no_number_is_silence_and_harms_nothing_after_it() {
    let rate = 16_000;
    let played = voice(rate, 8, 0);
    let recorded = echo(&played, rate);
    let mut control = control(rate);
    control.played(&[f32::NAN; 160]).expect("a frame");
    let mut frame = [f32::INFINITY; 160];
    control.recorded(&mut frame).expect("a frame");
    assert_eq!(frame, [0.0; 160]);
    let clean = controlled(&mut control, &played, &recorded);
    let loss = level(&recorded, rate, 5..8) - level(&clean, rate, 5..8);
    assert!(loss > 30.0, "{loss} dB");
}
