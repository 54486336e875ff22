//! Echo control as a filter from standard input to standard output. benches/python/echo.py judges what is left, ours and the peer's.

use greenroom_audio::EchoControl;
use serde_json::json;

use super::{chunk, read, write};
use crate::Outcome;
use crate::measure::processor_time;

/// Takes the echo of the first half of standard input (`f32`, one channel, `rate` Hz) out of the second. Writes to standard output what is
/// left, after a line of JSON: the processor time of a frame of 10 ms, in microseconds.
pub(crate) fn run(rate: u32) -> Outcome<()> {
    let mut input = read()?;
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
    write(&json!({ "frame_us": spent }), recorded)
}
