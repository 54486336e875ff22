//! The state machines against each other and against a scripted agent, under a virtual clock.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod calls;
mod ends;
mod host;
mod late;
mod schedules;
mod script;
mod stage;
mod start;
mod traces;
mod turns;
mod voice;
