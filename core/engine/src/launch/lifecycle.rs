//! What is reported of the life of a job and its session.
//!
//! livekit-agents runs the job in a thread of the agent's process. `prepare.py` reports from there, on
//! lines with a mark that only the launcher knows. Where it cannot, the SDK's log is the fallback: at
//! DEBUG level in console mode, unless the agent's author turns that off. @livekit/agents logs the end
//! of a session at INFO level.

use serde::Deserialize;
use serde_json::Value;

/// What is known of the job and its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The system's id of the thread that runs the job. Only livekit-agents has one.
    pub(super) job_thread: Option<u32>,
    /// Why the job ends, once it does.
    pub(super) job_ends: Option<String>,
    /// Whether the entrypoint returned and nothing that it began can start a session.
    pub(super) entrypoint_returned: bool,
    /// How the agent ended its session, once it has.
    pub(super) session_end: Option<SessionEnd>,
    /// The same, while its fields are still to come.
    unfinished_end: Option<SessionEnd>,
}

/// How an agent ended its session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SessionEnd {
    /// The SDK's reason, such as `user_initiated`.
    pub reason: String,
    /// What failed, if anything.
    #[serde(default)]
    pub error: Option<String>,
}

/// A report of `prepare.py`.
#[derive(Debug, Deserialize)]
struct Report {
    job_thread: Option<u32>,
    job_ends: Option<String>,
    #[serde(default)]
    entrypoint_returned: bool,
    session_end: Option<SessionEnd>,
}

impl Lifecycle {
    /// Takes account of a report, as JSON. Returns whether it held anything new.
    pub(super) fn take_report(&mut self, report: &str, is_alive: impl Fn(u32) -> bool) -> bool {
        let Ok(report) = serde_json::from_str::<Report>(report) else { return false };
        let is_new = [
            fill(&mut self.job_thread, report.job_thread.filter(|thread| is_alive(*thread))),
            fill(&mut self.job_ends, report.job_ends),
            fill(&mut self.session_end, report.session_end),
            report.entrypoint_returned && !std::mem::replace(&mut self.entrypoint_returned, true),
        ];
        is_new.contains(&true)
    }

    /// Takes account of a line of the log, without terminal codes. Returns whether it told of anything. `is_alive` tells
    /// whether the system knows a thread: one that it does not is in another namespace, and says nothing.
    pub(super) fn take(&mut self, line: &str, is_alive: impl Fn(u32) -> bool) -> bool {
        if self.take_field_of_end(line) {
            return true;
        }
        if let Some(fields) = fields_after(line, "livekit.agents initializing job runner ") {
            return fill(&mut self.job_thread, number(&fields, "tid").filter(|thread| is_alive(*thread)));
        }
        if let Some(fields) = fields_after(line, "livekit.agents shutting down job task ") {
            return fill(&mut self.job_ends, text(&fields, "reason"));
        }
        if let Some(fields) = fields_after(line, "livekit.agents session closed ") {
            return fill(&mut self.session_end, SessionEnd::deserialize(fields).ok());
        }
        // pino writes a line as JSON, or for terminals each field on a line of its own behind it.
        if line.ends_with("AgentSession closed") {
            self.unfinished_end = Some(SessionEnd { reason: "unknown".to_owned(), error: None });
        } else if line.contains("\"msg\":\"AgentSession closed\"") {
            return fill(&mut self.session_end, serde_json::from_str(line).ok().map(node_session_end));
        }
        false
    }

    /// Takes a field of the end of a session of @livekit/agents. Returns whether the end is complete.
    fn take_field_of_end(&mut self, line: &str) -> bool {
        let Some(end) = &mut self.unfinished_end else { return false };
        match line.strip_prefix("    ").and_then(|field| field.split_once(": ")) {
            Some(("reason", reason)) => {
                end.reason = reason.trim_matches('"').to_owned();
                return false;
            }
            Some(("error", "null")) => {}
            Some(("error", error)) => end.error = Some(error.trim_matches('"').to_owned()),
            _ => {}
        }
        let end = self.unfinished_end.take();
        fill(&mut self.session_end, end)
    }
}

fn fill<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let is_new = place.is_none() && value.is_some();
    if is_new {
        *place = value;
    }
    is_new
}

/// The fields that livekit-agents puts behind a message, as JSON.
fn fields_after(line: &str, message: &str) -> Option<Value> {
    let (_, fields) = line.split_once(message)?;
    serde_json::from_str(fields.trim()).ok()
}

fn text(fields: &Value, name: &str) -> Option<String> {
    fields.get(name)?.as_str().map(str::to_owned)
}

fn number(fields: &Value, name: &str) -> Option<u32> {
    fields.get(name)?.as_u64()?.try_into().ok()
}

fn node_session_end(fields: Value) -> SessionEnd {
    let error = fields.get("error").filter(|error| !error.is_null());
    SessionEnd {
        reason: text(&fields, "reason").unwrap_or_else(|| "unknown".to_owned()),
        error: error.map(|error| text(error, "message").unwrap_or_else(|| error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lifecycle, SessionEnd};

    fn of(lines: &[&str]) -> Lifecycle {
        let mut lifecycle = Lifecycle::default();
        for line in lines {
            lifecycle.take(line, |thread| thread == 8016);
        }
        lifecycle
    }

    fn end(reason: &str, error: Option<&str>) -> Option<SessionEnd> {
        Some(SessionEnd { reason: reason.to_owned(), error: error.map(str::to_owned) })
    }

    #[test]
    fn python_job_and_session_are_read() {
        let lifecycle = of(&[
            "22:18:00 INFO livekit.agents initializing job runner {\"tid\": 8016}",
            "22:10:49 DEBUG livekit.agents session closed {\"reason\": \"user_initiated\", \"error\": null}",
            "22:18:13 DEBUG livekit.agents shutting down job task {\"reason\": \"done\", \"user_initiated\": true}",
        ]);
        assert_eq!(lifecycle.job_thread, Some(8016));
        assert_eq!(lifecycle.job_ends.as_deref(), Some("done"));
        assert_eq!(lifecycle.session_end, end("user_initiated", None));
    }

    #[test]
    fn reports_come_before_the_log() {
        let mut lifecycle = Lifecycle::default();
        let alive = |thread| thread == 8016;
        assert!(lifecycle.take_report("{\"job_thread\": 8016}", alive));
        assert!(
            lifecycle
                .take_report("{\"session_end\": {\"reason\": \"error\", \"error\": \"no model\"}}", alive)
        );
        assert!(lifecycle.take_report("{\"job_ends\": \"done\"}", alive));
        assert!(lifecycle.take_report("{\"entrypoint_returned\": true}", alive));
        assert!(!lifecycle.take_report("{\"entrypoint_returned\": true}", alive), "once");
        assert!(!lifecycle.take_report("{broken", alive));
        let logged = "DEBUG livekit.agents session closed {\"reason\": \"job_shutdown\", \"error\": null}";
        assert!(!lifecycle.take(logged, alive));
        assert_eq!(lifecycle.job_thread, Some(8016));
        assert_eq!(lifecycle.job_ends.as_deref(), Some("done"));
        assert!(lifecycle.entrypoint_returned);
        assert_eq!(lifecycle.session_end, end("error", Some("no model")));
    }

    #[test]
    fn node_session_is_read_from_both_formats() {
        let head = "[22:23:26.885] INFO (15256): AgentSession closed";
        assert_eq!(of(&[head]).session_end, None, "its fields are on the next lines");
        let lines = [head, "    reason: \"user_initiated\"", "    error: null"];
        assert_eq!(of(&lines).session_end, end("user_initiated", None));
        let lines = [head, "    reason: \"error\"", "    error: \"no model\""];
        assert_eq!(of(&lines).session_end, end("error", Some("no model")));
        assert_eq!(of(&[head, "[22:23:27.000] INFO (15256): more"]).session_end, end("unknown", None));
        let json =
            "{\"level\":30,\"reason\":\"user_initiated\",\"error\":null,\"msg\":\"AgentSession closed\"}";
        assert_eq!(of(&[json]).session_end, end("user_initiated", None));
    }

    #[test]
    fn thread_that_the_system_does_not_know_is_none() {
        let line = "22:18:00 INFO livekit.agents initializing job runner {\"tid\": 8017}";
        assert_eq!(of(&[line]).job_thread, None);
    }

    #[test]
    fn lines_of_others_are_nothing() {
        let lines =
            ["session closed", "livekit.agents session closed {broken", "AgentSession closed again", ""];
        assert_eq!(of(&lines), Lifecycle::default());
    }
}
