//! Any schedule of calls, messages, deadlines and the end of the link: no panic, no lost and no doubled answer, no stalled clock.

use std::collections::BTreeSet;

use greenroom_protocol::message::{CloseReason, Operation};
use greenroom_protocol::session::{CallId, Config, Controller};
use greenroom_protocol::time::Time;
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::session_response::{self as payload, Response as Payload};
use greenroom_protocol::{Code, Error, wire};
use proptest::prelude::*;
use prost::Message as _;

use crate::script::{self, Tool};
use crate::stage::{clock, secs};

#[derive(Clone, Debug)]
enum Step {
    Open,
    Start,
    Say(&'static str),
    Call(u8),
    Cancel(u64),
    /// The agent answers its `nth` unanswered request in the `nth` way.
    Answer(usize, u8),
    /// The answer to it is too large.
    Skip(usize),
    /// An answer to what was never asked, or long ago.
    Stray(String),
    Event(u8),
    Garbage(Vec<u8>),
    Wait(f64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Open),
        1 => Just(Step::Start),
        5 => prop_oneof![Just("a"), Just("b"), Just("c"), Just(" ")].prop_map(Step::Say),
        3 => (0_u8..4).prop_map(Step::Call),
        2 => (0_u64..30).prop_map(Step::Cancel),
        8 => (any::<usize>(), 0_u8..6).prop_map(|(which, how)| Step::Answer(which, how)),
        1 => any::<usize>().prop_map(Step::Skip),
        1 => "gr-[0-9]{1,3}|[a-z-]{0,4}".prop_map(Step::Stray),
        8 => (0_u8..14).prop_map(Step::Event),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(Step::Garbage),
        4 => prop_oneof![Just(0.0), Just(0.1), Just(0.3), Just(5.0), Just(200.0)].prop_map(Step::Wait),
        1 => prop::bool::weighted(0.2).prop_map(|close| if close { Step::Close } else { Step::Open }),
    ]
}

struct Play {
    controller: Controller,
    now: Time,
    asked: Vec<String>,
    submitted: u64,
    answered: BTreeSet<CallId>,
    last_seq: u64,
}

impl Play {
    fn submit(&mut self, operation: Operation) {
        self.submitted += 1;
        let call = self.controller.submit(operation, None, self.now);
        assert_eq!(call, CallId(self.submitted));
    }

    fn receive(&mut self, message: Message) {
        self.controller.receive(&script::encode(message), self.now);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open => self.controller.open(self.now),
            Step::Start => self.submit(Operation::Start),
            Step::Say(text) => self.submit(Operation::Say { text: text.to_owned() }),
            Step::Call(0) => self.submit(Operation::History),
            Step::Call(1) => self.submit(Operation::Usage),
            Step::Call(_) => self.submit(Operation::Ping),
            Step::Cancel(call) => self.controller.cancel(CallId(call), self.now),
            Step::Answer(which, how) if !self.asked.is_empty() => {
                let id = self.asked.remove(which % self.asked.len());
                let reply = ["one", "two"].map(script::assistant);
                let tool = Tool { name: "t", call_id: "call_0", output: Ok("out") };
                let handoff = script::handoff(Some("main"), "billing");
                self.receive(match how {
                    0 => script::run_input(&id, None, reply),
                    1 => script::run_input(&id, None, []),
                    2 => script::run_input(&id, Some("agent produced no response items"), []),
                    3 => script::run_input(&id, None, tool.items().into_iter().chain([handoff])),
                    4 => script::response(&id, None, Some(Payload::Pong(payload::Pong {}))),
                    _ => script::response(&id, Some("internal error"), None),
                });
            }
            Step::Skip(which) if !self.asked.is_empty() => {
                let id = self.asked.remove(which % self.asked.len());
                let head = script::encode(script::response(&id, None, None));
                self.controller.receive_skipped(20 << 20, &head, self.now);
            }
            Step::Answer(..) | Step::Skip(_) => {}
            Step::Stray(id) => self.receive(script::run_input(&id, None, [script::assistant("stray")])),
            Step::Event(which) => self.receive(match which {
                0..=3 => {
                    script::event(script::added(script::user(["a", "b", "c", "other"][usize::from(which)])))
                }
                4 | 5 => script::event(script::added(script::assistant("hello"))),
                6 => {
                    script::event(script::tools(&[Tool { name: "t", call_id: "call_0", output: Ok("out") }]))
                }
                7 => script::event(script::added(script::handoff(Some("main"), "billing"))),
                8..=11 => script::event(script::state(2, i32::from(which) - 7)),
                12 => script::event(script::error("broken")),
                _ => Message::AudioPlaybackFlush(Default::default()),
            }),
            Step::Garbage(bytes) => self.controller.receive(&bytes.into(), self.now),
            Step::Wait(seconds) => {
                let end = self.now + secs(seconds);
                let mut rounds = 0;
                while let Some(at) = self.controller.poll_timeout().filter(|at| *at <= end) {
                    self.now = self.now.max(at);
                    self.controller.handle_timeout(self.now);
                    self.drain();
                    rounds += 1;
                    assert!(rounds < 1_000, "the deadline at {at:?} does not pass");
                }
                self.now = end;
            }
            Step::Close => {
                let error = Error::new(Code::AgentGone, "gone");
                self.controller.close(CloseReason::AgentExited, error, self.now);
                self.drain();
                assert_eq!(self.answered.len() as u64, self.submitted, "the end answers everything at once");
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(bytes) = self.controller.poll_transmit() {
            if let Some(Message::Request(request)) = wire::AgentSessionMessage::decode(bytes).unwrap().message
            {
                assert!(!self.asked.contains(&request.request_id), "an id is used twice");
                self.asked.push(request.request_id);
            }
        }
        while let Some((call, _)) = self.controller.poll_answer() {
            assert!(self.answered.insert(call), "{call:?} is answered twice");
            assert!(call.0 <= self.submitted, "{call:?} was never submitted");
        }
        let read = self.controller.journal().read(self.last_seq + 1, usize::MAX);
        for event in read.events {
            assert_eq!(event.seq, self.last_seq + 1, "events are numbered without a hole");
            self.last_seq = event.seq;
        }
        let open = self.answered.len() as u64 != self.submitted;
        assert!(!open || self.controller.poll_timeout().is_some(), "a call waits without a deadline");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn every_call_has_exactly_one_answer(steps in prop::collection::vec(step(), 0..60), linked in any::<bool>()) {
        let mut config = Config::default();
        config.limits.waiting_calls = 8;
        config.limits.queued_turns = 4;
        config.limits.late_turns = 3;
        let mut play = Play {
            controller: Controller::new(config, clock()),
            now: Time::ZERO,
            asked: Vec::new(),
            submitted: 0,
            answered: BTreeSet::new(),
            last_seq: 0,
        };
        if linked {
            play.take(Step::Open);
            for _ in 0..5 {
                play.take(Step::Answer(0, 4));
            }
            play.take(Step::Wait(1.0));
            prop_assert!(play.controller.is_ready());
        }
        for step in steps {
            play.take(step);
        }
        // Two days on, whatever was still open has met its deadline.
        play.take(Step::Wait(200_000.0));
        prop_assert_eq!(play.answered.len() as u64, play.submitted);
        prop_assert_eq!(play.controller.poll_timeout(), None);
    }
}
