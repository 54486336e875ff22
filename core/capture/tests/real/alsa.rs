//! ALSA, without a daemon.

use std::sync::mpsc::channel;
use std::time::Duration;

use greenroom_capture::{Capture, CaptureOptions, Direction, Event, Playback, PlaybackOptions, devices};
use greenroom_protocol::Code;

use crate::support::fifo::{Card, hear, refused, share, speak};
use crate::support::isolated::{PRINTED, isolated};
use crate::support::{SOON, events_until, record, until};

fn mic() -> CaptureOptions {
    CaptureOptions { device: Some("alsa:mic".to_owned()), rate: 48_000, ..CaptureOptions::default() }
}

fn ramp(samples: usize) -> Vec<i16> {
    (0..samples).map(|at| (at % 65_536) as u16 as i16).collect()
}

isolated!(what_a_card_gives_comes_to_the_bit, |folder| {
    let card = Card::new(folder);
    let capture = Capture::open(&mic()).expect("a card");
    let spoken = ramp(96_000);
    let mut heard: Vec<i16> = Vec::new();
    // The test is the card's clock: it speaks on once it has heard, but for the 50 ms that are on their way.
    for (number, block) in spoken.chunks(480).enumerate() {
        speak(&card.mic, block);
        while heard.len() + 5 * 480 <= number * 480 {
            let frame = capture.read::<i16>(SOON).expect("a frame").expect("no end");
            assert_eq!(frame.lost, 0);
            heard.extend(frame.samples);
        }
    }
    assert!(heard.len() > 90_000 && heard == spoken[..heard.len()]);
    assert_eq!(capture.recorded().expect("numbers").lost, 0);
    capture.close().expect("closed");
});

isolated!(what_is_played_comes_to_a_card_to_the_bit, |folder| {
    let card = Card::new(folder);
    let (tell, told) = channel();
    // The card is read from before it is opened until the process ends: it takes what it is given at once, and a full pipe holds it.
    std::thread::spawn(move || {
        loop {
            // Silence is what the card gets before and after.
            let heard: Vec<i16> =
                hear(&card.speaker, 480).into_iter().filter(|&sample| sample != 0).collect();
            if !heard.is_empty() && tell.send(heard).is_err() {
                return;
            }
        }
    });
    let options = PlaybackOptions { device: Some("alsa:speaker".to_owned()), ..PlaybackOptions::default() };
    let playback = Playback::open(&options).expect("a card");
    let spoken: Vec<i16> = (0..30_000).map(|at| at + 1).collect();
    playback.write(&spoken, SOON).expect("written");
    playback.flush().expect("alive");
    let mut heard = Vec::new();
    while heard.last() != spoken.last() {
        heard.extend(told.recv_timeout(Duration::from_secs(20)).expect("sound"));
    }
    assert!(heard == spoken, "{} samples", heard.len());
});

isolated!(a_device_that_never_speaks_is_an_error_not_silence, |folder| {
    let _card = Card::new(folder);
    let options = CaptureOptions { start: Duration::from_millis(300), ..mic() };
    let error = Capture::open(&options).and_then(|capture| capture.read::<i16>(SOON)).expect_err("no audio");
    assert_eq!(error.code(), Code::DeviceLost, "{error}");
    assert!(error.to_string().contains("alsa:mic returned no audio"), "{error}");
});

isolated!(a_device_that_falls_silent_is_lost, |folder| {
    let card = Card::new(folder);
    let capture = Capture::open(&mic()).expect("a card");
    speak(&card.mic, &ramp(9600));
    let error = loop {
        match capture.read::<i16>(SOON) {
            Ok(frame) => assert!(frame.is_some(), "it ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::DeviceLost, "{error}");
    assert!(error.to_string().contains("dead for"), "{error}");
    // The card holds its thread in a read; the stream ends all the same.
    capture.close().expect("closed");
});

isolated!(a_device_that_somebody_has_is_busy_and_is_waited_for, |folder| {
    let card = Card::new(folder);
    share(folder);
    let taken = folder.join("taken");
    std::fs::write(&taken, []).expect("a file");
    let device = Some("alsa:shared".to_owned());
    let shared = CaptureOptions { device: device.clone(), ..mic() };
    let errors = [
        Capture::open(&shared).expect_err("somebody has it"),
        Playback::open(&PlaybackOptions { device, ..PlaybackOptions::default() })
            .expect_err("somebody has it"),
    ];
    for error in errors {
        assert_eq!(error.code(), Code::Busy, "{error}");
        let told = error.to_string();
        assert!(told.starts_with("alsa:shared is busy:") && told.contains("close what uses it"), "{told}");
    }

    std::fs::remove_file(&taken).expect("a file");
    let capture = Capture::open(&CaptureOptions { reopen: SOON, ..shared }).expect("it is free");
    speak(&card.mic, &ramp(9600));
    // It falls silent; once that is noticed, somebody else has it.
    std::fs::write(&taken, []).expect("a file");
    let before = refused(folder);
    let next = || capture.event(SOON).expect("an event");
    events_until(next, |event| matches!(event, Event::Lost { .. }));
    until("it is asked for again and again", || refused(folder) >= before + 2);
    std::fs::remove_file(&taken).expect("a file");
    let events = events_until(next, |event| matches!(event, Event::Reopened { .. }));
    let Some(Event::Reopened { device, .. }) = events.last() else { panic!("not reopened") };
    assert_eq!(device, "alsa:shared");
    speak(&card.mic, &ramp(9600));
    record(&capture, 4800);
});

/// What Debian's ALSA lists besides its devices. Each of them can be opened.
const JUNK: &str = "\
pcm.null { type null hint { show on description \"Discard all samples\" } }
pcm.lavrate { type null hint { show on description \"Rate Converter Plugin\" } }
pcm.upmix { type null hint { show on description \"Plugin for channel upmix\" } }
pcm.surround51 { type null hint { show on description \"5.1 Surround output\" } }
";

isolated!(alsas_list_has_devices_and_nothing_else, |folder| {
    let _card = Card::new(folder);
    let setup = folder.join("asound.conf");
    let card = std::fs::read_to_string(&setup).expect("a file");
    std::fs::write(&setup, card + JUNK).expect("a file");
    let found = devices().expect("a list");
    let names: Vec<&str> = found.iter().map(|device| device.id.as_str()).collect();
    assert!(names.contains(&"alsa:mic") && names.contains(&"alsa:speaker"), "{names:?}");
    let junk =
        |name: &&&str| ["null", "lavrate", "upmix", "surround51"].iter().any(|junk| name.ends_with(junk));
    assert_eq!(names.iter().find(junk), None, "{names:?}");
    let input = found.iter().find(|device| device.default && device.direction == Direction::Input);
    assert_eq!(input.map(|device| device.id.as_str()), Some("alsa:default"), "{found:?}");
});

isolated!(what_alsa_complains_of_is_told_by_errors_and_not_printed, |folder| {
    let setup = "pcm.broken { type nosuch hint { show on description \"Broken\" } }\n";
    std::fs::write(folder.join("asound.conf"), setup).expect("a file");
    assert_eq!(devices(), Ok(Vec::new()), "it cannot be opened");
    let device = Some("alsa:broken".to_owned());
    let error = Capture::open(&CaptureOptions { device, ..mic() }).expect_err("it is of no type");
    assert_eq!(error.code(), Code::DeviceLost, "{error}");
    let printed = std::fs::read_to_string(folder.join(PRINTED)).expect("a file");
    assert!(!printed.contains("ALSA lib"), "{printed}");
});

isolated!(a_machine_without_a_card_has_no_default_device, |_folder| {
    // ALSA's library is there and knows of nothing; nobody is at PulseAudio's socket.
    assert_eq!(devices(), Ok(Vec::new()));
    let errors = [
        Capture::open(&CaptureOptions::default()).expect_err("nothing to open"),
        Playback::open(&PlaybackOptions::default()).expect_err("nothing to open"),
    ];
    for error in errors {
        assert_eq!(error.code(), Code::DeviceNotFound, "{error}");
        assert!(error.to_string().contains("there is none at all"), "{error}");
    }
});
