//! What a command does at its start: lead a session of its own, or take this process' place.

use std::io;
use std::process::Command;

/// Makes the process that `cmd` starts lead a session of its own, without a terminal: what happens
/// to the terminal it was started from, a Ctrl-C there or its end, does not reach it.
///
/// # Errors
/// `Unsupported` where there are no process sessions.
#[cfg(unix)]
pub fn detach(cmd: &mut Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;

    let lead = || {
        rustix::process::setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. `setsid` is one, and
    // turning its errno into an `io::Error` does not allocate.
    #[allow(unsafe_code)]
    unsafe {
        cmd.pre_exec(lead);
    }
    Ok(())
}

/// See the unix form.
#[cfg(not(unix))]
pub fn detach(_cmd: &mut Command) -> io::Result<()> {
    Err(crate::unsupported("detaching a process"))
}

/// Runs `cmd` in the place of this process, as `exec` does: same process id, same parent. Returns
/// only the error that prevented it.
///
/// The standard streams pass on to the program, also where this process' runtime marked them
/// close-on-exec, as Node does at its start.
#[cfg(unix)]
pub fn replace_process(cmd: &mut Command) -> io::Error {
    use rustix::io::{FdFlags, fcntl_setfd};
    use std::os::fd::AsFd;
    use std::os::unix::process::CommandExt;

    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        // A stream that is closed has nothing to pass on.
        let _ = fcntl_setfd(stream, FdFlags::empty());
    }
    cmd.exec()
}

/// See the unix form.
#[cfg(not(unix))]
pub fn replace_process(_cmd: &mut Command) -> io::Error {
    crate::unsupported("replacing a process")
}
