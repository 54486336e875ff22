//! Audio tracks, both ways: with one another, and with the Room of LiveKit's own SDK.

use std::time::Duration;

use greenroom_audio::signal::{Sine, tone};
use greenroom_audio::{Format, Frame, Sample as _};
use greenroom_protocol::Code;
use greenroom_room::Room;
use greenroom_room::{
    AudioStream, AudioTrackOptions, LocalAudioTrack, Participant, RoomEvent, RoomEvents, RoomOptions, Track,
    TrackKind, TrackSource,
};
use livekit_protocol as proto;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_response::Message as Response;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::middle::Middle;
use crate::resume::Proxy;
use crate::told::back;
use crate::venue::{Venue, event, eventually, gather, within};
use crate::witness::Witness;

/// How loud the sines are, in dBFS.
const LEVEL: f32 = -12.0;

/// Sings 440 Hz into a track until it is aborted.
struct Singer(JoinHandle<()>);

impl Singer {
    fn into(track: std::sync::Arc<LocalAudioTrack>, format: Format) -> Self {
        Self(tokio::spawn(async move {
            let mut sine = Sine::new(440.0, LEVEL, format.rate());
            loop {
                let samples: Vec<i16> = (0..format.rate() / 100)
                    .flat_map(|_| std::iter::repeat_n(i16::from_f32(sine.next_sample()), format.channels()))
                    .collect();
                let frame = Frame { format, time: Duration::ZERO, lost: 0, samples: &samples[..] };
                if track.capture_frame(frame).await.is_err() {
                    return;
                }
            }
        }))
    }
}

impl Drop for Singer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn sings(room: &Room, format: Format) -> (std::sync::Arc<LocalAudioTrack>, Singer) {
    let track = within("a publication", room.publish_audio(AudioTrackOptions::default())).await.unwrap();
    let track = std::sync::Arc::new(track);
    (std::sync::Arc::clone(&track), Singer::into(track, format))
}

async fn published(events: &mut RoomEvents) -> (Participant, Track) {
    event(events, "a track", |event| match event {
        RoomEvent::TrackPublished { participant, track } => Some((participant, track)),
        _ => None,
    })
    .await
}

async fn is_heard(stream: &mut AudioStream) {
    let mut level = f32::NEG_INFINITY;
    // What is before it is silence, and a connection that is interrupted takes its time.
    within("440 Hz", async {
        while !(LEVEL - 2.0..LEVEL + 2.0).contains(&level) {
            let mut samples = Vec::new();
            let rate = loop {
                let frame = stream.next().await.expect("the track goes on");
                samples.extend(frame.samples.iter().map(|sample| sample.to_f32()));
                let rate = frame.format.rate();
                if samples.len() >= rate as usize / 2 {
                    break rate;
                }
            };
            level = tone(&samples, 440.0, rate);
        }
    })
    .await;
}

#[tokio::test]
async fn a_track_of_ours_is_heard_by_another_of_ours() {
    let venue = Venue::new();
    let ((ada, mut of_ada), (bob, mut of_bob)) = venue.pair().await;
    let (song, _singer) = sings(&ada, Format::new(44_100, 2).unwrap()).await;
    let (publisher, track) = published(&mut of_bob).await;
    assert_eq!((publisher.identity.as_str(), &track.sid), ("ada", &song.sid()));
    assert_eq!((track.name.as_str(), track.kind), ("microphone", TrackKind::Audio));
    assert_eq!((track.source, track.muted), (TrackSource::Microphone, false));
    assert_eq!(bob.participant("ada").unwrap().tracks, std::slice::from_ref(&track));
    event(&mut of_ada, "our own", |event| match event {
        RoomEvent::LocalTrackPublished { track: ours, .. } => (ours == track).then_some(()),
        _ => None,
    })
    .await;
    let mut stream = within("a subscription", bob.subscribe(&track.sid, 16_000)).await.unwrap();
    assert_eq!((stream.from.as_str(), &stream.track), ("ada", &track));
    is_heard(&mut stream).await;
    let again = within("a refusal", bob.subscribe(&track.sid, 16_000)).await.err().unwrap();
    assert_eq!(again.code, Code::InvalidArgument);
    // Who reads no more may read again, at another rate.
    drop(stream);
    event(&mut of_bob, "its end", |event| matches!(event, RoomEvent::TrackUnsubscribed { .. }).then_some(()))
        .await;
    let mut stream = within("a subscription", bob.subscribe(&track.sid, 48_000)).await.unwrap();
    is_heard(&mut stream).await;
    song.set_muted(true);
    event(&mut of_bob, "silence", |event| matches!(event, RoomEvent::TrackMuted { .. }).then_some(())).await;
    song.set_muted(false);
    event(&mut of_bob, "its end", |event| matches!(event, RoomEvent::TrackUnmuted { .. }).then_some(()))
        .await;
    is_heard(&mut stream).await;
    within("an end", song.unpublish()).await.unwrap();
    event(&mut of_bob, "its end", |event| matches!(event, RoomEvent::TrackUnpublished { .. }).then_some(()))
        .await;
    within("the end", async { while stream.next().await.is_some() {} }).await;
    let samples = [0; 480];
    let frame = Frame { format: Format::WIRE, time: Duration::ZERO, lost: 0, samples: &samples[..] };
    let error = within("a refusal", song.capture_frame(frame)).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
}

#[tokio::test]
async fn both_sing_and_tracks_come_and_go() {
    let venue = Venue::new();
    let ((ada, mut of_ada), (bob, mut of_bob)) = venue.pair().await;
    for _ in 0..3 {
        let (first, _first) = sings(&ada, Format::WIRE).await;
        let (second, _second) = sings(&ada, Format::SPEECH).await;
        let (third, _third) = sings(&bob, Format::WIRE).await;
        for events in [&mut of_bob, &mut of_ada] {
            published(events).await;
        }
        published(&mut of_bob).await;
        let mut at_bob = within("a subscription", bob.subscribe(&first.sid(), 48_000)).await.unwrap();
        let mut also = within("a subscription", bob.subscribe(&second.sid(), 24_000)).await.unwrap();
        let mut at_ada = within("a subscription", ada.subscribe(&third.sid(), 48_000)).await.unwrap();
        tokio::join!(is_heard(&mut at_bob), is_heard(&mut also), is_heard(&mut at_ada));
        for song in [first, second, third] {
            within("an end", song.unpublish()).await.unwrap();
        }
        for stream in [&mut at_bob, &mut also, &mut at_ada] {
            within("the end", async { while stream.next().await.is_some() {} }).await;
        }
    }
    assert!(ada.disconnected().is_none());
}

#[tokio::test]
async fn all_that_was_given_arrives() {
    let venue = Venue::new();
    let ((ada, _), (bob, mut of_bob)) = venue.pair().await;
    let song = within("a publication", ada.publish_audio(AudioTrackOptions::default())).await.unwrap();
    let (_, track) = published(&mut of_bob).await;
    let mut stream = within("a subscription", bob.subscribe(&track.sid, 48_000)).await.unwrap();
    let mut sine = Sine::new(440.0, LEVEL, 48_000);
    let samples: Vec<i16> = (0..48_000 + 100).map(|_| i16::from_f32(sine.next_sample())).collect();
    let frame = Frame { format: Format::WIRE, time: Duration::ZERO, lost: 0, samples: &samples[..] };
    within("a second", song.capture_frame(frame)).await.unwrap();
    within("all of it", song.wait_for_playout()).await.unwrap();
    is_heard(&mut stream).await;
    // What is cleared never leaves: nobody waits for it.
    within("a second", song.capture_frame(frame)).await.unwrap();
    song.clear_queue();
    within("nothing", song.wait_for_playout()).await.unwrap();
}

#[tokio::test]
async fn what_nobody_reads_is_not_sent_to_us() {
    let venue = Venue::new();
    let ((ada, _), (bob, mut of_bob)) = venue.pair().await;
    let (eve, _) = venue.join("eve").await;
    let (_song, _singer) = sings(&ada, Format::WIRE).await;
    let (_, track) = published(&mut of_bob).await;
    let mut stream = within("a subscription", bob.subscribe(&track.sid, 48_000)).await.unwrap();
    is_heard(&mut stream).await;
    assert!(bob.counts().audio_packets > 0);
    assert_eq!(eve.counts().audio_packets, 0);
}

#[tokio::test]
async fn a_cut_signal_connection_does_not_silence_tracks() {
    let venue = Venue::new();
    let proxy = Proxy::before(&venue).await;
    let joined = Room::connect(RoomOptions::new(&proxy.url, venue.token("ada")));
    let (ada, mut of_ada) = within("a join", joined).await.unwrap();
    venue.announce("ada");
    let (bob, mut of_bob) = venue.join("bob").await;
    gather(&[&ada, &bob]).await;
    let (ours, _ours) = sings(&ada, Format::WIRE).await;
    let (theirs, _theirs) = sings(&bob, Format::WIRE).await;
    let (_, track) = published(&mut of_bob).await;
    published(&mut of_ada).await;
    let mut at_bob = within("a subscription", bob.subscribe(&track.sid, 48_000)).await.unwrap();
    let mut at_ada = within("a subscription", ada.subscribe(&theirs.sid(), 48_000)).await.unwrap();
    tokio::join!(is_heard(&mut at_bob), is_heard(&mut at_ada));
    proxy.cut();
    assert!(!back(&mut of_ada).await, "the same stay");
    tokio::join!(is_heard(&mut at_bob), is_heard(&mut at_ada));
    assert_eq!(ours.sid(), track.sid);
    // What is begun after it works as well.
    let (third, _third) = sings(&ada, Format::WIRE).await;
    let mut third = within("a subscription", async {
        published(&mut of_bob).await;
        bob.subscribe(&third.sid(), 48_000).await.unwrap()
    })
    .await;
    is_heard(&mut third).await;
}

#[tokio::test]
async fn another_stay_publishes_and_reads_again() {
    let venue = Venue::new();
    let middle = Middle::before(&venue).await;
    let (ada, mut of_ada) = middle.join(&venue, "ada").await;
    let (bob, mut of_bob) = venue.join("bob").await;
    gather(&[&ada, &bob]).await;
    let (ours, _ours) = sings(&ada, Format::WIRE).await;
    let (theirs, _theirs) = sings(&bob, Format::WIRE).await;
    published(&mut of_bob).await;
    published(&mut of_ada).await;
    let mut at_ada = within("a subscription", ada.subscribe(&theirs.sid(), 48_000)).await.unwrap();
    is_heard(&mut at_ada).await;
    let before = ours.sid();
    middle
        .say(Response::Leave(proto::LeaveRequest { action: Action::Reconnect as i32, ..Default::default() }));
    assert!(back(&mut of_ada).await, "another stay");
    let (_, track) = published(&mut of_bob).await;
    assert_ne!(track.sid, before);
    assert_eq!(track.sid, ours.sid());
    let mut at_bob = within("a subscription", bob.subscribe(&track.sid, 48_000)).await.unwrap();
    tokio::join!(is_heard(&mut at_bob), is_heard(&mut at_ada));
}

#[tokio::test]
async fn what_is_not_allowed_or_not_there_is_refused() {
    let venue = Venue::new();
    let (ada, mut of_ada) = venue.join("ada").await;
    let (bob, _) = venue.join("bob").await;
    let grants = json!({ "canPublish": false, "canSubscribe": false });
    let (eve, _) = venue.join_with(venue.token_with("eve", &grants, "")).await;
    let (mallory, _) =
        venue.join_with(venue.token_with("mallory", &json!({ "canPublishSources": ["camera"] }), "")).await;
    let (song, _singer) = sings(&bob, Format::WIRE).await;
    published(&mut of_ada).await;
    for refused in [&eve, &mallory] {
        let publish = refused.publish_audio(AudioTrackOptions::default());
        assert_eq!(within("a refusal", publish).await.err().unwrap().code, Code::PermissionDenied);
    }
    let error = within("a refusal", eve.subscribe(&song.sid(), 48_000)).await.err().unwrap();
    assert_eq!(error.code, Code::PermissionDenied);
    for (sid, rate) in [("TR_none", 48_000), (song.sid().as_str(), 44_100)] {
        let error = within("a refusal", ada.subscribe(sid, rate)).await.err().unwrap();
        assert_eq!(error.code, Code::InvalidArgument, "{error}");
    }
}

#[tokio::test]
async fn the_room_of_python_hears_us_and_we_it() {
    let venue = Venue::new();
    let _witness = Witness::python(&venue).await;
    let (ada, mut events) = venue.join("ada").await;
    eventually("the witness is there", || {
        ada.participant("witness").is_some_and(|witness| witness.is_active)
    })
    .await;
    let (song, _singer) = sings(&ada, Format::SPEECH).await;
    told(&mut events, "heard", |levels| {
        let level = |at: usize| levels[at].as_f64().unwrap();
        // Next to nothing but the tone.
        (level(0) - f64::from(LEVEL)).abs() < 2.0 && level(1) - level(0) < 1.0
    })
    .await;
    song.set_muted(true);
    told(&mut events, "saw", |what| what == "muted").await;
    song.set_muted(false);
    told(&mut events, "saw", |what| what == "unmuted").await;
    within("a packet", ada.publish("sing", "", &["witness"], true)).await.unwrap();
    let (publisher, track) = published(&mut events).await;
    assert_eq!((publisher.identity.as_str(), track.name.as_str()), ("witness", "song"));
    let mut stream = within("a subscription", ada.subscribe(&track.sid, 48_000)).await.unwrap();
    is_heard(&mut stream).await;
    within("a packet", ada.publish("hush", "", &["witness"], true)).await.unwrap();
    within("the end", async { while stream.next().await.is_some() {} }).await;
    within("an end", song.unpublish()).await.unwrap();
    told(&mut events, "saw", |what| what == "unpublished").await;
}

/// Waits until the witness tells what is meant.
async fn told(events: &mut RoomEvents, topic: &str, is_meant: impl Fn(&serde_json::Value) -> bool) {
    event(events, topic, |event| match event {
        RoomEvent::Data(data) if data.topic == topic => {
            is_meant(&serde_json::from_slice(&data.payload).unwrap()).then_some(())
        }
        _ => None,
    })
    .await;
}
