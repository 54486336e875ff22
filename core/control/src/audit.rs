//! The audit log: one line with the requester's name for every read of a secret and every token
//! made.
//!
//! It is a file that only its user can read, `.audit.jsonl` in the state folder unless
//! `GREENROOM_AUDIT_LOG` names another. A line is one JSON object. When it has grown to 4 MiB it
//! becomes `….old`, in the place of the one before it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use greenroom_protocol::time::Timestamp;
use greenroom_protocol::{Code, Error};
use serde::Serialize;

use crate::{files, home};

/// The variable that names the audit log.
pub const LOG_VARIABLE: &str = "GREENROOM_AUDIT_LOG";

/// How large it may grow.
const LARGEST: u64 = 4 << 20;

/// The audit log of this user.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

/// Something that is worth a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Audited<'a> {
    /// A secret was read.
    SecretRead {
        /// What it is called, such as `LIVEKIT_API_SECRET`.
        secret: &'a str,
        /// Where it was, such as `environment` or the path of a file.
        source: &'a str,
    },
    /// A token was made.
    TokenMade {
        /// The requester.
        identity: &'a str,
        /// For which room.
        room: &'a str,
        /// Whether it grants `canManageAgentSession`.
        can_manage_agent_session: bool,
        /// Until when it is valid.
        expires_at: Timestamp,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    #[serde(flatten)]
    what: &'a Audited<'a>,
    requested_by: &'a str,
    pid: u32,
}

impl AuditLog {
    /// The one that this user's environment names.
    ///
    /// # Errors
    /// When there is no state folder and none can be made.
    pub fn open() -> Result<Self, Error> {
        match std::env::var_os(LOG_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => Ok(Self::at(path)),
            None => Ok(Self::at(home::find()?.join(".audit.jsonl"))),
        }
    }

    /// The one at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line. What cannot be written down is not to be done.
    ///
    /// # Errors
    /// [`Code::Io`], when it cannot be written.
    pub fn write(&self, requested_by: &str, what: &Audited<'_>) -> Result<(), Error> {
        let time = Timestamp::of(SystemTime::now()).unwrap_or_default();
        let line = Line { time, what, requested_by, pid: std::process::id() };
        let written = serde_json::to_vec(&line).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            // In one write, so that lines of several processes do not mix.
            self.file()?.write_all(&line)
        });
        written.map_err(|error| {
            let message = format!(
                "the audit log {} cannot be written, without which no secret is read: {error}; set {LOG_VARIABLE} to a file that can",
                self.path.display()
            );
            Error::new(Code::Io, message)
        })
    }

    /// The log, locked until it is dropped. A waiter for a log that was rotated meanwhile writes to
    /// the rotated one: nothing is lost.
    fn file(&self) -> io::Result<File> {
        let open = || files::private().append(true).open(&self.path);
        let file = open()?;
        file.lock()?;
        if file.metadata()?.len() < LARGEST {
            return Ok(file);
        }
        let mut old = OsString::from(&self.path);
        old.push(".old");
        fs::rename(&self.path, old)?;
        open()
    }
}

#[cfg(test)]
mod tests {
    use super::{AuditLog, Audited, LARGEST};

    const READ: Audited<'_> = Audited::SecretRead { secret: "LIVEKIT_API_SECRET", source: "environment" };

    #[test]
    fn a_line_names_who_asked_and_what_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AuditLog::at(folder.path().join("audit"));
        log.write("the console\nof ada", &READ).expect("written");
        log.write("ci", &READ).expect("written");
        let text = std::fs::read_to_string(log.path()).expect("a log");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0]["type"], "secret_read");
        assert_eq!(lines[0]["secret"], "LIVEKIT_API_SECRET");
        assert_eq!(lines[0]["requested_by"], "the console\nof ada");
        assert_eq!(lines[1]["requested_by"], "ci");
        assert_eq!(lines[0]["pid"], std::process::id());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_user_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let log = AuditLog::at(folder.path().join("audit"));
        log.write("ci", &READ).expect("written");
        let mode = std::fs::metadata(log.path()).expect("a log").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_large_one_makes_way_for_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AuditLog::at(folder.path().join("audit"));
        std::fs::write(log.path(), vec![b'x'; LARGEST as usize]).expect("written");
        log.write("ci", &READ).expect("written");
        assert_eq!(std::fs::read_to_string(log.path()).expect("a log").lines().count(), 1);
        assert_eq!(std::fs::metadata(folder.path().join("audit.old")).expect("the old one").len(), LARGEST);
    }

    #[test]
    fn what_cannot_be_written_down_is_an_error() {
        let log = AuditLog::at("/not/there/audit");
        let error = log.write("ci", &READ).expect_err("there is no such folder");
        assert!(error.message.contains("/not/there/audit") && error.message.contains("GREENROOM_AUDIT_LOG"));
    }
}
