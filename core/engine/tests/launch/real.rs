//! Agents of the released SDKs, from a command line to a connection and an end.
//!
//! `GREENROOM_TEST_PYTHON` is an interpreter with livekit-agents, `GREENROOM_TEST_NODE_MODULES` a `node_modules` folder
//! with @livekit/agents. Without them there is nothing to test here, which on CI (`CI` is set) is a failure.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use greenroom_engine::launch::{AgentProcess, AgentSpec, LaunchError, Plan};
use greenroom_os::{PeerCheck, peer_in_session};
use greenroom_protocol::Code;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::stage::Machine;

/// What importing an SDK on a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn given(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "{variable} has to be set on CI");
    path
}

/// A spec for that file, with the SDK of its language, if there is one to test with.
fn spec(machine: &Machine, name: &str, text: &str) -> Option<AgentSpec> {
    machine.file(&format!("work/{name}"), text);
    let mut spec = AgentSpec { entry: Some(name.into()), ..AgentSpec::new(machine.path("work")) };
    if name.ends_with(".py") {
        spec.interpreter = Some(given("GREENROOM_TEST_PYTHON")?);
    } else {
        let modules = std::path::absolute(given("GREENROOM_TEST_NODE_MODULES")?).expect("a path");
        symlink(modules, machine.path("work/node_modules")).expect("a link");
    }
    Some(spec)
}

async fn start(machine: &Machine, spec: &AgentSpec) -> (AgentProcess, TcpListener) {
    let plan = match Plan::detect(spec, PATIENCE).await {
        Ok(plan) => plan,
        Err(error) => panic!("{error}"),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listen");
    let address: SocketAddr = listener.local_addr().expect("an address");
    (AgentProcess::spawn(&plan, address, machine.log()).expect("start"), listener)
}

async fn fails(name: &str, text: &str, code: Code, words: &str) {
    let machine = Machine::new();
    let Some(spec) = spec(&machine, name, text) else { return };
    let (agent, _listener) = start(&machine, &spec).await;
    let failure = timeout(PATIENCE, agent.failed()).await.expect("in time");
    let error = LaunchError::from(failure);
    assert_eq!(error.code(), code, "{error}\n{}", error.detail().unwrap_or_default());
    assert!(error.to_string().contains(words), "{words:?} is not in: {error}");
    drop(agent);
}

const PY: &str = "\
from livekit.agents import Agent, AgentServer, AgentSession, JobContext
server = AgentServer()
@server.rtc_session()
async def entrypoint(ctx: JobContext):
    session = AgentSession(user_away_timeout=None)
    await session.start(agent=Agent(instructions='x'), room=ctx.room)
    await ctx.connect()
";

const PY_CRASH: &str = "\
from livekit.agents import AgentServer, JobContext
server = AgentServer()
@server.rtc_session()
async def entrypoint(ctx: JobContext):
    raise ValueError('no key configured')
";

const JS: &str = "\
import { ServerOptions, cli, defineAgent, voice } from '@livekit/agents';
import { fileURLToPath } from 'node:url';
export default defineAgent({ entry: async (ctx) => {
  const session = new voice.AgentSession({ userAwayTimeout: null });
  await session.start({ agent: new voice.Agent({ instructions: 'x' }), room: ctx.room });
  await ctx.connect();
} });
const me = fileURLToPath(import.meta.url);
if (process.argv[1] === me) cli.runApp(new ServerOptions({ agent: me }));
";

const JS_CRASH: &str = "\
import { ServerOptions, cli, defineAgent } from '@livekit/agents';
import { fileURLToPath } from 'node:url';
export default defineAgent({ entry: async () => { throw new Error('no key configured'); } });
const me = fileURLToPath(import.meta.url);
if (process.argv[1] === me) cli.runApp(new ServerOptions({ agent: me }));
";

/// Waits for the agent's connection, which is of its session, and gives it.
async fn connection(agent: &AgentProcess, listener: &TcpListener) -> TcpStream {
    let (stream, peer) = tokio::select! {
        accepted = listener.accept() => accepted.expect("accept"),
        failure = agent.failed() => panic!("{failure}\n{:#?}", failure.tail()),
        () = tokio::time::sleep(PATIENCE) => panic!("it did not connect: {:#?}", agent.log().tail()),
    };
    if cfg!(target_os = "linux") {
        let local = stream.local_addr().expect("an address");
        assert_eq!(peer_in_session(local, peer, agent.id()), PeerCheck::Yes);
    }
    stream
}

/// Resolves at the end of the stream.
async fn closed(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

#[tokio::test]
async fn a_python_agent_connects_and_ends_by_itself() {
    let machine = Machine::new();
    let Some(spec) = spec(&machine, "agent.py", PY) else { return };
    let (agent, listener) = start(&machine, &spec).await;
    let stream = connection(&agent, &listener).await;
    let ended = agent.end(closed(stream), Duration::from_secs(30)).await;
    assert_eq!((ended.status.and_then(|status| status.code()), ended.killed), (Some(0), false));
}

#[tokio::test]
async fn a_node_agent_connects_and_is_ended() {
    let machine = Machine::new();
    let Some(spec) = spec(&machine, "agent.mjs", JS) else { return };
    let (agent, listener) = start(&machine, &spec).await;
    let stream = connection(&agent, &listener).await;
    let ended = timeout(Duration::from_secs(10), agent.end(closed(stream), Duration::from_secs(30))).await;
    assert!(ended.expect("in time").status.is_some());
}

#[tokio::test]
async fn a_python_job_that_crashes_is_told_with_its_exception() {
    fails(
        "agent.py",
        PY_CRASH,
        Code::AgentFailedToStart,
        "crashed before it connected: ValueError: no key configured",
    )
    .await;
}

#[tokio::test]
async fn a_python_file_with_a_syntax_error_is_told() {
    fails("agent.py", "def f(:\n", Code::AgentFailedToStart, "SyntaxError").await;
}

#[tokio::test]
async fn a_python_file_without_an_agent_is_told() {
    fails("agent.py", "x = 1\n", Code::NotAnAgent, "defines no agent").await;
}

#[tokio::test]
async fn a_node_job_that_crashes_is_told_with_its_exception() {
    fails("agent.mjs", JS_CRASH, Code::AgentFailedToStart, "no key configured").await;
}

#[tokio::test]
async fn a_node_file_with_a_syntax_error_is_told() {
    fails("agent.mjs", "import {\n", Code::AgentFailedToStart, "SyntaxError").await;
}

#[tokio::test]
async fn a_node_file_without_an_agent_is_told() {
    fails("agent.mjs", "export const x = 1;\n", Code::NotAnAgent, "defines no agent").await;
}
