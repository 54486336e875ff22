//! Voices that say nothing: a buzz through the resonances of vowels, in syllables.

use std::f32::consts::{PI, TAU};

use super::Random;

const VOICES: usize = 8;

/// The first three resonances of some vowels of a man, in Hz; other voices have them higher.
const VOWELS: [[f32; 3]; 6] = [
    [730.0, 1090.0, 2440.0],
    [530.0, 1840.0, 2480.0],
    [270.0, 2290.0, 3010.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
    [490.0, 1350.0, 1690.0],
];

/// How wide each resonance is, in Hz, and how strong.
const WIDTHS: [f32; 3] = [80.0, 110.0, 160.0];
const STRENGTHS: [f32; 3] = [1.0, 0.6, 0.3];

/// How much noise is in a breathed syllable beside the buzz of others.
const BREATH: f32 = 0.25;

#[derive(Clone, Debug)]
pub(super) struct Babble {
    voices: [Voice; VOICES],
}

#[derive(Clone, Debug)]
struct Voice {
    rate: f32,
    random: Random,
    /// How high the voice is: of its buzz in Hz, and of its resonances over those of the table.
    pitch: f32,
    size: f32,
    /// Of the syllable: samples so far, and altogether; a pause is a syllable without strength.
    at: u32,
    length: u32,
    strength: f32,
    breathed: bool,
    /// Of the buzz, in cycles; how far it goes with each sample.
    phase: f32,
    step: f32,
    /// Syllables until the next pause.
    until_pause: usize,
    resonances: [Resonance; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Resonance {
    gain: f32,
    one: f32,
    two: f32,
    before: [f32; 2],
}

impl Babble {
    pub(super) fn new(rate: u32, mut random: Random) -> Self {
        Self { voices: std::array::from_fn(|index| Voice::new(rate, random.fork(index as u64))) }
    }

    pub(super) fn next(&mut self) -> f32 {
        self.voices.iter_mut().map(Voice::next).sum()
    }
}

impl Voice {
    fn new(rate: u32, mut random: Random) -> Self {
        // From a low man's to a high woman's; the resonances go along, by less.
        let height = random.between(0.0, 1.0);
        let until_pause = random.index(8);
        Self {
            rate: rate as f32,
            random,
            pitch: 95.0 + 130.0 * height,
            size: 1.0 + 0.18 * height,
            at: 0,
            length: 0,
            strength: 0.0,
            breathed: false,
            phase: 0.0,
            step: 0.0,
            until_pause,
            resonances: [Resonance::default(); 3],
        }
    }

    fn next(&mut self) -> f32 {
        if self.at >= self.length {
            self.begin_syllable();
        }
        // It swells and fades as a parabola.
        let way = self.at as f32 / self.length as f32;
        let envelope = self.strength * 4.0 * way * (1.0 - way);
        self.at += 1;
        let source = if self.breathed { BREATH * self.random.gaussian() } else { self.buzz() };
        let source = source * envelope;
        self.resonances.iter_mut().map(|resonance| resonance.next(source)).sum()
    }

    fn begin_syllable(&mut self) {
        self.at = 0;
        if self.until_pause == 0 {
            self.until_pause = 3 + self.random.index(8);
            self.strength = 0.0;
            self.length = (self.random.between(0.1, 0.4) * self.rate) as u32 + 1;
            return;
        }
        self.until_pause -= 1;
        self.strength = self.random.between(0.5, 1.0);
        self.breathed = self.random.happens(0.2);
        self.length = (self.random.between(0.1, 0.28) * self.rate) as u32 + 1;
        self.step = self.pitch * self.random.between(0.85, 1.2) / self.rate;
        let vowel = VOWELS[self.random.index(VOWELS.len() as u32)];
        for (index, resonance) in self.resonances.iter_mut().enumerate() {
            resonance.tune(vowel[index] * self.size, WIDTHS[index], STRENGTHS[index], self.rate);
        }
    }

    /// A saw, whose overtones fall as those of a voice.
    fn buzz(&mut self) -> f32 {
        self.phase += self.step;
        if self.phase >= 1.0 {
            self.phase -= 1.0;
        }
        2.0 * self.phase - 1.0
    }
}

impl Resonance {
    fn tune(&mut self, hz: f32, width: f32, strength: f32, rate: f32) {
        if hz * 2.2 > rate {
            // Above what this rate holds.
            *self = Self::default();
            return;
        }
        let radius = (-PI * width / rate).exp();
        self.one = 2.0 * radius * (TAU * hz / rate).cos();
        self.two = -radius * radius;
        self.gain = strength * (1.0 - radius);
    }

    fn next(&mut self, input: f32) -> f32 {
        let output = self.gain * input + self.one * self.before[0] + self.two * self.before[1];
        self.before = [output, self.before[0]];
        output
    }
}
