//! The agent's side of a session in a room: lets in the requests of those who may ask, and routes each response to its asker.
//!
//! It knows nothing of what is asked: the agent's SDK answers. Each request goes in under an id of its own and each response comes
//! out under the asker's, spliced in the encoded bytes; so two askers with the same ids never mix, and a host that knows nothing of
//! routing is routed right.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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

/// What a text turn is answered with that comes while another runs, where they are refused or too many wait.
pub const TURN_IN_PROGRESS: &str = "busy: another run_input is in progress";

/// What a request is answered with whose sender has more under way, or sends more often, than is taken.
pub const TOO_MANY_REQUESTS: &str = "busy: too many requests at once";

/// What is answered that waits when the agent's session host closes.
pub const HOST_CLOSED: &str = "the agent's session closed";

/// How a host behaves. Its JSON, of which all may be left out, is `{"policy": {"default": [scope], "by_identity": {identity: [scope]},
/// "hidden": [identity]}, "run_input": "queue" | "refuse", "max_message": bytes}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "HostOptions")]
#[non_exhaustive]
pub struct HostConfig {
    /// Every bound.
    pub limits: Limits,
    /// What holders of the grant may do.
    pub policy: Policy,
    /// What becomes of a text turn that comes while another runs. SDK hosts would interrupt the one that runs and answer it with nothing.
    pub run_input: Overlap,
}

/// A [`HostConfig`] as JSON has it.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct HostOptions {
    policy: Policy,
    run_input: Overlap,
    max_message: Option<usize>,
}

/// What becomes of a text turn that comes while another runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It waits.
    #[default]
    Queue,
    /// It is answered with [`TURN_IN_PROGRESS`].
    Refuse,
}

/// Why a host takes no message that it was not given whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its sender may not ask.
    Denied,
    /// It is this long.
    TooLarge(usize),
    /// Its sender sends too much.
    Flood,
    /// Its sender did not go on with it.
    Stalled,
}

/// What a host has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that went to the agent, or wait to.
    pub requests: u64,
    /// Responses that went to their requesters.
    pub answered: u64,
    /// Messages of participants that were not allowed.
    pub denied: u64,
    /// Messages of the agent that were not sent: whom they were addressed to may not have them, or too many waited.
    pub dropped: u64,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the agent's own session host.
    Agent,
    /// To these participants, by sid; never empty, never everyone.
    Peers(Arc<[String]>),
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
    /// Who may see events, until a participant is another.
    observers: Option<Arc<[String]>>,
    routes: BTreeMap<u64, Route>,
    next_route: u64,
    /// The text turn that the agent has: its route, and since when.
    run: Option<(u64, Time)>,
    /// Text turns that wait, by their routes.
    runs: VecDeque<(u64, Bytes)>,
    transmits: VecDeque<Transmit>,
    audits: VecDeque<Audit>,
    counts: Counts,
}

#[derive(Debug)]
struct Route {
    sid: String,
    id: String,
    scope: Scope,
    asked: Time,
}

impl From<HostOptions> for HostConfig {
    fn from(options: HostOptions) -> Self {
        let mut limits = Limits::default();
        limits.peer_message = options.max_message.unwrap_or(limits.peer_message);
        Self { limits, policy: options.policy, run_input: options.run_input }
    }
}

impl Host {
    /// A host that knows no participant yet.
    pub fn new(config: HostConfig) -> Self {
        Self {
            config,
            peers: BTreeMap::new(),
            observers: None,
            routes: BTreeMap::new(),
            next_route: 1,
            run: None,
            runs: VecDeque::new(),
            transmits: VecDeque::new(),
            audits: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The room announces a participant, or new permissions of one. Past the bound on peers the newcomer stays unknown.
    pub fn set_peer(&mut self, peer: Peer) {
        if self.peers.len() < self.config.limits.peers || self.peers.contains_key(&peer.sid) {
            self.observers = None;
            self.peers.insert(peer.sid.clone(), peer);
        }
    }

    /// A participant left: what it asked for is answered to nobody.
    pub fn remove_peer(&mut self, sid: &str) {
        self.observers = None;
        self.peers.remove(sid);
        self.routes.retain(|_, route| route.sid != sid);
    }

    /// Takes a message from a participant.
    pub fn receive(&mut self, sid: &str, message: Bytes, now: Time) {
        let limit = self.config.limits.peer_message;
        if message.len() > limit {
            let head = &message[..self.config.limits.peeked.min(message.len())];
            return self.refuse(sid, Refused::TooLarge(message.len()), head);
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
        let is_run = envelope.is_run_input();
        if is_run && self.run.is_some() && !self.may_wait() {
            return self.send(vec![sid.to_owned()], message::encode_error(envelope.id(), TURN_IN_PROGRESS));
        }
        self.make_room_for(sid, now);
        let route = self.next_route;
        self.next_route += 1;
        self.counts.requests += 1;
        let message = envelope.with_id(&format!("{ROUTE}{route}"));
        self.routes
            .insert(route, Route { sid: sid.to_owned(), id: envelope.id().to_owned(), scope, asked: now });
        if is_run {
            self.runs.push_back((route, message));
            self.next_run(now);
        } else {
            self.transmits.push_back(Transmit { to: Destination::Agent, message });
        }
    }

    /// A message of a participant is not taken; `head` are its first bytes. The request in it is answered, if they tell its id.
    pub fn refuse(&mut self, sid: &str, why: Refused, head: &[u8]) {
        let policy = &self.config.policy;
        let peer = self.peers.get(sid);
        let decision = match why {
            _ if !peer.is_some_and(|peer| policy.welcomes(peer)) => policy.decide(peer, Scope::Observe),
            // The grant came while the refused message was read.
            Refused::Denied => Decision::DenyNoGrant,
            Refused::TooLarge(_) => Decision::DenyTooLarge,
            Refused::Flood => Decision::DenyFlood,
            Refused::Stalled => Decision::DenyStalled,
        };
        let Some((Kind::Request { .. }, id)) = message::peek_id(head) else {
            return self.audit(sid, Asked::Unread, decision);
        };
        let limit = self.config.limits.peer_message;
        let error = match (decision, why) {
            (Decision::DenyTooLarge, Refused::TooLarge(size)) => {
                format!("the request is {size} bytes long; at most {limit} are taken")
            }
            (Decision::DenyFlood | Decision::DenyStalled, _) => TOO_MANY_REQUESTS.to_owned(),
            _ => PERMISSION_DENIED.to_owned(),
        };
        self.answer(sid, &id, Asked::Request(Scope::Observe), decision, &error);
    }

    /// Takes a message from the agent's own session host. A response goes to its requester, an event to all who may see it.
    pub fn receive_from_agent(&mut self, message: Bytes, now: Time) {
        let Ok(envelope) = Envelope::parse(message) else { return };
        match envelope.kind() {
            Kind::Response => self.route(&envelope, None, now),
            Kind::Event => {
                let to = self.observers();
                if !to.is_empty() {
                    self.send(to, envelope.bytes().clone());
                }
            }
            // Audio and what is newer than this schema never leaves for a room.
            _ => {}
        }
    }

    /// The same, for a message that the agent's side addressed to one participant: nobody else gets it, and that one only if it may.
    pub fn receive_from_agent_for(&mut self, identity: &str, message: Bytes, now: Time) {
        let Ok(envelope) = Envelope::parse(message) else { return };
        match envelope.kind() {
            Kind::Response => self.route(&envelope, Some(identity), now),
            Kind::Event => {
                let named = |peer: &&Peer| peer.identity == identity;
                let decide = |peer: &Peer| self.config.policy.decide(Some(peer), Scope::Observe);
                match self.peers.values().filter(named).map(|peer| (peer.sid.clone(), decide(peer))).next() {
                    Some((sid, Decision::Allow)) => self.send(vec![sid], envelope.bytes().clone()),
                    Some((sid, decision)) => self.drop_for(&sid, Scope::Observe, decision),
                    None => self.drop_for(&unannounced(identity), Scope::Observe, Decision::DenyUnknown),
                }
            }
            _ => {}
        }
    }

    /// The agent's session host closes: what waits is answered.
    pub fn close(&mut self) {
        self.runs.clear();
        self.run = None;
        for (_, route) in std::mem::take(&mut self.routes) {
            self.answer_route(&route, HOST_CLOSED);
        }
    }

    /// When to call [`Host::handle_timeout`]; `None` while nothing waits for the agent.
    pub fn poll_timeout(&self) -> Option<Time> {
        let oldest = self.routes.first_key_value().map(|(_, route)| route.asked);
        let run = self.run.map(|(_, since)| since);
        oldest.into_iter().chain(run).min().map(|since| since + self.config.limits.route_age)
    }

    /// Gives up what the agent has left unanswered for too long.
    pub fn handle_timeout(&mut self, now: Time) {
        let age = self.config.limits.route_age;
        while let Some((&oldest, route)) = self.routes.first_key_value()
            && now.since(route.asked) >= age
        {
            self.give_up(oldest);
        }
        self.next_run(now);
    }

    /// What it has counted.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The identity of whom a request to the agent came from, by the id it was given.
    pub(crate) fn asker(&self, message: &Bytes) -> Option<&str> {
        let (_, id) = message::peek_id(message)?;
        let route = self.routes.get(&route_number(&id)?)?;
        self.peers.get(&route.sid).map(|peer| peer.identity.as_str())
    }

    /// A message of the agent was given up since too many wait.
    pub(crate) const fn count_dropped(&mut self) {
        self.counts.dropped += 1;
    }

    /// How many requests wait for their answer.
    pub fn waiting(&self) -> usize {
        self.routes.len()
    }

    /// How it behaves.
    pub const fn config(&self) -> &HostConfig {
        &self.config
    }

    /// The next message to pass on.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next line of the audit log.
    pub fn poll_audit(&mut self) -> Option<Audit> {
        self.audits.pop_front()
    }

    fn route(&mut self, envelope: &Envelope, destination: Option<&str>, now: Time) {
        let Some(number) = route_number(envelope.id()) else { return };
        if self.run.is_some_and(|(route, _)| route == number) {
            self.run = None;
            self.next_run(now);
        }
        let Some(route) = self.routes.remove(&number) else { return };
        let peer = self.peers.get(&route.sid);
        if let Some(identity) = destination
            && peer.is_none_or(|peer| peer.identity != identity)
        {
            self.drop_for(&unannounced(identity), route.scope, Decision::DenyUnknown);
            return self.answer_route(&route, UNANSWERED_REQUEST);
        }
        let limit = self.config.limits.agent_message;
        let size = envelope.bytes().len();
        if size > limit {
            let error = format!("the agent's answer is {size} bytes long; at most {limit} are sent");
            return self.answer_route(&route, &error);
        }
        if !self.config.policy.decide(peer, route.scope).is_allow() {
            return self.answer_route(&route, PERMISSION_DENIED);
        }
        self.counts.answered += 1;
        self.send(vec![route.sid], envelope.with_id(&route.id));
    }

    /// Answers a request that has a route with `error`, or with the denial to whom the answer is not for.
    fn answer_route(&mut self, route: &Route, error: &str) {
        let decision = self.config.policy.decide(self.peers.get(&route.sid), route.scope);
        let error = if decision.is_allow() { error } else { PERMISSION_DENIED };
        self.answer(&route.sid, &route.id, Asked::Response(route.scope), decision, error);
    }

    /// Answers with `error`. Who left has no use for it.
    fn answer(&mut self, sid: &str, id: &str, asked: Asked, decision: Decision, error: &str) {
        self.audit(sid, asked, decision);
        let left = matches!(asked, Asked::Response(_)) && !self.peers.contains_key(sid);
        if !left {
            self.send(vec![sid.to_owned()], message::encode_error(id, error));
        }
    }

    /// A message that is addressed to a participant who may not have it goes nowhere.
    fn drop_for(&mut self, sid: &str, scope: Scope, decision: Decision) {
        self.counts.dropped += 1;
        self.audit(sid, Asked::Delivery(scope), decision);
    }

    /// Whether a text turn may wait for the one that runs.
    fn may_wait(&self) -> bool {
        self.config.run_input == Overlap::Queue && self.runs.len() < self.config.limits.queued_runs
    }

    /// Gives the agent the next text turn, if it has none. One whose asker left or lost the grant meanwhile is not begun.
    fn next_run(&mut self, now: Time) {
        let age = self.config.limits.route_age;
        self.run = self.run.filter(|(_, since)| now.since(*since) < age);
        while self.run.is_none()
            && let Some((number, message)) = self.runs.pop_front()
        {
            let Some(route) = self.routes.get(&number) else { continue };
            let decision = self.config.policy.decide(self.peers.get(&route.sid), route.scope);
            if decision.is_allow() {
                self.run = Some((number, now));
                self.transmits.push_back(Transmit { to: Destination::Agent, message });
            } else if let Some(route) = self.routes.remove(&number) {
                self.answer_route(&route, PERMISSION_DENIED);
            }
        }
    }

    /// Who may see events, now.
    fn observers(&mut self) -> Arc<[String]> {
        let (policy, peers) = (&self.config.policy, &self.peers);
        let may = |peer: &&Peer| policy.decide(Some(peer), Scope::Observe).is_allow();
        let allowed = || peers.values().filter(may).map(|peer| peer.sid.clone()).collect();
        self.observers.get_or_insert_with(allowed).clone()
    }

    fn send(&mut self, to: impl Into<Arc<[String]>>, message: Bytes) {
        self.transmits.push_back(Transmit { to: Destination::Peers(to.into()), message });
    }

    fn audit(&mut self, sid: &str, asked: Asked, decision: Decision) {
        if !decision.is_allow() && !matches!(asked, Asked::Delivery(_)) {
            self.counts.denied += 1;
        }
        let (sid, identity) = match (sid.strip_prefix(UNANNOUNCED), self.peers.get(sid)) {
            (Some(identity), _) => ("", Some(identity.to_owned())),
            (None, peer) => (sid, peer.map(|peer| peer.identity.clone())),
        };
        self.audits.push_back(Audit { sid: sid.to_owned(), identity, asked, decision });
    }

    /// Whether it is a request with an id that is worth remembering: no SDK's is longer than what is peeked at.
    fn is_routable(&self, envelope: &Envelope) -> bool {
        matches!(envelope.kind(), Kind::Request { .. }) && envelope.id().len() <= self.config.limits.peeked
    }

    /// SDK hosts leave some requests unanswered. Their routes go by age; past the bound on routes the oldest of who asks now goes,
    /// or else the oldest of all, so that one asker who floods takes the room from no other.
    fn make_room_for(&mut self, sid: &str, now: Time) {
        self.handle_timeout(now);
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
        if let Some(route) = self.routes.remove(&route) {
            self.answer_route(&route, UNANSWERED_REQUEST);
        }
    }
}

/// What the id of a request begins with under which the agent gets it; the number of its route follows.
const ROUTE: &str = "gr-";

fn route_number(id: &str) -> Option<u64> {
    id.strip_prefix(ROUTE)?.parse().ok()
}

/// What the sid of a participant begins with here that the room has not announced: no sid of a server's does.
const UNANNOUNCED: &str = "?";

/// What stands for the sid of a participant that the room has not announced.
pub(crate) fn unannounced(identity: &str) -> String {
    format!("{UNANNOUNCED}{identity}")
}

/// The identity of a participant that the room has not announced.
pub(crate) fn unannounced_identity(sid: &str) -> Option<&str> {
    sid.strip_prefix(UNANNOUNCED)
}
