//! A room with a switchboard in it, and a clock.

use bytes::Bytes;
use greenroom_protocol::gate::{Asked, Decision, Peer};
use greenroom_protocol::limits::Limits;
use greenroom_protocol::message::{Operation, encode_request};
use greenroom_protocol::room::{HostId, Incoming, Outgoing, StreamId, Switchboard};
use greenroom_protocol::session::HostConfig;
use greenroom_protocol::time::Time;
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::session_response::{Pong, Response as Payload};
use greenroom_protocol::wire::{self, AgentSessionMessage, SessionResponse};
use prost::Message as _;

/// A switchboard with one host, and what came out of it.
pub(crate) struct Stage {
    pub(crate) board: Switchboard,
    pub(crate) host: HostId,
    pub(crate) now: Time,
    /// Requests that reached the host: id, identity of the sender.
    pub(crate) asked: Vec<(String, String)>,
    /// Messages of agents that are listened to: identity, size.
    pub(crate) heard: Vec<(String, usize)>,
    /// Streams that are cut.
    pub(crate) cut: Vec<StreamId>,
    /// Decisions: sid, identity, what, how.
    pub(crate) audits: Vec<(String, Option<String>, Asked, Decision)>,
}

/// What a participant is sent: identity, id, error.
pub(crate) type Sent = (String, String, Option<String>);

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, HostConfig::default())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Limits), config: HostConfig) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let mut board = Switchboard::new(limits, Time::ZERO);
        let host = board.open_host(config);
        let now = Time::ZERO;
        Self { board, host, now, asked: Vec::new(), heard: Vec::new(), cut: Vec::new(), audits: Vec::new() }
    }

    /// The room announces a participant or its permissions. Its sid is `PA_` and its identity.
    pub(crate) fn peer(&mut self, identity: &str, grant: Option<bool>) {
        self.peer_as(&format!("PA_{identity}"), identity, grant);
    }

    pub(crate) fn peer_as(&mut self, sid: &str, identity: &str, grant: Option<bool>) {
        let peer =
            Peer { sid: sid.to_owned(), identity: identity.to_owned(), can_manage_agent_session: grant };
        self.board.set_peer(peer, self.now);
        self.drain();
    }

    pub(crate) fn leave(&mut self, identity: &str) {
        self.board.remove_peer(&format!("PA_{identity}"), self.now);
        self.drain();
    }

    pub(crate) fn begin(&mut self, identity: &str, announced: Option<usize>) -> StreamId {
        let stream = self.board.begin(identity, announced, self.now);
        self.drain();
        stream
    }

    pub(crate) fn chunk(&mut self, stream: StreamId, data: &[u8]) -> bool {
        let go_on = self.board.chunk(stream, data, self.now);
        self.drain();
        go_on
    }

    pub(crate) fn end(&mut self, stream: StreamId) {
        self.board.end(stream, self.now);
        self.drain();
    }

    /// A participant sends a whole message, in one stream.
    pub(crate) fn send(&mut self, identity: &str, message: &[u8]) {
        let stream = self.begin(identity, Some(message.len()));
        self.chunk(stream, message);
        self.end(stream);
    }

    /// The agent's own host answers a request with a pong.
    pub(crate) fn answer(&mut self, id: &str) {
        self.board.send_from_agent(self.host, pong(id), None, self.now);
    }

    /// All that goes out now: to whom, of which request, with which error. Each goes to one participant.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(outgoing) = self.board.poll_send() {
            if let Outgoing::Send { to, message, .. } = outgoing {
                let [to] = &to[..] else { panic!("a response goes to its requester only: {to:?}") };
                match AgentSessionMessage::decode(message).unwrap().message {
                    Some(Message::Response(response)) => {
                        sent.push((to.identity.clone(), response.request_id, response.error));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        self.drain();
        sent
    }

    /// Who gets an event, by identity.
    pub(crate) fn event(&mut self, message: Bytes) -> Vec<String> {
        self.board.send_from_agent(self.host, message.clone(), None, self.now);
        let mut to = Vec::new();
        while let Some(outgoing) = self.board.poll_send() {
            if let Outgoing::Send { to: recipients, message: sent, .. } = outgoing {
                assert_eq!(sent, message, "byte for byte");
                assert!(!recipients.is_empty(), "never to everybody");
                to.extend(recipients.iter().map(|recipient| recipient.identity.clone()));
            }
        }
        self.drain();
        to
    }

    pub(crate) fn wait(&mut self, seconds: f64) {
        self.now = self.now + std::time::Duration::from_secs_f64(seconds);
        self.board.handle_timeout(self.now);
        self.drain();
    }

    pub(crate) fn decisions(&self) -> Vec<Decision> {
        self.audits.iter().map(|(.., decision)| *decision).collect()
    }

    pub(crate) fn drain(&mut self) {
        while let Some(incoming) = self.board.poll() {
            match incoming {
                Incoming::Request { message, sender, .. } => self.asked.push((id_of(&message), sender)),
                Incoming::FromAgent { identity, message } => self.heard.push((identity, message.len())),
                Incoming::Skipped { identity, announced, .. } => self.heard.push((identity, announced)),
                Incoming::Cut(stream) => self.cut.push(stream),
                Incoming::Audit(audit) => {
                    self.audits.push((audit.sid, audit.identity, audit.asked, audit.decision));
                }
            }
        }
    }
}

/// The id of an encoded request.
pub(crate) fn id_of(message: &Bytes) -> String {
    match AgentSessionMessage::decode(message.clone()).unwrap().message {
        Some(Message::Request(request)) => request.request_id,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ping(id: &str) -> Bytes {
    encode_request(id, Operation::Ping).unwrap()
}

/// A request of about this many bytes.
pub(crate) fn say(id: &str, size: usize) -> Bytes {
    encode_request(id, Operation::Say { text: "x".repeat(size) }).unwrap()
}

pub(crate) fn pong(id: &str) -> Bytes {
    let response =
        SessionResponse { request_id: id.to_owned(), error: None, response: Some(Payload::Pong(Pong {})) };
    AgentSessionMessage { message: Some(Message::Response(response)) }.encode_to_vec().into()
}

pub(crate) fn event() -> Bytes {
    let event = wire::AgentSessionEvent {
        created_at: None,
        event: Some(wire::agent_session_event::Event::Error(wire::agent_session_event::Error {
            message: "secret".to_owned(),
        })),
    };
    AgentSessionMessage { message: Some(Message::Event(event)) }.encode_to_vec().into()
}
