//! Every bound of the protocol in one place.

use std::time::Duration;

/// The bounds a session works within. [`Limits::default`] is what the documentation promises.
///
/// Sizes are bytes of one encoded message, without its length prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest message taken from a controller's own agent: 16 MiB, so that a long history arrives. The released peers stop at 1 MiB.
    pub agent_message: usize,
    /// The largest message taken from a stranger or from a room: 1 MiB, the cap of the released peers.
    pub peer_message: usize,
    /// From the message cap up to this announced length a message is skipped and the link lives on; beyond, the link closes. 64 MiB.
    pub skipped_message: usize,
    /// The largest message we send: 1 MiB, what every released peer can read.
    pub sent_message: usize,
    /// How much of a skipped or denied message is kept to find the id of the request or call it belongs to. 4 KiB.
    pub peeked: usize,
    /// Calls of one session that may wait for their answer at once, turns apart. 256.
    pub waiting_calls: usize,
    /// Turns that may wait for their turn. 64.
    pub queued_turns: usize,
    /// Turns whose answer is still awaited after their caller gave up. 16.
    pub late_turns: usize,
    /// Events kept for readers that are behind, by count. 16,384.
    pub kept_events: usize,
    /// Events kept for readers that are behind, by their approximate size. 32 MiB.
    pub kept_event_bytes: usize,
    /// Requests a host remembers the asker of. 4,096; the oldest goes first, since SDK hosts leave some requests unanswered.
    pub routes: usize,
    /// How long a host remembers the asker of a request that is not answered. 15 minutes.
    pub route_age: Duration,
    /// Peers that a host knows at once. 1,024.
    pub peers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            agent_message: 16 << 20,
            peer_message: 1 << 20,
            skipped_message: 64 << 20,
            sent_message: 1 << 20,
            peeked: 4 << 10,
            waiting_calls: 256,
            queued_turns: 64,
            late_turns: 16,
            kept_events: 16_384,
            kept_event_bytes: 32 << 20,
            routes: 4_096,
            route_age: Duration::from_secs(15 * 60),
            peers: 1_024,
        }
    }
}
