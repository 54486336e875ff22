//! The sockets of one connection: UDP, TCP connections to where the server takes them, and TURN servers that relay.
//!
//! ICE pairs each local address with each of the server's, keeps 100 pairs and tries one after the
//! other. On a machine with many interfaces, before a server with many addresses, the pair that works
//! would not be among them. So ICE sees one local address for UDP and one for TCP, of each family:
//! a UDP socket that is bound to no interface, for which the system chooses the interface by the
//! route to each destination. Where nothing answers on these routes, [`Network::widen`] has each
//! check leave by all interfaces; which socket was answered is kept here and is not ICE's business.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use str0m::net::{Protocol, Transmit};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::dial::Dialer;
use super::pipe::Pipe;
use super::relay::{Relay, RelayOutput, RelayServer};
use super::socket::{Faults, Socket};
use crate::lock;

/// Connections that are tried at once: TCP to the server's addresses, and TURN servers.
const AT_ONCE: usize = 8;
/// After how long the next ones are tried beside them.
const NEXT: Duration = Duration::from_millis(300);
/// How many of the server's addresses a route is kept for.
const ROUTES: usize = 1_024;
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
    pub candidate_type: CandidateType,
    /// The address of the server's media.
    pub server: SocketAddr,
}

/// A way to the server's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateType {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// A TURN server, however that is reached.
    Relay,
}

/// What a connection is made with.
#[derive(Clone)]
pub(super) struct NetworkConfig {
    pub(super) policy: IcePolicy,
    pub(super) dialer: Arc<Dialer>,
    pub(super) faults: Faults,
    /// Whether the server is on this machine.
    pub(super) is_local: bool,
    /// Where it is told which path is taken.
    pub(super) path: Arc<Mutex<Option<Path>>>,
    /// The addresses of this machine.
    pub(super) interfaces: fn() -> io::Result<Vec<IpAddr>>,
}

/// The sockets.
pub(super) struct Network {
    config: NetworkConfig,
    /// Bound to no interface: one of each family that this machine has.
    udp: Vec<Socket>,
    /// Bound to one interface each, once [`Network::widen`] was called.
    bound: Vec<Socket>,
    /// What ICE knows the UDP sockets of a family as.
    udp_labels: Family<SocketAddr>,
    /// What ICE knows the TCP connections of a family as.
    tcp_labels: Family<SocketAddr>,
    /// By which socket the server answered at which of its addresses.
    routes: HashMap<SocketAddr, SocketAddr>,
    tcp: Vec<Tcp>,
    calls: JoinSet<(SocketAddr, io::Result<TcpStream>)>,
    /// Servers that are called by TCP, or were reached so.
    called: Vec<SocketAddr>,
    /// What became of calls by TCP that failed.
    failed_connects: Vec<(SocketAddr, io::Error)>,
    relay_servers: Vec<RelayServer>,
    relay_calls: JoinSet<RelayStep>,
    relays: Vec<Relay>,
    /// Where the server is, which relays are to let through.
    peers: Vec<SocketAddr>,
    /// Addresses of the server that the system sends nothing to, and why.
    unsent: Vec<(SocketAddr, io::ErrorKind)>,
    path: Option<Path>,
    /// Which socket is looked at first, so that none starves.
    turn: usize,
    buffer: Vec<u8>,
}

/// One of each family of addresses.
#[derive(Clone, Copy, Debug)]
struct Family<T> {
    v4: Option<T>,
    v6: Option<T>,
}

impl<T> Default for Family<T> {
    fn default() -> Self {
        Self { v4: None, v6: None }
    }
}

impl<T: Copy> Family<T> {
    const fn of(&self, address: SocketAddr) -> Option<T> {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    const fn of_mut(&mut self, address: SocketAddr) -> &mut Option<T> {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

/// A step on the way to a TURN server.
enum RelayStep {
    /// Its name has these addresses.
    Found(RelayServer, Vec<SocketAddr>),
    Reached(Box<Relay>),
    Failed(String),
    /// Another address of it relays already.
    Spared,
}

/// What the sockets have for the connection.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A datagram of so many bytes lies in [`Network::datagram`].
    Datagram { proto: Protocol, source: SocketAddr, destination: SocketAddr, size: usize },
    /// A TCP connection to `server` came about. ICE knows all of its family as `local`.
    Connected { local: SocketAddr, server: SocketAddr },
    /// A TURN server relays what comes to this address.
    Relayed(SocketAddr),
    /// A TURN server does not relay, or not any more, for this reason.
    NotRelayed(String),
}

impl Network {
    /// Binds the UDP sockets.
    ///
    /// # Errors
    /// When no address can be used.
    pub(super) async fn open(config: NetworkConfig) -> io::Result<Self> {
        let mut network = Self {
            config,
            udp: Vec::new(),
            bound: Vec::new(),
            udp_labels: Family::default(),
            tcp_labels: Family::default(),
            routes: HashMap::new(),
            tcp: Vec::new(),
            calls: JoinSet::new(),
            called: Vec::new(),
            failed_connects: Vec::new(),
            relay_servers: Vec::new(),
            relay_calls: JoinSet::new(),
            relays: Vec::new(),
            peers: Vec::new(),
            unsent: Vec::new(),
            path: None,
            turn: 0,
            buffer: vec![0; DATAGRAM],
        };
        if network.config.policy == IcePolicy::All {
            network.open_udp().await?;
        }
        Ok(network)
    }

    async fn open_udp(&mut self) -> io::Result<()> {
        let mut last_error =
            io::Error::new(io::ErrorKind::AddrNotAvailable, "no network interface has an address");
        let mut interfaces = self.interfaces()?;
        if interfaces.is_empty() {
            // What leads out of here then is a tunnel that ends on this machine.
            interfaces = usable((self.config.interfaces)()?, true);
        }
        let families = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        for (number, any) in (0..).zip(families) {
            let Some(ip) = address_of_ours(any, &interfaces, self.config.is_local).await else { continue };
            match Socket::bind(SocketAddr::new(any, 0), &self.config.faults, number) {
                Ok(socket) => {
                    let label = SocketAddr::new(ip, socket.address().port());
                    *self.udp_labels.of_mut(label) = Some(label);
                    self.udp.push(socket);
                }
                Err(error) => last_error = error,
            }
        }
        if self.udp.is_empty() { Err(last_error) } else { Ok(()) }
    }

    /// The addresses of this machine that a server may answer to.
    fn interfaces(&self) -> io::Result<Vec<IpAddr>> {
        Ok(usable((self.config.interfaces)()?, self.config.is_local))
    }

    /// What ICE knows the UDP sockets as.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.udp_labels.v4.into_iter().chain(self.udp_labels.v6).collect()
    }

    /// Binds a socket to each interface, so that checks leave by all of them where nothing answers
    /// on the system's routes. Returns where these sockets are.
    pub(super) fn widen(&mut self) -> Vec<SocketAddr> {
        if self.bound.is_empty() && !self.udp.is_empty() {
            for (number, ip) in (1_000..).zip(self.interfaces().unwrap_or_default()) {
                // One that is gone meanwhile is none.
                if let Ok(socket) = Socket::bind(SocketAddr::new(ip, 0), &self.config.faults, number) {
                    self.bound.push(socket);
                }
            }
        }
        self.bound.iter().map(Socket::address).collect()
    }

    /// Where the UDP sockets are too that ICE knows as something else: at this address of ours,
    /// from which the server was reached.
    pub(super) fn also_at(&self, ip: IpAddr) -> Option<SocketAddr> {
        let label = self.udp_labels.of(SocketAddr::new(ip, 0))?;
        (label.ip() != ip).then(|| SocketAddr::new(ip, label.port()))
    }

    /// What ICE knows the TCP connection to this address of the server as, where there is one.
    pub(super) fn tcp_to(&self, server: SocketAddr) -> Option<SocketAddr> {
        self.tcp.iter().any(|tcp| tcp.remote == server).then(|| self.tcp_labels.of(server))?
    }

    /// Forgets by which sockets the server answered: it does no more.
    pub(super) fn forget_routes(&mut self) {
        self.routes.clear();
    }

    /// Calls the server by TCP at these addresses, unless that is done already or the policy is against it: some at once, and the others
    /// after them.
    pub(super) fn connect_tcp(&mut self, servers: Vec<SocketAddr>) {
        if self.config.policy == IcePolicy::Relay {
            return;
        }
        let new = servers.into_iter().filter(|server| !self.called.contains(server));
        let new: Vec<SocketAddr> = new.collect();
        for (place, server) in new.into_iter().enumerate() {
            self.called.push(server);
            self.calls.spawn(async move {
                sleep(turn_of(place)).await;
                let call = async {
                    let stream = timeout(CALL_TIMEOUT, TcpStream::connect(server)).await??;
                    stream.set_nodelay(true)?;
                    Ok(stream)
                };
                (server, call.await)
            });
        }
    }

    /// These TURN servers relay. They are called once [`Network::call_relays`] is.
    pub(super) fn use_relays(&mut self, servers: Vec<RelayServer>) {
        if !self.relays.is_empty() || self.config.policy == IcePolicy::Tcp {
            // What they have allocated goes on.
            return;
        }
        self.relay_servers = servers;
        if self.config.policy == IcePolicy::Relay {
            self.connect_relays();
        }
    }

    /// Whether there are TURN servers that were not called yet.
    pub(super) const fn has_more_relays(&self) -> bool {
        !self.relay_servers.is_empty()
    }

    /// Asks the TURN servers to relay.
    pub(super) fn connect_relays(&mut self) {
        for (place, server) in std::mem::take(&mut self.relay_servers).into_iter().enumerate() {
            let dialer = Arc::clone(&self.config.dialer);
            self.relay_calls.spawn(async move {
                sleep(turn_of(place)).await;
                let failed =
                    |error: &dyn std::fmt::Display| RelayStep::Failed(format!("{}: {error}", server.url()));
                if server.is_by_udp() {
                    return match timeout(CALL_TIMEOUT, server.resolve()).await {
                        Ok(Ok(addresses)) => RelayStep::Found(server, addresses),
                        Ok(Err(error)) => failed(&error),
                        Err(_) => failed(&io::Error::from(io::ErrorKind::TimedOut)),
                    };
                }
                let url = server.url().to_owned();
                match server.dial(dialer, CALL_TIMEOUT).await {
                    Ok(relay) => RelayStep::Reached(Box::new(relay)),
                    Err(error) => RelayStep::Failed(format!("{url}: {error}")),
                }
            });
        }
    }

    /// Asks a TURN server at each of its addresses, until one relays. One of UDP does not say that
    /// nobody is there.
    fn connect_relay(&mut self, server: &RelayServer, addresses: Vec<SocketAddr>) {
        let relays = Arc::new(AtomicBool::new(false));
        for (place, address) in addresses.into_iter().enumerate() {
            let (server, relays, faults) = (server.clone(), Arc::clone(&relays), self.config.faults.clone());
            let number = 200 + place as u64;
            self.relay_calls.spawn(async move {
                sleep(NEXT * u32::try_from(place).unwrap_or(u32::MAX)).await;
                if relays.load(Ordering::Relaxed) {
                    return RelayStep::Spared;
                }
                let url = server.url().to_owned();
                match server.allocate_at(address, &faults, number, relays).await {
                    Ok(relay) => RelayStep::Reached(Box::new(relay)),
                    Err(error) => RelayStep::Failed(format!("{url} at {address}: {error}")),
                }
            });
        }
    }

    /// Why TURN servers that were reached do not relay yet.
    pub(super) fn waiting_relays(&self) -> impl Iterator<Item = String> {
        self.relays.iter().filter(|relay| relay.address().is_none()).map(Relay::why_waiting)
    }

    /// Where the system sends nothing to, and why.
    pub(super) fn unsent(&self) -> &[(SocketAddr, io::ErrorKind)] {
        &self.unsent
    }

    /// What became of calls by TCP.
    pub(super) fn failed_connects(&self) -> &[(SocketAddr, io::Error)] {
        &self.failed_connects
    }

    /// Where ours is, as an error tells it: the addresses that were sent from.
    pub(super) fn sent_from(&self) -> Vec<IpAddr> {
        let labels = self.addresses().into_iter();
        let mut ips: Vec<IpAddr> =
            labels.chain(self.bound.iter().map(Socket::address)).map(|at| at.ip()).collect();
        let mut seen = Vec::new();
        ips.retain(|ip| {
            !seen.contains(ip) && {
                seen.push(*ip);
                true
            }
        });
        ips
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
        // RFC 7983.
        let is_ice = transmit.contents.first().is_some_and(|first| *first < 4);
        let candidate_type = if transmit.proto != Protocol::Udp {
            let Some(tcp) = self.tcp.iter_mut().find(|tcp| tcp.remote == destination) else { return };
            tcp.send(&transmit.contents);
            CandidateType::Tcp
        } else if self.udp_labels.of(source) == Some(source) {
            self.send_by_udp(&transmit.contents, destination, is_ice);
            CandidateType::Udp
        } else {
            let Some(relay) = self.relays.iter_mut().find(|relay| relay.address() == Some(source)) else {
                return;
            };
            relay.send(&transmit.contents, destination);
            CandidateType::Relay
        };
        let path = Some(Path { candidate_type, server: destination });
        // ICE itself tries all paths; the rest takes the one that it chose.
        if !is_ice && self.path != path {
            self.path = path;
            *lock(&self.config.path) = path;
        }
    }

    /// Sends by the socket that the destination answers to; a check to one that answers to none
    /// leaves by all that there are.
    fn send_by_udp(&mut self, contents: &[u8], destination: SocketAddr, is_ice: bool) {
        let route = self.routes.get(&destination).copied();
        for socket in self.udp.iter_mut().chain(&mut self.bound) {
            let is_any = socket.address().ip().is_unspecified();
            let fits = socket.address().is_ipv4() == destination.is_ipv4()
                && (!socket.address().ip().is_loopback() || destination.ip().is_loopback());
            let is_wanted = match route {
                Some(route) => socket.address() == route,
                None => is_any || is_ice,
            };
            if !fits || !is_wanted {
                continue;
            }
            let sent = socket.send(contents, destination);
            if is_any && route.is_none() {
                self.unsent.retain(|(known, _)| *known != destination);
                match sent {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock && self.unsent.len() < ROUTES => {
                        self.unsent.push((destination, error.kind()));
                    }
                    _ => {}
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
        if let Poll::Ready(arrival) = self.poll_calls(context) {
            return Poll::Ready(arrival);
        }
        let is_wide = !self.bound.is_empty();
        let sockets = self.udp.len() + self.bound.len();
        self.turn = (self.turn + 1) % sockets.max(1);
        for place in 0..sockets {
            let place = (self.turn + place) % sockets;
            let socket = match place.checked_sub(self.udp.len()) {
                Some(place) => &mut self.bound[place],
                None => &mut self.udp[place],
            };
            if let Poll::Ready((source, size)) = socket.poll(context, &mut self.buffer) {
                let source = canonical(source);
                let Some(destination) = self.udp_labels.of(source) else { continue };
                if is_wide && self.routes.len() < ROUTES {
                    self.routes.entry(source).or_insert(socket.address());
                }
                return Poll::Ready(Arrival::Datagram { proto: Protocol::Udp, source, destination, size });
            }
        }
        for place in 0..self.tcp.len() {
            let tcp = &mut self.tcp[place];
            match tcp.poll(context, &mut self.buffer) {
                Poll::Ready(Ok(size)) => {
                    let (proto, source) = (Protocol::Tcp, tcp.remote);
                    let destination = self.tcp_labels.of(source).unwrap_or(tcp.local);
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
                (Poll::Ready(RelayOutput::Datagram { source, size }), Some(destination)) => {
                    return Poll::Ready(Arrival::Datagram {
                        proto: Protocol::Udp,
                        source,
                        destination,
                        size,
                    });
                }
                (Poll::Ready(RelayOutput::At(address)), _) => {
                    relay.settled();
                    for peer in &self.peers {
                        relay.permit(*peer);
                    }
                    return Poll::Ready(Arrival::Relayed(address));
                }
                (Poll::Ready(RelayOutput::Ended(why)), _) => {
                    self.relays.remove(place);
                    return Poll::Ready(Arrival::NotRelayed(why));
                }
                // A relay has no datagram for us before it has an address.
                (Poll::Ready(RelayOutput::Datagram { .. }), None) | (Poll::Pending, _) => {}
            }
        }
        Poll::Pending
    }

    /// Connections that have come about, or have not.
    fn poll_calls(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        while let Poll::Ready(Some(called)) = self.calls.poll_join_next(context) {
            let Ok((server, stream)) = called else { continue };
            match stream.and_then(Tcp::new) {
                Ok(tcp) => {
                    let local = *self.tcp_labels.of_mut(server).get_or_insert(tcp.local);
                    self.tcp.push(tcp);
                    return Poll::Ready(Arrival::Connected { local, server });
                }
                Err(error) => {
                    self.called.retain(|called| *called != server);
                    self.failed_connects.retain(|(failed, _)| *failed != server);
                    self.failed_connects.push((server, error));
                }
            }
        }
        while let Poll::Ready(Some(called)) = self.relay_calls.poll_join_next(context) {
            match called {
                Ok(RelayStep::Found(server, addresses)) => self.connect_relay(&server, addresses),
                Ok(RelayStep::Reached(relay)) => self.relays.push(*relay),
                Ok(RelayStep::Failed(why)) => return Poll::Ready(Arrival::NotRelayed(why)),
                // Calls are not aborted while somebody waits here.
                Ok(RelayStep::Spared) | Err(_) => {}
            }
        }
        Poll::Pending
    }
}

/// When the connection at this place of a list is tried.
fn turn_of(place: usize) -> Duration {
    NEXT * u32::try_from(place / AT_ONCE).unwrap_or(u32::MAX)
}

/// A socket of IPv6 that takes IPv4 too gives addresses of the latter in the form of the former.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The address of a family that stands for all of ours: the one on the way to everywhere.
async fn address_of_ours(any: IpAddr, interfaces: &[IpAddr], is_local: bool) -> Option<IpAddr> {
    let mut of_family = interfaces.iter().copied().filter(|ip| ip.is_ipv4() == any.is_ipv4());
    // Where the server is here, loopback is the way.
    if is_local && let Some(loopback) = of_family.clone().find(IpAddr::is_loopback) {
        return Some(loopback);
    }
    match local_address_to(far_away(any)).await {
        Some(ip) if interfaces.contains(&ip) => Some(ip),
        _ => of_family.next(),
    }
}

/// An address of the family that no machine of ours has, to learn the way to everywhere (RFC 5737, RFC 3849).
const fn far_away(any: IpAddr) -> SocketAddr {
    let ip = match any {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    SocketAddr::new(ip, 9)
}

/// The address of ours from which the system would send to `there`. Nothing is sent.
async fn local_address_to(there: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if there.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = tokio::net::UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
    socket.connect(there).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
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

/// The addresses of this machine.
pub(super) fn interfaces() -> io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect())
}

/// Those of them that a server may answer to: with loopback first, where the server is here.
fn usable(mut addresses: Vec<IpAddr>, with_loopback: bool) -> Vec<IpAddr> {
    addresses.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_unspecified() && (with_loopback || !v4.is_loopback()),
        // An address of a link is only one together with the link, which a candidate does not name.
        IpAddr::V6(v6) => {
            !v6.is_unspecified() && !v6.is_unicast_link_local() && (with_loopback || !v6.is_loopback())
        }
    });
    let is_of_a_link = |address: &IpAddr| matches!(address, IpAddr::V4(v4) if v4.is_link_local());
    addresses.sort_by_key(|address| (!address.is_loopback(), is_of_a_link(address)));
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::super::dial::Proxy;
    use super::*;

    fn config() -> NetworkConfig {
        let dialer = Arc::new(Dialer::new(&Proxy::Direct, None).unwrap());
        NetworkConfig {
            policy: IcePolicy::All,
            dialer,
            faults: Faults::default(),
            is_local: true,
            path: Arc::default(),
            interfaces,
        }
    }

    #[tokio::test]
    async fn datagrams_over_tcp_come_whole_however_they_are_cut() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut network = Network::open(config()).await.unwrap();
        network.connect_tcp(vec![server.local_addr().unwrap()]);
        let (mut far, _) = server.accept().await.unwrap();
        assert!(matches!(network.arrival().await, Arrival::Connected { .. }));
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

    #[tokio::test]
    async fn loopback_is_used_where_the_server_is_there_and_only_there() {
        assert!(usable(interfaces().unwrap(), false).iter().all(|address| !address.is_loopback()));
        assert!(usable(interfaces().unwrap(), true)[0].is_loopback());
        let here = Network::open(config()).await.unwrap();
        assert!(here.addresses().iter().all(|address| address.ip().is_loopback()));
        let mut elsewhere = config();
        elsewhere.is_local = false;
        elsewhere.interfaces = many_interfaces;
        let network = Network::open(elsewhere).await.unwrap();
        assert!(network.addresses().iter().all(|address| !address.ip().is_loopback()));
    }

    /// 300 addresses, of which this machine has only the last two.
    fn many_interfaces() -> io::Result<Vec<IpAddr>> {
        let mut many: Vec<IpAddr> =
            (0..300_u16).map(|n| Ipv4Addr::new(198, 51, (n >> 8) as u8, n as u8).into()).collect();
        many.extend([Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)].map(IpAddr::from));
        Ok(many)
    }

    async fn writable(network: &Network) {
        for socket in network.udp.iter().chain(&network.bound) {
            socket.writable().await;
        }
    }

    fn check(from: SocketAddr, to: SocketAddr) -> Transmit {
        let contents = vec![0, 1, 0, 0].into();
        Transmit { proto: Protocol::Udp, source: from, destination: to, contents }
    }

    #[tokio::test]
    async fn one_local_address_stands_for_any_number_of_interfaces() {
        let mut config = config();
        config.interfaces = many_interfaces;
        let mut network = Network::open(config).await.unwrap();
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let label = network.addresses()[0];
        assert_eq!(network.addresses(), [label]);
        writable(&network).await;
        network.send(&check(label, server.local_addr().unwrap()));
        let mut buffer = [0; 16];
        let (_, client) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(b"\x01\x01", client).await.unwrap();
        let Arrival::Datagram { destination, .. } = network.arrival().await else { panic!("no datagram") };
        assert_eq!(destination, label);
    }

    #[tokio::test]
    async fn widened_check_leaves_by_every_interface_and_the_answered_one_is_kept() {
        let mut config = config();
        config.interfaces = many_interfaces;
        let mut network = Network::open(config).await.unwrap();
        // A server that only what comes from the last interface reaches.
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let useful: IpAddr = Ipv4Addr::new(127, 0, 0, 9).into();
        let (label, there) = (network.addresses()[0], server.local_addr().unwrap());
        let bound = network.widen();
        assert!(bound.iter().any(|address| address.ip() == useful), "{bound:?}");
        assert_eq!(network.widen(), bound, "it is wide already");
        writable(&network).await;
        network.send(&check(label, there));
        let mut buffer = [0; 16];
        let client = loop {
            let (_, client) = server.recv_from(&mut buffer).await.unwrap();
            if client.ip() == useful {
                break client;
            }
        };
        server.send_to(b"\x01\x01", client).await.unwrap();
        let Arrival::Datagram { source, destination, .. } = network.arrival().await else {
            panic!("no datagram");
        };
        assert_eq!((source, destination), (there, label));
        // What is no check goes the same way, and checks do too.
        while server.try_recv_from(&mut buffer).is_ok() {}
        network.send(&Transmit { contents: vec![22, 1].into(), ..check(label, there) });
        assert_eq!(server.recv_from(&mut buffer).await.unwrap(), (2, client));
        network.send(&check(label, there));
        assert_eq!(server.recv_from(&mut buffer).await.unwrap(), (4, client));
        // Until the server answers no more.
        network.forget_routes();
        network.send(&check(label, there));
        assert_ne!(server.recv_from(&mut buffer).await.unwrap().1, client);
    }

    #[tokio::test]
    async fn turn_server_with_a_dead_address_first_is_asked_at_the_next_one() {
        let live = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = live.local_addr().unwrap();
        // One that takes what comes and says nothing.
        let dead = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let named = livekit_protocol::IceServer {
            urls: vec![format!("turn:{address}")],
            username: "u".to_owned(),
            credential: "p".to_owned(),
        };
        let server = RelayServer::read(&[named]).remove(0);
        let mut network = Network::open(config()).await.unwrap();
        network.connect_relay(&server, vec![dead.local_addr().unwrap(), address]);
        let mut buffer = [0; 512];
        tokio::select! {
            asked = live.recv_from(&mut buffer) => assert!(asked.unwrap().0 > 0),
            arrival = network.arrival() => panic!("{arrival:?}"),
        }
    }

    #[tokio::test]
    async fn server_with_many_addresses_for_tcp_is_called_at_all_of_them() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = server.local_addr().unwrap();
        // Nobody listens at these.
        let mut addresses: Vec<SocketAddr> = (1..=60)
            .map(|last| SocketAddr::new(Ipv4Addr::new(127, 0, 7, last).into(), live.port()))
            .collect();
        addresses.push(live);
        let mut network = Network::open(config()).await.unwrap();
        network.connect_tcp(addresses);
        let Arrival::Connected { server, .. } = network.arrival().await else { panic!("no connection") };
        assert_eq!(server, live);
        assert_eq!(network.failed_connects().len(), 60);
    }
}
