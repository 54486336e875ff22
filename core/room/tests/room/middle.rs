//! A server in the middle: it passes signal messages on, and says to the client what a test wants said.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use greenroom_room::Room;
use greenroom_room::{RoomEvents, RoomOptions};
use livekit_protocol as proto;
use livekit_protocol::signal_response::Message as Response;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response as Upgrade};

use crate::venue::{Venue, within};

pub(crate) struct Middle {
    address: SocketAddr,
    words: broadcast::Sender<Vec<u8>>,
}

impl Middle {
    pub(crate) async fn before(venue: &Venue<'_>) -> Self {
        Self::naming(venue, &[]).await
    }

    /// One that names these candidates before those of the server.
    pub(crate) async fn naming(venue: &Venue<'_>, candidates: &[String]) -> Self {
        let named: Arc<[Vec<u8>]> = candidates.iter().map(|candidate| named(candidate)).collect();
        let server = venue.server.address();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (words, _) = broadcast::channel(64);
        let to_say = words.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, server, to_say.subscribe(), Arc::clone(&named)));
            }
        });
        Self { address, words }
    }

    /// Joins through it.
    pub(crate) async fn join(&self, venue: &Venue<'_>, identity: &str) -> (Room, RoomEvents) {
        let options = RoomOptions::new(format!("ws://{}", self.address), venue.token(identity));
        let joined = within("a join", Room::connect(options)).await.unwrap();
        venue.announce(identity);
        joined
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Says something to the clients.
    pub(crate) fn say(&self, message: Response) {
        self.say_raw(proto::SignalResponse { message: Some(message) }.encode_to_vec());
    }

    pub(crate) fn say_raw(&self, bytes: Vec<u8>) {
        self.words.send(bytes).unwrap();
    }
}

/// The message that names a candidate.
fn named(candidate: &str) -> Vec<u8> {
    let init = serde_json::json!({ "candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0 });
    let trickle = proto::TrickleRequest { candidate_init: init.to_string(), ..Default::default() };
    proto::SignalResponse { message: Some(Response::Trickle(trickle)) }.encode_to_vec()
}

async fn pass_on(
    stream: TcpStream,
    server: SocketAddr,
    mut words: broadcast::Receiver<Vec<u8>>,
    named: Arc<[Vec<u8>]>,
) {
    let mut asked = None;
    #[allow(clippy::result_large_err, reason = "the callback's type is the library's")]
    let look = |request: &Request, answer: Upgrade| {
        let path = request.uri().path_and_query().unwrap().as_str().to_owned();
        asked = Some((path, request.headers()["authorization"].clone()));
        Ok(answer)
    };
    let Ok(mut near) = tokio_tungstenite::accept_hdr_async(stream, look).await else { return };
    let (path, authorization) = asked.unwrap();
    let mut request = format!("ws://{server}{path}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", authorization);
    let Ok(far) = TcpStream::connect(server).await else { return };
    let Ok((mut far, _)) = tokio_tungstenite::client_async(request, far).await else { return };
    // A client looks at nothing before the answer to its join.
    let Some(Ok(join)) = far.next().await else { return };
    for message in std::iter::once(join).chain(named.iter().cloned().map(Message::binary)) {
        if near.send(message).await.is_err() {
            return;
        }
    }
    loop {
        let passed = tokio::select! {
            message = far.next() => match message {
                Some(Ok(message)) => near.send(message).await,
                _ => return,
            },
            message = near.next() => match message {
                Some(Ok(message)) => far.send(message).await,
                _ => return,
            },
            word = words.recv() => near.send(Message::binary(word.unwrap())).await,
        };
        if passed.is_err() {
            return;
        }
    }
}
