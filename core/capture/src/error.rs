//! What goes wrong with devices and streams.

use std::time::Duration;

use greenroom_audio::DeviceError;
use greenroom_audio::device::NameError;
use greenroom_audio::wav::Why;
use greenroom_protocol::{Code, Error};

use crate::devices::Direction;

/// What went wrong: which device, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// Invalid options, or an invalid device name.
    #[error("{0}")]
    Invalid(String),
    /// No device is called so.
    #[error("there is no {direction} device {wanted:?}; {}", listed(there))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// To record from or to play to.
        direction: Direction,
        /// What there is.
        there: Vec<String>,
    },
    /// Several devices are called so.
    #[error("{wanted:?} may be any of {}; pass more of the name, or the id", matches.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The devices that it fits.
        matches: Vec<String>,
    },
    /// There is nothing that devices could be reached through.
    #[error("{0}")]
    Unavailable(String),
    /// Something else has the device.
    #[error("{device} is busy: {why}; close what uses it, or take another device")]
    Busy {
        /// The device.
        device: String,
        /// What the system says.
        why: String,
    },
    /// The system does not let this process have the device.
    #[error("{device} is denied: {why}; allow this program to use it in the system's settings")]
    Denied {
        /// The device.
        device: String,
        /// What the system says.
        why: String,
    },
    /// The device was there, and is gone.
    #[error("{device} is gone: {why}; open it again once it is back, or let it be reopened")]
    Lost {
        /// The device.
        device: String,
        /// How that shows.
        why: String,
    },
    /// The device is open and returns no samples.
    #[error(
        "{device} returned no audio within {} ms; its microphone may be denied to this program or switched off, so look at the system's settings, or take another device",
        after.as_millis()
    )]
    Silent {
        /// The device.
        device: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The device cannot do what is asked.
    #[error("{device} cannot be opened: {why}")]
    Failed {
        /// The device.
        device: String,
        /// What the system says.
        why: String,
    },
    /// A file that is a device cannot be read or written.
    #[error("{0}")]
    File(String),
    /// A deadline passed.
    #[error("{what} took longer than {} ms", after.as_millis())]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// The stream was closed on this side.
    #[error("the stream is closed; open another")]
    Closed,
    /// The stream belongs to another process.
    #[error(
        "the stream belongs to the process that opened it, and a fork copied it; open another in this one"
    )]
    Forked,
    /// The function that is the device failed.
    #[error("the function that is the device failed: {0}; the stream has ended")]
    Function(String),
    /// The function of a `callback` device panicked.
    #[error("the function of {0} panicked; the stream has ended")]
    Panicked(String),
}

impl AudioError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Invalid(_) | Self::Ambiguous { .. } => Code::InvalidArgument,
            Self::NotFound { .. } => Code::DeviceNotFound,
            Self::Unavailable(_) => Code::AudioUnavailable,
            Self::Busy { .. } => Code::Busy,
            Self::Denied { .. } => Code::PermissionDenied,
            Self::Lost { .. } | Self::Silent { .. } | Self::Failed { .. } | Self::Function(_) => {
                Code::DeviceLost
            }
            Self::File(_) => Code::Io,
            Self::Timeout { .. } => Code::Timeout,
            Self::Closed => Code::SessionClosed,
            Self::Forked => Code::Forked,
            Self::Panicked(_) => Code::Internal,
        }
    }

    /// Whether the device may be back later, so that opening it again makes sense.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. }
                | Self::Unavailable(_)
                | Self::Busy { .. }
                | Self::Lost { .. }
                | Self::Silent { .. }
                | Self::Failed { .. }
                | Self::Timeout { .. }
        )
    }
}

impl From<AudioError> for Error {
    fn from(error: AudioError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<NameError> for AudioError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<DeviceError> for AudioError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Busy { device, end } => {
                Self::Busy { device, why: format!("its {end} end is open already") }
            }
            DeviceError::Lost { device, why } => Self::Lost { device, why },
            DeviceError::Function(why) => Self::Function(why),
            DeviceError::Wav(error) if matches!(error.why, Why::Io(_) | Why::TooLong) => {
                Self::File(error.to_string())
            }
            DeviceError::Wav(error) => Self::Invalid(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

fn listed(there: &[String]) -> String {
    if there.is_empty() {
        "there is none at all: connect one, start the sound server, or take a virtual one such as tone:440 or null".to_owned()
    } else {
        format!("there are {}", there.join(", "))
    }
}
