//! `status`

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use greenroom_control::registry::Found;
use greenroom_control::{Client, Registry, SessionName};
use greenroom_protocol::message::{Answer, CloseReason, Operation};
use greenroom_protocol::{Code, Error};
use serde_json::Value;

use crate::document;
use crate::output::Output;
use crate::text;

/// Deadline for the agent's description of itself; a busy agent is not waited for.
const INFO: Duration = Duration::from_secs(2);

pub(super) fn status(name: &SessionName, out: &mut Output) -> Result<ExitCode, Error> {
    let registry = Registry::open()?;
    let mut found = registry.folder(name).find()?;
    if let Found::Live(_) = found {
        match ask(&registry, name) {
            Ok(document) => {
                if out.is_json() {
                    out.document(&document)?;
                } else {
                    out.print(&table(&document))?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            // It may have ended meanwhile.
            Err(error) => match registry.folder(name).find()? {
                Found::Live(_) => return Err(error),
                ended => found = ended,
            },
        }
    }
    gone(name, found, out)
}

fn ask(registry: &Registry, name: &SessionName) -> Result<Value, Error> {
    let mut client = Client::open(registry, name)?;
    let status = client.status()?;
    let ready = status.get("state").and_then(Value::as_str) == Some("ready");
    let info = match ready.then(|| client.call(Operation::AgentInfo, Some(INFO))) {
        Some(Ok(Answer::AgentInfo(info))) => Some(info),
        _ => None,
    };
    Ok(document::running(client.record(), &status, info.as_ref()))
}

fn gone(name: &SessionName, found: Found, out: &mut Output) -> Result<ExitCode, Error> {
    let (state, mut ended_document) = match &found {
        Found::Starting => ("starting", None),
        Found::Ended(ended) => ("ended", Some(document::ended(ended))),
        Found::Vanished(_) => ("vanished", None),
        _ => ("unknown", None),
    };
    if let (Found::Ended(ended), Some(document)) = (&found, &mut ended_document)
        && ended.reason == CloseReason::AgentEnded.as_str()
    {
        // Its agent ended it, which is no failure.
        if out.is_json() {
            out.document(document)?;
        } else {
            document["state"] = format!("ended: {}", ended.error.message).into();
            document["error"] = Value::Null;
            out.print(&table(document))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Err(error) = found.live(name) else { return Err(super::mismatch()) };
    if !out.is_json() {
        return Err(error);
    }
    out.document(&ended_document.unwrap_or_else(|| document::not_running(name, state, &error)))?;
    Ok(ExitCode::from(Code::NoSession.exit_code()))
}

/// The document as lines for people; what is not known is left out.
fn table(document: &Value) -> String {
    let mut out = String::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text::cut(&text::line(text), 200),
            Value::Array(items) => {
                items.iter().filter_map(Value::as_str).map(text::line).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:<22}{value}", name.replace('_', " "));
    }
    out
}
