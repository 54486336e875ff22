//! Random numbers of a seed. Only exact sums are made of them, so they are the same on every platform.

use oorandom::Rand32;

/// Random numbers of a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(Rand32);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rand32::new(seed))
    }

    /// Numbers that have nothing to do with these or with those of another index.
    pub(crate) fn fork(&mut self, index: u64) -> Self {
        let seed = u64::from(self.0.rand_u32()) << 32 | u64::from(self.0.rand_u32());
        Self(Rand32::new_inc(seed, index))
    }

    /// Evenly from `low` to `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.rand_float()
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        f64::from(self.0.rand_u32()) < probability * 4_294_967_296.0
    }

    /// One of `count`, from 0; `count` is not 0.
    pub(crate) fn index(&mut self, count: u32) -> usize {
        self.0.rand_range(0..count) as usize
    }

    /// Normally distributed with variance 1, cut off at ±6: the sum of twelve even ones, each half of a random word.
    pub(crate) fn gaussian(&mut self) -> f32 {
        const MEAN: i32 = 12 * 65_535 / 2;
        let mut sum = 0;
        for _ in 0..6 {
            let word = self.0.rand_u32();
            sum += (word & 0xffff) as i32 + (word >> 16) as i32;
        }
        (sum - MEAN) as f32 / 65_536.0
    }
}
