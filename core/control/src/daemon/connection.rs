//! One control connection: requests in, replies and events out, each client at its own pace.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use greenroom_engine::driver::{Driver, Listener};
use greenroom_protocol::message::{Answer, EventKind, Operation};
use greenroom_protocol::session::CallId;
use greenroom_protocol::{Code, Error};
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::{Done, lock};
use crate::message::{
    Ask, HELLO_TIMEOUT, MAX_HELLO, MAX_REPLY, MAX_REQUEST, Reply, Request, VERSION, Welcome, frame,
    frame_length,
};
use crate::name::SessionName;
use crate::token::Token;

/// Requests of one client that may wait for their replies, or replies for the client, at once. More
/// are read when there is room.
const OPEN_REQUESTS: usize = 512;

/// How long a client may leave what it is sent unread before its connection is closed.
const WRITE: Duration = Duration::from_secs(60);

/// Events that are read, and bytes of them that are sent, at once.
const BATCH_EVENTS: usize = 64;
const BATCH_BYTES: usize = 256 << 10;

/// What all connections share.
pub(super) struct Host {
    pub(super) name: SessionName,
    pub(super) token: Token,
    pub(super) driver: Arc<dyn Driver>,
    /// Takes requests to end the session.
    pub(super) ends: mpsc::UnboundedSender<Done>,
    /// Whether everything has been said and connections are to close.
    pub(super) finishing: watch::Receiver<bool>,
}

/// What is to be written.
enum Outgoing {
    Reply(Reply, #[allow(dead_code, reason = "held until it is written")] OwnedSemaphorePermit),
    Events { id: u64, from: u64, follow: bool },
    Last(Error),
}

/// Calls of this client that have no answer yet.
type Open = Arc<Mutex<HashMap<u64, Option<CallId>>>>;

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, host: Arc<Host>) {
    let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(stream));
    let Ok(stream) = stream else { return };
    // Without it replies are only slower.
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let welcome = match welcome(&mut reader, &host).await {
        Ok(welcome) => welcome,
        Err((id, error)) => {
            tracing::warn!(code = %error.code, "a control connection was refused: {error}");
            let _ = write(&mut writer, &Reply::error(id, &error)).await;
            return;
        }
    };
    if write(&mut writer, &welcome).await.is_err() {
        return;
    }
    let (out, outgoing) = mpsc::unbounded_channel();
    let open = Open::default();
    let mut writing = tokio::spawn(write_out(writer, outgoing, Arc::clone(&host)));
    tokio::select! {
        ended = read_in(reader, &host, &out, &open) => {
            if let Err(error) = ended {
                drop(out.send(Outgoing::Last(error)));
                let _ = timeout(HELLO_TIMEOUT, &mut writing).await;
            }
            writing.abort();
        }
        _ = &mut writing => {}
    }
    let calls: Vec<CallId> = lock(&open).drain().filter_map(|(_, call)| call).collect();
    for call in calls {
        host.driver.cancel(call);
    }
}

/// Lets a client in that proves the token in time.
async fn welcome(reader: &mut OwnedReadHalf, host: &Host) -> Result<Reply, (u64, Error)> {
    let hello = match timeout(HELLO_TIMEOUT, read(reader, MAX_HELLO)).await {
        Ok(Ok(Some(hello))) => Request::decode(&hello)?,
        Ok(Ok(None)) => return Err((0, Error::new(Code::PermissionDenied, "it hung up without a hello"))),
        Ok(Err(error)) => return Err((0, error)),
        Err(_) => return Err((0, Error::new(Code::PermissionDenied, "no hello came in time"))),
    };
    let denied = |message: &str| Err((hello.id, Error::new(Code::PermissionDenied, message)));
    let Ask::Hello { token, version } = hello.ask else {
        return denied("the first request has to be a hello with the session's token");
    };
    if !host.token.matches(&token) {
        return denied(
            "the token is not this session's; it is in the session's folder, readable by its user alone",
        );
    }
    if version != VERSION {
        let older = if version < VERSION { "older" } else { "newer" };
        let message = format!(
            "the session's daemon speaks version {VERSION} of the control protocol and the client version {version}, which is {older}; \
             `greenroom restart` renews the daemon"
        );
        return Err((hello.id, Error::new(Code::Unsupported, message)));
    }
    let end_of_events = host.driver.end_of_events();
    let mut reply =
        Reply::ok(hello.id, &Welcome { version: VERSION, name: host.name.clone(), end_of_events });
    reply.status = Some(host.driver.status());
    Ok(reply)
}

/// Takes requests until the client disconnects or sends data after which no request can be found.
async fn read_in(
    mut reader: OwnedReadHalf,
    host: &Arc<Host>,
    out: &mpsc::UnboundedSender<Outgoing>,
    open: &Open,
) -> Result<(), Error> {
    let room = Arc::new(Semaphore::new(OPEN_REQUESTS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
        let Some(request) = read(&mut reader, MAX_REQUEST).await? else { return Ok(()) };
        // It fails when the writer has ended, and then so does this.
        let send = |outgoing| drop(out.send(outgoing));
        match Request::decode(&request) {
            Ok(Request { id, timeout, ask: Ask::Call(operation) }) => {
                call(host, id, timeout, operation, permit, out, open)
            }
            Ok(Request { ask: Ask::Cancel { call }, .. }) => {
                let call = lock(open).get(&call).copied().flatten();
                if let Some(call) = call {
                    host.driver.cancel(call);
                }
            }
            Ok(Request { id, ask: Ask::Status, .. }) => send(Outgoing::Reply(ok(id, host), permit)),
            Ok(Request { id, ask: Ask::Events { from, follow }, .. }) => {
                send(Outgoing::Events { id, from, follow })
            }
            Ok(Request { id, ask: Ask::End, .. }) => {
                let out = out.clone();
                let done: Done = Box::new(move |status| {
                    let reply = Reply { status: Some(status), ..Reply::ok(id, &json!({})) };
                    drop(out.send(Outgoing::Reply(reply, permit)));
                });
                if let Err(mpsc::error::SendError(done)) = host.ends.send(done) {
                    // The session is over already.
                    done(host.driver.status());
                }
            }
            Ok(Request { id, ask: Ask::Hello { .. }, .. }) => {
                let error = Error::new(Code::InvalidArgument, "there was a hello already");
                send(Outgoing::Reply(Reply::error(id, &error), permit));
            }
            Err((id, error)) => send(Outgoing::Reply(Reply::error(id, &error), permit)),
        }
    }
}

fn call(
    host: &Arc<Host>,
    id: u64,
    timeout: Option<Duration>,
    operation: Operation,
    permit: OwnedSemaphorePermit,
    out: &mpsc::UnboundedSender<Outgoing>,
    open: &Open,
) {
    if lock(open).insert(id, None).is_some() {
        let error = Error::new(Code::InvalidArgument, format!("there is a call with the id {id} already"));
        drop(out.send(Outgoing::Reply(Reply::error(id, &error), permit)));
        return;
    }
    let reply = {
        let (host, out, open) = (Arc::downgrade(host), out.clone(), Arc::clone(open));
        move |answer: Result<Answer, Error>| {
            lock(&open).remove(&id);
            let mut reply = match answer {
                Ok(answer) => Reply::ok(id, &answer),
                Err(error) => Reply::error(id, &error),
            };
            reply.status = host.upgrade().map(|host| host.driver.status());
            drop(out.send(Outgoing::Reply(reply, permit)));
        }
    };
    let call = host.driver.submit(operation, timeout, Box::new(reply));
    // The answer may be there already.
    if let Some(open) = lock(open).get_mut(&id) {
        *open = Some(call);
    }
}

fn ok(id: u64, host: &Host) -> Reply {
    Reply { status: Some(host.driver.status()), ..Reply::ok(id, &json!({})) }
}

/// Events for one request.
struct Stream {
    id: u64,
    next: u64,
    follow: bool,
}

/// Writes replies, and events as they come, until the client no longer takes them or everything has
/// been said.
async fn write_out(
    mut writer: OwnedWriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    host: Arc<Host>,
) {
    let news = Arc::new(News::default());
    let listener: Weak<News> = Arc::downgrade(&news);
    let mut listens = false;
    let mut finishing = host.finishing.clone();
    let mut streams: Vec<Stream> = Vec::new();
    loop {
        if write_events(&mut writer, &mut streams, &*host.driver).await.is_err() {
            return;
        }
        let next = tokio::select! {
            biased;
            next = outgoing.recv() => next,
            () = news.0.notified(), if !streams.is_empty() => continue,
            _ = finishing.wait_for(|&finishing| finishing) => return,
        };
        match next {
            Some(Outgoing::Events { id, from, follow }) => {
                if !listens {
                    listens = true;
                    host.driver.on_events(listener.clone());
                }
                streams.push(Stream { id, next: from, follow });
            }
            Some(Outgoing::Reply(reply, _permit)) => {
                // Events from before the answer are sent before it.
                let written = write_events(&mut writer, &mut streams, &*host.driver).await;
                if written.is_err() || write(&mut writer, &reply).await.is_err() {
                    return;
                }
            }
            Some(Outgoing::Last(error)) => {
                // The client is let go either way.
                let _ = write(&mut writer, &Reply::error(0, &error)).await;
                return;
            }
            None => return,
        }
    }
}

/// Writes the pending events. A stream at its end gets its final message and is removed.
async fn write_events(
    writer: &mut OwnedWriteHalf,
    streams: &mut Vec<Stream>,
    driver: &dyn Driver,
) -> io::Result<()> {
    let mut at = 0;
    while let Some(stream) = streams.get_mut(at) {
        if write_stream(writer, stream, driver).await? {
            let stream = streams.remove(at);
            write(writer, &Reply::ok(stream.id, &json!({}))).await?;
        } else {
            at += 1;
        }
    }
    Ok(())
}

/// Whether the stream has come to its end.
async fn write_stream(
    writer: &mut OwnedWriteHalf,
    stream: &mut Stream,
    driver: &dyn Driver,
) -> io::Result<bool> {
    loop {
        let read = driver.read_events(stream.next, BATCH_EVENTS);
        if read.events.is_empty() {
            return Ok(!stream.follow);
        }
        let closed = read.events.iter().any(|event| matches!(event.kind, EventKind::Closed { .. }));
        let mut reply = Reply { id: stream.id, ..Reply::default() };
        let mut bytes = 0;
        let last = read.events.len() - 1;
        for (at, event) in read.events.iter().enumerate() {
            // An event is JSON by its type: it cannot fail.
            let Ok(event_json) = to_raw_value(event) else { continue };
            bytes += event_json.get().len();
            reply.events.get_or_insert_default().push(event_json);
            if bytes >= BATCH_BYTES || at == last {
                reply.next = Some(if at == last { read.next } else { event.seq + 1 });
                bytes = 0;
                write(writer, &std::mem::replace(&mut reply, Reply { id: stream.id, ..Reply::default() }))
                    .await?;
            }
        }
        stream.next = read.next;
        if closed {
            return Ok(true);
        }
    }
}

/// Writes a reply, or the error that it is too long.
async fn write(writer: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let frame = match frame(&reply.encode(), MAX_REPLY) {
        Ok(frame) => frame,
        Err(error) => frame(&Reply::error(reply.id, &error).encode(), MAX_REPLY).map_err(io::Error::other)?,
    };
    match timeout(WRITE, writer.write_all(&frame)).await {
        Ok(written) => written,
        Err(_) => {
            tracing::warn!("a client did not read for {} s; its connection is closed", WRITE.as_secs());
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

/// Reads a frame; `None` when the client has hung up.
async fn read(reader: &mut OwnedReadHalf, most: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut prefix = [0; 4];
    if reader.read_exact(&mut prefix).await.is_err() {
        return Ok(None);
    }
    let length = frame_length(prefix, most)?;
    // Memory is taken for what came, not for what was announced.
    let mut body = Vec::new();
    let read = reader.take(length as u64).read_to_end(&mut body).await;
    Ok((read.is_ok() && body.len() == length).then_some(body))
}

/// Wakes a writer at new events.
#[derive(Default)]
struct News(Notify);

impl Listener for News {
    fn events(&self) {
        self.0.notify_one();
    }
}
