//! Round trips: through a session, and over a bare socket to a bare server. Both servers are processes of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use greenroom::{AgentSpec, Operation, Session, StartOptions};
use greenroom_protocol::frame::PREFIX;
use greenroom_protocol::message::encode_request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::measure::median;

/// How much is measured.
#[derive(clap::Args)]
pub(crate) struct Blocks {
    /// How often each of the two has its turn.
    #[arg(long, default_value_t = 20)]
    blocks: usize,
    /// Round trips in each turn.
    #[arg(long, default_value_t = 300)]
    trips: usize,
}

/// The median round trip of each block, in microseconds: `session` and `echo`, in turn.
pub(crate) async fn measure(peer: &Path, echo: SocketAddr, blocks: Blocks) -> Outcome<Value> {
    let folder = tempfile::tempdir()?;
    let session = Session::start(StartOptions::new(scripted(peer, folder.path())?))?;
    session.ready(None).await?;
    let mut socket = TcpStream::connect(echo).await?;
    socket.set_nodelay(true)?;
    let frame = vec![7; ping_frame()];

    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    // The first block of each warms up.
    for block in 0..=blocks.blocks {
        let mut trips = Vec::with_capacity(blocks.trips);
        for _ in 0..blocks.trips {
            let begun = Instant::now();
            session.ping(None).await?;
            trips.push(micros(begun));
        }
        let mut bare_trips = Vec::with_capacity(blocks.trips);
        for _ in 0..blocks.trips {
            let begun = Instant::now();
            round_trip(&mut socket, &frame).await?;
            bare_trips.push(micros(begun));
        }
        if block > 0 {
            ours.push(median(trips));
            bare.push(median(bare_trips));
        }
    }
    session.end().await;
    Ok(json!({ "session": ours, "echo": bare, "frame": frame.len() }))
}

/// Bytes of a ping as it goes over the link.
fn ping_frame() -> usize {
    PREFIX + encode_request("gr-1000", Operation::Ping).map_or(0, |message| message.len())
}

async fn round_trip(socket: &mut TcpStream, frame: &[u8]) -> std::io::Result<()> {
    let mut back = [0; 64];
    socket.write_all(frame).await?;
    socket.read_exact(&mut back[..frame.len()]).await?;
    Ok(())
}

fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}

/// The scripted agent, standing for a Python file.
pub(crate) fn scripted(peer: &Path, folder: &Path) -> std::io::Result<AgentSpec> {
    let entry = folder.join("agent.py");
    std::fs::write(&entry, "# The scripted agent stands for this file.\n")?;
    let mut agent = AgentSpec::new(folder);
    agent.entry = Some(entry);
    agent.interpreter = Some(peer.to_owned());
    Ok(agent)
}
