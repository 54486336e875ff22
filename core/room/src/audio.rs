//! Audio tracks as others hold them: one that we publish, and one of somebody else's that we read. What they share with the room's task is
//! a short queue of packets; they encode and decode by themselves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use greenroom_audio::Frame;
use greenroom_protocol::{Code, Error};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::Room;
use super::client::Command;
use super::opus::{Packed, Packer, Packet, Unpacker};
use super::participant::{Track, TrackSource};
use crate::lock;

/// Packets that wait to be sent, a second of them. Who has more waits.
const TO_SEND: usize = 50;
/// Packets that wait to be read, two seconds of them. Then the oldest make room.
const TO_READ: usize = 100;

/// How to publish audio.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AudioTrackOptions {
    /// What the track is called; need not be unique.
    pub name: String,
    /// Where the audio comes from. Agents listen to microphones.
    pub source: TrackSource,
}

impl Default for AudioTrackOptions {
    /// A microphone.
    fn default() -> Self {
        Self { name: "microphone".to_owned(), source: TrackSource::Microphone }
    }
}

/// A track that we publish: audio of one channel at 48 kHz, which leaves in real time. When this is dropped, it is taken back after what was
/// given has left.
///
/// It survives reconnects; after a full one the others know it under another sid. What would leave while the connection is broken is lost.
pub struct LocalAudioTrack {
    room: Room,
    queue: Arc<OutgoingTrackQueue>,
    maker: AsyncMutex<Maker>,
}

/// Makes packets of what is given, as long as it is wanted.
struct Maker {
    packer: Packer,
    /// How often the queue had been cleared when it last made one.
    clears: u64,
}

impl LocalAudioTrack {
    pub(super) fn new(room: Room, options: AudioTrackOptions) -> Result<Self, Error> {
        let queue = Arc::new(OutgoingTrackQueue::new(options, Arc::clone(&room.shared.tracks_changed)));
        let maker = Maker { packer: Packer::new()?, clears: 0 };
        Ok(Self { room, queue, maker: AsyncMutex::new(maker) })
    }

    pub(super) const fn queue(&self) -> &Arc<OutgoingTrackQueue> {
        &self.queue
    }

    /// The server's id of it.
    pub fn sid(&self) -> String {
        lock(&self.queue.state).sid.clone()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.queue.name
    }

    /// Gives audio of any rate and number of channels, which follows on what was given before; after a pause it leaves at once. Waits while
    /// a second of audio has not left yet. Who gives up waiting loses the rest of the frame.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a rate that cannot become 48 kHz, or once the track is taken back; and why the room was left.
    pub async fn capture_frame(&self, mut frame: Frame<&[i16]>) -> Result<(), Error> {
        let mut maker = self.maker.lock().await;
        let clears = self.clears();
        maker.catch_up(clears);
        loop {
            self.queue.wait_until(|state| state.queue.len() < TO_SEND || state.clears > clears).await;
            self.check()?;
            if self.clears() > clears {
                return Ok(());
            }
            match maker.packer.next(&mut frame)? {
                Some(packet) => self.queue.push(packet),
                None => return Ok(()),
            }
        }
    }

    /// Waits until all that was given has left, however little of it there is.
    ///
    /// # Errors
    /// Why the room was left, and [`Code::InvalidArgument`] once the track is taken back.
    pub async fn wait_for_playout(&self) -> Result<(), Error> {
        let mut maker = self.maker.lock().await;
        maker.catch_up(self.clears());
        while let Some(packet) = maker.packer.finish()? {
            self.queue.push(packet);
        }
        drop(maker);
        self.queue.wait_until(|state| state.queue.is_empty()).await;
        self.check()
    }

    /// Drops what was given and has not left yet, as for a speaker who is interrupted; who waits to give more does not wait any longer.
    pub fn clear_queue(&self) {
        self.queue.clear();
    }

    /// Silences the track, or ends that, and tells the others. What is given meanwhile is dropped, at the pace at which it would leave.
    pub fn set_muted(&self, is_muted: bool) {
        self.queue.set_muted(is_muted);
        self.queue.bell.notify_one();
    }

    /// Whether it is silent: we or the server may have muted it.
    pub fn is_muted(&self) -> bool {
        self.queue.is_muted()
    }

    /// Takes the track back; what has not left yet is dropped. It is done when the server knows, and may be called again.
    ///
    /// # Errors
    /// Why the room was left.
    pub async fn unpublish(&self) -> Result<(), Error> {
        self.clear_queue();
        let queue = Arc::clone(&self.queue);
        self.room.ask(|done| Command::Unpublish { queue, done }).await
    }

    fn clears(&self) -> u64 {
        lock(&self.queue.state).clears
    }

    fn check(&self) -> Result<(), Error> {
        if !lock(&self.queue.state).has_ended {
            return Ok(());
        }
        Err(match self.room.disconnected() {
            Some(disconnected) => disconnected.error(),
            None => Error::new(
                Code::InvalidArgument,
                format!("the track {:?} is not published any more; publish it again", self.queue.name),
            ),
        })
    }
}

impl Maker {
    fn catch_up(&mut self, clears: u64) {
        if self.clears < clears {
            self.clears = clears;
            self.packer.clear();
        }
    }
}

impl Drop for LocalAudioTrack {
    fn drop(&mut self) {
        lock(&self.queue.state).is_dropped = true;
        self.queue.bell.notify_one();
    }
}

/// What waits to be sent.
pub(super) struct OutgoingTrackQueue {
    pub(super) name: String,
    pub(super) source: TrackSource,
    state: Mutex<ToSend>,
    /// Some of it has left.
    left: Notify,
    /// Rung when the room's task should look.
    bell: Arc<Notify>,
}

#[derive(Default)]
struct ToSend {
    queue: VecDeque<Packed>,
    /// How often it was cleared.
    clears: u64,
    sid: String,
    is_muted: bool,
    /// Nobody gives any more.
    is_dropped: bool,
    /// Nobody takes any more.
    has_ended: bool,
}

impl OutgoingTrackQueue {
    pub(super) fn new(options: AudioTrackOptions, bell: Arc<Notify>) -> Self {
        let AudioTrackOptions { name, source } = options;
        Self { name, source, state: Mutex::default(), left: Notify::new(), bell }
    }

    /// The next packet.
    pub(super) fn pop(&self) -> Option<Packed> {
        let packet = lock(&self.state).queue.pop_front()?;
        self.left.notify_waiters();
        Some(packet)
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.state).queue.is_empty()
    }

    pub(super) fn is_muted(&self) -> bool {
        lock(&self.state).is_muted
    }

    pub(super) fn set_muted(&self, is_muted: bool) {
        lock(&self.state).is_muted = is_muted;
    }

    pub(super) fn set_sid(&self, sid: &str) {
        sid.clone_into(&mut lock(&self.state).sid);
    }

    /// Whether all was given that ever will be, and has left.
    pub(super) fn is_done(&self) -> bool {
        let state = lock(&self.state);
        state.is_dropped && state.queue.is_empty()
    }

    /// Nobody takes any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.has_ended = true;
        state.queue.clear();
        drop(state);
        self.left.notify_waiters();
    }

    /// One packet more.
    pub(super) fn push(&self, packet: Packed) {
        let mut state = lock(&self.state);
        if !state.has_ended {
            state.queue.push_back(packet);
        }
        drop(state);
        self.bell.notify_one();
    }

    fn clear(&self) {
        let mut state = lock(&self.state);
        state.queue.clear();
        state.clears += 1;
        drop(state);
        self.left.notify_waiters();
    }

    /// Waits until the queue is as is meant, or nobody takes from it any more.
    async fn wait_until(&self, is_meant: impl Fn(&ToSend) -> bool) {
        loop {
            let left = self.left.notified();
            {
                let state = lock(&self.state);
                if state.has_ended || is_meant(&state) {
                    return;
                }
            }
            left.await;
        }
    }
}

/// The audio of somebody else's track, frame by frame. It comes in while this is there, and is decoded when it is read.
///
/// Two seconds wait for a slow reader, then the oldest is dropped. What is missing, dropped or lost on the way is made up as well as Opus can;
/// such frames, and the first after a longer hole, say in `lost` how much it is. Their `time` counts from the first frame.
pub struct AudioStream {
    /// What is read, as it was when it was asked for.
    pub track: Track,
    /// Who publishes it, by identity.
    pub from: String,
    queue: Arc<IncomingTrackQueue>,
    unpacker: Unpacker,
}

impl AudioStream {
    pub(super) fn new(room: &Room, from: String, track: Track, rate: u32) -> Result<Self, Error> {
        let queue = Arc::new(IncomingTrackQueue::new(Arc::clone(&room.shared.tracks_changed)));
        Ok(Self { track, from, queue, unpacker: Unpacker::new(rate)? })
    }

    pub(super) const fn queue(&self) -> &Arc<IncomingTrackQueue> {
        &self.queue
    }

    /// More of it, 20 ms as a rule: one channel, at the rate that was asked for. `None` once the track is gone, or the room is left.
    pub async fn next(&mut self) -> Option<Frame<Vec<i16>>> {
        loop {
            if let Some(frame) = self.unpacker.next() {
                return Some(frame);
            }
            let packet = self.queue.next().await?;
            self.unpacker.take(&packet);
        }
    }

    /// How many packets were dropped since they were not read in time.
    pub fn dropped(&self) -> u64 {
        lock(&self.queue.state).dropped
    }
}

impl Drop for AudioStream {
    fn drop(&mut self) {
        self.queue.drop_reader();
    }
}

/// What waits to be read.
pub(super) struct IncomingTrackQueue {
    state: Mutex<ToRead>,
    came: Notify,
    /// Rung when the room's task should look.
    bell: Arc<Notify>,
}

#[derive(Default)]
struct ToRead {
    queue: VecDeque<Packet>,
    dropped: u64,
    /// Nobody reads any more.
    is_dropped: bool,
    /// Nothing comes any more.
    has_ended: bool,
}

impl IncomingTrackQueue {
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        Self { state: Mutex::default(), came: Notify::new(), bell }
    }

    /// A packet came.
    pub(super) fn push(&self, packet: Packet) {
        let mut state = lock(&self.state);
        if state.is_dropped {
            return;
        }
        if state.queue.len() == TO_READ {
            state.queue.pop_front();
            state.dropped += 1;
        }
        // One that was overtaken goes where it belongs, as long as what overtook it is not read.
        let place = |packet: &Packet| (packet.connection, packet.number);
        let before = state.queue.iter().rposition(|other| place(other) < place(&packet));
        state.queue.insert(before.map_or(0, |before| before + 1), packet);
        drop(state);
        self.came.notify_one();
    }

    /// Whether nobody reads any more.
    pub(super) fn is_dropped(&self) -> bool {
        lock(&self.state).is_dropped
    }

    /// Nobody reads any more.
    pub(super) fn drop_reader(&self) {
        let mut state = lock(&self.state);
        state.is_dropped = true;
        state.queue.clear();
        drop(state);
        self.bell.notify_one();
    }

    /// Nothing comes any more.
    pub(super) fn end(&self) {
        lock(&self.state).has_ended = true;
        self.came.notify_one();
    }

    async fn next(&self) -> Option<Packet> {
        loop {
            {
                let mut state = lock(&self.state);
                if let Some(packet) = state.queue.pop_front() {
                    return Some(packet);
                }
                if state.has_ended {
                    return None;
                }
            }
            self.came.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::pin::Pin;
    use std::task::{Context, Waker};
    use std::time::Instant;

    use super::*;

    fn waits(future: &mut Pin<Box<impl Future>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn packet(number: u64) -> Packet {
        Packet { connection: 1, number, time: number * 960, came: Instant::now(), data: [].into() }
    }

    #[tokio::test]
    async fn the_oldest_makes_room_for_the_newest_and_is_counted() {
        let queue = IncomingTrackQueue::new(Arc::default());
        for number in 0..TO_READ as u64 + 3 {
            queue.push(packet(number));
        }
        queue.end();
        assert_eq!(lock(&queue.state).dropped, 3);
        assert_eq!(queue.next().await.unwrap().number, 3);
        let mut left = 1;
        while queue.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, TO_READ);
    }

    #[tokio::test]
    async fn what_was_overtaken_is_read_in_its_place() {
        let queue = IncomingTrackQueue::new(Arc::default());
        for number in [2, 4, 3, 1] {
            queue.push(packet(number));
        }
        for number in 1..=4 {
            assert_eq!(queue.next().await.unwrap().number, number);
        }
    }

    #[test]
    fn who_gives_too_much_waits_until_it_has_left_or_never_will() {
        let queue = OutgoingTrackQueue::new(AudioTrackOptions::default(), Arc::default());
        let packed = || Packed { data: vec![1], level: -20, is_silent: false };
        for _ in 0..TO_SEND {
            queue.push(packed());
        }
        let has_room = |state: &ToSend| state.queue.len() < TO_SEND;
        let mut waiting = Box::pin(queue.wait_until(has_room));
        assert!(waits(&mut waiting));
        queue.pop().unwrap();
        assert!(!waits(&mut waiting));
        queue.push(packed());
        let mut waiting = Box::pin(queue.wait_until(has_room));
        assert!(waits(&mut waiting));
        queue.end();
        assert!(!waits(&mut waiting));
        queue.push(packed());
        assert!(queue.is_empty());
    }
}
