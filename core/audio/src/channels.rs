//! Mixing channels down to one, and spreading one to several.

/// Mixes interleaved channels down to the mean of each instant, as far as `mono` reaches, and gives the number of samples written.
///
/// The mean, not the sum: what is within full scale stays within it.
pub fn mix_down(interleaved: &[f32], channels: usize, mono: &mut [f32]) -> usize {
    let channels = channels.max(1);
    let share = 1.0 / channels as f32;
    let mut written = 0;
    for (mono, instant) in mono.iter_mut().zip(interleaved.chunks_exact(channels)) {
        *mono = instant.iter().sum::<f32>() * share;
        written += 1;
    }
    written
}

/// Takes one of interleaved channels, counted from 0, and gives the number of samples written; none where there is no such channel.
pub fn pick(interleaved: &[f32], channels: usize, channel: usize, mono: &mut [f32]) -> usize {
    let mut written = 0;
    for (mono, instant) in mono.iter_mut().zip(interleaved.chunks_exact(channels.max(1))) {
        let Some(&sample) = instant.get(channel) else { return 0 };
        *mono = sample;
        written += 1;
    }
    written
}

/// Writes each sample of one channel to all of several, and gives the number of instants written.
pub fn spread(mono: &[f32], channels: usize, interleaved: &mut [f32]) -> usize {
    let mut written = 0;
    for (instant, &sample) in interleaved.chunks_exact_mut(channels.max(1)).zip(mono) {
        instant.fill(sample);
        written += 1;
    }
    written
}

/// Makes the channels of `from` into those of `to`, as many instants as both slices hold, and gives the number of samples written.
///
/// One channel is the mean of all, one becomes all, and of several each is the one of its number, over and over where there are fewer.
pub fn remap(input: &[f32], from: usize, to: usize, output: &mut [f32]) -> usize {
    let (from, to) = (from.max(1), to.max(1));
    match (from, to) {
        (_, 1) => mix_down(input, from, output),
        (1, _) => spread(input, to, output) * to,
        _ => {
            let mut written = 0;
            for (input, output) in input.chunks_exact(from).zip(output.chunks_exact_mut(to)) {
                output.iter_mut().zip(input.iter().cycle()).for_each(|(output, &sample)| *output = sample);
                written += to;
            }
            written
        }
    }
}
