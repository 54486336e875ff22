//! LiveKit's agent session protocol (`lk.agent.session`) as state machines without IO.
//!
//! Bytes, peers, grants and time go in; bytes, destinations, answers and events come out. There is no socket, thread, clock or
//! callback here, so that the same code serves an asyncio loop, a Node loop, a tokio task, a fuzzer and a test with a virtual clock.
//!
//! | module | what it is for |
//! |---|---|
//! | [`frame`] | length-prefixed framing of the TCP link |
//! | [`message`] | messages and what they mean; the only reader of generated code |
//! | [`gate`] | who may do what |
//! | [`session`] | the controller's and the host's state machines |
//! | [`room`] | all use of the topic in one room: streams, the gate, several hosts and controllers |
//! | [`turn`] | one turn of a conversation |
//! | [`voice`] | the audio half of a session over the wire |
//! | [`journal`] | the recent events of a session |
//! | [`limits`] | every bound |
//! | [`secret`] | text that errors and logs cannot quote |
//! | [`error`] | the table of error codes |

#![forbid(unsafe_code)]

pub mod error;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod gate;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::use_self, reason = "generated from proto/agent_session.proto; public for tests and benches that play the other side, not an interface")]
#[rustfmt::skip]
#[doc(hidden)]
#[path = "generated.rs"]
pub mod wire;
pub mod journal;
mod kept;
pub mod limits;
pub mod message;
pub mod room;
pub mod secret;
pub mod session;
pub mod stand_in;
pub mod time;
pub mod turn;
pub mod voice;

pub use error::{Code, Error};
pub use limits::Limits;
pub use secret::Secret;
pub use time::Time;
