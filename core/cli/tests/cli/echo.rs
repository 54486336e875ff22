//! Echo control of `talk`: with real devices, which are a PulseAudio's of the test's own, and without.

use std::fs::File;
use std::process::Child;

use greenroom_audio::signal::Sine;
use greenroom_audio::{Format, wav};

use crate::stage::{Stage, eventually, signal, wait_with};
use crate::support::isolated::isolated;
use crate::support::pulse::Pulse;

/// `talk` that goes on until it is interrupted, and what it has printed and told so far.
struct Talking<'a> {
    stage: &'a Stage,
    child: Child,
}

impl<'a> Talking<'a> {
    fn begin(stage: &'a Stage, more: &[&str]) -> Self {
        let peer = greenroom_test_peer::binary();
        let mut command = stage.command(&["talk", "--python", peer.to_str().unwrap()]);
        command.args(more).env("GREENROOM_PEER", "voice");
        let file = |name: &str| File::create(stage.path().join(name)).unwrap();
        let child = command.stdout(file("printed")).stderr(file("told")).spawn().unwrap();
        Self { stage, child }
    }

    fn waits_for(&self, file: &str, part: &str) {
        let path = self.stage.path().join(file);
        eventually(part, || std::fs::read_to_string(&path).unwrap().contains(part));
    }

    /// Ctrl-C; gives the exit code.
    fn interrupt(mut self) -> Option<i32> {
        signal(self.child.id(), "INT");
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Talking<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

isolated!(talk_takes_echoes_out_between_real_devices_unless_it_is_not_wanted, |folder| {
    let _pulse = Pulse::start(folder);
    for (more, told) in [
        (&[][..], "playing to pulseaudio:speaker. Speak, or type a line; Ctrl-C ends. Echo control is on."),
        (&["--echo-control", "on"], "Echo control is on."),
        (
            &["--echo-control", "off"],
            "Echo control is off: where the microphone hears the loudspeaker, use headphones.",
        ),
    ] {
        let stage = Stage::new();
        let mut samples = vec![0.0; 2 * 48_000];
        Sine::new(1000.0, -6.0, 48_000).fill(&mut samples);
        wav::write(&stage.path().join("question.wav"), Format::WIRE, &samples).unwrap();
        let talking = Talking::begin(&stage, more);
        talking.waits_for("told", told);
        stage.run(&["play", "question.wav", "--device", "pulseaudio:mic_feed"]).ok();
        talking.waits_for("printed", "● Agent\n    heard\n");
        assert_eq!(talking.interrupt(), Some(130));
    }
});

#[test]
fn virtual_devices_have_no_echoes() {
    let stage = Stage::new();
    wav::write(&stage.path().join("question.wav"), Format::WIRE, &[0.0; 4_800]).unwrap();
    let peer = greenroom_test_peer::binary();
    let talk = |echo_control: &str| {
        let devices = ["--input", "file:question.wav", "--output", "null"];
        let mut command = stage.command(&["talk", "--python", peer.to_str().unwrap()]);
        command.args(devices).args(["--echo-control", echo_control]).env("GREENROOM_PEER", "voice");
        wait_with(command, &[])
    };
    talk("auto").ok().told("Echo control is off");
    talk("off").ok().told("Echo control is off");
    talk("on").code(2).told("file:question.wav is a virtual device; leave --echo-control out");
    talk("maybe").code(2).told("auto, on, off");
}
