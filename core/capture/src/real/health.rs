//! Whether a stream is alive: its errors, and its silence.

use std::time::{Duration, Instant};

use cpal::ErrorKind;
use rtrb::Consumer;

use super::trouble;
use crate::error::AudioError;

/// A stream whose callback was not called for so long is dead.
const SILENCE: Duration = Duration::from_millis(500);

/// Calls after which a stream is taken to run steadily. A sound server may ask for its first blocks at once and then play for seconds what
/// it had made before.
const STEADY: u64 = 10;

/// So many errors within a second are a storm: the stream does not recover by itself any more.
const STORM: usize = 20;

/// Errors that the callback may leave until the pump looks.
pub(super) const ERRORS: usize = 64;

/// Watches one stream.
pub(super) struct Health {
    device: String,
    errors: Consumer<cpal::Error>,
    /// When the callback was called last; when the stream was started, before the first call.
    alive: Instant,
    calls: u64,
    /// How long the next call may take until the stream runs steadily.
    patience: Duration,
    storm: (Instant, usize),
}

/// What an error means that the stream survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Symptoms {
    /// Samples were lost.
    pub(super) overrun: bool,
    /// The system plays to, or records from, another device.
    pub(super) rerouted: bool,
}

impl Health {
    pub(super) fn new(device: String, errors: Consumer<cpal::Error>, patience: Duration) -> Self {
        let now = Instant::now();
        Self { device, errors, alive: now, calls: 0, patience, storm: (now, 0) }
    }

    /// Looks at what has come since the last time; `calls` tells how often the callback was called.
    pub(super) fn check(&mut self, calls: u64) -> Result<Symptoms, AudioError> {
        let now = Instant::now();
        if calls > 0 {
            self.alive = now;
            self.calls += calls;
        }
        let mut symptoms = Symptoms::default();
        while let Ok(error) = self.errors.pop() {
            match error.kind() {
                ErrorKind::DeviceNotAvailable
                | ErrorKind::StreamInvalidated
                | ErrorKind::HostUnavailable
                | ErrorKind::PermissionDenied => return Err(trouble(&self.device, &error)),
                ErrorKind::Xrun => symptoms.overrun = true,
                ErrorKind::DeviceChanged => symptoms.rerouted = true,
                ErrorKind::RealtimeDenied => continue,
                _ => {}
            }
            if now.duration_since(self.storm.0) > Duration::from_secs(1) {
                self.storm = (now, 0);
            }
            self.storm.1 += 1;
            if self.storm.1 >= STORM {
                return Err(self.lost(format!("it fails again and again: {error}")));
            }
        }
        let silent = now.duration_since(self.alive);
        match self.calls {
            0 if silent >= self.patience => {
                Err(AudioError::Silent { device: self.device.clone(), after: self.patience })
            }
            1..STEADY if silent >= self.patience.max(SILENCE) => Err(self.dead(silent)),
            STEADY.. if silent >= SILENCE => Err(self.dead(silent)),
            _ => Ok(symptoms),
        }
    }

    fn dead(&self, silent: Duration) -> AudioError {
        self.lost(format!("it has been dead for {} ms", silent.as_millis()))
    }

    fn lost(&self, why: String) -> AudioError {
        AudioError::Lost { device: self.device.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cpal::{Error, ErrorKind};

    use super::{ERRORS, Health, STEADY, STORM, Symptoms};
    use crate::error::AudioError;

    fn health(errors: &[ErrorKind], patience: Duration) -> Health {
        let (mut tell, told) = rtrb::RingBuffer::new(ERRORS);
        for &kind in errors {
            tell.push(Error::new(kind)).expect("room");
        }
        Health::new("mic".to_owned(), told, patience)
    }

    const LONG: Duration = Duration::from_secs(1000);

    #[test]
    fn an_error_storm_is_the_end_of_a_stream_and_a_few_errors_are_not() {
        let storm = [ErrorKind::BackendError; STORM];
        assert_eq!(health(&storm[1..], LONG).check(1), Ok(Symptoms::default()));
        let Err(AudioError::Lost { device, why }) = health(&storm, LONG).check(1) else { panic!("not lost") };
        assert!(device == "mic" && why.contains("again and again"), "{why}");
    }

    #[test]
    fn errors_have_their_meaning() {
        let symptoms = health(&[ErrorKind::Xrun, ErrorKind::RealtimeDenied], LONG).check(1);
        assert_eq!(symptoms, Ok(Symptoms { overrun: true, rerouted: false }));
        let symptoms = health(&[ErrorKind::DeviceChanged], LONG).check(1);
        assert_eq!(symptoms, Ok(Symptoms { overrun: false, rerouted: true }));
        for kind in [ErrorKind::DeviceNotAvailable, ErrorKind::StreamInvalidated] {
            assert!(matches!(health(&[kind], LONG).check(1), Err(AudioError::Lost { .. })));
        }
        let denied = health(&[ErrorKind::PermissionDenied], LONG).check(1);
        assert!(matches!(denied, Err(AudioError::Denied { .. })));
    }

    #[test]
    fn a_stream_that_never_begins_is_told_from_one_that_stops() {
        let never = health(&[], Duration::ZERO).check(0);
        assert!(matches!(never, Err(AudioError::Silent { .. })));
        let mut stops = health(&[], Duration::from_secs(5));
        assert!(stops.check(STEADY - 1).is_ok());
        stops.alive -= Duration::from_secs(2);
        assert!(stops.check(0).is_ok(), "it may not run steadily yet");
        assert!(stops.check(1).is_ok());
        stops.alive -= Duration::from_millis(501);
        let Err(AudioError::Lost { why, .. }) = stops.check(0) else { panic!("not lost") };
        assert!(why.contains("dead for 50"), "{why}");
    }
}
