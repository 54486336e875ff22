//! Command line arguments.

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
    /// The session's name; several sessions may run at once.
    #[arg(
        short,
        long,
        global = true,
        env = "GREENROOM_SESSION",
        default_value = "default",
        value_name = "NAME"
    )]
    pub name: SessionName,
    /// Print one JSON document on standard output; streams print one JSON object per line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors on standard error.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Start an agent and wait until it is ready; it keeps running in the background.
    Start(Start),
    /// Join a LiveKit room and connect to its agent; the session keeps running in the background.
    Attach(Attach),
    /// Say something to the agent and show its turn.
    Say(Say),
    /// Start an agent and talk with it, by voice and typed lines, until Ctrl-C or the end of the
    /// input.
    Talk(Talk),
    /// End the session and its agent.
    #[command(visible_alias = "stop")]
    End(End),
    /// Show the session's state.
    Status,
    /// Show all sessions.
    List(List),
    /// Show the whole conversation.
    #[command(visible_aliases = ["chat-history", "transcript"])]
    History(History),
    /// Show the session's events, one per line.
    Events(Events),
    /// Show the agent's log.
    Logs(Logs),
    /// Show the agent's instructions, tools and SDK.
    Info(Call),
    /// Show the usage of the agent's models so far.
    Usage(Call),
    /// End the session if it runs, and start it again as it was started.
    Restart(Restart),
    /// Show the microphones and loudspeakers.
    Devices,
    /// Record a microphone, or a virtual device, into a WAV file until Ctrl-C.
    Record(Record),
    /// Play a WAV file.
    Play(Play),
    /// Show a microphone's level and speech activity, until Ctrl-C.
    Meter(Meter),
    /// Make an access token for a room.
    Token(Token),
    /// Check step by step whether a LiveKit server can be reached and used from here.
    Doctor(Doctor),
    /// Print a shell completion script.
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
    /// The agent's file. Default: agent.py, src/agent.py, main.ts, src/main.ts, src/main.js and
    /// similar.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The session's loopback port; any free one by default.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Deadline of the whole start, including `uv sync`, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// End the session after this long without a call; `0s` is never.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration_or_zero)]
    pub idle_timeout: Duration,
    /// Run a Python agent with this interpreter or virtual environment.
    #[arg(long, value_name = "PATH", conflicts_with = "node")]
    pub python: Option<PathBuf>,
    /// Run a JavaScript agent with this runtime: node, bun, deno, tsx or ts-node.
    #[arg(long, value_name = "PATH")]
    pub node: Option<PathBuf>,
    /// Do not sync a uv project first.
    #[arg(long)]
    pub no_sync: bool,
    /// Keep the agent's audio enabled, for `say --audio`; without it the session is text only.
    #[arg(long)]
    pub audio: bool,
    /// Record the session into this WAV file: user left, agent right.
    #[arg(long, value_name = "FILE", requires = "audio")]
    pub recording: Option<PathBuf>,
    /// Have the SDK record the session into `console-recordings`.
    #[arg(long)]
    pub record: bool,
    /// Stands in for a room.
    #[command(flatten)]
    pub stand_in: StandIn,
    /// Write the agent's log to this file and keep it.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Don't shorten long tool outputs.
    #[arg(long)]
    pub full: bool,
    /// Arguments for the interpreter, before the agent's file.
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// The caller, room and job that a Python agent sees without a room.
#[derive(Debug, clap::Args)]
pub struct StandIn {
    /// The caller's identity, for Python agents.
    #[arg(long, value_name = "IDENTITY", allow_hyphen_values = true)]
    pub participant_identity: Option<String>,
    /// The caller's name.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub participant_name: Option<String>,
    /// The caller's metadata.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub participant_metadata: Option<String>,
    /// An attribute of the caller; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub participant_attribute: Vec<String>,
    /// The room's name.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub room_name: Option<String>,
    /// The room's metadata.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub room_metadata: Option<String>,
    /// Metadata of the job's dispatch.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub job_metadata: Option<String>,
}

/// `attach`
#[derive(Debug, clap::Args)]
pub struct Attach {
    /// The room; by default the one in the token.
    #[arg(long, short, value_name = "ROOM", allow_hyphen_values = true)]
    pub room: Option<String>,
    /// The agent's identity in the room; needed if the room has several agents.
    #[arg(long, value_name = "IDENTITY", allow_hyphen_values = true)]
    pub agent: Option<String>,
    /// An access token that grants canManageAgentSession. Prefer LIVEKIT_TOKEN: every user of this
    /// machine can see arguments. Without a token, one is made with the key.
    #[arg(
        long,
        env = "LIVEKIT_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        allow_hyphen_values = true
    )]
    pub token: Option<Secret>,
    /// Identity to join with; a unique suffix is added.
    #[arg(
        long,
        value_name = "IDENTITY",
        default_value = "greenroom",
        conflicts_with = "token",
        allow_hyphen_values = true
    )]
    pub identity: String,
    /// The server and the signing key.
    #[command(flatten)]
    pub signing: Signing,
    /// Proxy and certificate authorities.
    #[command(flatten)]
    pub reach: Reach,
    /// Deadline for joining, finding the agent and its first answer, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// Leave after this long without a call; `0s` is never.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration_or_zero)]
    pub idle_timeout: Duration,
    /// Don't shorten long tool outputs.
    #[arg(long)]
    pub full: bool,
}

/// `token`
#[derive(Debug, clap::Args)]
pub struct Token {
    /// The room.
    #[arg(long, short, value_name = "ROOM", default_value = "general", allow_hyphen_values = true)]
    pub room: String,
    /// The participant's identity; without it `user` with a unique suffix. A second participant
    /// with the same identity disconnects the first.
    #[arg(long, short, value_name = "IDENTITY", allow_hyphen_values = true)]
    pub identity: Option<String>,
    /// The participant's display name.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub display_name: Option<String>,
    /// How long the token is valid, such as 30s, 10m or 6h.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub ttl: Duration,
    /// Adds a grant to the defaults (join, publish, subscribe, send data), or removes one, such as
    /// canManageAgentSession, roomAdmin, hidden, canPublish=false or canPublishSources=microphone;
    /// may be repeated.
    #[arg(long = "grant", short, value_name = "GRANT")]
    pub grants: Vec<String>,
    /// The participant's kind, such as agent.
    #[arg(long, value_name = "KIND", allow_hyphen_values = true)]
    pub kind: Option<String>,
    /// The participant's metadata.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub metadata: Option<String>,
    /// An attribute of the participant; may be repeated.
    #[arg(long = "attribute", value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub attributes: Vec<String>,
    /// Name of an agent worker that the server dispatches to the room when the room is created; may
    /// be repeated.
    #[arg(long, value_name = "AGENT", allow_hyphen_values = true)]
    pub dispatch: Vec<String>,
    /// Metadata for the job of that agent.
    #[arg(long, value_name = "TEXT", requires = "dispatch", allow_hyphen_values = true)]
    pub dispatch_metadata: Option<String>,
    /// The server and the signing key.
    #[command(flatten)]
    pub signing: Signing,
}

/// `doctor`
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// The room to join for the check, as a hidden participant.
    #[arg(long, short, value_name = "ROOM", default_value = "greenroom-doctor", allow_hyphen_values = true)]
    pub room: String,
    /// The access token to join with. Prefer LIVEKIT_TOKEN: every user of this machine can see
    /// arguments. Without one, one is made with the key.
    #[arg(
        long,
        env = "LIVEKIT_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        allow_hyphen_values = true
    )]
    pub token: Option<Secret>,
    /// Deadline of each step, such as 5s.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// The server and the signing key.
    #[command(flatten)]
    pub signing: Signing,
    /// Proxy and certificate authorities.
    #[command(flatten)]
    pub reach: Reach,
}

/// Overrides for how a server is reached.
#[derive(Debug, clap::Args)]
pub struct Reach {
    /// Trust the authorities in this file (PEM) instead of the system's; SSL_CERT_FILE names a file
    /// of the system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Reach the server through this HTTP proxy, such as `http://proxy.example.com:3128`; ""
    /// disables proxies. Default: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, with the exceptions of
    /// NO_PROXY. UDP media uses no proxy.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<Secret>,
}

/// The server and the key that signs its tokens. Missing values are read from the environment,
/// `.env.local` and `.env`.
#[derive(Debug, clap::Args)]
pub struct Signing {
    /// The LiveKit server's url for clients; default: LIVEKIT_PUBLIC_URL or LIVEKIT_URL.
    #[arg(long, value_name = "URL")]
    pub url: Option<Secret>,
    /// Accept a url that only containers can resolve.
    #[arg(long)]
    pub allow_internal_url: bool,
    /// The API key that signs; default: LIVEKIT_API_KEY.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub api_key: Option<Secret>,
    /// The API secret. Prefer LIVEKIT_API_SECRET: every user of this machine can see arguments.
    #[arg(long, value_name = "SECRET", allow_hyphen_values = true)]
    pub api_secret: Option<Secret>,
    /// Name of the requester, for the audit log; `greenroom` without it.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub requested_by: Option<String>,
}

/// `say`
#[derive(Debug, clap::Args)]
pub struct Say {
    /// The user's text, which may begin with a hyphen, such as -5 or "- milk"; without it, standard
    /// input is read.
    #[arg(value_name = "TEXT", value_parser = unmarked)]
    pub text: Vec<String>,
    /// Speak this WAV file in a session started with --audio. TEXT is shown as its transcript.
    /// `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// Speak only this channel of the file, counted from 0. Without it, all audible channels are
    /// mixed.
    #[arg(long, value_name = "NUMBER", requires = "audio")]
    pub channel: Option<usize>,
    /// Don't wait for the current turn: interrupt the agent after this much of its speech, such as
    /// 500ms.
    #[arg(long, value_name = "DURATION", requires = "audio", value_parser = duration_or_zero)]
    pub interrupt_after: Option<Duration>,
    /// Write the agent's speech, as heard, into this WAV file.
    #[arg(long, value_name = "FILE")]
    pub reply: Option<PathBuf>,
    /// Deadline of the turn, including queued turns before it, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub timeout: Duration,
    /// Don't shorten long tool outputs.
    #[arg(long)]
    pub full: bool,
}

/// `talk`
#[derive(Debug, clap::Args)]
pub struct Talk {
    /// The agent's file. Without one the usual names are tried, as for `start`.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The devices.
    #[command(flatten)]
    pub devices: Devices,
    /// Record the session into this WAV file: user left, agent right.
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Deadline of the whole start, including `uv sync`, such as 90s or 2m.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// Run a Python agent with this interpreter or virtual environment.
    #[arg(long, value_name = "PATH", conflicts_with = "node")]
    pub python: Option<PathBuf>,
    /// Run a JavaScript agent with this runtime: node, bun, deno, tsx or ts-node.
    #[arg(long, value_name = "PATH")]
    pub node: Option<PathBuf>,
    /// Don't shorten long tool outputs.
    #[arg(long)]
    pub full: bool,
}

/// The devices of a conversation.
#[derive(Debug, clap::Args)]
pub struct Devices {
    /// The microphone: an id, a name or a part of it, a number from the list of inputs, or a
    /// virtual device such as file:in.wav.
    #[arg(long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub input: Option<String>,
    /// Use only this channel of the input, counted from 0. Without it, all audible channels are
    /// mixed.
    #[arg(long, value_name = "NUMBER")]
    pub channel: Option<u16>,
    /// The loudspeaker: an id, a name or a part of it, a number from the list of outputs, or a
    /// virtual device such as null or file:out.wav.
    #[arg(long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub output: Option<String>,
    /// Reopen a lost device if it returns within this time, such as 30s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub reopen: Option<Duration>,
    /// Remove the loudspeaker's sound from the microphone's signal: `auto` does so if both devices
    /// are real.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub echo_control: EchoChoice,
}

/// When to remove echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EchoChoice {
    /// If both devices are real.
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
    /// Include sessions that ended by themselves.
    #[arg(short, long)]
    pub all: bool,
}

/// `history`
#[derive(Debug, clap::Args)]
pub struct History {
    /// How long the agent may take to answer.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// Don't shorten long tool outputs.
    #[arg(long)]
    pub full: bool,
}

/// `events`
#[derive(Debug, clap::Args)]
pub struct Events {
    /// Keep printing new events, until Ctrl-C or the session's end.
    #[arg(short, long)]
    pub follow: bool,
    /// Number of events to show, from the end; 0 shows all that are kept.
    #[arg(long, visible_alias = "lines", short = 'l', value_name = "COUNT", default_value_t = 50)]
    pub last: u64,
    /// Start at this event number.
    #[arg(long, value_name = "SEQ", conflicts_with = "last")]
    pub from: Option<u64>,
    /// Don't shorten long texts.
    #[arg(long)]
    pub full: bool,
}

/// `logs`
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Keep printing new lines, until Ctrl-C or the session's end.
    #[arg(short, long)]
    pub follow: bool,
    /// Number of lines to show, from the end; 0 shows all.
    #[arg(long, visible_alias = "last", short = 'l', value_name = "COUNT", default_value_t = 50)]
    pub lines: usize,
    /// Only print the log's path.
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

/// The input device.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// An id, a name or a part of it, a number from the list of inputs, or a virtual device such as
    /// tone:440, file:in.wav or noise:-40.
    #[arg(short, long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// Use only this channel of the device, counted from 0. Without it, all audible channels are
    /// mixed if one is wanted.
    #[arg(long, value_name = "NUMBER")]
    pub channel: Option<u16>,
    /// Stop after this time, such as 10s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Reopen a lost device if it returns within this time, such as 30s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub reopen: Option<Duration>,
    /// Run virtual devices as fast as possible instead of in real time.
    #[arg(long)]
    pub fast: bool,
}

/// `record`
#[derive(Debug, clap::Args)]
pub struct Record {
    /// The file to write; an existing file is overwritten.
    #[arg(value_name = "OUT.WAV")]
    pub file: PathBuf,
    /// The input device.
    #[command(flatten)]
    pub input: Input,
    /// Sample rate of the file, in Hz.
    #[arg(long, value_name = "HZ", default_value_t = 48_000)]
    pub rate: u32,
    /// Number of channels of the file.
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
    /// An id, a name or a part of it, a number from the list of outputs, or a virtual device such
    /// as null or file:out.wav.
    #[arg(short, long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// Reopen a lost device if it returns within this time, such as 30s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub reopen: Option<Duration>,
    /// Run virtual devices as fast as possible instead of in real time.
    #[arg(long)]
    pub fast: bool,
}

/// `meter`
#[derive(Debug, clap::Args)]
pub struct Meter {
    /// The input device.
    #[command(flatten)]
    pub input: Input,
}

/// `restart`
#[derive(Debug, clap::Args)]
pub struct Restart {
    /// Don't shorten long tool outputs.
    #[arg(long)]
    pub full: bool,
}

/// Begins an argument that is text to say, whatever it looks like.
const TEXT_MARK: char = '\u{1}';

/// Marks the arguments of `say` that begin with a hyphen and can be no flag: `-5`, `- milk`,
/// `-milk`. Clap's own way, `allow_hyphen_values`, would take each flag after the first word for
/// text too. What may be a flag with a typing error is left to clap, which says so.
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

/// Adds the commands that a misspelt one may mean, where clap's own measure finds none: for it,
/// `sya` is too far from `say`.
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

/// The first line of a usage error that would quote an argument which may be a secret; `None` where
/// clap's own line quotes none.
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
