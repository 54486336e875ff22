//! A room on the server: whether it takes the token, what that grants, and by which ways the media go.

use std::time::Instant;

use greenroom_engine::RoomOptions;
use greenroom_engine::room::Room;
use greenroom_protocol::{Code, Error};

use super::{Checkup, Notes, StepName};
use crate::credentials::Said;

/// What is looked at here.
pub(super) const STEPS: [StepName; 4] = [StepName::Token, StepName::Grant, StepName::Media, StepName::Turn];

pub(super) async fn examine(checkup: &Checkup, notes: &mut Notes<'_>) {
    let token = match &checkup.token {
        Ok(token) => token,
        Err(why) => return skip(notes, &STEPS, &format!("there is no token to join a room with: {why}")),
    };
    let began = Instant::now();
    let said = match Said::read(token) {
        Ok(said) => said,
        Err(error) => return refuse(notes, began, &error),
    };
    let mut options = RoomOptions::new(checkup.address.as_str(), token.reveal());
    options.connect_timeout = checkup.timeout;
    match Room::connect(options).await {
        Ok((room, _)) => {
            let (identity, name) = (room.local().identity, room.info().name);
            notes.ok(StepName::Token, began, format!("it lets {identity} into the room {name}"));
            grant(notes, &said, &room);
            notes.ok(StepName::Media, began, "data gets through, by UDP or where that is closed by TCP");
            room.disconnect().await;
        }
        Err(error) if matches!(error.code, Code::PermissionDenied | Code::InvalidArgument) => {
            return refuse(notes, began, &error);
        }
        Err(error) => {
            notes.skip(StepName::Token, "the server did not get as far as to say");
            notes.skip(StepName::Grant, "there is no room to look at");
            let advice = "let UDP and TCP through to the ports of the server's `rtc` settings";
            notes.fail(StepName::Media, error.code, began, error.message, advice);
        }
    }
    skip(notes, &[StepName::Turn], "this version of Greenroom uses no TURN server");
}

fn skip(notes: &mut Notes<'_>, names: &[StepName], why: &str) {
    for name in names {
        notes.skip(*name, why);
    }
}

fn refuse(notes: &mut Notes<'_>, began: Instant, error: &Error) {
    let advice = "make one with the server's own key, such as with `greenroom token`, and check the clocks";
    notes.fail(StepName::Token, error.code, began, error.message.clone(), advice);
    skip(notes, &STEPS[1..], "there is no room to look at");
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
