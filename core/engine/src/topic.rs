//! All use of the topic of agent sessions in one room that a host language has joined: the
//! switchboard, and the sessions that drive agents in the room.
//!
//! The host language reports the room's participants and the chunks of incoming streams, and sends
//! what [`RoomTopic::poll_send`] returns. Messages of attached sessions never leave native code.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use greenroom_protocol::gate::Peer;
use greenroom_protocol::message::CloseReason;
use greenroom_protocol::room::{
    AgentSearch, Candidate, Incoming, Outgoing, Switchboard, Ticket, ambiguous_agent, find_agent,
    lacks_grant, no_agent,
};
use greenroom_protocol::session::{AgentPlace, Config};
use greenroom_protocol::time::in_words;
use greenroom_protocol::{Code, Error, Limits, Time};
use serde::Deserialize;

use crate::driver::lock;
use crate::pipe::{Pipe, room_lost};
use crate::session::Session;

/// How to drive the session of an agent in a room that was joined.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttachOptions {
    /// The identity of the agent; `None` is the only participant of the room that is an agent.
    pub agent: Option<String>,
    /// From the call until the session is ready: to wait for the agent, to have its first answer. 60 s.
    pub start_timeout: Duration,
    /// How the protocol behaves. The agent's audio is left as it is: it may be talking to people.
    pub controller: Config,
    /// After how long without any call the session ends by itself; `None` is never.
    pub idle_timeout: Option<Duration>,
}

impl Default for AttachOptions {
    fn default() -> Self {
        let mut controller = Config::default();
        controller.text_mode = false;
        controller.agent_place = AgentPlace::Room;
        Self { agent: None, start_timeout: Duration::from_secs(60), controller, idle_timeout: None }
    }
}

/// The room and our place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalParticipant {
    /// Whether the room is connected.
    pub is_connected: bool,
    /// The name of the room.
    pub room: String,
    /// The identity of the local participant.
    pub identity: String,
    /// Whether it holds the grant `canManageAgentSession`.
    pub can_manage_agent_session: bool,
}

impl LocalParticipant {
    /// Checks that agents can be driven from here.
    ///
    /// # Errors
    /// When the room is not connected, or the local participant lacks the grant.
    pub fn check(&self) -> Result<(), Error> {
        if !self.is_connected {
            let message = "the Room is not connected; `await room.connect(url, token)` first";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if !self.can_manage_agent_session {
            return Err(lacks_grant(&self.identity, &self.room));
        }
        Ok(())
    }
}

/// One for each room that a host language has joined.
pub struct RoomTopic {
    state: Mutex<State>,
}

struct State {
    board: Switchboard,
    /// The participants of the room, by their sid.
    present: BTreeMap<String, Candidate>,
    room: String,
    attached: Vec<Attached>,
    next: u64,
    /// Messages of attached sessions on their way, and the session of each.
    sends: HashMap<Ticket, u64>,
    /// What came in for the host language.
    incoming: VecDeque<Incoming>,
    /// How many listeners of the host language each agent has.
    listeners: BTreeMap<String, usize>,
}

struct Attached {
    id: u64,
    pipe: Pipe,
    wanted: Option<String>,
    within: String,
    /// The agent's identity and its stay in the room, once it is found.
    agent: Option<(String, String)>,
}

/// Something to do to a session once the lock is released.
enum Act {
    Receive(Pipe, bytes::Bytes),
    Skip(Pipe, usize, Vec<u8>),
    Open(Pipe, String),
    Wait(Pipe, Error),
    FailStart(Pipe, Error),
    Close(Pipe, CloseReason, Error),
}

impl Act {
    fn run(self) {
        match self {
            Self::Receive(pipe, message) => pipe.receive(&message),
            Self::Skip(pipe, announced, head) => pipe.receive_skipped(announced, &head),
            Self::Open(pipe, agent) => {
                pipe.shared().with(|state, now| {
                    state.status.agent = Some(agent);
                    state.last_call = now;
                });
                pipe.open();
            }
            Self::Wait(pipe, error) => pipe.wait_for_agent(error),
            Self::FailStart(pipe, error) => pipe.fail_start(error),
            Self::Close(pipe, reason, error) => pipe.close(reason, error),
        }
    }
}

impl RoomTopic {
    /// Returns a topic without sessions. Each `now` is a time on one monotonic clock of the caller.
    pub fn new(limits: Limits, now: Time) -> Self {
        Self {
            state: Mutex::new(State {
                board: Switchboard::new(limits, now),
                present: BTreeMap::new(),
                room: String::new(),
                attached: Vec::new(),
                next: 1,
                sends: HashMap::new(),
                incoming: VecDeque::new(),
                listeners: BTreeMap::new(),
            }),
        }
    }

    /// Uses the switchboard, then passes what came in to attached sessions and to [`RoomTopic::poll`].
    pub fn with<R>(&self, act: impl FnOnce(&mut Switchboard) -> R) -> R {
        self.change(|state, _| act(&mut state.board))
    }

    /// Starts to pass messages of this agent to [`RoomTopic::poll`].
    pub fn listen(&self, agent: &str) {
        self.change(|state, _| {
            *state.listeners.entry(agent.to_owned()).or_default() += 1;
            state.board.listen(agent);
        });
    }

    /// Stops what one call of [`RoomTopic::listen`] started.
    pub fn unlisten(&self, agent: &str) {
        self.change(|state, _| {
            if let Some(count) = state.listeners.get_mut(agent) {
                *count -= 1;
                if *count == 0 {
                    state.listeners.remove(agent);
                }
                state.board.unlisten(agent);
            }
        });
    }

    /// The room announces a participant, or changes of one.
    pub fn set_participant(&self, peer: Peer, candidate: Candidate, now: Time) {
        self.change(|state, acts| {
            let (sid, identity) = (peer.sid.clone(), peer.identity.clone());
            state.present.retain(|other, known| *other == sid || known.identity != identity);
            state.board.set_peer(peer, now);
            if state.present.get(&sid) != Some(&candidate) {
                state.present.insert(sid, candidate);
                state.search(acts);
            }
        });
    }

    /// A participant left.
    pub fn remove_participant(&self, sid: &str, now: Time) {
        self.change(|state, acts| {
            state.board.remove_peer(sid, now);
            if state.present.remove(sid).is_some() {
                state.search(acts);
            }
        });
    }

    /// Ends or restarts the sessions whose agent is not in the room any more. Call it once the room
    /// has reported all participants, and not while it reconnects.
    pub fn check_agents(&self, is_connected: bool) {
        self.change(|state, acts| state.check_agents(is_connected, acts));
    }

    /// Drives an agent in the room. Returns at once: the session waits for the agent, and for its
    /// answer, until the start timeout.
    ///
    /// # Errors
    /// When the room is not connected, the local participant lacks the grant, or no thread can be
    /// started.
    pub fn attach(&self, local: &LocalParticipant, options: AttachOptions) -> Result<Session, Error> {
        local.check()?;
        let within = in_words(options.start_timeout).to_string();
        let wanted = options.agent.clone();
        let (session, pipe) = Session::carried(options)?;
        pipe.shared().with(|state, _| {
            state.status.room = Some(local.room.clone());
            state.status.identity = Some(local.identity.clone());
        });
        self.change(|state, acts| {
            state.room.clone_from(&local.room);
            let id = state.next;
            state.next += 1;
            state.attached.push(Attached { id, pipe, wanted, within, agent: None });
            state.search(acts);
        });
        Ok(session)
    }

    /// Looks for the agent of a controller of the host language.
    ///
    /// # Errors
    /// When the room has several agents and none is named.
    pub fn find_agent(&self, room: &str, wanted: Option<&str>) -> Result<Option<String>, Error> {
        let present: Vec<Candidate> = lock(&self.state).present.values().cloned().collect();
        match find_agent(wanted, &present) {
            AgentSearch::Found(identity) => Ok(Some(identity)),
            AgentSearch::Waiting(_) => Ok(None),
            AgentSearch::Ambiguous(agents) => Err(ambiguous_agent(&agents, room)),
        }
    }

    /// Returns the error for an agent that [`RoomTopic::find_agent`] did not find in time.
    pub fn no_agent(&self, room: &str, wanted: Option<&str>, within: std::time::Duration) -> Error {
        let mut present: Vec<String> =
            lock(&self.state).present.values().map(|one| one.identity.clone()).collect();
        present.sort();
        no_agent(wanted, &present, room, &in_words(within).to_string())
    }

    /// The number of attached sessions that are not closed.
    pub fn sessions(&self) -> usize {
        self.change(|_, _| {});
        lock(&self.state).attached.len()
    }

    /// Returns what came in for the host language.
    pub fn poll(&self) -> Option<Incoming> {
        lock(&self.state).incoming.pop_front()
    }

    /// Whether [`RoomTopic::poll_send`] has something to do.
    pub fn has_outgoing(&self, now: Time) -> bool {
        self.change(|state, _| {
            state.collect(now);
            state.board.has_outgoing()
        })
    }

    /// Returns what to send next, messages of attached sessions included.
    pub fn poll_send(&self, now: Time) -> Option<Outgoing> {
        self.change(|state, _| {
            state.collect(now);
            loop {
                match state.board.poll_send()? {
                    Outgoing::Done(ticket) if state.sends.remove(&ticket).is_some() => {}
                    outgoing => return Some(outgoing),
                }
            }
        })
    }

    /// Reports that a message could not be sent. A session that loses one closes: a call without its
    /// answer would wait in vain. Returns whether the message was a session's.
    pub fn send_failed(&self, ticket: Ticket, why: &str) -> bool {
        self.change(|state, acts| {
            let Some(id) = state.sends.remove(&ticket) else { return false };
            if let Some(attached) = state.attached.iter().find(|attached| attached.id == id) {
                let error = Error::new(Code::AgentGone, why);
                acts.push(Act::Close(attached.pipe.clone(), CloseReason::RoomDisconnected, error));
            }
            true
        })
    }

    fn change<R>(&self, act: impl FnOnce(&mut State, &mut Vec<Act>) -> R) -> R {
        let mut acts = Vec::new();
        let mut state = lock(&self.state);
        let result = act(&mut state, &mut acts);
        state.route(&mut acts);
        state.prune();
        drop(state);
        acts.into_iter().for_each(Act::run);
        result
    }
}

impl State {
    /// Passes on what came in.
    fn route(&mut self, acts: &mut Vec<Act>) {
        while let Some(incoming) = self.board.poll() {
            let sessions = |identity: &str| {
                let attached = self.attached.iter();
                let is_of =
                    |attached: &&Attached| attached.agent.as_ref().is_some_and(|(who, _)| who == identity);
                attached.filter(is_of).map(|attached| attached.pipe.clone()).collect::<Vec<_>>()
            };
            let is_for_host_language = match &incoming {
                Incoming::FromAgent { identity, message } => {
                    let receive = |pipe| Act::Receive(pipe, message.clone());
                    acts.extend(sessions(identity).into_iter().map(receive));
                    self.listeners.contains_key(identity)
                }
                Incoming::Skipped { identity, announced, head } => {
                    let skip = |pipe| Act::Skip(pipe, *announced, head.clone());
                    acts.extend(sessions(identity).into_iter().map(skip));
                    self.listeners.contains_key(identity)
                }
                _ => true,
            };
            if is_for_host_language {
                self.incoming.push_back(incoming);
            }
        }
    }

    /// Finds the agents of sessions that wait for theirs.
    fn search(&mut self, acts: &mut Vec<Act>) {
        let candidates: Vec<Candidate> = self.present.values().cloned().collect();
        for attached in self.attached.iter_mut().filter(|attached| attached.agent.is_none()) {
            match find_agent(attached.wanted.as_deref(), &candidates) {
                AgentSearch::Found(identity) => {
                    let sid = self.present.iter().find(|(_, one)| one.identity == identity);
                    let sid = sid.map(|(sid, _)| sid.clone()).unwrap_or_default();
                    self.board.listen(&identity);
                    attached.agent = Some((identity.clone(), sid));
                    acts.push(Act::Open(attached.pipe.clone(), identity));
                }
                AgentSearch::Waiting(present) => {
                    let error = no_agent(attached.wanted.as_deref(), &present, &self.room, &attached.within);
                    acts.push(Act::Wait(attached.pipe.clone(), error));
                }
                AgentSearch::Ambiguous(agents) => {
                    acts.push(Act::FailStart(attached.pipe.clone(), ambiguous_agent(&agents, &self.room)));
                }
            }
        }
    }

    fn check_agents(&mut self, is_connected: bool, acts: &mut Vec<Act>) {
        let mut searches = false;
        for attached in &mut self.attached {
            if !is_connected {
                let agent = attached.agent.as_ref().map(|(identity, _)| identity.as_str());
                let (reason, error) = room_lost(agent);
                acts.push(Act::Close(attached.pipe.clone(), reason, error));
                continue;
            }
            let Some((identity, sid)) = &attached.agent else { continue };
            if self.present.contains_key(sid) {
                continue;
            }
            // An agent that leaves before its session has started may come again, or another may come.
            if attached.pipe.unlink() {
                self.board.unlisten(identity);
                attached.agent = None;
                searches = true;
            } else {
                let message = format!("the agent {identity:?} left the room {:?}", self.room);
                let error = Error::new(Code::AgentGone, message);
                acts.push(Act::Close(attached.pipe.clone(), CloseReason::AgentLeft, error));
            }
        }
        if searches {
            self.search(acts);
        }
    }

    /// Hands the messages of attached sessions to the switchboard.
    fn collect(&mut self, now: Time) {
        for attached in &self.attached {
            let Some((identity, _)) = &attached.agent else { continue };
            while let Some(message) = attached.pipe.poll_transmit() {
                let ticket = self.board.send(message, identity, now);
                self.sends.insert(ticket, attached.id);
            }
        }
    }

    /// Forgets sessions that are closed.
    fn prune(&mut self) {
        let closed: Vec<Attached> =
            self.attached.extract_if(.., |attached| attached.pipe.is_closed()).collect();
        for Attached { id, agent, .. } in closed {
            if let Some((identity, _)) = agent {
                self.board.unlisten(&identity);
            }
            self.sends.retain(|_, owner| *owner != id);
        }
    }
}
