//! Real streams, without hardware: ALSA's own plugins and a private PulseAudio, both begun and ended by each test.
//!
//! They need `libasound2`, `pulseaudio` and `pulseaudio-utils`; `.ci/audio` installs them, or says what is missing.

mod alsa;
mod pulse;
mod support;
