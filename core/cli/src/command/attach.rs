//! `attach`

use std::process::ExitCode;

use greenroom_control::credentials::{self, CredentialsRequest, Said, Secret};
use greenroom_control::record::RoomTarget;
use greenroom_control::{Launch, Registry, SessionName};
use greenroom_protocol::{Code, Error};

use super::reach;
use super::start::{self, absolute};
use super::token::signed_by;
use crate::args::Attach;
use crate::output::Output;

pub(super) fn attach(name: &SessionName, attach: Attach, out: &mut Output) -> Result<ExitCode, Error> {
    let folder = std::env::current_dir()
        .map_err(|error| Error::new(Code::Io, format!("can't read the current folder: {error}")))?;
    let Attach { room, agent, token, identity, signing, reach, timeout, idle_timeout, full } = attach;
    // Report bad arguments before anything is started.
    let (_, through) = reach::through(&reach)?;
    let mut signed = signed_by(signing);
    // A proxy looks names up itself, those too that only it knows.
    signed.proxy = Some(through.clone());
    let (token, target) = match token.filter(|token| !token.is_empty()) {
        Some(token) => given(token, room, CredentialsRequest { folder: Some(folder.clone()), ..signed })?,
        None => {
            let room = room.ok_or_else(|| {
                let message = "name the room, such as --room demo, or pass a token that contains one";
                Error::new(Code::InvalidArgument, message)
            })?;
            let target = RoomTarget {
                room,
                identity: Some(identity),
                folder: folder.clone(),
                ..RoomTarget::default()
            };
            made(target, signed, out)?
        }
    };
    let launch = Launch {
        start_timeout_ms: timeout.as_millis() as u64,
        idle_timeout_ms: (!idle_timeout.is_zero()).then_some(idle_timeout.as_millis() as u64),
        ..Launch::join(RoomTarget {
            agent,
            folder,
            ca: absolute("--ca", reach.ca)?,
            proxy: through.address(),
            ..target
        })
    };
    start::run(&Registry::open()?, name, &launch, Some(&token), full, out)
}

/// The token of a session that is to join its room again: one of our own making, or the one of the
/// environment.
pub(super) fn token_again(room: &RoomTarget, out: &Output) -> Result<Secret, Error> {
    if room.identity.is_none() {
        let token = std::env::var("LIVEKIT_TOKEN").ok().filter(|token| !token.is_empty());
        return token.map(Secret::new).ok_or_else(|| {
            let message = format!(
                "the token for the room {} was given and is kept nowhere; set LIVEKIT_TOKEN, or use `greenroom attach --token …`",
                room.room
            );
            Error::new(Code::InvalidArgument, message)
        });
    }
    let request = CredentialsRequest {
        url: Some(room.url.as_str().into()),
        // It was taken before.
        allow_internal_url: true,
        requested_by: Some("greenroom restart".to_owned()),
        ..CredentialsRequest::default()
    };
    Ok(Secret::new(make(room, request, out)?.token))
}

/// The room of a token that was given.
fn given(
    token: Secret,
    room: Option<String>,
    request: CredentialsRequest,
) -> Result<(Secret, RoomTarget), Error> {
    let said = Said::read(&token)?;
    if let Some(room) = room.filter(|room| *room != said.room) {
        let message = format!("the token is for the room {:?}, not for {room:?}", said.room);
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let url = credentials::server_url(&request)?;
    Ok((token, RoomTarget { url, room: said.room, ..RoomTarget::default() }))
}

/// A token for the room, and where it is.
fn made(
    target: RoomTarget,
    request: CredentialsRequest,
    out: &Output,
) -> Result<(Secret, RoomTarget), Error> {
    let made = make(&target, request, out)?;
    Ok((Secret::new(made.token), RoomTarget { url: made.url, ..target }))
}

fn make(
    room: &RoomTarget,
    mut request: CredentialsRequest,
    out: &Output,
) -> Result<credentials::Credentials, Error> {
    request.room.clone_from(&room.room);
    request.identity.clone_from(&room.identity);
    request.folder = Some(room.folder.clone());
    request.grants.can_manage_agent_session = true;
    let made = credentials::credentials(&request)?;
    for note in made.notes.iter().chain(&made.doubts) {
        out.note(&format!("note: {note}"));
    }
    Ok(made)
}
