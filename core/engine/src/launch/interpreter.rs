//! Interpreters of either language: what was found, and where programs are.

use std::path::{Path, PathBuf};

use super::environment::{Environment, is_executable};
use super::plan::Origin;
use super::{AgentSpec, LaunchError};

/// An interpreter that is there and has an SDK that can be driven.
pub(super) struct Runtime {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) origin: Origin,
    pub(super) version: Option<String>,
    pub(super) sdk_version: String,
    /// Variables that belong to it.
    pub(super) env: Vec<(String, String)>,
    /// What runs the file and why, where that is not the language's usual interpreter alone.
    pub(super) runner: Option<String>,
    /// Whether it reads more than its language: a loader of TypeScript, or a runtime with one.
    pub(super) has_loader: bool,
    /// Whether it is Node, which can load a module of ours before the agent's file.
    pub(super) can_preload: bool,
}

/// The interpreter of a virtual environment.
pub(super) fn env_python(env: &Path) -> PathBuf {
    if cfg!(windows) { env.join("Scripts").join("python.exe") } else { env.join("bin").join("python") }
}

/// A path, relative to where the person stands, or a name on PATH. Symbolic links stay as they are: an environment's
/// interpreter is one, and knows its environment by it. A folder is taken for an environment.
pub(super) fn named_interpreter(spec: &AgentSpec, named: &Path) -> Result<PathBuf, LaunchError> {
    let missing = |what: String| LaunchError::InterpreterNotFound {
        what,
        fix: "name a program that is there, by its path or its name on PATH".to_owned(),
    };
    let path = spec.folder().join(named);
    if path.is_dir() {
        match Environment::at(&path) {
            Environment::Usable(python) => return absolute(&python),
            Environment::Unusable(wrong, _) => return Err(missing(format!("{} {wrong}", path.display()))),
            Environment::Absent => {}
        }
    }
    if path.is_file() {
        if std::fs::metadata(&path).is_ok_and(|about| !is_executable(&about)) {
            return Err(LaunchError::InterpreterNotFound {
                what: format!("the interpreter {} cannot be started: it is not executable", path.display()),
                fix: format!("run `chmod +x {}`, or name another", quoted(&path)),
            });
        }
        return absolute(&path);
    }
    if named.components().count() > 1 {
        return Err(missing(format!("there is no interpreter {}", path.display())));
    }
    let found = named.to_str().and_then(|name| on_path(spec, name));
    found.ok_or_else(|| missing(format!("the interpreter {} is not on PATH", named.display())))
}

/// A path as a word of a shell's command.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), std::borrow::Cow::into_owned)
}

fn absolute(path: &Path) -> Result<PathBuf, LaunchError> {
    std::path::absolute(path).map_err(|error| LaunchError::io("the current folder cannot be told", error))
}

/// A program on the PATH that the agent will have.
pub(super) fn on_path(spec: &AgentSpec, name: &str) -> Option<PathBuf> {
    which::which_in(name, spec.var("PATH"), spec.folder()).ok()
}
