//! Audio: what resamplers make of a signal, what echo control leaves, what frames cost, and who is heard in noise.

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
