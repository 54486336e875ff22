//! Data goes to standard output, everything else to standard error.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anstream::AutoStream;
use clap::error::ContextKind;
use greenroom_protocol::{Code, Error};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::args;
use crate::document;
use crate::text;

/// Where a command writes. Colours go only to terminals that have and want them.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    data: AutoStream<io::Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, data: AutoStream::auto(io::stdout()) }
    }

    /// Whether `--json` was given.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Writes data for people.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Error> {
        let written = self.data.write_all(text.as_bytes()).and_then(|()| self.data.flush());
        written.map_err(|error| unwritten(&error))
    }

    /// Writes one JSON value on a line of its own.
    pub(crate) fn line(&self, value: &impl Serialize) -> Result<(), Error> {
        let written = serde_json::to_string(value).map_err(io::Error::from).and_then(|line| {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        });
        written.map_err(|error| unwritten(&error))
    }

    /// Writes one event of a stream, as JSON on a line of its own.
    pub(crate) fn event(&self, event: &RawValue) -> Result<(), Error> {
        let mut event: Value = serde_json::from_str(event.get()).unwrap_or_default();
        document::complete(&mut event);
        self.line(&event)
    }

    /// Writes the command's one JSON document.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Error> {
        self.line(&document::with_schema(value))
    }

    /// Prints a note on standard error.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // A failure to write to standard error can't be reported.
            let _ = writeln!(AutoStream::auto(io::stderr()), "{}", text::clean(text));
        }
    }

    /// Prints why the command failed and returns its exit code.
    pub(crate) fn fail(&self, error: &Error) -> ExitCode {
        if is_broken_pipe(error) {
            // A reader that has gone away (`greenroom history | head`) wants no more, not even
            // this.
            return ExitCode::SUCCESS;
        }
        if self.json {
            // A failure to write to standard error can't be reported.
            let _ = self.document(&serde_json::json!({ "error": error }));
        } else {
            report(error);
        }
        ExitCode::from(error.code.exit_code())
    }
}

fn report(error: &Error) {
    let mut err = AutoStream::auto(io::stderr());
    let red = anstyle::AnsiColor::Red.on_default().bold();
    // A failure to write to standard error can't be reported.
    let _ = writeln!(err, "{red}error:{red:#} {}", text::clean(&error.message));
    for line in error.detail.iter().flat_map(|detail| detail.lines()) {
        let _ = writeln!(err, "  {}", text::clean(line));
    }
}

/// Prints an error of the command line, or the requested help.
pub(crate) fn usage(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A failure to write to standard error can't be reported.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let args: Vec<_> = std::env::args_os().collect();
    let without_secret = args::without_secret(&error, &args);
    if without_secret.is_some() {
        // Tips quote the argument too.
        error.remove(ContextKind::Suggested);
    }
    if args.iter().any(|arg| arg == "--json") {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let (message, detail) = text.split_once("\n\n").unwrap_or((text, ""));
        let message = without_secret.as_deref().unwrap_or(message);
        let mut error = Error::new(Code::InvalidArgument, message.trim());
        if !detail.trim().is_empty() {
            error = error.with_detail(detail.trim());
        }
        return Output::new(true, true).fail(&error);
    }
    // A failure to write to standard error can't be reported.
    let _ = match without_secret {
        None => error.print(),
        Some(message) => {
            let text = error.render().ansi().to_string();
            let (_, rest) = text.split_once("\n\n").unwrap_or_default();
            let red = anstyle::AnsiColor::Red.on_default().bold();
            write!(AutoStream::auto(io::stderr()), "{red}error:{red:#} {message}\n\n{rest}")
        }
    };
    ExitCode::from(Code::InvalidArgument.exit_code())
}

const BROKEN_PIPE: &str = "standard output is closed";

fn unwritten(error: &io::Error) -> Error {
    if error.kind() == ErrorKind::BrokenPipe {
        return Error::new(Code::Io, BROKEN_PIPE);
    }
    Error::new(Code::Io, format!("standard output cannot be written to: {error}"))
}

fn is_broken_pipe(error: &Error) -> bool {
    error.code == Code::Io && error.message == BROKEN_PIPE
}
