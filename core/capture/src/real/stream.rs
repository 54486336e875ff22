//! Building, starting and dropping cpal's streams.
//!
//! Each of these may hang: a sound server that does not answer holds `play` until the first sample, and dropping joins a thread that may be
//! held by the device. So they run elsewhere, within a deadline.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use cpal::traits::StreamTrait;

use super::{quiet, trouble, within};
use crate::error::AudioError;

/// How long a stream may take to drop; after that it is left behind.
const DROP: Duration = Duration::from_secs(1);

/// A stream that runs.
pub(super) struct Running(Option<cpal::Stream>);

impl Running {
    /// Builds a stream and starts it.
    pub(super) fn start(
        device: &str,
        patience: Duration,
        build: impl FnOnce() -> Result<cpal::Stream, cpal::Error> + Send + 'static,
    ) -> Result<Self, AudioError> {
        let (tell, built): (_, Receiver<()>) = sync_channel(1);
        let begun = Instant::now();
        let id = device.to_owned();
        let started = within(patience, move || {
            quiet(&id);
            let stream = build()?;
            let _ = tell.send(());
            stream.play()?;
            Ok(stream)
        });
        match started {
            Some(Ok(stream)) => Ok(Self(Some(stream))),
            Some(Err(error)) => Err(trouble(device, &error)),
            None if built.try_recv().is_ok() => {
                Err(AudioError::Silent { device: device.to_owned(), after: begun.elapsed() })
            }
            None => Err(AudioError::Timeout { what: format!("opening {device}"), after: patience }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stream = self.0.take();
        let _ = within(DROP, move || drop(stream));
    }
}
