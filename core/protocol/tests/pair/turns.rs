//! What comes of one turn.

use greenroom_protocol::wire::agent_session_message::Message;

use crate::script::{self, Tool, added, assistant, handoff, state, tools, user};
use crate::stage::{Stage, briefs, secs};

const JS_NO_ITEMS: &str = "agent produced no response items";

#[test]
fn a_plain_turn_has_one_reply_and_shows_it_once() {
    let mut stage = Stage::ready();
    let call = stage.say("hi");
    stage.wait(secs(0.5));
    stage.play("hi", "echo: hi");
    let turn = stage.turn(call);
    assert_eq!(briefs(&turn.events), ["assistant: echo: hi"]);
    assert_eq!((turn.number, turn.text.as_str(), turn.reply.as_str()), (1, "hi", "echo: hi"));
    assert_eq!((turn.silent, turn.interrupted, turn.error), (false, false, None));
    assert_eq!((turn.duration_ms, turn.reply_delay_ms, turn.queued_ms), (500.0, Some(500.0), 0.0));
    assert_eq!(stage.events_named("message").len(), 2, "the user's and the agent's");
    assert_eq!(stage.controller.poll_timeout(), None, "nothing is awaited any more");
}

#[test]
fn a_response_without_any_event_tells_it_all() {
    let mut stage = Stage::ready();
    let call = stage.say("hi");
    let id = stage.heard("hi");
    let tool = Tool { name: "lookup", call_id: "c", output: Ok("Sunny") };
    let [called, output] = tool.items();
    stage.respond_items(&id, [called, output, assistant("It is sunny.")]);
    let turn = stage.turn(call);
    assert_eq!(briefs(&turn.events), ["lookup({}) -> Sunny", "assistant: It is sunny."]);
    assert_eq!(turn.reply, "It is sunny.");
    assert_eq!(stage.events_named("message").len(), 1);
}

#[test]
fn a_tool_call_shows_once_in_each_turn_although_its_call_id_repeats() {
    let mut stage = Stage::ready();
    for round in 0..5 {
        let call = stage.say("weather");
        let id = stage.heard("weather");
        let tool = Tool { name: "lookup", call_id: "fake_call_0", output: Ok("Sunny") };
        let reply = assistant("It is sunny.");
        stage.emit([
            added(user("weather")),
            state(2, 3),
            tools(&[tool]),
            state(3, 4),
            added(reply.clone()),
            state(4, 2),
        ]);
        let [called, output] = tool.items();
        stage.respond_items(&id, [called, output, reply]);
        let turn = stage.turn(call);
        assert_eq!(briefs(&turn.events), ["lookup({}) -> Sunny", "assistant: It is sunny."], "round {round}");
    }
    assert_eq!(stage.events_named("tool_call").len(), 5);
}

#[test]
fn the_same_call_id_twice_in_one_turn_shows_twice() {
    let mut stage = Stage::ready();
    let call = stage.say("weather");
    let id = stage.heard("weather");
    let first = Tool { name: "lookup", call_id: "c", output: Ok("Sunny") };
    let second = Tool { output: Ok("Rainy"), ..first };
    stage.emit([added(user("weather")), tools(&[first]), tools(&[second])]);
    let third = Tool { output: Ok("Foggy"), ..first };
    stage.respond_items(&id, [first, second, third].into_iter().flat_map(Tool::items));
    let turn = stage.turn(call);
    assert_eq!(briefs(&turn.events), ["lookup({}) -> Sunny", "lookup({}) -> Rainy", "lookup({}) -> Foggy"]);
}

#[test]
fn a_tool_that_fails_is_an_error_of_the_call_and_not_of_the_turn() {
    let mut stage = Stage::ready();
    let call = stage.say("boom");
    let id = stage.heard("boom");
    let tool = Tool { name: "boom", call_id: "c", output: Err("the tool broke") };
    stage.emit([added(user("boom")), tools(&[tool])]);
    // Python leaves the call of a tool that the agent does not have out of the response.
    stage.respond_items(&id, [tool.output_item(), assistant("It broke.")]);
    let turn = stage.turn(call);
    assert_eq!(briefs(&turn.events), ["boom({}) !> the tool broke", "assistant: It broke."]);
    assert_eq!((turn.error, turn.silent), (None, false));
}

#[test]
fn silence_is_a_success() {
    let mut stage = Stage::ready();
    let call = stage.say("hush");
    let id = stage.heard("hush");
    let tool = Tool { name: "stay_silent", call_id: "c", output: Ok("") };
    stage.emit([added(user("hush")), state(2, 3), tools(&[tool]), state(3, 2)]);
    stage.respond_items(&id, tool.items());
    let turn = stage.turn(call);
    assert!(turn.silent && !turn.interrupted && turn.error.is_none() && turn.reply.is_empty());
    assert_eq!(briefs(&turn.events), ["stay_silent({}) -> "]);
}

#[test]
fn an_empty_answer_is_silence_or_the_hosts_error_once_nobody_has_said_anything_for_a_moment() {
    for error in [None, Some(JS_NO_ITEMS)] {
        let mut stage = Stage::ready();
        let call = stage.say("hush");
        let id = stage.heard("hush");
        stage.emit([added(user("hush")), state(2, 3), state(3, 2)]);
        stage.send(script::run_input(&id, error, []));
        assert!(stage.answer(call).is_none(), "somebody may have interrupted it");
        stage.wait(secs(0.3));
        let turn = stage.turn(call);
        assert_eq!(
            (turn.silent, turn.error.as_deref()),
            (error.is_none(), error),
            "the JS host's word is taken"
        );
        assert!(!turn.interrupted);
        assert_eq!(turn.events, []);
    }
}

#[test]
fn an_empty_answer_before_somebody_elses_input_is_interrupted() {
    for error in [None, Some(JS_NO_ITEMS)] {
        let mut stage = Stage::ready();
        let call = stage.say("slow");
        let id = stage.heard("slow");
        stage.emit([added(user("slow")), state(2, 3)]);
        stage.send(script::run_input(&id, error, []));
        stage.emit([added(user("another controller"))]);
        let turn = stage.turn(call);
        assert!(turn.interrupted && !turn.silent && turn.error.is_none(), "{error:?}");
        assert_eq!(briefs(&turn.events), ["user: another controller"]);
        // What the agent says to the other belongs to no turn of ours; the next turn tells of it.
        stage.emit([added(assistant("to the other"))]);
        let next = stage.say("hi");
        stage.play("hi", "hello");
        let next = stage.turn(next);
        assert_eq!(briefs(&next.events), ["earlier assistant: to the other", "assistant: hello"]);
        assert_eq!(next.reply, "hello");
    }
}

#[test]
fn speech_that_was_cut_off_is_interrupted() {
    let mut stage = Stage::ready();
    let call = stage.say("story");
    let id = stage.heard("story");
    let message = script::cut_off("Once upon");
    stage.emit([added(user("story")), added(message.clone())]);
    stage.respond_items(&id, [message]);
    let turn = stage.turn(call);
    assert!(turn.interrupted && !turn.silent);
    assert_eq!(turn.reply, "Once upon");
}

#[test]
fn the_agents_error_is_the_turns_error() {
    let mut stage = Stage::ready();
    let call = stage.say("fail");
    let id = stage.heard("fail");
    // Python sends the error event before the user's message of the turn.
    stage.emit([script::error("type='llm_error'"), added(user("fail")), state(2, 3), state(3, 2)]);
    stage.respond_error(&id, "llm exploded");
    let turn = stage.turn(call);
    assert_eq!(turn.error.as_deref(), Some("llm exploded"));
    assert!(!turn.silent && !turn.interrupted);
    assert_eq!(briefs(&turn.events), ["error: type='llm_error'"]);
}

#[test]
fn no_items_and_an_error_event_is_a_failure_in_javascript() {
    let mut stage = Stage::ready();
    let call = stage.say("fail");
    let id = stage.heard("fail");
    stage.emit([added(user("fail")), state(2, 3), script::error("agent.ScriptedLLM"), state(3, 2)]);
    stage.respond_error(&id, JS_NO_ITEMS);
    let turn = stage.turn(call);
    assert_eq!(turn.error.as_deref(), Some(JS_NO_ITEMS));
    assert!(!turn.silent);
}

#[test]
fn an_error_without_words_is_an_error() {
    let mut stage = Stage::ready();
    let call = stage.say("fail");
    let id = stage.heard("fail");
    stage.respond_error(&id, "");
    let turn = stage.turn(call);
    assert!(turn.error.is_some_and(|error| !error.is_empty()) && !turn.silent);
}

/// A turn with a handoff up to the new agent's turn to speak. Gives the response's id and its items so far.
fn hand_over(stage: &mut Stage) -> (String, Vec<greenroom_protocol::wire::chat_context::ChatItem>) {
    let id = stage.heard("billing");
    let tool = Tool { name: "to_billing", call_id: "c", output: Ok("") };
    let to_billing = handoff(Some("main"), "billing");
    stage.emit([added(user("billing")), state(2, 3), tools(&[tool]), state(3, 2), added(to_billing.clone())]);
    (id, tool.items().into_iter().chain([to_billing]).collect())
}

#[test]
fn a_new_agent_that_speaks_within_the_answer_ends_the_turn_with_it() {
    let mut stage = Stage::ready();
    let call = stage.say("billing");
    let (id, mut items) = hand_over(&mut stage);
    let hello = assistant("Billing here.");
    stage.emit([added(user("greet")), state(2, 3), state(3, 4), added(hello.clone()), state(4, 2)]);
    items.push(hello);
    stage.respond_items(&id, items);
    let turn = stage.turn(call);
    assert_eq!(
        briefs(&turn.events),
        ["to_billing({}) -> ", "main => billing", "user: greet", "assistant: Billing here."]
    );
    assert!(!turn.interrupted && !turn.silent);
}

#[test]
fn a_new_agent_that_speaks_by_say_is_in_the_turn_though_javascript_leaves_it_out_of_the_answer() {
    let mut stage = Stage::ready();
    let call = stage.say("billing");
    let (id, items) = hand_over(&mut stage);
    stage.emit([added(assistant("Billing here."))]);
    stage.respond_items(&id, items);
    assert_eq!(stage.turn(call).reply, "Billing here.");
}

#[test]
fn a_new_agent_that_speaks_after_the_answer_is_waited_for() {
    let mut stage = Stage::ready();
    let call = stage.say("billing");
    let (id, items) = hand_over(&mut stage);
    stage.respond_items(&id, items);
    stage.wait(secs(0.2));
    stage.emit([state(2, 3)]);
    stage.wait(secs(3.0));
    assert!(stage.answer(call).is_none(), "the new agent thinks");
    stage.emit([state(3, 4), added(assistant("Billing here."))]);
    let turn = stage.turn(call);
    assert_eq!(briefs(&turn.events), ["to_billing({}) -> ", "main => billing", "assistant: Billing here."]);
}

#[test]
fn a_new_agent_that_does_not_speak_ends_the_turn_after_a_moment_or_at_the_latest_after_four_seconds() {
    let mut stage = Stage::ready();
    let call = stage.say("billing");
    let (id, items) = hand_over(&mut stage);
    stage.respond_items(&id, items.clone());
    stage.wait(secs(0.2));
    assert!(stage.answer(call).is_none());
    stage.wait(secs(0.1));
    assert!(stage.turn(call).silent);

    let call = stage.say("billing");
    let (id, items) = hand_over(&mut stage);
    stage.emit([state(2, 3)]);
    stage.respond_items(&id, items);
    stage.wait(secs(3.9));
    assert!(stage.answer(call).is_none(), "the new agent thinks");
    stage.wait(secs(0.2));
    assert!(stage.turn(call).silent);
}

#[test]
fn the_next_turn_waits_until_the_new_agent_has_spoken() {
    let mut stage = Stage::ready();
    let first = stage.say("billing");
    let second = stage.say("pay");
    let (id, items) = hand_over(&mut stage);
    stage.respond_items(&id, items);
    stage.wait(secs(0.2));
    assert!(stage.asked.is_empty(), "the next turn would cut the introduction off");
    stage.emit([state(2, 3), added(assistant("Billing here."))]);
    stage.turn(first);
    stage.play("pay", "paid");
    assert_eq!(stage.turn(second).reply, "paid");
}

#[test]
fn events_that_come_after_the_response_are_not_shown_twice() {
    let mut stage = Stage::ready();
    let call = stage.say("weather");
    let id = stage.heard("weather");
    let tool = Tool { name: "lookup", call_id: "c", output: Ok("Sunny") };
    let reply = assistant("It is sunny.");
    let [called, output] = tool.items();
    stage.respond_items(&id, [called, output, reply.clone()]);
    let turn = stage.turn(call);
    assert_eq!(briefs(&turn.events), ["lookup({}) -> Sunny", "assistant: It is sunny."]);
    // In a room, streams overtake each other: now come the events of the same turn.
    stage.emit([added(user("weather")), state(2, 3), tools(&[tool]), added(reply)]);
    assert_eq!(stage.events_named("tool_call").len(), 1);
    assert_eq!(briefs(&stage.events_named("message")), ["assistant: It is sunny.", "user: weather"]);
    let next = stage.say("weather");
    let id = stage.heard("weather");
    stage.emit([added(user("weather")), tools(&[tool])]);
    stage.respond_items(&id, tool.items());
    assert_eq!(
        briefs(&stage.turn(next).events),
        ["lookup({}) -> Sunny"],
        "nothing of the turn before, and its own call"
    );
}

#[test]
fn an_event_that_comes_twice_is_told_once() {
    let mut stage = Stage::ready();
    let call = stage.say("hi");
    let id = stage.heard("hi");
    let (said, reply) = (user("hi"), assistant("hello"));
    for _ in 0..3 {
        stage.emit([added(said.clone()), added(reply.clone())]);
    }
    stage.respond_items(&id, [reply.clone(), reply]);
    let turn = stage.turn(call);
    assert_eq!((briefs(&turn.events), turn.interrupted), (vec!["assistant: hello".to_owned()], false));
    assert_eq!(stage.events_named("message").len(), 2);
}

#[test]
fn several_messages_are_one_reply_of_several_lines() {
    let mut stage = Stage::ready();
    let call = stage.say("hi");
    let id = stage.heard("hi");
    let (first, empty, second) = (assistant("one"), assistant(""), assistant("two"));
    stage.emit([added(first.clone()), added(empty.clone())]);
    stage.respond_items(&id, [first, empty, second]);
    let turn = stage.turn(call);
    assert_eq!(turn.reply, "one\ntwo");
    assert_eq!(turn.events.len(), 3);
}

#[test]
fn queued_turns_go_one_at_a_time_in_order() {
    let mut stage = Stage::ready();
    let calls: Vec<_> = ["a", "b", "c"].map(|text| stage.say(text)).into();
    for (at, (call, text)) in calls.into_iter().zip(["a", "b", "c"]).enumerate() {
        assert_eq!(stage.asked.len(), 1, "one at a time");
        stage.wait(secs(1.0));
        stage.play(text, text);
        let turn = stage.turn(call);
        assert_eq!((turn.reply.as_str(), turn.number), (text, at as u64 + 1));
        assert_eq!((turn.duration_ms, turn.queued_ms), (1_000.0, 1_000.0 * at as f64));
    }
}

#[test]
fn what_is_said_between_turns_is_shown_before_the_next() {
    let mut stage = Stage::ready();
    stage.emit([added(user("by voice")), state(2, 4), added(assistant("Are you there?")), state(4, 2)]);
    stage.emit([added(script::config(&["refund"])), script::error("hiccup")]);
    assert_eq!(stage.controller.unseen_events(), 4);
    let call = stage.say("yes");
    stage.play("yes", "good");
    let turn = stage.turn(call);
    assert_eq!(
        briefs(&turn.events),
        [
            "earlier user: by voice",
            "earlier assistant: Are you there?",
            "earlier config",
            "earlier error: hiccup",
            "assistant: good"
        ]
    );
    assert_eq!((turn.reply.as_str(), turn.error, turn.interrupted), ("good", None, false));
    let call = stage.say("and now?");
    stage.play("and now?", "nothing");
    assert_eq!(stage.turn(call).events.len(), 1, "it is shown once");
}

#[test]
fn every_flush_is_acknowledged_and_audio_is_let_pass() {
    let mut stage = Stage::ready();
    for acks in 1..=3 {
        stage.send(Message::AudioOutput(Default::default()));
        stage.send(Message::AudioPlaybackFlush(Default::default()));
        assert_eq!(stage.acks, acks);
        stage.send(Message::AudioPlaybackClear(Default::default()));
    }
    assert_eq!(stage.acks, 3);
    assert_eq!(stage.events(), []);
}

#[test]
fn a_hundred_thousand_events_between_turns_stay_bounded_and_the_gap_is_counted() {
    for count in [10_000_u64, 100_000] {
        let mut stage = Stage::ready();
        let seen = stage.controller.journal().end();
        for at in 0..count {
            stage.emit([added(assistant(&format!("line {at}")))]);
        }
        let kept = 16_384.min(count);
        let lost = count - kept;
        assert_eq!(stage.controller.unseen_events() as u64, kept);

        let read = stage.controller.journal().read(seen, usize::MAX);
        let gap: Vec<String> = (lost > 0).then(|| format!("gap of {lost}")).into_iter().collect();
        assert_eq!(briefs(&read.events[..gap.len()]), gap);
        assert_eq!(read.events.len() as u64, kept + gap.len() as u64);
        assert_eq!(read.next, seen + count);

        let call = stage.say("hi");
        stage.play("hi", "hello");
        let turn = stage.turn(call);
        let gap: Vec<String> = gap.iter().map(|gap| format!("earlier {gap}")).collect();
        assert_eq!(briefs(&turn.events[..gap.len()]), gap);
        assert_eq!(turn.events.len() as u64, kept + gap.len() as u64 + 1);
        assert_eq!(turn.reply, "hello");
    }
}

#[test]
fn events_of_any_kind_are_bounded_by_size() {
    use greenroom_protocol::wire::agent_session_event as event;
    let mut stage = Stage::ready();
    let long = "x".repeat(1 << 20);
    for _ in 0..100 {
        stage.emit([script::WireEvent::ToolExecutionUpdated(event::ToolExecutionUpdated {
            update: Some(event::tool_execution_updated::Update::CallUpdated(
                event::tool_execution_updated::CallUpdated { message: long.clone(), ..Default::default() },
            )),
        })]);
    }
    let kept = stage.events();
    assert!(kept.len() <= 33, "{} MiB are kept", kept.len());
    assert_eq!(briefs(&kept[..1]), [format!("gap of {}", 100 - (kept.len() - 1))]);
}

#[test]
fn a_turn_that_waited_for_another_controllers_has_only_its_own() {
    let mut stage = Stage::ready();
    let call = stage.say("mine");
    let id = stage.heard("mine");
    // The host lets turns wait for each other: this is the other controller's.
    stage.emit([added(user("theirs")), added(assistant("to them"))]);
    let reply = assistant("to me");
    stage.emit([added(user("mine")), added(reply.clone())]);
    stage.respond_items(&id, [reply]);
    let turn = stage.turn(call);
    assert_eq!((turn.reply.as_str(), turn.interrupted), ("to me", false));
    assert_eq!(
        briefs(&turn.events),
        ["earlier user: theirs", "earlier assistant: to them", "assistant: to me"]
    );
}
