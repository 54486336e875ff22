//! Every bound of the protocol in one place.

use std::time::Duration;

/// The bounds a session works within. [`Limits::default`] is what the documentation promises.
///
/// Sizes are bytes of one encoded message, without its length prefix.
#[derive(Clone, Debug, PartialEq)]
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
    /// Peers that a host knows at once, and senders that a switchboard remembers. 1,024.
    pub peers: usize,
    /// Text turns of other controllers that may wait in a host for the one that runs. 16.
    pub queued_runs: usize,
    /// Incoming streams of one sender that may be open at once. 1,024: SDKs tell of streams in bursts, and read them later.
    pub sender_streams: usize,
    /// The same for a sender that may not ask, or is not announced. 64.
    pub stranger_streams: usize,
    /// Incoming streams that may be open at once. 8,192.
    pub streams: usize,
    /// What all incoming streams may hold in memory. 64 MiB.
    pub stream_bytes: usize,
    /// Streams of senders that the room has not announced yet, which wait for that. 64.
    pub held_streams: usize,
    /// How long such a stream waits. 3.5 s: livekit-server announces a newcomer that publishes nothing within 3 s.
    pub held_for: Duration,
    /// How long a stream may bring nothing. 10 s.
    pub stream_stall: Duration,
    /// How long a stream may last. 120 s.
    pub stream_age: Duration,
    /// Refusals that one sender is told of; what it sends beyond is cut unread. 20 at once, 1 each second.
    pub refusals: Rate,
    /// The same for all senders together. 200 at once, 20 each second.
    pub all_refusals: Rate,
    /// Messages of one sender that are read. 5,000 at once and each second.
    pub messages: Rate,
    /// Messages of the agent that may wait to be sent into the room; beyond, events are dropped and counted. 8,192.
    pub queued_sends: usize,
    /// The same by their size. 32 MiB.
    pub queued_send_bytes: usize,
}

/// So many at once, and so many each second thereafter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At once.
    pub burst: f64,
    /// Each second.
    pub per_second: f64,
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
            queued_runs: 16,
            sender_streams: 1_024,
            stranger_streams: 64,
            streams: 8_192,
            stream_bytes: 64 << 20,
            held_streams: 64,
            held_for: Duration::from_millis(3_500),
            stream_stall: Duration::from_secs(10),
            stream_age: Duration::from_secs(120),
            refusals: Rate { burst: 20.0, per_second: 1.0 },
            all_refusals: Rate { burst: 200.0, per_second: 20.0 },
            messages: Rate { burst: 5_000.0, per_second: 5_000.0 },
            queued_sends: 8_192,
            queued_send_bytes: 32 << 20,
        }
    }
}
