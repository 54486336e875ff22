//! What the fuzz targets of this crate begin with, and what they ever found.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../fuzz/replay.rs"]
mod replay;

use greenroom_protocol::fuzz;
use replay::replay;

#[test]
fn frames() {
    replay("frame", fuzz::frame);
}

#[test]
fn messages() {
    replay("message", fuzz::message);
}

#[test]
fn sessions() {
    replay("session", fuzz::session);
}

#[test]
fn rooms() {
    replay("room", fuzz::room);
}
