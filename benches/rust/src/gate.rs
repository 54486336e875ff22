//! What the gate and the routing of a room cost, without a room.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use greenroom::{Limits, Operation};
use greenroom_protocol::gate::Peer;
use greenroom_protocol::limits::Rate;
use greenroom_protocol::message::{encode_error, encode_request, peek_id};
use greenroom_protocol::room::{HostId, Incoming, Switchboard};
use greenroom_protocol::session::HostConfig;
use greenroom_protocol::time::Time;
use serde_json::{Value, json};

use crate::Outcome;
use crate::measure::per_pass;

/// Controllers in the room: the gate looks one of them up.
const CONTROLLERS: usize = 50;

/// The time of one request, in nanoseconds, from its byte stream to the agent's host and the way of its answer back to who asked.
pub(crate) fn measure(for_ms: u64) -> Outcome<Value> {
    let request = encode_request("req_0123456789ab", Operation::Ping).ok_or("a ping is a request")?;
    let mut room = Room::new();
    let round = per_pass(Duration::from_millis(for_ms), || {
        if let Some(id) = room.ask(&request) {
            room.answer(&id);
        }
    });
    Ok(json!({ "round": round }))
}

struct Room {
    board: Switchboard,
    host: HostId,
}

impl Room {
    fn new() -> Self {
        let mut limits = Limits::default();
        limits.messages = Rate { burst: f64::MAX, per_second: 1e12 };
        let mut board = Switchboard::new(limits, Time::ZERO);
        let host = board.open_host(HostConfig::default());
        for number in 0..CONTROLLERS {
            let peer = Peer {
                sid: format!("PA_{number:012}"),
                identity: format!("controller-{number}"),
                can_manage_agent_session: Some(true),
            };
            board.set_peer(peer, Time::ZERO);
        }
        Self { board, host }
    }

    /// A controller asks. Gives the id under which the request reaches the agent's host.
    fn ask(&mut self, request: &Bytes) -> Option<String> {
        let stream = self.board.begin("controller-7", Some(request.len()), Time::ZERO);
        self.board.chunk(stream, request, Time::ZERO);
        self.board.end(stream, Time::ZERO);
        let mut id = None;
        while let Some(incoming) = self.board.poll() {
            if let Incoming::Request { message, .. } = black_box(incoming) {
                id = peek_id(&message).map(|(_, id)| id);
            }
        }
        id
    }

    /// The agent's host answers.
    fn answer(&mut self, id: &str) {
        self.board.send_from_agent(self.host, encode_error(id, ""), None, Time::ZERO);
        while let Some(outgoing) = self.board.poll_send() {
            let _ = black_box(outgoing);
        }
    }
}
