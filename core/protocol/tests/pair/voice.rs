//! The audio half of a session, under a clock that jumps: what is sent when, what is heard when, and turns whose user speaks.

use std::time::Duration;

use greenroom_protocol::error::Code;
use greenroom_protocol::message::{Answer, IoUpdate, MoreSpeech, Operation, SpokenTurn};
use greenroom_protocol::session::{CallId, Config};
use greenroom_protocol::time::Time;
use greenroom_protocol::turn::{Turn, Voice};
use greenroom_protocol::voice::{Clock, Losses, Speech, VoiceConfig};
use greenroom_protocol::wire::agent_session_message::Message;
use greenroom_protocol::wire::session_request::Request as Ask;

use crate::script::{self, assistant, clear, flush, speech, transcript, user};
use crate::stage::{Stage, secs};

const SECOND: usize = 48_000;

fn config(voice: VoiceConfig) -> Config {
    let mut config = Config::default();
    config.voice = Some(voice);
    config
}

fn voiced() -> Stage {
    Stage::ready_with(config(VoiceConfig::default()))
}

fn pcm(samples: usize, value: i16) -> Vec<u8> {
    value.to_le_bytes().repeat(samples)
}

fn spoken(samples: usize, value: i16) -> SpokenTurn {
    let audio = Speech::new(pcm(samples, value)).expect("it is speech");
    SpokenTurn { audio, text: "what I say".to_owned(), interrupt_after_ms: None, live: None }
}

fn speak(stage: &mut Stage, samples: usize, value: i16) -> CallId {
    stage.submit(Operation::SayAudio(spoken(samples, value)))
}

fn interrupt_after(stage: &mut Stage, after_ms: f64) -> CallId {
    let turn = SpokenTurn { interrupt_after_ms: Some(after_ms), ..spoken(SECOND / 2, 2_000) };
    stage.submit(Operation::SayAudio(turn))
}

/// All that the user's frames hold, from the first on.
fn sent(stage: &Stage) -> Vec<i16> {
    let bytes = stage.frames.iter().flat_map(|(_, frame)| frame.chunks_exact(2));
    bytes.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn count(samples: &[i16], value: i16) -> usize {
    samples.iter().filter(|&&sample| sample == value).count()
}

/// The agent takes what the user says as a message.
fn hears(stage: &mut Stage, text: &str) {
    stage.emit([transcript(text, true), script::added(user(text)), script::state(2, 3)]);
}

/// The agent answers aloud, and has been heard at the end of this.
fn answers(stage: &mut Stage, text: &str, samples: usize) {
    stage.emit([script::state(3, 4)]);
    stage.send(speech(samples, 500));
    stage.send(flush());
    let acks = stage.acks;
    stage.wait(Duration::from_secs_f64(samples as f64 / SECOND as f64));
    assert_eq!(stage.acks, acks + 1, "it was heard to the end");
    stage.emit([script::added(assistant(text)), script::state(4, 2)]);
}

fn voice(turn: &Turn) -> &greenroom_protocol::turn::Voice {
    turn.voice.as_ref().expect("the session has audio")
}

// ---- the user's audio ----------------------------------------------------------------------------------------------------------------

#[test]
fn a_session_with_audio_leaves_the_agent_its_ears_and_mouth() {
    let mut stage = Stage::unlinked(config(VoiceConfig::default()));
    stage.open();
    let toggles = |asked: &crate::stage::Asked| matches!(asked.ask, Some(Ask::UpdateIo(_)));
    assert!(!stage.asked.iter().any(toggles), "nothing is turned off");
}

#[test]
fn a_frame_goes_every_20_ms_and_silence_where_nothing_is_said() {
    let mut stage = voiced();
    stage.frames.clear();
    stage.wait(secs(1.0));
    assert_eq!(stage.frames.len(), 50);
    for pair in stage.frames.windows(2) {
        assert_eq!(pair[1].0.since(pair[0].0), Duration::from_millis(20));
    }
    assert_eq!(count(&sent(&stage), 0), SECOND);
}

#[test]
fn speech_begins_at_the_sample_at_which_it_is_given_and_comes_whole() {
    let mut stage = voiced();
    stage.frames.clear();
    stage.wait(Duration::from_micros(7_500));
    speak(&mut stage, 1_000, 2_000);
    stage.wait(secs(0.1));
    let sent = sent(&stage);
    let first = sent.iter().position(|&sample| sample != 0).expect("it is said");
    assert_eq!(first, 360, "7.5 ms into the frame");
    assert_eq!(&sent[first..first + 1_000], vec![2_000; 1_000].as_slice());
    assert_eq!(count(&sent, 2_000), 1_000);
}

#[test]
fn a_standstill_is_caught_up_with_and_one_of_more_than_ten_seconds_is_put_off() {
    let mut stage = voiced();
    stage.frames.clear();
    let late = |stage: &mut Stage, by: f64| {
        stage.now = stage.now + secs(by);
        stage.controller.handle_timeout(stage.now);
        stage.pump();
        std::mem::take(&mut stage.frames).len()
    };
    assert_eq!(late(&mut stage, 0.08), 4);
    assert_eq!(stage.controller.losses().map(|losses| losses.late_ms), Some(0.0));
    assert_eq!(late(&mut stage, 2.0), 100);
    assert_eq!(late(&mut stage, 10.0), 500);
    assert_eq!(stage.controller.losses(), Some(Losses::default()));
    assert_eq!(late(&mut stage, 10.02), 1);
    assert_eq!(stage.controller.losses().map(|losses| losses.late_ms), Some(10_000.0));
    stage.wait(secs(0.2));
    assert_eq!(stage.frames.len(), 10, "and the pace is the old one");
}

#[test]
fn times_of_a_turn_with_a_standstill_in_its_speech_are_those_of_real_time() {
    let said = |stalled: f64| {
        let mut stage = voiced();
        stage.frames.clear();
        let call = speak(&mut stage, SECOND, 2_000);
        stage.wait(secs(0.3));
        if stalled > 0.0 {
            stage.now = stage.now + secs(stalled);
            stage.controller.handle_timeout(stage.now);
            stage.pump();
        }
        stage.wait(secs(1.0 - stalled));
        hears(&mut stage, "what I say");
        stage.wait(secs(0.2));
        answers(&mut stage, "an answer", SECOND / 2);
        let turn = stage.turn(call);
        (sent(&stage), voice(&turn).clone())
    };
    let (exact, measured) = said(0.0);
    assert_eq!((measured.user_ms, measured.response_ms, measured.stalled_ms), (1_000.0, Some(500.0), 0.0));
    for stalled in [0.08, 0.5, 0.9] {
        let (caught_up, marked) = said(stalled);
        assert_eq!(caught_up, exact, "{stalled}");
        let expected = if stalled > 0.1 { (stalled * 1e3 / 20.0).floor() * 20.0 - 20.0 } else { 0.0 };
        assert!((expected..=stalled * 1e3).contains(&marked.stalled_ms), "{stalled}: {}", marked.stalled_ms);
        assert_eq!(Voice { stalled_ms: 0.0, ..marked }, measured, "{stalled}");
    }
}

#[test]
fn a_standstill_before_a_turn_does_not_mark_it() {
    let mut stage = voiced();
    stage.now = stage.now + secs(1.0);
    stage.controller.handle_timeout(stage.now);
    stage.pump();
    stage.wait(secs(0.1));
    let call = speak(&mut stage, SECOND, 2_000);
    stage.wait(secs(1.3));
    hears(&mut stage, "what I say");
    answers(&mut stage, "an answer", SECOND / 2);
    assert_eq!(voice(&stage.turn(call)).stalled_ms, 0.0);
}

#[test]
fn a_recording_has_no_hole_where_the_session_stood_still() {
    let mut config_of_voice = VoiceConfig::default();
    config_of_voice.record = true;
    let mut stage = Stage::ready_with(config(config_of_voice));
    let _call = speak(&mut stage, SECOND, 2_000);
    stage.wait(secs(0.3));
    stage.now = stage.now + secs(9.0);
    stage.controller.handle_timeout(stage.now);
    stage.pump();
    stage.close("gone");
    let mut recorded = Vec::new();
    while let Some(stretch) = stage.controller.poll_recording() {
        recorded.extend(stretch.chunks_exact(4).map(|both| i16::from_le_bytes([both[0], both[1]])));
    }
    assert_eq!(recorded.len() as u128, stage.now.since(Time::ZERO).as_micros() * 48 / 1_000);
    let first = recorded.iter().position(|&sample| sample == 2_000).expect("it is said");
    assert_eq!(recorded[first..first + SECOND], vec![2_000; SECOND]);
    assert_eq!(count(&recorded, 2_000), SECOND);
}

#[test]
fn nothing_that_is_said_is_lost_where_frames_are_late() {
    let mut stage = voiced();
    stage.frames.clear();
    speak(&mut stage, SECOND / 2, 2_000);
    stage.wait(secs(0.1));
    stage.now = stage.now + secs(1.0);
    stage.controller.handle_timeout(stage.now);
    stage.pump();
    stage.wait(secs(1.0));
    assert_eq!(count(&sent(&stage), 2_000), SECOND / 2);
}

#[test]
fn a_link_that_takes_nothing_costs_one_second_of_frames_at_most() {
    let mut stage = voiced();
    for _ in 0..250 {
        stage.now = stage.now + Duration::from_millis(20);
        stage.controller.handle_timeout(stage.now);
    }
    stage.frames.clear();
    stage.pump();
    assert_eq!(stage.frames.len(), 50);
    assert_eq!(stage.controller.losses().map(|losses| losses.link_ms), Some(4_000.0));
}

#[test]
fn a_live_source_is_bounded_and_what_it_gives_too_fast_is_counted() {
    let mut stage = voiced();
    stage.frames.clear();
    for _ in 0..100 {
        stage.controller.feed(pcm(480, 2_000).into(), stage.now);
    }
    stage.wait(secs(1.0));
    let said = count(&sent(&stage), 2_000);
    assert!((12_000..=14_400).contains(&said), "{said}");
    let lost = stage.controller.losses().map(|losses| losses.live_ms).expect("there is audio");
    assert_eq!(lost, (48_000 - said) as f64 / 48.0);
}

#[test]
fn a_live_source_in_its_own_pace_comes_without_a_hole() {
    let mut stage = voiced();
    stage.frames.clear();
    for turn in 0..100 {
        stage.controller.feed(pcm(480, 2_000).into(), stage.now);
        stage.wait(Duration::from_millis(if turn % 2 == 0 { 4 } else { 16 }));
    }
    stage.wait(secs(0.2));
    let sent = sent(&stage);
    let first = sent.iter().position(|&sample| sample != 0).expect("it is said");
    assert_eq!(count(&sent[first..first + SECOND], 2_000), SECOND);
}

// ---- the agent's audio ---------------------------------------------------------------------------------------------------------------

#[test]
fn a_flush_is_acknowledged_when_its_audio_has_been_heard_and_not_before() {
    let mut stage = voiced();
    for _ in 0..10 {
        stage.send(speech(4_800, 500));
    }
    stage.send(flush());
    stage.wait(Duration::from_micros(999_900));
    assert_eq!(stage.acks, 0);
    stage.wait(Duration::from_micros(100));
    assert_eq!(stage.acks, 1);
}

#[test]
fn segments_are_heard_one_after_the_other_and_acknowledged_each() {
    let mut stage = voiced();
    for _ in 0..2 {
        stage.send(speech(SECOND, 500));
        stage.send(flush());
    }
    stage.wait(secs(1.0));
    assert_eq!(stage.acks, 1);
    stage.wait(secs(1.0));
    assert_eq!(stage.acks, 2);
}

#[test]
fn a_flush_with_nothing_to_be_heard_is_acknowledged_at_once() {
    let mut stage = voiced();
    stage.send(flush());
    assert_eq!(stage.acks, 1);
    // Python sends it after a clear, and waits.
    stage.send(speech(SECOND, 500));
    stage.wait(secs(0.3));
    stage.send(clear());
    stage.send(flush());
    assert_eq!(stage.acks, 2);
}

#[test]
fn flushes_with_nothing_between_them_are_one() {
    let mut stage = voiced();
    stage.send(speech(SECOND, 500));
    stage.send(flush());
    stage.send(flush());
    stage.wait(secs(3.0));
    assert_eq!(stage.acks, 1);
}

#[test]
fn a_clear_makes_a_flush_void_and_the_next_segment_waits_for_its_own() {
    let mut stage = voiced();
    stage.send(speech(SECOND, 500));
    stage.send(flush());
    stage.wait(secs(0.4));
    stage.send(clear());
    stage.send(speech(2 * SECOND, 500));
    stage.send(flush());
    // The first would have ended here.
    stage.wait(secs(1.9));
    assert_eq!(stage.acks, 0, "nothing late credits the next segment");
    stage.wait(secs(0.1));
    assert_eq!(stage.acks, 1);
    stage.wait(secs(5.0));
    assert_eq!(stage.acks, 1);
}

#[test]
fn without_audio_every_flush_is_acknowledged_at_once() {
    let mut stage = Stage::ready();
    stage.send(speech(SECOND, 500));
    stage.send(flush());
    assert_eq!(stage.acks, 1);
    assert!(stage.frames.is_empty());
}

#[test]
fn audio_of_another_format_is_counted_and_not_heard() {
    let mut stage = voiced();
    let mut odd = speech(960, 500);
    if let Message::AudioOutput(frame) = &mut odd {
        frame.sample_rate = 24_000;
    }
    stage.send(odd);
    assert_eq!(stage.controller.losses().map(|losses| losses.odd_frames), Some(1));
}

#[test]
fn a_device_says_what_is_heard_when_it_plays() {
    let latency = Duration::from_millis(30);
    let clock = Clock::Pulled { latency };
    let mut voice = VoiceConfig::default();
    voice.clock = clock;
    let mut stage = Stage::ready_with(config(voice));
    stage.send(speech(SECOND, 500));
    stage.send(flush());
    stage.wait(secs(5.0));
    assert_eq!(stage.acks, 0, "nobody has played it");
    assert_eq!(stage.controller.pull(40_000, stage.now).len(), 80_000);
    stage.wait(secs(1.0));
    assert_eq!(stage.acks, 0, "only a part of it was played");
    assert_eq!(stage.controller.pull(40_000, stage.now).len(), 16_000, "what is left");
    stage.wait(secs(8_000.0 / 48_000.0 + 0.029));
    assert_eq!(stage.acks, 0, "it is on its way to the ear");
    stage.wait(secs(0.002));
    assert_eq!(stage.acks, 1);
}

// ---- turns ---------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_spoken_turn_tells_what_was_heard_said_and_how_long_it_took() {
    let mut stage = voiced();
    let call = speak(&mut stage, SECOND, 2_000);
    stage.wait(secs(1.0));
    assert_eq!(stage.asked.len(), 0, "speech is no request");
    stage.wait(secs(0.3));
    hears(&mut stage, "what I say");
    stage.wait(secs(0.2));
    answers(&mut stage, "an answer", SECOND / 2);
    let turn = stage.turn(call);
    assert_eq!((turn.text.as_str(), turn.heard.as_deref()), ("what I say", Some("what I say")));
    assert_eq!((turn.reply.as_str(), turn.silent, turn.interrupted), ("an answer", false, false));
    let voice = voice(&turn);
    assert_eq!((voice.user_ms, voice.agent_ms), (1000.0, 500.0));
    assert_eq!(voice.response_ms, Some(500.0));
    let audio = voice.audio.as_ref().expect("it spoke");
    assert_eq!(audio.samples(), &pcm(SECOND / 2, 500));
    assert_eq!(turn.duration_ms, 2_000.0, "not a moment longer than the conversation");
    assert_eq!((voice.cut_ms, voice.yield_ms), (None, None));
}

/// Begins a turn whose speech comes while it is said.
fn speak_live(stage: &mut Stage, name: &str, samples: usize) -> CallId {
    let turn = SpokenTurn { live: Some(name.to_owned()), ..spoken(samples, 2_000) };
    stage.submit(Operation::SayAudio(turn))
}

fn say_more(stage: &mut Stage, name: &str, samples: usize, last: bool) -> CallId {
    let audio = (samples > 0).then(|| Speech::new(pcm(samples, 2_000)).expect("it is speech"));
    stage.submit(Operation::SayMore(MoreSpeech { live: name.to_owned(), audio, last }))
}

#[test]
fn a_live_turn_goes_on_until_its_last_speech_was_said() {
    let mut stage = voiced();
    stage.frames.clear();
    let call = speak_live(&mut stage, "mic", 480);
    for piece in 1..100 {
        stage.wait(Duration::from_millis(if piece % 2 == 0 { 4 } else { 16 }));
        let more = say_more(&mut stage, "mic", 480, false);
        assert_eq!(stage.answer(more), Some(Ok(Answer::Done)));
    }
    stage.wait(secs(0.5));
    hears(&mut stage, "what I say");
    answers(&mut stage, "yes?", SECOND / 4);
    assert!(stage.answer(call).is_none(), "the user may go on");
    say_more(&mut stage, "mic", SECOND / 4, false);
    stage.wait(secs(0.5));
    let last = say_more(&mut stage, "mic", 0, true);
    assert_eq!(stage.answer(last), Some(Ok(Answer::Done)));
    hears(&mut stage, "and more");
    answers(&mut stage, "an answer", SECOND / 2);
    let turn = stage.turn(call);
    assert_eq!(turn.heard.as_deref(), Some("what I say and more"));
    let sent = sent(&stage);
    let first = sent.iter().position(|&sample| sample != 0).expect("it is said");
    assert_eq!(count(&sent[first..first + SECOND], 2_000), SECOND, "without a hole, however it came");
    assert_eq!(count(&sent, 2_000), SECOND + SECOND / 4);
    let late = say_more(&mut stage, "mic", 480, false);
    stage.fails_with(late, Code::InvalidArgument);
}

#[test]
fn a_live_turn_that_waits_keeps_what_comes_and_is_complete_before_it_begins() {
    let mut stage = voiced();
    let first = speak(&mut stage, SECOND / 2, 500);
    let live = speak_live(&mut stage, "mic", 480);
    say_more(&mut stage, "mic", SECOND / 4, false);
    say_more(&mut stage, "mic", SECOND / 4, true);
    stage.frames.clear();
    stage.wait(secs(0.5));
    hears(&mut stage, "one");
    answers(&mut stage, "yes", SECOND / 4);
    stage.turn(first);
    stage.wait(secs(0.6));
    hears(&mut stage, "two");
    answers(&mut stage, "yes again", SECOND / 4);
    assert_eq!(stage.turn(live).heard.as_deref(), Some("two"));
    assert_eq!(count(&sent(&stage), 2_000), 480 + SECOND / 2);
}

#[test]
fn a_live_turn_whose_speech_never_ends_is_bounded() {
    let mut stage = voiced();
    let call = speak_live(&mut stage, "mic", SECOND);
    for _ in 0..179 {
        let more = say_more(&mut stage, "mic", SECOND, false);
        assert_eq!(stage.answer(more), Some(Ok(Answer::Done)));
    }
    let more = say_more(&mut stage, "mic", 1, false);
    stage.fails_with(more, Code::TooLarge);
    // Nobody ends it: its deadline does, which is as much later as it is longer.
    for seconds in [100.0, 100.0, 99.0] {
        stage.wait(secs(seconds));
        assert!(stage.answer(call).is_none());
    }
    stage.wait(secs(1.0));
    stage.fails_with(call, Code::Timeout);
}

#[test]
fn silence_around_the_users_words_is_not_speech() {
    let mut stage = voiced();
    let mut samples = pcm(SECOND / 4, 0);
    samples.extend(pcm(SECOND / 2, 2_000));
    samples.extend(pcm(SECOND / 4, 0));
    let audio = Speech::new(samples).expect("it is speech");
    let call = stage.submit(Operation::SayAudio(SpokenTurn { audio, ..spoken(1, 1) }));
    stage.wait(secs(1.0));
    hears(&mut stage, "what I say");
    answers(&mut stage, "an answer", SECOND / 2);
    let turn = stage.turn(call);
    assert_eq!(voice(&turn).user_ms, 500.0);
    assert_eq!(voice(&turn).response_ms, Some(250.0), "from the last sound, not from the end of the file");
}

#[test]
fn an_agent_that_answers_before_the_user_is_done_is_heard_out() {
    let mut stage = voiced();
    let call = speak(&mut stage, 3 * SECOND, 2_000);
    stage.wait(secs(0.5));
    hears(&mut stage, "what");
    answers(&mut stage, "yes?", SECOND / 4);
    stage.wait(secs(2.3));
    assert!(stage.answer(call).is_none());
    hears(&mut stage, "I say");
    answers(&mut stage, "an answer", SECOND / 2);
    let turn = stage.turn(call);
    assert_eq!(turn.heard.as_deref(), Some("what I say"));
    assert_eq!(turn.reply, "yes?\nan answer");
}

#[test]
fn a_turn_that_nobody_hears_ends_silent() {
    let mut stage = voiced();
    let call = speak(&mut stage, SECOND, 2_000);
    stage.wait(secs(10.9));
    assert!(stage.answer(call).is_none());
    stage.wait(secs(0.2));
    let turn = stage.turn(call);
    assert_eq!((turn.heard.as_deref(), turn.reply.as_str(), turn.silent), (Some(""), "", true));
    assert_eq!((voice(&turn).response_ms, voice(&turn).audio.is_none()), (None, true));
}

#[test]
fn a_turn_that_is_heard_and_not_answered_ends_silent() {
    let mut stage = voiced();
    let call = speak(&mut stage, SECOND, 2_000);
    stage.wait(secs(1.2));
    stage.emit([transcript("what I say", true), script::added(user("what I say"))]);
    stage.wait(secs(3.1));
    assert!(stage.turn(call).silent);
}

#[test]
fn a_tool_keeps_a_spoken_turn_open_until_the_answer_is_heard() {
    let mut stage = voiced();
    let call = speak(&mut stage, SECOND, 2_000);
    stage.wait(secs(1.2));
    hears(&mut stage, "weather");
    stage.wait(secs(20.0));
    assert!(stage.answer(call).is_none(), "the agent is thinking");
    answers(&mut stage, "sunny", SECOND / 2);
    assert_eq!(stage.turn(call).reply, "sunny");
}

#[test]
fn turns_of_text_tell_what_was_heard_too() {
    let mut stage = voiced();
    let call = stage.say("hi");
    let id = stage.heard("hi");
    stage.emit([script::added(user("hi")), script::state(2, 3), script::state(3, 4)]);
    stage.wait(secs(0.2));
    stage.send(speech(SECOND, 500));
    stage.send(flush());
    stage.wait(secs(1.0));
    let reply = assistant("hello");
    stage.emit([script::added(reply.clone()), script::state(4, 2)]);
    stage.respond_items(&id, [reply]);
    let turn = stage.turn(call);
    assert_eq!(turn.heard, None);
    assert_eq!((voice(&turn).response_ms, voice(&turn).agent_ms), (Some(200.0), 1000.0));
}

#[test]
fn who_interrupts_waits_for_the_agent_to_speak_and_measures_how_it_yields() {
    let mut stage = voiced();
    let first = speak(&mut stage, SECOND / 2, 2_000);
    let second = interrupt_after(&mut stage, 300.0);
    stage.wait(secs(0.7));
    hears(&mut stage, "tell me");
    stage.emit([script::state(3, 4)]);
    stage.send(speech(5 * SECOND, 500));
    stage.send(flush());
    stage.wait(secs(0.3));
    stage.frames.clear();
    stage.wait(secs(0.25));
    assert!(count(&sent(&stage), 2_000) > 0, "the user speaks over it");
    stage.send(clear());
    stage.emit([script::added(script::cut_off("once upon")), script::state(4, 2)]);
    stage.wait(secs(0.5));
    let turn = stage.turn(first);
    assert!(turn.interrupted);
    assert_eq!((turn.reply.as_str(), voice(&turn).cut_ms), ("once upon", Some(550.0)));
    assert_eq!(voice(&turn).agent_ms, 550.0, "what was cut off was not heard");
    hears(&mut stage, "stop");
    answers(&mut stage, "all right", SECOND / 2);
    let turn = stage.turn(second);
    assert_eq!((turn.heard.as_deref(), turn.reply.as_str()), (Some("stop"), "all right"));
    assert_eq!(voice(&turn).yield_ms, Some(250.0));
    assert_eq!(stage.acks, 1, "only what was heard to its end is acknowledged");
}

#[test]
fn a_turn_of_text_can_be_interrupted_by_speech() {
    let mut stage = voiced();
    let first = stage.say("tell me");
    let id = stage.heard("tell me");
    stage.emit([script::added(user("tell me")), script::state(2, 3), script::state(3, 4)]);
    stage.send(speech(5 * SECOND, 500));
    stage.send(flush());
    let second = interrupt_after(&mut stage, 0.0);
    stage.wait(secs(0.6));
    stage.send(clear());
    let cut = script::cut_off("once");
    stage.emit([transcript("stop", true), script::added(cut.clone()), script::added(user("stop"))]);
    stage.respond_items(&id, [cut]);
    assert!(stage.turn(first).interrupted);
    stage.emit([script::state(2, 3)]);
    answers(&mut stage, "all right", SECOND / 2);
    let turn = stage.turn(second);
    assert_eq!((turn.heard.as_deref(), turn.reply.as_str()), (Some("stop"), "all right"));
    assert!(voice(&turn).yield_ms.is_some());
}

#[test]
fn an_agent_that_does_not_yield_is_told_so() {
    let mut stage = voiced();
    let first = speak(&mut stage, SECOND / 2, 2_000);
    let second = interrupt_after(&mut stage, 100.0);
    stage.wait(secs(0.7));
    hears(&mut stage, "tell me");
    answers(&mut stage, "once upon a time", 2 * SECOND);
    let turn = stage.turn(first);
    assert_eq!((turn.interrupted, voice(&turn).cut_ms), (false, None));
    hears(&mut stage, "stop");
    answers(&mut stage, "what?", SECOND / 2);
    assert_eq!(voice(&stage.turn(second)).yield_ms, None);
}

#[test]
fn an_agent_that_is_done_before_it_is_interrupted_fails_who_wanted_to() {
    let mut stage = voiced();
    let first = speak(&mut stage, SECOND / 2, 2_000);
    let second = interrupt_after(&mut stage, 5_000.0);
    stage.wait(secs(0.7));
    hears(&mut stage, "hi");
    answers(&mut stage, "hello", SECOND / 2);
    stage.turn(first);
    stage.fails_with(second, Code::Timeout);
}

#[test]
fn a_spoken_turn_that_is_given_up_falls_silent() {
    let mut stage = voiced();
    let call = speak(&mut stage, 5 * SECOND, 2_000);
    stage.wait(secs(1.0));
    stage.cancel(call);
    stage.fails_with(call, Code::Cancelled);
    stage.frames.clear();
    stage.wait(secs(1.0));
    assert_eq!(count(&sent(&stage), 2_000), 0);
    let next = speak(&mut stage, SECOND / 2, 1_000);
    stage.wait(secs(0.7));
    hears(&mut stage, "next");
    answers(&mut stage, "yes", SECOND / 2);
    assert_eq!(stage.turn(next).reply, "yes");
}

#[test]
fn speech_in_a_session_without_audio_is_refused_with_the_way_out() {
    let mut stage = Stage::ready();
    let call = speak(&mut stage, SECOND, 2_000);
    let error = stage.error(call);
    assert_eq!(error.code, Code::Unsupported);
    assert!(error.message.contains("start it with audio"), "{error}");
}

#[test]
fn bad_speech_is_refused_with_what_is_wrong() {
    assert_eq!(Speech::new(Vec::<u8>::new()).map_err(|error| error.code), Err(Code::InvalidArgument));
    assert_eq!(Speech::new(vec![0_u8; 3]).map_err(|error| error.code), Err(Code::InvalidArgument));
    let long = Speech::new(vec![0_u8; 181 * 96_000]).map_err(|error| error.code);
    assert_eq!(long, Err(Code::TooLarge));
    for json in [r#"{"op":"say_audio","audio":"!"}"#, r#"{"op":"say_audio","audio":""}"#] {
        assert!(serde_json::from_str::<Operation>(json).is_err());
    }
    let mut stage = voiced();
    let call = interrupt_after(&mut stage, -1.0);
    stage.fails_with(call, Code::InvalidArgument);
}

#[test]
fn a_link_that_goes_takes_speech_and_who_interrupts_with_it() {
    let mut stage = voiced();
    let first = speak(&mut stage, SECOND, 2_000);
    let second = interrupt_after(&mut stage, 100.0);
    stage.close("gone");
    stage.fails_with(first, Code::AgentGone);
    stage.fails_with(second, Code::AgentGone);
    assert_eq!(stage.controller.poll_timeout(), None);
}

#[test]
fn turns_of_text_and_speech_wait_for_each_other() {
    let mut stage = voiced();
    let first = stage.say("hi");
    let second = speak(&mut stage, SECOND, 2_000);
    stage.frames.clear();
    stage.wait(secs(0.5));
    assert_eq!(count(&sent(&stage), 2_000), 0);
    stage.play("hi", "hello");
    stage.turn(first);
    stage.wait(secs(1.2));
    assert_eq!(count(&sent(&stage), 2_000), SECOND);
    hears(&mut stage, "what I say");
    answers(&mut stage, "yes", SECOND / 2);
    assert_eq!(stage.turn(second).number, 2);
}

// ---- the recording -------------------------------------------------------------------------------------------------------------------

#[test]
fn the_recording_has_the_user_left_and_the_agent_right_in_their_time() {
    let mut voice = VoiceConfig::default();
    voice.record = true;
    let mut stage = Stage::unlinked(config(voice));
    let start = stage.open();
    stage.answer_start(&[]);
    let mut recording: Vec<(i16, i16)> = Vec::new();
    let mut listen = |stage: &mut Stage, seconds: f64| {
        let end = stage.now + secs(seconds);
        while stage.now < end {
            stage.wait(Duration::from_millis(20));
            while let Some(stretch) = stage.controller.poll_recording() {
                let samples = stretch.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
                let samples: Vec<i16> = samples.collect();
                recording.extend(samples.chunks_exact(2).map(|both| (both[0], both[1])));
            }
        }
    };
    listen(&mut stage, 1.0);
    stage.started(start);
    speak(&mut stage, SECOND, 2_000);
    listen(&mut stage, 0.5);
    stage.send(speech(SECOND, 500));
    listen(&mut stage, 2.0);
    assert_eq!(recording.len(), stage.now.since(Time::ZERO).as_millis() as usize * 48);
    let place = |of: fn(&(i16, i16)) -> i16| {
        let first = recording.iter().position(|both| of(both) != 0);
        let last = recording.iter().rposition(|both| of(both) != 0);
        (first, last)
    };
    assert_eq!(place(|both| both.0), (Some(SECOND), Some(2 * SECOND - 1)));
    assert_eq!(place(|both| both.1), (Some(SECOND * 3 / 2), Some(SECOND * 5 / 2 - 1)));
}

#[test]
fn the_recording_goes_to_the_moment_at_which_the_link_goes() {
    let mut voice = VoiceConfig::default();
    voice.record = true;
    let mut stage = Stage::ready_with(config(voice));
    stage.send(speech(SECOND, 500));
    stage.wait(Duration::from_micros(512_500));
    stage.close("gone");
    let mut recorded = 0;
    while let Some(stretch) = stage.controller.poll_recording() {
        recorded += stretch.len() / 4;
    }
    assert_eq!(recorded as u128, stage.now.since(Time::ZERO).as_micros() * 48 / 1_000);
    assert!(stage.controller.losses().is_some(), "what was lost is still known");
}

#[test]
fn audio_can_be_turned_off_and_on() {
    let mut stage = voiced();
    let update = IoUpdate { input_audio: Some(false), ..IoUpdate::default() };
    stage.submit(Operation::UpdateIo(update));
    assert!(matches!(stage.next_asked().ask, Some(Ask::UpdateIo(_))));
}
