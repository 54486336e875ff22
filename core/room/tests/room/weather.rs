//! Bad networks, at the client's own sockets.

use std::process::Command;
use std::time::Duration;

use greenroom_room::Room;
use greenroom_room::{Impairment, RoomEvent, RoomEvents};

use crate::server::{Server, usual_config};
use crate::venue::{Venue, carries, event, eventually, gather, within};

async fn count_to(limit: u32, from: &Room, events: &mut RoomEvents) {
    for n in 0..limit {
        within("a packet", from.publish("count", n.to_be_bytes().to_vec(), &[], true)).await.unwrap();
    }
    for n in 0..limit {
        let payload = event(events, "a packet", |event| match event {
            RoomEvent::Data(data) => Some(data.payload),
            _ => None,
        });
        assert_eq!(payload.await, n.to_be_bytes().as_slice());
    }
}

/// All arrives, both ways, though the network of ada is bad.
async fn bears(change: impl FnOnce(&mut Impairment)) {
    let venue = Venue::new();
    let mut options = venue.options(venue.token("ada"));
    let mut impairment = Impairment::new(1);
    change(&mut impairment);
    options.impairment = Some(impairment);
    let (ada, mut of_ada) = within("a join", Room::connect(options)).await.unwrap();
    venue.announce("ada");
    let (bob, mut of_bob) = venue.join("bob").await;
    gather(&[&ada, &bob]).await;
    count_to(100, &ada, &mut of_bob).await;
    count_to(100, &bob, &mut of_ada).await;
    carries(&ada, &bob, 200_000).await;
    carries(&bob, &ada, 200_000).await;
    assert!(ada.counts().impaired > 0, "the network was bad");
}

#[tokio::test]
async fn five_percent_are_lost() {
    bears(|impairment| impairment.loss = 0.05).await;
}

#[tokio::test]
async fn a_tenth_is_overtaken() {
    bears(|impairment| impairment.reorder = 0.1).await;
}

#[tokio::test]
async fn two_hundred_milliseconds_of_jitter() {
    bears(|impairment| impairment.jitter = Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_server_that_stands_still_for_twenty_seconds() {
    let server = Server::start(usual_config());
    let venue = Venue::on(&server);
    let ((ada, mut of_ada), (bob, _)) = venue.pair().await;
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &server.id().to_string()]).status();
        assert!(status.unwrap().success());
    };
    signal("-STOP");
    event(&mut of_ada, "an interruption", |event| matches!(event, RoomEvent::Reconnecting).then_some(()))
        .await;
    // What is measured here is how long it lasts.
    tokio::time::sleep(Duration::from_secs(17)).await;
    signal("-CONT");
    event(&mut of_ada, "the way back", |event| matches!(event, RoomEvent::Reconnected { .. }).then_some(()))
        .await;
    venue.announce("ada");
    eventually("they know each other again", || {
        let knows = |one: &Room, other: &Room| {
            let other = other.local();
            one.participant(&other.identity).is_some_and(|known| known.sid == other.sid)
        };
        knows(&ada, &bob) && knows(&bob, &ada)
    })
    .await;
    carries(&bob, &ada, 10_000).await;
    carries(&ada, &bob, 10_000).await;
}
