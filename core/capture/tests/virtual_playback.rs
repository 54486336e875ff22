//! Playing to virtual devices, as fast as possible unless time is the point.

use std::sync::mpsc::channel;
use std::time::Duration;

use greenroom_audio::device::CallbackSink;
use greenroom_audio::{Clock, Format, Patchbay, wav};
use greenroom_capture::event::Cause;
use greenroom_capture::{AudioError, Capture, CaptureOptions, Event, Playback, PlaybackOptions, Position};
use greenroom_protocol::Code;

const SOON: Option<Duration> = Some(Duration::from_secs(10));

fn options(device: &str) -> PlaybackOptions {
    PlaybackOptions { device: Some(device.to_owned()), clock: Clock::Fast, ..PlaybackOptions::default() }
}

fn ramp(samples: usize) -> Vec<i16> {
    (0..samples).map(|at| (at % 65_536) as u16 as i16).collect()
}

#[test]
fn what_is_written_is_played_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wav");
    let playback = Playback::open(&options(&format!("file:{}", path.display()))).expect("a file");
    // More than the queue holds: the writer waits.
    let written = ramp(100_001);
    playback.write(&written, SOON).expect("written");
    playback.drain(SOON).expect("played");
    let position = playback.position().expect("a position");
    assert_eq!(position, Position { written: 100_001, heard: 100_001, waiting: 0, dropped: 0 });
    playback.close().expect("a whole file");
    let (format, samples) = wav::read(&path).expect("a file");
    assert_eq!(format, Format::WIRE);
    let played: Vec<i16> = samples.iter().map(|sample| (sample * 32_768.0) as i16).collect();
    assert!(played == written, "the samples are not those that were written");
    let error = playback.write(&[0_i16], SOON).expect_err("it is closed");
    assert_eq!((error.code(), error), (Code::SessionClosed, AudioError::Closed));
}

#[test]
fn another_rate_is_played_to_the_sample_also_in_parts() {
    // A loopback decides its own format, so the rates differ.
    let patchbay = Patchbay::new();
    let to = CaptureOptions {
        device: Some("loopback:rates".to_owned()),
        clock: Clock::Fast,
        patchbay: Some(patchbay.clone()),
        ..CaptureOptions::default()
    };
    let capture = Capture::open(&to).expect("an ear of 16 kHz");
    let playback = Playback::open(&PlaybackOptions {
        rate: 24_000,
        patchbay: Some(patchbay),
        ..options("loopback:rates")
    })
    .expect("a mouth");
    for part in ramp(24_000).chunks(6000) {
        playback.write(part, SOON).expect("written");
        playback.drain(SOON).expect("played");
    }
    assert_eq!(playback.position().expect("a position").heard, 24_000);
    let mut samples = 0;
    while samples < 16_000 {
        samples += capture.read::<i16>(SOON).expect("a frame").expect("no end").samples.len();
    }
    assert_eq!(samples, 16_000);
    assert_eq!(
        capture.read::<i16>(Some(Duration::from_millis(30))).expect_err("no more").code(),
        Code::Timeout
    );
}

#[test]
fn a_recorder_of_a_loopback_ends_when_its_player_is_closed() {
    for clock in [Clock::Fast, Clock::RealTime] {
        let patchbay = Some(Patchbay::new());
        let capture = Capture::open(&CaptureOptions {
            device: Some("loopback:ends".to_owned()),
            clock,
            patchbay: patchbay.clone(),
            // To reopen is for what is lost; this is an end.
            reopen: SOON,
            ..CaptureOptions::default()
        })
        .expect("an ear");
        let playback =
            Playback::open(&PlaybackOptions { rate: 16_000, patchbay, ..options("loopback:ends") })
                .expect("a mouth");
        playback.write(&[8_192_i16; 1600], SOON).expect("written");
        playback.drain(SOON).expect("played");
        playback.close().expect("closed");
        let mut heard = Vec::new();
        while let Some(frame) = capture.read::<i16>(SOON).expect("no error") {
            heard.extend(frame.samples);
        }
        assert_eq!(heard, [8_192; 1600]);
        assert_eq!(capture.event(SOON), Ok(None));
    }
}

#[test]
fn a_full_queue_makes_the_writer_wait() {
    let (tell, told) = channel::<Vec<f32>>();
    let (go, wait) = channel::<()>();
    let sink = CallbackSink::new(Format::WIRE, move |samples: &[f32]| {
        let _ = wait.recv();
        let _ = tell.send(samples.to_vec());
    });
    let queue = Duration::from_millis(20);
    let options = PlaybackOptions { queue, clock: Clock::Fast, ..PlaybackOptions::default() };
    let playback = Playback::to_sink(Box::new(sink), &options).expect("a function");
    let error =
        playback.write(&ramp(4800), Some(Duration::from_millis(20))).expect_err("the function is stuck");
    assert_eq!(error.code(), Code::Timeout);
    let position = playback.position().expect("a position");
    assert!(position.written < 4800 && position.written == position.waiting, "{position:?}");
    drop(go);
    playback.drain(SOON).expect("played");
    let played: usize = told.try_iter().map(|samples| samples.len()).sum();
    assert_eq!(played as u64, position.written);
}

#[test]
fn clearing_drops_what_has_not_been_played_and_says_how_much() {
    let (tell, told) = channel::<Vec<f32>>();
    let sink = CallbackSink::new(Format::WIRE, move |samples: &[f32]| {
        let _ = tell.send(samples.to_vec());
    });
    let options = PlaybackOptions { queue: Duration::from_secs(10), ..PlaybackOptions::default() };
    let playback = Playback::to_sink(Box::new(sink), &options).expect("a function in real time");
    playback.write(&vec![0.5_f32; 480_000], SOON).expect("written");
    told.recv_timeout(Duration::from_secs(10)).expect("playing");
    playback.clear().expect("cleared");
    playback.drain(SOON).expect("nothing is left");
    let position = playback.position().expect("a position");
    assert_eq!(position.written, 480_000);
    assert_eq!(position.heard + position.dropped, 480_000);
    assert!(position.dropped > 240_000, "{position:?}");
    // It goes on after that.
    playback.write(&[0.25_f32; 480], SOON).expect("written");
    playback.drain(SOON).expect("played");
    assert_eq!(playback.position().expect("a position").heard, position.heard + 480);
    playback.close().expect("closed");
    let played: Vec<f32> = told.try_iter().flatten().collect();
    assert_eq!(played.iter().filter(|&&sample| sample == 0.25).count(), 480);
}

#[test]
fn in_real_time_silence_is_played_between_and_late_writes_are_told() {
    let (tell, told) = channel::<Vec<f32>>();
    let sink = CallbackSink::new(Format::WIRE, move |samples: &[f32]| {
        let _ = tell.send(samples.to_vec());
    });
    let playback = Playback::to_sink(Box::new(sink), &PlaybackOptions::default()).expect("a function");
    let speak = || playback.write(&[0.5_f32; 4800], SOON).expect("written");
    let silence = || {
        while told.recv_timeout(Duration::from_secs(10)).expect("it goes on").iter().any(|&s| s != 0.0) {}
    };
    speak();
    playback.drain(SOON).expect("played");
    silence();
    // A pause after a drain is meant; one in the middle is a gap.
    speak();
    silence();
    speak();
    playback.drain(SOON).expect("played");
    let Ok(Some(Event::Gap { samples, cause: Cause::Writer })) = playback.event(SOON) else {
        panic!("no gap")
    };
    assert!(samples >= 480 && samples.is_multiple_of(480), "{samples}");
    playback.close().expect("closed");
    assert_eq!(playback.event(SOON), Ok(None));
}

#[test]
fn a_device_that_is_lost_ends_the_stream_or_is_opened_again() {
    let playback = Playback::open(&options("fail:after=100ms")).expect("a device");
    let error = playback.write(&ramp(96_000), SOON).expect_err("it fails");
    assert_eq!(error.code(), Code::DeviceLost);
    assert!(matches!(playback.event(SOON), Ok(Some(Event::Lost { .. }))));

    let again = PlaybackOptions { reopen: Some(Duration::from_secs(5)), ..options("fail:after=1s") };
    let playback = Playback::open(&again).expect("a device");
    playback.write(&ramp(96_000), SOON).expect("written");
    playback.drain(SOON).expect("played");
    let position = playback.position().expect("a position");
    assert_eq!(position.written, position.heard + position.dropped);
    assert!(position.dropped <= 960, "{position:?}");
    assert!(matches!(playback.event(SOON), Ok(Some(Event::Lost { .. }))));
    assert!(matches!(playback.event(SOON), Ok(Some(Event::Reopened { .. }))));
}

#[test]
fn what_cannot_be_meant_is_told() {
    for (change, says) in [
        (PlaybackOptions { rate: 10, ..options("null") }, "10 Hz is no rate"),
        (PlaybackOptions { queue: Duration::ZERO, ..options("null") }, "the queue cannot be 0 ms"),
        (PlaybackOptions { jitter: SOON, ..options("null") }, "jitter cannot be 10000 ms"),
        (options("tone:440"), "cannot be played to"),
    ] {
        let error = Playback::open(&change).expect_err(says);
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let stereo = Playback::open(&PlaybackOptions { channels: 2, ..options("null") }).expect("silence");
    let error = stereo.write(&[0_i16; 3], SOON).expect_err("half an instant");
    assert!(error.to_string().contains("3 samples are no whole number for 2 channels"), "{error}");
}

#[test]
fn a_function_that_panics_ends_the_stream_and_nothing_else() {
    let sink = CallbackSink::new(Format::WIRE, |_: &[f32]| panic!("as the test wants"));
    let options = PlaybackOptions { clock: Clock::Fast, ..PlaybackOptions::default() };
    let playback = Playback::to_sink(Box::new(sink), &options).expect("a function");
    playback.write(&[0.5_f32; 480], SOON).expect("taken into the queue");
    assert_eq!(playback.drain(SOON), Err(AudioError::Panicked("callback".to_owned())));
}
