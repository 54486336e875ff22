//! `say`

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use greenroom_control::SessionName;
use greenroom_engine::voice;
use greenroom_protocol::message::{Answer, Operation, SpokenTurn};
use greenroom_protocol::voice::Speech;
use greenroom_protocol::{Code, Error, Limits};

use crate::args::Say;
use crate::output::Output;
use crate::render::Renderer;

/// What stands for standard input where a file is named.
const STANDARD_INPUT: &str = "-";

pub(super) fn say(name: &SessionName, say: Say, out: &mut Output) -> Result<ExitCode, Error> {
    let operation = match &say.audio {
        Some(file) => Operation::SayAudio(SpokenTurn {
            audio: spoken(file, say.channel, out)?,
            text: say.text.join(" "),
            interrupt_after_ms: say.interrupt_after.map(|after| after.as_secs_f64() * 1e3),
            live: None,
        }),
        None => Operation::Say { text: text(&say)? },
    };
    let mut client = super::connect(name)?;
    let Answer::Turn(mut turn) = client.call(operation, Some(say.timeout))? else {
        return Err(super::mismatch());
    };
    // A document is for reading: what was heard is in the file.
    let audio = turn.voice.as_mut().and_then(|voice| voice.audio.take());
    if let Some(file) = &say.reply {
        let audio = audio.ok_or_else(|| nothing_heard(turn.voice.is_some()))?;
        voice::write_wav(file, &audio)?;
    }
    if out.is_json() {
        out.document(&turn)?;
    } else {
        out.print(&Renderer { full: say.full }.turn(&turn))?;
    }
    Ok(if turn.error.is_some() { ExitCode::from(Code::AgentError.exit_code()) } else { ExitCode::SUCCESS })
}

/// Reads the speech of a file; notes about the file go to standard error.
fn spoken(file: &Path, channel: Option<usize>, out: &Output) -> Result<Speech, Error> {
    let read = if file == Path::new(STANDARD_INPUT) {
        voice::speech_from_pipe("standard input", std::io::stdin().lock(), channel)
    } else {
        voice::speech_from_wav(file, channel)
    };
    let sound = read.map_err(super::unreadable_argument)?;
    for note in &sound.notes {
        out.note(&format!("Note: {}: {note}.", file.display()));
    }
    Ok(sound.speech)
}

fn nothing_heard(has_audio: bool) -> Error {
    let why = if has_audio { "the agent said nothing" } else { "the session was started without --audio" };
    Error::new(Code::AgentError, format!("there is no speech to write into the file after --reply: {why}"))
}

fn text(say: &Say) -> Result<String, Error> {
    let text = if say.text.is_empty() { from_stdin()? } else { say.text.join(" ") };
    if text.trim().is_empty() {
        return Err(Error::new(Code::InvalidArgument, "the text to say is empty; pass at least one word"));
    }
    let most = Limits::default().sent_message;
    if text.len() > most {
        let message =
            format!("the text to say is {} bytes long; the agent's SDK takes at most {most}", text.len());
        return Err(Error::new(Code::TooLarge, message));
    }
    Ok(text)
}

fn from_stdin() -> Result<String, Error> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let message =
            "there is no text to say; pass it as an argument or on standard input: greenroom say \"Hello\"";
        return Err(Error::new(Code::InvalidArgument, message));
    }
    // One byte over the limit shows that it is too much.
    let most = Limits::default().sent_message as u64 + 1;
    let mut bytes = Vec::new();
    let read = stdin.lock().take(most).read_to_end(&mut bytes);
    read.map_err(|error| Error::new(Code::Io, format!("standard input cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(
            Code::InvalidArgument,
            format!("the text on standard input is not UTF-8 (from byte {at} on); convert it first"),
        )
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
