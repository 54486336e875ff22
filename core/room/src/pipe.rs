//! A byte stream that is written without waiting: what does not go at once is kept, bounded, and goes when it can.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What may wait for a stream that takes nothing.
const WAITING: usize = 1 << 20;
/// What is read at once.
const READ: usize = 4_096;

/// The stream.
#[derive(Debug)]
pub(super) struct Pipe<S> {
    stream: S,
    outgoing: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, outgoing: BytesMut::new() }
    }

    /// Writes these parts, one after the other, or drops them whole where too much waits, as a network does.
    pub(super) fn write(&mut self, parts: &[&[u8]]) {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        if self.outgoing.len() + size > WAITING {
            return;
        }
        for part in parts {
            self.outgoing.extend_from_slice(part);
        }
        // Most go at once; for the rest `poll` waits.
        let _ = self.poll_write(&mut Context::from_waker(std::task::Waker::noop()));
    }

    /// Writes what waits, and appends to `incoming` what has come. An error is the end of the stream.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        incoming: &mut BytesMut,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        let mut chunk = [0; READ];
        let mut read = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        if read.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        incoming.extend_from_slice(read.filled());
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
        // What TLS has encrypted may not have left yet.
        Pin::new(&mut self.stream).poll_flush(context)
    }
}
