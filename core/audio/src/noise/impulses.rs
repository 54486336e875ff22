//! Clicks: bursts of noise that decay, at random times.

use super::Random;

/// Clicks a second, on average.
const PER_SECOND: f64 = 8.0;

/// How long a click is, in seconds, and how strong.
const SHORTEST: f32 = 0.003;
const LONGEST: f32 = 0.03;
const WEAKEST: f32 = 0.3;
const STRONGEST: f32 = 1.0;

/// The RMS in the long run, from the above: clicks a second, times the mean square of their strength, times the mean of the eighth of
/// their length that a decay to e⁻⁴ leaves of their energy.
pub(super) const RMS: f32 = 0.087_42;

/// How many clicks may sound at once.
const AT_ONCE: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Impulses {
    rate: f32,
    /// Of a click in one sample.
    probability: f64,
    random: Random,
    clicks: [Click; AT_ONCE],
}

#[derive(Clone, Copy, Debug, Default)]
struct Click {
    left: u32,
    strength: f32,
    decay: f32,
}

impl Impulses {
    pub(super) fn new(rate: u32, random: Random) -> Self {
        Self {
            rate: rate as f32,
            probability: PER_SECOND / f64::from(rate),
            random,
            clicks: [Click::default(); AT_ONCE],
        }
    }

    pub(super) fn next(&mut self) -> f32 {
        if self.random.happens(self.probability)
            && let Some(free) = self.clicks.iter_mut().find(|click| click.left == 0)
        {
            let length = self.random.between(SHORTEST, LONGEST) * self.rate;
            let strength = self.random.between(WEAKEST, STRONGEST);
            *free = Click { left: length as u32, strength, decay: 1.0 - (4.0 / length).min(1.0) };
        }
        let mut sum = 0.0;
        for click in self.clicks.iter_mut().filter(|click| click.left > 0) {
            sum += click.strength * self.random.gaussian();
            click.strength *= click.decay;
            click.left -= 1;
        }
        sum
    }
}
