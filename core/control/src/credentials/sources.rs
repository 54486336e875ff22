//! Where values are looked for: the environment, then the env files of a folder.

use std::cell::OnceCell;
use std::env::VarError;
use std::fmt;
use std::path::{Path, PathBuf};

use greenroom_protocol::{Code, Error, Secret};

use super::env_file::{EnvFile, Unreadable};

/// The files that are looked into after the environment, as all of LiveKit's tools do.
const FILES: [&str; 2] = [".env.local", ".env"];

/// The most places that an error names as passed over.
const MOST_NAMED: usize = 5;

/// A value, and where it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) value: Secret,
    pub(super) source: Source,
}

/// Where a value was found. Its text is the place, for the audit log.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Argument,
    Environment,
    File { path: PathBuf, line: usize, last_line: usize },
    DevelopmentPair,
}

impl Source {
    /// A variable of this source, for errors: `LIVEKIT_URL (/app/.env, line 3)`.
    pub(super) fn of(&self, variable: &str) -> String {
        match self {
            Self::File { path, line, last_line } if line == last_line => {
                format!("{variable} ({}, line {line})", path.display())
            }
            Self::File { path, line, last_line } => {
                format!("{variable} ({}, lines {line} to {last_line}, in one pair of quotes)", path.display())
            }
            other => format!("{variable} ({other})"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("argument"),
            Self::Environment => f.write_str("environment"),
            Self::File { path, .. } => path.display().fmt(f),
            Self::DevelopmentPair => f.write_str("development pair"),
        }
    }
}

/// The environment, and the env files of a folder. A file is read once, when it is first
/// needed: a named pipe has one reader.
#[derive(Debug)]
pub struct Sources {
    folder: PathBuf,
    files: [OnceCell<Result<Option<EnvFile>, Unreadable>>; FILES.len()],
}

impl Sources {
    /// The environment, and the files of `folder` or of the current one.
    pub fn new(folder: Option<&Path>) -> Self {
        let folder = folder.unwrap_or_else(|| Path::new(".")).to_owned();
        Self { folder, files: Default::default() }
    }

    /// The value of a variable; one that is empty is not there.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a variable of the environment that is no text.
    pub(super) fn find(&self, variable: &str) -> Result<Option<Found>, Error> {
        Ok(match Self::in_environment(variable)? {
            Some(found) => Some(found),
            None => self.in_files(variable),
        })
    }

    /// The value that the environment has.
    ///
    /// # Errors
    /// See [`find`](Self::find).
    pub(super) fn in_environment(variable: &str) -> Result<Option<Found>, Error> {
        match std::env::var(variable) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(Found { value: value.into(), source: Source::Environment })),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => {
                let message = format!("{variable} of the environment is not UTF-8; set it anew");
                Err(Error::new(Code::InvalidArgument, message))
            }
        }
    }

    /// The value that the files have.
    pub(super) fn in_files(&self, variable: &str) -> Option<Found> {
        (0..FILES.len()).find_map(|at| {
            let entry = self.file(at).as_ref().ok()?.as_ref()?.get(variable)?;
            let source = Source::File { path: self.path(at), line: entry.line, last_line: entry.last_line };
            Some(Found { value: entry.value.clone(), source }).filter(|found| !found.value.is_empty())
        })
    }

    fn file(&self, at: usize) -> &Result<Option<EnvFile>, Unreadable> {
        self.files[at].get_or_init(|| EnvFile::read(&self.path(at)))
    }

    fn path(&self, at: usize) -> PathBuf {
        self.folder.join(FILES[at])
    }

    /// Where values are looked for, for people.
    pub(super) fn described(&self) -> String {
        format!("the environment, {} and {} of {}", FILES[0], FILES[1], self.folder.display())
    }

    /// What was passed over where these variables are missing, for people, as the end of an error:
    /// files and lines, never what they say.
    pub(super) fn passed_over(&self, variables: &[&str]) -> String {
        let mut named = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            let path = self.path(at);
            let path = path.display();
            match file.get() {
                Some(Err(unreadable)) => named.push(format!("{path} cannot be read: {}", unreadable.why)),
                Some(Ok(Some(file))) => {
                    for over in &file.passed_over {
                        named.push(format!("{path} cannot be read in line {} ({})", over.line, over.why));
                    }
                    for variable in variables {
                        if let Some(entry) = file.swallowing(variable) {
                            let (line, last) = (entry.line, entry.last_line);
                            named.push(format!(
                                "lines {line} to {last} of {path} are one value in quotes, with {variable} inside; is its quote closed where it should be?"
                            ));
                        } else if let Some(entry) = file.get(variable).filter(|entry| entry.value.is_empty())
                        {
                            named.push(format!("line {} of {path} sets {variable} to nothing", entry.line));
                        }
                    }
                }
                Some(Ok(None)) | None => {}
            }
        }
        if named.is_empty() {
            return String::new();
        }
        let more = named.len().saturating_sub(MOST_NAMED);
        named.truncate(MOST_NAMED);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        format!("; note that {}{more}", named.join("; "))
    }

    /// Whether what was passed over may well have these variables, so that nothing may be taken in
    /// their place.
    pub(super) fn may_have(&self, variables: &[&str]) -> bool {
        self.files.iter().any(|file| match file.get() {
            Some(Err(unreadable)) => !unreadable.is_no_file,
            Some(Ok(Some(file))) => variables.iter().any(|variable| {
                file.passed_over.iter().any(|over| over.is_of(variable))
                    || file.swallowing(variable).is_some()
            }),
            Some(Ok(None)) | None => false,
        })
    }
}
