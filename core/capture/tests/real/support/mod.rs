//! What the tests of real streams share.

mod compiled;
pub(crate) mod fifo;
pub(crate) mod isolated;
pub(crate) mod pulse;

use std::time::{Duration, Instant};

use greenroom_capture::{Capture, Event};

/// The longest that any condition is waited for.
pub(crate) const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// Waits for a condition, looking every few milliseconds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// So many samples of each channel, and what was lost among them.
pub(crate) fn record(capture: &Capture, samples: usize) -> (Vec<f32>, u64) {
    let (mut recorded, mut lost) = (Vec::new(), 0);
    while recorded.len() < samples * capture.format().channels() {
        let frame = capture.read::<f32>(SOON).expect("a frame").expect("no end");
        recorded.extend(frame.samples);
        lost += frame.lost;
    }
    (recorded, lost)
}

/// The events up to the first that fits.
pub(crate) fn events_until(next: impl Fn() -> Option<Event>, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    while !events.last().is_some_and(&fits) {
        let seen = format!("{events:?}");
        events.push(next().unwrap_or_else(|| panic!("the stream has ended after {seen}")));
    }
    events
}
