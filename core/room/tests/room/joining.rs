//! Who is in a room, and how one gets in or not.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::Code;
use greenroom_room::{ParticipantKind, Room, RoomEvent, RoomOptions};
use livekit_protocol as proto;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::venue::{Venue, event, gather, knows, signed, within};

async fn refused(options: RoomOptions) -> greenroom_protocol::Error {
    match within("a refusal", Room::connect(options)).await {
        Ok(_) => panic!("joined"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_room_says_who_we_are() {
    let venue = Venue::new();
    let (room, _) = venue.join_with(venue.manager_token("ada")).await;
    let local = room.local();
    assert_eq!((local.identity.as_str(), local.name.as_str()), ("ada", "ada"));
    assert_eq!(local.kind, ParticipantKind::Standard);
    assert!(local.sid.starts_with("PA_"));
    assert!(local.can_manage_agent_session());
    assert!(local.permissions.unwrap().can_publish_data);
    assert_eq!(room.info().name, venue.name);
    assert!(room.info().sid.starts_with("RM_"));
    assert!(room.participants().is_empty());
    within("a leave", room.disconnect()).await;
}

#[tokio::test]
async fn two_see_each_other_come_change_and_go() {
    let venue = Venue::new();
    let (ada, mut events) = venue.join("ada").await;
    let (bob, _) = venue.join_with(venue.agent_token("bob")).await;
    venue.announce("bob");
    let joined = event(&mut events, "bob joins", |event| match event {
        RoomEvent::ParticipantJoined(participant) => Some(participant),
        _ => None,
    });
    let joined = joined.await;
    assert_eq!((joined.identity.as_str(), joined.kind), ("bob", ParticipantKind::Agent));
    assert!(!joined.can_manage_agent_session());
    gather(&[&ada, &bob]).await;

    within("a change", bob.set_attributes([("mood".to_owned(), "bright".to_owned())])).await.unwrap();
    assert_eq!(bob.local().attributes["mood"], "bright");
    knows(&ada, "bob", |bob| bob.attributes.get("mood").is_some_and(|mood| mood == "bright")).await;
    assert_eq!(bob.local().metadata, "announced", "the rest stays as it is");
    within("a change", bob.set_metadata("hello")).await.unwrap();
    knows(&ada, "bob", |bob| bob.metadata == "hello").await;

    within("a leave", bob.disconnect()).await;
    let left = event(&mut events, "bob leaves", |event| match event {
        RoomEvent::ParticipantLeft { participant, .. } => Some(participant),
        _ => None,
    });
    assert_eq!(left.await.sid, joined.sid);
    assert!(ada.participants().is_empty());
}

#[tokio::test]
async fn a_grant_that_changes_is_told_to_all() {
    let venue = Venue::new();
    let ((ada, mut of_ada), (bob, mut of_bob)) = venue.pair().await;
    for grant in [true, false] {
        let permission = json!({
            "canSubscribe": true, "canPublish": true, "canPublishData": true, "canManageAgentSession": grant,
        });
        venue.set_permission("bob", &permission);
        for events in [&mut of_ada, &mut of_bob] {
            event(events, "bob's permissions", |event| match event {
                RoomEvent::PermissionsChanged(participant) if participant.identity == "bob" => {
                    (participant.can_manage_agent_session() == grant).then_some(())
                }
                _ => None,
            })
            .await;
        }
        assert_eq!(bob.local().can_manage_agent_session(), grant);
        assert_eq!(ada.participant("bob").unwrap().can_manage_agent_session(), grant);
    }
}

#[tokio::test]
async fn a_change_of_oneself_needs_the_grant() {
    let venue = Venue::new();
    let token = venue.token_with("ada", &json!({ "canUpdateOwnMetadata": false }), "");
    let (ada, _) = venue.join_with(token).await;
    let error = within("a refusal", ada.set_metadata("x")).await.unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
}

#[tokio::test]
async fn a_token_of_another_key_is_refused() {
    let venue = Venue::new();
    let token = format!("{}x", venue.token("ada"));
    let error = refused(venue.options(token.clone())).await;
    assert_eq!(error.code, Code::PermissionDenied);
    assert!(error.message.contains("refused the token"), "{error}");
    assert!(!error.message.contains(&token), "a token has no place in an error");
}

#[tokio::test]
async fn a_token_without_a_room_is_refused() {
    let venue = Venue::new();
    let error = refused(venue.options(signed(&json!({ "sub": "ada", "video": {} })))).await;
    assert_eq!(error.code, Code::PermissionDenied);
}

#[tokio::test]
async fn what_is_no_url_or_no_token_is_told_apart() {
    for (url, token, what) in [
        ("localhost:7880", "t", "not the url of a LiveKit server"),
        ("ftp://localhost", "t", "its scheme is none of"),
        ("ws://ada:secret@localhost", "t", "takes a token instead"),
        ("ws://localhost", "two\nlines", "characters that no token has"),
    ] {
        let error = refused(RoomOptions::new(url, token)).await;
        assert_eq!(error.code, Code::InvalidArgument, "{error}");
        assert!(error.message.contains(what), "{error}");
        assert!(!error.message.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(RoomOptions::new(format!("ws://{nobody}"), "t")).await;
    assert_eq!(error.code, Code::Io);
    assert!(error.message.contains(&nobody.to_string()), "{error}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_apart() {
    let venue = Venue::new();
    let url = venue.server.url().replace("ws://", "wss://");
    let error = refused(RoomOptions::new(url, venue.token("ada"))).await;
    assert_eq!(error.code, Code::Io);
    assert!(error.message.contains("no signal connection"), "{error}");
}

/// Answers as servers did that have no single peer connection: not under `/rtc/v1`, but under `/rtc`.
async fn old_server(listener: tokio::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        #[allow(clippy::result_large_err, reason = "the callback's type is the library's")]
        let only_old = |request: &Request, response: Response| {
            if request.uri().path() == "/rtc" {
                return Ok(response);
            }
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::NOT_FOUND;
            Err(refusal)
        };
        let Ok(mut connection) = tokio_tungstenite::accept_hdr_async(stream, only_old).await else {
            continue;
        };
        let join = proto::JoinResponse {
            server_info: Some(proto::ServerInfo {
                version: "1.8.4".to_owned(),
                protocol: 15,
                ..Default::default()
            }),
            ping_interval: 5,
            ping_timeout: 15,
            ..Default::default()
        };
        let join = proto::SignalResponse { message: Some(proto::signal_response::Message::Join(join)) };
        let _ = connection.send(Message::binary(prost::Message::encode_to_vec(&join))).await;
        while let Some(Ok(_)) = connection.next().await {}
    }
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_with_its_version() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let _server = tokio::spawn(old_server(listener));
    let error = refused(RoomOptions::new(url, "t")).await;
    assert_eq!(error.code, Code::Unsupported);
    assert!(error.message.contains("1.8.4") && error.message.contains("protocol 15"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = RoomOptions::new(format!("ws://{}", silent.local_addr().unwrap()), "t");
    options.connect_timeout = Duration::from_millis(300);
    let error = refused(options).await;
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("signal connection in time"), "{error}");
}

#[tokio::test]
async fn a_join_that_is_given_up_leaves_nothing() {
    let venue = Venue::new();
    let (ada, mut events) = venue.join("ada").await;
    // At every await: the joins are given up after ever longer.
    for micros in (0..40_000).step_by(4_000) {
        let options = venue.options(venue.token("bob"));
        let _ = tokio::time::timeout(Duration::from_micros(micros), Room::connect(options)).await;
    }
    let (bob, _) = venue.join("bob").await;
    knows(&ada, "bob", |known| known.sid == bob.local().sid).await;
    drop(bob);
    event(&mut events, "bob leaves", |event| match event {
        RoomEvent::ParticipantLeft { participant, .. } => (participant.identity == "bob").then_some(()),
        _ => None,
    })
    .await;
}
