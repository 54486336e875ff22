//! Capture and playback for a host language, whose event loop must not wait.
//!
//! A [`Stream`] is opened and closed on a thread of its own and asked for what is there ([`Stream::poll`]); where that is nothing yet, the
//! wake that it was made with is called once when it is time to ask again. Options come as JSON ([`CaptureSettings`],
//! [`PlaybackSettings`]), in milliseconds, and so does what is told of a stream.

#![forbid(unsafe_code)]

mod settings;
mod stream;

pub use settings::{CaptureSettings, PlaybackSettings};
pub use stream::{Device, Stream};
