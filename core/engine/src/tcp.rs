//! The loopback port of a session: who connects, and the agent's link.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
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
/// How often a connection with part of the preamble is looked at again.
const RECHECK: Duration = Duration::from_millis(5);
/// Bytes read from the link at once.
const READ: usize = 64 << 10;
/// Messages that wait to be written before more are taken from the session.
const OUTGOING: usize = 64;

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

/// Finds out whose connection it is, within [`CLASSIFY`] or a little more.
pub(crate) async fn classify(stream: TcpStream, agent_session: u32) -> Caller {
    match timeout(CLASSIFY, begins_with_preamble(&stream)).await {
        Ok(Ok(true)) => return Caller::Control(stream),
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(error)) => return Caller::Stranger(format!("a connection that failed at once: {error}")),
    }
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
        return Caller::Stranger("a connection that is gone already".to_owned());
    };
    match greenroom_os::peer_in_session(local, peer, agent_session) {
        PeerCheck::Yes => Caller::Agent(stream, None),
        PeerCheck::Unknown(why) => Caller::Agent(stream, Some(why)),
        PeerCheck::No(who) => Caller::Stranger(who.unwrap_or_else(|| peer.to_string())),
    }
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

/// The agent's link: frames in, frames out, never waiting for one while the other can go on.
pub(crate) struct Link {
    stream: TcpStream,
    decoder: Decoder,
    buffer: BytesMut,
    outgoing: VecDeque<Bytes>,
    max_sent: usize,
}

/// What came of waiting for the link.
pub(crate) enum Activity {
    /// There may be something to read.
    Readable,
    /// Something was written, or can be.
    Writable,
}

impl Link {
    pub(crate) fn new(stream: TcpStream, limits: &Limits) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            decoder: Decoder::new(limits.agent_message, limits.skipped_message, limits.peeked),
            buffer: BytesMut::new(),
            outgoing: VecDeque::new(),
            max_sent: limits.sent_message,
        })
    }

    /// Whether more messages may be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.len() < 2 * OUTGOING
    }

    /// Queues a message.
    pub(crate) fn queue(&mut self, message: Bytes) -> Result<(), FrameError> {
        let prefix = frame::prefix(&message, self.max_sent)?;
        self.outgoing.push_back(Bytes::copy_from_slice(&prefix));
        if !message.is_empty() {
            self.outgoing.push_back(message);
        }
        Ok(())
    }

    /// Writes what the system takes now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                self.outgoing.iter().take(OUTGOING).map(|chunk| IoSlice::new(chunk)).collect();
            let mut written = match self.stream.try_write_vectored(&slices) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            while let Some(front) = self.outgoing.front_mut() {
                if front.len() > written {
                    front.advance(written);
                    break;
                }
                written -= front.len();
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    /// Waits until the link can be read, or written if there is something to write. Safe to drop.
    pub(crate) async fn ready(&self) -> io::Result<Activity> {
        let interest = if self.outgoing.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
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
        self.outgoing.clear();
        while let Ok(()) = self.stream.readable().await {
            match self.read() {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}
