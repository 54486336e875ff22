//! Nothing allocates for a frame. A test program of its own, since the allocator counts.

use std::time::Duration;

use greenroom_audio::device::CallbackSource;
use greenroom_audio::impair::Dropouts;
use greenroom_audio::noise::{Kind, Noise};
use greenroom_audio::sample::convert;
use greenroom_audio::{
    Clock, Format, Framer, Meter, Pace, Patchbay, Resampler, Source, SpeechDetector, VirtualDevice, channels,
    wav,
};

/// Asserts that running it so often allocates nothing.
fn allocates_nothing(what: &str, times: usize, mut run: impl FnMut()) {
    let counted = allocation_counter::measure(|| (0..times).for_each(|_| run()));
    assert_eq!(counted.count_total, 0, "{what}");
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocation_counter::measure(|| drop(std::hint::black_box(vec![1]))).count_total, 1);
}

#[test]
fn the_way_of_a_microphone_allocates_nothing() {
    let stereo = Format::new(44_100, 2).expect("stereo");
    let mono = Format::mono(44_100).expect("a rate");
    let mut source = VirtualDevice::Noise { kind: Kind::Babble, dbfs: -20.0, seed: 1 }
        .open_source(stereo, &Patchbay::new())
        .expect("a source");
    let mut resampler = Resampler::new(mono, 16_000).expect("usual rates");
    let mut framer = Framer::<f32>::new(Format::SPEECH, Duration::from_millis(10), Duration::ZERO);
    let mut meter = Meter::new(Format::SPEECH);
    let mut detector = SpeechDetector::new(16_000).expect("a rate");
    let mut other = SpeechDetector::new(44_100).expect("a rate");
    let mut pace = Pace::new(Clock::RealTime, 44_100, Duration::ZERO, Duration::from_secs(1));
    let (mut read, mut one, mut whole) = (vec![0.0; 2 * 441], vec![0.0; 441], vec![0_i16; 160]);
    let (mut now, mut frames, mut levels) = (Duration::ZERO, 0, 0);
    allocates_nothing("microphone to frames, level and speech", 1000, || {
        now += Duration::from_millis(10);
        let due = usize::try_from(pace.due(now, 441).samples).expect("a block");
        let filled = source.read(&mut read[..due * 2]).expect("a source that goes on");
        let mixed = channels::mix_down(&read, 2, &mut one[..filled.samples]);
        let mut chunk = &one[..mixed];
        while let Some(mut part) = resampler.next(&mut chunk) {
            while let Some(frame) = framer.next(&mut part) {
                let mut samples = frame.samples;
                while meter.next(&mut samples).is_some() {
                    levels += 1;
                }
                while detector.next(&mut { frame.samples }).is_some() {}
                convert(frame.samples, &mut whole);
                frames += 1;
            }
        }
        framer.lose(u64::from(frames % 100 == 0));
        while other.next(&mut &one[..mixed]).is_some() {}
    });
    assert!(frames > 990 && levels > 290, "{frames} frames, {levels} levels");
}

#[test]
fn other_streams_allocate_nothing() {
    let patchbay = Patchbay::new();
    let line = VirtualDevice::Loopback { name: "a".to_owned() };
    let mut mouth = line.open_sink(Format::WIRE, &patchbay).expect("a sink");
    let mut ear = line.open_source(Format::WIRE, &patchbay).expect("a source");
    let mut samples = vec![0.25; 480];
    allocates_nothing("loopback", 1000, || {
        mouth.write(&samples).expect("taken");
        ear.read(&mut samples).expect("given");
    });
    // Nobody listens.
    allocates_nothing("a full loopback", 1000, || mouth.write(&samples).expect("taken"));

    let mut generators =
        [Kind::White, Kind::Babble, Kind::Impulses].map(|kind| Noise::new(kind, -30.0, 48_000, 1));
    let mut dropouts = Dropouts::new(Format::WIRE, 0.1, Duration::from_millis(20), 1);
    allocates_nothing("impairments", 300, || {
        generators.iter_mut().for_each(|noise| noise.add(&mut samples));
        dropouts.apply(&mut samples);
        greenroom_audio::impair::mu_law(&mut samples);
    });

    let mut callback = CallbackSource::new(Format::WIRE, |samples: &mut [f32]| samples.len());
    allocates_nothing("a function", 100, || {
        callback.read(&mut samples).expect("given");
    });
}

#[test]
fn files_allocate_nothing_for_a_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    let mut samples = vec![0.25; 480];
    let mut writer = wav::Writer::create(&path, Format::WIRE, wav::Encoding::S16).expect("a file");
    allocates_nothing("writing", 300, || writer.write(&samples).expect("written"));
    writer.finish().expect("a whole file");
    let file = VirtualDevice::File { path, looped: true };
    let mut source = file.open_source(Format::WIRE, &Patchbay::new()).expect("a source");
    allocates_nothing("reading, over and over", 1000, || {
        source.read(&mut samples).expect("read");
    });
}

#[test]
fn the_end_of_a_stream_allocates_nothing() {
    let mut resampler = Resampler::new(Format::WIRE, 16_000).expect("usual rates");
    allocates_nothing("flush", 10, || {
        let mut chunk = &[0.5; 700][..];
        while resampler.next(&mut chunk).is_some() {}
        while resampler.finish().is_some() {}
    });
}

#[cfg(feature = "echo")]
#[test]
fn echo_control_allocates_no_more_than_what_it_stands_on() {
    use greenroom_audio::EchoControl;
    use sonora::config::EchoCanceller;
    use sonora::{AudioProcessing, Config, StreamConfig};

    let mut played = [0.0; 480];
    let mut noise = Noise::new(Kind::Babble, -30.0, 48_000, 1);
    let mut ours = EchoControl::new(48_000).expect("a rate of its own");
    let config = Config { echo_canceller: Some(EchoCanceller::default()), ..Config::default() };
    let stream = StreamConfig::new(48_000, 1);
    let mut theirs =
        AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build();
    let mut made = [0.0; 480];
    for _ in 0..300 {
        noise.fill(&mut played);
        let mut recorded = played.map(|sample| sample / 2.0);
        let needed = allocation_counter::measure(|| {
            theirs.process_render_f32(&[&played], &mut [&mut made]).expect("its format");
            theirs.process_capture_f32(&[&recorded], &mut [&mut made]).expect("its format");
        });
        let counted = allocation_counter::measure(|| {
            ours.played(&played).expect("a frame");
            ours.recorded(&mut recorded).expect("a frame");
        });
        assert_eq!(counted.count_total, needed.count_total);
    }
}
