//! What ends a stay in a room, or interrupts it.

use greenroom_protocol::Code;
use greenroom_room::Room;
use greenroom_room::{DisconnectReason, RoomEvent, RoomEvents};

use crate::server::{Server, usual_config};
use crate::told::back;
use crate::venue::{Venue, event, gather, within};

async fn end(events: &mut RoomEvents) -> DisconnectReason {
    let disconnected = event(events, "the end", |event| match event {
        RoomEvent::Disconnected(disconnected) => Some(disconnected),
        _ => None,
    });
    let disconnected = disconnected.await;
    assert!(events.next().await.is_none(), "nothing comes after the end");
    disconnected.reason
}

async fn refuses(room: &Room, what: &str) {
    let error = within("a failure", room.publish("t", "x", &[], true)).await.unwrap_err();
    assert!(error.message.contains(what), "{error}");
}

#[tokio::test]
async fn we_leave() {
    let venue = Venue::new();
    let (ada, mut events) = venue.join("ada").await;
    within("a leave", ada.disconnect()).await;
    assert_eq!(end(&mut events).await, DisconnectReason::ClientInitiated);
    let error = within("a failure", ada.publish("t", "x", &[], true)).await.unwrap_err();
    assert_eq!(error.code, Code::SessionClosed);
    within("a second leave", ada.disconnect()).await;
}

#[tokio::test]
async fn what_was_sent_before_a_leave_arrives() {
    let venue = Venue::new();
    let ((ada, _), (bob, _)) = venue.pair().await;
    let mut to_bob = bob.receive("files").unwrap();
    let content = vec![7; 1 << 20];
    let mut options = greenroom_room::SendOptions::new("files");
    options.compress = false;
    within("a send", ada.send_bytes(&content, options)).await.unwrap();
    within("a leave", ada.disconnect()).await;
    let stream = within("a stream", to_bob.next()).await.unwrap();
    assert_eq!(within("all of it", stream.read_all()).await.unwrap().len(), content.len());
}

#[tokio::test]
async fn we_are_removed() {
    let venue = Venue::new();
    let (ada, mut events) = venue.join("ada").await;
    venue.remove("ada");
    assert_eq!(end(&mut events).await, DisconnectReason::ParticipantRemoved);
    refuses(&ada, "removed").await;
}

#[tokio::test]
async fn the_room_is_deleted() {
    let venue = Venue::new();
    let (ada, mut events) = venue.join("ada").await;
    venue.delete();
    assert_eq!(end(&mut events).await, DisconnectReason::RoomDeleted);
    refuses(&ada, "deleted").await;
}

#[tokio::test]
async fn another_joins_under_our_identity() {
    let venue = Venue::new();
    let (first, mut events) = venue.join("ada").await;
    let (second, _) = venue.join("ada").await;
    assert_eq!(end(&mut events).await, DisconnectReason::DuplicateIdentity);
    refuses(&first, "same identity").await;
    within("a packet", second.publish("t", "x", &[], true)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_for_good() {
    let mut server = Server::start(usual_config());
    let (ada, mut events) = Venue::on(&server).join("ada").await;
    server.kill();
    event(&mut events, "an interruption", |event| matches!(event, RoomEvent::Reconnecting).then_some(()))
        .await;
    let waiting = tokio::spawn({
        let ada = ada.clone();
        async move { ada.publish("t", "x", &[], true).await }
    });
    within("a leave", ada.disconnect()).await;
    assert_eq!(end(&mut events).await, DisconnectReason::ClientInitiated);
    // Whether it left before the leave or not, nobody waits any more.
    let _ = within("the packet", waiting).await.unwrap();
}

#[tokio::test]
async fn a_server_that_comes_back() {
    let server = Server::start(usual_config());
    let venue_name = Venue::on(&server).name;
    let (ada, mut events) = Venue { server: &server, name: venue_name.clone() }.join("ada").await;
    let before = ada.local().sid;
    let server = server.start_again();
    assert!(back(&mut events).await, "another stay");
    assert_ne!(ada.local().sid, before);
    let venue = Venue { server: &server, name: venue_name };
    let (bob, mut of_bob) = venue.join("bob").await;
    gather(&[&ada, &bob]).await;
    within("a packet", ada.publish("t", "back", &[], true)).await.unwrap();
    event(&mut of_bob, "a packet", |event| match event {
        RoomEvent::Data(data) => (data.payload == "back").then_some(()),
        _ => None,
    })
    .await;
}
