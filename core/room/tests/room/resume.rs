//! A connection that is interrupted, by a proxy before the server.

use std::sync::Arc;

use greenroom_room::Room;
use greenroom_room::{RoomEvent, RoomOptions, SendOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::told::back;
use crate::venue::{Venue, event, gather, within};

/// Passes signal connections on, until it is told to cut them.
pub(crate) struct Proxy {
    pub(crate) url: String,
    cuts: Arc<watch::Sender<u32>>,
    _task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(venue: &Venue<'_>) -> Self {
        let server = venue.server.url().replace("ws://", "");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let cuts = Arc::new(watch::channel(0).0);
        let of_connections = Arc::clone(&cuts);
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cut = of_connections.subscribe();
                let Ok(mut behind) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut behind) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { url, cuts, _task: task }
    }

    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

#[tokio::test]
async fn a_signal_connection_that_is_cut_loses_nothing() {
    let venue = Venue::new();
    let proxy = Proxy::before(&venue).await;
    let (ada, mut of_ada) =
        within("a join", Room::connect(RoomOptions::new(&proxy.url, venue.token("ada")))).await.unwrap();
    venue.announce("ada");
    let (bob, mut of_bob) = venue.join("bob").await;
    gather(&[&ada, &bob]).await;
    let sid = ada.local().sid;
    let mut to_ada = ada.receive("files").unwrap();
    let mut to_bob = bob.receive("files").unwrap();
    let content = vec![1; 8 << 20];
    let mut options = SendOptions::new("files");
    options.compress = false;
    let stream = |from: Room, options: SendOptions| {
        let content = content.clone();
        tokio::spawn(async move { from.send_bytes(content, options).await })
    };
    let sending = [stream(ada.clone(), options.clone()), stream(bob.clone(), options)];
    let (of_bob_to_ada, of_ada_to_bob) =
        (within("a stream", to_ada.next()).await.unwrap(), within("a stream", to_bob.next()).await.unwrap());
    for n in 0..100_u32 {
        if n % 50 == 0 {
            proxy.cut();
            // Before and while it is made anew.
            for part in 0..50 {
                ada.publish("count", (n + part).to_be_bytes().to_vec(), &[], true).await.unwrap();
            }
            assert!(!back(&mut of_ada).await, "the same stay");
        }
    }
    assert_eq!(ada.local().sid, sid);
    for n in 0..100_u32 {
        let payload = event(&mut of_bob, "a packet", |event| match event {
            RoomEvent::Data(data) => Some(data.payload),
            _ => None,
        });
        assert_eq!(payload.await, n.to_be_bytes().as_slice());
    }
    assert_eq!(within("all of it", of_bob_to_ada.read_all()).await.unwrap(), content);
    assert_eq!(within("all of it", of_ada_to_bob.read_all()).await.unwrap(), content);
    for sent in sending {
        within("a send", sent).await.unwrap().unwrap();
    }
    within("a change", ada.set_metadata("after")).await.unwrap();
}
