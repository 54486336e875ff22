//! The few operating system calls that Rust's standard library has no safe form for: process
//! sessions and groups, the guard that ends a group when its owner is gone, and the owner of the
//! other end of a loopback socket.
//!
//! Everything is there on every platform, so that callers have one form. Where a platform cannot do
//! a thing yet, it answers [`std::io::ErrorKind::Unsupported`]; today that is all of Windows.
//!
//! `unsafe` is in two places, both a hook between fork and exec: [`detach`] and [`Guard::watch`].

mod exec;
mod fifo;
mod group;
mod guard;
mod leader;
mod peer;
mod pipe;

pub use exec::{detach, replace_process};
pub use fifo::read_fifo;
pub use group::{group_alive, interrupt_group, kill_group, process_alive, session_of};
pub use guard::Guard;
pub use leader::{Group, Leader};
pub use peer::{PeerCheck, peer_in_session};
pub use pipe::read_unless_stopped;

/// The error of every function that this platform has no form of.
#[cfg(not(unix))]
fn unsupported(what: &str) -> std::io::Error {
    std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        format!("{what} is not supported on this platform yet"),
    )
}
