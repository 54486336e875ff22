//! Conversations with the released SDKs, through the example agents: the same words get the same answers in both languages.
//!
//! `make test` sets GREENROOM_TEST_PYTHON to an interpreter that has livekit-agents and installs examples/node. Without them these tests
//! are left out, except where GREENROOM_STRICT or CI is set: there that is a failure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenroom::{AgentSpec, Code, EventKind, Item, Session, StartOptions, ToolCall, Turn};

const DEADLINE: Duration = Duration::from_secs(90);

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").canonicalize().unwrap()
}

fn python() -> Option<AgentSpec> {
    let python = std::env::var_os("GREENROOM_TEST_PYTHON");
    available("GREENROOM_TEST_PYTHON is not set", python.is_some())?;
    let mut agent = AgentSpec::new(examples().join("python"));
    agent.interpreter = python.map(Into::into);
    Some(agent)
}

fn node() -> Option<AgentSpec> {
    let folder = examples().join("node");
    available("examples/node has no node_modules", folder.join("node_modules/@livekit/agents").exists())?;
    let mut agent = AgentSpec::new(folder);
    agent.entry = Some("agent.mjs".into());
    Some(agent)
}

fn available(what: &str, yes: bool) -> Option<()> {
    let strict = ["CI", "GREENROOM_STRICT"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(yes || !strict, "{what}: run `make test`");
    if !yes {
        eprintln!("left out: {what}");
    }
    yes.then_some(())
}

async fn start(mut agent: AgentSpec, greet: bool) -> (Session, Vec<EventKind>) {
    if greet {
        agent.env.push(("GREET".to_owned(), "1".to_owned()));
    }
    let session = Session::start(StartOptions::new(agent)).unwrap();
    let started = within(session.ready(None)).await.unwrap();
    (session, started.events.into_iter().map(|event| event.kind).collect())
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("nothing may hang")
}

async fn say(session: &Session, text: &str) -> Turn {
    within(session.say(text, None)).await.unwrap()
}

fn tools(turn: &Turn) -> Vec<&ToolCall> {
    turn.events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::ToolCall(call) => Some(call),
            _ => None,
        })
        .collect()
}

async fn conversation(agent: AgentSpec) {
    let (session, begun) = start(agent, false).await;
    assert!(
        begun.iter().any(|event| matches!(event, EventKind::Handoff(handoff) if handoff.from.is_none())),
        "the first agent is told of: {begun:?}"
    );

    let plain = say(&session, "hello there").await;
    assert_eq!(plain.reply, "echo: hello there");
    assert!(plain.reply_delay_ms.is_some());

    for _ in 0..2 {
        let weather = say(&session, "weather").await;
        let [call] = tools(&weather)[..] else { panic!("one call, told once: {:?}", weather.events) };
        assert_eq!(call.name, "lookup_weather");
        assert!(call.arguments.contains("Tokyo"));
        assert!(call.output.as_deref().unwrap().contains("Sunny in Tokyo"));
        assert!(weather.reply.contains("Sunny in Tokyo"));
    }

    let boom = say(&session, "boom").await;
    let [call] = tools(&boom)[..] else { panic!("one call: {:?}", boom.events) };
    assert!(call.is_error);

    let silent = say(&session, "silent").await;
    assert!(silent.silent && silent.reply.is_empty() && silent.error.is_none(), "{silent:?}");

    let failed = say(&session, "fail").await;
    assert!(failed.error.is_some(), "{failed:?}");

    let handoff = say(&session, "handoff").await;
    let to: Vec<_> = handoff
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Handoff(handoff) => Some(handoff.to.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(to, ["billing"]);
    assert_eq!(handoff.reply, "Billing here, how can I help?");

    let info = within(session.agent_info(None)).await.unwrap();
    assert_eq!(info.id, "billing");
    let history = within(session.history(None)).await.unwrap();
    assert!(history.iter().any(|item| matches!(item, Item::ToolCall(call) if call.name == "lookup_weather")));
    assert!(within(session.usage(None)).await.is_ok());
    assert!(within(session.rtc_stats(None)).await.is_ok());
    assert_eq!(within(session.session_state(None)).await.unwrap().agent_id, "billing");
    end(session).await;
}

async fn three_replies_of_400_kb_then_history(agent: AgentSpec) {
    let (session, _) = start(agent, false).await;
    for _ in 0..3 {
        assert!(say(&session, "big").await.reply.len() >= 400_000);
    }
    let history = within(session.history(None)).await.unwrap();
    let long =
        history.iter().filter(|item| matches!(item, Item::Message(message) if message.text.len() >= 400_000));
    assert_eq!(long.count(), 3);
    end(session).await;
}

async fn a_greeting_is_told(agent: AgentSpec) {
    let (session, begun) = start(agent, true).await;
    let greeted = begun
        .iter()
        .any(|event| matches!(event, EventKind::Message(message) if message.text.contains("Welcome")));
    assert!(greeted, "{begun:?}");
    end(session).await;
}

async fn agent_killed_mid_turn(agent: AgentSpec) {
    let (session, _) = start(agent, false).await;
    let pid = session.snapshot().pid.unwrap();
    let slow = session.clone();
    let turn = tokio::spawn(async move { slow.say("slow", None).await });
    while !session.snapshot().turn_in_progress {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    greenroom_os::kill_group(pid).unwrap();
    let error = within(turn).await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::AgentGone);
    end(session).await;
}

async fn end(session: Session) {
    let pid = session.snapshot().pid.unwrap();
    within(session.end()).await;
    assert!(!greenroom_os::group_alive(pid).unwrap(), "no process of the agent is left");
}

macro_rules! on_both {
    ($($name:ident),*) => {
        mod python_sdk {
            $(#[tokio::test]
            async fn $name() {
                if let Some(agent) = super::python() { super::$name(agent).await; }
            })*
        }
        mod node_sdk {
            $(#[tokio::test]
            async fn $name() {
                if let Some(agent) = super::node() { super::$name(agent).await; }
            })*
        }
    };
}

on_both!(conversation, three_replies_of_400_kb_then_history, a_greeting_is_told, agent_killed_mid_turn);

#[tokio::test]
async fn four_sessions_of_real_agents_at_once() {
    let agents: Vec<AgentSpec> = [python(), node(), python(), node()].into_iter().flatten().collect();
    let sessions: Vec<Session> =
        agents.into_iter().map(|agent| Session::start(StartOptions::new(agent)).unwrap()).collect();
    for session in &sessions {
        within(session.ready(None)).await.unwrap();
    }
    for (n, session) in sessions.iter().enumerate() {
        assert_eq!(say(session, &format!("number {n}")).await.reply, format!("echo: number {n}"));
    }
    for session in sessions {
        end(session).await;
    }
}
