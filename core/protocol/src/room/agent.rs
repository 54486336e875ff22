//! Which participant of a room is the agent of a session.

use crate::error::{Code, Error};

/// The attribute of a participant that publishes in place of an agent, such as an avatar worker.
pub const PUBLISHES_ON_BEHALF: &str = "lk.publish_on_behalf";

/// A remote participant, as far as the search for the agent needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Its identity.
    pub identity: String,
    /// Whether it is of the kind agent.
    pub is_agent_kind: bool,
    /// Whether it has the attribute [`PUBLISHES_ON_BEHALF`].
    pub publishes_on_behalf: bool,
    /// Whether messages can reach it: it is connected, and not just about to be.
    pub is_active: bool,
}

impl Candidate {
    /// Whether this is an agent, and not a worker that publishes in place of one.
    pub const fn is_agent(&self) -> bool {
        self.is_agent_kind && !self.publishes_on_behalf
    }
}

/// The result of [`find_agent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentSearch {
    /// The identity of the agent.
    Found(String),
    /// The agent is not there yet. The identities of the participants that are.
    Waiting(Vec<String>),
    /// The room has several agents and none was named: their identities.
    Ambiguous(Vec<String>),
}

/// Finds the agent of a session: the participant with the identity `wanted`, or the only agent if
/// `wanted` is `None`.
pub fn find_agent(wanted: Option<&str>, present: &[Candidate]) -> AgentSearch {
    let is_match = |candidate: &&Candidate| match wanted {
        Some(identity) => candidate.identity == identity,
        None => candidate.is_agent(),
    };
    let matches: Vec<&Candidate> = present.iter().filter(is_match).collect();
    let names = |candidates: &mut dyn Iterator<Item = &Candidate>| {
        let mut names: Vec<String> = candidates.map(|candidate| candidate.identity.clone()).collect();
        names.sort();
        names
    };
    match matches.as_slice() {
        [agent] if agent.is_active => AgentSearch::Found(agent.identity.clone()),
        [] | [_] => AgentSearch::Waiting(names(&mut present.iter())),
        several => AgentSearch::Ambiguous(names(&mut several.iter().copied())),
    }
}

/// The error for a room with several agents of which none was named.
pub fn ambiguous_agent(agents: &[String], room: &str) -> Error {
    let names: Vec<String> = agents.iter().map(|name| format!("{name:?}")).collect();
    let message =
        format!("the room {room:?} has {} agents: {}; name one of them", agents.len(), names.join(", "));
    Error::new(Code::InvalidArgument, message)
}

/// The error for an agent that was not in the room by the start deadline; `within` is the start
/// timeout in words.
pub fn no_agent(wanted: Option<&str>, present: &[String], room: &str, within: &str) -> Error {
    let missing = match wanted {
        Some(identity) => format!("{identity:?} did not come into the room {room:?}"),
        None => format!("no agent came into the room {room:?}"),
    };
    let others = match present {
        [] => "no other participant is in it".to_owned(),
        others => {
            let names: Vec<String> = others.iter().map(|name| format!("{name:?}")).collect();
            format!("in it: {}", names.join(", "))
        }
    };
    let message = format!(
        "{missing} within {within} ({others}); start the agent or dispatch it into this room, or use a longer \
         start timeout"
    );
    Error::new(Code::Timeout, message)
}

/// The error for a local participant without the grant to drive agents.
pub fn lacks_grant(identity: &str, room: &str) -> Error {
    let message = format!(
        "{identity:?} may not manage agent sessions in the room {room:?}: it lacks the grant \
         canManageAgentSession. Join with a token that has it, or grant it with UpdateParticipant; the server \
         must be 1.12 or newer"
    );
    Error::new(Code::PermissionDenied, message)
}
