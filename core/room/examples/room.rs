//! Joins a room, sends a greeting and prints events until the room closes or 10 s have passed:
//! `cargo run --package greenroom-room --example room -- ws://127.0.0.1:7880 TOKEN`.

use std::time::Duration;

use greenroom_room::{Error, Room, RoomEvent, RoomOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(token)) = (args.next(), args.next()) else {
        eprintln!("usage: room URL TOKEN");
        std::process::exit(2);
    };
    let (room, mut events) = Room::connect(RoomOptions::new(url, token)).await?;
    println!("joined {:?} as {:?}", room.info().name, room.local().identity);
    for participant in room.participants() {
        println!("present: {:?}", participant.identity);
    }
    room.publish("chat", "hello", &[], true).await?;
    let print = async {
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::ParticipantJoined(participant) => println!("joined: {:?}", participant.identity),
                RoomEvent::ParticipantLeft { participant, .. } => {
                    println!("left: {:?}", participant.identity)
                }
                RoomEvent::Data(data) => {
                    println!("{:?}: {} bytes about {:?}", data.from, data.payload.len(), data.topic);
                }
                RoomEvent::Disconnected(disconnected) => println!("disconnected: {}", disconnected.error()),
                _ => {}
            }
        }
    };
    // Ends early where the room is closed.
    let _ = tokio::time::timeout(Duration::from_secs(10), print).await;
    room.disconnect().await;
    Ok(())
}
