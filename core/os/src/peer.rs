//! The owner of the other end of a loopback connection.

use std::net::SocketAddr;

/// Whether the other end of a connection belongs to a process of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerCheck {
    /// A process of that session holds the other end.
    Yes,
    /// None does. The text names the actual holder, if it can be seen, such as
    /// `process 123 (curl)`.
    No(Option<String>),
    /// Unknown; the text says why.
    Unknown(String),
}

/// Looks up whether a process of `session` holds the other end of a TCP connection on this machine,
/// of which `local` and `peer` are the addresses as our own socket has them.
///
/// On Linux it reads the system's table of connections, then the open files of the session's
/// processes, and only when they do not hold it those of all others. On other systems the answer is
/// `Unknown`.
pub fn peer_in_session(local: SocketAddr, peer: SocketAddr, session: u32) -> PeerCheck {
    imp::peer_in_session(local, peer, session)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::net::SocketAddr;

    use procfs::ProcError;
    use procfs::net::TcpNetEntry;
    use procfs::process::{FDTarget, Process};

    use super::PeerCheck;

    pub(super) fn peer_in_session(local: SocketAddr, peer: SocketAddr, session: u32) -> PeerCheck {
        match look_up(local, peer, session) {
            Ok(check) => check,
            Err(error) => {
                PeerCheck::Unknown(format!("the system's tables under /proc cannot be read: {error}"))
            }
        }
    }

    fn look_up(local: SocketAddr, peer: SocketAddr, session: u32) -> Result<PeerCheck, ProcError> {
        let Some(socket) = find_socket(peer, local)? else {
            return Ok(PeerCheck::No(Some("no process: the connection is closed already".to_owned())));
        };
        let ours =
            |process: &Process| process.stat().is_ok_and(|stat| stat.session.unsigned_abs() == session);
        let (inside, outside): (Vec<_>, Vec<_>) = processes()?.partition(ours);
        let mut hidden = None;
        for process in &inside {
            match holds(process, socket.inode) {
                Ok(true) => return Ok(PeerCheck::Yes),
                Ok(false) | Err(ProcError::NotFound(_)) => {}
                Err(error) => {
                    hidden = Some(format!("the open files of process {} are hidden: {error}", process.pid))
                }
            }
        }
        if let Some(owner) =
            outside.iter().find(|process| holds(process, socket.inode).is_ok_and(|held| held))
        {
            return Ok(PeerCheck::No(Some(describe(owner))));
        }
        Ok(match hidden {
            Some(why) => PeerCheck::Unknown(why),
            None => PeerCheck::No(Some(format!("a process of user id {}", socket.uid))),
        })
    }

    /// The entry of the peer's socket: what is local to it is remote to us. A socket of IPv6 may
    /// hold a connection of IPv4, and has it with mapped addresses in the other table. An entry
    /// without an inode is what remains of a connection that no process holds any more.
    fn find_socket(local: SocketAddr, remote: SocketAddr) -> Result<Option<TcpNetEntry>, ProcError> {
        let same = |a: SocketAddr, b: SocketAddr| {
            a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
        };
        let wanted = |entry: &TcpNetEntry| {
            entry.inode != 0 && same(entry.local_address, local) && same(entry.remote_address, remote)
        };
        if let Some(entry) = procfs::net::tcp()?.into_iter().find(wanted) {
            return Ok(Some(entry));
        }
        match procfs::net::tcp6() {
            Ok(entries) => Ok(entries.into_iter().find(wanted)),
            Err(ProcError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The processes of this moment; one that ends while we look is left out.
    fn processes() -> Result<impl Iterator<Item = Process>, ProcError> {
        Ok(procfs::process::all_processes()?.filter_map(Result::ok))
    }

    fn holds(process: &Process, inode: u64) -> Result<bool, ProcError> {
        Ok(process
            .fd()?
            .filter_map(Result::ok)
            .any(|fd| matches!(fd.target, FDTarget::Socket(held) if held == inode)))
    }

    fn describe(process: &Process) -> String {
        match process.stat() {
            Ok(stat) => format!("process {} ({})", process.pid, stat.comm),
            Err(_) => format!("process {}", process.pid),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::net::SocketAddr;

    use super::PeerCheck;

    pub(super) fn peer_in_session(_local: SocketAddr, _peer: SocketAddr, _session: u32) -> PeerCheck {
        PeerCheck::Unknown(format!("{} does not report the holder of a connection", std::env::consts::OS))
    }
}
