//! A stream that its owner never waits for.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use greenroom_audio::{Format, Sample};
use greenroom_protocol::{Code, Error};
use serde_json::json;

use super::function::Calls;
use crate::{AudioError, Capture, CaptureOptions, Event, Playback, PlaybackOptions};

/// What capture and playback have in common.
pub trait EventLoopDevice: Send + Sync + 'static {
    /// See [`Capture::close`].
    ///
    /// # Errors
    /// What the device says, or that it does not let go.
    fn close(&self) -> Result<(), AudioError>;
    /// See [`Capture::poll_event`].
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<Result<Option<Event>, AudioError>>;
    /// The id of the device that is open, or was last.
    ///
    /// # Errors
    /// [`AudioError::Forked`].
    fn device(&self) -> Result<String, AudioError>;
    /// Rate and channels.
    fn format(&self) -> Format;
}

/// A stream that is being opened, is open, or is closed. It closes when it is dropped.
pub struct Stream<S> {
    shared: Arc<Shared<S>>,
    waker: Waker,
    /// Where the device is a function.
    calls: Option<Arc<Calls>>,
    process: u32,
}

struct Shared<S> {
    opened: OnceLock<Result<S, Error>>,
    closed: OnceLock<Result<(), Error>>,
}

struct Waking(Box<dyn Fn() + Send + Sync>);

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl Stream<Capture> {
    /// Begins to open a device to record from. `wake` is called on any thread once it is open or has failed, and after each
    /// [`poll`](Self::poll) that found nothing; it must not block.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn capture(options: CaptureOptions, wake: Box<dyn Fn() + Send + Sync>) -> Result<Self, Error> {
        Self::open(move || Capture::open(&options), waker(wake), None)
    }

    /// Begins to record from a function of the host language; `options.device` is not used. The wake is also called when the function is:
    /// [`poll_wanted`](Self::poll_wanted) tells how, [`give`](Self::give) or [`fail`](Self::fail) answers.
    ///
    /// # Errors
    /// When no thread can be started, and for a rate and channels that are no format.
    pub fn capture_function(
        options: CaptureOptions,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, Error> {
        let waker = waker(wake);
        let calls = Calls::new(format(options.rate, options.channels)?, waker.clone());
        let source = calls.source();
        Self::open(move || Capture::from_source(source, &options), waker, Some(calls))
    }

    /// How many samples of each channel the function is to give; `None` while it is not to be called. Each call is told once.
    ///
    /// # Errors
    /// That this is a fork of the process that it belongs to.
    pub fn poll_wanted(&self) -> Result<Option<usize>, Error> {
        self.check()?;
        Ok(self.calls.as_ref().and_then(|calls| calls.poll_wanted()))
    }

    /// What the function gave, interleaved: as much as was wanted, less or more. None at all is the end.
    ///
    /// # Errors
    /// That it is no whole number of samples for each channel; that this is a fork of the process that it belongs to.
    pub fn give(&self, samples: Vec<f32>) -> Result<(), Error> {
        let channels = self.calls.as_ref().map_or(1, |calls| calls.channels());
        if !samples.len().is_multiple_of(channels) {
            let count = samples.len();
            let message =
                format!("{count} samples are no whole number for {channels} channels; pass as many of each");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        self.answer(Ok(samples))
    }
}

impl Stream<Playback> {
    /// Begins to open a device to play to; see [`capture`](Stream::capture).
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn playback(options: PlaybackOptions, wake: Box<dyn Fn() + Send + Sync>) -> Result<Self, Error> {
        Self::open(move || Playback::open(&options), waker(wake), None)
    }

    /// Begins to play to a function of the host language; `options.device` is not used. The wake is also called when the function is:
    /// [`poll_played`](Self::poll_played) tells with what, [`taken`](Self::taken) or [`fail`](Self::fail) answers.
    ///
    /// # Errors
    /// When no thread can be started, and for a rate and channels that are no format.
    pub fn playback_function(
        options: PlaybackOptions,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, Error> {
        let waker = waker(wake);
        let calls = Calls::new(format(options.rate, options.channels)?, waker.clone());
        let sink = calls.sink();
        Self::open(move || Playback::to_sink(sink, &options), waker, Some(calls))
    }

    /// What the function is to take, interleaved; `None` while it is not to be called. Each call is told once.
    ///
    /// # Errors
    /// That this is a fork of the process that it belongs to.
    pub fn poll_played<T: Sample>(&self) -> Result<Option<Vec<T>>, Error> {
        self.check()?;
        let played = self.calls.as_ref().and_then(|calls| calls.poll_played());
        Ok(played.map(|played| played.into_iter().map(T::from_f32).collect()))
    }

    /// The function took what was played. Only from here on it counts as heard.
    ///
    /// # Errors
    /// That this is a fork of the process that it belongs to.
    pub fn taken(&self) -> Result<(), Error> {
        self.answer(Ok(Vec::new()))
    }
}

impl<S: EventLoopDevice> Stream<S> {
    fn open(
        open: impl FnOnce() -> Result<S, AudioError> + Send + 'static,
        waker: Waker,
        calls: Option<Arc<Calls>>,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared { opened: OnceLock::new(), closed: OnceLock::new() });
        let (opening, woken) = (Arc::clone(&shared), waker.clone());
        start("greenroom-open", move || {
            // Nobody else sets it. What nobody waits for any more is closed by being dropped.
            let _ = opening.opened.set(unless_it_panics(open));
            woken.wake();
        })?;
        Ok(Self { shared, waker, calls, process: std::process::id() })
    }

    /// The call of the function failed, which ends the stream with an error.
    ///
    /// # Errors
    /// That this is a fork of the process that it belongs to.
    pub fn fail(&self, why: &str) -> Result<(), Error> {
        self.answer(Err(why.to_owned()))
    }

    /// The stream, once it is open; the wake is called then.
    ///
    /// # Errors
    /// Why it cannot be opened; that this is a fork of the process that it belongs to.
    pub fn get(&self) -> Result<Option<&S>, Error> {
        self.check()?;
        match self.shared.opened.get() {
            None => Ok(None),
            Some(Ok(stream)) => Ok(Some(stream)),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    /// Asks the stream for something. `None` is nothing yet: the wake is called when it is time to ask again.
    ///
    /// # Errors
    /// Those of [`get`](Self::get), and of the stream.
    pub fn poll<T>(
        &self,
        ask: impl FnOnce(&S, &mut Context<'_>) -> Poll<Result<T, AudioError>>,
    ) -> Result<Option<T>, Error> {
        let Some(stream) = self.get()? else { return Ok(None) };
        match ask(stream, &mut Context::from_waker(&self.waker)) {
            Poll::Ready(found) => Ok(Some(found?)),
            Poll::Pending => Ok(None),
        }
    }

    /// The next event as JSON, `null` after the last; see [`poll`](Self::poll).
    ///
    /// # Errors
    /// Those of [`poll`](Self::poll).
    pub fn poll_event(&self) -> Result<Option<String>, Error> {
        let event = self.poll(S::poll_event)?;
        Ok(event.map(|event| json!(event).to_string()))
    }

    /// What it is, as JSON, once it is open: `{"device", "rate", "channels"}`.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub fn about(&self) -> Result<Option<String>, Error> {
        let Some(stream) = self.get()? else { return Ok(None) };
        let (device, format) = (stream.device()?, stream.format());
        let about = json!({ "device": device, "rate": format.rate(), "channels": format.channels() });
        Ok(Some(about.to_string()))
    }

    /// Begins to close it, once it is open; `done` is called when it is closed, after the wake. May be called again.
    ///
    /// # Errors
    /// When no thread can be started; that this is a fork of the process that it belongs to.
    pub fn close(&self, done: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        self.check()?;
        if let Some(calls) = &self.calls {
            // The stream's thread waits for the function no longer.
            calls.end();
        }
        let (closing, woken) = (Arc::clone(&self.shared), self.waker.clone());
        start("greenroom-close", move || {
            closing.close();
            woken.wake();
            done();
        })
    }

    /// Whether it is closed; the wake is called then.
    ///
    /// # Errors
    /// What it could not be closed for; that this is a fork of the process that it belongs to.
    pub fn is_closed(&self) -> Result<bool, Error> {
        self.check()?;
        match self.shared.closed.get() {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    fn answer(&self, answer: Result<Vec<f32>, String>) -> Result<(), Error> {
        self.check()?;
        if let Some(calls) = &self.calls {
            calls.answer(answer);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.process == std::process::id() { Ok(()) } else { Err(AudioError::Forked.into()) }
    }
}

impl<S> Drop for Stream<S> {
    fn drop(&mut self) {
        // A fork may have copied a lock that is held.
        if let Some(calls) = self.calls.take_if(|_| self.process == std::process::id()) {
            calls.end();
        }
    }
}

impl<S: EventLoopDevice> Shared<S> {
    /// Closes it once; who comes second waits for the first.
    fn close(&self) {
        self.closed.get_or_init(|| match self.opened.wait() {
            Ok(stream) => unless_it_panics(|| stream.close()),
            Err(_) => Ok(()),
        });
    }
}

fn waker(wake: Box<dyn Fn() + Send + Sync>) -> Waker {
    Waker::from(Arc::new(Waking(wake)))
}

fn format(rate: u32, channels: u16) -> Result<Format, Error> {
    Format::new(rate, channels).map_err(|error| Error::new(Code::InvalidArgument, error.to_string()))
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|error| Error::new(Code::Io, format!("no thread can be started: {error}")))
}

/// A thread that panics would leave those who wait for it waiting.
fn unless_it_panics<T>(run: impl FnOnce() -> Result<T, AudioError>) -> Result<T, Error> {
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::new(Code::Internal, "a thread of the stream panicked")),
    }
}

macro_rules! device {
    ($stream:ty) => {
        impl EventLoopDevice for $stream {
            fn close(&self) -> Result<(), AudioError> {
                <$stream>::close(self)
            }

            fn poll_event(&self, context: &mut Context<'_>) -> Poll<Result<Option<Event>, AudioError>> {
                <$stream>::poll_event(self, context)
            }

            fn device(&self) -> Result<String, AudioError> {
                <$stream>::device(self)
            }

            fn format(&self) -> Format {
                <$stream>::format(self)
            }
        }
    };
}

device!(Capture);
device!(Playback);
