//! The guard: a small shell process that ends a process group when the group's owner is gone,
//! however it went.
//!
//! The owner holds one end of a socket pair, the shell reads the other. Each process that the guard
//! watches writes its own id into it between fork and exec, so there is no moment at which it runs
//! and the guard does not know it. The system closes the owner's end when the owner ends, by
//! whatever signal; the shell then reads the end of the stream, kills the registered groups and
//! removes the registered files. A line `bye` ends it without that.
//!
//! The shell leads a session of its own and ignores the signals of a terminal, so that neither a
//! Ctrl-C nor the end of the terminal takes the guard away before its work is done. What it cannot
//! cover: a process that leaves the group, and an owner that forked without exec, whose child keeps
//! the owner's end open until it ends, too.

use std::io;
use std::path::Path;
use std::process::Command;

/// Watches over process groups: see the module's text. Dropping it kills them; [`Guard::release`]
/// does not.
#[derive(Debug)]
pub struct Guard(imp::Guard);

impl Guard {
    /// Starts the guard process.
    ///
    /// # Errors
    /// When `/bin/sh` cannot be started; `Unsupported` where there are no process groups.
    pub fn start() -> io::Result<Self> {
        imp::Guard::start().map(Self)
    }

    /// The guard's own process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Makes the process that `cmd` starts lead a session and a group of its own, and announce it
    /// to this guard before it runs. It receives SIGINT even if this process ignores it. A spawn
    /// after the guard is gone fails with a broken pipe, so that nothing runs unguarded.
    pub fn watch(&self, cmd: &mut Command) {
        self.0.watch(cmd);
    }

    /// Makes the guard remove `file`, too, should it kill: what the owner would have removed.
    ///
    /// # Errors
    /// When the guard is gone, or when the path has a line end in it.
    pub fn remove_afterwards(&self, file: &Path) -> io::Result<()> {
        self.0.remove_afterwards(file)
    }

    /// Sends the guard off without a kill, and reaps it. Takes a few milliseconds, two seconds at
    /// most.
    pub fn release(self) {
        self.0.release();
    }
}

#[cfg(unix)]
mod imp {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use rustix::io::Errno;
    use rustix::net::SendFlags;

    /// Reads lines: `bye` ends it, `kill` and the end of the stream end the groups it knows, a line
    /// with a slash is the path of a file (kept as an argument of the script), any other line is
    /// the id of a group. (`kill -s KILL --` is the one form that dash, bash and busybox all take
    /// for a group.)
    const SCRIPT: &str = "trap '' HUP INT TERM QUIT; groups=; set --; \
        while IFS= read -r line; do case $line in bye) exit 0;; kill) break;; */*) set -- \"$@\" \"$line\";; \
        *) groups=\"$groups -$line\";; esac; done; \
        [ -z \"$groups\" ] || kill -s KILL -- $groups; \
        [ $# -eq 0 ] || rm -f -- \"$@\"";

    /// How long the shell may take to end after `bye`.
    const PATIENCE: Duration = Duration::from_secs(2);

    #[derive(Debug)]
    pub(super) struct Guard {
        /// The owner's end. Nothing but this struct keeps it: commands hold it weakly.
        line: Arc<UnixStream>,
        shell: Child,
        /// A forked copy of the owner may drop the guard, too: it must not end what its parent
        /// runs.
        owner: u32,
        released: bool,
    }

    impl Guard {
        pub(super) fn start() -> io::Result<Self> {
            // Both ends are close-on-exec from birth, so no process but a bare fork of ours can
            // keep one open.
            let (ours, theirs) = UnixStream::pair()?;
            #[cfg(target_vendor = "apple")]
            rustix::net::sockopt::set_socket_nosigpipe(&ours, true)?;
            let mut shell = Command::new("/bin/sh");
            shell
                .args(["-c", SCRIPT, "greenroom-guard"])
                .current_dir("/")
                .env_clear()
                .env("PATH", "/usr/bin:/bin");
            shell.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
            crate::detach(&mut shell)?;
            let shell = shell.spawn()?;
            Ok(Self { line: Arc::new(ours), shell, owner: std::process::id(), released: false })
        }

        pub(super) fn id(&self) -> u32 {
            self.shell.id()
        }

        pub(super) fn watch(&self, cmd: &mut Command) {
            let line = Arc::downgrade(&self.line);
            let lead_and_announce = move || {
                let line = line.upgrade().ok_or(Errno::PIPE)?;
                let session = rustix::process::setsid()?;
                // A host that ignores SIGINT (under nohup, behind a shell's `&`) would pass that
                // on, and the agent would not hear that it is to end. SAFETY: `signal` is
                // async-signal-safe, and the default action is no pointer.
                #[allow(unsafe_code)]
                unsafe {
                    libc::signal(libc::SIGINT, libc::SIG_DFL);
                }
                let mut text = [0; 12];
                send(&line, decimal_line(session.as_raw_nonzero().get().unsigned_abs(), &mut text))?;
                Ok(())
            };
            // SAFETY: between fork and exec only async-signal-safe calls are allowed. This makes
            // three system calls, `setsid`, `sigaction` and `sendto`; it counts a reference up and
            // down in the child's own copy of memory, where another holder always remains; it
            // formats on the stack, and allocates and locks nothing.
            #[allow(unsafe_code)]
            unsafe {
                cmd.pre_exec(lead_and_announce);
            }
        }

        pub(super) fn remove_afterwards(&self, file: &Path) -> io::Result<()> {
            let mut line = std::path::absolute(file)?.into_os_string().into_vec();
            if line.contains(&b'\n') {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has a line end in it"));
            }
            line.push(b'\n');
            send(&self.line, &line)
        }

        pub(super) fn release(mut self) {
            self.end(b"bye\n");
        }

        /// Says the last word and reaps the shell. A word, not only the end of the stream: a forked
        /// copy of this process would hold that back.
        fn end(&mut self, word: &[u8]) {
            if std::mem::replace(&mut self.released, true) || self.owner != std::process::id() {
                return;
            }
            // It fails when the shell is gone already: then there is only the reaping left.
            let _ = send(&self.line, word);
            let deadline = Instant::now() + PATIENCE;
            let mut pause = Duration::from_micros(200);
            while let Ok(None) = self.shell.try_wait() {
                if Instant::now() >= deadline {
                    let _ = self.shell.kill();
                    let _ = self.shell.wait();
                    return;
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(10));
            }
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            self.end(b"kill\n");
        }
    }

    /// Sends whole, and never raises SIGPIPE: the host process may have left that at its default,
    /// which is death.
    fn send(line: &UnixStream, text: &[u8]) -> io::Result<()> {
        #[cfg(not(target_vendor = "apple"))]
        let flags = SendFlags::NOSIGNAL;
        #[cfg(target_vendor = "apple")]
        let flags = SendFlags::empty();
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(line, text, flags))?;
        // A stream socket with room takes a few bytes whole.
        if sent == text.len() { Ok(()) } else { Err(Errno::PIPE.into()) }
    }

    /// The number in decimal and a line end, written from the right into `text`, without
    /// allocation.
    fn decimal_line(mut number: u32, text: &mut [u8; 12]) -> &[u8] {
        let mut at = text.len() - 1;
        text[at] = b'\n';
        loop {
            at -= 1;
            text[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return &text[at..];
            }
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn decimal_lines() {
            for number in [0, 7, 10, 4_194_304, u32::MAX] {
                let mut text = [0; 12];
                assert_eq!(super::decimal_line(number, &mut text), format!("{number}\n").as_bytes());
            }
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::convert::Infallible;
    use std::io;
    use std::path::Path;
    use std::process::Command;

    #[derive(Debug)]
    pub(super) struct Guard(Infallible);

    impl Guard {
        pub(super) fn start() -> io::Result<Self> {
            Err(crate::unsupported("guarding a process group"))
        }

        pub(super) fn id(&self) -> u32 {
            match self.0 {}
        }

        pub(super) fn watch(&self, _cmd: &mut Command) {
            match self.0 {}
        }

        pub(super) fn remove_afterwards(&self, _file: &Path) -> io::Result<()> {
            match self.0 {}
        }

        pub(super) fn release(self) {
            match self.0 {}
        }
    }
}
