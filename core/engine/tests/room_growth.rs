//! Twenty stays in a room leave no file, socket or thread. In a process of its own, which counts nobody else's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "another test uses the rest")]
#[path = "room/server.rs"]
mod server;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "room/venue.rs"]
mod venue;

use venue::{Venue, eventually, within};

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

#[tokio::test]
async fn joins_and_leaves_leave_nothing() {
    let venue = Venue::new();
    let stay = async || {
        let (ada, mut events) = venue.join_with(venue.token("ada")).await;
        within("a leave", ada.disconnect()).await;
        while within("the last event", events.next()).await.is_some() {}
    };
    // The first opens what stays, such as the source of random numbers.
    stay().await;
    eventually("one thread less", || count("task") <= 2).await;
    let (files, threads) = (count("fd"), count("task"));
    for _ in 0..20 {
        stay().await;
    }
    eventually("nothing is left", || count("fd") <= files && count("task") <= threads).await;
}
