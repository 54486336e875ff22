//! Virtual devices: what stands where a microphone or a loudspeaker would.
//!
//! A device moves samples when it is asked to and knows no time. Its driver goes by a [`Pace`](crate::Pace), in real time or as fast as
//! possible.

mod loopback;
mod name;
mod sink;
mod source;

pub use loopback::Patchbay;
pub use name::{NameError, VirtualDevice};
pub use sink::{CallbackSink, Sink};
pub use source::{CallbackSource, Filled, Source};

use crate::format::Format;
use crate::resample::ResampleError;
use crate::wav::WavError;

/// Why a device cannot be opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The device can only be recorded.
    #[error("{0} cannot be played to; file:OUT.wav, loopback:NAME and null can")]
    OnlyGives(String),
    /// The device doesn't support the requested format.
    #[error("{device} cannot be had at {format}; ask for a rate of more than twice its frequency")]
    TooHigh {
        /// The device's name.
        device: String,
        /// What was asked for.
        format: Format,
    },
    /// Something else has that end of it open.
    #[error("{device} has its {end} end open already; close it first, or take another name")]
    Busy {
        /// The device's name.
        device: String,
        /// Which end.
        end: &'static str,
    },
    /// The device was there, and is gone.
    #[error("{device} is gone: {why}; open it again once it is back")]
    Lost {
        /// The device's name.
        device: String,
        /// How that shows.
        why: String,
    },
    /// The device is a function, and it failed.
    #[error("the function that is the device failed: {0}; the stream has ended")]
    Function(String),
    /// The device is a function, which has no name.
    #[error("callback is opened with a function, not with a name; pass the function instead of a name")]
    NoFunction,
    /// Its file cannot be read or written.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// Its rate cannot become the one that was asked for.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}
