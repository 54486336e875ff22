//! How much of a stream is due by now. The driver waits; here are only the sums.

use std::time::Duration;

/// Which clock a virtual device goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// As a real device: a second of audio takes a second.
    #[default]
    RealTime,
    /// As fast as it is taken.
    Fast,
}

/// What is due, in samples of each channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// To be moved now.
    pub samples: u64,
    /// Skipped before that, since it is too late for it.
    pub skipped: u64,
}

/// Paces one stream by its driver's clock. A small delay is caught up; a long one is skipped, so that there is never a long burst.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    clock: Clock,
    rate: u32,
    origin: Duration,
    latest: u64,
    passed: u64,
}

impl Pace {
    /// A stream of `rate` Hz that begins at `now` and is never more than `latest` behind.
    pub const fn new(clock: Clock, rate: u32, now: Duration, latest: Duration) -> Self {
        let latest = latest.as_nanos() * rate as u128 / 1_000_000_000;
        Self { clock, rate, origin: now, latest: latest as u64, passed: 0 }
    }

    /// What is due at `now`, in whole blocks of `block` samples; it counts as passed. As fast as possible, one block is always due.
    pub fn due(&mut self, now: Duration, block: u64) -> Due {
        let block = block.max(1);
        if self.clock == Clock::Fast {
            self.passed += block;
            return Due { samples: block, skipped: 0 };
        }
        let elapsed = now.saturating_sub(self.origin);
        let by_now = elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        let behind = u64::try_from(by_now).unwrap_or(u64::MAX).saturating_sub(self.passed);
        // Skips to where the stream would be, and keeps what is left of a block to be due in time.
        let skipped = if behind > self.latest.max(block) { (behind - block) / block * block } else { 0 };
        let samples = (behind - skipped) / block * block;
        self.passed += skipped + samples;
        Due { samples, skipped }
    }

    /// When the next block of `block` samples is due, on the driver's clock; the beginning of the stream as fast as possible.
    pub fn next_at(&self, block: u64) -> Duration {
        if self.clock == Clock::Fast {
            return self.origin;
        }
        let samples = u128::from(self.passed) + u128::from(block.max(1));
        let rate = u128::from(self.rate.max(1));
        // Rounded up, so that at that time it is due.
        let nanos = (samples * 1_000_000_000).div_ceil(rate);
        self.origin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What has passed, skipped samples included, in samples of each channel.
    pub const fn passed(&self) -> u64 {
        self.passed
    }
}
