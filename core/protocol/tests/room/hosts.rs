//! Who gets what, when nobody means harm.

use greenroom_protocol::gate::{Decision, Policy, Scope, Scopes};
use greenroom_protocol::limits::Limits;
use greenroom_protocol::room::{Outgoing, Recipient, Switchboard, Ticket};
use greenroom_protocol::session::{HOST_CLOSED, HostConfig, PERMISSION_DENIED};
use greenroom_protocol::time::Time;

use crate::stage::{Stage, event, id_of, ping, pong};

fn denied(identity: &str, id: &str) -> (String, String, Option<String>) {
    (identity.to_owned(), id.to_owned(), Some(PERMISSION_DENIED.to_owned()))
}

fn answered(identity: &str, id: &str) -> (String, String, Option<String>) {
    (identity.to_owned(), id.to_owned(), None)
}

fn hidden(names: &[&str]) -> HostConfig {
    let mut config = HostConfig::default();
    config.policy =
        Policy { hidden: names.iter().map(|name| (*name).to_owned()).collect(), ..Policy::default() };
    config
}

#[test]
fn a_request_of_a_holder_of_the_grant_reaches_the_host_and_its_answer_comes_back() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    stage.send("ann", &ping("p-1"));
    let [(id, sender)] = &stage.asked[..] else { panic!("{:?}", stage.asked) };
    assert_eq!((sender.as_str(), id.as_str() != "p-1"), ("ann", true));
    let id = id.clone();
    stage.answer(&id);
    assert_eq!(stage.sent(), [answered("ann", "p-1")]);
}

#[test]
fn without_the_grant_a_request_is_denied_and_its_end_is_not_awaited() {
    let mut stage = Stage::new();
    stage.peer("guest", None);
    let stream = stage.begin("guest", Some(1000));
    assert!(!stage.chunk(stream, &ping("p-1")));
    assert_eq!(stage.cut, [stream]);
    assert_eq!(stage.sent(), [denied("guest", "p-1")]);
    assert_eq!(stage.asked, []);
    assert_eq!(stage.decisions(), [Decision::DenyNoGrant]);
}

#[test]
fn an_answer_becomes_the_denial_if_the_grant_went_while_it_waited_to_leave() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    stage.send("ann", &ping("p-1"));
    let (id, _) = stage.asked.remove(0);
    stage.answer(&id);
    stage.peer("ann", Some(false));
    assert_eq!(stage.sent(), [denied("ann", "p-1")]);
}

#[test]
fn events_go_to_the_holders_of_the_grant_of_now_or_to_nobody() {
    let mut stage = Stage::new();
    stage.peer("guest", None);
    assert_eq!(stage.event(event()), [""; 0]);
    stage.peer("ann", Some(true));
    stage.peer("bob", Some(true));
    assert_eq!(stage.event(event()), ["ann", "bob"]);
    stage.peer("ann", Some(false));
    stage.leave("bob");
    assert_eq!(stage.event(event()), [""; 0]);
}

#[test]
fn who_rejoins_under_the_same_identity_inherits_nothing() {
    let mut stage = Stage::new();
    stage.peer_as("PA_old", "ann", Some(true));
    stage.send("ann", &ping("p-1"));
    let (id, _) = stage.asked.remove(0);
    // The room announces the new stay before it tells of the end of the old.
    stage.peer_as("PA_new", "ann", Some(true));
    stage.board.remove_peer("PA_old", stage.now);
    stage.answer(&id);
    assert_eq!(stage.sent(), []);
    stage.send("ann", &ping("p-1"));
    let (id, _) = stage.asked.remove(0);
    stage.answer(&id);
    let sent = stage.board.poll_send();
    let Some(Outgoing::Send { to, .. }) = sent else { panic!("{sent:?}") };
    assert_eq!(*to, [Recipient { identity: "ann".to_owned(), sid: "PA_new".to_owned() }]);
}

#[test]
fn a_sender_that_is_not_announced_yet_is_held_and_goes_on_when_it_is() {
    for grant in [Some(true), None] {
        let mut stage = Stage::new();
        stage.send("ann", &ping("whole"));
        let open = stage.begin("ann", None);
        assert!(stage.chunk(open, &ping("half")[..3]));
        stage.wait(2.9);
        assert_eq!((stage.asked.len(), stage.sent().len()), (0, 0));
        stage.peer("ann", grant);
        stage.chunk(open, &ping("half")[3..]);
        stage.end(open);
        if grant == Some(true) {
            assert_eq!(stage.asked.len(), 2);
            assert_eq!(stage.sent(), []);
        } else {
            assert_eq!(stage.asked, []);
            assert_eq!(stage.sent(), [denied("ann", "whole"), denied("ann", "half")]);
        }
    }
}

#[test]
fn a_sender_that_is_never_announced_is_denied_in_the_end() {
    let mut stage = Stage::new();
    stage.send("ghost", &ping("p-1"));
    let due = stage.board.poll_timeout().unwrap().since_origin().as_secs_f64();
    assert!((3.0..=4.0).contains(&due), "{due}");
    stage.wait(due);
    let sent = stage.board.poll_send();
    let Some(Outgoing::Send { to, .. }) = sent else { panic!("{sent:?}") };
    assert_eq!(*to, [Recipient { identity: "ghost".to_owned(), sid: String::new() }]);
    assert_eq!(stage.decisions(), [Decision::DenyUnknown]);
    assert_eq!(stage.audits[0].1.as_deref(), Some("ghost"));
    assert_eq!(stage.asked, []);
}

#[test]
fn a_stream_without_a_sender_is_cut_at_once() {
    let mut stage = Stage::with(|_| {}, hidden(&[""]));
    stage.send("", &ping("p-1"));
    assert_eq!(stage.cut.len(), 1);
    assert_eq!((stage.asked.len(), stage.sent().len()), (0, 0), "there is nobody to tell");
    assert_eq!(stage.decisions(), [Decision::DenyUnknown]);
}

#[test]
fn a_hidden_supervisor_gets_in_by_name_and_only_while_it_is_hidden() {
    let mut stage = Stage::with(|_| {}, hidden(&["boss"]));
    stage.send("boss", &ping("p-1"));
    let (id, sender) = stage.asked.remove(0);
    assert_eq!(sender, "boss");
    stage.answer(&id);
    assert_eq!(stage.sent(), [answered("boss", "p-1")]);
    assert_eq!(stage.event(event()), ["boss"]);
    // Another that nobody sees is not let in by that.
    stage.send("spy", &ping("p-1"));
    stage.wait(4.0);
    assert_eq!(stage.sent(), [denied("spy", "p-1")]);
    // Once it is announced, what counts is its grant.
    stage.peer("boss", None);
    stage.send("boss", &ping("p-2"));
    assert_eq!(stage.sent(), [denied("boss", "p-2")]);
    assert_eq!(stage.event(event()), [""; 0]);
}

/// Sends a whole message from a hidden sender that claims an identity.
fn send_hidden(stage: &mut Stage, claim: &str, message: &[u8]) {
    let stream = stage.board.begin_hidden(claim, Some(message.len()), stage.now);
    stage.chunk(stream, message);
    stage.end(stream);
}

#[test]
fn hidden_sender_with_a_listed_claim_is_let_in() {
    let mut stage = Stage::with(|_| {}, hidden(&["boss"]));
    send_hidden(&mut stage, "boss", &ping("p-1"));
    let (id, sender) = stage.asked.remove(0);
    assert_eq!(sender, "boss");
    stage.answer(&id);
    assert_eq!(stage.sent(), [answered("boss", "p-1")]);
}

#[test]
fn hidden_sender_that_claims_a_participant_is_refused() {
    let mut stage = Stage::with(|_| {}, hidden(&["boss"]));
    stage.peer("boss", Some(true));
    send_hidden(&mut stage, "boss", &ping("p-1"));
    assert_eq!((stage.asked.len(), stage.sent().len(), stage.cut.len()), (0, 0, 1));
    assert_eq!(stage.decisions(), [Decision::DenyUnknown]);
}

#[test]
fn hidden_sender_that_claims_the_agent_we_listen_to_is_refused() {
    let mut stage = Stage::with(|_| {}, hidden(&["agent"]));
    stage.board.listen("agent");
    send_hidden(&mut stage, "agent", &ping("p-1"));
    send_hidden(&mut stage, "agent", &event());
    assert_eq!((stage.asked.len(), stage.heard.len(), stage.sent().len()), (0, 0, 0));
    assert_eq!(stage.cut.len(), 2);
}

#[test]
fn hidden_sender_is_not_taken_for_a_participant_that_joins_later() {
    let mut stage = Stage::new();
    send_hidden(&mut stage, "ann", &ping("p-1"));
    stage.peer("ann", Some(true));
    stage.board.listen("ann");
    assert_eq!((stage.asked.len(), stage.heard.len()), (0, 0), "a claim is not held until it is true");
    assert_eq!(stage.sent(), [denied("ann", "p-1")]);
}

#[test]
fn scopes_narrow_what_the_grant_allows() {
    let mut config = HostConfig::default();
    config.policy.by_identity.insert("watcher".to_owned(), Scopes::of(&[Scope::Observe]));
    config.policy.by_identity.insert("banned".to_owned(), Scopes::NONE);
    let mut stage = Stage::with(|_| {}, config);
    stage.peer("watcher", Some(true));
    stage.peer("banned", Some(true));
    stage.send("watcher", &ping("p-1"));
    assert_eq!(stage.asked.len(), 1);
    stage.send("watcher", &crate::stage::say("say", 5));
    stage.send("banned", &ping("p-2"));
    assert_eq!(stage.sent(), [denied("watcher", "say"), denied("banned", "p-2")]);
    assert_eq!(stage.event(event()), ["watcher"]);
}

#[test]
fn two_hosts_share_a_room_and_the_first_has_the_requests() {
    let mut stage = Stage::new();
    let second = stage.board.open_host(HostConfig::default());
    stage.peer("ann", Some(true));
    stage.send("ann", &ping("first"));
    assert_eq!(stage.asked.len(), 1);
    stage.board.send_from_agent(second, event(), None, stage.now);
    let sent = stage.board.poll_send();
    assert!(matches!(sent, Some(Outgoing::Send { .. })), "the events of both are seen: {sent:?}");
    let first = stage.host;
    stage.board.close_host(first);
    let closed = ("ann".to_owned(), "first".to_owned(), Some(HOST_CLOSED.to_owned()));
    assert_eq!(stage.sent(), [closed]);
    stage.send("ann", &ping("second"));
    stage.host = second;
    let (id, _) = stage.asked.pop().unwrap();
    stage.answer(&id);
    assert_eq!(stage.sent(), [answered("ann", "second")]);
}

#[test]
fn a_controller_hears_its_agent_and_nobody_else() {
    let mut board = Switchboard::new(Limits::default(), Time::ZERO);
    let ticket = board.send(ping("p-1"), "agent", Time::ZERO);
    board.listen("agent");
    let to = [Recipient { identity: "agent".to_owned(), sid: String::new() }].into();
    assert_eq!(board.poll_send(), Some(Outgoing::Send { ticket, to, message: ping("p-1") }));
    assert_eq!(board.poll_send(), Some(Outgoing::Done(ticket)));
    let mut stage = Stage { board, ..Stage::new() };
    stage.send("agent", &pong("p-1"));
    stage.send("impostor", &pong("p-1"));
    assert_eq!(stage.heard, [("agent".to_owned(), pong("p-1").len())]);
    assert_eq!(stage.cut.len(), 1, "the impostor's stream is cut unread");
    stage.board.unlisten("agent");
    stage.send("agent", &pong("p-2"));
    assert_eq!(stage.heard.len(), 1);
}

#[test]
fn one_room_has_a_host_and_a_controller_of_another_agent_side_by_side() {
    let mut stage = Stage::new();
    stage.peer("other agent", None);
    stage.board.listen("other agent");
    stage.send("other agent", &pong("mine"));
    assert_eq!(stage.heard.len(), 1);
    // What it asks is decided like any other's request.
    stage.send("other agent", &ping("p-1"));
    assert_eq!(stage.sent(), [denied("other agent", "p-1")]);
    assert_eq!((stage.heard.len(), stage.asked.len()), (1, 0));
}

#[test]
fn messages_of_one_sender_stay_in_the_order_in_which_it_began_them() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    stage.peer("bob", Some(true));
    let slow = stage.begin("ann", None);
    stage.send("ann", &ping("quick"));
    stage.send("bob", &ping("other"));
    assert_eq!(stage.asked.iter().map(|(_, sender)| sender.as_str()).collect::<Vec<_>>(), ["bob"]);
    stage.chunk(slow, &ping("slow"));
    stage.end(slow);
    let ids: Vec<String> = stage.asked.iter().map(|(id, _)| id.clone()).collect();
    for id in &ids {
        stage.answer(id);
    }
    let sent: Vec<String> = stage.sent().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(sent, ["other", "slow", "quick"]);
}

#[test]
fn a_ticket_is_done_after_all_that_belongs_to_it() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    let seen = stage.board.send_from_agent(stage.host, event(), None, stage.now);
    stage.peer("ann", None);
    let unseen = stage.board.send_from_agent(stage.host, event(), None, stage.now);
    stage.peer("ann", Some(true));
    let kinds: Vec<_> = std::iter::from_fn(|| stage.board.poll_send())
        .map(|outgoing| match outgoing {
            Outgoing::Send { ticket, .. } => ("send", ticket),
            Outgoing::Done(ticket) => ("done", ticket),
        })
        .collect();
    // The grant of the moment in which a message leaves is what counts.
    assert_eq!(kinds, [("send", seen), ("done", seen), ("send", unseen), ("done", unseen)]);
    assert_ne!(seen, Ticket::NOBODY);
}

#[test]
fn a_request_goes_in_under_an_id_that_no_sender_chose() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    stage.peer("bob", Some(true));
    for sender in ["ann", "bob"] {
        stage.send(sender, &ping("gr-1"));
    }
    let ids: Vec<String> = stage.asked.iter().map(|(id, _)| id.clone()).collect();
    assert_ne!(ids[0], ids[1]);
    stage.answer(&ids[1]);
    stage.answer(&ids[0]);
    assert_eq!(stage.sent(), [answered("bob", "gr-1"), answered("ann", "gr-1")]);
    assert_eq!(id_of(&ping("gr-1")), "gr-1");
}
