//! Conversion between kinds of samples, and decibels.

/// What a sample may be stored as. Sums are done in `f32`.
pub trait Sample: Copy + Default {
    /// The sample with full scale at ±1.
    fn to_f32(self) -> f32;

    /// The nearest sample; what is beyond full scale is full scale, what is not a number is 0.
    fn from_f32(sample: f32) -> Self;
}

impl Sample for f32 {
    fn to_f32(self) -> f32 {
        self
    }

    fn from_f32(sample: f32) -> Self {
        sample
    }
}

impl Sample for i16 {
    fn to_f32(self) -> f32 {
        f32::from(self) / 32768.0
    }

    fn from_f32(sample: f32) -> Self {
        // A cast saturates, and makes 0 of what is not a number.
        (sample * 32768.0).round() as Self
    }
}

impl Sample for i32 {
    fn to_f32(self) -> f32 {
        self as f32 / 2_147_483_648.0
    }

    fn from_f32(sample: f32) -> Self {
        (sample * 2_147_483_648.0).round() as Self
    }
}

/// Converts as many samples as both slices hold, and returns their number.
pub fn convert<A: Sample, B: Sample>(from: &[A], to: &mut [B]) -> usize {
    for (to, from) in to.iter_mut().zip(from) {
        *to = B::from_f32(from.to_f32());
    }
    from.len().min(to.len())
}

/// Samples from their bytes, in this machine's order: 16-bit integers, or floats of 32 bits with full scale at ±1. Bytes that are left over
/// at the end are not used.
pub fn from_bytes(bytes: &[u8], is_float: bool) -> Vec<f32> {
    if is_float {
        bytes.as_chunks().0.iter().map(|&four| f32::from_ne_bytes(four)).collect()
    } else {
        bytes.as_chunks().0.iter().map(|&two| i16::from_ne_bytes(two).to_f32()).collect()
    }
}

/// The sample, or silence where it is infinite or not a number: what keeps state would never be rid of it again.
pub(crate) const fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample } else { 0.0 }
}

/// An amplitude in dBFS, which is negative infinity for 0.
pub fn dbfs(amplitude: f32) -> f32 {
    20.0 * amplitude.log10()
}

/// The amplitude that is `dbfs` of full scale.
pub fn amplitude(dbfs: f32) -> f32 {
    10_f32.powf(dbfs / 20.0)
}

/// The root of the mean square; 0 without samples.
pub fn rms(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    let sum: f64 = samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
    (sum / samples.len() as f64).sqrt() as f32
}
