//! Who may do what with an agent's session. Default deny; a decision is data.
//!
//! The grant is LiveKit's `canManageAgentSession` (VideoGrant, livekit/protocol #1557), read from the participant's permissions at
//! the moment of each decision. Unset is deny. On top of the grant, the agent's author may narrow what a participant may do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::message::{Envelope, Kind};
use crate::time::Timestamp;

/// What a request needs on top of the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To see: events, history, state, usage.
    Observe,
    /// To speak as the user and to end simulations.
    Drive,
    /// To turn inputs and outputs on and off.
    Io,
}

/// A set of scopes. Its JSON is a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<Scope>")]
pub struct Scopes(u8);

/// A participant of the room, as the gate sees it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The server's id of this stay in the room. Who rejoins gets another and inherits nothing.
    pub sid: String,
    /// The name it joined under.
    pub identity: String,
    /// Its `can_manage_agent_session`; `None` where the permission is unset.
    pub can_manage_agent_session: Option<bool>,
}

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Allow,
    /// The room knows no such participant.
    DenyUnknown,
    /// The participant does not hold the grant.
    DenyNoGrant,
    /// The participant holds the grant, but the agent's author does not let it do this.
    DenyScope(Scope),
    /// The message cannot be routed: it is no request, or means different things to different readers.
    DenyMalformed,
    /// The message is over the size cap.
    DenyTooLarge,
    /// The participant sends more at once, or more often, than is taken.
    DenyFlood,
    /// The participant began a message and did not go on with it.
    DenyStalled,
}

/// What participants may do who hold the grant: everything, unless the agent's author narrows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// For identities that are not named.
    pub default: Scopes,
    /// For identities by name.
    pub by_identity: BTreeMap<String, Scopes>,
    /// Identities that count as holders of the grant while the room does not announce them: the server hides a participant whose token
    /// says `hidden`, so that its grant cannot be read. Once announced, such a participant needs the grant like everybody.
    pub hidden: BTreeSet<String>,
}

/// One line of the audit log: a decision and what it was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The participant's sid; empty for one that the room has not announced.
    pub sid: String,
    /// Its identity, if it is known.
    pub identity: Option<String>,
    /// What was asked for.
    pub asked: Asked,
    /// What the gate said.
    pub decision: Decision,
}

/// A line of the audit log, and when the decision was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditLine<'a> {
    /// When the decision was taken.
    pub time: Timestamp,
    /// The decision.
    #[serde(flatten)]
    pub audit: &'a Audit,
}

/// What a decision was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// To pass a request to the agent.
    Request(Scope),
    /// To give a response to its requester.
    Response(Scope),
    /// To be sent what the agent addressed to this participant alone.
    Delivery(Scope),
    /// A message that cannot be routed.
    Malformed,
    /// A message that was not read to where it tells what it is.
    Unread,
}

impl Audit {
    /// The line with its time.
    pub const fn at(&self, time: Timestamp) -> AuditLine<'_> {
        AuditLine { time, audit: self }
    }
}

impl Scopes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(0b111);

    /// A set of these scopes.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | 1 << *scope as u8))
    }

    /// Whether the set holds `scope`.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        Self::of(&scopes)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { default: Scopes::ALL, by_identity: BTreeMap::new(), hidden: BTreeSet::new() }
    }
}

impl Policy {
    /// Decides whether `peer` may do what `scope` covers, now.
    pub fn decide(&self, peer: Option<&Peer>, scope: Scope) -> Decision {
        let Some(peer) = peer else { return Decision::DenyUnknown };
        if peer.can_manage_agent_session != Some(true) {
            return Decision::DenyNoGrant;
        }
        if self.scopes(peer).has(scope) { Decision::Allow } else { Decision::DenyScope(scope) }
    }

    /// Whether `peer` may do anything at all, now: whether what it sends is worth reading to its end.
    pub fn welcomes(&self, peer: &Peer) -> bool {
        peer.can_manage_agent_session == Some(true) && self.scopes(peer) != Scopes::NONE
    }

    fn scopes(&self, peer: &Peer) -> Scopes {
        self.by_identity.get(&peer.identity).copied().unwrap_or(self.default)
    }

    /// Decides whether `peer` may send this request now, and tells which scope it needs. With fields newer than our schema beside
    /// what is asked, the agent may read another request than we do: that needs what driving needs, too.
    pub fn decide_request(&self, peer: Option<&Peer>, request: &Envelope) -> (Scope, Decision) {
        let scope = Scope::of_request(request);
        let decision = self.decide(peer, scope);
        if decision.is_allow() && request.has_newer_fields() {
            return (scope, self.decide(peer, Scope::Drive));
        }
        (scope, decision)
    }
}

impl Decision {
    /// Whether it is [`Decision::Allow`].
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow)
    }
}

impl Scope {
    /// The scope that a request needs. What is newer than our schema needs all that driving needs.
    pub fn of_request(envelope: &Envelope) -> Self {
        const UPDATE_IO: u32 = 11;
        const SEEING: [u32; 7] = [2, 4, 6, 7, 8, 9, 10];
        match envelope.kind() {
            Kind::Request { asks: Some(UPDATE_IO) } => Self::Io,
            Kind::Request { asks: Some(number) } if SEEING.contains(&number) => Self::Observe,
            _ => Self::Drive,
        }
    }
}
