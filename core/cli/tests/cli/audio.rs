//! `devices`, `record`, `play` and `meter`, with virtual devices. The tests of real streams are in `core/capture/tests/real`.

use std::process::Command;

use greenroom_audio::signal::tone;
use greenroom_audio::{Format, wav};
use serde_json::Value;

use crate::documents::is;
use crate::stage::{Outcome, Stage, finish, wait, wait_with};
use crate::support::isolated::isolated;
use crate::support::pulse::Pulse;

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
    stage.run(&["play", "nothing.wav", "--device", "null"]).code(2).told("nothing.wav");
    std::fs::write(stage.path().join("bad.wav"), "no sound").unwrap();
    stage.run(&["play", "bad.wav", "--device", "null"]).code(2).told("bad.wav: it is no WAV file");
    stage.run(&["play", ".", "--device", "null"]).code(2).told(".: ");
    for command in ["meter", "record"] {
        let file = if command == "record" { &["record", "b.wav"][..] } else { &["meter"] };
        for device in ["file:bad.wav", "file:nothing.wav"] {
            stage.run(&[file, &["--device", device]].concat()).code(2).told(&device[5..]);
        }
    }
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

/// Plays a file of this content into another, and gives the command's document and what was played.
fn played(stage: &Stage, content: &[u8], more: &[&str]) -> (Value, Vec<f32>) {
    std::fs::write(stage.path().join("odd.wav"), content).unwrap();
    let usual = ["play", "odd.wav", "--device", "file:out.wav", "--fast", "--json"];
    let document = stage.json(&[&usual, more].concat());
    is("play", &document);
    (document, wav::read(&stage.path().join("out.wav")).unwrap().1)
}

#[test]
fn odd_files_are_played_and_what_is_odd_is_told() {
    let stage = Stage::new();
    let samples: Vec<f32> = (0..4_800).map(|at| (at % 300) as f32 / 512.0).collect();
    let whole = stage.path().join("whole.wav");
    wav::write(&whole, Format::WIRE, &samples).unwrap();
    let right = std::fs::read(&whole).unwrap();
    let notes = |document: &Value| -> Vec<String> {
        let notes = document["notes"].as_array().unwrap().iter();
        notes.map(|note| note["note"].as_str().unwrap().to_owned()).collect()
    };
    let (document, heard) = played(&stage, &right, &[]);
    assert_eq!((notes(&document), heard), (vec![], samples.clone()));
    let mut died = right.clone();
    died[40..44].fill(0);
    for size in [36_u32, 4, 8, 44, 4_088, 9_636, 0x7fff_ffff, 0xffff_fffe] {
        died[4..8].copy_from_slice(&size.to_le_bytes());
        let (document, heard) = played(&stage, &died, &[]);
        assert_eq!((notes(&document), heard), (vec!["size_not_written".to_owned()], samples.clone()));
    }
    let mut twice = right.clone();
    twice[40..44].copy_from_slice(&19_200_u32.to_le_bytes());
    let (document, heard) = played(&stage, &twice, &[]);
    assert_eq!((notes(&document), heard), (vec!["truncated".to_owned()], samples.clone()));
    stage
        .run(&["play", "odd.wav", "--device", "null", "--fast"])
        .ok()
        .told("Note: odd.wav: its header announces 9600 samples of each channel, and 4800 are there; these are read.");
    // Through a pipe, as recorders and ffmpeg write.
    let command = stage.command(&["play", "-", "--device", "file:out.wav", "--fast"]);
    wait_with(command, &died).ok().told("never written");
    assert_eq!(wav::read(&stage.path().join("out.wav")).unwrap().1, samples);
    // What a device gives is told on the way, and at the end.
    std::fs::write(stage.path().join("odd.wav"), &died).unwrap();
    let recorded = ["record", "b.wav", "--device", "file:odd.wav", "--fast", "--json"];
    let recorded = stage.json(&recorded);
    is("record", &recorded);
    assert_eq!(notes(&recorded), ["size_not_written"]);
    // The block size is 3 bytes for samples of 16 bits.
    let mut block = right;
    block[32] = 3;
    let (document, heard) = played(&stage, &block, &[]);
    assert_eq!((notes(&document), heard), (vec!["block_size".to_owned()], samples));
}

#[test]
fn one_channel_of_many_is_heard_by_itself_and_by_its_number() {
    let stage = Stage::new();
    let voice: Vec<f32> = (0..48_000).map(|at| (at as f32 * 0.05).sin() / 2.0).collect();
    for channels in [2_u16, 4, 16, 64] {
        let last = usize::from(channels) - 1;
        let mut all = vec![0.0; voice.len() * usize::from(channels)];
        all.iter_mut().skip(last).step_by(last + 1).zip(&voice).for_each(|(sample, voice)| *sample = *voice);
        let file = stage.path().join("many.wav");
        wav::write(&file, Format::new(48_000, channels).unwrap(), &all).unwrap();
        let number = last.to_string();
        for more in [&[][..], &["--channel", &number]] {
            let record = ["record", "one.wav", "--device", "file:many.wav", "--fast"];
            stage.run(&[&record, more].concat()).ok();
            let recorded = wav::read(&stage.path().join("one.wav")).unwrap().1;
            let level = tone(&recorded[960..], 48_000.0 * 0.05 / std::f64::consts::TAU, 48_000);
            assert!((level + 6.02).abs() < 0.01, "{channels} channels, {more:?}: {level}");
        }
        let play = ["play", "many.wav", "--channel", &number, "--device", "file:one.wav", "--fast"];
        stage.run(&play).ok();
        let (format, one) = wav::read(&stage.path().join("one.wav")).unwrap();
        assert_eq!((format, one.len()), (Format::WIRE, voice.len()));
        assert!(one.iter().zip(&voice).all(|(a, b)| (a - b).abs() < 1e-4));
        let beyond = channels.to_string();
        for args in [&["play", "many.wav"][..], &["record", "one.wav", "--device", "file:many.wav"]] {
            let told = stage.run(&[args, &["--channel", &beyond]].concat()).code(2).stderr;
            assert!(told.contains(&format!("no channel {beyond}; it has {channels}, 0 to {last}")), "{told}");
        }
    }
    let two = ["record", "a.wav", "--device", "null", "--channels", "2", "--channel", "0"];
    stage.run(&two).code(2).told("ask for one of the two");
}

isolated!(devices_are_listed_with_the_number_by_which_they_are_opened, |folder| {
    let _pulse = Pulse::start(folder);
    let stage = Stage::new();
    let listed = stage.run(&["devices"]).ok().printed("NUMBER").stdout;
    let document = stage.json(&["devices", "--json"]);
    for device in document["devices"].as_array().unwrap() {
        let number = device["number"].to_string();
        let id = device["id"].as_str().unwrap();
        let row = listed.lines().find(|line| line.ends_with(&format!(" {id}"))).expect(id);
        assert!(row.split_whitespace().any(|word| word == number), "{row}");
        if device["direction"] == "input" {
            let args = ["record", "a.wav", "--device", &number, "--duration", "100ms"];
            stage.run(&args).ok().told(&format!("Recording {id} ("));
        }
    }
});
