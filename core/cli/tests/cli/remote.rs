//! A session of a daemon, driven from Rust as one of this process is.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use greenroom_control::{Remote, SessionName};
use greenroom_engine::driver::{Driver, Events, call};
use greenroom_protocol::message::{Answer, CloseReason, EventKind, Operation};
use greenroom_protocol::turn::Turn;
use greenroom_protocol::{Code, Error};

use crate::stage::{DEADLINE, Stage, eventually, runs, signal};

fn open(stage: &Stage) -> Remote {
    Remote::open_in(&stage.registry(), &SessionName::default()).unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("nothing may hang")
}

async fn say(remote: &Remote, text: &str, timeout: Option<Duration>) -> Result<Turn, Error> {
    match within(call(remote, Operation::Say { text: text.to_owned() }, timeout)).await? {
        Answer::Turn(turn) => Ok(turn),
        other => panic!("{other:?}"),
    }
}

async fn kinds(mut events: Events) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    while let Some(event) = within(events.next()).await {
        kinds.push(event.kind);
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_calls_answers_and_events() {
    let stage = Stage::started();
    let remote = open(&stage);
    let turn = say(&remote, "hello", None).await.unwrap();
    assert_eq!((turn.reply.as_str(), turn.number), ("echo: hello", 1));
    let Answer::History { items } = within(call(&remote, Operation::History, None)).await.unwrap() else {
        panic!()
    };
    assert_eq!(items.len(), 2);
    assert_eq!(remote.status()["turns"], 1);
    assert_eq!(say(&remote, "", None).await.unwrap_err().code, Code::InvalidArgument);

    let events = Events::new(Arc::new(remote.clone()), 0);
    let reading = tokio::spawn(kinds(events));
    say(&remote, "again", None).await.unwrap();
    end_session(&remote).unwrap();
    end_session(&remote).unwrap();
    let kinds = reading.await.unwrap();
    let said = |text: &str| {
        kinds.iter().any(|kind| matches!(kind, EventKind::Message(message) if message.text == text))
    };
    assert!(said("echo: hello") && said("echo: again"), "from the beginning to the end: {kinds:?}");
    assert!(matches!(kinds.last(), Some(EventKind::Closed { reason: CloseReason::Closed, .. })), "{kinds:?}");
    stage.run(&["status"]).code(3);
    within(greenroom_engine::driver::end(&remote)).await;
    end_session(&remote).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_a_session_and_lets_go_of_it_at_once_has_ended_it() {
    let stage = Stage::started();
    let remotes = [open(&stage), open(&stage)];
    let ending = remotes.clone().map(|remote| std::thread::spawn(move || end_session(&remote)));
    for (remote, ending) in remotes.iter().zip(ending) {
        ending.join().unwrap().unwrap();
        within(greenroom_engine::driver::end(remote)).await;
        end_session(remote).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letting_go_leaves_the_session_to_its_daemon() {
    let stage = Stage::started();
    let remote = open(&stage);
    let events = Events::new(Arc::new(remote.clone()), remote.end_of_events());
    within(greenroom_engine::driver::end(&remote)).await;
    within(greenroom_engine::driver::end(&remote)).await;
    assert_eq!(say(&remote, "hello", None).await.unwrap_err().code, Code::SessionClosed);
    assert!(matches!(
        kinds(events).await.as_slice(),
        [EventKind::Closed { reason: CloseReason::Closed, .. }]
    ));
    let error = end_session(&remote).unwrap_err();
    assert_eq!(error.code, Code::SessionClosed, "it runs on: {error}");
    stage.run(&["say", "hello"]).ok();
}

fn end_session(remote: &Remote) -> Result<(), Error> {
    let (done, ended) = mpsc::channel();
    remote.end_session(Box::new(move |end| done.send(end).unwrap()));
    ended.recv_timeout(DEADLINE).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_can_be_given_up() {
    let stage = Stage::started();
    let remote = open(&stage);
    let hanging = {
        let remote = remote.clone();
        tokio::spawn(async move { say(&remote, "hang", None).await })
    };
    eventually("the turn is under way", || stage.in_turn());
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    assert_eq!(say(&remote, "hello", None).await.unwrap().reply, "echo: hello");
    let late = say(&remote, "hang", Some(Duration::from_millis(200))).await.unwrap_err();
    assert_eq!(late.code, Code::Timeout);
    assert_eq!(say(&remote, "hello", None).await.unwrap().reply, "echo: hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_fails_what_is_pending() {
    let stage = Stage::started();
    let remote = open(&stage);
    let events = Events::new(Arc::new(remote.clone()), 0);
    let pid = remote.record().pid;
    let hanging = {
        let remote = remote.clone();
        tokio::spawn(async move { say(&remote, "hang", None).await })
    };
    eventually("the turn is under way", || stage.in_turn());
    signal(pid, "KILL");
    let error = hanging.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::AgentGone);
    assert!(error.message.contains("was killed or has crashed"), "{error}");
    let kinds = kinds(events).await;
    assert!(
        matches!(kinds.last(), Some(EventKind::Closed { reason: CloseReason::DaemonGone, .. })),
        "{kinds:?}"
    );
    eventually("it is gone", || !runs(pid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_dies_is_told_of_as_such() {
    let stage = Stage::started();
    let remote = open(&stage);
    let error = say(&remote, "crash", None).await.unwrap_err();
    assert_eq!(error.code, Code::AgentGone);
    assert!(error.message.contains("the agent exited"), "{error}");
    let kinds = kinds(Events::new(Arc::new(remote), 0)).await;
    assert!(
        matches!(kinds.last(), Some(EventKind::Closed { reason: CloseReason::AgentExited, .. })),
        "{kinds:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_daemon_does_not_hang_a_call() {
    let stage = Stage::started();
    let remote = open(&stage);
    signal(remote.record().pid, "STOP");
    let answer = within(call(&remote, Operation::Ping, Some(Duration::from_millis(100)))).await;
    signal(remote.record().pid, "CONT");
    let error = answer.unwrap_err();
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("it may be stopped or stuck"), "{error}");
    assert!(within(call(&remote, Operation::Ping, None)).await.is_ok());
}

#[test]
fn a_session_that_is_not_there() {
    let stage = Stage::new();
    std::fs::create_dir(stage.home()).unwrap();
    let error = Remote::open_in(&stage.registry(), &SessionName::default()).err().unwrap();
    assert_eq!(error.code, Code::NoSession);
}
