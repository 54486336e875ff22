//! One short question to an interpreter.

use std::io::{self, PipeReader, PipeWriter};
use std::process::Command;
use std::time::Duration;

use greenroom_os::read_unless_stopped;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::LaunchError;
use super::child::Child;
use super::log::plain_text;

/// More than this of an answer is not kept.
const MOST: usize = 4 * 1024 * 1024;

/// The end of all of a detection's questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    pub(super) fn after(allowed: Duration) -> Self {
        // Far enough, where the sum is past what a clock can tell.
        let at = Instant::now()
            .checked_add(allowed)
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        Self { at, allowed }
    }
}

/// What a program answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) success: bool,
    /// Both of its outputs, without terminal codes.
    pub(super) text: String,
}

impl Answer {
    /// What comes after `key` in the first line that begins with it.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.trim().strip_prefix(key))
    }
}

/// Runs the command to its end, and kills it and all that it started at the deadline or when this is dropped.
pub(super) async fn ask(command: Command, deadline: Deadline) -> Result<Answer, LaunchError> {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    // Without the program that it evaluates, which is ours, and the flag before that.
    let question = words.iter().rposition(|word| word.as_encoded_bytes().contains(&b'\n'));
    let end = question.filter(|at| *at > 1).map_or(words.len(), |at| at - 1);
    let shown = words.iter().take(end).map(|word| word.to_string_lossy());
    let shown = shown.collect::<Vec<_>>().join(" ");
    ask_as(command, shown, deadline).await
}

/// The same, with the command's line as errors show it.
pub(super) async fn ask_as(
    command: Command,
    shown: String,
    deadline: Deadline,
) -> Result<Answer, LaunchError> {
    let (child, output) = Child::spawn(command, None).map_err(|error| not_started(&shown, error))?;
    let reading =
        Reading::start(output).map_err(|error| LaunchError::io("a thread cannot be started", error))?;
    let whole = async {
        let exit = child.exited().await;
        Answer { success: exit.is_some_and(|status| status.success()), text: reading.finish().await }
    };
    timeout_at(deadline.at, whole)
        .await
        .map_err(|_| LaunchError::TooSlow { command: shown, within: deadline.allowed })
}

/// The error of a program that did not start.
pub(super) fn not_started(program: &str, error: io::Error) -> LaunchError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => {
            LaunchError::InterpreterNotFound {
                what: format!("`{program}` cannot be started ({error})"),
                fix: "name an interpreter that runs".to_owned(),
            }
        }
        _ => LaunchError::io(format!("`{program}` cannot be started"), error),
    }
}

/// A thread that reads a pipe to its end.
struct Reading {
    text: oneshot::Receiver<Vec<u8>>,
    stop: PipeWriter,
}

impl Reading {
    fn start(output: PipeReader) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let (done, text) = oneshot::channel();
        let reader = std::thread::Builder::new().name("greenroom-probe".into()).stack_size(128 * 1024);
        reader.spawn(move || {
            let mut text = Vec::new();
            let mut buffer = vec![0; 8 * 1024];
            while let Ok(Some(read @ 1..)) = read_unless_stopped(&output, &stopped, &mut buffer) {
                let room = MOST - text.len();
                text.extend_from_slice(&buffer[..read.min(room)]);
            }
            // Nobody waits for it any more: then it is not wanted.
            let _ = done.send(text);
        })?;
        Ok(Self { text, stop })
    }

    /// What there was, once the program has ended: somebody who escaped its group may hold the pipe for ever.
    async fn finish(self) -> String {
        drop(self.stop);
        let bytes = self.text.await.unwrap_or_default();
        bytes.split(|&byte| byte == b'\n').map(plain_text).collect::<Vec<_>>().join("\n")
    }
}
