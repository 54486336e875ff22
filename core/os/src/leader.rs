//! A child process that leads a session and group of its own, under a guard, from its start to the
//! end of the last process of its group.

use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Guard, group};

/// A guarded child process that leads a session and a group. Its id is the id of both.
///
/// It takes a thread of its own to [`wait`](Self::wait): that depends on no runtime and no signal
/// handler, which in a Python or Node process belong to the host. Dropping it kills the group and
/// waits for the leader.
#[derive(Debug)]
pub struct Leader {
    child: Child,
    group: Group,
    /// None once released.
    guard: Option<Guard>,
}

impl Leader {
    /// Starts `cmd` under a guard of its own.
    ///
    /// # Errors
    /// When the guard or the command cannot be started; `Unsupported` where there are no process
    /// groups.
    pub fn spawn(mut cmd: Command) -> io::Result<Self> {
        let guard = Guard::start()?;
        guard.watch(&mut cmd);
        match cmd.spawn() {
            Ok(child) => {
                let group = Group::new(child.id());
                Ok(Self { child, group, guard: Some(guard) })
            }
            Err(error) => {
                // The child announced itself and is reaped: nothing is left to kill.
                guard.release();
                Err(error)
            }
        }
    }

    /// The id of the process, of its session and of its group.
    pub fn id(&self) -> u32 {
        self.group.id
    }

    /// The group, to signal it from elsewhere.
    pub fn group(&self) -> Group {
        self.group.clone()
    }

    /// Makes the guard remove `file` should it have to kill the group: what the owner would have
    /// removed.
    ///
    /// # Errors
    /// When the guard is gone, or when the path has a line end in it.
    pub fn remove_afterwards(&self, file: &Path) -> io::Result<()> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.remove_afterwards(file))
    }

    /// Blocks until the leader has ended by itself or by a signal, kills what is left of its group,
    /// reaps it and sends the guard off. The status is None if other code of this process reaped
    /// the child first.
    pub fn wait(mut self) -> Option<ExitStatus> {
        self.finish()
    }

    fn finish(&mut self) -> Option<ExitStatus> {
        let guard = self.guard.take()?;
        until_ended(self.child.id());
        let status = self.group.close(&mut self.child);
        guard.release();
        status
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.guard.is_some() && self.group.owner == std::process::id() {
            let _ = self.group.kill();
            self.finish();
        }
    }
}

/// A handle to a [`Leader`]'s group. A signal through it can never meet a stranger: the leader is
/// reaped, and so its id free for the system to use again, only after the handle has turned into a
/// blank.
#[derive(Clone, Debug)]
pub struct Group {
    id: u32,
    /// The process that started it. In a forked copy of that process the handle is a blank.
    owner: u32,
    live: Arc<Mutex<bool>>,
}

impl Group {
    fn new(id: u32) -> Self {
        Self { id, owner: std::process::id(), live: Arc::new(Mutex::new(true)) }
    }

    /// The id of the group, of its leader and of the session.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends SIGINT to the group. False when it has ended.
    ///
    /// # Errors
    /// What the system says.
    pub fn interrupt(&self) -> io::Result<bool> {
        self.signal(group::interrupt_group)
    }

    /// Sends SIGKILL to the group. False when it has ended.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&self) -> io::Result<bool> {
        self.signal(group::kill_group)
    }

    fn signal(&self, send: fn(u32) -> io::Result<()>) -> io::Result<bool> {
        if self.owner != std::process::id() {
            return Ok(false);
        }
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if *live {
            send(self.id)?;
        }
        Ok(*live)
    }

    /// Kills what is left and reaps the leader, which has ended, with the handle held still.
    fn close(&self, leader: &mut Child) -> Option<ExitStatus> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the leader itself, not reaped yet, may be left: then there is nothing to kill, and
        // no error matters.
        let _ = group::kill_group(self.id);
        *live = false;
        leader.wait().ok()
    }
}

/// Blocks until the process, a child of ours, has ended, and leaves it to be reaped.
#[cfg(unix)]
fn until_ended(pid: u32) {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // An error is "no such child": other code reaped it.
    let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options));
}

#[cfg(not(unix))]
fn until_ended(_pid: u32) {}
