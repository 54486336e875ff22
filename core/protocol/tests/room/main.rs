//! The switchboard of a room: byte streams in, messages to exactly whom they are for out, under a virtual clock.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod cases;
mod faults;
mod hostile;
mod hosts;
mod stage;
