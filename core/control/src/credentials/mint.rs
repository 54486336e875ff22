//! Makes tokens, and reads what they say.

use std::time::{Duration, SystemTime};

use greenroom_protocol::time::Timestamp;
use greenroom_protocol::{Code, Error};
use greenroom_room::{token_claims, token_time};
use jsonwebtoken::{EncodingKey, Header};
use livekit_protocol::{RoomAgentDispatch, RoomConfiguration};
use livekit_token::AccessToken;
use serde_json::Value;

use super::grants::Grants;
use super::keys::Keys;
use super::{CredentialsRequest, Secret};

/// The grant that LiveKit's crate does not know.
const MANAGE: &str = "canManageAgentSession";

/// The content of a token. Its signature is not checked: the server does that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// The identity under which its holder joins.
    pub identity: String,
    /// The room; empty if it names none.
    pub room: String,
    /// When it ends; `None` if it does not say.
    pub expires_at: Option<Timestamp>,
    /// From when on it is valid; `None` if it does not say.
    pub valid_from: Option<Timestamp>,
    /// What it allows.
    pub grants: Grants,
}

impl Said {
    /// Reads a token, as leniently as the server does: makers write times as floats and as text, and null where nothing is. What cannot be
    /// read is left unsaid.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`], which shows nothing of it.
    pub fn read(token: &Secret) -> Result<Self, Error> {
        let no_token = || {
            let message = "this is not an access token of LiveKit (three parts of letters with dots between them); was it copied whole?";
            Error::new(Code::InvalidArgument, message)
        };
        let claims = token_claims(token.reveal()).ok_or_else(no_token)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            room: text(&claims["video"]["room"]),
            expires_at: time(&claims["exp"]),
            valid_from: time(&claims["nbf"]),
            grants: Grants::from_claim(&claims["video"]),
            identity: text(&claims["sub"]),
        })
    }

    /// Fails if the token cannot be used to join a room now, by this machine's clock.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`], which says why.
    pub fn check(&self, now: SystemTime) -> Result<(), Error> {
        let denied = |why: String| Err(Error::new(Code::PermissionDenied, why));
        let is_before = |at: Timestamp, margin: Duration| SystemTime::from(at) + margin < now;
        if let Some(at) = self.expires_at.filter(|at| is_before(*at, Duration::ZERO)) {
            return denied(format!(
                "the token expired at {at}; make a new one, for instance with `greenroom token`"
            ));
        }
        // A minute is what the server allows clocks to differ by.
        if let Some(at) = self.valid_from.filter(|at| SystemTime::from(*at) > now + Duration::from_secs(60)) {
            return denied(format!("the token is valid from {at} on only; is this machine's clock right?"));
        }
        if !self.grants.room_join || self.room.is_empty() {
            return denied("the token grants no room to join: it needs roomJoin and a room".to_owned());
        }
        Ok(())
    }
}

/// A token for what was asked for, signed by LiveKit's own crate.
pub(super) fn mint(request: &CredentialsRequest, identity: &str, keys: &Keys) -> Result<Secret, Error> {
    let secret = keys.secret.reveal();
    let mut token = AccessToken::with_api_key(keys.key.reveal(), secret)
        .with_ttl(request.ttl())
        .with_identity(identity)
        .with_grants(request.grants.to_video(&request.room))
        .with_attributes(&request.attributes);
    if let Some(name) = &request.name {
        token = token.with_name(name);
    }
    if let Some(kind) = &request.kind {
        token = token.with_kind(kind);
    }
    if let Some(metadata) = &request.metadata {
        token = token.with_metadata(metadata);
    }
    if !request.dispatch.is_empty() {
        let agents = request.dispatch.iter().map(|dispatch| RoomAgentDispatch {
            agent_name: dispatch.agent_name.clone(),
            metadata: dispatch.metadata.clone().unwrap_or_default(),
            ..Default::default()
        });
        token = token.with_room_config(RoomConfiguration { agents: agents.collect(), ..Default::default() });
    }
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Code::InvalidArgument, format!("no token can be made of this: {error}"))
    };
    let token = token.to_jwt().map_err(|error| failed(&error))?;
    if !request.grants.can_manage_agent_session {
        return Ok(Secret::new(token));
    }
    // The same claims and one more field. The crate has configured jsonwebtoken for signing, above.
    let mut claims = token_claims(&token).ok_or_else(|| failed(&"its claims cannot be read back"))?;
    claims["video"][MANAGE] = true.into();
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|error| failed(&error))?;
    Ok(Secret::new(token))
}

/// The time that a claim has.
fn time(claim: &Value) -> Option<Timestamp> {
    let since = Duration::try_from_secs_f64(token_time(claim)?.max(0.0)).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since).and_then(Timestamp::of)
}
