//! What the thread of a capture does.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use greenroom_audio::format::MOST_CHANNELS;
use greenroom_audio::{Clock, Format, Frame, Source};

use super::frame_pipeline::FramePipeline;
use super::virtual_::VirtualFeed;
use super::{moved, reopen};
use crate::capture::{CaptureOptions, Frames};
use crate::devices::{Direction, Target};
use crate::error::AudioError;
use crate::event::{Cause, Event};
use crate::options;
use crate::real::RealFeed;
use crate::stream_state::StreamState;

/// An open device that is recorded from.
pub(crate) trait Feed {
    /// Rate and channels of what it gives.
    fn format(&self) -> Format;

    /// Hands over what has come since the last time; waits for nothing.
    fn feed(&mut self, take: &mut dyn FnMut(CapturedBlock<'_>)) -> Result<Flow, AudioError>;

    /// What happened to it besides.
    fn event(&mut self) -> Option<Event> {
        None
    }
}

/// What a device gives at once.
pub(crate) struct CapturedBlock<'a> {
    /// Samples of each channel that are missing before it.
    pub(crate) lost: u64,
    /// When its first sample was, on the stream's clock, where that is not what the samples before it say.
    pub(crate) time: Option<Duration>,
    /// Whole instants.
    pub(crate) samples: &'a [f32],
}

/// How a feed goes on.
pub(crate) enum Flow {
    /// To be asked again at that time, or when the thread is unparked.
    Until(Instant),
    /// Nothing more comes.
    Ended,
}

/// Opens the device, and records until it ends or the stream is closed.
pub(crate) fn start(
    stream: &Arc<StreamState<Frames>>,
    format: Format,
    length: Duration,
    origin: Instant,
    options: &CaptureOptions,
    source: Option<Box<dyn Source>>,
) -> Result<(), AudioError> {
    let (tell, told) = sync_channel(1);
    let pump = Pump { stream: Arc::clone(stream), format, length, origin, options: options.clone() };
    stream.start("greenroom-capture", move || pump.run(source, &tell))?;
    // The thread has deadlines of its own; this one is for a system that holds it in a call.
    let patience = options.start + Duration::from_secs(3);
    told.recv_timeout(patience).unwrap_or_else(|_| {
        stream.let_go();
        let device = options.device.as_deref().unwrap_or("the default input");
        Err(AudioError::Timeout { what: format!("opening {device}"), after: patience })
    })
}

struct Pump {
    stream: Arc<StreamState<Frames>>,
    format: Format,
    length: Duration,
    origin: Instant,
    options: CaptureOptions,
}

impl Pump {
    fn run(self, source: Option<Box<dyn Source>>, tell: &SyncSender<Result<(), AudioError>>) {
        let own = source.is_some();
        let opened = match source {
            Some(source) => {
                self.name("callback");
                Ok(self.driven("callback".to_owned(), source))
            }
            None => self.open(),
        };
        let opened = opened.and_then(|feed| {
            let picked = self.picked(&*feed)?;
            let pipeline =
                FramePipeline::new(feed.format(), self.format, picked, self.length, self.origin.elapsed());
            let pipeline = pipeline.map_err(|error| AudioError::Invalid(error.to_string()))?;
            Ok((feed, pipeline))
        });
        let (mut feed, mut pipeline) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.stream.change(|state| state.end = Some(Err(error.clone())));
                let _ = tell.send(Err(error));
                return;
            }
        };
        // Nobody listens any more where the caller has given up; then the stream is closing.
        let _ = tell.send(Ok(()));
        loop {
            let end = self.record(&mut *feed, &mut pipeline);
            drop(feed);
            let end = match end {
                Err(error) => self.recover(error, own, &mut pipeline),
                Ok(()) => Ok(None),
            };
            match end {
                Ok(Some(again)) => feed = again,
                Ok(None) => return self.stream.change(|state| state.end = Some(Ok(()))),
                Err(error) => return self.stream.change(|state| state.end = Some(Err(error))),
            }
        }
    }

    fn open(&self) -> Result<Box<dyn Feed>, AudioError> {
        let patchbay = options::patchbay(self.options.patchbay.as_ref());
        match Target::find(self.options.device.as_deref(), Direction::Input)? {
            Target::Virtual(device) => {
                let name = device.to_string();
                let source = device.open_source(self.wanted()?, &patchbay)?;
                self.name(&name);
                Ok(self.driven(name, source))
            }
            Target::Real(found) => {
                self.name(&found.id);
                let CaptureOptions { latency, start, .. } = self.options;
                Ok(Box::new(RealFeed::open(*found, self.wanted()?, latency, start, self.origin)?))
            }
        }
    }

    /// The format that a device is asked for: with a channel of the number that is picked.
    fn wanted(&self) -> Result<Format, AudioError> {
        match self.options.channel {
            Some(channel) => {
                options::format(self.format.rate(), channel.saturating_add(1).min(MOST_CHANNELS))
            }
            None => Ok(self.format),
        }
    }

    /// The channel that is picked, which the device has.
    fn picked(&self, feed: &dyn Feed) -> Result<Option<usize>, AudioError> {
        let (picked, channels) = (self.options.channel.map(usize::from), feed.format().channels());
        match picked {
            Some(picked) if picked >= channels => {
                let device = self.stream.with(|state| state.device.clone());
                let there = if channels == 1 {
                    "one, 0".to_owned()
                } else {
                    format!("{channels}, 0 to {}", channels - 1)
                };
                Err(AudioError::Invalid(format!("{device} has no channel {picked}; it has {there}")))
            }
            picked => Ok(picked),
        }
    }

    fn driven(&self, name: String, source: Box<dyn Source>) -> Box<dyn Feed> {
        Box::new(VirtualFeed::new(name, source, self.options.clock, self.origin))
    }

    fn name(&self, device: &str) {
        self.stream.with(|state| device.clone_into(&mut state.device));
    }

    /// Records until the device ends or the stream is closed; a failure of the device is an error.
    fn record(&self, feed: &mut dyn Feed, pipeline: &mut FramePipeline) -> Result<(), AudioError> {
        let mut give = |frame: &Frame<&[f32]>| self.give(frame);
        loop {
            if self.stream.is_closing() {
                return Ok(());
            }
            let flow = feed.feed(&mut |part| pipeline.take(&part, &mut give))?;
            while let Some(event) = feed.event() {
                self.stream.change(|state| state.events.push(event.clone()));
                self.options.reopen.map_or(Ok(()), |_| moved(event))?;
            }
            if let Some(note) = pipeline.note() {
                self.stream.change(|state| state.events.push(Event::notice(&state.device, &note)));
            }
            match flow {
                Flow::Ended => {
                    pipeline.finish(&mut give);
                    return Ok(());
                }
                Flow::Until(time) => match time.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => thread::park_timeout(left),
                    _ => {}
                },
            }
        }
    }

    /// Puts a frame into the queue; as fast as possible, it waits for room.
    fn give(&self, frame: &Frame<&[f32]>) {
        if self.options.clock == Clock::Fast {
            while self.stream.with(|state| state.queue.is_full()) {
                if self.stream.is_closing() {
                    return;
                }
                thread::park();
            }
        }
        self.stream.change(|state| {
            if frame.has_gap() {
                state.events.push(Event::Gap { samples: frame.lost, cause: Cause::Device });
            }
            if let Some(gap) = state.queue.push(frame) {
                state.events.push(gap);
            }
        });
    }

    /// Tells that the device is lost, and opens it again if that is wanted and may succeed; `None` if the stream was closed meanwhile.
    fn recover(
        &self,
        error: AudioError,
        own: bool,
        pipeline: &mut FramePipeline,
    ) -> Result<Option<Box<dyn Feed>>, AudioError> {
        let lost_at = Instant::now();
        let device = self.stream.with(|state| state.device.clone());
        self.stream.change(|state| state.events.push(Event::Lost { device, why: error.to_string() }));
        let Some(limit) = self.options.reopen.filter(|_| error.may_pass() && !own) else { return Err(error) };
        let opened = reopen(limit, || self.stream.is_closing(), || self.open());
        let Some(feed) = opened.transpose()? else { return Ok(None) };
        let after = lost_at.elapsed();
        self.picked(&*feed)?;
        let missing = if self.options.clock == Clock::Fast { Duration::ZERO } else { after };
        pipeline.reconnect(feed.format(), missing).map_err(|error| AudioError::Invalid(error.to_string()))?;
        self.stream.change(|state| {
            let device = state.device.clone();
            state.events.push(Event::Reopened { device, after });
        });
        Ok(Some(feed))
    }
}
