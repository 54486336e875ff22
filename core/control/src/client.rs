//! The light client: blocking, one request at a time, with a deadline on everything. It needs no
//! runtime and starts at once.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenroom_engine::CONTROL_PREAMBLE;
use greenroom_protocol::message::{Answer, CloseReason, Operation};
use greenroom_protocol::session::Config;
use greenroom_protocol::voice::LONGEST;
use greenroom_protocol::{Code, Error};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::message::{
    Ask, MAX_REPLY, MAX_REQUEST, Reply, Request, VERSION, Welcome, frame, frame_length, read_answer,
};
use crate::name::SessionName;
use crate::record::Record;
use crate::registry::{Folder, Found, Registry};

/// How long a daemon may take to let a client in, and to take a request.
const PROMPT: Duration = Duration::from_secs(5);

/// How long a daemon may take longer than the call that it carries out.
const GRACE: Duration = Duration::from_secs(5);

/// How long a call takes at most unless its caller says otherwise, and how much longer a daemon may
/// take to say so.
pub(crate) fn patience(operation: &Operation, timeout: Option<Duration>) -> Duration {
    let defaults = Config::default();
    let longest = match operation {
        Operation::Say { .. } | Operation::Start => defaults.turn_timeout,
        Operation::SayAudio(spoken) if spoken.live.is_none() => {
            defaults.turn_timeout + spoken.audio.duration()
        }
        Operation::SayAudio(_) => defaults.turn_timeout + LONGEST,
        _ => defaults.call_timeout,
    };
    timeout.unwrap_or(longest).saturating_add(GRACE)
}

/// How long the next of the events that there are already may take.
const BACKLOG: Duration = Duration::from_secs(30);

/// How long the end of a session takes at most.
const END: Duration = Duration::from_secs(30);

/// How long a daemon that hangs up has to let go of its session and say why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A connection to a session's daemon.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    folder: Folder,
    record: Record,
    welcome: Welcome,
    status: Value,
    next_id: u64,
    interrupted: Arc<AtomicBool>,
}

/// Ends what a client waits for, from another thread.
#[derive(Debug)]
pub struct Interrupter {
    stream: TcpStream,
    interrupted: Arc<AtomicBool>,
}

/// Some events, and where to read on.
#[derive(Debug)]
pub struct Batch {
    /// The events, as JSON.
    pub events: Vec<Box<RawValue>>,
    /// Where to read on.
    pub next: u64,
}

/// The events of a session as they come. It ends with the session or, without following, after the
/// last kept event; an error says why the daemon is gone.
#[derive(Debug)]
pub struct EventStream<'a> {
    client: &'a mut Client,
    id: u64,
    follow: bool,
    ended: bool,
}

impl Client {
    /// Connects to the session of this name.
    ///
    /// # Errors
    /// `no_session`, or why its daemon cannot be spoken to.
    pub fn open(registry: &Registry, name: &SessionName) -> Result<Self, Error> {
        let folder = registry.folder(name);
        let record = folder.find()?.live(name)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, record.port));
        let stream = match TcpStream::connect_timeout(&address, PROMPT) {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(gone(&folder, "refused the connection"));
            }
            Err(error) => return Err(cannot_reach(&record, &error)),
        };
        let set_up = stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(PROMPT)));
        set_up.map_err(|error| cannot_reach(&record, &error))?;
        let welcome = Welcome { version: VERSION, name: name.clone(), end_of_events: 0 };
        let interrupted = Arc::default();
        let mut client =
            Self { stream, folder, record, welcome, status: Value::Null, next_id: 1, interrupted };
        client.hello()?;
        Ok(client)
    }

    /// What the daemon wrote down about the session.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The session's status as last reported by the daemon.
    pub const fn last_status(&self) -> &Value {
        &self.status
    }

    /// The place after the last event, when the connection was made.
    pub const fn end_of_events(&self) -> u64 {
        self.welcome.end_of_events
    }

    /// Carries out a call on the session.
    ///
    /// # Errors
    /// The call's error; `timeout`, when the daemon does not answer; why the daemon is gone.
    pub fn call(&mut self, operation: Operation, timeout: Option<Duration>) -> Result<Answer, Error> {
        let patience = patience(&operation, timeout);
        let id = self.send(Ask::Call(operation), timeout)?;
        read_answer(&self.wait(id, Some(patience))?)
    }

    /// How the session stands.
    ///
    /// # Errors
    /// Why the daemon does not say.
    pub fn status(&mut self) -> Result<Value, Error> {
        let id = self.send(Ask::Status, None)?;
        self.wait(id, Some(PROMPT))?;
        Ok(self.status.clone())
    }

    /// The events from place `from` on; 0 is the beginning of what is kept.
    ///
    /// # Errors
    /// Why the daemon does not take the request.
    pub fn events(&mut self, from: u64, follow: bool) -> Result<EventStream<'_>, Error> {
        let id = self.send(Ask::Events { from, follow }, None)?;
        Ok(EventStream { client: self, id, follow, ended: false })
    }

    /// Ends the session, and waits until its daemon is gone. Returns its last status.
    ///
    /// # Errors
    /// `timeout`, when that takes too long.
    pub fn end(mut self) -> Result<Value, Error> {
        let id = self.send(Ask::End, None)?;
        self.wait(id, Some(END))?;
        let until = Instant::now() + LAST_WORDS;
        // The daemon hangs up as its last act.
        while self.read_exact(&mut [0], Some(until)).is_ok() {}
        Ok(self.status)
    }

    /// What ends a wait of this client from another thread: the daemon then gives up what it
    /// carries out for it.
    ///
    /// # Errors
    /// `io`.
    pub fn interrupter(&self) -> Result<Interrupter, Error> {
        let stream = self.stream.try_clone().map_err(|error| cannot_reach(&self.record, &error))?;
        Ok(Interrupter { stream, interrupted: Arc::clone(&self.interrupted) })
    }

    /// The connection, past its hello, and the next request's number.
    pub(crate) fn into_parts(self) -> (TcpStream, Folder, Welcome, Value, u64) {
        (self.stream, self.folder, self.welcome, self.status, self.next_id)
    }

    fn hello(&mut self) -> Result<(), Error> {
        self.write(&CONTROL_PREAMBLE)?;
        let id = self.send(Ask::Hello { token: self.record.token.clone(), version: VERSION }, None)?;
        self.welcome = read_answer(&self.wait(id, Some(PROMPT))?)?;
        Ok(())
    }

    fn send(&mut self, ask: Ask, timeout: Option<Duration>) -> Result<u64, Error> {
        let id = self.next_id;
        self.next_id += 1;
        let frame = frame(&Request { id, timeout, ask }.encode(), MAX_REQUEST)?;
        self.write(&frame)?;
        Ok(id)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).map_err(|error| self.failed(&error, PROMPT))
    }

    /// Waits for the final reply to request `id`.
    fn wait(&mut self, id: u64, patience: Option<Duration>) -> Result<Box<RawValue>, Error> {
        loop {
            let reply = self.read_reply(patience)?;
            // An error about no request in particular ends the connection.
            if (reply.id == id || reply.id == 0)
                && let Some(end) = reply.end()
            {
                return end;
            }
        }
    }

    fn read_reply(&mut self, patience: Option<Duration>) -> Result<Reply, Error> {
        // A deadline beyond the clock's range is no deadline.
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        let read = |client: &mut Self, buffer: &mut [u8]| {
            let read = client.read_exact(buffer, until);
            read.map_err(|error| client.failed(&error, patience.unwrap_or_default()))
        };
        let mut prefix = [0; 4];
        read(self, &mut prefix)?;
        let mut body = vec![0; frame_length(prefix, MAX_REPLY)?];
        read(self, &mut body)?;
        let mut reply = Reply::decode(&body)?;
        if let Some(status) = reply.status.take() {
            self.status = status;
        }
        Ok(reply)
    }

    fn read_exact(&mut self, mut buffer: &mut [u8], until: Option<Instant>) -> io::Result<()> {
        while !buffer.is_empty() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(left)?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => buffer = &mut buffer[read..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What a read timeout is called depends on the platform.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn failed(&self, error: &io::Error, patience: Duration) -> Error {
        if self.interrupted.load(Ordering::SeqCst) {
            return Error::new(
                Code::Cancelled,
                "interrupted: what was asked for is given up; the session goes on",
            );
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::new(
                Code::Timeout,
                format!(
                    "the daemon of session {} (process {}) did not answer within {}; it may be stopped or stuck",
                    self.record.name,
                    self.record.pid,
                    humantime::format_duration(patience)
                ),
            ),
            _ => gone(&self.folder, "hung up"),
        }
    }
}

impl EventStream<'_> {
    fn read(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            let patience = (!self.follow).then_some(BACKLOG);
            let mut reply = self.client.read_reply(patience)?;
            if reply.id == self.id
                && let (Some(events), Some(next)) = (reply.events.take(), reply.next)
            {
                return Ok(Some(Batch { events, next }));
            }
            if (reply.id == self.id || reply.id == 0)
                && let Some(end) = reply.end()
            {
                return end.map(|_| None);
            }
        }
    }
}

impl Iterator for EventStream<'_> {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.read().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}

impl Interrupter {
    /// Ends the wait.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        // It fails when the connection is gone, and with it the wait.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Why a daemon that lived a moment ago does not any more.
pub(crate) fn gone(folder: &Folder, how: &str) -> Error {
    why_gone(folder, how).1
}

/// The same, with the reason of the event `closed`.
pub(crate) fn why_gone(folder: &Folder, how: &str) -> (CloseReason, Error) {
    let until = Instant::now() + LAST_WORDS;
    let found = loop {
        let found = folder.find();
        if !matches!(found, Ok(Found::Live(_) | Found::Starting)) || Instant::now() >= until {
            break found;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let name = folder.name();
    match found {
        Ok(Found::Ended(ended)) => {
            let reason = serde_json::from_value(ended.reason.into()).unwrap_or(CloseReason::Closed);
            let log = ended.log_path.display();
            let message = format!("the session {name} has ended: {}; its log is {log}", ended.error.message);
            (reason, Error { message, ..ended.error })
        }
        Ok(Found::Vanished(record)) => {
            let log = record.daemon_log_path.display();
            let message = format!(
                "the daemon of session {name} (process {}) was killed or has crashed; its log is {log}; start the session again with \
                 `greenroom restart -n {name}`",
                record.pid
            );
            (CloseReason::DaemonGone, Error::new(Code::AgentGone, message))
        }
        Ok(Found::Unknown) => {
            (CloseReason::Closed, Error::new(Code::SessionClosed, format!("the session {name} was ended")))
        }
        Ok(_) => {
            let message =
                format!("the daemon of session {name} {how}; `greenroom status -n {name}` shows more");
            (CloseReason::DaemonGone, Error::new(Code::AgentGone, message))
        }
        Err(error) => (CloseReason::DaemonGone, error),
    }
}

fn cannot_reach(record: &Record, error: &io::Error) -> Error {
    Error::new(
        Code::Io,
        format!(
            "the daemon of session {} on 127.0.0.1:{} cannot be reached: {error}",
            record.name, record.port
        ),
    )
}
