//! What a server tells a client to do, and what it says that nobody understands.

use greenroom_room::{DisconnectReason, RoomEvent, RoomEvents};
use livekit_protocol as proto;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_response::Message as Response;

use crate::middle::Middle;
use crate::server::{Server, usual_config};
use crate::venue::{Venue, carries, event, gather, knows, within};

fn leave(action: Action, reason: proto::DisconnectReason, regions: &[&str]) -> Response {
    let region = |url: &&str| proto::RegionInfo { url: (*url).to_owned(), ..Default::default() };
    let regions = proto::RegionSettings { regions: regions.iter().map(region).collect() };
    Response::Leave(proto::LeaveRequest {
        action: action as i32,
        reason: reason as i32,
        regions: (!regions.regions.is_empty()).then_some(regions),
        ..Default::default()
    })
}

/// Waits until the connection is back; whether it is another stay in the room.
pub(crate) async fn back(events: &mut RoomEvents) -> bool {
    event(events, "an interruption", |event| matches!(event, RoomEvent::Reconnecting).then_some(())).await;
    event(events, "the way back", |event| match event {
        RoomEvent::Reconnected { fresh } => Some(fresh),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn to_resume() {
    let venue = Venue::new();
    let middle = Middle::before(&venue).await;
    let (ada, mut events) = middle.join(&venue, "ada").await;
    let (bob, _) = venue.join("bob").await;
    gather(&[&ada, &bob]).await;
    let sid = ada.local().sid;
    middle.say(leave(Action::Resume, proto::DisconnectReason::UnknownReason, &[]));
    assert!(!back(&mut events).await, "the same stay");
    assert_eq!(ada.local().sid, sid);
    carries(&ada, &bob, 10_000).await;
}

#[tokio::test]
async fn to_join_anew() {
    let venue = Venue::new();
    let middle = Middle::before(&venue).await;
    let (ada, mut events) = middle.join(&venue, "ada").await;
    let sid = ada.local().sid;
    middle.say(leave(Action::Reconnect, proto::DisconnectReason::UnknownReason, &[]));
    assert!(back(&mut events).await, "another stay");
    assert_ne!(ada.local().sid, sid);
    let (bob, _) = venue.join("bob").await;
    venue.announce("ada");
    gather(&[&ada, &bob]).await;
    carries(&ada, &bob, 10_000).await;
}

#[tokio::test]
async fn to_go_to_another_server() {
    let venue = Venue::new();
    let middle = Middle::before(&venue).await;
    let (ada, mut events) = middle.join(&venue, "ada").await;
    let other = Server::start(usual_config());
    let there = Venue { server: &other, name: venue.name.clone() };
    let (bob, _) = there.join("bob").await;
    middle.say(leave(Action::Reconnect, proto::DisconnectReason::Migration, &[&other.url()]));
    assert!(back(&mut events).await, "another stay");
    there.announce("ada");
    gather(&[&ada, &bob]).await;
    carries(&bob, &ada, 10_000).await;
}

#[tokio::test]
async fn to_go_and_why() {
    use proto::DisconnectReason as Wire;
    let venue = Venue::new();
    for (wire, reason, text) in [
        (Wire::ServerShutdown, DisconnectReason::ServerShutdown, "shut down"),
        (Wire::StateMismatch, DisconnectReason::StateMismatch, "does not know the connection"),
        (Wire::RoomClosed, DisconnectReason::RoomClosed, "the room closed"),
        (Wire::ConnectionTimeout, DisconnectReason::ConnectionTimeout, "too long"),
        (Wire::UnknownReason, DisconnectReason::Unknown, "does not say why"),
    ] {
        let middle = Middle::before(&venue).await;
        let (ada, mut events) = middle.join(&venue, "ada").await;
        let waiting = tokio::spawn({
            let ada = ada.clone();
            async move { ada.set_metadata("unheard").await }
        });
        middle.say(leave(Action::Disconnect, wire, &[]));
        let disconnected = event(&mut events, "the end", |event| match event {
            RoomEvent::Disconnected(disconnected) => Some(disconnected),
            _ => None,
        });
        let disconnected = disconnected.await;
        assert_eq!(disconnected.reason, reason);
        assert!(disconnected.message.contains(text), "{}", disconnected.message);
        let _ = within("what waited", waiting).await.unwrap();
        let error = within("a failure", ada.publish("t", "x", &[], true)).await.unwrap_err();
        assert_eq!(error.message, disconnected.message);
    }
}

#[tokio::test]
async fn a_token_that_was_refreshed_is_the_one_of_the_next_join() {
    let server = Server::start(usual_config());
    let name = Venue::on(&server).name;
    let venue = Venue { server: &server, name: name.clone() };
    let (ada, mut events) = venue.join("ada").await;
    // The server signs another token for who has another name.
    venue.rename("ada", "Countess");
    let countess = event(&mut events, "the name", |event| match event {
        RoomEvent::ParticipantChanged(participant) => (participant.name == "Countess").then_some(()),
        _ => None,
    });
    countess.await;
    // What the server said before it answers this, has come.
    within("a change", ada.set_metadata("heard")).await.unwrap();
    let server = server.start_again();
    assert!(back(&mut events).await, "another stay");
    assert_eq!(ada.local().name, "Countess");
    let venue = Venue { server: &server, name };
    let (bob, _) = venue.join("bob").await;
    venue.announce("ada");
    knows(&bob, "ada", |ada| ada.name == "Countess").await;
}

#[tokio::test]
async fn what_nobody_understands_changes_nothing() {
    let venue = Venue::new();
    let middle = Middle::before(&venue).await;
    let (ada, mut events) = middle.join(&venue, "ada").await;
    let (bob, _) = venue.join("bob").await;
    gather(&[&ada, &bob]).await;
    let sid = ada.local().sid;
    let description = |sdp: &str, id| proto::SessionDescription {
        r#type: "answer".to_owned(),
        sdp: sdp.to_owned(),
        id,
        ..Default::default()
    };
    for sdp in ["", "v=0", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nm=audio 9 X 0\r\n", "\0\u{ffff}"] {
        for id in [0, 1, u32::MAX] {
            middle.say(Response::Answer(description(sdp, id)));
        }
    }
    for candidate in [
        "",
        "{}",
        "[1]",
        r#"{"candidate":""}"#,
        r#"{"candidate":"candidate:1 1 udp 1 256.1.1.1 1 typ host"}"#,
        r#"{"candidate":"candidate:1 1 tcp 99999999999999 127.0.0.1 0 typ host tcptype passive"}"#,
        r#"{"candidate":"candidate:1 1 udp 1 0.0.0.0 9 typ relay raddr :: rport 0"}"#,
    ] {
        middle.say(Response::Trickle(proto::TrickleRequest {
            candidate_init: candidate.to_owned(),
            ..Default::default()
        }));
    }
    middle.say(Response::Update(proto::ParticipantUpdate { participants: vec![Default::default()] }));
    middle.say(Response::RequestResponse(proto::RequestResponse { request_id: 77, ..Default::default() }));
    middle.say_raw(vec![0xff; 1_000]);
    middle.say_raw(Vec::new());
    within("a change", ada.set_metadata("after")).await.unwrap();
    carries(&ada, &bob, 10_000).await;
    carries(&bob, &ada, 10_000).await;
    assert_eq!(ada.local().sid, sid);
    assert!(ada.disconnected().is_none());
    drop(ada);
    let interrupted = async {
        while let Some(event) = events.next().await {
            assert!(!matches!(event, RoomEvent::Reconnecting), "interrupted");
        }
    };
    within("the end", interrupted).await;
}
