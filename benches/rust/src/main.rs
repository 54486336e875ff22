//! What the benchmarks measure in Rust, one subcommand for each thing. Each prints JSON, which `benches/run` makes a table of.

mod audio;
mod capture;
mod client;
mod codec;
mod corpus;
mod echo;
mod gate;
mod measure;
mod memory;
mod ping;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures one thing and prints JSON.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Writes the messages that all codecs read into a folder.
    Corpus {
        /// Where the messages go.
        folder: PathBuf,
        /// The test vectors that become one part of them.
        vectors: Vec<PathBuf>,
    },
    /// Reads and writes the messages with our codec.
    Codec {
        /// Where the messages are.
        folder: PathBuf,
        /// How long each part is measured, in milliseconds.
        #[arg(long, default_value_t = 500)]
        for_ms: u64,
    },
    /// Takes requests through the gate of a room, and their answers back.
    Gate {
        /// How long it is measured, in milliseconds.
        #[arg(long, default_value_t = 500)]
        for_ms: u64,
    },
    /// Resamples standard input, `f32` of one channel, to standard output; see audio/resample.rs.
    AudioResample {
        /// Whose resampler.
        engine: audio::Engine,
        /// The rate of the input, in Hz.
        from: u32,
        /// The rate of the output, in Hz.
        to: u32,
        /// The size of a chunk, in samples.
        chunk: usize,
    },
    /// Takes the echo of the first half of standard input, `f32` of one channel, out of the second; see audio/echo.rs.
    AudioEcho {
        /// The rate, in Hz.
        rate: u32,
    },
    /// What audio costs, and what a meter reads.
    AudioCost {
        /// How long each part is measured, in milliseconds.
        #[arg(long, default_value_t = 300)]
        for_ms: u64,
    },
    /// How speech is heard in noise.
    AudioSpeech {
        /// Utterances, as WAV files of 16 kHz.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// What streams of PulseAudio take.
    CapturePulse {
        /// How long frames are read for their age, in seconds.
        seconds: u64,
    },
    /// What is lost of a card that is a pipe while all processors are busy.
    CapturePipe {
        /// The pipe.
        mic: PathBuf,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// What many virtual streams take.
    CaptureVirtual {
        /// For how long, in seconds.
        seconds: u64,
    },
    /// Joins a room, and measures that and what goes through it; see client.rs.
    Client {
        /// Round trips of packets.
        #[arg(long, default_value_t = 1_000)]
        trips: u32,
        /// Streams of 4 MiB.
        #[arg(long, default_value_t = 5)]
        streams: u32,
    },
    /// Answers in a room, until standard input ends.
    ClientEcho,
    /// The memory of this process with many rooms.
    ClientRooms,
    /// Sends back what each connection sends, until standard input ends; prints the port.
    Echo,
    /// Round trips through a session with the scripted agent, in turn with those of a bare socket to the echo server.
    Ping {
        /// The scripted agent's program.
        #[arg(long)]
        peer: PathBuf,
        /// The echo server.
        #[arg(long)]
        echo: SocketAddr,
        #[command(flatten)]
        blocks: ping::Blocks,
    },
    /// The memory of this process with one session and with more.
    Sessions {
        /// The scripted agent's program.
        #[arg(long)]
        peer: PathBuf,
        /// How many sessions beside the first.
        #[arg(long, default_value_t = 20)]
        more: usize,
    },
    /// Runs a command to its end: its time and its memory, as the system accounts them.
    Run {
        /// The command; its output is dropped.
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let found = match Arguments::parse().what {
        What::Corpus { folder, vectors } => corpus::write(&folder, &vectors)?,
        What::Codec { folder, for_ms } => codec::measure(&folder, for_ms)?,
        What::Gate { for_ms } => gate::measure(for_ms)?,
        What::AudioResample { engine, from, to, chunk } => return audio::resample(engine, from, to, chunk),
        What::AudioEcho { rate } => return audio::echo(rate),
        What::AudioCost { for_ms } => audio::cost(for_ms)?,
        What::AudioSpeech { files } => audio::speech(&files)?,
        What::CapturePulse { seconds } => capture::pulse(seconds)?,
        What::CapturePipe { mic, seconds } => capture::pipe(&mic, seconds)?,
        What::CaptureVirtual { seconds } => capture::many(seconds)?,
        What::Client { trips, streams } => client::measure(trips, streams).await?,
        What::ClientEcho => return client::echo().await,
        What::ClientRooms => client::rooms().await?,
        What::Echo => return echo::serve().await,
        What::Ping { peer, echo, blocks } => ping::measure(&peer, echo, blocks).await?,
        What::Sessions { peer, more } => memory::sessions(&peer, more).await?,
        What::Run { command } => memory::run(&command)?,
    };
    println!("{found}");
    Ok(())
}
