//! What can be said on the command line.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use greenroom_control::SessionName;
use greenroom_control::credentials::Secret;

const EXAMPLES: &str = "\
Examples:
  greenroom start agent.py               start the agent, and see its greeting
  greenroom say \"What's the weather?\"    one turn: what the agent says and does
  greenroom end                          end the session and the agent
  greenroom attach --room demo           the same conversation with an agent in a LiveKit room

Exit codes: 0 ok (silence too) · 1 the turn failed · 2 usage · 3 agent or session gone · 4 permission · 5 timeout · 130 interrupted";

/// Rehearse a LiveKit voice agent in the terminal: start it, talk to it in text, see what it does.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, about, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    /// Which session; several may run at once.
    #[arg(
        short,
        long,
        global = true,
        env = "GREENROOM_SESSION",
        default_value = "default",
        value_name = "NAME"
    )]
    pub name: SessionName,
    /// One JSON document on standard output; streams print one JSON object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Nothing on standard error but errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Start an agent and wait until it is ready; it goes on in the background.
    Start(Start),
    /// Join a LiveKit room and reach the agent in it; it goes on in the background.
    Attach(Attach),
    /// Say something to the agent and see what comes of it.
    Say(Say),
    /// Start an agent and talk with it, aloud and in typed lines, until Ctrl-C or the end of what it is to hear.
    Talk(Talk),
    /// End the session and its agent.
    #[command(visible_alias = "stop")]
    End(End),
    /// Tell how the session stands.
    Status,
    /// Show all sessions.
    List(List),
    /// Show the whole conversation.
    #[command(visible_aliases = ["chat-history", "transcript"])]
    History(History),
    /// Show what happened, one event a line.
    Events(Events),
    /// Show the agent's log.
    Logs(Logs),
    /// Tell about the agent: its instructions, its tools, its SDK.
    Info(Call),
    /// Tell what the agent's models have used so far.
    Usage(Call),
    /// End the session if it runs, and start it again as it was started.
    Restart(Restart),
    /// Show the microphones and loudspeakers.
    Devices,
    /// Record a microphone, or a virtual device, into a WAV file until Ctrl-C.
    Record(Record),
    /// Play a WAV file.
    Play(Play),
    /// Show how loud a microphone is and whether somebody speaks, until Ctrl-C.
    Meter(Meter),
    /// Make an access token for a room.
    Token(Token),
    /// Look step by step at whether a LiveKit server can be reached and used from here.
    Doctor(Doctor),
    /// Print a script that completes this command in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Hold a session. `start` starts it.
    #[command(hide = true)]
    Daemon,
}

/// `start`
#[derive(Debug, clap::Args)]
pub struct Start {
    /// The agent's file. Without one: agent.py, src/agent.py, main.ts, src/main.ts, src/main.js, and others of their kind.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The loopback port of the session; any free one without it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// How long the whole start may take, a sync of its project included, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// End the session when nothing was said to it or asked of it for so long; `0s` is never.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration_or_zero)]
    pub idle_timeout: Duration,
    /// Run a Python agent with this interpreter or virtual environment, instead of the one that is found.
    #[arg(long, value_name = "PATH", conflicts_with = "node")]
    pub python: Option<PathBuf>,
    /// Run a JavaScript agent with this runtime (a node, or bun, deno, tsx, ts-node), instead of the one that is found.
    #[arg(long, value_name = "PATH")]
    pub node: Option<PathBuf>,
    /// Do not sync a uv project first.
    #[arg(long)]
    pub no_sync: bool,
    /// Keep the agent's audio on, to speak to it with `say --audio`; without it the agent gets text alone.
    #[arg(long)]
    pub audio: bool,
    /// Record the session into this WAV file: the user left, the agent right.
    #[arg(long, value_name = "FILE", requires = "audio")]
    pub recording: Option<PathBuf>,
    /// Let the SDK record the session into `console-recordings`.
    #[arg(long)]
    pub record: bool,
    /// What the agent finds in place of a room.
    #[command(flatten)]
    pub stand_in: StandIn,
    /// Write the agent's log to this file, and keep it after the end.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Do not cut long outputs of tools.
    #[arg(long)]
    pub full: bool,
    /// Arguments for the interpreter, before the agent's file.
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// The caller, the room and the job that a Python agent finds where there is no room.
#[derive(Debug, clap::Args)]
pub struct StandIn {
    /// The caller's identity, for an agent in Python that reads it.
    #[arg(long, value_name = "IDENTITY", allow_hyphen_values = true)]
    pub participant_identity: Option<String>,
    /// The caller's name.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub participant_name: Option<String>,
    /// The caller's metadata.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub participant_metadata: Option<String>,
    /// An attribute of the caller's; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub participant_attribute: Vec<String>,
    /// The room's name.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub room_name: Option<String>,
    /// The room's metadata.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub room_metadata: Option<String>,
    /// The metadata of the job's dispatch.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub job_metadata: Option<String>,
}

/// `attach`
#[derive(Debug, clap::Args)]
pub struct Attach {
    /// The room; the one that the token names, where there is one.
    #[arg(long, short, value_name = "ROOM", allow_hyphen_values = true)]
    pub room: Option<String>,
    /// The agent's identity in the room; its only agent without it.
    #[arg(long, value_name = "IDENTITY", allow_hyphen_values = true)]
    pub agent: Option<String>,
    /// An access token that grants canManageAgentSession. Better in LIVEKIT_TOKEN, since every user of this machine sees
    /// arguments. Without one, one is made with the key.
    #[arg(
        long,
        env = "LIVEKIT_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        allow_hyphen_values = true
    )]
    pub token: Option<Secret>,
    /// Under which identity to join, with a suffix of its own.
    #[arg(
        long,
        value_name = "IDENTITY",
        default_value = "greenroom",
        conflicts_with = "token",
        allow_hyphen_values = true
    )]
    pub identity: String,
    /// Where the server is, and what signs.
    #[command(flatten)]
    pub signing: Signing,
    /// How the server is reached.
    #[command(flatten)]
    pub reach: Reach,
    /// How long it may take to join, to wait for the agent and to have its first answer, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// Leave when nothing was said or asked for so long; `0s` is never.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration_or_zero)]
    pub idle_timeout: Duration,
    /// Do not cut long outputs of tools.
    #[arg(long)]
    pub full: bool,
}

/// `token`
#[derive(Debug, clap::Args)]
pub struct Token {
    /// The room.
    #[arg(long, short, value_name = "ROOM", default_value = "general", allow_hyphen_values = true)]
    pub room: String,
    /// Who joins; `user` and a suffix of its own without it. Two of one identity put each other out.
    #[arg(long, short, value_name = "IDENTITY", allow_hyphen_values = true)]
    pub identity: Option<String>,
    /// What the participant is called.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub display_name: Option<String>,
    /// How long the token is valid, such as 30s, 10m or 6h.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub ttl: Duration,
    /// A grant beside those to join, publish, subscribe and send data, or one to take away, such as canManageAgentSession,
    /// roomAdmin, hidden, canPublish=false or canPublishSources=microphone; may be given several times.
    #[arg(long = "grant", short, value_name = "GRANT")]
    pub grants: Vec<String>,
    /// What the participant is to the server, such as agent.
    #[arg(long, value_name = "KIND", allow_hyphen_values = true)]
    pub kind: Option<String>,
    /// What is said about the participant.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub metadata: Option<String>,
    /// The same by keys; may be given several times.
    #[arg(long = "attribute", value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub attributes: Vec<String>,
    /// An agent, by the name of its worker, that the server is to send into the room when it is made; may be given several times.
    #[arg(long, value_name = "AGENT", allow_hyphen_values = true)]
    pub dispatch: Vec<String>,
    /// What the job of that agent is told.
    #[arg(long, value_name = "TEXT", requires = "dispatch", allow_hyphen_values = true)]
    pub dispatch_metadata: Option<String>,
    /// Where the server is, and what signs.
    #[command(flatten)]
    pub signing: Signing,
}

/// `doctor`
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// The room to join for it, hidden from those in it.
    #[arg(long, short, value_name = "ROOM", default_value = "greenroom-doctor", allow_hyphen_values = true)]
    pub room: String,
    /// The access token to join with. Better in LIVEKIT_TOKEN, since every user of this machine sees arguments. Without one,
    /// one is made with the key.
    #[arg(
        long,
        env = "LIVEKIT_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        allow_hyphen_values = true
    )]
    pub token: Option<Secret>,
    /// How long each step may take, such as 5s.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// Where the server is, and what signs.
    #[command(flatten)]
    pub signing: Signing,
    /// How the server is reached.
    #[command(flatten)]
    pub reach: Reach,
}

/// How a server is reached, where that is not as the environment has it.
#[derive(Debug, clap::Args)]
pub struct Reach {
    /// Trust the authorities in this file (PEM) instead of the system's; SSL_CERT_FILE names a file of the system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Reach the server through this HTTP proxy, such as `http://proxy.example.com:3128`; "" is none. Else HTTPS_PROXY, HTTP_PROXY
    /// or ALL_PROXY names it, and NO_PROXY what is excepted. Media by UDP goes through none.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<Secret>,
}

/// Where the server is, and what signs tokens for it. What is not given is looked for in the environment, `.env.local` and `.env`.
#[derive(Debug, clap::Args)]
pub struct Signing {
    /// The LiveKit server, as clients reach it; else LIVEKIT_PUBLIC_URL or LIVEKIT_URL.
    #[arg(long, value_name = "URL")]
    pub url: Option<Secret>,
    /// Take the url also if it is one that only containers know.
    #[arg(long)]
    pub allow_internal_url: bool,
    /// The key that signs; else LIVEKIT_API_KEY.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub api_key: Option<Secret>,
    /// Its secret; else, and better, LIVEKIT_API_SECRET, since every user of this machine sees arguments.
    #[arg(long, value_name = "SECRET", allow_hyphen_values = true)]
    pub api_secret: Option<Secret>,
    /// Who asks, for the audit log; `greenroom` without it.
    #[arg(long, value_name = "WHO", allow_hyphen_values = true)]
    pub requested_by: Option<String>,
}

/// `say`
#[derive(Debug, clap::Args)]
pub struct Say {
    /// What the user says, also what begins with a hyphen, such as -5 or "- milk"; without it, it is read from standard input.
    #[arg(value_name = "TEXT", value_parser = unmarked)]
    pub text: Vec<String>,
    /// Say what is in this WAV file, aloud, in a session that was started with --audio. TEXT is shown as what it says.
    /// `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// Say only this channel of the file, counted from 0. Without it, those that are heard are mixed.
    #[arg(long, value_name = "NUMBER", requires = "audio")]
    pub channel: Option<usize>,
    /// Do not wait for the turn under way: speak over the agent once it has been heard for so long, such as 500ms.
    #[arg(long, value_name = "DURATION", requires = "audio", value_parser = duration_or_zero)]
    pub interrupt_after: Option<Duration>,
    /// Write what the agent says, as it is heard, into this WAV file.
    #[arg(long, value_name = "FILE")]
    pub reply: Option<PathBuf>,
    /// How long the turn may take, those before it included, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub timeout: Duration,
    /// Do not cut long outputs of tools.
    #[arg(long)]
    pub full: bool,
}

/// `talk`
#[derive(Debug, clap::Args)]
pub struct Talk {
    /// The agent's file. Without one the usual names are tried, as for `start`.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Through which devices.
    #[command(flatten)]
    pub devices: Devices,
    /// Record the session into this WAV file: the user left, the agent right.
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// How long the whole start may take, a sync of its project included, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// Run a Python agent with this interpreter or virtual environment, instead of the one that is found.
    #[arg(long, value_name = "PATH", conflicts_with = "node")]
    pub python: Option<PathBuf>,
    /// Run a JavaScript agent with this runtime (a node, or bun, deno, tsx, ts-node), instead of the one that is found.
    #[arg(long, value_name = "PATH")]
    pub node: Option<PathBuf>,
    /// Do not cut long outputs of tools.
    #[arg(long)]
    pub full: bool,
}

/// The devices of a conversation.
#[derive(Debug, clap::Args)]
pub struct Devices {
    /// What hears the user: an id, a name or a part of it, a number from the list of inputs, or a virtual device such as file:in.wav.
    #[arg(long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub input: Option<String>,
    /// Hear only this channel of the input, counted from 0. Without it, those that are heard are mixed.
    #[arg(long, value_name = "NUMBER")]
    pub channel: Option<u16>,
    /// What plays the agent: the same of an output, or a virtual device such as null or file:out.wav.
    #[arg(long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub output: Option<String>,
    /// Look for a device that is lost for so long, such as 30s, and go on with it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub reopen: Option<Duration>,
    /// Take what is played out of what is heard, so that loudspeakers can be used: `auto` does where both devices are real.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub echo_control: EchoChoice,
}

/// When echoes are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EchoChoice {
    /// Where both devices are real.
    Auto,
    /// Always; virtual devices are an error.
    On,
    /// Never.
    Off,
}

/// `end`
#[derive(Debug, clap::Args)]
pub struct End {
    /// Show the whole conversation at the end.
    #[arg(long, visible_alias = "chat-history")]
    pub history: bool,
    /// Show the last lines of the agent's log.
    #[arg(long)]
    pub logs: bool,
}

/// `list`
#[derive(Debug, clap::Args)]
pub struct List {
    /// Also those that have ended by themselves.
    #[arg(short, long)]
    pub all: bool,
}

/// `history`
#[derive(Debug, clap::Args)]
pub struct History {
    /// How long the agent may take to tell it.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Do not cut long outputs of tools.
    #[arg(long)]
    pub full: bool,
}

/// `events`
#[derive(Debug, clap::Args)]
pub struct Events {
    /// Go on with those that come, until Ctrl-C or the session's end.
    #[arg(short, long)]
    pub follow: bool,
    /// The last so many; 0 is all that are kept.
    #[arg(long, visible_alias = "lines", short = 'l', value_name = "COUNT", default_value_t = 50)]
    pub last: u64,
    /// From this number on, instead of the last.
    #[arg(long, value_name = "SEQ", conflicts_with = "last")]
    pub from: Option<u64>,
    /// Do not cut long texts.
    #[arg(long)]
    pub full: bool,
}

/// `logs`
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Go on with what is written, until Ctrl-C or the session's end.
    #[arg(short, long)]
    pub follow: bool,
    /// The last so many lines; 0 is all.
    #[arg(long, visible_alias = "last", short = 'l', value_name = "COUNT", default_value_t = 50)]
    pub lines: usize,
    /// Only tell where the log is.
    #[arg(long)]
    pub path: bool,
}

/// A call without arguments of its own.
#[derive(Debug, clap::Args)]
pub struct Call {
    /// How long the agent may take to answer.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
}

/// What is listened to.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// An id, a name or a part of it, a number from the list of inputs, or a virtual device such as tone:440, file:in.wav or noise:-40.
    #[arg(short, long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// Take only this channel of it, counted from 0. Without it, those that are heard are mixed where one is wanted.
    #[arg(long, value_name = "NUMBER")]
    pub channel: Option<u16>,
    /// End after so long, such as 10s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Look for a device that is lost for so long, such as 30s, and go on with it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub reopen: Option<Duration>,
    /// Do not wait for the time to pass that a virtual device stands for.
    #[arg(long)]
    pub fast: bool,
}

/// `record`
#[derive(Debug, clap::Args)]
pub struct Record {
    /// The file to write; one that is there is written over.
    #[arg(value_name = "OUT.WAV")]
    pub file: PathBuf,
    /// What is listened to.
    #[command(flatten)]
    pub input: Input,
    /// The rate of the file, in Hz.
    #[arg(long, value_name = "HZ", default_value_t = 48_000)]
    pub rate: u32,
    /// The channels of the file.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub channels: u16,
}

/// `play`
#[derive(Debug, clap::Args)]
pub struct Play {
    /// The file to play; `-` is standard input.
    #[arg(value_name = "IN.WAV")]
    pub file: PathBuf,
    /// Play only this channel of it, counted from 0.
    #[arg(long, value_name = "NUMBER")]
    pub channel: Option<usize>,
    /// An id, a name or a part of it, a number from the list of outputs, or a virtual device such as null or file:out.wav.
    #[arg(short, long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// Look for a device that is lost for so long, such as 30s, and go on with it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub reopen: Option<Duration>,
    /// Do not wait for the time to pass that a virtual device stands for.
    #[arg(long)]
    pub fast: bool,
}

/// `meter`
#[derive(Debug, clap::Args)]
pub struct Meter {
    /// What is listened to.
    #[command(flatten)]
    pub input: Input,
}

/// `restart`
#[derive(Debug, clap::Args)]
pub struct Restart {
    /// Do not cut long outputs of tools.
    #[arg(long)]
    pub full: bool,
}

/// Begins an argument that is text to say, whatever it looks like.
const TEXT_MARK: char = '\u{1}';

/// Marks the arguments of `say` that begin with a hyphen and can be no flag: `-5`, `- milk`, `-milk`. Clap's own way, `allow_hyphen_values`,
/// would take each flag after the first word for text too. What may be a flag with a typing error is left to clap, which says so.
pub(crate) fn with_text_marked(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let root = Args::command();
    let known = |subcommand: Option<&clap::Command>, is_it: &dyn Fn(&clap::Arg) -> bool| {
        let of_subcommand = subcommand.into_iter().flat_map(clap::Command::get_arguments);
        let found = root.get_arguments().chain(of_subcommand).find(|arg| !arg.is_positional() && is_it(arg));
        found.map(|arg| arg.get_action().takes_values())
    };
    let mut say = None;
    let mut is_value = true;
    let mut is_over = false;
    let mark = |arg: OsString| {
        let Some(text) = arg.to_str().filter(|_| !is_over && !std::mem::take(&mut is_value)) else {
            return arg;
        };
        if text == "--" {
            is_over = true;
        } else if say.is_some() && (text.starts_with(TEXT_MARK) || text.contains(char::is_whitespace)) {
            return format!("{TEXT_MARK}{text}").into();
        } else if let Some(long) = text.strip_prefix("--") {
            let has = |arg: &clap::Arg| arg.get_long() == Some(long);
            // With = the value is part of it.
            is_value = known(say, &has) == Some(true);
        } else if let Some(shorts) = text.strip_prefix('-').filter(|shorts| !shorts.is_empty()) {
            let mut each = shorts.chars();
            while let Some(short) = each.next() {
                match known(say, &|arg| arg.get_short() == Some(short)) {
                    Some(true) => {
                        is_value = each.as_str().is_empty();
                        break;
                    }
                    Some(false) => {}
                    // Clap's own.
                    None if matches!(short, 'h' | 'V') => {}
                    None if say.is_some() && (shorts.len() > 1 || !short.is_ascii_alphabetic()) => {
                        return format!("{TEXT_MARK}{text}").into();
                    }
                    None => break,
                }
            }
        } else if say.is_none() {
            say = root.find_subcommand(text);
            is_over = text != "say";
        }
        arg
    };
    args.into_iter().map(mark).collect()
}

/// The text that was marked, or that needed no mark.
#[allow(clippy::unnecessary_wraps, reason = "as clap takes it")]
fn unmarked(text: &str) -> Result<String, String> {
    Ok(text.strip_prefix(TEXT_MARK).unwrap_or(text).to_owned())
}

/// Adds the commands that a misspelt one may mean, where clap's own measure finds none: for it, `sya` is too far from `say`.
pub(crate) fn suggest(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand
        && error.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand)
    {
        let command = Args::command();
        let known = command
            .get_subcommands()
            .filter(|known| !known.is_hide_set())
            .flat_map(|known| known.get_name_and_visible_aliases());
        let near: Vec<String> = known
            .filter(|known| strsim::damerau_levenshtein(known, given) <= 1 + given.len() / 5)
            .map(str::to_owned)
            .collect();
        if !near.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
        }
    }
    error
}

/// The first line of a usage error that would quote an argument which may be a secret; `None` where clap's own line quotes none.
pub(crate) fn without_secret(error: &clap::Error, args: &[OsString]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let given = text(ContextKind::InvalidArg).filter(|given| !given.starts_with('-'))?;
            let mut places = (1..).zip(args.iter().skip(1)).filter(|(_, arg)| *arg == given);
            let which = match (places.next(), places.next()) {
                (Some((number, _)), None) => format!("argument {number} after `greenroom`"),
                _ => "an argument".to_owned(),
            };
            Some(format!("{which} is one too many (not shown, it may be a secret)"))
        }
        ErrorKind::InvalidSubcommand if error.get(ContextKind::SuggestedSubcommand).is_none() => {
            text(ContextKind::InvalidSubcommand).filter(|given| !is_plain_word(given))?;
            Some("unrecognized subcommand (not shown, it may be a secret)".to_owned())
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let option = text(ContextKind::InvalidArg)?;
            let given = text(ContextKind::InvalidValue).filter(|given| !given.is_empty())?;
            let expected = match (error.get(ContextKind::ValidValue), error.source()) {
                (Some(ContextValue::Strings(values)), _) => format!("it is one of {}", values.join(", ")),
                // clap's own words for a number begin with it.
                (_, Some(reason)) => match reason.to_string() {
                    reason if reason.starts_with(given) => format!("it{}", &reason[given.len()..]),
                    reason => reason,
                },
                _ => "see `--help`".to_owned(),
            };
            Some(format!("'{option}' does not take that value (not shown, it may be a secret): {expected}"))
        }
        ErrorKind::TooManyValues => {
            let option = text(ContextKind::InvalidArg)?;
            Some(format!("a value too many for '{option}' (not shown, it may be a secret)"))
        }
        _ => None,
    }
}

/// Whether text looks like a command's name, and not like a key.
fn is_plain_word(text: &str) -> bool {
    text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The longest duration that is taken: clocks can still add it to now.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn duration(text: &str) -> Result<Duration, String> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err("it has to be more than nothing, such as 90s".to_owned()),
        duration => Ok(duration),
    }
}

fn duration_or_zero(text: &str) -> Result<Duration, String> {
    // humantime's words would quote the value.
    let duration = humantime::parse_duration(text)
        .map_err(|_| "it is a duration such as 500ms, 90s, 2m or 1h30m, in digits and a unit".to_owned())?;
    if duration > LONGEST {
        return Err("it is more than a year".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, Command, with_text_marked};

    fn said(args: &[&str]) -> Option<String> {
        let args = with_text_marked(["greenroom"].iter().chain(args).map(Into::into));
        match Args::try_parse_from(args).ok()?.command {
            Command::Say(say) => Some(say.text.join(" ")),
            _ => None,
        }
    }

    #[test]
    fn text_with_a_hyphen_is_said() {
        for (args, text) in [
            (["say", "-5"].as_slice(), "-5"),
            (&["say", "-5", "--json"], "-5"),
            (&["say", "--json", "-5.2"], "-5.2"),
            (&["say", "- milk"], "- milk"),
            (&["say", "--timeout", "5s", "- milk", "-q"], "- milk"),
            (&["say", "hello", "-5"], "hello -5"),
            (&["say", "hello", "-5", "-n", "other"], "hello -5"),
            (&["-n", "other", "say", "-5"], "-5"),
            (&["say", "-milk"], "-milk"),
            (&["say", "-"], "-"),
            (&["say", "--", "--json", "-x"], "--json -x"),
            (&["say", "--json is a flag"], "--json is a flag"),
            (&["say", "-n is a flag too"], "-n is a flag too"),
            (&["say", "—", "--- hm"], "— --- hm"),
            (&["say", "\u{1}x"], "\u{1}x"),
        ] {
            assert_eq!(said(args).as_deref(), Some(text), "{args:?}");
        }
    }

    #[test]
    fn flag_with_a_typing_error_is_refused() {
        for args in [["say", "hi", "--tiemout"], ["say", "hi", "-x"], ["say", "--jsn", "hi"]] {
            assert_eq!(said(&args), None, "{args:?}");
        }
        assert_eq!(said(&["-n", "say", "status"]), None);
    }
}
