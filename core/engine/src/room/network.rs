//! The sockets of one connection: UDP on each interface, TCP connections to where the server takes them, and TURN servers that relay.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use str0m::net::{Protocol, Transmit};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::dial::Dialer;
use super::pipe::Pipe;
use super::relay::{FromRelay, Relay, RelayServer};
use super::socket::{Faults, Socket};
use crate::driver::lock;

/// Addresses of ours that are used; a machine with more is a host of containers.
const ADDRESSES: usize = 16;
/// TCP connections that are tried at once.
const CALLS: usize = 8;
/// TURN servers that are tried.
const RELAYS: usize = 4;
/// How long a TCP connection may take to come about, and one to a TURN server.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest datagram.
const DATAGRAM: usize = 2_048;

/// Which ways datagrams to the server's media may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcePolicy {
    /// UDP; TCP and TURN servers where UDP does not get through.
    #[default]
    All,
    /// TCP to the server alone.
    Tcp,
    /// TURN servers alone, so that nobody but them learns our address.
    Relay,
}

/// How what we send gets to the server's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Path {
    /// By what.
    pub way: Way,
    /// The address of the server's media.
    pub server: SocketAddr,
}

/// A way to the server's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// A TURN server, however that is reached.
    Relay,
}

/// What a connection is made with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) policy: IcePolicy,
    pub(super) dialer: Arc<Dialer>,
    pub(super) faults: Faults,
    /// Whether the server is on this machine.
    pub(super) is_local: bool,
    /// Where it is told which path is taken.
    pub(super) path: Arc<Mutex<Option<Path>>>,
}

/// The sockets.
pub(super) struct Network {
    means: Means,
    udp: Vec<Socket>,
    tcp: Vec<Tcp>,
    calls: JoinSet<(SocketAddr, io::Result<TcpStream>)>,
    /// Servers that are called by TCP, or were reached so.
    called: Vec<SocketAddr>,
    relay_servers: Vec<RelayServer>,
    relay_calls: JoinSet<Result<Relay, String>>,
    relays: Vec<Relay>,
    /// Where the server is, which relays are to let through.
    peers: Vec<SocketAddr>,
    path: Option<Path>,
    /// Which socket is looked at first, so that none starves.
    turn: usize,
    buffer: Vec<u8>,
}

/// What the sockets have for the connection.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A datagram of so many bytes lies in [`Network::datagram`].
    Datagram { proto: Protocol, source: SocketAddr, destination: SocketAddr, size: usize },
    /// A TCP connection came about, at this address on our side.
    Connected(SocketAddr),
    /// A TURN server relays what comes to this address.
    Relayed(SocketAddr),
    /// A TURN server does not relay, or not any more, for this reason.
    NotRelayed(String),
}

impl Network {
    /// Binds a UDP socket on each address of this machine that a server may answer to; loopback only where the server is there.
    ///
    /// # Errors
    /// When no address can be used.
    pub(super) async fn open(means: Means) -> io::Result<Self> {
        let mut udp = Vec::new();
        let mut last_error =
            io::Error::new(io::ErrorKind::AddrNotAvailable, "no network interface has an address");
        if means.policy == IcePolicy::All {
            for (number, ip) in (0..).zip(local_addresses(means.is_local)?) {
                match Socket::bind(SocketAddr::new(ip, 0), &means.faults, number).await {
                    Ok(socket) => udp.push(socket),
                    Err(error) => last_error = error,
                }
            }
            if udp.is_empty() {
                return Err(last_error);
            }
        }
        Ok(Self {
            means,
            udp,
            tcp: Vec::new(),
            calls: JoinSet::new(),
            called: Vec::new(),
            relay_servers: Vec::new(),
            relay_calls: JoinSet::new(),
            relays: Vec::new(),
            peers: Vec::new(),
            path: None,
            turn: 0,
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Where the UDP sockets are.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(Socket::address).collect()
    }

    /// Calls the server by TCP at this address, unless that is done already or the policy is against it.
    pub(super) fn call(&mut self, server: SocketAddr) {
        if self.means.policy == IcePolicy::Relay
            || self.called.len() >= CALLS
            || self.called.contains(&server)
        {
            return;
        }
        self.called.push(server);
        self.calls.spawn(async move {
            let call = async {
                let stream = timeout(CALL_TIMEOUT, TcpStream::connect(server)).await??;
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            (server, call.await)
        });
    }

    /// These TURN servers relay. They are called once [`Network::call_relays`] is.
    pub(super) fn use_relays(&mut self, servers: Vec<RelayServer>) {
        if !self.relays.is_empty() || self.means.policy == IcePolicy::Tcp {
            // What they have allocated goes on.
            return;
        }
        self.relay_servers = servers;
        if self.means.policy == IcePolicy::Relay {
            self.call_relays();
        }
    }

    /// Whether there are TURN servers that were not called yet.
    pub(super) const fn has_more_relays(&self) -> bool {
        !self.relay_servers.is_empty()
    }

    /// Asks the TURN servers to relay.
    pub(super) fn call_relays(&mut self) {
        for (number, server) in (100..).zip(std::mem::take(&mut self.relay_servers).into_iter().take(RELAYS))
        {
            let Means { dialer, faults, .. } = self.means.clone();
            self.relay_calls.spawn(async move {
                let url = server.url().to_owned();
                let connected = timeout(CALL_TIMEOUT, server.connect(dialer, faults, number)).await;
                let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                connected.map_err(|error| format!("{url}: {error}"))
            });
        }
    }

    /// Why TURN servers that were reached do not relay yet.
    pub(super) fn waiting_relays(&self) -> impl Iterator<Item = String> {
        self.relays.iter().filter(|relay| relay.address().is_none()).map(Relay::why_waiting)
    }

    /// The server is at this address, which relays are to let through.
    pub(super) fn add_peer(&mut self, peer: SocketAddr) {
        if !self.peers.contains(&peer) {
            self.peers.push(peer);
            for relay in &mut self.relays {
                relay.permit(peer);
            }
        }
    }

    /// Sends a datagram, or drops it where the system takes none now.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        let (source, destination) = (transmit.source, transmit.destination);
        let way = if transmit.proto != Protocol::Udp {
            let Some(tcp) = self.tcp.iter_mut().find(|tcp| tcp.is(source, destination)) else { return };
            tcp.send(&transmit.contents);
            Way::Tcp
        } else if let Some(socket) = self.udp.iter_mut().find(|socket| socket.address() == source) {
            socket.send(&transmit.contents, destination);
            Way::Udp
        } else {
            let Some(relay) = self.relays.iter_mut().find(|relay| relay.address() == Some(source)) else {
                return;
            };
            relay.send(&transmit.contents, destination);
            Way::Relay
        };
        let path = Some(Path { way, server: destination });
        // ICE itself tries all paths; the rest takes the one that it chose (RFC 7983).
        let is_ice = transmit.contents.first().is_some_and(|first| *first < 4);
        if !is_ice && self.path != path {
            self.path = path;
            *lock(&self.means.path) = path;
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
        if let Poll::Ready(arrival) = self.poll_calls(context) {
            return Poll::Ready(arrival);
        }
        let sockets = self.udp.len();
        self.turn = (self.turn + 1) % sockets.max(1);
        for place in 0..sockets {
            let socket = &mut self.udp[(self.turn + place) % sockets];
            if let Poll::Ready((source, size)) = socket.poll(context, &mut self.buffer) {
                let (proto, destination) = (Protocol::Udp, socket.address());
                return Poll::Ready(Arrival::Datagram { proto, source, destination, size });
            }
        }
        for place in 0..self.tcp.len() {
            let tcp = &mut self.tcp[place];
            match tcp.poll(context, &mut self.buffer) {
                Poll::Ready(Ok(size)) => {
                    let (proto, source, destination) = (Protocol::Tcp, tcp.remote, tcp.local);
                    return Poll::Ready(Arrival::Datagram { proto, source, destination, size });
                }
                Poll::Ready(Err(_)) => {
                    // ICE finds out; the server may be called again.
                    let gone = self.tcp.remove(place).remote;
                    self.called.retain(|called| *called != gone);
                    return self.poll_arrival(context);
                }
                Poll::Pending => {}
            }
        }
        for place in 0..self.relays.len() {
            let relay = &mut self.relays[place];
            match (relay.poll(context, &mut self.buffer), relay.address()) {
                (Poll::Ready(FromRelay::Datagram { source, size }), Some(destination)) => {
                    return Poll::Ready(Arrival::Datagram {
                        proto: Protocol::Udp,
                        source,
                        destination,
                        size,
                    });
                }
                (Poll::Ready(FromRelay::At(address)), _) => {
                    for peer in &self.peers {
                        relay.permit(*peer);
                    }
                    return Poll::Ready(Arrival::Relayed(address));
                }
                (Poll::Ready(FromRelay::Ended(why)), _) => {
                    self.relays.remove(place);
                    return Poll::Ready(Arrival::NotRelayed(why));
                }
                // A relay has no datagram for us before it has an address.
                (Poll::Ready(FromRelay::Datagram { .. }), None) | (Poll::Pending, _) => {}
            }
        }
        Poll::Pending
    }

    /// Connections that have come about, or have not.
    fn poll_calls(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        while let Poll::Ready(Some(called)) = self.calls.poll_join_next(context) {
            let Ok((server, stream)) = called else { continue };
            if let Ok(tcp) = stream.and_then(Tcp::new) {
                let address = tcp.local;
                self.tcp.push(tcp);
                return Poll::Ready(Arrival::Connected(address));
            }
            self.called.retain(|called| *called != server);
        }
        while let Poll::Ready(Some(called)) = self.relay_calls.poll_join_next(context) {
            match called {
                Ok(Ok(relay)) => self.relays.push(relay),
                Ok(Err(why)) => return Poll::Ready(Arrival::NotRelayed(why)),
                // Calls are not aborted while somebody waits here.
                Err(_) => {}
            }
        }
        Poll::Pending
    }
}

/// A TCP connection that carries datagrams, each behind its length in two bytes (RFC 4571).
#[derive(Debug)]
struct Tcp {
    pipe: Pipe<TcpStream>,
    local: SocketAddr,
    remote: SocketAddr,
    incoming: BytesMut,
}

impl Tcp {
    fn new(stream: TcpStream) -> io::Result<Self> {
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        Ok(Self { pipe: Pipe::new(stream), local, remote, incoming: BytesMut::new() })
    }

    fn is(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.local == local && self.remote == remote
    }

    fn send(&mut self, datagram: &[u8]) {
        if let Ok(length) = u16::try_from(datagram.len()) {
            self.pipe.write(&[&length.to_be_bytes(), datagram]);
        }
    }

    /// Writes what waits, and reads the next datagram into `buffer`. An error is the end of the connection.
    fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(size) = self.take_datagram(buffer) {
                return Poll::Ready(Ok(size));
            }
            ready!(self.pipe.poll(context, &mut self.incoming))?;
        }
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

    use super::super::dial::Proxy;
    use super::*;

    fn means() -> Means {
        let dialer = Arc::new(Dialer::new(&Proxy::Direct, None).unwrap());
        Means {
            policy: IcePolicy::All,
            dialer,
            faults: Faults::default(),
            is_local: true,
            path: Arc::default(),
        }
    }

    #[tokio::test]
    async fn datagrams_over_tcp_come_whole_however_they_are_cut() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut network = Network::open(means()).await.unwrap();
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
