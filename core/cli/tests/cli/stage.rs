//! A state folder of its own for each test, the command to run in it, and the end of whatever was started.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greenroom_control::registry::Found;
use greenroom_control::{Record, Registry, SessionName};
use serde_json::Value;

/// No wait of these tests is longer than this, unless something hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A place for sessions that nobody else sees.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        greenroom_test_peer::agent_file(folder.path());
        Self { folder }
    }

    /// A stage with a session that is ready.
    pub(crate) fn started() -> Self {
        let stage = Self::new();
        stage.start(&[]).ok();
        stage
    }

    /// `start` with the scripted agent and more arguments.
    pub(crate) fn start(&self, more: &[&str]) -> Outcome {
        let peer = greenroom_test_peer::binary();
        let mut args = vec!["start", "agent.py", "--python", peer.to_str().unwrap()];
        args.extend(more);
        self.run(&args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        wait(self.command(args))
    }

    /// What a command that ends well prints as its one JSON document.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(args).ok().json()
    }

    /// Whether the default session is in a turn. Unlike a status, a list asks nothing of the agent.
    pub(crate) fn in_turn(&self) -> bool {
        self.json(&["list", "--json"])["sessions"][0]["turn_in_progress"] == true
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(args).current_dir(self.path());
        for name in
            ["GREENROOM_SESSION", "GREENROOM_PEER", "GREENROOM_AUDIT_LOG", "VIRTUAL_ENV", "CLICOLOR_FORCE"]
        {
            command.env_remove(name);
        }
        for name in ["URL", "PUBLIC_URL", "TOKEN", "API_KEY", "API_SECRET"] {
            command.env_remove(format!("LIVEKIT_{name}"));
        }
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command.env("GREENROOM_HOME", self.home());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::at(self.home())
    }

    /// What the daemon of the default session wrote down.
    pub(crate) fn record(&self) -> Record {
        self.registry().live(&SessionName::default()).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for (_, found) in self.registry().list().unwrap_or_default() {
            if let Found::Live(record) = found {
                // The daemon leads a group of its own, and its death is its agent's.
                let _ = greenroom_os::kill_group(record.pid);
            }
        }
    }
}

impl Outcome {
    /// Itself, if the command ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Whether it told this on standard error.
    #[track_caller]
    pub(crate) fn told(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "no {part:?} in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn printed(self, part: &str) -> Self {
        assert!(self.stdout.contains(part), "no {part:?} in {self:#?}");
        self
    }

    /// The one document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one document, on one line: {self:#?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs a command to its end.
pub(crate) fn wait(command: Command) -> Outcome {
    wait_with(command, &[])
}

/// Runs a command to its end, with `input` on its standard input.
pub(crate) fn wait_with(mut command: Command, input: &[u8]) -> Outcome {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // A command that has read enough closes its end.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    finish(child)
}

/// Waits until a command has ended. One that hangs is killed, and its test fails.
pub(crate) fn finish(child: Child) -> Outcome {
    finish_within(child, DEADLINE)
}

/// The same, for a command that waits for more than a scripted agent.
pub(crate) fn finish_within(mut child: Child, deadline: Duration) -> Outcome {
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let begun = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if begun.elapsed() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the command did not end: {}", stderr.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Outcome { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn reader(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut text).unwrap();
        }
        String::from_utf8(text).unwrap()
    })
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs; one that nobody has reaped yet does not.
pub(crate) fn runs(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = state.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}

pub(crate) fn signal(pid: u32, name: &str) {
    let kill = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(kill.success(), "no {name} to {pid}");
}
