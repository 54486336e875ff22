//! What can be played to.

use std::fs::File;
use std::io::BufWriter;
use std::time::Duration;

use super::source::{unplugged, until_failure};
use super::{DeviceError, Patchbay, VirtualDevice};
use crate::format::Format;
use crate::wav::{Encoding, Writer};

/// Takes samples when it is given them.
pub trait Sink: Send {
    /// Rate and channels of what it takes, which may differ from what was asked for.
    fn format(&self) -> Format;

    /// Takes interleaved samples, whole instants.
    ///
    /// # Errors
    /// [`DeviceError`]; the sink is of no more use then.
    fn write(&mut self, samples: &[f32]) -> Result<(), DeviceError>;

    /// Nothing more comes: a file is made whole.
    ///
    /// # Errors
    /// [`DeviceError`] where that does not succeed.
    fn finish(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }
}

impl VirtualDevice {
    /// Opens the device to play to. What has no format of its own takes `format`.
    ///
    /// # Errors
    /// [`DeviceError`] where nothing can be played to it, or the file cannot be written.
    pub fn open_sink(&self, format: Format, patchbay: &Patchbay) -> Result<Box<dyn Sink>, DeviceError> {
        Ok(match self {
            Self::Null => Box::new(Nowhere(format)),
            Self::File { path, looped: false } => {
                let writer = Writer::create(path, format, Encoding::S16)?;
                Box::new(WavSink { format, writer: Some(writer) })
            }
            Self::Loopback { name } => Box::new(patchbay.speak(name, format)?),
            Self::Callback => return Err(DeviceError::NoFunction),
            Self::Fail { after, device } => {
                let sink = device.open_sink(format, patchbay)?;
                let left = sink.format().samples_in(*after);
                Box::new(FailingSink { name: self.to_string(), after: *after, sink, left })
            }
            Self::File { looped: true, .. } | Self::Tone { .. } | Self::Noise { .. } => {
                return Err(DeviceError::OnlyGives(self.to_string()));
            }
        })
    }
}

struct Nowhere(Format);

impl Sink for Nowhere {
    fn format(&self) -> Format {
        self.0
    }

    fn write(&mut self, _: &[f32]) -> Result<(), DeviceError> {
        Ok(())
    }
}

struct WavSink {
    format: Format,
    writer: Option<Writer<BufWriter<File>>>,
}

impl Sink for WavSink {
    fn format(&self) -> Format {
        self.format
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), DeviceError> {
        if let Some(writer) = &mut self.writer {
            writer.write(samples)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        self.writer.take().map_or(Ok(()), |writer| Ok(writer.finish()?))
    }
}

struct FailingSink {
    name: String,
    after: Duration,
    sink: Box<dyn Sink>,
    left: u64,
}

impl Sink for FailingSink {
    fn format(&self) -> Format {
        self.sink.format()
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), DeviceError> {
        let channels = self.format().channels();
        let most = until_failure(self.left, samples.len() / channels);
        self.left -= most as u64;
        self.sink.write(&samples[..most * channels])?;
        if most * channels < samples.len() { Err(unplugged(&self.name, self.after)) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        self.sink.finish()
    }
}

/// A function as a sink. It is given interleaved samples.
pub struct CallbackSink<F> {
    format: Format,
    take: F,
}

impl<F: FnMut(&[f32]) + Send> CallbackSink<F> {
    /// A sink of `format`.
    pub const fn new(format: Format, take: F) -> Self {
        Self { format, take }
    }
}

impl<F: FnMut(&[f32]) + Send> Sink for CallbackSink<F> {
    fn format(&self) -> Format {
        self.format
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), DeviceError> {
        (self.take)(samples);
        Ok(())
    }
}
