//! Which tracks we publish and which of others' we read, and what that takes: requests to the server, m-lines of the peer connection, packets
//! in their time. Without IO, and with time as an argument.
//!
//! What is wanted is kept here, and [`Tracks::reconcile`] compares it with what the peer connection has; so another connection is given all
//! of it again. Requests and events queue until the room's task takes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_audio::{Clock, Pace};
use greenroom_protocol::{Code, Error};
use livekit_protocol as proto;
use livekit_protocol::signal_request::Message as Request;

use super::audio::{IncomingTrackQueue, OutgoingTrackQueue};
use super::client::Sent;
use super::event::RoomEvent;
use super::opus::{PACKET, Packed, Packet, RATE, SAMPLES};
use super::participant::{Participant, Track};
use super::peer::Peer;

/// How long the server may take until a track is published, comes in, or is taken back.
const ANSWER: Duration = Duration::from_secs(10);
/// Who is later than this with a packet had a pause; who is less late catches up.
const LATE: Duration = Duration::from_millis(100);

/// The tracks of one room.
#[derive(Default)]
pub(super) struct Tracks {
    published: Vec<Publication>,
    subscribed: HashMap<String, Subscription>,
    /// How many were ever published.
    count: u32,
    requests: Vec<Request>,
    events: Vec<RoomEvent>,
}

/// A track of ours.
struct Publication {
    queue: Arc<OutgoingTrackQueue>,
    /// By what server and offer know that they mean the same.
    cid: String,
    /// As the server has it; `None` until it has.
    info: Option<proto::TrackInfo>,
    /// As the server was last told.
    is_muted: bool,
    /// When it began, and what is due since then.
    pace: Option<(Instant, Pace)>,
    /// It is being taken back.
    is_leaving: bool,
    waiting: Option<PendingAck>,
}

/// A track of somebody else's.
struct Subscription {
    queue: Arc<IncomingTrackQueue>,
    publisher: Participant,
    track: Track,
    is_coming: bool,
    waiting: Option<PendingAck>,
}

/// Somebody who waits until it is done, and until when.
struct PendingAck {
    by: Instant,
    done: Sent,
}

/// A packet that is to leave now.
pub(super) struct OutgoingPacket {
    pub(super) cid: String,
    pub(super) packed: Packed,
    /// When its first sample is, at [`RATE`].
    pub(super) time: u64,
    /// Whether it comes after a pause.
    pub(super) begins: bool,
}

impl Tracks {
    /// Publishes a track. `done` is told once audio can leave.
    pub(super) fn publish(&mut self, queue: Arc<OutgoingTrackQueue>, done: Sent, now: Instant) {
        self.count += 1;
        let cid = format!("audio-{}", self.count);
        let is_muted = queue.is_muted();
        let mut publication = Publication {
            queue,
            cid,
            info: None,
            is_muted,
            pace: None,
            is_leaving: false,
            waiting: Some(PendingAck::from(now, done)),
        };
        self.requests.push(publication.announce());
        self.published.push(publication);
    }

    /// Takes a track back. `done` is told once the server knows.
    pub(super) fn unpublish(
        &mut self,
        queue: &Arc<OutgoingTrackQueue>,
        done: Sent,
        now: Instant,
        peer: &mut Peer,
    ) {
        let found = self.published.iter_mut().find(|publication| Arc::ptr_eq(&publication.queue, queue));
        match found {
            Some(publication) => publication.leave(Some(PendingAck::from(now, done)), peer),
            None => done(Ok(())),
        }
    }

    /// The server has taken a track of ours; what follows is the offer with it.
    pub(super) fn accepted(&mut self, response: proto::TrackPublishedResponse, peer: &mut Peer) {
        let mut published = self.published.iter_mut();
        let Some(publication) = published.find(|known| known.cid == response.cid && !known.is_leaving) else {
            return;
        };
        let info = response.track.unwrap_or_default();
        publication.queue.set_sid(&info.sid);
        publication.info = Some(info);
        peer.publish(&publication.cid);
    }

    /// The server does not take a track of ours.
    pub(super) fn refused(&mut self, cid: &str, error: Error) {
        for mut refused in self.published.extract_if(.., |publication| publication.cid == cid) {
            PendingAck::end(refused.waiting.take(), Err(error.clone()));
        }
    }

    /// The server has put a track of ours out.
    pub(super) fn server_unpublished(&mut self, sid: &str, peer: &mut Peer) {
        if let Some(publication) = self.of_sid(sid).filter(|publication| !publication.is_leaving) {
            publication.leave(None, peer);
        }
    }

    /// The server has muted a track of ours, or ended that.
    pub(super) fn muted(&mut self, request: &proto::MuteTrackRequest) {
        if let Some(publication) = self.of_sid(&request.sid) {
            publication.queue.set_muted(request.muted);
            publication.is_muted = request.muted;
        }
    }

    /// Reads a track of somebody else's. `done` is told once it comes in.
    pub(super) fn subscribe(
        &mut self,
        queue: Arc<IncomingTrackQueue>,
        publisher: Participant,
        track: Track,
        done: Sent,
        now: Instant,
    ) {
        let sid = track.sid.clone();
        if let Some(known) = self.subscribed.get_mut(&sid) {
            if !known.queue.is_dropped() {
                let message = format!("the track {sid} is read already; read it once");
                return done(Err(Error::new(Code::InvalidArgument, message)));
            }
            // It was not noticed yet that nobody reads it any more.
            known.queue = queue;
            PendingAck::end(known.waiting.replace(PendingAck::from(now, done)), Err(given_up()));
            return;
        }
        let waiting = Some(PendingAck::from(now, done));
        self.subscribed
            .insert(sid.clone(), Subscription { queue, publisher, track, is_coming: false, waiting });
        self.requests.push(update(vec![sid], true));
    }

    /// A track of somebody else's does not come in any more: it is gone, or the server does not give it to us.
    pub(super) fn fail_subscription(&mut self, sid: &str, why: Error) {
        let Some(mut lost) = self.subscribed.remove(sid) else { return };
        PendingAck::end(lost.waiting.take(), Err(why));
        if lost.is_coming {
            let (participant, track) = (lost.publisher.clone(), lost.track.clone());
            self.events.push(RoomEvent::TrackUnsubscribed { participant, track });
        }
    }

    /// A packet of somebody else's track came.
    pub(super) fn take(&self, sid: &str, packet: Packet) {
        if let Some(subscription) = self.subscribed.get(sid) {
            subscription.queue.push(packet);
        }
    }

    /// Does what has become possible or due. To be called after every change of the peer connection, too.
    pub(super) fn reconcile(&mut self, now: Instant, peer: &mut Peer) {
        for publication in &mut self.published {
            publication.reconcile(now, peer, &mut self.requests);
        }
        self.published.retain_mut(|publication| !publication.is_over(peer));
        let mut dropped = Vec::new();
        for (sid, subscription) in &mut self.subscribed {
            if subscription.queue.is_dropped() {
                dropped.push((sid.clone(), given_up()));
            } else if !subscription.is_coming && peer.receives(sid) {
                subscription.is_coming = true;
                let (participant, track) = (subscription.publisher.clone(), subscription.track.clone());
                self.events.push(RoomEvent::TrackSubscribed { participant, track });
            }
            if subscription.is_coming {
                PendingAck::end(subscription.waiting.take(), Ok(()));
            } else if PendingAck::is_over(subscription.waiting.as_ref(), now) {
                let message = format!("the server did not send the track {sid} within 10 s");
                dropped.push((sid.clone(), Error::new(Code::Timeout, message)));
            }
        }
        for (sid, why) in dropped {
            self.fail_subscription(&sid, why);
            self.requests.push(update(vec![sid], false));
        }
    }

    /// What is to leave now, of all tracks that the peer connection has.
    pub(super) fn due_packets(&mut self, now: Instant, peer: &Peer) -> Vec<OutgoingPacket> {
        let mut leaving = Vec::new();
        for publication in self.published.iter_mut().filter(|publication| peer.sends(&publication.cid)) {
            publication.let_leave(now, &mut leaving);
        }
        leaving
    }

    /// When [`tend`](Self::tend) or [`leaving`](Self::leaving) has to be called though nothing comes.
    pub(super) fn next_at(&self, peer: &Peer) -> Option<Instant> {
        let sent = self.published.iter().filter(|publication| peer.sends(&publication.cid));
        let ours = sent.filter_map(Publication::next_at);
        let waiting = self.published.iter().filter_map(|publication| publication.waiting.as_ref());
        let theirs = self.subscribed.values().filter_map(|subscription| subscription.waiting.as_ref());
        ours.chain(waiting.chain(theirs).map(|waiting| waiting.by)).min()
    }

    /// It is another connection, in another stay in the room, that knows of nothing yet.
    pub(super) fn restart(&mut self) {
        self.requests.clear();
        for mut left in self.published.extract_if(.., |publication| publication.is_leaving) {
            PendingAck::end(left.waiting.take(), Ok(()));
        }
        for publication in &mut self.published {
            self.requests.push(publication.announce());
        }
        for subscription in self.subscribed.values_mut() {
            subscription.is_coming = false;
        }
        if !self.subscribed.is_empty() {
            self.requests.push(update(self.sids(), true));
        }
    }

    /// Our tracks, as a server is told of them that is to go on with the connection.
    pub(super) fn publications(&self) -> Vec<proto::TrackPublishedResponse> {
        let of = |publication: &Publication| {
            let track = Some(publication.info.clone()?);
            Some(proto::TrackPublishedResponse { cid: publication.cid.clone(), track })
        };
        self.published.iter().filter_map(of).collect()
    }

    /// What we read, in the same case.
    pub(super) fn sids(&self) -> Vec<String> {
        self.subscribed.keys().cloned().collect()
    }

    /// What the server is to be told.
    pub(super) fn requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// What has happened.
    pub(super) fn events(&mut self) -> Vec<RoomEvent> {
        std::mem::take(&mut self.events)
    }

    fn of_sid(&mut self, sid: &str) -> Option<&mut Publication> {
        let is_it = |info: &proto::TrackInfo| info.sid == sid;
        self.published.iter_mut().find(|publication| publication.info.as_ref().is_some_and(is_it))
    }
}

impl Publication {
    /// Asks the server to take it.
    fn announce(&mut self) -> Request {
        self.info = None;
        self.is_muted = self.queue.is_muted();
        Request::AddTrack(proto::AddTrackRequest {
            cid: self.cid.clone(),
            name: self.queue.name.clone(),
            r#type: proto::TrackType::Audio as i32,
            source: self.queue.source.to_wire() as i32,
            muted: self.is_muted,
            // Packets carry their own audio alone, and follow on each other.
            disable_red: true,
            audio_features: vec![proto::AudioTrackFeature::TfNoDtx as i32],
            ..Default::default()
        })
    }

    fn leave(&mut self, waiting: Option<PendingAck>, peer: &mut Peer) {
        self.is_leaving = true;
        self.queue.end();
        PendingAck::end(self.waiting.take(), Err(given_up()));
        self.waiting = waiting;
        peer.unpublish(&self.cid);
    }

    fn reconcile(&mut self, now: Instant, peer: &mut Peer, requests: &mut Vec<Request>) {
        if !self.is_leaving && self.queue.is_done() {
            self.leave(None, peer);
        }
        if PendingAck::is_over(self.waiting.as_ref(), now) {
            let message =
                format!("the server did not answer about the track {:?} within 10 s", self.queue.name);
            PendingAck::end(self.waiting.take(), Err(Error::new(Code::Timeout, message)));
            self.leave(None, peer);
        }
        if self.is_leaving {
            return;
        }
        if let Some(info) = &self.info
            && self.is_muted != self.queue.is_muted()
        {
            self.is_muted = self.queue.is_muted();
            let (sid, muted) = (info.sid.clone(), self.is_muted);
            requests.push(Request::Mute(proto::MuteTrackRequest { sid, muted }));
        }
        if peer.sends(&self.cid) {
            PendingAck::end(self.waiting.take(), Ok(()));
        }
    }

    /// Whether it was taken back, and the server knows.
    fn is_over(&mut self, peer: &Peer) -> bool {
        let is_over = self.is_leaving && !peer.knows(&self.cid);
        if is_over {
            PendingAck::end(self.waiting.take(), Ok(()));
        }
        is_over
    }

    fn let_leave(&mut self, now: Instant, leaving: &mut Vec<OutgoingPacket>) {
        if self.queue.is_empty() {
            return;
        }
        let is_first = self.pace.is_none();
        // The first packet is due at once.
        let begun = || {
            let began = now.checked_sub(PACKET).unwrap_or(now);
            (began, Pace::new(Clock::RealTime, RATE, Duration::ZERO, LATE))
        };
        let (began, pace) = self.pace.get_or_insert_with(begun);
        let block = SAMPLES as u64;
        let due = pace.due(now.saturating_duration_since(*began), block);
        let first = pace.passed() - due.samples;
        let is_muted = self.queue.is_muted();
        for time in (first..pace.passed()).step_by(SAMPLES) {
            let Some(packed) = self.queue.pop() else { return };
            if !is_muted {
                let begins = time == first && (is_first || due.skipped > 0);
                leaving.push(OutgoingPacket { cid: self.cid.clone(), packed, time, begins });
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let (began, pace) = self.pace.as_ref().filter(|_| !self.queue.is_empty())?;
        Some(*began + pace.next_at(SAMPLES as u64))
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl PendingAck {
    fn from(now: Instant, done: Sent) -> Self {
        Self { by: now + ANSWER, done }
    }

    fn is_over(waiting: Option<&Self>, now: Instant) -> bool {
        waiting.is_some_and(|waiting| waiting.by <= now)
    }

    fn end(waiting: Option<Self>, outcome: Result<(), Error>) {
        if let Some(Self { done, .. }) = waiting {
            done(outcome);
        }
    }
}

fn update(track_sids: Vec<String>, subscribe: bool) -> Request {
    Request::Subscription(proto::UpdateSubscription { track_sids, subscribe, ..Default::default() })
}

fn given_up() -> Error {
    Error::new(Code::Cancelled, "it was given up before it was done")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Mutex;

    use str0m::change::SdpOffer;
    use str0m::{Rtc, RtcConfig};

    use super::*;
    use crate::audio::AudioTrackOptions;
    use crate::lock;

    /// Tracks, their peer connection, and a server that answers its offers.
    struct Stage {
        tracks: Tracks,
        peer: Peer,
        server: Rtc,
        now: Instant,
    }

    type Told = Arc<Mutex<Vec<Result<(), Code>>>>;

    impl Stage {
        fn new() -> Self {
            let now = Instant::now();
            let (peer, server, tracks) = (Peer::new(&[], now), server(now), Tracks::default());
            let (peer, offer) = peer;
            let mut stage = Self { tracks, peer, server, now };
            stage.answer(&offer);
            stage
        }

        /// Answers an offer, with the track TR_1 on each m-line that can have one.
        fn answer(&mut self, offer: &proto::SessionDescription) {
            let mids = offer.sdp.lines().filter_map(|line| line.strip_prefix("a=mid:"));
            let mid_to_track_id = mids.map(|mid| (mid.to_owned(), "TR_1".to_owned())).collect();
            let sdp = SdpOffer::from_sdp_string(&offer.sdp).unwrap();
            let answer = self.server.sdp_api().accept_offer(sdp).unwrap();
            let answer = proto::SessionDescription {
                sdp: answer.to_sdp_string(),
                id: offer.id,
                mid_to_track_id,
                ..Default::default()
            };
            self.peer.take_answer(&answer).unwrap();
        }

        /// Lets all be done that can be now.
        fn reconcile(&mut self) -> Vec<Request> {
            self.tracks.reconcile(self.now, &mut self.peer);
            while let Some(offer) = self.peer.offer() {
                self.answer(&offer);
                self.tracks.reconcile(self.now, &mut self.peer);
            }
            self.tracks.requests()
        }

        /// A track of ours, which the server takes.
        fn publish(&mut self) -> Arc<OutgoingTrackQueue> {
            let queue = Arc::new(OutgoingTrackQueue::new(AudioTrackOptions::default(), Arc::default()));
            let (told, done) = told();
            self.tracks.publish(Arc::clone(&queue), done, self.now);
            let asked = self.reconcile();
            let [Request::AddTrack(asked)] = &asked[..] else { panic!("{asked:?}") };
            let track = Some(proto::TrackInfo { sid: "TR_9".to_owned(), ..Default::default() });
            let response = proto::TrackPublishedResponse { cid: asked.cid.clone(), track };
            self.tracks.accepted(response, &mut self.peer);
            assert!(lock(&told).is_empty());
            assert!(self.reconcile().is_empty());
            assert_eq!(*lock(&told), [Ok(())]);
            queue
        }

        fn subscribe(&mut self) -> (Arc<IncomingTrackQueue>, Told) {
            let queue = Arc::new(IncomingTrackQueue::new(Arc::default()));
            let track = Track { sid: "TR_1".to_owned(), ..Default::default() };
            let (told, done) = told();
            self.tracks.subscribe(Arc::clone(&queue), Participant::default(), track, done, self.now);
            (queue, told)
        }

        /// What leaves at so many milliseconds from now on: the time of each packet, and whether it comes after a pause.
        fn due_packets(&mut self, millis: u64) -> Vec<(u64, bool)> {
            let leaving = self.tracks.due_packets(self.now + Duration::from_millis(millis), &self.peer);
            leaving.iter().map(|packet| (packet.time, packet.begins)).collect()
        }
    }

    fn server(now: Instant) -> Rtc {
        RtcConfig::new().set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags())).build(now)
    }

    fn told() -> (Told, Sent) {
        let told = Told::default();
        let to_tell = Arc::clone(&told);
        (told, Box::new(move |outcome| lock(&to_tell).push(outcome.map_err(|error: Error| error.code))))
    }

    fn give(queue: &OutgoingTrackQueue, packets: usize) {
        for _ in 0..packets {
            queue.push(Packed { data: vec![1], level: -20, is_silent: false });
        }
    }

    #[test]
    fn packets_leave_in_their_time() {
        let mut stage = Stage::new();
        let queue = stage.publish();
        give(&queue, 5);
        assert_eq!(stage.due_packets(0), [(0, true)]);
        assert_eq!(stage.tracks.next_at(&stage.peer), Some(stage.now + PACKET));
        assert!(stage.due_packets(19).is_empty());
        assert_eq!(stage.due_packets(20), [(960, false)]);
        assert_eq!(stage.due_packets(65), [(1_920, false), (2_880, false)]);
        assert_eq!(stage.due_packets(80), [(3_840, false)]);
        assert_eq!(stage.tracks.next_at(&stage.peer), None);
        // After a pause the next leaves at once, in its place.
        give(&queue, 2);
        assert_eq!(stage.due_packets(5_000), [(240_000, true)]);
        assert_eq!(stage.due_packets(5_020), [(240_960, false)]);
    }

    #[test]
    fn what_is_muted_passes_unsent_and_the_server_is_told() {
        let mut stage = Stage::new();
        let queue = stage.publish();
        give(&queue, 2);
        queue.set_muted(true);
        let muted = stage.reconcile();
        assert!(matches!(&muted[..], [Request::Mute(mute)] if mute.muted && mute.sid == "TR_9"), "{muted:?}");
        assert!(stage.due_packets(0).is_empty());
        assert!(stage.due_packets(20).is_empty() && queue.is_empty());
        // The server knows what it says itself.
        stage.tracks.muted(&proto::MuteTrackRequest { sid: "TR_9".to_owned(), muted: false });
        assert!(!queue.is_muted());
        assert!(stage.reconcile().is_empty());
    }

    #[test]
    fn a_track_is_taken_back_once_and_may_be_published_again() {
        let mut stage = Stage::new();
        for _ in 0..2 {
            let queue = stage.publish();
            let (told, done) = told();
            stage.tracks.unpublish(&queue, done, stage.now, &mut stage.peer);
            assert!(lock(&told).is_empty());
            assert!(stage.reconcile().is_empty());
            assert_eq!(*lock(&told), [Ok(())]);
            give(&queue, 1);
            assert!(queue.is_empty(), "no reader");
        }
    }

    #[test]
    fn who_reads_gets_the_track_as_long_as_it_is_read() {
        let mut stage = Stage::new();
        let (queue, told) = stage.subscribe();
        let asked = stage.reconcile();
        assert!(matches!(&asked[..], [Request::Subscription(update)] if update.subscribe), "{asked:?}");
        assert!(lock(&told).is_empty());
        stage.peer.request_media_lines(1);
        assert!(stage.reconcile().is_empty());
        assert_eq!(*lock(&told), [Ok(())]);
        assert!(matches!(stage.tracks.events()[..], [RoomEvent::TrackSubscribed { .. }]));
        let (_, refused) = stage.subscribe();
        assert_eq!(*lock(&refused), [Err(Code::InvalidArgument)]);
        queue.drop_reader();
        let asked = stage.reconcile();
        assert!(matches!(&asked[..], [Request::Subscription(update)] if !update.subscribe), "{asked:?}");
        assert!(matches!(stage.tracks.events()[..], [RoomEvent::TrackUnsubscribed { .. }]));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut stage = Stage::new();
        let queue = Arc::new(OutgoingTrackQueue::new(AudioTrackOptions::default(), Arc::default()));
        let (published, done) = told();
        stage.tracks.publish(queue, done, stage.now);
        let (_inlet, subscribed) = stage.subscribe();
        stage.reconcile();
        assert_eq!(stage.tracks.next_at(&stage.peer), Some(stage.now + ANSWER));
        stage.now += ANSWER;
        stage.reconcile();
        assert_eq!(*lock(&published), [Err(Code::Timeout)]);
        assert_eq!(*lock(&subscribed), [Err(Code::Timeout)]);
        assert_eq!(stage.tracks.next_at(&stage.peer), None);
    }

    #[test]
    fn another_connection_is_given_all_again() {
        let mut stage = Stage::new();
        let (kept, left) = (stage.publish(), stage.publish());
        let (_inlet, _) = stage.subscribe();
        stage.peer.request_media_lines(1);
        stage.reconcile();
        assert_eq!(stage.tracks.publications().len(), 2);
        let (told, done) = told();
        stage.tracks.unpublish(&left, done, stage.now, &mut stage.peer);
        (stage.peer, stage.server) = (Peer::new(&[], stage.now).0, server(stage.now));
        stage.tracks.restart();
        assert_eq!(*lock(&told), [Ok(())]);
        let asked = stage.tracks.requests();
        let [Request::AddTrack(add), Request::Subscription(update)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!((add.cid.as_str(), &update.track_sids[..]), ("audio-1", &["TR_1".to_owned()][..]));
        assert!(stage.tracks.publications().is_empty(), "the server has none yet");
        // It is no reason to hurry that what waits cannot leave yet.
        give(&kept, 1);
        assert_eq!(stage.tracks.next_at(&stage.peer), None);
    }
}
