//! Reading a pipe in a thread that can be stopped.

use std::io::{self, PipeReader};

/// Reads what `from` has into `buffer`, as [`io::Read::read`] does, and blocks until there is
/// something. Returns None once `stop` has reached its end, that is, once every writer of it is
/// closed.
///
/// A process that outlives the one we wait for may keep a pipe open for ever; this is the way out
/// of such a read. Where the platform cannot wait for two pipes (Windows), `stop` is not looked at.
///
/// # Errors
/// What the system says.
pub fn read_unless_stopped(
    from: &PipeReader,
    stop: &PipeReader,
    buffer: &mut [u8],
) -> io::Result<Option<usize>> {
    if wait(from, stop)? {
        let mut from = from;
        io::Read::read(&mut from, buffer).map(Some)
    } else {
        Ok(None)
    }
}

/// True: `from` can be read. False: only `stop` can.
#[cfg(unix)]
fn wait(from: &PipeReader, stop: &PipeReader) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, poll};

    let mut fds = [PollFd::new(from, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
    Ok(!fds[0].revents().is_empty())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the form of the unix one")]
fn wait(_from: &PipeReader, _stop: &PipeReader) -> io::Result<bool> {
    Ok(true)
}
