//! What is going to be run.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::{StandIn, names};

/// Runs an agent's file as a script, with the SDK's console on our connection.
const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// Carries the bootstrap, which a command line would show to everybody who lists processes.
const BOOTSTRAP_VARIABLE: &str = "GREENROOM_BOOTSTRAP";

/// Prepares livekit-agents before anything of the agent runs.
const PREPARE: &str = include_str!("prepare.py");

/// Reports how the entrypoint of a JavaScript agent ends.
const NODE_PREPARE: &str = include_str!("prepare.mjs");

/// Has Node load the preparation. It takes itself out of the arguments that child processes of the agent inherit, and
/// does nothing without the variable, as in the agent's workers.
const NODE_PRELOAD: &str = "--import=data:text/javascript,\
     const {env, execArgv} = process, code = env.GREENROOM_PREPARE; delete env.GREENROOM_PREPARE; \
     const at = execArgv.findIndex((arg) => arg.includes('GREENROOM_PREPARE')); if (at >= 0) execArgv.splice(at, 1); \
     if (code) await import('data:text/javascript,' + encodeURIComponent(code)).catch(() => {})";

/// Carries the preparation.
const PREPARE_VARIABLE: &str = "GREENROOM_PREPARE";

/// Carries the stand-in for a room to the preparation, as JSON.
const STAND_IN_VARIABLE: &str = "GREENROOM_STAND_IN";

/// Carries the mark by which reports of the preparation are told from what the agent prints.
const MARK_VARIABLE: &str = "GREENROOM_MARK";

/// Runs the preparation and the bootstrap. Before that it takes the current folder, which `-c` puts first, out of the module path: nothing
/// of the project may hide a module from the bootstrap.
const RUN_BOOTSTRAP: &str = "import os, sys; sys.path[0] or sys.path.pop(0); \
                             exec(compile(os.environ.pop('GREENROOM_PREPARE'), '<greenroom>', 'exec'), {}); \
                             exec(compile(os.environ.pop('GREENROOM_BOOTSTRAP'), '<greenroom>', 'exec'))";

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
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => Some(Self::Node),
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
    /// The file carries its requirements itself (PEP 723), and uv keeps an environment for it.
    UvScript,
    /// The project's own `.venv`, or a folder of another usual name.
    ProjectEnv,
    /// The virtual environment that is active.
    ActiveEnv,
    /// The project names it: a runner in a script, or among its dependencies.
    Runner,
    /// Poetry keeps the project's environment.
    Poetry,
    /// PDM keeps the project's environment.
    Pdm,
    /// Pipenv keeps the project's environment.
    Pipenv,
    /// Hatch keeps the project's environment.
    Hatch,
    /// Conda has an environment of the name in the project's `environment.yml`.
    Conda,
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
    /// What runs the file and why, where that is not the language's usual interpreter alone.
    pub runner: Option<String>,
    /// Whether the interpreter reads more than its language: a loader of TypeScript, or a runtime with one.
    pub has_loader: bool,
    /// Whether the interpreter is Node, which can load the preparation before the agent's file.
    pub can_preload: bool,
    /// The version of the SDK; empty where the runtime fetches it only when it runs the file.
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

impl Plan {
    /// `Detected Python agent (agent.py in /home/me/project)`, and what runs it where that is not obvious.
    pub fn describe(&self) -> String {
        let runner = self.runner.as_ref().map_or(String::new(), |runner| format!(", run by {runner}"));
        format!(
            "Detected {} agent ({} in {}){runner}",
            self.kind.name(),
            self.entry.display(),
            self.project_dir.display()
        )
    }

    /// A variable as the agent has it.
    pub(super) fn var(&self, name: &str) -> Option<OsString> {
        let given = self.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.into());
        given.or_else(|| std::env::var_os(name)).filter(|value| !value.is_empty())
    }

    /// The whole command line for an agent that is to connect to `address`, but for the preparation of Node.
    pub fn argv(&self, address: SocketAddr) -> Vec<OsString> {
        let mut argv: Vec<OsString> = vec![self.program.clone().into()];
        let (args, module) = self.split_module();
        argv.extend(self.program_args.iter().chain(args).map(OsString::from));
        if self.kind == Kind::Python {
            argv.extend(["-c".into(), RUN_BOOTSTRAP.into()]);
        }
        argv.extend([self.entry_argument(), "console".into()]);
        argv.extend(["--connect-addr".into(), address.to_string().into()]);
        if self.record {
            argv.push("--record".into());
        }
        if let Some((name, args)) = module {
            argv.extend(["-m".into(), name.into()]);
            argv.extend(args.iter().map(OsString::from));
        }
        argv
    }

    /// The command that [`argv`](Self::argv) tells, in the project's folder, with the agent's environment.
    /// `mark` stands on each report of the preparation.
    pub(super) fn command(&self, address: SocketAddr, mark: &str) -> Command {
        let argv = self.argv(address);
        let mut command = Command::new(&argv[0]);
        if self.can_preload {
            command.arg(NODE_PRELOAD).env(PREPARE_VARIABLE, NODE_PREPARE).env(MARK_VARIABLE, mark);
        }
        command.args(&argv[1..]).current_dir(&self.project_dir);
        if self.kind == Kind::Python && std::env::var_os("PYTHONUNBUFFERED").is_none() {
            // Else what a crashing agent printed last stays in its buffers.
            command.env("PYTHONUNBUFFERED", "1");
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        if self.kind == Kind::Python {
            command
                .env(BOOTSTRAP_VARIABLE, BOOTSTRAP)
                .env(PREPARE_VARIABLE, PREPARE)
                .env(MARK_VARIABLE, mark);
            if let Some(given) = self.stand_in.as_ref().and_then(|given| serde_json::to_string(given).ok()) {
                command.env(STAND_IN_VARIABLE, given);
            }
        }
        command
    }

    /// The person's arguments for the interpreter, and a module of Python's that they run with its own arguments, such as
    /// `-m coverage run`. The bootstrap runs that module on the agent's file, which may stand at the end of them.
    fn split_module(&self) -> (&[String], Option<(&str, &[String])>) {
        let is_module = |arg: &String| self.kind == Kind::Python && arg.starts_with("-m");
        let Some(at) = self.args.iter().position(is_module) else { return (&self.args, None) };
        let (args, module) = self.args.split_at(at);
        let (name, rest) = match (module[0].strip_prefix("-m"), &module[1..]) {
            (Some(""), [name, rest @ ..]) => (name.as_str(), rest),
            // Python itself says what is missing.
            (Some(""), []) | (None, _) => return (&self.args, None),
            (Some(name), rest) => (name, rest),
        };
        let rest = match rest {
            [before @ .., last] if Path::new(last) == self.entry => before,
            all => all,
        };
        (args, Some((name, rest)))
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
