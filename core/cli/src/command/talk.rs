//! `talk`: a conversation aloud, with a microphone and a loudspeaker, and typed lines beside it.

mod echo;
mod screen;
mod sound;

use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use greenroom_engine::launch::AgentSpec;
use greenroom_engine::{AudioOptions, Driver as _, Session, StartOptions};
use greenroom_protocol::message::{Answer, Event, EventKind, Operation};
use greenroom_protocol::{Code, Error};

use self::echo::Echo;
use self::sound::{Levels, Sound};
use crate::args::Talk;
use crate::interrupt;
use crate::output::Output;
use crate::render::Renderer;
use crate::text;

/// How often there is a look at what happened, and the meters are drawn: about as often as they
/// change.
const LOOK: Duration = Duration::from_millis(33);
/// How long nothing must happen, once the user's device has ended, before the conversation is over.
const QUIET: Duration = Duration::from_secs(3);
/// Level from which speech counts as heard, in dBFS.
const LOUD: f32 = -45.0;
/// Events that are read at once.
const BATCH: usize = 256;

/// What happens beside the session's events.
enum News {
    Started(Result<Answer, Error>),
    Typed(String),
    Said(Result<Answer, Error>),
}

pub(super) fn talk(talk: &Talk, out: &mut Output) -> Result<ExitCode, Error> {
    interrupt::catch()?;
    let echo = Echo::between(&talk.devices)?;
    let session = start(talk)?;
    let (tell, news) = channel();
    let started = tell.clone();
    session.submit(Operation::Start, None, Box::new(move |answer| drop(started.send(News::Started(answer)))));
    let talked = ready(&news).and_then(|is_ready| {
        if is_ready { Conversation::new(&session, talk, echo, out)?.run(tell, &news) } else { Ok(()) }
    });
    end(&session)?;
    talked?;
    Ok(if interrupt::happened() { ExitCode::from(Code::Cancelled.exit_code()) } else { ExitCode::SUCCESS })
}

fn start(talk: &Talk) -> Result<Session, Error> {
    let dir = std::env::current_dir()
        .map_err(|error| Error::new(Code::Io, format!("can't read the current folder: {error}")))?;
    let agent = AgentSpec {
        entry: talk.file.clone(),
        interpreter: talk.python.clone().or_else(|| talk.node.clone()),
        interpreter_hint: super::start::host_runtime(),
        ..AgentSpec::new(dir)
    };
    let mut options = StartOptions::new(agent);
    options.start_timeout = talk.timeout;
    options.audio = Some(AudioOptions { recording: talk.recording.clone(), clock: sound::CLOCK });
    Session::start(options)
}

/// Waits until the session is ready. Returns false if Ctrl-C was pressed before.
fn ready(news: &Receiver<News>) -> Result<bool, Error> {
    while !interrupt::happened() {
        match news.recv_timeout(LOOK) {
            Ok(News::Started(started)) => return started.map(|_| true),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(false)
}

/// Ends the session, and waits until all of it is gone.
fn end(session: &Session) -> Result<(), Error> {
    let (tell, ended) = channel();
    session.close(Box::new(move || {
        // The waiter exists until this is called.
        let _ = tell.send(());
    }));
    ended.recv().map_err(|_| Error::new(Code::Internal, "the session did not end"))?;
    match session.snapshot().recording_error {
        Some(why) => Err(Error::new(Code::Io, format!("the recording is not whole: {why}"))),
        None => Ok(()),
    }
}

struct Conversation<'a> {
    session: &'a Session,
    out: &'a mut Output,
    sound: Sound,
    renderer: Renderer,
    /// Whether the meters are shown.
    is_live: bool,
    /// A line was typed since something was last put above the meters.
    after_enter: bool,
    last_activity: Instant,
}

impl<'a> Conversation<'a> {
    fn new(
        session: &'a Session,
        talk: &Talk,
        echo: Option<Echo>,
        out: &'a mut Output,
    ) -> Result<Self, Error> {
        let sound = Sound::open(&talk.devices, echo, session)?;
        let (input, output) = sound.devices()?;
        let echoes = if sound.controls_echo() {
            "Echo control is on."
        } else {
            "Echo control is off: where the microphone hears the loudspeaker, use headphones."
        };
        out.note(&format!(
            "Listening to {input}, playing to {output}. Speak, or type a line; Ctrl-C ends. {echoes}"
        ));
        let is_live = !out.is_json() && io::stdin().is_terminal() && io::stdout().is_terminal();
        let renderer = Renderer { full: talk.full };
        Ok(Self { session, out, sound, renderer, is_live, after_enter: false, last_activity: Instant::now() })
    }

    /// Goes on until Ctrl-C, until the session closes or a device fails, or until the user's device
    /// has ended and all is quiet.
    fn run(mut self, tell: Sender<News>, news: &Receiver<News>) -> Result<(), Error> {
        read_lines(tell.clone());
        if self.is_live {
            self.out.print(&self.meters())?;
        }
        let talked = self.carry_on(&tell, news);
        if self.is_live {
            self.out.print(screen::gone())?;
        }
        // What ended the devices explains more than what came of it.
        self.sound.close().and(talked)
    }

    fn carry_on(&mut self, tell: &Sender<News>, news: &Receiver<News>) -> Result<(), Error> {
        let mut place = 0;
        while !interrupt::happened() {
            let read = self.session.read_events(place, BATCH);
            place = read.next;
            for event in &read.events {
                self.event(event)?;
            }
            if let Some(error) = self.session.snapshot().closed {
                return Err(error);
            }
            self.devices()?;
            match news.recv_timeout(LOOK) {
                Ok(News::Typed(text)) => {
                    self.after_enter = true;
                    let tell = tell.clone();
                    let reply = Box::new(move |answer| drop(tell.send(News::Said(answer))));
                    self.session.submit(Operation::Say { text }, None, reply);
                }
                Ok(News::Said(Err(error))) => self.tell(&format!("error: {}", error.message))?,
                _ => {}
            }
            let is_quiet = self.last_activity.elapsed() >= QUIET;
            if self.sound.has_failed() || (self.sound.has_ended() && is_quiet) {
                break;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), Error> {
        if !matches!(event.kind, EventKind::Log { .. } | EventKind::Usage { .. }) {
            self.last_activity = Instant::now();
        }
        if self.out.is_json() {
            return self.out.line(event);
        }
        let text = self.renderer.events(std::slice::from_ref(event));
        if text.is_empty() { Ok(()) } else { self.show(&text) }
    }

    /// Prints a note between the lines of the conversation.
    fn tell(&mut self, text: &str) -> Result<(), Error> {
        if self.is_live {
            return self.show(&format!("  {}\n", text::clean(text)));
        }
        self.out.note(text);
        Ok(())
    }

    fn show(&mut self, text: &str) -> Result<(), Error> {
        if !self.is_live {
            return self.out.print(text);
        }
        let after_enter = std::mem::take(&mut self.after_enter);
        self.out.print(&screen::above(text, &self.meters(), after_enter))
    }

    /// Prints events of the devices and their levels.
    fn devices(&mut self) -> Result<(), Error> {
        for event in self.sound.events() {
            if let Some(told) = super::audio::told(&event) {
                self.tell(&told)?;
            }
        }
        let Levels { user, agent } = self.sound.levels();
        if user.rms.max(agent.rms) > LOUD {
            self.last_activity = Instant::now();
        }
        if self.is_live {
            self.out.print(&screen::redrawn(&self.meters()))?;
        }
        Ok(())
    }

    fn meters(&self) -> String {
        let Levels { user, agent } = self.sound.levels();
        screen::meters(&user, &agent)
    }
}

/// Reads what is typed, line by line, to the end of standard input.
fn read_lines(tell: Sender<News>) {
    // It ends with the process: a terminal's line cannot be waited for and given up.
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && tell.send(News::Typed(line)).is_err() {
                return;
            }
        }
    });
}
