//! The crate's behaviour with real processes.
#![cfg(unix)]

mod guard;
#[cfg(target_os = "linux")]
mod peer;
mod process;
mod stage;
