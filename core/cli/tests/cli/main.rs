//! The command, run as a person or a script runs it, with scripted agents.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attach;
mod audio;
mod conversation;
mod doctor;
mod documents;
mod faults;
mod input;
mod loopback;
mod remote;
mod stage;
mod token;

// The server, the rooms on it and the scripted agent in them, as the engine's own tests have them.
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../engine/tests/room/front.rs"]
mod front;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../engine/tests/room/host.rs"]
mod host;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../engine/tests/room/server.rs"]
mod server;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../engine/tests/room/venue.rs"]
mod venue;
