//! Sines, and finding them again: what tests of audio need.

use std::f64::consts::TAU;

use crate::sample::{amplitude, dbfs};

/// A sine that goes on without a break.
#[derive(Clone, Copy, Debug)]
pub struct Sine {
    /// In cycles, below 1.
    phase: f64,
    step: f64,
    amplitude: f64,
}

impl Sine {
    /// A sine of `hz` with a peak of `peak_dbfs`, in samples of `rate` Hz; it begins at zero, upwards.
    pub fn new(hz: f64, peak_dbfs: f32, rate: u32) -> Self {
        Self { phase: 0.0, step: hz / f64::from(rate), amplitude: f64::from(amplitude(peak_dbfs)) }
    }

    /// Fills a slice with what comes next.
    pub fn fill(&mut self, samples: &mut [f32]) {
        for sample in samples {
            *sample = self.next_sample();
        }
    }

    /// The next sample.
    pub fn next_sample(&mut self) -> f32 {
        let sample = self.amplitude * (self.phase * TAU).sin();
        self.phase = (self.phase + self.step).fract();
        sample as f32
    }
}

/// The peak in dBFS of the sine of `hz` in samples of `rate` Hz (Goertzel's algorithm).
///
/// It is exact over whole cycles. Over n cycles and a part of one it may be wrong by a share of 1/(2πn): 0.01 dB for 150.
pub fn tone(samples: &[f32], hz: f64, rate: u32) -> f32 {
    let turn = TAU * hz / f64::from(rate);
    let twice = 2.0 * turn.cos();
    let (mut one, mut two) = (0.0, 0.0);
    for &sample in samples {
        (one, two) = (f64::from(sample) + twice * one - two, one);
    }
    let power = one * one + two * two - twice * one * two;
    dbfs((2.0 * power.max(0.0).sqrt() / samples.len().max(1) as f64) as f32)
}

/// Signal to noise and distortion in dB of a sine of `hz` in samples of `rate` Hz: the sine that fits best, against all the rest but a
/// constant.
pub fn sinad(samples: &[f32], hz: f64, rate: u32) -> f64 {
    let turn = TAU * hz / f64::from(rate);
    let basis = |at: usize| [(turn * at as f64).sin(), (turn * at as f64).cos(), 1.0];
    let (mut products, mut found) = ([[0.0; 3]; 3], [0.0; 3]);
    for (at, &sample) in samples.iter().enumerate() {
        let b = basis(at);
        for row in 0..3 {
            found[row] += b[row] * f64::from(sample);
            for column in 0..3 {
                products[row][column] += b[row] * b[column];
            }
        }
    }
    let [sine, cosine, constant] = solve(products, found);
    let (mut signal, mut rest) = (0.0, 0.0);
    for (at, &sample) in samples.iter().enumerate() {
        let [s, c, _] = basis(at);
        let fit = sine * s + cosine * c;
        signal += fit * fit;
        rest += (f64::from(sample) - fit - constant).powi(2);
    }
    10.0 * (signal / rest).log10()
}

/// How many samples later `reference` is found in `recorded`, within `most`, and how alike they are there: 1 is the same but for its
/// level. `None` where nothing is alike, or `recorded` is shorter than the reference.
///
/// It takes time in proportion to the reference's length times `most`: tenths of a second of audio are a good reference.
pub fn delay(reference: &[f32], recorded: &[f32], most: usize) -> Option<(usize, f32)> {
    let energy = |samples: &[f32]| samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>();
    let of_reference = energy(reference);
    let last = recorded.len().checked_sub(reference.len())?.min(most);
    let mut best = None;
    for lag in 0..=last {
        let part = &recorded[lag..lag + reference.len()];
        let product: f64 = part.iter().zip(reference).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        let alike = (product / (of_reference * energy(part)).sqrt()) as f32;
        if alike > best.map_or(0.0, |(_, most)| most) {
            best = Some((lag, alike));
        }
    }
    best
}

/// Solves three equations with three unknowns.
fn solve(mut left: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for pivot in 0..3 {
        let (above, below) = left.split_at_mut(pivot + 1);
        for (offset, row) in below.iter_mut().enumerate() {
            let share = row[pivot] / above[pivot][pivot];
            row.iter_mut().zip(above[pivot]).for_each(|(value, other)| *value -= share * other);
            right[pivot + 1 + offset] -= share * right[pivot];
        }
    }
    for row in (0..3).rev() {
        for column in row + 1..3 {
            right[row] -= left[row][column] * right[column];
        }
        right[row] /= left[row][row];
    }
    right
}
