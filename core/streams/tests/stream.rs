//! Streams as an event loop uses them: asked, and asked again after a wake.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use greenroom_capture::{Capture, CaptureOptions, Playback, PlaybackOptions};
use greenroom_protocol::{Code, Error};
use greenroom_streams::{CaptureSettings, PlaybackSettings, Stream};

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

fn until_closed<S: greenroom_streams::Device>(stream: &Stream<S>, woken: &Receiver<()>) -> Result<(), Error> {
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
