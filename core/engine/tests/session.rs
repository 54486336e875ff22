//! Sessions with a scripted agent: what a session promises, and the faults it survives.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::Permissions;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenroom_engine::launch::AgentSpec;
use greenroom_engine::protocol::message::{CloseReason, EventKind, Item, Operation};
use greenroom_engine::protocol::{Code, Limits};
use greenroom_engine::{Driver, LogTarget, Session, StartOptions};

/// No wait of these tests is longer than this, unless something hangs.
const DEADLINE: Duration = Duration::from_secs(20);

struct Scripted {
    session: Session,
    _folder: tempfile::TempDir,
}

fn options(folder: &tempfile::TempDir, behaviour: &str) -> StartOptions {
    let mut agent = AgentSpec::new(folder.path());
    agent.entry = Some(greenroom_test_peer::agent_file(folder.path()));
    agent.interpreter = Some(greenroom_test_peer::binary());
    agent.env = vec![("GREENROOM_PEER".to_owned(), behaviour.to_owned())];
    StartOptions::new(agent)
}

fn start_with(behaviour: &str, change: impl FnOnce(&mut StartOptions)) -> Scripted {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&folder, behaviour);
    change(&mut options);
    Scripted { session: Session::start(options).unwrap(), _folder: folder }
}

async fn started() -> Scripted {
    let scripted = start_with("normal", |_| {});
    within(scripted.session.ready(None)).await.unwrap();
    scripted
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("nothing may hang")
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn pid(session: &Session) -> u32 {
    session.snapshot().pid.expect("a started agent has a process")
}

fn alive(pid: u32) -> bool {
    greenroom_os::process_alive(pid).unwrap()
}

#[tokio::test]
async fn a_conversation() {
    let scripted = started().await;
    let turn = within(scripted.session.say("hello", None)).await.unwrap();
    assert_eq!(turn.reply, "echo: hello");
    assert_eq!(turn.number, 1);
    assert!(!turn.silent && !turn.interrupted && turn.error.is_none());
    let history = within(scripted.session.history(None)).await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(within(scripted.session.agent_info(None)).await.unwrap().id, "peer");
    within(scripted.session.end()).await;
    let gone = within(scripted.session.say("again", None)).await.unwrap_err();
    assert_eq!(gone.code, Code::SessionClosed);
}

#[tokio::test]
async fn a_greeting_comes_with_the_start() {
    let scripted = start_with("greet", |_| {});
    let began = within(scripted.session.ready(None)).await.unwrap();
    let said: Vec<_> = began
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Message(message) => Some(message.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["welcome"]);
}

#[tokio::test]
async fn the_agent_is_gone_after_the_end_and_its_temporary_log_too() {
    let scripted = started().await;
    let status = scripted.session.snapshot();
    let log = status.log_path.unwrap();
    assert!(log.exists());
    within(scripted.session.end()).await;
    assert!(!alive(status.pid.unwrap()));
    assert!(!log.exists());
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_agent() {
    let scripted = started().await;
    let pid = pid(&scripted.session);
    drop(scripted.session);
    eventually("the agent is gone", || !alive(pid)).await;
}

#[tokio::test]
async fn agent_killed_mid_turn() {
    let scripted = started().await;
    let error = within(scripted.session.say("crash", None)).await.unwrap_err();
    assert_eq!(error.code, Code::AgentGone);
    assert!(error.message.contains("exit status: 9"), "{error}");
    let mut events = scripted.session.events(0);
    let mut last = None;
    while let Some(event) = within(events.next()).await {
        last = Some(event.kind);
    }
    assert!(matches!(last, Some(EventKind::Closed { reason: CloseReason::AgentExited, .. })), "{last:?}");
}

#[tokio::test]
async fn agent_that_hangs_up_but_lives() {
    let scripted = started().await;
    let pid = pid(&scripted.session);
    let error = within(scripted.session.say("hangup", None)).await.unwrap_err();
    assert_eq!(error.code, Code::AgentGone);
    eventually("the agent is ended", || !alive(pid)).await;
}

#[tokio::test]
async fn agent_that_never_connects() {
    let scripted = start_with("never", |options| options.start_timeout = Duration::from_secs(4));
    let error = within(scripted.session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::AgentFailedToStart);
    assert!(error.message.contains("did not connect within 4s of the start"), "{error}");
}

#[tokio::test]
async fn agent_that_connects_and_says_nothing() {
    let scripted = start_with("mute", |options| options.start_timeout = Duration::from_secs(4));
    let error = within(scripted.session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("ping"), "{error}");
}

#[tokio::test]
async fn what_finding_the_interpreter_took_is_missing_when_the_agent_is_to_answer() {
    let folder = tempfile::tempdir().unwrap();
    let slow = slow_to_tell_its_version(folder.path(), 1);
    let scripted = start_with("mute", |options| {
        options.agent.interpreter = Some(slow);
        options.start_timeout = Duration::from_secs(10);
    });
    let error = within(scripted.session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::Timeout);
    let (_, within) = error.message.split_once("did not answer a ping within ").unwrap();
    let within = humantime::parse_duration(within.split_once(';').unwrap().0).unwrap();
    assert!(within <= Duration::from_secs(9), "{error}");
}

/// The scripted agent, but it takes so long to answer the launcher's question.
fn slow_to_tell_its_version(folder: &Path, seconds: u32) -> PathBuf {
    let program = folder.join("slow");
    let peer = greenroom_test_peer::binary();
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' -c '*) sleep {seconds};; esac\nexec '{}' \"$@\"\n",
        peer.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    program
}

#[tokio::test]
async fn crash_before_connect_ends_the_start_at_once_with_the_last_log_lines() {
    let scripted = start_with("crash", |_| {});
    let error = within(scripted.session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::AgentFailedToStart);
    assert!(error.to_string().contains("crash on purpose"), "{error}");
    assert!(error.detail.unwrap().contains("Traceback"));
}

#[tokio::test]
async fn a_job_that_crashed_in_a_process_that_lives_on_is_noticed() {
    let scripted = start_with("marker", |_| {});
    let error = within(scripted.session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::AgentFailedToStart);
}

#[tokio::test]
async fn garbage_from_the_agent_is_one_error_event_and_the_link_goes_on() {
    let scripted = started().await;
    let turn = within(scripted.session.say("garbage", None)).await.unwrap();
    let errors = turn.events.iter().filter(|event| matches!(event.kind, EventKind::Error { .. })).count();
    assert_eq!(errors, 1);
    assert_eq!(turn.reply, "echo: garbage");
    assert_eq!(within(scripted.session.say("more", None)).await.unwrap().reply, "echo: more");
}

#[tokio::test]
async fn a_truncated_frame_ends_the_session_with_a_reason() {
    let scripted = started().await;
    let error = within(scripted.session.say("truncated", None)).await.unwrap_err();
    assert_eq!(error.code, Code::AgentGone);
}

#[tokio::test]
async fn a_frame_beyond_all_caps_ends_the_session_with_its_size() {
    let scripted = started().await;
    let error = within(scripted.session.say("absurd", None)).await.unwrap_err();
    assert_eq!(error.code, Code::ProtocolError);
    assert!(error.message.contains("4294967295"), "{error}");
}

#[tokio::test]
async fn three_replies_of_400_kb_then_history() {
    let scripted = started().await;
    for _ in 0..3 {
        within(scripted.session.say("big 400000", None)).await.unwrap();
    }
    let history = within(scripted.session.history(None)).await.unwrap();
    let bytes: usize = history
        .iter()
        .map(|item| match item {
            Item::Message(message) => message.text.len(),
            _ => 0,
        })
        .sum();
    assert!(bytes > 1_200_000, "{bytes}");
}

#[tokio::test]
async fn past_16_mib_the_history_explains_itself_and_the_session_lives_on() {
    let scripted = started().await;
    let cap = Limits::default().agent_message;
    for _ in 0..3 {
        within(scripted.session.say(&format!("big {}", cap / 3 + 1000), None)).await.unwrap();
    }
    let history = within(scripted.session.history(None)).await.unwrap();
    let [Item::Unknown { what }, items @ ..] = &history[..] else {
        panic!("no word of why: {}", history.len())
    };
    assert!(what.contains(&cap.to_string()), "{what}");
    let replies =
        items.iter().filter(|item| matches!(item, Item::Message(message) if message.text.len() > cap / 3));
    assert_eq!(replies.count(), 3, "what events told of is there, whole");
    assert_eq!(within(scripted.session.say("still there?", None)).await.unwrap().reply, "echo: still there?");
}

#[tokio::test]
async fn two_says_at_once_queue() {
    let scripted = started().await;
    let (first, second) = within(async {
        tokio::join!(scripted.session.say("slow 200", None), scripted.session.say("two", None))
    })
    .await;
    assert_eq!(first.unwrap().reply, "echo: slow 200");
    let second = second.unwrap();
    assert_eq!(second.reply, "echo: two");
    assert!(second.queued_ms >= 100.0, "{}", second.queued_ms);
}

#[tokio::test]
async fn a_turn_that_times_out_leaves_the_session_usable() {
    let scripted = started().await;
    let error = within(scripted.session.say("hang", Some(Duration::from_millis(200)))).await.unwrap_err();
    assert_eq!(error.code, Code::Timeout);
    assert_eq!(within(scripted.session.say("next", None)).await.unwrap().reply, "echo: next");
}

#[tokio::test]
async fn a_cancelled_say_then_a_second_say() {
    let scripted = started().await;
    let session = scripted.session.clone();
    let say = tokio::spawn(async move { session.say("slow 3000", None).await });
    eventually("the turn is under way", || scripted.session.snapshot().turn_in_progress).await;
    say.abort();
    let turn = within(scripted.session.say("second", None)).await.unwrap();
    assert_eq!(turn.reply, "echo: second");
    let late: Vec<_> = turn.events.iter().filter(|event| event.late).collect();
    assert!(!late.is_empty(), "what the first turn still said is kept, marked late: {:?}", turn.events);
}

#[tokio::test]
async fn what_the_system_does_not_take_at_once_is_written_when_the_agent_reads_on() {
    let scripted = started().await;
    // The agent sleeps, and reads nothing meanwhile.
    let slow = scripted.session.say("slow 500", Some(Duration::from_millis(50)));
    assert_eq!(within(slow).await.unwrap_err().code, Code::Timeout);
    // More than the system's buffers hold.
    let asked: Vec<_> = (0..12)
        .map(|_| {
            let session = scripted.session.clone();
            tokio::spawn(async move { session.finalize_simulation(true, &"x".repeat(900_000), None).await })
        })
        .collect();
    for answer in asked {
        within(answer).await.unwrap().unwrap();
    }
    assert_eq!(within(scripted.session.say("next", None)).await.unwrap().reply, "echo: next");
}

#[tokio::test]
async fn ten_thousand_events_between_turns() {
    let scripted = started().await;
    within(scripted.session.say("flood 10000", None)).await.unwrap();
    eventually("all have arrived", || scripted.session.snapshot().unseen_events >= 10_000).await;
    let turn = within(scripted.session.say("after", None)).await.unwrap();
    assert_eq!(turn.reply, "echo: after");
    let earlier = turn.events.iter().filter(|event| event.earlier).count();
    assert_eq!(earlier, 10_000);
}

#[tokio::test]
async fn a_stranger_that_connects_first_is_not_the_agent() {
    let scripted = start_with("normal", |options| {
        // A port that is free now, so that the stranger can be there before the agent.
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        options.port = Some(probe.local_addr().unwrap().port());
    });
    let mut strangers = Vec::new();
    eventually("a stranger is connected", || {
        let port = scripted.session.snapshot().port;
        strangers.extend(port.and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok()));
        !strangers.is_empty()
    })
    .await;
    within(scripted.session.ready(None)).await.unwrap();
    assert_eq!(within(scripted.session.say("hi", None)).await.unwrap().reply, "echo: hi");
    eventually("the stranger is refused", || scripted.session.snapshot().refused_connections >= 1).await;
}

#[tokio::test]
async fn a_control_connection_goes_to_its_sink_with_the_preamble_consumed() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&taken);
    let scripted = start_with("normal", |options| {
        options.control = Some(Box::new(move |stream| sink.lock().unwrap().push(stream)));
    });
    within(scripted.session.ready(None)).await.unwrap();
    let mut control = TcpStream::connect(("127.0.0.1", scripted.session.snapshot().port.unwrap())).unwrap();
    std::io::Write::write_all(&mut control, &greenroom_engine::CONTROL_PREAMBLE).unwrap();
    eventually("the sink has it", || taken.lock().unwrap().len() == 1).await;
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let scripted = start_with("normal", |options| options.port = Some(port));
    let error = within(scripted.session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::Io);
    assert!(error.message.contains(&port.to_string()), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_for_logs_does_not_stop_the_agent() {
    let scripted = start_with("normal", |options| options.log = LogTarget::File("/dev/full".into()));
    within(scripted.session.ready(None)).await.unwrap();
    assert_eq!(within(scripted.session.say("log 100000", None)).await.unwrap().reply, "echo: log 100000");
    within(scripted.session.ping(None)).await.unwrap();
    eventually("it is told", || scripted.session.snapshot().log_error.is_some()).await;
}

#[tokio::test]
async fn a_session_nobody_uses_ends_by_itself() {
    let scripted = start_with("normal", |options| options.idle_timeout = Some(Duration::from_secs(3)));
    within(scripted.session.ready(None)).await.unwrap();
    let mut events = scripted.session.events(0);
    let mut reason = None;
    while let Some(event) = within(events.next()).await {
        if let EventKind::Closed { reason: why, .. } = event.kind {
            reason = Some(why);
        }
    }
    assert_eq!(reason, Some(CloseReason::Idle));
}

#[tokio::test]
async fn closing_while_the_agent_starts_ends_it() {
    let scripted = start_with("never", |_| {});
    eventually("it is spawned", || scripted.session.snapshot().pid.is_some()).await;
    let pid = pid(&scripted.session);
    within(scripted.session.end()).await;
    assert!(!alive(pid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sessions_at_once() {
    let sessions: Vec<Scripted> = (0..50).map(|_| start_with("normal", |_| {})).collect();
    for scripted in &sessions {
        tokio::time::timeout(Duration::from_secs(60), scripted.session.ready(None)).await.unwrap().unwrap();
    }
    for (n, scripted) in sessions.iter().enumerate() {
        let turn = within(scripted.session.say(&format!("number {n}"), None)).await.unwrap();
        assert_eq!(turn.reply, format!("echo: number {n}"));
    }
    let pids: Vec<u32> = sessions.iter().map(|scripted| pid(&scripted.session)).collect();
    for scripted in &sessions {
        within(scripted.session.end()).await;
    }
    assert!(pids.into_iter().all(|pid| !alive(pid)));
}

#[tokio::test]
async fn every_submitted_operation_is_answered_once_even_by_a_close() {
    let scripted = started().await;
    let answers = Arc::new(Mutex::new(Vec::new()));
    for text in ["hang", "queued", "queued too"] {
        let answers = Arc::clone(&answers);
        let operation = Operation::Say { text: text.to_owned() };
        scripted.session.submit(
            operation,
            None,
            Box::new(move |answer| answers.lock().unwrap().push(answer)),
        );
    }
    within(scripted.session.end()).await;
    let answers = answers.lock().unwrap();
    assert_eq!(answers.len(), 3);
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code == Code::SessionClosed))
    );
}
