//! `token`

use std::collections::BTreeMap;
use std::process::ExitCode;

use greenroom_control::credentials::{self, CredentialsRequest, Dispatch, Grants};
use greenroom_protocol::{Code, Error};

use crate::args::{Signing, Token};
use crate::output::Output;

pub(super) fn token(token: Token, out: &mut Output) -> Result<ExitCode, Error> {
    let mut grants = Grants::default();
    for grant in &token.grants {
        grants.set(grant)?;
    }
    let attributes = attributes("--attribute", &token.attributes)?;
    let dispatch = token
        .dispatch
        .into_iter()
        .map(|agent_name| Dispatch { agent_name, metadata: token.dispatch_metadata.clone() });
    let request = CredentialsRequest {
        room: token.room,
        // A given identity is used as it is.
        unique_identity: token.identity.is_none(),
        identity: token.identity,
        name: token.display_name,
        kind: token.kind,
        metadata: token.metadata,
        attributes,
        grants,
        dispatch: dispatch.collect(),
        ttl_ms: token.ttl.as_millis() as u64,
        ..signed_by(token.signing)
    };
    let made = credentials::credentials(&request)?;
    for note in made.notes.iter().chain(&made.doubts) {
        out.note(&format!("note: {note}"));
    }
    if out.is_json() {
        out.document(&made)?;
        return Ok(ExitCode::SUCCESS);
    }
    out.print(&format!("{}\n", made.token))?;
    out.note(&format!(
        "{} may join the room {} of {} until {}.",
        made.identity, made.room_id, made.url, made.expires_at
    ));
    Ok(ExitCode::SUCCESS)
}

/// The attributes that were given with an option as KEY=VALUE. Errors quote none: a value may be a
/// secret.
pub(super) fn attributes(option: &str, given: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let split = |(number, attribute): (usize, &String)| {
        let (key, value) = attribute.split_once('=').ok_or_else(|| {
            let message = format!("{option} number {number} is no KEY=VALUE: it has no =");
            Error::new(Code::InvalidArgument, message)
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    (1..).zip(given).map(split).collect()
}

/// The server and signing key from the flags.
pub(super) fn signed_by(signing: Signing) -> CredentialsRequest {
    CredentialsRequest {
        url: signing.url,
        allow_internal_url: signing.allow_internal_url,
        api_key: signing.api_key,
        api_secret: signing.api_secret,
        requested_by: Some(signing.requested_by.unwrap_or_else(|| "greenroom".to_owned())),
        ..CredentialsRequest::default()
    }
}
