//! Sessions with audio, with a scripted agent that hears half a second of sound and answers with as much.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use greenroom_audio::device::Patchbay;
use greenroom_audio::{Format, sample, signal, wav};
use greenroom_engine::launch::AgentSpec;
use greenroom_engine::protocol::Code;
use greenroom_engine::protocol::message::SpokenTurn;
use greenroom_engine::protocol::voice::{Clock, Speech};
use greenroom_engine::{AudioOptions, Session, StartOptions, voice};
use greenroom_test_peer::SPOKEN;

/// No wait of these tests is longer than this, unless something hangs.
const DEADLINE: Duration = Duration::from_secs(20);

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("nothing may hang")
}

fn start(folder: &Path, audio: AudioOptions) -> Session {
    let mut agent = AgentSpec::new(folder);
    agent.entry = Some(greenroom_test_peer::agent_file(folder));
    agent.interpreter = Some(greenroom_test_peer::binary());
    agent.env = vec![("GREENROOM_PEER".to_owned(), "voice".to_owned())];
    let mut options = StartOptions::new(agent);
    options.audio = Some(audio);
    Session::start(options).unwrap()
}

fn samples(speech: &Speech) -> Vec<f32> {
    let pairs = speech.samples().chunks_exact(2);
    pairs.map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect()
}

fn tone(samples: usize, rate: u32) -> Vec<f32> {
    let mut sine = signal::Sine::new(440.0, -6.0, rate);
    let mut samples = vec![0.0; samples];
    sine.fill(&mut samples);
    samples
}

/// Sound with which the agent has heard enough at its very end.
fn sound() -> SpokenTurn {
    let audio = voice::speech_from_samples(Format::WIRE, &[0.5; SPOKEN], None).unwrap().speech;
    SpokenTurn { audio, text: String::new(), interrupt_after_ms: None, live: None }
}

#[tokio::test]
async fn a_spoken_turn() {
    let folder = tempfile::tempdir().unwrap();
    let session = start(folder.path(), AudioOptions::default());
    within(session.ready(None)).await.unwrap();
    let turn = within(session.say_audio(sound(), None)).await.unwrap();
    assert_eq!((turn.heard.as_deref(), turn.reply.as_str()), (Some("a sound"), "heard"));
    let heard = turn.voice.unwrap();
    assert_eq!(heard.agent_ms, 500.0);
    assert_eq!(heard.audio.unwrap().samples().len(), SPOKEN * 2);
    assert!(turn.duration_ms >= 1_000.0, "both took their time: {}", turn.duration_ms);
    within(session.end()).await;
}

#[tokio::test]
async fn the_recording_is_whole_once_the_session_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.wav");
    let recording = Some(path.clone());
    let session = start(folder.path(), AudioOptions { recording, ..AudioOptions::default() });
    within(session.ready(None)).await.unwrap();
    within(session.say_audio(sound(), None)).await.unwrap();
    within(session.end()).await;
    let status = session.snapshot();
    assert_eq!((status.recording.as_deref(), status.recording_error), (Some(path.as_path()), None));
    let (format, samples) = wav::read(&path).unwrap();
    assert_eq!(format, Format::new(48_000, 2).unwrap());
    let loud =
        |channel: usize| samples.iter().skip(channel).step_by(2).filter(|sample| sample.abs() > 0.01).count();
    assert_eq!((loud(0), loud(1)), (SPOKEN, SPOKEN));
}

#[tokio::test]
async fn a_recording_that_cannot_be_made_fails_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Some(folder.path().join("missing/session.wav"));
    let session = start(folder.path(), AudioOptions { recording, ..AudioOptions::default() });
    let error = within(session.ready(None)).await.unwrap_err();
    assert_eq!(error.code, Code::Io);
    assert!(error.message.contains("missing/session.wav"), "{error}");
}

#[tokio::test]
async fn a_device_pulls_what_it_plays_and_feeds_what_it_records() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::Pulled { latency: Duration::ZERO };
    let session = start(folder.path(), AudioOptions { clock, ..AudioOptions::default() });
    within(session.ready(None)).await.unwrap();
    let microphone = session.clone();
    let sound = Bytes::from(0x4000_i16.to_le_bytes().repeat(480));
    let mut played = 0;
    let conversation = async {
        let mut events = session.events(0);
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tokio::select! {
                event = events.next() => {
                    if event.is_some_and(|event| event.kind.name() == "message") && played >= SPOKEN {
                        break;
                    }
                }
                _ = tick.tick() => {
                    if played == 0 {
                        microphone.feed(sound.clone());
                    }
                    played += microphone.pull(480).len() / 2;
                }
            }
        }
    };
    within(conversation).await;
    assert!(played >= SPOKEN);
    within(session.end()).await;
}

#[test]
fn speech_comes_from_files_samples_and_devices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tone.wav");
    for (rate, channels) in [(8_000, 1), (16_000, 2), (44_100, 2), (48_000, 1)] {
        let format = Format::new(rate, channels).unwrap();
        let mono = tone(rate as usize, rate);
        let both: Vec<f32> = mono.iter().flat_map(|&sample| vec![sample; channels as usize]).collect();
        wav::write(&path, format, &both).unwrap();
        let from_file = voice::speech_from_wav(&path, None).unwrap().speech;
        assert_eq!(from_file.duration(), Duration::from_secs(1), "{format}");
        let middle = &samples(&from_file)[4_800..43_200];
        assert!((signal::tone(middle, 440.0, 48_000) + 6.0).abs() < 0.05, "{format}");
        assert_eq!(
            voice::speech_from_wav_bytes(&std::fs::read(&path).unwrap(), None).unwrap().speech,
            from_file
        );
        let device: greenroom_audio::VirtualDevice = format!("file:{}", path.display()).parse().unwrap();
        let mut source = device.open_source(Format::WIRE, &Patchbay::default()).unwrap();
        assert_eq!(voice::speech_from_source(&mut *source).unwrap().speech, from_file);
        voice::write_wav(&path, &from_file).unwrap();
        assert_eq!(voice::speech_from_wav(&path, None).unwrap().speech, from_file);
    }
}

#[test]
fn speech_of_samples_that_come_in_parts_is_that_of_the_whole() {
    let bytes: Vec<u8> = (0..16_000_i16).flat_map(|sample| sample.to_ne_bytes().repeat(2)).collect();
    let whole = voice::speech_from_pcm(16_000, 2, &bytes, false, None).unwrap().speech;
    let mut stream = voice::SpeechStream::new(16_000, 2, None).unwrap();
    let mut made = Vec::new();
    for part in bytes.chunks(4 * 123) {
        made.extend(stream.take(part, false).unwrap());
    }
    made.extend(stream.finish());
    assert_eq!(made, whole.samples()[..]);
    let floats: Vec<u8> =
        (0..16_000_i16).flat_map(|sample| (f32::from(sample) / 32_768.0).to_ne_bytes()).collect();
    assert_eq!(voice::speech_from_pcm(16_000, 1, &floats, true, None).unwrap().speech, whole);
    let error = stream.take(&[0; 3], false).unwrap_err();
    assert!(error.message.contains("3 bytes are not whole samples"), "{error}");
}

#[test]
fn speech_in_noise_is_as_far_above_it_as_was_asked_for_and_of_its_seed() {
    let mut spoken = tone(48_000, 48_000);
    spoken.iter_mut().for_each(|sample| *sample /= 8.0);
    let speech = voice::speech_from_samples(Format::WIRE, &spoken, None).unwrap().speech;
    for noise in ["white", "babble", "impulses"] {
        let noisy = voice::noisy(&speech, noise, 10.0, 1).unwrap();
        assert_eq!(noisy.duration(), speech.duration());
        assert_eq!(voice::noisy(&speech, noise, 10.0, 1).unwrap(), noisy, "{noise}");
        assert_ne!(voice::noisy(&speech, noise, 10.0, 2).unwrap(), noisy, "{noise}");
        let added: Vec<f32> =
            samples(&noisy).iter().zip(samples(&speech)).map(|(both, one)| both - one).collect();
        let above = sample::dbfs(sample::rms(&spoken)) - sample::dbfs(sample::rms(&added));
        assert!((above - 10.0).abs() < 0.1, "{noise} is {above} dB below");
        // Of white noise at 16 kHz a sixth is from 8 to 16 kHz at 48 kHz, were it not filtered.
        assert!(signal::tone(&added, 12_000.0, 48_000) < -90.0, "{noise}");
    }
}

#[test]
fn speech_in_loud_noise_is_made_softer_and_not_clipped() {
    let speech = voice::speech_from_samples(Format::WIRE, &tone(48_000, 48_000), None).unwrap().speech;
    let noisy = samples(&voice::noisy(&speech, "white", -10.0, 1).unwrap());
    let loudest = noisy.iter().filter(|sample| sample.abs() > 0.999).count();
    assert!((1..4).contains(&loudest), "{loudest} samples are at full scale");
    assert!(signal::tone(&noisy, 440.0, 48_000) < -12.0);
}

#[test]
fn what_is_no_speech_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.wav");
    std::fs::write(&text, "no sound at all").unwrap();
    fn fails<T: std::fmt::Debug>(
        result: Result<T, greenroom_engine::protocol::Error>,
        code: Code,
        part: &str,
    ) {
        let error = result.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(part), "{error}");
    }
    fails(voice::speech_from_wav(&text, None), Code::InvalidArgument, "text.wav");
    fails(voice::speech_from_wav(&folder.path().join("none.wav"), None), Code::Io, "none.wav");
    fails(voice::speech_from_wav_bytes(b"RIFF", None), Code::InvalidArgument, "the WAV content");
    fails(voice::speech_from_pcm(12, 1, &[0, 0], false, None), Code::InvalidArgument, "12 Hz");
    fails(voice::speech_from_pcm(48_000, 0, &[0, 0], false, None), Code::InvalidArgument, "0 channels");
    fails(voice::speech_from_pcm(48_000, 2, &[0, 0], false, None), Code::InvalidArgument, "2 channels");
    fails(voice::speech_from_pcm(48_000, 1, &[0, 0], true, None), Code::InvalidArgument, "32 bits");
    fails(voice::speech_from_pcm(48_000, 1, &[], false, None), Code::InvalidArgument, "empty");
    fails(
        voice::speech_from_samples(Format::SPEECH, &vec![0.0; 16_000 * 182], None),
        Code::TooLarge,
        "180 s",
    );
    let speech = voice::speech_from_samples(Format::WIRE, &[0.5; 480], None).unwrap().speech;
    fails(voice::noisy(&speech, "pink", 10.0, 0), Code::InvalidArgument, "white, babble and impulses");
    for none in [f32::NAN, f32::INFINITY, -61.0] {
        fails(voice::noisy(&speech, "white", none, 0), Code::InvalidArgument, "-60 to 120");
    }
    let mut endless =
        greenroom_audio::VirtualDevice::Null.open_source(Format::WIRE, &Patchbay::default()).unwrap();
    fails(voice::speech_from_source(&mut *endless), Code::TooLarge, "180 s");
}
