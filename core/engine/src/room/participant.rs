//! Who is in the room: the participants as the server last told of them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use livekit_common::{ClientCapability, ParticipantIdentity, RemoteParticipantRegistry};
use livekit_protocol as proto;
use serde::Serialize;

use super::event::{DisconnectReason, RoomEvent};
use crate::driver::lock;

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
            joined_at_ms: if info.joined_at_ms > 0 { info.joined_at_ms } else { info.joined_at * 1000 },
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
                self.keep(info, participant);
            }
            Some(_) => {
                self.leave(&participant.identity.clone(), 0, changes);
                changes.events.push(RoomEvent::ParticipantJoined(participant.clone()));
                self.keep(info, participant);
            }
            None => {
                changes.events.push(RoomEvent::ParticipantJoined(participant.clone()));
                self.keep(info, participant);
            }
        }
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
            let reason = DisconnectReason::from_wire(reason);
            changes.events.push(RoomEvent::ParticipantLeft { participant: known.participant, reason });
        }
    }
}

/// What has changed of a participant.
fn compare(before: &Participant, after: &Participant, changes: &mut Changes) {
    if before.permissions != after.permissions {
        changes.events.push(RoomEvent::PermissionsChanged(after.clone()));
    }
    let rest = |participant: &Participant| Participant { permissions: None, ..participant.clone() };
    if rest(before) != rest(after) {
        changes.events.push(RoomEvent::ParticipantChanged(after.clone()));
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
}
