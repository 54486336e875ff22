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

pub(crate) fn transcribed(text: &str) -> Event {
    Event::UserInputTranscribed(event::UserInputTranscribed {
        transcript: text.to_owned(),
        is_final: true,
        language: None,
    })
}

/// Sound of so many samples.
pub(crate) fn speech(samples: usize) -> proto::agent_session_message::Message {
    let data = 8_000_i16.to_le_bytes().repeat(samples).into();
    let frame = proto::agent_session_message::console_io::AudioFrame {
        data,
        sample_rate: 48_000,
        num_channels: 1,
        samples_per_channel: samples as u32,
    };
    proto::agent_session_message::Message::AudioOutput(frame)
}
