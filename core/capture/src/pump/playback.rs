//! What the thread of a playback does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use greenroom_audio::channels::ChannelMap;
use greenroom_audio::{Clock, Format, Resampler, Sink};

use super::virtual_::VirtualOutlet;
use super::{moved, reopen};
use crate::devices::{Direction, Target};
use crate::error::AudioError;
use crate::event::{Cause, Event};
use crate::options;
use crate::playback::{Pending, PlaybackOptions};
use crate::real::RealOutlet;
use crate::stream_state::StreamState;

/// What is taken from the queue at once.
const PIECE: Duration = Duration::from_millis(10);

/// An open device that is played to. Numbers are samples of each of its channels.
pub(crate) trait Outlet {
    /// Rate and channels of what it takes.
    fn format(&self) -> Format;

    /// How much it takes now.
    fn room(&mut self) -> Result<Room, AudioError>;

    /// Takes interleaved samples, no more than it has room for.
    fn play(&mut self, samples: &[f32]) -> Result<(), AudioError>;

    /// There is nothing to play for what it needs now.
    fn starve(&mut self, _samples: usize) -> Result<(), AudioError> {
        Ok(())
    }

    /// Drops what it has taken and not passed on yet; [`is_settled`](Self::is_settled) tells when that is done.
    fn discard(&mut self) {}

    /// Whether nothing is being discarded.
    fn is_settled(&mut self) -> Result<bool, AudioError> {
        Ok(true)
    }

    /// What it has passed on.
    fn given(&self) -> u64;

    /// What of that has been heard.
    fn heard(&self) -> u64 {
        self.given()
    }

    /// The silence that it has played so far for want of anything else.
    fn silence(&self) -> u64;

    /// When to ask it again at the latest.
    fn wake_at(&self) -> Instant;

    /// Nothing more comes.
    fn finish(&mut self) -> Result<(), AudioError> {
        Ok(())
    }

    /// What happened to it besides.
    fn event(&mut self) -> Option<Event> {
        None
    }
}

/// What an outlet takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    /// So much.
    pub(crate) most: usize,
    /// So much it needs now, or it falls silent.
    pub(crate) least: usize,
}

/// Opens the device, and plays until the stream is closed.
pub(crate) fn start(
    stream: &Arc<StreamState<Pending>>,
    format: Format,
    jitter: Duration,
    options: &PlaybackOptions,
    sink: Option<Box<dyn Sink>>,
) -> Result<(), AudioError> {
    let (tell, told) = sync_channel(1);
    let pump = Pump {
        stream: Arc::clone(stream),
        format,
        jitter: format.samples_in(jitter) as usize,
        patience: jitter,
        options: options.clone(),
    };
    stream.start("greenroom-playback", move || pump.run(sink, &tell))?;
    // The thread has deadlines of its own; this one is for a system that holds it in a call.
    let patience = options.start + Duration::from_secs(3);
    told.recv_timeout(patience).unwrap_or_else(|_| {
        stream.let_go();
        let device = options.device.as_deref().unwrap_or("the default output");
        Err(AudioError::Timeout { what: format!("opening {device}"), after: patience })
    })
}

struct Pump {
    stream: Arc<StreamState<Pending>>,
    format: Format,
    /// Samples that must wait before playing begins, and how long at most.
    jitter: usize,
    patience: Duration,
    options: PlaybackOptions,
}

impl Pump {
    fn run(self, sink: Option<Box<dyn Sink>>, tell: &SyncSender<Result<(), AudioError>>) {
        let own = sink.is_some();
        let opened = match sink {
            Some(sink) => {
                self.name("callback");
                Ok(Box::new(VirtualOutlet::new("callback".to_owned(), sink, self.options.clock))
                    as Box<dyn Outlet>)
            }
            None => self.open(),
        };
        let opened = opened.and_then(|outlet| Ok((self.backlog(&*outlet)?, outlet)));
        let (mut backlog, mut outlet) = match opened {
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
            let end = match self.play(&mut *outlet, &mut backlog) {
                Ok(()) => outlet.finish().map(|()| None),
                Err(error) => {
                    let heard = backlog.base(outlet.heard());
                    // What a file has so far is made whole; the device has failed already.
                    let _ = outlet.finish();
                    drop(outlet);
                    self.recover(error, heard, own)
                }
            };
            let reopened =
                end.and_then(|again| again.map(|outlet| Ok((self.backlog(&*outlet)?, outlet))).transpose());
            match reopened {
                Ok(Some(again)) => (backlog, outlet) = again,
                Ok(None) => return self.stream.change(|state| state.end = Some(Ok(()))),
                Err(error) => return self.stream.change(|state| state.end = Some(Err(error))),
            }
        }
    }

    /// What goes on where the stream is.
    fn backlog(&self, outlet: &dyn Outlet) -> Result<PlaybackBacklog, AudioError> {
        PlaybackBacklog::new(
            self.format,
            outlet.format(),
            self.stream.with(|state| state.queue.position.heard),
        )
    }

    fn open(&self) -> Result<Box<dyn Outlet>, AudioError> {
        let patchbay = options::patchbay(self.options.patchbay.as_ref());
        match Target::find(self.options.device.as_deref(), Direction::Output)? {
            Target::Virtual(device) => {
                let name = device.to_string();
                let sink = device.open_sink(self.format, &patchbay)?;
                self.name(&name);
                Ok(Box::new(VirtualOutlet::new(name, sink, self.options.clock)))
            }
            Target::Real(found) => {
                self.name(&found.id);
                let PlaybackOptions { latency, start, .. } = self.options;
                Ok(Box::new(RealOutlet::open(*found, self.format, latency, start)?))
            }
        }
    }

    fn name(&self, device: &str) {
        self.stream.with(|state| device.clone_into(&mut state.device));
    }

    /// Plays until the stream is closed; a failure of the device is an error.
    fn play(&self, outlet: &mut dyn Outlet, backlog: &mut PlaybackBacklog) -> Result<(), AudioError> {
        // Whether playing goes on, rather than waits for enough to begin.
        let mut going = false;
        // The silence so far when the last sample was played.
        let mut silence = None;
        loop {
            if self.stream.is_closing() {
                return Ok(());
            }
            if self.stream.with(|state| std::mem::take(&mut state.queue.clearing)) {
                backlog.clear();
                outlet.discard();
                backlog.settling = true;
                going = false;
                silence = None;
            }
            if backlog.settling && outlet.is_settled()? {
                backlog.settling = false;
                let heard = backlog.base(outlet.given());
                self.stream.change(|state| state.queue.drop_rest(heard));
            }
            if !backlog.settling {
                let room = outlet.room()?;
                let flushing = self.stream.with(|state| state.queue.flushing);
                going |= flushing || self.options.clock == Clock::Fast || self.may_begin();
                if going {
                    self.fill_backlog(backlog, room, flushing);
                }
                let play = room.most.min(backlog.len());
                if play > 0 {
                    if let Some(before) = silence.replace(outlet.silence()) {
                        self.tell_silence(outlet.silence() - before, backlog);
                    }
                    outlet.play(backlog.front(play))?;
                    backlog.pop(play);
                } else if room.least > 0 {
                    going = false;
                    if flushing {
                        // Silence after the end of what was said is meant.
                        silence = None;
                    }
                }
                if play < room.least {
                    outlet.starve(room.least - play)?;
                }
                let more = play > 0 && play == room.most;
                self.tell_position(backlog.position(outlet.heard()));
                if let Some(event) = outlet.event() {
                    self.stream.change(|state| state.events.push(event.clone()));
                    self.options.reopen.map_or(Ok(()), |_| moved(event))?;
                }
                if more && self.options.clock == Clock::Fast {
                    continue;
                }
            }
            let wake_at = outlet.wake_at();
            match wake_at.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => {}
            }
        }
    }

    /// Whether enough waits to begin, or what waits has waited long enough.
    fn may_begin(&self) -> bool {
        self.stream.with(|state| {
            let waits = state.queue.len();
            waits > 0 && (waits >= self.jitter || state.queue.age().is_some_and(|age| age >= self.patience))
        })
    }

    /// Takes from the queue what the device has room for. Where it would fall silent, what the resampler holds back comes too.
    fn fill_backlog(&self, backlog: &mut PlaybackBacklog, room: Room, flushing: bool) {
        while backlog.len() < room.most {
            let taken = self.stream.with(|state| state.queue.take(&mut backlog.piece));
            if taken > 0 {
                // There is room for who waits to write.
                self.stream.change(|_| ());
                backlog.add(taken);
            } else {
                if backlog.len() < room.least || flushing {
                    backlog.finish();
                }
                return;
            }
        }
    }

    /// Tells how much was heard: the wait for a drain may be over.
    fn tell_position(&self, heard: u64) {
        let (before, waiting) =
            self.stream.with(|state| (state.queue.position.heard, state.queue.position.waiting));
        if heard <= before {
            return;
        }
        self.stream.change(|state| {
            let more = heard.saturating_sub(before).min(waiting);
            state.queue.position.heard += more;
            state.queue.position.waiting -= more;
        });
    }

    fn tell_silence(&self, samples: u64, backlog: &PlaybackBacklog) {
        if samples > 0 {
            let samples = backlog.in_stream(samples);
            self.stream.change(|state| state.events.push(Event::Gap { samples, cause: Cause::Writer }));
        }
    }

    /// Tells that the device is lost, and opens it again if that is wanted and may succeed; `None` if the stream was closed meanwhile.
    fn recover(
        &self,
        error: AudioError,
        heard: u64,
        own: bool,
    ) -> Result<Option<Box<dyn Outlet>>, AudioError> {
        let lost_at = Instant::now();
        let limit = self.options.reopen.filter(|_| error.may_pass() && !own);
        self.stream.change(|state| {
            let device = state.device.clone();
            state.events.push(Event::Lost { device, why: error.to_string() });
            state.queue.drop_rest(heard);
            if limit.is_none() {
                // At once, so that nobody takes what was dropped for played.
                state.end = Some(Err(error.clone()));
            }
        });
        let Some(limit) = limit else { return Err(error) };
        let opened = reopen(limit, || self.stream.is_closing(), || self.open());
        let Some(outlet) = opened.transpose()? else { return Ok(None) };
        self.stream.change(|state| {
            let device = state.device.clone();
            state.events.push(Event::Reopened { device, after: lost_at.elapsed() });
        });
        Ok(Some(outlet))
    }
}

/// What is on its way from the queue to the device, in the device's format, and how the two's samples are counted into each other.
struct PlaybackBacklog {
    from: Format,
    to: Format,
    piece: Vec<f32>,
    map: ChannelMap,
    mapped: Vec<f32>,
    resampler: Resampler,
    ready: VecDeque<f32>,
    /// Samples that were made for the device since its count began.
    made: u64,
    /// Samples of the stream up to here, without those that were dropped.
    taken: u64,
    /// From which of the device's samples on which of the stream's are heard, oldest first; never empty.
    segments: VecDeque<(u64, u64)>,
    /// Whether the outlet is discarding.
    settling: bool,
}

impl PlaybackBacklog {
    /// From `heard` samples of the stream on.
    fn new(from: Format, to: Format, heard: u64) -> Result<Self, AudioError> {
        let piece = usize::try_from(from.samples_in(PIECE)).unwrap_or(1).max(1);
        let mapped = Format::new(from.rate(), u16::try_from(to.channels()).unwrap_or(1));
        let mapped = mapped.map_err(|error| AudioError::Invalid(error.to_string()))?;
        let resampler = Resampler::new(mapped, to.rate());
        let resampler = resampler.map_err(|error| AudioError::Invalid(error.to_string()))?;
        Ok(Self {
            from,
            to,
            piece: vec![0.0; piece * from.channels()],
            map: ChannelMap::new(from, to.channels(), None),
            mapped: vec![0.0; piece * to.channels()],
            resampler,
            ready: VecDeque::new(),
            made: 0,
            taken: heard,
            segments: VecDeque::from([(0, heard)]),
            settling: false,
        })
    }

    /// Samples of each channel that are ready for the device.
    fn len(&self) -> usize {
        self.ready.len() / self.to.channels()
    }

    /// Makes the piece, of so many samples, ready.
    fn add(&mut self, taken: usize) {
        self.taken += taken as u64;
        let mapped = self.map.map(&self.piece[..taken * self.from.channels()], &mut self.mapped);
        let mut input = &self.mapped[..mapped];
        while let Some(part) = self.resampler.next(&mut input) {
            self.ready.extend(part);
            self.made += (part.len() / self.to.channels()) as u64;
        }
    }

    /// Makes ready what the resampler holds back. What is added after that is a new beginning to it.
    fn finish(&mut self) {
        while let Some(part) = self.resampler.finish() {
            self.ready.extend(part);
            self.made += (part.len() / self.to.channels()) as u64;
        }
        if self.segments.back() != Some(&(self.made, self.taken)) {
            self.segments.push_back((self.made, self.taken));
        }
    }

    fn front(&mut self, samples: usize) -> &[f32] {
        &self.ready.make_contiguous()[..samples * self.to.channels()]
    }

    fn pop(&mut self, samples: usize) {
        self.ready.drain(..samples * self.to.channels());
    }

    fn clear(&mut self) {
        self.ready.clear();
        self.resampler.reset();
    }

    /// How many of the stream's samples are heard once the device has played so many.
    fn position(&mut self, heard: u64) -> u64 {
        while self.segments.get(1).is_some_and(|&(made, _)| made <= heard) {
            self.segments.pop_front();
        }
        let (made, taken) = self.segments.front().copied().unwrap_or_default();
        let end = self.segments.get(1).map_or(self.taken, |&(_, taken)| taken);
        (taken + self.in_stream(heard.saturating_sub(made))).min(end)
    }

    /// Counts anew from where the device has played so many samples and nothing is on its way, and gives the stream's place there.
    fn base(&mut self, given: u64) -> u64 {
        let position = self.position(given);
        self.made = given;
        self.taken = position;
        self.segments = VecDeque::from([(given, position)]);
        position
    }

    /// As many samples of the stream as last as long as those of the device.
    fn in_stream(&self, samples: u64) -> u64 {
        samples * u64::from(self.from.rate()) / u64::from(self.to.rate())
    }
}
