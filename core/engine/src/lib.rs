//! Sessions with an outside world: each agent process or connection is driven on a thread of its own.
//!
//! | module | what it is for |
//! |---|---|
//! | [`launch`] | finds and starts the user's agent unmodified, and ends it surely |
//! | [`session`] | a session with an agent: its thread, its link, its process |
//! | [`pipe`] | a session whose messages the caller carries |
//! | [`topic`] | sessions, hosts and gates in a room that a host language has joined |
//! | [`room`] | a LiveKit room joined without libwebrtc, and the session of an agent in it |
//! | [`voice`] | speech from files and samples, and the recording |
//! | [`driver`] | what every session can do, however it is reached |
//! | [`outbox`] | answers and events for a host language: one bounded queue, one wake |

#![forbid(unsafe_code)]

pub mod driver;
pub mod launch;
pub mod outbox;
pub mod pipe;
pub mod room;
mod run;
pub mod session;
mod tcp;
pub mod topic;
pub mod voice;

pub use driver::{Driver, Events, Listener, Reply};
pub use greenroom_protocol as protocol;
pub use outbox::Outbox;
pub use pipe::{Pipe, PipeOptions};
pub use room::{AttachOptions, JoinOptions, Room, RoomOptions};
pub use session::{CONTROL_PREAMBLE, ControlSink, LogTarget, Session, StartOptions, Status};
pub use topic::{LocalParticipant, RoomTopic};
pub use voice::AudioOptions;
