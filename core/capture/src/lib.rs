//! Microphones and loudspeakers, real and virtual, behind one way of use.
//!
//! [`devices()`] lists what there is. [`Capture::open`] records: frames of one length at the rate that is asked for, whatever the device
//! likes. [`Playback::open`] plays. Wherever a device is named, a virtual one may be (`null`, `file:in.wav`, `tone:440`, `loopback:x`,
//! `fail:after=2s`; see [`greenroom_audio::device`]), so what works with a device can be tested without one.
//!
//! Nothing is silent: a device that is missing, denied, busy or unplugged is an [`AudioError`] or an [`Event`], and samples that are lost
//! are counted in the frame that comes after them. Nothing hangs: each wait has a deadline, and each queue a bound.
//!
//! | module | what it is for |
//! |---|---|
//! | [`capture`] | recording |
//! | [`playback`] | playing |
//! | [`devices`](mod@devices) | the list of devices, and the selection of one |
//! | [`event`] | what happens to a stream besides audio |
//! | [`event_loop`] | capture and playback for a host language, whose event loop must not wait |
//! | [`error`] | what goes wrong |
//! | `pump` | the thread of each stream, between the device and its queue |
//! | `real` | real devices, through cpal |

#![forbid(unsafe_code)]

pub mod capture;
pub mod devices;
pub mod error;
pub mod event;
pub mod event_loop;
mod options;
pub mod playback;
mod pump;
mod real;
mod stream_state;

pub use capture::{Capture, CaptureOptions};
pub use devices::{Device, Direction, devices};
pub use error::AudioError;
pub use event::Event;
pub use options::Latency;
pub use playback::{Playback, PlaybackOptions, Position};
