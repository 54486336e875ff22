//! Recording from virtual devices, as fast as possible unless time is the point.

use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_audio::device::CallbackSource;
use greenroom_audio::signal::tone;
use greenroom_audio::{Clock, Format, Patchbay, wav};
use greenroom_capture::event::Cause;
use greenroom_capture::{AudioError, Capture, CaptureOptions, Event, Playback, PlaybackOptions};
use greenroom_protocol::Code;

const SOON: Option<Duration> = Some(Duration::from_secs(10));

fn options(device: &str) -> CaptureOptions {
    CaptureOptions { device: Some(device.to_owned()), clock: Clock::Fast, ..CaptureOptions::default() }
}

/// Everything to the end, and what was lost.
fn all(capture: &Capture) -> (Vec<i16>, u64) {
    let (mut samples, mut lost) = (Vec::new(), 0);
    while let Some(frame) = capture.read::<i16>(SOON).expect("a frame or the end") {
        samples.extend(frame.samples);
        lost += frame.lost;
    }
    (samples, lost)
}

fn ramp(folder: &Path, rate: u32, channels: u16, instants: usize) -> String {
    let path = folder.join("in.wav");
    let samples: Vec<f32> = (0..instants * usize::from(channels))
        .map(|at| ((at % 65_536) as f32 - 32_768.0) / 32_768.0)
        .collect();
    wav::write(&path, Format::new(rate, channels).expect("a format"), &samples).expect("a file");
    format!("file:{}", path.display())
}

#[test]
fn a_file_comes_whole_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = ramp(folder.path(), 16_000, 1, 80_000);
    // 300 ms may wait: the file waits for its reader instead of losing anything.
    let options = CaptureOptions { queue: Duration::from_millis(300), ..options(&name) };
    let capture = Capture::open(&options).expect("a file");
    let (samples, lost) = all(&capture);
    let expected: Vec<i16> = (0..80_000_i32).map(|at| (at % 65_536 - 32_768) as i16).collect();
    assert_eq!((samples, lost), (expected, 0));
    assert_eq!(capture.read::<i16>(SOON), Ok(None), "again");
    assert_eq!(capture.event(SOON), Ok(None));
    assert_eq!(capture.recorded().expect("numbers").samples, 80_000);
}

#[test]
fn frames_have_the_length_the_rate_and_the_times_that_were_asked_for() {
    let options =
        CaptureOptions { rate: 24_000, frame: Duration::from_millis(20), ..options("tone:440:-6.02") };
    let capture = Capture::open(&options).expect("a tone");
    let frames: Vec<_> =
        (0..50).map(|_| capture.read::<f32>(SOON).expect("a frame").expect("no end")).collect();
    for (frame, next) in frames.iter().zip(&frames[1..]) {
        assert_eq!((frame.format, frame.samples.len()), (Format::mono(24_000).expect("a rate"), 480));
        assert_eq!(next.time - frame.time, Duration::from_millis(20));
    }
    let samples: Vec<f32> = frames.iter().flat_map(|frame| frame.samples.iter().copied()).collect();
    assert!((tone(&samples, 440.0, 24_000) + 6.02).abs() < 0.01);
}

#[test]
fn the_rate_and_the_channels_of_a_file_become_those_that_were_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.wav");
    // 1 kHz on the left, 3 kHz on the right of a second at 44.1 kHz.
    let stereo: Vec<f32> = (0..44_100)
        .flat_map(|at| {
            let time = std::f64::consts::TAU * f64::from(at) / 44_100.0;
            [(time * 1000.0).sin() as f32 / 2.0, (time * 3000.0).sin() as f32 / 2.0]
        })
        .collect();
    wav::write(&path, Format::new(44_100, 2).expect("stereo"), &stereo).expect("a file");
    let name = format!("file:{}", path.display());
    let (mixed, _) = all(&Capture::open(&options(&name)).expect("a file"));
    assert_eq!(mixed.len(), 16_000);
    let mixed: Vec<f32> = mixed.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
    for hz in [1000.0, 3000.0] {
        assert!((tone(&mixed[800..15_200], hz, 16_000) + 12.04).abs() < 0.05, "{hz}");
    }
    let two = CaptureOptions { channels: 2, rate: 48_000, ..options(&name) };
    let (both, _) = all(&Capture::open(&two).expect("a file"));
    assert_eq!(both.len(), 96_000);
    let right: Vec<f32> = both[9600..].iter().skip(1).step_by(2).map(|&s| f32::from(s) / 32_768.0).collect();
    assert!((tone(&right[..38_400], 3000.0, 48_000) + 6.02).abs() < 0.05);
    assert!(tone(&right[..38_400], 1000.0, 48_000) < -80.0);
}

#[test]
fn a_device_that_is_lost_ends_the_stream_with_its_name() {
    let capture = Capture::open(&options("fail:after=200ms:tone:440")).expect("a device");
    let mut frames = 0;
    let error = loop {
        match capture.read::<i16>(SOON) {
            Ok(Some(_)) => frames += 1,
            Ok(None) => panic!("it ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(frames, 20, "what came before is not lost");
    assert_eq!(error.code(), Code::DeviceLost);
    assert!(
        error.to_string().contains("fail:after=0.2s") && error.to_string().contains("open it again"),
        "{error}"
    );
    assert_eq!(capture.read::<i16>(SOON), Err(error), "again");
    assert!(matches!(capture.event(SOON), Ok(Some(Event::Lost { .. }))));
    assert_eq!(capture.event(SOON), Ok(None));
}

#[test]
fn a_device_that_is_lost_is_opened_again_if_that_is_asked_for() {
    let reopen = Some(Duration::from_secs(5));
    let options = CaptureOptions { reopen, clock: Clock::RealTime, ..options("fail:after=50ms:tone:440") };
    let begun = Instant::now();
    let capture = Capture::open(&options).expect("a device");
    let (mut whole, mut lost) = (0_u64, 0);
    while whole < 1600 {
        let frame = capture.read::<i16>(SOON).expect("a frame").expect("no end");
        whole += frame.samples.len() as u64;
        lost += frame.lost;
    }
    // What is missing is counted, so that the sum is the time.
    let passed = Format::SPEECH.samples_in(begun.elapsed());
    assert!(lost >= 800 && whole + lost <= passed + 160, "{lost} lost, {whole} samples in {passed}");
    let Ok(Some(Event::Lost { device, .. })) = capture.event(SOON) else { panic!("not lost") };
    assert!(device.starts_with("fail:after=0.05s"), "{device}");
    let Ok(Some(Event::Reopened { after, .. })) = capture.event(SOON) else { panic!("not reopened") };
    assert!(after >= Duration::from_millis(50), "{after:?}");
    assert!(matches!(capture.event(SOON), Ok(Some(Event::Gap { cause: Cause::Device, .. }))));
}

#[test]
fn a_reader_that_sleeps_loses_the_oldest_frames_and_is_told() {
    // The function gives a second per block, so that nothing here depends on time.
    let mut given = 0;
    let source = CallbackSource::new(Format::SPEECH, move |samples: &mut [f32]| {
        for sample in samples.iter_mut() {
            *sample = given as f32 / 32_768.0;
            given = (given + 1) % 32_768;
        }
        samples.len()
    });
    let queue = Duration::from_millis(100);
    let options = CaptureOptions { queue, clock: Clock::RealTime, ..CaptureOptions::default() };
    let capture = Capture::from_source(Box::new(source), &options).expect("a function");
    while capture.recorded().expect("numbers").dropped < 800 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let frame = capture.read::<i16>(SOON).expect("a frame").expect("no end");
    assert!(frame.lost >= 800 && frame.lost.is_multiple_of(160), "{}", frame.lost);
    assert_eq!(
        u64::from(frame.samples[0].unsigned_abs()),
        frame.lost,
        "the frame is what came after the gap"
    );
    assert_eq!(frame.time, Format::SPEECH.duration_of(frame.lost) + first_time(&frame));
    let Ok(Some(Event::Gap { samples, cause: Cause::Reader })) = capture.event(SOON) else {
        panic!("no gap")
    };
    assert!(samples >= frame.lost);
    capture.close().expect("closed");
}

/// The stream's first sample's time, as the frame implies it.
fn first_time(frame: &greenroom_audio::Frame<Vec<i16>>) -> Duration {
    frame.time - Format::SPEECH.duration_of(frame.lost)
}

#[test]
fn no_frame_is_from_the_future_and_time_never_goes_back() {
    let patchbay = Some(Patchbay::new());
    let played = PlaybackOptions {
        device: Some("loopback:early".to_owned()),
        clock: Clock::Fast,
        patchbay: patchbay.clone(),
        ..PlaybackOptions::default()
    };
    let playback = Playback::open(&played).expect("a mouth");
    // Two of these five seconds are held until somebody listens.
    playback.write(&vec![0.5_f32; 240_000], SOON).expect("written");
    playback.drain(SOON).expect("played");
    for device in ["loopback:early", "tone:440"] {
        let recorded =
            CaptureOptions { patchbay: patchbay.clone(), clock: Clock::RealTime, ..options(device) };
        let before = Instant::now();
        let capture = Capture::open(&recorded).expect("a device");
        assert!(before <= capture.origin() + Duration::from_millis(500));
        let mut latest = Duration::from_millis(500);
        for _ in 0..20 {
            let frame = capture.read::<i16>(SOON).expect("a frame").expect("no end");
            let length = frame.format.duration_of(frame.samples.len() as u64);
            assert!(capture.origin() + frame.time + length <= Instant::now(), "{device} at {:?}", frame.time);
            assert!(latest <= frame.time, "{device}: {latest:?}, then {:?}", frame.time);
            latest = frame.time;
        }
    }
}

#[test]
fn a_function_that_panics_ends_the_stream_and_nothing_else() {
    let source =
        CallbackSource::new(Format::SPEECH, |_: &mut [f32]| -> usize { panic!("as the test wants") });
    let capture = Capture::from_source(Box::new(source), &CaptureOptions::default()).expect("a function");
    let error = capture.read::<i16>(SOON).expect_err("a panic");
    assert_eq!(error, AudioError::Panicked("callback".to_owned()));
    assert_eq!(error.code(), Code::Internal);
    capture.close().expect("closed");
}

#[test]
fn what_cannot_be_meant_is_told() {
    for (change, says) in [
        (CaptureOptions { rate: 10, ..options("null") }, "10 Hz is no rate"),
        (CaptureOptions { channels: 0, ..options("null") }, "cannot have 0 channels"),
        (CaptureOptions { frame: Duration::ZERO, ..options("null") }, "a frame cannot be 0 ms"),
        (
            CaptureOptions { queue: Duration::from_secs(61), ..options("null") },
            "the queue cannot be 61000 ms",
        ),
        (options("tone:x"), "write tone:440"),
        (options("callback"), "pass the function"),
        (options("tone:9000"), "twice its frequency"),
    ] {
        let error = Capture::open(&change).expect_err(says);
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let error = Capture::open(&options("file:/nowhere/in.wav")).expect_err("no file");
    assert_eq!(error.code(), Code::Io);
    assert!(error.to_string().contains("/nowhere/in.wav"), "{error}");
}

#[test]
fn a_wait_has_a_deadline_and_the_stream_goes_on() {
    let patchbay = Some(Patchbay::new());
    let capture =
        Capture::open(&CaptureOptions { patchbay, ..options("loopback:nobody") }).expect("a loopback");
    let error = capture.read::<i16>(Some(Duration::from_millis(20))).expect_err("nothing comes");
    assert_eq!(error.code(), Code::Timeout);
    assert!(error.to_string().contains("a frame took longer than 20 ms"), "{error}");
    capture.close().expect("closed");
    assert_eq!(capture.read::<i16>(SOON), Ok(None));
    capture.close().expect("twice is nothing");
}

#[test]
fn closing_ends_a_read_in_another_thread() {
    let patchbay = Some(Patchbay::new());
    let capture =
        Capture::open(&CaptureOptions { patchbay, ..options("loopback:nobody") }).expect("a loopback");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| capture.read::<i16>(None));
        capture.close().expect("closed");
        assert_eq!(reader.join().expect("no panic"), Ok(None));
    });
}

#[test]
fn a_second_recorder_of_a_loopback_is_told_that_it_is_busy() {
    let options = CaptureOptions { patchbay: Some(Patchbay::new()), ..options("loopback:one") };
    let first = Capture::open(&options).expect("a loopback");
    let error = Capture::open(&options).expect_err("it is open");
    assert_eq!(error.code(), Code::Busy);
    first.close().expect("closed");
    Capture::open(&options).expect("free again");
}

#[test]
fn events_are_json_that_every_language_reads() {
    let events = [
        Event::Gap { samples: 3, cause: Cause::Reader },
        Event::Reopened { device: "null".to_owned(), after: Duration::from_micros(1500) },
    ];
    assert_eq!(
        serde_json::to_value(events).expect("JSON"),
        serde_json::json!([
            { "type": "gap", "samples": 3, "cause": "reader" },
            { "type": "reopened", "device": "null", "after_ms": 1.5 },
        ])
    );
}
