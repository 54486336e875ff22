//! `list`

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use greenroom_control::registry::Found;
use greenroom_control::{Client, Registry, SessionName};
use greenroom_protocol::Error;
use serde_json::{Value, json};

use crate::args::List;
use crate::document;
use crate::output::Output;
use crate::text;

pub(super) fn list(list: &List, out: &mut Output) -> Result<ExitCode, Error> {
    let registry = Registry::open()?;
    let mut sessions: Vec<Value> = Vec::new();
    for (name, found) in registry.list()? {
        sessions.extend(describe(&registry, &name, found, list.all)?);
    }
    if out.is_json() {
        out.document(&json!({ "sessions": sessions }))?;
    } else if sessions.is_empty() {
        out.note("No sessions. Start one with `greenroom start`.");
    } else {
        out.print(&format!("{}\n", table(&sessions)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The session's document, if it is one to list.
fn describe(
    registry: &Registry,
    name: &SessionName,
    mut found: Found,
    all: bool,
) -> Result<Option<Value>, Error> {
    if let Found::Live(record) = &found {
        match Client::open(registry, name).and_then(|mut client| client.status()) {
            Ok(status) => return Ok(Some(document::running(record, &status, None))),
            // It may have ended meanwhile.
            Err(error) => match registry.folder(name).find()? {
                Found::Live(_) => return Ok(Some(document::not_running(name, "unreachable", &error))),
                ended => found = ended,
            },
        }
    }
    let state = match &found {
        Found::Starting => "starting",
        Found::Ended(ended) if all => return Ok(Some(document::ended(ended))),
        Found::Vanished(_) if all => "vanished",
        _ => return Ok(None),
    };
    Ok(found.live(name).err().map(|error| document::not_running(name, state, &error)))
}

fn table(sessions: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAME", "STATE", "PORT", "TURNS", "AGENT", "STARTED"]);
    for session in sessions {
        let get = |name: &str| match session.get(name) {
            Some(Value::String(text)) => text::line(text),
            None | Some(Value::Null) => "-".to_owned(),
            Some(other) => other.to_string(),
        };
        let agent = match (get("project_dir").as_str(), get("entrypoint").as_str()) {
            ("-", "-") if get("room") != "-" => format!("{} in {}", get("agent"), get("room")),
            ("-", entry) => entry.to_owned(),
            (dir, entry) => format!("{dir}/{entry}"),
        };
        table.add_row([get("name"), get("state"), get("port"), get("turns"), agent, get("started_at")]);
    }
    table
}
