//! The sessions of a user, as their folders tell.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use greenroom_control::registry::{Found, Lock};
use greenroom_control::{Ended, Launch, Record, Registry, SessionName, Token};
use greenroom_protocol::{Code, Error};

fn name(text: &str) -> SessionName {
    text.parse().unwrap()
}

fn registry(root: &tempfile::TempDir) -> Registry {
    Registry::at(root.path())
}

/// A daemon's doing: it holds the lock and has written down how to reach it.
fn live(registry: &Registry, session: &str) -> Lock {
    let folder = registry.folder(&name(session));
    let lock = folder.lock().unwrap();
    let record = Record {
        name: name(session),
        pid: std::process::id(),
        port: 4321,
        token: Token::random().unwrap(),
        started_at: "2026-11-21T00:00:00Z".to_owned(),
        log_path: folder.log(),
        daemon_log_path: folder.daemon_log(),
        launch: Launch::default(),
    };
    lock.write(&record).unwrap();
    lock
}

fn age(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    File::open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_session_lives_as_long_as_its_lock_is_held() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    let lock = live(&registry, "one");
    assert!(
        matches!(registry.folder(&name("one")).find().unwrap(), Found::Live(record) if record.port == 4321)
    );
    assert_eq!(registry.live(&name("one")).unwrap().port, 4321);
    drop(lock);
    assert!(matches!(registry.folder(&name("one")).find().unwrap(), Found::Vanished(_)));
    let error = registry.live(&name("one")).unwrap_err();
    assert_eq!(error.code, Code::NoSession);
    assert!(error.message.contains("was killed or has crashed"), "{error}");
}

#[test]
fn only_one_holds_a_session() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    let _lock = live(&registry, "one");
    let error = registry.folder(&name("one")).lock().unwrap_err();
    assert_eq!(error.code, Code::AlreadyRunning);
    assert!(error.message.starts_with("a session is already running on 127.0.0.1:4321"), "{error}");
    assert!(registry.folder(&name("two")).lock().is_ok());
}

#[test]
fn who_only_looks_does_not_keep_a_daemon_from_its_lock() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    drop(live(&registry, "one"));
    let looking = File::open(root.path().join("one/lock")).unwrap();
    looking.try_lock_shared().unwrap();
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(looking);
    });
    assert!(registry.folder(&name("one")).lock().is_ok());
    later.join().unwrap();
}

#[test]
fn what_a_dead_daemon_left_is_cleared_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    drop(live(&registry, "one"));
    fs::write(root.path().join("one/agent.log"), "old").unwrap();
    let _lock = registry.folder(&name("one")).lock().unwrap();
    assert!(matches!(registry.folder(&name("one")).find().unwrap(), Found::Starting));
    assert!(!root.path().join("one/agent.log").exists());
}

#[test]
fn an_end_that_was_not_asked_for_leaves_a_note() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    let lock = live(&registry, "one");
    let ended = Ended {
        name: name("one"),
        at: "2026-11-21T01:02:03Z".to_owned(),
        reason: "idle".to_owned(),
        error: Error::new(Code::SessionClosed, "nothing was asked for 30m"),
        status: serde_json::Value::Null,
        log_path: "agent.log".into(),
        launch: Launch::default(),
    };
    lock.leave(&ended).unwrap();
    let error = registry.live(&name("one")).unwrap_err();
    assert_eq!(error.code, Code::NoSession);
    assert!(error.message.contains("2026-11-21T01:02:03Z: nothing was asked for 30m"), "{error}");
}

#[test]
fn an_end_that_was_asked_for_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    live(&registry, "one").remove();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    assert!(matches!(registry.folder(&name("one")).find().unwrap(), Found::Unknown));
}

#[test]
fn all_sessions_are_listed_by_name_and_nothing_else_is() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    let _two = live(&registry, "two");
    let _one = live(&registry, "one");
    fs::create_dir(root.path().join("empty")).unwrap();
    fs::create_dir(root.path().join(".start-1")).unwrap();
    fs::write(root.path().join("a file"), "").unwrap();
    fs::create_dir(root.path().join("broken")).unwrap();
    fs::write(root.path().join("broken/session.json"), "{").unwrap();
    let names: Vec<String> = registry.list().unwrap().into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_sweep_takes_what_is_old_and_dead() {
    let root = tempfile::tempdir().unwrap();
    let registry = registry(&root);
    let _live = live(&registry, "live");
    drop(live(&registry, "old"));
    drop(live(&registry, "fresh"));
    for folder in [".start-old", ".start-fresh", ".gone-1"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    for (folder, days) in [("live", 30), ("old", 8), (".start-old", 2)] {
        age(&root.path().join(folder), days);
    }
    registry.sweep();
    let mut left: Vec<String> = fs::read_dir(root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [".start-fresh", "fresh", "live"]);
}

#[test]
fn names_are_file_names_everywhere() {
    for good in ["default", "a", "A.b_c-9", "-", "_", &"x".repeat(64)] {
        assert_eq!(name(good).as_str(), good);
    }
    for bad in ["", ".", "..", ".a", "a/b", "a\\b", "a b", "a\n", "é", "a:b", &"x".repeat(65)] {
        let error = bad.parse::<SessionName>().unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.len() < 300, "{error}");
    }
}

#[test]
fn a_token_is_shown_to_nobody() {
    let token = Token::random().unwrap();
    assert_eq!(format!("{token:?}"), "Token(…)");
    assert!(token.matches(&token.clone()));
    assert!(!token.matches(&Token::random().unwrap()));
}
