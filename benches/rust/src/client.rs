//! A room that is joined without an SDK, and who answers in it. `benches/python/client.py` and `client.mjs` measure the same with the
//! SDKs' Rooms. The server and the token are in LIVEKIT_URL and LIVEKIT_TOKEN.

use std::time::{Duration, Instant};

use greenroom::room::{Data, RoomEvent, RoomEvents, SendOptions};
use greenroom::{Room, RoomOptions};
use procfs::process::Process;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::Outcome;
use crate::measure::{median, processor_time};
use crate::memory::resident;

/// How long an answer may take, far above what it takes.
const ANSWER: Duration = Duration::from_secs(60);
/// What a message holds, in bytes.
const MESSAGE: usize = 200;
/// What a stream holds, in bytes.
const STREAM: usize = 4 << 20;

/// Answers until standard input ends: a packet with itself, and a stream with its size once all of it is there.
pub(crate) async fn echo() -> Outcome<()> {
    let (room, mut events) = join().await?;
    let mut files = room.receive("files")?;
    println!("ready");
    let mut input = tokio::io::stdin();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(RoomEvent::Data(Data { from, topic, payload, reliable })) if topic == "ping" => {
                    room.publish("pong", payload, &[&from], reliable).await?;
                }
                Some(_) => {}
                None => return Err("the room was left".into()),
            },
            stream = files.next() => {
                let Some(stream) = stream else { continue };
                let room = room.clone();
                tokio::spawn(async move {
                    let from = stream.info.from.clone();
                    if let Ok(data) = stream.read_all().await {
                        let _ = room.publish("pong", data.len().to_string(), &[&from], true).await;
                    }
                });
            }
            _ = input.read_u8() => break,
        }
    }
    room.disconnect().await;
    Ok(())
}

/// Joins, and measures the join, round trips of packets, streams, and what they cost.
pub(crate) async fn measure(trips: u32, streams: u32) -> Outcome<Value> {
    let idle = resident()?;
    let begun = Instant::now();
    let (room, mut events) = join().await?;
    let joined = millis(begun);
    ping(&room, &mut events, &[7; MESSAGE]).await?;
    let answered = millis(begun);
    let (held, threads) = (resident()?, Process::myself()?.status()?.threads);

    let before = processor_time();
    let mut round_trips = Vec::new();
    for _ in 0..trips {
        let begun = Instant::now();
        ping(&room, &mut events, &[7; MESSAGE]).await?;
        round_trips.push(millis(begun) * 1e3);
    }
    let processor_ms = (processor_time() - before).as_secs_f64() * 1e3;

    // Noise, though nothing compresses it: so it is for the SDKs, too.
    let content: Vec<u8> = (0..STREAM as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut taken = Vec::new();
    for _ in 0..streams {
        let mut options = SendOptions::new("files").to(["echo"]);
        options.compress = false;
        let begun = Instant::now();
        room.send_bytes(&content, options).await?;
        answer(&mut events).await?;
        taken.push(millis(begun));
    }
    room.disconnect().await;
    Ok(json!({
        "join_ms": joined,
        "answered_ms": answered,
        "trip_us": median(round_trips),
        "processor_ms": processor_ms / f64::from(trips) * 1e3,
        "stream_ms": median(taken),
        "room_kib": held.saturating_sub(idle),
        "threads": threads,
    }))
}

/// What this process has resident with so many rooms, in KiB; the tokens are the words of LIVEKIT_TOKENS.
pub(crate) async fn rooms() -> Outcome<Value> {
    let tokens = std::env::var("LIVEKIT_TOKENS")?;
    let mut held = Vec::new();
    for token in tokens.split_whitespace() {
        held.push(Room::connect(RoomOptions::new(std::env::var("LIVEKIT_URL")?, token)).await?);
    }
    let found = json!({ "rooms": held.len(), "resident_kib": resident()? });
    for (room, _) in &held {
        room.disconnect().await;
    }
    Ok(found)
}

async fn join() -> Outcome<(Room, RoomEvents)> {
    let options = RoomOptions::new(std::env::var("LIVEKIT_URL")?, std::env::var("LIVEKIT_TOKEN")?);
    Ok(Room::connect(options).await?)
}

async fn ping(room: &Room, events: &mut RoomEvents, message: &'static [u8]) -> Outcome<()> {
    room.publish("ping", message, &["echo"], true).await?;
    answer(events).await
}

async fn answer(events: &mut RoomEvents) -> Outcome<()> {
    let answer = async {
        while let Some(event) = events.next().await {
            if matches!(event, RoomEvent::Data(data) if data.topic == "pong") {
                return Ok(());
            }
        }
        Err("the room was left".into())
    };
    timeout(ANSWER, answer).await?
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
