//! A UDP socket that never blocks. With the feature `test-support`, a simulated bad network can
//! stand in front of it.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

#[cfg(feature = "test-support")]
use super::impairment::BadNetwork;
#[cfg(feature = "test-support")]
pub(super) use super::impairment::Faults;

/// The faults of a connection's network: none without the feature `test-support`.
#[cfg(not(feature = "test-support"))]
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {}

/// The socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    is_connected: bool,
    #[cfg(feature = "test-support")]
    bad: Option<Box<BadNetwork>>,
}

impl Socket {
    /// Binds a socket to this address. `number` selects the random faults of this socket among
    /// those of the connection.
    #[cfg_attr(
        not(feature = "test-support"),
        expect(unused_variables, reason = "without it there are no faults")
    )]
    pub(super) fn bind(address: SocketAddr, faults: &Faults, number: u64) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            is_connected: false,
            #[cfg(feature = "test-support")]
            bad: BadNetwork::new(faults, number).map(Box::new),
        })
    }

    /// From now on it is for this server alone. Gives the address of ours that leads there.
    pub(super) async fn connect(&mut self, server: SocketAddr) -> io::Result<SocketAddr> {
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
        #[cfg(feature = "test-support")]
        if let Some(bad) = &mut self.bad {
            bad.send(contents, destination);
            return Ok(());
        }
        transmit(&self.socket, self.is_connected, contents, destination)
    }

    /// The next datagram, put into `buffer`: from where, and its size.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<(SocketAddr, usize)> {
        #[cfg(feature = "test-support")]
        if let Some(bad) = &mut self.bad {
            return bad.poll(
                context,
                buffer,
                |context, buffer| receive(&self.socket, context, buffer),
                |contents, destination| {
                    let _ = transmit(&self.socket, self.is_connected, contents, destination);
                },
            );
        }
        receive(&self.socket, context, buffer)
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
