//! Agents that hang up, fall silent, or tell of one thing in two ways.

use greenroom_protocol::error::{Code, Error};
use greenroom_protocol::message::{
    Answer, CloseReason, EventKind, Item as SessionItem, Operation, SessionCloseReason,
};
use greenroom_protocol::session::Config;
use greenroom_protocol::wire;
use greenroom_protocol::wire::agent_session_event::tool_execution_updated as update;
use greenroom_protocol::wire::agent_session_event::{
    Event as Wire, FunctionToolsExecuted, ToolExecutionUpdated,
};
use greenroom_protocol::wire::chat_context::{ChatItem, chat_item::Item};

use crate::script::{self, added, assistant, user};
use crate::stage::{Stage, briefs, secs};

fn hang_up(stage: &mut Stage) {
    let error = Error::new(Code::AgentGone, "the agent hung up (user_initiated)");
    stage.controller.session_closed(SessionCloseReason::UserInitiated, None, stage.now);
    stage.controller.close(CloseReason::AgentEnded, error, stage.now);
    stage.pump();
}

fn call(id: &str, name: &str) -> wire::FunctionCall {
    wire::FunctionCall {
        call_id: id.to_owned(),
        name: name.to_owned(),
        arguments: "{}".to_owned(),
        ..Default::default()
    }
}

fn output(id: &str, text: &str) -> wire::FunctionCallOutput {
    wire::FunctionCallOutput { call_id: id.to_owned(), output: text.to_owned(), ..Default::default() }
}

fn started(call: wire::FunctionCall) -> Wire {
    let started = update::Started { function_call: Some(call) };
    Wire::ToolExecutionUpdated(ToolExecutionUpdated { update: Some(update::Update::Started(started)) })
}

fn ended(id: &str, message: &str, status: wire::ToolCallStatus) -> Wire {
    let ended = update::Ended {
        id: id.to_owned(),
        call_id: id.to_owned(),
        message: Some(message.to_owned()),
        status: status.into(),
    };
    Wire::ToolExecutionUpdated(ToolExecutionUpdated { update: Some(update::Update::Ended(ended)) })
}

fn executed(calls: Vec<wire::FunctionCall>, outputs: Vec<wire::FunctionCallOutput>) -> Wire {
    Wire::FunctionToolsExecuted(FunctionToolsExecuted {
        function_calls: calls,
        function_call_outputs: outputs,
    })
}

#[test]
fn turn_in_which_the_agent_hangs_up_is_a_turn() {
    let mut stage = Stage::ready();
    let turn = stage.say("bye");
    let waiting = stage.say("still there?");
    let _ = stage.heard("bye");
    stage.emit([added(user("bye")), added(assistant("goodbye"))]);
    hang_up(&mut stage);
    let turn = stage.turn(turn);
    assert_eq!((turn.reply.as_str(), turn.error), ("goodbye", None));
    assert_eq!(stage.error(waiting).message, "the agent hung up (user_initiated)");
    let events = stage.events();
    let [.., said, last] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        said.kind,
        EventKind::SessionClosed { reason: SessionCloseReason::UserInitiated, error: None }
    );
    assert!(matches!(last.kind, EventKind::Closed { reason: CloseReason::AgentEnded, .. }));
}

#[test]
fn turn_that_was_answered_survives_any_end() {
    let mut stage = Stage::ready();
    let turn = stage.say("over to billing");
    let id = stage.heard("over to billing");
    stage.emit([added(user("over to billing")), added(script::handoff(Some("main"), "billing"))]);
    stage.respond_items(&id, []);
    stage.close("the agent exited with code 1");
    assert_eq!(briefs(&stage.turn(turn).events), ["main => billing"]);
}

#[test]
fn history_of_an_ended_session_is_what_events_told() {
    let mut stage = Stage::ready();
    let turn = stage.say("hi");
    stage.play("hi", "hello");
    stage.turn(turn);
    hang_up(&mut stage);
    let history = stage.submit(Operation::History);
    let Some(Ok(Answer::History { items })) = stage.answer(history) else { panic!("no history") };
    assert!(matches!(&items[0], SessionItem::Unknown { what } if what.contains("agent_ended")), "{items:?}");
    assert_eq!(items.len(), 3);
    let other = stage.submit(Operation::Usage);
    stage.fails_with(other, Code::AgentGone);
}

#[test]
fn silent_agent_is_reported_once_and_again_when_it_is_back() {
    let mut stage = Stage::ready();
    stage.answers_pings = false;
    stage.wait(secs(60.0));
    assert!(stage.events_named("agent_unresponsive").is_empty(), "nothing waits for it");
    let turn = stage.say("hi");
    let id = stage.heard("hi");
    stage.emit([added(user("hi"))]);
    stage.wait(secs(3.9));
    assert!(stage.events_named("agent_unresponsive").is_empty());
    stage.wait(secs(0.2));
    stage.wait(secs(10.0));
    assert_eq!(stage.events_named("agent_unresponsive").len(), 1);
    assert!(stage.controller.silence(stage.now).is_some());
    stage.respond_items(&id, [assistant("back")]);
    let reports = stage.events_named("agent_unresponsive");
    let [first, second] = &reports[..] else { panic!("{reports:?}") };
    assert!(
        matches!(first.kind, EventKind::AgentUnresponsive { silent_ms, recovered: false } if silent_ms < 4_500.0)
    );
    assert!(
        matches!(second.kind, EventKind::AgentUnresponsive { silent_ms, recovered: true } if silent_ms > 14_000.0)
    );
    stage.wait(secs(1.0));
    assert_eq!(stage.turn(turn).reply, "back");
}

#[test]
fn idle_agent_that_is_silent_is_reported_once_and_again_when_it_is_back() {
    let mut config = Config::default();
    config.idle_ping_after = Some(secs(2.0));
    let mut stage = Stage::ready_with(config);
    stage.wait(secs(600.0));
    assert!(stage.events_named("agent_unresponsive").is_empty(), "it answers every ping");
    let turns = stage.controller.turns();

    stage.answers_pings = false;
    stage.wait(secs(5.1));
    stage.wait(secs(60.0));
    let reports = stage.events_named("agent_unresponsive");
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert!(
        matches!(report.kind, EventKind::AgentUnresponsive { silent_ms, recovered: false } if silent_ms < 5_100.0)
    );
    assert!(stage.controller.silence(stage.now).is_some());
    assert_eq!((stage.controller.turns(), stage.controller.in_turn()), (turns, false));

    stage.answers_pings = true;
    let turn = stage.say("hi");
    stage.play("hi", "hello");
    stage.wait(secs(600.0));
    assert_eq!(stage.turn(turn).reply, "hello");
    let reports = stage.events_named("agent_unresponsive");
    let [_, last] = &reports[..] else { panic!("{reports:?}") };
    assert!(matches!(last.kind, EventKind::AgentUnresponsive { recovered: true, .. }));
    assert!(stage.controller.silence(stage.now).is_none());
}

#[test]
fn idle_pings_leave_turns_as_they_are() {
    let mut config = Config::default();
    config.idle_ping_after = Some(secs(2.0));
    let mut stage = Stage::ready_with(config);
    for _ in 0..3 {
        stage.wait(secs(7.0));
        let turn = stage.say("hi");
        stage.wait(secs(7.0));
        stage.play("hi", "hello");
        stage.wait(secs(1.0));
        let turn = stage.turn(turn);
        assert_eq!(turn.reply, "hello");
        assert_eq!(briefs(&turn.events), ["assistant: hello"]);
    }
}

#[test]
fn agent_that_only_takes_long_is_not_reported() {
    let mut stage = Stage::ready();
    let turn = stage.say("hi");
    stage.wait(secs(60.0));
    stage.play("hi", "hello");
    stage.wait(secs(1.0));
    assert_eq!(stage.turn(turn).reply, "hello");
    assert!(stage.events_named("agent_unresponsive").is_empty());
}

#[test]
fn deadline_of_a_turn_names_the_silence() {
    let mut stage = Stage::ready();
    stage.answers_pings = false;
    let turn = stage.say_within("hi", 8.0);
    let usage = stage.submit_within(Operation::Usage, Some(secs(8.0)));
    stage.wait(secs(9.0));
    for call in [turn, usage] {
        let error = stage.error(call);
        assert_eq!(error.code, Code::Timeout);
        assert!(error.message.contains("its event loop is blocked"), "{error}");
    }
}

#[test]
fn tools_of_a_batch_come_in_the_order_of_their_calls() {
    let mut stage = Stage::ready();
    let turn = stage.say("two");
    let id = stage.heard("two");
    let calls = [call("slow", "slow"), call("fast", "fast")];
    stage.emit([added(user("two")), started(calls[0].clone()), started(calls[1].clone())]);
    let done = vec![output("fast", "f"), output("slow", "s")];
    stage.emit([executed(calls.iter().rev().cloned().collect(), done)]);
    stage.respond_items(&id, []);
    stage.wait(secs(1.0));
    assert_eq!(briefs(&stage.turn(turn).events), ["slow({}) -> s", "fast({}) -> f"]);
}

#[test]
fn tools_of_a_batch_are_in_the_order_of_the_answer_where_no_start_is_told() {
    let mut stage = Stage::ready();
    let turn = stage.say("two");
    let id = stage.heard("two");
    let calls = [call("fast", "fast"), call("slow", "slow")];
    stage
        .emit([added(user("two")), executed(calls.to_vec(), vec![output("fast", "f"), output("slow", "s")])]);
    let items = [("slow", "s"), ("fast", "f")].map(|(id, text)| {
        let called = wire::FunctionCall { id: format!("item_{id}"), ..call(id, id) };
        [Item::FunctionCall(called), Item::FunctionCallOutput(output(id, text))]
    });
    let items = items.into_iter().flatten().map(|item| ChatItem { item: Some(item) });
    stage.respond_items(&id, items);
    stage.wait(secs(1.0));
    let turn = stage.turn(turn);
    assert_eq!(briefs(&turn.events), ["slow({}) -> s", "fast({}) -> f"]);
    let EventKind::ToolCall(first) = &turn.events[0].kind else { panic!("{turn:?}") };
    assert_eq!(first.id, "item_slow", "what only the item tells is there");
}

#[test]
fn tool_that_failed_in_one_event_failed_in_all() {
    let mut stage = Stage::ready();
    let turn = stage.say("boom");
    let id = stage.heard("boom");
    stage.emit([
        added(user("boom")),
        started(call("c", "boom")),
        ended("c", "KeyError: 'x'", wire::ToolCallStatus::TcError),
        executed(vec![call("c", "boom")], vec![output("c", "An internal error occurred")]),
    ]);
    stage.respond_items(&id, []);
    stage.wait(secs(1.0));
    let turn = stage.turn(turn);
    let EventKind::ToolCall(call) = &turn.events[0].kind else { panic!("{turn:?}") };
    assert!(call.is_error);
    assert_eq!(call.error.as_deref(), Some("KeyError: 'x'"));
}

#[test]
fn tool_whose_output_cannot_be_encoded_is_told_of_with_the_error() {
    let mut stage = Stage::ready();
    let turn = stage.say("odd");
    let id = stage.heard("odd");
    stage.emit([added(user("odd")), started(call("c", "odd"))]);
    stage.respond_error(&id, "'utf-8' codec can't encode character '\\ud83d': surrogates not allowed");
    stage.wait(secs(1.0));
    let turn = stage.turn(turn);
    assert_eq!(briefs(&turn.events), ["odd({}) -> ?"]);
    assert!(turn.error.unwrap().contains("lone surrogate"));
}

#[test]
fn history_that_the_agent_cannot_give_is_what_events_told() {
    let mut stage = Stage::ready();
    let turn = stage.say("hi");
    stage.play("hi", "hello");
    stage.turn(turn);
    let history = stage.submit(Operation::History);
    let asked = stage.next_asked();
    stage.respond(&asked.id, Some("internal error"), None);
    let Some(Ok(Answer::History { items })) = stage.answer(history) else { panic!("no history") };
    assert!(
        matches!(&items[0], SessionItem::Unknown { what } if what.contains("internal error")),
        "{items:?}"
    );
    assert_eq!(items.len(), 3);
}

#[test]
fn waiting_tool_is_marked() {
    let mut stage = Stage::ready();
    let turn = stage.say("pay");
    let id = stage.heard("pay");
    let question = "waiting for the person's answer to: Pay 5 euros?";
    stage.emit([added(user("pay")), executed(vec![call("c", "pay")], vec![output("c", question)])]);
    stage.respond_items(&id, []);
    stage.wait(secs(1.0));
    let turn = stage.turn(turn);
    let EventKind::ToolCall(call) = &turn.events[0].kind else { panic!("{turn:?}") };
    assert!(call.waiting && !call.is_error);
}

#[test]
fn stand_in_for_a_room_is_named_once() {
    let mut stage = Stage::ready();
    let turn = stage.say("hi");
    let id = stage.heard("hi");
    let greeting = assistant("Hello <MagicMock name='mock.name' id='1'>!");
    stage.emit([added(user("hi")), added(greeting), added(assistant("<MagicMock name='mock' id='2'>"))]);
    stage.respond_items(&id, []);
    stage.wait(secs(1.0));
    let turn = stage.turn(turn);
    let hints = turn.events.iter().filter(|event| event.kind.name() == "error").count();
    assert_eq!((hints, turn.error), (1, None));
}
