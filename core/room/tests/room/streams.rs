//! Byte and text streams.

use greenroom_protocol::Code;
use greenroom_room::{IncomingStream, IncomingStreams, SendOptions};
use sha2::{Digest, Sha256};

use crate::venue::{Venue, eventually, gather, noise, within};

async fn next(streams: &mut IncomingStreams) -> IncomingStream {
    within("a stream", streams.next()).await.unwrap()
}

#[tokio::test]
async fn four_mebibytes_both_ways_compressed_and_not() {
    let venue = Venue::new();
    let ((ada, _), (bob, _)) = venue.pair().await;
    let mut to_ada = ada.receive("files").unwrap();
    let mut to_bob = bob.receive("files").unwrap();
    let random = noise(4 << 20);
    let text = "all work and no play ".repeat((4 << 20) / 21).into_bytes();
    for (content, compress) in [(&random, false), (&random, true), (&text, true), (&text, false)] {
        let sum = Sha256::digest(content);
        for (from, to, streams) in [(&ada, "bob", &mut to_bob), (&bob, "ada", &mut to_ada)] {
            let mut options = SendOptions::new("files").to([to]);
            options.compress = compress;
            options.name = Some("blob.bin".to_owned());
            options.attributes.insert("k".to_owned(), "v".to_owned());
            let receive = async {
                let stream = next(streams).await;
                let info = stream.info.clone();
                (info, within("all of it", stream.read_all()).await.unwrap())
            };
            let (id, (info, received)) = tokio::join!(from.send_bytes(content, options), receive);
            assert_eq!(info.id, id.unwrap());
            assert_eq!(
                (info.name.as_str(), info.attributes["k"].as_str(), info.is_text),
                ("blob.bin", "v", false)
            );
            assert_eq!(info.from, from.local().identity);
            assert_eq!(info.total_length, Some(content.len() as u64));
            assert_eq!(Sha256::digest(&received), sum);
        }
    }
}

#[tokio::test]
async fn text_arrives_as_text() {
    let venue = Venue::new();
    let ((ada, _), (bob, _)) = venue.pair().await;
    let mut to_bob = bob.receive("chat").unwrap();
    for text in ["", "héllo ✓", &"✓".repeat(50_000)] {
        within("a send", ada.send_text(text, SendOptions::new("chat"))).await.unwrap();
        let stream = next(&mut to_bob).await;
        assert!(stream.info.is_text);
        assert_eq!(within("all of it", stream.read_all()).await.unwrap(), text);
    }
}

#[tokio::test]
async fn a_stream_for_one_shows_nobody_else_a_byte_of_it() {
    let venue = Venue::new();
    let (ada, _) = venue.join("ada").await;
    let (bob, _) = venue.join("bob").await;
    let (eve, _) = venue.join("eve").await;
    gather(&[&ada, &bob, &eve]).await;
    let mut to_bob = bob.receive("secrets").unwrap();
    let mut to_eve = eve.receive("public").unwrap();
    for size in [200, 14_900, 20_000, 300_000] {
        let content = noise(size);
        within("a send", ada.send_bytes(&content, SendOptions::new("secrets").to(["bob"]))).await.unwrap();
        assert_eq!(within("all of it", next(&mut to_bob).await.read_all()).await.unwrap(), content);
    }
    // What was sent before this, eve would have before this.
    within("a send", ada.send_text("hello", SendOptions::new("public").to(["eve"]))).await.unwrap();
    assert_eq!(within("all of it", next(&mut to_eve).await.read_all()).await.unwrap(), "hello");
    assert_eq!(eve.counts().stream_packets, 1);
}

#[tokio::test]
async fn a_long_stream_does_not_hold_up_a_short_one() {
    let venue = Venue::new();
    let ((ada, _), (bob, _)) = venue.pair().await;
    let mut long = bob.receive("long").unwrap();
    let mut short = bob.receive("short").unwrap();
    let content = noise(16 << 20);
    // The reader of the short one may be the last that a busy machine lets run, though it was there first.
    for _ in 0..5 {
        let sending = tokio::spawn({
            let (ada, content) = (ada.clone(), content.clone());
            async move { ada.send_bytes(content, SendOptions::new("long")).await }
        });
        let mut stream = next(&mut long).await;
        ada.send_text("quick", SendOptions::new("short")).await.unwrap();
        assert_eq!(within("the short one", next(&mut short).await.read_all()).await.unwrap(), "quick");
        let has_overtaken = !sending.is_finished();
        let mut size = 0;
        while let Some(chunk) = within("more of the long one", stream.next()).await {
            size += chunk.unwrap().len();
        }
        assert_eq!(size, content.len());
        within("the long one", sending).await.unwrap().unwrap();
        if has_overtaken {
            return;
        }
    }
    panic!("the short one comes only after the long one");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_broken_off() {
    let venue = Venue::new();
    let (ada, _) = venue.join("ada").await;
    let mut options = venue.options(venue.token("bob"));
    options.limits.agent_message = 100_000;
    let (bob, _) = within("a join", greenroom_room::Room::connect(options)).await.unwrap();
    venue.announce("bob");
    gather(&[&ada, &bob]).await;
    let mut to_bob = bob.receive("files").unwrap();
    within("a send", ada.send_bytes(noise(1 << 20), SendOptions::new("files"))).await.unwrap();
    let stream = next(&mut to_bob).await;
    eventually("all has come", || bob.counts().stream_packets >= 71).await;
    let error = within("a failure", stream.read_all()).await.unwrap_err();
    assert_eq!(error.code, Code::TooLarge);
    // It was the stream's end, not the topic's.
    within("a send", ada.send_bytes(b"again", SendOptions::new("files"))).await.unwrap();
    assert_eq!(within("all of it", next(&mut to_bob).await.read_all()).await.unwrap(), "again");
}

#[tokio::test]
async fn a_stream_ends_with_its_sender() {
    let venue = Venue::new();
    let ((ada, _), (bob, _)) = venue.pair().await;
    let mut to_bob = bob.receive("files").unwrap();
    let sending = tokio::spawn({
        let ada = ada.clone();
        async move { ada.send_bytes(noise(32 << 20), SendOptions::new("files")).await }
    });
    let stream = next(&mut to_bob).await;
    venue.remove("ada");
    let error = within("a failure", stream.read_all()).await.unwrap_err();
    assert!(error.message.contains("broken off"), "{error}");
    assert!(within("a failure", sending).await.unwrap().unwrap_err().message.contains("removed"));
}

#[tokio::test]
async fn a_topic_is_received_once() {
    let venue = Venue::new();
    let (ada, _) = venue.join("ada").await;
    let first = ada.receive("t").unwrap();
    assert_eq!(ada.receive("t").map(drop).unwrap_err().code, Code::InvalidArgument);
    drop(first);
    ada.receive("t").unwrap();
}
