//! A UDP socket that is never waited for, with a bad network before it where a test wants one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::time::{Sleep, sleep_until};

use super::impairment::{Impairment, Line};

/// What the bad networks of one connection have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) impairment: Option<Impairment>,
    /// Datagrams that were lost, delayed or overtaken.
    pub(super) impaired: Arc<AtomicU64>,
}

/// The socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    is_connected: bool,
    bad: Option<Box<BadNetwork>>,
}

#[derive(Debug)]
struct BadNetwork {
    incoming: Line<(SocketAddr, Vec<u8>)>,
    outgoing: Line<(SocketAddr, Vec<u8>)>,
    alarm: Pin<Box<Sleep>>,
    /// How many it has told of, and whom.
    told: u64,
    impaired: Arc<AtomicU64>,
}

impl Socket {
    /// Binds a socket to this address. `number` tells the sockets of one connection apart.
    pub(super) fn bind(address: SocketAddr, faults: &Faults, number: u64) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let address = socket.local_addr()?;
        let bad = |impairment| BadNetwork {
            incoming: Line::new(impairment, 2 * number),
            outgoing: Line::new(impairment, 2 * number + 1),
            alarm: Box::pin(sleep_until(Instant::now().into())),
            told: 0,
            impaired: Arc::clone(&faults.impaired),
        };
        let bad = faults.impairment.map(|impairment| Box::new(bad(impairment)));
        Ok(Self { socket, address, is_connected: false, bad })
    }

    /// From now on it is for this server alone. Gives the address of ours that leads there.
    pub(super) async fn lead_to(&mut self, server: SocketAddr) -> io::Result<SocketAddr> {
        self.socket.connect(server).await?;
        self.is_connected = true;
        self.address = self.socket.local_addr()?;
        Ok(self.address)
    }

    /// Waits until the system takes datagrams. What is sent before is dropped.
    #[cfg(test)]
    pub(super) async fn writable(&self) {
        let _ = self.socket.writable().await;
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a datagram, or drops it where the system takes none now.
    /// The error is what the system said of it.
    pub(super) fn send(&mut self, contents: &[u8], destination: SocketAddr) -> io::Result<()> {
        match &mut self.bad {
            None => transmit(&self.socket, self.is_connected, contents, destination),
            Some(bad) => {
                bad.outgoing.push((destination, contents.to_vec()), Instant::now());
                Ok(())
            }
        }
    }

    /// The next datagram, put into `buffer`: from where, and its size.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<(SocketAddr, usize)> {
        let Some(bad) = &mut self.bad else { return receive(&self.socket, context, buffer) };
        loop {
            while let Poll::Ready((source, size)) = receive(&self.socket, context, buffer) {
                bad.incoming.push((source, buffer[..size].to_vec()), Instant::now());
            }
            let now = Instant::now();
            while let Some((destination, contents)) = bad.outgoing.pop(now) {
                let _ = transmit(&self.socket, self.is_connected, &contents, destination);
            }
            bad.tell();
            if let Some((source, contents)) = bad.incoming.pop(now) {
                buffer[..contents.len()].copy_from_slice(&contents);
                return Poll::Ready((source, contents.len()));
            }
            let Some(due) = bad.incoming.due().into_iter().chain(bad.outgoing.due()).min() else {
                return Poll::Pending;
            };
            bad.alarm.as_mut().reset(due.into());
            ready!(bad.alarm.as_mut().poll(context));
        }
    }
}

impl BadNetwork {
    fn tell(&mut self) {
        let all = self.incoming.impaired() + self.outgoing.impaired();
        self.impaired.fetch_add(all - self.told, Ordering::Relaxed);
        self.told = all;
    }
}

/// Not to be sent is what happens to datagrams; ICE, SCTP and TURN are made for it.
fn transmit(
    socket: &UdpSocket,
    is_connected: bool,
    contents: &[u8],
    destination: SocketAddr,
) -> io::Result<()> {
    let sent =
        if is_connected { socket.try_send(contents) } else { socket.try_send_to(contents, destination) };
    sent.map(drop)
}

fn receive(socket: &UdpSocket, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<(SocketAddr, usize)> {
    loop {
        let mut read = ReadBuf::new(buffer);
        // An error tells that an earlier datagram found nobody; the socket lives on.
        if let Ok(source) = ready!(socket.poll_recv_from(context, &mut read)) {
            return Poll::Ready((source, read.filled().len()));
        }
    }
}
