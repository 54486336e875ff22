//! Who is in the room: the participants as the server last told of them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use livekit_common::{ClientCapability, ParticipantIdentity, RemoteParticipantRegistry};
use livekit_protocol as proto;
use serde::{Deserialize, Serialize};

use super::event::{DisconnectReason, RoomEvent};
use crate::lock;

/// A participant of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Participant {
    /// The server's id of this stay in the room.
    pub sid: String,
    /// The name it joined under, unique in the room.
    pub identity: String,
    /// What it is called; need not be unique.
    pub name: String,
    /// What it is.
    pub kind: ParticipantKind,
    /// Whether media and data can reach it: it is connected, and not just about to be.
    pub is_active: bool,
    /// What its owner says about it.
    pub metadata: String,
    /// The same, by keys.
    pub attributes: BTreeMap<String, String>,
    /// What it may do; `None` where the server does not say.
    pub permissions: Option<Permissions>,
    /// What it publishes.
    pub tracks: Vec<Track>,
    /// When it joined, in milliseconds since 1970.
    pub joined_at_ms: i64,
}

/// What a participant is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ParticipantKind {
    /// A client like any other.
    #[default]
    Standard,
    /// It brings a stream into the room.
    Ingress,
    /// It records the room.
    Egress,
    /// A telephone.
    Sip,
    /// An agent.
    Agent,
    /// A kind that this version does not know.
    Other,
}

/// What a participant may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Permissions {
    /// To receive others' tracks.
    pub can_subscribe: bool,
    /// To publish tracks.
    pub can_publish: bool,
    /// To send data. What is sent without it, the server drops silently.
    pub can_publish_data: bool,
    /// To change its own name, metadata and attributes.
    pub can_update_metadata: bool,
    /// To observe and drive the session of an agent.
    pub can_manage_agent_session: bool,
    /// Others are not told of it.
    pub hidden: bool,
}

/// What a participant publishes: audio or video.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Track {
    /// The server's id of it.
    pub sid: String,
    /// What its publisher calls it; need not be unique.
    pub name: String,
    /// What it carries.
    pub kind: TrackKind,
    /// Where that comes from.
    pub source: TrackSource,
    /// Whether its publisher, or the server, has it silent for now.
    pub muted: bool,
}

/// What a track carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrackKind {
    /// Sound.
    #[default]
    Audio,
    /// Pictures.
    Video,
    /// Something that this version does not know.
    Other,
}

/// Where a track comes from, as its publisher says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrackSource {
    /// It does not say.
    Unknown,
    /// A camera.
    Camera,
    /// A microphone; who speaks by a machine says so too.
    #[default]
    Microphone,
    /// A screen that is shared.
    ScreenShare,
    /// The sound of what is shared.
    ScreenShareAudio,
}

impl Participant {
    /// Whether it may manage the sessions of agents.
    pub fn can_manage_agent_session(&self) -> bool {
        self.permissions.is_some_and(|permissions| permissions.can_manage_agent_session)
    }
}

impl From<&proto::ParticipantInfo> for Participant {
    fn from(info: &proto::ParticipantInfo) -> Self {
        use proto::participant_info::{Kind, State};
        let kind = match Kind::try_from(info.kind) {
            Ok(Kind::Standard) => ParticipantKind::Standard,
            Ok(Kind::Ingress) => ParticipantKind::Ingress,
            Ok(Kind::Egress) => ParticipantKind::Egress,
            Ok(Kind::Sip) => ParticipantKind::Sip,
            Ok(Kind::Agent) => ParticipantKind::Agent,
            _ => ParticipantKind::Other,
        };
        let permissions = info.permission.as_ref().map(|permission| Permissions {
            can_subscribe: permission.can_subscribe,
            can_publish: permission.can_publish,
            can_publish_data: permission.can_publish_data,
            can_update_metadata: permission.can_update_metadata,
            can_manage_agent_session: permission.can_manage_agent_session,
            hidden: permission.hidden,
        });
        Self {
            sid: info.sid.clone(),
            identity: info.identity.clone(),
            name: info.name.clone(),
            kind,
            is_active: info.state == State::Active as i32,
            metadata: info.metadata.clone(),
            attributes: info.attributes.clone().into_iter().collect(),
            permissions,
            tracks: info.tracks.iter().map(Track::from).collect(),
            joined_at_ms: if info.joined_at_ms > 0 { info.joined_at_ms } else { info.joined_at * 1000 },
        }
    }
}

impl From<&proto::TrackInfo> for Track {
    fn from(info: &proto::TrackInfo) -> Self {
        let kind = match info.r#type() {
            proto::TrackType::Audio => TrackKind::Audio,
            proto::TrackType::Video => TrackKind::Video,
            proto::TrackType::Data => TrackKind::Other,
        };
        let source = match info.source() {
            proto::TrackSource::Unknown => TrackSource::Unknown,
            proto::TrackSource::Camera => TrackSource::Camera,
            proto::TrackSource::Microphone => TrackSource::Microphone,
            proto::TrackSource::ScreenShare => TrackSource::ScreenShare,
            proto::TrackSource::ScreenShareAudio => TrackSource::ScreenShareAudio,
        };
        Self { sid: info.sid.clone(), name: info.name.clone(), kind, source, muted: info.muted }
    }
}

impl TrackSource {
    pub(super) const fn to_wire(self) -> proto::TrackSource {
        match self {
            Self::Unknown => proto::TrackSource::Unknown,
            Self::Camera => proto::TrackSource::Camera,
            Self::Microphone => proto::TrackSource::Microphone,
            Self::ScreenShare => proto::TrackSource::ScreenShare,
            Self::ScreenShareAudio => proto::TrackSource::ScreenShareAudio,
        }
    }
}

/// The participants of one room, kept current. Sending looks here what recipients can read, hence the lock.
#[derive(Debug, Default)]
pub(super) struct Roster(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    local: Participant,
    remote: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    participant: Participant,
    client_protocol: i32,
    capabilities: Vec<ClientCapability>,
    /// The server counts up with every change; an older one may arrive late.
    version: u32,
}

/// What a change of the roster means for others.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) events: Vec<RoomEvent>,
    /// Identities whose stay has ended: what they had begun will not go on.
    pub(super) gone: Vec<String>,
}

impl Roster {
    pub(super) fn local(&self) -> Participant {
        lock(&self.0).local.clone()
    }

    pub(super) fn remote(&self) -> Vec<Participant> {
        lock(&self.0).remote.values().map(|known| known.participant.clone()).collect()
    }

    pub(super) fn get(&self, identity: &str) -> Option<Participant> {
        lock(&self.0).remote.get(identity).map(|known| known.participant.clone())
    }

    /// The track of this sid that one of the others publishes, and who that is.
    pub(super) fn track(&self, sid: &str) -> Option<(Participant, Track)> {
        let state = lock(&self.0);
        let mut others = state.remote.values().map(|known| &known.participant);
        others.find_map(|other| {
            let track = other.tracks.iter().find(|track| track.sid == sid)?;
            Some((other.clone(), track.clone()))
        })
    }

    /// All that the server told at a join, at which those who are not among them have left.
    pub(super) fn reset(&self, local: &proto::ParticipantInfo, others: &[proto::ParticipantInfo]) -> Changes {
        let gone: Vec<proto::ParticipantInfo> = {
            let mut state = lock(&self.0);
            state.local = local.into();
            let is_present = |sid: &str| others.iter().any(|other| other.sid == sid);
            let absent = state.remote.values().map(|known| &known.participant);
            absent
                .filter(|participant| !is_present(&participant.sid))
                .map(|participant| proto::ParticipantInfo {
                    sid: participant.sid.clone(),
                    identity: participant.identity.clone(),
                    state: proto::participant_info::State::Disconnected as i32,
                    version: u32::MAX,
                    ..Default::default()
                })
                .collect()
        };
        let mut changes = self.update(&gone);
        let came = self.update(others);
        changes.events.extend(came.events);
        changes.gone.extend(came.gone);
        changes
    }

    /// What the server tells of some participants.
    pub(super) fn update(&self, infos: &[proto::ParticipantInfo]) -> Changes {
        let mut state = lock(&self.0);
        let mut changes = Changes::default();
        for info in infos {
            state.apply(info, &mut changes);
        }
        changes
    }
}

impl State {
    fn apply(&mut self, info: &proto::ParticipantInfo, changes: &mut Changes) {
        let participant = Participant::from(info);
        if participant.identity == self.local.identity {
            // Under our identity somebody else may join, who puts us out; that is not us.
            if participant.sid == self.local.sid && participant != self.local {
                let before = std::mem::replace(&mut self.local, participant);
                compare(&before, &self.local, changes);
                compare_tracks(&before, &self.local, true, changes);
            }
            return;
        }
        let left = info.state == proto::participant_info::State::Disconnected as i32;
        let known = self.remote.get(&participant.identity);
        match known {
            Some(known) if known.participant.sid != participant.sid && left => {}
            Some(known) if known.participant.sid == participant.sid && info.version < known.version => {}
            None if left => {}
            Some(_) if left => self.leave(&participant.identity, info.disconnect_reason, changes),
            Some(known) if known.participant.sid == participant.sid => {
                compare(&known.participant, &participant, changes);
                compare_tracks(&known.participant, &participant, false, changes);
                self.keep(info, participant);
            }
            Some(_) => {
                self.leave(&participant.identity.clone(), 0, changes);
                self.output(info, participant, changes);
            }
            None => self.output(info, participant, changes),
        }
    }

    fn output(&mut self, info: &proto::ParticipantInfo, participant: Participant, changes: &mut Changes) {
        changes.events.push(RoomEvent::ParticipantJoined(participant.clone()));
        compare_tracks(&without_tracks(&participant), &participant, false, changes);
        self.keep(info, participant);
    }

    fn keep(&mut self, info: &proto::ParticipantInfo, participant: Participant) {
        let capabilities = info.capabilities.iter().filter_map(|number| (*number).try_into().ok()).collect();
        let known =
            Known { client_protocol: info.client_protocol, capabilities, version: info.version, participant };
        self.remote.insert(info.identity.clone(), known);
    }

    fn leave(&mut self, identity: &str, reason: i32, changes: &mut Changes) {
        if let Some(known) = self.remote.remove(identity) {
            changes.gone.push(identity.to_owned());
            let participant = known.participant;
            compare_tracks(&participant, &without_tracks(&participant), false, changes);
            let reason = DisconnectReason::from_wire(reason);
            changes.events.push(RoomEvent::ParticipantLeft { participant, reason });
        }
    }
}

/// What has changed of a participant, but for its tracks.
fn compare(before: &Participant, after: &Participant, changes: &mut Changes) {
    if before.permissions != after.permissions {
        changes.events.push(RoomEvent::PermissionsChanged(after.clone()));
    }
    let rest = |participant: &Participant| Participant { permissions: None, ..without_tracks(participant) };
    if rest(before) != rest(after) {
        changes.events.push(RoomEvent::ParticipantChanged(after.clone()));
    }
}

fn without_tracks(participant: &Participant) -> Participant {
    Participant { tracks: Vec::new(), ..participant.clone() }
}

/// What has changed of a participant's tracks. Those that are gone are told of first.
fn compare_tracks(before: &Participant, after: &Participant, is_local: bool, changes: &mut Changes) {
    let find = |all: &Participant, sid: &str| all.tracks.iter().find(|track| track.sid == sid).cloned();
    let participant = after.clone();
    for track in &before.tracks {
        if find(after, &track.sid).is_none() {
            let (participant, track) = (participant.clone(), track.clone());
            changes.events.push(if is_local {
                RoomEvent::LocalTrackUnpublished { participant, track }
            } else {
                RoomEvent::TrackUnpublished { participant, track }
            });
        }
    }
    for track in &after.tracks {
        let (participant, track) = (participant.clone(), track.clone());
        changes.events.push(match find(before, &track.sid) {
            None if is_local => RoomEvent::LocalTrackPublished { participant, track },
            None => RoomEvent::TrackPublished { participant, track },
            Some(known) if known.muted == track.muted => continue,
            Some(_) if track.muted => RoomEvent::TrackMuted { participant, track },
            Some(_) => RoomEvent::TrackUnmuted { participant, track },
        });
    }
}

impl RemoteParticipantRegistry for Roster {
    fn remote_client_protocol(&self, identity: &ParticipantIdentity) -> i32 {
        lock(&self.0).remote.get(identity.as_str()).map_or(0, |known| known.client_protocol)
    }

    fn remote_capabilities(&self, identity: &ParticipantIdentity) -> Vec<ClientCapability> {
        lock(&self.0)
            .remote
            .get(identity.as_str())
            .map(|known| known.capabilities.clone())
            .unwrap_or_default()
    }

    fn remote_identities(&self) -> Vec<ParticipantIdentity> {
        lock(&self.0).remote.keys().map(|identity| identity.as_str().into()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::participant_info::State as Is;

    fn info(identity: &str, sid: &str, version: u32, is: Is) -> proto::ParticipantInfo {
        proto::ParticipantInfo {
            identity: identity.to_owned(),
            sid: sid.to_owned(),
            version,
            state: is as i32,
            ..Default::default()
        }
    }

    fn roster() -> Roster {
        let roster = Roster::default();
        roster.reset(&info("me", "PA_me", 1, Is::Active), &[info("ada", "PA_1", 5, Is::Active)]);
        roster
    }

    fn told(changes: &Changes) -> Vec<String> {
        let word = |event: &RoomEvent| match event {
            RoomEvent::ParticipantJoined(ada) => format!("joined {}", ada.sid),
            RoomEvent::ParticipantLeft { participant, .. } => format!("left {}", participant.sid),
            RoomEvent::ParticipantChanged(ada) => format!("changed {} {}", ada.sid, ada.name),
            RoomEvent::TrackPublished { track, .. } => format!("published {}", track.sid),
            RoomEvent::TrackUnpublished { track, .. } => format!("unpublished {}", track.sid),
            RoomEvent::TrackMuted { track, .. } => format!("muted {}", track.sid),
            RoomEvent::LocalTrackPublished { track, .. } => format!("we published {}", track.sid),
            other => format!("{other:?}"),
        };
        changes.events.iter().map(word).collect()
    }

    #[test]
    fn an_older_word_about_a_participant_changes_nothing() {
        let roster = roster();
        let renamed = |version| proto::ParticipantInfo {
            name: format!("v{version}"),
            ..info("ada", "PA_1", version, Is::Active)
        };
        assert_eq!(told(&roster.update(&[renamed(7), renamed(6)])), ["changed PA_1 v7"]);
        assert_eq!(roster.get("ada").map(|ada| ada.name), Some("v7".to_owned()));
    }

    #[test]
    fn who_comes_again_is_somebody_else() {
        let roster = roster();
        let changes = roster.update(&[info("ada", "PA_2", 1, Is::Active)]);
        assert_eq!(told(&changes), ["left PA_1", "joined PA_2"]);
        assert_eq!(changes.gone, ["ada"]);
        // The end of the first stay is told late.
        assert!(told(&roster.update(&[info("ada", "PA_1", 9, Is::Disconnected)])).is_empty());
        assert!(roster.get("ada").is_some());
    }

    #[test]
    fn who_is_gone_after_another_join_has_left() {
        let roster = roster();
        let others = [info("bob", "PA_3", 1, Is::Active)];
        let changes = roster.reset(&info("me", "PA_me2", 1, Is::Active), &others);
        assert_eq!(told(&changes), ["left PA_1", "joined PA_3"]);
        assert_eq!(roster.local().sid, "PA_me2");
    }

    #[test]
    fn another_under_our_identity_is_not_us() {
        let roster = roster();
        assert!(told(&roster.update(&[info("me", "PA_thief", 9, Is::Active)])).is_empty());
        assert_eq!(roster.local().sid, "PA_me");
        assert_eq!(roster.remote().len(), 1);
    }

    fn track(sid: &str, muted: bool) -> proto::TrackInfo {
        proto::TrackInfo { sid: sid.to_owned(), muted, ..Default::default() }
    }

    #[test]
    fn tracks_are_told_of_one_by_one() {
        let roster = roster();
        let publishes = |version, tracks: &[proto::TrackInfo]| {
            let info = info("ada", "PA_1", version, Is::Active);
            told(&roster.update(&[proto::ParticipantInfo { tracks: tracks.to_vec(), ..info }]))
        };
        assert_eq!(publishes(6, &[track("TR_1", false)]), ["published TR_1"]);
        assert_eq!(
            publishes(7, &[track("TR_1", true), track("TR_2", false)]),
            ["muted TR_1", "published TR_2"]
        );
        assert_eq!(publishes(8, &[track("TR_2", false)]), ["unpublished TR_1"]);
        assert_eq!(roster.track("TR_2").map(|(ada, _)| ada.sid), Some("PA_1".to_owned()));
        let left = roster.update(&[info("ada", "PA_1", 9, Is::Disconnected)]);
        assert_eq!(told(&left), ["unpublished TR_2", "left PA_1"]);
        assert!(roster.track("TR_2").is_none());
    }

    #[test]
    fn who_is_there_already_has_published() {
        let roster = Roster::default();
        let ada = proto::ParticipantInfo {
            tracks: vec![track("TR_1", true)],
            ..info("ada", "PA_1", 1, Is::Active)
        };
        let changes = roster.reset(&info("me", "PA_me", 1, Is::Active), &[ada]);
        assert_eq!(told(&changes), ["joined PA_1", "published TR_1"]);
    }

    #[test]
    fn our_own_tracks_are_told_apart() {
        let roster = roster();
        let me = proto::ParticipantInfo {
            tracks: vec![track("TR_9", false)],
            ..info("me", "PA_me", 2, Is::Active)
        };
        assert_eq!(told(&roster.update(&[me])), ["we published TR_9"]);
        assert!(roster.track("TR_9").is_none());
    }
}
