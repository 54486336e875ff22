//! The command, run as a person or a script runs it, with scripted agents.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audio;
mod conversation;
mod documents;
mod faults;
mod input;
mod loopback;
mod remote;
mod stage;
