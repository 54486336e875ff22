//! The sockets of one connection: UDP on each interface, and TCP connections to where the server takes them.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use str0m::net::{Protocol, Transmit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Addresses of ours that are used; a machine with more is a host of containers.
const ADDRESSES: usize = 16;
/// TCP connections that are tried at once.
const CALLS: usize = 8;
/// How long a TCP connection may take to come about.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest datagram.
const DATAGRAM: usize = 2_048;
/// What may wait for a TCP connection that takes nothing; beyond, datagrams are dropped, as a network does.
const WAITING: usize = 1 << 20;

/// The sockets.
#[derive(Debug)]
pub(super) struct Network {
    udp: Vec<Udp>,
    tcp: Vec<Tcp>,
    calls: JoinSet<io::Result<TcpStream>>,
    called: Vec<SocketAddr>,
    /// Which socket is looked at first, so that none starves.
    turn: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Udp {
    socket: UdpSocket,
    address: SocketAddr,
}

/// What the sockets have for the connection.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A datagram of so many bytes lies in [`Network::datagram`].
    Datagram { proto: Protocol, source: SocketAddr, destination: SocketAddr, size: usize },
    /// A TCP connection came about, at this address on our side.
    Connected(SocketAddr),
}

impl Network {
    /// Binds a UDP socket on each address of this machine that a server may answer to; loopback only where the server is there.
    ///
    /// # Errors
    /// When no address can be used.
    pub(super) async fn open(with_loopback: bool) -> io::Result<Self> {
        let mut udp = Vec::new();
        let mut last_error =
            io::Error::new(io::ErrorKind::AddrNotAvailable, "no network interface has an address");
        for ip in local_addresses(with_loopback)? {
            match UdpSocket::bind(SocketAddr::new(ip, 0))
                .await
                .and_then(|socket| Ok((socket.local_addr()?, socket)))
            {
                Ok((address, socket)) => udp.push(Udp { socket, address }),
                Err(error) => last_error = error,
            }
        }
        if udp.is_empty() {
            return Err(last_error);
        }
        Ok(Self {
            udp,
            tcp: Vec::new(),
            calls: JoinSet::new(),
            called: Vec::new(),
            turn: 0,
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Where the UDP sockets are.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(|udp| udp.address).collect()
    }

    /// Calls the server by TCP at this address, once.
    pub(super) fn call(&mut self, server: SocketAddr) {
        if self.called.len() >= CALLS || self.called.contains(&server) {
            return;
        }
        self.called.push(server);
        self.calls.spawn(async move {
            let stream = timeout(CALL_TIMEOUT, TcpStream::connect(server)).await??;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
    }

    /// Sends a datagram, or drops it where the system takes none now.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        match transmit.proto {
            Protocol::Udp => {
                if let Some(udp) = self.udp.iter().find(|udp| udp.address == transmit.source) {
                    // Not to be sent is what happens to datagrams; ICE and SCTP are made for it.
                    let _ = udp.socket.try_send_to(&transmit.contents, transmit.destination);
                }
            }
            _ => {
                let tcp = self.tcp.iter_mut().find(|tcp| tcp.is(transmit.source, transmit.destination));
                if let Some(tcp) = tcp {
                    tcp.queue(&transmit.contents);
                }
            }
        }
    }

    /// The datagram that arrived last.
    pub(super) fn datagram(&self, size: usize) -> &[u8] {
        &self.buffer[..size]
    }

    /// Waits for something to arrive. Safe to drop.
    pub(super) async fn arrival(&mut self) -> Arrival {
        std::future::poll_fn(|context| self.poll_arrival(context)).await
    }

    /// What has arrived already.
    pub(super) fn try_arrival(&mut self) -> Option<Arrival> {
        match self.poll_arrival(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(arrival) => Some(arrival),
            Poll::Pending => None,
        }
    }

    fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        while let Poll::Ready(Some(called)) = self.calls.poll_join_next(context) {
            let Ok(Ok(stream)) = called else { continue };
            if let Ok(tcp) = Tcp::new(stream) {
                let address = tcp.local;
                self.tcp.push(tcp);
                return Poll::Ready(Arrival::Connected(address));
            }
        }
        let sockets = self.udp.len();
        self.turn = (self.turn + 1) % sockets.max(1);
        for place in 0..sockets {
            let Udp { socket, address } = &self.udp[(self.turn + place) % sockets];
            let mut buffer = ReadBuf::new(&mut self.buffer);
            // An error tells that an earlier datagram found nobody; the socket lives on.
            if let Poll::Ready(Ok(source)) = socket.poll_recv_from(context, &mut buffer) {
                let size = buffer.filled().len();
                return Poll::Ready(Arrival::Datagram {
                    proto: Protocol::Udp,
                    source,
                    destination: *address,
                    size,
                });
            }
        }
        let buffer = &mut self.buffer;
        let mut arrived = None;
        self.tcp.retain_mut(|tcp| {
            if arrived.is_some() {
                return true;
            }
            match tcp.poll(context, buffer) {
                Poll::Ready(Ok(size)) => {
                    arrived = Some(Arrival::Datagram {
                        proto: Protocol::Tcp,
                        source: tcp.remote,
                        destination: tcp.local,
                        size,
                    });
                    true
                }
                Poll::Ready(Err(_)) => false,
                Poll::Pending => true,
            }
        });
        arrived.map_or(Poll::Pending, Poll::Ready)
    }
}

/// A TCP connection that carries datagrams, each behind its length in two bytes (RFC 4571).
#[derive(Debug)]
struct Tcp {
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    incoming: BytesMut,
    outgoing: VecDeque<BytesMut>,
    waiting: usize,
}

impl Tcp {
    fn new(stream: TcpStream) -> io::Result<Self> {
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        let (incoming, outgoing) = (BytesMut::new(), VecDeque::new());
        Ok(Self { stream, local, remote, incoming, outgoing, waiting: 0 })
    }

    fn is(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.local == local && self.remote == remote
    }

    fn queue(&mut self, datagram: &[u8]) {
        let Ok(length) = u16::try_from(datagram.len()) else { return };
        if self.waiting + datagram.len() > WAITING {
            return;
        }
        let mut framed = BytesMut::with_capacity(2 + datagram.len());
        framed.put_u16(length);
        framed.put_slice(datagram);
        self.waiting += framed.len();
        self.outgoing.push_back(framed);
        // Most go at once; for the rest `poll` waits.
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = self.poll_write(&mut context);
    }

    /// Writes what waits, and reads the next datagram into `buffer`. An error is the end of the connection.
    fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        loop {
            if let Some(size) = self.take_datagram(buffer) {
                return Poll::Ready(Ok(size));
            }
            let mut chunk = [0; 4_096];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(std::pin::Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.incoming.extend_from_slice(read.filled());
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(first) = self.outgoing.front_mut() {
            let written = ready!(std::pin::Pin::new(&mut self.stream).poll_write(context, first))?;
            self.waiting -= written;
            first.advance(written);
            if first.is_empty() {
                self.outgoing.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next whole datagram; one that is larger than any is dropped.
    fn take_datagram(&mut self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            let length = usize::from(u16::from_be_bytes([*self.incoming.first()?, *self.incoming.get(1)?]));
            if self.incoming.len() < 2 + length {
                return None;
            }
            self.incoming.advance(2);
            let datagram = self.incoming.split_to(length);
            if let Some(place) = buffer.get_mut(..length) {
                place.copy_from_slice(&datagram);
                return Some(length);
            }
        }
    }
}

/// The addresses of this machine that a server may answer to.
fn local_addresses(with_loopback: bool) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect();
    addresses.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_link_local() && (with_loopback || !v4.is_loopback()),
        // An address of a link is only one together with the link, which a candidate does not name.
        IpAddr::V6(v6) => {
            !v6.is_unspecified() && !v6.is_unicast_link_local() && (with_loopback || !v6.is_loopback())
        }
    });
    addresses.dedup();
    // With loopback first: where the server is here, it is the way.
    addresses.sort_by_key(|address| !address.is_loopback());
    addresses.truncate(ADDRESSES);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn datagrams_over_tcp_come_whole_however_they_are_cut() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut network = Network::open(true).await.unwrap();
        network.call(server.local_addr().unwrap());
        let (mut far, _) = server.accept().await.unwrap();
        assert!(matches!(network.arrival().await, Arrival::Connected(_)));
        let datagrams: [&[u8]; 4] = [b"one", &[7; DATAGRAM], b"", b"four"];
        let mut framed = Vec::new();
        for datagram in datagrams {
            framed.extend_from_slice(&u16::try_from(datagram.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(datagram);
        }
        // One that is larger than any is dropped.
        framed.extend_from_slice(&[0xff, 0xff]);
        framed.extend_from_slice(&[0; 0xffff]);
        framed.extend_from_slice(b"\0\x04last");
        let writer = tokio::spawn(async move {
            for piece in framed.chunks(1_001) {
                far.write_all(piece).await.unwrap();
                far.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            far
        });
        for expected in [datagrams[0], datagrams[1], datagrams[2], datagrams[3], b"last"] {
            let Arrival::Datagram { proto: Protocol::Tcp, size, .. } = network.arrival().await else {
                panic!("not by TCP");
            };
            assert_eq!(network.datagram(size), expected);
        }
        drop(writer.await.unwrap());
    }

    #[test]
    fn loopback_is_used_where_the_server_is_there_and_only_there() {
        assert!(local_addresses(false).unwrap().iter().all(|address| !address.is_loopback()));
        assert!(local_addresses(true).unwrap()[0].is_loopback());
    }
}
