//! Echo control as a filter from standard input to standard output. benches/python/echo.py judges what is left, ours and the peer's.

use std::io::{Read as _, Write as _, stdin, stdout};

use greenroom_audio::EchoControl;
use serde_json::json;

use super::chunk;
use crate::Outcome;
use crate::measure::processor_time;

/// Takes the echo of the first half of standard input (`f32`, one channel, `rate` Hz) out of the second. Writes to standard output what is
/// left, after a line of JSON: the processor time of a frame of 10 ms, in microseconds.
pub(crate) fn run(rate: u32) -> Outcome<()> {
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    let mut input: Vec<f32> = bytes.as_chunks().0.iter().map(|&sample| f32::from_le_bytes(sample)).collect();
    let half = input.len() / 2;
    let (played, recorded) = input.split_at_mut(half);
    let mut control = EchoControl::new(rate)?;
    let begun = processor_time();
    let mut frames = 0_u32;
    for (played, recorded) in played.chunks_exact(chunk(rate)).zip(recorded.chunks_exact_mut(chunk(rate))) {
        control.played(played)?;
        control.recorded(recorded)?;
        frames += 1;
    }
    let spent = (processor_time() - begun).as_secs_f64() * 1e6 / f64::from(frames.max(1));
    let mut output = stdout().lock();
    writeln!(output, "{}", json!({ "frame_us": spent }))?;
    let bytes: Vec<u8> = recorded.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    output.write_all(&bytes)?;
    Ok(())
}
