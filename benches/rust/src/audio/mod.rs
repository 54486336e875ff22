//! Audio: what resamplers make of a signal, what echo control leaves, what frames cost, and who is heard in noise.

use std::io::{Read as _, Write as _, stdin, stdout};

use serde_json::Value;

use crate::Outcome;

mod cost;
mod echo;
mod resample;
mod speech;

pub(crate) use cost::measure as cost;
pub(crate) use echo::run as echo;
pub(crate) use resample::{Engine, run as resample};
pub(crate) use speech::measure as speech;

/// Samples of a chunk of 10 ms.
const fn chunk(rate: u32) -> usize {
    rate as usize / 100
}

/// All of standard input: `f32`, one channel.
fn read() -> Outcome<Vec<f32>> {
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|&sample| f32::from_le_bytes(sample)).collect())
}

/// Writes a line of JSON to standard output, and samples after it.
fn write(head: &Value, samples: &[f32]) -> Outcome<()> {
    let mut output = stdout().lock();
    writeln!(output, "{head}")?;
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    output.write_all(&bytes)?;
    Ok(())
}
