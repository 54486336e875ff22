//! A stream that its owner never waits for.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use greenroom_audio::Format;
use greenroom_capture::{AudioError, Capture, CaptureOptions, Event, Playback, PlaybackOptions};
use greenroom_protocol::{Code, Error};
use serde_json::json;

/// What capture and playback have in common.
pub trait Device: Send + Sync + 'static {
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
        Self::open(move || Capture::open(&options), wake)
    }
}

impl Stream<Playback> {
    /// Begins to open a device to play to; see [`capture`](Stream::capture).
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn playback(options: PlaybackOptions, wake: Box<dyn Fn() + Send + Sync>) -> Result<Self, Error> {
        Self::open(move || Playback::open(&options), wake)
    }
}

impl<S: Device> Stream<S> {
    fn open(
        open: impl FnOnce() -> Result<S, AudioError> + Send + 'static,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, Error> {
        let waker = Waker::from(Arc::new(Waking(wake)));
        let shared = Arc::new(Shared { opened: OnceLock::new(), closed: OnceLock::new() });
        let (opening, woken) = (Arc::clone(&shared), waker.clone());
        start("greenroom-open", move || {
            // Nobody else sets it. What nobody waits for any more is closed by being dropped.
            let _ = opening.opened.set(unless_it_panics(open));
            woken.wake();
        })?;
        Ok(Self { shared, waker, process: std::process::id() })
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

    fn check(&self) -> Result<(), Error> {
        if self.process == std::process::id() { Ok(()) } else { Err(AudioError::Forked.into()) }
    }
}

impl<S: Device> Shared<S> {
    /// Closes it once; who comes second waits for the first.
    fn close(&self) {
        self.closed.get_or_init(|| match self.opened.wait() {
            Ok(stream) => unless_it_panics(|| stream.close()),
            Err(_) => Ok(()),
        });
    }
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
        impl Device for $stream {
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
