//! Rooms on a real livekit-server: who joins, what arrives, what ends a stay.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod coturn;
mod faults;
mod front;
mod joining;
mod middle;
mod networks;
mod packets;
mod resume;
mod server;
mod streams;
mod told;
mod tracks;
#[allow(dead_code, reason = "other tests use the rest")]
mod venue;
mod weather;
mod witness;
