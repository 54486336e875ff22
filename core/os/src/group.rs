//! Signals to a process group, and what is alive. Ids are those of [`std::process::Child::id`].

use std::io;

/// Sends SIGINT to every process of the group.
///
/// # Errors
/// `InvalidInput` for an id that can be no group of ours, see [`kill_group`]; else what the system
/// says, such as no such process.
pub fn interrupt_group(group: u32) -> io::Result<()> {
    imp::interrupt_group(group)
}

/// Sends SIGKILL to every process of the group.
///
/// # Errors
/// `InvalidInput` for an id that can be no group of ours: 0 and this process' own group mean
/// ourselves, and to kill group 1 means to kill everything. Else what the system says, such as no
/// such process.
pub fn kill_group(group: u32) -> io::Result<()> {
    imp::kill_group(group)
}

/// Whether the group has a member. One that has ended and that its parent has not reaped yet
/// counts.
///
/// # Errors
/// `InvalidInput` for an id that can be no process; `Unsupported` where there are no process
/// groups.
pub fn group_alive(group: u32) -> io::Result<bool> {
    imp::group_alive(group)
}

/// Whether there is a process of that id. One that has ended and that its parent has not reaped yet
/// counts.
///
/// # Errors
/// `InvalidInput` for an id that can be no process; `Unsupported` on a platform without a form of
/// this.
pub fn process_alive(pid: u32) -> io::Result<bool> {
    imp::process_alive(pid)
}

/// The session that a process belongs to: the process id of its leader, 0 when that is out of this
/// process' sight (threads of the kernel, and the outside of a container).
///
/// # Errors
/// `InvalidInput` for an id that can be no process; else what the system says, such as no such
/// process.
pub fn session_of(pid: u32) -> io::Result<u32> {
    imp::session_of(pid)
}

#[cfg(unix)]
mod imp {
    use std::io;

    use rustix::io::Errno;
    use rustix::process::{self, Pid, Signal};

    pub(super) fn interrupt_group(group: u32) -> io::Result<()> {
        Ok(process::kill_process_group(foreign_group(group)?, Signal::INT)?)
    }

    pub(super) fn kill_group(group: u32) -> io::Result<()> {
        Ok(process::kill_process_group(foreign_group(group)?, Signal::KILL)?)
    }

    pub(super) fn group_alive(group: u32) -> io::Result<bool> {
        exists(process::test_kill_process_group(foreign_group(group)?))
    }

    pub(super) fn process_alive(pid: u32) -> io::Result<bool> {
        exists(process::test_kill_process(id(pid)?))
    }

    /// Not by `getsid`: rustix takes its answer for an id that is never 0.
    #[cfg(target_os = "linux")]
    pub(super) fn session_of(pid: u32) -> io::Result<u32> {
        let pid = id(pid)?.as_raw_nonzero().get();
        let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
        Ok(stat.map_err(io::Error::other)?.session.unsigned_abs())
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn session_of(pid: u32) -> io::Result<u32> {
        let session = process::getsid(Some(id(pid)?))?;
        Ok(session.as_raw_nonzero().get().unsigned_abs())
    }

    /// Like the session, it may be out of sight.
    #[cfg(target_os = "linux")]
    fn own_group() -> Option<Pid> {
        let stat = procfs::process::Process::myself().and_then(|process| process.stat()).ok()?;
        Pid::from_raw(stat.pgrp)
    }

    #[cfg(not(target_os = "linux"))]
    fn own_group() -> Option<Pid> {
        Some(process::getpgrp())
    }

    /// A process of another user answers "not permitted": it exists.
    fn exists(probe: Result<(), Errno>) -> io::Result<bool> {
        match probe {
            Ok(()) | Err(Errno::PERM) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    fn id(pid: u32) -> io::Result<Pid> {
        i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| invalid(pid, "no process id"))
    }

    fn foreign_group(group: u32) -> io::Result<Pid> {
        let id = id(group)?;
        if id == Pid::INIT {
            return Err(invalid(group, "every process, not a group"));
        }
        if own_group() == Some(id) {
            return Err(invalid(group, "the group of this very process"));
        }
        Ok(id)
    }

    fn invalid(id: u32, why: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{id} is {why}"))
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;

    use crate::unsupported;

    pub(super) fn interrupt_group(_group: u32) -> io::Result<()> {
        Err(unsupported("interrupting a process group"))
    }

    pub(super) fn kill_group(_group: u32) -> io::Result<()> {
        Err(unsupported("killing a process group"))
    }

    pub(super) fn group_alive(_group: u32) -> io::Result<bool> {
        Err(unsupported("looking at a process group"))
    }

    pub(super) fn process_alive(_pid: u32) -> io::Result<bool> {
        Err(unsupported("looking at a process"))
    }

    pub(super) fn session_of(_pid: u32) -> io::Result<u32> {
        Err(unsupported("looking at a process session"))
    }
}
