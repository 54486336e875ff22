//! Calls apart from turns; bad input; the end of the link.

use greenroom_protocol::error::Code;
use greenroom_protocol::message::{Answer, EventKind, IoUpdate, Operation};
use greenroom_protocol::session::Config;
use greenroom_protocol::wire;
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::session_response::{self as payload, Response as Payload};

use crate::script::{self, Tool, added, assistant, user};
use crate::stage::{Stage, briefs, secs};

#[test]
fn every_call_gets_its_own_answer_in_any_order_and_during_a_turn() {
    let mut stage = Stage::ready();
    let turn = stage.say("hi");
    let finalize =
        Operation::FinalizeSimulation { provisional_success: true, provisional_reason: "fine".to_owned() };
    let operations = [
        Operation::History,
        Operation::AgentInfo,
        Operation::SessionState,
        Operation::Usage,
        Operation::RtcStats,
        Operation::FrameworkInfo,
        Operation::UpdateIo(IoUpdate { input_audio: Some(true), ..IoUpdate::default() }),
        finalize,
        Operation::Ping,
    ];
    let calls = operations.map(|operation| (operation.name(), stage.submit(operation)));
    let mut asked = std::mem::take(&mut stage.asked);
    let said = asked.remove(0);
    asked.reverse();
    for asked in asked {
        use wire::session_request::Request as Ask;
        let verdict = wire::SimulationVerdict { success: true, reason: "good".to_owned() };
        let answer = match asked.ask {
            Some(Ask::Ping(_)) => Payload::Pong(payload::Pong {}),
            Some(Ask::GetChatHistory(_)) => {
                Payload::GetChatHistory(payload::GetChatHistoryResponse { items: vec![user("hi")] })
            }
            Some(Ask::GetAgentInfo(_)) => Payload::GetAgentInfo(Default::default()),
            Some(Ask::GetSessionState(_)) => Payload::GetSessionState(Default::default()),
            Some(Ask::GetRtcStats(_)) => Payload::GetRtcStats(Default::default()),
            Some(Ask::GetSessionUsage(_)) => Payload::GetSessionUsage(Default::default()),
            Some(Ask::GetFrameworkInfo(_)) => Payload::GetFrameworkInfo(Default::default()),
            Some(Ask::UpdateIo(_)) => Payload::UpdateIo(Default::default()),
            Some(Ask::FinalizeSimulation(asked)) => {
                assert_eq!((asked.provisional_success, asked.provisional_reason.as_str()), (true, "fine"));
                Payload::FinalizeSimulation(payload::FinalizeSimulationResponse {
                    user_verdict: Some(verdict),
                })
            }
            other => panic!("{other:?}"),
        };
        stage.respond(&asked.id, None, Some(answer));
    }
    for (name, call) in calls {
        let answer = stage.answer(call).unwrap().unwrap();
        let fits = match name {
            "history" => matches!(&answer, Answer::History { items } if items.len() == 1),
            "agent_info" => matches!(answer, Answer::AgentInfo(_)),
            "session_state" => matches!(answer, Answer::SessionState(_)),
            "usage" => matches!(answer, Answer::Usage { .. }),
            "rtc_stats" => matches!(answer, Answer::RtcStats(_)),
            "framework_info" => matches!(answer, Answer::FrameworkInfo(_)),
            "finalize_simulation" => {
                matches!(&answer, Answer::Verdict(verdict) if verdict.success && !verdict.missing)
            }
            _ => answer == Answer::Done,
        };
        assert!(fits, "{name}: {answer:?}");
    }
    stage.respond_items(&said.id, [assistant("hello")]);
    assert_eq!(stage.turn(turn).reply, "hello");
}

#[test]
fn an_error_answer_fails_its_call_with_the_agents_words() {
    let mut stage = Stage::ready();
    let call = stage.submit(Operation::AgentInfo);
    let asked = stage.next_asked();
    stage.respond(&asked.id, Some("internal error"), Some(Payload::GetAgentInfo(Default::default())));
    let error = stage.error(call);
    assert_eq!(error.code, Code::AgentError);
    assert!(error.message.contains("agent_info") && error.message.contains("internal error"), "{error}");
}

#[test]
fn a_verdict_beside_an_error_is_kept_in_the_detail() {
    let mut stage = Stage::ready();
    let operation =
        Operation::FinalizeSimulation { provisional_success: true, provisional_reason: String::new() };
    let call = stage.submit(operation.clone());
    let asked = stage.next_asked();
    let verdict = wire::SimulationVerdict { success: false, reason: "rude".to_owned() };
    let answer = payload::FinalizeSimulationResponse { user_verdict: Some(verdict) };
    stage.respond(&asked.id, Some("the callback threw"), Some(Payload::FinalizeSimulation(answer)));
    let error = stage.error(call);
    assert!(error.detail.as_deref().is_some_and(|detail| detail.contains("failure: rude")), "{error:?}");

    let call = stage.submit(operation);
    let asked = stage.next_asked();
    stage.respond(&asked.id, None, Some(Payload::FinalizeSimulation(Default::default())));
    assert!(matches!(stage.answer(call), Some(Ok(Answer::Verdict(verdict))) if verdict.missing));
}

#[test]
fn an_answer_of_another_kind_or_of_none_is_a_protocol_error() {
    for answer in [None, Some(Payload::RunInput(Default::default()))] {
        let mut stage = Stage::ready();
        let call = stage.submit(Operation::AgentInfo);
        let asked = stage.next_asked();
        stage.respond(&asked.id, None, answer);
        stage.fails_with(call, Code::ProtocolError);
    }
    // An answer of a kind that was not asked for is none either.
    let mut stage = Stage::ready();
    let call = stage.submit(Operation::AgentInfo);
    let asked = stage.next_asked();
    stage.respond(&asked.id, None, Some(Payload::Pong(payload::Pong {})));
    stage.fails_with(call, Code::ProtocolError);
}

#[test]
fn an_unanswered_call_times_out_and_its_late_answer_is_nobodys() {
    let mut stage = Stage::ready();
    let call = stage.submit(Operation::Usage);
    let short = stage.submit_within(Operation::Ping, Some(secs(1.0)));
    let asked = stage.next_asked();
    stage.wait(secs(1.1));
    stage.fails_with(short, Code::Timeout);
    stage.wait(secs(29.0));
    let error = stage.error(call);
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("usage"), "{error}");
    stage.respond(&asked.id, None, Some(Payload::GetSessionUsage(Default::default())));
    assert_eq!(stage.events(), []);
}

#[test]
fn a_cancelled_call_is_answered_once() {
    let mut stage = Stage::ready();
    let call = stage.submit(Operation::Usage);
    let asked = stage.next_asked();
    stage.cancel(call);
    stage.fails_with(call, Code::Cancelled);
    stage.respond(&asked.id, None, Some(Payload::GetSessionUsage(Default::default())));
    stage.cancel(call);
    assert!(stage.answer(call).is_none());
}

#[test]
fn empty_text_and_text_over_the_cap_are_refused_with_the_way_out() {
    let mut stage = Stage::ready();
    for empty in ["", "  ", "\n\t"] {
        let call = stage.say(empty);
        stage.fails_with(call, Code::InvalidArgument);
    }
    let most = (1 << 20) - 128;
    let fits = stage.say(&"x".repeat(most));
    let call = stage.say(&"x".repeat(most + 1));
    let error = stage.error(call);
    assert_eq!(error.code, Code::TooLarge);
    assert!(error.message.contains("1048449") && error.message.contains("1048448"), "{error}");
    assert_eq!(stage.next_asked().text().len(), most);
    stage.cancel(fits);

    let reason =
        Operation::FinalizeSimulation { provisional_success: false, provisional_reason: "x".repeat(1 << 20) };
    let call = stage.submit(reason);
    stage.fails_with(call, Code::TooLarge);
    assert!(stage.asked.is_empty());
}

#[test]
fn what_waits_is_bounded() {
    let mut config = Config::default();
    config.limits.queued_turns = 3;
    config.limits.waiting_calls = 2;
    let mut stage = Stage::unlinked(config);
    let starts = [(); 3].map(|()| stage.submit(Operation::Start));
    stage.fails_with(starts[2], Code::Busy);
    let turns = [(); 4].map(|()| stage.say("hi"));
    stage.fails_with(turns[3], Code::Busy);

    let mut config = Config::default();
    config.limits.waiting_calls = 8;
    let mut stage = Stage::ready_with(config);
    let calls = [(); 9].map(|()| stage.submit(Operation::Ping));
    stage.fails_with(calls[8], Code::Busy);
    assert_eq!(stage.asked.len(), 8);
    let turn = stage.say("turns are not calls");
    assert!(stage.answer(turn).is_none());
}

#[test]
fn a_garbage_message_is_one_error_event_and_the_link_goes_on() {
    let mut stage = Stage::ready();
    let call = stage.say("hi");
    let garbage: [&[u8]; 4] = [b"\xff\xff\xff", b"\x22\x64x", b"\x1a\x02\x0a\x05", b"GET / HTTP/1.1\r\n\r\n"];
    for (count, garbage) in garbage.into_iter().enumerate() {
        stage.deliver(garbage.to_vec());
        let errors = stage.events_named("error");
        assert_eq!(errors.len(), count + 1);
        assert_eq!(stage.events().len(), count + 1);
    }
    stage.play("hi", "hello");
    assert_eq!(stage.turn(call).reply, "hello");
}

#[test]
fn an_empty_message_is_nothing() {
    let mut stage = Stage::ready();
    stage.deliver(Vec::new());
    assert_eq!(stage.events(), []);
}

#[test]
fn what_is_newer_than_the_schema_is_passed_on_as_unknown_with_its_bytes() {
    use base64::Engine as _;
    let mut stage = Stage::ready();
    // A payload, an event, a conversation item, a tool update newer than ours, and a request, which an agent does not send.
    let messages: [&[u8]; 5] = [
        b"\xfa\x7f\x03new",
        b"\x1a\x06\xfa\x7f\x03new",
        b"\x1a\x0a\x62\x08\x0a\x06\xfa\x7f\x03new",
        b"\x1a\x09\xb2\x01\x06\xfa\x7f\x03new",
        b"\x22\x02\x12\x00",
    ];
    for message in messages {
        stage.deliver(message.to_vec());
        let event = stage.events().pop().unwrap();
        let raw = base64::engine::general_purpose::STANDARD.decode(event.raw.unwrap()).unwrap();
        assert_eq!(raw, message);
        let name = event.kind.name();
        assert!(matches!(name, "unknown" | "tool_update"), "{name}");
    }
    // A known event with a field newer than ours is known, and its bytes are kept.
    let mut event = script::encode(script::event(script::error("no"))).to_vec();
    event.extend(b"\xf8\x7f\x01");
    stage.deliver(event);
    let event = stage.events().pop().unwrap();
    assert_eq!(briefs(std::slice::from_ref(&event)), ["error: no"]);
    assert!(event.raw.is_some());
    assert_eq!(stage.events().len(), 6);
}

#[test]
fn the_bytes_of_a_message_that_tells_of_many_tools_are_kept_once() {
    let mut stage = Stage::ready();
    let tool = Tool { name: "t", call_id: "", output: Ok("") };
    let mut event = script::encode(script::event(script::tools(&[tool; 10]))).to_vec();
    event.extend(b"\xf8\x7f\x01");
    stage.deliver(event);
    let events = stage.events_named("tool_call");
    assert_eq!(events.len(), 10);
    assert_eq!(events.iter().filter(|event| event.raw.is_some()).count(), 1);
}

#[test]
fn an_item_newer_than_the_schema_is_told_once_and_stands_in_the_history() {
    use wire::chat_context::ChatItem;
    let newer = ChatItem { item: None };
    let mut stage = Stage::ready();
    let call = stage.say("hi");
    let id = stage.heard("hi");
    let reply = assistant("hello");
    stage.emit([added(user("hi")), added(newer.clone()), added(reply.clone())]);
    stage.respond_items(&id, [newer.clone(), newer.clone(), reply]);
    assert_eq!(stage.turn(call).reply, "hello");
    assert_eq!(stage.events_named("unknown").len(), 2, "one by the event, one by the response alone");

    let call = stage.submit(Operation::History);
    let asked = stage.next_asked();
    let history = payload::GetChatHistoryResponse { items: vec![user("hi"), newer, assistant("hello")] };
    stage.respond(&asked.id, None, Some(Payload::GetChatHistory(history)));
    let Some(Ok(Answer::History { items })) = stage.answer(call) else { panic!() };
    let kinds: Vec<String> = items
        .iter()
        .map(|item| serde_json::to_value(item).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["message", "unknown", "message"]);
}

#[test]
fn an_oversize_answer_fails_its_call_alone() {
    let mut stage = Stage::ready();
    let history = stage.submit(Operation::History);
    let ping = stage.submit(Operation::Ping);
    let turn = stage.say("hi");
    let (asked, pinged, said) = (stage.next_asked(), stage.next_asked(), stage.next_asked());
    let skip = |stage: &mut Stage, message: Message| {
        let head = script::encode(message);
        stage.controller.receive_skipped(20 << 20, &head, stage.now);
        stage.pump();
    };
    skip(&mut stage, script::response(&asked.id, None, None));
    let error = stage.error(history);
    assert_eq!(error.code, Code::TooLarge);
    assert!(error.message.contains("20971520") && error.message.contains("16777216"), "{error}");
    stage.respond(&pinged.id, None, Some(Payload::Pong(payload::Pong {})));
    assert_eq!(stage.answer(ping), Some(Ok(Answer::Done)));

    stage.emit([added(user("hi")), added(assistant("seen"))]);
    let next = stage.say("next");
    skip(&mut stage, script::run_input(&said.id, None, []));
    stage.fails_with(turn, Code::TooLarge);
    stage.play("next", "reply");
    assert_eq!(briefs(&stage.turn(next).events), ["earlier assistant: seen", "assistant: reply"]);

    // What answers nobody is an event: somebody should know.
    stage.controller.receive_skipped(20 << 20, &script::encode(script::event(script::usage())), stage.now);
    stage.controller.receive_skipped(20 << 20, b"\xff", stage.now);
    let events = stage.events_named("unknown");
    assert_eq!(events.len(), 2);
    assert!(matches!(&events[0].kind, EventKind::Unknown { what } if what.contains("20971520")));
    // The skipped answer of a call that was given up is nobody's.
    skip(&mut stage, script::response(&asked.id, None, None));
    assert_eq!(stage.events_named("unknown").len(), 2);
}

#[test]
fn lost_messages_are_reported_as_one_gap_before_the_next_event_or_after_a_moment() {
    let mut stage = Stage::ready();
    let gaps = |stage: &Stage| -> Vec<u64> {
        let events = stage.events_named("gap").into_iter();
        events
            .map(|event| match event.kind {
                EventKind::Gap { dropped } => dropped,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let lose = |stage: &mut Stage| {
        stage.controller.receive_skipped(30, &[], stage.now);
        stage.pump();
    };
    let turn = stage.say("hi");
    let said = stage.next_asked();
    lose(&mut stage);
    lose(&mut stage);
    assert!(gaps(&stage).is_empty());
    stage.emit([added(user("hi"))]);
    assert_eq!(gaps(&stage), [2]);
    lose(&mut stage);
    stage.wait(secs(0.1));
    assert_eq!(gaps(&stage), [2, 1]);
    // A lost answer fails its call; what the end of the session overtakes is reported before it.
    let head = script::encode(script::run_input(&said.id, None, []));
    stage.controller.receive_skipped(head.len(), &head, stage.now);
    stage.pump();
    let error = stage.error(turn);
    assert_eq!(error.code, Code::TooLarge);
    assert!(error.message.contains("was lost"), "{error}");
    lose(&mut stage);
    stage.close("the agent exited");
    assert_eq!(gaps(&stage), [2, 1, 1]);
}

#[test]
fn the_end_of_the_link_fails_all_that_is_pending_at_once_with_the_reason() {
    let mut stage = Stage::ready();
    let active = stage.say("a");
    let queued = stage.say("b");
    let call = stage.submit(Operation::History);
    stage.emit([added(user("a")), added(assistant("half"))]);
    stage.close("the agent exited with code 1");
    for call in [active, queued, call] {
        let error = stage.error(call);
        assert_eq!((error.code, error.message.as_str()), (Code::AgentGone, "the agent exited with code 1"));
    }
    let after = [Operation::Ping, Operation::Start, Operation::Say { text: "c".to_owned() }];
    for operation in after {
        let call = stage.submit(operation);
        stage.fails_with(call, Code::AgentGone);
    }
    let last = stage.events().pop().unwrap();
    assert_eq!(last.kind.name(), "closed");
    assert_eq!(stage.controller.poll_timeout(), None);
    // Nothing opens it again, and what still comes is let pass.
    stage.asked.clear();
    stage.close("again");
    stage.controller.open(stage.now);
    stage.emit([added(assistant("ghost"))]);
    stage.wait(secs(1_000.0));
    assert_eq!(stage.events().pop().unwrap(), last);
    assert!(stage.asked.is_empty());
}

#[test]
fn a_session_that_never_had_a_link_closes_too() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.submit(Operation::Start);
    let turn = stage.say("hi");
    stage.close("the agent never connected");
    stage.fails_with(start, Code::AgentGone);
    stage.fails_with(turn, Code::AgentGone);
    assert_eq!(stage.events().len(), 1);
}

#[test]
fn a_reader_of_the_journal_reads_on_where_it_stopped() {
    let mut stage = Stage::ready();
    let mut next = stage.controller.journal().end();
    let mut seen = Vec::new();
    for at in 0..100 {
        stage.emit([script::error(&at.to_string())]);
        if at % 7 == 0 {
            let read = stage.controller.journal().read(next, 3);
            assert!(read.events.len() <= 3);
            next = read.next;
            seen.extend(read.events);
        }
    }
    assert_eq!(stage.controller.journal().read(next, 0).next, next, "reading nothing goes nowhere");
    let read = stage.controller.journal().read(next, usize::MAX);
    seen.extend(read.events);
    let texts: Vec<String> = (0..100).map(|at| format!("error: {at}")).collect();
    assert_eq!(briefs(&seen), texts);
    assert!(seen.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    assert_eq!(stage.controller.journal().read(read.next, 10).events, []);
    assert_eq!(stage.controller.journal().read(u64::MAX, 10).events, []);
}

#[test]
fn a_reader_that_is_behind_reads_the_gap_once() {
    let mut config = Config::default();
    config.limits.kept_events = 10;
    let mut stage = Stage::ready_with(config);
    stage.emit((0..25).map(|at| script::error(&at.to_string())));
    let journal = stage.controller.journal();
    let first = journal.read(6, 2);
    assert_eq!(briefs(&first.events), ["gap of 10", "error: 15", "error: 16"]);
    let rest = journal.read(first.next, usize::MAX);
    assert_eq!(briefs(&rest.events[..1]), ["error: 17"]);
    assert_eq!(rest.events.len(), 8);
    assert_eq!(journal.read(6, 0).next, 6, "the gap is not lost to who reads nothing");
}
