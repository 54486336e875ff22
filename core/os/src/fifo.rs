//! Named pipes, in which password managers put secrets.

use std::fs::FileType;
use std::io;
use std::path::Path;

/// Reads a named pipe to its end, or to `most` bytes; `None` if `kind` is none. It waits 3 s for
/// something that writes, and 30 s for that to come to an end, which may ask its user first.
///
/// # Errors
/// What the system says; [`io::ErrorKind::TimedOut`] with the reason and what to do.
#[cfg(unix)]
pub fn read_fifo(path: &Path, kind: FileType, most: u64) -> Option<io::Result<Vec<u8>>> {
    use std::os::unix::fs::FileTypeExt;

    kind.is_fifo().then(|| unix::read_to_end(path, usize::try_from(most).unwrap_or(usize::MAX)))
}

/// There are none here.
#[cfg(not(unix))]
pub fn read_fifo(_path: &Path, _kind: FileType, _most: u64) -> Option<io::Result<Vec<u8>>> {
    None
}

#[cfg(unix)]
mod unix {
    use std::fs::OpenOptions;
    use std::io::{self, ErrorKind, Read};
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// How long it may take until something opens the pipe to write.
    const WRITER: Duration = Duration::from_secs(3);
    /// How long that may take to write.
    const WRITING: Duration = Duration::from_secs(30);
    /// How often it is looked.
    const POLL: Duration = Duration::from_millis(10);

    pub(super) fn read_to_end(path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let late = |why| io::Error::new(ErrorKind::TimedOut, format!("it is a named pipe, and {why}"));
        let mut pipe = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let (begun, mut bytes, mut chunk) = (Instant::now(), Vec::new(), vec![0; 64 << 10]);
        let mut had_writer = false;
        loop {
            match pipe.read(&mut chunk) {
                // Nothing has it open to write: not yet, or not any more.
                Ok(0) if had_writer => return Ok(bytes),
                Ok(0) if begun.elapsed() >= WRITER => {
                    return Err(late(format!(
                        "nothing wrote to it within {} s; start what fills it, or unlock it",
                        WRITER.as_secs()
                    )));
                }
                Ok(0) => {}
                Ok(length) => {
                    had_writer = true;
                    bytes.extend_from_slice(&chunk[..length]);
                    if bytes.len() >= most {
                        return Ok(bytes);
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => had_writer = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if begun.elapsed() >= WRITING {
                return Err(late(format!(
                    "what writes to it did not come to an end within {} s",
                    WRITING.as_secs()
                )));
            }
            sleep(POLL);
        }
    }
}
