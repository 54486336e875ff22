//! Sessions with an outside world: each agent process or connection is driven on a thread of its own.
//!
//! | module | what it is for |
//! |---|---|
//! | [`launch`] | finds and starts the user's agent unmodified, and ends it surely |
//! | [`session`] | a session with an agent: its thread, its link, its process |
//! | [`pipe`] | a session whose messages the caller carries |
//! | `agent_room` | the session of an agent in a LiveKit room; with the feature `room`, which is on by default |
//! | `topic` | sessions, hosts and gates in a room that a host language has joined; with the feature `room` |
//! | [`voice`] | speech from files and samples, and the recording |
//! | [`driver`] | what every session can do, however it is reached |
//! | [`outbox`] | answers and events for a host language: one bounded queue, one wake |

#![forbid(unsafe_code)]

#[cfg(feature = "room")]
mod agent_room;
pub mod driver;
pub mod launch;
pub mod outbox;
pub mod pipe;
mod run;
pub mod session;
mod tcp;
#[cfg(feature = "room")]
pub mod topic;
pub mod voice;

#[cfg(feature = "room")]
pub use agent_room::{AttachOptions, JoinOptions};
pub use driver::{Driver, Events, Listener, Reply};
pub use greenroom_protocol as protocol;
pub use outbox::Outbox;
pub use pipe::{Pipe, PipeOptions};
pub use session::{CONTROL_PREAMBLE, ControlSink, LogTarget, Session, StartOptions, Status};
#[cfg(feature = "room")]
pub use topic::{LocalParticipant, RoomTopic};
pub use voice::AudioOptions;
