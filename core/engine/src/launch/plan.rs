//! What is going to be run.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::{StandIn, names};

/// The language of an agent, and with it its SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Python, with `livekit-agents`.
    Python,
    /// JavaScript or TypeScript, with `@livekit/agents`.
    Node,
}

impl Kind {
    /// By the file's name; None for any other file.
    pub(super) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "py" => Some(Self::Python),
            "js" | "mjs" | "cjs" | "ts" | "mts" | "cts" => Some(Self::Node),
            _ => None,
        }
    }

    /// The language's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Node => "Node",
        }
    }

    /// The SDK's package.
    pub fn sdk(self) -> &'static str {
        match self {
            Self::Python => "livekit-agents",
            Self::Node => "@livekit/agents",
        }
    }
}

/// Where an interpreter was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was named.
    Given,
    /// The project is uv's, which chose it, and synced its environment.
    Uv,
    /// The project's own `.venv`.
    ProjectEnv,
    /// The virtual environment that is active.
    ActiveEnv,
    /// The host process runs on it.
    Host,
    /// PATH.
    Path,
}

/// An agent that is ready to be started: everything was found, and is new enough.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The agent's language.
    pub kind: Kind,
    /// The agent's file, relative to `project_dir`.
    pub entry: PathBuf,
    /// The project's root folder, where the agent will run.
    pub project_dir: PathBuf,
    /// The interpreter to run.
    pub program: PathBuf,
    /// Arguments that the interpreter needs before the person's own: a flag of Node's.
    pub program_args: Vec<String>,
    /// Where the interpreter was found.
    pub origin: Origin,
    /// The interpreter's version, if it told one.
    pub interpreter_version: Option<String>,
    /// The version of the SDK.
    pub sdk_version: String,
    /// The person's own arguments for the interpreter.
    pub args: Vec<String>,
    /// Variables on top of the environment that is inherited: the person's, and what uv sets. They may be secrets.
    pub env: Vec<(String, String)>,
    /// Whether the SDK records the session.
    pub record: bool,
    /// What the agent finds in place of a room.
    pub stand_in: Option<StandIn>,
}

/// Prepares livekit-agents before anything of the agent runs.
const PREPARE: &str = include_str!("prepare.py");

/// Carries the preparation, which a command line would show to everybody who lists processes.
const PREPARE_VARIABLE: &str = "GREENROOM_PREPARE";

/// Carries the stand-in for a room to the preparation, as JSON.
const STAND_IN_VARIABLE: &str = "GREENROOM_STAND_IN";

/// Does as `-m livekit.agents`, prepared.
const RUN_PREPARED: &str = "import os; \
                            exec(compile(os.environ.pop('GREENROOM_PREPARE'), '<greenroom>', 'exec'), {}); \
                            import runpy; \
                            runpy.run_module('livekit.agents', run_name='__main__', alter_sys=True)";

impl Plan {
    /// `Detected Python agent (agent.py in /home/me/project)`.
    pub fn describe(&self) -> String {
        format!(
            "Detected {} agent ({} in {})",
            self.kind.name(),
            self.entry.display(),
            self.project_dir.display()
        )
    }

    /// The whole command line for an agent that is to connect to `address`, as a person would write it: without the
    /// preparation of the SDK.
    pub fn argv(&self, address: SocketAddr) -> Vec<OsString> {
        let mut argv: Vec<OsString> = vec![self.program.clone().into()];
        argv.extend(self.program_args.iter().chain(&self.args).map(OsString::from));
        let entry = self.entry_argument();
        match self.kind {
            Kind::Python => argv.extend(["-m".into(), "livekit.agents".into(), "console".into(), entry]),
            Kind::Node => argv.extend([entry, "console".into()]),
        }
        argv.extend(["--connect-addr".into(), address.to_string().into()]);
        if self.record {
            argv.push("--record".into());
        }
        argv
    }

    /// The command that [`argv`](Self::argv) tells, in the project's folder, with the agent's environment.
    pub(super) fn command(&self, address: SocketAddr) -> Command {
        let mut argv = self.argv(address);
        let prepared = self.kind == Kind::Python && prepare(&mut argv, &self.args);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).current_dir(&self.project_dir);
        if self.kind == Kind::Python && std::env::var_os("PYTHONUNBUFFERED").is_none() {
            // Else what a crashing agent printed last stays in its buffers.
            command.env("PYTHONUNBUFFERED", "1");
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        if prepared {
            command.env(PREPARE_VARIABLE, PREPARE);
            if let Some(given) = self.stand_in.as_ref().and_then(|given| serde_json::to_string(given).ok()) {
                command.env(STAND_IN_VARIABLE, given);
            }
        }
        command
    }

    /// A name that begins with a dash would be read as an option.
    fn entry_argument(&self) -> OsString {
        if self.entry.as_os_str().as_encoded_bytes().starts_with(b"-") {
            Path::new(".").join(&self.entry).into()
        } else {
            self.entry.clone().into()
        }
    }
}

/// Has the SDK prepared before it runs. Returns whether it is: a module that the person's arguments have Python run, such
/// as `-m coverage run`, takes no program in the place of another module.
fn prepare(argv: &mut [OsString], args: &[String]) -> bool {
    let module = argv.windows(2).position(|pair| pair[0] == "-m" && pair[1] == "livekit.agents");
    match module {
        Some(at) if !args.iter().any(|arg| arg.starts_with("-m")) => {
            argv[at] = "-c".into();
            argv[at + 1] = RUN_PREPARED.into();
            true
        }
        _ => false,
    }
}

/// Without the variables' values: they may be secrets.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("kind", &self.kind)
            .field("entry", &self.entry)
            .field("project_dir", &self.project_dir)
            .field("program", &self.program)
            .field("origin", &self.origin)
            .field("sdk_version", &self.sdk_version)
            .field("args", &self.args)
            .field("env", &names(&self.env))
            .finish_non_exhaustive()
    }
}
