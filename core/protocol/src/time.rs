//! Time is an argument of every call: nothing here reads a clock.

use std::time::{Duration, SystemTime};

/// A point on the caller's monotonic clock, measured from an origin that the caller picks once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The point this long after the origin.
    pub const fn from_origin(since: Duration) -> Self {
        Self(since)
    }

    /// How long after the origin this point is.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long this point is after `earlier`; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// Turns points of the monotonic clock into wall-clock times for display, from one pair of readings.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    now: Time,
    wall: SystemTime,
}

impl WallClock {
    /// A wall clock that read `wall` when the monotonic clock read `now`.
    pub const fn new(now: Time, wall: SystemTime) -> Self {
        Self { now, wall }
    }

    /// The wall-clock time of `at`, RFC 3339 in UTC with microseconds.
    pub fn rfc3339(&self, at: Time) -> String {
        rfc3339(self.wall + at.since(self.now))
    }
}

/// A wall-clock time, RFC 3339 in UTC with microseconds.
pub fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_micros(at).to_string()
}

/// A duration as JSON gives it: milliseconds with three decimals.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
