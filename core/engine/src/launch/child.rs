//! A child process that leads its own session, as futures see it.

use std::io::{self, PipeReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use greenroom_os::{Group, Leader};
use tokio::sync::watch;

/// How a process ended: None when somebody else in this process (the host's own child watcher) took the status.
pub(super) type Exit = Option<ExitStatus>;

/// A guarded process. A thread of its own waits for it, so that it depends on no runtime, nor on a handler of
/// SIGCHLD, which in a Python or Node process belongs to the host. Dropping it kills its group at once.
#[derive(Debug)]
pub(super) struct Child {
    group: Group,
    exit: watch::Receiver<Option<Exit>>,
}

impl Child {
    /// Starts `command` with no input, and with both outputs in the pipe that is returned.
    ///
    /// `temporary` is a file that nobody else removes should this process be killed.
    pub(super) fn spawn(mut command: Command, temporary: Option<&Path>) -> io::Result<(Self, PipeReader)> {
        let (output, theirs) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(theirs.try_clone()?).stderr(theirs);
        let leader = Leader::spawn(command)?;
        if let Some(file) = temporary {
            leader.remove_afterwards(file)?;
        }
        let group = leader.group();
        let (ended, exit) = watch::channel(None);
        // The thread makes a few system calls and sleeps. Should it not start, the leader is dropped: killed.
        let waiter = std::thread::Builder::new().name("greenroom-wait".into()).stack_size(128 * 1024);
        waiter.spawn(move || ended.send_replace(Some(leader.wait())))?;
        Ok((Self { group, exit }, output))
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    /// How it ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Waits until it has ended, it is reaped and what was left of its group is killed.
    pub(super) async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        // The sender is dropped only after it has sent.
        exit.wait_for(Option::is_some).await.map_or(None, |exit| exit.flatten())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It fails when the group has ended, which is what is wanted.
        let _ = self.group.kill();
    }
}
