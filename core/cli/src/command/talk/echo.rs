//! Echo control of a conversation: what is played goes with what is recorded at about the same time.

use std::collections::VecDeque;

use greenroom_audio::echo::{EchoControl, EchoError};
use greenroom_audio::{Format, VirtualDevice};
use greenroom_protocol::{Code, Error};

use crate::args::{Devices, EchoChoice};

/// How much later than it is said to be heard a sample may still be given to the canceller, in samples: microphones take longer than that.
const SLACK: usize = 480;

/// Takes what was played out of what is recorded, at the wire's rate.
///
/// The microphone's frames are the clock: each goes with as much of what was played, or with silence where there is nothing. Both go on
/// without a break, so the way between them keeps its length, which the canceller finds out.
pub(super) struct Echo {
    control: EchoControl,
    /// What was played and has no frame yet that it goes with.
    line: VecDeque<f32>,
    played: Vec<f32>,
}

impl Echo {
    /// What was chosen, between these devices.
    ///
    /// # Errors
    /// Where it is to be on and a device is virtual.
    pub(super) fn between(devices: &Devices) -> Result<Option<Self>, Error> {
        let mut named = devices.input.iter().chain(&devices.output);
        let unreal = named.find(|name| VirtualDevice::parse(name).is_some());
        match (devices.echo_control, unreal) {
            (EchoChoice::Off, _) | (EchoChoice::Auto, Some(_)) => Ok(None),
            (EchoChoice::On, Some(name)) => Err(Error::new(
                Code::InvalidArgument,
                format!(
                    "echo control is for a microphone that hears a loudspeaker, and {name} is a virtual device; leave \
                     --echo-control out"
                ),
            )),
            (EchoChoice::On | EchoChoice::Auto, None) => {
                let control = EchoControl::new(Format::WIRE.rate()).map_err(internal)?;
                let played = vec![0.0; control.frame()];
                Ok(Some(Self { control, line: VecDeque::new(), played }))
            }
        }
    }

    /// This is played, after what was before.
    pub(super) fn played(&mut self, samples: &[f32]) {
        self.line.extend(samples);
    }

    /// Takes the echo out of 10 ms, while so many samples are on their way to be heard.
    ///
    /// # Errors
    /// Where it is not 10 ms.
    pub(super) fn recorded(&mut self, frame: &mut [f32], on_their_way: u64) -> Result<(), Error> {
        // An echo that comes before its sound is none to the canceller: what was late is left out, and the rest is early again.
        let most = usize::try_from(on_their_way).unwrap_or(usize::MAX).saturating_add(SLACK);
        self.line.drain(..self.line.len().saturating_sub(most));
        let there = self.line.len().min(self.played.len());
        self.played.fill(0.0);
        self.played.iter_mut().zip(self.line.drain(..there)).for_each(|(played, sample)| *played = sample);
        self.control.played(&self.played).and_then(|()| self.control.recorded(frame)).map_err(internal)
    }
}

fn internal(error: EchoError) -> Error {
    Error::new(Code::Internal, error.to_string())
}
