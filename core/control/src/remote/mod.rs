//! A session that a daemon holds, as a [`Driver`]: the same calls, answers and events as of a
//! session of this process.

mod link;
mod mirror;

use std::collections::HashMap;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use greenroom_engine::driver::{Driver, Listener, Reply};
use greenroom_protocol::journal::Read;
use greenroom_protocol::limits::Limits;
use greenroom_protocol::message::{Answer, CloseReason, Operation};
use greenroom_protocol::session::CallId;
use greenroom_protocol::{Code, Error};
use serde_json::Value;
use tokio::sync::mpsc;

use self::mirror::Mirror;
use crate::client::{self, Client};
use crate::message::Ask;
use crate::name::SessionName;
use crate::record::Record;
use crate::registry::{Folder, Found, Registry};

/// A session that a daemon holds. Clones are of the same connection.
///
/// [`Driver::close`] lets go of the session: the daemon holds it on. [`Driver::end_session`] ends
/// it. When the last clone is dropped, the session is let go of.
#[derive(Clone)]
pub struct Remote(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    record: Record,
    folder: Folder,
    process: u32,
}

/// What the handles and the connection's thread share.
struct Shared {
    state: Mutex<State>,
    commands: mpsc::UnboundedSender<Command>,
}

struct State {
    next_id: u64,
    /// Calls without an answer.
    calls: HashMap<u64, Call>,
    mirror: Mirror,
    listeners: Vec<Weak<dyn Listener>>,
    status: Value,
    closed: Option<Error>,
    /// Whether the session runs on, for all that is known: it was let go of before it ended.
    held_on: bool,
    /// Whether it was ended from here.
    ended: bool,
    /// The waiters for the thread's end.
    done: Vec<Box<dyn FnOnce() + Send>>,
    /// Whether it has.
    over: bool,
}

struct Call {
    reply: Reply,
    until: Option<Instant>,
    patience: Duration,
}

/// What the thread is to do.
enum Command {
    Send { id: u64, ask: Ask, timeout: Option<Duration> },
    LetGo,
}

impl Remote {
    /// Connects to the session of this name, in this user's state folder. It blocks for a few
    /// milliseconds, and for seconds only if the daemon is stuck.
    ///
    /// # Errors
    /// `no_session`, or why its daemon cannot be spoken to.
    pub fn open(name: &SessionName) -> Result<Self, Error> {
        Self::open_in(&Registry::open()?, name)
    }

    /// Connects to the session of this name in `registry`.
    ///
    /// # Errors
    /// See [`Remote::open`].
    pub fn open_in(registry: &Registry, name: &SessionName) -> Result<Self, Error> {
        let client = Client::open(registry, name)?;
        let record = client.record().clone();
        let (stream, folder, welcome, status, next_id) = client.into_parts();
        let (commands, orders) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                next_id,
                calls: HashMap::new(),
                mirror: Mirror::new(&Limits::default(), welcome.end_of_events),
                listeners: Vec::new(),
                status,
                closed: None,
                held_on: false,
                ended: false,
                done: Vec::new(),
                over: false,
            }),
            commands,
        });
        link::start(stream, folder.clone(), orders, &shared)?;
        Ok(Self(Arc::new(Handle { shared, record, folder, process: process::id() })))
    }

    /// What the daemon wrote down about the session.
    pub fn record(&self) -> &Record {
        &self.0.record
    }
}

impl Driver for Remote {
    fn submit(&self, operation: Operation, timeout: Option<Duration>, reply: Reply) -> CallId {
        let patience = client::patience(&operation, timeout);
        CallId(self.0.request(Ask::Call(operation), timeout, patience, reply))
    }

    fn cancel(&self, call: CallId) {
        if self.0.is_forked() {
            return;
        }
        let cancelled = lock(&self.0.shared.state).calls.remove(&call.0);
        if let Some(call_given_up) = cancelled {
            self.0.shared.send(0, Ask::Cancel { call: call.0 }, None);
            (call_given_up.reply)(Err(Error::new(Code::Cancelled, "the call was cancelled")));
        }
    }

    fn read_events(&self, from: u64, most: usize) -> Read {
        if self.0.is_forked() {
            return Read { events: Vec::new(), next: from };
        }
        let mut state = lock(&self.0.shared.state);
        if !state.mirror.reaches(from) {
            self.0.shared.watch(&mut state, from);
        }
        state.mirror.read(from, most)
    }

    fn end_of_events(&self) -> u64 {
        if self.0.is_forked() { 0 } else { lock(&self.0.shared.state).mirror.end() }
    }

    fn on_events(&self, listener: Weak<dyn Listener>) {
        if self.0.is_forked() {
            return;
        }
        let mut state = lock(&self.0.shared.state);
        state.listeners.retain(|listener| listener.strong_count() > 0);
        state.listeners.push(listener);
        if state.mirror.wants_watching() {
            let end = state.mirror.end();
            self.0.shared.watch(&mut state, end);
        }
    }

    /// The session's status as last reported by the daemon, which is with every answer.
    fn status(&self) -> Value {
        if self.0.is_forked() {
            return serde_json::json!({ "state": "closed", "closed": forked() });
        }
        let state = lock(&self.0.shared.state);
        let mut status = state.status.clone();
        if let (Some(closed), Some(status)) = (&state.closed, status.as_object_mut()) {
            status.insert("state".to_owned(), "closed".into());
            status.insert("closed".to_owned(), serde_json::to_value(closed).unwrap_or_default());
        }
        status
    }

    /// Lets go of the session, which its daemon holds on; `done` is called once the connection is
    /// gone.
    fn close(&self, done: Box<dyn FnOnce() + Send>) {
        if self.0.is_forked() {
            return done();
        }
        let mut state = lock(&self.0.shared.state);
        if state.over {
            drop(state);
            return done();
        }
        state.done.push(done);
        drop(state);
        self.0.shared.let_go();
    }

    /// Ends the session in its daemon, for all clients; `done` is called once the agent is gone. A
    /// session that is over already is not an error, but one that was let go of is: it runs on.
    fn end_session(&self, done: Box<dyn FnOnce(Result<(), Error>) + Send>) {
        const END: Duration = Duration::from_secs(30);
        if self.0.is_forked() {
            return done(Err(forked()));
        }
        let shared = Arc::clone(&self.0.shared);
        let reply: Reply = Box::new(move |answer| done(shared.ended(answer)));
        self.0.request(Ask::End, None, END, reply);
    }
}

impl Handle {
    fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    fn request(&self, ask: Ask, timeout: Option<Duration>, patience: Duration, reply: Reply) -> u64 {
        if self.is_forked() {
            reply(Err(forked()));
            return 0;
        }
        let mut state = lock(&self.shared.state);
        let limits = Limits::default();
        let most = limits.waiting_calls + limits.queued_turns;
        let refused = match &state.closed {
            Some(error) => Some(error.clone()),
            None if state.calls.len() >= most => {
                Some(Error::new(Code::Busy, format!("{most} calls wait for their answer already")))
            }
            None => None,
        };
        if let Some(error) = refused {
            drop(state);
            reply(self.left(&ask).ok_or(error));
            return 0;
        }
        let id = state.next_id();
        // A deadline beyond the clock's range is no deadline.
        let until = Instant::now().checked_add(patience);
        state.calls.insert(id, Call { reply, until, patience });
        drop(state);
        self.shared.send(id, ask, timeout);
        id
    }
}

impl Handle {
    /// What a session that has ended left, if that is what is asked for.
    fn left(&self, ask: &Ask) -> Option<Answer> {
        let is_history = matches!(ask, Ask::Call(Operation::History));
        if !is_history || !matches!(self.folder.find(), Ok(Found::Ended(_))) {
            return None;
        }
        Some(Answer::History { items: self.folder.kept().ok()?.history })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.is_forked() {
            self.shared.let_go();
        }
    }
}

impl Shared {
    fn send(&self, id: u64, ask: Ask, timeout: Option<Duration>) {
        // It fails when the thread has let go, and then every call has been answered.
        drop(self.commands.send(Command::Send { id, ask, timeout }));
    }

    /// Asks for the events from `from` on.
    fn watch(&self, state: &mut State, from: u64) {
        let id = state.next_id();
        state.mirror.watch(id, from);
        self.send(id, Ask::Events { from, follow: true }, None);
    }

    /// What an end has come to, whose answer this is.
    fn ended(&self, answer: Result<Answer, Error>) -> Result<(), Error> {
        let mut state = lock(&self.state);
        match answer {
            Ok(_) => state.ended = true,
            // The end of the session, by whomever, ended the connection before it was answered.
            Err(_) if state.closed.is_some() && !state.held_on => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn let_go(&self) {
        let mut state = lock(&self.state);
        state.held_on |= state.closed.is_none() && !state.ended;
        let how = if state.ended { "ended" } else { "let go of; its daemon holds it on" };
        drop(state);
        self.close(CloseReason::Closed, Error::new(Code::SessionClosed, format!("the session was {how}")));
        drop(self.commands.send(Command::LetGo));
    }

    /// What is pending fails at once, and so does every later call. The first reason counts.
    fn close(&self, reason: CloseReason, error: Error) {
        let mut state = lock(&self.state);
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(error.clone());
        state.mirror.close(reason, &error.message);
        let calls = std::mem::take(&mut state.calls);
        let listeners = state.listeners();
        drop(state);
        for call in calls.into_values() {
            (call.reply)(Err(error.clone()));
        }
        for listener in listeners {
            listener.events();
        }
    }

    fn answer(&self, id: u64, answer: Result<Answer, Error>) {
        let call = lock(&self.state).calls.remove(&id);
        // Without one it was given up, or was no call.
        if let Some(call) = call {
            (call.reply)(answer);
        }
    }
}

impl State {
    const fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn listeners(&self) -> Vec<Arc<dyn Listener>> {
        self.listeners.iter().filter_map(Weak::upgrade).collect()
    }
}

fn forked() -> Error {
    Error::new(
        Code::Forked,
        "this connection to a session belongs to the process that opened it, and a fork cannot use it; open the session again here",
    )
}

/// Locks; a panic of another holder does not matter, since nothing is left half done under these
/// locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
