//! Looks step by step at whether a LiveKit server can be reached and used from here, and says what
//! to do where it cannot.
//!
//! | module | what it is for |
//! |---|---|
//! | `line` | the way to the server: its name, its port, TLS, whether it answers |
//! | `room` | a room on it: the token, the grant, the ways of the media |

mod line;
mod room;

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_protocol::{Code, Error};
use greenroom_room::{Address, Dialer, Failure, Proxy};
use serde::Serialize;

use crate::credentials::Secret;

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Checkup {
    /// The server.
    pub address: Address,
    /// The token to join a room with, or why there is none: then the steps in a room are left out.
    pub token: Result<Secret, String>,
    /// How long each step may take.
    pub timeout: Duration,
    /// Certificates, in PEM, of the authorities to trust instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Through which proxy the server is reached.
    pub proxy: Proxy,
    /// What is odd about the key or the secret that the token is signed with, without the value. It
    /// is part of the advice where the server refuses the token.
    pub secret_note: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The server.
    pub url: String,
    /// Whether an agent in a room on it can be reached: nothing failed.
    pub is_well: bool,
    /// The steps, in their order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// How it went.
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What kind of failure it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepName {
    /// The name of the server is looked up.
    Dns,
    /// A TCP connection to its port.
    Connect,
    /// TLS on it.
    Tls,
    /// It answers as a LiveKit server does.
    Signal,
    /// It takes the token.
    Token,
    /// The token grants what driving an agent needs.
    Grant,
    /// Media and data get through, by UDP unless that is closed.
    Media,
    /// They get through by TCP to the server.
    Tcp,
    /// They get through by a TURN server.
    Turn,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// As it should.
    Ok,
    /// It does not stand in the way, but is not as it should be.
    Warning,
    /// It stands in the way.
    Failed,
    /// It was not looked at, since it is not needed here or an earlier step failed.
    Skipped,
}

impl Report {
    /// The first failure, as an error of the table.
    pub fn failure(&self) -> Option<Error> {
        let failed = self.steps.iter().find(|step| step.outcome == Outcome::Failed)?;
        let code = failed.code.unwrap_or(Code::Io);
        let error = Error::new(code, format!("{}: {}", failed.name.as_str(), failed.found));
        Some(match &failed.advice {
            Some(advice) => error.with_detail(advice),
            None => error,
        })
    }
}

impl StepName {
    /// The name as text, as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Signal => "signal",
            Self::Token => "token",
            Self::Grant => "grant",
            Self::Media => "media",
            Self::Tcp => "tcp",
            Self::Turn => "turn",
        }
    }
}

impl Outcome {
    /// The outcome as text, as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Runs all steps and reports each to `progress` when it is done. Blocks.
///
/// # Errors
/// [`Code::Io`] if no event loop can be created; [`Code::InvalidArgument`] for an invalid proxy or
/// certificates.
pub fn examine(checkup: &Checkup, progress: &mut dyn FnMut(&Step)) -> Result<Report, Error> {
    let dialer = Arc::new(Dialer::new(&checkup.proxy, checkup.ca.as_deref())?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Code::Io, format!("the event loop cannot be started: {error}")))?;
    let mut notes = Notes { steps: Vec::new(), progress };
    runtime.block_on(async {
        if line::examine(checkup, &dialer, &mut notes).await {
            room::examine(checkup, &mut notes).await;
        } else {
            for name in room::STEPS {
                notes.skip(name, "the server cannot be reached");
            }
        }
    });
    // A name that is still looked up is not waited for.
    runtime.shutdown_background();
    let is_well = notes.steps.iter().all(|step| step.outcome != Outcome::Failed);
    Ok(Report { url: checkup.address.as_str().to_owned(), is_well, steps: notes.steps })
}

/// What has been found so far.
struct Notes<'a> {
    steps: Vec<Step>,
    progress: &'a mut dyn FnMut(&Step),
}

impl Notes<'_> {
    fn ok(&mut self, name: StepName, began: Instant, found: impl Into<String>) {
        self.put(name, Outcome::Ok, began, found.into(), None, None);
    }

    fn warn(&mut self, name: StepName, began: Instant, found: impl Into<String>, advice: impl Into<String>) {
        self.put(name, Outcome::Warning, began, found.into(), Some(advice.into()), None);
    }

    fn fail(
        &mut self,
        name: StepName,
        code: Code,
        began: Instant,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.put(name, Outcome::Failed, began, found.into(), Some(advice.into()), Some(code));
    }

    fn failure(&mut self, name: StepName, began: Instant, failure: Failure) {
        self.fail(name, failure.code, began, failure.found, failure.advice);
    }

    fn skip(&mut self, name: StepName, why: impl Into<String>) {
        self.put(name, Outcome::Skipped, Instant::now(), why.into(), None, None);
    }

    fn put(
        &mut self,
        name: StepName,
        outcome: Outcome,
        began: Instant,
        found: String,
        advice: Option<String>,
        code: Option<Code>,
    ) {
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let step = Step { name, outcome, found, advice, code, took_ms };
        (self.progress)(&step);
        self.steps.push(step);
    }
}
