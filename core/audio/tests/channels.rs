//! One channel of several: no voice is lost.

use greenroom_audio::channels::{ChannelMap, Mixdown};
use greenroom_audio::signal::Sine;
use greenroom_audio::{Format, Note};

const RATE: u32 = 16_000;

fn format(channels: u16) -> Format {
    Format::new(RATE, channels).expect("a format")
}

fn sine(hz: f64, dbfs: f32, count: usize) -> Vec<f32> {
    let mut samples = vec![0.0; count];
    Sine::new(hz, dbfs, RATE).fill(&mut samples);
    samples
}

fn interleaved(channels: &[Vec<f32>]) -> Vec<f32> {
    (0..channels[0].len()).flat_map(|at| channels.iter().map(move |channel| channel[at])).collect()
}

/// The mixdown of sound that is there as a whole.
fn whole(channels: &[Vec<f32>]) -> (Vec<f32>, Vec<Note>) {
    let both = interleaved(channels);
    let mut mixdown = Mixdown::new(format(channels.len() as u16));
    both.chunks(777 * channels.len()).for_each(|part| mixdown.observe(part));
    let mut mono = vec![0.0; channels[0].len()];
    loop {
        assert_eq!(mixdown.mix(&both, &mut mono), mono.len());
        if !mixdown.settle() {
            return (mono, mixdown.notes());
        }
    }
}

/// The mixdown of a stream in parts of so many instants.
fn stream(channels: &[Vec<f32>], part: usize) -> (Vec<f32>, Vec<Note>) {
    let both = interleaved(channels);
    let mut map = ChannelMap::new(format(channels.len() as u16), 1, None);
    let mut mono = Vec::new();
    for input in both.chunks(part * channels.len()) {
        let mut output = vec![0.0; input.len() / channels.len()];
        assert_eq!(map.map(input, &mut output), output.len());
        mono.extend(output);
    }
    (mono, map.notes())
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn a_voice_on_one_channel_of_many_keeps_its_level() {
    let voice = sine(440.0, -12.0, RATE as usize);
    for count in [2, 4, 8, 16, 64] {
        for floor in [None, Some(-50.0), Some(-70.0)] {
            let mut channels = vec![vec![0.0; voice.len()]; count];
            if let Some(dbfs) = floor {
                let hz = |channel: usize| 100.0 + 30.0 * channel as f64;
                channels
                    .iter_mut()
                    .enumerate()
                    .for_each(|(at, channel)| *channel = sine(hz(at), dbfs, voice.len()));
            }
            channels[count - 1] = voice.clone();
            let (mono, notes) = whole(&channels);
            assert_eq!((mono, notes), (voice.clone(), vec![]), "{count} channels, {floor:?}");
            let (mono, notes) = stream(&channels, 100);
            // It changes over within 20 ms.
            assert_eq!(mono[320..], voice[320..], "{count} channels, {floor:?}");
            assert_eq!(notes, []);
        }
    }
}

#[test]
fn what_is_the_same_on_all_channels_is_as_loud_as_on_one() {
    let voice = sine(440.0, -12.0, 4_000);
    for count in [2, 4] {
        let channels = vec![voice.clone(); count];
        for (mono, notes) in [whole(&channels), stream(&channels, 160)] {
            assert!(mono.iter().zip(&voice).all(|(a, b)| (a - b).abs() < 1e-6));
            assert_eq!(notes, []);
        }
    }
}

#[test]
fn both_sides_of_a_call_are_heard_though_one_is_softer() {
    let (mut one, mut two) = (sine(440.0, -12.0, 16_000), sine(1_000.0, -28.0, 16_000));
    one[8_000..].fill(0.0);
    two[..8_000].fill(0.0);
    for (mono, notes) in [whole(&[one.clone(), two.clone()]), stream(&[one.clone(), two.clone()], 160)] {
        assert!((rms(&mono[9_000..]) - rms(&two[9_000..]) / 2.0).abs() < 1e-4);
        assert!(rms(&mono[..8_000]) >= rms(&one[..8_000]) / 2.0 - 1e-4);
        assert_eq!(notes, []);
    }
    // More than 20 dB softer is left out, which is no secret.
    let soft = sine(1_000.0, -36.0, 16_000);
    let (mono, notes) = whole(&[one.clone(), soft]);
    assert_eq!((mono, notes), (one, vec![Note::LeftOut { channels: vec![1] }]));
}

#[test]
fn a_channel_that_is_another_upside_down_does_not_cancel_it() {
    let voice = sine(440.0, -12.0, 16_000);
    let opposite = |by: f32| -> Vec<f32> { voice.iter().map(|sample| -sample * by).collect() };
    for by in [1.0, 0.9, 0.5] {
        let (mono, notes) = whole(&[voice.clone(), opposite(by)]);
        assert_eq!((mono, notes), (voice.clone(), vec![Note::Cancelling { channels: vec![1] }]), "{by}");
        let (mono, notes) = stream(&[voice.clone(), opposite(by)], 100);
        // It takes 100 ms to show.
        assert_eq!(mono[2_000..], voice[2_000..], "{by}");
        assert_eq!(notes, [Note::Cancelling { channels: vec![1] }]);
    }
    // Another voice beside them stays.
    let other = sine(1_000.0, -12.0, 16_000);
    let (mono, notes) = whole(&[voice.clone(), opposite(1.0), other.clone()]);
    let mean: Vec<f32> = voice.iter().zip(&other).map(|(a, b)| (a + b) / 2.0).collect();
    assert!(mono.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(notes, [Note::Cancelling { channels: vec![1] }]);
}

#[test]
fn a_channel_of_no_numbers_spoils_no_other() {
    let voice = sine(440.0, -12.0, 4_000);
    let (mono, _) = whole(&[voice.clone(), vec![0.0; 4_000]]);
    assert_eq!(mono, voice);
    let mut broken = vec![0.0; 4_000];
    broken[17] = f32::NAN;
    let (mono, _) = whole(&[voice.clone(), broken]);
    assert_eq!(mono, voice);
}

#[test]
fn parts_of_any_size_make_the_same_stream() {
    let channels = [sine(440.0, -12.0, 8_000), sine(300.0, -60.0, 8_000), sine(500.0, -20.0, 8_000)];
    let expected = stream(&channels, 8_000);
    for part in [1, 7, 160, 257] {
        assert_eq!(stream(&channels, part), expected, "{part}");
    }
}

#[test]
fn channels_become_fewer_or_more_without_the_loss_of_one() {
    let voice = sine(440.0, -12.0, 4_000);
    let silent = vec![0.0; voice.len()];
    let of = |channels: &[Vec<f32>], to: usize, picked: Option<usize>| {
        let mut map = ChannelMap::new(format(channels.len() as u16), to, picked);
        let mut output = vec![9.0; channels[0].len() * to];
        assert_eq!(map.map(&interleaved(channels), &mut output), output.len());
        (0..to).map(|at| output.iter().skip(at).step_by(to).copied().collect()).collect::<Vec<Vec<f32>>>()
    };
    let mut four = vec![silent.clone(); 4];
    four[3] = voice.clone();
    let two = of(&four, 2, None);
    assert_eq!((two[0] == silent, two[1][320..] == voice[320..]), (true, true), "the fourth is on the right");
    assert_eq!(of(&four, 1, Some(3)), *std::slice::from_ref(&voice));
    assert_eq!(of(&four, 2, Some(3)), [voice.clone(), voice.clone()]);
    assert_eq!(of(std::slice::from_ref(&voice), 3, None), vec![voice.clone(); 3]);
    let stereo = [voice.clone(), silent.clone()];
    assert_eq!(of(&stereo, 2, None), stereo);
    assert_eq!(of(&stereo, 3, None), [voice.clone(), silent, voice]);
}
