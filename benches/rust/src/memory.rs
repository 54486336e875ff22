//! Memory, as the system accounts it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use greenroom::{Driver as _, Session, StartOptions};
use nix::sys::resource::{UsageWho, getrusage};
use procfs::process::Process;
use serde_json::{Value, json};

use crate::Outcome;
use crate::ping::scripted;

/// The resident memory of this process in KiB, after a turn in each session: without any, with one, and with `more` beside it.
pub(crate) async fn sessions(peer: &Path, more: usize) -> Outcome<Value> {
    let folder = tempfile::tempdir()?;
    let none = resident()?;
    let mut held = vec![start(peer, folder.path()).await?];
    let one = resident()?;
    for _ in 0..more {
        held.push(start(peer, folder.path()).await?);
    }
    let many = resident()?;
    // All at once, then each is waited for.
    held.iter().for_each(|session| session.close(Box::new(|| {})));
    for session in &held {
        session.end().await;
    }
    Ok(json!({ "none_kib": none, "one_kib": one, "many_kib": many, "more": more }))
}

async fn start(peer: &Path, folder: &Path) -> Outcome<Session> {
    let session = Session::start(StartOptions::new(scripted(peer, folder)?))?;
    session.ready(None).await?;
    session.say("hello", None).await?;
    Ok(session)
}

pub(crate) fn resident() -> Outcome<u64> {
    Ok(Process::myself()?.status()?.vmrss.unwrap_or_default())
}

/// Runs a command. This small program stands between the driver and the command, since the system counts what its parent has
/// resident as the child's peak until the child has more.
pub(crate) fn run(command: &[String]) -> Outcome<Value> {
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = child.status().map_err(|error| format!("{} cannot be run: {error}", command[0]))?;
    let wall = begun.elapsed();
    // There was one child, so the peak of all children is its own.
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(json!({
        "wall_ms": wall.as_secs_f64() * 1e3,
        "peak_kib": usage.max_rss(),
        "status": status.code(),
    }))
}
