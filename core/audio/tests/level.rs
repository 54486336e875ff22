//! What a meter reads.

use greenroom_audio::level::UPDATES;
use greenroom_audio::signal::Sine;
use greenroom_audio::{Format, Level, Meter};
use proptest::prelude::*;

fn mono(rate: u32) -> Format {
    Format::mono(rate).expect("a rate")
}

fn readings(meter: &mut Meter, samples: &[f32], chunk: usize) -> Vec<Level> {
    let mut found = Vec::new();
    for mut part in samples.chunks(chunk) {
        while let Some(level) = meter.next(&mut part) {
            found.push(level);
        }
    }
    found
}

fn sine(rate: u32, hz: f64, dbfs: f32, seconds: u32) -> Vec<f32> {
    let mut samples = vec![0.0; (rate * seconds) as usize];
    Sine::new(hz, dbfs, rate).fill(&mut samples);
    samples
}

#[test]
fn a_sine_reads_what_it_is() {
    for rate in [16_000, 24_000, 44_100, 48_000] {
        let found = readings(&mut Meter::new(mono(rate)), &sine(rate, 1000.0, -6.02, 2), rate as usize / 100);
        for level in &found[2..] {
            assert!((level.peak + 6.02).abs() <= 0.01, "{rate} Hz: peak {}", level.peak);
            assert!((level.rms + 9.03).abs() <= 0.01, "{rate} Hz: RMS {}", level.rms);
            assert_eq!(level.clipped, 0);
        }
    }
}

#[test]
fn thirty_readings_come_with_each_second_of_samples() {
    for rate in [8_000, 11_025, 16_000, 44_100, 48_000] {
        let found = readings(&mut Meter::new(mono(rate)), &vec![0.5; rate as usize * 10], 441);
        assert_eq!(found.len(), 10 * UPDATES as usize, "{rate} Hz");
        for (index, level) in found.iter().enumerate() {
            assert_eq!(level.at, (index as u64 + 1) * u64::from(rate) / 30);
        }
    }
}

#[test]
fn silence_is_no_level_at_all() {
    let found = readings(&mut Meter::new(mono(48_000)), &[0.0; 48_000], 480);
    for level in found {
        assert_eq!(
            (level.peak, level.rms, level.held),
            (f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY)
        );
    }
}

#[test]
fn a_peak_is_held_and_then_falls() {
    let mut samples = vec![0.001; 48_000 * 4];
    samples[100] = 0.5;
    let found = readings(&mut Meter::new(mono(48_000)), &samples, 480);
    let half = 20.0 * 0.5_f32.log10();
    // 1.5 s at the peak, then 20 dB a second.
    assert!(found[..=45].iter().all(|level| (level.held - half).abs() < 0.001));
    assert!((found[45 + 30].held - (half - 20.0)).abs() < 0.01, "{}", found[75].held);
    assert!((found[119].held - half).abs() > 25.0);
    assert!(found[1].peak < -59.0, "only the hold remembers");
}

#[test]
fn clipped_samples_are_counted() {
    let mut samples = vec![0.0; 1600];
    samples[3] = 1.0;
    samples[4] = -1.5;
    samples[5] = f32::NAN;
    samples[6] = 32766.0 / 32768.0;
    samples[7] = 32767.0 / 32768.0;
    let found = readings(&mut Meter::new(mono(48_000)), &samples, 160);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].clipped, 4);
    assert!(found[0].rms.is_finite() && found[0].peak > 0.0);
}

#[test]
fn channels_are_read_as_one() {
    let both: Vec<f32> = sine(48_000, 1000.0, -6.02, 1).iter().flat_map(|&sample| [sample, 0.0]).collect();
    let mut meter = Meter::new(Format::new(48_000, 2).expect("stereo"));
    let found = readings(&mut meter, &both, 960);
    assert_eq!(found.len(), 30);
    assert!((found[5].peak + 6.02).abs() < 0.01);
    assert!((found[5].rms + 12.04).abs() < 0.01, "half the power: {}", found[5].rms);
}

proptest! {
    #[test]
    fn chunks_change_nothing(chunk in 1_usize..3000, samples in prop::collection::vec(-1.0_f32..1.0, 0..9000)) {
        let whole = readings(&mut Meter::new(mono(16_000)), &samples, samples.len().max(1));
        prop_assert_eq!(whole, readings(&mut Meter::new(mono(16_000)), &samples, chunk));
    }
}
