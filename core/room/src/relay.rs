//! A TURN server that relays datagrams, where none get through otherwise: over UDP, TCP or TLS. The protocol is turn-client-proto's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use livekit_protocol as proto;
use tokio::time::{Sleep, sleep_until};
use turn_client_proto::api::{TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::client::TurnClient;
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant as TurnInstant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;
use url::Host;

use super::dial::{Dialer, Stream};
use super::failure::Deadline;
use super::pipe::Pipe;
use super::socket::{Faults, Socket};

/// What a stream's ends are called; it has one other end, so that these matter to nobody.
const NEAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2);

/// Addresses of the server that are let through: far more than any names.
const PEERS: usize = 1_024;

/// How a TURN server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RelayTransport {
    Udp,
    Tcp,
    Tls,
}

/// A TURN server, as the LiveKit server names it.
#[derive(Clone, Debug)]
pub(super) struct RelayServer {
    url: String,
    host: Host,
    port: u16,
    transport: RelayTransport,
    username: String,
    password: String,
}

impl RelayServer {
    /// Reads those of a list of ICE servers that are TURN servers; the rest is of no use to one who calls a server.
    pub(super) fn read(servers: &[proto::IceServer]) -> Vec<Self> {
        let of =
            |server: &proto::IceServer, url: &String| Self::parse(url, &server.username, &server.credential);
        servers.iter().flat_map(|server| server.urls.iter().filter_map(move |url| of(server, url))).collect()
    }

    /// Reads `turn:host:port?transport=udp` and `turns:host:port?transport=tcp` (RFC 7065).
    fn parse(url: &str, username: &str, password: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (is_secure, usual_port) = match scheme {
            "turn" => (false, 3478),
            "turns" => (true, 5349),
            _ => return None,
        };
        let parsed = url::Url::parse(&format!("turn://{rest}")).ok()?;
        let transport =
            parsed.query_pairs().find(|(name, _)| name == "transport").map(|(_, value)| value.into_owned());
        let transport = match (is_secure, transport.as_deref()) {
            (false, None | Some("udp")) => RelayTransport::Udp,
            (false, Some("tcp")) => RelayTransport::Tcp,
            (true, None | Some("tcp")) => RelayTransport::Tls,
            _ => return None,
        };
        let host = match parsed.host()? {
            // The host of a scheme that the crate does not know is not looked at further.
            Host::Domain(name) => Host::parse(name).ok()?,
            other => other.to_owned(),
        };
        Some(Self {
            url: url.to_owned(),
            host,
            port: parsed.port().unwrap_or(usual_port),
            transport,
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }

    /// How it is called before people; the credentials are not part of it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether datagrams to it go by UDP.
    pub(super) fn is_by_udp(&self) -> bool {
        self.transport == RelayTransport::Udp
    }

    /// Asks it to relay by UDP, at one of its addresses. `relays` is set once it does.
    pub(super) async fn allocate_at(
        self,
        server: SocketAddr,
        faults: &Faults,
        number: u64,
        relays: Arc<AtomicBool>,
    ) -> io::Result<Relay> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut socket = Socket::bind(SocketAddr::new(any, 0), faults, number)?;
        let near = socket.connect(server).await?;
        let client = TurnClientUdp::allocate(near, server, self.config());
        let mut relay = self.by(Carrier::Udp(socket), client.into());
        relay.relays = relays;
        Ok(relay)
    }

    /// Connects to it by TCP or TLS. Whether it relays, [`Relay::poll`] tells.
    pub(super) async fn dial(self, dialer: Arc<Dialer>, limit: Duration) -> io::Result<Relay> {
        let tls = self.transport == RelayTransport::Tls;
        let dialled = dialer.dial(&self.host, self.port, tls, Deadline::after(limit)).await;
        let opened = dialled.map_err(|failure| io::Error::other(failure.found))?;
        Ok(self.on(opened.stream))
    }

    /// Goes by a connection that stands.
    pub(super) fn on(self, stream: Stream) -> Relay {
        let client = TurnClientTcp::allocate(NEAR, FAR, self.config());
        self.by(Carrier::Stream(Pipe::new(stream), BytesMut::new()), client.into())
    }

    fn by(self, carrier: Carrier, client: TurnClient) -> Relay {
        Relay {
            url: self.url,
            client,
            carrier,
            origin: Instant::now(),
            address: None,
            permitted: Vec::new(),
            relays: Arc::default(),
            alarm: Box::pin(sleep_until(Instant::now().into())),
        }
    }

    /// It relays from an address of IPv4, however it is reached itself: a server has one.
    fn config(&self) -> TurnConfig {
        TurnConfig::new(TurnCredentials::new(&self.username, &self.password))
    }

    /// Its addresses.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let found: Vec<SocketAddr> = match &self.host {
            Host::Ipv4(ip) => vec![SocketAddr::new((*ip).into(), self.port)],
            Host::Ipv6(ip) => vec![SocketAddr::new((*ip).into(), self.port)],
            Host::Domain(name) => tokio::net::lookup_host((name.as_str(), self.port)).await?.collect(),
        };
        if found.is_empty() { Err(none()) } else { Ok(found) }
    }
}

/// What a relay has for the connection.
#[derive(Debug)]
pub(super) enum RelayOutput {
    /// It relays what comes to this address.
    At(SocketAddr),
    /// A datagram of so many bytes from this address.
    Datagram { source: SocketAddr, size: usize },
    /// It does not relay any more, or never did, for this reason.
    Ended(String),
}

/// A TURN server that was reached.
pub(super) struct Relay {
    url: String,
    client: TurnClient,
    carrier: Carrier,
    origin: Instant,
    /// Where it relays.
    address: Option<SocketAddr>,
    /// With whom.
    permitted: Vec<SocketAddr>,
    /// Set once it relays, so that other addresses of the same server are not asked any more.
    relays: Arc<AtomicBool>,
    alarm: Pin<Box<Sleep>>,
}

enum Carrier {
    Udp(Socket),
    /// With what has come and was not looked at yet.
    Stream(Pipe<Stream>, BytesMut),
}

impl Relay {
    /// The address at which others see what is sent here, once there is one.
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Notes that it relays.
    pub(super) fn settled(&self) {
        self.relays.store(true, Ordering::Relaxed);
    }

    /// Lets datagrams from and to this address through, once it relays.
    pub(super) fn permit(&mut self, peer: SocketAddr) {
        let fits = self.address.is_some_and(|address| address.is_ipv4() == peer.is_ipv4());
        if fits && self.permitted.len() < PEERS && !self.permitted.contains(&peer) {
            self.permitted.push(peer);
            let now = self.now();
            // Neither can fail where there is none yet.
            match self.carrier {
                // A channel is a permission too, and makes each datagram shorter.
                Carrier::Udp(_) => drop(self.client.bind_channel(TransportType::Udp, peer, now)),
                // On a stream the datagrams of channels are padded (RFC 8656 §12.5), which turn-client-proto 0.7 neither does nor expects.
                Carrier::Stream(..) => {
                    drop(self.client.create_permission(TransportType::Udp, peer.ip(), now));
                }
            }
            self.say();
        }
    }

    /// Relays a datagram; one to an address that is not let through yet is lost, and ICE sends it again.
    pub(super) fn send(&mut self, contents: &[u8], destination: SocketAddr) {
        self.permit(destination);
        if let Ok(Some(wrapped)) = self.client.send_to(TransportType::Udp, destination, contents, self.now())
        {
            self.carrier.send(&wrapped.data.build(), self.client.remote_addr());
        }
    }

    /// The next thing that comes of it; a datagram is put into `buffer`.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<RelayOutput> {
        loop {
            let now = self.now();
            if let Some(data) = self.client.poll_recv(now)
                && let Some(datagram) = put(data.data(), data.peer, buffer)
            {
                return Poll::Ready(datagram);
            }
            if let Some(from) = self.poll_event() {
                return Poll::Ready(from);
            }
            let wait = match self.client.poll(now) {
                TurnPollRet::Closed => return Poll::Ready(self.ended("it does not relay any more")),
                // Never at once again, so that nothing can spin here.
                TurnPollRet::WaitUntil(at) => at.saturating_duration_since(now).max(Duration::from_millis(1)),
                // Of relays to TCP, which are not asked for.
                _ => Duration::from_secs(1),
            };
            self.say();
            match self.carrier.poll(context, buffer) {
                Poll::Ready(Ok(message)) => {
                    let (far, near) = (self.client.remote_addr(), self.client.local_addr());
                    let transmit = Transmit::new(message, self.client.transport(), far, near);
                    if let TurnRecvRet::PeerData(data) = self.client.recv(transmit, now)
                        && let Some(datagram) = put(data.data(), data.peer, buffer)
                    {
                        return Poll::Ready(datagram);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(self.ended(error)),
                Poll::Pending => {
                    self.alarm.as_mut().reset((Instant::now() + wait).into());
                    ready!(self.alarm.as_mut().poll(context));
                }
            }
        }
    }

    fn poll_event(&mut self) -> Option<RelayOutput> {
        while let Some(event) = self.client.poll_event() {
            match event {
                TurnEvent::AllocationCreated(_, address) => {
                    self.address = Some(address);
                    return Some(RelayOutput::At(address));
                }
                TurnEvent::AllocationCreateFailed(_) => {
                    return Some(
                        self.ended("it does not relay for us; are its credentials right and current?"),
                    );
                }
                TurnEvent::PermissionCreateFailed(_, _) | TurnEvent::ChannelCreateFailed(_, _) => {
                    tracing::warn!(url = self.url, ?event, "the TURN server does not relay to this address");
                }
                _ => {}
            }
        }
        None
    }

    /// Sends what the client has to say to the TURN server.
    fn say(&mut self) {
        let now = self.now();
        while let Some(message) = self.client.poll_transmit(now) {
            self.carrier.send(message.data.as_ref(), message.to);
        }
    }

    /// Why it does not relay yet. One that refuses credentials is heard by nobody: it cannot sign its answer.
    pub(super) fn why_waiting(&self) -> String {
        format!("{}: it has not answered, or refuses the credentials", self.url)
    }

    fn ended(&self, why: impl std::fmt::Display) -> RelayOutput {
        RelayOutput::Ended(format!("{}: {why}", self.url))
    }

    fn now(&self) -> TurnInstant {
        TurnInstant::from_std(self.origin)
    }
}

impl Carrier {
    fn send(&mut self, message: &[u8], server: SocketAddr) {
        match self {
            // What is lost, the client sends again.
            Self::Udp(socket) => drop(socket.send(message, server)),
            Self::Stream(pipe, _) => pipe.write(&[message]),
        }
    }

    /// What has come from the TURN server. An error is the end of a stream.
    fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Vec<u8>>> {
        match self {
            Self::Udp(socket) => {
                let (_, size) = ready!(socket.poll(context, buffer));
                Poll::Ready(Ok(buffer[..size].to_vec()))
            }
            Self::Stream(pipe, incoming) => {
                ready!(pipe.poll(context, incoming))?;
                Poll::Ready(Ok(std::mem::take(incoming).into()))
            }
        }
    }
}

impl Drop for Relay {
    /// Gives the address back, which the TURN server would keep for minutes.
    fn drop(&mut self) {
        let now = self.now();
        if self.address.is_some() && self.client.delete(now).is_ok() {
            self.say();
        }
    }
}

fn put(data: &[u8], source: SocketAddr, buffer: &mut [u8]) -> Option<RelayOutput> {
    buffer.get_mut(..data.len())?.copy_from_slice(data);
    Some(RelayOutput::Datagram { source, size: data.len() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn urls_of_turn_servers_are_read_and_others_are_not() {
        for (url, host, port, transport) in [
            ("turn:127.0.0.1:3478?transport=udp", "127.0.0.1", 3478, RelayTransport::Udp),
            ("turn:turn.example.com", "turn.example.com", 3478, RelayTransport::Udp),
            ("turn:[::1]:80?transport=tcp", "[::1]", 80, RelayTransport::Tcp),
            ("turns:turn.example.com:443?transport=tcp", "turn.example.com", 443, RelayTransport::Tls),
            ("turns:turn.example.com", "turn.example.com", 5349, RelayTransport::Tls),
        ] {
            let server = RelayServer::parse(url, "u", "p").unwrap();
            assert_eq!(
                (server.host.to_string().as_str(), server.port, server.transport),
                (host, port, transport),
                "{url}"
            );
        }
        for url in
            ["stun:stun.example.com:3478", "turns:h?transport=udp", "turn:", "turn:h:99999", "nonsense", ""]
        {
            assert!(RelayServer::parse(url, "u", "p").is_none(), "{url}");
        }
    }
}
