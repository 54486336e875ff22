//! What audio needs before and after a device: sums, without devices, threads or a clock.
//!
//! Samples go in, and samples, levels and transitions come out. Streaming stages have one API: `next(&mut input)` takes from the
//! front of a slice what it needs until it has a result, and returns `None` once the slice is used up. Chunks may have any size and
//! change nothing about the result. After it is built, nothing here allocates for a frame.
//!
//! A sample is an `f32` with full scale at ±1, or an `i16` with full scale at ±32768. Levels are in dBFS: a constant ±1 is 0 dBFS for
//! peak and RMS alike, so a sine of full scale has a peak of 0 and an RMS of -3.01 dBFS. Several channels are interleaved.
//!
//! | module | what it is for |
//! |---|---|
//! | [`mod@format`] | rate and channels |
//! | [`frame`] | a stretch of audio with its time, and what is missing before it |
//! | [`sample`] | conversion between kinds of samples, and decibels |
//! | [`channels`] | one channel of several, without the loss of a voice; and several of one |
//! | [`framer`] | chunks of any size to frames of 10 ms |
//! | [`resample`] | from one rate to another |
//! | [`level`] | peak, RMS, hold and clipping, 30 times a second |
//! | [`vad`] | voice activity: transitions only |
//! | `echo` | removes a loudspeaker's output from a microphone's signal (feature `echo`) |
//! | [`noise`], [`impair`] | seeded noise, and what lines and rooms do to speech |
//! | [`note`] | what is odd about sound that is used all the same |
//! | [`signal`] | sines, and finding them again: helpers for tests |
//! | [`wav`] | WAV files in and out |
//! | [`device`] | virtual devices: names, sources and sinks |
//! | [`pace`] | how much is due by now, in real time |

#![forbid(unsafe_code)]

pub mod channels;
pub mod device;
#[cfg(feature = "echo")]
pub mod echo;
pub mod format;
pub mod frame;
pub mod framer;
pub mod impair;
pub mod level;
pub mod noise;
pub mod note;
pub mod pace;
pub mod resample;
pub mod sample;
pub mod signal;
pub mod vad;
pub mod wav;

pub use device::{DeviceError, Patchbay, Sink, Source, VirtualDevice};
#[cfg(feature = "echo")]
pub use echo::EchoControl;
pub use format::Format;
pub use frame::Frame;
pub use framer::Framer;
pub use level::{Level, Meter};
pub use note::Note;
pub use pace::{Clock, Pace};
pub use resample::Resampler;
pub use sample::Sample;
pub use vad::{SpeechDetector, Transition};
