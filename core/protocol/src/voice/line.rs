//! The line of samples: place 0 is when the voice was opened, and 48,000 places are a second.

use std::time::Duration;

use super::RATE;
use crate::time::Time;

const NANOS: u128 = 1_000_000_000;

/// The place on the line at `now`, rounded down.
pub(super) fn place(origin: Time, now: Time) -> u64 {
    let places = now.since(origin).as_nanos() * RATE as u128 / NANOS;
    u64::try_from(places).unwrap_or(u64::MAX)
}

/// When that place is reached, rounded up: at that time [`place`] gives it.
pub(super) fn time(origin: Time, place: u64) -> Time {
    let nanos = (u128::from(place) * NANOS).div_ceil(RATE as u128);
    origin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How long so many samples last.
pub(super) const fn duration(samples: u64) -> Duration {
    let rate = RATE as u64;
    Duration::new(samples / rate, ((samples % rate) * 1_000_000_000 / rate) as u32)
}

/// How many samples last as long, rounded down.
pub(super) fn samples(duration: Duration) -> u64 {
    place(Time::ZERO, Time::from_origin(duration))
}
