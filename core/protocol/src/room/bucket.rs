//! How often something may happen: a token bucket.

use crate::limits::Rate;
use crate::time::Time;

/// Holds tokens up to a burst, and fills at a rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Time,
}

impl Bucket {
    /// A full one.
    pub(super) const fn new(rate: Rate, now: Time) -> Self {
        Self { tokens: rate.burst, filled: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, rate: Rate, now: Time) -> bool {
        self.fill(rate, now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// Whether nothing was taken for as long as it takes to forget it.
    pub(super) fn is_full(&mut self, rate: Rate, now: Time) -> bool {
        self.fill(rate, now);
        self.tokens >= rate.burst
    }

    fn fill(&mut self, rate: Rate, now: Time) {
        let since = now.since(self.filled).as_secs_f64();
        self.tokens = since.mul_add(rate.per_second, self.tokens).min(rate.burst);
        self.filled = self.filled.max(now);
    }
}
