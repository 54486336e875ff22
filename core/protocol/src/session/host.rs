//! The agent's side of a session in a room: lets in the requests of those who may ask, and routes each response to its asker.
//!
//! It knows nothing of what is asked: the agent's SDK answers. Each request goes in under an id of its own and each response comes
//! out under the asker's, spliced in the encoded bytes; so two askers with the same ids never mix, and a host that knows nothing of
//! routing is routed right.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::gate::{Asked, Audit, Decision, Peer, Policy, Scope};
use crate::limits::Limits;
use crate::message::{self, Envelope, Kind};
use crate::time::Time;

/// What the denial says, word for word: the one message that a participant without the grant may ever get.
pub const PERMISSION_DENIED: &str = "permission_denied";
/// What an unknown request is answered with.
pub const UNSUPPORTED_REQUEST: &str = "unsupported request";

/// What a request is answered with that the agent left unanswered for too long, or while too many others came.
pub const UNANSWERED_REQUEST: &str = "the agent did not answer";

/// How a host behaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HostConfig {
    /// Every bound.
    pub limits: Limits,
    /// What holders of the grant may do.
    pub policy: Policy,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the agent's own session host.
    Agent,
    /// To these participants, by sid; never empty, never everyone.
    Peers(Vec<String>),
}

/// A message to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: Destination,
    /// The encoded message.
    pub message: Bytes,
}

/// The agent's side of one session.
#[derive(Debug)]
pub struct Host {
    config: HostConfig,
    peers: BTreeMap<String, Peer>,
    routes: BTreeMap<u64, Route>,
    next_route: u64,
    transmits: VecDeque<Transmit>,
    audits: VecDeque<Audit>,
}

#[derive(Debug)]
struct Route {
    sid: String,
    id: String,
    scope: Scope,
    asked: Time,
}

impl Host {
    /// A host that knows no participant yet.
    pub fn new(config: HostConfig) -> Self {
        Self {
            config,
            peers: BTreeMap::new(),
            routes: BTreeMap::new(),
            next_route: 1,
            transmits: VecDeque::new(),
            audits: VecDeque::new(),
        }
    }

    /// The room announces a participant, or new permissions of one. Past the bound on peers the newcomer stays unknown.
    pub fn set_peer(&mut self, peer: Peer) {
        if self.peers.len() < self.config.limits.peers || self.peers.contains_key(&peer.sid) {
            self.peers.insert(peer.sid.clone(), peer);
        }
    }

    /// A participant left: what it asked for is answered to nobody.
    pub fn remove_peer(&mut self, sid: &str) {
        self.peers.remove(sid);
        self.routes.retain(|_, route| route.sid != sid);
    }

    /// Takes a message from a participant.
    pub fn receive(&mut self, sid: &str, message: Bytes, now: Time) {
        let limit = self.config.limits.peer_message;
        if message.len() > limit {
            let head = &message[..self.config.limits.peeked.min(message.len())];
            if let Some((Kind::Request { .. }, id)) = message::peek_id(head) {
                let error = format!("the request is {} bytes long; at most {limit} are taken", message.len());
                self.answer(sid, &id, Asked::Request(Scope::Observe), &error);
            }
            return;
        }
        let envelope = match Envelope::parse(message) {
            Ok(envelope) if self.is_routable(&envelope) => envelope,
            _ => return self.audit(sid, Asked::Malformed, Decision::DenyMalformed),
        };
        let (scope, decision) = self.config.policy.decide_request(self.peers.get(sid), &envelope);
        self.audit(sid, Asked::Request(scope), decision);
        if !decision.is_allow() {
            return self.send(vec![sid.to_owned()], message::encode_error(envelope.id(), PERMISSION_DENIED));
        }
        if !envelope.is_known_request() {
            return self
                .send(vec![sid.to_owned()], message::encode_error(envelope.id(), UNSUPPORTED_REQUEST));
        }
        self.make_room_for(sid, now);
        let route = self.next_route;
        self.next_route += 1;
        let message = envelope.with_id(&format!("gr-{route}"));
        self.routes
            .insert(route, Route { sid: sid.to_owned(), id: envelope.id().to_owned(), scope, asked: now });
        self.transmits.push_back(Transmit { to: Destination::Agent, message });
    }

    /// Takes a message from the agent's own session host.
    pub fn receive_from_agent(&mut self, message: Bytes) {
        let Ok(envelope) = Envelope::parse(message) else { return };
        match envelope.kind() {
            Kind::Response => self.route(&envelope),
            Kind::Event => {
                let to: Vec<String> = self.allowed(Scope::Observe);
                if !to.is_empty() {
                    self.send(to, envelope.bytes().clone());
                }
            }
            // Audio and what is newer than this schema never leaves for a room.
            _ => {}
        }
    }

    /// The next message to pass on.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next line of the audit log.
    pub fn poll_audit(&mut self) -> Option<Audit> {
        self.audits.pop_front()
    }

    fn route(&mut self, envelope: &Envelope) {
        let number = envelope.id().strip_prefix("gr-").and_then(|number| number.parse().ok());
        let Some(route) = number.and_then(|number: u64| self.routes.remove(&number)) else { return };
        let decision = self.config.policy.decide(self.peers.get(&route.sid), route.scope);
        if decision.is_allow() {
            return self.send(vec![route.sid], envelope.with_id(&route.id));
        }
        self.audit(&route.sid, Asked::Response(route.scope), decision);
        if self.peers.contains_key(&route.sid) {
            self.send(vec![route.sid], message::encode_error(&route.id, PERMISSION_DENIED));
        }
    }

    /// Answers with `error`, or with the denial to whom the answer is not for.
    fn answer(&mut self, sid: &str, id: &str, asked: Asked, error: &str) {
        let (Asked::Request(scope) | Asked::Response(scope)) = asked else { return };
        let decision = self.config.policy.decide(self.peers.get(sid), scope);
        self.audit(sid, asked, decision);
        let error = if decision.is_allow() { error } else { PERMISSION_DENIED };
        self.send(vec![sid.to_owned()], message::encode_error(id, error));
    }

    fn allowed(&self, scope: Scope) -> Vec<String> {
        let allowed = |peer: &&Peer| self.config.policy.decide(Some(peer), scope).is_allow();
        self.peers.values().filter(allowed).map(|peer| peer.sid.clone()).collect()
    }

    fn send(&mut self, to: Vec<String>, message: Bytes) {
        self.transmits.push_back(Transmit { to: Destination::Peers(to), message });
    }

    fn audit(&mut self, sid: &str, asked: Asked, decision: Decision) {
        let identity = self.peers.get(sid).map(|peer| peer.identity.clone());
        self.audits.push_back(Audit { sid: sid.to_owned(), identity, asked, decision });
    }

    /// Whether it is a request with an id that is worth remembering: no SDK's is longer than what is peeked at.
    fn is_routable(&self, envelope: &Envelope) -> bool {
        matches!(envelope.kind(), Kind::Request { .. }) && envelope.id().len() <= self.config.limits.peeked
    }

    /// SDK hosts leave some requests unanswered. Their routes go by age; past the bound on routes the oldest of who asks now goes,
    /// or else the oldest of all, so that one asker who floods takes the room from no other.
    fn make_room_for(&mut self, sid: &str, now: Time) {
        let age = self.config.limits.route_age;
        while let Some((&oldest, route)) = self.routes.first_key_value()
            && now.since(route.asked) >= age
        {
            self.give_up(oldest);
        }
        if self.routes.len() < self.config.limits.routes {
            return;
        }
        let own = self.routes.iter().find(|(_, route)| route.sid == sid);
        if let Some((&route, _)) = own.or_else(|| self.routes.first_key_value()) {
            self.give_up(route);
        }
    }

    /// Forgets a request that the agent has not answered, and tells its asker so.
    fn give_up(&mut self, route: u64) {
        if let Some(route) = self.routes.remove(&route)
            && self.peers.contains_key(&route.sid)
        {
            self.answer(&route.sid, &route.id, Asked::Response(route.scope), UNANSWERED_REQUEST);
        }
    }
}
