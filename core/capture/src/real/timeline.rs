//! When samples were, from when their blocks came.
//!
//! A block comes some time after its last sample, and how long after varies; never before it. So the earliest that any block came, by the
//! stream's samples, is nearest to the truth. The device's clock and this machine's drift apart, so it is looked for again and again.

use std::time::Duration;

/// How long blocks are watched for the earliest among them.
const WATCHED: Duration = Duration::from_secs(2);

/// A difference that is not worth a correction.
const SLIGHT: Duration = Duration::from_millis(1);

/// Where the samples of a device are in time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    origin: Option<Origin>,
    /// Since when blocks are watched, and the earliest origin among them.
    watched: Option<(Duration, Origin)>,
}

/// When a device's first sample was, in nanoseconds. It may be before the stream's clock began: a device whose own clock is fast gains that
/// much sooner or later.
type Origin = i128;

impl Timeline {
    /// Takes note of a block whose end is `place` into the device's samples and which came at `arrived`; tells whether times are others than
    /// before.
    pub(super) fn observe(&mut self, place: Duration, arrived: Duration) -> bool {
        let told = origin(place, arrived);
        let Some(origin) = self.origin.filter(|&origin| told >= origin) else {
            // The first, or earlier than was thought possible.
            self.watched = Some((arrived, told));
            self.origin = Some(told);
            return true;
        };
        let (since, earliest) = self.watched.get_or_insert((arrived, told));
        *earliest = told.min(*earliest);
        if arrived.saturating_sub(*since) < WATCHED {
            return false;
        }
        let earliest = *earliest;
        self.watched = None;
        if earliest <= origin + SLIGHT.as_nanos() as Origin {
            return false;
        }
        self.origin = Some(earliest);
        true
    }

    /// When the sample at `place` was.
    pub(super) fn time(&self, place: Duration) -> Duration {
        nanoseconds(self.origin.unwrap_or_default() + place.as_nanos() as Origin)
    }

    /// How much is missing before a block that would end at `place` and came at `arrived`, if nothing was late.
    pub(super) fn missing(&self, place: Duration, arrived: Duration) -> Duration {
        let told = origin(place, arrived);
        nanoseconds(told - self.origin.unwrap_or(told))
    }
}

/// When the first sample was, as a block tells it that came as soon as its last sample was there.
const fn origin(place: Duration, arrived: Duration) -> Origin {
    arrived.as_nanos() as Origin - place.as_nanos() as Origin
}

/// At least none.
fn nanoseconds(count: Origin) -> Duration {
    Duration::from_nanos(u64::try_from(count.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timeline;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_earliest_block_tells_where_the_stream_began() {
        let mut timeline = Timeline::default();
        // The first block of 10 ms came 30 ms late, the next are steadier.
        for (end, arrived, begins) in [(10, 140, 130), (20, 122, 112), (30, 131, 121)] {
            assert!(timeline.observe(ms(end), ms(arrived)));
            assert_eq!(timeline.time(ms(end - 10)), ms(begins));
        }
        assert!(!timeline.observe(ms(40), ms(145)));
        assert_eq!(timeline.missing(ms(50), ms(191)), ms(40));
    }

    #[test]
    fn clocks_that_drift_apart_are_followed_and_late_blocks_are_not() {
        let mut timeline = Timeline::default();
        timeline.observe(ms(10), ms(10));
        // Each second of samples takes a millisecond longer, and every third block is 20 ms late.
        let mut origins = Vec::new();
        for second in 1..=20 {
            let late = if second % 3 == 0 { 20 } else { 0 };
            if timeline.observe(ms(second * 1000), ms(second * 1001 + late)) {
                origins.push(timeline.time(ms(0)));
            }
        }
        assert!(origins.len() >= 4 && origins.is_sorted(), "{origins:?}");
        assert!(
            *origins.last().expect("one") >= ms(15) && *origins.last().expect("one") <= ms(20),
            "{origins:?}"
        );
    }

    #[test]
    fn a_device_whose_clock_is_fast_is_followed_for_hours() {
        let mut timeline = Timeline::default();
        // A thousandth too fast: after a day its samples are a minute and a half ahead of the stream's clock.
        for second in 1..=86_400_u64 {
            let arrived = ms(500 + second * 999);
            assert!(timeline.observe(ms(second * 1000), arrived));
            assert_eq!(timeline.time(ms(second * 1000)), arrived);
        }
    }
}
