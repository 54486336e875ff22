//! What a session needs of a room, whoever carries it: the [`Room`] of this module, or another client of LiveKit's in its place. No type of
//! the client that carries it is in here.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use greenroom_protocol::Error;

use super::{Disconnected, Participant, Room, RoomEvent, RoomInfo, SendOptions, StreamInfo};

/// A room that was joined: who is there, what happens, data and byte streams both ways. It knows no tracks.
///
/// What is asynchronous may be awaited on any runtime.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The room.
    fn info(&self) -> RoomInfo;

    /// The local participant.
    fn local(&self) -> Participant;

    /// The others, by identity.
    fn participants(&self) -> Vec<Participant>;

    /// What happens from now on; the last is [`RoomEvent::Disconnected`].
    fn events(&self) -> BoxStream<'static, RoomEvent>;

    /// From now on `listener` gets the streams of this topic. Those that begin before are dropped.
    ///
    /// # Errors
    /// When somebody gets them already.
    fn listen(&self, topic: &str, listener: Arc<dyn Listener>) -> Result<(), Error>;

    /// Nobody gets the streams of this topic any more.
    fn unlisten(&self, topic: &str);

    /// Sends a data packet, to these identities or to everybody if there are none.
    ///
    /// # Errors
    /// Why it was not sent.
    async fn publish(&self, topic: &str, payload: Bytes, to: &[&str], reliable: bool) -> Result<(), Error>;

    /// Sends bytes as one stream, whose id it gives. No packet of it reaches another than the recipients.
    ///
    /// # Errors
    /// Why it was not sent.
    async fn send_bytes(&self, data: Bytes, options: SendOptions) -> Result<String, Error>;

    /// Why the room was left, once it was.
    fn disconnected(&self) -> Option<Disconnected>;

    /// Leaves the room; back once that is done.
    async fn disconnect(&self);
}

/// Takes the streams of a topic as they come. Called on the room's thread: cheap work only.
pub trait Listener: Send + Sync {
    /// A stream begins; `None` if it is not wanted. `closer` ends it at any time.
    fn begin(&self, info: StreamInfo, closer: Closer) -> Option<Box<dyn Feed>>;
}

/// Takes what a stream brings.
pub trait Feed: Send {
    /// More of it. Whether to go on.
    fn chunk(&mut self, data: Bytes) -> bool;

    /// It is complete, or was broken off.
    fn end(self: Box<Self>, outcome: Result<(), Error>);
}

/// Ends a stream that comes in: nobody reads it any more.
pub struct Closer(Box<dyn Fn() + Send + Sync>);

impl Closer {
    /// Ends it by this.
    pub fn new(close: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(close))
    }

    /// Ends it; may be called again.
    pub fn close(&self) {
        (self.0)();
    }
}

#[async_trait]
impl Transport for Room {
    fn info(&self) -> RoomInfo {
        self.info()
    }

    fn local(&self) -> Participant {
        self.local()
    }

    fn participants(&self) -> Vec<Participant> {
        self.participants()
    }

    fn events(&self) -> BoxStream<'static, RoomEvent> {
        self.events().into_stream()
    }

    fn listen(&self, topic: &str, listener: Arc<dyn Listener>) -> Result<(), Error> {
        self.shared.topics.listen(topic, listener)
    }

    fn unlisten(&self, topic: &str) {
        self.shared.topics.unlisten(topic);
    }

    async fn publish(&self, topic: &str, payload: Bytes, to: &[&str], reliable: bool) -> Result<(), Error> {
        self.publish(topic, payload, to, reliable).await
    }

    async fn send_bytes(&self, data: Bytes, options: SendOptions) -> Result<String, Error> {
        self.send_bytes(data, options).await
    }

    fn disconnected(&self) -> Option<Disconnected> {
        self.disconnected()
    }

    async fn disconnect(&self) {
        self.disconnect().await;
    }
}
