//! Everything that goes over the topic of agent sessions in one room: one [`Switchboard`] for each Room object.
//!
//! A Room takes one handler for the topic, but may have several users of it: agents' session hosts, which are driven, and controllers of
//! ours, which drive an agent that is another participant. The switchboard puts the incoming byte streams together, gives each
//! message to whom it is for, and says what to send to whom. It never sends to everybody.
//!
//! What may leave is decided when it leaves: [`Switchboard::poll_send`] gives one message at a time, to be sent before the next is
//! asked for. What comes in is drained with [`Switchboard::poll`] after every call, this one included.

mod agent;
mod bucket;
mod intake;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

pub use self::agent::{
    AgentSearch, Candidate, PUBLISHES_ON_BEHALF, ambiguous_agent, find_agent, lacks_grant, no_agent,
};
use self::intake::{Intake, Refusal, Role, Standing, Taken};
use crate::gate::{Audit, Peer};
use crate::limits::Limits;
use crate::message::{self, Envelope, Kind};
use crate::session::{
    Counts, Destination, Host, HostConfig, PERMISSION_DENIED, Refused, Transmit, unannounced,
    unannounced_identity,
};
use crate::time::Time;

/// The attribute of a byte stream in which a hidden controller names its identity: the server does
/// not name hidden senders.
pub const CLAIMED_IDENTITY: &str = "greenroom.identity";

/// The number of a host that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

/// The number of an incoming byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// The number under which somebody waits until a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// Nobody waits: the switchboard itself answers.
    pub const NOBODY: Self = Self(0);
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A request for a host, under an id of its own.
    Request {
        /// Whose.
        host: HostId,
        /// The encoded request.
        message: Bytes,
        /// Who asks.
        sender: String,
    },
    /// A message of an agent that a controller of ours is addressed at.
    FromAgent {
        /// The agent.
        identity: String,
        /// The encoded message.
        message: Bytes,
    },
    /// A message of such an agent that was not read to its end: it is over the cap for agents, its
    /// stream stalled, or too many bytes of others were still unread.
    Skipped {
        /// The agent.
        identity: String,
        /// Its size in bytes, as far as it is known.
        announced: usize,
        /// Its first bytes; empty if none of it was read.
        head: Vec<u8>,
    },
    /// Nobody reads this stream any more: close its reader.
    Cut(StreamId),
    /// A line of the audit log.
    Audit(Audit),
}

/// What to do next to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Send this to exactly these participants.
    Send {
        /// Who waits for it.
        ticket: Ticket,
        /// To whom; never empty. Messages to the same share one list, as long as nobody comes, goes or changes.
        to: Arc<[Recipient]>,
        /// The encoded message.
        message: Bytes,
    },
    /// All that belongs to this ticket was given out.
    Done(Ticket),
}

/// A participant that is sent something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The name it joined under, by which a room addresses it.
    pub identity: String,
    /// Its stay in the room; who has joined under the name since is somebody else. Empty for one that the room has not announced.
    pub sid: String,
}

/// How a host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HostStatus {
    /// What it has counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Requests that wait for their answer.
    pub waiting: usize,
    /// Incoming streams that were cut before their end, of all the room.
    pub cut: u64,
    /// Participants of the room.
    pub peers: usize,
}

/// All use of the topic in one room.
#[derive(Debug)]
pub struct Switchboard {
    limits: Limits,
    intake: Intake,
    peers: BTreeMap<String, Peer>,
    sids: BTreeMap<String, String>,
    /// The agents that controllers of ours are addressed at, and by how many.
    agents: BTreeMap<String, usize>,
    hosts: BTreeMap<HostId, Host>,
    next_host: u32,
    next_ticket: u64,
    incoming: VecDeque<Incoming>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    ready: VecDeque<Outgoing>,
    /// Who the last that got something are, until a participant is another.
    audience: Option<Audience>,
    cut: u64,
    now: Time,
}

/// Some participants, and who they are in the room.
#[derive(Debug)]
struct Audience {
    sids: Arc<[String]>,
    recipients: Arc<[Recipient]>,
}

#[derive(Debug)]
enum Queued {
    /// Of a host's agent.
    Agent { host: HostId, ticket: Ticket, message: Bytes, destination: Option<String> },
    /// Of a controller of ours.
    Controller { ticket: Ticket, message: Bytes, agent: String },
    /// Of a host itself: a refusal.
    Refusal { sids: Arc<[String]>, message: Bytes },
}

impl Switchboard {
    /// A switchboard that nobody uses yet: every stream is cut.
    pub fn new(limits: Limits, now: Time) -> Self {
        Self {
            intake: Intake::new(limits.clone(), now),
            limits,
            peers: BTreeMap::new(),
            sids: BTreeMap::new(),
            agents: BTreeMap::new(),
            hosts: BTreeMap::new(),
            next_host: 1,
            next_ticket: 1,
            incoming: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            ready: VecDeque::new(),
            audience: None,
            cut: 0,
            now,
        }
    }

    /// An agent's session host uses the room. Requests go to the host that was opened first of those that are open; the events of
    /// each go to all who may observe.
    pub fn open_host(&mut self, config: HostConfig) -> HostId {
        let id = HostId(self.next_host);
        self.next_host += 1;
        let mut host = Host::new(config);
        for peer in self.peers.values() {
            host.set_peer(peer.clone());
        }
        self.hosts.insert(id, host);
        id
    }

    /// The agent's session host is gone: what waits for it is answered with an error.
    pub fn close_host(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.close();
            self.route(id);
            self.hosts.remove(&id);
        }
    }

    /// A controller of ours is addressed at this agent.
    pub fn listen(&mut self, agent: &str) {
        *self.agents.entry(agent.to_owned()).or_default() += 1;
    }

    /// A controller of ours is addressed at this agent no more.
    pub fn unlisten(&mut self, agent: &str) {
        if let Some(controllers) = self.agents.get_mut(agent) {
            *controllers -= 1;
            if *controllers == 0 {
                self.agents.remove(agent);
            }
        }
    }

    /// The room announces a participant, or new permissions of one. Who was in the room under that identity before is gone.
    pub fn set_peer(&mut self, peer: Peer, now: Time) {
        self.now = now;
        if self.peers.get(&peer.sid) == Some(&peer) {
            return;
        }
        if let Some(old) = self.sids.get(&peer.identity).filter(|old| **old != peer.sid).cloned() {
            self.remove_peer(&old, now);
        }
        if !self.peers.contains_key(&peer.sid) && self.peers.len() >= self.limits.peers {
            return;
        }
        self.audience = None;
        self.sids.insert(peer.identity.clone(), peer.sid.clone());
        self.peers.insert(peer.sid.clone(), peer.clone());
        let hidden = unannounced(&peer.identity);
        for host in self.hosts.values_mut() {
            host.remove_peer(&hidden);
            host.set_peer(peer.clone());
        }
        if self.intake.held() > 0 {
            let standing = self.standing(&peer.identity);
            self.intake.announced(&peer.identity, &standing, now);
            self.take();
        }
    }

    /// A participant left.
    pub fn remove_peer(&mut self, sid: &str, now: Time) {
        self.now = now;
        let Some(peer) = self.peers.remove(sid) else { return };
        self.audience = None;
        if self.sids.get(&peer.identity).is_some_and(|current| current == sid) {
            self.sids.remove(&peer.identity);
        }
        for host in self.hosts.values_mut() {
            host.remove_peer(sid);
        }
    }

    /// A byte stream begins that is `announced` bytes long, if its sender said so.
    pub fn begin(&mut self, identity: &str, announced: Option<usize>, now: Time) -> StreamId {
        self.now = now;
        let standing = self.standing(identity);
        let stream = self.intake.begin(identity, announced, standing, now);
        self.take();
        StreamId(stream)
    }

    /// Begins a byte stream whose sender the server does not name: the sender is hidden and claims
    /// the identity `claim` (see [`CLAIMED_IDENTITY`]).
    ///
    /// A claim to the identity of a participant in the room, or of an agent that a controller
    /// listens to, is refused. A hidden sender is never announced, so a claim that no policy lists
    /// is not held.
    pub fn begin_hidden(&mut self, claim: &str, announced: Option<usize>, now: Time) -> StreamId {
        if claim.is_empty() || self.sids.contains_key(claim) || self.agents.contains_key(claim) {
            return self.begin("", announced, now);
        }
        self.now = now;
        let standing = match self.standing(claim) {
            Standing::Unannounced => Standing::Refused { sid: unannounced(claim).into() },
            standing => standing,
        };
        let stream = self.intake.begin(claim, announced, standing, now);
        self.take();
        StreamId(stream)
    }

    /// More of a stream. Whether to go on with it.
    pub fn chunk(&mut self, stream: StreamId, data: &[u8], now: Time) -> bool {
        self.now = now;
        let go_on = self.intake.chunk(stream.0, data, now);
        self.take();
        go_on
    }

    /// A stream is complete.
    pub fn end(&mut self, stream: StreamId, now: Time) {
        self.now = now;
        self.intake.end(stream.0);
        self.take();
    }

    /// A stream was broken off.
    pub fn abort(&mut self, stream: StreamId, now: Time) {
        self.now = now;
        self.intake.abort(stream.0);
        self.take();
    }

    /// An agent's own session host sends a message, to `destination` alone if there is one.
    pub fn send_from_agent(
        &mut self,
        host: HostId,
        message: Bytes,
        destination: Option<String>,
        now: Time,
    ) -> Ticket {
        self.now = now;
        let ticket = self.ticket();
        let is_full = self.queue.len() >= self.limits.queued_sends
            || self.queued_bytes + message.len() > self.limits.queued_send_bytes;
        if is_full && !matches!(message::peek_id(&message), Some((Kind::Response, _))) {
            if let Some(host) = self.hosts.get_mut(&host) {
                host.count_dropped();
            }
            // Who waits for it keeps it as long.
            self.ready.push_back(Outgoing::Done(ticket));
            return ticket;
        }
        self.queued_bytes += message.len();
        self.queue.push_back(Queued::Agent { host, ticket, message, destination });
        ticket
    }

    /// A controller of ours sends a message to its agent.
    pub fn send(&mut self, message: Bytes, agent: &str, now: Time) -> Ticket {
        self.now = now;
        let ticket = self.ticket();
        self.queued_bytes += message.len();
        self.queue.push_back(Queued::Controller { ticket, message, agent: agent.to_owned() });
        ticket
    }

    /// What came in.
    pub fn poll(&mut self) -> Option<Incoming> {
        self.incoming.pop_front()
    }

    /// Whether [`Switchboard::poll_send`] has something to do; this decides nothing.
    pub fn has_outgoing(&self) -> bool {
        !(self.ready.is_empty() && self.queue.is_empty())
    }

    /// What to send next. Who may have it is decided in this moment.
    pub fn poll_send(&mut self) -> Option<Outgoing> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            match self.queue.pop_front()? {
                Queued::Agent { host, ticket, message, destination } => {
                    self.queued_bytes -= message.len();
                    self.pass_on(host, ticket, message, destination);
                    self.ready.push_back(Outgoing::Done(ticket));
                }
                Queued::Controller { ticket, message, agent } => {
                    self.queued_bytes -= message.len();
                    let sid = self.sids.get(&agent).cloned().unwrap_or_default();
                    let to = [Recipient { identity: agent, sid }].into();
                    self.ready.push_back(Outgoing::Send { ticket, to, message });
                    self.ready.push_back(Outgoing::Done(ticket));
                }
                Queued::Refusal { sids, message } => {
                    let message = if self.may_have(&sids) { message } else { denial(&message) };
                    self.give_out(Ticket::NOBODY, &sids, message);
                }
            }
        }
    }

    /// When to call [`Switchboard::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        self.hosts.values().filter_map(Host::poll_timeout).chain(self.intake.poll_timeout()).min()
    }

    /// Lets pass what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        self.intake.handle_timeout(now);
        self.take();
        let hosts: Vec<HostId> = self.hosts.keys().copied().collect();
        for id in hosts {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.handle_timeout(now);
            }
            self.route(id);
        }
    }

    /// How a host stands; `None` once it is closed.
    pub fn status(&self, host: HostId) -> Option<HostStatus> {
        let host = self.hosts.get(&host)?;
        Some(HostStatus {
            counts: host.counts(),
            waiting: host.waiting(),
            cut: self.cut,
            peers: self.peers.len(),
        })
    }

    /// What may become of a stream of this participant, now.
    fn standing(&mut self, identity: &str) -> Standing {
        let sid: Option<Arc<str>> = self.sids.get(identity).map(|sid| sid.as_str().into());
        if self.agents.contains_key(identity) {
            let sid = sid.unwrap_or_else(|| unannounced(identity).into());
            return Standing::Welcome { sid, cap: self.limits.agent_message, role: Role::Agent };
        }
        let Some(host) = self.hosts.values_mut().next() else { return Standing::Nobody };
        let cap = host.config().limits.peer_message;
        match sid {
            Some(sid) if self.peers.get(&*sid).is_some_and(|peer| host.config().policy.welcomes(peer)) => {
                Standing::Welcome { sid, cap, role: Role::Controller }
            }
            Some(sid) => Standing::Refused { sid },
            None if !identity.is_empty() && host.config().policy.hidden.contains(identity) => {
                let sid = unannounced(identity);
                host.set_peer(Peer {
                    sid: sid.clone(),
                    identity: identity.to_owned(),
                    can_manage_agent_session: Some(true),
                });
                Standing::Welcome { sid: sid.into(), cap, role: Role::Controller }
            }
            None => Standing::Unannounced,
        }
    }

    /// Gives on what the intake took.
    fn take(&mut self) {
        while let Some(taken) = self.intake.poll() {
            match taken {
                Taken::Message { identity, sid, message } => self.receive(&identity, &sid, message),
                // Every refusal of the agent's own streams concerns the controller that drives it.
                Taken::Refused { identity, size, head, .. } if self.agents.contains_key(&*identity) => {
                    let identity = identity.to_string();
                    self.incoming.push_back(Incoming::Skipped { identity, announced: size, head });
                }
                Taken::Refused { identity, sid, why, size, head } => {
                    self.refuse(&identity, &sid, why, size, &head);
                }
                Taken::Cut { stream } => {
                    self.cut += 1;
                    self.incoming.push_back(Incoming::Cut(StreamId(stream)));
                }
            }
        }
    }

    fn receive(&mut self, identity: &str, sid: &str, message: Bytes) {
        let is_agent = self.agents.contains_key(identity);
        let is_request = || {
            Envelope::parse(message.clone())
                .is_ok_and(|envelope| matches!(envelope.kind(), Kind::Request { .. }))
        };
        match self.hosts.first_entry() {
            // An agent may be another's controller, too.
            Some(mut host) if !is_agent || is_request() => {
                host.get_mut().receive(sid, message, self.now);
                let id = *host.key();
                self.route(id);
            }
            _ if is_agent => {
                let identity = identity.to_owned();
                self.incoming.push_back(Incoming::FromAgent { identity, message });
            }
            _ => {}
        }
    }

    fn refuse(&mut self, identity: &str, sid: &str, why: Refusal, size: usize, head: &[u8]) {
        let Some(mut host) = self.hosts.first_entry() else { return };
        let why = match why {
            Refusal::Denied => Refused::Denied,
            Refusal::TooLarge => Refused::TooLarge(size),
            Refusal::Flood => Refused::Flood,
            Refusal::Stalled => Refused::Stalled,
        };
        // The stream was never admitted: the sender is looked up, or is not announced.
        let known = self.sids.get(identity).cloned();
        let sid =
            if sid.is_empty() { known.unwrap_or_else(|| unannounced(identity)) } else { sid.to_owned() };
        host.get_mut().refuse(&sid, why, head);
        let id = *host.key();
        self.route(id);
    }

    fn pass_on(&mut self, id: HostId, ticket: Ticket, message: Bytes, destination: Option<String>) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        match destination {
            Some(identity) => host.receive_from_agent_for(&identity, message, self.now),
            None => host.receive_from_agent(message, self.now),
        }
        while let Some(Transmit { to, message }) = self.hosts.get_mut(&id).and_then(Host::poll_transmit) {
            match to {
                Destination::Agent => self.request(id, message),
                Destination::Peers(sids) => self.give_out(ticket, &sids, message),
            }
        }
        self.log(id);
    }

    /// Gives on what a host caused by itself.
    fn route(&mut self, id: HostId) {
        while let Some(Transmit { to, message }) = self.hosts.get_mut(&id).and_then(Host::poll_transmit) {
            match to {
                Destination::Agent => self.request(id, message),
                Destination::Peers(sids) => self.queue.push_back(Queued::Refusal { sids, message }),
            }
        }
        self.log(id);
    }

    fn request(&mut self, host: HostId, message: Bytes) {
        let sender = self.hosts.get(&host).and_then(|host| host.asker(&message));
        let sender = sender.map(ToOwned::to_owned).unwrap_or_default();
        self.incoming.push_back(Incoming::Request { host, message, sender });
    }

    fn log(&mut self, id: HostId) {
        while let Some(audit) = self.hosts.get_mut(&id).and_then(Host::poll_audit) {
            self.incoming.push_back(Incoming::Audit(audit));
        }
    }

    /// Whether these still hold the grant. To who is not announced a host itself says no more than the denial, unless its author
    /// named it.
    fn may_have(&self, sids: &[String]) -> bool {
        let holds = |sid: &String| {
            let peer = self.peers.get(sid);
            unannounced_identity(sid).is_some()
                || peer.is_some_and(|peer| peer.can_manage_agent_session == Some(true))
        };
        sids.iter().all(holds)
    }

    fn give_out(&mut self, ticket: Ticket, sids: &Arc<[String]>, message: Bytes) {
        let to = self.recipients(sids);
        if !to.is_empty() {
            self.ready.push_back(Outgoing::Send { ticket, to, message });
        }
    }

    /// Who these are that are in the room now. Most messages go to the same as the one before.
    fn recipients(&mut self, sids: &Arc<[String]>) -> Arc<[Recipient]> {
        if let Some(last) = self.audience.as_ref().filter(|last| Arc::ptr_eq(&last.sids, sids)) {
            return last.recipients.clone();
        }
        let recipient = |sid: &String| match (unannounced_identity(sid), self.peers.get(sid)) {
            (Some(identity), _) => Some(Recipient { identity: identity.to_owned(), sid: String::new() }),
            (None, peer) => peer.map(|peer| Recipient { identity: peer.identity.clone(), sid: sid.clone() }),
        };
        let recipients: Arc<[Recipient]> = sids.iter().filter_map(recipient).collect();
        self.audience = Some(Audience { sids: sids.clone(), recipients: recipients.clone() });
        recipients
    }

    const fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }
}

/// The denial in place of a response.
fn denial(message: &Bytes) -> Bytes {
    let id = message::peek_id(message).map(|(_, id)| id).unwrap_or_default();
    message::encode_error(&id, PERMISSION_DENIED)
}
