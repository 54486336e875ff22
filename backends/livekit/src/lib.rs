//! Greenroom in a room that LiveKit's own Rust SDK has joined: the crate `livekit`, which is libwebrtc.
//!
//! ```no_run
//! # async fn example(room: livekit::Room) -> Result<(), greenroom_protocol::Error> {
//! use std::sync::Arc;
//! use greenroom_engine::{AttachOptions, Session};
//! use greenroom_livekit::LiveKitRoom;
//!
//! let room = Arc::new(LiveKitRoom::new(Arc::new(room)));
//! let session = Session::attach(room, AttachOptions::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! What the client of Greenroom's own has beyond it: an id of a stream counts only together with its sender there, what comes in is bounded, and
//! what the token forbids is refused instead of lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use greenroom_room::{
    Closer, Data, DisconnectReason, Disconnected, Listener, Participant, ParticipantKind, Permissions,
    RoomEvent, RoomInfo, SendOptions, StreamInfo, Topics, Transport, carry,
};
use greenroom_protocol::{Code, Error};
use livekit::data_stream::api::{ByteStreamReader, SendByteOptions, StreamReader};
use livekit::participant::{
    DisconnectReason as TheirReason, ParticipantKind as TheirKind, ParticipantState as TheirState,
};
use livekit::{DataPacket, DataPacketKind};
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Events that are kept for a reader that is behind.
const EVENTS: usize = 512;

/// A room of the crate `livekit`, for sessions of Greenroom.
pub struct LiveKitRoom {
    room: Arc<livekit::Room>,
    shared: Arc<Shared>,
    /// Where the room's own tasks run: what is asked of it from elsewhere runs there too.
    runtime: Handle,
}

#[derive(Debug)]
struct Shared {
    topics: Topics,
    events: broadcast::Sender<RoomEvent>,
    ended: Mutex<Option<Disconnected>>,
}

impl LiveKitRoom {
    /// Carries a room that is connected. To be called on the tokio runtime on which it was, and which outlives it.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(room: Arc<livekit::Room>) -> Self {
        let shared = Arc::new(Shared {
            topics: Topics::default(),
            events: broadcast::channel(EVENTS).0,
            ended: Mutex::default(),
        });
        let mut events = room.subscribe();
        let (followed, of_room) = (Arc::clone(&shared), Arc::downgrade(&room));
        tokio::spawn(async move {
            let mut sid = of_room.upgrade().map(|room| room.local_participant().sid());
            while let Some(event) = events.recv().await {
                // Another stay in the room has another sid.
                let now = of_room.upgrade().map(|room| room.local_participant().sid());
                let is_fresh = now != sid;
                sid = now;
                followed.take(event, is_fresh);
            }
            followed.end(TheirReason::UnknownReason);
        });
        Self { room, shared, runtime: Handle::current() }
    }

    /// Does something where the room's own tasks run.
    async fn there<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.runtime.spawn(work).await.unwrap_or_else(|_| {
            let message = "the room of LiveKit's SDK is gone; was its runtime ended?";
            Err(Error::new(Code::AgentGone, message))
        })
    }
}

#[async_trait]
impl Transport for LiveKitRoom {
    fn info(&self) -> RoomInfo {
        let mut info = RoomInfo::default();
        info.sid = self.room.maybe_sid().map(String::from).unwrap_or_default();
        info.name = self.room.name();
        info.metadata = self.room.metadata();
        info
    }

    fn local(&self) -> Participant {
        participant(&livekit::participant::Participant::Local(self.room.local_participant()))
    }

    fn participants(&self) -> Vec<Participant> {
        let others = self.room.remote_participants().into_values();
        let mut others: Vec<Participant> =
            others.map(|other| participant(&livekit::participant::Participant::Remote(other))).collect();
        others.sort_by(|one, other| one.identity.cmp(&other.identity));
        others
    }

    fn events(&self) -> BoxStream<'static, RoomEvent> {
        let ended = self.disconnected();
        let reader = Some(self.shared.events.subscribe());
        // One that begins after the end is told that alone.
        let reader = if ended.is_some() { None } else { reader };
        let rest = unfold(reader, |reader| async {
            let mut reader = reader?;
            let event = match reader.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => RoomEvent::Gap(missed),
                Err(RecvError::Closed) => return None,
            };
            let is_last = matches!(event, RoomEvent::Disconnected(_));
            Some((event, (!is_last).then_some(reader)))
        });
        futures_util::stream::iter(ended.map(RoomEvent::Disconnected)).chain(rest).boxed()
    }

    fn listen(&self, topic: &str, listener: Arc<dyn Listener>) -> Result<(), Error> {
        self.shared.topics.listen(topic, listener)
    }

    fn unlisten(&self, topic: &str) {
        self.shared.topics.unlisten(topic);
    }

    async fn publish(&self, topic: &str, payload: Bytes, to: &[&str], reliable: bool) -> Result<(), Error> {
        let local = self.room.local_participant();
        let packet = DataPacket {
            payload: payload.into(),
            topic: Some(topic.to_owned()),
            reliable,
            destination_identities: to.iter().map(|identity| (*identity).to_owned().into()).collect(),
        };
        self.there(async move { local.publish_data(packet).await.map_err(|error| not_sent(&error)) }).await
    }

    async fn send_bytes(&self, data: Bytes, options: SendOptions) -> Result<String, Error> {
        let local = self.room.local_participant();
        let mut wanted = SendByteOptions::new_with_topic(options.topic)
            .with_attributes(options.attributes.into_iter().collect())
            .with_destination_identities(options.to.into_iter().map(Into::into).collect())
            .with_compress(options.compress);
        wanted.name = options.name;
        wanted.mime_type = options.mime_type;
        self.there(async move {
            local.send_bytes(data, wanted).await.map(|info| info.id).map_err(|error| not_sent(&error))
        })
        .await
    }

    fn disconnected(&self) -> Option<Disconnected> {
        lock(&self.shared.ended).clone()
    }

    async fn disconnect(&self) {
        let room = Arc::clone(&self.room);
        // It fails where the room is closed already.
        let closed = async move { room.close().await.map_err(|error| not_sent(&error)) };
        if let Err(error) = self.there(closed).await {
            tracing::debug!(%error, "the room of LiveKit's SDK was not closed");
        }
    }
}

impl Shared {
    fn take(&self, event: livekit::RoomEvent, is_fresh: bool) {
        use livekit::RoomEvent as Theirs;
        use livekit::participant::Participant as TheirParticipant;
        let told = match event {
            Theirs::ParticipantConnected(other) => {
                RoomEvent::ParticipantJoined(participant(&TheirParticipant::Remote(other)))
            }
            Theirs::ParticipantActive(other) => {
                RoomEvent::ParticipantChanged(participant(&TheirParticipant::Remote(other)))
            }
            Theirs::ParticipantDisconnected(other) => RoomEvent::ParticipantLeft {
                reason: reason(other.disconnect_reason()),
                participant: participant(&TheirParticipant::Remote(other)),
            },
            Theirs::ParticipantPermissionChanged { participant: who, .. } => {
                RoomEvent::PermissionsChanged(participant(&who))
            }
            Theirs::ParticipantMetadataChanged { participant: who, .. }
            | Theirs::ParticipantNameChanged { participant: who, .. }
            | Theirs::ParticipantAttributesChanged { participant: who, .. } => {
                RoomEvent::ParticipantChanged(participant(&who))
            }
            Theirs::DataReceived { payload, topic, kind, participant } => RoomEvent::Data(Data {
                from: participant.map(|who| who.identity().to_string()).unwrap_or_default(),
                topic: topic.unwrap_or_default(),
                payload: Bytes::copy_from_slice(&payload),
                reliable: matches!(kind, DataPacketKind::Reliable),
            }),
            Theirs::ByteStreamOpened { reader, topic, participant_identity } => {
                let listener = self.topics.listener(&topic);
                // One that nobody listens to here may be another's.
                if let Some(listener) = listener
                    && let Some(reader) = reader.take()
                {
                    begin(reader, topic, participant_identity.to_string(), &*listener);
                }
                return;
            }
            Theirs::Reconnecting => RoomEvent::Reconnecting,
            Theirs::Reconnected => RoomEvent::Reconnected { fresh: is_fresh },
            Theirs::Disconnected { reason } => return self.end(reason.into()),
            _ => return,
        };
        self.tell(told);
    }

    fn end(&self, why: TheirReason) {
        let mut ended = lock(&self.ended);
        if ended.is_none() {
            let disconnected = Disconnected::new(reason(why));
            *ended = Some(disconnected.clone());
            drop(ended);
            self.tell(RoomEvent::Disconnected(disconnected));
        }
    }

    fn tell(&self, event: RoomEvent) {
        // Nobody may be reading.
        let _ = self.events.send(event);
    }
}

/// Has who listens to its topic take what a stream brings.
fn begin(reader: ByteStreamReader, topic: String, from: String, listener: &dyn Listener) {
    let theirs = reader.info();
    let mut info = StreamInfo::default();
    info.id.clone_from(&theirs.id);
    info.name.clone_from(&theirs.name);
    info.mime_type.clone_from(&theirs.mime_type);
    info.attributes = theirs.attributes().into_iter().collect();
    info.total_length = theirs.total_length;
    (info.from, info.topic) = (from, topic);
    let closer = reader.closer();
    match listener.begin(info, Closer::new(move || closer.close())) {
        Some(feed) => drop(tokio::spawn(carry(reader, feed))),
        None => reader.closer().close(),
    }
}

fn participant(theirs: &livekit::participant::Participant) -> Participant {
    let mut ours = Participant::default();
    ours.sid = theirs.sid().into();
    ours.identity = theirs.identity().into();
    ours.name = theirs.name();
    ours.kind = match theirs.kind() {
        TheirKind::Standard => ParticipantKind::Standard,
        TheirKind::Ingress => ParticipantKind::Ingress,
        TheirKind::Egress => ParticipantKind::Egress,
        TheirKind::Sip => ParticipantKind::Sip,
        TheirKind::Agent => ParticipantKind::Agent,
        _ => ParticipantKind::Other,
    };
    ours.is_active = theirs.state() == TheirState::Active;
    ours.metadata = theirs.metadata();
    ours.attributes = theirs.attributes().into_iter().collect();
    ours.permissions = theirs.permission().map(|theirs| {
        let mut ours = Permissions::default();
        ours.can_subscribe = theirs.can_subscribe;
        ours.can_publish = theirs.can_publish;
        ours.can_publish_data = theirs.can_publish_data;
        ours.can_update_metadata = theirs.can_update_metadata;
        ours.can_manage_agent_session = theirs.can_manage_agent_session;
        ours.hidden = theirs.hidden;
        ours
    });
    ours.joined_at_ms = theirs.joined_at();
    ours
}

fn reason(theirs: TheirReason) -> DisconnectReason {
    match theirs {
        TheirReason::UnknownReason => DisconnectReason::Unknown,
        TheirReason::ClientInitiated => DisconnectReason::ClientInitiated,
        TheirReason::DuplicateIdentity => DisconnectReason::DuplicateIdentity,
        TheirReason::ServerShutdown => DisconnectReason::ServerShutdown,
        TheirReason::ParticipantRemoved => DisconnectReason::ParticipantRemoved,
        TheirReason::RoomDeleted => DisconnectReason::RoomDeleted,
        TheirReason::StateMismatch => DisconnectReason::StateMismatch,
        TheirReason::JoinFailure => DisconnectReason::JoinFailure,
        TheirReason::Migration => DisconnectReason::Migration,
        TheirReason::SignalClose => DisconnectReason::SignalClose,
        TheirReason::RoomClosed => DisconnectReason::RoomClosed,
        TheirReason::UserUnavailable => DisconnectReason::UserUnavailable,
        TheirReason::UserRejected => DisconnectReason::UserRejected,
        TheirReason::SipTrunkFailure => DisconnectReason::SipTrunkFailure,
        TheirReason::ConnectionTimeout => DisconnectReason::ConnectionTimeout,
        TheirReason::MediaFailure => DisconnectReason::MediaFailure,
        TheirReason::AgentError => DisconnectReason::AgentError,
    }
}

fn not_sent(error: &dyn std::error::Error) -> Error {
    Error::new(Code::Io, format!("LiveKit's SDK did not do it: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another holder does not matter: nothing is left half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
