//! Stays in a room leave no file, socket, thread or memory: 50, or as many as GREENROOM_TEST_STAYS says. In a process of its own,
//! which counts nobody else's.

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
    // The first open what stays, such as the source of random numbers, and fill what is reused.
    for _ in 0..10 {
        stay().await;
    }
    eventually("one thread less", || count("task") <= 2).await;
    let (files, threads, memory) = (count("fd"), count("task"), resident());
    let stays = std::env::var("GREENROOM_TEST_STAYS").map_or(50, |stays| stays.parse().unwrap());
    for _ in 0..stays {
        stay().await;
    }
    eventually("nothing is left", || count("fd") <= files && count("task") <= threads).await;
    let growth = resident().saturating_sub(memory);
    // A stay that left its buffers alone would leave 100 KiB.
    assert!(growth < 4 << 20, "{stays} stays left {} KiB", growth >> 10);
}

/// What of this process is in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
