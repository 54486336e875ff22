//! What a person does: start, say, look, end.

use std::process::Child;

use greenroom_audio::{Format, wav};

use crate::stage::{Stage, eventually, finish, runs, signal, wait_with};

#[test]
fn a_conversation() {
    let stage = Stage::new();
    stage
        .start(&[])
        .ok()
        .told("Detected Python agent (agent.py in ")
        .told("Session default is ready on 127.0.0.1:");
    let said = stage.run(&["say", "hello"]).ok();
    assert_eq!(said.stdout, "\n  ● You\n    hello\n\n  ● Agent\n    echo: hello\n");
    assert_eq!(said.stderr, "");
    stage.run(&["history"]).ok().printed("● You\n    hello\n\n  ● Agent\n    echo: hello\n");
    stage.run(&["chat-history"]).ok().printed("echo: hello");
    stage.run(&["transcript"]).ok().printed("echo: hello");
    stage.run(&["status"]).ok().printed("ready").printed("be scripted");
    stage.run(&["list"]).ok().printed("default").printed("ready");
    stage.run(&["info"]).ok().printed("be scripted");
    stage.run(&["usage"]).ok();
    stage.run(&["events"]).ok().printed("message            assistant: echo: hello");
    stage.run(&["logs"]).ok().printed("the scripted peer connects to 127.0.0.1:");
    let record = stage.record();
    stage.run(&["end"]).ok().told("Session ended.");
    eventually("the daemon is gone", || !runs(record.pid));
    assert_eq!(std::fs::read_dir(stage.home()).unwrap().count(), 0, "nothing is left behind");
    stage
        .run(&["say", "hello"])
        .code(3)
        .told("there is no session default; start one with `greenroom start`");
}

#[test]
fn stop_is_end() {
    let stage = Stage::started();
    stage.run(&["stop"]).ok();
    stage.run(&["status"]).code(3);
}

#[test]
fn a_greeting_is_shown_at_the_start() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let mut command = stage.command(&["start", "--python", peer.to_str().unwrap()]);
    command.env("GREENROOM_PEER", "greet");
    wait_with(command, &[]).ok().printed("● Agent\n    welcome\n");
}

#[test]
fn text_comes_from_standard_input() {
    let stage = Stage::started();
    wait_with(stage.command(&["say"]), "grüß dich\n".as_bytes())
        .ok()
        .printed("● You\n    grüß dich\n")
        .printed("echo: grüß dich");
}

#[test]
fn silence_is_success() {
    let stage = Stage::started();
    stage.run(&["say", "silent"]).ok().printed("(no reply)");
}

#[test]
fn a_failed_turn_fails_the_command() {
    let stage = Stage::started();
    stage.run(&["say", "fail"]).code(1).printed("✗ agent error: failed on purpose");
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn what_happens_between_turns_is_shown_before_the_next() {
    let stage = Stage::started();
    stage.run(&["say", "flood", "3"]).ok();
    eventually("the events are there", || stage.json(&["status", "--json"])["unseen_events"] == 3);
    stage.run(&["say", "hello"]).ok().printed("(before this turn)\n\n  ● Agent\n    x\n");
}

#[test]
fn an_agents_text_cannot_drive_the_terminal() {
    let stage = Stage::started();
    let said = stage.run(&["say", "\u{1b}]0;evil\u{7}\u{202e}\u{9b}2J"]).ok();
    assert!(said.stdout.contains("echo: ␛]0;evil␇\\u{202e}\\u{9b}2J"), "{said:?}");
    assert!(!said.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}']));
    let events = stage.run(&["events"]).ok();
    assert!(!events.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}']));
}

#[test]
fn colours_only_where_they_are_wanted() {
    let stage = Stage::started();
    let plain = stage.run(&["say", "hello"]).ok();
    assert!(!plain.stdout.contains('\u{1b}'), "no terminal: {plain:?}");
    let said = |changes: &[(&str, &str)]| {
        let mut command = stage.command(&["say", "hello"]);
        command.envs(changes.iter().copied());
        wait_with(command, &[]).ok().stdout
    };
    assert!(said(&[("CLICOLOR_FORCE", "1"), ("TERM", "xterm")]).contains('\u{1b}'));
    assert!(!said(&[("CLICOLOR", "1"), ("TERM", "xterm"), ("NO_COLOR", "1")]).contains('\u{1b}'));
    assert!(!said(&[("TERM", "dumb")]).contains('\u{1b}'));
}

#[test]
fn sessions_have_names() {
    let stage = Stage::new();
    stage.start(&["--name", "one"]).ok().told("greenroom say -n one");
    stage.start(&["-n", "two"]).ok();
    stage.run(&["say", "-n", "one", "first"]).ok();
    let mut by_variable = stage.command(&["history"]);
    by_variable.env("GREENROOM_SESSION", "one");
    wait_with(by_variable, &[]).ok().printed("echo: first");
    assert!(!stage.run(&["history", "-n", "two"]).ok().stdout.contains("first"));
    let listed = stage.json(&["list", "--json"]);
    let names: Vec<_> =
        listed["sessions"].as_array().unwrap().iter().map(|session| &session["name"]).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn restart_starts_the_same_again() {
    let stage = Stage::started();
    let before = stage.record();
    stage.run(&["say", "hello"]).ok();
    stage.run(&["restart"]).ok().told("is ready on");
    let after = stage.record();
    assert_ne!(before.pid, after.pid);
    assert_eq!(before.launch, after.launch);
    assert_eq!(stage.run(&["history"]).ok().stdout, "");
}

#[test]
fn a_log_elsewhere_is_kept() {
    let stage = Stage::new();
    stage.start(&["--log", "agent.log"]).ok();
    stage.run(&["end"]).ok();
    let log = std::fs::read_to_string(stage.path().join("agent.log")).unwrap();
    assert!(log.contains("the scripted peer connects"), "{log}");
}

/// A command that goes on, and what it has printed so far.
fn follow(stage: &Stage, arguments: &[&str]) -> (Child, impl Fn() -> String) {
    let printed = stage.path().join("followed");
    let output = std::fs::File::create(&printed).unwrap();
    let child = stage.command(arguments).stdout(output).spawn().unwrap();
    (child, move || std::fs::read_to_string(&printed).unwrap())
}

#[test]
fn a_log_can_be_followed() {
    let stage = Stage::started();
    let (following, told) = follow(&stage, &["logs", "--follow", "--lines", "0"]);
    stage.run(&["say", "log", "20"]).ok();
    eventually("it follows", || told().contains(&"l".repeat(20)));
    stage.run(&["end"]).ok();
    finish(following).ok();
}

#[test]
fn events_can_be_followed_to_the_end() {
    let stage = Stage::started();
    let (following, told) = follow(&stage, &["events", "--follow", "--json", "--last", "0"]);
    stage.run(&["say", "hello"]).ok();
    eventually("it follows", || told().contains("echo: hello"));
    stage.run(&["end"]).ok();
    finish(following).ok();
    let kinds: Vec<String> = told()
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(kinds.contains(&"message".to_owned()), "{kinds:?}");
    assert_eq!(kinds.last().map(String::as_str), Some("closed"), "{kinds:?}");
}

#[test]
fn ctrl_c_during_a_stream_ends_it_quietly() {
    let stage = Stage::started();
    for stream in [["events", "-f"], ["logs", "-f"]] {
        let following = stage.command(&stream).spawn().unwrap();
        // Until it listens to signals, it is as any other process.
        eventually("it catches SIGINT", || catches_interrupts(following.id()));
        signal(following.id(), "INT");
        let outcome = finish(following).code(130);
        assert_eq!(outcome.stderr, "");
    }
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn ctrl_c_during_a_turn_gives_it_up_and_the_session_goes_on() {
    let stage = Stage::started();
    let saying = stage.command(&["say", "--json", "hang"]).spawn().unwrap();
    eventually("the turn is under way", || stage.in_turn());
    signal(saying.id(), "INT");
    let outcome = finish(saying).code(130);
    assert_eq!(outcome.json()["error"]["code"], "cancelled");
    eventually("the turn is given up", || !stage.in_turn());
    stage.run(&["say", "hello"]).ok().printed("echo: hello");
}

#[test]
fn ctrl_c_during_a_start_leaves_nothing() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let mut command = stage.command(&["start", "--python", peer.to_str().unwrap()]);
    command.env("GREENROOM_PEER", "never");
    let starting = command.spawn().unwrap();
    eventually("the agent runs", || stage.registry().live(&Default::default()).is_ok());
    let record = stage.record();
    signal(starting.id(), "INT");
    finish(starting).code(130).told("the start was interrupted");
    assert!(!runs(record.pid));
}

#[test]
fn an_idle_session_ends_by_itself_and_says_so() {
    let stage = Stage::new();
    stage.start(&["--idle-timeout", "3s"]).ok();
    // Unlike a status, which asks the agent about itself, a list asks nothing of a session.
    eventually("it has ended", || stage.run(&["list"]).stdout.is_empty());
    stage.run(&["say", "hello"]).code(3).told("nothing was asked for 3s").told("greenroom start");
    stage.run(&["list", "--all"]).ok().printed("ended");
    stage.run(&["logs"]).ok().printed("the scripted peer");
    stage.run(&["restart"]).ok();
}

#[test]
fn quiet_is_quiet() {
    let stage = Stage::new();
    let started = stage.start(&["--quiet"]).ok();
    assert_eq!((started.stdout.as_str(), started.stderr.as_str()), ("", ""));
    assert_eq!(stage.run(&["end", "-q"]).ok().stderr, "");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_worth_words() {
    let stage = Stage::started();
    let mut command = stage.command(&["events", "--follow"]);
    let mut following = command.spawn().unwrap();
    drop(following.stdout.take());
    stage.run(&["say", "hello"]).ok();
    assert_eq!(finish(following).stderr, "");
}

#[test]
fn completions_are_there() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        stage.run(&["completions", shell]).ok().printed("greenroom");
    }
}

/// Whether the process has a handler for SIGINT, as Linux tells.
fn catches_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|mask| mask & 0b10 != 0)
}

#[test]
fn a_wav_file_is_said_aloud_and_the_reply_kept() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let question = stage.path().join("question.wav");
    let samples = vec![0.5; greenroom_test_peer::SPOKEN];
    wav::write(&question, Format::WIRE, &samples).unwrap();
    let mut start =
        stage.command(&["start", "--audio", "--recording", "all.wav", "--python", peer.to_str().unwrap()]);
    start.env("GREENROOM_PEER", "voice");
    wait_with(start, &[]).ok();
    let status = stage.json(&["status", "--json"]);
    assert_eq!(status["audio"], true);
    assert!(status["recording"].as_str().unwrap().ends_with("all.wav"));
    let reply = stage.path().join("reply.wav");
    let (question, reply) = (question.to_str().unwrap(), reply.to_str().unwrap());
    let said = stage.run(&["say", "--audio", question, "--reply", reply]).ok();
    assert!(
        said.stdout.starts_with("\n  ● You\n    a sound\n\n  ● Agent\n    heard\n    (answered after "),
        "{}",
        said.stdout
    );
    assert_eq!(wav::read(reply.as_ref()).unwrap().1.len(), greenroom_test_peer::SPOKEN);
    let turn = stage.json(&["say", "--json", "--audio", question, "--", "beep"]);
    assert_eq!((turn["text"].as_str(), turn["heard"].as_str()), (Some("beep"), Some("a sound")));
    assert!(turn["voice"]["agent_ms"].is_number());
    assert!(turn["voice"]["audio"].is_null(), "sound is for files");
    stage.run(&["say", "--audio", "missing.wav"]).code(2).told("missing.wav");
    let missing = stage.run(&["say", "--json", "--audio", "missing.wav"]).code(2).json();
    assert_eq!(missing["error"]["code"], "invalid_argument");
    std::fs::write(stage.path().join("bad.wav"), "no sound").unwrap();
    stage.run(&["say", "--audio", "bad.wav"]).code(2).told("bad.wav: it is no WAV file");
    stage.run(&["say", "--audio", question, "--channel", "1"]).code(2).told("there is no channel 1");
    stage.run(&["say", "hello", "--channel", "1"]).code(2).told("--audio");
    // A voice that its own shadow would cancel, from a recorder that died, through a pipe.
    let stereo: Vec<f32> = samples.iter().flat_map(|sample| [*sample, -sample]).collect();
    let both = stage.path().join("both.wav");
    wav::write(&both, Format::new(48_000, 2).unwrap(), &stereo).unwrap();
    let mut died = std::fs::read(&both).unwrap();
    died[40..44].fill(0);
    let said = wait_with(stage.command(&["say", "--audio", "-"]), &died).ok();
    assert!(said.stdout.contains("heard"), "{said:?}");
    let said = said.told("the size of its samples was never written");
    said.told("channel 1 is left out of their mean; name the one to hear, counted from 0, with channel");
    let alone = wait_with(stage.command(&["say", "--audio", "-", "--channel", "1"]), &died).ok();
    assert!(alone.stdout.contains("heard") && !alone.stderr.contains("left out"), "{alone:?}");
    stage.run(&["end"]).ok();
    assert_eq!(wav::read(&stage.path().join("all.wav")).unwrap().0, Format::new(48_000, 2).unwrap());
}

#[test]
fn a_session_of_text_is_not_spoken_to() {
    let stage = Stage::started();
    let question = stage.path().join("question.wav");
    wav::write(&question, Format::WIRE, &[0.5; 480]).unwrap();
    stage.run(&["say", "--audio", question.to_str().unwrap()]).code(2).told("start it with audio");
    stage.run(&["say", "hello", "--reply", "x.wav"]).code(1).told("started without --audio");
}

#[test]
fn talk_carries_sound_between_devices_and_the_agent_and_takes_typed_lines() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let question = stage.path().join("question.wav");
    // Half a second is heard whatever a busy machine skips.
    wav::write(&question, Format::WIRE, &[0.5; 2 * greenroom_test_peer::SPOKEN]).unwrap();
    let mut command = stage.command(&[
        "talk",
        "--input",
        "file:question.wav",
        "--output",
        "file:reply.wav",
        "--recording",
        "both.wav",
        "--python",
        peer.to_str().unwrap(),
    ]);
    command.env("GREENROOM_PEER", "voice");
    wait_with(command, b"hello\n")
        .ok()
        .printed("● You\n    a sound\n")
        .printed("● Agent\n    heard\n")
        .printed("● Agent\n    echo: hello\n")
        .told("Listening to file:question.wav, playing to file:reply.wav.");
    let loud = |samples: Vec<f32>| samples.iter().filter(|sample| sample.abs() > 0.1).count();
    let (_, reply) = wav::read(&stage.path().join("reply.wav")).unwrap();
    assert!(loud(reply) >= greenroom_test_peer::SPOKEN);
    let (format, both) = wav::read(&stage.path().join("both.wav")).unwrap();
    assert_eq!(format, Format::new(48_000, 2).unwrap());
    assert!(loud(both) >= 2 * greenroom_test_peer::SPOKEN, "the user and the agent");
}

#[test]
fn talk_tells_of_devices_that_cannot_be_had_and_leaves_no_agent() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let talk = |input: &str, output: &str| {
        let mut command = stage.command(&[
            "talk",
            "--input",
            input,
            "--output",
            output,
            "--python",
            peer.to_str().unwrap(),
        ]);
        command.env("GREENROOM_PEER", "voice");
        wait_with(command, &[])
    };
    talk("file:missing.wav", "null").code(2).told("missing.wav");
    talk("null", "tone:440").code(2).told("tone:440");
    talk("fail:after=100ms", "null").code(3).told("fail");
}
