//! What a session needs of a room, whoever carries it: the [`Room`] of this module, or another client of LiveKit's in its place. No type of
//! the client that carries it is in here.

use std::collections::HashMap;
use std::fmt::Display;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use greenroom_protocol::{Code, Error};

use super::{Disconnected, Participant, Room, RoomEvent, RoomInfo, SendOptions, StreamInfo};
use crate::lock;

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

    /// One of the others.
    fn participant(&self, identity: &str) -> Option<Participant> {
        self.participants().into_iter().find(|other| other.identity == identity)
    }

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

    /// Whether it bounds by itself how many streams are open at once. The room then refuses none of
    /// them, so that the listener knows of every stream that it loses.
    fn bounds_streams(&self) -> bool {
        false
    }
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

/// Who listens to which topic, as a [`Transport`] keeps it.
#[derive(Default)]
pub struct Topics(Mutex<HashMap<String, Arc<dyn Listener>>>);

impl Topics {
    /// From now on `listener` gets the streams of this topic.
    ///
    /// # Errors
    /// When somebody does already.
    pub fn listen(&self, topic: &str, listener: Arc<dyn Listener>) -> Result<(), Error> {
        let mut topics = lock(&self.0);
        if topics.contains_key(topic) {
            return Err(Error::new(
                Code::InvalidArgument,
                format!("streams of the topic {topic:?} are received already; receive them once"),
            ));
        }
        topics.insert(topic.to_owned(), listener);
        Ok(())
    }

    /// Nobody gets the streams of this topic any more.
    pub fn unlisten(&self, topic: &str) {
        lock(&self.0).remove(topic);
    }

    /// Who gets the streams of this topic.
    pub fn listener(&self, topic: &str) -> Option<Arc<dyn Listener>> {
        lock(&self.0).get(topic).cloned()
    }
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(lock(&self.0).keys()).finish()
    }
}

/// Carries what a stream brings to who wants it. It never waits for the latter.
pub async fn carry<E: Display>(chunks: impl Stream<Item = Result<Bytes, E>> + Send, mut feed: Box<dyn Feed>) {
    let mut chunks = pin!(chunks);
    let outcome = loop {
        match chunks.next().await {
            Some(Ok(chunk)) => {
                if !feed.chunk(chunk) {
                    return;
                }
            }
            Some(Err(error)) => {
                let message = format!("the stream was broken off: {error}");
                break Err(Error::new(Code::ProtocolError, message));
            }
            None => break Ok(()),
        }
    };
    feed.end(outcome);
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

    fn participant(&self, identity: &str) -> Option<Participant> {
        self.participant(identity)
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
