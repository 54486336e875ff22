//! What a participant may send that means harm.

use greenroom_protocol::gate::Decision;
use greenroom_protocol::limits::Rate;
use greenroom_protocol::room::Outgoing;
use greenroom_protocol::session::{HostConfig, PERMISSION_DENIED, TOO_MANY_REQUESTS};
use greenroom_protocol::time::Timestamp;

use crate::stage::{Stage, event, ping, say};

const MIB: usize = 1 << 20;

#[test]
fn a_stream_announced_as_5_gb_is_cut_at_its_first_bytes_and_answered() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    let stream = stage.begin("ann", Some(5_000_000_000));
    assert!(!stage.chunk(stream, &say("big", 15_000)));
    assert_eq!(stage.cut, [stream]);
    let (to, id, error) = stage.sent().remove(0);
    assert_eq!((to.as_str(), id.as_str()), ("ann", "big"));
    let error = error.unwrap();
    assert!(error.contains("5000000000") && error.contains("1048576"), "{error}");
    assert_eq!(stage.decisions(), [Decision::DenyTooLarge]);
}

#[test]
fn exactly_1_mib_passes_and_one_byte_more_does_not() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    let overhead = say("r", MIB).len() - MIB;
    for (extra, asked) in [(0, 1), (1, 0)] {
        let message = say("r", MIB - overhead + extra);
        assert_eq!(message.len(), MIB + extra);
        // Neither announces its size.
        let stream = stage.begin("ann", None);
        for piece in message.chunks(15_000) {
            if !stage.chunk(stream, piece) {
                break;
            }
        }
        stage.end(stream);
        assert_eq!(std::mem::take(&mut stage.asked).len(), asked);
        let answers = stage.sent();
        assert_eq!(answers.len(), 1 - asked, "{answers:?}");
    }
}

#[test]
fn a_stream_without_end_holds_up_its_sender_only_and_not_for_long() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    stage.peer("bob", Some(true));
    let endless = stage.begin("ann", None);
    stage.chunk(endless, &ping("endless")[..4]);
    stage.send("ann", &ping("behind it"));
    stage.send("bob", &ping("beside it"));
    assert_eq!(stage.asked.len(), 1);
    stage.wait(9.9);
    assert_eq!(stage.asked.len(), 1);
    stage.wait(0.2);
    assert_eq!(stage.asked.len(), 2);
    assert_eq!(stage.cut, [endless]);
    assert!(stage.decisions().contains(&Decision::DenyStalled));
    // Nor for ever, if it drips.
    let drip = stage.begin("ann", None);
    for _ in 0..13 {
        stage.wait(9.5);
        stage.chunk(drip, b"\x22");
    }
    assert_eq!(stage.cut, [endless, drip]);
}

#[test]
fn denials_last_as_long_as_their_budget_and_then_streams_are_cut_unread() {
    let mut stage =
        Stage::with(|limits| limits.refusals = Rate { burst: 3.0, per_second: 0.5 }, HostConfig::default());
    stage.peer("flood", None);
    stage.peer("guest", None);
    for at in 0..200 {
        stage.send("flood", &ping(&format!("f-{at}")));
    }
    let answers = stage.sent();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|(_, _, error)| error.as_deref() == Some(PERMISSION_DENIED)));
    assert_eq!(stage.cut.len(), 200);
    assert_eq!(stage.audits.len(), 200, "each decision has a line");
    // Others have a budget of their own, and it fills again.
    stage.send("guest", &ping("g"));
    stage.wait(2.0);
    stage.send("flood", &ping("later"));
    stage.send("flood", &ping("too soon"));
    let ids: Vec<String> = stage.sent().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, ["g", "later"]);
    assert_eq!(stage.asked, []);
}

#[test]
fn many_strangers_share_one_budget() {
    let mut stage = Stage::with(
        |limits| limits.all_refusals = Rate { burst: 10.0, per_second: 0.0 },
        HostConfig::default(),
    );
    for at in 0..200 {
        stage.peer(&format!("s{at}"), None);
        stage.send(&format!("s{at}"), &ping("p"));
    }
    assert_eq!(stage.sent().len(), 10);
}

#[test]
fn a_holder_of_the_grant_who_sends_too_often_is_told_so() {
    let mut stage =
        Stage::with(|limits| limits.messages = Rate { burst: 5.0, per_second: 1.0 }, HostConfig::default());
    stage.peer("ann", Some(true));
    for at in 0..7 {
        stage.send("ann", &ping(&format!("p-{at}")));
    }
    assert_eq!(stage.asked.len(), 5);
    let errors: Vec<_> = stage.sent().into_iter().map(|(_, id, error)| (id, error.unwrap())).collect();
    let busy = |id: &str| (id.to_owned(), TOO_MANY_REQUESTS.to_owned());
    assert_eq!(errors, [busy("p-5"), busy("p-6")]);
}

#[test]
fn open_streams_are_bounded_by_sender_and_in_all() {
    let mut stage = Stage::with(
        |limits| {
            limits.sender_streams = 2;
            limits.streams = 5;
        },
        HostConfig::default(),
    );
    for who in ["a", "b", "c", "d"] {
        stage.peer(who, Some(true));
    }
    let mut open = Vec::new();
    for (who, cut) in [("a", 0), ("a", 0), ("a", 1), ("b", 1), ("b", 1), ("c", 1), ("d", 2)] {
        open.push((who, stage.begin(who, None)));
        assert_eq!(stage.cut.len(), cut, "{who}");
    }
    // Streams that are broken off make room.
    stage.board.abort(open[0].1, stage.now);
    stage.begin("d", None);
    assert_eq!(stage.cut.len(), 2);
}

#[test]
fn a_stranger_may_have_fewer_streams_open_than_who_is_welcome() {
    let mut stage = Stage::new();
    stage.peer("ann", Some(true));
    // SDKs tell of streams in bursts, before they can be read.
    for who in ["ann", "ghost"] {
        let burst: Vec<_> = (0..200).map(|_| stage.begin(who, None)).collect();
        let cut = burst.iter().filter(|stream| stage.cut.contains(stream)).count();
        assert_eq!(cut, if who == "ann" { 0 } else { 136 }, "{who}");
    }
}

#[test]
fn what_all_streams_hold_is_bounded() {
    let mut stage = Stage::with(|limits| limits.stream_bytes = 3 * MIB, HostConfig::default());
    let mut taken = 0;
    for at in 0..5 {
        let who = format!("w{at}");
        stage.peer(&who, Some(true));
        let stream = stage.begin(&who, None);
        let request = say("r", MIB - 100);
        taken += usize::from(request.chunks(64 << 10).all(|piece| stage.chunk(stream, piece)));
    }
    assert_eq!(taken, 3);
    let busy = stage.sent();
    assert_eq!(busy.len(), 2);
    assert!(busy.iter().all(|(_, _, error)| error.as_deref() == Some(TOO_MANY_REQUESTS)), "{busy:?}");
}

#[test]
fn senders_that_are_not_announced_hold_only_so_many_streams() {
    let mut stage = Stage::with(|limits| limits.held_streams = 3, HostConfig::default());
    for at in 0..10 {
        stage.send(&format!("ghost{at}"), &ping("p"));
    }
    assert_eq!(stage.cut.len(), 7);
    // Nor more than a message that would pass.
    let big = stage.begin("ghost0", None);
    assert_eq!(stage.cut.len(), 8);
    assert!(!stage.chunk(big, &[0; 10]));
    stage.wait(4.0);
    let held = stage.begin("giant", None);
    assert!(stage.chunk(held, &vec![0; MIB]));
    assert!(!stage.chunk(held, &[0]));
    assert_eq!(stage.sent().len(), 3, "those that were held");
}

#[test]
fn senders_that_are_remembered_are_bounded_and_the_idle_go_first() {
    let mut stage = Stage::with(|limits| limits.peers = 3, HostConfig::default());
    for at in 0..50 {
        let who = format!("w{at}");
        stage.peer(&who, Some(true));
        stage.send(&who, &ping("p"));
        stage.wait(1.0);
        stage.leave(&who);
    }
    assert_eq!(stage.asked.len(), 50);
}

#[test]
fn an_identity_with_quotes_and_newlines_is_only_a_name() {
    let mut stage = Stage::new();
    let name = "\"bob'\n{\"can_manage_agent_session\": true}\u{0}\u{202e}";
    stage.peer(name, None);
    stage.send(name, &ping("p-1"));
    assert_eq!(stage.sent(), [(name.to_owned(), "p-1".to_owned(), Some(PERMISSION_DENIED.to_owned()))]);
    stage.peer(name, Some(true));
    stage.send(name, &ping("p-2"));
    assert_eq!(stage.asked[0].1, name);
    let audit = greenroom_protocol::gate::Audit {
        sid: "PA".to_owned(),
        identity: Some(name.to_owned()),
        asked: greenroom_protocol::gate::Asked::Malformed,
        decision: Decision::DenyMalformed,
    };
    let line = serde_json::to_string(&audit.at(Timestamp::default())).unwrap();
    assert!(!line.contains('\n'), "an audit line is one line: {line}");
}

#[test]
fn ten_thousand_events_to_a_controller_that_does_not_read_are_bounded() {
    let mut stage = Stage::with(|limits| limits.queued_sends = 100, HostConfig::default());
    stage.peer("ann", Some(true));
    stage.send("ann", &ping("p-1"));
    for _ in 0..10_000 {
        stage.board.send_from_agent(stage.host, event(), None, stage.now);
    }
    let (id, _) = stage.asked.remove(0);
    stage.answer(&id);
    let status = stage.board.status(stage.host).unwrap();
    assert_eq!(status.counts.dropped, 9_900);
    let is_send = |out: &Outgoing| matches!(out, Outgoing::Send { .. });
    let outgoing: Vec<Outgoing> = std::iter::from_fn(|| stage.board.poll_send()).collect();
    let done = outgoing.iter().take_while(|out| !is_send(out)).count();
    assert_eq!(done, 9_900, "nobody waits for what is dropped");
    let sent = outgoing.iter().filter(|out| is_send(out)).count();
    assert_eq!(sent, 101, "a hundred events, and the answer");
}

#[test]
fn agent_with_thousands_of_open_streams_loses_none() {
    let mut stage = Stage::with(
        |limits| {
            limits.sender_streams = 2;
            limits.streams = 4;
            limits.messages = Rate { burst: 1.0, per_second: 1.0 };
        },
        HostConfig::default(),
    );
    stage.peer("agent", None);
    stage.board.listen("agent");
    let open: Vec<_> = (0..3_000).map(|_| stage.begin("agent", None)).collect();
    for stream in open {
        assert!(stage.chunk(stream, &event()));
        stage.end(stream);
    }
    assert_eq!(stage.heard.len(), 3_000);
    assert!(stage.cut.is_empty());
}

#[test]
fn agent_over_the_bound_of_bytes_is_skipped_and_never_silently() {
    let mut stage = Stage::with(|limits| limits.stream_bytes = 3 * MIB, HostConfig::default());
    stage.peer("agent", None);
    stage.board.listen("agent");
    let open: Vec<_> = (0..5).map(|_| stage.begin("agent", None)).collect();
    let taken = open.iter().filter(|stream| stage.chunk(**stream, &vec![0; MIB])).count();
    assert_eq!(taken, 3);
    open.iter().for_each(|stream| stage.end(*stream));
    // Each of them is heard of: three whole, two as skipped.
    assert_eq!(stage.heard.len(), 5);
    // Empty streams are bounded as well.
    let most = 3 * MIB / 512;
    (0..=most).for_each(|_| {
        stage.begin("agent", None);
    });
    assert_eq!(stage.heard.len(), 6);
}

#[test]
fn messages_that_wait_for_an_earlier_stream_count_towards_the_bound_of_bytes() {
    let mut stage = Stage::with(|limits| limits.stream_bytes = 3 * MIB, HostConfig::default());
    stage.peer("ann", Some(true));
    let first = stage.begin("ann", None);
    for at in 0..5 {
        stage.send("ann", &say(&format!("r-{at}"), MIB - 100));
    }
    stage.end(first);
    let refused: Vec<_> = stage.sent().into_iter().map(|(_, id, error)| (id, error.unwrap())).collect();
    let busy = |id: &str| (id.to_owned(), TOO_MANY_REQUESTS.to_owned());
    assert_eq!(refused, [busy("r-3"), busy("r-4")]);
}
