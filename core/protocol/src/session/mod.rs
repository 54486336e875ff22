//! The two roles of a session: who drives it and who is driven.

mod controller;
mod host;
mod told;

pub use self::controller::{CallId, Config, Controller};
pub use self::host::{
    Destination, Host, HostConfig, PERMISSION_DENIED, Transmit, UNANSWERED_REQUEST, UNSUPPORTED_REQUEST,
};
