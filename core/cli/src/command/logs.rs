//! `logs`

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use greenroom_control::registry::{Folder, Found};
use greenroom_control::{Registry, SessionName};
use greenroom_protocol::{Code, Error};
use serde_json::json;

use crate::args::Logs;
use crate::interrupt;
use crate::output::Output;
use crate::text;

/// How often a log that is followed is looked at.
const POLL: Duration = Duration::from_millis(100);

/// How much is read at once.
const CHUNK: usize = 64 << 10;

pub(super) fn logs(name: &SessionName, logs: &Logs, out: &mut Output) -> Result<ExitCode, Error> {
    let folder = Registry::open()?.folder(name);
    let path = path(&folder)?;
    if logs.path {
        if out.is_json() {
            out.document(&json!({ "log_path": path }))?;
        } else {
            out.print(&format!("{}\n", path.display()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    interrupt::catch()?;
    let (mut file, start) = open_at(&path, logs.lines)?;
    let mut lines = Lines::default();
    file.seek(SeekFrom::Start(start)).map_err(|error| unreadable(&path, &error))?;
    loop {
        // Asked before the reading, so that what was written before the end is read.
        let live = logs.follow && matches!(folder.find(), Ok(Found::Live(_) | Found::Starting));
        lines.copy(&mut file, &path, out)?;
        if interrupt::happened() {
            return Ok(ExitCode::from(Code::Cancelled.exit_code()));
        }
        if !live {
            lines.finish(out)?;
            return Ok(ExitCode::SUCCESS);
        }
        sleep(POLL);
    }
}

/// The last lines of a log.
pub(super) fn last(path: &Path, lines: usize) -> Result<Vec<String>, Error> {
    let (mut file, start) = open_at(path, lines)?;
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut bytes));
    read.map_err(|error| unreadable(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

fn path(folder: &Folder) -> Result<PathBuf, Error> {
    match folder.find()? {
        Found::Live(record) | Found::Vanished(record) => Ok(record.log_path),
        Found::Ended(ended) => Ok(ended.log_path),
        other => Err(other.live(folder.name()).err().unwrap_or_else(super::mismatch)),
    }
}

/// Opens the log, and finds where its last `lines` lines begin; 0 is all of them.
fn open_at(path: &Path, lines: usize) -> Result<(File, u64), Error> {
    let opened = File::open(path).and_then(|file| {
        let data = file.metadata()?;
        Ok((file, data))
    });
    let (mut file, data) = opened.map_err(|error| unreadable(path, &error))?;
    if !data.is_file() {
        let message =
            format!("the log went to {}, which is no ordinary file and cannot be read back", path.display());
        return Err(Error::new(Code::Io, message));
    }
    let start = if lines == 0 { Ok(0) } else { beginning_of_last(&mut file, data.len(), lines) };
    Ok((file, start.map_err(|error| unreadable(path, &error))?))
}

fn beginning_of_last(file: &mut File, length: u64, lines: usize) -> io::Result<u64> {
    let mut end = length;
    let mut seen = 0;
    let mut buffer = vec![0; CHUNK];
    while end > 0 {
        let begin = end.saturating_sub(CHUNK as u64);
        let chunk = &mut buffer[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(chunk)?;
        for (at, _) in chunk.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = begin + at as u64 + 1;
            // The end of the last line begins none.
            if after < length {
                seen += 1;
                if seen == lines {
                    return Ok(after);
                }
            }
        }
        end = begin;
    }
    Ok(0)
}

/// Cuts what is read into lines.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn copy(&mut self, file: &mut File, path: &Path, out: &mut Output) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = file.read(&mut buffer).map_err(|error| unreadable(path, &error))?;
            if read == 0 || interrupt::happened() {
                return Ok(());
            }
            self.rest.extend_from_slice(&buffer[..read]);
            if let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') {
                let whole: Vec<u8> = self.rest.drain(..=end).collect();
                print(&whole, out)?;
            }
        }
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Error> {
        print(&std::mem::take(&mut self.rest), out)
    }
}

fn print(bytes: &[u8], out: &mut Output) -> Result<(), Error> {
    let whole = String::from_utf8_lossy(bytes);
    let mut plain = String::new();
    for line in whole.lines() {
        // Agents colour their logs; the terminal's own codes are dropped, whatever else could drive
        // it is shown.
        let line = text::clean(&anstream::adapter::strip_str(line).to_string());
        if out.is_json() {
            out.line(&json!({ "type": "log", "text": line }))?;
        } else {
            plain.push_str(&line);
            plain.push('\n');
        }
    }
    out.print(&plain)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::new(Code::Io, format!("the log {} cannot be read: {error}", path.display()))
}
