//! The thread of a connection to a daemon: requests out, replies and events in.

use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use greenroom_protocol::{Code, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::{Call, Command, Shared, lock};
use crate::client::why_gone;
use crate::files;
use crate::message::{MAX_REPLY, MAX_REQUEST, Reply, Request, frame, frame_length, read_answer, read_event};
use crate::registry::Folder;

/// How long a daemon may leave requests unread before it counts as gone.
const WRITE: Duration = Duration::from_secs(60);

/// Replies that are read ahead.
const AHEAD: usize = 16;

/// Starts the thread. It ends when the session is let go of, when the daemon is gone, or with the
/// last handle.
pub(super) fn start(
    stream: TcpStream,
    folder: Folder,
    orders: mpsc::UnboundedReceiver<Command>,
    shared: &Arc<Shared>,
) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::new(Code::Io, format!("the connection to the daemon cannot be used: {error}"))
    };
    stream.set_nonblocking(true).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("greenroom-remote".to_owned());
    let path = folder.path().to_owned();
    thread
        .spawn(move || {
            // Whatever happens in there, a panic included, nothing that waits for the session
            // hangs.
            let ended = EndOnDrop(Arc::downgrade(&shared));
            runtime.block_on(async {
                if let Err(error) = run(stream, orders, &shared).await {
                    let (reason, gone) = why_gone(&folder, &format!("hung up ({error})"));
                    shared.close(reason, gone);
                }
            });
            drop(runtime);
            drop(ended);
        })
        .map(drop)
        .map_err(|error| files::failed("start a thread for", &path, &error))
}

/// Carries requests and replies until the session is let go of.
async fn run(
    stream: TcpStream,
    mut orders: mpsc::UnboundedReceiver<Command>,
    shared: &Arc<Shared>,
) -> std::io::Result<()> {
    let (reader, writer) = tokio::net::TcpStream::from_std(stream)?.into_split();
    let (to_writer, outgoing) = mpsc::unbounded_channel();
    let (to_us, mut replies) = mpsc::channel(AHEAD);
    let mut writing = tokio::spawn(write(writer, outgoing));
    tokio::spawn(read(reader, to_us));
    loop {
        let next = next_deadline(shared);
        tokio::select! {
            order = orders.recv() => match order {
                Some(Command::Send { id, ask, timeout }) => {
                    match frame(&Request { id, timeout, ask }.encode(), MAX_REQUEST) {
                        Ok(frame) => drop(to_writer.send(frame)),
                        Err(error) => shared.answer(id, Err(error)),
                    }
                }
                Some(Command::LetGo) | None => return Ok(()),
            },
            reply = replies.recv() => match reply {
                Some(Ok(reply)) => take(shared, reply),
                Some(Err(error)) => return Err(error),
                None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            },
            written = &mut writing => return written.unwrap_or_else(|error| Err(std::io::Error::other(error))),
            () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => expire(shared),
        }
    }
}

fn next_deadline(shared: &Shared) -> Option<Instant> {
    lock(&shared.state).calls.values().filter_map(|call| call.until).min()
}

/// Fails what a daemon that is stopped or stuck has not answered.
fn expire(shared: &Shared) {
    let now = Instant::now();
    let is_due = |call: &Call| call.until.is_some_and(|until| until <= now);
    let due: Vec<Call> =
        lock(&shared.state).calls.extract_if(|_, call| is_due(call)).map(|(_, call)| call).collect();
    for call in due {
        let patience = humantime::format_duration(call.patience);
        let message =
            format!("the session's daemon did not answer within {patience}; it may be stopped or stuck");
        (call.reply)(Err(Error::new(Code::Timeout, message)));
    }
}

fn take(shared: &Shared, mut reply: Reply) {
    let id = reply.id;
    let mut state = lock(&shared.state);
    if let Some(status) = reply.status.take() {
        state.status = status;
    }
    if let Some(events) = reply.events.take() {
        let mut more = false;
        for event in events {
            more |= state.mirror.push(id, read_event(&event), event.get().len());
        }
        let listeners = if more { state.listeners() } else { Vec::new() };
        drop(state);
        for listener in listeners {
            listener.events();
        }
        return;
    }
    drop(state);
    if let Some(end) = reply.end() {
        // What is no answer of a call, such as the end of the events, has no call that waits for
        // it; `end` waits for an empty one.
        let answer = end.and_then(|answer| match answer.get() {
            "{}" => Ok(greenroom_protocol::message::Answer::Done),
            _ => read_answer(&answer),
        });
        shared.answer(id, answer);
    }
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Vec<u8>>,
) -> std::io::Result<()> {
    while let Some(frame) = outgoing.recv().await {
        timeout(WRITE, writer.write_all(&frame)).await.map_err(|_| std::io::ErrorKind::TimedOut)??;
    }
    Ok(())
}

async fn read(mut reader: OwnedReadHalf, replies: mpsc::Sender<std::io::Result<Reply>>) {
    loop {
        let reply = read_reply(&mut reader).await;
        let last = reply.is_err();
        if replies.send(reply).await.is_err() || last {
            return;
        }
    }
}

async fn read_reply(reader: &mut OwnedReadHalf) -> std::io::Result<Reply> {
    let mut prefix = [0; 4];
    reader.read_exact(&mut prefix).await?;
    let length = frame_length(prefix, MAX_REPLY).map_err(std::io::Error::other)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    Reply::decode(&body).map_err(std::io::Error::other)
}

/// Signals that the thread has detached.
struct EndOnDrop(Weak<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let Some(shared) = self.0.upgrade() else { return };
        let lost = Error::new(Code::Internal, "the connection's thread ended unexpectedly; please report it");
        shared.close(greenroom_protocol::message::CloseReason::Closed, lost);
        let mut state = lock(&shared.state);
        state.over = true;
        let done = std::mem::take(&mut state.done);
        drop(state);
        for done in done {
            done();
        }
    }
}
