//! One channel of several, several of one, and others of others.
//!
//! Several channels become one by one rule, [`Mixdown`]: the mean of those that are heard. A channel is heard if its loudest 10 ms are at
//! most 20 dB below the loudest 10 ms of any channel. So a voice on one of 64 channels keeps its level, the two sides of a call are both
//! there, and what is the same on both sides of a stereo recording is as loud as on either. A channel that is another one upside down
//! is left out instead of cancelling it. What is left out although it could be heard is a [`Note`].

use crate::format::Format;
use crate::note::Note;

/// How much softer than the loudest a channel may be to count, as a ratio of power: 20 dB.
const HEARD: f32 = 0.01;

/// What is softer than this is silence, as a mean square: -50 dBFS.
const AUDIBLE: f32 = 1e-5;

/// Channels of which each pair is compared. Of more, the first are.
const COMPARED: usize = 8;

/// Correlation below which one channel is another upside down.
const OPPOSITE: f64 = -0.9;

/// Blocks of 10 ms that show in a stream that channels cancel each other out.
const ENOUGH: usize = 10;

/// What of a stream's past counts less with each block, so that the last second decides.
const FADE: f64 = 0.99;

/// Mixes interleaved channels down to the mean of each instant, as far as `mono` reaches, and returns the number of samples written.
///
/// The mean, not the sum: what is within full scale stays within it. A voice on one of many channels loses much by it; see [`Mixdown`].
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

/// Takes one of interleaved channels, counted from 0, and returns the number of samples written; none if there is no such channel.
pub fn pick(interleaved: &[f32], channels: usize, channel: usize, mono: &mut [f32]) -> usize {
    let mut written = 0;
    for (mono, instant) in mono.iter_mut().zip(interleaved.chunks_exact(channels.max(1))) {
        let Some(&sample) = instant.get(channel) else { return 0 };
        *mono = sample;
        written += 1;
    }
    written
}

/// Writes each sample of one channel to all of several, and returns the number of instants written.
pub fn spread(mono: &[f32], channels: usize, interleaved: &mut [f32]) -> usize {
    let mut written = 0;
    for (instant, &sample) in interleaved.chunks_exact_mut(channels.max(1)).zip(mono) {
        instant.fill(sample);
        written += 1;
    }
    written
}

/// Mixes channels down to one without losing a voice.
///
/// Sound that is there as a whole is first shown to [`observe`](Self::observe), then mixed by [`mix`](Self::mix); if
/// [`settle`](Self::settle) then finds that channels cancel each other out, it is mixed again. A stream is mixed by
/// [`follow`](Self::follow), which decides by what came so far and changes over within 10 ms.
#[derive(Clone, Debug)]
pub struct Mixdown {
    channels: usize,
    members: Vec<Member>,
    /// Instants of a block, and how many of them the block under way has.
    block: usize,
    filled: usize,
    /// How much a weight changes with each sample.
    step: f32,
    /// Members that are compared, by their places in `members`.
    compared: Vec<usize>,
    /// Sums of products of each pair of them, and of each with itself.
    products: [[f64; COMPARED]; COMPARED],
    /// Blocks that could be heard since the sums began.
    audible: usize,
    /// Nothing was mixed yet, so weights need no change-over.
    is_fresh: bool,
}

/// A channel that is mixed.
#[derive(Clone, Copy, Debug)]
struct Member {
    channel: usize,
    /// Sum of squares in the block under way.
    energy: f32,
    /// Mean square of its loudest block.
    loudest: f32,
    /// It is another one upside down.
    is_opposite: bool,
    weight: f32,
    target: f32,
}

impl Mixdown {
    /// Of all channels of a format.
    pub fn new(format: Format) -> Self {
        Self::of(format, |_| true)
    }

    /// Of the channels that are chosen by their number, of those of a format.
    fn of(format: Format, is_chosen: impl Fn(usize) -> bool) -> Self {
        let chosen = (0..format.channels()).filter(|&channel| is_chosen(channel));
        let members: Vec<Member> = chosen
            .map(|channel| Member {
                channel,
                energy: 0.0,
                loudest: 0.0,
                is_opposite: false,
                weight: 0.0,
                target: 0.0,
            })
            .collect();
        let block = (format.rate() as usize / 100).max(1);
        let mut mixdown = Self {
            channels: format.channels(),
            members,
            block,
            filled: 0,
            step: 1.0 / block as f32,
            compared: Vec::with_capacity(COMPARED),
            products: [[0.0; COMPARED]; COMPARED],
            audible: 0,
            is_fresh: true,
        };
        mixdown.decide();
        mixdown
    }

    /// Learns how loud each channel is.
    pub fn observe(&mut self, interleaved: &[f32]) {
        for instant in interleaved.chunks_exact(self.channels) {
            for member in &mut self.members {
                member.energy += instant[member.channel] * instant[member.channel];
            }
            self.filled += 1;
            if self.filled == self.block {
                self.end_block();
            }
        }
    }

    /// Mixes what was observed before, as far as `mono` reaches, and returns the number of samples written.
    pub fn mix(&mut self, interleaved: &[f32], mono: &mut [f32]) -> usize {
        if self.is_fresh {
            self.end_block();
            self.decide();
            self.change_over();
        }
        let mut written = 0;
        for (mono, instant) in mono.iter_mut().zip(interleaved.chunks_exact(self.channels)) {
            self.compare(instant);
            // What is left out may be no number.
            let heard = self.members.iter().filter(|member| member.weight > 0.0);
            *mono = heard.map(|member| member.weight * instant[member.channel]).sum();
            written += 1;
        }
        written
    }

    /// Decides whether channels have cancelled each other out in what was mixed. If so, they are left out, and it is to be mixed again.
    pub fn settle(&mut self) -> bool {
        let is_changed = self.leave_out_opposites();
        if is_changed {
            self.decide();
            self.change_over();
        }
        is_changed
    }

    /// Mixes a stream, as far as `mono` reaches, and returns the number of samples written.
    pub fn follow(&mut self, interleaved: &[f32], mono: &mut [f32]) -> usize {
        let mut written = 0;
        for (mono, instant) in mono.iter_mut().zip(interleaved.chunks_exact(self.channels)) {
            self.compare(instant);
            let mut mixed = 0.0;
            for member in &mut self.members {
                let sample = instant[member.channel];
                member.energy += sample * sample;
                let change = (member.target - member.weight).clamp(-self.step, self.step);
                member.weight += change;
                if member.weight > 0.0 {
                    mixed += member.weight * sample;
                }
            }
            *mono = mixed;
            self.filled += 1;
            if self.filled == self.block {
                let heard = AUDIBLE * self.block as f32;
                self.audible += usize::from(self.members.iter().any(|member| member.energy > heard));
                self.end_block();
                if self.audible >= ENOUGH {
                    self.leave_out_opposites();
                }
                self.decide();
                self.products.as_flattened_mut().iter_mut().for_each(|sum| *sum *= FADE);
            }
            written += 1;
        }
        written
    }

    /// What is left out although it can be heard.
    pub fn notes(&self) -> Vec<Note> {
        let channels = |is_meant: &dyn Fn(&Member) -> bool| -> Vec<usize> {
            self.members.iter().filter(|member| is_meant(member)).map(|member| member.channel).collect()
        };
        let opposite = channels(&|member| member.is_opposite);
        let soft =
            channels(&|member| !member.is_opposite && member.target == 0.0 && member.loudest > AUDIBLE);
        let mut notes = Vec::new();
        if !opposite.is_empty() {
            notes.push(Note::Cancelling { channels: opposite });
        }
        if !soft.is_empty() {
            notes.push(Note::LeftOut { channels: soft });
        }
        notes
    }

    /// Whether channels cancel each other out.
    pub fn is_cancelling(&self) -> bool {
        self.members.iter().any(|member| member.is_opposite)
    }

    fn end_block(&mut self) {
        let length = std::mem::take(&mut self.filled);
        if length > 0 {
            for member in &mut self.members {
                let mean = std::mem::take(&mut member.energy) / length as f32;
                // What is no number is as good as silence.
                member.loudest = member.loudest.max(mean);
            }
        }
    }

    /// Decides which channels count, by how loud they were.
    fn decide(&mut self) {
        let usable = self.members.iter().filter(|member| !member.is_opposite);
        let least = usable.map(|member| member.loudest).fold(0.0, f32::max) * HEARD;
        let counts = |member: &Member| !member.is_opposite && member.loudest >= least;
        let count = self.members.iter().filter(|member| counts(member)).count();
        let share = 1.0 / count.max(1) as f32;
        let mut is_changed = false;
        for member in &mut self.members {
            let target = if counts(member) { share } else { 0.0 };
            is_changed |= (target > 0.0) != (member.target > 0.0);
            member.target = target;
        }
        if self.is_fresh {
            self.change_over();
        }
        if is_changed {
            self.compared.clear();
            let members = self.members.iter().enumerate();
            let heard = members.filter(|(_, member)| member.target > 0.0).map(|(place, _)| place);
            self.compared.extend(heard.take(COMPARED));
            self.products = [[0.0; COMPARED]; COMPARED];
            self.audible = 0;
        }
    }

    fn change_over(&mut self) {
        self.members.iter_mut().for_each(|member| member.weight = member.target);
    }

    fn compare(&mut self, instant: &[f32]) {
        self.is_fresh = false;
        if self.compared.len() < 2 {
            return;
        }
        for (at, &place) in self.compared.iter().enumerate() {
            let sample = f64::from(instant[self.members[place].channel]);
            for (other, &place) in self.compared[..=at].iter().enumerate() {
                self.products[at][other] += sample * f64::from(instant[self.members[place].channel]);
            }
        }
    }

    /// Leaves out the softer one of each two channels that cancel each other out. Returns whether there are such.
    fn leave_out_opposites(&mut self) -> bool {
        let mut is_changed = false;
        for at in 1..self.compared.len() {
            for other in 0..at {
                let (one, two) = (self.compared[at], self.compared[other]);
                if self.members[one].is_opposite || self.members[two].is_opposite {
                    continue;
                }
                let size = (self.products[at][at] * self.products[other][other]).sqrt();
                if size > 0.0 && self.products[at][other] < OPPOSITE * size {
                    let softer =
                        if self.members[one].loudest <= self.members[two].loudest { one } else { two };
                    self.members[softer].is_opposite = true;
                    is_changed = true;
                }
            }
        }
        is_changed
    }
}

/// Makes the channels of a stream into those of another.
///
/// One becomes all. Of more than are wanted, each that is wanted is the [`Mixdown`] of those that fall to it in turn, so that none is lost:
/// of four as two, the first and the third, the second and the fourth. Of fewer each is the one of its number, over and over. One that is
/// picked becomes all.
#[derive(Clone, Debug)]
pub struct ChannelMap {
    from: usize,
    to: usize,
    picked: Option<usize>,
    mixdowns: Vec<Mixdown>,
    mono: Vec<f32>,
}

/// Instants that are mixed at once.
const PIECE: usize = 256;

impl ChannelMap {
    /// From a format to so many channels; of one that is picked, counted from 0, they are all. One that is not there is silence.
    pub fn new(from: Format, to: usize, picked: Option<usize>) -> Self {
        let (of, to) = (from.channels(), to.max(1));
        let mixdowns = if picked.is_none() && of > to {
            (0..to).map(|output| Mixdown::of(from, |input| input % to == output)).collect()
        } else {
            Vec::new()
        };
        let mono = vec![0.0; if mixdowns.is_empty() && picked.is_none() { 0 } else { PIECE }];
        Self { from: of, to, picked, mixdowns, mono }
    }

    /// Maps as many instants as both slices hold, and returns the number of samples written.
    pub fn map(&mut self, input: &[f32], output: &mut [f32]) -> usize {
        let (from, to) = (self.from, self.to);
        if self.picked.is_none() && self.mixdowns.is_empty() {
            let mut written = 0;
            for (input, output) in input.chunks_exact(from).zip(output.chunks_exact_mut(to)) {
                output.iter_mut().zip(input.iter().cycle()).for_each(|(output, &sample)| *output = sample);
                written += to;
            }
            return written;
        }
        let mut written = 0;
        for (input, output) in input.chunks(PIECE * from).zip(output.chunks_mut(PIECE * to)) {
            let most = (input.len() / from).min(output.len() / to);
            if let Some(picked) = self.picked {
                let got = pick(&input[..most * from], from, picked, &mut self.mono);
                self.mono[got..most].fill(0.0);
                written += spread(&self.mono[..most], to, output) * to;
                continue;
            }
            for (place, mixdown) in self.mixdowns.iter_mut().enumerate() {
                mixdown.follow(&input[..most * from], &mut self.mono[..most]);
                for (output, &sample) in output.chunks_exact_mut(to).zip(&self.mono[..most]) {
                    output[place] = sample;
                }
            }
            written += most * to;
        }
        written
    }

    /// Whether channels cancel each other out, so that some are left out.
    pub fn is_cancelling(&self) -> bool {
        self.mixdowns.iter().any(Mixdown::is_cancelling)
    }

    /// What is left out although it can be heard.
    pub fn notes(&self) -> Vec<Note> {
        self.mixdowns.iter().flat_map(Mixdown::notes).collect()
    }
}
