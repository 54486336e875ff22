//! The loopback port of a session: who connects, and the agent's link.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use greenroom_os::PeerCheck;
use greenroom_protocol::frame::{self, Decoder, Frame, FrameError};
use greenroom_protocol::limits::Limits;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// What a control connection begins with. As a frame length it is beyond every cap, so no agent can begin like this.
pub const CONTROL_PREAMBLE: [u8; 4] = *b"GRNC";

/// A connection that does not begin as control within this time is the agent's, if it is from the agent's process session.
const CLASSIFY: Duration = Duration::from_millis(200);
/// How long any other may take to begin as control: on a busy machine its program may have to wait for a processor between connecting and
/// its first bytes.
const PREAMBLE: Duration = Duration::from_secs(2);
/// How often a connection with part of the preamble is looked at again.
const RECHECK: Duration = Duration::from_millis(5);
/// Bytes read from the link at once.
const READ: usize = 64 << 10;
/// Bytes that wait to be written before no more messages are taken from the session.
const OUTGOING: usize = 256 << 10;

/// Listens on loopback only; port 0 is any free port.
pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Whose connection it is.
pub(crate) enum Caller {
    /// It began with the preamble, which is consumed.
    Control(TcpStream),
    /// It is from the agent's process session, or the system does not tell: then the text says why.
    Agent(TcpStream, Option<String>),
    /// It is neither; the text says who it is, as far as that can be seen.
    Stranger(String),
}

/// Finds out whose connection it is: the agent's within [`CLASSIFY`] or a little more, any other within [`PREAMBLE`] after that.
pub(crate) async fn classify(stream: TcpStream, agent_session: u32) -> Caller {
    taken_within(CLASSIFY, PREAMBLE, stream, agent_session).await
}

async fn taken_within(soon: Duration, late: Duration, stream: TcpStream, agent_session: u32) -> Caller {
    let begun = timeout(soon, begins_with_preamble(&stream)).await;
    match &begun {
        Ok(Ok(true)) => return Caller::Control(stream),
        Ok(Err(error)) => return Caller::Stranger(format!("a connection that failed at once: {error}")),
        Ok(Ok(false)) | Err(_) => {}
    }
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
        return Caller::Stranger("a connection that is gone already".to_owned());
    };
    match greenroom_os::peer_in_session(local, peer, agent_session) {
        PeerCheck::Yes => Caller::Agent(stream, None),
        PeerCheck::Unknown(why) => Caller::Agent(stream, Some(why)),
        PeerCheck::No(_) if begun.is_err() && begins_within(late, &stream).await => Caller::Control(stream),
        PeerCheck::No(who) => Caller::Stranger(who.unwrap_or_else(|| peer.to_string())),
    }
}

async fn begins_within(patience: Duration, stream: &TcpStream) -> bool {
    matches!(timeout(patience, begins_with_preamble(stream)).await, Ok(Ok(true)))
}

/// Consumes the preamble if the connection begins with it; consumes nothing else.
async fn begins_with_preamble(stream: &TcpStream) -> io::Result<bool> {
    let mut head = [0; CONTROL_PREAMBLE.len()];
    loop {
        let have = stream.peek(&mut head).await?;
        if have == 0 || head[..have] != CONTROL_PREAMBLE[..have] {
            return Ok(false);
        }
        if have == head.len() {
            // The bytes are there, so one read takes them all.
            return Ok(stream.try_read(&mut head)? == head.len());
        }
        sleep(RECHECK).await;
    }
}

/// Makes a link of the agent's connection.
pub(crate) fn link(stream: TcpStream, limits: &Limits) -> io::Result<(Link, Outgoing)> {
    stream.set_nodelay(true)?;
    let stream = Arc::new(stream);
    let outgoing = Outgoing {
        stream: Arc::clone(&stream),
        waiting: BytesMut::new(),
        max_sent: limits.sent_message,
        broken: None,
        is_awaited: false,
    };
    let decoder = Decoder::new(limits.agent_message, limits.skipped_message, limits.peeked);
    Ok((Link { stream, decoder, buffer: BytesMut::new() }, outgoing))
}

/// What comes from the agent, as frames. It is read on the session's thread.
pub(crate) struct Link {
    stream: Arc<TcpStream>,
    decoder: Decoder,
    buffer: BytesMut,
}

/// What goes to the agent. It is written at once by whoever submits it, and by the session's thread where the system does not take all
/// of it: a call needs no other thread to be on its way.
pub(crate) struct Outgoing {
    stream: Arc<TcpStream>,
    /// Frames that the system has not taken yet.
    waiting: BytesMut,
    max_sent: usize,
    broken: Option<io::Error>,
    /// Whether the session's thread waits until more can be written.
    is_awaited: bool,
}

impl Outgoing {
    /// Takes messages as long as there is room, and writes what the system takes now. Never blocks.
    pub(crate) fn send(&mut self, mut next: impl FnMut() -> Option<Bytes>) {
        while self.broken.is_none() {
            while self.waiting.len() < OUTGOING
                && let Some(message) = next()
            {
                self.queue(&message);
            }
            if self.waiting.is_empty() {
                return;
            }
            match self.stream.try_write(&self.waiting) {
                Ok(written) => self.waiting.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => self.broken = Some(error),
            }
        }
    }

    /// Whether the session's thread has to look: to wait until more can be written, or to learn that the link is broken.
    pub(crate) fn needs_thread(&self) -> bool {
        self.broken.is_some() || !(self.waiting.is_empty() || self.is_awaited)
    }

    /// For the session's thread: whether it has to wait until more can be written, or why nothing can be written any more.
    pub(crate) fn wait_plan(&mut self) -> io::Result<bool> {
        self.is_awaited = !self.waiting.is_empty();
        self.broken.take().map_or(Ok(self.is_awaited), Err)
    }

    fn queue(&mut self, message: &[u8]) {
        match frame::prefix(message, self.max_sent) {
            Ok(prefix) => {
                self.waiting.reserve(prefix.len() + message.len());
                self.waiting.put_slice(&prefix);
                self.waiting.put_slice(message);
            }
            Err(error) => tracing::error!(%error, "a message that the controller should have refused"),
        }
    }
}

/// What came of waiting for the link.
pub(crate) enum Activity {
    /// There may be something to read.
    Readable,
    /// More can be written.
    Writable,
}

impl Link {
    /// Waits until the link can be read, or written if there is something to write. Safe to drop.
    pub(crate) async fn ready(&self, to_write: bool) -> io::Result<Activity> {
        let interest = if to_write { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let ready = self.stream.ready(interest).await?;
        Ok(if ready.is_readable() || ready.is_read_closed() {
            Activity::Readable
        } else {
            Activity::Writable
        })
    }

    /// Reads once, what the system has now. `None` is the end of the stream; empty if there is nothing yet.
    pub(crate) fn read(&mut self) -> io::Result<Option<Bytes>> {
        self.buffer.reserve(READ);
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(self.buffer.split().freeze())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(Bytes::new())),
            Err(error) => Err(error),
        }
    }

    /// The next frame of what was read.
    pub(crate) fn next_frame(&mut self, read: &mut Bytes) -> Result<Option<Frame>, FrameError> {
        self.decoder.next(read)
    }

    /// Waits until the agent has closed its end; what it still sends is dropped.
    pub(crate) async fn drained(mut self) {
        while let Ok(()) = self.stream.readable().await {
            match self.read() {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use tokio::net::TcpStream;

    use super::{CONTROL_PREAMBLE, Caller, bind, taken_within};

    const LONG: Duration = Duration::from_secs(60);

    /// Somebody who connects, and is in no process session of an agent's.
    async fn caller() -> (std::net::TcpStream, TcpStream) {
        let listener = bind(0).await.expect("a port");
        let caller = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("a port");
        (caller, listener.accept().await.expect("a caller").0)
    }

    #[tokio::test]
    async fn who_waits_for_a_processor_before_its_first_bytes_is_let_in() {
        let (mut caller, stream) = caller().await;
        let taken = tokio::spawn(taken_within(Duration::ZERO, LONG, stream, u32::MAX));
        caller.write_all(&CONTROL_PREAMBLE[..2]).expect("written");
        tokio::task::yield_now().await;
        caller.write_all(&CONTROL_PREAMBLE[2..]).expect("written");
        assert!(matches!(taken.await.expect("no panic"), Caller::Control(_)));
    }

    #[tokio::test]
    async fn who_says_nothing_or_something_else_is_a_stranger() {
        let (silent, stream) = caller().await;
        let taken = taken_within(Duration::ZERO, Duration::ZERO, stream, u32::MAX).await;
        assert!(matches!(taken, Caller::Stranger(_)));
        drop(silent);
        let (mut other, stream) = caller().await;
        other.write_all(b"GET / HTTP/1.1\r\n").expect("written");
        let taken = tokio::time::timeout(LONG / 2, taken_within(LONG, LONG, stream, u32::MAX)).await;
        assert!(matches!(taken.expect("it is not waited for"), Caller::Stranger(_)));
    }
}
