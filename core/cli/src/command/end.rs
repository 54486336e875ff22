//! `end`

use std::process::ExitCode;
use std::time::Duration;

use greenroom_control::registry::Found;
use greenroom_control::{Registry, SessionName};
use greenroom_protocol::Error;
use greenroom_protocol::message::{Answer, Item, Operation};
use serde_json::{Value, json};

use super::logs;
use crate::args::End;
use crate::document;
use crate::output::Output;
use crate::render::Renderer;

/// Deadline for the agent's history at the end.
const HISTORY: Duration = Duration::from_secs(10);

/// The last lines of the log that are shown.
const LINES: usize = 50;

pub(super) fn end(name: &SessionName, end: &End, out: &mut Output) -> Result<ExitCode, Error> {
    let folder = Registry::open()?.folder(name);
    if let Found::Ended(ended) = folder.find()? {
        let items = if end.history { folder.kept()?.history } else { Vec::new() };
        let lines = if end.logs { logs::last(&ended.log_path, LINES)? } else { Vec::new() };
        folder.forget()?;
        return show(document::ended(&ended), &items, &lines, out);
    }
    let mut client = super::connect(name)?;
    let record = client.record().clone();
    let mut items = Vec::new();
    if end.history {
        match client.call(Operation::History, Some(HISTORY)) {
            Ok(Answer::History { items: told }) => items = told,
            Ok(_) => return Err(super::mismatch()),
            // The session ends anyway.
            Err(error) => out.note(&format!("can't read the history: {error}")),
        }
    }
    let lines = if end.logs { logs::last(&record.log_path, LINES)? } else { Vec::new() };
    let status = client.end()?;
    let mut status = document::running(&record, &status, None);
    status["running"] = false.into();
    show(status, &items, &lines, out)
}

fn show(status: Value, items: &[Item], lines: &[String], out: &mut Output) -> Result<ExitCode, Error> {
    if out.is_json() {
        out.document(&json!({ "status": status, "events": items, "logs": lines }))?;
    } else {
        out.print(&Renderer { full: true }.items(items))?;
        for line in lines {
            out.print(&format!("    │ {}\n", crate::text::line(line)))?;
        }
        out.note("Session ended.");
    }
    Ok(ExitCode::SUCCESS)
}
