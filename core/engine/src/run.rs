//! What the thread of a session does, from the agent's start to its end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_protocol::frame::Frame;
use greenroom_protocol::limits::Limits;
use greenroom_protocol::message::{CloseReason, SessionCloseReason};
use greenroom_protocol::time::in_words;
use greenroom_protocol::{Code, Error, Time};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, sleep_until, timeout};

use crate::launch::{AgentProcess, Ended, Kind, LogFile, Plan, SessionEnd};
use crate::session::{AgentChannel, ControlSink, LogTarget, Shared, StartOptions};
use crate::tcp::{self, Activity, Caller, Link};
use crate::voice::Recorder;

/// How long the end of a link may be apart from the end of the process that caused it.
const APART: Duration = Duration::from_secs(1);
/// How often the thread of an agent's job is looked for: its end is reported within a second.
const LOOK: Duration = Duration::from_millis(250);
/// How long a process may take to exit after the thread of its job. With [`LOOK`] within a second.
const EXITING: Duration = Duration::from_millis(500);
/// How long an agent may take to end that never was ready, or that does not answer: it has nothing to put in order.
const ABRUPT_GRACE: Duration = Duration::from_millis(500);
/// Connections that are told apart at once; more wait in the system's queue.
const CALLERS: usize = 32;

/// Why there is nothing more to do but to end the session.
pub(crate) struct CloseCause {
    pub(crate) reason: CloseReason,
    pub(crate) error: Error,
}

/// Runs a session to its end. The state tells the rest of the world how it goes.
pub(crate) fn run(shared: &Arc<Shared>, options: StartOptions) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Code::Io, format!("the session's event loop cannot be started: {error}"));
            return shared.with(|state, now| state.begin_close(CloseReason::StartFailed, error, now));
        }
    };
    runtime.block_on(session(shared, options));
}

async fn session(shared: &Arc<Shared>, options: StartOptions) {
    let mut running = match start(shared, options).await {
        Ok(running) => running,
        Err(cause) => {
            close(shared, cause);
            return finish_recording(shared);
        }
    };
    let cause = drive(shared, &mut running).await;
    let reason = cause.reason;
    let is_silent = shared.with(|state, now| state.controller.silence(now).is_some());
    close(shared, cause);
    finish_recording(shared);
    let Running { process, link, grace, temporary_log, .. } = running;
    // While the guard is still on: whoever ends in the middle of this leaves no file behind.
    drop(temporary_log);
    let drained = async {
        if let Some(link) = link {
            link.drained().await;
        }
    };
    let Ended { killed, .. } = match reason {
        CloseReason::AgentEnded => process.end_after_job(grace).await,
        CloseReason::StartFailed => process.end(drained, grace.min(ABRUPT_GRACE)).await,
        _ if is_silent || process.job_has_died() => process.end(drained, grace.min(ABRUPT_GRACE)).await,
        _ => process.end(drained, grace).await,
    };
    tracing::debug!(killed, "the agent has ended");
}

fn finish_recording(shared: &Shared) {
    if let Some(recorder) = shared.with(|state, _| state.recorder.take()) {
        let error = recorder.finish();
        shared.with(|state, _| state.status.recording_error = error);
    }
}

/// An agent that runs.
struct Running {
    process: AgentProcess,
    callers: Callers,
    /// The agent's link, once it has connected.
    link: Option<Link>,
    limits: Limits,
    /// When the session is ready, or its start has failed.
    ready_by: Time,
    idle_timeout: Option<Duration>,
    grace: Duration,
    /// A log file that nobody is to keep, gone with this.
    temporary_log: Option<tempfile::TempPath>,
}

async fn start(shared: &Arc<Shared>, options: StartOptions) -> Result<Running, CloseCause> {
    let listener = listen(options.port).await.map_err(failed_start)?;
    let address =
        listener.local_addr().map_err(|error| failed_start(io_error("the session's port", &error)))?;
    shared.with(|state, _| state.status.port = Some(address.port()));
    let plan = unless_closing(shared, Plan::detect(&options.agent, options.start_timeout)).await?;
    let plan = plan.map_err(|error| failed_start(error.into()))?;
    let (log, temporary_log) = open_log(&options.log).map_err(failed_start)?;
    if let Some(path) = options.audio.and_then(|audio| audio.recording) {
        let recorder = Recorder::start(&path).map_err(failed_start)?;
        shared.with(|state, _| {
            state.recorder = Some(recorder);
            state.status.recording = Some(path);
        });
    }
    let process = AgentProcess::spawn(&plan, address, log).map_err(|error| failed_start(error.into()))?;
    shared.with(|state, _| {
        let status = &mut state.status;
        status.detected = Some(plan.describe());
        status.pid = Some(process.id());
        status.kind = Some(match plan.kind {
            Kind::Python => "python",
            Kind::Node => "node",
        });
        status.sdk_version = Some(plan.sdk_version.clone()).filter(|version| !version.is_empty());
        status.project_dir = Some(plan.project_dir.clone());
        status.entry = Some(plan.entry.clone());
        status.log_path = Some(process.log().path().to_owned());
    });
    let callers = Callers::start(shared, listener, process.id(), options.control);
    Ok(Running {
        process,
        callers,
        link: None,
        limits: options.controller.limits,
        ready_by: Time::ZERO + options.start_timeout,
        idle_timeout: options.idle_timeout,
        grace: options.end_grace,
        temporary_log,
    })
}

/// Drives a running agent until there is a reason to end it.
async fn drive(shared: &Arc<Shared>, running: &mut Running) -> CloseCause {
    let stream = match connect(shared, running).await {
        Ok(stream) => stream,
        Err(cause) => return cause,
    };
    let (link, outgoing) = match tcp::link(stream, &running.limits) {
        Ok(both) => both,
        Err(error) => return failed_start(io_error("the agent's connection", &error)),
    };
    running.link = Some(link);
    shared.with(|state, now| {
        state.last_call = now;
        state.outgoing = Some(AgentChannel::Link(outgoing));
        state.controller.open_by(running.ready_by, now);
    });
    let cause = pump(shared, running).await;
    running.callers.refuse_agents();
    cause
}

/// Waits for the agent's connection, for its failure, for the deadline, or for a close.
async fn connect(shared: &Arc<Shared>, running: &mut Running) -> Result<TcpStream, CloseCause> {
    let process = &running.process;
    let agent = unless_closing(shared, async {
        tokio::select! {
            stream = running.callers.agent.recv() => match stream {
                Some(stream) => Ok(stream),
                None => Err(Error::new(Code::Internal, "the session stopped to listen")),
            },
            failure = process.failed() => Err(crate::launch::LaunchError::from(failure).into()),
            () = sleep_until(shared.instant(running.ready_by)) => Err(never_connected(process, running.ready_by)),
        }
    });
    agent.await?.map_err(failed_start)
}

/// Carries messages between the agent's link and the controller.
async fn pump(shared: &Arc<Shared>, running: &mut Running) -> CloseCause {
    let Running { process, link, idle_timeout, .. } = running;
    let Some(link) = link.as_mut() else {
        return failed_start(Error::new(Code::Internal, "there is no link to drive"));
    };
    let mut exited = pin!(process.exited());
    let mut has_exited = false;
    loop {
        let (alarm, to_write) = match step(shared, *idle_timeout) {
            Ok((alarm, Ok(to_write))) => (alarm, to_write),
            Ok((_, Err(error))) => {
                return gone(shared, process, &format!("its connection broke: {error}")).await;
            }
            Err(cause) => return cause,
        };
        let activity = tokio::select! {
            biased;
            activity = link.ready(to_write) => Some(activity),
            () = shared.wake.notified() => None,
            () = sleep_until(alarm.unwrap_or_else(tokio::time::Instant::now)), if alarm.is_some() => None,
            () = sleep(LOOK), if process.job_is_visible() => None,
            _ = &mut exited, if !has_exited => {
                has_exited = true;
                Some(Ok(Activity::Readable))
            }
            // What the agent wrote before it ended is read to its end.
            () = std::future::ready(()), if has_exited => Some(Ok(Activity::Readable)),
        };
        match activity {
            Some(Ok(Activity::Readable)) => match link.read() {
                Ok(Some(read)) if read.is_empty() && has_exited => {
                    return gone(shared, process, "its process ended").await;
                }
                Ok(Some(read)) => {
                    if let Err(cause) = deliver(shared, link, read) {
                        return cause;
                    }
                }
                Ok(None) => return gone(shared, process, "it closed its connection").await,
                Err(error) => return gone(shared, process, &format!("its connection broke: {error}")).await,
            },
            Some(Err(error)) => {
                return gone(shared, process, &format!("its connection broke: {error}")).await;
            }
            Some(Ok(Activity::Writable)) => {}
            None if process.job_has_died() => return job_thread_ended(shared, process).await,
            None => {}
        }
        if let Some(error) = process.log().write_error() {
            note_log_error(shared, &error.message);
        }
    }
}

/// When the session's thread wakes by itself; whether it waits until more can be written, or why nothing can be.
pub(crate) type WaitPlan = (Option<tokio::time::Instant>, io::Result<bool>);

/// Lets pass what is due, and sends. Tells what there is to wait for, or why it is over.
pub(crate) fn step(shared: &Shared, idle_timeout: Option<Duration>) -> Result<WaitPlan, CloseCause> {
    shared.with(|state, now| {
        state.handle_timeouts(now);
        let idle_at = idle_timeout.filter(|_| !state.controller.in_turn()).map(|idle| state.last_call + idle);
        if idle_at.is_some_and(|at| at <= now) && !state.closing {
            let idle = in_words(idle_timeout.unwrap_or_default());
            let error = Error::new(
                Code::SessionClosed,
                format!("the session ended by itself: nothing was asked for {idle}"),
            );
            state.begin_close(CloseReason::Idle, error, now);
        }
        if let Some(error) = state.controller.closed() {
            return Err(CloseCause { reason: CloseReason::Closed, error: error.clone() });
        }
        state.send();
        let next = [state.controller.poll_timeout(), idle_at].into_iter().flatten().min();
        let alarm = state.set_alarm(next, now).map(|at| shared.instant(at));
        Ok((alarm, state.outgoing.as_mut().map_or(Ok(false), AgentChannel::wait_plan)))
    })
}

/// Gives what was read to the controller.
fn deliver(shared: &Shared, link: &mut Link, mut read: Bytes) -> Result<(), CloseCause> {
    shared.with(|state, now| {
        loop {
            match link.next_frame(&mut read) {
                Ok(Some(Frame::Message(message))) => state.controller.receive(&message, now),
                Ok(Some(Frame::Skipped { announced, head })) => {
                    state.controller.receive_skipped(announced, &head, now);
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    let error =
                        Error::new(Code::ProtocolError, format!("the agent's link cannot go on: {error}"));
                    return Err(CloseCause { reason: CloseReason::ProtocolError, error });
                }
            }
        }
    })
}

/// The link is gone. What the agent logged and whether its process went, too, decides what is told.
async fn gone(shared: &Shared, process: &AgentProcess, how: &str) -> CloseCause {
    if let Some((reason, error)) = shared.with(|state, _| state.controller.session_end().cloned()) {
        return agent_hung_up(shared, reason, error);
    }
    tokio::select! {
        biased;
        end = process.session_ended() => agent_hung_up(shared, reason_of(&end), end.error),
        status = process.exited() => {
            // It may have ended its session first, and then itself.
            if let Ok(end) = timeout(Duration::ZERO, process.session_ended()).await {
                return agent_hung_up(shared, reason_of(&end), end.error);
            }
            let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
            let error = Error::new(Code::AgentGone, format!("the agent exited{status}{}", why(process)));
            CloseCause { reason: CloseReason::AgentExited, error: with_log(error, process) }
        }
        () = sleep(APART) => {
            let (why, next) = (why(process), next_step(process));
            let how = format!("the agent is gone: {how}, though its process still ran{why}; {next}");
            let error = Error::new(Code::AgentGone, how);
            CloseCause { reason: CloseReason::AgentDisconnected, error: with_log(error, process) }
        }
    }
}

/// The thread that ran the agent's job has ended, and nothing closes its connection.
async fn job_thread_ended(shared: &Shared, process: &AgentProcess) -> CloseCause {
    // A process that exits loses this thread first. What its end printed is on its way.
    if timeout(EXITING, process.exited()).await.is_ok() {
        return gone(shared, process, "its process ended").await;
    }
    // A job that has ended as it should needs no loop any more.
    if let Some((reason, error)) = shared.with(|state, _| state.controller.session_end().cloned()) {
        return agent_hung_up(shared, reason, error);
    }
    if let Some(end) = process.shut_down() {
        return agent_hung_up(shared, reason_of(&end), end.error);
    }
    let (why, next) = (why(process), next_step(process));
    let how = format!("the agent's event loop has ended, though its process still runs{why}; {next}");
    let error = Error::new(Code::AgentGone, how);
    CloseCause { reason: CloseReason::AgentExited, error: with_log(error, process) }
}

/// The agent ended its session by itself.
fn agent_hung_up(shared: &Shared, reason: SessionCloseReason, error: Option<String>) -> CloseCause {
    let message = match &error {
        Some(error) => format!("the agent hung up after an error ({reason}): {error}"),
        None => format!("the agent hung up ({reason})"),
    };
    shared.with(|state, now| state.controller.session_closed(reason, error, now));
    CloseCause { reason: CloseReason::AgentEnded, error: Error::new(Code::AgentGone, message) }
}

/// The SDK's reason as the wire has it.
fn reason_of(end: &SessionEnd) -> SessionCloseReason {
    match end.reason.as_str() {
        "error" => SessionCloseReason::Error,
        "job_shutdown" => SessionCloseReason::JobShutdown,
        "participant_disconnected" => SessionCloseReason::ParticipantDisconnected,
        "user_initiated" => SessionCloseReason::UserInitiated,
        "task_completed" | "completed" => SessionCloseReason::Completed,
        _ => SessionCloseReason::None,
    }
}

/// The exception that the log tells of, to stand behind what happened.
fn why(process: &AgentProcess) -> String {
    process.headline().map(|headline| format!(": {headline}")).unwrap_or_default()
}

/// What to do about an agent that is gone.
fn next_step(process: &AgentProcess) -> String {
    match process.log().kept_path() {
        Some(path) => format!("start a new session; the agent's log is {}", path.display()),
        None => "start a new session, with a log file to keep what the agent prints".to_owned(),
    }
}

pub(crate) fn close(shared: &Shared, cause: CloseCause) {
    shared.with(|state, now| {
        state.outgoing = None;
        state.begin_close(cause.reason, cause.error, now);
    });
}

/// Waits for `work`, unless the session is closed meanwhile.
pub(crate) async fn unless_closing<T>(
    shared: &Shared,
    work: impl Future<Output = T>,
) -> Result<T, CloseCause> {
    let mut work = pin!(work);
    loop {
        // Deadlines of callers pass also while there is no link.
        let due = shared.with(|state, now| {
            state.handle_timeouts(now);
            match state.controller.closed() {
                Some(error) => Err(CloseCause { reason: CloseReason::Closed, error: error.clone() }),
                None => {
                    let next = state.controller.poll_timeout();
                    Ok(state.set_alarm(next, now).map(|at| shared.instant(at)))
                }
            }
        })?;
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = shared.wake.notified() => {}
            () = sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {}
        }
    }
}

async fn listen(port: Option<u16>) -> Result<TcpListener, Error> {
    tcp::bind(port.unwrap_or(0)).await.map_err(|error| match (error.kind(), port) {
        (io::ErrorKind::AddrInUse, Some(port)) => Error::new(
            Code::Io,
            format!("port {port} of 127.0.0.1 is in use; pass another one, or none to pick a free one"),
        ),
        (_, port) => io_error(&format!("port {} of 127.0.0.1", port.unwrap_or(0)), &error),
    })
}

fn open_log(target: &LogTarget) -> Result<(LogFile, Option<tempfile::TempPath>), Error> {
    match target {
        LogTarget::File(path) => Ok((LogFile::open(path)?, None)),
        LogTarget::Temporary => {
            let file = tempfile::Builder::new()
                .prefix("greenroom-agent-")
                .suffix(".log")
                .tempfile()
                .map_err(|error| io_error("a temporary file for the agent's log", &error))?;
            let path = file.into_temp_path();
            Ok((LogFile::open(path.to_path_buf())?.temporary(), Some(path)))
        }
    }
}

/// Takes connections for as long as the session runs.
struct Callers {
    /// Connections from the agent's process session, the first of which is its link.
    agent: mpsc::Receiver<TcpStream>,
    task: tokio::task::JoinHandle<()>,
}

impl Callers {
    fn start(
        shared: &Arc<Shared>,
        listener: TcpListener,
        agent_session: u32,
        control: Option<ControlSink>,
    ) -> Self {
        let (to_agent, agent) = mpsc::channel(1);
        let acceptor =
            Arc::new(ConnectionAcceptor { shared: Arc::clone(shared), agent_session, control, to_agent });
        let task = tokio::spawn(acceptor.serve(listener));
        Self { agent, task }
    }

    fn refuse_agents(&mut self) {
        self.agent.close();
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells connections apart and hands them on.
struct ConnectionAcceptor {
    shared: Arc<Shared>,
    agent_session: u32,
    control: Option<ControlSink>,
    to_agent: mpsc::Sender<TcpStream>,
}

impl ConnectionAcceptor {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CALLERS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let acceptor = Arc::clone(&self);
                    tokio::spawn(async move {
                        acceptor.dispatch(stream).await;
                        drop(permit);
                    });
                }
                // Such as too many open files: what is closed meanwhile makes room.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn dispatch(&self, stream: TcpStream) {
        match tcp::classify(stream, self.agent_session).await {
            Caller::Control(stream) => match (&self.control, stream.into_std()) {
                (Some(control), Ok(stream)) => control(stream),
                _ => self.refuse("a control connection, which this session does not take"),
            },
            Caller::Agent(stream, unchecked) => match self.to_agent.try_send(stream) {
                Ok(()) => self.shared.with(|state, _| state.status.peer_check = unchecked),
                Err(_) => self.refuse("a second connection of the agent's"),
            },
            Caller::Stranger(who) => self.refuse(&who),
        }
    }

    fn refuse(&self, who: &str) {
        tracing::warn!(who, "a connection was refused");
        self.shared.with(|state, _| {
            state.status.refused_connections += 1;
            state.status.last_refused = Some(who.to_owned());
        });
    }
}

fn never_connected(process: &AgentProcess, ready_by: Time) -> Error {
    let error = Error::new(
        Code::AgentFailedToStart,
        format!(
            "the agent did not connect within {} of the start: its entrypoint has to call session.start(); set a longer start timeout",
            in_words(ready_by.since_origin())
        ),
    );
    with_log(error, process)
}

fn with_log(error: Error, process: &AgentProcess) -> Error {
    let tail = process.log().tail().join("\n");
    if tail.is_empty() { error } else { error.with_detail(format!("the agent's last words:\n{tail}")) }
}

pub(crate) fn failed_start(error: Error) -> CloseCause {
    CloseCause { reason: CloseReason::StartFailed, error }
}

fn io_error(what: &str, error: &io::Error) -> Error {
    Error::new(Code::Io, format!("{what} cannot be used: {error}"))
}

fn note_log_error(shared: &Shared, message: &str) {
    shared.with(|state, _| {
        state.status.log_error.get_or_insert_with(|| message.to_owned());
    });
}
