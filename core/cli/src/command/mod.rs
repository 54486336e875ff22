//! What each subcommand does.

mod ask;
mod attach;
mod audio;
mod doctor;
mod end;
mod events;
mod list;
mod logs;
mod reach;
mod say;
mod start;
mod status;
mod talk;
mod token;

use std::process::ExitCode;

use clap::CommandFactory;
use greenroom_control::registry::{Folder, Found};
use greenroom_control::{Client, Registry, SessionName};
use greenroom_protocol::{Code, Error};

use crate::args::{Args, Command};
use crate::interrupt;
use crate::output::Output;

/// Runs the command and returns its exit code.
pub(crate) fn run(args: Args, out: &mut Output) -> Result<ExitCode, Error> {
    let name = &args.name;
    match args.command {
        Command::Start(start) => start::start(name, start, out),
        Command::Attach(attach) => attach::attach(name, attach, out),
        Command::Doctor(doctor) => doctor::doctor(doctor, out),
        Command::Token(token) => token::token(token, out),
        Command::Restart(restart) => start::restart(name, &restart, out),
        Command::Say(say) => say::say(name, say, out),
        Command::Talk(talk) => talk::talk(&talk, out),
        Command::End(end) => end::end(name, &end, out),
        Command::Status => status::status(name, out),
        Command::List(list) => list::list(&list, out),
        Command::History(history) => ask::history(name, &history, out),
        Command::Info(call) => ask::info(name, &call, out),
        Command::Usage(call) => ask::usage(name, &call, out),
        Command::Events(events) => events::events(name, &events, out),
        Command::Logs(logs) => logs::logs(name, &logs, out),
        Command::Devices => audio::list(out),
        Command::Record(record) => audio::record(&record, out),
        Command::Play(play) => audio::play(&play, out),
        Command::Meter(meter) => audio::meter(&meter, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "greenroom", &mut script);
            out.print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Daemon => daemon(),
    }
}

fn daemon() -> Result<ExitCode, Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    greenroom_control::daemon::run()?;
    Ok(ExitCode::SUCCESS)
}

/// The folder of the session, if it has ended by itself and left something to read.
fn ended(name: &SessionName) -> Result<Option<Folder>, Error> {
    let folder = Registry::open()?.folder(name);
    Ok(matches!(folder.find()?, Found::Ended(_)).then_some(folder))
}

/// Connects to the session. Ctrl-C from now on gives up what is asked of it.
fn connect(name: &SessionName) -> Result<Client, Error> {
    let client = Client::open(&Registry::open()?, name)?;
    interrupt::ends(client.interrupter()?)?;
    Ok(client)
}

/// An answer of another kind than what was asked for.
fn mismatch() -> Error {
    Error::new(Code::Internal, "the session answered with another operation's answer; please report it")
}

/// The error of a file that an argument names and that cannot be read: what is wrong is the
/// argument.
fn unreadable_argument(error: Error) -> Error {
    if error.code == Code::Io { Error { code: Code::InvalidArgument, ..error } } else { error }
}
