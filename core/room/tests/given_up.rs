//! A join that is given up, at whichever of its awaits, leaves no socket, thread or participant. In a process of its own, which counts nobody
//! else's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "another test uses the rest")]
#[path = "room/server.rs"]
mod server;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "room/venue.rs"]
mod venue;

use greenroom_room::fuzz::join_for;
use venue::{Venue, eventually};

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

#[tokio::test]
async fn a_join_that_is_given_up_leaves_nothing() {
    let venue = Venue::new();
    let join = async |polls: usize| {
        let options = venue.options(venue.token("ada"));
        tokio::task::spawn_blocking(move || join_for(polls, options)).await.unwrap().unwrap()
    };
    // Somebody who stays, so that the room does.
    let (_bob, _) = venue.join_with(venue.token("bob")).await;
    // A whole one opens what stays, such as the source of random numbers.
    assert!(join(usize::MAX).await);
    let (files, threads) = (count("fd"), count("task"));
    let mut polls = 1;
    while !join(polls).await {
        println!("given up after {polls} polls");
        eventually("no socket and no thread is left", || count("fd") <= files && count("task") <= threads)
            .await;
        polls += 1;
    }
    // The connection, the websocket, the answer to the join, the channels.
    assert!(polls > 3, "a join waits more often than {polls} times");
    eventually("no participant is left", || venue.identities() == ["bob"]).await;
}
