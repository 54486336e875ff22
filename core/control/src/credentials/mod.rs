//! Credentials for a room: the one place where tokens are made, urls chosen and secrets read.
//!
//! | module | what it is for |
//! |---|---|
//! | `sources`, `env_file` | where values are looked for: the environment, `.env.local` and `.env` |
//! | `keys` | the key and secret that sign, and the audit of their reads |
//! | `server` | the url of the server that the client can reach |
//! | `grants` | what a token allows |
//! | `mint` | makes tokens, and reads what they say |
//!
//! A value that is given goes before the environment, that before `.env.local`, and that before
//! `.env`.

mod env_file;
mod grants;
mod keys;
mod mint;
mod server;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use greenroom_protocol::time::Timestamp;
use greenroom_protocol::{Code, Error};
use greenroom_room::Proxy;
use serde::{Deserialize, Serialize};

pub use greenroom_protocol::Secret;

pub use self::grants::Grants;
pub use self::keys::doubt;
pub use self::mint::Said;
pub use self::sources::Sources;

use self::keys::{Asker, KEY_VARIABLE, Keys, SECRET_VARIABLE};
use self::server::Wanted;
use crate::audit::{AuditLog, Audited};

/// The most bytes of a room's or a participant's name that a server accepts by default.
const LONGEST_NAME: usize = 256;

/// The longest life of a token.
const LONGEST_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What credentials are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialsRequest {
    /// The room. `general`.
    pub room: String,
    /// The participant's identity, before the suffix that makes it unique: a second participant
    /// with the same identity disconnects the first. `user` by default.
    pub identity: Option<String>,
    /// Whether the identity gets that suffix.
    pub unique_identity: bool,
    /// What the participant is called; need not be unique.
    pub name: Option<String>,
    /// What the participant is, such as `agent`; a client like any other where it is unset.
    pub kind: Option<String>,
    /// What is said about the participant.
    pub metadata: Option<String>,
    /// The same, by keys.
    pub attributes: BTreeMap<String, String>,
    /// What the token allows.
    pub grants: Grants,
    /// The agents that the server is to send into the room when it is made.
    pub dispatch: Vec<Dispatch>,
    /// How long the token is valid, in milliseconds. 10 min.
    pub ttl_ms: u64,
    /// The server, as the client reaches it.
    pub url: Option<Secret>,
    /// Whether the url may be one that only containers know.
    pub allow_internal_url: bool,
    /// The proxy through which this process will reach the server, if it is the client: such a
    /// proxy may resolve names that are unknown elsewhere.
    #[serde(skip)]
    pub proxy: Option<Proxy>,
    /// The key that signs.
    pub api_key: Option<Secret>,
    /// Its secret.
    pub api_secret: Option<Secret>,
    /// The requester's name for the audit log; this program by default.
    pub requested_by: Option<String>,
    /// The folder of `.env.local` and `.env`; the current one where it is unset.
    pub folder: Option<PathBuf>,
}

/// An agent that the server is to send into the room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// The name under which its worker has registered.
    pub agent_name: String,
    /// Metadata for its job.
    #[serde(default)]
    pub metadata: Option<String>,
}

/// All that a client needs to join a room.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Credentials {
    /// The server, as the client reaches it.
    pub url: String,
    /// The access token.
    pub token: String,
    /// The room.
    pub room_id: String,
    /// The participant's identity, from the token.
    pub identity: String,
    /// Until when one can join with it, as the token says.
    pub expires_at: Timestamp,
    /// What the token allows, as it says.
    pub grants: Grants,
    /// Warnings for its maker, such as the use of the public development key.
    pub notes: Vec<String>,
    /// What looks like a mistake in what signed it, see [`doubt`].
    pub doubts: Vec<String>,
}

impl Default for CredentialsRequest {
    fn default() -> Self {
        Self {
            room: "general".to_owned(),
            identity: None,
            unique_identity: true,
            name: None,
            kind: None,
            metadata: None,
            attributes: BTreeMap::new(),
            grants: Grants::default(),
            dispatch: Vec::new(),
            ttl_ms: 10 * 60 * 1000,
            url: None,
            allow_internal_url: false,
            proxy: None,
            api_key: None,
            api_secret: None,
            requested_by: None,
            folder: None,
        }
    }
}

impl CredentialsRequest {
    /// How long the token is valid.
    pub const fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }

    const fn wanted(&self) -> Wanted<'_> {
        let (given, proxy) = (self.url.as_ref(), self.proxy.as_ref());
        Wanted { given, allow_internal: self.allow_internal_url, proxy }
    }
}

impl fmt::Debug for Credentials {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("url", &self.url)
            .field("room_id", &self.room_id)
            .field("identity", &self.identity)
            .field("expires_at", &self.expires_at)
            .field("grants", &self.grants)
            .field("notes", &self.notes)
            .field("doubts", &self.doubts)
            .finish_non_exhaustive()
    }
}

/// Credentials for a room. Every read of the secret is written to the audit log, with the
/// requester's name. No name is resolved and no server is asked; it blocks only on an env file that
/// is a named pipe.
///
/// # Errors
/// [`Code::InvalidArgument`] for invalid arguments, a url that no client can reach, a missing key
/// or secret, and the pair for development with a server elsewhere; [`Code::Io`] when the audit log
/// cannot be written.
pub fn credentials(request: &CredentialsRequest) -> Result<Credentials, Error> {
    credentials_logged(request, &AuditLog::open()?)
}

/// The same, with an audit log of the caller's choice.
///
/// # Errors
/// See [`credentials`].
pub fn credentials_logged(request: &CredentialsRequest, log: &AuditLog) -> Result<Credentials, Error> {
    credentials_from(request, &Sources::new(request.folder.as_deref()), log)
}

/// The same, of sources that the caller asks more than once.
///
/// # Errors
/// See [`credentials`].
pub fn credentials_from(
    request: &CredentialsRequest,
    sources: &Sources,
    log: &AuditLog,
) -> Result<Credentials, Error> {
    check(request)?;
    let requested_by = request.requested_by.clone().unwrap_or_else(this_program);
    let address = server::find(&request.wanted(), sources)?;
    let asker = Asker { requested_by: &requested_by, log };
    let given = (request.api_key.as_ref(), request.api_secret.as_ref());
    let keys = Keys::find(given, sources, &asker, address.is_loopback())?;
    let token = mint::mint(request, &identity(request)?, &keys)?;
    let said = Said::read(&token)?;
    let expires_at = said
        .expires_at
        .ok_or_else(|| Error::new(Code::Internal, "the token that was made does not say when it expires"))?;
    let made = Audited::TokenMade {
        identity: &said.identity,
        room: &said.room,
        can_manage_agent_session: said.grants.can_manage_agent_session,
        expires_at,
    };
    log.write(&requested_by, &made)?;
    let notes = keys.is_dev.then(|| {
        format!(
            "the token is signed with the public pair for development, for {} only{}",
            address.host(),
            sources.passed_over(&[KEY_VARIABLE, SECRET_VARIABLE])
        )
    });
    Ok(Credentials {
        url: address.as_str().to_owned(),
        token: token.reveal().to_owned(),
        room_id: said.room,
        identity: said.identity,
        expires_at,
        grants: said.grants,
        notes: notes.into_iter().collect(),
        doubts: keys.doubts,
    })
}

/// The url of the server alone, as [`credentials`] would return it.
///
/// # Errors
/// [`Code::InvalidArgument`], when there is none, or none that a client can reach.
pub fn server_url(request: &CredentialsRequest) -> Result<String, Error> {
    server_url_from(request, &Sources::new(request.folder.as_deref()))
}

/// The same, of sources that the caller asks more than once.
///
/// # Errors
/// See [`server_url`].
pub fn server_url_from(request: &CredentialsRequest, sources: &Sources) -> Result<String, Error> {
    Ok(server::find(&request.wanted(), sources)?.as_str().to_owned())
}

fn check(request: &CredentialsRequest) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::new(Code::InvalidArgument, message));
    check_name("the room's name", &request.room)?;
    for (what, name) in [
        ("the identity", request.identity.as_deref()),
        ("the requester's name", request.requested_by.as_deref()),
        ("the key", request.api_key.as_ref().map(Secret::reveal)),
    ] {
        if let Some(name) = name {
            check_name(what, name)?;
        }
    }
    if request.api_secret.as_ref().is_some_and(Secret::is_empty) {
        return invalid("the secret is empty".to_owned());
    }
    for dispatch in &request.dispatch {
        check_name("the name of the agent to dispatch", &dispatch.agent_name)?;
    }
    if request.ttl() < Duration::from_secs(1) || request.ttl() > LONGEST_LIFE {
        return invalid(format!(
            "the token is to live {}; it can live from 1 s to a year",
            humantime::format_duration(request.ttl())
        ));
    }
    request.grants.check()
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let why = if name.trim().is_empty() {
        "is empty".to_owned()
    } else if name.len() > LONGEST_NAME {
        format!("has {} bytes; at most {LONGEST_NAME} are taken", name.len())
    } else if let Some(c) = name.chars().find(|c| c.is_control()) {
        format!("holds the control character {c:?}")
    } else {
        return Ok(());
    };
    Err(Error::new(Code::InvalidArgument, format!("{what} {why}")))
}

/// The requested identity, with a unique suffix.
fn identity(request: &CredentialsRequest) -> Result<String, Error> {
    let wanted = request.identity.as_deref().unwrap_or("user");
    if !request.unique_identity {
        return Ok(wanted.to_owned());
    }
    let number = getrandom::u64()
        .map_err(|error| Error::new(Code::Io, format!("the system returned no random bytes: {error}")))?;
    let identity = format!("{wanted}-{:010x}", number >> 24);
    check_name("the identity with its suffix", &identity)?;
    Ok(identity)
}

/// The default requester.
fn this_program() -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name());
    program.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}
