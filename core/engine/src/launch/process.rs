//! The agent's process, from its start to the end of the last process of its group.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::child::{Child, Exit};
use super::headline::headline;
use super::lifecycle::SessionEnd;
use super::log::{AgentLog, LogFile, LogReader, thread_exists};
use super::probe::not_started;
use super::{Kind, LaunchError, Plan, node};

/// How long a traceback may take to follow the marker of a crash.
const TRACEBACK: Duration = Duration::from_millis(300);

/// How often a job's thread is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// How long the end of a job may take to follow that of its session.
const JOB_FOLLOWS: Duration = Duration::from_millis(250);

/// How long the log may take to end after its writers did.
const LOG_END: Duration = Duration::from_secs(1);

/// How long a killed process may take to be gone.
const KILL: Duration = Duration::from_secs(5);

/// A Node agent closes its session on SIGINT and then stays: so long after its link is closed, and so long at most.
const NODE_AFTER_LINK: Duration = Duration::from_secs(1);
const NODE_AT_MOST: Duration = Duration::from_secs(5);

/// How lines of `bootstrap.py` begin, and that of a file which defines no agent.
pub(super) const BOOTSTRAP_SAYS: &str = "greenroom: ";
const NOT_AN_AGENT: &str = "not an agent:";

/// How the line of `prepare.py` begins where the SDK does not take a value that was given.
const UNFIT: &str = "unfit:";

/// An agent that runs, in a session and group of its own, under a guard that kills the group should this process
/// end in whatever way.
///
/// Dropping it kills the group at once; [`end`](Self::end) is the polite way.
#[derive(Debug)]
pub struct AgentProcess {
    // Dropped first: the reader may stop only after the agent is told to.
    child: Child,
    _reader: LogReader,
    log: AgentLog,
    kind: Kind,
    entry: PathBuf,
    plan: Plan,
}

impl AgentProcess {
    /// Starts the agent, which will connect to `address`, a loopback one.
    ///
    /// It takes a few milliseconds and blocks for them. No runtime is needed yet.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(plan: &Plan, address: SocketAddr, log: LogFile) -> Result<Self, LaunchError> {
        let mark = random_mark()?;
        let spawned = Child::spawn(plan.command(address, &mark), log.to_remove());
        let (child, output) = spawned.map_err(|error| not_started(&plan.program.to_string_lossy(), error))?;
        let (reader, log) = LogReader::start(output, log, &mark)
            .map_err(|error| LaunchError::io("the agent's log cannot be read", error))?;
        Ok(Self {
            child,
            _reader: reader,
            log,
            kind: plan.kind,
            entry: plan.entry.clone(),
            plan: plan.clone(),
        })
    }

    /// The id of the process, of its session and of its group.
    pub fn id(&self) -> u32 {
        self.child.group().id()
    }

    /// Its log.
    pub fn log(&self) -> &AgentLog {
        &self.log
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.child.exit().is_some()
    }

    /// Waits until it has ended. None when the host process took the status for itself.
    pub async fn exited(&self) -> Option<ExitStatus> {
        self.child.exited().await
    }

    /// Whether the thread that ran the job has ended although the process runs. `false` where that cannot be seen: the
    /// job has no thread of its own, or the system shows no threads.
    pub fn job_has_died(&self) -> bool {
        self.log.lifecycle().job_thread.is_some_and(|thread| !thread_exists(thread))
    }

    /// How the agent ended its session, once its job shuts down after that.
    pub fn shut_down(&self) -> Option<SessionEnd> {
        let lifecycle = self.log.lifecycle();
        lifecycle.job_ends.and(lifecycle.session_end)
    }

    /// Whether the job runs in a thread that can be seen.
    pub fn job_is_visible(&self) -> bool {
        self.log.lifecycle().job_thread.is_some()
    }

    /// Waits until the thread that runs the job has ended.
    async fn job_ended(&self) {
        while !self.job_has_died() {
            sleep(LOOK).await;
        }
    }

    /// Waits until the agent has logged how it ended its session.
    pub async fn session_ended(&self) -> SessionEnd {
        self.log.told(|lifecycle| lifecycle.session_end.clone()).await
    }

    /// The line of the log that says most of why the agent failed: the last exception.
    pub fn headline(&self) -> Option<String> {
        headline(&self.log.tail()).map(str::to_owned)
    }

    /// Waits until the process has ended or its job has crashed or ended, and tells how. Before the agent has connected,
    /// each means that it never will. Dropping the future changes nothing.
    pub async fn failed(&self) -> Failure {
        tokio::select! {
            () = self.log.marker() => {
                let _ = timeout(TRACEBACK, self.child.exited()).await;
            }
            _ = self.log.told(|lifecycle| lifecycle.job_ends.clone()) => {
                // Its callbacks, and what they print.
                let _ = timeout(TRACEBACK, self.job_ended()).await;
            }
            () = self.log.told(|lifecycle| lifecycle.entrypoint_returned.then_some(())) => {}
            () = self.job_ended() => {
                let _ = timeout(TRACEBACK, self.child.exited()).await;
            }
            _ = self.child.exited() => {}
        }
        let exit = self.child.exit();
        if exit.is_some() {
            let _ = timeout(LOG_END, self.log.ended()).await;
        }
        let tail = self.log.tail();
        Failure {
            kind: self.kind,
            entry: self.entry.clone(),
            exit,
            marker: self.log.seen_marker(),
            way_out: node::way_out(&self.plan, &tail),
            job_end: self.log.lifecycle().job_ends,
            returned: self.log.lifecycle().entrypoint_returned,
            tail,
            log: self.log.path().to_owned(),
        }
    }

    /// Ends an agent that has ended its session by itself: what its job still does, such as callbacks of its
    /// author's, has `grace`. The SDK's process often stays after that, and is killed.
    pub async fn end_after_job(self, grace: Duration) -> Ended {
        let finished = async {
            match self.kind {
                Kind::Python => {
                    // A session that was shut down without its job: the job waits for the process to be told to end.
                    if timeout(JOB_FOLLOWS, self.log.told(|lifecycle| lifecycle.job_ends.clone()))
                        .await
                        .is_err()
                    {
                        let _ = self.child.group().interrupt();
                    }
                    // Where threads cannot be seen, the grace passes.
                    self.job_ended().await;
                }
                Kind::Node => {
                    // An interrupt kills a process whose job has ended, and ends a job that has not.
                    sleep(NODE_AFTER_LINK).await;
                    let _ = self.child.group().interrupt();
                    sleep(NODE_AFTER_LINK).await;
                }
            }
        };
        tokio::select! {
            biased;
            _ = self.child.exited() => {}
            _ = timeout(grace, finished) => {}
        }
        self.kill_rest().await
    }

    async fn kill_rest(self) -> Ended {
        let ended = self.child.exit();
        let killed = ended.is_none() && self.child.group().kill().unwrap_or(false);
        let status = match ended {
            Some(status) => status,
            None => timeout(KILL, self.child.exited()).await.unwrap_or(None),
        };
        let _ = timeout(LOG_END, self.log.ended()).await;
        Ended { status, killed }
    }

    /// Ends it: SIGINT to the group, then time to end by itself, then SIGKILL to what is left of the group.
    ///
    /// A Python agent has `grace`. A Node agent never ends by itself, so it has 1 s from the moment at which
    /// `link_closed` resolves, at most 5 s and never more than `grace`. Dropping the future kills the group.
    pub async fn end(self, link_closed: impl Future<Output = ()>, grace: Duration) -> Ended {
        // It fails when the group has ended already, and then there is nothing to wait for.
        let _ = self.child.group().interrupt();
        let patience = async {
            match self.kind {
                Kind::Python => sleep(grace).await,
                Kind::Node => {
                    let closed = async {
                        link_closed.await;
                        sleep(NODE_AFTER_LINK).await;
                    };
                    let _ = timeout(NODE_AT_MOST.min(grace), closed).await;
                }
            }
        };
        tokio::select! {
            biased;
            _ = self.child.exited() => {}
            () = patience => {}
        }
        self.kill_rest().await
    }
}

/// How an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// None when the host process took the status for itself, or the process hangs in the system and does not die.
    pub status: Option<ExitStatus>,
    /// It did not end by itself in its time.
    pub killed: bool,
}

/// How an agent failed: its process has ended, or its job has crashed and the process is of no use.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: Kind,
    entry: PathBuf,
    exit: Option<Exit>,
    marker: Option<&'static str>,
    /// Why the job ended, as the SDK logged it.
    job_end: Option<String>,
    /// The entrypoint returned without a session.
    returned: bool,
    tail: Vec<Arc<str>>,
    /// What to do about it, where the tail says why.
    way_out: Option<String>,
    log: PathBuf,
}

impl Failure {
    /// How the process ended; None when it still runs, or the host process took the status for itself.
    pub fn status(&self) -> Option<ExitStatus> {
        self.exit.flatten()
    }

    /// The last lines of the log.
    pub fn tail(&self) -> &[Arc<str>] {
        &self.tail
    }

    /// The line that says most: the exception, or the last one.
    pub fn reason(&self) -> Option<&str> {
        headline(&self.tail)
    }

    /// Whether the file ran but is no agent: the Python SDK found no server in it, the Node SDK no agent, or a script
    /// came to its end without a word to the SDK.
    pub fn is_no_agent(&self) -> bool {
        let says = |words: &str| self.tail.iter().any(|line| line.contains(words));
        match self.kind {
            Kind::Python => {
                says("Could not find AgentServer in module")
                    || self.bootstrap_says().any(|line| line.starts_with(NOT_AN_AGENT))
            }
            Kind::Node => {
                let had_job = self.job_end.is_some() || self.returned;
                let ended_well = self.status().is_some_and(|status| status.success());
                says("missing or invalid default export") || (ended_well && self.marker.is_none() && !had_job)
            }
        }
    }

    /// What the bootstrap of a Python agent printed about the failure.
    fn bootstrap_says(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().filter_map(|line| line.strip_prefix(BOOTSTRAP_SAYS))
    }

    /// The last lines, and where the rest is.
    pub(super) fn detail(&self) -> String {
        format!("{}\n(the whole log: {})", self.tail.join("\n"), self.log.display())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry.display();
        let why_no_agent = self.bootstrap_says().find_map(|line| line.strip_prefix(NOT_AN_AGENT));
        if let Some(why) = why_no_agent.map(str::trim).filter(|why| !why.is_empty()) {
            return write!(f, "{entry} {why}");
        }
        if let Some(why) = self.bootstrap_says().find_map(|line| line.strip_prefix(UNFIT)) {
            return write!(f, "{entry} cannot be started as asked:{why}");
        }
        if self.is_no_agent() {
            return match self.kind {
                Kind::Python => write!(
                    f,
                    "{entry} defines no agent: it needs a global AgentServer, such as `server = AgentServer()`, with \
                     an entrypoint of `@server.rtc_session()`, or a call of `cli.run_app(…)`"
                ),
                Kind::Node => write!(
                    f,
                    "{entry} defines no agent: it has to `export default defineAgent(…)` and to call \
                     `cli.runApp(new ServerOptions({{ agent: … }}))`"
                ),
            };
        }
        let reason = self.reason();
        // A process that ends well after its job says nothing beyond that.
        let exit = self
            .exit
            .filter(|status| !status.is_some_and(|status| status.success()) || self.job_end.is_none());
        match (exit, &self.job_end) {
            (Some(Some(status)), _) => write!(f, "{entry} ended before it connected ({status})")?,
            (Some(None), _) => write!(f, "{entry} ended before it connected")?,
            (None, None) if self.returned && self.marker.is_none() => {
                return write!(
                    f,
                    "the entrypoint of {entry} returned without starting a session: it has to \
                     `await session.start(…)`; its log is {}",
                    self.log.display()
                );
            }
            (None, Some(why)) if self.marker.is_none() => {
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                return write!(
                    f,
                    "the job of {entry} was shut down before it connected{why}: its entrypoint has to call \
                     session.start() before the job ends; its log is {}",
                    self.log.display()
                );
            }
            (None, _) => write!(f, "the job of {entry} crashed before it connected")?,
        }
        match reason {
            Some(reason) => write!(f, ": {reason}{}", stand_in(reason))?,
            None if self.tail.is_empty() => {
                write!(f, ", and printed nothing; its log is {}", self.log.display())?;
            }
            None => write!(f, ", and said nothing of why; its log is {}", self.log.display())?,
        }
        self.bootstrap_says().chain(self.way_out.as_deref()).try_for_each(|hint| write!(f, "; {hint}"))
    }
}

/// What an agent cannot guess.
fn random_mark() -> Result<String, LaunchError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| LaunchError::io("the system has no random numbers", io::Error::other(error)))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// What stands behind an error that comes of the SDK's stand-in for a room.
fn stand_in(error: &str) -> String {
    greenroom_protocol::stand_in::hint(error).map(|hint| format!("; {hint}")).unwrap_or_default()
}
