//! What real streams take: to start and to stop, from the device to the reader, from the writer to the reader, and to come back. The driver
//! (benches/driver/capture.py) has made the devices: PulseAudio's `speaker`, and ALSA's `mic`, which is a pipe.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenroom_capture::{Capture, CaptureOptions, Event, Latency, Playback, PlaybackOptions};
use serde_json::{Value, json};

use crate::Outcome;
use crate::measure::processor_time;

/// Virtual streams that run at once.
const STREAMS: usize = 100;

const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// Streams of PulseAudio.
pub(crate) fn pulse(seconds: u64) -> Outcome<Value> {
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let begun = Instant::now();
        let capture = Capture::open(&from("pulseaudio:speaker.monitor", Latency::Normal))?;
        capture.read::<i16>(SOON)?;
        starts.push(milliseconds(begun.elapsed()));
        let begun = Instant::now();
        capture.close()?;
        stops.push(milliseconds(begun.elapsed()));
    }
    let (mut ages, mut sleeps) = ages(Duration::from_secs(seconds))?;
    Ok(json!({
        "start_ms": percentile(&mut starts, 50), "stop_ms": percentile(&mut stops, 50),
        "age_p50_ms": percentile(&mut ages, 50), "age_p99_ms": percentile(&mut ages, 99),
        "late_sleep_p99_ms": percentile(&mut sleeps, 99),
        "round_low_ms": round(Latency::Low)?, "round_ms": round(Latency::Normal)?, "recovery_ms": recovery()?,
    }))
}

/// The pipe, with real time kept by this process and all processors busy: what is lost.
pub(crate) fn pipe(mic: &Path, seconds: u64) -> Outcome<Value> {
    let mut mic = OpenOptions::new().read(true).write(true).open(mic)?;
    let capture = Capture::open(&from("alsa:mic", Latency::Normal))?;
    let stop = AtomicBool::new(false);
    let blocks = seconds * 100;
    let (read, lost) = std::thread::scope(|scope| -> Outcome<(u64, u64)> {
        for _ in 0..2 * std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        scope.spawn(|| {
            let begun = Instant::now();
            for block in 0..blocks {
                let due = begun + Duration::from_millis(10 * block);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if mic.write_all(&[1; 960]).is_err() {
                    break;
                }
            }
        });
        let (mut read, mut lost) = (0, 0);
        // The last blocks may be on their way when the writer has ended.
        while read + lost < (blocks - 10) * 480 {
            let Some(frame) = capture.read::<i16>(SOON)? else { break };
            read += frame.samples.len() as u64;
            lost += frame.lost;
        }
        stop.store(true, Ordering::Relaxed);
        Ok((read, lost))
    })?;
    Ok(json!({ "read": read, "lost": lost }))
}

/// Virtual microphones in real time, each read by a thread of its own: the share of a processor that they take, and what is lost.
pub(crate) fn many(seconds: u64) -> Outcome<Value> {
    let options = CaptureOptions { device: Some("tone:440".to_owned()), ..CaptureOptions::default() };
    let captures = (0..STREAMS).map(|_| Capture::open(&options)).collect::<Result<Vec<_>, _>>()?;
    let (begun, before) = (Instant::now(), processor_time());
    let lost = std::thread::scope(|scope| -> Outcome<u64> {
        let read = |capture: &Capture| {
            let (mut read, mut lost) = (0, 0);
            while read + lost < seconds * u64::from(options.rate) {
                let Some(frame) = capture.read::<i16>(SOON)? else { break };
                read += frame.samples.len() as u64;
                lost += frame.lost;
            }
            Ok::<_, greenroom_capture::AudioError>(lost)
        };
        let readers: Vec<_> = captures.iter().map(|capture| scope.spawn(move || read(capture))).collect();
        let mut lost = 0;
        for reader in readers {
            lost += reader.join().map_err(|_| "a reader has failed")??;
        }
        Ok(lost)
    })?;
    let share = (processor_time() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    Ok(json!({ "streams": STREAMS, "core_percent": share * 100.0, "lost": lost }))
}

fn from(device: &str, latency: Latency) -> CaptureOptions {
    CaptureOptions { device: Some(device.to_owned()), rate: 48_000, latency, ..CaptureOptions::default() }
}

/// How old the last sample of each frame is when it is read, and how late this machine ends sleeps of 10 ms meanwhile.
fn ages(length: Duration) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let capture = Capture::open(&from("pulseaudio:speaker.monitor", Latency::Normal))?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let control = scope.spawn(|| {
            let mut late = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(Duration::from_millis(10));
                late.push(milliseconds(begun.elapsed()) - 10.0);
            }
            late
        });
        let (mut ages, begun) = (Vec::new(), Instant::now());
        while begun.elapsed() < length {
            let Some(frame) = capture.read::<i16>(SOON)? else { break };
            let end = capture.origin() + frame.time + frame.format.duration_of(frame.samples.len() as u64);
            ages.push(milliseconds(end.elapsed()));
        }
        stop.store(true, Ordering::Relaxed);
        let late = control.join().map_err(|_| "the control has failed")?;
        Ok((ages, late))
    })
}

/// From a write to the read of the frame that has it, over one loudspeaker and its monitor: the median.
fn round(latency: Latency) -> Outcome<f64> {
    // Frames that add little to what the streams take.
    let short = Duration::from_millis(2);
    let capture =
        Capture::open(&CaptureOptions { frame: short, ..from("pulseaudio:speaker.monitor", latency) })?;
    let playback = Playback::open(&PlaybackOptions {
        device: Some("pulseaudio:speaker".to_owned()),
        latency,
        ..PlaybackOptions::default()
    })?;
    let mut rounds = Vec::new();
    for _ in 0..20 {
        // It is quiet before each.
        let mut quiet = 0;
        while quiet < 50 {
            let Some(frame) = capture.read::<f32>(SOON)? else { break };
            quiet = if is_loud(&frame.samples) { 0 } else { quiet + 1 };
        }
        let begun = Instant::now();
        playback.write(&[0.5_f32; 480], SOON)?;
        playback.flush()?;
        while let Some(frame) = capture.read::<f32>(SOON)? {
            if is_loud(&frame.samples) {
                break;
            }
        }
        rounds.push(milliseconds(begun.elapsed()));
    }
    Ok(percentile(&mut rounds, 50))
}

fn is_loud(samples: &[f32]) -> bool {
    samples.iter().any(|sample| sample.abs() > 0.25)
}

/// From when an unplugged device is back to the first frame from it.
fn recovery() -> Outcome<f64> {
    let plug = || -> Outcome<String> {
        // Without rewinds it works in blocks of 50 ms at most, and not of two seconds until somebody is in a hurry.
        let arguments = ["load-module", "module-null-sink", "sink_name=usb", "rate=48000", "norewinds=1"];
        Ok(String::from_utf8(Command::new("pactl").args(arguments).output()?.stdout)?.trim().to_owned())
    };
    let module = plug()?;
    let options = CaptureOptions { reopen: SOON, ..from("pulseaudio:usb.monitor", Latency::Normal) };
    let capture = Capture::open(&options)?;
    capture.read::<i16>(SOON)?;
    Command::new("pactl").args(["unload-module", &module]).status()?;
    while !matches!(capture.event(SOON)?, None | Some(Event::Lost { .. })) {}
    plug()?;
    let begun = Instant::now();
    while !matches!(capture.event(SOON)?, None | Some(Event::Reopened { .. })) {}
    Ok(milliseconds(begun.elapsed()))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The percentile, of at least one number.
fn percentile(numbers: &mut [f64], percent: usize) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers
        .get((numbers.len() * percent / 100).min(numbers.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
