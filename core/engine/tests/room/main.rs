//! The session of an agent in a room on a real livekit-server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod host;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "../../../room/tests/room/server.rs"]
mod server;
mod session;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "../../../room/tests/room/venue.rs"]
mod venue;
