//! Playing.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use greenroom_audio::{Clock, Format, Patchbay, Sample, Sink};
use serde::Serialize;

use crate::capture::late;
use crate::error::AudioError;
use crate::event::Event;
use crate::options::{self, Latency};
use crate::pump;
use crate::stream_state::{self, StreamState};

/// How to play.
#[derive(Clone, Debug)]
pub struct PlaybackOptions {
    /// The device: an id, a name or a part of it, a number from the list of outputs, or a virtual device. The default one without.
    pub device: Option<String>,
    /// The rate of what is written, in Hz; the device's own may be another.
    pub rate: u32,
    /// The channels of what is written, interleaved.
    pub channels: u16,
    /// How much may wait to be played, 20 ms to a minute; if it is full, writers wait.
    pub queue: Duration,
    /// How much delay is taken on.
    pub latency: Latency,
    /// What must have been written before playing begins, and again after a silence, so that late writes are not heard; at most `queue`.
    /// Without, it goes by `latency`: 40 ms, or 5 ms where it is low.
    pub jitter: Option<Duration>,
    /// A device that is lost is looked for again for so long, with growing pauses, each time; not at all without.
    pub reopen: Option<Duration>,
    /// How long a real device may take to open, and then to ask for its first sample.
    pub start: Duration,
    /// The clock of a virtual device. In real time it plays silence when nothing is written; as fast as possible, only what is written.
    pub clock: Clock,
    /// Where loopbacks are looked for; without, those of this process.
    pub patchbay: Option<Patchbay>,
}

impl Default for PlaybackOptions {
    /// 48 kHz, mono, on the default device; a second may wait.
    fn default() -> Self {
        Self {
            device: None,
            rate: Format::WIRE.rate(),
            channels: 1,
            queue: Duration::from_secs(1),
            latency: Latency::Normal,
            jitter: None,
            reopen: None,
            start: Duration::from_secs(5),
            clock: Clock::RealTime,
            patchbay: None,
        }
    }
}

/// How far a playback has come, in samples of each channel at its rate. `written` is the sum of `heard`, `waiting` and `dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Written so far.
    pub written: u64,
    /// Played, as far as the device reports its latency.
    pub heard: u64,
    /// On its way.
    pub waiting: u64,
    /// Cleared, or lost with a device.
    pub dropped: u64,
}

/// A stream to a device. It closes when it is dropped, and what has not been heard is not; [`drain`](Self::drain) waits for it.
///
/// The handle may be shared by threads.
#[derive(Debug)]
pub struct Playback {
    stream: Arc<StreamState<Pending>>,
    format: Format,
}

impl Playback {
    /// Opens a device; it is silent until something is written.
    ///
    /// # Errors
    /// [`AudioError`]: the options are invalid, there is no such device, or it can't be opened in time.
    pub fn open(options: &PlaybackOptions) -> Result<Self, AudioError> {
        Self::start(options, None)
    }

    /// Plays to a sink of one's own, such as a function ([`greenroom_audio::device::CallbackSink`]); `options.device` is not used.
    ///
    /// # Errors
    /// [`AudioError::Invalid`] for invalid options.
    pub fn to_sink(sink: Box<dyn Sink>, options: &PlaybackOptions) -> Result<Self, AudioError> {
        Self::start(options, Some(sink))
    }

    fn start(options: &PlaybackOptions, sink: Option<Box<dyn Sink>>) -> Result<Self, AudioError> {
        let format = options::format(options.rate, options.channels)?;
        let shortest = Duration::from_millis(20);
        let queue = options::bounded("the queue", options.queue, shortest, Duration::from_secs(60))?;
        let usual = match options.latency {
            Latency::Low => Duration::from_millis(5),
            Latency::Normal => Duration::from_millis(40).min(queue),
        };
        let jitter = options::bounded("jitter", options.jitter.unwrap_or(usual), Duration::ZERO, queue)?;
        let most = usize::try_from(format.samples_in(queue)).unwrap_or(usize::MAX);
        let stream = StreamState::new(Pending::new(format.channels(), most));
        pump::playback::start(&stream, format, jitter, options, sink)?;
        Ok(Self { stream, format })
    }

    /// Writes interleaved samples, whole instants, and waits for room at most `timeout`.
    ///
    /// # Errors
    /// [`AudioError::Timeout`], after which a part of them may be written; [`AudioError::Invalid`] for a part of an instant; what the
    /// stream ended with, or [`AudioError::Closed`]; [`AudioError::Forked`].
    pub fn write<T: Sample>(&self, samples: &[T], timeout: Option<Duration>) -> Result<(), AudioError> {
        let mut left = samples;
        stream_state::wait(timeout, |context| self.poll_all(context, &mut left))
            .unwrap_or_else(|| Err(late("room for what is written", timeout)))
    }

    /// Writes interleaved samples, whole instants, as a future. One that is dropped may have written a part of them.
    ///
    /// # Errors
    /// Those of [`write`](Self::write), but for the timeout.
    pub fn send<'a, T: Sample>(
        &'a self,
        samples: &'a [T],
    ) -> impl Future<Output = Result<(), AudioError>> + 'a {
        let mut left = samples;
        std::future::poll_fn(move |context| self.poll_all(context, &mut left))
    }

    fn poll_all<T: Sample>(
        &self,
        context: &mut Context<'_>,
        left: &mut &[T],
    ) -> Poll<Result<(), AudioError>> {
        while !left.is_empty() {
            match self.poll_write(context, left) {
                Poll::Ready(Ok(written)) => *left = &left[written..],
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(self.stream.check())
    }

    /// Writes as many samples as there is room for, and returns their number; without room, the context's waker is called when there may be
    /// some.
    ///
    /// # Errors
    /// Those of [`write`](Self::write), but for the timeout.
    pub fn poll_write<T: Sample>(
        &self,
        context: &mut Context<'_>,
        samples: &[T],
    ) -> Poll<Result<usize, AudioError>> {
        self.stream.check()?;
        let channels = self.format.channels();
        if !samples.len().is_multiple_of(channels) {
            let got = samples.len();
            return Poll::Ready(Err(AudioError::Invalid(format!(
                "{got} samples are no whole number for {channels} channels; write as many of each"
            ))));
        }
        let written = self.stream.poll(context, |state| {
            if let Some(end) = &state.end {
                return Some(Err(end.clone().err().unwrap_or(AudioError::Closed)));
            }
            let written = state.queue.write(samples);
            (written > 0 || samples.is_empty()).then_some(Ok(written))
        });
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.stream.nudge();
        }
        written
    }

    /// Waits until all that was written has been heard, at most `timeout`. It is played without waiting for more.
    ///
    /// # Errors
    /// [`AudioError::Timeout`]; what the stream ended with, or [`AudioError::Closed`]; [`AudioError::Forked`].
    pub fn drain(&self, timeout: Option<Duration>) -> Result<(), AudioError> {
        self.flush()?;
        stream_state::wait(timeout, |context| self.poll_drained(context))
            .unwrap_or_else(|| Err(late("playing what was written", timeout)))
    }

    /// Has what was written played without waiting for more.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn flush(&self) -> Result<(), AudioError> {
        self.stream.check()?;
        self.stream.with(|state| state.queue.flushing = true);
        self.stream.nudge();
        Ok(())
    }

    /// Ready once all that was written has been heard or dropped; see [`flush`](Self::flush).
    ///
    /// # Errors
    /// Those of [`drain`](Self::drain), but for the timeout.
    pub fn poll_drained(&self, context: &mut Context<'_>) -> Poll<Result<(), AudioError>> {
        self.stream.check()?;
        self.stream.poll(context, |state| match &state.end {
            Some(Err(error)) => Some(Err(error.clone())),
            _ if state.queue.position.waiting == 0 => Some(Ok(())),
            end => end.is_some().then_some(Err(AudioError::Closed)),
        })
    }

    /// Drops what has not reached the device, which may go on for its own buffer of 10 to 40 ms.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn clear(&self) -> Result<(), AudioError> {
        self.stream.check()?;
        self.stream.with(|state| state.queue.clear());
        self.stream.nudge();
        Ok(())
    }

    /// How far it has come.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn position(&self) -> Result<Position, AudioError> {
        self.stream.check()?;
        Ok(self.stream.with(|state| state.queue.position))
    }

    /// The next event, waited for at most `timeout`; `None` after the last, once the stream has ended.
    ///
    /// # Errors
    /// [`AudioError::Timeout`] and [`AudioError::Forked`].
    pub fn event(&self, timeout: Option<Duration>) -> Result<Option<Event>, AudioError> {
        stream_state::wait(timeout, |context| self.poll_event(context))
            .unwrap_or_else(|| Err(late("an event", timeout)))
    }

    /// The next event if it is there; otherwise the context's waker is called when there may be one.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn poll_event(&self, context: &mut Context<'_>) -> Poll<Result<Option<Event>, AudioError>> {
        self.stream.poll_event(context)
    }

    /// The id of the device that is open, or was last.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn device(&self) -> Result<String, AudioError> {
        self.stream.check()?;
        Ok(self.stream.with(|state| state.device.clone()))
    }

    /// Rate and channels of what is written.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Closes the device; what has not been heard is not. A file is whole after that. Closing twice is nothing.
    ///
    /// # Errors
    /// What the stream ended with, such as a file that cannot be made whole; [`AudioError::Timeout`] where the device does not let go;
    /// [`AudioError::Forked`].
    pub fn close(&self) -> Result<(), AudioError> {
        self.stream.close()?;
        self.stream.with(|state| state.end.clone()).unwrap_or(Ok(()))
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        self.stream.let_go();
    }
}

/// What was written and has not been taken by the pump.
#[derive(Debug)]
pub(crate) struct Pending {
    samples: VecDeque<f32>,
    channels: usize,
    most: usize,
    /// When the oldest of them was written.
    since: Option<Instant>,
    /// To be played without waiting for more.
    pub(crate) flushing: bool,
    /// The pump has to drop what it has.
    pub(crate) clearing: bool,
    pub(crate) position: Position,
}

impl Pending {
    fn new(channels: usize, most: usize) -> Self {
        Self {
            samples: VecDeque::with_capacity(most * channels),
            channels,
            most,
            since: None,
            flushing: false,
            clearing: false,
            position: Position::default(),
        }
    }

    fn write<T: Sample>(&mut self, samples: &[T]) -> usize {
        let room = self.most - self.len();
        let instants = room.min(samples.len() / self.channels);
        if instants > 0 {
            self.since.get_or_insert_with(Instant::now);
            self.flushing = false;
        }
        let taken = instants * self.channels;
        self.samples.extend(samples[..taken].iter().map(|sample| sample.to_f32()));
        self.position.written += instants as u64;
        self.position.waiting += instants as u64;
        taken
    }

    fn clear(&mut self) {
        let dropped = self.len() as u64;
        self.samples.clear();
        self.since = None;
        self.position.waiting -= dropped;
        self.position.dropped += dropped;
        self.clearing = true;
    }

    /// Counts as dropped what is neither here nor among the samples that have been heard.
    pub(crate) fn drop_rest(&mut self, heard: u64) {
        let waits = self.len() as u64;
        let position = &mut self.position;
        let more = heard.saturating_sub(position.heard).min(position.waiting - waits);
        position.heard += more;
        position.dropped += position.waiting - more - waits;
        position.waiting = waits;
    }

    /// Samples of each channel that wait.
    pub(crate) fn len(&self) -> usize {
        self.samples.len() / self.channels
    }

    /// How long the oldest has waited.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }

    /// Moves the oldest into `samples`, as many as it holds, and returns their number per channel.
    pub(crate) fn take(&mut self, samples: &mut [f32]) -> usize {
        let taken = samples.len().min(self.samples.len());
        for (sample, waiting) in samples.iter_mut().zip(self.samples.drain(..taken)) {
            *sample = waiting;
        }
        if self.samples.is_empty() {
            self.since = None;
        }
        taken / self.channels
    }
}
