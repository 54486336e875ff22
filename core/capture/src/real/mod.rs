//! Real devices, through cpal.
//!
//! | module | what it is for |
//! |---|---|
//! | `hosts` | the sound systems of this machine, and their devices |
//! | `config` | which of a device's formats is taken |
//! | `feed`, `outlet` | an open device to record from and to play to: what cpal's callback does, and what the pump makes of it |
//! | `health` | whether a stream is alive: its errors, and its silence |
//! | `stream` | building, starting and dropping cpal's streams, none of which may hold the pump |
//! | `timeline` | when samples were, from when their blocks came |

mod config;
mod feed;
mod health;
mod hosts;
mod outlet;
mod stream;
mod timeline;

pub(crate) use feed::RealFeed;
pub(crate) use hosts::{Found, find, find_default, list};
pub(crate) use outlet::RealOutlet;

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use cpal::ErrorKind;

use crate::error::AudioError;

/// Runs what may hang in the system, in a thread of its own; `None` when the time is over. What it gives after that is dropped there.
fn within<R: Send + 'static>(timeout: Duration, run: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    let (tell, told) = sync_channel(1);
    let spawned = thread::Builder::new().name("greenroom-audio".to_owned()).spawn(move || {
        // Nobody listens any more when the time is over.
        let _ = tell.send(run());
    });
    spawned.ok()?;
    told.recv_timeout(timeout).ok()
}

/// Keeps ALSA from writing to standard error what this thread's calls for the device complain about; their errors tell it too.
#[cfg(target_os = "linux")]
fn quiet(id: &str) {
    if id.starts_with("alsa") {
        // It stays as long as the thread; without the library there is nothing to be quiet.
        let _ = alsa::Output::local_error_handler();
    }
}

#[cfg(not(target_os = "linux"))]
fn quiet(_id: &str) {}

/// An error of the sound system about one device.
fn trouble(device: &str, error: &cpal::Error) -> AudioError {
    let (device, why) = (device.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::DeviceBusy => AudioError::Busy { device, why },
        ErrorKind::PermissionDenied => AudioError::Denied { device, why },
        ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable => {
            AudioError::Lost { device, why }
        }
        _ => AudioError::Failed { device, why },
    }
}

#[cfg(test)]
mod tests {
    use cpal::{Error, ErrorKind};
    use greenroom_protocol::Code;

    use super::trouble;

    #[test]
    fn what_the_system_says_has_a_name_and_a_way_out() {
        for (kind, code, way_out) in [
            (ErrorKind::DeviceBusy, Code::Busy, "close what uses it"),
            (ErrorKind::PermissionDenied, Code::PermissionDenied, "allow this program"),
            (ErrorKind::DeviceNotAvailable, Code::DeviceLost, "open it again"),
            (ErrorKind::StreamInvalidated, Code::DeviceLost, "open it again"),
            (ErrorKind::UnsupportedConfig, Code::DeviceLost, "cannot be opened"),
        ] {
            let error = trouble("alsa:hw:0", &Error::new(kind));
            assert_eq!(error.code(), code, "{error}");
            let told = error.to_string();
            assert!(told.starts_with("alsa:hw:0") && told.contains(way_out), "{told}");
        }
    }
}
