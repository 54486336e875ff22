//! Frames of 10 ms from chunks of any size, each in its place.

use std::time::Duration;

use greenroom_audio::{Format, Framer};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

/// A frame as it came out: time, lost, samples.
type Cut = (Duration, u64, Vec<i16>);

fn framer(format: Format) -> Framer<i16> {
    Framer::new(format, 10 * MS, Duration::from_secs(5))
}

fn push(framer: &mut Framer<i16>, mut chunk: &[i16], cut: &mut Vec<Cut>) {
    while let Some(frame) = framer.next(&mut chunk) {
        assert_eq!(frame.duration(), 10 * MS);
        assert_eq!(frame.has_gap(), frame.lost > 0);
        cut.push((frame.time, frame.lost, frame.samples.to_vec()));
    }
    assert!(chunk.is_empty());
}

fn ramp(from: i16, count: usize) -> Vec<i16> {
    (0..count).map(|step| from.wrapping_add(step as i16)).collect()
}

#[test]
fn frames_follow_each_other_whatever_the_chunks() {
    let mut framer = framer(Format::SPEECH);
    let mut cut = Vec::new();
    for chunk in ramp(0, 1000).chunks(7) {
        push(&mut framer, chunk, &mut cut);
    }
    assert_eq!(cut.len(), 6);
    for (index, (time, lost, samples)) in cut.iter().enumerate() {
        assert_eq!(*time, Duration::from_secs(5) + 10 * MS * index as u32);
        assert_eq!(*lost, 0);
        assert_eq!(*samples, ramp(160 * index as i16, 160));
    }
    let last = framer.finish().expect("40 samples are left");
    assert_eq!(&last.samples[..40], &ramp(960, 40)[..]);
    assert!(last.samples[40..].iter().all(|&sample| sample == 0));
    assert!(framer.finish().is_none());
}

#[test]
fn a_gap_moves_nothing_from_its_place() {
    let mut framer = framer(Format::SPEECH);
    let mut cut = Vec::new();
    push(&mut framer, &ramp(1, 100), &mut cut);
    // Within the frame that has begun.
    framer.lose(20);
    push(&mut framer, &ramp(121, 40), &mut cut);
    assert_eq!(cut.len(), 1);
    let (_, lost, samples) = &cut[0];
    assert_eq!((*lost, samples[99], samples[100], samples[119], samples[120]), (20, 100, 0, 0, 121));
    // Beyond it.
    push(&mut framer, &ramp(161, 10), &mut cut);
    framer.lose(1000);
    push(&mut framer, &ramp(1171, 160), &mut cut);
    assert_eq!(cut.len(), 3);
    let (time, lost, samples) = &cut[1];
    assert_eq!((*time, *lost, samples[9], samples[10]), (Duration::from_secs(5) + 10 * MS, 150, 170, 0));
    let (time, lost, samples) = &cut[2];
    assert_eq!((*lost, samples[0]), (850, 1171));
    assert_eq!(*time, Duration::from_secs(5) + Format::SPEECH.duration_of(1170));
}

#[test]
fn the_clock_can_be_set_right() {
    let mut framer = framer(Format::SPEECH);
    let mut cut = Vec::new();
    push(&mut framer, &ramp(0, 80), &mut cut);
    // The 81st sample was at 6 s, so the frame began 5 ms before.
    framer.set_time(Duration::from_secs(6));
    push(&mut framer, &ramp(80, 240), &mut cut);
    assert_eq!(cut[0].0, Duration::from_secs(6) - 5 * MS);
    assert_eq!(cut[1].0, Duration::from_secs(6) + 5 * MS);
}

#[test]
fn time_never_goes_back() {
    let mut framer = framer(Format::SPEECH);
    let mut cut = Vec::new();
    push(&mut framer, &ramp(0, 320), &mut cut);
    // The frames so far were thought to be 25 ms later than they were.
    framer.set_time(Duration::from_secs(5) - 5 * MS);
    push(&mut framer, &ramp(320, 640), &mut cut);
    let times: Vec<u128> = cut.iter().map(|(time, ..)| time.as_millis() - 5000).collect();
    assert_eq!(times, [0, 10, 10, 10, 15, 25]);
}

#[test]
fn frames_of_several_channels_hold_whole_instants() {
    let stereo = Format::new(48_000, 2).expect("stereo");
    let mut framer = framer(stereo);
    let mut cut = Vec::new();
    framer.lose(3);
    push(&mut framer, &ramp(0, 960), &mut cut);
    assert_eq!((cut[0].1, cut[0].2.len()), (3, 960));
    assert_eq!(cut[0].0, Duration::from_secs(5) + stereo.duration_of(3));
}

proptest! {
    #[test]
    fn nothing_is_lost_or_moved(steps in prop::collection::vec((0_usize..700, 0_u64..700), 1..20)) {
        let mut framer = framer(Format::SPEECH);
        let (mut cut, mut place, mut all_lost) = (Vec::new(), 0_u64, 0);
        for (count, lost) in steps {
            // Each sample tells its place.
            let chunk: Vec<i16> = (0..count as u64).map(|step| (place + step) as i16 | 1).collect();
            push(&mut framer, &chunk, &mut cut);
            framer.lose(lost);
            place += count as u64 + lost;
            all_lost += lost;
        }
        push(&mut framer, &[1; 160], &mut cut);
        let told: u64 = cut.iter().map(|(_, lost, _)| lost).sum();
        prop_assert!(told <= all_lost);
        for (time, _, samples) in cut.iter().rev().skip(2) {
            let first = Format::SPEECH.samples_in(*time - Duration::from_secs(5) + Duration::from_nanos(1000));
            for (step, &sample) in samples.iter().enumerate() {
                prop_assert!(sample == 0 || sample == (first + step as u64) as i16 | 1);
            }
        }
    }
}
