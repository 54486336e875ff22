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
    let mut attributes = BTreeMap::new();
    for (at, attribute) in token.attributes.iter().enumerate() {
        let (key, value) = attribute.split_once('=').ok_or_else(|| {
            let message = format!("--attribute number {} is no KEY=VALUE: it has no =", at + 1);
            Error::new(Code::InvalidArgument, message)
        })?;
        attributes.insert(key.to_owned(), value.to_owned());
    }
    let dispatch = token
        .dispatch
        .into_iter()
        .map(|agent_name| Dispatch { agent_name, metadata: token.dispatch_metadata.clone() });
    let request = CredentialsRequest {
        room: token.room,
        // Who names one means that one.
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

/// What the flags say of the server and of who signs.
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
