//! The agent's log: every byte in a file, the last lines in memory, each line to whoever follows.
//!
//! A thread of its own reads the pipe that the agent writes to, whatever happens to the file, to the followers and to
//! the session: an agent whose pipe is full stands still.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_os::read_unless_stopped;
use memchr::memmem::Finder;
use tokio::sync::{broadcast, watch};

use super::LaunchError;
use super::lifecycle::Lifecycle;
use super::process::BOOTSTRAP_SAYS;

/// What either SDK logs when the job cannot go on: Python's as a field of a log line (its process lives on), Node's
/// as its last words.
const MARKERS: [&str; 2] = ["\"job crashed\"", "console mode failed: "];

/// The last lines that are kept, and their bytes in all.
const TAIL_LINES: usize = 40;
const TAIL_BYTES: usize = 16 * 1024;

/// Of a longer line, followers and the tail have the beginning. The file has it whole.
const LINE_BYTES: usize = 8 * 1024;

/// The lines that a slow follower may lag behind before it loses some.
const FOLLOWER_LINES: usize = 512;

/// Where an agent's log goes.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    path: PathBuf,
    is_temporary: bool,
}

impl LogFile {
    /// Opens the file to append to it, and makes it, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// `Io`, when the file can be neither opened nor made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LaunchError> {
        let path = path.into();
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => Ok(Self { file, path, is_temporary: false }),
            Err(error) => {
                Err(LaunchError::io(format!("the agent's log {} cannot be opened", path.display()), error))
            }
        }
    }

    /// The same file, to be removed with the agent should its owner be killed. Else its owner removes it.
    #[must_use]
    pub fn temporary(self) -> Self {
        Self { is_temporary: true, ..self }
    }

    /// The file, if it is to go with the agent.
    pub(super) fn to_remove(&self) -> Option<&Path> {
        self.is_temporary.then_some(self.path.as_path())
    }
}

/// The log of an agent's process, while it runs and after. Clones are of the same log.
#[derive(Clone, Debug)]
pub struct AgentLog {
    path: Arc<Path>,
    is_temporary: bool,
    state: Arc<Mutex<State>>,
    marker: watch::Receiver<Option<&'static str>>,
    lifecycle: watch::Receiver<Lifecycle>,
}

#[derive(Debug)]
struct State {
    tail: VecDeque<Arc<str>>,
    tail_bytes: usize,
    write_error: Option<LogWriteError>,
    /// None once the log has ended.
    followers: Option<broadcast::Sender<Arc<str>>>,
}

/// What a log file is short of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogWriteError {
    /// What the system said first, such as that no space is left.
    pub message: String,
    /// How many bytes are not in the file.
    pub bytes_lost: u64,
}

/// What a follower of a log gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A line, without its end, terminal codes and control characters.
    Line(Arc<str>),
    /// So many lines came faster than the follower took them, and are in the file only.
    Dropped(u64),
}

/// The lines of a log as they come.
#[derive(Debug)]
pub struct LogLines(Option<broadcast::Receiver<Arc<str>>>);

impl LogLines {
    /// The next line, or None when the log has ended. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<LogEvent> {
        match self.0.as_mut()?.recv().await {
            Ok(line) => Some(LogEvent::Line(line)),
            Err(broadcast::error::RecvError::Lagged(lines)) => Some(LogEvent::Dropped(lines)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl AgentLog {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, unless it goes with the agent.
    pub fn kept_path(&self) -> Option<&Path> {
        (!self.is_temporary).then_some(&*self.path)
    }

    /// The last lines, at most 40 and 16 KiB, as [`LogEvent::Line`] has them.
    pub fn tail(&self) -> Vec<Arc<str>> {
        self.state().tail.iter().cloned().collect()
    }

    /// The last lines and, without a gap, those that come.
    pub fn follow(&self) -> (Vec<Arc<str>>, LogLines) {
        let state = self.state();
        let lines = LogLines(state.followers.as_ref().map(broadcast::Sender::subscribe));
        (state.tail.iter().cloned().collect(), lines)
    }

    /// What is missing in the file, if anything is. The log goes on, and the next write is tried again.
    pub fn write_error(&self) -> Option<LogWriteError> {
        self.state().write_error.clone()
    }

    /// The marker of a crashed job, once one was seen.
    pub(super) fn seen_marker(&self) -> Option<&'static str> {
        *self.marker.borrow()
    }

    /// Resolves once a marker is seen; never, when the log ends without.
    pub(super) async fn marker(&self) {
        let mut marker = self.marker.clone();
        if marker.wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }

    /// What the log tells of the job and its session.
    pub(super) fn lifecycle(&self) -> Lifecycle {
        self.lifecycle.borrow().clone()
    }

    /// Resolves once the log tells what `wanted` returns; never, when it ends without.
    pub(super) async fn told<T>(&self, wanted: impl Fn(&Lifecycle) -> Option<T>) -> T {
        let mut lifecycle = self.lifecycle.clone();
        loop {
            if let Some(found) = wanted(&lifecycle.borrow_and_update()) {
                return found;
            }
            if lifecycle.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Resolves once everything that was written is here.
    pub(super) async fn ended(&self) {
        let mut marker = self.marker.clone();
        while marker.changed().await.is_ok() {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads an agent's output into its log, until its end or until `stop`'s writer is dropped.
#[derive(Debug)]
pub(super) struct LogReader {
    _stop: PipeWriter,
}

impl LogReader {
    /// Lines with `mark` are reports of `prepare.py`: the file has them, followers and the tail do not.
    pub(super) fn start(output: PipeReader, to: LogFile, mark: &str) -> io::Result<(Self, AgentLog)> {
        let (stopped, stop) = io::pipe()?;
        let (marker_seen, marker) = watch::channel(None);
        let (lifecycle_seen, lifecycle) = watch::channel(Lifecycle::default());
        let (followers, _) = broadcast::channel(FOLLOWER_LINES);
        let state =
            State { tail: VecDeque::new(), tail_bytes: 0, write_error: None, followers: Some(followers) };
        let log = AgentLog {
            path: to.path.into(),
            is_temporary: to.is_temporary,
            state: Arc::new(Mutex::new(state)),
            marker,
            lifecycle,
        };
        let mut pump = Pump {
            log: log.clone(),
            file: to.file,
            lines: Lines::default(),
            markers: Markers::new(),
            lifecycle: lifecycle_seen,
            report: format!("{BOOTSTRAP_SAYS}{mark} "),
        };
        let reader = std::thread::Builder::new().name("greenroom-log".into()).stack_size(128 * 1024);
        reader.spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(Some(read @ 1..)) = read_unless_stopped(&output, &stopped, &mut buffer) {
                if let Some(marker) = pump.take(&buffer[..read]) {
                    marker_seen.send_if_modified(|seen| seen.replace(marker).is_none());
                }
            }
            pump.finish();
        })?;
        Ok((Self { _stop: stop }, log))
    }
}

/// Where the bytes go.
struct Pump {
    log: AgentLog,
    file: File,
    lines: Lines,
    markers: Markers,
    lifecycle: watch::Sender<Lifecycle>,
    /// How reports begin.
    report: String,
}

impl Pump {
    fn take(&mut self, bytes: &[u8]) -> Option<&'static str> {
        self.write(bytes);
        for line in self.lines.feed(bytes) {
            self.publish(&line);
        }
        self.markers.feed(bytes)
    }

    fn finish(&mut self) {
        if let Some(line) = self.lines.rest() {
            self.publish(&line);
        }
        self.log.state().followers = None;
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(written @ 1..) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    let message =
                        failed.map_or_else(|error| error.to_string(), |_| "it takes no more".to_owned());
                    let mut state = self.log.state();
                    let lost = state.write_error.get_or_insert(LogWriteError { message, bytes_lost: 0 });
                    lost.bytes_lost += bytes.len() as u64;
                    return;
                }
            }
        }
    }

    fn publish(&self, line: &str) {
        // Behind a line that was not ended yet, too.
        if let Some((line, report)) = line.split_once(&self.report) {
            self.lifecycle.send_if_modified(|lifecycle| lifecycle.take_report(report, thread_exists));
            if !line.is_empty() {
                self.publish(line);
            }
            return;
        }
        self.lifecycle.send_if_modified(|lifecycle| lifecycle.take(line, thread_exists));
        let line: Arc<str> = line.into();
        let mut state = self.log.state();
        state.tail_bytes += line.len();
        state.tail.push_back(line.clone());
        while state.tail.len() > TAIL_LINES || state.tail_bytes > TAIL_BYTES {
            let Some(gone) = state.tail.pop_front() else { break };
            state.tail_bytes -= gone.len();
        }
        if let Some(followers) = &state.followers {
            // It fails when nobody follows.
            let _ = followers.send(line);
        }
    }
}

/// Whether there is a thread of that id. `false` where the system shows none.
pub(super) fn thread_exists(id: u32) -> bool {
    Path::new("/proc").join(id.to_string()).exists()
}

/// Cuts bytes into lines of text, at most [`LINE_BYTES`] of each.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut parts = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = LINE_BYTES - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            self.cut |= part.len() > room;
            if parts.peek().is_some() {
                lines.push(self.end_line());
            }
        }
        lines
    }

    /// The last line, if it has no end.
    fn rest(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.end_line())
    }

    fn end_line(&mut self) -> String {
        let mut text = plain_text(&self.line);
        if self.cut {
            // The cut may have gone through a character.
            text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            text.push('…');
        }
        self.line.clear();
        self.cut = false;
        text
    }
}

/// A line as text for people: without terminal codes, without control characters but the tab, and of parts that
/// overwrite each other (a progress bar's) the last.
pub(super) fn plain_text(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = anstream::adapter::strip_str(&text).to_string();
    let last = text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    last.chars().filter(|&c| c == '\t' || !c.is_control()).collect()
}

/// Finds the [`MARKERS`] in a stream, wherever it is cut.
struct Markers {
    finders: [Finder<'static>; MARKERS.len()],
    /// The end of what was seen, as much as a marker may begin in.
    before: Vec<u8>,
}

impl Markers {
    /// One byte less than the longest marker has.
    const OVERLAP: usize = {
        let [a, b] = MARKERS;
        (if a.len() > b.len() { a.len() } else { b.len() }) - 1
    };

    fn new() -> Self {
        Self { finders: MARKERS.map(|marker| Finder::new(marker.as_bytes())), before: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8]) -> Option<&'static str> {
        let mut across = std::mem::take(&mut self.before);
        across.extend_from_slice(&bytes[..bytes.len().min(Self::OVERLAP)]);
        let found = MARKERS
            .iter()
            .zip(&self.finders)
            .find(|(_, finder)| finder.find(&across).is_some() || finder.find(bytes).is_some());
        if bytes.len() >= Self::OVERLAP {
            across.clear();
            across.extend_from_slice(&bytes[bytes.len() - Self::OVERLAP..]);
        } else {
            across.drain(..across.len().saturating_sub(Self::OVERLAP));
        }
        self.before = across;
        found.map(|(marker, _)| *marker)
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES, Lines, MARKERS, Markers, plain_text};

    #[test]
    fn a_marker_is_found_wherever_the_stream_is_cut() {
        for marker in MARKERS {
            let text = format!("some text before {marker} and after").into_bytes();
            for first in 0..text.len() {
                for second in [first, first + 1, first + 5].map(|at| at.min(text.len())) {
                    let mut markers = Markers::new();
                    let parts = [&text[..first], &text[first..second], &text[second..]];
                    let found = parts.into_iter().filter_map(|part| markers.feed(part)).next();
                    assert_eq!(found, Some(marker), "cut at {first} and {second}");
                }
            }
            let mut markers = Markers::new();
            assert!(text.iter().filter_map(|&byte| markers.feed(&[byte])).next().is_some(), "byte by byte");
        }
        assert_eq!(Markers::new().feed(b"the job crashed, console mode failed"), None);
    }

    #[test]
    fn lines_are_cut_on_characters_and_cleaned() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"one\ntw"), ["one"]);
        assert_eq!(lines.feed(b"o\r\n\nthr"), ["two", ""]);
        assert_eq!(lines.rest().as_deref(), Some("thr"));
        assert_eq!(lines.rest(), None);

        let long = "é".repeat(LINE_BYTES);
        let mut cut = lines.feed(format!("x{long}\nnext\n").as_bytes());
        assert_eq!(cut.pop().as_deref(), Some("next"));
        let line = cut.pop().expect("a line");
        assert!(line.starts_with("xéé") && line.ends_with("é…"));
        assert!(line.len() <= LINE_BYTES + '…'.len_utf8());
    }

    #[test]
    fn terminal_codes_are_taken_out() {
        assert_eq!(
            plain_text(b"\r03:40 \x1b[36mDEBUG\x1b[0m asyncio \x1b[90m\x1b[0m"),
            "03:40 DEBUG asyncio "
        );
        assert_eq!(plain_text(b"10%\r50%\r100%\r"), "100%");
        assert_eq!(plain_text(b"bell\x07 tab\t \x1b]0;title\x07end \xff"), "bell tab\t end \u{fffd}");
    }
}
