//! A room for one test: who joins it, and what the server's API does to it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use greenroom_room::{Participant, Room, RoomEvent, RoomEvents, RoomOptions, SendOptions};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::server::{KEY, SECRET, Server};

/// No wait of these tests is longer than this, unless something hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A room on a server.
pub(crate) struct Venue<'a> {
    pub(crate) server: &'a Server,
    pub(crate) name: String,
}

impl Venue<'static> {
    /// A room on the shared server.
    pub(crate) fn new() -> Self {
        Self::on(Server::shared())
    }
}

impl<'a> Venue<'a> {
    pub(crate) fn on(server: &'a Server) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self { server, name: format!("room-{}", NEXT.fetch_add(1, Ordering::Relaxed)) }
    }

    /// A token to join this room.
    pub(crate) fn token(&self, identity: &str) -> String {
        self.token_with(identity, &json!({}), "")
    }

    /// A token to join this room as an agent.
    pub(crate) fn agent_token(&self, identity: &str) -> String {
        self.token_with(identity, &json!({ "agent": true }), "agent")
    }

    /// A token that grants canManageAgentSession.
    pub(crate) fn manager_token(&self, identity: &str) -> String {
        self.token_with(identity, &json!({ "canManageAgentSession": true }), "")
    }

    /// A token with more grants.
    pub(crate) fn token_with(&self, identity: &str, grants: &Value, kind: &str) -> String {
        let mut video = json!({
            "roomJoin": true, "room": self.name, "canPublish": true, "canSubscribe": true, "canPublishData": true,
            "canUpdateOwnMetadata": true,
        });
        for (name, value) in grants.as_object().unwrap() {
            video[name] = value.clone();
        }
        signed(&json!({ "sub": identity, "name": identity, "kind": kind, "video": video }))
    }

    pub(crate) fn options(&self, token: String) -> RoomOptions {
        RoomOptions::new(self.server.url(), token)
    }

    /// Joins with a token.
    pub(crate) async fn join_with(&self, token: String) -> (Room, RoomEvents) {
        within("a join", Room::connect(self.options(token))).await.unwrap()
    }

    /// Joins, and lets the others know at once.
    pub(crate) async fn join(&self, identity: &str) -> (Room, RoomEvents) {
        let joined = self.join_with(self.token(identity)).await;
        self.announce(identity);
        joined
    }

    /// Ada and bob, who know each other.
    pub(crate) async fn pair(&self) -> ((Room, RoomEvents), (Room, RoomEvents)) {
        let (ada, bob) = (self.join("ada").await, self.join("bob").await);
        gather(&[&ada.0, &bob.0]).await;
        (ada, bob)
    }

    /// Makes the server tell the others of a newcomer at once, which it else does every 3 s: changes its metadata.
    pub(crate) fn announce(&self, identity: &str) {
        self.update(identity, &json!({ "metadata": "announced" }));
    }

    /// Gives a participant another name.
    pub(crate) fn rename(&self, identity: &str, name: &str) {
        self.update(identity, &json!({ "name": name }));
    }

    pub(crate) fn set_permission(&self, identity: &str, permission: &Value) {
        self.update(identity, &json!({ "permission": permission }));
    }

    fn update(&self, identity: &str, change: &Value) {
        let mut body = change.clone();
        body["room"] = json!(self.name);
        body["identity"] = json!(identity);
        self.call("UpdateParticipant", &body);
    }

    pub(crate) fn remove(&self, identity: &str) {
        self.call("RemoveParticipant", &json!({ "room": self.name, "identity": identity }));
    }

    pub(crate) fn delete(&self) {
        self.call("DeleteRoom", &json!({ "room": self.name }));
    }

    /// Who is there, as the server has it.
    pub(crate) fn identities(&self) -> Vec<String> {
        let answer = self.call("ListParticipants", &json!({ "room": self.name }));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let listed: Value = serde_json::from_str(body).unwrap();
        let participants = listed["participants"].as_array().map(Vec::as_slice).unwrap_or_default();
        participants.iter().map(|who| who["identity"].as_str().unwrap().to_owned()).collect()
    }

    fn call(&self, method: &str, body: &Value) -> String {
        let grants = json!({ "roomAdmin": true, "roomCreate": true, "roomList": true, "room": self.name });
        self.server.call(method, &signed(&json!({ "video": grants })), body)
    }
}

/// A token of the server's, valid for an hour unless the claims say otherwise.
pub(crate) fn signed(claims: &Value) -> String {
    signed_with(KEY, SECRET, claims)
}

/// The same by another key and secret.
pub(crate) fn signed_with(key: &str, secret: &str, claims: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = claims.clone();
    claims["iss"] = json!(key);
    if claims["nbf"].is_null() {
        claims["nbf"] = json!(now - 60);
    }
    if claims["exp"].is_null() {
        claims["exp"] = json!(now + 3600);
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&json!({ "alg": "HS256", "typ": "JWT" })), encode(&claims));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| panic!("{what} took more than {DEADLINE:?}"))
}

/// Reads events until one is what is meant.
pub(crate) async fn event<T>(
    events: &mut RoomEvents,
    what: &str,
    mut is_meant: impl FnMut(RoomEvent) -> Option<T>,
) -> T {
    within(what, async {
        loop {
            let event = events.next().await.unwrap_or_else(|| panic!("the events ended before {what}"));
            if let Some(meant) = is_meant(event) {
                return meant;
            }
        }
    })
    .await
}

/// Waits until `room` knows a participant as is meant.
pub(crate) async fn knows(room: &Room, identity: &str, mut is_meant: impl FnMut(&Participant) -> bool) {
    let mut events = room.events();
    within(&format!("{identity} as meant"), async {
        while !room.participant(identity).is_some_and(|participant| is_meant(&participant)) {
            events.next().await.unwrap();
        }
    })
    .await;
}

/// Has `from` send a stream of this size to `to`, which nothing compresses, and checks what comes.
pub(crate) async fn carries(from: &Room, to: &Room, size: usize) {
    let content = noise(size);
    let mut incoming = to.receive("carried").unwrap();
    let options = SendOptions::new("carried").to([to.local().identity]);
    let receive = async {
        let stream = within("a stream", incoming.next()).await.unwrap();
        within("all of it", stream.read_all()).await.unwrap()
    };
    let (sent, received) = tokio::join!(from.send_bytes(&content, options), receive);
    sent.unwrap();
    assert!(received == content, "{} bytes of {size} came, or others", received.len());
}

/// Bytes that do not compress.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// Waits until all of these know each other.
pub(crate) async fn gather(rooms: &[&Room]) {
    for room in rooms {
        for other in rooms {
            let identity = other.local().identity;
            if identity != room.local().identity {
                knows(room, &identity, |participant| participant.is_active).await;
            }
        }
    }
}

/// Waits until something holds that nothing tells of.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
