//! PulseAudio, a daemon for each test.

use std::time::{Duration, Instant};

use greenroom_audio::Format;
use greenroom_audio::signal::{Sine, tone};
use greenroom_capture::event::Cause;
use greenroom_capture::{
    Capture, CaptureOptions, Device, Direction, Event, Latency, Playback, PlaybackOptions, devices,
};
use greenroom_protocol::Code;

use crate::support::isolated::isolated;
use crate::support::pulse::Pulse;
use crate::support::{SOON, events_until, record, until};

fn from(device: &str) -> CaptureOptions {
    CaptureOptions { device: Some(device.to_owned()), ..CaptureOptions::default() }
}

fn to(device: &str) -> PlaybackOptions {
    PlaybackOptions { device: Some(device.to_owned()), ..PlaybackOptions::default() }
}

/// Plays a second of a sine of 1 kHz with a peak of -6.02 dBFS, again and again, until it is told to stop.
fn whistle(playback: &Playback, stop: &std::sync::atomic::AtomicBool) {
    let mut sine = Sine::new(1000.0, -6.02, playback.format().rate());
    let mut block = vec![0.0; playback.format().rate() as usize / 50];
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        sine.fill(&mut block);
        playback.write(&block, SOON).expect("written");
    }
}

/// Hears the whistle that is played, whole and at its level, 6.02 dB below full scale.
fn hear_whistle(playback: &Playback, capture: &Capture, samples: usize, tolerance: f32) {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let rate = capture.format().rate();
    std::thread::scope(|scope| {
        scope.spawn(|| whistle(playback, &stop));
        // On a busy machine the sound server makes gaps. One recording without them tells: what is of a wrong level stays so.
        let deadline = Instant::now() + Duration::from_secs(20);
        let heard = loop {
            let (heard, lost) = record(capture, samples);
            let level = level(&heard, rate);
            if (lost == 0 && (level + 6.02).abs() < tolerance) || Instant::now() > deadline {
                break (level, lost);
            }
        };
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(
            (heard.0 + 6.02).abs() < tolerance && heard.1 == 0,
            "{heard:?}: dBFS and lost samples, at {rate} Hz"
        );
    });
}

/// The level of the whistle in dBFS: the median of stretches of 20 ms, so that single gaps do not change it.
fn level(heard: &[f32], rate: u32) -> f32 {
    let mut levels: Vec<f32> =
        heard.chunks_exact(rate as usize / 50).map(|stretch| tone(stretch, 1000.0, rate)).collect();
    levels.sort_by(f32::total_cmp);
    levels[levels.len() / 2]
}

isolated!(the_list_is_the_servers_and_says_which_are_default, |folder| {
    let _pulse = Pulse::start(folder);
    let found = devices().expect("a list");
    let mic = found.iter().find(|device| device.id == "pulseaudio:mic").expect("the microphone");
    let expected = Device {
        number: mic.number,
        id: "pulseaudio:mic".to_owned(),
        name: "Microphone".to_owned(),
        direction: Direction::Input,
        default: true,
        rate: 48_000,
        rates: mic.rates,
        channels: 1,
    };
    assert_eq!(*mic, expected);
    assert!(mic.rates.0 <= 8000 && mic.rates.1 >= 96_000, "{:?}", mic.rates);
    let defaults: Vec<_> = found.iter().filter(|device| device.default).map(|device| &*device.id).collect();
    assert_eq!(defaults, ["pulseaudio:mic", "pulseaudio:speaker"]);
    // A part of a name that two devices have.
    let error = Capture::open(&from("mic")).expect_err("ambiguous");
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.to_string().contains("mic_feed.monitor"), "{error}");
    let error = Capture::open(&from("webcam")).expect_err("not there");
    assert_eq!(error.code(), Code::DeviceNotFound);
    assert!(error.to_string().contains("\"Microphone\" (pulseaudio:mic)"), "{error}");
    // By number, as they are listed.
    let inputs: Vec<_> = found.iter().filter(|device| device.direction == Direction::Input).collect();
    let number = inputs.iter().position(|device| device.id == "pulseaudio:mic").expect("listed");
    assert_eq!(mic.number, number);
    let capture = Capture::open(&from(&number.to_string())).expect("the microphone");
    assert_eq!(capture.device().expect("alive"), "pulseaudio:mic");
});

isolated!(what_is_played_is_recorded_at_its_frequency_and_level, |folder| {
    let _pulse = Pulse::start(folder);
    for rate in [16_000, 24_000, 44_100, 48_000] {
        let capture = Capture::open(&CaptureOptions { rate, ..from("Microphone") }).expect("a microphone");
        let playback =
            Playback::open(&PlaybackOptions { rate, ..to("pulseaudio:mic_feed") }).expect("its feed");
        hear_whistle(&playback, &capture, rate as usize / 2, 0.02);
    }
});

isolated!(low_latency_streams_are_whole_too, |folder| {
    let _pulse = Pulse::start(folder);
    let capture =
        Capture::open(&CaptureOptions { latency: Latency::Low, rate: 48_000, ..from("Microphone") });
    let capture = capture.expect("a microphone");
    let playback = Playback::open(&PlaybackOptions { latency: Latency::Low, ..to("pulseaudio:mic_feed") });
    hear_whistle(&playback.expect("its feed"), &capture, 24_000, 0.1);
});

isolated!(odd_devices_give_what_is_asked_for, |folder| {
    let mut pulse = Pulse::start(folder);
    for (name, settings) in [("old", ["rate=44100", "channels=1"]), ("wide", ["rate=48000", "channels=8"])] {
        let sink = format!("sink_name={name}");
        pulse.load(&["module-null-sink", &sink, settings[0], settings[1], "format=s16le"]);
        pulse.keep(&format!("{name}.monitor"));
        let monitor = format!("pulseaudio:{name}.monitor");
        let found =
            devices().expect("a list").into_iter().find(|device| device.id == monitor).expect("listed");
        assert_eq!(settings, [format!("rate={}", found.rate), format!("channels={}", found.channels)]);
        let capture = Capture::open(&from(&monitor)).expect("a microphone");
        let playback = Playback::open(&to(&format!("pulseaudio:{name}"))).expect("a loudspeaker");
        hear_whistle(&playback, &capture, 8000, 0.05);
    }
});

isolated!(devices_of_every_format_of_samples_are_listed_and_opened, |folder| {
    let mut pulse = Pulse::start(folder);
    let formats = ["alaw", "ulaw", "u8", "s16be", "s24le", "s24-32be", "s32be", "float32le", "float32be"];
    for format in formats {
        let sink = format!("sink_name={}", format.replace('-', "_"));
        pulse.load(&["module-null-sink", &sink, "rate=8000", "channels=2", &format!("format={format}")]);
    }
    pulse.load(&["module-null-sink", "sink_name=many", "rate=48000", "channels=32"]);
    let found = devices().expect("a list");
    for format in formats {
        let name = format.replace('-', "_");
        for (id, direction) in [
            (format!("pulseaudio:{name}"), Direction::Output),
            (format!("pulseaudio:{name}.monitor"), Direction::Input),
        ] {
            let device = found.iter().find(|device| device.id == id);
            let device = device.unwrap_or_else(|| panic!("{id} is not listed: {found:?}"));
            assert_eq!((device.direction, device.rate, device.channels), (direction, 8_000, 2), "{format}");
        }
    }
    for name in ["alaw", "ulaw"] {
        pulse.keep(&format!("{name}.monitor"));
        let number = found.iter().find(|device| device.id == format!("pulseaudio:{name}.monitor"));
        let number = number.expect("listed").number.to_string();
        let capture = Capture::open(&CaptureOptions { rate: 8_000, ..from(&number) }).expect("a microphone");
        let playback = Playback::open(&PlaybackOptions { rate: 8_000, ..to(&format!("pulseaudio:{name}")) });
        hear_whistle(&playback.expect("a loudspeaker"), &capture, 4_000, 0.3);
    }
    let many = found.iter().find(|device| device.id == "pulseaudio:many").expect("listed");
    assert_eq!(many.channels, 32);
    let playback = Playback::open(&to("pulseaudio:many")).expect("a loudspeaker");
    playback.write(&[0.1_f32; 480], SOON).expect("written");
});

isolated!(a_voice_on_one_channel_of_many_is_recorded_at_its_level, |folder| {
    let mut pulse = Pulse::start(folder);
    let surround = "front-left,front-right,front-center,lfe,rear-left,rear-right,side-left,side-right";
    let plain = [
        "aux0,aux1,aux2,aux3".to_owned(),
        (0..16).map(|number| format!("aux{number}")).collect::<Vec<_>>().join(","),
    ];
    for (name, map, voiced) in
        [("surround", surround, 5), ("four", &*plain[0], 2), ("sixteen", &*plain[1], 11)]
    {
        let channels = map.split(',').count();
        let (sink, map) = (format!("sink_name={name}"), format!("channel_map={map}"));
        pulse.load(&["module-null-sink", &sink, "rate=48000", &format!("channels={channels}"), &map]);
        let source = format!("{name}.monitor");
        pulse.keep(&source);
        let wide = PlaybackOptions { channels: channels as u16, ..to(&format!("pulseaudio:{name}")) };
        let playback = Playback::open(&wide).expect("a loudspeaker");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let levels = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sine = Sine::new(1000.0, -6.02, 48_000);
                let mut block = vec![0.0; 960 * channels];
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let samples = block.iter_mut().skip(voiced).step_by(channels);
                    samples.for_each(|sample| *sample = sine.next_sample());
                    playback.write(&block, SOON).expect("written");
                }
            });
            let heard = |channel: Option<u16>| {
                let options = CaptureOptions { channel, ..from(&format!("pulseaudio:{source}")) };
                let capture = Capture::open(&options).expect("a microphone");
                let deadline = Instant::now() + Duration::from_secs(10);
                loop {
                    let (heard, lost) = record(&capture, 4_000);
                    let level = level(&heard, 16_000);
                    if (lost == 0 && level > -6.5) || Instant::now() > deadline {
                        break level;
                    }
                }
            };
            let levels = [heard(None), heard(Some(voiced as u16))];
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            levels
        });
        assert!(levels.iter().all(|level| (level + 6.02).abs() < 0.1), "{name}: {levels:?}");
    }
    let none = Capture::open(&CaptureOptions { channel: Some(8), ..from("pulseaudio:surround.monitor") });
    let error = none.expect_err("there is none");
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.to_string().contains("no channel 8; it has 8, 0 to 7"), "{error}");
});

isolated!(a_daemon_that_is_killed_is_told_by_name, |folder| {
    let mut pulse = Pulse::start(folder);
    let capture = Capture::open(&from("Microphone")).expect("a microphone");
    let playback = Playback::open(&to("pulseaudio:speaker")).expect("a loudspeaker");
    record(&capture, 1600);
    pulse.kill();
    let error = loop {
        match capture.read::<i16>(SOON) {
            Ok(frame) => assert!(frame.is_some(), "it ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::DeviceLost, "{error}");
    assert!(error.to_string().contains("pulseaudio:mic is gone"), "{error}");
    assert!(matches!(capture.event(SOON), Ok(Some(Event::Lost { .. }))));
    let mut error = Ok(());
    until("the loudspeaker is lost", || {
        error = playback.write(&[0.1_f32; 480], SOON);
        error.is_err()
    });
    assert_eq!(error.map_err(|error| error.code()), Err(Code::DeviceLost));
    // ALSA is asked, and has no device.
    let error = Capture::open(&from("Microphone")).expect_err("nobody is there");
    assert_eq!(error.code(), Code::DeviceNotFound, "{error}");
});

isolated!(a_daemon_that_comes_back_is_found_again, |folder| {
    let mut pulse = Pulse::start(folder);
    let reopen = Some(Duration::from_secs(20));
    let capture = Capture::open(&CaptureOptions { reopen, ..from("Microphone") }).expect("a microphone");
    let playback =
        Playback::open(&PlaybackOptions { reopen, ..to("pulseaudio:speaker") }).expect("a loudspeaker");
    record(&capture, 1600);
    pulse.kill();
    let next = || capture.event(SOON).expect("an event");
    events_until(next, |event| matches!(event, Event::Lost { .. }));
    let back = Instant::now();
    let _again = Pulse::start(folder);
    let events = events_until(next, |event| matches!(event, Event::Reopened { .. }));
    let Some(Event::Reopened { device, after }) = events.last() else { panic!("not reopened") };
    assert_eq!(device, "pulseaudio:mic");
    assert!(*after <= back.elapsed() + Duration::from_secs(20));
    // The gap is as long as there was no device.
    let mut gap = 0;
    while Format::SPEECH.duration_of(gap) + Duration::from_millis(1) < *after {
        gap += capture.read::<i16>(SOON).expect("a frame").expect("no end").lost;
    }
    record(&capture, 1600);
    let next = || playback.event(SOON).expect("an event");
    events_until(next, |event| matches!(event, Event::Reopened { .. }));
    playback.write(&[0.1_f32; 4800], SOON).expect("written");
    playback.drain(SOON).expect("played");
});

isolated!(a_default_device_that_vanishes_is_followed_by_the_next, |folder| {
    let mut pulse = Pulse::start(folder);
    let module = pulse.load(&["module-null-sink", "sink_name=usb", "rate=48000", "channels=1"]);
    pulse.keep("usb.monitor");
    assert!(pulse.pactl(&["set-default-source", "usb.monitor"]).status.success());
    let reopen = Some(Duration::from_secs(20));
    let options = CaptureOptions { reopen, ..CaptureOptions::default() };
    let capture = Capture::open(&options).expect("the default microphone");
    assert_eq!(capture.device().expect("alive"), "pulseaudio:usb.monitor");
    record(&capture, 1600);
    assert!(pulse.pactl(&["set-default-source", "mic"]).status.success());
    assert!(pulse.pactl(&["unload-module", &module]).status.success());
    let next = || capture.event(SOON).expect("an event");
    let events = events_until(next, |event| matches!(event, Event::Reopened { .. }));
    assert!(events.iter().any(|event| matches!(event, Event::Lost { .. })), "{events:?}");
    assert_eq!(capture.device().expect("alive"), "pulseaudio:mic");
    record(&capture, 1600);
});

isolated!(another_default_device_is_told_and_followed_if_that_is_asked_for, |folder| {
    let pulse = Pulse::start(folder);
    let reopen = Some(Duration::from_secs(20));
    let follows =
        Capture::open(&CaptureOptions { reopen, ..CaptureOptions::default() }).expect("a microphone");
    // It is not read while the other one changes.
    let queue = Duration::from_secs(30);
    let stays = Capture::open(&CaptureOptions { queue, ..CaptureOptions::default() }).expect("a microphone");
    record(&follows, 1600);
    record(&stays, 1600);
    assert!(pulse.pactl(&["set-default-source", "speaker.monitor"]).status.success());
    for capture in [&follows, &stays] {
        let next = || capture.event(SOON).expect("an event");
        let events = events_until(next, |event| matches!(event, Event::DeviceChanged { .. }));
        let Some(Event::DeviceChanged { from, to }) = events.last() else { panic!("not changed") };
        assert_eq!((from.as_str(), to.as_str()), ("pulseaudio:mic", "pulseaudio:speaker.monitor"));
    }
    let next = || follows.event(SOON).expect("an event");
    events_until(next, |event| matches!(event, Event::Reopened { .. }));
    assert_eq!(follows.device().expect("alive"), "pulseaudio:speaker.monitor");
    record(&follows, 1600);
    assert_eq!(stays.device().expect("alive"), "pulseaudio:mic");
    assert_eq!(record(&stays, 16_000).1, 0);
});

isolated!(where_alsas_library_is_not_installed_pulseaudio_works, |folder| {
    // The loader takes the first of that name, and fails since it is no library.
    std::fs::write(folder.join("libraries").join("libasound.so.2"), []).expect("a file");
    let error = devices().expect_err("neither is there").to_string();
    assert!(error.contains("apt install libasound2") && error.contains("PULSE_SERVER=unix:PATH"), "{error}");
    let _pulse = Pulse::start(folder);
    let capture = Capture::open(&CaptureOptions::default()).expect("a microphone");
    let playback = Playback::open(&to("pulseaudio:mic_feed")).expect("its feed");
    hear_whistle(&playback, &capture, 8000, 0.1);
});

isolated!(
    a_server_that_the_search_does_not_come_to_is_told_with_the_way_to_it,
    [("PULSE_SERVER", None), ("PULSE_RUNTIME_PATH", Some("gone")), ("XDG_RUNTIME_DIR", Some("run"))],
    |folder| {
        let unset = Capture::open(&CaptureOptions::default()).expect_err("nobody is anywhere");
        assert_eq!(unset.code(), Code::DeviceNotFound, "{unset}");
        let socket = folder.join("run/pulse/native");
        std::fs::create_dir_all(socket.parent().expect("a folder")).expect("a folder");
        let _server = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let way_out = format!("set PULSE_SERVER=unix:{}, or unset PULSE_RUNTIME_PATH", socket.display());
        for error in [
            devices().expect_err("ALSA has no device"),
            Capture::open(&CaptureOptions::default()).expect_err("ALSA has no device"),
            Capture::open(&from("pulseaudio:mic")).expect_err("the client gives up"),
        ] {
            assert_eq!(error.code(), Code::AudioUnavailable, "{error}");
            let told = error.to_string();
            assert!(
                told.contains("gone/pulse/native, where nothing is") && told.contains(&way_out),
                "{told}"
            );
        }
    }
);

isolated!(
    a_server_at_its_own_runtime_path_is_told_too,
    [("PULSE_SERVER", None), ("PULSE_RUNTIME_PATH", Some("run")), ("XDG_RUNTIME_DIR", None)],
    |folder| {
        std::fs::create_dir(folder.join("run")).expect("a folder");
        let socket = folder.join("run/native");
        let _server = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let told = devices().expect_err("the client looks elsewhere").to_string();
        assert!(told.contains(&format!("set PULSE_SERVER=unix:{}", socket.display())), "{told}");
    }
);

isolated!(a_named_device_that_is_unplugged_is_lost, |folder| {
    let mut pulse = Pulse::start(folder);
    let module = pulse.load(&["module-null-sink", "sink_name=usb", "rate=48000", "channels=1"]);
    pulse.keep("usb.monitor");
    let playback = Playback::open(&to("pulseaudio:usb")).expect("a loudspeaker");
    playback.write(&[0.1_f32; 4800], SOON).expect("written");
    assert!(pulse.pactl(&["unload-module", &module]).status.success());
    let next = || playback.event(SOON).expect("an event");
    let events = events_until(next, |event| matches!(event, Event::Lost { .. }));
    let Some(Event::Lost { device, .. }) = events.last() else { panic!("not lost") };
    assert_eq!(device, "pulseaudio:usb");
});

isolated!(a_server_that_hangs_hangs_nobody, |folder| {
    let pulse = Pulse::start(folder);
    let capture = Capture::open(&from("Microphone")).expect("a microphone");
    record(&capture, 1600);
    pulse.signal("-STOP");
    let begun = Instant::now();
    let error = Capture::open(&CaptureOptions { start: Duration::from_secs(2), ..from("pulseaudio:mic") });
    let error = error.expect_err("no answer");
    assert!(matches!(error.code(), Code::Timeout | Code::AudioUnavailable), "{error}");
    let error = loop {
        match capture.read::<i16>(SOON) {
            Ok(frame) => assert!(frame.is_some(), "it ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::DeviceLost, "{error}");
    capture.close().expect("closed");
    assert!(begun.elapsed() < Duration::from_secs(20));
    pulse.signal("-CONT");
});

isolated!(a_frame_is_as_old_as_it_is_and_time_never_goes_back, |folder| {
    let _pulse = Pulse::start(folder);
    // A monitor's first block may have been played before the stream was opened.
    for device in ["pulseaudio:speaker.monitor", "Microphone"] {
        let capture = Capture::open(&from(device)).expect("a microphone");
        let mut latest = Duration::ZERO;
        for _ in 0..100 {
            let frame = capture.read::<i16>(SOON).expect("a frame").expect("no end");
            let end = frame.time + frame.format.duration_of(frame.samples.len() as u64);
            assert!(capture.origin() + end <= Instant::now(), "{device}: {:?} is in the future", frame.time);
            assert!(latest <= frame.time, "{device}: {latest:?}, then {:?}", frame.time);
            latest = frame.time;
        }
    }
});

isolated!(a_reader_that_sleeps_two_seconds_is_told_what_it_missed, |folder| {
    let _pulse = Pulse::start(folder);
    let capture = Capture::open(&from("Microphone")).expect("a microphone");
    let before = record(&capture, 160).0.len() as u64;
    until("two seconds have been recorded", || capture.recorded().expect("alive").samples >= 32_000);
    let frame = capture.read::<i16>(SOON).expect("a frame").expect("no end");
    let recorded = capture.recorded().expect("alive");
    assert!(frame.lost > 0 && frame.lost <= recorded.dropped, "{} of {recorded:?}", frame.lost);
    assert!(
        recorded.dropped + 16_000 + before + 160 >= 32_000,
        "a second waits, the rest is counted: {recorded:?}"
    );
    assert_eq!(recorded.lost, 0);
    let Ok(Some(Event::Gap { cause: Cause::Reader, .. })) = capture.event(SOON) else { panic!("no gap") };
});

isolated!(a_hundred_streams_leave_no_thread_and_no_descriptor, |folder| {
    let _pulse = Pulse::start(folder);
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).expect("Linux").count();
    let once = || {
        let capture = Capture::open(&from("Microphone")).expect("a microphone");
        let playback = Playback::open(&to("pulseaudio:speaker")).expect("a loudspeaker");
        record(&capture, 160);
        playback.write(&[0.1_f32; 480], SOON).expect("written");
        capture.close().expect("closed");
        playback.close().expect("closed");
    };
    once();
    let (threads, descriptors) = (count("task"), count("fd"));
    for _ in 0..50 {
        once();
    }
    devices().expect("a list");
    until("threads are gone", || count("task") <= threads);
    until("descriptors are gone", || count("fd") <= descriptors);
});

isolated!(clearing_is_heard_at_once_and_counted, |folder| {
    let _pulse = Pulse::start(folder);
    let queue = Duration::from_secs(5);
    let playback =
        Playback::open(&PlaybackOptions { queue, ..to("pulseaudio:speaker") }).expect("a loudspeaker");
    playback.write(&vec![0.25_f32; 192_000], SOON).expect("written");
    until("it is heard", || playback.position().expect("alive").heard > 4800);
    playback.clear().expect("alive");
    playback.drain(SOON).expect("nothing is left");
    let position = playback.position().expect("alive");
    assert_eq!(position.written, position.heard + position.dropped);
    assert!(position.dropped > 96_000, "{position:?}");
    playback.write(&vec![0.25_f32; 4801], SOON).expect("written");
    playback.drain(SOON).expect("played");
    let later = playback.position().expect("alive");
    assert_eq!((later.heard, later.waiting), (position.heard + 4801, 0));
});
