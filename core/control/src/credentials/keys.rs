//! The key and the secret that sign tokens: where they are, and who asked for them.

use std::path::{Path, PathBuf};

use greenroom_protocol::{Code, Error, Secret};

use crate::audit::{AuditLog, Audited};

/// The variables, as all of LiveKit's tools have them.
pub(super) const KEY_VARIABLE: &str = "LIVEKIT_API_KEY";
pub(super) const SECRET_VARIABLE: &str = "LIVEKIT_API_SECRET";

/// What `livekit-server --dev` takes.
const DEV_KEY: &str = "devkey";
const DEV_SECRET: &str = "secret";

/// The files that are looked into after the environment, as all of LiveKit's tools do.
const FILES: [&str; 2] = [".env.local", ".env"];

/// What signs tokens.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) key: Secret,
    pub(super) secret: Secret,
    /// Whether it is the pair that everybody knows.
    pub(super) is_dev: bool,
}

/// What was found, and where.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) value: Secret,
    pub(super) source: String,
}

/// Where values are looked for: the environment, then the files of a folder.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    folder: PathBuf,
}

impl Sources {
    /// The environment, and the files of `folder` or of the current one.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.unwrap_or_else(|| Path::new(".")).to_owned() }
    }

    /// The value of a variable; one that is empty is not there.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a file that cannot be read, which shows nothing of it.
    pub(super) fn find(&self, variable: &str) -> Result<Option<Found>, Error> {
        if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
            return Ok(Some(Found { value: value.into(), source: "environment".to_owned() }));
        }
        for file in FILES {
            let path = self.folder.join(file);
            if path.is_file()
                && let Some(value) = read(&path, variable)?
            {
                return Ok(Some(Found { value, source: path.display().to_string() }));
            }
        }
        Ok(None)
    }

    /// Where values are looked for, for people.
    pub(super) fn described(&self) -> String {
        format!("the environment, {} and {} of {}", FILES[0], FILES[1], self.folder.display())
    }
}

/// The last value of `variable` in a file, as in a shell.
fn read(path: &Path, variable: &str) -> Result<Option<Secret>, Error> {
    // What the reader says of a bad line shows the line.
    let unreadable = |why: &str| {
        let message = format!("{} cannot be read: {why}; each line of it is NAME=value", path.display());
        Error::new(Code::InvalidArgument, message)
    };
    let entries = dotenvy::from_path_iter(path).map_err(|error| match error {
        dotenvy::Error::Io(error) => unreadable(&error.to_string()),
        _ => unreadable("it is malformed"),
    })?;
    let mut last = None;
    for entry in entries {
        let (name, value) = entry.map_err(|error| match error {
            dotenvy::Error::Io(error) => unreadable(&error.to_string()),
            _ => unreadable("a line is malformed"),
        })?;
        if name == variable && !value.is_empty() {
            last = Some(value.into());
        }
    }
    Ok(last)
}

/// Who asks for secrets, and where that is written down.
pub(super) struct Asker<'a> {
    pub(super) requested_by: &'a str,
    pub(super) log: &'a AuditLog,
}

impl Keys {
    /// The pair that is given, or that the sources have, or for a server on this machine the one for development.
    pub(super) fn find(
        given: (Option<&Secret>, Option<&Secret>),
        sources: &Sources,
        asker: &Asker<'_>,
        is_loopback: bool,
    ) -> Result<Self, Error> {
        let find = |given: Option<&Secret>, variable| match given {
            Some(value) => Ok(Some(Found { value: value.clone(), source: "argument".to_owned() })),
            None => sources.find(variable),
        };
        let key = find(given.0, KEY_VARIABLE)?;
        let secret = find(given.1, SECRET_VARIABLE)?;
        let missing = |what: &str, beside: &str| {
            let message = format!("there is {beside} but no {what} in {}; set {what}", sources.described());
            Err(Error::new(Code::InvalidArgument, message))
        };
        let (key, secret) = match (key, secret) {
            (Some(key), Some(secret)) => (key, secret),
            (Some(_), None) => return missing(SECRET_VARIABLE, KEY_VARIABLE),
            (None, Some(_)) => return missing(KEY_VARIABLE, SECRET_VARIABLE),
            (None, None) if is_loopback => {
                let source = "development pair".to_owned();
                let dev = |value: &str| Found { value: value.into(), source: source.clone() };
                (dev(DEV_KEY), dev(DEV_SECRET))
            }
            (None, None) => {
                let message = format!(
                    "there is no {KEY_VARIABLE} and no {SECRET_VARIABLE} in {}; set both, or give them",
                    sources.described()
                );
                return Err(Error::new(Code::InvalidArgument, message));
            }
        };
        let is_dev = key.value.reveal() == DEV_KEY && secret.value.reveal() == DEV_SECRET;
        if is_dev && !is_loopback {
            let message = format!(
                "{DEV_KEY} and its secret are known to everybody and good for a server on this machine alone; set {KEY_VARIABLE} and \
                 {SECRET_VARIABLE} to a pair of this server's"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let what = Audited::SecretRead { secret: SECRET_VARIABLE, source: &secret.source };
        asker.log.write(asker.requested_by, &what)?;
        Ok(Self { key: key.value, secret: secret.value, is_dev })
    }
}
