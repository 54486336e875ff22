//! What can be recorded from.

use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use super::{DeviceError, Patchbay, VirtualDevice};
use crate::format::Format;
use crate::noise::Noise;
use crate::note::Note;
use crate::signal::Sine;
use crate::wav;

/// A source of samples, on request.
pub trait Source: Send {
    /// Rate and channels of its samples, which may differ from the requested ones.
    fn format(&self) -> Format;

    /// Writes whole instants to the front of `samples`, as many as it holds or are there.
    ///
    /// # Errors
    /// [`DeviceError`]; the source is of no more use then.
    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError>;

    /// The next note about its samples; each is returned once.
    fn note(&mut self) -> Option<Note> {
        None
    }
}

/// What [`Source::read`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Samples of each channel that were written.
    pub samples: usize,
    /// Samples of each channel that are missing before them.
    pub lost: u64,
    /// There will be no more.
    pub ended: bool,
}

impl Filled {
    const fn all(samples: usize) -> Self {
        Self { samples, lost: 0, ended: false }
    }
}

impl VirtualDevice {
    /// Opens the device to record from. What has no format of its own takes `format`; several channels get the same.
    ///
    /// # Errors
    /// [`DeviceError`] where there is nothing to record, or the file cannot be read.
    pub fn open_source(&self, format: Format, patchbay: &Patchbay) -> Result<Box<dyn Source>, DeviceError> {
        Ok(match self {
            Self::Null => Box::new(Silence(format)),
            Self::File { path, looped } => {
                let reader = wav::Reader::open(path)?;
                Box::new(WavSource { reader, looped: *looped, empty: true, noted: 0 })
            }
            Self::Tone { hz, .. } if hz * 2.0 >= f64::from(format.rate()) => {
                return Err(DeviceError::TooHigh { device: self.to_string(), format });
            }
            Self::Tone { hz, dbfs } => Box::new(Tone { format, sine: Sine::new(*hz, *dbfs, format.rate()) }),
            Self::Noise { kind, dbfs, seed } => {
                Box::new(NoiseSource { format, noise: Noise::new(*kind, *dbfs, format.rate(), *seed) })
            }
            Self::Loopback { name } => Box::new(patchbay.listen(name, format)?),
            Self::Callback => return Err(DeviceError::NoFunction),
            Self::Fail { after, device } => {
                let source = device.open_source(format, patchbay)?;
                let left = source.format().samples_in(*after);
                Box::new(FailingSource { name: self.to_string(), after: *after, source, left })
            }
        })
    }
}

struct Silence(Format);

impl Source for Silence {
    fn format(&self) -> Format {
        self.0
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        samples.fill(0.0);
        Ok(Filled::all(samples.len() / self.0.channels()))
    }
}

struct Tone {
    format: Format,
    sine: Sine,
}

impl Source for Tone {
    fn format(&self) -> Format {
        self.format
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        for instant in samples.chunks_exact_mut(self.format.channels()) {
            instant.fill(self.sine.next_sample());
        }
        Ok(Filled::all(samples.len() / self.format.channels()))
    }
}

struct NoiseSource {
    format: Format,
    noise: Noise,
}

impl Source for NoiseSource {
    fn format(&self) -> Format {
        self.format
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        let channels = self.format.channels();
        let instants = samples.len() / channels;
        // One channel at the front, then spread from the back.
        self.noise.fill(&mut samples[..instants]);
        for at in (0..instants).rev() {
            let sample = samples[at];
            samples[at * channels..(at + 1) * channels].fill(sample);
        }
        Ok(Filled::all(instants))
    }
}

struct WavSource {
    reader: wav::Reader<BufReader<File>>,
    looped: bool,
    /// Nothing came since the beginning.
    empty: bool,
    /// How many notes were returned.
    noted: usize,
}

impl Source for WavSource {
    fn format(&self) -> Format {
        self.reader.format()
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        let channels = self.reader.format().channels();
        let wanted = samples.len() / channels;
        let mut got = 0;
        while got < wanted {
            let more = self.reader.read(&mut samples[got * channels..wanted * channels])?;
            got += more;
            self.empty &= more == 0;
            if got < wanted {
                // A file without samples cannot go on and on.
                if !self.looped || self.empty {
                    return Ok(Filled { samples: got, lost: 0, ended: true });
                }
                self.reader.rewind()?;
                self.empty = true;
            }
        }
        Ok(Filled::all(got))
    }

    fn note(&mut self) -> Option<Note> {
        let note = self.reader.notes().get(self.noted)?.clone();
        self.noted += 1;
        Some(note)
    }
}

struct FailingSource {
    name: String,
    after: Duration,
    source: Box<dyn Source>,
    left: u64,
}

impl Source for FailingSource {
    fn format(&self) -> Format {
        self.source.format()
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        let channels = self.format().channels();
        let most = until_failure(self.left, samples.len() / channels);
        if self.left == 0 && !samples.is_empty() {
            return Err(unplugged(&self.name, self.after));
        }
        let filled = self.source.read(&mut samples[..most * channels])?;
        self.left -= filled.samples as u64;
        Ok(filled)
    }

    fn note(&mut self) -> Option<Note> {
        self.source.note()
    }
}

/// How many of so many instants go through while `left` are left.
pub(super) fn until_failure(left: u64, instants: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(instants)
}

pub(super) fn unplugged(name: &str, after: Duration) -> DeviceError {
    DeviceError::Lost {
        device: name.to_owned(),
        why: format!("it fails after {} s, as its name says", after.as_secs_f64()),
    }
}

/// A function as a source. It receives a slice for interleaved samples, and returns how many instants it wrote: fewer end the source.
pub struct CallbackSource<F> {
    format: Format,
    give: F,
    ended: bool,
}

impl<F: FnMut(&mut [f32]) -> usize + Send> CallbackSource<F> {
    /// A source of `format`.
    pub const fn new(format: Format, give: F) -> Self {
        Self { format, give, ended: false }
    }
}

impl<F: FnMut(&mut [f32]) -> usize + Send> Source for CallbackSource<F> {
    fn format(&self) -> Format {
        self.format
    }

    fn read(&mut self, samples: &mut [f32]) -> Result<Filled, DeviceError> {
        let wanted = samples.len() / self.format.channels();
        if self.ended || wanted == 0 {
            return Ok(Filled { ended: self.ended, ..Filled::default() });
        }
        let got = (self.give)(&mut samples[..wanted * self.format.channels()]).min(wanted);
        self.ended = got < wanted;
        Ok(Filled { samples: got, lost: 0, ended: self.ended })
    }
}
