//! Starts a daemon, and waits until its session is ready.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use greenroom_protocol::message::Started;
use greenroom_protocol::{Code, Error};
use serde_json::Value;

use crate::credentials::Secret;
use crate::daemon::{ORDER_VARIABLE, READY_FILE};
use crate::files;
use crate::name::SessionName;
use crate::record::{Launch, Order, Ready};
use crate::registry::{Found, Registry};

/// How often the daemon's word is looked for.
const POLL: Duration = Duration::from_millis(10);

/// How much longer than the session's start the daemon may take to say how it went: it has an agent
/// to end if it failed.
const GRACE: Duration = Duration::from_secs(20);

/// The last lines of the daemon's own log that an error shows.
const LAST_LINES: usize = 10;

/// A daemon that is starting its session. Dropping it before it is ready ends the attempt.
#[derive(Debug)]
pub struct Starting {
    attempt: PathBuf,
    daemon: Child,
    until: Instant,
    detected: Option<Value>,
    settled: bool,
}

/// How far a start has come.
#[derive(Debug)]
pub enum Progress {
    /// The agent was found and is being started; the status has its file. Reported once.
    Detected(Value),
    /// The session is ready: what happened at the start, and how the session stands.
    Ready(Started, Value),
}

/// Starts a daemon for a session: `program` with the argument `daemon`. One that joins a room gets
/// its token through a pipe.
///
/// # Errors
/// `already_running`, when one of that name lives; `io`, when the daemon cannot be started;
/// `unsupported` where agents cannot be run.
pub fn start(
    registry: &Registry,
    name: &SessionName,
    launch: &Launch,
    token: Option<&Secret>,
    program: &Path,
) -> Result<Starting, Error> {
    registry.sweep();
    let folder = registry.folder(name);
    if let Found::Live(_) | Found::Starting = folder.find()? {
        return Err(folder.already_running());
    }
    let attempt = registry.attempt()?;
    let order = Order { home: registry.root().to_owned(), name: name.clone(), launch: launch.clone() };
    match spawn(&attempt, &order, token, program) {
        Ok(daemon) => Ok(Starting {
            attempt,
            daemon,
            until: Instant::now() + launch.start_timeout() + GRACE,
            detected: None,
            settled: false,
        }),
        Err(error) => {
            let _ = fs::remove_dir_all(&attempt);
            Err(error)
        }
    }
}

fn spawn(attempt: &Path, order: &Order, token: Option<&Secret>, program: &Path) -> Result<Child, Error> {
    let failed = |error: std::io::Error| {
        let code = if error.kind() == std::io::ErrorKind::Unsupported { Code::Unsupported } else { Code::Io };
        Error::new(code, format!("the daemon {} cannot be started: {error}", program.display()))
    };
    files::write_json(&crate::daemon::order_file(attempt), order)?;
    let log = files::private().append(true).open(crate::daemon::attempt_log(attempt)).map_err(failed)?;
    let mut command = Command::new(program);
    command.arg("daemon").env(ORDER_VARIABLE, attempt).current_dir(&order.home);
    command.stdout(log.try_clone().map_err(failed)?).stderr(log);
    command.stdin(if token.is_some() { Stdio::piped() } else { Stdio::null() });
    greenroom_os::detach(&mut command).map_err(failed)?;
    let mut daemon = command.spawn().map_err(failed)?;
    if let (Some(token), Some(mut pipe)) = (token, daemon.stdin.take()) {
        // It fails when the daemon has ended, which says why.
        let _ = pipe.write_all(token.reveal().as_bytes());
    }
    Ok(daemon)
}

impl Starting {
    /// Waits until the session is ready, with reports to `progress`. Gives up if `interrupted`
    /// returns true.
    ///
    /// # Errors
    /// Why there will be no session; `cancelled`, when it was given up.
    pub fn wait(&mut self, interrupted: &dyn Fn() -> bool) -> Result<Progress, Error> {
        loop {
            // The order matters: what a daemon that has ended had to say is there by then.
            let ended = self.daemon.try_wait();
            match files::read_json::<Ready>(&self.attempt.join(READY_FILE))? {
                Some(Ready::Ready { started, status }) => {
                    self.settled = true;
                    return Ok(Progress::Ready(started, status));
                }
                Some(Ready::Failed { error }) => {
                    // It is on its way out; then nothing is left to end.
                    self.settled = true;
                    self.wait_for_exit();
                    return Err(error);
                }
                Some(Ready::Starting { status }) if self.detected.is_none() => {
                    self.detected = Some(status.clone());
                    return Ok(Progress::Detected(status));
                }
                Some(Ready::Starting { .. }) | None => {}
            }
            if let Ok(Some(status)) = ended {
                self.settled = true;
                return Err(Error::new(
                    Code::Internal,
                    format!("the daemon ended without a word ({status})"),
                )
                .with_detail(self.last_words()));
            }
            if interrupted() {
                return Err(Error::new(Code::Cancelled, "the start was interrupted; nothing of it is left"));
            }
            if Instant::now() >= self.until {
                return Err(Error::new(
                    Code::Timeout,
                    "the daemon did not say in time whether its session is ready",
                )
                .with_detail(self.last_words()));
            }
            sleep(POLL);
        }
    }

    fn wait_for_exit(&mut self) {
        let until = Instant::now() + GRACE;
        while matches!(self.daemon.try_wait(), Ok(None)) && Instant::now() < until {
            sleep(POLL);
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read(crate::daemon::attempt_log(&self.attempt)).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if !self.settled {
            // The daemon leads a group of its own. SIGINT lets it end its agent; if it does not,
            // its death does.
            let _ = greenroom_os::interrupt_group(self.daemon.id());
            self.wait_for_exit();
            if matches!(self.daemon.try_wait(), Ok(None)) {
                let _ = self.daemon.kill();
                let _ = self.daemon.wait();
            }
        }
        // What is left of it goes with a later sweep.
        let _ = fs::remove_dir_all(&self.attempt);
    }
}
