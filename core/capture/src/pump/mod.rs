//! The thread of each stream, between its device and its queue.
//!
//! | module | what it is for |
//! |---|---|
//! | `capture`, `playback` | what the threads do: open, move samples, reopen, end |
//! | `frame_pipeline` | from the device's format to the stream's frames |
//! | `virtual_` | virtual devices as something to record from and to play to |

pub(crate) mod capture;
mod frame_pipeline;
pub(crate) mod playback;
mod virtual_;

use std::time::{Duration, Instant};

use crate::error::AudioError;
use crate::event::Event;

/// The pause before the first attempt to open a lost device again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// Opens again, with growing pauses, until it succeeds, `limit` is over or `stop` says so, which is `None`.
fn reopen<D>(
    limit: Duration,
    stop: impl Fn() -> bool,
    mut open: impl FnMut() -> Result<D, AudioError>,
) -> Option<Result<D, AudioError>> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let resume = Instant::now() + pause;
        while let Some(left) = resume.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if stop() {
                return None;
            }
            std::thread::park_timeout(left);
        }
        if stop() {
            return None;
        }
        match open() {
            Err(error) if error.may_pass() && begun.elapsed() < limit => pause = LONGEST_PAUSE.min(pause * 2),
            result => return Some(result),
        }
    }
}

/// A stream on the default device that may reopen leaves its device for the new one.
fn moved(event: Event) -> Result<(), AudioError> {
    match event {
        Event::DeviceChanged { from, to } => {
            Err(AudioError::Lost { device: from, why: format!("the default device is {to} from here on") })
        }
        _ => Ok(()),
    }
}
