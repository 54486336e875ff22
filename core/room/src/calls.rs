//! A room for a host language: calls by number, their answers in one queue, and one wake. Nothing here blocks.
//!
//! What comes in is asked for, one at a time: the next event, the next stream of a topic, the next part of a stream. What nobody asks
//! for stays where it is bounded already, in the room.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use greenroom_audio::{Format, Frame};
use greenroom_protocol::{Code, Error};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::{
    AudioStream, AudioTrackOptions, DisconnectReason, Disconnected, IncomingStream, IncomingStreams,
    LocalAudioTrack, Participant, Room, RoomEvent, RoomEvents, RoomOptions, SendOptions, Shared, StreamInfo,
    Track, TrackSource,
};
use crate::lock;

/// Calls of one room that may wait for their answers.
const CALLS: usize = 1024;
/// Readers of one room: of events, topics and streams.
const READERS: usize = 1024;
/// How long calls have to end once the room is left.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Something to be done in a room. Bytes go beside it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RoomCall {
    /// Sends the bytes as a data packet.
    Publish {
        /// What it is about.
        topic: String,
        /// To whom; to everybody if there is nobody.
        to: Vec<String>,
        /// Whether over the channel on which nothing is lost.
        reliable: bool,
    },
    /// Sends the bytes as a byte stream, whose id is the answer.
    SendBytes(Sending),
    /// Sends the bytes, which are UTF-8, as a text stream, whose id is the answer.
    SendText(Sending),
    /// Changes attributes of the local participant.
    SetAttributes {
        /// Which; an empty value removes one.
        attributes: BTreeMap<String, String>,
    },
    /// Changes the metadata of the local participant.
    SetMetadata {
        /// To what.
        metadata: String,
    },
    /// Publishes audio; the answer is the number of the track and its sid.
    PublishAudio {
        /// What it is called.
        name: String,
        /// Where it comes from.
        source: TrackSource,
    },
    /// Gives the bytes, which are 16-bit samples of this machine's byte order, to a track of ours.
    CaptureFrame {
        /// The number of the track.
        track: u64,
        /// In Hz.
        rate: u32,
        /// How many, side by side.
        channels: u16,
    },
    /// Waits until all that a track was given has left.
    WaitForPlayout {
        /// The number of the track.
        track: u64,
    },
    /// Drops what a track was given and has not left.
    ClearQueue {
        /// The number of the track.
        track: u64,
    },
    /// Silences a track of ours, or ends that.
    SetMuted {
        /// The number of the track.
        track: u64,
        /// Whether it is to be silent.
        muted: bool,
    },
    /// Takes a track of ours back.
    Unpublish {
        /// The number of the track.
        track: u64,
    },
    /// Reads a track of somebody else's; the answer is the number of a reader, the track and the identity of who publishes it.
    Subscribe {
        /// The track.
        sid: String,
        /// At which rate, in Hz.
        rate: u32,
    },
    /// Waits for what a reader reads next: an event, a stream of a topic, bytes of a stream, or audio.
    Next {
        /// The number of the reader.
        reader: u64,
    },
}

/// How a stream is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    topic: String,
    to: Vec<String>,
    name: Option<String>,
    mime_type: Option<String>,
    attributes: BTreeMap<String, String>,
    compress: bool,
}

/// The answer to one call.
#[derive(Debug)]
pub struct RoomAnswer {
    /// The number that the host language gave the call.
    pub token: u64,
    /// What came of it, or why nothing did.
    pub outcome: Result<Value, Error>,
    /// The bytes that came with it.
    pub bytes: Option<Bytes>,
}

/// A room whose calls are numbered. When it is dropped, the room is left.
pub struct RoomCalls {
    state: Arc<CallState>,
    requests: mpsc::UnboundedSender<RoomRequest>,
}

/// What the handle and the room's thread share.
struct CallState {
    wake: Box<dyn Fn() + Send + Sync>,
    woken: AtomicBool,
    answers: Mutex<VecDeque<RoomAnswer>>,
    /// Calls without an answer.
    pending: Mutex<HashMap<u64, Pending>>,
    readers: Mutex<HashMap<u64, Reader>>,
    /// Those that we publish.
    tracks: Mutex<HashMap<u64, Arc<LocalAudioTrack>>>,
    /// The number of the next reader or track.
    next_number: AtomicU64,
    room: OnceLock<Room>,
    /// What has happened since the join, until somebody reads it.
    first_events: Mutex<Option<RoomEvents>>,
    shutdown: Mutex<ShutdownState>,
}

#[derive(Default)]
struct Pending {
    /// The reader that waits for what it reads next.
    reader: Option<u64>,
    /// How to give it up once it has begun.
    task: Option<AbortHandle>,
}

#[derive(Default)]
struct ShutdownState {
    is_over: bool,
    done: Vec<Box<dyn FnOnce() + Send>>,
}

/// Who reads what comes in.
#[derive(Clone)]
struct Reader {
    kind: ReaderKind,
    closed: Arc<Notify>,
}

#[derive(Clone)]
enum ReaderKind {
    Events(Arc<AsyncMutex<RoomEvents>>),
    Streams(Arc<AsyncMutex<IncomingStreams>>),
    Stream(Arc<AsyncMutex<IncomingStream>>),
    Audio(Arc<AsyncMutex<AudioStream>>),
}

enum RoomRequest {
    Call { token: u64, call: RoomCall, bytes: Bytes },
    Cancel(u64),
    Leave,
}

impl RoomCalls {
    /// Joins a room, and returns at once: the answer under `token` says that data can be sent, or why not. `wake` is called on any thread,
    /// once, when there is something to [`drain`](Self::drain); it must not block.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn join(options: RoomOptions, token: u64, wake: Box<dyn Fn() + Send + Sync>) -> Result<Self, Error> {
        let state = Arc::new(CallState {
            wake,
            woken: AtomicBool::new(false),
            answers: Mutex::default(),
            pending: Mutex::new(HashMap::from([(token, Pending::default())])),
            readers: Mutex::default(),
            tracks: Mutex::default(),
            next_number: AtomicU64::new(1),
            room: OnceLock::new(),
            first_events: Mutex::default(),
            shutdown: Mutex::default(),
        });
        let (requests, to_room) = mpsc::unbounded_channel();
        let at_room = Arc::clone(&state);
        std::thread::Builder::new()
            .name("greenroom-room".to_owned())
            .spawn(move || {
                // Whatever happens in there, a panic included, nothing that waits for the room hangs.
                let _ended = EndOnDrop(&at_room);
                run(&at_room, options, token, to_room);
            })
            .map_err(|error| {
                Error::new(Code::Io, format!("no thread can be started for the room: {error}"))
            })?;
        Ok(Self { state, requests })
    }

    /// Submits a call; its answer comes under `token`, exactly once.
    pub fn submit(&self, token: u64, call: RoomCall, bytes: Bytes) {
        let mut pending = lock(&self.state.pending);
        if pending.len() >= CALLS {
            drop(pending);
            let message = format!("{CALLS} calls of the room wait for their answer already");
            return self.state.put(token, Err(Error::new(Code::Busy, message)), None);
        }
        let reader = if let RoomCall::Next { reader } = call { Some(reader) } else { None };
        pending.insert(token, Pending { reader, task: None });
        drop(pending);
        if self.requests.send(RoomRequest::Call { token, call, bytes }).is_err() {
            self.state.answer(token, self.state.too_late(reader), None);
        }
    }

    /// Gives a call up, the join too; its answer gets the code `cancelled`, if it has none yet.
    pub fn cancel(&self, token: u64) {
        // It fails when the thread has ended, and then everything has been answered.
        drop(self.requests.send(RoomRequest::Cancel(token)));
    }

    /// Takes all answers. Afterwards new ones wake again.
    pub fn drain(&self) -> Vec<RoomAnswer> {
        self.state.woken.store(false, Ordering::SeqCst);
        lock(&self.state.answers).drain(..).collect()
    }

    /// The room as it is now: `{"room", "local", "participants", "disconnected"}`; null before it is joined.
    pub fn snapshot(&self) -> Value {
        let Some(room) = self.state.room.get() else { return Value::Null };
        let info = room.info();
        json!({
            "room": { "sid": info.sid, "name": info.name, "metadata": info.metadata },
            "local": room.local(),
            "participants": room.participants(),
            "disconnected": room.disconnected().as_ref().map(disconnected),
        })
    }

    /// A reader of what happens: the first one from the join on, later ones from now on.
    ///
    /// # Errors
    /// When the room is not joined yet, or has too many readers.
    pub fn open_events(&self) -> Result<u64, Error> {
        let room = self.room()?;
        let events = lock(&self.state.first_events).take().unwrap_or_else(|| room.events());
        self.state.keep(ReaderKind::Events(Arc::new(AsyncMutex::new(events))))
    }

    /// A reader of the streams of a topic that begin from now on.
    ///
    /// # Errors
    /// When somebody reads them already; see [`open_events`](Self::open_events).
    pub fn receive(&self, topic: &str) -> Result<u64, Error> {
        let streams = self.room()?.receive(topic)?;
        self.state.keep(ReaderKind::Streams(Arc::new(AsyncMutex::new(streams))))
    }

    /// Lets go of a reader; what waits for it is at its end.
    pub fn close_reader(&self, reader: u64) {
        let closed = lock(&self.state.readers).remove(&reader);
        if let Some(reader) = closed {
            reader.closed.notify_one();
        }
    }

    /// Leaves the room; `done` is called once nothing is left of it. May be called again.
    pub fn leave(&self, done: Box<dyn FnOnce() + Send>) {
        let mut shutdown = lock(&self.state.shutdown);
        if shutdown.is_over {
            drop(shutdown);
            return done();
        }
        shutdown.done.push(done);
        drop(shutdown);
        drop(self.requests.send(RoomRequest::Leave));
    }

    /// Leaves the room; the answer under `token` says that nothing is left of it.
    pub fn leave_as(&self, token: u64) {
        let state = Arc::clone(&self.state);
        self.leave(Box::new(move || state.put(token, Ok(json!({})), None)));
    }

    fn room(&self) -> Result<&Room, Error> {
        self.state.room.get().ok_or_else(|| Error::new(Code::InvalidArgument, "the room is not joined yet"))
    }
}

impl CallState {
    /// Answers a call that has no answer yet.
    fn answer(&self, token: u64, outcome: Result<Value, Error>, bytes: Option<Bytes>) {
        if lock(&self.pending).remove(&token).is_some() {
            self.put(token, outcome, bytes);
        }
    }

    fn put(&self, token: u64, outcome: Result<Value, Error>, bytes: Option<Bytes>) {
        lock(&self.answers).push_back(RoomAnswer { token, outcome, bytes });
        if !self.woken.swap(true, Ordering::SeqCst) {
            (self.wake)();
        }
    }

    fn keep(&self, kind: ReaderKind) -> Result<u64, Error> {
        let mut readers = lock(&self.readers);
        if readers.len() >= READERS {
            let message =
                format!("the room has {READERS} readers already; close some, or read streams to their end");
            return Err(Error::new(Code::Busy, message));
        }
        let number = self.number();
        readers.insert(number, Reader { kind, closed: Arc::default() });
        Ok(number)
    }

    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn keep_track(&self, track: LocalAudioTrack) -> u64 {
        let number = self.number();
        lock(&self.tracks).insert(number, Arc::new(track));
        number
    }

    fn track(&self, number: u64) -> Result<Arc<LocalAudioTrack>, Error> {
        let track = lock(&self.tracks).get(&number).cloned();
        track.ok_or_else(|| {
            Error::new(Code::InvalidArgument, "the track is not published any more; publish it again")
        })
    }

    /// Why nothing can be done any more.
    fn gone(&self) -> Error {
        self.room
            .get()
            .and_then(Room::disconnected)
            .unwrap_or_else(|| Disconnected::new(DisconnectReason::ClientInitiated))
            .error()
    }

    /// What comes of a call after the end of the room: who reads what happens has read it all, and who reads a stream
    /// has not.
    fn too_late(&self, reader: Option<u64>) -> Result<Value, Error> {
        let Some(reader) = reader else { return Err(self.gone()) };
        match lock(&self.readers).get(&reader) {
            Some(Reader { kind: ReaderKind::Stream(_), .. }) => Err(self.gone()),
            _ => Ok(at_its_end()),
        }
    }

    fn end(&self) {
        let waiting: Vec<_> = lock(&self.pending).iter().map(|(&token, call)| (token, call.reader)).collect();
        for (token, reader) in waiting {
            self.answer(token, self.too_late(reader), None);
        }
        lock(&self.readers).retain(|_, reader| matches!(reader.kind, ReaderKind::Stream(_)));
        lock(&self.tracks).clear();
        let mut shutdown = lock(&self.shutdown);
        shutdown.is_over = true;
        let done = std::mem::take(&mut shutdown.done);
        drop(shutdown);
        for done in done {
            done();
        }
    }
}

struct EndOnDrop<'a>(&'a CallState);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The thread of a room.
fn run(
    state: &Arc<CallState>,
    options: RoomOptions,
    token: u64,
    mut requests: mpsc::UnboundedReceiver<RoomRequest>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Code::Io, format!("the room's event loop cannot be started: {error}"));
            return state.answer(token, Err(error), None);
        }
    };
    runtime.block_on(async {
        let stay = Shared::new();
        let joined = tokio::select! {
            joined = Room::open(options, Arc::clone(&stay)) => joined.map_err(Error::from),
            () = given_up(&mut requests, token, state) => Err(Error::new(Code::Cancelled, "the join was given up")),
        };
        match joined {
            Ok((room, events)) => {
                *lock(&state.first_events) = Some(events);
                // It is set once.
                let _ = state.room.set(room.clone());
                state.answer(token, Ok(json!({})), None);
                serve(state, &room, requests).await;
            }
            Err(error) => state.answer(token, Err(error), None),
        }
        if let Some(room) = state.room.get() {
            room.disconnect().await;
        } else {
            stay.left().await;
        }
    });
    // A name that is still looked up is not waited for.
    runtime.shutdown_background();
}

/// Waits until nobody wants to join any more.
async fn given_up(requests: &mut mpsc::UnboundedReceiver<RoomRequest>, joining: u64, state: &CallState) {
    loop {
        match requests.recv().await {
            Some(RoomRequest::Call { token, .. }) => {
                let error = Error::new(Code::InvalidArgument, "the room is not joined yet");
                state.answer(token, Err(error), None);
            }
            Some(RoomRequest::Cancel(token)) if token != joining => {}
            Some(RoomRequest::Cancel(_) | RoomRequest::Leave) | None => return,
        }
    }
}

/// Carries out calls until the room is to be left.
async fn serve(state: &Arc<CallState>, room: &Room, mut requests: mpsc::UnboundedReceiver<RoomRequest>) {
    let mut tasks = JoinSet::new();
    loop {
        let request = tokio::select! {
            request = requests.recv() => request,
            Some(_) = tasks.join_next() => continue,
        };
        match request {
            Some(RoomRequest::Call { token, call, bytes }) => {
                let (call_state, room) = (Arc::clone(state), room.clone());
                let task = tasks.spawn(async move {
                    match execute(&call_state, &room, call, bytes).await {
                        Ok((answer, bytes)) => call_state.answer(token, Ok(answer), bytes),
                        Err(error) => call_state.answer(token, Err(error), None),
                    }
                });
                // It may be done already.
                if let Some(call) = lock(&state.pending).get_mut(&token) {
                    call.task = Some(task);
                }
            }
            Some(RoomRequest::Cancel(token)) => {
                if let Some(Pending { task: Some(task), .. }) = lock(&state.pending).get(&token) {
                    task.abort();
                }
                state.answer(token, Err(Error::new(Code::Cancelled, "the call was cancelled")), None);
            }
            Some(RoomRequest::Leave) | None => break,
        }
    }
    room.disconnect().await;
    let all_done = async { while tasks.join_next().await.is_some() {} };
    // What is left then is answered at the thread's end.
    let _ = timeout(LAST_ANSWERS, all_done).await;
}

type Answered = (Value, Option<Bytes>);

/// The answer to a reader that has read everything.
fn at_its_end() -> Value {
    json!({ "end": true })
}

async fn execute(state: &CallState, room: &Room, call: RoomCall, bytes: Bytes) -> Result<Answered, Error> {
    let done = (json!({}), None);
    match call {
        RoomCall::Publish { topic, to, reliable } => {
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            room.publish(&topic, bytes, &to, reliable).await?;
            Ok(done)
        }
        RoomCall::SendBytes(sending) => {
            let id = room.send_bytes(&bytes, sending.into()).await?;
            Ok((json!({ "id": id }), None))
        }
        RoomCall::SendText(sending) => {
            let text = std::str::from_utf8(&bytes).map_err(|error| {
                Error::new(Code::InvalidArgument, format!("the text is not UTF-8: {error}"))
            })?;
            let id = room.send_text(text, sending.into()).await?;
            Ok((json!({ "id": id }), None))
        }
        RoomCall::SetAttributes { attributes } => {
            room.set_attributes(attributes).await?;
            Ok(done)
        }
        RoomCall::SetMetadata { metadata } => {
            room.set_metadata(&metadata).await?;
            Ok(done)
        }
        RoomCall::PublishAudio { name, source } => {
            let track = room.publish_audio(AudioTrackOptions { name, source }).await?;
            let sid = track.sid();
            Ok((json!({ "track": state.keep_track(track), "sid": sid }), None))
        }
        RoomCall::CaptureFrame { track, rate, channels } => {
            let format = Format::new(rate, channels)
                .map_err(|error| Error::new(Code::InvalidArgument, error.to_string()))?;
            let samples: Vec<i16> =
                bytes.chunks_exact(2).map(|pair| i16::from_ne_bytes([pair[0], pair[1]])).collect();
            let frame = Frame { format, time: Duration::ZERO, lost: 0, samples: &samples[..] };
            state.track(track)?.capture_frame(frame).await?;
            Ok(done)
        }
        RoomCall::WaitForPlayout { track } => {
            state.track(track)?.wait_for_playout().await?;
            Ok(done)
        }
        RoomCall::ClearQueue { track } => {
            state.track(track)?.clear_queue();
            Ok(done)
        }
        RoomCall::SetMuted { track, muted } => {
            state.track(track)?.set_muted(muted);
            Ok(done)
        }
        RoomCall::Unpublish { track: number } => {
            let track = lock(&state.tracks).remove(&number);
            if let Some(track) = track {
                track.unpublish().await?;
            }
            Ok(done)
        }
        RoomCall::Subscribe { sid, rate } => {
            let stream = room.subscribe(&sid, rate).await?;
            let (from, track) = (stream.from.clone(), stream.track.clone());
            let number = state.keep(ReaderKind::Audio(Arc::new(AsyncMutex::new(stream))))?;
            Ok((json!({ "reader": number, "from": from, "track": track }), None))
        }
        RoomCall::Next { reader } => next(state, reader).await,
    }
}

async fn next(state: &CallState, number: u64) -> Result<Answered, Error> {
    let reader = lock(&state.readers).get(&number).cloned();
    let end = || (at_its_end(), None);
    let Some(reader) = reader else { return Ok(end()) };
    tokio::select! {
        biased;
        read = read(state, number, reader.kind) => Ok(read?.unwrap_or_else(end)),
        () = reader.closed.notified() => Ok(end()),
    }
}

/// What a reader reads next; `None` at its end.
async fn read(state: &CallState, number: u64, kind: ReaderKind) -> Result<Option<Answered>, Error> {
    match kind {
        ReaderKind::Events(events) => Ok(events.lock().await.next().await.map(event_answer)),
        ReaderKind::Streams(streams) => {
            let mut streams = streams.lock().await;
            let stream = tokio::select! {
                biased;
                stream = streams.next() => stream,
                // Whoever listens to a topic keeps it open.
                () = left(state) => None,
            };
            let Some(stream) = stream else { return Ok(None) };
            let info = described(&stream.info);
            let number = state.keep(ReaderKind::Stream(Arc::new(AsyncMutex::new(stream))))?;
            Ok(Some((json!({ "reader": number, "info": info }), None)))
        }
        ReaderKind::Stream(stream) => {
            let part = stream.lock().await.next().await.transpose();
            if !matches!(part, Ok(Some(_))) {
                lock(&state.readers).remove(&number);
            }
            Ok(part?.map(|part| (json!({}), Some(part))))
        }
        ReaderKind::Audio(stream) => {
            let frame = stream.lock().await.next().await;
            if frame.is_none() {
                lock(&state.readers).remove(&number);
            }
            Ok(frame.map(frame_answer))
        }
    }
}

/// Waits until the room is left.
async fn left(state: &CallState) {
    if let Some(room) = state.room.get() {
        drop(room.gone().await);
    }
}

impl From<Sending> for SendOptions {
    fn from(sending: Sending) -> Self {
        Self {
            topic: sending.topic,
            to: sending.to,
            name: sending.name,
            mime_type: sending.mime_type,
            attributes: sending.attributes,
            compress: sending.compress,
        }
    }
}

/// A frame as JSON, and its samples.
fn frame_answer(frame: Frame<Vec<i16>>) -> Answered {
    let samples: Vec<u8> = frame.samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
    let time_ms = frame.time.as_secs_f64() * 1_000.0;
    (json!({ "time_ms": time_ms, "lost": frame.lost }), Some(samples.into()))
}

/// An event as JSON, and the bytes of a data packet.
fn event_answer(event: RoomEvent) -> Answered {
    let of = |name: &str, participant: &Participant| json!({ "type": name, "participant": participant });
    let of_track = |name: &str, participant: &Participant, track: &Track| json!({ "type": name, "participant": participant, "track": track });
    let event = match event {
        RoomEvent::ParticipantJoined(participant) => of("participant_joined", &participant),
        RoomEvent::ParticipantLeft { participant, reason } => {
            json!({ "type": "participant_left", "participant": participant, "reason": reason })
        }
        RoomEvent::PermissionsChanged(participant) => of("permissions_changed", &participant),
        RoomEvent::ParticipantChanged(participant) => of("participant_changed", &participant),
        RoomEvent::TrackPublished { participant, track } => of_track("track_published", &participant, &track),
        RoomEvent::TrackUnpublished { participant, track } => {
            of_track("track_unpublished", &participant, &track)
        }
        RoomEvent::TrackMuted { participant, track } => of_track("track_muted", &participant, &track),
        RoomEvent::TrackUnmuted { participant, track } => of_track("track_unmuted", &participant, &track),
        RoomEvent::TrackSubscribed { participant, track } => {
            of_track("track_subscribed", &participant, &track)
        }
        RoomEvent::TrackUnsubscribed { participant, track } => {
            of_track("track_unsubscribed", &participant, &track)
        }
        RoomEvent::LocalTrackPublished { participant, track } => {
            of_track("local_track_published", &participant, &track)
        }
        RoomEvent::LocalTrackUnpublished { participant, track } => {
            of_track("local_track_unpublished", &participant, &track)
        }
        RoomEvent::Data(data) => {
            let event =
                json!({ "type": "data", "from": data.from, "topic": data.topic, "reliable": data.reliable });
            return (event, Some(data.payload));
        }
        RoomEvent::Reconnecting => json!({ "type": "reconnecting" }),
        RoomEvent::Reconnected { fresh } => json!({ "type": "reconnected", "fresh": fresh }),
        RoomEvent::Gap(dropped) => json!({ "type": "gap", "dropped": dropped }),
        RoomEvent::Disconnected(why) => {
            let mut event = disconnected(&why);
            event["type"] = "disconnected".into();
            event
        }
    };
    (event, None)
}

fn disconnected(why: &Disconnected) -> Value {
    json!({ "reason": why.reason, "message": why.message })
}

fn described(info: &StreamInfo) -> Value {
    json!({
        "from": info.from,
        "id": info.id,
        "topic": info.topic,
        "name": info.name,
        "mime_type": info.mime_type,
        "attributes": info.attributes,
        "size": info.total_length,
        "is_text": info.is_text,
    })
}
