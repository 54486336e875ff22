//! A room on the server: whether it takes the token, what that grants, and by which ways the media
//! go.

use std::time::{Duration, Instant};

use greenroom_protocol::Code;
use greenroom_room::RoomOptions;
use greenroom_room::{CandidateType, Failure, IcePolicy, Room, Step};

use super::{Checkup, Notes, StepName};
use crate::credentials::Said;

/// What is looked at here.
pub(super) const STEPS: [StepName; 5] =
    [StepName::Token, StepName::Grant, StepName::Media, StepName::Tcp, StepName::Turn];

/// Why steps are left out that need a room.
const NO_ROOM: &str = "there is no room to look at";

/// Deadline of an optional connection path.
const DETOUR: Duration = Duration::from_secs(5);

pub(super) async fn examine(checkup: &Checkup, notes: &mut Notes<'_>) {
    let token = match &checkup.token {
        Ok(token) => token,
        Err(why) => return skip(notes, &STEPS, &format!("there is no token to join a room with: {why}")),
    };
    let began = Instant::now();
    let said = match Said::read(token) {
        Ok(said) => said,
        Err(error) => {
            let advice = "make one with the server's own key, such as with `greenroom token`";
            notes.fail(StepName::Token, error.code, began, error.message, advice);
            return skip(notes, &STEPS[1..], NO_ROOM);
        }
    };
    let mut options = RoomOptions::new(checkup.address.as_str(), token.reveal());
    options.connect_timeout = checkup.timeout;
    options.ca.clone_from(&checkup.ca);
    options.proxy = checkup.proxy.clone();
    match Room::try_connect(options.clone()).await {
        Ok((room, _)) => {
            let (identity, name) = (room.local().identity, room.info().name);
            notes.ok(StepName::Token, began, format!("it lets {identity} into the room {name}"));
            grant(notes, &said, &room);
            media(notes, began, &room);
            room.disconnect().await;
        }
        Err(failure) if failure.step != Step::Media => return refuse(checkup, notes, began, failure),
        Err(failure) => {
            notes.ok(StepName::Token, began, "the server takes it");
            notes.skip(StepName::Grant, NO_ROOM);
            notes.failure(StepName::Media, began, failure);
            return skip(notes, &STEPS[3..], "it was tried, and nothing got through");
        }
    }
    options.connect_timeout = checkup.timeout.min(DETOUR);
    let close_to = "networks without UDP need it; let it through a firewall, or see the server's ";
    options.ice_policy = IcePolicy::Tcp;
    detour(notes, StepName::Tcp, options.clone(), &format!("{close_to}`rtc.tcp_port`")).await;
    options.ice_policy = IcePolicy::Relay;
    detour(notes, StepName::Turn, options, &format!("{close_to}`turn`")).await;
}

/// By which way the data of this room goes.
fn media(notes: &mut Notes<'_>, began: Instant, room: &Room) {
    let advice =
        "let UDP through to the ports of the server's `rtc` settings: by any other way speech stutters";
    match room.path() {
        Some(path) if path.candidate_type == CandidateType::Udp => {
            notes.ok(StepName::Media, began, format!("data gets through by UDP to {}", path.server));
        }
        Some(path) if path.candidate_type == CandidateType::Tcp => {
            let found = format!("data gets through by TCP to {} alone, and not by UDP", path.server);
            notes.warn(StepName::Media, began, found, advice);
        }
        _ => notes.warn(StepName::Media, began, "data gets through by a TURN server alone", advice),
    }
}

/// Whether data would pass this path too. A failure here is no problem for this machine.
async fn detour(notes: &mut Notes<'_>, name: StepName, options: RoomOptions, advice: &str) {
    let began = Instant::now();
    match Room::try_connect(options).await {
        Ok((room, _)) => {
            let to = room.path().map_or_else(String::new, |path| format!(" to {}", path.server));
            room.disconnect().await;
            notes.ok(name, began, format!("data gets through{to}"));
        }
        Err(failure) if failure.code == Code::Unsupported => notes.skip(name, failure.found),
        Err(failure) => notes.warn(name, began, failure.found, format!("{}; {advice}", failure.advice)),
    }
}

fn skip(notes: &mut Notes<'_>, names: &[StepName], why: &str) {
    for name in names {
        notes.skip(*name, why);
    }
}

/// The server does not let us in.
fn refuse(checkup: &Checkup, notes: &mut Notes<'_>, began: Instant, mut failure: Failure) {
    let is_about_secret = failure.step == Step::Token && failure.code == Code::PermissionDenied;
    if let Some(note) = checkup.secret_note.as_ref().filter(|_| is_about_secret) {
        failure.advice = format!("{}; {note}", failure.advice);
    }
    notes.failure(StepName::Token, began, failure);
    skip(notes, &STEPS[1..], NO_ROOM);
}

fn grant(notes: &mut Notes<'_>, said: &Said, room: &Room) {
    let began = Instant::now();
    let local = room.local();
    if local.can_manage_agent_session() {
        notes.ok(StepName::Grant, began, "canManageAgentSession, which driving an agent needs");
    } else if said.grants.can_manage_agent_session {
        let found = "the token grants canManageAgentSession, which this server does not know";
        notes.fail(StepName::Grant, Code::Unsupported, began, found, "update the server to 1.12 or newer");
    } else {
        let found = "the token does not grant canManageAgentSession, which driving an agent needs";
        let advice = "make one that does, such as with `greenroom token --grant canManageAgentSession`";
        notes.fail(StepName::Grant, Code::PermissionDenied, began, found, advice);
    }
}
