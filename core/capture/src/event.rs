//! What happens to a stream besides audio.

use std::collections::VecDeque;
use std::time::Duration;

use greenroom_audio::Note;
use serde::{Serialize, Serializer};

/// Events that wait to be read; the oldest is dropped for one more.
const MOST: usize = 256;

/// An event of a stream. In JSON, `type` is its kind; durations are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Samples were lost.
    Gap {
        /// How many of each channel, at the stream's rate.
        samples: u64,
        /// The cause.
        cause: Cause,
    },
    /// The device is gone. It is opened again if that was asked for; otherwise the stream ends with this error.
    Lost {
        /// The device.
        device: String,
        /// How that shows.
        why: String,
    },
    /// A device is open again, after it was lost.
    Reopened {
        /// The device, which may be another where the default one was asked for.
        device: String,
        /// How long there was none.
        #[serde(rename = "after_ms", serialize_with = "milliseconds")]
        after: Duration,
    },
    /// The system's default device is another one. The stream follows it if it was opened on the default device and may reopen.
    DeviceChanged {
        /// The device so far.
        from: String,
        /// The device from here on.
        to: String,
    },
    /// Something is odd about what is recorded: about the file that is the device, or its channels.
    Notice {
        /// A stable name of it; see [`greenroom_audio::Note::code`].
        note: String,
        /// What it is.
        message: String,
    },
    /// Events were dropped because they were not read.
    Missed {
        /// How many.
        count: u64,
    },
}

impl Event {
    /// A note about the samples of a device.
    pub(crate) fn notice(device: &str, note: &Note) -> Self {
        Self::Notice { note: note.code().to_owned(), message: format!("{device}: {note}") }
    }
}

/// The cause of lost samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The device or the system, or nothing came while there was no device.
    Device,
    /// The reader of the stream was too slow, and the oldest frames made room.
    Reader,
    /// Nothing was written in time, and silence was played.
    Writer,
}

/// Events that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: VecDeque<Event>,
    missed: u64,
}

impl Events {
    /// Adds an event. Gaps of one cause that follow each other are one.
    pub(crate) fn push(&mut self, event: Event) {
        if let (Event::Gap { samples, cause }, Some(Event::Gap { samples: sum, cause: same })) =
            (&event, self.waiting.back_mut())
            && cause == same
        {
            *sum += samples;
            return;
        }
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
            self.missed += 1;
        }
        self.waiting.push_back(event);
    }

    /// The oldest event; what was dropped before it comes first, as a count.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.missed) {
            0 => self.waiting.pop_front(),
            count => Some(Event::Missed { count }),
        }
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::{Cause, Event, Events, MOST};

    #[test]
    fn gaps_of_one_cause_are_one_event() {
        let mut events = Events::default();
        events.push(Event::Gap { samples: 1, cause: Cause::Reader });
        events.push(Event::Gap { samples: 2, cause: Cause::Reader });
        events.push(Event::Gap { samples: 4, cause: Cause::Device });
        assert_eq!(events.pop(), Some(Event::Gap { samples: 3, cause: Cause::Reader }));
        assert_eq!(events.pop(), Some(Event::Gap { samples: 4, cause: Cause::Device }));
        assert_eq!(events.pop(), None);
    }

    #[test]
    fn events_that_nobody_reads_are_dropped_and_counted() {
        let mut events = Events::default();
        for number in 0..MOST + 3 {
            events.push(Event::DeviceChanged { from: String::new(), to: number.to_string() });
        }
        assert_eq!(events.pop(), Some(Event::Missed { count: 3 }));
        assert_eq!(events.pop(), Some(Event::DeviceChanged { from: String::new(), to: "3".to_owned() }));
        assert_eq!(std::iter::from_fn(|| events.pop()).count(), MOST - 1);
    }
}
