//! Capture and playback for a host language, whose event loop must not wait.
//!
//! A [`Stream`] is opened and closed on a thread of its own and asked for what is there ([`Stream::poll`]); where that is nothing yet, the
//! wake that it was made with is called once when it is time to ask again. Where the device is a function of the host language, the wake is
//! also called when a call of it is to be made. Options come as JSON ([`CaptureSettings`],
//! [`PlaybackSettings`]), in milliseconds, and so does what is told of a stream.

mod function;
mod settings;
mod stream;

use greenroom_audio::VirtualDevice;
pub use greenroom_audio::sample::from_bytes;
pub use settings::{CaptureSettings, PlaybackSettings};
pub use stream::{EventLoopDevice, Stream};

/// Whether a device of this name would be a virtual one; its name may still be wrong.
pub fn is_virtual(name: &str) -> bool {
    VirtualDevice::parse(name).is_some()
}
