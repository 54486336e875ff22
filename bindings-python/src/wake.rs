//! How a native thread wakes a Python event loop: one byte through a pair of sockets that the loop reads as a connection.
//!
//! A connection and not a watched file descriptor, since the event loop of Windows can only do that. No GIL is taken.

use std::io::{self, Write};

#[cfg(unix)]
use std::os::{fd::IntoRawFd, unix::net::UnixStream as Stream};
#[cfg(windows)]
use std::{
    net::{TcpListener, TcpStream as Stream},
    os::windows::io::IntoRawSocket,
};

/// The end that wakes.
pub(crate) struct Wake {
    writer: Stream,
    /// Held so that a byte for a reader that has gone is never a broken pipe, which would be a signal.
    _reader: Stream,
}

/// The end that an event loop reads.
pub(crate) struct Reader(Stream);

/// A new pair; neither end blocks.
pub(crate) fn pair() -> io::Result<(Wake, Reader)> {
    let (writer, reader) = streams()?;
    writer.set_nonblocking(true)?;
    reader.set_nonblocking(true)?;
    Ok((Wake { writer, _reader: reader.try_clone()? }, Reader(reader)))
}

impl Wake {
    /// Wakes the reader. If the pair is full, the reader is awake already.
    pub(crate) fn wake(&self) {
        let _ = (&self.writer).write(&[0]);
    }
}

impl Reader {
    /// Gives the socket away; who gets the number has to close it.
    #[cfg(unix)]
    pub(crate) fn into_fileno(self) -> i64 {
        self.0.into_raw_fd().into()
    }

    /// Gives the socket away; who gets the number has to close it.
    #[cfg(windows)]
    pub(crate) fn into_fileno(self) -> i64 {
        // A handle of Windows fits in 32 bits by its promise.
        i64::try_from(self.0.into_raw_socket()).unwrap_or(-1)
    }
}

#[cfg(unix)]
fn streams() -> io::Result<(Stream, Stream)> {
    Stream::pair()
}

/// Windows has no pairs: a connection to ourselves, checked to be ours.
#[cfg(windows)]
fn streams() -> io::Result<(Stream, Stream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let writer = Stream::connect(listener.local_addr()?)?;
    loop {
        let (reader, from) = listener.accept()?;
        if from == writer.local_addr()? {
            writer.set_nodelay(true)?;
            return Ok((writer, reader));
        }
    }
}
