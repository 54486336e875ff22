//! Faults that a session survives, or ends of with a clear error, with no orphan process and no leaked file.

use std::time::{Duration, Instant};

use crate::stage::{Stage, eventually, finish, runs, signal, wait};

#[test]
fn agent_killed_mid_turn() {
    let stage = Stage::started();
    let record = stage.record();
    stage.run(&["say", "crash"]).code(3).told("the agent exited");
    eventually("the daemon is gone", || !runs(record.pid));
    stage.run(&["say", "hello"]).code(3).told("the session default has ended at").told("the agent exited");
    let status = stage.run(&["status", "--json"]).code(3).json();
    assert_eq!((&status["state"], &status["reason"]), (&"ended".into(), &"agent_exited".into()));
    stage.run(&["restart"]).ok();
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn agent_that_never_connects() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let mut command = stage.command(&["start", "--timeout", "4s", "--python", peer.to_str().unwrap()]);
    command.env("GREENROOM_PEER", "never");
    wait(command).code(3).told("did not connect within 4s");
}

#[test]
fn agent_that_connects_and_says_nothing() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let mut command = stage.command(&["start", "--timeout", "5s", "--python", peer.to_str().unwrap()]);
    command.env("GREENROOM_PEER", "mute");
    let begun = Instant::now();
    wait(command).code(5).told("did not answer a ping");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn daemon_sigkilled() {
    let stage = Stage::started();
    let agent = agent_pid(&stage);
    let record = stage.record();
    let saying = stage.command(&["say", "hang"]).spawn().unwrap();
    eventually("the turn is under way", || stage.in_turn());
    signal(record.pid, "KILL");
    finish(saying).code(3).told("was killed or has crashed");
    eventually("the agent is gone too", || !runs(agent));
    stage.run(&["say", "hello"]).code(3).told("its daemon").told("was killed or has crashed");
}

#[test]
fn a_dead_daemons_leftovers_never_block_the_next_start() {
    let stage = Stage::started();
    let record = stage.record();
    signal(record.pid, "KILL");
    eventually("the daemon is gone", || !runs(record.pid));
    assert!(stage.home().join("default/session.json").exists());
    stage.start(&[]).ok();
    stage.run(&["say", "hello"]).ok().printed("echo: hello");
}

#[test]
fn daemon_told_to_end_by_a_signal() {
    let stage = Stage::started();
    let (record, agent) = (stage.record(), agent_pid(&stage));
    signal(record.pid, "TERM");
    eventually("both are gone", || !runs(record.pid) && !runs(agent));
    stage.run(&["say", "hello"]).code(3).told("SIGTERM");
}

#[test]
fn two_say_at_once() {
    let stage = Stage::started();
    let first = stage.command(&["say", "slow", "300"]).spawn().unwrap();
    let second = stage.command(&["say", "slow", "200"]).spawn().unwrap();
    finish(first).ok().printed("echo: slow 300");
    finish(second).ok().printed("echo: slow 200");
}

#[test]
fn cancelled_say_then_a_second_say() {
    let stage = Stage::started();
    let first = stage.command(&["say", "slow", "3000"]).spawn().unwrap();
    eventually("the turn is under way", || stage.in_turn());
    signal(first.id(), "KILL");
    finish(first);
    stage.run(&["say", "hello"]).ok().printed("● You\n    hello\n\n  ● Agent\n    echo: hello\n");
    let kinds = stage.run(&["events", "--json"]).ok().stdout;
    assert!(kinds.contains("late_turn"), "the late answer is kept: {kinds}");
}

#[test]
fn a_turn_that_takes_too_long() {
    let stage = Stage::started();
    stage.run(&["say", "--timeout", "200ms", "hang"]).code(5).told("timed out waiting for the agent's reply");
    stage.run(&["say", "hello"]).ok().printed("echo: hello");
}

#[test]
fn a_stopped_daemon_is_a_timeout() {
    let stage = Stage::started();
    let record = stage.record();
    signal(record.pid, "STOP");
    let outcome = stage.run(&["status"]);
    signal(record.pid, "CONT");
    outcome.code(5).told("it may be stopped or stuck");
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn client_stopped_while_the_daemon_streams_to_it() {
    let stage = Stage::started();
    let file = stage.path().join("events");
    let told = || std::fs::read_to_string(&file).unwrap();
    let following = stage
        .command(&["events", "--follow", "--json", "--last", "0"])
        .stdout(std::fs::File::create(&file).unwrap())
        .spawn()
        .unwrap();
    stage.run(&["say", "first"]).ok();
    eventually("it follows", || told().contains("echo: first"));
    signal(following.id(), "STOP");
    // More than the journal keeps, and than the system's buffers take.
    stage.run(&["say", "flood", "60000"]).ok();
    let begun = Instant::now();
    stage.run(&["say", "--timeout", "20s", "hello"]).ok();
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for the one that is stopped");
    signal(following.id(), "CONT");
    // An end waits for nobody who is behind.
    eventually("it has caught up", || told().contains("echo: hello"));
    stage.run(&["end"]).ok();
    finish(following).ok();
    let events = told();
    let gaps = events.lines().filter(|line| line.contains(r#""type":"gap""#)).count();
    assert!(gaps >= 1, "what was lost is counted");
    let seqs: Vec<u64> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.is_sorted(), "events come in order");
    assert!(events.lines().last().unwrap().contains(r#""type":"closed""#));
}

#[test]
fn disk_full_for_logs() {
    let stage = Stage::new();
    stage.start(&["--log", "/dev/full"]).ok();
    stage.run(&["say", "log", "1000"]).ok().printed("echo: log 1000");
    eventually("the status tells", || stage.json(&["status", "--json"])["log_error"].is_string());
    stage.run(&["logs"]).code(3).told("/dev/full").told("no ordinary file");
    stage.run(&["end"]).ok();
}

#[test]
fn ten_thousand_events_between_turns() {
    let stage = Stage::started();
    stage.run(&["say", "flood", "10000"]).ok();
    eventually("they are there", || stage.json(&["status", "--json"])["unseen_events"] == 10_000);
    let turn = stage.json(&["say", "--json", "hello"]);
    let earlier = turn["events"].as_array().unwrap().iter().filter(|event| event["earlier"] == true).count();
    assert_eq!(earlier, 10_000);
    assert_eq!(turn["reply"], "echo: hello");
}

#[test]
fn three_400_kb_replies_then_history() {
    let stage = Stage::started();
    for _ in 0..3 {
        stage.run(&["say", "big", "400000"]).ok();
    }
    let history = stage.json(&["history", "--json"]);
    let sizes: Vec<usize> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["text"].as_str().unwrap().len())
        .collect();
    assert_eq!(sizes.iter().filter(|size| **size == 400_000).count(), 3);
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn fifty_scripted_peers_at_once() {
    let stage = Stage::new();
    let names: Vec<String> = (0..50).map(|number| format!("peer-{number}")).collect();
    let peer = greenroom_test_peer::binary();
    // Ten at a time: the machine may be small.
    for some in names.chunks(10) {
        let starting: Vec<_> = some
            .iter()
            .map(|name| {
                stage.command(&["start", "-n", name, "--python", peer.to_str().unwrap()]).spawn().unwrap()
            })
            .collect();
        for start in starting {
            finish(start).ok();
        }
    }
    let listed = stage.json(&["list", "--json"]);
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.iter().filter(|session| session["state"] == "ready").count(), 50);
    let saying: Vec<_> =
        names.iter().map(|name| (name, stage.command(&["say", "-n", name, name]).spawn().unwrap())).collect();
    for (name, say) in saying {
        finish(say).ok().printed(&format!("echo: {name}"));
    }
    let pids: Vec<u64> = sessions
        .iter()
        .flat_map(|session| [&session["pid"], &session["agent_pid"]])
        .map(|pid| pid.as_u64().unwrap())
        .collect();
    for some in names.chunks(10) {
        let ending: Vec<_> =
            some.iter().map(|name| stage.command(&["end", "-n", name]).spawn().unwrap()).collect();
        for end in ending {
            finish(end).ok();
        }
    }
    eventually("no process is left", || pids.iter().all(|pid| !runs(*pid as u32)));
    assert_eq!(std::fs::read_dir(stage.home()).unwrap().count(), 0, "no file is left");
}

#[test]
fn two_starts_of_one_name_at_once() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let starting: Vec<_> = (0..4)
        .map(|_| stage.command(&["start", "--python", peer.to_str().unwrap()]).spawn().unwrap())
        .collect();
    let codes: Vec<Option<i32>> = starting.into_iter().map(|start| finish(start).code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(2)).count(), 3, "{codes:?}");
    stage.run(&["say", "hello"]).ok();
}

fn agent_pid(stage: &Stage) -> u32 {
    stage.json(&["status", "--json"])["agent_pid"].as_u64().unwrap() as u32
}
