//! `events`

use std::process::ExitCode;

use greenroom_control::SessionName;
use greenroom_control::message::read_event;
use greenroom_protocol::{Code, Error};

use crate::args::Events;
use crate::interrupt;
use crate::output::Output;
use crate::render::Renderer;

pub(super) fn events(name: &SessionName, events: &Events, out: &mut Output) -> Result<ExitCode, Error> {
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
