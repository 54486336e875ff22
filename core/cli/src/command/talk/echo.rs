//! Echo control of a conversation: what is played goes with what is recorded at about the same
//! time.

use std::collections::VecDeque;

use greenroom_audio::echo::{EchoControl, EchoError};
use greenroom_audio::{Format, VirtualDevice};
use greenroom_protocol::{Code, Error};

use crate::args::{Devices, EchoChoice};

/// How much later than it is said to be heard a sample may still be given to the canceller, in
/// samples: microphones take longer than that.
const SLACK: usize = 480;

/// Takes what was played out of what is recorded, at the wire's rate.
///
/// The microphone's frames are the clock: each goes with as much of what was played, or with
/// silence where there is nothing. Both go on without a break, so the way between them keeps its
/// length, which the canceller finds out.
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
        // An echo that comes before its sound is none to the canceller: what was late is left out,
        // and the rest is early again.
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use greenroom_audio::noise::{Kind, Noise};
    use greenroom_audio::sample::{dbfs, rms};

    use super::Echo;
    use crate::args::{Devices, EchoChoice};

    /// Samples in 10 ms.
    const FRAME: usize = 480;
    /// Frames that are on their way to be heard.
    const AHEAD: usize = 10;
    /// Frames from the capture thread to the microphone's reader.
    const LATE: usize = 3;

    /// How many dB of a voice, half as loud in the microphone, are taken out in each second, where
    /// in some frames nothing comes to be played, and in some nothing is recorded.
    fn taken_out(
        seconds: usize,
        is_dry: impl Fn(usize) -> bool,
        is_lost: impl Fn(usize) -> bool,
    ) -> Vec<f32> {
        let devices = Devices {
            input: None,
            output: None,
            reopen: None,
            channel: None,
            echo_control: EchoChoice::Auto,
        };
        let mut echo = Echo::between(&devices).expect("nothing that is virtual").expect("it is on");
        let mut voice = Noise::new(Kind::Babble, -26.0, 48_000, 1);
        let (mut way, mut air) = (VecDeque::new(), VecDeque::from(vec![[0.0; FRAME]; LATE]));
        let (mut heard, mut left) = (Vec::new(), Vec::new());
        for at in 0..seconds * 100 {
            while way.len() < AHEAD && !is_dry(at) {
                let mut frame = [0.0; FRAME];
                voice.fill(&mut frame);
                echo.played(&frame);
                way.push_back(frame);
            }
            air.push_back(way.pop_front().unwrap_or([0.0; FRAME]));
            let mut frame = air.pop_front().expect("it is as long as it was").map(|sample| sample / 2.0);
            if is_lost(at) {
                continue;
            }
            heard.extend(frame);
            echo.recorded(&mut frame, (way.len() * FRAME) as u64).expect("10 ms");
            left.extend(frame);
        }
        let seconds = heard.chunks(48_000).zip(left.chunks(48_000));
        seconds.map(|(heard, left)| dbfs(rms(heard)) - dbfs(rms(left))).collect()
    }

    #[test]
    fn what_is_played_ahead_goes_with_its_echo() {
        let taken_out = taken_out(6, |_| false, |_| false);
        assert!(taken_out[3..].iter().all(|&db| db > 20.0), "{taken_out:?}");
    }

    #[test]
    fn a_device_that_was_dry_keeps_its_distance_when_it_plays_on() {
        // For 300 ms, of which what was ahead fills 100.
        let taken_out = taken_out(10, |at| (400..430).contains(&at), |_| false);
        assert!(taken_out[7..].iter().all(|&db| db > 20.0), "{taken_out:?}");
    }

    #[test]
    fn what_was_played_while_nothing_was_recorded_is_left_out() {
        let taken_out = taken_out(10, |_| false, |at| (400..430).contains(&at));
        assert!(taken_out[7..].iter().all(|&db| db > 20.0), "{taken_out:?}");
    }
}
