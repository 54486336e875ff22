//! Streams as an event loop uses them: asked, and asked again after a wake.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use greenroom_capture::event_loop::{CaptureSettings, EventLoopDevice, PlaybackSettings, Stream};
use greenroom_capture::{Capture, CaptureOptions, Playback, PlaybackOptions};
use greenroom_protocol::{Code, Error};

const SOON: Duration = Duration::from_secs(10);

fn capture(settings: &str) -> (Stream<Capture>, Receiver<()>) {
    let (wake, woken) = channel();
    let settings: CaptureSettings = serde_json::from_str(settings).expect("settings");
    let options = CaptureOptions::try_from(settings).expect("options");
    // Nobody listens any more at the end.
    let stream = Stream::capture(options, Box::new(move || _ = wake.send(())));
    (stream.expect("a thread"), woken)
}

fn playback(settings: &str) -> (Stream<Playback>, Receiver<()>) {
    let (wake, woken) = channel();
    let settings: PlaybackSettings = serde_json::from_str(settings).expect("settings");
    let options = PlaybackOptions::try_from(settings).expect("options");
    let stream = Stream::playback(options, Box::new(move || _ = wake.send(())));
    (stream.expect("a thread"), woken)
}

/// Asks until there is something, each time after a wake.
fn until<T>(woken: &Receiver<()>, mut ask: impl FnMut() -> Result<Option<T>, Error>) -> Result<T, Error> {
    loop {
        if let Some(found) = ask()? {
            return Ok(found);
        }
        woken.recv_timeout(SOON).expect("a wake");
    }
}

fn until_closed<S: EventLoopDevice>(stream: &Stream<S>, woken: &Receiver<()>) -> Result<(), Error> {
    stream.close(|| {})?;
    until(woken, || Ok(stream.is_closed()?.then_some(())))
}

#[test]
fn frames_come_after_wakes_and_end_with_the_stream() {
    let (stream, woken) = capture(r#"{"device": "tone:440", "frame_ms": 20, "rate": 8000}"#);
    let about = until(&woken, || stream.about()).expect("open");
    let about: serde_json::Value = serde_json::from_str(&about).expect("JSON");
    assert_eq!((&about["rate"], &about["channels"]), (&8000.into(), &1.into()));
    for _ in 0..5 {
        let frame = until(&woken, || stream.poll(Capture::poll_frame::<i16>)).expect("alive");
        assert_eq!(frame.expect("no end").samples.len(), 160);
    }
    until_closed(&stream, &woken).expect("closed");
    while until(&woken, || stream.poll(Capture::poll_frame::<i16>)).expect("no error").is_some() {}
    assert_eq!(until(&woken, || stream.poll_event()).expect("no error"), "null");
    until_closed(&stream, &woken).expect("closed already");
}

#[test]
fn what_cannot_be_opened_says_so_and_can_be_closed() {
    let (stream, woken) = capture(r#"{"device": "file:/no/such.wav"}"#);
    let error = until(&woken, || stream.about()).expect_err("no file");
    assert_eq!(error.code, Code::Io);
    assert_eq!(stream.poll_event(), Err(error));
    until_closed(&stream, &woken).expect("nothing to close");
}

#[test]
fn a_stream_may_be_closed_before_it_is_open() {
    let (stream, woken) = playback(r#"{"device": "null"}"#);
    until_closed(&stream, &woken).expect("closed");
    let error = until(&woken, || stream.poll(|it, context| it.poll_write::<i16>(context, &[0])));
    assert_eq!(error.expect_err("closed").code, Code::SessionClosed);
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    let settings: CaptureSettings = serde_json::from_str(r#"{"reopen_ms": -3}"#).expect("settings");
    let error = CaptureOptions::try_from(settings).expect_err("negative");
    assert_eq!(error.to_string(), "reopen is -3 ms; it must be 0 or more");
    let unknown = serde_json::from_str::<PlaybackSettings>(r#"{"frame_ms": 10}"#);
    assert!(unknown.expect_err("unknown").to_string().contains("frame_ms"));
}

/// A stream that records from a function, which the test is.
fn capture_function(settings: &str) -> (Stream<Capture>, Receiver<()>) {
    let (wake, woken) = channel();
    let settings: CaptureSettings = serde_json::from_str(settings).expect("settings");
    let options = CaptureOptions::try_from(settings).expect("options");
    let stream = Stream::capture_function(options, Box::new(move || _ = wake.send(())));
    (stream.expect("a thread"), woken)
}

/// A stream that plays to a function, which the test is.
fn playback_function(settings: &str) -> (Stream<Playback>, Receiver<()>) {
    let (wake, woken) = channel();
    let settings: PlaybackSettings = serde_json::from_str(settings).expect("settings");
    let options = PlaybackOptions::try_from(settings).expect("options");
    let stream = Stream::playback_function(options, Box::new(move || _ = wake.send(())));
    (stream.expect("a thread"), woken)
}

#[test]
fn what_a_function_gives_is_recorded_in_any_portions_until_it_gives_nothing() {
    let (stream, woken) = capture_function(r#"{"rate": 8000, "channels": 2, "clock": "fast"}"#);
    // 10 ms are 80 samples of each channel.
    assert_eq!(until(&woken, || stream.poll_wanted()), Ok(80));
    assert_eq!(stream.poll_wanted(), Ok(None), "each call is told once");
    let error = stream.give(vec![0.5; 3]).expect_err("half an instant");
    assert_eq!(error.code, Code::InvalidArgument);
    stream.give(vec![0.5; 100]).expect("less than was wanted");
    assert_eq!(until(&woken, || stream.poll_wanted()), Ok(30), "the rest");
    stream.give(vec![0.25; 500]).expect("more than was wanted");
    let mut heard = Vec::new();
    for at in 0.. {
        let frame = until(&woken, || {
            // The second call, after what was too much is used up, is the last.
            if stream.poll_wanted()?.is_some() {
                stream.give(Vec::new())?;
            }
            stream.poll(Capture::poll_frame::<f32>)
        });
        let Some(frame) = frame.expect("no error") else { break };
        assert_eq!(frame.samples.len(), 160, "frame {at}");
        heard.extend(frame.samples);
    }
    let mut expected = vec![0.5; 100];
    expected.extend([0.25; 500]);
    // The last frame is filled up with silence.
    expected.resize(640, 0.0);
    assert_eq!(heard, expected);
    until_closed(&stream, &woken).expect("closed");
}

#[test]
fn what_is_played_to_a_function_is_heard_once_it_has_taken_it() {
    let (stream, woken) = playback_function(r#"{"rate": 8000, "clock": "fast"}"#);
    until(&woken, || stream.about()).expect("open");
    let samples: Vec<i16> = (0..160).collect();
    assert_eq!(
        until(&woken, || stream.poll(|it, context| it.poll_write(context, &samples))).expect("room"),
        160
    );
    stream.get().expect("open").expect("open").flush().expect("flushed");
    assert_eq!(until(&woken, || stream.poll_played::<i16>()).expect("played"), samples[..80]);
    assert_eq!(stream.get().expect("open").expect("open").position().expect("one").heard, 0);
    stream.taken().expect("told");
    assert_eq!(until(&woken, || stream.poll_played::<i16>()).expect("played"), samples[80..]);
    stream.taken().expect("told");
    until(&woken, || stream.poll(Playback::poll_drained)).expect("drained");
    assert_eq!(stream.get().expect("open").expect("open").position().expect("one").heard, 160);
    until_closed(&stream, &woken).expect("closed");
}

#[test]
fn a_function_that_fails_ends_its_stream_with_what_it_says() {
    let (stream, woken) = capture_function("{}");
    until(&woken, || stream.poll_wanted()).expect("asked");
    stream.fail("ValueError: as the test wants").expect("told");
    let error = until(&woken, || stream.poll(Capture::poll_frame::<i16>)).expect_err("it failed");
    assert_eq!(error.code, Code::DeviceLost);
    assert!(error.message.contains("ValueError: as the test wants; the stream has ended"), "{error}");
    let (stream, woken) = playback_function(r#"{"clock": "fast"}"#);
    until(&woken, || stream.poll(|it, context| it.poll_write::<f32>(context, &[0.5; 480]))).expect("room");
    until(&woken, || stream.poll_played::<f32>()).expect("played");
    stream.fail("no").expect("told");
    let error = until(&woken, || stream.poll(Playback::poll_drained)).expect_err("it failed");
    assert_eq!(error.code, Code::DeviceLost);
}

#[test]
fn a_function_that_never_answers_holds_up_no_end() {
    let (stream, woken) = capture_function("{}");
    until(&woken, || stream.poll_wanted()).expect("asked");
    until_closed(&stream, &woken).expect("closed");
    let frames = until(&woken, || stream.poll(Capture::poll_frame::<i16>));
    assert!(frames.expect("no error").is_none());
    let (stream, woken) = playback_function(r#"{"clock": "fast"}"#);
    until(&woken, || stream.poll(|it, context| it.poll_write::<f32>(context, &[0.5; 480]))).expect("room");
    until(&woken, || stream.poll_played::<f32>()).expect("played");
    until_closed(&stream, &woken).expect("closed");
    // One that is dropped lets go of its thread too, which holds the wake.
    let (stream, woken) = capture_function("{}");
    until(&woken, || stream.poll_wanted()).expect("asked");
    drop(stream);
    loop {
        match woken.recv_timeout(SOON) {
            Ok(()) => {}
            Err(gone) => break assert_eq!(gone, RecvTimeoutError::Disconnected),
        }
    }
}
