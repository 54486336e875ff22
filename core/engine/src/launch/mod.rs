//! Finds the user's agent and everything it needs to run, starts it unmodified as a process, and ends it surely.
//!
//! [`Plan::detect`] answers "what would be run, and can it be": the file, its project, the interpreter, the SDK and
//! its version; everything that would keep the agent from starting is an error there, with the fix. Then
//! [`AgentProcess::spawn`] runs the plan in a session of its own under a guard, so that no process of it outlives its
//! owner, with its output in a log file. A file of `livekit-agents` is run as `python FILE console` runs it, with the
//! SDK's TCP console in the place of the one for terminals (`bootstrap.py`); a file of `@livekit/agents` with `node FILE
//! console --connect-addr …`, or with what the project runs its files with. Either then connects to that address.

mod child;
mod declared;
mod detect;
mod environment;
mod error;
mod headline;
mod interpreter;
mod lifecycle;
mod log;
mod node;
mod plan;
mod probe;
mod process;
mod project;
mod python;
mod release;
mod tool;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use error::LaunchError;
pub use lifecycle::{Lifecycle, SessionEnd};
pub use log::{AgentLog, LogEvent, LogFile, LogLines, LogWriteError};
pub use plan::{Kind, Origin, Plan};
pub use process::{AgentProcess, Ended, Failure};

/// Which agent to run, and how: what a person says, before anything was looked up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentSpec {
    /// The agent's file, relative to `dir`. Without one the usual names are tried.
    pub entry: Option<PathBuf>,
    /// The folder where the person stands. Nothing is the current one.
    pub dir: PathBuf,
    /// The interpreter to run it with, a path or a name on PATH, instead of the one that would be found.
    pub interpreter: Option<PathBuf>,
    /// The interpreter of the host process, for an agent of its language whose project has none of its own. It is
    /// known by its name: `python…` or `pypy…`; `node…`, `bun…`, `deno…` or `electron…`.
    pub interpreter_hint: Option<PathBuf>,
    /// Arguments for the interpreter, before the file.
    pub args: Vec<String>,
    /// Variables on top of the environment that is inherited. Later ones win.
    pub env: Vec<(String, String)>,
    /// Whether a uv project may be synced before it runs, as `uv run` does by itself.
    pub sync: bool,
    /// Whether the SDK records the session into `console-recordings` of the project.
    pub record: bool,
    /// What the agent finds in place of a room.
    pub stand_in: Option<StandIn>,
}

/// What an agent finds where there is no room: the caller, the room and the job. Unset fields are as the SDK has them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandIn {
    /// The participant that the agent talks to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<ParticipantStandIn>,
    /// The room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomStandIn>,
    /// The metadata of the job's dispatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_metadata: Option<String>,
}

/// A participant that is not there. Where it is given, unset fields are empty, but for the identity.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParticipantStandIn {
    /// Its identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// Its attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A room that is not there.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoomStandIn {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

impl StandIn {
    /// Itself, if it says anything.
    pub fn if_any(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// Without values: they may be secrets.
impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").finish_non_exhaustive()
    }
}

impl Default for AgentSpec {
    fn default() -> Self {
        Self {
            entry: None,
            dir: PathBuf::from("."),
            interpreter: None,
            interpreter_hint: None,
            args: Vec::new(),
            env: Vec::new(),
            sync: true,
            record: false,
            stand_in: None,
        }
    }
}

impl AgentSpec {
    /// The usual way to run an agent: found from `dir`, synced if it is a uv project, not recorded.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), ..Self::default() }
    }

    fn folder(&self) -> &Path {
        if self.dir.as_os_str().is_empty() { Path::new(".") } else { &self.dir }
    }

    /// The host's interpreter, if it is of that language.
    fn host_interpreter(&self, kind: Kind) -> Option<PathBuf> {
        let host = self.interpreter_hint.as_ref().filter(|host| host.is_file())?;
        let name = host.file_name()?.to_str()?;
        let names: &[&str] = match kind {
            Kind::Python => &["python", "pypy"],
            Kind::Node => &["node", "bun", "deno", "electron"],
        };
        names.iter().any(|start| name.starts_with(start)).then(|| host.clone())
    }

    /// A variable as the agent will have it. One that is set to nothing counts as not set.
    fn var(&self, name: &str) -> Option<OsString> {
        self.raw_var(name).filter(|value| !value.is_empty())
    }

    fn raw_var(&self, name: &str) -> Option<OsString> {
        let given = self.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.into());
        given.or_else(|| std::env::var_os(name))
    }
}

/// Without the variables' values: they may be secrets.
impl fmt::Debug for AgentSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSpec")
            .field("entry", &self.entry)
            .field("dir", &self.dir)
            .field("interpreter", &self.interpreter)
            .field("args", &self.args)
            .field("env", &names(&self.env))
            .finish_non_exhaustive()
    }
}

fn names(env: &[(String, String)]) -> Vec<&str> {
    env.iter().map(|(name, _)| name.as_str()).collect()
}
