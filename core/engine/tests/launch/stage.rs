//! What the tests of this program share.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use greenroom_engine::launch::{AgentSpec, Kind, LogFile, Origin, Plan};
use tempfile::TempDir;

/// What follows `-c` on the command line of a Python agent, before the file.
pub(crate) const RUN_BOOTSTRAP: &str = "import os, sys; sys.path[0] or sys.path.pop(0); \
                                        exec(compile(os.environ.pop('GREENROOM_PREPARE'), '<greenroom>', 'exec'), {}); \
                                        exec(compile(os.environ.pop('GREENROOM_BOOTSTRAP'), '<greenroom>', 'exec'))";

/// Far more than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A folder that stands for a person's machine: a project with `.git` above it, programs of its own on PATH.
pub(crate) struct Machine {
    _folder: TempDir,
    root: PathBuf,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("its real path");
        let machine = Self { _folder: folder, root };
        for folder in ["work/.git", "bin", "home"] {
            fs::create_dir_all(machine.path(folder)).expect("a folder");
        }
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        fs::write(&path, text).expect("write");
        path
    }

    /// A shell script that can be run. Another process writes it: a file that this process has open for writing,
    /// when another test's child is just being forked, cannot be executed ("text file busy").
    pub(crate) fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        let mut writer = Command::new("/bin/sh");
        writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&path).stdin(Stdio::piped());
        let mut writer = writer.spawn().expect("sh");
        let mut pipe = writer.stdin.take().expect("a pipe");
        write!(pipe, "#!/bin/sh\n{script}\n").expect("write");
        drop(pipe);
        assert!(writer.wait().expect("sh").success());
        path
    }

    /// A Python of which `livekit-agents` has that version (empty: not installed).
    pub(crate) fn python(&self, name: &str, sdk: &str) -> PathBuf {
        self.program(name, &format!("echo noise\necho greenroom-python=3.12.1\necho greenroom-sdk={sdk}"))
    }

    /// A uv whose project's Python is that of `/env`, with that version of `livekit-agents`. It writes down its
    /// arguments in `uv.args` of the folder where it runs.
    pub(crate) fn uv(&self, sdk: &str) -> PathBuf {
        let environment = r#"{"VIRTUAL_ENV": "/env", "PATH": "/env/bin", "HOME": "'"$HOME"'", "PWD": "/"}"#;
        let answer = format!(
            "echo \"$*\" > uv.args; echo 'Resolved 3 packages' >&2\necho greenroom-sdk={sdk}\n\
             echo greenroom-executable=/env/bin/python3\necho greenroom-environment='{environment}'"
        );
        self.program("bin/uv", &answer)
    }

    pub(crate) fn node(&self, version: &str) -> PathBuf {
        self.program("bin/node", &format!("echo {version}"))
    }

    /// A person in `work`, with nothing but this machine.
    pub(crate) fn spec(&self) -> AgentSpec {
        let mut spec = AgentSpec::new(self.path("work"));
        let var = |name: &str, value: String| (name.to_owned(), value);
        spec.env = vec![
            var("PATH", self.path("bin").display().to_string()),
            var("HOME", self.path("home").display().to_string()),
            var("VIRTUAL_ENV", String::new()),
            var("CONDA_PREFIX", String::new()),
            var("CONDA_EXE", String::new()),
            var("MAMBA_EXE", String::new()),
        ];
        spec
    }

    pub(crate) fn log(&self) -> LogFile {
        LogFile::open(self.path("agent.log")).expect("a log")
    }
}

/// A plan that runs a shell script in the place of an agent.
pub(crate) fn script(kind: Kind, dir: &Path, script: &str) -> Plan {
    Plan {
        kind,
        entry: "agent.py".into(),
        project_dir: dir.to_owned(),
        program: "/bin/sh".into(),
        program_args: vec!["-c".to_owned(), script.to_owned()],
        origin: Origin::Given,
        interpreter_version: None,
        runner: None,
        has_loader: false,
        can_preload: false,
        sdk_version: "1.8.9".to_owned(),
        args: Vec::new(),
        env: Vec::new(),
        record: false,
        stand_in: None,
    }
}

/// Polls until the condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs: one that has ended and was not reaped (by whoever inherited it) does not.
pub(crate) fn running(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) if Path::new("/proc/self").exists() => false,
        Err(_) => greenroom_os::process_alive(pid).unwrap_or(false),
    }
}

/// The number in a line `KEY=NUMBER`, once the log has one.
pub(crate) async fn logged(log: &Path, key: &str) -> u32 {
    let key = format!("{key}=");
    let mut found = None;
    eventually(&key, || {
        let text = fs::read_to_string(log).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        found = whole.lines().find_map(|line| line.strip_prefix(&key)?.parse().ok());
        found.is_some()
    })
    .await;
    found.expect("found")
}

/// The variable that tells a test process which part it plays.
const PART: &str = "GREENROOM_TEST_PART";

/// Whether this process plays the part.
pub(crate) fn cast_as(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|cast| cast == part)
}

/// This test program again, as a process that plays a part: the test function of that name does nothing unless it
/// finds itself cast.
pub(crate) struct Actor {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it leaves behind when it is killed goes with this folder.
    _folder: TempDir,
}

impl Actor {
    pub(crate) fn start(part: &str) -> Self {
        let mut cmd = Command::new(std::env::current_exe().expect("the path of this test"));
        let folder = tempfile::tempdir().expect("a folder");
        cmd.args(["--exact", part, "--nocapture", "--test-threads=1"]).env(PART, part);
        cmd.env("TMPDIR", folder.path());
        let mut child = cmd.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start an actor");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines, _folder: folder }
    }

    /// The number in the next line `KEY=NUMBER` of that key.
    pub(crate) fn number(&mut self, key: &str) -> u32 {
        for line in self.lines.by_ref() {
            // The test harness writes its own words before ours, on the same line.
            if let Some((_, number)) = line.expect("a line of text").rsplit_once(&format!("{key}=")) {
                return number.parse().expect("a number");
            }
        }
        panic!("the actor ended before it said {key}");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
