//! Recording.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use greenroom_audio::sample::convert;
use greenroom_audio::{Clock, Format, Frame, Patchbay, Sample, Source, framer};

use crate::error::AudioError;
use crate::event::{Cause, Event};
use crate::options::{self, Latency};
use crate::pump;
use crate::stream_state::{self, StreamState};

/// How long before it is opened a stream's clock begins. A device may return earlier samples; no block is longer.
pub(crate) const LEAD: Duration = Duration::from_millis(500);

/// How to record.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// The device: an id, a name or a part of it, a number from the list of inputs, or a virtual device. The default one without.
    pub device: Option<String>,
    /// The rate of the frames, in Hz; the device's own may be another.
    pub rate: u32,
    /// The channels of the frames. One is the mean of the device's that are heard; of several, each is the device's channel of that
    /// number, and where there are more of them, that of those which fall to it in turn. See [`greenroom_audio::channels`].
    pub channels: u16,
    /// The one channel of the device that is recorded, counted from 0; with `channels` of 1.
    pub channel: Option<u16>,
    /// The length of a frame, 1 ms to 1 s.
    pub frame: Duration,
    /// How much may wait to be read, one frame to a minute; the oldest frames make room for more and are counted.
    pub queue: Duration,
    /// How much delay is taken on.
    pub latency: Latency,
    /// A device that is lost is looked for again for so long, with growing pauses, each time; not at all without.
    pub reopen: Option<Duration>,
    /// How long a real device may take to open, and then to its first sample.
    pub start: Duration,
    /// The clock of a virtual device. As fast as possible, it waits for its reader instead of dropping frames.
    pub clock: Clock,
    /// Where loopbacks are looked for; without, those of this process.
    pub patchbay: Option<Patchbay>,
}

impl Default for CaptureOptions {
    /// Frames of 10 ms at 16 kHz, mono, from the default device; a second may wait.
    fn default() -> Self {
        Self {
            device: None,
            rate: Format::SPEECH.rate(),
            channels: 1,
            channel: None,
            frame: framer::USUAL,
            queue: Duration::from_secs(1),
            latency: Latency::Normal,
            reopen: None,
            start: Duration::from_secs(5),
            clock: Clock::RealTime,
            patchbay: None,
        }
    }
}

/// What a capture has done so far, in samples of each channel at its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Recorded, those included that wait to be read.
    pub samples: u64,
    /// Lost by the device, or while there was none.
    pub lost: u64,
    /// Dropped, since the reader was too slow.
    pub dropped: u64,
}

/// A stream of frames from a device. It closes when it is dropped.
///
/// The handle may be shared by threads; each frame goes to one reader.
#[derive(Debug)]
pub struct Capture {
    stream: Arc<StreamState<Frames>>,
    format: Format,
    origin: Instant,
}

impl Capture {
    /// Opens a device and begins to record.
    ///
    /// # Errors
    /// [`AudioError`]: the options are invalid, there is no such device, or it can't be opened in time.
    pub fn open(options: &CaptureOptions) -> Result<Self, AudioError> {
        Self::start(options, None)
    }

    /// Records from a source of one's own, such as a function ([`greenroom_audio::device::CallbackSource`]); `options.device` is not used.
    ///
    /// # Errors
    /// [`AudioError::Invalid`] for invalid options.
    pub fn from_source(source: Box<dyn Source>, options: &CaptureOptions) -> Result<Self, AudioError> {
        Self::start(options, Some(source))
    }

    fn start(options: &CaptureOptions, source: Option<Box<dyn Source>>) -> Result<Self, AudioError> {
        let format = options::format(options.rate, options.channels)?;
        if let (Some(channel), 2..) = (options.channel, options.channels) {
            return Err(AudioError::Invalid(format!(
                "channel {channel} is one, and frames of {} channels are asked for; ask for one of the two",
                options.channels
            )));
        }
        let millisecond = Duration::from_millis(1);
        let frame = options::bounded("a frame", options.frame, millisecond, Duration::from_secs(1))?;
        let queue = options::bounded("the queue", options.queue, frame, Duration::from_secs(60))?;
        let most = usize::try_from(queue.as_nanos().div_ceil(frame.as_nanos())).unwrap_or(usize::MAX);
        let stream = StreamState::new(Frames::new(most));
        let now = Instant::now();
        // Some systems know no time from before they were started.
        let origin = now.checked_sub(LEAD).unwrap_or(now);
        pump::capture::start(&stream, format, frame, origin, options, source)?;
        Ok(Self { stream, format, origin })
    }

    /// The next frame, waited for at most `timeout`; `None` after the last of a device that has an end, and once the stream is closed.
    ///
    /// # Errors
    /// [`AudioError::Timeout`], after which the stream goes on; what the stream ended with, after its last frame; [`AudioError::Forked`].
    pub fn read<T: Sample>(&self, timeout: Option<Duration>) -> Result<Option<Frame<Vec<T>>>, AudioError> {
        let frame = stream_state::wait(timeout, |context| self.poll_frame(context));
        frame.unwrap_or_else(|| Err(late("a frame", timeout)))
    }

    /// The next frame, as a future that may be dropped without loss; see [`read`](Self::read).
    ///
    /// # Errors
    /// What the stream ended with; [`AudioError::Forked`].
    pub fn next<T: Sample>(&self) -> impl Future<Output = Result<Option<Frame<Vec<T>>>, AudioError>> + '_ {
        std::future::poll_fn(|context| self.poll_frame(context))
    }

    /// The next frame if it is there; otherwise the context's waker is called when there may be one, an event or the end.
    ///
    /// # Errors
    /// What the stream ended with; [`AudioError::Forked`].
    pub fn poll_frame<T: Sample>(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Vec<T>>>, AudioError>> {
        self.stream.check()?;
        let polled = self.stream.poll(context, |state| match state.queue.pop() {
            Some(frame) => Some(Ok(Some(frame))),
            None => state.end.clone().map(|end| end.map(|()| None)),
        });
        let Poll::Ready(Ok(Some(frame))) = polled else { return polled.map_ok(|_| None) };
        self.stream.nudge();
        let mut samples = vec![T::default(); frame.samples.len()];
        convert(&frame.samples, &mut samples);
        let given = Frame { format: frame.format, time: frame.time, lost: frame.lost, samples };
        self.stream.with(|state| state.queue.recycle(frame.samples));
        Poll::Ready(Ok(Some(given)))
    }

    /// The next event, waited for at most `timeout`; `None` after the last, once the stream has ended.
    ///
    /// # Errors
    /// [`AudioError::Timeout`] and [`AudioError::Forked`].
    pub fn event(&self, timeout: Option<Duration>) -> Result<Option<Event>, AudioError> {
        stream_state::wait(timeout, |context| self.poll_event(context))
            .unwrap_or_else(|| Err(late("an event", timeout)))
    }

    /// The next event if it is there; see [`poll_frame`](Self::poll_frame).
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn poll_event(&self, context: &mut Context<'_>) -> Poll<Result<Option<Event>, AudioError>> {
        self.stream.poll_event(context)
    }

    /// What it has done so far.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn recorded(&self) -> Result<Recorded, AudioError> {
        self.stream.check()?;
        Ok(self.stream.with(|state| state.queue.recorded))
    }

    /// The id of the device that is open, or was last.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    pub fn device(&self) -> Result<String, AudioError> {
        self.stream.check()?;
        Ok(self.stream.with(|state| state.device.clone()))
    }

    /// Rate and channels of the frames.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// When the stream's clock began, from which the times of its frames count: 500 ms before it was opened, for a device may give what it
    /// heard before that. A frame's end, `origin() + frame.time` and its duration, is never in the future, unless the device is a virtual one
    /// that goes as fast as possible: there time is counted by samples.
    pub const fn origin(&self) -> Instant {
        self.origin
    }

    /// Closes the device. What was recorded before may still be read; closing twice is nothing.
    ///
    /// # Errors
    /// [`AudioError::Timeout`] where the device does not let go, and [`AudioError::Forked`].
    pub fn close(&self) -> Result<(), AudioError> {
        self.stream.close()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stream.let_go();
    }
}

/// A wait of the caller's that was too long.
pub(crate) fn late(what: &str, timeout: Option<Duration>) -> AudioError {
    AudioError::Timeout { what: what.to_owned(), after: timeout.unwrap_or_default() }
}

/// Frames that wait to be read.
#[derive(Debug)]
pub(crate) struct Frames {
    waiting: VecDeque<Frame<Vec<f32>>>,
    /// Buffers to be used again.
    spare: Vec<Vec<f32>>,
    most: usize,
    /// What is missing before the next frame that is pushed.
    missing: u64,
    pub(crate) recorded: Recorded,
}

impl Frames {
    fn new(most: usize) -> Self {
        let recorded = Recorded::default();
        Self { waiting: VecDeque::with_capacity(most), spare: Vec::new(), most, missing: 0, recorded }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() == self.most
    }

    /// Adds a frame; if the queue is full, the oldest is dropped and the gap reported.
    pub(crate) fn push(&mut self, frame: &Frame<&[f32]>) -> Option<Event> {
        let dropped = if self.is_full() { self.drop_oldest() } else { 0 };
        self.recorded.samples += frame.per_channel() as u64;
        self.recorded.lost += frame.lost;
        let mut samples = self.spare.pop().unwrap_or_default();
        samples.clear();
        samples.extend_from_slice(frame.samples);
        let lost = frame.lost + std::mem::take(&mut self.missing);
        self.waiting.push_back(Frame { format: frame.format, time: frame.time, lost, samples });
        (dropped > 0).then_some(Event::Gap { samples: dropped, cause: Cause::Reader })
    }

    fn drop_oldest(&mut self) -> u64 {
        let Some(oldest) = self.waiting.pop_front() else { return 0 };
        let dropped = (oldest.samples.len() / oldest.format.channels()) as u64;
        let gap = oldest.lost + dropped;
        match self.waiting.front_mut() {
            Some(next) => next.lost += gap,
            None => self.missing += gap,
        }
        self.recorded.dropped += dropped;
        self.recycle(oldest.samples);
        dropped
    }

    fn pop(&mut self) -> Option<Frame<Vec<f32>>> {
        self.waiting.pop_front()
    }

    fn recycle(&mut self, buffer: Vec<f32>) {
        if self.spare.len() < self.most {
            self.spare.push(buffer);
        }
    }
}
