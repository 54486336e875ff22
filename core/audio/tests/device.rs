//! Virtual devices: their names, and what goes in and out of them.

use std::path::Path;
use std::time::Duration;

use greenroom_audio::device::{CallbackSink, CallbackSource, Filled};
use greenroom_audio::noise::{Kind, Noise};
use greenroom_audio::sample::{dbfs, rms};
use greenroom_audio::signal::tone;
use greenroom_audio::{DeviceError, Format, Patchbay, Sink, Source, VirtualDevice, wav};
use proptest::prelude::*;

fn device(name: &str) -> VirtualDevice {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn source(name: &str, format: Format) -> Box<dyn Source> {
    device(name).open_source(format, &Patchbay::new()).unwrap_or_else(|error| panic!("{error}"))
}

fn complaint<T>(result: Result<T, DeviceError>) -> String {
    result.err().expect("an error").to_string()
}

/// What a source gives in `samples` samples of each channel.
fn read(source: &mut dyn Source, samples: usize) -> (Filled, Vec<f32>) {
    let mut read = vec![9.0; samples * source.format().channels()];
    let filled = source.read(&mut read).expect("a reading");
    read.truncate(filled.samples * source.format().channels());
    (filled, read)
}

#[test]
fn names_say_what_they_mean() {
    assert_eq!(device("null"), VirtualDevice::Null);
    assert_eq!(device("callback"), VirtualDevice::Callback);
    assert_eq!(device("tone:440"), VirtualDevice::Tone { hz: 440.0, dbfs: -12.0 });
    assert_eq!(device("tone:997.5:-1"), VirtualDevice::Tone { hz: 997.5, dbfs: -1.0 });
    assert_eq!(device("noise:-40"), VirtualDevice::Noise { kind: Kind::White, dbfs: -40.0, seed: 0 });
    let babble = VirtualDevice::Noise { kind: Kind::Babble, dbfs: -30.5, seed: 7 };
    assert_eq!(device("noise:babble:-30.5?seed=7"), babble);
    assert_eq!(device("loopback:a:b c"), VirtualDevice::Loopback { name: "a:b c".to_owned() });
    let file = |path: &str, looped| VirtualDevice::File { path: path.into(), looped };
    assert_eq!(device("file:in.wav"), file("in.wav", false));
    assert_eq!(device("file:in.wav?loop"), file("in.wav", true));
    assert_eq!(device(r"file:C:\audio\in.wav?loop"), file(r"C:\audio\in.wav", true));
    assert_eq!(device("file:what?.wav?"), file("what?.wav", false));
    let fails = |after, name| VirtualDevice::Fail {
        after: Duration::from_millis(after),
        device: Box::new(device(name)),
    };
    assert_eq!(device("fail:after=2s"), fails(2000, "null"));
    assert_eq!(device("fail:after=250ms:tone:440:-6"), fails(250, "tone:440:-6"));
}

#[test]
fn other_names_are_left_to_real_devices() {
    for name in ["", "default", "alsa:pulse", "Null", "USB Audio: microphone", "nullify"] {
        assert_eq!(VirtualDevice::parse(name), None, "{name}");
    }
    assert_eq!(VirtualDevice::parse("null"), Some(Ok(VirtualDevice::Null)));
}

#[test]
fn a_wrong_name_is_told_with_what_to_write_instead() {
    for (name, why, instead) in [
        ("tone:loud", "\"loud\" is not a frequency", "tone:440"),
        ("tone:0", "\"0\" is not a frequency", "tone:440"),
        ("tone:440:3", "\"3\" is not a level", "tone:440:-12"),
        ("tone", "not a frequency", "tone:440"),
        (
            "noise:pink:-40",
            "\"pink\" is no kind of noise; there are white, babble and impulses",
            "noise:white:-40",
        ),
        ("noise:white", "not a level", "noise:white:-40"),
        ("noise:-40?sed=1", "\"sed=1\" is no option", "?seed=7"),
        ("file:", "names no file", "file:PATH"),
        ("file:a.wav?once", "\"once\" is no option", "?loop"),
        ("loopback:", "does not say which", "loopback:NAME"),
        ("null:1", "nothing may follow", "write null"),
        ("fail:2s", "does not say after how long", "fail:after=2s"),
        ("fail:after=2h", "\"2h\" is not a time", "fail:after=2s"),
        ("fail:after=2s:mic", "no virtual device \"mic\"", "tone:HZ"),
    ] {
        let error = VirtualDevice::parse(name).expect("a virtual name").expect_err("a wrong one").to_string();
        assert!(error.starts_with(&format!("{name:?} is no device: ")), "{error}");
        assert!(error.contains(why) && error.contains(instead), "{error}");
    }
}

#[test]
fn a_name_is_written_as_it_is_read() {
    for name in [
        "null",
        "callback",
        "tone:440",
        "noise:babble:-30?seed=7",
        "loopback:x",
        "file:a.wav",
        "file:a.wav?loop",
        "file:a?b.wav?",
        "fail:after=0.5s:file:a.wav?loop",
    ] {
        assert_eq!(device(&device(name).to_string()), device(name), "{name}");
    }
}

#[test]
fn null_is_silent_and_swallows() {
    let (filled, samples) = read(&mut *source("null", Format::WIRE), 480);
    assert_eq!(filled, Filled { samples: 480, lost: 0, ended: false });
    assert!(samples.iter().all(|&sample| sample == 0.0));
    let mut sink = device("null").open_sink(Format::WIRE, &Patchbay::new()).expect("a sink");
    sink.write(&[0.5; 480]).expect("swallowed");
    sink.finish().expect("nothing to finish");
}

#[test]
fn a_tone_and_noise_have_the_level_that_their_name_says() {
    let stereo = Format::new(44_100, 2).expect("stereo");
    let (filled, samples) = read(&mut *source("tone:440:-6.02", stereo), 44_100);
    assert_eq!((filled.samples, samples.len()), (44_100, 88_200));
    let left: Vec<f32> = samples.iter().copied().step_by(2).collect();
    let right: Vec<f32> = samples.iter().copied().skip(1).step_by(2).collect();
    assert_eq!(left, right);
    assert!((tone(&left, 440.0, 44_100) + 6.02).abs() < 0.001);
    let (_, samples) = read(&mut *source("noise:-40?seed=3", stereo), 44_100);
    assert!((dbfs(rms(&samples)) + 40.0).abs() < 0.1);
    let mut same = vec![0.0; 44_100];
    Noise::new(Kind::White, -40.0, 44_100, 3).fill(&mut same);
    assert!(samples.chunks(2).zip(&same).all(|(instant, &sample)| instant == [sample, sample]));
    let error = complaint(device("tone:9000").open_source(Format::SPEECH, &Patchbay::new()));
    assert!(error.contains("tone:9000") && error.contains("16000 Hz"), "{error}");
}

fn named(path: &Path, option: &str) -> String {
    format!("file:{}{option}", path.display())
}

#[test]
fn what_is_played_to_a_file_is_recorded_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wav");
    let stereo = Format::new(24_000, 2).expect("stereo");
    let mut sink = device(&named(&path, "")).open_sink(stereo, &Patchbay::new()).expect("a sink");
    sink.write(&[0.5, -0.5]).expect("written");
    sink.write(&[0.25, -0.25]).expect("written");
    sink.finish().expect("a whole file");
    assert_eq!(wav::read(&path).expect("a file"), (stereo, vec![0.5, -0.5, 0.25, -0.25]));
    // Its own format, whatever is asked for.
    let mut once = source(&named(&path, ""), Format::SPEECH);
    assert_eq!(once.format(), stereo);
    assert_eq!(
        read(&mut *once, 3),
        (Filled { samples: 2, lost: 0, ended: true }, vec![0.5, -0.5, 0.25, -0.25])
    );
    assert_eq!(read(&mut *once, 3), (Filled { samples: 0, lost: 0, ended: true }, vec![]));
    let mut looped = source(&named(&path, "?loop"), Format::SPEECH);
    let (filled, samples) = read(&mut *looped, 5);
    assert_eq!(filled, Filled { samples: 5, lost: 0, ended: false });
    assert_eq!(samples, [0.5, -0.5, 0.25, -0.25, 0.5, -0.5, 0.25, -0.25, 0.5, -0.5]);
    assert_eq!(read(&mut *looped, 1).1, [0.25, -0.25]);
}

#[test]
fn a_loop_of_nothing_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("empty.wav");
    wav::write(&path, Format::SPEECH, &[]).expect("a file");
    assert!(read(&mut *source(&named(&path, "?loop"), Format::SPEECH), 10).0.ended);
}

#[test]
fn what_cannot_be_is_told_by_name() {
    let patchbay = Patchbay::new();
    for name in ["tone:440", "noise:-40", "file:a.wav?loop"] {
        let error = complaint(device(name).open_sink(Format::WIRE, &patchbay));
        assert!(error.contains("cannot be played to") && error.contains("file:OUT.wav"), "{error}");
    }
    let error = complaint(device("file:/nowhere/in.wav").open_source(Format::WIRE, &patchbay));
    assert!(error.contains("/nowhere/in.wav"), "{error}");
    let error = complaint(device("file:/nowhere/out.wav").open_sink(Format::WIRE, &patchbay));
    assert!(error.contains("/nowhere/out.wav"), "{error}");
    assert!(matches!(device("callback").open_source(Format::WIRE, &patchbay), Err(DeviceError::NoFunction)));
    assert!(matches!(device("callback").open_sink(Format::WIRE, &patchbay), Err(DeviceError::NoFunction)));
}

#[test]
fn what_is_played_to_a_loopback_is_recorded_from_it() {
    let patchbay = Patchbay::new();
    let stereo = Format::new(24_000, 2).expect("stereo");
    let mut sink = device("loopback:a").open_sink(stereo, &patchbay).expect("a sink");
    let mut ear = device("loopback:a").open_source(Format::SPEECH, &patchbay.clone()).expect("a source");
    let mut other = device("loopback:b").open_source(Format::SPEECH, &patchbay).expect("another");
    assert_eq!(ear.format(), stereo, "who comes first decides");
    assert_eq!(read(&mut *ear, 4).0, Filled::default(), "nothing is there yet");
    sink.write(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).expect("taken");
    assert_eq!(read(&mut *ear, 2), (Filled { samples: 2, lost: 0, ended: false }, vec![0.1, 0.2, 0.3, 0.4]));
    assert_eq!(read(&mut *ear, 2), (Filled { samples: 1, lost: 0, ended: false }, vec![0.5, 0.6]));
    assert_eq!(read(&mut *other, 2).0.samples, 0);
}

#[test]
fn a_loopback_that_nobody_listens_to_loses_the_oldest_and_says_so() {
    let patchbay = Patchbay::new();
    let mut sink = device("loopback:a").open_sink(Format::SPEECH, &patchbay).expect("a sink");
    let second = |level: f32| vec![level; 16_000];
    for level in [0.1, 0.2, 0.3, 0.4, 0.5] {
        sink.write(&second(level)).expect("taken");
    }
    let mut ear = device("loopback:a").open_source(Format::SPEECH, &patchbay).expect("a source");
    let mut heard = Vec::new();
    let mut lost = 0;
    loop {
        let (filled, samples) = read(&mut *ear, 4000);
        lost += filled.lost;
        heard.extend(samples);
        if filled.samples == 0 {
            break;
        }
    }
    assert_eq!(heard.len() as u64 + lost, 80_000);
    assert!(heard.len() >= 32_000 && heard[heard.len() - 16_000..] == second(0.5));
    // More at once than it holds.
    sink.write(&vec![0.6; 160_000]).expect("taken");
    let (filled, samples) = read(&mut *ear, 10);
    assert!(filled.lost > 100_000 && samples == [0.6; 10]);
}

#[test]
fn an_end_of_a_loopback_is_open_once_until_it_is_closed() {
    let patchbay = Patchbay::new();
    let open = |format| device("loopback:a").open_source(format, &patchbay);
    let first = open(Format::SPEECH).expect("a source");
    assert!(complaint(open(Format::SPEECH)).contains("loopback:a has its recording end open already"));
    drop(first);
    // Forgotten, format and all.
    assert_eq!(open(Format::WIRE).expect("again").format(), Format::WIRE);
}

#[test]
fn a_loopback_ends_for_its_reader_after_the_last_of_what_was_played() {
    let patchbay = Patchbay::new();
    let open_sink = || device("loopback:a").open_sink(Format::SPEECH, &patchbay).expect("a sink");
    let open_source = || device("loopback:a").open_source(Format::WIRE, &patchbay).expect("a source");
    let mut ear = open_source();
    assert!(!read(&mut *ear, 4).0.ended, "nobody has played yet");
    let mut mouth = open_sink();
    mouth.write(&[0.1, 0.2, 0.3]).expect("taken");
    drop(mouth);
    // The name is free for others, who are not heard here.
    let mut next_mouth = open_sink();
    next_mouth.write(&[0.9; 9]).expect("taken");
    assert_eq!(read(&mut *ear, 2), (Filled { samples: 2, lost: 0, ended: false }, vec![0.1, 0.2]));
    assert_eq!(read(&mut *ear, 2), (Filled { samples: 1, lost: 0, ended: true }, vec![0.3]));
    assert!(read(&mut *ear, 2).0.ended);
    let mut next_ear = open_source();
    assert_eq!(next_ear.format(), Format::SPEECH);
    drop(ear);
    assert_eq!(read(&mut *next_ear, 9).0, Filled { samples: 9, lost: 0, ended: false });
    // An ear that closes leaves the mouth a loopback for the next.
    drop(next_ear);
    next_mouth.write(&[0.5; 2]).expect("taken");
    assert_eq!(read(&mut *open_source(), 9).1, [0.5; 2]);
}

#[test]
fn a_device_fails_when_its_name_says_so() {
    let mut failing = source("fail:after=10ms:tone:440", Format::SPEECH);
    assert_eq!(read(&mut *failing, 100).0.samples, 100);
    assert_eq!(read(&mut *failing, 100).0.samples, 60, "up to the moment");
    let mut samples = [0.0; 10];
    for _ in 0..2 {
        let error = complaint(failing.read(&mut samples));
        assert!(error.contains("fail:after=0.01s:tone:440") && error.contains("open it again"), "{error}");
    }
    let mut stereo = source("fail:after=10ms", Format::new(16_000, 2).expect("stereo"));
    assert_eq!(stereo.read(&mut [0.0]).expect("no room, but no failure").samples, 0);
    let mut sink = device("fail:after=10ms").open_sink(Format::SPEECH, &Patchbay::new()).expect("a sink");
    sink.write(&[0.0; 160]).expect("up to the moment");
    assert!(matches!(sink.write(&[0.0]), Err(DeviceError::Lost { .. })));
    sink.finish().expect("what there was is whole");
}

#[test]
fn functions_are_devices() {
    let mut left = 3;
    let mut source = CallbackSource::new(Format::SPEECH, move |samples: &mut [f32]| {
        let give = samples.len().min(left);
        samples[..give].fill(0.5);
        left -= give;
        give
    });
    assert_eq!(read(&mut source, 2), (Filled { samples: 2, lost: 0, ended: false }, vec![0.5; 2]));
    assert_eq!(read(&mut source, 2), (Filled { samples: 1, lost: 0, ended: true }, vec![0.5]));
    assert_eq!(read(&mut source, 2).0, Filled { samples: 0, lost: 0, ended: true });
    let (tell, told) = std::sync::mpsc::channel();
    let mut sink = CallbackSink::new(Format::SPEECH, move |samples: &[f32]| {
        tell.send(samples.to_vec()).expect("a listener")
    });
    sink.write(&[0.1, 0.2]).expect("taken");
    assert_eq!(told.recv().expect("what was played"), [0.1, 0.2]);
}

proptest! {
    #[test]
    fn no_name_makes_it_panic(name in "(null|file|tone|noise|loopback|callback|fail)?:?[ -~]{0,20}") {
        if let Some(Ok(device)) = VirtualDevice::parse(&name) {
            prop_assert_eq!(device.to_string().parse(), Ok(device));
        }
    }
}
