//! What the fuzz targets of this crate begin with, and what they ever found. In a process of its own, whose network is made up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../fuzz/replay.rs"]
mod replay;

use greenroom_room::fuzz;
use replay::replay;

#[test]
fn signal_messages() {
    replay("signal", fuzz::signal);
}

#[test]
fn descriptions_and_candidates() {
    replay("description", fuzz::description);
}

#[test]
fn datagrams() {
    replay("datagram", fuzz::datagram);
}

#[test]
fn data_packets() {
    replay("packet", fuzz::packet);
}

#[test]
fn turn_servers() {
    replay("relay", fuzz::relay);
}
