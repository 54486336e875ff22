//! `devices`, `record`, `play` and `meter`, with virtual devices. The tests of real streams are in `core/capture/tests/real`.

use std::process::Command;

use greenroom_audio::signal::tone;
use greenroom_audio::{Format, wav};
use serde_json::Value;

use crate::documents::is;
use crate::stage::{Outcome, Stage, finish, wait};

/// The command where ALSA's library cannot be loaded, and nobody answers for PulseAudio.
fn without_sound(stage: &Stage, args: &[&str]) -> Command {
    // The loader takes the first of that name, and fails since it is no library.
    std::fs::write(stage.path().join("libasound.so.2"), []).unwrap();
    let mut command = stage.command(args);
    command.env("PULSE_SERVER", format!("unix:{}", stage.path().join("nobody").display()));
    command.env("LD_LIBRARY_PATH", stage.path());
    command
}

#[test]
fn a_tone_is_recorded_into_a_file() {
    let stage = Stage::new();
    let told = stage
        .run(&[
            "record",
            "out.wav",
            "--device",
            "tone:440:-6.02",
            "--duration",
            "2s",
            "--rate",
            "24000",
            "--fast",
        ])
        .ok()
        .told("Recording tone:440:-6.02 (24000 Hz mono)")
        .told("Recorded 2.000 s to out.wav.");
    assert_eq!(told.stdout, "", "data goes to standard output, and there is none");
    let (format, samples) = wav::read(&stage.path().join("out.wav")).unwrap();
    assert_eq!((format, samples.len()), (Format::mono(24_000).unwrap(), 48_000));
    assert!((tone(&samples, 440.0, 24_000) + 6.02).abs() < 0.01);
}

#[test]
fn a_file_is_played_to_another_to_the_sample() {
    let stage = Stage::new();
    let stereo = Format::new(44_100, 2).unwrap();
    let samples: Vec<f32> = (0..88_202).map(|at| (at % 30_000) as f32 / 32_768.0).collect();
    wav::write(&stage.path().join("in.wav"), stereo, &samples).unwrap();
    let played = stage.json(&["play", "in.wav", "--device", "file:out.wav", "--fast", "--json"]);
    is("play", &played);
    assert_eq!(played["dropped_seconds"], 0.0);
    assert_eq!(wav::read(&stage.path().join("out.wav")).unwrap(), (stereo, samples));
}

#[test]
fn documents_are_as_the_schema_says() {
    let stage = Stage::new();
    let recorded = ["record", "a.wav", "--device", "noise:-40", "--duration", "1s", "--fast", "--json"];
    let recorded = stage.json(&recorded);
    is("record", &recorded);
    assert_eq!((&recorded["seconds"], &recorded["lost_seconds"]), (&1.0.into(), &0.0.into()));
    let metered = stage.run(&["meter", "--device", "file:a.wav", "--fast", "--json"]).ok();
    let levels: Vec<Value> = metered.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!((29..=30).contains(&levels.len()), "{}", levels.len());
    for level in &levels {
        is("level", level);
    }
    // The RMS is of the latest 100 ms.
    for level in &levels[3..] {
        assert!((level["rms"].as_f64().unwrap() + 40.0).abs() < 2.0, "{level}");
    }
    let silent = stage.run(&["meter", "--device", "null", "--duration", "100ms", "--fast", "--json"]).ok();
    let level: Value = serde_json::from_str(silent.stdout.lines().next().unwrap()).unwrap();
    is("level", &level);
    assert_eq!(level["peak"], Value::Null);
}

#[test]
fn a_meter_that_is_no_terminal_prints_a_line_a_second() {
    let stage = Stage::new();
    let metered = stage.run(&["meter", "--device", "tone:440:-6.02", "--duration", "3s", "--fast"]).ok();
    assert_eq!(metered.stdout.lines().count(), 3, "{metered:?}");
    assert!(
        metered.stdout.lines().all(|line| line.contains("-9.0 dBFS") && line.contains("-6.0 dBFS")),
        "{metered:?}"
    );
}

#[test]
fn without_a_sound_system_virtual_devices_work_and_real_ones_say_what_to_install() {
    let stage = Stage::new();
    wait(without_sound(&stage, &["record", "a.wav", "--device", "null", "--duration", "1s", "--fast"])).ok();
    for args in [&["devices"][..], &["record", "b.wav"], &["meter"], &["play", "a.wav"]] {
        wait(without_sound(&stage, args)).code(3).told("apt install libasound2");
    }
    assert!(!stage.path().join("b.wav").exists(), "nothing is written of what cannot be recorded");
    let failure = wait(without_sound(&stage, &["devices", "--json"])).code(3).json();
    is("failure", &failure);
    assert_eq!(failure["error"]["code"], "audio_unavailable");
}

#[test]
fn alsa_writes_nothing_of_its_own_to_standard_error() {
    let stage = Stage::new();
    stage.run(&["record", "a.wav", "--device", "null", "--duration", "100ms", "--fast"]).ok();
    for args in [&["devices"][..], &["record", "b.wav"], &["play", "a.wav"]] {
        let mut command = without_sound(&stage, args);
        // The library is there, and would complain that its settings are not.
        command.env_remove("LD_LIBRARY_PATH").env("ALSA_CONFIG_PATH", "/nowhere/alsa.conf");
        let told = wait(command).stderr;
        assert!(!told.contains("ALSA lib"), "{told}");
    }
}

#[test]
fn what_goes_wrong_is_told_with_the_name_it_has() {
    let stage = Stage::new();
    stage.run(&["record", "a.wav", "--device", "tone:x"]).code(2).told("write tone:440");
    stage.run(&["play", "nothing.wav", "--device", "null"]).code(3).told("nothing.wav");
    stage.run(&["record", "/nowhere/a.wav", "--device", "null"]).code(3).told("/nowhere/a.wav");
    stage.run(&["record", "a.wav", "--device", "null", "--rate", "7"]).code(2).told("7 Hz is no rate");
    let lost = ["record", "a.wav", "--device", "fail:after=500ms", "--fast"];
    stage.run(&lost).code(3).told("is gone");
    let (_, samples) = wav::read(&stage.path().join("a.wav")).unwrap();
    assert_eq!(samples.len(), 24_000, "what came before is in the file, and the file is whole");
}

#[test]
fn a_recording_ends_whole_with_ctrl_c() {
    let stage = Stage::new();
    let mut command = stage.command(&["record", "a.wav", "--device", "tone:440", "--json"]);
    let child = command.spawn().unwrap();
    let file = stage.path().join("a.wav");
    while !file.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let recorded: Outcome = finish(child).ok();
    is("record", &recorded.json());
    let (format, _) = wav::read(&file).unwrap();
    assert_eq!(format, Format::WIRE);
}
