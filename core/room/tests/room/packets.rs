//! Data packets.

use greenroom_protocol::Code;
use greenroom_room::{Data, RoomEvent, RoomEvents};
use serde_json::json;

use crate::venue::{Venue, event, gather, within};

async fn data(events: &mut RoomEvents) -> Data {
    event(events, "a data packet", |event| match event {
        RoomEvent::Data(data) => Some(data),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn reliable_packets_arrive_all_and_in_order() {
    let venue = Venue::new();
    let ((ada, _), (_bob, mut events)) = venue.pair().await;
    for n in 0..200_u32 {
        within("a packet", ada.publish("count", n.to_be_bytes().to_vec(), &[], true)).await.unwrap();
    }
    for n in 0..200_u32 {
        let packet = data(&mut events).await;
        assert_eq!(packet.payload, n.to_be_bytes().as_slice());
        assert_eq!((packet.from.as_str(), packet.topic.as_str(), packet.reliable), ("ada", "count", true));
    }
}

#[tokio::test]
async fn lossy_packets_arrive_too() {
    let venue = Venue::new();
    let ((ada, _), (_bob, mut events)) = venue.pair().await;
    within("a lossy packet of many", async {
        loop {
            ada.publish("level", "0.5", &[], false).await.unwrap();
            let arrived =
                tokio::time::timeout(std::time::Duration::from_millis(200), data(&mut events)).await;
            if let Ok(packet) = arrived {
                assert!(!packet.reliable);
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_packet_for_one_reaches_nobody_else() {
    let venue = Venue::new();
    let (ada, _) = venue.join("ada").await;
    let (bob, mut of_bob) = venue.join("bob").await;
    let (eve, mut of_eve) = venue.join("eve").await;
    gather(&[&ada, &bob, &eve]).await;
    ada.publish("t", "for bob", &["bob"], true).await.unwrap();
    ada.publish("t", "for all", &[], true).await.unwrap();
    assert_eq!(data(&mut of_bob).await.payload, "for bob");
    assert_eq!(data(&mut of_bob).await.payload, "for all");
    assert_eq!(data(&mut of_eve).await.payload, "for all");
    assert_eq!(eve.counts().data_packets, 1);
}

#[tokio::test]
async fn what_is_too_large_or_not_allowed_is_refused_here() {
    let venue = Venue::new();
    let (ada, _) = venue.join("ada").await;
    let error = within("a refusal", ada.publish("t", vec![0; 64_000], &[], true)).await.unwrap_err();
    assert_eq!(error.code, Code::TooLarge);
    let (bob, _) = venue.join_with(venue.token_with("bob", &json!({ "canPublishData": false }), "")).await;
    let error = within("a refusal", bob.publish("t", "x", &[], true)).await.unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
}
