//! `events`

use std::process::ExitCode;

use greenroom_control::SessionName;
use greenroom_control::message::read_event;
use greenroom_protocol::message::Event;
use greenroom_protocol::{Code, Error};
use serde_json::value::to_raw_value;

use crate::args::Events;
use crate::interrupt;
use crate::output::Output;
use crate::render::Renderer;

pub(super) fn events(name: &SessionName, events: &Events, out: &mut Output) -> Result<ExitCode, Error> {
    if let Some(folder) = super::ended(name)? {
        return kept(&folder.kept()?.events, events, out);
    }
    let mut client = super::connect(name)?;
    let from = match (events.from, events.last) {
        (Some(from), _) => from,
        (None, 0) => 0,
        (None, last) => client.end_of_events().saturating_sub(last),
    };
    let renderer = Renderer { full: events.full };
    for batch in client.events(from, events.follow)? {
        let batch = match batch {
            Ok(batch) => batch,
            // A stream that is watched ends quietly.
            Err(_) if interrupt::happened() => return Ok(ExitCode::from(Code::Cancelled.exit_code())),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        for event in &batch.events {
            if out.is_json() {
                out.event(event)?;
            } else {
                text.push_str(&renderer.event_line(&read_event(event)));
            }
        }
        out.print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The events of a session that has ended.
fn kept(kept: &[Event], events: &Events, out: &mut Output) -> Result<ExitCode, Error> {
    let end = kept.last().map_or(0, |last| last.seq + 1);
    let from = match (events.from, events.last) {
        (Some(from), _) => from,
        (None, 0) => 0,
        (None, last) => end.saturating_sub(last),
    };
    let renderer = Renderer { full: events.full };
    let mut text = String::new();
    for event in kept.iter().filter(|event| event.seq >= from) {
        if out.is_json() {
            let unreadable = |error: serde_json::Error| Error::new(Code::Internal, error.to_string());
            out.event(&to_raw_value(event).map_err(unreadable)?)?;
        } else {
            text.push_str(&renderer.event_line(event));
        }
    }
    out.print(&text)?;
    Ok(ExitCode::SUCCESS)
}
