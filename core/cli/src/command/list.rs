//! `list`

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use greenroom_control::registry::Found;
use greenroom_control::{Client, Registry};
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
        match found {
            Found::Live(record) => {
                sessions.push(match Client::open(&registry, &name).and_then(|mut client| client.status()) {
                    Ok(status) => document::running(&record, &status, None),
                    Err(error) => document::not_running(&name, "unreachable", &error),
                })
            }
            Found::Ended(ended) if list.all => sessions.push(document::ended(&ended)),
            Found::Starting | Found::Vanished(_) => {
                let state = if matches!(found, Found::Starting) { "starting" } else { "vanished" };
                if let Err(error) = found.live(&name)
                    && (list.all || state == "starting")
                {
                    sessions.push(document::not_running(&name, state, &error));
                }
            }
            _ => {}
        }
    }
    if out.is_json() {
        out.document(&json!({ "sessions": sessions }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if sessions.is_empty() {
        out.note("No sessions. Start one with `greenroom start`.");
        return Ok(ExitCode::SUCCESS);
    }
    out.print(&format!("{}\n", table(&sessions)))?;
    Ok(ExitCode::SUCCESS)
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
            ("-", entry) => entry.to_owned(),
            (dir, entry) => format!("{dir}/{entry}"),
        };
        let started = get("started_at");
        table.add_row([get("name"), get("state"), get("port"), get("turns"), agent, started]);
    }
    table
}
