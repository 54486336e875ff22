//! Why an agent was not started.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use greenroom_protocol::{Code, Error};

use super::process::Failure;

/// Why an agent was not started. The text says what, with which input, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The file or folder that was named is not there.
    #[error("{} does not exist", path.display())]
    NoSuchFile {
        /// What was named.
        path: PathBuf,
    },
    /// None was named, and none has one of the usual names.
    #[error("no agent file was named, and {} has none of the usual names ({looked_for}): name the file", dir.display())]
    NoDefaultEntry {
        /// Where the search was.
        dir: PathBuf,
        /// The usual names, with commas.
        looked_for: String,
    },
    /// A folder was named.
    #[error("{} is a folder, not an agent file: {}", path.display(), match holds {
        Some(file) => format!("name {} in it", file.display()),
        None => "name the file in it".to_owned(),
    })]
    IsFolder {
        /// What was named.
        path: PathBuf,
        /// An agent file of a usual name in it.
        holds: Option<PathBuf>,
    },
    /// The file is one that the project's build makes, and has not made.
    #[error("{what}: {fix}")]
    NotBuilt {
        /// Which file.
        what: String,
        /// The command that makes it.
        fix: String,
    },
    /// The file is there but cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is of no language that an SDK exists for.
    #[error("{} is no agent file: an agent is a Python file (.py) or a JavaScript file (.js, .mjs, .cjs, .jsx, .ts, .mts, .cts, .tsx)", path.display())]
    NotSource {
        /// The file.
        path: PathBuf,
    },
    /// There is no interpreter, or not where it was said to be.
    #[error("{what}: {fix}")]
    InterpreterNotFound {
        /// What was looked for, and where.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// The interpreter was found but cannot do what is asked of it.
    #[error("{what}: {fix}")]
    InterpreterUnfit {
        /// Which, and what it cannot do.
        what: String,
        /// What to do about it.
        fix: String,
        /// What it printed.
        output: Option<String>,
    },
    /// The agent's SDK is not installed where the agent would run.
    #[error("{sdk} is not installed {place}: {fix}")]
    SdkMissing {
        /// The SDK's package.
        sdk: &'static str,
        /// For which interpreter or project.
        place: String,
        /// The command that installs it.
        fix: String,
    },
    /// The agent's SDK cannot be driven.
    #[error("{sdk} {found} is installed {place}, and {needed} or newer is needed: {fix}")]
    SdkTooOld {
        /// The SDK's package.
        sdk: &'static str,
        /// The version that is installed.
        found: String,
        /// The first version that can be driven.
        needed: String,
        /// For which interpreter or project.
        place: String,
        /// The command that upgrades it.
        fix: String,
    },
    /// A question to the interpreter, which syncs a uv project first, took too long.
    #[error("`{command}` did not end within {} s: run it by hand to see what it waits for, or allow more time", within.as_secs_f32())]
    TooSlow {
        /// The command.
        command: String,
        /// The time it had.
        within: Duration,
    },
    /// Only livekit-agents can be given what it finds in place of a room.
    #[error("participant, room and job metadata can be given to agents in Python only, and {} is in JavaScript: @livekit/agents reads them from \
             a real room; drive it there with `greenroom attach`", file.display())]
    StandInUnsupported {
        /// The agent's file.
        file: PathBuf,
    },
    /// The agent's process ended or its job crashed before it connected.
    #[error("{0}")]
    AgentFailed(Box<Failure>),
    /// This platform cannot run agents yet.
    #[error("running agents is not supported on {} yet", std::env::consts::OS)]
    Unsupported,
    /// An operation of the system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl LaunchError {
    /// The code in the table that all languages share.
    pub fn code(&self) -> Code {
        match self {
            Self::NoSuchFile { .. }
            | Self::NoDefaultEntry { .. }
            | Self::IsFolder { .. }
            | Self::NotBuilt { .. }
            | Self::Unreadable { .. } => Code::EntryNotFound,
            Self::NotSource { .. } => Code::NotAnAgent,
            Self::InterpreterNotFound { .. } | Self::InterpreterUnfit { .. } => Code::InterpreterNotFound,
            Self::SdkMissing { .. } => Code::SdkMissing,
            Self::SdkTooOld { .. } => Code::SdkTooOld,
            Self::TooSlow { .. } => Code::Timeout,
            Self::AgentFailed(failure) if failure.is_no_agent() => Code::NotAnAgent,
            Self::AgentFailed(_) => Code::AgentFailedToStart,
            Self::Unsupported | Self::StandInUnsupported { .. } => Code::Unsupported,
            Self::Io { .. } => Code::Io,
        }
    }

    /// More to read: what the interpreter or the agent printed last.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::InterpreterUnfit { output, .. } => output.clone(),
            Self::AgentFailed(failure) => Some(failure.detail()),
            _ => None,
        }
    }

    pub(super) fn io(what: impl Into<String>, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::Unsupported {
            return Self::Unsupported;
        }
        Self::Io { what: what.into(), source }
    }
}

impl From<Failure> for LaunchError {
    fn from(failure: Failure) -> Self {
        Self::AgentFailed(Box::new(failure))
    }
}

impl From<LaunchError> for Error {
    fn from(error: LaunchError) -> Self {
        let detail = error.detail().map(|detail| without_user_info(&detail));
        Self { code: error.code(), message: without_user_info(&error.to_string()), detail }
    }
}

/// Returns text without the users and passwords of the urls in it. Tools quote the index that they install from in their
/// errors, with what it needs to let them in.
fn without_user_info(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let is_end =
            |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`' | '<' | '>' | ')');
        let authority = &after[..after.find(is_end).unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) => {
                clean.push('…');
                &after[at..]
            }
            None => after,
        };
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::without_user_info;

    #[test]
    fn urls_are_shown_without_user_and_password() {
        for (text, shown) in [
            (
                "error: https://ada:pass@pypi.corp.test/simple is down",
                "error: https://…@pypi.corp.test/simple is down",
            ),
            ("`git+ssh://git@host/x`, `https://token@host`.", "`git+ssh://…@host/x`, `https://…@host`."),
            ("https://a:p@ss@host:443?x=a@b", "https://…@host:443?x=a@b"),
            ("https://host/@scope/name and a@b", "https://host/@scope/name and a@b"),
            ("://", "://"),
        ] {
            assert_eq!(without_user_info(text), shown);
        }
    }
}
