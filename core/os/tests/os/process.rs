//! Signals to groups, what is alive, detaching, and taking a process' place.

use std::io::ErrorKind;
use std::process::Command;

use greenroom_os::{
    Leader, detach, group_alive, interrupt_group, kill_group, process_alive, read_unless_stopped,
    replace_process, session_of,
};

use crate::stage;

#[test]
fn ids_that_would_reach_beyond_one_group_are_refused() {
    let own = rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs();
    for id in [0, 1, own, u32::MAX] {
        assert_eq!(kill_group(id).expect_err("refused").kind(), ErrorKind::InvalidInput, "{id}");
        assert_eq!(interrupt_group(id).expect_err("refused").kind(), ErrorKind::InvalidInput, "{id}");
    }
}

#[test]
fn what_has_ended_is_not_alive() {
    let mut cmd = Command::new("sleep");
    cmd.arg("300");
    let leader = Leader::spawn(cmd).expect("start");
    let id = leader.id();
    assert!(process_alive(id).expect("look"));
    assert!(group_alive(id).expect("look"));
    interrupt_group(id).expect("interrupt");
    let status = leader.wait().expect("a status");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2));
    assert!(!process_alive(id).expect("look"));
    assert!(!group_alive(id).expect("look"));
    assert!(session_of(id).is_err());
    assert!(process_alive(1).expect("a process of another user is alive, too"));
}

#[test]
fn a_detached_process_leads_a_session() {
    let mut cmd = Command::new("sleep");
    cmd.arg("300");
    detach(&mut cmd).expect("supported");
    let mut child = cmd.spawn().expect("start");
    assert_eq!(session_of(child.id()).expect("look"), child.id());
    child.kill().expect("kill");
    child.wait().expect("reap");
}

#[test]
fn part_replaced() {
    if stage::cast_as("process::part_replaced") {
        println!("before={}", std::process::id());
        let mut cmd = Command::new("/bin/sh");
        panic!("{}", replace_process(cmd.args(["-c", "echo after=$$"])));
    }
}

#[test]
fn a_replaced_process_keeps_its_id() {
    let mut actor = stage::Actor::start("process::part_replaced");
    let before = actor.number("before");
    assert_eq!(actor.number("after"), before);
    let error = replace_process(&mut Command::new("/nowhere/no-such-program"));
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_blocked_read_is_stopped() {
    use std::io::Write;

    let (reader, mut writer) = std::io::pipe().expect("pipe");
    let (stop, stopper) = std::io::pipe().expect("pipe");
    let mut buffer = [0; 8];
    writer.write_all(b"abc").expect("write");
    assert_eq!(read_unless_stopped(&reader, &stop, &mut buffer).expect("read"), Some(3));
    let blocked = std::thread::spawn(move || {
        let read = read_unless_stopped(&reader, &stop, &mut [0; 8]).expect("read");
        (read, reader, stop)
    });
    drop(stopper);
    let (read, reader, stop) = blocked.join().expect("join");
    assert_eq!(read, None);
    // What is there still comes first, and so does the end.
    writer.write_all(b"de").expect("write");
    assert_eq!(read_unless_stopped(&reader, &stop, &mut buffer).expect("read"), Some(2));
    drop(writer);
    assert_eq!(read_unless_stopped(&reader, &stop, &mut buffer).expect("read"), Some(0));
}
