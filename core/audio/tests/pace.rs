//! What is due by now.

use std::time::Duration;

use greenroom_audio::pace::Due;
use greenroom_audio::{Clock, Pace};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const START: Duration = Duration::from_secs(100);

fn real(latest: Duration) -> Pace {
    Pace::new(Clock::RealTime, 48_000, START, latest)
}

#[test]
fn in_real_time_a_block_is_due_when_it_has_passed() {
    let mut pace = real(200 * MS);
    assert_eq!(pace.next_at(480), START + 10 * MS);
    assert_eq!(pace.due(START, 480), Due::default());
    assert_eq!(pace.due(START + 9 * MS, 480), Due::default());
    assert_eq!(pace.due(START + 10 * MS, 480), Due { samples: 480, skipped: 0 });
    assert_eq!(pace.due(START + 10 * MS, 480), Due::default());
    assert_eq!(pace.next_at(480), START + 20 * MS);
    // A little late: all of it.
    assert_eq!(pace.due(START + 59 * MS, 480), Due { samples: 4 * 480, skipped: 0 });
}

#[test]
fn who_is_very_late_skips_instead_of_bursting() {
    let mut pace = real(200 * MS);
    let due = pace.due(START + 3005 * MS, 480);
    assert!(due.samples <= 2 * 480, "{due:?}");
    assert_eq!(due.samples + due.skipped, 300 * 480);
    assert_eq!(pace.passed(), 300 * 480);
    assert_eq!(pace.due(START + 3010 * MS, 480), Due { samples: 480, skipped: 0 });
}

#[test]
fn as_fast_as_possible_there_is_always_a_block() {
    let mut pace = Pace::new(Clock::Fast, 48_000, START, 200 * MS);
    for passed in 1..100 {
        assert_eq!(pace.next_at(480), START);
        assert_eq!(pace.due(START, 480), Due { samples: 480, skipped: 0 });
        assert_eq!(pace.passed(), passed * 480);
    }
}

#[test]
fn a_clock_that_goes_back_does_no_harm() {
    let mut pace = real(200 * MS);
    assert_eq!(pace.due(START + 20 * MS, 480).samples, 960);
    assert_eq!(pace.due(Duration::ZERO, 480), Due::default());
    assert_eq!(pace.due(START + 30 * MS, 480).samples, 480);
}

proptest! {
    #[test]
    fn who_wakes_when_told_is_never_early_or_late(rate in 8_000_u32..192_000, block in 1_u64..2000, rounds in 1_usize..50) {
        let mut pace = Pace::new(Clock::RealTime, rate, START, 10 * MS);
        for _ in 0..rounds {
            let at = pace.next_at(block);
            prop_assert_eq!(pace.due(at - Duration::from_nanos(1), block), Due::default());
            prop_assert_eq!(pace.due(at, block), Due { samples: block, skipped: 0 });
        }
    }

    #[test]
    fn all_time_is_accounted_for(steps in prop::collection::vec(0_u64..700_000, 1..50)) {
        let mut pace = real(200 * MS);
        let mut now = START;
        for step in steps {
            now += Duration::from_micros(step);
            let due = pace.due(now, 480);
            prop_assert!(due.samples <= 200 * 48 + 480);
            let behind = (now - START).as_micros() as u64 * 48 / 1000 - pace.passed();
            prop_assert!(behind < 480, "{} behind", behind);
        }
    }
}
