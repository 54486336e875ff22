//! What the tests of this crate share: waits on conditions, and processes that play a part.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Polls until the condition holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs: one that has ended and was not reaped (by whoever inherited it) does not.
#[cfg(target_os = "linux")]
pub(crate) fn running(pid: u32) -> bool {
    let process = procfs::process::Process::new(pid as i32).and_then(|process| process.stat());
    process.is_ok_and(|stat| stat.state != 'Z' && stat.state != 'X')
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn running(pid: u32) -> bool {
    greenroom_os::process_alive(pid).unwrap_or(false)
}

/// The variable that tells a test process which part it plays.
pub(crate) const PART: &str = "GREENROOM_TEST_PART";

/// This test program again, as a process that plays a part: the test function of that name does nothing unless it
/// finds itself cast.
pub(crate) struct Actor {
    pub(crate) child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Actor {
    pub(crate) fn start(part: &str) -> Self {
        let mut cmd = Command::new(std::env::current_exe().expect("the path of this test"));
        cmd.args(["--exact", part, "--nocapture", "--test-threads=1"]).env(PART, part);
        let mut child = cmd.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start an actor");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines: Some(lines) }
    }

    /// The number in the next line `KEY=NUMBER` of that key.
    pub(crate) fn number(&mut self, key: &str) -> u32 {
        for line in self.lines.iter_mut().flatten() {
            // The test harness writes its own words before ours, on the same line.
            if let Some((_, number)) = line.expect("a line of text").rsplit_once(&format!("{key}=")) {
                return number.parse().expect("a number");
            }
        }
        panic!("the actor ended before it said {key}");
    }

    /// Whether everybody who holds the actor's output is gone within that time.
    pub(crate) fn rest_within(mut self, patience: Duration) -> bool {
        let (done, ended) = std::sync::mpsc::channel();
        let lines = self.lines.take();
        std::thread::spawn(move || {
            lines.into_iter().flatten().for_each(drop);
            let _ = done.send(());
        });
        ended.recv_timeout(patience).is_ok()
    }

    /// SIGKILL, and no goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill the actor");
        self.child.wait().expect("reap the actor");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process plays the part.
pub(crate) fn cast_as(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|cast| cast == part)
}
