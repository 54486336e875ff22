//! Agents that are shell scripts: their logs, their crashes, their ends.

use std::future::{pending, ready};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_engine::launch::{AgentProcess, Kind, LaunchError, LogEvent, LogFile, Plan};
use greenroom_protocol::{Code, Error};
use tokio::time::timeout;

use crate::stage::{Actor, LONG, Machine, cast_as, eventually, logged, running, script};

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4321);

fn start(machine: &Machine, kind: Kind, text: &str) -> AgentProcess {
    let plan = script(kind, &machine.path("work"), text);
    AgentProcess::spawn(&plan, ADDRESS, machine.log()).expect("start")
}

// The log.

#[tokio::test]
async fn the_log_has_every_byte_and_the_tail_is_bounded() {
    let machine = Machine::new();
    // A line of 300,000 characters, then lines on both outputs, the last without an end.
    let text = "head -c 300000 /dev/zero | tr '\\0' x; echo; \
                for i in 1 2 3 4 5 6 7 8 9; do for j in 0 1 2 3 4 5 6 7 8 9; do echo line-$i$j; done; done; \
                echo to-stderr >&2; printf 'no end'";
    let agent = start(&machine, Kind::Python, text);
    let failure = timeout(LONG, agent.failed()).await.expect("in time");
    assert_eq!(failure.status().and_then(|status| status.code()), Some(0));
    let written = std::fs::read(machine.path("agent.log")).expect("the log");
    assert_eq!(written.len(), 300_000 + 1 + 90 * 8 + 10 + 6);
    assert!(written.ends_with(b"line-99\nto-stderr\nno end"));
    let tail = agent.log().tail();
    assert_eq!(tail.len(), 40);
    assert_eq!(tail[0].as_ref(), "line-62");
    assert_eq!(tail[39].as_ref(), "no end");
    assert_eq!(agent.log().write_error(), None);
}

#[tokio::test]
async fn a_long_line_is_cut_for_readers_only() {
    let machine = Machine::new();
    let agent = start(&machine, Kind::Python, "head -c 100000 /dev/zero | tr '\\0' x");
    let failure = timeout(LONG, agent.failed()).await.expect("in time");
    let [line] = failure.tail() else { panic!("one line") };
    assert!(line.len() <= 16 * 1024 && line.ends_with("x…"), "{} bytes", line.len());
    assert_eq!(std::fs::metadata(machine.path("agent.log")).expect("the log").len(), 100_000);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_told_and_neither_stops_nor_kills_the_agent() {
    let machine = Machine::new();
    // Far more than a pipe holds: it ends only if it is read.
    let plan =
        script(Kind::Python, &machine.path("work"), "head -c 1000000 /dev/zero; echo; echo the end; exit 5");
    let log = LogFile::open("/dev/full").expect("open");
    let agent = AgentProcess::spawn(&plan, ADDRESS, log).expect("start");
    let failure = timeout(LONG, agent.failed()).await.expect("in time");
    assert_eq!(failure.status().and_then(|status| status.code()), Some(5));
    assert_eq!(failure.tail().last().map(AsRef::as_ref), Some("the end"));
    let error = agent.log().write_error().expect("an error");
    assert!(error.message.contains("No space left"), "{error:?}");
    assert_eq!(error.bytes_lost, 1_000_000 + 1 + 8);
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_an_error_before_anything_runs() {
    let error = LogFile::open("/nowhere/agent.log").expect_err("no such folder");
    assert_eq!(error.code(), Code::Io);
    assert!(error.to_string().contains("/nowhere/agent.log"), "{error}");
}

#[tokio::test]
async fn a_log_is_for_its_owner_alone_and_appended_to() {
    use std::os::unix::fs::PermissionsExt;

    let machine = Machine::new();
    for _ in 0..2 {
        let agent = start(&machine, Kind::Python, "echo once more");
        timeout(LONG, agent.failed()).await.expect("in time");
    }
    let log = machine.path("agent.log");
    assert_eq!(std::fs::read_to_string(&log).expect("the log"), "once more\nonce more\n");
    assert_eq!(std::fs::metadata(&log).expect("the log").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn followers_get_lines_as_they_come_and_slow_ones_a_count() {
    let machine = Machine::new();
    let go = machine.path("go");
    let text = format!(
        "printf '\\033[36mfirst\\033[0m\\r\\n'; until [ -e {} ]; do sleep 0.02; done; \
         i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done",
        go.display()
    );
    let agent = start(&machine, Kind::Python, &text);
    eventually("the first line", || agent.log().tail().len() == 1).await;
    let (before, mut quick) = agent.log().follow();
    let (_, mut slow) = agent.log().follow();
    assert_eq!(before.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["first"]);
    let reading = tokio::spawn(async move {
        let mut lines = 0;
        let mut dropped = 0;
        while let Some(event) = quick.next().await {
            match event {
                LogEvent::Line(_) => lines += 1,
                LogEvent::Dropped(count) => dropped += count,
            }
        }
        (lines, dropped)
    });
    std::fs::write(&go, "").expect("go");
    let (lines, dropped) = timeout(LONG, reading).await.expect("in time").expect("no panic");
    assert_eq!(lines + dropped, 2000, "each line is there or counted");
    let Some(LogEvent::Dropped(dropped)) = slow.next().await else { panic!("it lost the first ones") };
    let mut last = None;
    let mut lines = 0;
    while let Some(LogEvent::Line(line)) = slow.next().await {
        lines += 1;
        last = Some(line);
    }
    assert_eq!((lines + dropped, last.as_deref()), (2000, Some("1999")));
    let (tail, mut late) = agent.log().follow();
    assert_eq!((tail.len(), late.next().await), (40, None), "the log has ended");
}

// Crashes before connect.

#[tokio::test]
async fn a_crashed_job_is_told_while_the_process_lives_on() {
    let machine = Machine::new();
    let text = "echo 'ERROR unhandled exception while running the job task'; \
                echo 'Traceback (most recent call last):'; echo '  File \"agent.py\", line 5, in entrypoint'; \
                echo 'ValueError: no key configured'; printf 'DEBUG shutting down {\"reason\": \"job cra'; sleep 0.1; \
                echo 'shed\", \"user_initiated\": false}'; exec sleep 300";
    let agent = start(&machine, Kind::Python, text);
    let failure = timeout(LONG, agent.failed()).await.expect("in time");
    assert!(!agent.has_ended());
    assert_eq!(failure.status(), None);
    assert_eq!(failure.reason(), Some("ValueError: no key configured"));
    let error = LaunchError::from(failure);
    assert_eq!(error.code(), Code::AgentFailedToStart);
    assert_eq!(
        error.to_string(),
        "the job of agent.py crashed before it connected: ValueError: no key configured"
    );
    let error = Error::from(error);
    let detail = error.detail.expect("the last lines");
    assert!(detail.contains("line 5, in entrypoint") && detail.contains("agent.log"), "{detail}");
}

#[tokio::test]
async fn a_traceback_that_follows_the_marker_is_waited_for() {
    let machine = Machine::new();
    let text = "echo 'FATAL: console mode failed: no key configured'; sleep 0.1; echo 'at entry (agent.js:3)'; exit 1";
    let agent = start(&machine, Kind::Node, text);
    let failure = timeout(LONG, agent.failed()).await.expect("in time");
    assert_eq!(failure.reason(), Some("no key configured"));
    assert_eq!(failure.status().and_then(|status| status.code()), Some(1));
    assert_eq!(failure.tail().last().map(AsRef::as_ref), Some("at entry (agent.js:3)"));
}

#[tokio::test]
async fn how_an_agent_failed_is_told_by_what_it_printed() {
    let no_server =
        "echo 'livekit.agents._exceptions.CLIError: Could not find AgentServer in module, try'; exit 1";
    let no_export =
        "echo 'console mode failed: Unable to load agent: missing or invalid default export in a.js'; exit 1";
    let syntax =
        "echo '  File \"/a.py\", line 1'; echo '    def f(:'; echo 'SyntaxError: invalid syntax'; exit 1";
    let import = "echo 'node:internal/x'; echo; echo 'Error [ERR_MODULE_NOT_FOUND]: Cannot find zod'; echo '    at y'; \
                  echo; echo 'Node.js v20.20.2'; exit 1";
    for (kind, text, code, words) in [
        (Kind::Python, no_server, Code::NotAnAgent, "defines no agent: it needs a global AgentServer"),
        (Kind::Node, no_export, Code::NotAnAgent, "`export default defineAgent"),
        (Kind::Node, "exit 0", Code::NotAnAgent, "cli.runApp"),
        (Kind::Python, syntax, Code::AgentFailedToStart, "(exit status: 1): SyntaxError: invalid syntax"),
        (Kind::Node, import, Code::AgentFailedToStart, ": Error [ERR_MODULE_NOT_FOUND]: Cannot find zod"),
        (Kind::Python, "exit 0", Code::AgentFailedToStart, "(exit status: 0), and printed nothing"),
        (Kind::Node, "echo x; kill -9 $$", Code::AgentFailedToStart, "(signal: 9 (SIGKILL)): x"),
    ] {
        let machine = Machine::new();
        let agent = start(&machine, kind, text);
        let error = LaunchError::from(timeout(LONG, agent.failed()).await.expect("in time"));
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{words:?} is not in: {error}");
    }
}

#[tokio::test]
async fn a_program_that_is_gone_is_named() {
    let machine = Machine::new();
    let plan = Plan { program: "/nowhere/python".into(), ..script(Kind::Python, &machine.path("work"), "") };
    let error = AgentProcess::spawn(&plan, ADDRESS, machine.log()).expect_err("no such program");
    assert_eq!(error.code(), Code::InterpreterNotFound);
    assert!(error.to_string().contains("/nowhere/python"), "{error}");
}

#[tokio::test]
async fn the_agent_gets_its_folder_arguments_and_variables_and_no_input() {
    let machine = Machine::new();
    let text = "pwd; echo \"$@\"; echo $PYTHONUNBUFFERED $KEY $HOME; read -r line || echo no input";
    let mut plan = script(Kind::Python, &machine.path("work"), text);
    plan.env = [("KEY", "one"), ("KEY", "two"), ("HOME", "/h")]
        .map(|(key, value)| (key.into(), value.into()))
        .into();
    let agent = AgentProcess::spawn(&plan, ADDRESS, machine.log()).expect("start");
    timeout(LONG, agent.failed()).await.expect("in time");
    let log = std::fs::read_to_string(machine.path("agent.log")).expect("the log");
    let lines: Vec<&str> = log.lines().collect();
    let [folder, arguments, rest @ ..] = &lines[..] else { panic!("{log}") };
    assert_eq!(*folder, machine.path("work").display().to_string());
    // The SDK's own module, prepared before it runs.
    assert!(arguments.contains("run_module('livekit.agents'"), "{arguments}");
    assert!(arguments.ends_with(" console agent.py --connect-addr 127.0.0.1:4321"), "{arguments}");
    assert_eq!(rest, ["1 two /h", "no input"]);
}

// The end.

/// Ends by itself on SIGINT, and leaves a child that does not.
const POLITE: &str = "(trap '' INT; exec sleep 300) & echo grandchild=$!; trap 'echo bye; exit 3' INT; \
                      echo ready=1; while :; do sleep 0.02; done";

/// Does not mind SIGINT, nor does its child.
const STUBBORN: &str =
    "trap '' INT; sleep 300 & echo grandchild=$!; echo ready=1; while :; do sleep 0.02; done";

async fn ready_family(machine: &Machine) -> u32 {
    let log = machine.path("agent.log");
    logged(&log, "ready").await;
    logged(&log, "grandchild").await
}

#[tokio::test]
async fn an_agent_that_ends_by_itself_is_left_to_and_its_leftovers_are_killed() {
    let machine = Machine::new();
    let agent = start(&machine, Kind::Python, POLITE);
    let grandchild = ready_family(&machine).await;
    let ended = timeout(LONG, agent.end(pending(), LONG)).await.expect("in time");
    assert_eq!((ended.status.and_then(|status| status.code()), ended.killed), (Some(3), false));
    eventually("the grandchild is gone", || !running(grandchild)).await;
    assert!(std::fs::read_to_string(machine.path("agent.log")).expect("the log").ends_with("bye\n"));
}

#[tokio::test]
async fn an_agent_that_ignores_the_interrupt_is_killed_after_the_grace() {
    let machine = Machine::new();
    let agent = start(&machine, Kind::Python, STUBBORN);
    let grandchild = ready_family(&machine).await;
    let began = Instant::now();
    let ended = timeout(LONG, agent.end(ready(()), Duration::from_millis(300))).await.expect("in time");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!((ended.status.and_then(|status| status.signal()), ended.killed), (Some(9), true));
    eventually("the grandchild is gone", || !running(grandchild)).await;
}

#[tokio::test]
async fn a_node_agent_has_a_second_from_the_end_of_its_link() {
    let machine = Machine::new();
    let agent = start(&machine, Kind::Node, STUBBORN);
    ready_family(&machine).await;
    let began = Instant::now();
    let ended = timeout(LONG, agent.end(ready(()), LONG)).await.expect("in time");
    assert!(ended.killed);
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_node_agent_that_keeps_its_link_is_killed_all_the_same() {
    let machine = Machine::new();
    let agent = start(&machine, Kind::Node, STUBBORN);
    ready_family(&machine).await;
    let began = Instant::now();
    let ended = timeout(LONG, agent.end(pending(), LONG)).await.expect("in time");
    assert!(ended.killed);
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn an_agent_that_has_ended_is_ended_at_once() {
    let machine = Machine::new();
    let agent = start(&machine, Kind::Python, "exit 4");
    assert_eq!(
        timeout(LONG, agent.exited()).await.expect("in time").and_then(|status| status.code()),
        Some(4)
    );
    let ended = timeout(Duration::from_secs(5), agent.end(pending(), LONG)).await.expect("at once");
    assert_eq!((ended.status.and_then(|status| status.code()), ended.killed), (Some(4), false));
}

#[tokio::test]
async fn a_dropped_agent_is_killed_at_once_with_its_family() {
    for half_ended in [false, true] {
        let machine = Machine::new();
        let agent = start(&machine, Kind::Python, STUBBORN);
        let (child, grandchild) = (agent.id(), ready_family(&machine).await);
        if half_ended {
            let cancelled = timeout(Duration::from_millis(50), agent.end(pending(), LONG)).await;
            assert!(cancelled.is_err());
        } else {
            drop(agent);
        }
        eventually("both are gone", || !running(child) && !running(grandchild)).await;
    }
}

/// A process that left the session cannot be followed; it must not hold up the end, nor the log.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn somebody_who_escaped_with_the_output_does_not_hold_up_the_end() {
    let machine = Machine::new();
    let text = "setsid sh -c 'echo escaped=$$; exec sleep 300' & wait";
    let agent = start(&machine, Kind::Python, text);
    let _clean_up = KillAtEnd(logged(&machine.path("agent.log"), "escaped").await);
    let (_, mut lines) = agent.log().follow();
    let ended = timeout(Duration::from_secs(10), agent.end(pending(), LONG)).await;
    assert!(!ended.expect("it does not wait for it").killed);
    let rest = async { while lines.next().await.is_some() {} };
    timeout(LONG, rest).await.expect("the log ends, too");
}

/// A group that nothing else ends.
struct KillAtEnd(u32);

impl Drop for KillAtEnd {
    fn drop(&mut self) {
        greenroom_os::kill_group(self.0).expect("clean up");
    }
}

// Owners that die or end.

fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("write to the test");
}

#[tokio::test]
async fn part_owner() {
    if cast_as("process::part_owner") {
        let machine = Machine::new();
        let agent = start(&machine, Kind::Python, STUBBORN);
        say(format_args!("grandchild={}", ready_family(&machine).await));
        say(format_args!("child={}", agent.id()));
        pending::<()>().await;
    }
}

#[tokio::test]
async fn an_owner_that_is_killed_takes_the_agent_with_it() {
    let mut owner = Actor::start("process::part_owner");
    let (grandchild, child) = (owner.number("grandchild"), owner.number("child"));
    assert!(running(child) && running(grandchild));
    owner.child.kill().expect("kill");
    eventually("both are gone", || !running(child) && !running(grandchild)).await;
}

#[tokio::test]
async fn part_counter() {
    if cast_as("process::part_counter") {
        let machine = Machine::new();
        let count = |of: &str| std::fs::read_dir(Path::new("/proc/self").join(of)).expect("a list").count();
        let mut before = None;
        for _ in 0..5 {
            let agent = start(&machine, Kind::Python, POLITE);
            ready_family(&machine).await;
            agent.end(pending(), LONG).await;
            std::fs::remove_file(machine.path("agent.log")).expect("remove");
            let counts = || (count("fd"), count("task"));
            // A thread of the first one may still be on its way out, so there may be fewer later.
            let (files, threads) = *before.get_or_insert_with(counts);
            let no_more = || counts().0 <= files && counts().1 <= threads;
            eventually("no more files and threads than after the first", no_more).await;
        }
        say(format_args!("leaked=0"));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_left_in_the_owner_after_the_end() {
    assert_eq!(Actor::start("process::part_counter").number("leaked"), 0);
}
