//! What a token allows.

use greenroom_protocol::{Code, Error};
use livekit_token::VideoGrants;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a token allows, by LiveKit's names. What is left out is as here: to join the room, publish,
/// subscribe and send data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// To join the room.
    pub room_join: bool,
    /// To make rooms and delete them.
    pub room_create: bool,
    /// To list rooms.
    pub room_list: bool,
    /// To record rooms.
    pub room_record: bool,
    /// To moderate the room.
    pub room_admin: bool,
    /// To manage ingresses.
    pub ingress_admin: bool,
    /// To publish tracks.
    pub can_publish: bool,
    /// Of which sources the tracks may be: `camera`, `microphone`, `screen_share`,
    /// `screen_share_audio`. None named is all.
    pub can_publish_sources: Vec<String>,
    /// To receive others' tracks.
    pub can_subscribe: bool,
    /// To send data.
    pub can_publish_data: bool,
    /// To change its own name, metadata and attributes.
    pub can_update_own_metadata: bool,
    /// To observe and drive the session of an agent.
    pub can_manage_agent_session: bool,
    /// Other participants are not notified of it.
    pub hidden: bool,
    /// To be shown as a recorder.
    pub recorder: bool,
    /// To be an agent.
    pub agent: bool,
}

/// The sources that LiveKit knows.
const SOURCES: [&str; 4] = ["camera", "microphone", "screen_share", "screen_share_audio"];

impl Default for Grants {
    fn default() -> Self {
        Self {
            room_join: true,
            room_create: false,
            room_list: false,
            room_record: false,
            room_admin: false,
            ingress_admin: false,
            can_publish: true,
            can_publish_sources: Vec::new(),
            can_subscribe: true,
            can_publish_data: true,
            can_update_own_metadata: false,
            can_manage_agent_session: false,
            hidden: false,
            recorder: false,
            agent: false,
        }
    }
}

impl Grants {
    /// Changes one by its name, in LiveKit's spelling or in ours: `canManageAgentSession`,
    /// `can_publish=false`, `can_publish_sources=microphone,camera`.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`], which lists the names there are.
    pub fn set(&mut self, text: &str) -> Result<(), Error> {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let mut fields = serde_json::to_value(&*self).unwrap_or_default();
        let invalid = |message: String| Error::new(Code::InvalidArgument, message);
        match (fields.get_mut(snake_case(name.trim()).as_str()), value.trim()) {
            (Some(field @ Value::Bool(_)), "true") => *field = true.into(),
            (Some(field @ Value::Bool(_)), "false") => *field = false.into(),
            (Some(field @ Value::Array(_)), value) if value != "true" => {
                *field = value.split(',').map(str::trim).filter(|source| !source.is_empty()).collect();
            }
            (Some(_), _) => {
                return Err(invalid(format!(
                    "the grant {text:?} cannot be read; write {name}, {name}=false, or sources such as can_publish_sources=microphone"
                )));
            }
            (None, _) => {
                let names: Vec<&str> =
                    fields.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                let names = names.join(", ");
                return Err(invalid(format!("there is no grant {name:?}; there are {names}")));
            }
        }
        *self = serde_json::from_value(fields).map_err(|error| invalid(error.to_string()))?;
        self.check()
    }

    /// Whether all sources are ones that LiveKit knows.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.can_publish_sources.iter().find(|source| !SOURCES.contains(&source.as_str())) {
            None => Ok(()),
            Some(other) => {
                let message = format!("tracks have no source {other:?}; there are {}", SOURCES.join(", "));
                Err(Error::new(Code::InvalidArgument, message))
            }
        }
    }

    /// As LiveKit's crate has them; it lacks `can_manage_agent_session`.
    pub(super) fn to_video(&self, room: &str) -> VideoGrants {
        VideoGrants {
            room_create: self.room_create,
            room_list: self.room_list,
            room_record: self.room_record,
            room_admin: self.room_admin,
            room_join: self.room_join,
            room: room.to_owned(),
            destination_room: String::new(),
            can_publish: Some(self.can_publish),
            can_subscribe: Some(self.can_subscribe),
            can_publish_data: Some(self.can_publish_data),
            can_publish_sources: self.can_publish_sources.clone(),
            can_update_own_metadata: Some(self.can_update_own_metadata),
            ingress_admin: self.ingress_admin,
            hidden: self.hidden,
            recorder: self.recorder,
            agent: self.agent,
        }
    }

    /// From what a token says, its claim `video`. What it leaves out is as the server takes it, and
    /// so is what cannot be read.
    pub(super) fn from_claim(video: &Value) -> Self {
        let is = |name: &str| video[name].as_bool();
        let granted = |name: &str| is(name).unwrap_or(false);
        let not_denied = |name: &str| is(name).unwrap_or(true);
        let sources = video["canPublishSources"].as_array().into_iter().flatten();
        Self {
            room_join: granted("roomJoin"),
            room_create: granted("roomCreate"),
            room_list: granted("roomList"),
            room_record: granted("roomRecord"),
            room_admin: granted("roomAdmin"),
            ingress_admin: granted("ingressAdmin"),
            can_publish: not_denied("canPublish"),
            can_publish_sources: sources.filter_map(|source| source.as_str().map(str::to_owned)).collect(),
            can_subscribe: not_denied("canSubscribe"),
            // What is left out follows canPublish.
            can_publish_data: is("canPublishData").unwrap_or_else(|| not_denied("canPublish")),
            can_update_own_metadata: granted("canUpdateOwnMetadata"),
            can_manage_agent_session: granted("canManageAgentSession"),
            hidden: granted("hidden"),
            recorder: granted("recorder"),
            agent: granted("agent"),
        }
    }
}

/// `canPublish` as `can_publish`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
