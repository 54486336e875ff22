//! Any calls in any order: nothing panics, what is promised holds.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use greenroom_protocol::gate::Peer;
use greenroom_protocol::limits::{Limits, Rate};
use greenroom_protocol::room::{HostId, Incoming, Outgoing, StreamId, Switchboard};
use greenroom_protocol::session::{HostConfig, Overlap, PERMISSION_DENIED};
use greenroom_protocol::time::Time;
use greenroom_protocol::wire::agent_session_message::Message;
use proptest::prelude::*;
use prost::Message as _;

use crate::stage::{event, id_of, ping, pong, say};

#[derive(Clone, Debug)]
enum Step {
    Peer(u8, Option<bool>),
    Leave(u8),
    Begin(u8, Option<usize>),
    Chunk(usize, Bytes),
    End(usize),
    Abort(usize),
    Answer(usize),
    Event,
    Listen(u8),
    Unlisten(u8),
    Send(u8),
    Poll,
    Wait(u16),
    Reopen,
}

fn message() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        "[a-z]{0,3}".prop_map(|id| ping(&id)),
        "[a-z]{0,3}".prop_map(|id| say(&id, 3000)),
        "[a-z]{0,3}".prop_map(|id| pong(&id)),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
        Just(event()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..4_u8;
    prop_oneof![
        3 => (who.clone(), any::<Option<bool>>()).prop_map(|(who, grant)| Step::Peer(who, grant)),
        1 => who.clone().prop_map(Step::Leave),
        6 => (who.clone(), proptest::option::of(0..6_000_usize)).prop_map(|(who, size)| Step::Begin(who, size)),
        9 => (0..6_usize, message()).prop_map(|(back, data)| Step::Chunk(back, data)),
        5 => (0..6_usize).prop_map(Step::End),
        1 => (0..6_usize).prop_map(Step::Abort),
        4 => (0..6_usize).prop_map(Step::Answer),
        2 => Just(Step::Event),
        1 => who.clone().prop_map(Step::Listen),
        1 => who.clone().prop_map(Step::Unlisten),
        1 => who.prop_map(Step::Send),
        4 => Just(Step::Poll),
        3 => (0..5_000_u16).prop_map(Step::Wait),
        1 => Just(Step::Reopen),
    ]
}

/// What the room knows, kept beside the switchboard.
struct Model {
    board: Switchboard,
    host: HostId,
    now: Time,
    grants: BTreeMap<String, Option<bool>>,
    streams: Vec<StreamId>,
    cut: BTreeSet<u64>,
    asked: Vec<Bytes>,
}

impl Model {
    fn drain(&mut self) {
        while let Some(incoming) = self.board.poll() {
            match incoming {
                Incoming::Request { message, .. } => self.asked.push(message),
                Incoming::Cut(stream) => assert!(self.cut.insert(stream.0), "a stream is cut once"),
                _ => {}
            }
        }
    }

    fn send_all(&mut self) {
        while let Some(outgoing) = self.board.poll_send() {
            if let Outgoing::Send { to, message, .. } = outgoing {
                assert!(!to.is_empty(), "never to everybody");
                for recipient in to.iter() {
                    let holds = self.grants.get(&recipient.identity) == Some(&Some(true));
                    match greenroom_protocol::wire::AgentSessionMessage::decode(message.clone())
                        .unwrap()
                        .message
                    {
                        // A request of a controller of ours goes to its agent, which needs no grant.
                        Some(Message::Request(_)) => {}
                        Some(Message::Response(response)) => {
                            let is_denial = response.error.as_deref() == Some(PERMISSION_DENIED)
                                && response.response.is_none();
                            assert!(holds || is_denial, "an ungranted participant got {response:?}");
                        }
                        other => assert!(holds, "an ungranted participant got {other:?}"),
                    }
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        let name = |who: u8| format!("p{who}");
        let stream = |model: &Self, back: usize| model.streams.iter().rev().nth(back).copied();
        match step {
            Step::Peer(who, grant) => {
                self.grants.insert(name(who), grant);
                let peer =
                    Peer { sid: format!("PA_{who}"), identity: name(who), can_manage_agent_session: grant };
                self.board.set_peer(peer, self.now);
            }
            Step::Leave(who) => {
                self.grants.remove(&name(who));
                self.board.remove_peer(&format!("PA_{who}"), self.now);
            }
            Step::Begin(who, size) => {
                let stream = self.board.begin(&name(who), size, self.now);
                self.streams.push(stream);
            }
            Step::Chunk(back, data) => {
                if let Some(stream) = stream(self, back) {
                    let go_on = self.board.chunk(stream, &data, self.now);
                    self.drain();
                    assert!(!(go_on && self.cut.contains(&stream.0)), "a stream that is cut does not go on");
                }
            }
            Step::End(back) => {
                if let Some(stream) = stream(self, back) {
                    self.board.end(stream, self.now);
                }
            }
            Step::Abort(back) => {
                if let Some(stream) = stream(self, back) {
                    self.board.abort(stream, self.now);
                }
            }
            Step::Answer(back) => {
                if let Some(asked) = self.asked.iter().rev().nth(back) {
                    let answer = pong(&id_of(asked));
                    self.board.send_from_agent(self.host, answer, None, self.now);
                }
            }
            Step::Event => {
                self.board.send_from_agent(self.host, event(), None, self.now);
            }
            Step::Listen(who) => self.board.listen(&name(who)),
            Step::Unlisten(who) => self.board.unlisten(&name(who)),
            Step::Send(who) => {
                self.board.send(ping("c"), &name(who), self.now);
            }
            Step::Poll => self.send_all(),
            Step::Wait(millis) => {
                self.now = self.now + std::time::Duration::from_millis(millis.into());
                self.board.handle_timeout(self.now);
                let due = self.board.poll_timeout();
                assert!(due.is_none_or(|due| due > self.now), "what is due has passed");
            }
            Step::Reopen => {
                self.board.close_host(self.host);
                self.host = self.board.open_host(config());
            }
        }
        self.drain();
    }
}

fn config() -> HostConfig {
    let mut config = HostConfig::default();
    config.limits.peer_message = 4_000;
    config.limits.routes = 4;
    config.limits.queued_runs = 2;
    config.run_input = Overlap::Queue;
    config
}

proptest! {
    #[test]
    fn without_the_grant_a_participant_gets_denials_and_nothing_else(
        steps in proptest::collection::vec(step(), 0..150),
    ) {
        let mut limits = Limits::default();
        limits.sender_streams = 4;
        limits.held_streams = 3;
        limits.stream_bytes = 10_000;
        limits.queued_sends = 20;
        limits.messages = Rate { burst: 20.0, per_second: 5.0 };
        let mut board = Switchboard::new(limits, Time::ZERO);
        let host = board.open_host(config());
        let mut model = Model {
            board,
            host,
            now: Time::ZERO,
            grants: BTreeMap::new(),
            streams: Vec::new(),
            cut: BTreeSet::new(),
            asked: Vec::new(),
        };
        for step in steps {
            model.step(step);
        }
        // Whatever is left unfinished ends by itself, and then nothing is awaited but the agent.
        for _ in 0..3 {
            model.now = model.now + std::time::Duration::from_secs(3600);
            model.board.handle_timeout(model.now);
            model.drain();
        }
        model.send_all();
        prop_assert_eq!(model.board.poll_timeout(), None);
    }
}
