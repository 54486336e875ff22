//! What a server, a TURN server or a participant may send, whoever they are: one function for each way in, which takes any bytes. The
//! targets of `fuzz/` call these with what they make up, and a test with what was ever found. Beside them, a join that can be given up at each
//! of its awaits. No part of the interface.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use greenroom_protocol::Error;
use greenroom_protocol::fuzz::pieces;
use greenroom_protocol::limits::Limits;
use livekit_net::{
    Header, HttpClient, HttpMethod, HttpResponse, TransportError, WsClient, WsConnectResult, WsConnection,
};
use livekit_protocol as proto;
use livekit_protocol::data_packet::Value;
use prost::Message as _;
use str0m::change::SdpOffer;
use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::peer::{Peer, PeerOutput};
use super::relay::{Relay, RelayOutput, RelayServer};
use super::socket::Faults;
use super::streams::{IncomingStreamRouter, IncomingStreams};
use super::transport::Topics;
use super::{Room, RoomOptions, Shared};
use crate::lock;

const OURS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5_000);
const THEIRS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6_000);

/// How long anything here may take that ends by itself: far above what it takes.
const DEADLINE: Duration = Duration::from_secs(20);
/// Outputs of a peer connection at one moment; more are an endless loop.
const MOST: usize = 10_000;

/// Messages of the signal connection, one in each piece, beginning with the answer to the join; the first byte tells whether one that is fine
/// comes before.
///
/// # Panics
/// When a room that is given up stays.
pub fn signal(data: &[u8]) {
    // LiveKit's crate has one network for the whole process.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = lock(&ALONE);
    let Some((&kind, rest)) = data.split_first() else { return };
    let join =
        (kind & 1 == 0).then(|| signal_message(proto::signal_response::Message::Join(join_response())));
    let script = Arc::new(Script {
        frames: Mutex::new(join.into_iter().chain(pieces(rest).map(<[u8]>::to_vec)).collect()),
        is_read: Notify::new(),
    });
    livekit_net::set_ws_client(Arc::new(Net));
    livekit_net::set_http_client(Arc::new(Net));
    *lock(&SCRIPT) = Some(Arc::clone(&script));
    run(async {
        let shared = Shared::new();
        let options = RoomOptions::new("ws://127.0.0.1:9", "token");
        tokio::select! {
            _ = Room::open(options, Arc::clone(&shared)) => {}
            () = script.is_read.notified() => settle().await,
        }
        timeout(DEADLINE, shared.left()).await.expect("a room that was given up stays");
    });
}

/// Joins a room and gives that up after so many polls; whether it came about before that. Back once nothing is left of it.
///
/// # Errors
/// Why the join failed by itself.
///
/// # Panics
/// When a join that is given up stays.
pub fn join_for(polls: usize, options: RoomOptions) -> Result<bool, Error> {
    let mut outcome = Ok(false);
    run(async {
        let shared = Shared::new();
        let mut joining = Box::pin(Room::open(options, Arc::clone(&shared)));
        let mut left = polls;
        let joined = std::future::poll_fn(|context| match joining.as_mut().poll(context) {
            Poll::Ready(joined) => Poll::Ready(Some(joined)),
            Poll::Pending => {
                left -= 1;
                if left == 0 { Poll::Ready(None) } else { Poll::Pending }
            }
        });
        let joined = joined.await;
        drop(joining);
        match joined {
            Some(Ok((room, _))) => {
                room.disconnect().await;
                outcome = Ok(true);
            }
            Some(Err(failure)) => outcome = Err(failure.into()),
            None => {}
        }
        timeout(DEADLINE, shared.left()).await.expect("a join that was given up stays");
    });
    outcome
}

/// The answer to our offer, and candidates, which end with a zero byte each.
pub fn description(data: &[u8]) {
    let mut texts = data.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    let (mut peer, _) = Peer::new(&[OURS], Instant::now());
    let sdp = texts.next().unwrap_or_default();
    let _ = peer.take_answer(&proto::SessionDescription { sdp, ..Default::default() });
    for candidate in texts {
        let _ = peer.add_remote(&candidate);
    }
    drain(&mut peer, Instant::now(), &mut |_| {});
    let _ = peer.restart_ice();
    drain(&mut peer, Instant::now(), &mut |_| {});
}

/// Datagrams to a connection that stands, from the address of its server, and what that sends in its channels. The first byte of each
/// piece tells which.
///
/// # Panics
/// When the connection of two that mean well does not come about.
pub fn datagram(data: &[u8]) {
    let mut line = Line::open();
    for piece in pieces(data) {
        let Some((&what, piece)) = piece.split_first() else { continue };
        match what % 4 {
            0 => line.deliver(piece),
            1 => {
                // One of the server's own, with a byte changed.
                if let (Some(mut datagram), [at, change, ..]) = (line.last.clone(), piece) {
                    let at = usize::from(*at) % datagram.len();
                    datagram[at] ^= change;
                    line.deliver(&datagram);
                }
            }
            2 => line.say(piece),
            _ => line.pass(Duration::from_millis(u64::from(piece.first().copied().unwrap_or(1)) * 20)),
        }
    }
    line.pass(Duration::from_secs(1));
}

/// Data packets of participants, one in each piece, with the streams that are in them.
///
/// # Panics
/// When more is kept than may be.
pub fn packet(data: &[u8]) {
    run(async {
        let mut limits = Limits::default();
        (limits.stream_bytes, limits.agent_message, limits.streams) = (1 << 16, 1 << 14, 16);
        let topics = Arc::new(Topics::default());
        let mut streams = IncomingStreams::listen(&topics, "t", &limits).expect("no other listener");
        let stream_router = IncomingStreamRouter::start(topics, &limits);
        for piece in pieces(data) {
            let Ok(packet) = proto::DataPacket::decode(piece) else { continue };
            let Some(value) = packet.value else { continue };
            let is_stream =
                matches!(value, Value::StreamHeader(_) | Value::StreamChunk(_) | Value::StreamTrailer(_));
            let given_back = stream_router.take(&packet.participant_identity, value);
            assert_eq!(given_back.is_none(), is_stream);
        }
        settle().await;
        stream_router.abort_all();
        drop(stream_router);
        settle().await;
        let mut kept = 0;
        while let Ok(Some(mut stream)) = timeout(Duration::ZERO, streams.next()).await {
            while let Ok(Some(Ok(chunk))) = timeout(Duration::ZERO, stream.next()).await {
                kept += chunk.len();
            }
        }
        assert!(kept <= limits.stream_bytes, "{kept} bytes were kept");
    });
}

/// A TURN server: its url in the first piece, then what it sends. The first byte of each piece tells whether as the answer to what it was
/// sent last.
pub fn relay(data: &[u8]) {
    let mut pieces = pieces(data);
    let url = String::from_utf8_lossy(pieces.next().unwrap_or_default()).into_owned();
    let server =
        |url: String| proto::IceServer { urls: vec![url], username: "u".into(), credential: "p".into() };
    let _ = RelayServer::read(&[server(url)]);
    let said: Vec<&[u8]> = pieces.collect();
    run(async {
        let theirs = UdpSocket::bind(OURS_ANY).await.expect("loopback has a free port");
        let at = theirs.local_addr().expect("it is bound");
        let by_udp = RelayServer::read(&[server(format!("turn:{at}"))]).remove(0);
        let relay = by_udp.allocate_at(at, &Faults::default(), 0, Arc::default()).await;
        let relay = relay.expect("loopback can be led to");
        let mut sent = [0; 2_048];
        let mut last = Vec::new();
        feed(relay, &said, async |message| {
            // What was asked meanwhile.
            while let Ok((size, from)) = theirs.try_recv_from(&mut sent) {
                last = sent[..size].to_vec();
                let _ = theirs.connect(from).await;
            }
            let _ = theirs.try_send(&answer_to(&last, message));
        })
        .await;
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let by_tcp = RelayServer::read(&[server("turn:127.0.0.1:9?transport=tcp".to_owned())]).remove(0);
        feed(by_tcp.on(Box::new(ours)), &said, async |message| {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut sent = [0; 2_048];
            if let Ok(Ok(size)) = timeout(Duration::ZERO, theirs.read(&mut sent)).await {
                last = sent[..size].to_vec();
            }
            let _ = timeout(Duration::ZERO, theirs.write_all(&answer_to(&last, message))).await;
        })
        .await;
    });
}

const OURS_ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Lets a TURN server say all this, and its client take it.
async fn feed(mut relay: Relay, said: &[&[u8]], mut say: impl AsyncFnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    let mut step = async |relay: &mut Relay| {
        for _ in 0..8 {
            let next = std::future::poll_fn(|context| relay.poll(context, &mut buffer));
            match timeout(Duration::ZERO, next).await {
                Ok(RelayOutput::At(_)) => relay.permit(THEIRS),
                Ok(RelayOutput::Datagram { source, size }) => {
                    assert!(size <= 1 << 16);
                    relay.send(b"back", source);
                }
                Ok(RelayOutput::Ended(_)) => return false,
                Err(_) => return true,
            }
        }
        true
    };
    if !step(&mut relay).await {
        return;
    }
    for message in said {
        say(message).await;
        if !step(&mut relay).await {
            return;
        }
    }
}

/// A message with the number of the request that it answers, if its first byte says so.
fn answer_to(request: &[u8], message: &[u8]) -> Vec<u8> {
    let Some((&kind, message)) = message.split_first() else { return Vec::new() };
    let mut answer = message.to_vec();
    if let (true, Some(number), Some(place)) = (kind & 1 == 0, request.get(4..20), answer.get_mut(4..20)) {
        place.copy_from_slice(number);
    }
    answer
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("this system has event loops");
    runtime.block_on(work);
    runtime.shutdown_background();
}

/// Lets all tasks do what they can do now.
async fn settle() {
    for _ in 0..64 {
        yield_now().await;
    }
}

/// Lets it do all it wants now.
fn drain(peer: &mut Peer, now: Instant, output: &mut dyn FnMut(PeerOutput)) {
    let _ = peer.handle_timeout(now);
    for _ in 0..MOST {
        match peer.poll() {
            Ok(PeerOutput::Until(_)) | Err(_) => return,
            Ok(other) => output(other),
        }
    }
    panic!("a peer connection never has enough");
}

/// A peer connection and its server, between which nothing is lost, on a clock of their own.
struct Line {
    peer: Peer,
    server: Rtc,
    channels: Vec<ChannelId>,
    now: Instant,
    /// The last datagram of the server.
    last: Option<Vec<u8>>,
}

impl Line {
    fn open() -> Self {
        let now = Instant::now();
        let (mut peer, offer) = Peer::new(&[OURS], now);
        let mut server = RtcConfig::new()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .set_ice_lite(true)
            .build(now);
        server.add_local_candidate(Candidate::host(THEIRS, Protocol::Udp).expect("an address of a host"));
        let offer = SdpOffer::from_sdp_string(&offer.sdp).expect("our own offer");
        let answer = server.sdp_api().accept_offer(offer).expect("our own offer").to_sdp_string();
        peer.take_answer(&proto::SessionDescription { sdp: answer, ..Default::default() })
            .expect("an answer to our own offer");
        let mut line = Self { peer, server, channels: Vec::new(), now, last: None };
        for _ in 0..200 {
            line.pass(Duration::from_millis(10));
            if line.peer.is_open() && line.channels.len() == 2 {
                return line;
            }
        }
        panic!("no connection came about");
    }

    /// A datagram comes from the server's address.
    fn deliver(&mut self, datagram: &[u8]) {
        let _ = self.peer.receive(Protocol::Udp, THEIRS, OURS, datagram, self.now);
        self.carry();
    }

    /// The server sends this in each of its channels.
    fn say(&mut self, message: &[u8]) {
        for id in self.channels.clone() {
            if let Some(mut channel) = self.server.channel(id) {
                let _ = channel.write(true, message);
            }
        }
        self.carry();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.carry();
    }

    /// Carries datagrams until neither side has one.
    fn carry(&mut self) {
        let now = self.now;
        for _ in 0..MOST {
            let mut to_server = Vec::new();
            drain(&mut self.peer, now, &mut |output| {
                if let PeerOutput::Transmit(transmit) = output {
                    to_server.push(transmit.contents.to_vec());
                }
            });
            for datagram in &to_server {
                let Ok(contents) = datagram.as_slice().try_into() else { continue };
                let receive = Receive { proto: Protocol::Udp, source: OURS, destination: THEIRS, contents };
                let _ = self.server.handle_input(Input::Receive(now, receive));
            }
            let to_peer = self.serve(now);
            if to_server.is_empty() && to_peer.is_empty() {
                return;
            }
            for datagram in to_peer {
                let _ = self.peer.receive(Protocol::Udp, THEIRS, OURS, &datagram, now);
                self.last = Some(datagram);
            }
        }
        panic!("the two never have enough");
    }

    fn serve(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        let _ = self.server.handle_input(Input::Timeout(now));
        while let Ok(output) = self.server.poll_output() {
            match output {
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => datagrams.push(transmit.contents.to_vec()),
                Output::Event(Event::ChannelOpen(id, _)) => self.channels.push(id),
                Output::Event(_) => {}
            }
        }
        datagrams
    }
}

/// What the server says on each signal connection, one after the other.
struct Script {
    frames: Mutex<VecDeque<Vec<u8>>>,
    /// All of it was taken.
    is_read: Notify,
}

static SCRIPT: Mutex<Option<Arc<Script>>> = Mutex::new(None);

fn signal_message(message: proto::signal_response::Message) -> Vec<u8> {
    proto::SignalResponse { message: Some(message) }.encode_to_vec()
}

fn join_response() -> proto::JoinResponse {
    let participant = |identity: &str| proto::ParticipantInfo {
        sid: format!("PA_{identity}"),
        identity: identity.to_owned(),
        state: proto::participant_info::State::Active as i32,
        ..Default::default()
    };
    proto::JoinResponse {
        room: Some(proto::Room { sid: "RM_1".into(), name: "room".into(), ..Default::default() }),
        participant: Some(participant("ada")),
        other_participants: vec![participant("bob")],
        server_info: Some(proto::ServerInfo { version: "1.9.2".into(), protocol: 17, ..Default::default() }),
        ping_interval: 5,
        ping_timeout: 15,
        ..Default::default()
    }
}

/// A network in which everybody says what is in the script.
struct Net;

#[async_trait]
impl WsClient for Net {
    async fn connect(&self, _: String, _: Vec<Header>, _: u64) -> Result<WsConnectResult, TransportError> {
        let script = lock(&SCRIPT).clone().ok_or(TransportError::Closed)?;
        Ok(WsConnectResult { connection: Arc::new(Said(script)) })
    }
}

#[async_trait]
impl HttpClient for Net {
    async fn request(
        &self,
        _: HttpMethod,
        _: String,
        _: Vec<Header>,
        _: Option<Vec<u8>>,
    ) -> Result<HttpResponse, TransportError> {
        Err(TransportError::Closed)
    }
}

struct Said(Arc<Script>);

#[async_trait]
impl WsConnection for Said {
    async fn send(&self, _: Vec<u8>) -> Result<(), TransportError> {
        Ok(())
    }

    async fn recv(&self) -> Result<Option<Vec<u8>>, TransportError> {
        let next = lock(&self.0.frames).pop_front();
        if next.is_some() {
            return Ok(next);
        }
        self.0.is_read.notify_one();
        std::future::pending().await
    }

    async fn close(&self) {}
}
