//! What is written down about a session.

use std::path::PathBuf;
use std::time::Duration;

use greenroom_engine::launch::AgentSpec;
use greenroom_protocol::Error;
use greenroom_protocol::message::{Event, Item, Started};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::SessionName;
use crate::token::Token;

/// How a session is started, complete enough to start it again, but for secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The peer.
    #[serde(flatten)]
    pub target: Target,
    /// The port to listen on; any free one where it is unset.
    pub port: Option<u16>,
    /// How long the agent may take to be ready, in milliseconds.
    pub start_timeout_ms: u64,
    /// After how long without a request the session ends, in milliseconds.
    pub idle_timeout_ms: Option<u64>,
    /// Where the agent's log goes, absolute; into the session's folder where it is unset.
    pub log: Option<PathBuf>,
    /// Whether the agent's audio is kept on.
    pub audio: bool,
    /// The WAV file that a session with audio is recorded into, absolute.
    pub recording: Option<PathBuf>,
}

/// The peer of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// An agent that is started for it.
    Agent(AgentSpec),
    /// An agent in a room.
    Room(RoomTarget),
}

/// An agent in a room. The token that opens the room is written down nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomTarget {
    /// The server.
    pub url: String,
    /// The room.
    pub room: String,
    /// The agent's identity; the only agent of the room where it is unset.
    pub agent: Option<String>,
    /// Under which identity to join, where the token is one of our own making.
    pub identity: Option<String>,
    /// The folder in whose `.env.local` and `.env` what signs may be, absolute.
    pub folder: PathBuf,
    /// A file of the authorities to trust instead of the system's, absolute.
    pub ca: Option<PathBuf>,
    /// The proxy through which the server is reached, without a password; as the environment has it
    /// where it is unset.
    pub proxy: Option<String>,
}

impl Launch {
    /// Default deadline for an agent to be ready.
    pub const START_TIMEOUT: Duration = Duration::from_secs(60);

    /// This agent, and nothing special.
    pub fn new(agent: AgentSpec) -> Self {
        Self::with(Target::Agent(agent))
    }

    /// An agent in a room, and nothing special.
    pub const fn join(room: RoomTarget) -> Self {
        Self::with(Target::Room(room))
    }

    const fn with(target: Target) -> Self {
        let start_timeout_ms = Self::START_TIMEOUT.as_millis() as u64;
        Self {
            target,
            port: None,
            start_timeout_ms,
            idle_timeout_ms: None,
            log: None,
            audio: false,
            recording: None,
        }
    }

    /// How long the agent may take to be ready.
    pub const fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms)
    }

    /// After how long without a request the session ends.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout_ms.map(Duration::from_millis)
    }
}

impl Default for Launch {
    fn default() -> Self {
        Self::new(AgentSpec::default())
    }
}

/// A session that lives, as its daemon wrote it down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The session.
    pub name: SessionName,
    /// The daemon's process.
    pub pid: u32,
    /// The session's port on the loopback address.
    pub port: u16,
    /// What a control connection has to prove.
    pub token: Token,
    /// When the daemon started, RFC 3339.
    pub started_at: String,
    /// The agent's log.
    pub log_path: PathBuf,
    /// The daemon's own log.
    pub daemon_log_path: PathBuf,
    /// How it was started.
    pub launch: Launch,
}

/// A session that ended without being asked to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// The session.
    pub name: SessionName,
    /// When, RFC 3339.
    pub at: String,
    /// The stable reason, as in the event `closed`; `signal` if a signal ended the daemon's
    /// process.
    pub reason: String,
    /// The same for people, with what the agent said last.
    pub error: Error,
    /// How the session stood at its end.
    pub status: Value,
    /// The agent's log.
    pub log_path: PathBuf,
    /// How it was started.
    pub launch: Launch,
}

/// What a session that ended without being asked to leaves to read: until it is ended, or started
/// anew.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// The recent events, up to the last.
    pub events: Vec<Event>,
    /// The conversation.
    pub history: Vec<Item>,
}

/// The daemon's messages to the command that starts it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Ready {
    /// The agent was found and is being started.
    Starting {
        /// How the session stands.
        status: Value,
    },
    /// The session is ready.
    Ready {
        /// What happened at the start.
        started: Started,
        /// How the session stands.
        status: Value,
    },
    /// There will be no session.
    Failed {
        /// Why.
        error: Error,
    },
}

/// What a daemon is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The state folder.
    pub(crate) home: PathBuf,
    /// The session.
    pub(crate) name: SessionName,
    /// How it is started.
    pub(crate) launch: Launch,
}
