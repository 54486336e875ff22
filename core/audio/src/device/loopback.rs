//! Loopbacks: what is played to a name is recorded from it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{DeviceError, Filled, Sink, Source};
use crate::format::Format;

/// The most unrecorded audio that a loopback holds; older audio is lost.
const HELD: Duration = Duration::from_secs(2);

/// The loopbacks of one program, by name. Clones are the same patchbay.
///
/// One end opened first decides the format; the other gets the same one, whatever it asked for. Each end is open once at a time. Once
/// the end that is played to has closed, the other returns the rest and ends, as a pipe does, and the name is free for a new loopback;
/// so it is when the recording end has closed and there is no player.
#[derive(Clone, Debug, Default)]
pub struct Patchbay {
    lines: Arc<Mutex<BTreeMap<String, Arc<Line>>>>,
}

/// What lies between two ends.
#[derive(Debug)]
struct Line {
    format: Format,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    samples: VecDeque<f32>,
    lost: u64,
    listened: bool,
    spoken: bool,
    /// The end that is played to has closed: nothing more comes.
    is_over: bool,
}

impl Patchbay {
    /// Without a loopback.
    pub fn new() -> Self {
        Self::default()
    }

    /// The end that is recorded from.
    pub(super) fn listen(&self, name: &str, format: Format) -> Result<Ear, DeviceError> {
        self.open(name, format, "recording", |state| &mut state.listened).map(Ear)
    }

    /// The end that is played to.
    pub(super) fn speak(&self, name: &str, format: Format) -> Result<Mouth, DeviceError> {
        self.open(name, format, "playing", |state| &mut state.spoken).map(Mouth)
    }

    fn open(&self, name: &str, format: Format, end: &'static str, open: Which) -> Result<End, DeviceError> {
        let mut lines = lock(&self.lines);
        let line = lines.entry(name.to_owned()).or_insert_with(|| Arc::new(Line::new(format)));
        if std::mem::replace(open(&mut lock(&line.state)), true) {
            return Err(DeviceError::Busy { device: format!("loopback:{name}"), end });
        }
        let line = Arc::clone(line);
        Ok(End { patchbay: self.clone(), name: name.to_owned(), line, open })
    }
}

impl Line {
    fn new(format: Format) -> Self {
        let held = usize::try_from(format.samples_in(HELD)).unwrap_or(usize::MAX) * format.channels();
        let state = State {
            samples: VecDeque::with_capacity(held),
            lost: 0,
            listened: false,
            spoken: false,
            is_over: false,
        };
        Self { format, state: Mutex::new(state) }
    }
}

/// Which end of a line.
type Which = fn(&mut State) -> &mut bool;

/// An open end; it closes when it is dropped.
struct End {
    patchbay: Patchbay,
    name: String,
    line: Arc<Line>,
    open: Which,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut lines = lock(&self.patchbay.lines);
        let mut state = lock(&self.line.state);
        let was_played_to = state.spoken;
        *(self.open)(&mut state) = false;
        state.is_over |= was_played_to && !state.spoken;
        let is_here = lines.get(&self.name).is_some_and(|line| Arc::ptr_eq(line, &self.line));
        // A remaining reader has the line without its name.
        if is_here && (state.is_over || !(state.listened || state.spoken)) {
            lines.remove(&self.name);
        }
    }
}

/// The end that is recorded from. It returns the available audio, which may be none, and ends after the last of what was played.
pub(super) struct Ear(End);

impl Source for Ear {
    fn format(&self) -> Format {
        self.0.line.format
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        let mut state = lock(&self.0.line.state);
        let channels = self.0.line.format.channels();
        let take = (samples.len() / channels * channels).min(state.samples.len());
        for (sample, held) in samples.iter_mut().zip(state.samples.drain(..take)) {
            *sample = held;
        }
        let ended = state.is_over && state.samples.is_empty();
        Ok(Filled { samples: take / channels, lost: std::mem::take(&mut state.lost), ended })
    }
}

/// The end that is played to. Audio that is not recorded in time is lost, oldest first.
pub(super) struct Mouth(End);

impl Sink for Mouth {
    fn format(&self) -> Format {
        self.0.line.format
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), DeviceError> {
        let mut state = lock(&self.0.line.state);
        let channels = self.0.line.format.channels();
        // More than can be held would push itself out.
        let held = state.samples.capacity() / channels * channels;
        let kept = &samples[samples.len().saturating_sub(held)..];
        let over = (state.samples.len() + kept.len()).saturating_sub(held);
        state.samples.drain(..over);
        state.samples.extend(kept);
        state.lost += ((samples.len() - kept.len() + over) / channels) as u64;
        Ok(())
    }
}

/// A panic elsewhere leaves samples that are as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
