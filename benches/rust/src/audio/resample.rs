//! Resamplers, as filters from standard input to standard output. benches/python/audio.py judges what they make, ours and the peers'.

use clap::ValueEnum;
use greenroom_audio::{Format, Resampler};
use serde_json::json;
use speexdsp_resampler::State;

use super::{read, write};
use crate::Outcome;

/// The best that speexdsp offers.
const QUALITY: usize = 10;

/// Whose resampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Ours.
    Greenroom,
    /// The Rust port of speexdsp, at its best quality.
    Speexdsp,
}

/// One channel that is resampled in chunks.
pub(super) enum Stream {
    Greenroom(Box<Resampler>),
    Speexdsp { state: Box<State>, made: Vec<f32> },
}

impl Stream {
    pub(super) fn new(engine: Engine, from: u32, to: u32) -> Outcome<Self> {
        Ok(match engine {
            Engine::Greenroom => Self::Greenroom(Box::new(Resampler::new(Format::mono(from)?, to)?)),
            Engine::Speexdsp => {
                let state = State::new(1, from as usize, to as usize, QUALITY)
                    .map_err(|error| format!("{error:?}"))?;
                // A second of output: more than any chunk here makes.
                Self::Speexdsp { state: Box::new(state), made: vec![0.0; to as usize] }
            }
        })
    }

    /// Gives what a chunk makes.
    pub(super) fn push(&mut self, mut chunk: &[f32], mut give: impl FnMut(&[f32])) {
        match self {
            Self::Greenroom(resampler) => {
                while let Some(part) = resampler.next(&mut chunk) {
                    give(part);
                }
            }
            Self::Speexdsp { state, made } => {
                while !chunk.is_empty() {
                    let Ok((taken, written)) = state.process_float(0, chunk, made) else { return };
                    give(&made[..written]);
                    chunk = &chunk[taken..];
                    if taken == 0 && written == 0 {
                        return;
                    }
                }
            }
        }
    }

    fn finish(&mut self, mut give: impl FnMut(&[f32])) {
        if let Self::Greenroom(resampler) = self {
            while let Some(part) = resampler.finish() {
                give(part);
            }
        }
    }
}

/// Resamples standard input (`f32`, one channel) in chunks of so many samples. Writes to standard output, after a line of JSON: how many
/// samples each chunk made, and the end.
pub(crate) fn run(engine: Engine, from: u32, to: u32, chunk: usize) -> Outcome<()> {
    let input = read()?;
    let mut stream = Stream::new(engine, from, to)?;
    let mut made: Vec<f32> = Vec::new();
    let mut after_chunk = Vec::new();
    for part in input.chunks(chunk.max(1)) {
        stream.push(part, |part| made.extend_from_slice(part));
        after_chunk.push(made.len());
    }
    stream.finish(|part| made.extend_from_slice(part));
    write(&json!({ "after_chunk": after_chunk }), &made)
}
