//! `devices`, `record`, `play` and `meter`

use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use greenroom_audio::channels::pick;
use greenroom_audio::wav::{Encoding, Reader, WavError, Writer};
use greenroom_audio::{Clock, Format, Level, Meter, SpeechDetector};
use greenroom_capture::{
    AudioError, Capture, CaptureOptions, Device, Event, Playback, PlaybackOptions, devices,
};
use greenroom_protocol::{Code, Error};
use serde_json::{Value, json};

use crate::args;
use crate::bar;
use crate::interrupt;
use crate::output::Output;
use crate::text;

/// How often a wait looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(100);

/// How long the end of what is played may take beyond its own length.
const END: Duration = Duration::from_secs(5);

/// What is played at once.
const PART: Duration = Duration::from_millis(20);

pub(super) fn list(out: &mut Output) -> Result<ExitCode, Error> {
    let devices = devices()?;
    if out.is_json() {
        out.document(&json!({ "devices": devices }))?;
    } else if devices.is_empty() {
        out.note("No audio devices. Virtual ones are always there, such as tone:440 and file:in.wav.");
    } else {
        out.print(&format!("{}\n", table(&devices)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(devices: &[Device]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["", "DIRECTION", "NUMBER", "NAME", "RATE", "CHANNELS", "ID"]);
    for device in devices {
        let default = if device.default { "*" } else { "" };
        table.add_row([
            default.to_owned(),
            device.direction.to_string(),
            device.number.to_string(),
            text::line(&device.name),
            device.rate.to_string(),
            device.channels.to_string(),
            text::line(&device.id),
        ]);
    }
    table
}

pub(super) fn record(record: &args::Record, out: &mut Output) -> Result<ExitCode, Error> {
    interrupt::catch()?;
    let listening = Listening::open(&record.input, record.rate, record.channels)?;
    let format = listening.capture.format();
    let mut writer = Writer::create(&record.file, format, Encoding::S16).map_err(|error| file(&error))?;
    out.note(&format!("Recording {} ({format}); Ctrl-C ends it.", listening.capture.device()?));
    let (mut lost, mut notes) = (0, Vec::new());
    let silence = vec![0.0; 4096 * format.channels()];
    let recorded = listening.each(out, &mut notes, |frame, missing, _| {
        lost += missing;
        // What is missing is silence, so that the rest keeps its place.
        let mut left = usize::try_from(missing).unwrap_or(usize::MAX) * format.channels();
        while left > 0 {
            let part = &silence[..left.min(silence.len())];
            writer.write(part).map_err(|error| file(&error))?;
            left -= part.len();
        }
        writer.write(frame).map_err(|error| file(&error))
    });
    let seconds = writer.length() as f64 / f64::from(format.rate());
    writer.finish().map_err(|error| file(&error))?;
    recorded?;
    let lost = lost as f64 / f64::from(format.rate());
    if out.is_json() {
        let device = listening.capture.device()?;
        out.document(&json!({
            "file": record.file, "device": device, "rate": format.rate(), "channels": format.channels(),
            "seconds": seconds, "lost_seconds": lost, "notes": notes,
        }))?;
    } else {
        let missing = if lost > 0.0 { format!(", {lost:.3} s of it lost") } else { String::new() };
        out.note(&format!("Recorded {seconds:.3} s to {}{missing}.", record.file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn play(play: &args::Play, out: &Output) -> Result<ExitCode, Error> {
    interrupt::catch()?;
    if play.file == Path::new("-") {
        let reader = Reader::new("standard input", io::stdin().lock());
        return play_from(reader.map_err(|error| unreadable(&error))?, play, out);
    }
    play_from(Reader::open(&play.file).map_err(|error| unreadable(&error))?, play, out)
}

fn play_from(mut reader: Reader<impl Read>, play: &args::Play, out: &Output) -> Result<ExitCode, Error> {
    let format = reader.format();
    let channels = format.channels();
    if let Some(channel) = play.channel.filter(|&channel| channel >= channels) {
        let there =
            if channels == 1 { "one, 0".to_owned() } else { format!("{channels}, 0 to {}", channels - 1) };
        let message = format!("{} has no channel {channel}; it has {there}", play.file.display());
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let played = if play.channel.is_some() { 1 } else { channels };
    let playback = Playback::open(&PlaybackOptions {
        device: play.device.clone(),
        rate: format.rate(),
        channels: u16::try_from(played).unwrap_or(u16::MAX),
        clock: clock(play.fast),
        reopen: play.reopen,
        ..PlaybackOptions::default()
    })?;
    out.note(&format!("Playing {} to {} ({format}).", play.file.display(), playback.device()?));
    let mut part = vec![0.0; format.samples_in(PART).max(1) as usize * channels];
    let mut picked = vec![0.0; part.len() / channels];
    let mut told = 0;
    loop {
        let read = reader.read(&mut part).map_err(|error| unreadable(&error))?;
        for note in &reader.notes()[told..] {
            out.note(&format!("Note: {}: {note}.", play.file.display()));
        }
        told = reader.notes().len();
        if read == 0 || interrupt::happened() {
            break;
        }
        let patience = END + play.reopen.unwrap_or_default();
        let whole = &part[..read * channels];
        match play.channel {
            Some(channel) => {
                pick(whole, channels, channel, &mut picked[..read]);
                playback.write(&picked[..read], Some(patience))?;
            }
            None => playback.write(whole, Some(patience))?,
        }
    }
    if interrupt::happened() {
        playback.clear()?;
    }
    let end = format.duration_of(playback.position()?.waiting) + END;
    let begun = std::time::Instant::now();
    loop {
        match playback.drain(Some(LOOK)) {
            Err(AudioError::Timeout { .. }) if begun.elapsed() < end => {
                if interrupt::happened() {
                    playback.clear()?;
                }
            }
            result => break result?,
        }
    }
    let position = playback.position()?;
    let device = playback.device()?;
    playback.close()?;
    while let Some(event) = playback.event(Some(LOOK))? {
        tell(&event, out);
    }
    let seconds = |samples: u64| samples as f64 / f64::from(format.rate());
    if out.is_json() {
        out.document(&json!({
            "file": play.file, "device": device, "rate": format.rate(), "channels": format.channels(),
            "seconds": seconds(position.heard), "dropped_seconds": seconds(position.dropped),
            "notes": reader.notes().iter().map(|note| noted(note.code(), &note.to_string())).collect::<Vec<_>>(),
        }))?;
    } else {
        out.note(&format!("Played {:.3} s.", seconds(position.heard)));
    }
    Ok(if interrupt::happened() { ExitCode::from(Code::Cancelled.exit_code()) } else { ExitCode::SUCCESS })
}

pub(super) fn meter(meter: &args::Meter, out: &mut Output) -> Result<ExitCode, Error> {
    interrupt::catch()?;
    // At a rate that leaves nothing out, so that peaks and what is clipped are those of the device.
    let listening = Listening::open(&meter.input, Format::WIRE.rate(), 1)?;
    let format = listening.capture.format();
    let mut levels = Meter::new(format);
    let internal =
        |error: greenroom_audio::resample::ResampleError| Error::new(Code::Internal, error.to_string());
    let mut speech = SpeechDetector::new(format.rate()).map_err(internal)?;
    let live = !out.is_json() && io::stdout().is_terminal();
    out.note(&format!("Listening to {}; Ctrl-C ends it.", listening.capture.device()?));
    let mut second = bar::Loudest::default();
    let ended = listening.each(out, &mut Vec::new(), |frame, _, out| {
        while speech.next(&mut { frame }).is_some() {}
        let mut samples = frame;
        while let Some(level) = levels.next(&mut samples) {
            let speaking = speech.is_speaking();
            if out.is_json() {
                out.line(&reading(&level, format, speaking))?;
            } else if live {
                out.print(&format!("\r{}", bar::live(&level, speaking)))?;
            } else if let Some(line) = second.add(&level, speaking, format) {
                out.print(&line)?;
            }
        }
        Ok(())
    });
    if live {
        out.print("\n")?;
    }
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// One reading as JSON; silence, which is no number of decibels, is null.
fn reading(level: &Level, format: Format, speaking: bool) -> Value {
    let finite = |dbfs: f32| dbfs.is_finite().then(|| (f64::from(dbfs) * 100.0).round() / 100.0);
    json!({
        "type": "level", "at_seconds": level.at as f64 / f64::from(format.rate()), "rms": finite(level.rms),
        "peak": finite(level.peak), "held": finite(level.held), "clipped": level.clipped, "speaking": speaking,
    })
}

/// A device that is listened to for some time.
struct Listening {
    capture: Capture,
    /// Samples of each channel, at most.
    most: Option<u64>,
}

impl Listening {
    fn open(input: &args::Input, rate: u32, channels: u16) -> Result<Self, Error> {
        let capture = Capture::open(&CaptureOptions {
            device: input.device.clone(),
            rate,
            channels,
            channel: input.channel,
            clock: clock(input.fast),
            reopen: input.reopen,
            ..CaptureOptions::default()
        })
        .map_err(|error| super::unreadable_argument(error.into()))?;
        let most = input.duration.map(|duration| capture.format().samples_in(duration));
        Ok(Self { capture, most })
    }

    /// Yields each frame's samples and the count per channel lost before them, until the time is
    /// over, the device ends or Ctrl-C is pressed.
    fn each(
        &self,
        out: &mut Output,
        notes: &mut Vec<Value>,
        mut take: impl FnMut(&[f32], u64, &mut Output) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut left = self.most.unwrap_or(u64::MAX);
        // When the next frame begins if nothing is missing before it.
        let mut next = None;
        while left > 0 && !interrupt::happened() {
            self.events(out, notes);
            let frame = match self.capture.read::<f32>(Some(LOOK)) {
                Err(AudioError::Timeout { .. }) => continue,
                Ok(None) => break,
                frame => frame?,
            };
            let Some(frame) = frame else { break };
            let channels = frame.format.channels();
            // Of what was lost, a part may be silence in the frame.
            let before = next.map_or(Duration::ZERO, |next| frame.time.saturating_sub(next));
            let missing = frame.lost.min(frame.format.samples_in(before)).min(left);
            next = Some(frame.time + frame.format.duration_of((frame.samples.len() / channels) as u64));
            left -= missing;
            let samples = ((frame.samples.len() / channels) as u64).min(left);
            left -= samples;
            take(&frame.samples[..samples as usize * channels], missing, out)?;
        }
        self.events(out, notes);
        Ok(())
    }

    /// Prints events of the stream, and keeps its notes.
    fn events(&self, out: &Output, notes: &mut Vec<Value>) {
        while let Ok(Some(event)) = self.capture.event(Some(Duration::ZERO)) {
            tell(&event, out);
            if let Event::Notice { note, message } = &event {
                notes.push(noted(note, message));
            }
        }
    }
}

/// Prints an event of a stream on standard error.
fn tell(event: &Event, out: &Output) {
    if let Some(told) = told(event) {
        out.note(&told);
    }
}

/// What happened to a stream, for people.
pub(super) fn told(event: &Event) -> Option<String> {
    Some(match event {
        // The command ends with it as an error, unless a `Reopened` follows.
        Event::Lost { device, why } => format!("Lost {device}: {why}"),
        Event::Reopened { device, after } => {
            format!("Reopened {device} after {:.1} s.", after.as_secs_f64())
        }
        Event::DeviceChanged { from, to } => format!("The default device is {to}; it was {from}."),
        Event::Notice { message, .. } => format!("Note: {message}."),
        Event::Gap { samples, .. } => format!("{samples} samples are missing."),
        _ => return None,
    })
}

const fn clock(fast: bool) -> Clock {
    if fast { Clock::Fast } else { Clock::RealTime }
}

/// What is odd about sound, as JSON.
fn noted(note: &str, message: &str) -> Value {
    json!({ "note": note, "message": message })
}

fn file(error: &WavError) -> Error {
    Error::new(Code::Io, error.to_string())
}

/// The error of a file that is named to be read.
fn unreadable(error: &WavError) -> Error {
    Error::new(Code::InvalidArgument, error.to_string())
}
