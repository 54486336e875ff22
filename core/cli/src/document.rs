//! What `--json` prints. Field names are a superset of those of LiveKit's own debugger.

use greenroom_control::Record;
use greenroom_control::SessionName;
use greenroom_control::record::Ended;
use greenroom_protocol::message::{AgentInfo, ConfigUpdate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The version of the documents: it grows when a field changes its meaning or goes.
pub(crate) const SCHEMA: u32 = 1;

/// The document with its version in front.
pub(crate) fn with_schema(value: &impl Serialize) -> Value {
    let mut fields = Map::new();
    fields.insert("schema".to_owned(), SCHEMA.into());
    match serde_json::to_value(value) {
        Ok(Value::Object(rest)) => fields.extend(rest),
        Ok(other) => drop(fields.insert("value".to_owned(), other)),
        Err(error) => drop(fields.insert("error".to_owned(), error.to_string().into())),
    }
    for list in ["events", "items"] {
        if let Some(Value::Array(events)) = fields.get_mut(list) {
            events.iter_mut().for_each(complete);
        }
    }
    Value::Object(fields)
}

/// Adds to an event or an item what the debugger calls otherwise: the `text` of an error, the
/// `changes` of a configuration in words.
pub(crate) fn complete(event: &mut Value) {
    match event.get("type").and_then(Value::as_str) {
        Some("error") => {
            if let Some(message) = event.get("message").cloned() {
                event["text"] = message;
            }
        }
        Some("config") => {
            if let Ok(update) = ConfigUpdate::deserialize(&*event) {
                event["changes"] = update.changes().into();
            }
        }
        _ => {}
    }
}

/// How a session that lives stands.
pub(crate) fn running(record: &Record, status: &Value, info: Option<&AgentInfo>) -> Value {
    let get = |name: &str| status.get(name).cloned().unwrap_or_default();
    let mut document = json!({
        "running": true,
        "name": record.name,
        "state": get("state"),
        "port": record.port,
        "pid": record.pid,
        "agent_pid": get("pid"),
        "project_dir": get("project_dir"),
        "entrypoint": get("entry"),
        "project_type": get("kind"),
        "detected": get("detected"),
        "sdk_version": get("sdk_version"),
        "audio": record.launch.audio,
        "started_at": record.started_at,
        "uptime_seconds": get("uptime_ms").as_u64().unwrap_or_default() as f64 / 1e3,
        "turns": get("turns"),
        "turn_in_progress": get("turn_in_progress"),
        "agent_state": get("agent_state"),
        "agent_id": info.map(|info| &info.id),
        "tools": info.map(|info| &info.tools),
        "instructions": info.and_then(|info| info.instructions.as_ref()),
        "log_path": record.log_path,
        "daemon_log_path": record.daemon_log_path,
        "idle_seconds": get("idle_ms").as_u64().unwrap_or_default() as f64 / 1e3,
        "idle_timeout_seconds": get("idle_timeout_ms").as_u64().map(|ms| ms as f64 / 1e3),
        "unseen_events": get("unseen_events"),
    });
    for rare in [
        "room",
        "identity",
        "agent",
        "peer_check",
        "refused_connections",
        "last_refused",
        "log_error",
        "recording",
        "audio_losses",
    ] {
        let value = get(rare);
        if !value.is_null() && value != 0 {
            document[rare] = value;
        }
    }
    // Its daemon still ends the agent.
    if let Some(closed) = status.get("closed").filter(|closed| !closed.is_null()) {
        document["error"] = closed.clone();
    }
    document
}

/// How a session that has ended stood.
pub(crate) fn ended(ended: &Ended) -> Value {
    json!({
        "running": false,
        "name": ended.name,
        "state": "ended",
        "ended_at": ended.at,
        "reason": ended.reason,
        "error": ended.error,
        "log_path": ended.log_path,
        "turns": ended.status.get("turns").cloned().unwrap_or_default(),
        "project_dir": ended.status.get("project_dir").cloned().unwrap_or_default(),
        "entrypoint": ended.status.get("entry").cloned().unwrap_or_default(),
    })
}

/// A session that is not running, and why.
pub(crate) fn not_running(name: &SessionName, state: &str, error: &greenroom_protocol::Error) -> Value {
    json!({ "running": false, "name": name, "state": state, "error": error })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::with_schema;

    #[test]
    fn what_the_debugger_calls_otherwise_stands_beside() {
        let error = json!({ "type": "error", "message": "no tea" });
        let config = json!({ "type": "config", "id": "i", "tools_added": ["a", "b"], "tools_removed": [] });
        let document =
            with_schema(&json!({ "events": [error, { "type": "log", "text": "x" }], "items": [config] }));
        assert_eq!(document["events"][0], json!({ "type": "error", "message": "no tea", "text": "no tea" }));
        assert_eq!(document["events"][1], json!({ "type": "log", "text": "x" }));
        assert_eq!(document["items"][0]["changes"], json!(["tools added: a, b"]));
    }
}
