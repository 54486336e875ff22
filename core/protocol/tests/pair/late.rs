//! Turns whose caller gave up: the next goes at once, and what comes of the first is kept and marked.

use greenroom_protocol::error::Code;
use greenroom_protocol::message::EventKind;
use greenroom_protocol::session::{CallId, Config};

use crate::script::{self, Tool, added, assistant, state, tools, user};
use crate::stage::{Stage, briefs, secs};

const JS_NO_ITEMS: &str = "agent produced no response items";

/// The late turns that were told of: what the user had said, the reply, the error.
fn late_turns(stage: &Stage) -> Vec<(String, String, Option<String>)> {
    let told = stage.events_named("late_turn").into_iter().map(|event| {
        assert!(event.late);
        match event.kind {
            EventKind::LateTurn { text, reply, error } => (text, reply, error),
            other => panic!("{other:?}"),
        }
    });
    told.collect()
}

fn late(text: &str, reply: &str) -> (String, String, Option<String>) {
    (text.to_owned(), reply.to_owned(), None)
}

/// A turn that times out after a second; `begun` says whether the agent has told that it heard it.
fn time_out(stage: &mut Stage, text: &str, begun: bool) -> String {
    let call = stage.say_within(text, 1.0);
    let id = stage.heard(text);
    if begun {
        stage.emit([added(user(text)), state(2, 3)]);
    }
    stage.wait(secs(1.1));
    stage.fails_with(call, Code::Timeout);
    id
}

#[test]
fn the_next_turn_goes_at_once_and_the_late_answer_is_kept_marked_and_told() {
    let mut stage = Stage::ready();
    let first = stage.say_within("slow", 1.0);
    let second = stage.say("next");
    let first_id = stage.heard("slow");
    stage.emit([added(user("slow")), state(2, 3)]);
    stage.wait(secs(0.9));
    assert!(stage.asked.is_empty(), "one at a time");
    stage.wait(secs(0.2));
    let error = stage.error(first);
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("may still be running"), "{error}");
    let second_id = stage.heard("next");

    // An agent that works off its turns in order, however late.
    let (slow, next) = (assistant("slow reply"), assistant("next reply"));
    stage.emit([added(slow.clone()), state(3, 2)]);
    stage.respond_items(&first_id, [slow]);
    stage.emit([added(user("next")), state(2, 3), added(next.clone())]);
    stage.respond_items(&second_id, [next]);

    let turn = stage.turn(second);
    assert_eq!(turn.reply, "next reply");
    assert_eq!(briefs(&turn.events), ["earlier late assistant: slow reply", "assistant: next reply"]);
    assert_eq!(late_turns(&stage), [late("slow", "slow reply")]);
}

#[test]
fn an_agent_that_drops_the_first_for_the_second_as_both_sdks_do_gives_the_second_its_own() {
    for (dropped, error) in [("python", None), ("javascript", Some(JS_NO_ITEMS))] {
        let mut stage = Stage::ready();
        let first_id = time_out(&mut stage, "slow", true);
        let second = stage.say("next");
        let second_id = stage.heard("next");
        stage.emit([state(3, 2)]);
        stage.send(script::run_input(&first_id, error, []));
        let reply = assistant("reply");
        stage.emit([added(user("next")), state(2, 3), script::usage(), added(reply.clone()), state(3, 2)]);
        stage.respond_items(&second_id, [reply]);
        let turn = stage.turn(second);
        assert_eq!(briefs(&turn.events), ["assistant: reply"], "{dropped}");
        assert!(!turn.interrupted && turn.error.is_none());
        assert_eq!(late_turns(&stage), [late("slow", "")]);
        assert!(stage.events_named("usage").iter().all(|event| !event.late));
    }
}

#[test]
fn a_late_answer_while_nobody_asks_is_shown_before_the_next_turn() {
    let mut stage = Stage::ready();
    let id = time_out(&mut stage, "slow", true);
    let tool = Tool { name: "lookup", call_id: "c", output: Ok("Sunny") };
    let reply = assistant("It is sunny.");
    stage.emit([tools(&[tool]), added(reply.clone())]);
    let [call, output] = tool.items();
    stage.respond_items(&id, [call, output, reply]);
    stage.emit([added(assistant("by the way"))]);
    let next = stage.say("hi");
    stage.play("hi", "hello");
    assert_eq!(
        briefs(&stage.turn(next).events),
        [
            "earlier late lookup({}) -> Sunny",
            "earlier late assistant: It is sunny.",
            "earlier assistant: by the way",
            "assistant: hello"
        ]
    );
    assert_eq!(late_turns(&stage), [late("slow", "It is sunny.")]);
}

#[test]
fn what_was_said_before_the_caller_gave_up_is_part_of_the_late_reply() {
    let mut stage = Stage::ready();
    let call = stage.say_within("count", 1.0);
    let id = stage.heard("count");
    let (one, two) = (assistant("one"), assistant("two"));
    stage.emit([added(user("count")), added(one.clone())]);
    stage.wait(secs(1.1));
    stage.fails_with(call, Code::Timeout);
    stage.emit([added(two.clone())]);
    stage.respond_items(&id, [one, two, assistant("three")]);
    assert_eq!(late_turns(&stage), [late("count", "one\ntwo\nthree")]);
    assert_eq!(stage.controller.unseen_events(), 3);
}

#[test]
fn the_same_words_said_again_are_told_apart() {
    // The agent had not even begun with the first when the second came.
    let mut stage = Stage::ready();
    let first_id = time_out(&mut stage, "hello", false);
    let second = stage.say("hello");
    let second_id = stage.heard("hello");
    let (one, two) = (assistant("one"), assistant("two"));
    stage.emit([added(user("hello")), added(one.clone())]);
    stage.respond_items(&first_id, [one]);
    stage.emit([added(user("hello")), added(two.clone())]);
    stage.respond_items(&second_id, [two]);
    let turn = stage.turn(second);
    assert_eq!(briefs(&turn.events), ["earlier late assistant: one", "assistant: two"]);
    assert!(!turn.interrupted);
    assert_eq!(late_turns(&stage), [late("hello", "one")]);
}

#[test]
fn several_late_turns_each_get_their_own() {
    let mut stage = Stage::ready();
    let texts = ["a", "b", "c"];
    let ids: Vec<String> = texts.iter().map(|text| time_out(&mut stage, text, false)).collect();
    let last = stage.say("d");
    let last_id = stage.heard("d");
    for (text, id) in texts.iter().zip(&ids) {
        let reply = assistant(&format!("{text}!"));
        stage.emit([added(user(text)), added(reply.clone())]);
        stage.respond_items(id, [reply]);
    }
    let reply = assistant("d!");
    stage.emit([added(user("d")), added(reply.clone())]);
    stage.respond_items(&last_id, [reply]);
    let turn = stage.turn(last);
    assert_eq!(
        briefs(&turn.events),
        [
            "earlier late assistant: a!",
            "earlier late assistant: b!",
            "earlier late assistant: c!",
            "assistant: d!"
        ]
    );
    assert_eq!(late_turns(&stage), [late("a", "a!"), late("b", "b!"), late("c", "c!")]);
}

#[test]
fn answers_in_any_order_find_their_turn_by_id() {
    let mut stage = Stage::ready();
    let first_id = time_out(&mut stage, "a", false);
    let second_id = time_out(&mut stage, "b", false);
    let third = stage.say("c");
    let third_id = stage.heard("c");
    stage.respond_items(&third_id, [assistant("c!")]);
    assert_eq!(stage.turn(third).reply, "c!");
    stage.respond_items(&second_id, [assistant("b!")]);
    stage.respond_items(&first_id, [assistant("a!")]);
    assert_eq!(late_turns(&stage), [late("b", "b!"), late("a", "a!")]);
    // A second answer to the same request is nobody's.
    stage.respond_items(&first_id, [assistant("again")]);
    assert_eq!(late_turns(&stage).len(), 2);
}

#[test]
fn a_turn_that_is_never_answered_attracts_nothing_once_a_later_one_was() {
    let mut stage = Stage::ready();
    time_out(&mut stage, "lost", true);
    let next = stage.say("next");
    stage.play("next", "reply");
    assert_eq!(stage.turn(next).reply, "reply");
    stage.emit([added(assistant("an hour later"))]);
    let between = stage.events().pop().unwrap();
    assert!(!between.late, "it is not the lost turn's");
    let next = stage.say("hi");
    stage.play("hi", "hello");
    assert_eq!(briefs(&stage.turn(next).events), ["earlier assistant: an hour later", "assistant: hello"]);
}

#[test]
fn the_answer_tells_what_belongs_to_a_turn_where_the_agent_does_not_echo_the_users_words() {
    let mut stage = Stage::ready();
    // The first is lost for good, and the agent rewrites what the user said: the order of events tells nothing.
    time_out(&mut stage, "lost", false);
    let call = stage.say("weather");
    let id = stage.heard("weather");
    let tool = Tool { name: "lookup", call_id: "c", output: Ok("Sunny") };
    let reply = assistant("It is sunny.");
    stage.emit([added(user("[cleaned] weather")), tools(&[tool]), added(reply.clone())]);
    let [called, output] = tool.items();
    stage.respond_items(&id, [called, output, reply]);
    let turn = stage.turn(call);
    assert_eq!(turn.reply, "It is sunny.");
    assert_eq!(
        briefs(&turn.events),
        ["earlier late user: [cleaned] weather", "lookup({}) -> Sunny", "assistant: It is sunny."]
    );
    assert_eq!(stage.events_named("tool_call").len(), 1);
    assert_eq!(stage.events_named("message").len(), 2);
}

#[test]
fn a_late_error_is_told() {
    let mut stage = Stage::ready();
    let id = time_out(&mut stage, "fail", true);
    stage.respond_error(&id, "llm exploded");
    assert_eq!(late_turns(&stage), [("fail".to_owned(), String::new(), Some("llm exploded".to_owned()))]);
}

#[test]
fn a_late_answer_over_the_cap_is_told_as_such() {
    let mut stage = Stage::ready();
    let id = time_out(&mut stage, "big", true);
    let head = script::encode(script::run_input(&id, None, []));
    stage.controller.receive_skipped(20 << 20, &head, stage.now);
    let told = late_turns(&stage);
    assert!(told[0].2.as_deref().is_some_and(|error| error.contains("20971520")), "{told:?}");
}

#[test]
fn a_cancelled_turn_is_late_too_and_the_next_goes_at_once() {
    let mut stage = Stage::ready();
    let first = stage.say("slow");
    let second = stage.say("never mind");
    let third = stage.say("next");
    let first_id = stage.heard("slow");
    stage.cancel(second);
    stage.fails_with(second, Code::Cancelled);
    assert!(stage.asked.is_empty(), "a queued turn is gone without a trace");
    stage.emit([added(user("slow")), state(2, 3)]);
    stage.cancel(first);
    stage.fails_with(first, Code::Cancelled);
    let third_id = stage.heard("next");
    stage.respond_items(&first_id, [assistant("slow reply")]);
    stage.respond_items(&third_id, [assistant("next reply")]);
    assert_eq!(stage.turn(third).reply, "next reply");
    assert_eq!(late_turns(&stage), [late("slow", "slow reply")]);
    // What is over cannot be cancelled, nor what never was.
    for call in [first, second, third, CallId(0), CallId(99)] {
        stage.cancel(call);
        assert!(stage.answer(call).is_none());
    }
}

#[test]
fn after_a_turn_that_the_agent_has_not_begun_the_next_waits_for_a_moment() {
    // Two turns that reach @livekit/agents before it has begun with the first: the second gets `internal error`.
    let given_up = || {
        let mut stage = Stage::ready();
        let first = stage.say("slow");
        stage.say("next");
        let id = stage.heard("slow");
        stage.cancel(first);
        stage.fails_with(first, Code::Cancelled);
        assert!(stage.asked.is_empty());
        (stage, id)
    };
    let (mut stage, _) = given_up();
    stage.emit([added(user("slow"))]);
    stage.heard("next");

    let (mut stage, id) = given_up();
    stage.respond_items(&id, []);
    stage.heard("next");

    let (mut stage, _) = given_up();
    stage.wait(secs(0.3));
    stage.heard("next");
}

#[test]
fn a_turn_cancelled_after_its_answer_is_not_late() {
    let mut stage = Stage::ready();
    let call = stage.say("hush");
    let id = stage.heard("hush");
    stage.respond_items(&id, []);
    stage.cancel(call);
    stage.fails_with(call, Code::Cancelled);
    let next = stage.say("hi");
    stage.play("hi", "hello");
    assert_eq!(briefs(&stage.turn(next).events), ["assistant: hello"]);
    assert_eq!(late_turns(&stage), []);
}

#[test]
fn each_queued_turn_has_its_own_deadline() {
    let mut stage = Stage::ready();
    let slow = stage.say_within("slow", 10.0);
    let short = stage.say_within("short", 1.0);
    let long = stage.say_within("long", 20.0);
    stage.wait(secs(1.1));
    stage.fails_with(short, Code::Timeout);
    assert!(stage.answer(slow).is_none() && stage.answer(long).is_none());
    stage.wait(secs(9.0));
    stage.fails_with(slow, Code::Timeout);
    assert_eq!(stage.next_asked().text(), "slow");
    stage.play("long", "here");
    assert_eq!(stage.turn(long).reply, "here");
}

#[test]
fn the_late_turns_that_are_remembered_are_bounded() {
    let mut config = Config::default();
    config.limits.late_turns = 3;
    let mut stage = Stage::ready_with(config);
    let ids: Vec<String> = (0..10).map(|at| time_out(&mut stage, &at.to_string(), false)).collect();
    for id in &ids {
        stage.respond_items(id, [assistant("late")]);
    }
    let told: Vec<String> = late_turns(&stage).into_iter().map(|(text, ..)| text).collect();
    assert_eq!(told, ["7", "8", "9"]);
}
