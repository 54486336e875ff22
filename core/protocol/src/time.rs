//! Time is an argument of every call: nothing here reads a clock.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::error::{Code, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

    /// The wall-clock time of `at`.
    pub fn at(&self, at: Time) -> Timestamp {
        Timestamp::of(self.wall + at.since(self.now)).unwrap_or_default()
    }
}

/// A time of day in UTC, of the years 1970 to 9999, to the microsecond. Its text, in JSON too, is RFC 3339 with six decimals, and is
/// made only when it is asked for: most times that an agent sends are never shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    micros: u64,
}

impl Timestamp {
    /// 9999-12-31T23:59:59.999999Z, the last that RFC 3339 can write.
    const LAST: u64 = 253_402_300_799_999_999;

    /// The same time; `None` when it is out of those years.
    pub fn of(at: SystemTime) -> Option<Self> {
        Self::since_1970(at.duration_since(SystemTime::UNIX_EPOCH).ok()?)
    }

    pub(crate) fn since_1970(since: Duration) -> Option<Self> {
        let micros = u64::try_from(since.as_micros()).ok()?;
        (micros <= Self::LAST).then_some(Self { micros })
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        Self::UNIX_EPOCH + Duration::from_micros(at.micros)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_micros((*self).into()).fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = humantime::TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of(humantime::parse_rfc3339(text)?).ok_or(humantime::TimestampError::OutOfRange)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Checks a timeout that may be left out.
///
/// # Errors
/// [`Code::InvalidArgument`] if it is 0.
pub fn check_timeout(name: &str, timeout: Option<Duration>) -> Result<(), Error> {
    match timeout {
        Some(Duration::ZERO) => Err(invalid_timeout(name, 0.0)),
        _ => Ok(()),
    }
}

/// Reads a timeout in seconds.
///
/// # Errors
/// [`Code::InvalidArgument`] unless it is a number above 0.
pub fn timeout(name: &str, seconds: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| invalid_timeout(name, seconds))
}

fn invalid_timeout(name: &str, seconds: f64) -> Error {
    let problem = if seconds > 0.0 { "it is too long" } else { "it must be above 0" };
    let message = format!("{name} is {seconds} s; {problem}. Leave it out for the default");
    Error::new(Code::InvalidArgument, message)
}

/// A deadline in words, such as `1m 30s`: whole milliseconds read best.
pub fn in_words(duration: Duration) -> impl fmt::Display {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis))
}

/// A duration as JSON gives it: milliseconds with three decimals.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
