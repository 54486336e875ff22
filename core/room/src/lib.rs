#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | what it is for |
//! |---|---|
//! | `client` | the task that owns a room's connection: sockets, clock, signal messages, reconnects |
//! | `peer` | the peer connection without IO: ICE, DTLS, SCTP, data channels |
//! | `network` | the sockets: UDP by all interfaces, TCP to the server, TURN servers |
//! | `socket`, `pipe`, `relay` | one UDP socket, one byte stream, one TURN server |
//! | `dial`, `proxies`, `websocket` | TCP and TLS to a name, through a proxy or not, and the signal connection over that |
//! | `failure` | why a room cannot be reached: the step, what was found, the way out |
//! | `impairment` | a bad network, for tests (feature `test-support`) |
//! | `signal` | how a room is joined, and what it means when that fails |
//! | `reliable_send_queue` | packets to send: numbered, fair among streams, kept for resends |
//! | `streams` | byte and text streams that come in, bounded |
//! | `tracks` | which audio tracks are published and read, and what that takes |
//! | `audio`, `opus` | such a track as others hold it; its packets |
//! | `participant`, `event` | who is in the room, and what happens there |
//! | `transport` | what a session needs of a room, whoever carries it |
//! | `calls` | a room for a host language |

#![forbid(unsafe_code)]

mod audio;
mod calls;
mod client;
mod dial;
mod event;
mod failure;
#[cfg(feature = "test-support")]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "test-support")]
mod impairment;
mod network;
mod opus;
mod participant;
mod peer;
mod pipe;
mod proxies;
mod relay;
mod reliable_send_queue;
mod signal;
mod socket;
mod streams;
mod token;
mod tracks;
mod transport;
mod websocket;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use livekit_data_stream::api::{SendByteOptions, SendError, SendTextOptions, StreamError};
use livekit_data_stream::backend::outgoing;
use livekit_protocol as proto;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, broadcast, mpsc, oneshot, watch};

pub use greenroom_audio::{Format, Frame};
pub use greenroom_protocol::{Code, Error, Limits, Secret};

pub use self::audio::{AudioStream, AudioTrackOptions, LocalAudioTrack};
pub use self::calls::{RoomAnswer, RoomCall, RoomCalls};
use self::client::{Client, Command, Sent};
use self::dial::certificates;
pub use self::dial::{Dialer, Duplex, Opened, Proxy, Route, Stream, read_ca};
pub use self::event::{Data, DisconnectReason, Disconnected, RoomEvent};
pub use self::failure::{Deadline, Failure, Step};
#[cfg(feature = "test-support")]
pub use self::impairment::Impairment;
pub use self::network::{CandidateType, IcePolicy, Path};
use self::participant::Roster;
pub use self::participant::{Participant, ParticipantKind, Permissions, Track, TrackKind, TrackSource};
use self::peer::{Channel, PACKET};
pub use self::signal::{Address, probe_signal};
pub use self::streams::{IncomingStream, IncomingStreams, StreamInfo};
pub use self::token::{token_claims, token_time};
pub use self::transport::{Closer, Feed, Listener, Topics, Transport, carry};

/// Events that are kept for a reader that is behind.
const EVENTS: usize = 512;
/// Commands that may wait for the room's task.
const COMMANDS: usize = 64;
/// From this size on a stream waits until there is room for it among the others that are being sent.
const LARGE: usize = 1 << 20;

/// How to join a room.
#[derive(Clone)]
#[non_exhaustive]
pub struct RoomOptions {
    /// The server: `wss://…`, `ws://…`, `https://…` or `http://…`.
    pub url: String,
    /// The access token, which names the room and our identity.
    pub token: Secret,
    /// How long each step may take: the signal connection, and from there until packets can be sent. 15 s.
    pub connect_timeout: Duration,
    /// What may come in. Of the bounds, those of streams count here.
    pub limits: Limits,
    /// Certificates, in PEM, of the authorities to trust instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Through which HTTP proxy the server is reached.
    pub proxy: Proxy,
    /// Which ways the media may take.
    pub ice_policy: IcePolicy,
    /// Degrades the network, for tests.
    #[cfg(feature = "test-support")]
    pub impairment: Option<Impairment>,
}

impl RoomOptions {
    /// The usual way into the room that the token names.
    pub fn new(url: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            connect_timeout: Duration::from_secs(15),
            limits: Limits::default(),
            ca: None,
            proxy: Proxy::default(),
            ice_policy: IcePolicy::default(),
            #[cfg(feature = "test-support")]
            impairment: None,
        }
    }

    /// The same by another way to the server, as host languages give it: `ca` is PEM, or the name of a file of it, and `proxy` a
    /// [url](Proxy::parse). What is not given is as the environment has it.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`], which names what cannot be used.
    pub fn reached_by(mut self, ca: Option<&Secret>, proxy: Option<&Secret>) -> Result<Self, Error> {
        if let Some(ca) = ca {
            self.ca = Some(certificates(ca.reveal())?);
        }
        if let Some(proxy) = proxy {
            self.proxy = Proxy::parse(proxy.reveal())?;
        }
        Ok(self)
    }
}

impl std::fmt::Debug for RoomOptions {
    /// Without the token, and without what a url may hold beside the server.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = Address::parse(&self.url).map_or_else(|_| "…".to_owned(), |address| address.host());
        f.debug_struct("RoomOptions").field("server", &server).finish_non_exhaustive()
    }
}

/// A room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomInfo {
    /// The server's id of it.
    pub sid: String,
    /// Its name.
    pub name: String,
    /// What its owner says about it.
    pub metadata: String,
}

impl RoomInfo {
    fn new(room: &proto::Room) -> Self {
        Self { sid: room.sid.clone(), name: room.name.clone(), metadata: room.metadata.clone() }
    }
}

/// What a room's connection has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomCounts {
    /// Data packets that came in.
    pub data_packets: u64,
    /// Packets of streams that came in, wanted or not.
    pub stream_packets: u64,
    /// Packets of audio tracks that came in.
    pub audio_packets: u64,
    /// Datagrams that [`RoomOptions::impairment`] lost, delayed or reordered.
    #[cfg(feature = "test-support")]
    pub impaired: u64,
}

/// How to send a stream.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SendOptions {
    /// What it is about.
    pub topic: String,
    /// To whom, by identity; to everybody if there is nobody.
    pub to: Vec<String>,
    /// The name of a byte stream, such as of a file.
    pub name: Option<String>,
    /// What the bytes of a byte stream are.
    pub mime_type: Option<String>,
    /// What is told beside it.
    pub attributes: BTreeMap<String, String>,
    /// Whether it may be compressed, where all recipients can read that.
    pub compress: bool,
}

impl SendOptions {
    /// To everybody, compressed where it can be.
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), compress: true, ..Self::default() }
    }

    /// To these participants alone.
    #[must_use]
    pub fn to(mut self, identities: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.to = identities.into_iter().map(Into::into).collect();
        self
    }
}

/// A room that was joined. Clones are of the same stay; when the last is gone, the room is left.
#[derive(Clone)]
pub struct Room {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    outgoing: outgoing::Manager,
    /// In KiB, what large streams may take in memory that are being sent.
    large: Arc<Semaphore>,
    limits: Limits,
}

/// What the task of a room and its handles share.
pub(crate) struct Shared {
    roster: Roster,
    topics: Arc<Topics>,
    info: Mutex<RoomInfo>,
    events: broadcast::Sender<RoomEvent>,
    stop: watch::Sender<bool>,
    /// Rung when the task should look after the tracks.
    tracks_changed: Arc<Notify>,
    ended: watch::Sender<Option<Disconnected>>,
    data_packets: AtomicU64,
    stream_packets: AtomicU64,
    audio_packets: AtomicU64,
    #[cfg(feature = "test-support")]
    impaired: Arc<AtomicU64>,
    path: Arc<Mutex<Option<Path>>>,
}

impl Room {
    /// Joins a room, and waits until data can be sent. The room has a thread of its own, which ends with it. Dropping the future gives up.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a url or token that is none, [`Code::PermissionDenied`] if the server refuses the token,
    /// [`Code::Unsupported`] if it is too old, [`Code::Timeout`] and [`Code::Io`] if it cannot be reached; each says at which step.
    pub async fn connect(options: RoomOptions) -> Result<(Self, RoomEvents), Error> {
        Ok(Self::try_connect(options).await?)
    }

    /// The same as [`connect`](Self::connect), with the step that failed told apart from what to do about it.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub async fn try_connect(options: RoomOptions) -> Result<(Self, RoomEvents), Failure> {
        let failed = |error| Failure::of(Step::Options, error);
        let (sender, receiver) = oneshot::channel();
        std::thread::Builder::new()
            .name("greenroom-room".to_owned())
            .spawn(move || run_thread(options, sender))
            .map_err(|error| {
                failed(Error::new(Code::Io, format!("no thread can be started for the room: {error}")))
            })?;
        receiver.await.unwrap_or_else(|_| {
            let message = "the room's thread ended unexpectedly; please report it";
            Err(failed(Error::new(Code::Internal, message)))
        })
    }

    /// Joins a room on the current runtime, which has to outlive it.
    pub(crate) async fn open(
        options: RoomOptions,
        shared: Arc<Shared>,
    ) -> Result<(Self, RoomEvents), Failure> {
        let reader = shared.events.subscribe();
        let limits = options.limits.clone();
        let client = Client::join(Arc::clone(&shared), options).await?;
        let (commands, to_client) = mpsc::channel(COMMANDS);
        let (manager, mut batches) = outgoing::Manager::new();
        let large = Arc::new(Semaphore::new(limits.stream_bytes >> 10));
        let room = Self { shared, commands: commands.clone(), outgoing: manager, large, limits };
        // Gives up if this future is dropped.
        let guard = StopOnDrop(Some(Arc::clone(&room.shared)));
        // It ends when the last handle is gone, which has the other end of the batches.
        tokio::spawn(async move {
            while let Ok((packets, responder)) = batches.recv().await {
                let done: Sent = Box::new(move |sent| drop(responder.respond(sent.map_err(|_| SendError))));
                if commands.send(Command::Stream { packets, done }).await.is_err() {
                    return;
                }
            }
        });
        let (opened, is_open) = oneshot::channel();
        tokio::spawn(client.run(to_client, opened));
        let lost = || {
            let message = "the room's task ended unexpectedly; please report it";
            Failure::of(Step::Media, Error::new(Code::Internal, message))
        };
        is_open.await.map_err(|_| lost())??;
        guard.disarm();
        let events = RoomEvents { reader, shared: Arc::clone(&room.shared), has_ended: false };
        Ok((room, events))
    }

    /// The room.
    pub fn info(&self) -> RoomInfo {
        lock(&self.shared.info).clone()
    }

    /// The local participant.
    pub fn local(&self) -> Participant {
        self.shared.roster.local()
    }

    /// The others, by identity.
    pub fn participants(&self) -> Vec<Participant> {
        self.shared.roster.remote()
    }

    /// The other of this identity.
    pub fn participant(&self, identity: &str) -> Option<Participant> {
        self.shared.roster.get(identity)
    }

    /// What happens from now on.
    pub fn events(&self) -> RoomEvents {
        RoomEvents {
            reader: self.shared.events.subscribe(),
            shared: Arc::clone(&self.shared),
            has_ended: false,
        }
    }

    /// What the connection has counted.
    pub fn counts(&self) -> RoomCounts {
        RoomCounts {
            data_packets: self.shared.data_packets.load(Ordering::Relaxed),
            stream_packets: self.shared.stream_packets.load(Ordering::Relaxed),
            audio_packets: self.shared.audio_packets.load(Ordering::Relaxed),
            #[cfg(feature = "test-support")]
            impaired: self.shared.impaired.load(Ordering::Relaxed),
        }
    }

    /// How what we send gets to the server's media.
    pub fn path(&self) -> Option<Path> {
        *lock(&self.shared.path)
    }

    /// Why the room was left, once it was.
    pub fn disconnected(&self) -> Option<Disconnected> {
        self.shared.ended.borrow().clone()
    }

    /// Sends a data packet, to these identities or to everybody if there are none; back when it has left.
    ///
    /// # Errors
    /// [`Code::TooLarge`] above about 63 kB, [`Code::PermissionDenied`] without `can_publish_data`, and why the room was left.
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        to: &[&str],
        reliable: bool,
    ) -> Result<(), Error> {
        self.may_publish_data()?;
        let user = proto::UserPacket {
            payload: payload.into().into(),
            topic: Some(topic.to_owned()),
            ..Default::default()
        };
        let packet = proto::DataPacket {
            destination_identities: to.iter().map(|identity| (*identity).to_owned()).collect(),
            value: Some(proto::data_packet::Value::User(user)),
            ..Default::default()
        };
        // Room for the sender's identity, its sid and the number.
        let size = prost::Message::encoded_len(&packet) + self.local().identity.len() + 64;
        if size > PACKET {
            let message = format!(
                "a data packet of {size} bytes is over the {PACKET} that LiveKit takes; send a byte stream"
            );
            return Err(Error::new(Code::TooLarge, message));
        }
        let channel = if reliable { Channel::Reliable } else { Channel::Lossy };
        self.ask(|done| Command::Packet { channel, packet: Box::new(packet), done }).await
    }

    /// Sends bytes as one stream, whose id it gives; back when all has left, which is not yet when it has arrived.
    ///
    /// # Errors
    /// [`Code::TooLarge`] above 64 MiB, [`Code::PermissionDenied`] without `can_publish_data`, and why the room was left.
    pub async fn send_bytes(&self, data: impl AsRef<[u8]>, options: SendOptions) -> Result<String, Error> {
        let _place = self.place_for(data.as_ref().len()).await?;
        let mut wanted = SendByteOptions::new_with_topic(options.topic)
            .with_attributes(options.attributes.into_iter().collect())
            .with_destination_identities(options.to.into_iter().map(Into::into).collect())
            .with_compress(options.compress);
        wanted.name = options.name;
        wanted.mime_type = options.mime_type;
        tokio::select! {
            biased;
            sent = self.outgoing.send_bytes(data, wanted, &self.shared.roster) => {
                sent.map(|info| info.id).map_err(|error| self.not_sent(&error))
            }
            gone = self.gone() => Err(gone),
        }
    }

    /// Sends text as one stream, whose id it gives; back when all has left, which is not yet when it has arrived.
    ///
    /// # Errors
    /// As [`send_bytes`](Self::send_bytes).
    pub async fn send_text(&self, text: &str, options: SendOptions) -> Result<String, Error> {
        let _place = self.place_for(text.len()).await?;
        let wanted = SendTextOptions::new_with_topic(options.topic)
            .with_attributes(options.attributes.into_iter().collect())
            .with_destination_identities(options.to.into_iter().map(Into::into).collect())
            .with_compress(options.compress);
        tokio::select! {
            biased;
            sent = self.outgoing.send_text(text, wanted, &self.shared.roster) => {
                sent.map(|info| info.id).map_err(|error| self.not_sent(&error))
            }
            gone = self.gone() => Err(gone),
        }
    }

    /// From now on the streams of a topic come in here. Those that begin before are dropped.
    ///
    /// # Errors
    /// When they come in elsewhere already.
    pub fn receive(&self, topic: &str) -> Result<IncomingStreams, Error> {
        IncomingStreams::listen(&self.shared.topics, topic, &self.limits)
    }

    /// Publishes audio; back when it can be given. It can be taken back, and is when the room is left.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`] without `can_publish`, [`Code::Timeout`] if the server does not take it, and why the room was left.
    pub async fn publish_audio(&self, options: AudioTrackOptions) -> Result<LocalAudioTrack, Error> {
        self.check_permission("canPublish", |permissions| permissions.can_publish)?;
        let track = LocalAudioTrack::new(self.clone(), options)?;
        let queue = Arc::clone(track.queue());
        self.ask(|done| Command::Publish { queue, done }).await?;
        Ok(track)
    }

    /// Reads the audio track of this sid, which another participant publishes, at 48000, 24000, 16000, 12000 or 8000 Hz; back when it comes in.
    /// A track that nobody asks for is not sent to us.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] where there is no such track, or it is read already; [`Code::PermissionDenied`] without `can_subscribe`,
    /// [`Code::Timeout`] if the server does not give it, and why the room was left.
    pub async fn subscribe(&self, sid: &str, rate: u32) -> Result<AudioStream, Error> {
        self.check_permission("canSubscribe", |permissions| permissions.can_subscribe)?;
        let found = self.shared.roster.track(sid).filter(|(_, track)| track.kind == TrackKind::Audio);
        let Some((publisher, track)) = found else {
            let message = format!(
                "no other participant publishes an audio track {sid:?}; look at the participants' tracks"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        };
        let stream = AudioStream::new(self, publisher.identity.clone(), track.clone(), rate)?;
        let (queue, publisher) = (Arc::clone(stream.queue()), Box::new(publisher));
        self.ask(|done| Command::Subscribe { queue, publisher, track, done }).await?;
        Ok(stream)
    }

    /// Changes attributes of the local participant; an empty value removes one.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`] without `can_update_metadata`, [`Code::Timeout`] if the server does not answer.
    pub async fn set_attributes(
        &self,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), Error> {
        let attributes = attributes.into_iter().collect();
        self.describe(proto::UpdateParticipantMetadata { attributes, ..Default::default() }).await
    }

    /// Changes the metadata of the local participant. The server takes none that are empty.
    ///
    /// # Errors
    /// As [`set_attributes`](Self::set_attributes), and [`Code::InvalidArgument`] for empty metadata.
    pub async fn set_metadata(&self, metadata: &str) -> Result<(), Error> {
        if metadata.is_empty() {
            let message =
                "the server takes no empty metadata; set what says that there is nothing, such as {}";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let metadata = metadata.to_owned();
        self.describe(proto::UpdateParticipantMetadata { metadata, ..Default::default() }).await
    }

    /// Leaves the room, after what was sent has arrived or 3 s have passed. May be called again.
    pub async fn disconnect(&self) {
        self.shared.stop.send_replace(true);
        self.shared.ended().await;
    }

    async fn describe(&self, update: proto::UpdateParticipantMetadata) -> Result<(), Error> {
        self.ask(|done| Command::Describe { update, done }).await
    }

    async fn ask(&self, command: impl FnOnce(Sent) -> Command) -> Result<(), Error> {
        let (sender, receiver) = oneshot::channel();
        let done: Sent = Box::new(move |outcome| drop(sender.send(outcome)));
        if self.commands.send(command(done)).await.is_err() {
            return Err(self.gone().await);
        }
        // What is sent while the room ends may never be looked at.
        tokio::select! {
            biased;
            Ok(outcome) = receiver => outcome,
            gone = self.gone() => Err(gone),
        }
    }

    /// Why the room is left.
    async fn gone(&self) -> Error {
        self.shared.ended().await.error()
    }

    fn may_publish_data(&self) -> Result<(), Error> {
        self.check_permission("canPublishData", |permissions| permissions.can_publish_data)
    }

    /// What the server drops silently is refused here.
    fn check_permission(&self, grant: &str, has: impl Fn(Permissions) -> bool) -> Result<(), Error> {
        if let Some(disconnected) = self.disconnected() {
            return Err(disconnected.error());
        }
        if self.local().permissions.is_some_and(|permissions| !has(permissions)) {
            let message =
                format!("the token does not grant {grant}, without which the server does not pass it on");
            return Err(Error::new(Code::PermissionDenied, message));
        }
        Ok(())
    }

    /// Waits until a stream of so many bytes may be sent.
    async fn place_for(&self, size: usize) -> Result<Option<SemaphorePermit<'_>>, Error> {
        let most = self.limits.stream_bytes;
        if size > most {
            let message = format!(
                "a stream of {size} bytes is over the {most} that are sent at once; send it in parts"
            );
            return Err(Error::new(Code::TooLarge, message));
        }
        self.may_publish_data()?;
        if size < LARGE {
            return Ok(None);
        }
        let kibibytes = u32::try_from(size >> 10).unwrap_or(u32::MAX);
        // It is never closed.
        Ok(self.large.acquire_many(kibibytes).await.ok())
    }

    fn not_sent(&self, error: &StreamError) -> Error {
        match (self.disconnected(), error) {
            (Some(disconnected), _) => disconnected.error(),
            (None, StreamError::HeaderTooLarge) => Error::new(
                Code::TooLarge,
                "the stream's name, attributes and recipients take more than 15,000 bytes",
            ),
            (None, error) => Error::new(Code::Io, format!("the stream was not sent: {error}")),
        }
    }
}

/// The connection of one room on the caller's own runtime. [`Room::connect`] starts a thread instead.
pub struct RoomTask(Arc<Shared>);

impl RoomTask {
    /// Returns a task that has not begun.
    #[expect(clippy::new_without_default, reason = "it is used once")]
    pub fn new() -> Self {
        Self(Shared::new())
    }

    /// Joins a room as [`Room::connect`] does, on the current runtime, which has to outlive the room.
    ///
    /// # Errors
    /// See [`Room::connect`].
    pub async fn connect(&self, options: RoomOptions) -> Result<(Room, RoomEvents), Failure> {
        Room::open(options, Arc::clone(&self.0)).await
    }

    /// Waits until the room is left and its sockets are closed. Returns at once where the
    /// connection was never begun.
    pub async fn ended(self) {
        self.0.left().await;
    }
}

/// What happens in a room, for one reader.
pub struct RoomEvents {
    reader: broadcast::Receiver<RoomEvent>,
    shared: Arc<Shared>,
    has_ended: bool,
}

impl RoomEvents {
    /// The next event; `None` after [`RoomEvent::Disconnected`].
    pub async fn next(&mut self) -> Option<RoomEvent> {
        if self.has_ended {
            return None;
        }
        let event = match self.reader.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(missed)) => RoomEvent::Gap(missed),
            Err(broadcast::error::RecvError::Closed) => RoomEvent::Disconnected(self.shared.ended().await),
        };
        self.has_ended = matches!(event, RoomEvent::Disconnected(_));
        Some(event)
    }

    /// The same as a stream.
    pub fn into_stream(self) -> BoxStream<'static, RoomEvent> {
        let next = async |mut events: Self| events.next().await.map(|event| (event, events));
        Box::pin(futures_util::stream::unfold(self, next))
    }
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            roster: Roster::default(),
            topics: Arc::default(),
            info: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            stop: watch::channel(false).0,
            tracks_changed: Arc::default(),
            ended: watch::channel(None).0,
            data_packets: AtomicU64::new(0),
            stream_packets: AtomicU64::new(0),
            audio_packets: AtomicU64::new(0),
            #[cfg(feature = "test-support")]
            impaired: Arc::default(),
            path: Arc::default(),
        })
    }

    fn emit(&self, event: RoomEvent) {
        // Nobody may be reading.
        let _ = self.events.send(event);
    }

    fn set_info(&self, info: RoomInfo) {
        *lock(&self.info) = info;
    }

    fn count(&self, counter: impl Fn(&Self) -> &AtomicU64) {
        counter(self).fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until the room is to be left.
    async fn stopped(&self) {
        // It cannot fail: the sender is ours.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Waits until the room is left.
    async fn ended(&self) -> Disconnected {
        match self.ended.subscribe().wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(|| Disconnected::new(DisconnectReason::Unknown)),
            Err(_) => Disconnected::new(DisconnectReason::Unknown),
        }
    }

    /// Waits until nothing is left of the room's task, which may never have begun.
    async fn left(self: &Arc<Self>) {
        if Arc::strong_count(self) > 1 {
            self.ended().await;
        }
    }

    fn end(&self, disconnected: Disconnected) {
        if self
            .ended
            .send_if_modified(|ended| ended.is_none() && ended.replace(disconnected.clone()).is_none())
        {
            self.emit(RoomEvent::Disconnected(disconnected));
        }
    }
}

/// Locks, also where a panic has poisoned the mutex.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves the room if nobody got to have it.
struct StopOnDrop(Option<Arc<Shared>>);

impl StopOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.stop.send_replace(true);
        }
    }
}

/// The thread of a room that nobody else drives.
fn run_thread(options: RoomOptions, mut joined: oneshot::Sender<Result<(Room, RoomEvents), Failure>>) {
    let failed = |error| Failure::of(Step::Options, error);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Code::Io, format!("the room's event loop cannot be started: {error}"));
            return drop(joined.send(Err(failed(error))));
        }
    };
    runtime.block_on(async {
        let shared = Shared::new();
        let opened = tokio::select! {
            opened = Room::open(options, Arc::clone(&shared)) => opened,
            () = joined.closed() => Err(failed(Error::new(Code::Cancelled, "the join was given up"))),
        };
        // Who gave up meanwhile drops what this gives, which leaves the room.
        drop(joined.send(opened));
        shared.left().await;
    });
    // A name that is still looked up is not waited for.
    runtime.shutdown_background();
}
