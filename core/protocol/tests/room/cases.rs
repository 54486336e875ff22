//! The matrix of `tests/gate_cases.json`: who in a room receives what.

use std::collections::BTreeMap;

use bytes::Bytes;
use greenroom_protocol::gate::Peer;
use greenroom_protocol::limits::Limits;
use greenroom_protocol::message::{Operation, encode_request};
use greenroom_protocol::room::{HostId, Incoming, Outgoing, Switchboard};
use greenroom_protocol::session::{HostConfig, PERMISSION_DENIED, UNSUPPORTED_REQUEST};
use greenroom_protocol::time::Time;
use greenroom_protocol::wire::AgentSessionMessage;
use greenroom_protocol::wire::agent_session_message::Message;
use prost::Message as _;
use serde::Deserialize;

use crate::stage::{event, id_of, pong};

#[derive(Deserialize)]
struct Cases {
    requests: Vec<String>,
    situations: Vec<Situation>,
}

#[derive(Deserialize)]
struct Situation {
    name: String,
    participants: BTreeMap<String, Participant>,
    steps: Vec<Step>,
    expected: BTreeMap<String, BTreeMap<String, Received>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Participant {
    grant: Option<bool>,
    hidden: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    SetGrant {
        set_grant: (String, bool),
    },
    Release {
        #[allow(dead_code, reason = "it is always true")]
        release: bool,
    },
    Ask {
        ask: Option<String>,
        #[serde(default)]
        hold: bool,
    },
}

/// What one participant receives.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
struct Received {
    responses: Vec<String>,
    events: Option<String>,
}

struct Room {
    board: Switchboard,
    host: HostId,
    now: Time,
    /// What the agent has not answered.
    asked: Vec<Bytes>,
    /// An event that the agent is about to emit.
    emits: bool,
    received: BTreeMap<String, Received>,
}

impl Room {
    fn new(participants: &BTreeMap<String, Participant>) -> Self {
        let mut board = Switchboard::new(Limits::default(), Time::ZERO);
        let host = board.open_host(HostConfig::default());
        let mut room =
            Self { board, host, now: Time::ZERO, asked: Vec::new(), emits: false, received: BTreeMap::new() };
        for (name, participant) in participants.iter().filter(|(_, participant)| !participant.hidden) {
            room.announce(name, participant.grant);
        }
        room
    }

    fn announce(&mut self, name: &str, grant: Option<bool>) {
        let peer =
            Peer { sid: format!("PA_{name}"), identity: name.to_owned(), can_manage_agent_session: grant };
        self.board.set_peer(peer, self.now);
    }

    fn ask(&mut self, who: Option<&str>, request: &str) {
        let message = match request {
            "events" => {
                self.emits = true;
                return;
            }
            "ping" => encode_request("r", Operation::Ping).unwrap(),
            "run_input" => encode_request("r", Operation::Say { text: "hello".to_owned() }).unwrap(),
            "history" => encode_request("r", Operation::History).unwrap(),
            // A request of the number 200, which no release has.
            "unknown" => Bytes::from_static(b"\x22\x06\x0a\x01r\xc2\x0c\x00"),
            other => panic!("no such request: {other}"),
        };
        let who = who.unwrap();
        let stream = self.board.begin(who, Some(message.len()), self.now);
        self.board.chunk(stream, &message, self.now);
        self.board.end(stream, self.now);
        self.drain();
        // A sender that is not announced is held.
        if let Some(due) = self.board.poll_timeout().filter(|_| self.asked.is_empty()) {
            self.now = due;
            self.board.handle_timeout(due);
            self.drain();
        }
        // Like an agent's host, which tells of a text turn before it answers it.
        if request == "run_input" && !self.asked.is_empty() {
            self.board.send_from_agent(self.host, event(), None, self.now);
        }
        self.carry();
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.emits) {
            self.board.send_from_agent(self.host, event(), None, self.now);
        }
        for request in std::mem::take(&mut self.asked) {
            self.board.send_from_agent(self.host, pong(&id_of(&request)), None, self.now);
        }
        self.carry();
    }

    fn drain(&mut self) {
        while let Some(incoming) = self.board.poll() {
            if let Incoming::Request { message, .. } = incoming {
                self.asked.push(message);
            }
        }
    }

    /// Sends all that is to be sent.
    fn carry(&mut self) {
        while let Some(outgoing) = self.board.poll_send() {
            let Outgoing::Send { to, message, .. } = outgoing else { continue };
            for recipient in to.iter() {
                let received = self.received.entry(recipient.identity.clone()).or_default();
                match AgentSessionMessage::decode(message.clone()).unwrap().message {
                    Some(Message::Response(response)) => {
                        assert_eq!(response.request_id, "r", "under the asker's own id");
                        received.responses.push(match response.error.as_deref() {
                            None => "answer".to_owned(),
                            Some(PERMISSION_DENIED) => "denied".to_owned(),
                            Some(UNSUPPORTED_REQUEST) => "unsupported".to_owned(),
                            Some(other) => other.to_owned(),
                        });
                    }
                    Some(Message::Event(_)) => received.events = Some("all".to_owned()),
                    other => panic!("{other:?}"),
                }
            }
        }
        self.drain();
    }
}

#[test]
fn everybody_in_the_room_receives_what_the_matrix_says() {
    let cases: Cases = serde_json::from_str(include_str!("../../../../tests/gate_cases.json")).unwrap();
    let mut ran = 0;
    for situation in &cases.situations {
        for (request, expected) in &situation.expected {
            assert!(cases.requests.contains(request), "{request}");
            let mut room = Room::new(&situation.participants);
            for step in &situation.steps {
                match step {
                    Step::Ask { ask, hold } => {
                        room.ask(ask.as_deref(), request);
                        if !hold {
                            room.release();
                        }
                    }
                    Step::SetGrant { set_grant: (who, grant) } => room.announce(who, Some(*grant)),
                    Step::Release { .. } => room.release(),
                }
            }
            let mut expected = expected.clone();
            for received in expected.values_mut() {
                // Here an event goes before the grant does, so that its holder has seen it.
                received.events = received.events.take().map(|_| "all".to_owned());
            }
            assert_eq!(room.received, expected, "{}: {request}", situation.name);
            ran += 1;
        }
    }
    assert_eq!(ran, 46, "every situation with every request that it has");
}
