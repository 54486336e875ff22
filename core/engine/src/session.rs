//! A session with an agent, which it starts or finds in a room: all that belongs to it is on one thread that begins and ends with it.

use std::collections::HashMap;
#[cfg(feature = "room")]
use std::collections::VecDeque;
#[cfg(feature = "room")]
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use greenroom_protocol::journal::Read;
use greenroom_protocol::message::{Answer, CloseReason, Operation};
use greenroom_protocol::session::{CallId, Config, Controller};
use greenroom_protocol::time::WallClock;
use greenroom_protocol::voice::Losses;
use greenroom_protocol::{Code, Error, Time};
#[cfg(feature = "room")]
use greenroom_room::Transport;
use serde::Serialize;
use tokio::sync::Notify;

#[cfg(feature = "room")]
use crate::agent_room::{self, AttachOptions, JoinOptions};
use crate::driver::{Driver, Events, Listener, Reply, lock};
use crate::launch::AgentSpec;
use crate::run;
pub use crate::tcp::CONTROL_PREAMBLE;
use crate::tcp::Outgoing;
use crate::voice::{AudioOptions, Recorder};

/// Takes a loopback connection that began with [`CONTROL_PREAMBLE`], which is consumed. Called on the session's thread: hand it on.
pub type ControlSink = Box<dyn Fn(std::net::TcpStream) + Send + Sync>;

/// How to start a session.
pub struct StartOptions {
    /// Which agent, and how it runs.
    pub agent: AgentSpec,
    /// The loopback port to listen on; `None` is any free one.
    pub port: Option<u16>,
    /// From the start until the session is ready, all included: to find the interpreter, which may sync a uv project, to connect, to
    /// answer a ping. A greeting is waited for no longer, and does not fail the start. 60 s.
    pub start_timeout: Duration,
    /// How long a Python agent may take to end before it is killed; a Node agent never ends by itself and has less. 10 s.
    pub end_grace: Duration,
    /// How the protocol behaves.
    pub controller: Config,
    /// The session's audio over the wire; `None` is a session of text, which turns the agent's audio off.
    pub audio: Option<AudioOptions>,
    /// Where the agent's log goes.
    pub log: LogTarget,
    /// Who takes control connections; without one they are refused.
    pub control: Option<ControlSink>,
    /// After how long without any call the session ends by itself; `None` is never.
    pub idle_timeout: Option<Duration>,
}

/// Where an agent's log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// A file of the system's temporary folder, gone with the session.
    #[default]
    Temporary,
    /// This file. It is appended to, and kept.
    File(PathBuf),
}

/// How a session stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// `starting`, `ready`, `in_turn` or `closed`.
    pub state: &'static str,
    /// The loopback port.
    pub port: Option<u16>,
    /// The agent's process.
    pub pid: Option<u32>,
    /// `python` or `node`.
    pub kind: Option<&'static str>,
    /// `Detected Python agent (agent.py in /home/me/project)`.
    pub detected: Option<String>,
    /// The version of the agent's SDK, as found installed.
    pub sdk_version: Option<String>,
    /// The agent's folder.
    pub project_dir: Option<PathBuf>,
    /// The agent's file, relative to it.
    pub entry: Option<PathBuf>,
    /// The agent's log.
    pub log_path: Option<PathBuf>,
    /// Why the log file is not whole.
    pub log_error: Option<String>,
    /// The file that the session is recorded into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<PathBuf>,
    /// Why the recording is not whole; known once the session has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_error: Option<String>,
    /// What was lost of the session's audio; `None` without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_losses: Option<Losses>,
    /// When the session was started, RFC 3339.
    pub started_at: String,
    /// How long ago that was, in milliseconds.
    pub uptime_ms: u64,
    /// How long ago the last call was, in milliseconds.
    pub idle_ms: u64,
    /// After how long without a call the session ends, in milliseconds.
    pub idle_timeout_ms: Option<u64>,
    /// How many turns have begun.
    pub turns: u64,
    /// Whether a turn is under way.
    pub turn_in_progress: bool,
    /// What the agent was doing when it last told.
    pub agent_state: Option<String>,
    /// How many events the next turn would show as before it.
    pub unseen_events: usize,
    /// The room that was joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The identity under which it was joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The identity of the agent in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Why it could not be checked that the connection is the agent's own.
    pub peer_check: Option<String>,
    /// Connections that were neither the agent's nor control.
    pub refused_connections: u64,
    /// The last of them.
    pub last_refused: Option<String>,
    /// Why the session is closed.
    pub closed: Option<Error>,
}

/// A session with an agent. Clones are of the same session; when the last is gone, the session ends.
#[derive(Clone)]
pub struct Session(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    process: u32,
}

/// What the handles and the session's thread share.
pub(crate) struct Shared {
    origin: Instant,
    pub(crate) state: Mutex<State>,
    /// Wakes the session's thread.
    pub(crate) wake: Notify,
}

pub(crate) struct State {
    pub(crate) controller: Controller,
    pub(crate) status: Status,
    pub(crate) closing: bool,
    pub(crate) last_call: Time,
    /// What goes to the agent, once there is a way.
    pub(crate) outgoing: Option<AgentChannel>,
    /// When the session's thread wakes by itself.
    alarm: Option<Time>,
    pub(crate) recorder: Option<Recorder>,
    replies: HashMap<CallId, Reply>,
    listeners: Vec<Weak<dyn Listener>>,
    done: Vec<Box<dyn FnOnce() + Send>>,
    ended: bool,
}

/// How long an agent's process may be silent between calls before it is pinged. A blocked event loop is thus
/// reported within 5 s.
const IDLE_PING_AFTER: Duration = Duration::from_secs(2);

/// The way to the agent.
pub(crate) enum AgentChannel {
    /// Its connection, which is written at once.
    Link(Outgoing),
    /// The room, into which the session's thread sends what waits here.
    #[cfg(feature = "room")]
    Room(VecDeque<Bytes>),
}

impl StartOptions {
    /// The usual way: any port, text mode, a temporary log, no control connections, no idle timeout.
    pub fn new(agent: AgentSpec) -> Self {
        Self {
            agent,
            port: None,
            start_timeout: Duration::from_secs(60),
            end_grace: Duration::from_secs(10),
            controller: Config::default(),
            audio: None,
            log: LogTarget::default(),
            control: None,
            idle_timeout: None,
        }
    }
}

impl Session {
    /// Starts a session and returns at once; [`Operation::Start`] waits until it is ready, or tells why it never will be.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(options: StartOptions) -> Result<Self, Error> {
        let (mut config, idle_timeout) = (options.controller.clone(), options.idle_timeout);
        if let Some(audio) = &options.audio {
            let voice = config.voice.get_or_insert_default();
            voice.clock = audio.clock;
            voice.record |= audio.recording.is_some();
        }
        // The process is ours alone, and a ping costs it nothing.
        config.idle_ping_after.get_or_insert(IDLE_PING_AFTER);
        Self::begin(config, idle_timeout, move |shared| run::run(shared, options))
    }

    /// Joins a room and drives the session of an agent in it. Returns at once; [`Operation::Start`] waits until it is ready, or tells why
    /// it never will be.
    ///
    /// # Errors
    /// When no thread can be started.
    #[cfg(feature = "room")]
    pub fn join(options: JoinOptions) -> Result<Self, Error> {
        let (config, idle_timeout) = (with_unique_id_prefix(&options.controller), options.idle_timeout);
        Self::begin(config, idle_timeout, move |shared| agent_room::join(shared, options))
    }

    /// Drives the session of an agent in a room that was joined, by whatever client. The room stays the caller's: closing the session
    /// leaves it as it is. Returns as [`join`](Self::join) does.
    ///
    /// # Errors
    /// When no thread can be started.
    #[cfg(feature = "room")]
    pub fn attach(room: Arc<dyn Transport>, options: AttachOptions) -> Result<Self, Error> {
        let (config, idle_timeout) = (with_unique_id_prefix(&options.controller), options.idle_timeout);
        Self::begin(config, idle_timeout, move |shared| agent_room::attach(shared, room, options))
    }

    fn begin(
        config: Config,
        idle_timeout: Option<Duration>,
        body: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> Result<Self, Error> {
        let origin = Instant::now();
        let wall = SystemTime::now();
        let clock = WallClock::new(Time::ZERO, wall);
        let status = Status {
            state: "starting",
            started_at: clock.at(Time::ZERO).to_string(),
            idle_timeout_ms: idle_timeout.map(whole_millis),
            ..Status::default()
        };
        let shared = Arc::new(Shared {
            origin,
            state: Mutex::new(State {
                controller: Controller::new(config, clock),
                status,
                closing: false,
                last_call: Time::ZERO,
                outgoing: None,
                alarm: None,
                recorder: None,
                replies: HashMap::new(),
                listeners: Vec::new(),
                done: Vec::new(),
                ended: false,
            }),
            wake: Notify::new(),
        });
        let on_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("greenroom".to_owned())
            .spawn(move || {
                // Whatever happens in there, a panic included, nothing that waits for the session hangs.
                let _ended = EndOnDrop(&on_thread);
                body(&on_thread);
            })
            .map_err(|error| {
                Error::new(Code::Io, format!("no thread can be started for the session: {error}"))
            })?;
        Ok(Self(Arc::new(Handle { shared, process: process::id() })))
    }

    /// The same session as a [`Driver`], with its typed calls.
    pub fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(self.clone())
    }

    /// The session's events from place `from` on; 0 is the beginning of what is kept.
    pub fn events(&self, from: u64) -> Events {
        Events::new(self.driver(), from)
    }

    /// Takes samples of a live source, such as a microphone: signed 16-bit little-endian, 48 kHz, mono. In a session without audio they
    /// go nowhere.
    pub fn feed(&self, samples: Bytes) {
        if !self.0.is_forked() {
            self.0.shared.with(|state, now| state.controller.feed(samples, now));
        }
    }

    /// Gives a device up to `most` samples of the agent's speech to play, in a session whose clock is
    /// [`Pulled`](greenroom_protocol::voice::Clock::Pulled). Fewer are all there is.
    pub fn pull(&self, most: u64) -> Bytes {
        if self.0.is_forked() {
            return Bytes::new();
        }
        self.0.shared.with(|state, now| state.controller.pull(most, now))
    }

    /// How the session stands.
    pub fn snapshot(&self) -> Status {
        self.0.shared.with(|state, now| state.status(now))
    }
}

crate::typed_calls!(Session);

impl Driver for Session {
    fn submit(&self, operation: Operation, timeout: Option<Duration>, reply: Reply) -> CallId {
        if self.0.is_forked() {
            reply(Err(forked()));
            return CallId(0);
        }
        self.0.shared.with(|state, now| {
            // To look is not to use: `status` may be asked for ever, and the session still ends when nobody uses it.
            if !matches!(operation, Operation::AgentInfo | Operation::SessionState) {
                state.last_call = now;
            }
            let call = state.controller.submit(operation, timeout, now);
            state.replies.insert(call, reply);
            call
        })
    }

    fn cancel(&self, call: CallId) {
        if !self.0.is_forked() {
            self.0.shared.with(|state, now| state.controller.cancel(call, now));
        }
    }

    fn read_events(&self, from: u64, most: usize) -> Read {
        if self.0.is_forked() {
            return Read { events: Vec::new(), next: from };
        }
        lock(&self.0.shared.state).controller.journal().read(from, most)
    }

    fn end_of_events(&self) -> u64 {
        if self.0.is_forked() { 0 } else { lock(&self.0.shared.state).controller.journal().end() }
    }

    fn on_events(&self, listener: Weak<dyn Listener>) {
        if !self.0.is_forked() {
            let mut state = lock(&self.0.shared.state);
            state.listeners.retain(|listener| listener.strong_count() > 0);
            state.listeners.push(listener);
        }
    }

    fn status(&self) -> serde_json::Value {
        if self.0.is_forked() {
            return serde_json::json!({ "state": "closed", "closed": forked() });
        }
        serde_json::to_value(self.snapshot()).unwrap_or_default()
    }

    fn close(&self, done: Box<dyn FnOnce() + Send>) {
        if self.0.is_forked() {
            return done();
        }
        let ended = self.0.shared.with(|state, now| {
            if state.ended {
                return Some(done);
            }
            state.done.push(done);
            state.begin_close(CloseReason::Closed, closed_here(), now);
            None
        });
        self.0.shared.wake.notify_one();
        if let Some(done) = ended {
            done();
        }
    }
}

impl Handle {
    /// After a fork the child has this handle, but neither the thread nor a right to end the agent.
    fn is_forked(&self) -> bool {
        process::id() != self.process
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_forked() {
            return;
        }
        self.shared.with(|state, now| state.begin_close(CloseReason::Closed, closed_here(), now));
        self.shared.wake.notify_one();
    }
}

impl Shared {
    pub(crate) fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }

    /// When `at` is, on tokio's clock; a year from the start where that clock cannot tell.
    pub(crate) fn instant(&self, at: Time) -> tokio::time::Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        self.origin.checked_add(at.since_origin()).unwrap_or_else(|| self.origin + YEAR).into()
    }

    /// Lets `act` change the state; then sends what there is to send, wakes the thread if it is needed, and hands out answers and news
    /// of events.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut State, Time) -> R) -> R {
        let mut state = lock(&self.state);
        let events_before = state.controller.journal().end();
        let result = act(&mut state, self.now());
        let mut answers: Vec<(Reply, Result<Answer, Error>)> = Vec::new();
        while let Some((call, answer)) = state.controller.poll_answer() {
            if let Some(reply) = state.replies.remove(&call) {
                answers.push((reply, answer));
            }
        }
        let listeners: Vec<Arc<dyn Listener>> = if state.controller.journal().end() == events_before {
            Vec::new()
        } else {
            state.listeners.iter().filter_map(Weak::upgrade).collect()
        };
        state.send();
        let wake = state.needs_thread();
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        for (reply, answer) in answers {
            reply(answer);
        }
        for listener in listeners {
            listener.events();
        }
        result
    }

    /// The session is over and nothing of it is left.
    fn end(&self) {
        let done = self.with(|state, now| {
            let lost =
                Error::new(Code::Internal, "the session's thread ended unexpectedly; please report it");
            state.begin_close(CloseReason::Closed, lost, now);
            state.ended = true;
            std::mem::take(&mut state.done)
        });
        for done in done {
            done();
        }
    }
}

impl State {
    /// Writes what there is to send, as far as the system takes it now.
    pub(crate) fn send(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.send(|| self.controller.poll_transmit());
        }
    }

    /// Lets pass the deadlines that are due.
    pub(crate) fn handle_timeouts(&mut self, now: Time) {
        if self.controller.poll_timeout().is_some_and(|due| due <= now) {
            self.controller.handle_timeout(now);
        }
        while let Some(stretch) = self.controller.poll_recording() {
            if let Some(recorder) = &mut self.recorder {
                recorder.take(stretch);
            }
        }
    }

    /// Whether the session's thread has to do something before its alarm.
    fn needs_thread(&self) -> bool {
        let is_due_earlier =
            self.controller.poll_timeout().is_some_and(|due| self.alarm.is_none_or(|alarm| due < alarm));
        is_due_earlier || self.outgoing.as_ref().is_some_and(AgentChannel::needs_thread)
    }

    /// Sets when the session's thread wakes by itself, for what is due at `next`.
    ///
    /// An alarm that nothing needs any more stays: the deadline of the next call is after it, so that call needs no other thread. To wake
    /// once for nothing, in half a minute or so, costs less.
    pub(crate) fn set_alarm(&mut self, next: Option<Time>, now: Time) -> Option<Time> {
        let set = self.alarm.filter(|alarm| *alarm > now);
        self.alarm = [set, next].into_iter().flatten().min();
        self.alarm
    }

    /// What is pending fails at once; the agent ends as soon as the thread hears of it.
    pub(crate) fn begin_close(&mut self, reason: CloseReason, error: Error, now: Time) {
        self.closing = true;
        self.controller.close(reason, error, now);
    }

    fn status(&self, now: Time) -> Status {
        let controller = &self.controller;
        let state = match (controller.closed(), controller.is_ready(), controller.in_turn()) {
            (Some(_), ..) => "closed",
            (None, false, _) => "starting",
            (None, true, false) => "ready",
            (None, true, true) => "in_turn",
        };
        Status {
            state,
            uptime_ms: whole_millis(now.since_origin()),
            idle_ms: whole_millis(now.since(self.last_call)),
            turns: controller.turns(),
            turn_in_progress: controller.in_turn(),
            agent_state: controller.agent_state().map(|state| state.to_string()),
            unseen_events: controller.unseen_events(),
            closed: controller.closed().cloned(),
            audio_losses: controller.losses(),
            ..self.status.clone()
        }
    }
}

impl AgentChannel {
    fn send(&mut self, next: impl FnMut() -> Option<Bytes>) {
        match self {
            Self::Link(outgoing) => outgoing.send(next),
            #[cfg(feature = "room")]
            Self::Room(waiting) => waiting.extend(std::iter::from_fn(next)),
        }
    }

    fn needs_thread(&self) -> bool {
        match self {
            Self::Link(outgoing) => outgoing.needs_thread(),
            #[cfg(feature = "room")]
            Self::Room(waiting) => !waiting.is_empty(),
        }
    }

    /// For the session's thread: whether it has to wait until more can be written, or why nothing can be written any more.
    pub(crate) fn wait_plan(&mut self) -> io::Result<bool> {
        match self {
            Self::Link(outgoing) => outgoing.wait_plan(),
            #[cfg(feature = "room")]
            Self::Room(_) => Ok(false),
        }
    }
}

struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Others may drive the same agent, and not every host tells us apart.
#[cfg(feature = "room")]
fn with_unique_id_prefix(config: &Config) -> Config {
    let mut config = config.clone();
    config.id_prefix = format!("{}-{:x}", config.id_prefix, RandomState::new().hash_one(process::id()));
    config
}

fn closed_here() -> Error {
    Error::new(Code::SessionClosed, "the session was closed")
}

fn forked() -> Error {
    Error::new(
        Code::Forked,
        "this session belongs to the process that started it, and a fork cannot use it; start a session of its own here",
    )
}
