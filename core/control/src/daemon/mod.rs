//! The daemon: a process that holds one session, serves clients that have its token, and leaves
//! nothing behind.

mod connection;
mod door;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use greenroom_engine::driver::{Driver, Listener};
use greenroom_engine::{AudioOptions, JoinOptions, LogTarget, Session, StartOptions};
use greenroom_protocol::message::{Answer, CloseReason, EventKind, Operation, Started};
use greenroom_protocol::time::in_words;
use greenroom_protocol::{Code, Error, Secret};
use greenroom_room::read_ca;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::connection::Host;
use self::door::Door;
use crate::files;
use crate::record::{Ended, Kept, Launch, Order, Ready, Record, RoomTarget, Target};
use crate::registry::{Lock, Registry};
use crate::token::Token;

/// The variable that names the folder of the attempt to start this daemon.
pub const ORDER_VARIABLE: &str = "GREENROOM_DAEMON_ORDER";

/// Where a daemon says how far it is.
pub(crate) const READY_FILE: &str = "ready.json";

/// Connections at once.
const CONNECTIONS: usize = 128;

/// How often a starting session is looked at.
const LOOK: Duration = Duration::from_millis(15);

/// How long the command that waits may take to read that its session is ready.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// How long an agent may take to end before the daemon goes without it: its guard then kills it.
const END: Duration = Duration::from_secs(20);

/// How long clients have to take the last news.
const LAST_NEWS: Duration = Duration::from_secs(2);

/// The order of the daemon that is to be started.
pub(crate) fn order_file(attempt: &Path) -> PathBuf {
    attempt.join("order.json")
}

/// What the daemon prints, until it has a folder of its own.
pub(crate) fn attempt_log(attempt: &Path) -> PathBuf {
    attempt.join("daemon.log")
}

/// Runs this process as a daemon, to the end of its session.
///
/// # Errors
/// `invalid_argument` if no daemon was requested; otherwise why there was no session.
pub fn run() -> Result<(), Error> {
    let Some(attempt) = std::env::var_os(ORDER_VARIABLE).map(PathBuf::from) else {
        return Err(by_hand());
    };
    let order_file = order_file(&attempt);
    let order: Order = files::read_json(&order_file)?.ok_or_else(by_hand)?;
    fs::remove_file(&order_file).map_err(|error| files::failed("remove", &order_file, &error))?;
    let outcome = hold(order, &attempt);
    match &outcome {
        Err(error) => {
            tracing::error!(code = %error.code, "{error}");
            tell(&attempt, &Ready::Failed { error: error.clone() });
        }
        Ok(()) => clear(&attempt),
    }
    outcome
}

/// Removes what the command that started this daemon removes itself, once it has read how it went,
/// unless it was killed.
fn clear(attempt: &Path) {
    let is_unread = || matches!(files::read_json(&attempt.join(READY_FILE)), Ok(Some(Ready::Ready { .. })));
    let patient_until = Instant::now() + READ_WITHIN;
    while is_unread() && Instant::now() < patient_until {
        std::thread::sleep(LOOK);
    }
    drop(fs::remove_dir_all(attempt));
}

fn by_hand() -> Error {
    Error::new(
        Code::InvalidArgument,
        "`greenroom daemon` is started by `greenroom start`, not by hand; use `greenroom start [FILE]`",
    )
}

/// Reports progress to the waiting command, if it still exists.
fn tell(attempt: &Path, ready: &Ready) {
    if attempt.is_dir()
        && let Err(error) = files::write_json(&attempt.join(READY_FILE), ready)
    {
        tracing::warn!("{error}");
    }
}

fn hold(order: Order, attempt: &Path) -> Result<(), Error> {
    let lock = Registry::at(&order.home).folder(&order.name).lock()?;
    // The daemon goes on writing to the same file.
    let _ = fs::rename(attempt_log(attempt), lock.folder().daemon_log());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::new(Code::Io, format!("the daemon's event loop cannot be started: {error}"))
    })?;
    runtime.block_on(Daemon::start(order, lock)?.run(attempt))
}

struct Daemon {
    order: Order,
    lock: Lock,
    session: Session,
    /// The port of a session that has none by itself.
    door: Option<Door>,
    host: Arc<Host>,
    callers: mpsc::Receiver<std::net::TcpStream>,
    ends: mpsc::UnboundedReceiver<Done>,
    /// Requests to end the session that came while it ended.
    waiting_ends: Vec<Done>,
    finish: watch::Sender<bool>,
    closed: Arc<Closed>,
    connections: JoinSet<()>,
    log_path: PathBuf,
}

/// Says that the session is gone.
type Done = Box<dyn FnOnce(Value) + Send>;

/// Why a session did not start.
enum NoStart {
    /// It could not.
    Failed(Error),
    /// It was not to, any more.
    GivenUp(Why),
}

/// How the daemon ends.
enum End {
    /// Its session did not start.
    Failed,
    /// Its session was not to start, any more.
    GivenUp(Why),
    /// Its session is over.
    Over(Why),
}

/// Why the daemon ends.
enum Why {
    /// Requested by a client.
    Asked(Done),
    /// A signal.
    Signal(&'static str),
    /// The session is closed.
    Closed,
}

impl Daemon {
    fn start(order: Order, lock: Lock) -> Result<Self, Error> {
        let (to_callers, callers) = mpsc::channel(CONNECTIONS);
        let (log_path, session, door) = match &order.launch.target {
            Target::Agent(agent) => {
                let log_path = order.launch.log.clone().unwrap_or_else(|| lock.folder().log());
                let session = Session::start(StartOptions {
                    port: order.launch.port,
                    start_timeout: order.launch.start_timeout(),
                    log: LogTarget::File(log_path.clone()),
                    control: Some(Box::new(move |stream| {
                        // With that many waiting, one more is turned away.
                        drop(to_callers.try_send(stream));
                    })),
                    idle_timeout: order.launch.idle_timeout(),
                    audio: order.launch.audio.then(|| AudioOptions {
                        recording: order.launch.recording.clone(),
                        ..AudioOptions::default()
                    }),
                    ..StartOptions::new(agent.clone())
                })?;
                (log_path, session, None)
            }
            Target::Room(room) => {
                let door = Door::new(order.launch.port, to_callers)?;
                // The agent's own log is where the agent runs.
                (lock.folder().daemon_log(), join(&order.launch, room)?, Some(door))
            }
        };
        let closed = Arc::new(Closed::default());
        let listener: Weak<Closed> = Arc::downgrade(&closed);
        session.on_events(listener);
        let (to_ends, ends) = mpsc::unbounded_channel();
        let (finish, finishing) = watch::channel(false);
        let host = Arc::new(Host {
            name: order.name.clone(),
            token: Token::random()?,
            driver: session.driver(),
            ends: to_ends,
            finishing,
        });
        let connections = JoinSet::new();
        Ok(Self {
            order,
            lock,
            session,
            door,
            host,
            callers,
            ends,
            waiting_ends: Vec::new(),
            finish,
            closed,
            connections,
            log_path,
        })
    }

    async fn run(mut self, attempt: &Path) -> Result<(), Error> {
        let mut signals = Signals::new()?;
        if let Some(door) = &self.door {
            door.open()?;
        }
        let started = match self.wait_for_start(attempt, &mut signals).await {
            Ok(started) => started,
            Err(failed) => {
                let (error, end) = match failed {
                    NoStart::Failed(error) => (error, End::Failed),
                    NoStart::GivenUp(why) => {
                        let by = if let Why::Signal(signal) = &why { signal } else { "a client" };
                        let message = format!("the start was ended by {by} before the session was ready");
                        (Error::new(Code::Cancelled, message), End::GivenUp(why))
                    }
                };
                self.end(end).await;
                return Err(error);
            }
        };
        tracing::info!(name = %self.order.name, "the session is ready");
        tell(attempt, &Ready::Ready { started, status: self.session.status() });
        let why = self.serve(&mut signals).await;
        self.end(End::Over(why)).await;
        Ok(())
    }

    /// Waits until the session is ready, and serves requests meanwhile.
    async fn wait_for_start(&mut self, attempt: &Path, signals: &mut Signals) -> Result<Started, NoStart> {
        let (sender, mut started) = oneshot::channel();
        self.session.submit(Operation::Start, None, Box::new(move |answer| drop(sender.send(answer))));
        let mut written = false;
        loop {
            let answer = tokio::select! {
                answer = &mut started => Some(answer),
                why = self.next(signals) => match why {
                    // The answer to the start has the reason.
                    Why::Closed => None,
                    why => return Err(NoStart::GivenUp(why)),
                },
                () = tokio::time::sleep(LOOK), if !written => None,
            };
            let status = self.session.snapshot();
            if !written && (status.detected.is_some() || status.room.is_some()) {
                written = true;
                self.write_record().map_err(NoStart::Failed)?;
                tell(attempt, &Ready::Starting { status: self.session.status() });
            }
            match answer {
                Some(Ok(Ok(Answer::Started(started)))) => return Ok(started),
                Some(Ok(Err(error))) => return Err(NoStart::Failed(error)),
                Some(_) => {
                    let message = "the session did not say whether it is ready";
                    return Err(NoStart::Failed(Error::new(Code::Internal, message)));
                }
                None => {}
            }
        }
    }

    fn write_record(&self) -> Result<(), Error> {
        let status = self.session.snapshot();
        self.lock.write(&Record {
            name: self.order.name.clone(),
            pid: std::process::id(),
            port: self.door.as_ref().map_or_else(|| status.port.unwrap_or_default(), Door::port),
            token: self.host.token.clone(),
            started_at: status.started_at,
            log_path: self.log_path.clone(),
            daemon_log_path: self.lock.folder().daemon_log(),
            launch: self.order.launch.clone(),
        })
    }

    async fn serve(&mut self, signals: &mut Signals) -> Why {
        // It may have closed before this check.
        while self.session.snapshot().closed.is_none() {
            match self.next(signals).await {
                Why::Closed => {}
                why => return why,
            }
        }
        Why::Closed
    }

    /// Serves requests until there may be a reason to end.
    async fn next(&mut self, signals: &mut Signals) -> Why {
        tokio::select! {
            why = self.serve_requests() => why,
            signal = signals.next() => Why::Signal(signal),
        }
    }

    /// Serves requests until one asks for the end, or the session is closed.
    async fn serve_requests(&mut self) -> Why {
        loop {
            tokio::select! {
                Some(stream) = self.callers.recv() => {
                    if self.connections.len() < CONNECTIONS {
                        self.connections.spawn(connection::serve(stream, Arc::clone(&self.host)));
                    } else {
                        tracing::warn!("a control connection was turned away: there are {CONNECTIONS} already");
                    }
                }
                Some(_) = self.connections.join_next() => {}
                Some(done) = self.ends.recv() => return Why::Asked(done),
                () = self.closed.0.notified() => return Why::Closed,
            }
        }
    }

    /// Ends the session and answers all waiting requests. Other requests are served meanwhile.
    async fn end(mut self, end: End) {
        // Before it is closed here, since afterwards that is the reason.
        let ended = self.epitaph(&end);
        let session = self.session.clone();
        if self.serve_during(timeout(END, session.end())).await.is_err() {
            tracing::error!("the agent did not end in time; its guard kills it");
        }
        let status = self.session.status();
        match ended {
            // A request for the end that arrived meanwhile wants nothing left.
            Some(ended) if self.waiting_ends.is_empty() => {
                let kept = self.kept().await;
                let left = self.lock.keep(&kept);
                let noted = self.lock.leave(&Ended { status: status.clone(), ..ended });
                for error in [left, noted].into_iter().filter_map(Result::err) {
                    tracing::error!("{error}");
                }
            }
            _ => self.lock.remove(),
        }
        if let End::Over(Why::Asked(done)) | End::GivenUp(Why::Asked(done)) = end {
            done(status.clone());
        }
        for done in self.waiting_ends.drain(..) {
            done(status.clone());
        }
        self.ends.close();
        while let Some(done) = self.ends.recv().await {
            done(status.clone());
        }
        // It fails if no client is connected.
        let _ = self.finish.send(true);
        let all_told = async { while self.connections.join_next().await.is_some() {} };
        let _ = timeout(LAST_NEWS, all_told).await;
    }

    /// Serves requests until `work` is done. Requests for the end are answered after it.
    async fn serve_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                why = self.serve_requests() => {
                    if let Why::Asked(done) = why {
                        self.waiting_ends.push(done);
                    }
                }
            }
        }
    }

    /// The conversation and the events, for commands that ask for them after the end. A closed
    /// session answers from its events at once.
    async fn kept(&self) -> Kept {
        let history = self.session.history(Some(READ_WITHIN)).await.unwrap_or_default();
        Kept { events: self.session.read_events(0, usize::MAX).events, history }
    }

    /// What the next command is to find: nothing, if the end was asked for, or if the agent never
    /// ran.
    fn epitaph(&self, end: &End) -> Option<Ended> {
        let status = self.session.snapshot();
        let (reason, error) = match end {
            End::GivenUp(_) | End::Over(Why::Asked(_)) => return None,
            End::Failed if status.pid.is_none() => return None,
            End::Over(Why::Signal(signal)) => {
                let message = format!("its daemon was ended by {signal}");
                ("signal", Error::new(Code::SessionClosed, message))
            }
            End::Failed | End::Over(Why::Closed) => (self.close_reason().as_str(), status.closed?),
        };
        Some(Ended {
            name: self.order.name.clone(),
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            reason: reason.to_owned(),
            error,
            status: Value::Null,
            log_path: self.log_path.clone(),
            launch: self.order.launch.clone(),
        })
    }

    /// What the last event says.
    fn close_reason(&self) -> CloseReason {
        let last = self.session.read_events(self.session.end_of_events().saturating_sub(1), 1);
        let reason = last.events.iter().find_map(|event| match &event.kind {
            EventKind::Closed { reason, .. } => Some(*reason),
            _ => None,
        });
        reason.unwrap_or(CloseReason::Closed)
    }
}

/// Joins the room, with the token that comes on standard input.
fn join(launch: &Launch, room: &RoomTarget) -> Result<Session, Error> {
    let token = read_token(std::io::stdin(), launch.start_timeout())?;
    let mut options = JoinOptions::new(&room.url, token);
    options.room.ca = room.ca.as_deref().map(read_ca).transpose()?;
    let proxy = room.proxy.as_deref().map(Secret::from);
    options.room = options.room.reached_by(None, proxy.as_ref())?;
    options.agent.clone_from(&room.agent);
    options.start_timeout = launch.start_timeout();
    options.idle_timeout = launch.idle_timeout();
    Session::join(options)
}

/// Reads the token that the process which started this one writes at once.
fn read_token(mut from: impl Read + Send + 'static, within: Duration) -> Result<String, Error> {
    let (sender, token) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        // It fails when the wait is over, and the daemon with it.
        let _ = sender.send(from.read_to_string(&mut text).map(|_| text));
    });
    let failed = |code, how: String| Error::new(code, format!("the token of the room {how}"));
    match token.recv_timeout(within) {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(error)) => Err(failed(Code::Io, format!("cannot be read: {error}"))),
        Err(_) => Err(failed(Code::Timeout, format!("did not come within {}", in_words(within)))),
    }
}

/// Wakes the daemon at every event: one of them is the last.
#[derive(Default)]
struct Closed(Notify);

impl Listener for Closed {
    fn events(&self) {
        self.0.notify_one();
    }
}

/// The signals that end a daemon.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Error::new(Code::Io, format!("the daemon cannot listen to signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self, Error> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}

/// Locks; a panic of another holder does not matter, since nothing is left half done under these
/// locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use greenroom_protocol::Code;

    use super::read_token;

    #[test]
    fn token_that_never_ends_is_waited_for_until_the_deadline() {
        let (from, mut to) = std::io::pipe().unwrap();
        to.write_all(b"half").unwrap();
        let error = read_token(from, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.code, Code::Timeout);
        assert_eq!(error.message, "the token of the room did not come within 50ms");
    }

    #[test]
    fn token_that_ends_is_read() {
        let (from, mut to) = std::io::pipe().unwrap();
        to.write_all(b"whole").unwrap();
        drop(to);
        assert_eq!(read_token(from, Duration::from_secs(60)).unwrap(), "whole");
    }
}
