//! `history`, `info` and `usage`: one question to the agent.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use comfy_table::{Table, presets};
use greenroom_control::SessionName;
use greenroom_protocol::Error;
use greenroom_protocol::message::{Answer, ModelUsage, Operation};
use serde_json::{Value, json};

use crate::args::{Call, History};
use crate::output::Output;
use crate::render::Renderer;
use crate::text;

pub(super) fn history(name: &SessionName, history: &History, out: &mut Output) -> Result<ExitCode, Error> {
    let items = match super::ended(name)? {
        Some(folder) => folder.kept()?.history,
        None => match super::connect(name)?.call(Operation::History, Some(history.timeout))? {
            Answer::History { items } => items,
            _ => return Err(super::mismatch()),
        },
    };
    if out.is_json() {
        out.document(&json!({ "items": items }))?;
    } else {
        out.print(&Renderer { full: history.full }.items(&items))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn info(name: &SessionName, call: &Call, out: &mut Output) -> Result<ExitCode, Error> {
    let mut client = super::connect(name)?;
    // One deadline for all three.
    let began = Instant::now();
    let left = || Some(call.timeout.saturating_sub(began.elapsed()));
    let Answer::AgentInfo(info) = client.call(Operation::AgentInfo, left())? else {
        return Err(super::mismatch());
    };
    let Answer::SessionState(state) = client.call(Operation::SessionState, left())? else {
        return Err(super::mismatch());
    };
    let Answer::FrameworkInfo(framework) = client.call(Operation::FrameworkInfo, left())? else {
        return Err(super::mismatch());
    };
    if out.is_json() {
        let mut document = json!({ "agent": info, "session": state, "framework": framework });
        for (name, value) in [
            ("agent_id", json!(info.id)),
            ("tools", json!(info.tools)),
            ("instructions", json!(info.instructions)),
        ] {
            document[name] = value;
        }
        out.document(&document)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    let mut put = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<14}{}", text::clean(value).replace('\n', "\n              "));
    };
    put("agent", &info.id);
    put("sdk", &format!("{} {}", framework.sdk, framework.sdk_version));
    put("agent state", &state.agent_state.to_string());
    put("user state", &state.user_state.to_string());
    put("tools", &info.tools.join(", "));
    put("instructions", info.instructions.as_deref().unwrap_or_default());
    for (option, value) in &state.options {
        put("option", &format!("{option} = {value}"));
    }
    out.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn usage(name: &SessionName, call: &Call, out: &mut Output) -> Result<ExitCode, Error> {
    let Answer::Usage { models } = super::connect(name)?.call(Operation::Usage, Some(call.timeout))? else {
        return Err(super::mismatch());
    };
    if out.is_json() {
        out.document(&json!({ "models": models }))?;
    } else if models.is_empty() {
        out.note("No model has been used so far.");
    } else {
        out.print(&format!("{}\n", table(&models)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One row for each model, with the counts that are not nothing.
fn table(models: &[ModelUsage]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["PROVIDER", "MODEL", "KIND", "USED"]);
    for model in models {
        let fields = serde_json::to_value(model).unwrap_or_default();
        let get = |name: &str| text::line(fields.get(name).and_then(Value::as_str).unwrap_or_default());
        let counts = fields.as_object().into_iter().flatten();
        let used: Vec<String> = counts
            .filter(|(_, count)| count.as_f64().is_some_and(|count| count != 0.0))
            .map(|(what, count)| format!("{count} {}", what.replace('_', " ")))
            .collect();
        let used = if used.is_empty() { "nothing counted".to_owned() } else { used.join(", ") };
        table.add_row([get("provider"), get("model"), get("kind"), used]);
    }
    table
}
