//! Medians, and how the time of something short is taken.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long one sample of [`per_pass`] takes at least, so that reading the clock does not count.
const SAMPLE: Duration = Duration::from_millis(5);

/// The value in the middle; 0 without any.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The median processor time of one pass, in nanoseconds, over samples of many passes for `total` altogether.
///
/// Processor time, since what only computes takes longer by the clock as soon as another program runs.
pub(crate) fn per_pass(total: Duration, mut pass: impl FnMut()) -> f64 {
    let mut samples = Vec::new();
    let end = processor_time() + total;
    while processor_time() < end || samples.len() < 5 {
        let begun = processor_time();
        let mut passes = 0_u32;
        while processor_time() - begun < SAMPLE {
            pass();
            passes += 1;
        }
        samples.push((processor_time() - begun).as_secs_f64() * 1e9 / f64::from(passes));
    }
    median(samples)
}

/// The processor time of this process so far; 0 where the system does not tell.
pub(crate) fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
