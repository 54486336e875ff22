//! When samples were, from when their blocks came.
//!
//! A block comes some time after its last sample, and how long after varies; never before it. So the earliest that any block came, by the
//! stream's samples, is nearest to the truth. The device's clock and this machine's drift apart, so it is looked for again and again.

use std::time::Duration;

/// How long blocks are watched for the earliest among them.
const WATCHED: Duration = Duration::from_secs(2);

/// A difference that is not worth a correction.
const SLIGHT: Duration = Duration::from_millis(1);

/// Where the first sample of a stream is in time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    origin: Option<Duration>,
    /// Since when blocks are watched, and the earliest origin among them.
    watched: Option<(Duration, Duration)>,
}

impl Timeline {
    /// Takes note of a block whose end is `place` into the stream and which came at `arrived`; gives the origin if it has changed.
    pub(super) fn observe(&mut self, place: Duration, arrived: Duration) -> Option<Duration> {
        let told = arrived.saturating_sub(place);
        let Some(origin) = self.origin.filter(|&origin| told >= origin) else {
            // The first, or earlier than was thought possible.
            self.watched = Some((arrived, told));
            self.origin = Some(told);
            return self.origin;
        };
        let (since, earliest) = self.watched.get_or_insert((arrived, told));
        *earliest = told.min(*earliest);
        if arrived.saturating_sub(*since) < WATCHED {
            return None;
        }
        let earliest = *earliest;
        self.watched = None;
        if earliest <= origin + SLIGHT {
            return None;
        }
        self.origin = Some(earliest);
        self.origin
    }

    /// How much is missing before a block that would end at `place` and came at `arrived`, if nothing was late.
    pub(super) fn missing(&self, place: Duration, arrived: Duration) -> Duration {
        self.origin.map_or(Duration::ZERO, |origin| arrived.saturating_sub(place).saturating_sub(origin))
    }
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
        assert_eq!(timeline.observe(ms(10), ms(140)), Some(ms(130)));
        assert_eq!(timeline.observe(ms(20), ms(122)), Some(ms(102)));
        assert_eq!(timeline.observe(ms(30), ms(131)), Some(ms(101)));
        assert_eq!(timeline.observe(ms(40), ms(145)), None);
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
            origins.extend(timeline.observe(ms(second * 1000), ms(second * 1001 + late)));
        }
        assert!(origins.len() >= 4 && origins.is_sorted(), "{origins:?}");
        assert!(
            *origins.last().expect("one") >= ms(15) && *origins.last().expect("one") <= ms(20),
            "{origins:?}"
        );
    }
}
