//! Seeded noise: the same seed makes the same samples.

mod babble;
mod impulses;
mod random;

use std::fmt;
use std::str::FromStr;

use babble::Babble;
use impulses::Impulses;
pub(crate) use random::Random;

use crate::sample::{amplitude, rms};

/// Kinds of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// As strong at every frequency: a Gaussian.
    White,
    /// Eight voices at once, none of them to be understood. They are made, not recorded.
    Babble,
    /// Eight decaying clicks a second on average, of 3 to 30 ms: doors, cups, keys.
    Impulses,
}

/// A name that is no kind of noise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of noise; there are white, babble and impulses")]
pub struct NoSuchNoise(pub String);

/// Noise that goes on and on.
#[derive(Clone, Debug)]
pub struct Noise {
    generator: Generator,
    gain: f32,
}

#[derive(Clone, Debug)]
enum Generator {
    White(Random),
    Babble(Box<Babble>),
    Impulses(Impulses),
}

/// How much babble is listened to for its level, in seconds.
const LISTENED: usize = 8;

impl Noise {
    /// Noise of one channel at `rate` Hz with an RMS of `rms_dbfs` in the long run.
    pub fn new(kind: Kind, rms_dbfs: f32, rate: u32, seed: u64) -> Self {
        let random = Random::new(seed);
        let (generator, unit) = match kind {
            Kind::White => (Generator::White(random), 1.0),
            Kind::Impulses => (Generator::Impulses(Impulses::new(rate, random)), impulses::RMS),
            Kind::Babble => {
                let babble = Babble::new(rate, random);
                let mut heard = vec![0.0; rate as usize * LISTENED];
                let mut listened = babble.clone();
                heard.iter_mut().for_each(|sample| *sample = listened.next());
                (Generator::Babble(Box::new(babble)), rms(&heard))
            }
        };
        Self { generator, gain: amplitude(rms_dbfs) / unit }
    }

    /// Fills a slice with what comes next.
    pub fn fill(&mut self, samples: &mut [f32]) {
        samples.fill(0.0);
        self.add(samples);
    }

    /// Adds what comes next to a slice.
    pub fn add(&mut self, samples: &mut [f32]) {
        let gain = self.gain;
        match &mut self.generator {
            Generator::White(random) => {
                samples.iter_mut().for_each(|sample| *sample += gain * random.gaussian())
            }
            Generator::Babble(babble) => {
                samples.iter_mut().for_each(|sample| *sample += gain * babble.next())
            }
            Generator::Impulses(clicks) => {
                samples.iter_mut().for_each(|sample| *sample += gain * clicks.next())
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::White => "white",
            Self::Babble => "babble",
            Self::Impulses => "impulses",
        })
    }
}

impl FromStr for Kind {
    type Err = NoSuchNoise;

    fn from_str(name: &str) -> Result<Self, NoSuchNoise> {
        [Self::White, Self::Babble, Self::Impulses]
            .into_iter()
            .find(|kind| kind.to_string() == name)
            .ok_or_else(|| NoSuchNoise(name.to_owned()))
    }
}
