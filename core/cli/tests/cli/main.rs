//! The command, run as a person or a script runs it, with scripted agents.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attach;
mod audio;
mod canary;
mod conversation;
mod doctor;
mod documents;
mod echo;
mod endings;
mod env_files;
mod environments;
mod faults;
mod foreign_tokens;
mod input;
mod layouts;
mod loopback;
mod node;
mod remote;
mod stage;
mod token;

// A PulseAudio of a test's own, as the tests of real streams have it.
#[allow(dead_code, unused_imports, unused_macros, reason = "not all of it is needed here")]
#[path = "../../../capture/tests/real/support/mod.rs"]
mod support;

// The server, the rooms on it and the scripted agent in them, as the engine's own tests have them.
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../room/tests/room/front.rs"]
mod front;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../engine/tests/room/host.rs"]
mod host;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../room/tests/room/server.rs"]
mod server;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../room/tests/room/venue.rs"]
mod venue;
