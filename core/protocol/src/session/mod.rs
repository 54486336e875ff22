//! The two roles of a session: who drives it and who is driven.

mod controller;
mod host;
mod liveness;
mod spoken;
mod told;
mod tool_runs;

pub use self::controller::{AgentPlace, CallId, Config, Controller};
pub use self::host::{
    Counts, Destination, HOST_CLOSED, Host, HostConfig, Overlap, PERMISSION_DENIED, Refused,
    TOO_MANY_REQUESTS, TURN_IN_PROGRESS, Transmit, UNANSWERED_REQUEST, UNSUPPORTED_REQUEST,
};
pub(crate) use self::host::{unannounced, unannounced_identity};
