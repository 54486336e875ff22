//! The guard and the leader: whoever dies first, nothing of the group is left, and nothing else is touched.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use greenroom_os::{Guard, Leader, group_alive, session_of};

use crate::stage::{Actor, cast_as, eventually, running};

/// A shell that starts a child of its own, tells both ids, and stays.
fn family() -> Command {
    let mut cmd = Command::new("/bin/sh");
    cmd.args(["-c", "sleep 300 & echo grandchild=$!; echo child=$$; wait"]);
    cmd
}

fn read_number(from: &mut impl BufRead, key: &str) -> u32 {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    line.trim()
        .strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('='))
        .expect(key)
        .parse()
        .expect("a number")
}

fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("write to the test");
}

// Parts: processes that a test starts and kills.

#[test]
fn part_owner() {
    if cast_as("guard::part_owner") {
        let leader = Leader::spawn(family()).expect("start");
        say(format_args!("owner={}", leader.id()));
        let _ = std::io::stdin().read(&mut [0]);
    }
}

#[test]
fn part_owner_that_dies_at_once() {
    if cast_as("guard::part_owner_that_dies_at_once") {
        let _leader = Leader::spawn(family()).expect("start");
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("die");
    }
}

/// Its child says its id and then takes its time: before it announces itself, or between that and exec.
fn spawn_slowly(before_announcing: bool) {
    let pause = || {
        let mut id = [b' '; 11];
        let mut number = std::process::id();
        for digit in id.iter_mut().rev().skip(1) {
            *digit = if number > 0 { b'0' + (number % 10) as u8 } else { b'0' };
            number /= 10;
        }
        id[10] = b'\n';
        rustix::io::write(rustix::stdio::stdout(), b"child=")?;
        rustix::io::write(rustix::stdio::stdout(), &id)?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(())
    };
    let guard = Guard::start().expect("guard");
    let mut cmd = family();
    if !before_announcing {
        guard.watch(&mut cmd);
    }
    // SAFETY: writes from the stack and sleeps; allocates and locks nothing.
    #[expect(unsafe_code, reason = "a hook that holds the child between fork and exec")]
    unsafe {
        cmd.pre_exec(pause);
    }
    if before_announcing {
        guard.watch(&mut cmd);
    }
    let _ = cmd.spawn();
    unreachable!("the test kills this process while the child waits");
}

#[test]
fn part_owner_before_exec() {
    if cast_as("guard::part_owner_before_exec") {
        spawn_slowly(false);
    }
}

#[test]
fn part_owner_before_announcement() {
    if cast_as("guard::part_owner_before_announcement") {
        spawn_slowly(true);
    }
}

// Tests.

#[test]
fn a_killed_owner_takes_child_and_grandchild_with_it() {
    let mut owner = Actor::start("guard::part_owner");
    let grandchild = owner.number("grandchild");
    let child = owner.number("child");
    assert!(running(child) && running(grandchild));
    owner.kill();
    eventually("child and grandchild are gone", || !running(child) && !running(grandchild));
}

#[test]
fn an_owner_that_dies_right_after_the_spawn_leaves_nothing() {
    for _ in 0..10 {
        let mut owner = Actor::start("guard::part_owner_that_dies_at_once");
        owner.child.wait().expect("reap");
        // The family may be killed before it says a word; the pipe ends once all who hold it are gone.
        assert!(owner.rest_within(Duration::from_secs(20)), "somebody of the family lives on");
    }
}

#[test]
fn an_owner_that_dies_between_fork_and_exec_leaves_nothing() {
    for part in ["guard::part_owner_before_exec", "guard::part_owner_before_announcement"] {
        let mut owner = Actor::start(part);
        let child = owner.number("child");
        owner.kill();
        eventually("the child is gone", || !running(child));
    }
}

#[test]
fn a_dropped_guard_kills_and_a_released_one_does_not() {
    for release in [false, true] {
        let guard = Guard::start().expect("guard");
        let shell = guard.id();
        let mut cmd = family();
        guard.watch(&mut cmd);
        let mut child = cmd.stdout(Stdio::piped()).spawn().expect("start");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let grandchild = read_number(&mut lines, "grandchild");
        if release {
            guard.release();
            assert!(!running(shell), "the shell is gone");
            assert!(running(child.id()) && running(grandchild));
            greenroom_os::kill_group(child.id()).expect("clean up");
        } else {
            drop(guard);
        }
        let status = child.wait().expect("reap");
        assert_eq!(status.signal(), Some(9));
        assert!(!greenroom_os::process_alive(shell).expect("look"), "no zombie of the shell");
        eventually("the grandchild is gone", || !running(grandchild));
    }
}

#[test]
fn a_guard_that_kills_removes_files_too_and_a_released_one_does_not() {
    for released in [true, false] {
        let folder = tempfile::tempdir().expect("folder");
        // A name that a shell would read wrongly if it read it at all.
        let file = folder.path().join(" $(oops) 'a log' -rf *");
        std::fs::write(&file, "log").expect("write");
        let guard = Guard::start().expect("guard");
        guard.remove_afterwards(&file).expect("tell");
        assert!(guard.remove_afterwards(Path::new("/tmp/two\nlines")).is_err());
        if released {
            guard.release();
        } else {
            drop(guard);
        }
        assert_eq!(file.exists(), released);
    }
}

#[test]
fn a_guard_without_a_group_ends_quietly() {
    let guard = Guard::start().expect("guard");
    let shell = guard.id();
    drop(guard);
    assert!(!greenroom_os::process_alive(shell).expect("look"));
}

#[test]
fn the_guard_stays_out_of_reach_of_the_terminal() {
    let guard = Guard::start().expect("guard");
    assert_eq!(session_of(guard.id()).expect("look"), guard.id());
    let mut cmd = Command::new("/bin/sh");
    cmd.args(["-c", "exec sleep 300"]);
    guard.watch(&mut cmd);
    let mut child = cmd.spawn().expect("start");
    // Once it reads, its traps are set: a released one that was never told would end either way.
    eventually("the shell waits for a line", || is_blocked_in_read(guard.id()));
    for signal in ["HUP", "INT", "TERM", "QUIT"] {
        let sent = Command::new("kill").args(["-s", signal, &guard.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }
    assert!(running(guard.id()));
    drop(guard);
    assert_eq!(child.wait().expect("reap").signal(), Some(9), "it still did its work");
}

#[cfg(target_os = "linux")]
fn is_blocked_in_read(pid: u32) -> bool {
    let stat = procfs::process::Process::new(pid as i32).and_then(|process| process.stat());
    let status = procfs::process::Process::new(pid as i32).and_then(|process| process.status());
    // SIGHUP, SIGINT, SIGQUIT and SIGTERM ignored, and asleep.
    stat.is_ok_and(|stat| stat.state == 'S') && status.is_ok_and(|status| status.sigign & 0x4007 == 0x4007)
}

#[cfg(not(target_os = "linux"))]
fn is_blocked_in_read(pid: u32) -> bool {
    running(pid)
}

#[test]
fn nothing_starts_unguarded_once_the_guard_is_gone() {
    let guard = Guard::start().expect("guard");
    let mut cmd = family();
    guard.watch(&mut cmd);
    drop(guard);
    let error = cmd.spawn().expect_err("no spawn");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);

    let guard = Guard::start().expect("guard");
    let killed = Command::new("kill").args(["-9", &guard.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    eventually("the shell is dead", || !running(guard.id()));
    let mut cmd = family();
    guard.watch(&mut cmd);
    let error = cmd.spawn().expect_err("no spawn");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[cfg(target_os = "linux")]
#[test]
fn no_other_process_gets_the_owners_end() {
    let guard = Guard::start().expect("guard");
    let sockets = |pid: i32| -> Vec<u64> {
        let fds = procfs::process::Process::new(pid).and_then(|process| process.fd()).expect("list files");
        fds.filter_map(Result::ok)
            .filter_map(|fd| match fd.target {
                procfs::process::FDTarget::Socket(inode) => Some(inode),
                _ => None,
            })
            .collect()
    };
    let mut cmd = Command::new("sleep");
    cmd.arg("300");
    guard.watch(&mut cmd);
    let mut watched = cmd.spawn().expect("start");
    let mut other = Command::new("sleep").arg("300").spawn().expect("start");
    assert!(!sockets(std::process::id() as i32).is_empty());
    assert_eq!(sockets(watched.id() as i32), []);
    assert_eq!(sockets(other.id() as i32), []);
    assert_eq!(sockets(guard.id() as i32).len(), 1, "the shell has its own end only");
    drop(guard);
    watched.wait().expect("reap");
    other.kill().expect("clean up");
    other.wait().expect("reap");
}

#[test]
fn a_leader_leads_its_session_and_its_leftovers_go_with_it() {
    let mut cmd = Command::new("/bin/sh");
    cmd.args(["-c", "sleep 300 & echo grandchild=$!; read -r line; exit 7"]);
    let (mut ours, theirs) = (std::io::pipe().expect("pipe"), std::io::pipe().expect("pipe"));
    cmd.stdin(theirs.0).stdout(ours.1);
    let leader = Leader::spawn(cmd).expect("start");
    let group = leader.group();
    assert_eq!(session_of(leader.id()).expect("look"), leader.id());
    let mut lines = BufReader::new(&mut ours.0);
    let grandchild = read_number(&mut lines, "grandchild");
    assert!(group_alive(group.id()).expect("look"));
    drop(theirs.1);
    let status = leader.wait().expect("nobody else reaps it");
    assert_eq!(status.code(), Some(7));
    eventually("the grandchild is gone", || !running(grandchild));
    assert!(!group.interrupt().expect("a blank"), "the handle is a blank once the leader is reaped");
    assert!(!group.kill().expect("a blank"));
}

#[test]
fn a_group_is_killed_from_elsewhere_and_by_a_drop() {
    let leader = Leader::spawn(family()).expect("start");
    let group = leader.group();
    let waiter = std::thread::spawn(move || leader.wait());
    assert!(group.kill().expect("kill"));
    let status = waiter.join().expect("join").expect("a status");
    assert_eq!(status.signal(), Some(9));

    let leader = Leader::spawn(family()).expect("start");
    let id = leader.id();
    drop(leader);
    assert!(!running(id));
}

#[test]
fn a_command_that_cannot_start_is_the_systems_error() {
    let error = Leader::spawn(Command::new("/nowhere/no-such-program")).expect_err("no such program");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
