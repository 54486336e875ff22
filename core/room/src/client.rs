//! The task of one room: it owns the connection, and is the only one that has a socket and looks at the clock.
//!
//! Everybody else talks to it through [`Command`]s, and reads what it keeps in [`Shared`].

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_protocol::{Code, Error, Secret};
use livekit_protocol as proto;
use livekit_protocol::data_packet::Value;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_signaling::{SignalClient, SignalError, SignalEvent, SignalEvents};
use prost::Message as _;
use str0m::media::{Frequency, MediaData};
use str0m::net::Protocol;
use str0m::{Candidate, RtcError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, sleep_until, timeout};

use super::audio::{IncomingTrackQueue, OutgoingTrackQueue};
use super::dial::{Dialer, Proxy};
use super::event::{Data, DisconnectReason, Disconnected, RoomEvent};
use super::failure::{Failure, Step, listed};
use super::network::{self, Arrival, IcePolicy, Network, NetworkConfig};
use super::opus::Packet;
use super::participant::{Changes, Participant, Track};
use super::peer::{Channel, Peer, PeerOutput};
use super::relay::RelayServer;
use super::reliable_send_queue::{ReliableSendQueue, Sender};
use super::signal::{self, Address};
use super::socket::Faults;
use super::streams::IncomingStreamRouter;
use super::tracks::Tracks;
use super::{RoomInfo, RoomOptions, Shared, websocket};

/// Called when what was given to be sent has left, or never will.
pub(super) type Sent = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What others want of the task.
pub(super) enum Command {
    /// Send a data packet.
    Packet { channel: Channel, packet: Box<proto::DataPacket>, done: Sent },
    /// Send a stream, or a part of one that is written bit by bit.
    Stream { packets: Vec<proto::DataPacket>, done: Sent },
    /// Change what is said about the local participant.
    Describe { update: proto::UpdateParticipantMetadata, done: Sent },
    /// Publish a track of ours.
    Publish { queue: Arc<OutgoingTrackQueue>, done: Sent },
    /// Take it back.
    Unpublish { queue: Arc<OutgoingTrackQueue>, done: Sent },
    /// Have a track of somebody else's come in.
    Subscribe { queue: Arc<IncomingTrackQueue>, publisher: Box<Participant>, track: Track, done: Sent },
}

/// Datagrams that are read before the task looks at anything else.
const BURST: usize = 32;
/// Until there is a way by the system's routes, before checks leave by all interfaces.
const WIDEN_AFTER: Duration = Duration::from_millis(500);
/// Until there is a way by UDP, before TCP and TURN servers are tried too.
const DETOUR_AFTER: Duration = Duration::from_millis(1_500);
/// How long a connection may be silent before it is made anew.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a resumed connection may take to be whole again.
const RESUME: Duration = Duration::from_secs(15);
/// How often, and how long apart, a connection is made anew before it counts as lost.
const RETRIES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(1_200),
    Duration::from_millis(2_700),
    Duration::from_millis(4_800),
    Duration::from_millis(7_000),
];
/// How long a leave waits for what was sent to arrive.
const LEAVE: Duration = Duration::from_secs(3);
/// How long the server is given to take the word that we leave.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the server has to say why it closed the peer connection.
const LEAVE_REASON: Duration = Duration::from_secs(1);
/// How long the server may take to answer a request.
const ANSWER: Duration = Duration::from_secs(5);

/// One connection to the server.
struct Connection {
    signal: Arc<SignalClient>,
    events: SignalEvents,
    /// To the task that writes to the signal connection, which may stall.
    requests: mpsc::UnboundedSender<Request>,
    peer: Peer,
    network: Network,
    /// When the peer connection wants to be called.
    until: Instant,
    is_reachable: bool,
    /// Since when datagrams do not get through any more.
    silent_since: Option<Instant>,
    /// Where the server takes TCP, as far as it was not called there.
    by_tcp: Vec<std::net::SocketAddr>,
    /// Whether it takes TCP anywhere.
    takes_tcp: bool,
    candidates: usize,
    /// Candidates whose addresses are names of a local network, which only there mean something.
    named_candidates: usize,
    /// Whether checks leave by all interfaces.
    is_wide: bool,
    /// Why TURN servers do not relay.
    not_relayed: Vec<String>,
    began: Instant,
}

/// A change of the local participant that was asked for.
struct PendingChange {
    update: proto::UpdateParticipantMetadata,
    by: Instant,
    done: Sent,
}

/// How driving a connection ends.
enum ConnectionEnd {
    /// We left.
    Left,
    /// For good.
    Disconnected(Disconnected),
    /// It broke.
    Broken,
    /// It is to be made anew, as another stay in the room, at another server if one is named.
    Rejoin(Option<String>),
    /// It never came about.
    Failed(Failure),
}

type Resuming = Pin<Box<dyn Future<Output = Result<proto::ReconnectResponse, SignalError>> + Send>>;

/// The task.
pub(super) struct Client {
    shared: Arc<Shared>,
    options: RoomOptions,
    address: Address,
    network_config: NetworkConfig,
    connection: Connection,
    /// How many connections there were, with this one.
    connections: u32,
    send_queue: ReliableSendQueue<Sent>,
    stream_router: IncomingStreamRouter,
    tracks: Tracks,
    /// The last number of each sender's reliable packets; one that is sent again is dropped.
    last_seen: HashMap<String, u32>,
    /// Changes that the server has not made yet.
    changes: HashMap<u32, PendingChange>,
    /// Told once packets can be sent.
    opened: Option<oneshot::Sender<Result<(), Failure>>>,
    /// The deadline until packets can be sent.
    open_by: Option<Instant>,
    resuming: Option<Resuming>,
    /// The room was told that the connection broke, and not yet that it is back.
    is_interrupted: bool,
    /// How often it was joined anew since packets could last be sent.
    rejoins: usize,
}

impl Client {
    /// Joins: the signal connection, and the server's word that we are in. [`Client::run`] does the rest.
    pub(super) async fn join(shared: Arc<Shared>, options: RoomOptions) -> Result<Self, Failure> {
        let refused = |error| Failure::of(Step::Options, error);
        let address = Address::parse(&options.url).map_err(refused)?;
        let dialer = Arc::new(Dialer::new(&options.proxy, options.ca.as_deref()).map_err(refused)?);
        websocket::install(options.ca.is_some() || !matches!(options.proxy, Proxy::Environment))
            .map_err(refused)?;
        let faults = Faults {
            #[cfg(feature = "test-support")]
            impairment: options.impairment,
            #[cfg(feature = "test-support")]
            impaired: Arc::clone(&shared.impaired),
        };
        let network_config = NetworkConfig {
            policy: options.ice_policy,
            dialer,
            faults,
            is_local: address.is_loopback(),
            path: Arc::clone(&shared.path),
            interfaces: network::interfaces,
        };
        let (connection, response) =
            Connection::join(&address, &options.token, &network_config, options.connect_timeout).await?;
        let stream_router = IncomingStreamRouter::start(Arc::clone(&shared.topics), &options.limits);
        let send_queue = ReliableSendQueue::new(sender(&response));
        let open_by = Some(connection.began + options.connect_timeout);
        let mut client = Self {
            shared,
            options,
            address,
            network_config,
            connection,
            connections: 1,
            send_queue,
            stream_router,
            tracks: Tracks::default(),
            last_seen: HashMap::new(),
            changes: HashMap::new(),
            opened: None,
            open_by,
            resuming: None,
            is_interrupted: false,
            rejoins: 0,
        };
        client.handle_joined(&response);
        Ok(client)
    }

    /// Drives the room until it is left. `opened` is told once packets can be sent, or why they never can.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        opened: oneshot::Sender<Result<(), Failure>>,
    ) {
        self.opened = Some(opened);
        let shared = Arc::clone(&self.shared);
        let disconnected = loop {
            let end = match self.drive(&mut commands).await {
                ConnectionEnd::Broken => self.await_leave_reason().await,
                end => end,
            };
            match end {
                ConnectionEnd::Left => {
                    self.leave().await;
                    break Disconnected::new(DisconnectReason::ClientInitiated);
                }
                ConnectionEnd::Disconnected(disconnected) => break disconnected,
                ConnectionEnd::Failed(failure) => {
                    self.leave().await;
                    let disconnected = Disconnected {
                        reason: DisconnectReason::JoinFailure,
                        message: Error::from(failure.clone()).message,
                    };
                    if let Some(opened) = self.opened.take() {
                        let _ = opened.send(Err(failure));
                    }
                    break disconnected;
                }
                ConnectionEnd::Broken => {
                    if let Err(disconnected) = self.rejoin(None).await {
                        break disconnected;
                    }
                }
                ConnectionEnd::Rejoin(other) => {
                    if let Err(disconnected) = self.rejoin(other).await {
                        break disconnected;
                    }
                }
            }
        };
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Err(Failure::of(Step::Media, disconnected.error())));
        }
        self.stream_router.abort_all();
        // Before what waits is dropped, so that it fails with this reason.
        shared.end(disconnected);
        drop(self);
        // A receiver that is just dropped may miss a command that is being sent, which would then wait for ever.
        commands.close();
        while commands.recv().await.is_some() {}
    }

    async fn drive(&mut self, commands: &mut mpsc::Receiver<Command>) -> ConnectionEnd {
        loop {
            if let Err(end) = self.advance() {
                return end;
            }
            let alarm = self.alarm();
            let step = tokio::select! {
                () = self.shared.stopped() => Err(ConnectionEnd::Left),
                () = self.shared.tracks_changed.notified() => Ok(()),
                arrival = self.connection.network.arrival() => self.handle_arrival(arrival),
                event = self.connection.events.recv() => self.handle_signal_event(event).await,
                command = commands.recv() => match command {
                    Some(command) => {
                        self.handle_command(command);
                        Ok(())
                    }
                    // Nobody has the room any more.
                    None => Err(ConnectionEnd::Left),
                },
                resumed = async { self.resuming.as_mut().expect("only polled when there").await }, if self.resuming.is_some() => {
                    self.resuming = None;
                    self.handle_resumed(resumed)
                }
                () = sleep_until(alarm.into()) => Ok(()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Sends what can be sent, takes what has come, and lets pass what is due.
    fn advance(&mut self) -> Result<(), ConnectionEnd> {
        let now = Instant::now();
        self.send().map_err(|error| self.broken(&error))?;
        self.reconcile_tracks(now).map_err(|error| self.broken(&error))?;
        self.connection.peer.handle_timeout(now).map_err(|error| self.broken(&error))?;
        self.drain()?;
        self.handle_timeouts(now)
    }

    /// Has tracks come and go as they are wanted, and packets of ours leave in their time.
    fn reconcile_tracks(&mut self, now: Instant) -> Result<(), RtcError> {
        let connection = &mut self.connection;
        self.tracks.reconcile(now, &mut connection.peer);
        for leaving in self.tracks.due_packets(now, &connection.peer) {
            // What cannot be sent now is too late later.
            if connection.is_reachable {
                connection.peer.send_audio(leaving, now)?;
            }
        }
        if self.resuming.is_none() {
            for request in self.tracks.requests() {
                connection.ask(request);
            }
            if let Some(offer) = connection.peer.offer() {
                connection.ask(Request::Offer(offer));
            }
        }
        self.emit_track_events();
        Ok(())
    }

    fn emit_track_events(&mut self) {
        for event in self.tracks.events() {
            self.shared.emit(event);
        }
    }

    fn send(&mut self) -> Result<(), RtcError> {
        if self.resuming.is_some() {
            return Ok(());
        }
        while let Some(packet) = self.send_queue.next() {
            if !self.connection.peer.send(Channel::Reliable, &packet)? {
                break;
            }
            if let Some(done) = self.send_queue.took() {
                done(Ok(()));
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), ConnectionEnd> {
        loop {
            match self.connection.peer.poll().map_err(|error| self.broken(&error))? {
                PeerOutput::Transmit(transmit) => self.connection.network.send(&transmit),
                PeerOutput::Packet(channel, packet) => self.take_packet(channel, &packet),
                PeerOutput::Audio(sid, data) => self.take_audio(&sid, *data),
                PeerOutput::Open => self.open(),
                PeerOutput::Reachable(is_reachable) => self.set_reachable(is_reachable),
                PeerOutput::Closed => return Err(self.interrupted("the server closed the peer connection")),
                PeerOutput::Until(at) => {
                    self.connection.until = at;
                    return Ok(());
                }
            }
        }
    }

    /// When there is something to do though nothing comes.
    fn alarm(&self) -> Instant {
        let connection = &self.connection;
        let detour = (!connection.is_reachable && connection.has_detour())
            .then(|| self.detour_at())
            .filter(|at| *at > Instant::now());
        let widening = connection.widens().then(|| connection.began + WIDEN_AFTER);
        let silence =
            connection.silent_since.filter(|_| self.resuming.is_none()).map(|since| since + SILENCE);
        let answers = self.changes.values().map(|change| change.by);
        let tracks = self.tracks.next_at(&connection.peer);
        let others = detour.into_iter().chain(widening).chain(silence).chain(tracks).chain(self.open_by);
        answers.chain(others).fold(connection.until, Instant::min)
    }

    /// When TCP and TURN servers are to be tried, where nothing else has got through.
    fn detour_at(&self) -> Instant {
        let wait = if self.network_config.policy == IcePolicy::All { DETOUR_AFTER } else { Duration::ZERO };
        self.connection.began + wait
    }

    fn handle_timeouts(&mut self, now: Instant) -> Result<(), ConnectionEnd> {
        let is_time = now >= self.detour_at();
        let connection = &mut self.connection;
        if !connection.is_reachable && is_time && connection.has_detour() {
            connection.network.connect_tcp(std::mem::take(&mut connection.by_tcp));
            connection.network.connect_relays();
        }
        if connection.widens() && now >= connection.began + WIDEN_AFTER {
            connection.is_wide = true;
            for address in connection.network.widen() {
                connection.announce(address);
            }
        }
        if self.open_by.is_some_and(|by| by <= now) {
            self.open_by = None;
            let error = self.open_timed_out();
            return Err(if self.opened.is_some() {
                ConnectionEnd::Failed(error)
            } else {
                ConnectionEnd::Rejoin(None)
            });
        }
        if connection.silent_since.is_some_and(|since| since + SILENCE <= now) && self.resuming.is_none() {
            self.connection.silent_since = None;
            self.resume(proto::ReconnectReason::RrPublisherFailed);
        }
        for (_, change) in self.changes.extract_if(|_, change| change.by <= now) {
            let message = "the server did not make the change within 5 s";
            (change.done)(Err(Error::new(Code::Timeout, message)));
        }
        Ok(())
    }

    fn open_timed_out(&self) -> Failure {
        let connection = &self.connection;
        let within = humantime::format_duration(self.options.connect_timeout);
        let host = self.address.host();
        let failure = |code, found: String, advice: &str| Failure::new(Step::Media, code, found, advice);
        if self.network_config.policy == IcePolicy::Tcp && !connection.takes_tcp {
            let found = format!("{host} names no address for media by TCP");
            return failure(Code::Unsupported, found, "enable its tcp_port, or allow other ways");
        }
        if connection.is_reachable {
            let found = format!("{host} can be reached, but its data channels did not open within {within}");
            return failure(Code::Timeout, found, "look at the server's log");
        }
        if connection.candidates == 0 {
            let found = format!("{host} named no address for media within {within}");
            return failure(Code::Timeout, found, "look at its rtc settings (node_ip, port_range, tcp_port)");
        }
        let (tried, advice) = connection.tried(&self.address);
        let found = format!("no way to the media of {host} within {within}: {tried}");
        failure(Code::Timeout, found, &advice)
    }

    fn handle_arrival(&mut self, first: Arrival) -> Result<(), ConnectionEnd> {
        let mut next = Some(first);
        for _ in 0..BURST {
            match next {
                Some(Arrival::Datagram { proto, source, destination, size }) => {
                    let Connection { network, peer, .. } = &mut self.connection;
                    let received =
                        peer.receive(proto, source, destination, network.datagram(size), Instant::now());
                    received.map_err(|error| self.broken(&error))?;
                    self.drain()?;
                }
                Some(Arrival::Connected { local, server }) => self.connection.peer.add_tcp(local, server),
                Some(Arrival::Relayed(address)) => self.connection.peer.add_relay(address),
                Some(Arrival::NotRelayed(why)) => {
                    tracing::warn!(why, "a TURN server does not relay");
                    self.connection.not_relayed.push(why);
                }
                None => break,
            }
            next = self.connection.network.try_arrival();
        }
        Ok(())
    }

    /// Packets can be sent.
    fn open(&mut self) {
        self.open_by = None;
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Ok(()));
        }
        if std::mem::take(&mut self.rejoins) > 0 {
            self.is_interrupted = false;
            self.shared.emit(RoomEvent::Reconnected { fresh: true });
        }
    }

    fn set_reachable(&mut self, is_reachable: bool) {
        let connection = &mut self.connection;
        connection.is_reachable = is_reachable;
        if !is_reachable {
            connection.network.forget_routes();
        }
        // While it comes about, its own deadline counts.
        connection.silent_since = (!is_reachable && self.open_by.is_none()).then(Instant::now);
        if is_reachable && self.is_interrupted && self.resuming.is_none() && self.rejoins == 0 {
            self.is_interrupted = false;
            self.open_by = None;
            self.shared.emit(RoomEvent::Reconnected { fresh: false });
        }
    }

    fn take_packet(&mut self, channel: Channel, encoded: &[u8]) {
        let Ok(mut packet) = proto::DataPacket::decode(encoded) else {
            tracing::warn!(bytes = encoded.len(), "a packet that cannot be read was dropped");
            return;
        };
        if channel == Channel::Reliable && packet.sequence > 0 && !packet.participant_sid.is_empty() {
            let last = self.last_seen.entry(std::mem::take(&mut packet.participant_sid)).or_default();
            if packet.sequence <= *last {
                return;
            }
            *last = packet.sequence;
        }
        let from = std::mem::take(&mut packet.participant_identity);
        let Some(value) = packet.value else { return };
        let is_data = matches!(value, Value::User(_));
        self.shared.count(|shared| if is_data { &shared.data_packets } else { &shared.stream_packets });
        if let Some(Value::User(user)) = self.stream_router.take(&from, value) {
            self.shared.emit(RoomEvent::Data(Data {
                from,
                topic: user.topic.unwrap_or_default(),
                payload: user.payload.into(),
                reliable: channel == Channel::Reliable,
            }));
        }
    }

    fn take_audio(&self, sid: &str, data: MediaData) {
        self.shared.count(|shared| &shared.audio_packets);
        let packet = Packet {
            connection: self.connections,
            number: **data.seq_range.end(),
            time: data.time.rebase(Frequency::FORTY_EIGHT_KHZ).numer(),
            came: data.network_time,
            data: data.data,
        };
        self.tracks.take(sid, packet);
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Packet { channel: Channel::Reliable, packet, done } => {
                self.send_queue.push(*packet, done)
            }
            Command::Packet { channel: Channel::Lossy, mut packet, done } => {
                sender_of(&self.shared).sign(&mut packet);
                // Whether it was sent is nobody's business: it may be lost later as well.
                let _ = self.connection.peer.send(Channel::Lossy, &packet.encode_to_vec());
                done(Ok(()));
            }
            Command::Stream { packets, done } => {
                if let Some(done) = self.send_queue.push_stream(packets, done) {
                    done(Ok(()));
                }
            }
            Command::Describe { mut update, done } => {
                update.request_id = self.connection.signal.next_request_id();
                let change = PendingChange { update: update.clone(), by: Instant::now() + ANSWER, done };
                self.changes.insert(update.request_id, change);
                self.connection.ask(Request::UpdateMetadata(update));
            }
            Command::Publish { queue, done } => self.tracks.publish(queue, done, Instant::now()),
            Command::Unpublish { queue, done } => {
                self.tracks.unpublish(&queue, done, Instant::now(), &mut self.connection.peer);
            }
            Command::Subscribe { queue, publisher, track, done } => {
                self.tracks.subscribe(queue, *publisher, track, done, Instant::now());
            }
        }
    }

    async fn handle_signal_event(&mut self, event: Option<SignalEvent>) -> Result<(), ConnectionEnd> {
        match event {
            Some(SignalEvent::Message(message)) => self.handle_signal(*message),
            // Of a signal connection that was replaced meanwhile.
            Some(SignalEvent::Close(_))
                if self.resuming.is_some() || self.connection.signal.is_connected().await =>
            {
                Ok(())
            }
            Some(SignalEvent::Close(_)) if self.opened.is_none() => {
                self.resume(proto::ReconnectReason::RrSignalDisconnected);
                Ok(())
            }
            Some(SignalEvent::Close(why)) => Err(self.interrupted(&why)),
            None => Err(self.interrupted("the signal connection is gone")),
        }
    }

    fn handle_signal(&mut self, message: Response) -> Result<(), ConnectionEnd> {
        match message {
            Response::Answer(answer) => {
                self.connection.peer.take_answer(&answer).map_err(|error| self.broken(&error))?;
            }
            Response::Trickle(trickle) => self.connection.take_candidate(&trickle.candidate_init),
            Response::Update(update) => {
                let changes = self.shared.roster.update(&update.participants);
                self.emit_changes(changes);
            }
            Response::RoomUpdate(update) => {
                if let Some(room) = update.room {
                    self.shared.set_info(RoomInfo::new(&room));
                }
            }
            Response::TrackPublished(response) => {
                self.tracks.accepted(response, &mut self.connection.peer);
            }
            Response::TrackUnpublished(track) => {
                self.tracks.server_unpublished(&track.track_sid, &mut self.connection.peer);
            }
            Response::Mute(request) => self.tracks.muted(&request),
            Response::MediaSectionsRequirement(wanted) => {
                // We read no video, so the server sends none.
                self.connection.peer.request_media_lines(wanted.num_audios);
            }
            Response::SubscriptionResponse(answer) => {
                let sid = &answer.track_sid;
                let message =
                    format!("the server does not send the track {sid}: {}", answer.err().as_str_name());
                self.tracks.fail_subscription(sid, Error::new(Code::Unsupported, message));
            }
            Response::SubscriptionPermissionUpdate(update) if !update.allowed => {
                let sid = &update.track_sid;
                let message = format!("the publisher of the track {sid} does not permit its subscription");
                self.tracks.fail_subscription(sid, Error::new(Code::PermissionDenied, message));
            }
            Response::RequestResponse(answer) => self.handle_request_response(&answer),
            Response::Leave(leave) => return self.handle_leave(&leave),
            _ => {}
        }
        Ok(())
    }

    /// What the server says of a connection that broke: it closes the peer connection of one whom it sends away before it says so.
    async fn await_leave_reason(&mut self) -> ConnectionEnd {
        let word = async {
            while let Some(SignalEvent::Message(message)) = self.connection.events.recv().await {
                if let Response::Leave(leave) = *message {
                    return self.handle_leave(&leave).err();
                }
            }
            None
        };
        timeout(LEAVE_REASON, word).await.ok().flatten().unwrap_or(ConnectionEnd::Broken)
    }

    fn handle_request_response(&mut self, answer: &proto::RequestResponse) {
        use proto::request_response::{Reason, Request as Asked};
        if matches!(answer.reason(), Reason::Ok | Reason::Queued) {
            // The change itself may be told later; it is done then.
            return self.complete_changes();
        }
        if let Some(Asked::AddTrack(track)) = &answer.request {
            return self.tracks.refused(&track.cid, refused_track(answer));
        }
        let Some(PendingChange { done, .. }) = self.changes.remove(&answer.request_id) else { return };
        done(match answer.reason() {
            Reason::NotAllowed => Err(Error::new(
                Code::PermissionDenied,
                "the server does not allow the change; the token has to grant canUpdateOwnMetadata",
            )),
            reason => {
                let reason = reason.as_str_name();
                let message = format!("the server refused the change: {reason} {}", answer.message);
                Err(Error::new(Code::InvalidArgument, message.trim_end()))
            }
        });
    }

    fn handle_leave(&mut self, leave: &proto::LeaveRequest) -> Result<(), ConnectionEnd> {
        let other = leave.regions.as_ref().and_then(|regions| regions.regions.first());
        match leave.action() {
            Action::Resume => {
                self.resume(proto::ReconnectReason::RrSignalDisconnected);
                Ok(())
            }
            Action::Reconnect => Err(ConnectionEnd::Rejoin(other.map(|region| region.url.clone()))),
            Action::Disconnect => {
                Err(ConnectionEnd::Disconnected(Disconnected::new(DisconnectReason::from_wire(leave.reason))))
            }
        }
    }

    fn emit_changes(&mut self, changes: Changes) {
        for identity in &changes.gone {
            self.stream_router.abort(identity);
        }
        for event in changes.events {
            match &event {
                RoomEvent::ParticipantLeft { participant, .. } => {
                    self.last_seen.remove(&participant.sid);
                }
                RoomEvent::TrackUnpublished { track, .. } => {
                    let message = format!("the track {} is gone", track.sid);
                    self.tracks.fail_subscription(&track.sid, Error::new(Code::InvalidArgument, message));
                    self.emit_track_events();
                }
                _ => {}
            }
            self.shared.emit(event);
        }
        self.complete_changes();
    }

    /// Tells of the changes that were made.
    fn complete_changes(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let local = self.shared.roster.local();
        for (_, change) in self.changes.extract_if(|_, change| is_made(&change.update, &local)) {
            (change.done)(Ok(()));
        }
    }

    fn handle_joined(&mut self, response: &proto::JoinResponse) {
        let local = response.participant.clone().unwrap_or_default();
        if let Some(room) = &response.room {
            self.shared.set_info(RoomInfo::new(room));
        }
        let changes = self.shared.roster.reset(&local, &response.other_participants);
        self.emit_changes(changes);
    }

    /// The peer connection cannot go on.
    fn broken(&self, error: &RtcError) -> ConnectionEnd {
        self.interrupted(&format!("the peer connection failed: {error}"))
    }

    /// The connection broke: before it was whole that is the end, thereafter it is made anew.
    fn interrupted(&self, why: &str) -> ConnectionEnd {
        tracing::warn!(why, "the connection to the room broke");
        if self.opened.is_some() {
            let found = format!("the connection to {} broke while it was made: {why}", self.address.host());
            ConnectionEnd::Failed(Failure::new(Step::Media, Code::Io, found, ""))
        } else {
            ConnectionEnd::Broken
        }
    }

    /// Opens the signal connection again and goes on where it was; what the peer connection has goes on meanwhile.
    fn resume(&mut self, reason: proto::ReconnectReason) {
        if self.resuming.is_some() {
            return;
        }
        if !std::mem::replace(&mut self.is_interrupted, true) {
            self.shared.emit(RoomEvent::Reconnecting);
        }
        let signal = Arc::clone(&self.connection.signal);
        let connector = websocket::SignalConnector::new(Arc::clone(&self.network_config.dialer));
        self.resuming = Some(Box::pin(websocket::through(connector, async move {
            let mut last = SignalError::Closed;
            for pause in RETRIES {
                sleep(pause).await;
                match signal.restart(reason).await {
                    Ok(response) => return Ok(response),
                    // The server has spoken: to try again would not change it.
                    Err(error @ (SignalError::LeaveRequest { .. } | SignalError::Handshake { .. })) => {
                        return Err(error);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })));
    }

    fn handle_resumed(
        &mut self,
        outcome: Result<proto::ReconnectResponse, SignalError>,
    ) -> Result<(), ConnectionEnd> {
        let response = match outcome {
            Ok(response) => response,
            Err(SignalError::LeaveRequest { reason, action: Action::Disconnect }) => {
                return Err(ConnectionEnd::Disconnected(Disconnected::new(DisconnectReason::from_wire(
                    reason as i32,
                ))));
            }
            Err(error) => {
                // What the server says of a token shows it.
                let error = Secret::new(self.connection.signal.token()).hidden_in(&error.to_string());
                tracing::warn!(error, "the stay in the room cannot go on; joining anew");
                return Err(ConnectionEnd::Rejoin(None));
            }
        };
        let connection = &mut self.connection;
        let (offer, answer) = connection.peer.descriptions();
        let channel = |label: &str, id| proto::DataChannelInfo {
            label: label.to_owned(),
            id,
            target: proto::SignalTarget::Publisher as i32,
        };
        connection.ask(Request::SyncState(proto::SyncState {
            offer: Some(offer),
            answer: Some(answer),
            subscription: Some(proto::UpdateSubscription {
                subscribe: true,
                track_sids: self.tracks.sids(),
                ..Default::default()
            }),
            publish_tracks: self.tracks.publications(),
            data_channels: vec![channel("_reliable", 0), channel("_lossy", 1)],
            datachannel_receive_states: self
                .last_seen
                .iter()
                .map(|(sid, last)| proto::DataChannelReceiveState {
                    publisher_sid: sid.clone(),
                    last_seq: *last,
                })
                .collect(),
            ..Default::default()
        }));
        connection.is_reachable = false;
        connection.is_wide = false;
        connection.began = Instant::now();
        connection.network.use_relays(RelayServer::read(&response.ice_servers));
        if let Some(offer) = connection.peer.restart_ice() {
            connection.ask(Request::Offer(offer));
        }
        let signal = Arc::clone(&connection.signal);
        tokio::spawn(async move { signal.set_reconnected().await });
        self.send_queue.resume(response.last_message_seq);
        self.open_by = Some(Instant::now() + RESUME);
        Ok(())
    }

    /// Joins anew, as another stay in the room.
    async fn rejoin(&mut self, other: Option<String>) -> Result<(), Disconnected> {
        if !std::mem::replace(&mut self.is_interrupted, true) {
            self.shared.emit(RoomEvent::Reconnecting);
        }
        self.resuming = None;
        self.open_by = None;
        self.stream_router.abort_all();
        if let Some(url) = other {
            self.address = Address::parse(&url).unwrap_or_else(|_| self.address.clone());
            self.network_config.is_local = self.address.is_loopback();
        }
        let shared = Arc::clone(&self.shared);
        let token = Secret::new(self.connection.signal.token());
        let signal = Arc::clone(&self.connection.signal);
        // It may be stuck; the server learns of the end by itself.
        let _ = timeout(GOODBYE, signal.close()).await;
        let mut why = "its media cannot be reached".to_owned();
        self.rejoins += 1;
        for pause in RETRIES.into_iter().skip(self.rejoins - 1) {
            let attempt = async {
                sleep(pause).await;
                Connection::join(&self.address, &token, &self.network_config, self.options.connect_timeout)
                    .await
            };
            let joined = tokio::select! {
                () = shared.stopped() => return Err(Disconnected::new(DisconnectReason::ClientInitiated)),
                joined = attempt => joined,
            };
            match joined {
                Ok((connection, response)) => {
                    self.connection = connection;
                    self.connections += 1;
                    for broken in self.send_queue.restart(sender(&response)) {
                        broken(Err(Error::new(
                            Code::Io,
                            "the connection was made anew before it was sent; send it again",
                        )));
                    }
                    self.last_seen.clear();
                    self.open_by = Some(Instant::now() + self.options.connect_timeout);
                    self.handle_joined(&response);
                    self.tracks.restart();
                    return Ok(());
                }
                Err(failure) => why = failure.found,
            }
        }
        Err(Disconnected {
            reason: DisconnectReason::ConnectionLost,
            message: format!(
                "disconnected from the room: the connection broke and could not be made anew: {why}"
            ),
        })
    }

    /// Waits until what was sent has arrived, and says goodbye.
    async fn leave(&mut self) {
        let until = Instant::now() + LEAVE;
        if self.opened.is_none() && self.connection.is_reachable {
            while (!self.send_queue.is_empty() || self.connection.peer.unconfirmed() > 0)
                && Instant::now() < until
            {
                if self.advance().is_err() {
                    break;
                }
                let alarm = self.alarm().min(until);
                let step = tokio::select! {
                    arrival = self.connection.network.arrival() => self.handle_arrival(arrival),
                    () = sleep_until(alarm.into()) => Ok(()),
                };
                if step.is_err() {
                    break;
                }
            }
        }
        let signal = &self.connection.signal;
        let goodbye = async {
            signal
                .send(Request::Leave(proto::LeaveRequest {
                    reason: proto::DisconnectReason::ClientInitiated as i32,
                    action: Action::Disconnect as i32,
                    ..Default::default()
                }))
                .await;
            signal.close().await;
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

impl Drop for Client {
    /// However the task ends, nobody waits for it forever.
    fn drop(&mut self) {
        self.shared.end(Disconnected::new(DisconnectReason::Unknown));
    }
}

impl Connection {
    async fn join(
        address: &Address,
        token: &Secret,
        network_config: &NetworkConfig,
        connect_timeout: Duration,
    ) -> Result<(Self, proto::JoinResponse), Failure> {
        let began = Instant::now();
        let mut network = Network::open(network_config.clone()).await.map_err(|error| {
            let found = format!("no UDP socket can be opened: {error}");
            Failure::new(Step::Media, Code::Io, found, "see that this machine has a network")
        })?;
        let (peer, offer) = Peer::new(&network.addresses(), began);
        let dialer = Arc::clone(&network_config.dialer);
        let joined = signal::join(dialer, address, token, offer, connect_timeout).await?;
        let signal::Joined { client, response, events, local } = joined;
        let relays = RelayServer::read(&response.ice_servers);
        if network_config.policy == IcePolicy::Relay && relays.is_empty() {
            client.close().await;
            let found = format!("{} names no TURN server", address.host());
            return Err(Failure::new(
                Step::Media,
                Code::Unsupported,
                found,
                "enable its turn, or allow other ways",
            ));
        }
        network.use_relays(relays);
        let signal = Arc::new(client);
        let (requests, mut to_send) = mpsc::unbounded_channel();
        let writer = Arc::clone(&signal);
        tokio::spawn(async move {
            while let Some(request) = to_send.recv().await {
                writer.send(request).await;
            }
        });
        let connection = Self {
            signal,
            events,
            requests,
            peer,
            network,
            until: began,
            is_reachable: false,
            silent_since: None,
            by_tcp: Vec::new(),
            takes_tcp: false,
            candidates: 0,
            named_candidates: 0,
            is_wide: false,
            not_relayed: Vec::new(),
            began,
        };
        if let Some(address) = local.and_then(|ip| connection.network.also_at(ip)) {
            connection.announce(address);
        }
        Ok((connection, response))
    }

    fn ask(&self, request: Request) {
        // It fails only when the runtime ends.
        let _ = self.requests.send(request);
    }

    fn take_candidate(&mut self, init: &str) {
        #[derive(serde::Deserialize)]
        struct Init {
            candidate: String,
        }
        let Ok(Init { candidate }) = serde_json::from_str(init) else { return };
        self.candidates += 1;
        if candidate.split_ascii_whitespace().nth(4).is_some_and(|address| address.ends_with(".local")) {
            self.named_candidates += 1;
        }
        if let Some((server, by_tcp)) = self.peer.add_remote(&candidate) {
            if !by_tcp {
                self.network.add_peer(server);
                return;
            }
            self.takes_tcp = true;
            match self.network.tcp_to(server) {
                Some(local) => self.peer.add_tcp(local, server),
                None => self.by_tcp.push(server),
            }
        }
    }

    /// Says to the server that we are at this address, too.
    fn announce(&self, address: std::net::SocketAddr) {
        let Ok(candidate) = Candidate::host(address, Protocol::Udp) else { return };
        let init = serde_json::json!({
            "candidate": candidate.to_sdp_string(), "sdpMid": "0", "sdpMLineIndex": 0,
        });
        self.ask(Request::Trickle(proto::TrickleRequest {
            candidate_init: init.to_string(),
            target: proto::SignalTarget::Publisher as i32,
            ..Default::default()
        }));
    }

    /// Whether checks are to leave by all interfaces once they have gone by the system's routes for a while.
    const fn widens(&self) -> bool {
        !self.is_reachable && !self.is_wide
    }

    /// What was tried to reach the server's media, and what is to be done about what became of it.
    fn tried(&self, address: &Address) -> (String, String) {
        let network = &self.network;
        let (by_udp, by_tcp) =
            (self.peer.remote_addresses(Protocol::Udp), self.peer.remote_addresses(Protocol::Tcp));
        let mut tried = Vec::new();
        let ours: Vec<String> = network.sent_from().iter().map(ToString::to_string).collect();
        if !by_udp.is_empty() && !ours.is_empty() {
            let from = listed_of(&ours);
            tried.push(format!("by UDP from {from} to {}: no answer", listed(&by_udp)));
        }
        let unsent = network.unsent();
        if !unsent.is_empty() {
            let why = unsent.iter().map(|(at, why)| format!("{at}: {why}")).collect::<Vec<_>>();
            tried.push(format!("this machine sends nothing to {}", listed_of(&why)));
        }
        if !by_tcp.is_empty() {
            let failed = network.failed_connects();
            let said = by_tcp.iter().map(|at| match failed.iter().find(|(failed, _)| failed == at) {
                Some((_, error)) => format!("{at}: {error}"),
                None if self.by_tcp.contains(at) => format!("{at}: not tried"),
                None => format!("{at}: no answer"),
            });
            tried.push(format!("by TCP to {}", listed_of(&said.collect::<Vec<_>>())));
        }
        if self.named_candidates > 0 {
            let count = self.named_candidates;
            tried.push(format!("{count} of its addresses are names of its own network (mDNS)"));
        }
        let reasons: Vec<String> = self.not_relayed.iter().cloned().chain(network.waiting_relays()).collect();
        if !reasons.is_empty() {
            tried.push(format!("no TURN server relays: {}", listed_of(&reasons)));
        }
        if tried.is_empty() {
            tried.push(format!("none of the {} addresses that it named can be used", self.candidates));
        }
        let all: Vec<std::net::SocketAddr> = by_udp.iter().chain(&by_tcp).copied().collect();
        (tried.join(". "), advice_about(&all, unsent, network.failed_connects(), address))
    }

    /// Whether there are ways that were not tried yet.
    fn has_detour(&self) -> bool {
        !self.by_tcp.is_empty() || self.network.has_more_relays()
    }
}

/// What to do where no address of the server's media was reached, by what is seen of these.
fn advice_about(
    all: &[std::net::SocketAddr],
    unsent: &[(std::net::SocketAddr, std::io::ErrorKind)],
    failed_calls: &[(std::net::SocketAddr, std::io::Error)],
    server: &Address,
) -> String {
    use std::io::ErrorKind;
    let is_private = |at: &std::net::SocketAddr| match at.ip() {
        std::net::IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    };
    if !all.is_empty() && unsent.len() >= all.len() {
        if unsent.iter().all(|(_, why)| *why == ErrorKind::PermissionDenied) {
            return "a rule of this machine's own firewall forbids it; allow UDP out to these addresses"
                .to_owned();
        }
        return "this machine has no route there: connect to the server's network (a VPN?), or have the server name addresses that can be reached from here (rtc.node_ip, rtc.use_external_ip)".to_owned();
    }
    if !all.is_empty() && all.iter().all(is_private) && !server.is_loopback() {
        return "all addresses that the server names are of a private network: if this machine is not in it, set rtc.use_external_ip or rtc.node_ip on the server, or enable its turn".to_owned();
    }
    if !failed_calls.is_empty()
        && failed_calls.iter().all(|(_, why)| why.kind() == ErrorKind::ConnectionRefused)
    {
        return "at the addresses that the server names its ports are closed: check that they are its own (rtc.node_ip), and its rtc settings".to_owned();
    }
    "either the server is not at the addresses that it names (rtc.node_ip, rtc.use_external_ip), or something between here and there drops what is sent; where UDP cannot pass, enable the server's tcp_port or its turn".to_owned()
}

/// Lists texts, the first of many.
fn listed_of(texts: &[String]) -> String {
    const LISTED: usize = 8;
    let more = texts.len().saturating_sub(LISTED);
    let shown = texts.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Whether the local participant is as it was to become. What an update leaves empty, it leaves as it is.
fn is_made(update: &proto::UpdateParticipantMetadata, local: &Participant) -> bool {
    let current = |name: &String| local.attributes.get(name).map_or("", String::as_str);
    (update.metadata.is_empty() || update.metadata == local.metadata)
        && update.attributes.iter().all(|(name, value)| value == current(name))
}

fn refused_track(answer: &proto::RequestResponse) -> Error {
    use proto::request_response::Reason;
    match answer.reason() {
        Reason::NotAllowed => Error::new(
            Code::PermissionDenied,
            "the server does not allow the track; the token has to grant canPublish, and its source if it names sources",
        ),
        reason => {
            let reason = reason.as_str_name();
            let message = format!("the server refused the track: {reason} {}", answer.message);
            Error::new(Code::InvalidArgument, message.trim_end())
        }
    }
}

fn sender(response: &proto::JoinResponse) -> Sender {
    let participant = response.participant.clone().unwrap_or_default();
    Sender { identity: participant.identity, sid: participant.sid }
}

fn sender_of(shared: &Shared) -> Sender {
    let local = shared.roster.local();
    Sender { identity: local.identity, sid: local.sid }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::{Error as IoError, ErrorKind};
    use std::net::SocketAddr;

    use super::*;

    /// What was seen of the server's addresses, and what follows from it.
    #[test]
    fn advice_about_unreached_media_follows_from_what_was_seen() {
        let (public, private) = ("203.0.113.7:50000", "10.0.0.7:50000");
        let (public_v6, private_v6) = ("[2001:db8::7]:50000", "[fd00::7]:50000");
        let (elsewhere, here) = ("wss://livekit.test", "ws://127.0.0.1:7880");
        let none: &[(&str, ErrorKind)] = &[];
        let unreachable = ErrorKind::NetworkUnreachable;
        for (server, all, unsent, failed, advice) in [
            (elsewhere, &[public_v6][..], &[(public_v6, unreachable)][..], none, "no route"),
            (elsewhere, &[public], &[(public, ErrorKind::PermissionDenied)], none, "own firewall"),
            (elsewhere, &[public, public_v6], &[(public_v6, unreachable)], none, "drops what is sent"),
            (elsewhere, &[private, private_v6], none, none, "of a private network"),
            (here, &[private], none, none, "drops what is sent"),
            (elsewhere, &[public, private], none, none, "drops what is sent"),
            (elsewhere, &[public], none, &[(public, ErrorKind::ConnectionRefused)], "closed"),
            (elsewhere, &[public], none, &[(public, ErrorKind::TimedOut)], "drops what is sent"),
            (elsewhere, &[], none, none, "drops what is sent"),
        ] {
            let at = |text: &str| text.parse::<SocketAddr>().unwrap();
            let all: Vec<SocketAddr> = all.iter().map(|text| at(text)).collect();
            let unsent: Vec<_> = unsent.iter().map(|(text, why)| (at(text), *why)).collect();
            let failed: Vec<_> = failed.iter().map(|(text, why)| (at(text), IoError::from(*why))).collect();
            let found = advice_about(&all, &unsent, &failed, &Address::parse(server).unwrap());
            assert!(found.contains(advice), "{all:?} {unsent:?} {failed:?}: {found}");
        }
    }
}
