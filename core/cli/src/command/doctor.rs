//! `doctor`

use std::process::ExitCode;

use anstyle::AnsiColor;
use greenroom_control::audit::AuditLog;
use greenroom_control::credentials::{self, CredentialsRequest, Secret, Sources};
use greenroom_control::doctor::{self, Checkup, Outcome, Step};
use greenroom_protocol::Error;
use greenroom_room::Address;

use super::reach;
use super::token::signed_by;
use crate::args::Doctor;
use crate::output::Output;
use crate::text;

pub(super) fn doctor(doctor: Doctor, out: &mut Output) -> Result<ExitCode, Error> {
    // To look is what it is for, wherever the url leads.
    let mut request = CredentialsRequest { allow_internal_url: true, ..signed_by(doctor.signing) };
    let sources = Sources::new(None);
    let url = credentials::server_url_from(&request, &sources)?;
    let address = Address::parse(&url)?;
    request.url = Some(url.into());
    request.room = doctor.room;
    request.identity = Some("doctor".to_owned());
    request.grants.can_manage_agent_session = true;
    // Invisible to the room.
    request.grants.hidden = true;
    let mut doubts = Vec::new();
    let token = doctor.token.filter(|token| !token.is_empty()).map_or_else(
        || match AuditLog::open().and_then(|log| credentials::credentials_from(&request, &sources, &log)) {
            Ok(made) => {
                doubts = made.doubts;
                Ok(Secret::new(made.token))
            }
            Err(error) => Err(error.message),
        },
        Ok,
    );
    let secret_note = (!doubts.is_empty()).then(|| doubts.join("; "));
    let (ca, proxy) = reach::through(&doctor.reach)?;
    let checkup = Checkup { address, token, timeout: doctor.timeout, ca, proxy, secret_note };
    let mut unwritten = Ok(());
    let is_json = out.is_json();
    let report = doctor::examine(&checkup, &mut |step| {
        if !is_json && unwritten.is_ok() {
            unwritten = out.print(&line(step));
        }
    })?;
    unwritten?;
    if is_json {
        out.document(&report)?;
    } else if report.is_well {
        out.note("Nothing stands in the way.");
    }
    Ok(report.failure().map_or(ExitCode::SUCCESS, |error| ExitCode::from(error.code.exit_code())))
}

/// A step for people.
fn line(step: &Step) -> String {
    let (mark, colour) = match step.outcome {
        Outcome::Ok => ("✓", AnsiColor::Green),
        Outcome::Warning => ("!", AnsiColor::Yellow),
        Outcome::Failed => ("✗", AnsiColor::Red),
        _ => ("-", AnsiColor::BrightBlack),
    };
    let colour = colour.on_default();
    let advice = step.advice.as_deref().filter(|advice| !advice.is_empty());
    let advice = advice.map(|advice| format!("           → {}\n", text::line(advice))).unwrap_or_default();
    format!("{colour}{mark}{colour:#} {:<8} {}\n{advice}", step.name.as_str(), text::line(&step.found))
}
