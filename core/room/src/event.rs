//! What happens in a room.

use bytes::Bytes;
use greenroom_protocol::{Code, Error};
use livekit_protocol::DisconnectReason as Wire;
use serde::Serialize;

use super::participant::{Participant, Track};

/// Something that happened in a room.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// A participant has joined. The server tells of one that publishes nothing up to 3 s late.
    ParticipantJoined(Participant),
    /// A participant has left.
    ParticipantLeft {
        /// As it last was.
        participant: Participant,
        /// Why, as far as the server says.
        reason: DisconnectReason,
    },
    /// What a participant may do has changed; this may be the local one.
    PermissionsChanged(Participant),
    /// Anything else of a participant has changed; this may be the local one.
    ParticipantChanged(Participant),
    /// Another participant has published a track, or did so before we joined. [`Room::subscribe`](super::Room::subscribe) is to hear it.
    TrackPublished {
        /// Who.
        participant: Participant,
        /// Which.
        track: Track,
    },
    /// Another participant has taken a track back, or has left.
    TrackUnpublished {
        /// Who.
        participant: Participant,
        /// As it last was.
        track: Track,
    },
    /// A track is silent for now; this may be one of ours.
    TrackMuted {
        /// Who publishes it.
        participant: Participant,
        /// Which.
        track: Track,
    },
    /// A track is silent no more; this may be one of ours.
    TrackUnmuted {
        /// Who publishes it.
        participant: Participant,
        /// Which.
        track: Track,
    },
    /// From here on a track comes in, since it was asked for; after a full reconnect this is told again.
    TrackSubscribed {
        /// Who publishes it.
        participant: Participant,
        /// Which.
        track: Track,
    },
    /// A track does not come in any more, since nobody here reads it or it is gone.
    TrackUnsubscribed {
        /// Who publishes it.
        participant: Participant,
        /// Which.
        track: Track,
    },
    /// The others are told of a track of ours.
    LocalTrackPublished {
        /// The local participant.
        participant: Participant,
        /// Which.
        track: Track,
    },
    /// A track of ours is gone.
    LocalTrackUnpublished {
        /// The local participant.
        participant: Participant,
        /// As it last was.
        track: Track,
    },
    /// A data packet has come.
    Data(Data),
    /// The connection broke; what is sent meanwhile waits.
    Reconnecting,
    /// The connection is back.
    Reconnected {
        /// Whether this is another stay in the room, under another sid: what was sent meanwhile by others is lost.
        fresh: bool,
    },
    /// This reader was too slow: so many events are missing here.
    Gap(u64),
    /// The room is left for good; the last event.
    Disconnected(Disconnected),
}

/// A data packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The identity of who sent it; empty if it was the server's API.
    pub from: String,
    /// What it is about.
    pub topic: String,
    /// Its bytes.
    pub payload: Bytes,
    /// Whether it came over the channel on which nothing is lost.
    pub reliable: bool,
}

/// Why a room was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnected {
    /// In one word.
    pub reason: DisconnectReason,
    /// For people, with what to do.
    pub message: String,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $wire:expr, $explanation:literal;)*) => {
        /// Why a participant is not in a room any more.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum DisconnectReason {
            $($(#[$doc])* $name,)*
        }

        impl DisconnectReason {
            /// The reason as text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What happened and what to do, for people.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)* }
            }

            pub(super) fn from_wire(number: i32) -> Self {
                let of = |wire: Option<Wire>| wire.is_some_and(|wire| wire as i32 == number);
                $(if of($wire) { return Self::$name; })*
                Self::Unknown
            }
        }
    };
}

reasons! {
    /// The client itself left.
    ClientInitiated = "client_initiated", Some(Wire::ClientInitiated), "the room was left";
    /// Another client joined under the same identity.
    DuplicateIdentity = "duplicate_identity", Some(Wire::DuplicateIdentity),
        "another client joined the room under the same identity; use one identity for each";
    /// The server shuts down.
    ServerShutdown = "server_shutdown", Some(Wire::ServerShutdown), "the server shut down";
    /// The server's API removed the participant.
    ParticipantRemoved = "participant_removed", Some(Wire::ParticipantRemoved),
        "the participant was removed from the room through the server's API";
    /// The server's API deleted the room.
    RoomDeleted = "room_deleted", Some(Wire::RoomDeleted), "the room was deleted through the server's API";
    /// The server and the client did not agree on the connection's state.
    StateMismatch = "state_mismatch", Some(Wire::StateMismatch), "the server does not know the connection any more";
    /// The join did not come about.
    JoinFailure = "join_failure", Some(Wire::JoinFailure), "the join did not output about";
    /// The participant goes on at another server.
    Migration = "migration", Some(Wire::Migration), "the participant goes on at another server";
    /// Its signal connection closed.
    SignalClose = "signal_close", Some(Wire::SignalClose), "the signal connection closed";
    /// The room closed since everybody had left.
    RoomClosed = "room_closed", Some(Wire::RoomClosed), "the room closed";
    /// The called telephone did not answer.
    UserUnavailable = "user_unavailable", Some(Wire::UserUnavailable), "the called party did not answer";
    /// The called telephone rejected the call.
    UserRejected = "user_rejected", Some(Wire::UserRejected), "the called party rejected the call";
    /// The telephone network failed.
    SipTrunkFailure = "sip_trunk_failure", Some(Wire::SipTrunkFailure), "the telephone network failed";
    /// The server heard nothing for too long.
    ConnectionTimeout = "connection_timeout", Some(Wire::ConnectionTimeout), "the server heard nothing for too long";
    /// The media connection failed.
    MediaFailure = "media_failure", Some(Wire::MediaFailure), "the media connection failed";
    /// An agent failed.
    AgentError = "agent_error", Some(Wire::AgentError), "the agent failed";
    /// The connection broke and could not be made again.
    ConnectionLost = "connection_lost", None, "the connection to the server broke";
    /// The server does not say.
    Unknown = "unknown", Some(Wire::UnknownReason), "the server does not say why";
}

impl Disconnected {
    /// For this reason, in its own words.
    pub fn new(reason: DisconnectReason) -> Self {
        Self { reason, message: format!("disconnected from the room: {}", reason.explanation()) }
    }

    /// What ends everything that still waits.
    pub fn error(&self) -> Error {
        let code = match self.reason {
            DisconnectReason::ClientInitiated => Code::SessionClosed,
            _ => Code::AgentGone,
        };
        Error::new(code, self.message.clone())
    }
}
