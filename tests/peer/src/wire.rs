//! Short forms of the messages that the peer sends.

use greenroom_protocol::wire as proto;
use proto::agent_session_event as event;
use proto::agent_session_event::Event;
use proto::chat_context::{ChatItem, chat_item};
use proto::chat_message::{ChatContent, chat_content};

pub(crate) fn message(id: &str, role: proto::ChatRole, text: &str) -> ChatItem {
    let content = ChatContent { payload: Some(chat_content::Payload::Text(text.to_owned())) };
    let message = proto::ChatMessage {
        id: id.to_owned(),
        role: role.into(),
        content: vec![content],
        ..Default::default()
    };
    ChatItem { item: Some(chat_item::Item::Message(message)) }
}

pub(crate) fn item_added(item: ChatItem) -> Event {
    Event::ConversationItemAdded(event::ConversationItemAdded { item: Some(item) })
}

pub(crate) fn agent_state(from: proto::AgentState, to: proto::AgentState) -> Event {
    Event::AgentStateChanged(event::AgentStateChanged { old_state: from.into(), new_state: to.into() })
}
