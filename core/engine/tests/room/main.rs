//! Rooms on a real livekit-server: who joins, what arrives, what ends a stay, and the session of an agent in one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod coturn;
mod faults;
mod front;
mod host;
mod joining;
mod middle;
mod networks;
mod packets;
mod resume;
mod server;
mod session;
mod streams;
mod told;
mod tracks;
mod venue;
mod weather;
mod witness;
