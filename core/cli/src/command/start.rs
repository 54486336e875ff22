//! `start` and `restart`, and how a daemon is started

use std::path::PathBuf;
use std::process::ExitCode;

use greenroom_control::credentials::Secret;
use greenroom_control::launch::{self, Progress};
use greenroom_control::record::Target;
use greenroom_control::registry::Found;
use greenroom_control::{Client, Launch, Registry, SessionName};
use greenroom_engine::launch::{AgentSpec, ParticipantStandIn, RoomStandIn, StandIn};
use greenroom_protocol::{Code, Error};
use serde_json::{Value, json};

use crate::args::{self, Restart, Start};
use crate::document;
use crate::interrupt;
use crate::output::Output;
use crate::render::Renderer;

/// The runtime that the npm package's command was started with: Node, or Bun on a machine without
/// Node.
pub(super) fn host_runtime() -> Option<PathBuf> {
    std::env::var_os("GREENROOM_HOST_RUNTIME").map(PathBuf::from)
}

pub(super) fn start(name: &SessionName, start: Start, out: &mut Output) -> Result<ExitCode, Error> {
    let Start {
        file,
        port,
        timeout,
        idle_timeout,
        python,
        node,
        no_sync,
        audio,
        recording,
        record,
        stand_in,
        log,
        full,
        args,
    } = start;
    let dir = std::env::current_dir()
        .map_err(|error| Error::new(Code::Io, format!("can't read the current folder: {error}")))?;
    let log = absolute("--log", log)?;
    let recording = absolute("--recording", recording)?;
    let agent = AgentSpec {
        entry: file,
        interpreter: python.or(node),
        interpreter_hint: host_runtime(),
        args,
        sync: !no_sync,
        record,
        stand_in: given(stand_in)?,
        ..AgentSpec::new(dir)
    };
    let launch = Launch {
        port,
        start_timeout_ms: timeout.as_millis() as u64,
        idle_timeout_ms: (!idle_timeout.is_zero()).then_some(idle_timeout.as_millis() as u64),
        log,
        audio,
        recording,
        ..Launch::new(agent)
    };
    run(&Registry::open()?, name, &launch, None, full, out)
}

/// What the agent is to find in place of a room, if anything is given.
fn given(given: args::StandIn) -> Result<Option<StandIn>, Error> {
    let participant = ParticipantStandIn {
        identity: given.participant_identity,
        name: given.participant_name,
        metadata: given.participant_metadata,
        attributes: super::token::attributes("--participant-attribute", &given.participant_attribute)?,
    };
    let room = RoomStandIn { name: given.room_name, metadata: given.room_metadata };
    let stand_in = StandIn {
        participant: (participant != ParticipantStandIn::default()).then_some(participant),
        room: (room != RoomStandIn::default()).then_some(room),
        job_metadata: given.job_metadata,
    };
    Ok(stand_in.if_any())
}

/// A path that is given on the command line, as another process can use it.
pub(super) fn absolute(option: &str, path: Option<PathBuf>) -> Result<Option<PathBuf>, Error> {
    path.map(std::path::absolute).transpose().map_err(|error| {
        Error::new(Code::InvalidArgument, format!("the path after {option} cannot be used: {error}"))
    })
}

pub(super) fn restart(name: &SessionName, restart: &Restart, out: &mut Output) -> Result<ExitCode, Error> {
    let registry = Registry::open()?;
    let found = registry.folder(name).find()?;
    let launch = match &found {
        Found::Live(record) | Found::Vanished(record) => record.launch.clone(),
        Found::Ended(ended) => ended.launch.clone(),
        _ => return Err(found.live(name).err().unwrap_or_else(super::mismatch)),
    };
    // A session that cannot be started again is not ended.
    let token = match &launch.target {
        Target::Agent(_) => None,
        Target::Room(room) => Some(super::attach::token_again(room, out)?),
    };
    if matches!(found, Found::Live(_)) {
        Client::open(&registry, name)?.end()?;
    }
    run(&registry, name, &launch, token.as_ref(), restart.full, out)
}

/// Starts the daemon of a session and prints its progress.
pub(super) fn run(
    registry: &Registry,
    name: &SessionName,
    launch: &Launch,
    token: Option<&Secret>,
    full: bool,
    out: &mut Output,
) -> Result<ExitCode, Error> {
    let program = std::env::current_exe().map_err(|error| {
        Error::new(Code::Io, format!("this program cannot be found to start its daemon: {error}"))
    })?;
    interrupt::catch()?;
    let mut starting = launch::start(registry, name, launch, token, &program)?;
    let (started, status) = loop {
        match starting.wait(&interrupt::happened)? {
            Progress::Detected(status) => out.note(&found(&status)),
            Progress::Ready(started, status) => break (started, status),
        }
    };
    drop(starting);
    let record = registry.live(name)?;
    if out.is_json() {
        out.document(&json!({
            "events": started.events,
            "agent_id": started.agent_id,
            "framework": started.framework,
            "status": document::running(&record, &status, None),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    out.print(&Renderer { full }.events(&started.events))?;
    let which = if *name == SessionName::default() { String::new() } else { format!(" -n {name}") };
    out.note(&format!(
        "\nSession {name} is ready on 127.0.0.1:{}. Talk with `greenroom say{which} \"…\"`, end with `greenroom end{which}`.",
        record.port
    ));
    Ok(ExitCode::SUCCESS)
}

/// What the session is with, in one line.
fn found(status: &Value) -> String {
    let get = |name: &str| status.get(name).and_then(Value::as_str);
    match (get("detected"), get("room")) {
        (Some(detected), _) => detected.to_owned(),
        (None, Some(room)) => format!("Joined the room {room} as {}", get("identity").unwrap_or_default()),
        (None, None) => String::new(),
    }
}
