//! From the link to the first turn.

use greenroom_protocol::error::Code;
use greenroom_protocol::message::{Answer, Operation};
use greenroom_protocol::session::Config;
use greenroom_protocol::wire::session_request::Request as Ask;
use greenroom_protocol::wire::session_response::{self as payload, Response as Payload};

use crate::script::{self, added, assistant, handoff, user};
use crate::stage::{Stage, briefs, secs};

#[test]
fn it_asks_for_a_ping_text_mode_the_framework_the_state_and_the_history() {
    let mut stage = Stage::unlinked(Config::default());
    stage.open();
    let asked: Vec<Ask> = stage.asked.iter().filter_map(|asked| asked.ask.clone()).collect();
    let io = match &asked[..] {
        [
            Ask::Ping(_),
            Ask::UpdateIo(io),
            Ask::GetFrameworkInfo(_),
            Ask::GetSessionState(_),
            Ask::GetChatHistory(_),
        ] => io,
        other => panic!("{other:?}"),
    };
    let (input, output) = (io.input.unwrap(), io.output.unwrap());
    assert_eq!((input.audio_enabled, input.video_enabled), (Some(false), None));
    assert_eq!(
        (output.audio_enabled, output.video_enabled, output.transcription_enabled),
        (Some(false), None, Some(false))
    );
}

#[test]
fn what_is_turned_off_is_not_asked() {
    let mut config = Config::default();
    config.text_mode = false;
    config.fetch_history = false;
    let mut stage = Stage::unlinked(config);
    let start = stage.open();
    assert!(
        stage.asked.iter().all(|asked| !matches!(asked.ask, Some(Ask::UpdateIo(_) | Ask::GetChatHistory(_))))
    );
    stage.answer_start(&[]);
    stage.wait(secs(1.0));
    stage.started(start);
}

#[test]
fn an_idle_agent_is_ready_once_all_is_answered_and_nothing_happens_any_more() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    // As Python sends it: before anything is asked.
    stage.emit([added(handoff(None, "main")), script::state(0, 2)]);
    stage.wait(secs(0.05));
    stage.answer_start(&[]);
    assert!(!stage.controller.is_ready(), "the settle is not over");
    stage.wait(secs(0.1));
    let started = stage.started(start);
    assert!(stage.controller.is_ready());
    assert_eq!(briefs(&started.events), [" => main"]);
    assert_eq!(started.agent_id.as_deref(), Some("main"));
    assert_eq!(started.framework.unwrap().sdk, "python");
    assert_eq!(stage.controller.unseen_events(), 0, "the start has shown it");
}

#[test]
fn a_start_that_is_asked_for_later_tells_of_the_agent_all_the_same() {
    let mut stage = Stage::ready();
    let start = stage.submit(Operation::Start);
    let started = stage.started(start);
    assert_eq!(started.agent_id.as_deref(), Some("main"));
    assert!(started.framework.is_some() && started.events.is_empty());
}

#[test]
fn what_python_told_live_is_not_told_again_by_the_history() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    let (first, greeting) = (handoff(None, "main"), assistant("Welcome!"));
    stage.emit([
        added(first.clone()),
        script::state(0, 2),
        script::state(2, 4),
        added(greeting.clone()),
        script::state(4, 2),
    ]);
    // Python's history begins with the handoff and with the instructions and tools that the agent begins with.
    stage.answer_start(&[first, script::config(&["lookup"]), greeting]);
    stage.wait(secs(1.0));
    let started = stage.started(start);
    assert_eq!(briefs(&started.events), [" => main", "assistant: Welcome!"]);
    assert_eq!(stage.events_named("message").len(), 1);
    assert_eq!(stage.events_named("handoff").len(), 1);
    assert_eq!(stage.events_named("config").len(), 0, "that an agent has tools is no change");
}

#[test]
fn what_javascript_lost_before_the_link_is_found_in_the_history() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    let [call, output] = script::Tool { name: "menu", call_id: "fake_call_0", output: Ok("\"tea\"") }.items();
    stage.answer_start(&[
        handoff(None, "main"),
        user("greeting please"),
        call,
        output,
        assistant("Welcome!"),
    ]);
    stage.wait(secs(1.0));
    let started = stage.started(start);
    assert_eq!(
        briefs(&started.events),
        [" => main", "user: greeting please", "menu({}) -> \"tea\"", "assistant: Welcome!"]
    );
    // The scripted LLM repeats its call ids: the history's is not taken for the turn's.
    let turn = stage.say("tea");
    let id = stage.heard("tea");
    let tool = script::Tool { name: "menu", call_id: "fake_call_0", output: Ok("\"tea\"") };
    stage.emit([added(user("tea")), script::tools(&[tool])]);
    stage.respond_items(&id, tool.items());
    assert_eq!(briefs(&stage.turn(turn).events), ["menu({}) -> \"tea\""]);
}

#[test]
fn a_greeting_under_way_is_waited_for() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    stage.emit([added(handoff(None, "main")), script::state(0, 2), script::state(2, 3)]);
    stage.answer_start(&[]);
    stage.wait(secs(5.0));
    assert!(stage.answer(start).is_none(), "the agent still thinks");
    stage.emit([script::state(3, 4), added(assistant("Welcome!")), script::state(4, 2)]);
    stage.wait(secs(0.2));
    assert_eq!(briefs(&stage.started(start).events), [" => main", "assistant: Welcome!"]);
}

#[test]
fn a_busy_agent_is_waited_for_only_so_long() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    stage.emit([script::state(0, 3)]);
    stage.answer_start(&[]);
    stage.wait(secs(9.9));
    assert!(stage.answer(start).is_none());
    stage.wait(secs(0.2));
    stage.started(start);
}

#[test]
fn a_silent_agent_ends_the_start_with_a_timeout_that_says_so() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    stage.wait(secs(59.9));
    assert!(stage.answer(start).is_none());
    stage.wait(secs(0.2));
    let error = stage.error(start);
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("did not answer a ping within 1m"), "{error}");
}

#[test]
fn a_start_that_is_to_be_over_sooner_fails_sooner_if_the_agent_is_silent() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open_within(secs(2.5));
    stage.wait(secs(2.4));
    assert!(stage.answer(start).is_none());
    stage.wait(secs(0.2));
    let error = stage.error(start);
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("did not answer a ping within 2s 500ms"), "{error}");
}

#[test]
fn a_start_that_is_to_be_over_sooner_waits_no_longer_for_a_greeting() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open_within(secs(2.5));
    stage.emit([script::state(0, 3)]);
    stage.answer_start(&[]);
    stage.wait(secs(2.4));
    assert!(stage.answer(start).is_none());
    stage.wait(secs(0.2));
    stage.started(start);
}

/// Drops every request that the agent was sent.
fn lose_requests(stage: &mut Stage) {
    stage.asked.clear();
}

#[test]
fn start_ping_is_repeated_until_the_agent_answers() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open_within(secs(60.0));
    lose_requests(&mut stage);
    stage.wait(secs(30.1));
    assert!(stage.answer(start).is_none());
    assert_eq!(stage.asked.len(), 60, "one ping each half second");
    assert!(stage.asked.iter().all(|asked| matches!(asked.ask, Some(Ask::Ping(_)))));
    let last = stage.asked.pop().unwrap();
    lose_requests(&mut stage);
    stage.respond(&last.id, None, Some(Payload::Pong(payload::Pong {})));
    // What the agent was asked before it listened is asked again, once.
    let asked: Vec<Ask> = stage.asked.iter().filter_map(|asked| asked.ask.clone()).collect();
    assert!(
        matches!(
            &asked[..],
            [Ask::UpdateIo(_), Ask::GetFrameworkInfo(_), Ask::GetSessionState(_), Ask::GetChatHistory(_)]
        ),
        "{asked:?}"
    );
    stage.answer_start(&[]);
    stage.wait(secs(1.0));
    let started = stage.started(start);
    assert_eq!(started.framework.unwrap().sdk, "python");
    assert_eq!(stage.asked.len(), 0, "an agent that has answered is not pinged again");
}

#[test]
fn start_requests_that_were_only_slow_are_not_sent_again() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    stage.wait(secs(1.2));
    assert_eq!(stage.asked.len(), 7, "five requests, and two more pings");
    stage.answer_start(&[assistant("Welcome!")]);
    assert_eq!(stage.asked.len(), 0, "the answer to the first ping shows that nothing was lost");
    stage.wait(secs(1.0));
    assert_eq!(briefs(&stage.started(start).events), ["assistant: Welcome!"]);
}

#[test]
fn start_that_loses_its_agent_goes_on_with_the_next() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    let early = stage.say("hi");
    let ping = stage.submit(Operation::Ping);
    assert!(stage.controller.unlink());
    stage.pump();
    stage.fails_with(ping, Code::AgentGone);
    lose_requests(&mut stage);
    stage.wait(secs(5.0));
    assert_eq!(stage.asked.len(), 0, "nothing is sent without a link");
    stage.controller.open_by(stage.now + secs(10.0), stage.now);
    stage.pump();
    stage.answer_start(&[]);
    stage.wait(secs(1.0));
    stage.started(start);
    stage.play("hi", "hello");
    assert_eq!(stage.turn(early).reply, "hello");
}

#[test]
fn what_an_agent_does_not_answer_holds_the_start_up_for_10_s_at_most() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    let ping = stage.next_asked();
    stage.respond(&ping.id, None, Some(Payload::Pong(payload::Pong {})));
    stage.wait(secs(10.5));
    let started = stage.started(start);
    assert_eq!((started.framework, started.agent_id), (None, None));
}

#[test]
fn an_agent_that_refuses_the_details_is_ready_all_the_same() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    for asked in std::mem::take(&mut stage.asked) {
        stage.respond(&asked.id, Some("internal error"), None);
    }
    stage.wait(secs(1.0));
    stage.started(start);
}

#[test]
fn a_history_over_the_cap_does_not_stop_the_start() {
    let mut stage = Stage::unlinked(Config::default());
    let start = stage.open();
    let history = stage.asked.pop().unwrap();
    stage.answer_start(&[]);
    let head = script::encode(script::response(&history.id, None, None));
    stage.controller.receive_skipped(20 << 20, &head, stage.now);
    stage.wait(secs(1.0));
    stage.started(start);
}

#[test]
fn what_was_said_before_nobody_waits_for_comes_with_the_first_turn() {
    let mut stage = Stage::unlinked(Config::default());
    stage.controller.open(stage.now);
    stage.pump();
    stage.answer_start(&[handoff(None, "main"), assistant("Welcome!")]);
    stage.wait(secs(1.0));
    assert_eq!(stage.controller.unseen_events(), 2);
    let turn = stage.say("hi");
    stage.play("hi", "hello");
    let turn = stage.turn(turn);
    assert_eq!(briefs(&turn.events), ["earlier  => main", "earlier assistant: Welcome!", "assistant: hello"]);
    assert_eq!(turn.reply, "hello", "the greeting is no reply");
}

#[test]
fn operations_wait_for_the_link_or_say_that_it_is_not_there() {
    let mut stage = Stage::unlinked(Config::default());
    let ping = stage.submit(Operation::Ping);
    stage.fails_with(ping, Code::AgentGone);
    let early = stage.say("hi");
    let late = stage.say_within("never", 1.0);
    stage.wait(secs(2.0));
    stage.fails_with(late, Code::Timeout);
    let start = stage.open();
    stage.answer_start(&[]);
    stage.wait(secs(1.0));
    stage.started(start);
    stage.play("hi", "hello");
    let turn = stage.turn(early);
    assert_eq!((turn.reply.as_str(), turn.number), ("hello", 1));
    assert!(turn.queued_ms > 2_000.0, "{}", turn.queued_ms);
}

#[test]
fn a_start_can_be_cancelled_and_has_a_deadline_of_its_own() {
    let mut stage = Stage::unlinked(Config::default());
    let first = stage.open();
    let second = stage.submit_within(Operation::Start, Some(secs(1.0)));
    let third = stage.submit(Operation::Start);
    stage.cancel(first);
    stage.fails_with(first, Code::Cancelled);
    stage.wait(secs(1.5));
    stage.fails_with(second, Code::Timeout);
    stage.answer_start(&[]);
    stage.wait(secs(1.0));
    assert!(matches!(stage.answer(third), Some(Ok(Answer::Started(_)))));
}
