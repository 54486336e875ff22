//! Sessions that outlive the command that started them: their names, their daemon, and the way to
//! it.
//!
//! A daemon is a process that holds one session. It is found by its name in the state folder of its
//! user, and spoken to over the session's own loopback port, with a token that only its user can
//! read.
//!
//! | module | what it is for |
//! |---|---|
//! | [`name`] | what a session may be called |
//! | [`home`] | where the state is |
//! | [`registry`] | the sessions of this user: which there are, which live, which ended and why |
//! | [`record`] | what is written down about a session |
//! | [`message`] | the control protocol: frames, requests, answers |
//! | [`client`] | the light client: blocking, one request at a time |
//! | [`remote`] | a session held by a daemon, as a [`greenroom_engine::Driver`] |
//! | [`launch`] | starts a daemon and waits until its session is ready |
//! | [`daemon`] | the daemon itself |
//! | [`credentials`] | tokens for rooms: made, read, and the secrets behind them |
//! | [`audit`] | the log of reads of a secret |
//! | [`doctor`] | whether a server can be reached and used from here |

#![forbid(unsafe_code)]

pub mod audit;
pub mod client;
pub mod credentials;
pub mod daemon;
pub mod doctor;
mod files;
pub mod home;
pub mod launch;
pub mod message;
pub mod name;
pub mod record;
pub mod registry;
pub mod remote;
mod token;

pub use client::Client;
pub use greenroom_engine as engine;
pub use greenroom_protocol as protocol;
pub use name::SessionName;
pub use record::{Ended, Launch, Record};
pub use registry::Registry;
pub use remote::Remote;
pub use token::Token;
