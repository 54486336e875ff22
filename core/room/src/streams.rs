//! Byte and text streams: put together and taken apart by LiveKit's own crate, here bounded and given to who listens to their topic.
//!
//! LiveKit's crate tells streams apart by their id alone, whoever sends the packets. Here an id counts only together with the sender's
//! identity, so that nobody can write into the stream of another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, StreamExt};
use greenroom_protocol::limits::Limits;
use greenroom_protocol::{Code, Error};
use livekit_data_stream::api::{AnyStreamReader, StreamCloser, StreamError, StreamReader};
use livekit_data_stream::backend::Packet;
use livekit_data_stream::backend::incoming::{
    InputEvent, Manager, ManagerInput, OutputEvent, PacketReceived, StreamOpened,
};
use livekit_protocol::data_packet::Value;
use livekit_protocol::encryption::Type as Encryption;
use tokio::sync::mpsc;

use super::transport::{Closer, Feed, Listener, Topics, carry};

/// Streams of one topic that may wait to be taken.
const WAITING: usize = 64;

/// What a stream says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The identity of who sends it.
    pub from: String,
    /// Its id, unique among its sender's.
    pub id: String,
    /// What it is about.
    pub topic: String,
    /// The name of a byte stream, such as of a file.
    pub name: String,
    /// What its bytes are.
    pub mime_type: String,
    /// What its sender adds.
    pub attributes: BTreeMap<String, String>,
    /// Its size in bytes, if its sender knows it.
    pub total_length: Option<u64>,
    /// Whether it is text, in UTF-8.
    pub is_text: bool,
}

/// The way in of streams. Its tasks end with it.
pub(super) struct IncomingStreamRouter {
    input: ManagerInput,
}

impl IncomingStreamRouter {
    /// The way in to these topics, on the current runtime.
    pub(super) fn start(topics: Arc<Topics>, limits: &Limits) -> Self {
        let (manager, input, output) = Manager::new(None);
        tokio::spawn(manager.run());
        tokio::spawn(hand_out(output, topics, limits.sender_streams, limits.streams));
        Self { input }
    }

    /// Takes a packet if it is one of a stream, or gives it back.
    pub(super) fn take(&self, from: &str, value: Value) -> Option<Value> {
        let encryption_type = Encryption::None.into();
        let packet = match value {
            Value::StreamHeader(mut header) => {
                header.stream_id = qualified(from, &header.stream_id);
                Packet::Header { header: header.into(), encryption_type }
            }
            Value::StreamChunk(mut chunk) => {
                chunk.stream_id = qualified(from, &chunk.stream_id);
                Packet::Chunk { chunk: chunk.into(), encryption_type }
            }
            Value::StreamTrailer(mut trailer) => {
                trailer.stream_id = qualified(from, &trailer.stream_id);
                Packet::Trailer { trailer: trailer.into(), encryption_type }
            }
            other => return Some(other),
        };
        // It fails only once the room is left.
        let _ = self.input.send(PacketReceived::new(packet, from.into()).into());
        None
    }

    /// Breaks off what a participant was sending that has left.
    pub(super) fn abort(&self, identity: &str) {
        let _ = self.input.send(InputEvent::AbortStreamsFrom(identity.into()));
    }

    /// Breaks off everything.
    pub(super) fn abort_all(&self) {
        let _ = self.input.send(InputEvent::AbortAllStreams);
    }
}

/// An id that nobody else's streams have: the length tells where the identity ends.
fn qualified(from: &str, id: &str) -> String {
    format!("{}:{from}{id}", from.len())
}

fn unqualified(from: &str, id: &str) -> String {
    id.strip_prefix(&qualified(from, "")).unwrap_or(id).to_owned()
}

/// Gives streams to who listens to them, within the bounds.
async fn hand_out(
    mut output: mpsc::UnboundedReceiver<OutputEvent>,
    topics: Arc<Topics>,
    most_of_sender: usize,
    most: usize,
) {
    let mut open: HashMap<String, usize> = HashMap::new();
    while let Some(event) = output.recv().await {
        match event {
            OutputEvent::StreamOpened(StreamOpened { stream_reader, participant_identity: from }) => {
                let from = from.as_str().to_owned();
                let all = open.values().sum::<usize>();
                let of_sender = open.entry(from.clone()).or_default();
                *of_sender += 1;
                let (info, closer) = describe(from, &stream_reader);
                let listener = topics.listener(&info.topic);
                let is_bounded = listener.as_ref().is_some_and(|listener| listener.bounds_streams());
                let wanted = if !is_bounded && (*of_sender > most_of_sender || all >= most) {
                    tracing::warn!(
                        from = info.from,
                        topic = info.topic,
                        "a stream is dropped: too many are open"
                    );
                    None
                } else {
                    let of_stream = closer.clone();
                    listener.and_then(|listener| listener.begin(info, Closer::new(move || of_stream.close())))
                };
                match wanted {
                    Some(feed) => drop(tokio::spawn(carry(chunks(stream_reader), feed))),
                    None => closer.close(),
                }
            }
            OutputEvent::StreamClosed(closed) => {
                let identity = closed.participant_identity.as_str();
                if let Some(count) = open.get_mut(identity) {
                    *count -= 1;
                    if *count == 0 {
                        open.remove(identity);
                    }
                }
            }
            _ => {}
        }
    }
}

fn describe(from: String, reader: &AnyStreamReader) -> (StreamInfo, StreamCloser) {
    match reader {
        AnyStreamReader::Byte(reader) => {
            let info = reader.info();
            let described = StreamInfo {
                id: unqualified(&from, &info.id),
                topic: info.topic.clone(),
                name: info.name.clone(),
                mime_type: info.mime_type.clone(),
                attributes: info.attributes().into_iter().collect(),
                total_length: info.total_length,
                is_text: false,
                from,
            };
            (described, reader.closer())
        }
        AnyStreamReader::Text(reader) => {
            let info = reader.info();
            let described = StreamInfo {
                id: unqualified(&from, &info.id),
                topic: info.topic.clone(),
                name: String::new(),
                mime_type: info.mime_type.clone(),
                attributes: info.attributes().into_iter().collect(),
                total_length: info.total_length,
                is_text: true,
                from,
            };
            (described, reader.closer())
        }
    }
}

/// What a stream brings.
fn chunks(reader: AnyStreamReader) -> BoxStream<'static, Result<Bytes, StreamError>> {
    match reader {
        AnyStreamReader::Byte(reader) => reader.boxed(),
        AnyStreamReader::Text(reader) => reader.map(|chunk| chunk.map(Bytes::from)).boxed(),
    }
}

/// The streams of one topic, in the order in which they began. When it is dropped, nobody listens to the topic any more.
pub struct IncomingStreams {
    topic: String,
    topics: Arc<Topics>,
    receiver: mpsc::Receiver<IncomingStream>,
}

/// A stream that comes in.
pub struct IncomingStream {
    /// What it says about itself.
    pub info: StreamInfo,
    chunks: mpsc::UnboundedReceiver<Result<Bytes, Error>>,
    unread: Unread,
    closer: Closer,
}

impl IncomingStreams {
    /// Listens to a topic. What is not read yet, of all its streams together, is bounded by `limits`.
    pub(super) fn listen(topics: &Arc<Topics>, topic: &str, limits: &Limits) -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let inbox = Inbox {
            sender,
            all: Arc::default(),
            most_of_stream: limits.agent_message,
            most: limits.stream_bytes,
        };
        topics.listen(topic, Arc::new(inbox))?;
        Ok(Self { topic: topic.to_owned(), topics: Arc::clone(topics), receiver })
    }

    /// The next stream; `None` once the room is left.
    pub async fn next(&mut self) -> Option<IncomingStream> {
        self.receiver.recv().await
    }
}

impl Drop for IncomingStreams {
    fn drop(&mut self) {
        self.topics.unlisten(&self.topic);
    }
}

impl IncomingStream {
    /// More of it; `None` at its end.
    ///
    /// # Errors
    /// When it was broken off: [`Code::TooLarge`] if it was not read fast enough, else [`Code::ProtocolError`].
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let chunk = self.chunks.recv().await?;
        if let Ok(chunk) = &chunk {
            self.unread.sub(chunk.len());
        }
        Some(chunk)
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn read_all(mut self) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }
}

impl Drop for IncomingStream {
    fn drop(&mut self) {
        self.closer.close();
        self.chunks.close();
        while let Ok(chunk) = self.chunks.try_recv() {
            self.unread.sub(chunk.map_or(0, |chunk| chunk.len()));
        }
    }
}

/// What is not read yet, of one stream and of all.
#[derive(Clone)]
struct Unread {
    own: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Unread {
    fn add(&self, bytes: usize) -> (usize, usize) {
        let own = self.own.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (own, self.all.fetch_add(bytes, Ordering::Relaxed) + bytes)
    }

    fn sub(&self, bytes: usize) {
        self.own.fetch_sub(bytes, Ordering::Relaxed);
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Where the streams of a topic wait until they are read.
struct Inbox {
    sender: mpsc::Sender<IncomingStream>,
    all: Arc<AtomicUsize>,
    most_of_stream: usize,
    most: usize,
}

struct Queue {
    sender: mpsc::UnboundedSender<Result<Bytes, Error>>,
    unread: Unread,
    most_of_stream: usize,
    most: usize,
}

impl Listener for Inbox {
    fn begin(&self, info: StreamInfo, closer: Closer) -> Option<Box<dyn Feed>> {
        let (sender, chunks) = mpsc::unbounded_channel();
        let unread = Unread { own: Arc::default(), all: Arc::clone(&self.all) };
        let (from, topic) = (info.from.clone(), info.topic.clone());
        let stream = IncomingStream { info, chunks, unread: unread.clone(), closer };
        if self.sender.try_send(stream).is_err() {
            tracing::warn!(from, topic, "a stream is dropped: too many wait to be read");
            return None;
        }
        let (most_of_stream, most) = (self.most_of_stream, self.most);
        Some(Box::new(Queue { sender, unread, most_of_stream, most }))
    }
}

impl Feed for Queue {
    fn chunk(&mut self, data: Bytes) -> bool {
        let (own, all) = self.unread.add(data.len());
        if own > self.most_of_stream || all > self.most {
            self.unread.sub(data.len());
            let message = format!(
                "the stream was broken off: {own} bytes of it were not read yet, {all} of its topic; read it as it comes"
            );
            let _ = self.sender.send(Err(Error::new(Code::TooLarge, message)));
            return false;
        }
        let size = data.len();
        let is_wanted = self.sender.send(Ok(data)).is_ok();
        if !is_wanted {
            self.unread.sub(size);
        }
        is_wanted
    }

    fn end(self: Box<Self>, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            let _ = self.sender.send(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use livekit_protocol::data_stream as proto;

    use super::*;

    fn header(id: &str) -> Value {
        Value::StreamHeader(proto::Header {
            stream_id: id.to_owned(),
            topic: "t".to_owned(),
            content_header: Some(proto::header::ContentHeader::ByteHeader(proto::ByteHeader::default())),
            ..Default::default()
        })
    }

    fn chunk(id: &str, index: u64, content: &[u8]) -> Value {
        let content = content.to_vec();
        let stream_id = id.to_owned();
        Value::StreamChunk(proto::Chunk { stream_id, chunk_index: index, content, ..Default::default() })
    }

    fn trailer(id: &str) -> Value {
        Value::StreamTrailer(proto::Trailer { stream_id: id.to_owned(), ..Default::default() })
    }

    fn stage(limits: &Limits) -> (IncomingStreamRouter, IncomingStreams) {
        let topics = Arc::default();
        (
            IncomingStreamRouter::start(Arc::clone(&topics), limits),
            IncomingStreams::listen(&topics, "t", limits).unwrap(),
        )
    }

    #[tokio::test]
    async fn nobody_writes_into_the_stream_of_another() {
        let (stream_router, mut streams) = stage(&Limits::default());
        for (from, value) in [
            ("ada", header("1")),
            ("eve", chunk("1", 0, b"forged")),
            ("eve", trailer("1")),
            ("eve", header("1")),
            ("eve", chunk("1", 0, b"of eve")),
            ("ada", chunk("1", 0, b"of ada")),
            ("ada", trailer("1")),
            ("eve", trailer("1")),
        ] {
            assert!(stream_router.take(from, value).is_none());
        }
        for (from, content) in [("ada", "of ada"), ("eve", "of eve")] {
            let stream = streams.next().await.unwrap();
            assert_eq!((stream.info.from.as_str(), stream.info.id.as_str()), (from, "1"));
            assert_eq!(stream.read_all().await.unwrap(), content);
        }
    }

    #[tokio::test]
    async fn one_sender_has_so_many_streams_and_no_more() {
        let mut limits = Limits::default();
        limits.sender_streams = 2;
        let (stream_router, mut streams) = stage(&limits);
        for id in ["1", "2", "3"] {
            stream_router.take("eve", header(id));
        }
        stream_router.take("ada", header("1"));
        stream_router.take("eve", trailer("1"));
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(streams.next().await.unwrap());
        }
        let names: Vec<_> = taken.iter().map(|stream| (&*stream.info.from, &*stream.info.id)).collect();
        assert_eq!(names, [("eve", "1"), ("eve", "2"), ("ada", "1")]);
        // One has ended, so there is room again.
        assert!(taken.remove(0).read_all().await.unwrap().is_empty());
        stream_router.take("eve", header("4"));
        assert_eq!(streams.next().await.unwrap().info.id, "4");
    }

    #[tokio::test]
    async fn listener_that_bounds_streams_itself_gets_all_of_them() {
        struct Counts(mpsc::UnboundedSender<StreamInfo>);
        impl Listener for Counts {
            fn begin(&self, info: StreamInfo, _: Closer) -> Option<Box<dyn Feed>> {
                self.0.send(info).unwrap();
                None
            }

            fn bounds_streams(&self) -> bool {
                true
            }
        }
        let mut limits = Limits::default();
        (limits.sender_streams, limits.streams) = (2, 3);
        let topics = Arc::new(Topics::default());
        let (sender, mut begun) = mpsc::unbounded_channel();
        topics.listen("t", Arc::new(Counts(sender))).unwrap();
        let stream_router = IncomingStreamRouter::start(topics, &limits);
        for at in 0..100 {
            stream_router.take("agent", header(&at.to_string()));
        }
        for at in 0..100 {
            assert_eq!(begun.recv().await.unwrap().id, at.to_string());
        }
    }

    #[tokio::test]
    async fn a_sender_that_leaves_breaks_off_what_it_sent() {
        let (stream_router, mut streams) = stage(&Limits::default());
        stream_router.take("ada", header("1"));
        stream_router.take("ada", chunk("1", 0, b"half"));
        stream_router.abort("ada");
        let error = streams.next().await.unwrap().read_all().await.unwrap_err();
        assert_eq!(error.code, Code::ProtocolError);
    }
}
