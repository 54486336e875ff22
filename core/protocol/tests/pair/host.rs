//! The gate and router in front of an agent's session host, and controllers behind it.

use bytes::Bytes;
use greenroom_protocol::error::Code;
use greenroom_protocol::gate::{Asked as Topic, Audit, Decision, Peer, Policy, Scope, Scopes};
use greenroom_protocol::message::{Answer, Operation, encode_error, encode_request};
use greenroom_protocol::session::{
    Config, Destination, HOST_CLOSED, Host, HostConfig, Overlap, PERMISSION_DENIED, TURN_IN_PROGRESS,
    UNANSWERED_REQUEST, UNSUPPORTED_REQUEST,
};
use greenroom_protocol::time::Time;
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::session_request::Request as Ask;
use greenroom_protocol::wire::session_response::{self as payload, Response as Payload};
use greenroom_protocol::wire::{self, session_response};
use prost::Message as _;

use crate::script::{self, assistant};
use crate::stage::{clock, secs};

fn peer(sid: &str, identity: &str, grant: Option<bool>) -> Peer {
    Peer { sid: sid.to_owned(), identity: identity.to_owned(), can_manage_agent_session: grant }
}

fn host() -> Host {
    Host::new(HostConfig::default())
}

fn host_with(change: impl FnOnce(&mut HostConfig)) -> Host {
    let mut config = HostConfig::default();
    change(&mut config);
    Host::new(config)
}

fn ping(id: &str) -> Bytes {
    encode_request(id, Operation::Ping).unwrap()
}

fn pong(id: &str) -> Bytes {
    script::encode(script::response(id, None, Some(Payload::Pong(session_response::Pong {}))))
}

/// What goes to the agent: ids of requests.
fn to_agent(host: &mut Host) -> Vec<String> {
    drain(host).0
}

/// What goes to participants: sid, id, error.
fn to_peers(host: &mut Host) -> Vec<(String, String, Option<String>)> {
    drain(host).1
}

type Response = (String, String, Option<String>);

fn drain(host: &mut Host) -> (Vec<String>, Vec<Response>) {
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    while let Some(transmit) = host.poll_transmit() {
        let message = wire::AgentSessionMessage::decode(transmit.message).unwrap().message;
        match (transmit.to, message) {
            (Destination::Agent, Some(Message::Request(request))) => requests.push(request.request_id),
            (Destination::Peers(sids), Some(Message::Response(response))) => {
                assert_eq!(sids.len(), 1, "a response goes to its requester only");
                responses.push((sids[0].clone(), response.request_id, response.error));
            }
            other => panic!("{other:?}"),
        }
    }
    (requests, responses)
}

fn audits(host: &mut Host) -> Vec<Audit> {
    std::iter::from_fn(|| host.poll_audit()).collect()
}

fn denied(sid: &str, id: &str) -> Response {
    (sid.to_owned(), id.to_owned(), Some(PERMISSION_DENIED.to_owned()))
}

/// Two controllers and one agent in a room.
struct Room {
    host: Host,
    members: Vec<(String, Member)>,
    now: Time,
    /// Requests that the agent has not answered: id, what is asked.
    asked: Vec<(String, Ask)>,
}

struct Member {
    controller: greenroom_protocol::session::Controller,
}

impl Room {
    fn new(sids: &[&str]) -> Self {
        let mut host = host();
        let members = sids.iter().map(|&sid| {
            host.set_peer(peer(sid, sid, Some(true)));
            // The ids of all controllers are the same.
            let mut controller = greenroom_protocol::session::Controller::new(Config::default(), clock());
            controller.open(Time::ZERO);
            (sid.to_owned(), Member { controller })
        });
        let members = members.collect();
        Self { host, members, now: Time::ZERO, asked: Vec::new() }
    }

    /// Carries every message to where it goes, until none is left.
    fn carry(&mut self) {
        loop {
            let mut idle = true;
            for (sid, member) in &mut self.members {
                while let Some(message) = member.controller.poll_transmit() {
                    self.host.receive(sid, message, self.now);
                    idle = false;
                }
            }
            while let Some(transmit) = self.host.poll_transmit() {
                idle = false;
                match transmit.to {
                    Destination::Agent => {
                        match wire::AgentSessionMessage::decode(transmit.message).unwrap().message {
                            Some(Message::Request(request)) => {
                                self.asked.push((request.request_id, request.request.unwrap()));
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                    Destination::Peers(sids) => {
                        for sid in sids.iter() {
                            let member = self.members.iter_mut().find(|(other, _)| other == sid).unwrap();
                            member.1.controller.receive(&transmit.message, self.now);
                        }
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn agent_sends(&mut self, message: Message) {
        self.host.receive_from_agent(script::encode(message), self.now);
        self.carry();
    }

    fn wait(&mut self, seconds: f64) {
        self.now = self.now + secs(seconds);
        for (_, member) in &mut self.members {
            member.controller.handle_timeout(self.now);
        }
        self.carry();
    }

    fn answer_all_but_turns(&mut self) {
        let (turns, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.asked).into_iter().partition(|(_, ask)| matches!(ask, Ask::RunInput(_)));
        self.asked = turns;
        for (id, ask) in others {
            let answer = match ask {
                Ask::Ping(_) => Payload::Pong(payload::Pong {}),
                Ask::UpdateIo(_) => Payload::UpdateIo(Default::default()),
                Ask::GetFrameworkInfo(_) => Payload::GetFrameworkInfo(Default::default()),
                Ask::GetSessionState(_) => Payload::GetSessionState(payload::GetSessionStateResponse {
                    agent_state: wire::AgentState::AsListening.into(),
                    ..Default::default()
                }),
                Ask::GetChatHistory(_) => Payload::GetChatHistory(Default::default()),
                other => panic!("{other:?}"),
            };
            self.agent_sends(script::response(&id, None, Some(answer)));
        }
    }
}

#[test]
fn two_controllers_with_the_same_ids_never_mix() {
    let mut room = Room::new(&["PA_1", "PA_2"]);
    room.carry();
    room.answer_all_but_turns();
    room.wait(1.0);
    let now = room.now;
    let calls: Vec<_> = room
        .members
        .iter_mut()
        .map(|(sid, member)| {
            assert!(member.controller.is_ready());
            let say = Operation::Say { text: format!("from {sid}") };
            let info = member.controller.submit(Operation::AgentInfo, None, now);
            (member.controller.submit(say, None, now), info)
        })
        .collect();
    room.carry();
    let mut ids = std::collections::BTreeSet::new();
    // The agent answers last come, first served, each with who asked in it. The second turn comes once the first is answered.
    while !room.asked.is_empty() {
        for (id, ask) in std::mem::take(&mut room.asked).iter().rev() {
            assert!(ids.insert(id.clone()), "the agent sees an id of its own for each");
            match ask {
                Ask::RunInput(run) => {
                    let reply = assistant(&format!("to the one {}", run.text));
                    room.agent_sends(script::run_input(id, None, [reply]));
                }
                _ => {
                    let info = Payload::GetAgentInfo(Default::default());
                    room.agent_sends(script::response(id, None, Some(info)));
                }
            }
        }
    }
    assert_eq!(ids.len(), 4);
    for ((say, info), (sid, member)) in calls.into_iter().zip(&mut room.members) {
        let mut answers: Vec<_> = std::iter::from_fn(|| member.controller.poll_answer()).collect();
        answers.sort_by_key(|(call, _)| *call);
        let [(first, Ok(Answer::AgentInfo(_))), (second, Ok(Answer::Turn(turn)))] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!((*first, *second), (info, say));
        assert_eq!(turn.reply, format!("to the one from {sid}"));
    }
}

/// Requests for text turns, `a` to `c`, of three controllers.
fn three_turns(host: &mut Host) -> [Bytes; 3] {
    ["a", "b", "c"].map(|who| {
        host.set_peer(peer(&format!("PA_{who}"), who, Some(true)));
        encode_request(who, Operation::Say { text: format!("I am {who}") }).unwrap()
    })
}

fn answer_turn(id: &str) -> Bytes {
    script::encode(script::run_input(id, None, [assistant("done")]))
}

#[test]
fn text_turns_of_several_controllers_wait_for_each_other() {
    let mut host = host_with(|config| config.limits.queued_runs = 1);
    let [a, b, c] = three_turns(&mut host);
    host.receive("PA_a", a, Time::ZERO);
    host.receive("PA_b", b, Time::ZERO);
    host.receive("PA_c", c, Time::ZERO);
    let busy = ("PA_c".to_owned(), "c".to_owned(), Some(TURN_IN_PROGRESS.to_owned()));
    let (first, refused) = drain(&mut host);
    assert_eq!((first.len(), refused), (1, vec![busy]), "one runs, one waits, one is too many");
    // Other requests do not wait for turns.
    host.receive("PA_c", ping("p"), Time::ZERO);
    assert_eq!(to_agent(&mut host).len(), 1);
    host.receive_from_agent(answer_turn(&first[0]), Time::ZERO);
    let (second, answered) = drain(&mut host);
    assert_eq!((second.len(), answered), (1, vec![("PA_a".to_owned(), "a".to_owned(), None)]));
    host.receive_from_agent(answer_turn(&second[0]), Time::ZERO);
    assert_eq!(drain(&mut host), (vec![], vec![("PA_b".to_owned(), "b".to_owned(), None)]));
}

#[test]
fn text_turns_that_may_not_wait_are_refused() {
    let mut host = host_with(|config| config.run_input = Overlap::Refuse);
    let [a, b, c] = three_turns(&mut host);
    host.receive("PA_a", a, Time::ZERO);
    let first = to_agent(&mut host).pop().unwrap();
    host.receive("PA_b", b, Time::ZERO);
    let busy = ("PA_b".to_owned(), "b".to_owned(), Some(TURN_IN_PROGRESS.to_owned()));
    assert_eq!(drain(&mut host), (vec![], vec![busy]));
    host.receive_from_agent(answer_turn(&first), Time::ZERO);
    drain(&mut host);
    host.receive("PA_c", c, Time::ZERO);
    assert_eq!(to_agent(&mut host).len(), 1);
}

#[test]
fn a_waiting_turn_goes_with_its_asker_and_with_the_grant() {
    let mut host = host();
    let [a, b, c] = three_turns(&mut host);
    host.receive("PA_a", a, Time::ZERO);
    let first = to_agent(&mut host).pop().unwrap();
    host.receive("PA_b", b, Time::ZERO);
    host.receive("PA_c", c, Time::ZERO);
    host.set_peer(peer("PA_b", "b", Some(false)));
    host.remove_peer("PA_c");
    // Who runs leaves: the agent is busy with it all the same.
    host.remove_peer("PA_a");
    assert_eq!(drain(&mut host), (vec![], vec![]));
    host.receive_from_agent(answer_turn(&first), Time::ZERO);
    assert_eq!(drain(&mut host), (vec![], vec![denied("PA_b", "b")]));
}

#[test]
fn a_turn_that_the_agent_never_answers_holds_up_others_only_for_so_long() {
    let mut host = host_with(|config| config.limits.route_age = secs(60.0));
    let [a, b, _] = three_turns(&mut host);
    host.receive("PA_a", a, Time::ZERO);
    to_agent(&mut host);
    host.receive("PA_b", b, Time::ZERO + secs(30.0));
    assert_eq!(host.poll_timeout(), Some(Time::ZERO + secs(60.0)));
    host.handle_timeout(Time::ZERO + secs(60.0));
    let unanswered = ("PA_a".to_owned(), "a".to_owned(), Some(UNANSWERED_REQUEST.to_owned()));
    let (next, answers) = drain(&mut host);
    assert_eq!((next.len(), answers), (1, vec![unanswered]));
}

#[test]
fn what_waits_when_the_host_closes_is_answered() {
    let mut host = host();
    let [a, b, _] = three_turns(&mut host);
    host.receive("PA_a", a, Time::ZERO);
    host.receive("PA_b", b, Time::ZERO);
    host.set_peer(peer("PA_b", "b", None));
    to_agent(&mut host);
    host.close();
    let closed = ("PA_a".to_owned(), "a".to_owned(), Some(HOST_CLOSED.to_owned()));
    assert_eq!(drain(&mut host), (vec![], vec![closed, denied("PA_b", "b")]));
}

#[test]
fn what_the_agent_addresses_to_one_participant_goes_to_that_one_or_nowhere() {
    let mut host = host();
    host.set_peer(peer("PA_1", "a", Some(true)));
    host.set_peer(peer("PA_2", "b", None));
    host.set_peer(peer("PA_3", "c", Some(true)));
    let event = script::encode(script::event(script::error("for one")));
    for identity in ["a", "b", "nobody"] {
        host.receive_from_agent_for(identity, event.clone(), Time::ZERO);
    }
    let to: Vec<_> = std::iter::from_fn(|| host.poll_transmit()).map(|transmit| transmit.to).collect();
    assert_eq!(to, [Destination::Peers(["PA_1".to_owned()].into())]);
    assert_eq!(host.counts().dropped, 2);
    // A response that is addressed to another than who asked is for neither.
    host.receive("PA_1", ping("p"), Time::ZERO);
    let id = to_agent(&mut host).pop().unwrap();
    host.receive_from_agent_for("c", pong(&id), Time::ZERO);
    let unanswered = ("PA_1".to_owned(), "p".to_owned(), Some(UNANSWERED_REQUEST.to_owned()));
    assert_eq!(to_peers(&mut host), [unanswered]);
    assert_eq!(host.counts().dropped, 3);
}

#[test]
fn without_the_grant_the_answer_is_the_denial_and_nothing_reaches_the_agent() {
    let mut host = host();
    host.set_peer(peer("PA_no", "user", None));
    host.set_peer(peer("PA_false", "guest", Some(false)));
    for sid in ["PA_no", "PA_false", "PA_stranger"] {
        host.receive(sid, ping("say-1"), Time::ZERO);
        assert_eq!(drain(&mut host), (vec![], vec![denied(sid, "say-1")]));
    }
    let decisions: Vec<_> =
        audits(&mut host).into_iter().map(|audit| (audit.identity, audit.decision)).collect();
    assert_eq!(
        decisions,
        [
            (Some("user".to_owned()), Decision::DenyNoGrant),
            (Some("guest".to_owned()), Decision::DenyNoGrant),
            (None, Decision::DenyUnknown)
        ]
    );
}

#[test]
fn the_grant_that_counts_is_the_one_of_now() {
    let mut host = host();
    host.set_peer(peer("PA_1", "a", Some(true)));
    host.receive("PA_1", ping("p-1"), Time::ZERO);
    let id = to_agent(&mut host).pop().unwrap();
    // Revoked while the agent works on it: the answer becomes the denial.
    host.set_peer(peer("PA_1", "a", Some(false)));
    host.receive_from_agent(pong(&id), Time::ZERO);
    assert_eq!(to_peers(&mut host), [denied("PA_1", "p-1")]);
    // Granted again: the next request passes, and the old answer is not given after all.
    host.set_peer(peer("PA_1", "a", Some(true)));
    host.receive_from_agent(pong(&id), Time::ZERO);
    assert_eq!(to_peers(&mut host), []);
    host.receive("PA_1", ping("p-2"), Time::ZERO);
    let id = to_agent(&mut host).pop().unwrap();
    host.receive_from_agent(pong(&id), Time::ZERO);
    assert_eq!(to_peers(&mut host), [("PA_1".to_owned(), "p-2".to_owned(), None)]);
    let decisions: Vec<_> =
        audits(&mut host).into_iter().map(|audit| (audit.asked, audit.decision)).collect();
    assert_eq!(
        decisions,
        [
            (Topic::Request(Scope::Observe), Decision::Allow),
            (Topic::Response(Scope::Observe), Decision::DenyNoGrant),
            (Topic::Request(Scope::Observe), Decision::Allow)
        ]
    );
}

#[test]
fn who_rejoins_under_the_same_name_inherits_nothing() {
    let mut host = host();
    host.set_peer(peer("PA_old", "supervisor", Some(true)));
    host.receive("PA_old", ping("p-1"), Time::ZERO);
    let id = to_agent(&mut host).pop().unwrap();
    host.remove_peer("PA_old");
    host.set_peer(peer("PA_new", "supervisor", Some(true)));
    host.receive_from_agent(pong(&id), Time::ZERO);
    assert_eq!(to_peers(&mut host), []);
    host.receive("PA_old", ping("p-2"), Time::ZERO);
    assert_eq!(drain(&mut host), (vec![], vec![denied("PA_old", "p-2")]));
}

#[test]
fn events_go_to_exactly_those_who_may_observe_now() {
    let mut host = host_with(|config| {
        config.policy = Policy::default();
        config.policy.by_identity.insert("driver".to_owned(), Scopes::of(&[Scope::Drive]));
    });
    let event = script::encode(script::event(script::error("secret")));
    let recipients = |host: &mut Host| {
        host.receive_from_agent(event.clone(), Time::ZERO);
        let sent: Vec<_> = std::iter::from_fn(|| host.poll_transmit()).collect();
        sent.into_iter()
            .flat_map(|transmit| {
                assert_eq!(transmit.message, event, "byte for byte");
                match transmit.to {
                    Destination::Peers(sids) => sids.to_vec(),
                    Destination::Agent => panic!("an event goes back to the agent"),
                }
            })
            .collect::<Vec<String>>()
    };
    assert_eq!(recipients(&mut host), [""; 0], "to nobody, not to everybody");
    host.set_peer(peer("PA_3", "c", Some(true)));
    host.set_peer(peer("PA_1", "a", Some(true)));
    host.set_peer(peer("PA_2", "b", None));
    host.set_peer(peer("PA_4", "driver", Some(true)));
    assert_eq!(recipients(&mut host), ["PA_1", "PA_3"]);
    host.set_peer(peer("PA_1", "a", Some(false)));
    host.set_peer(peer("PA_2", "b", Some(true)));
    assert_eq!(recipients(&mut host), ["PA_2", "PA_3"]);
    host.remove_peer("PA_2");
    assert_eq!(recipients(&mut host), ["PA_3"]);
}

#[test]
fn an_unknown_request_is_answered_at_once_since_sdk_hosts_leave_it_unanswered() {
    let mut host = host();
    host.set_peer(peer("PA_1", "a", Some(true)));
    // Nothing asked, the unused number, a number newer than ours.
    for bytes in [&b"\x22\x05\x0a\x03r-1"[..], b"\x22\x07\x0a\x03r-1\x1a\x00", b"\x22\x07\x0a\x03r-1\x6a\x00"]
    {
        host.receive("PA_1", Bytes::from_static(bytes), Time::ZERO);
        let unsupported = ("PA_1".to_owned(), "r-1".to_owned(), Some(UNSUPPORTED_REQUEST.to_owned()));
        assert_eq!(drain(&mut host), (vec![], vec![unsupported]));
    }
}

#[test]
fn what_is_no_request_or_cannot_be_routed_goes_nowhere() {
    let mut host = host();
    host.set_peer(peer("PA_1", "a", Some(true)));
    let two_ids = b"\x22\x08\x0a\x01a\x0a\x01b\x12\x00";
    let long_id = ping(&"x".repeat(4097));
    let messages: [Bytes; 6] = [
        Bytes::new(),
        Bytes::from_static(b"\xff\xff"),
        Bytes::from_static(two_ids),
        encode_error("r-1", "a response"),
        script::encode(script::event(script::usage())),
        long_id,
    ];
    let count = messages.len();
    for message in messages {
        host.receive("PA_1", message, Time::ZERO);
        assert_eq!(host.poll_transmit(), None);
    }
    let audits = audits(&mut host);
    assert_eq!(audits.len(), count);
    let expected = (Topic::Malformed, Decision::DenyMalformed);
    assert!(audits.iter().all(|audit| (audit.asked, audit.decision) == expected), "{audits:?}");
    // Nor does what an agent should not send, or answers that nobody asked for.
    for message in
        [Bytes::from_static(b"\xff"), pong("gr-1"), pong("say-1"), pong(""), ping("gr-1"), Bytes::new()]
    {
        host.receive_from_agent(message, Time::ZERO);
        assert_eq!(host.poll_transmit(), None);
    }
}

#[test]
fn a_request_over_the_cap_is_answered_with_both_sizes_to_who_may_ask() {
    let mut host = host();
    host.set_peer(peer("PA_1", "a", Some(true)));
    host.set_peer(peer("PA_2", "b", None));
    let long = encode_request("r-1", Operation::Say { text: "x".repeat(1 << 20) }).unwrap();
    let size = long.len().to_string();
    host.receive("PA_1", long.clone(), Time::ZERO);
    host.receive("PA_2", long, Time::ZERO);
    let (requests, answers) = drain(&mut host);
    assert_eq!(requests, [""; 0]);
    let error = answers[0].2.clone().unwrap();
    assert!(error.contains(&size) && error.contains("1048576"), "{error}");
    assert_eq!(answers[1], denied("PA_2", "r-1"));
}

#[test]
fn routes_age_and_are_bounded_and_each_request_has_one_answer() {
    let mut host = host_with(|config| {
        config.limits.routes = 4;
        config.limits.route_age = secs(60.0);
    });
    host.set_peer(peer("PA_1", "flood", Some(true)));
    host.set_peer(peer("PA_2", "quiet", Some(true)));
    host.receive("PA_2", ping("patient"), Time::ZERO);
    let patient = to_agent(&mut host).pop().unwrap();
    let mut given_up = Vec::new();
    for at in 0..20 {
        host.receive("PA_1", ping(&format!("f-{at}")), Time::ZERO);
        let (requests, answers) = drain(&mut host);
        assert_eq!(requests.len(), 1);
        given_up.extend(answers);
    }
    let unanswered = |sid: &str, id: String| (sid.to_owned(), id, Some(UNANSWERED_REQUEST.to_owned()));
    let expected: Vec<Response> = (0..17).map(|at| unanswered("PA_1", format!("f-{at}"))).collect();
    assert_eq!(given_up, expected, "the flood takes from itself");
    host.receive_from_agent(pong(&patient), Time::ZERO);
    assert_eq!(to_peers(&mut host), [("PA_2".to_owned(), "patient".to_owned(), None)]);

    // A minute later the rest is given up, and an answer that still comes is nobody's.
    let later = Time::ZERO + secs(60.0);
    host.receive("PA_2", ping("new"), later);
    let (requests, answers) = drain(&mut host);
    let expected: Vec<Response> = (17..20).map(|at| unanswered("PA_1", format!("f-{at}"))).collect();
    assert_eq!(answers, expected);
    for number in 1..=21 {
        host.receive_from_agent(pong(&format!("gr-{number}")), Time::ZERO);
    }
    assert_eq!(to_peers(&mut host), []);
    host.receive_from_agent(pong(&requests[0]), Time::ZERO);
    assert_eq!(to_peers(&mut host).len(), 1);
}

#[test]
fn a_long_request_is_not_forgotten_for_many_short_ones() {
    let mut host = host_with(|config| config.limits.routes = 4);
    host.set_peer(peer("PA_1", "a", Some(true)));
    host.receive("PA_1", ping("long"), Time::ZERO);
    let long = to_agent(&mut host).pop().unwrap();
    for _ in 0..100 {
        host.receive("PA_1", ping("short"), Time::ZERO);
        let id = to_agent(&mut host).pop().unwrap();
        host.receive_from_agent(pong(&id), Time::ZERO);
        assert_eq!(to_peers(&mut host).len(), 1);
    }
    host.receive_from_agent(pong(&long), Time::ZERO);
    assert_eq!(to_peers(&mut host), [("PA_1".to_owned(), "long".to_owned(), None)]);
}

#[test]
fn the_peers_that_are_known_are_bounded() {
    let mut host = host_with(|config| config.limits.peers = 2);
    for sid in ["PA_1", "PA_2", "PA_3"] {
        host.set_peer(peer(sid, sid, Some(true)));
    }
    host.receive("PA_3", ping("r"), Time::ZERO);
    assert_eq!(to_peers(&mut host), [denied("PA_3", "r")]);
    host.set_peer(peer("PA_1", "PA_1", None));
    host.receive("PA_1", ping("r"), Time::ZERO);
    assert_eq!(to_peers(&mut host), [denied("PA_1", "r")], "a known peer's permissions change all the same");
}

#[test]
fn fields_newer_than_the_schema_pass_in_both_directions() {
    let mut host = host();
    host.set_peer(peer("PA_1", "a", Some(true)));
    let mut request = ping("r-1").to_vec();
    request.extend(b"\xfa\x7f\x03new");
    host.receive("PA_1", request.into(), Time::ZERO);
    let transmit = host.poll_transmit().unwrap();
    assert_eq!(transmit.to, Destination::Agent);
    assert!(transmit.message.ends_with(b"\xfa\x7f\x03new"));
    let mut answer = pong("gr-1").to_vec();
    answer.extend(b"\xfa\x7f\x03new");
    host.receive_from_agent(answer.into(), Time::ZERO);
    assert!(host.poll_transmit().unwrap().message.ends_with(b"\xfa\x7f\x03new"));
}

#[test]
fn a_denied_controller_learns_why_its_calls_fail() {
    let mut room = Room::new(&["PA_1", "PA_2"]);
    let now = room.now;
    let starts: Vec<_> = room
        .members
        .iter_mut()
        .map(|(_, member)| member.controller.submit(Operation::Start, None, now))
        .collect();
    room.host.set_peer(peer("PA_2", "PA_2", None));
    room.carry();
    room.answer_all_but_turns();
    room.wait(1.0);
    assert!(
        matches!(room.members[0].1.controller.poll_answer(), Some((call, Ok(Answer::Started(_)))) if call == starts[0])
    );
    let (call, error) = room.members[1].1.controller.poll_answer().unwrap();
    assert_eq!((call, error.unwrap_err().code), (starts[1], Code::PermissionDenied));

    // The grant is revoked: a turn and a call alike are refused.
    room.host.set_peer(peer("PA_1", "PA_1", Some(false)));
    let now = room.now;
    let controller = &mut room.members[0].1.controller;
    let calls = [Operation::Say { text: "hi".to_owned() }, Operation::AgentInfo];
    let mut calls = calls.map(|operation| controller.submit(operation, None, now)).to_vec();
    room.carry();
    while let Some((call, answer)) = room.members[0].1.controller.poll_answer() {
        let error = answer.unwrap_err();
        assert_eq!(error.code, Code::PermissionDenied);
        assert!(error.message.contains("canManageAgentSession"), "{error}");
        calls.retain(|pending| *pending != call);
    }
    assert_eq!(calls, []);
    assert!(room.asked.is_empty(), "nothing of it reached the agent");
}
