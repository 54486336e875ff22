//! Events, turns and conversations for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use greenroom_protocol::message::{
    ChatMessage, ConfigUpdate, Event, EventKind, Handoff, Item, Role, StateChange, ToolCall, ToolUpdate,
};
use greenroom_protocol::turn::{Turn, Voice};

use crate::text::{clean, cut, line};

const USER: Style = AnsiColor::Cyan.on_default().bold();
const AGENT: Style = AnsiColor::Green.on_default().bold();
const TOOL: Style = AnsiColor::Yellow.on_default();
const CHANGE: Style = AnsiColor::Magenta.on_default();
const DIM: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default();

/// How much of a tool's arguments and of its output is shown, in characters, unless all is asked
/// for.
const ARGUMENTS: usize = 200;
const OUTPUT: usize = 600;

/// How much of an event is shown on its line.
const EVENT: usize = 160;

/// Writes for people. Styles are always written; the output takes them out where they do not
/// belong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Renderer {
    /// Whether nothing is cut.
    pub(crate) full: bool,
}

impl Renderer {
    /// A whole turn: what happened before it, what the user said, what came of it.
    pub(crate) fn turn(self, turn: &Turn) -> String {
        let mut out = String::new();
        let (earlier, own): (Vec<&Event>, Vec<&Event>) = turn.events.iter().partition(|event| event.earlier);
        self.earlier(&mut out, &earlier);
        let said = if turn.text.is_empty() { turn.heard.as_deref().unwrap_or_default() } else { &turn.text };
        self.speech(&mut out, USER, "You", said, false);
        match &turn.heard {
            Some(heard) if heard.is_empty() => self.aside(&mut out, "(not heard)"),
            Some(heard) if heard != said => self.aside(&mut out, &format!("(heard: {})", line(heard))),
            _ => {}
        }
        for event in own {
            match (&event.kind, &turn.error) {
                // The turn's error says the same in fewer words.
                (EventKind::Error { message }, Some(error)) if message.contains(error) => {}
                // What was heard is shown already.
                (EventKind::Message(message), _) if message.role == Role::User && turn.heard.is_some() => {}
                (kind, _) => self.event(&mut out, kind),
            }
        }
        if let Some(error) = &turn.error {
            self.failure(&mut out, error);
        }
        let marked = turn.events.iter().any(|event| {
            matches!(&event.kind, EventKind::Message(message) if message.interrupted && !event.earlier)
        });
        if turn.interrupted && !marked {
            self.aside(&mut out, "(interrupted)");
        }
        if turn.silent {
            self.aside(&mut out, "(no reply)");
        }
        if let Some(voice) = &turn.voice {
            self.voice(&mut out, voice);
        }
        out
    }

    /// What happened at the start: the first agent, a greeting.
    pub(crate) fn events(self, events: &[Event]) -> String {
        let mut out = String::new();
        for event in events {
            self.event(&mut out, &event.kind);
        }
        out
    }

    /// A conversation.
    pub(crate) fn items(self, items: &[Item]) -> String {
        let mut out = String::new();
        for item in items {
            self.event(&mut out, &EventKind::from(item.clone()));
        }
        out
    }

    /// An event on a line of its own, with the time of day in UTC.
    pub(crate) fn event_line(self, event: &Event) -> String {
        let (kind, text) = summary(&event.kind);
        let time = event.time.to_string();
        let time = time.get(11..23).unwrap_or(&time);
        let late = if event.late { " (late)" } else { "" };
        let style = match &event.kind {
            EventKind::Message(message) if message.role == Role::User => USER,
            EventKind::Message(_) | EventKind::LateTurn { .. } => AGENT,
            EventKind::ToolCall(call) if call.is_error => BAD,
            EventKind::ToolCall(_) => TOOL,
            EventKind::Handoff(_) | EventKind::Config(_) => CHANGE,
            EventKind::Error { .. } | EventKind::Gap { .. } => BAD,
            _ => DIM,
        };
        let text = self.shortened(&line(&text), EVENT);
        format!("{DIM}{time}{DIM:#}  {style}{kind:<18}{style:#} {text}{late}\n")
    }

    fn voice(self, out: &mut String, voice: &Voice) {
        let mut told = Vec::new();
        if let Some(response) = voice.response_ms {
            told.push(format!("answered after {response:.0} ms"));
        }
        if voice.agent_ms > 0.0 {
            told.push(format!("spoke for {:.1} s", voice.agent_ms / 1e3));
        }
        if let Some(yielded) = voice.yield_ms {
            told.push(format!("yielded after {yielded:.0} ms"));
        }
        if voice.stalled_ms > 0.0 {
            told.push(format!(
                "not measured exactly: this machine stood still for {:.0} ms",
                voice.stalled_ms
            ));
        }
        if !told.is_empty() {
            self.aside(out, &format!("({})", told.join(", ")));
        }
    }

    fn earlier(self, out: &mut String, events: &[&Event]) {
        if events.is_empty() {
            return;
        }
        self.aside(out, "(before this turn)");
        for event in events {
            if event.late {
                self.aside(out, "(late)");
            }
            self.event(out, &event.kind);
        }
    }

    fn event(self, out: &mut String, kind: &EventKind) {
        match kind {
            EventKind::Message(message) => self.message(out, message),
            EventKind::ToolCall(call) => self.tool(out, call),
            EventKind::Handoff(handoff) => self.change(out, &handed_over(handoff)),
            EventKind::Config(update) => self.change(out, &changed(update)),
            EventKind::Error { message } => self.failure(out, message),
            EventKind::LateTurn { error: Some(error), .. } => self.failure(out, error),
            EventKind::AgentUnresponsive { silent_ms, recovered } => {
                self.aside(out, &format!("({})", silence(*silent_ms, *recovered)));
            }
            // An item or event without further details.
            EventKind::Unknown { what } => self.aside(out, &format!("({})", line(what))),
            EventKind::Gap { dropped } => self.aside(out, &format!("({dropped} events are missing here)")),
            EventKind::SessionClosed { .. } | EventKind::Closed { .. } => {
                let (_, text) = summary(kind);
                self.change(out, &format!("closed: {text}"));
            }
            _ => {}
        }
    }

    fn message(self, out: &mut String, message: &ChatMessage) {
        let (style, who) = match message.role {
            Role::User => (USER, "You".to_owned()),
            Role::Assistant => (AGENT, "Agent".to_owned()),
            Role::System => (DIM, "System".to_owned()),
            Role::Developer => (DIM, "Developer".to_owned()),
            other => (DIM, other.to_string()),
        };
        if message.text.is_empty() && !message.interrupted {
            return;
        }
        let cut = message.cut_bytes.map(more_bytes);
        let text = cut.map_or_else(|| message.text.clone(), |cut| format!("{}{cut}", message.text));
        self.speech(out, style, &who, &text, message.interrupted);
    }

    fn speech(self, out: &mut String, style: Style, who: &str, text: &str, interrupted: bool) {
        put(out, format_args!("\n  {style}● {who}{style:#}\n"));
        self.block(out, text);
        if interrupted {
            self.aside(out, "(interrupted)");
        }
    }

    fn tool(self, out: &mut String, call: &ToolCall) {
        let name = line(&call.name);
        let arguments = match call.arguments.trim() {
            "{}" => String::new(),
            arguments => self.shortened(&line(arguments), ARGUMENTS),
        };
        put(out, format_args!("\n  {TOOL}● tool: {name}{TOOL:#}({arguments})\n"));
        let output = self.shortened(&clean(&output(call)), OUTPUT);
        let (style, mark) = match mark(call) {
            mark @ "✗" => (BAD, mark),
            mark => (DIM, mark),
        };
        if mark != "✓" || !output.trim().is_empty() {
            let mut lines = output.lines();
            let first = lines.next().unwrap_or_default();
            put(out, format_args!("    {style}{mark} {first}{style:#}\n"));
            for rest in lines {
                put(out, format_args!("      {style}{rest}{style:#}\n"));
            }
        }
    }

    fn change(self, out: &mut String, what: &str) {
        put(out, format_args!("\n  {CHANGE}● {}{CHANGE:#}\n", line(what)));
    }

    fn failure(self, out: &mut String, message: &str) {
        put(out, format_args!("\n  {BAD}✗ agent error: {}{BAD:#}\n", clean(message).replace('\n', "\n    ")));
    }

    fn aside(self, out: &mut String, what: &str) {
        put(out, format_args!("    {DIM}{what}{DIM:#}\n"));
    }

    fn block(self, out: &mut String, text: &str) {
        for line in clean(text).lines() {
            put(out, format_args!("    {line}\n"));
        }
    }

    fn shortened(self, text: &str, most: usize) -> String {
        if self.full { text.to_owned() } else { cut(text, most) }
    }
}

/// An event's kind and content, as text.
fn summary(kind: &EventKind) -> (&'static str, String) {
    match kind {
        EventKind::Message(message) => ("message", format!("{}: {}", message.role, message.text)),
        EventKind::ToolCall(call) => {
            let mark = mark(call);
            ("tool_call", format!("{}({}) {mark} {}", call.name, call.arguments, output(call)))
        }
        EventKind::Handoff(handoff) => ("handoff", handed_over(handoff)),
        EventKind::Config(update) => ("config", changed(update)),
        EventKind::Error { message } => ("error", message.clone()),
        EventKind::Log { text } => ("log", text.clone()),
        EventKind::State(StateChange::Agent { from, to }) => ("state", format!("agent: {from} → {to}")),
        EventKind::State(StateChange::User { from, to }) => ("state", format!("user: {from} → {to}")),
        EventKind::Transcript { text, is_final, .. } => {
            ("transcript", if *is_final { text.clone() } else { format!("{text} …") })
        }
        EventKind::ToolsStarted { calls } => {
            ("tools_started", calls.iter().map(|call| call.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        EventKind::ToolUpdate(update) => ("tool_update", tool_update(update)),
        EventKind::Usage { models } => (
            "usage",
            models
                .iter()
                .map(|model| format!("{}/{}", model.provider, model.model))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        EventKind::OverlappingSpeech { is_interruption, .. } => (
            "overlapping_speech",
            if *is_interruption { "an interruption".to_owned() } else { "no interruption".to_owned() },
        ),
        EventKind::FalseInterruption { resumed } => {
            ("false_interruption", if *resumed { "resumed".to_owned() } else { "not resumed".to_owned() })
        }
        EventKind::AmdPrediction(guess) => {
            ("amd_prediction", format!("{}: {}", guess.category, guess.reason))
        }
        EventKind::AmdCompleted { category, reason, .. } => {
            ("amd_completed", format!("{category}: {reason}"))
        }
        EventKind::EotPrediction { probability, threshold, .. } => {
            ("eot_prediction", format!("{probability:.2} of {threshold:.2}"))
        }
        EventKind::Debug { payload } => ("debug", payload.to_string()),
        EventKind::AgentUnresponsive { silent_ms, recovered } => {
            ("agent_unresponsive", silence(*silent_ms, *recovered))
        }
        EventKind::SessionClosed { reason, error } => (
            "session_closed",
            error.as_ref().map_or_else(|| reason.to_string(), |error| format!("{reason}: {error}")),
        ),
        EventKind::Closed { message, .. } => ("closed", message.clone()),
        EventKind::Gap { dropped } => ("gap", format!("{dropped} events are missing here")),
        EventKind::LateTurn { text, reply, error } => {
            let end = error.as_ref().map_or_else(|| reply.clone(), |error| format!("✗ {error}"));
            ("late_turn", format!("{text} → {end}"))
        }
        EventKind::Unknown { what } => ("unknown", what.clone()),
        _ => ("event", String::new()),
    }
}

/// How a call stands.
fn mark(call: &ToolCall) -> &'static str {
    if call.is_error {
        "✗"
    } else if call.waiting || call.output.is_none() {
        "…"
    } else {
        "✓"
    }
}

/// A call's output, and its error if the output doesn't contain it.
fn output(call: &ToolCall) -> String {
    let none = if call.is_error { "" } else { "no output" };
    let output = call.output.as_deref().unwrap_or(none);
    let error = call.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    let cut = call.cut_bytes.map(more_bytes).unwrap_or_default();
    format!("{output}{error}{cut}")
}

/// What stands behind a text that was too large for the link.
fn more_bytes(missing: u64) -> String {
    format!("… ({missing} more bytes were too large for the link)")
}

/// For how long an agent has answered nothing.
fn silence(silent_ms: f64, recovered: bool) -> String {
    let seconds = silent_ms / 1e3;
    if recovered {
        format!("the agent answers again, after {seconds:.1} s: its event loop was blocked")
    } else {
        format!("the agent has answered nothing for {seconds:.1} s: its event loop is blocked")
    }
}

fn tool_update(update: &ToolUpdate) -> String {
    match update {
        ToolUpdate::Started { call } => format!("{} started", call.name),
        ToolUpdate::Progress { message, .. } => message.clone(),
        ToolUpdate::Reply { status, .. } => format!("reply {status}"),
        ToolUpdate::Ended { status, message, .. } => {
            format!("{status} {}", message.as_deref().unwrap_or_default())
        }
        _ => "unknown".to_owned(),
    }
}

fn handed_over(handoff: &Handoff) -> String {
    match &handoff.from {
        Some(from) => format!("handoff: {from} → {}", handoff.to),
        None => format!("agent: {}", handoff.to),
    }
}

fn changed(update: &ConfigUpdate) -> String {
    format!("config: {}", update.changes().join("; "))
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::turn::Turn;
    use serde_json::{Value, json};

    use super::Renderer;

    /// What people see of a turn with these events, without colours.
    fn shown(full: bool, change: Value, events: &[Value]) -> String {
        let mut turn = json!({
            "number": 1, "text": "hi", "events": [], "reply": "", "silent": false, "interrupted": false, "duration_ms": 1.0,
            "queued_ms": 0.0,
        });
        for (seq, event) in events.iter().enumerate() {
            let mut event = event.clone();
            event["seq"] = (seq + 1).into();
            event["time"] = "2026-11-21T04:05:06.789000Z".into();
            turn["events"].as_array_mut().unwrap().push(event);
        }
        for (name, value) in change.as_object().unwrap() {
            turn[name] = value.clone();
        }
        let turn: Turn = serde_json::from_value(turn).unwrap();
        let text = anstream::adapter::strip_str(&Renderer { full }.turn(&turn)).to_string();
        text.strip_prefix("\n  ● You\n    hi\n").unwrap_or(&text).to_owned()
    }

    fn own(event: Value) -> String {
        shown(false, json!({}), &[event])
    }

    fn tool(output: &str, is_error: bool) -> Value {
        let (arguments, call_id) = (r#"{"city":"Rome"}"#, "c");
        json!({ "type": "tool_call", "call_id": call_id, "name": "look", "arguments": arguments, "output": output, "is_error": is_error })
    }

    #[test]
    fn tools() {
        let call = "\n  ● tool: look({\"city\":\"Rome\"})\n";
        assert_eq!(own(tool("sunny", false)), format!("{call}    ✓ sunny\n"));
        assert_eq!(own(tool("sunny\nand warm", false)), format!("{call}    ✓ sunny\n      and warm\n"));
        assert_eq!(own(tool("", false)), call, "nothing for an empty success");
        assert_eq!(own(tool("no such city", true)), format!("{call}    ✗ no such city\n"));
        assert_eq!(own(tool("", true)), format!("{call}    ✗ \n"), "an error always shows");
    }

    #[test]
    fn long_outputs_are_cut_on_characters_unless_all_is_asked_for() {
        let long = "é".repeat(1000);
        assert!(own(tool(&long, false)).contains("… (400 more characters; --full shows them)"));
        assert!(shown(true, json!({}), &[tool(&long, false)]).contains(&long));
    }

    #[test]
    fn handoffs_agents_and_changes() {
        let handoff =
            |from: Value| own(json!({ "type": "handoff", "id": "h", "from": from, "to": "billing" }));
        assert_eq!(handoff(json!("barista")), "\n  ● handoff: barista → billing\n");
        assert_eq!(handoff(Value::Null), "\n  ● agent: billing\n");
        let config = json!({ "type": "config", "id": "c", "instructions": "x", "tools_added": ["a", "b"], "tools_removed": ["c"] });
        assert_eq!(own(config), "\n  ● config: instructions updated; tools added: a, b; tools removed: c\n");
    }

    #[test]
    fn ends_of_turns() {
        let message = |role: &str, interrupted: bool| json!({ "type": "message", "id": "m", "role": role, "text": "well", "interrupted": interrupted });
        assert_eq!(own(message("assistant", true)), "\n  ● Agent\n    well\n    (interrupted)\n");
        assert_eq!(own(message("system", false)), "\n  ● System\n    well\n");
        assert_eq!(shown(false, json!({ "silent": true }), &[]), "    (no reply)\n");
        assert_eq!(shown(false, json!({ "interrupted": true }), &[]), "    (interrupted)\n");
        let cut_off = shown(false, json!({ "interrupted": true }), &[message("assistant", true)]);
        assert_eq!(cut_off.matches("(interrupted)").count(), 1);
    }

    #[test]
    fn what_was_heard_and_how_long_it_took() {
        let voice = json!({ "user_ms": 500.0, "agent_ms": 1200.0, "response_ms": 432.1, "lost_ms": 0.0 });
        let turn = |heard: &str| shown(false, json!({ "heard": heard, "voice": voice }), &[]);
        assert_eq!(turn("hi"), "    (answered after 432 ms, spoke for 1.2 s)\n");
        assert_eq!(turn("high"), "    (heard: high)\n    (answered after 432 ms, spoke for 1.2 s)\n");
        assert!(turn("").starts_with("    (not heard)\n"));
        let heard = shown(false, json!({ "text": "", "heard": "hello" }), &[]);
        assert_eq!(
            heard, "\n  ● You\n    hello\n",
            "without words of the caller's, those of the agent stand"
        );
    }

    #[test]
    fn an_error_shows_once() {
        let error = json!({ "type": "error", "message": "type='llm_error' error=RuntimeError('broken')" });
        assert_eq!(
            shown(false, json!({ "error": "broken" }), std::slice::from_ref(&error)),
            "\n  ✗ agent error: broken\n"
        );
        assert!(own(error).contains("llm_error"));
    }

    #[test]
    fn what_was_before_comes_first() {
        let earlier = json!({ "type": "gap", "dropped": 3, "earlier": true });
        let text = shown(false, json!({}), &[earlier]);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "    (before this turn)\n    (3 events are missing here)\n\n  ● You\n    hi\n"
        );
    }
}
