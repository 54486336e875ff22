//! `greenroom attach`: a session with an agent in a real room.

use std::process::Command;

use serde_json::{Value, json};

use crate::front::{Authority, ConnectProxy, tls_before};
use crate::host::Agent;
use crate::server::{KEY, SECRET, free_port};
use crate::stage::{Outcome, Stage, eventually, runs, wait};
use crate::venue::Venue;

/// `attach` to a room of the shared server, signed by its key.
fn attach(stage: &Stage, venue: &Venue<'_>, more: &[&str]) -> Command {
    let url = venue.server.url();
    let args: Vec<&str> = ["attach", "--url", url.as_str()].into_iter().chain(more.iter().copied()).collect();
    let mut command = stage.command(&args);
    command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    command
}

fn attached(stage: &Stage, venue: &Venue<'_>) -> Outcome {
    wait(attach(stage, venue, &["--room", &venue.name])).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let _agent = Agent::join(&venue, "agent").await;
    attached(&stage, &venue)
        .told(&format!("Joined the room {} as greenroom-", venue.name))
        .told("Session default is ready on 127.0.0.1:");
    assert_eq!(
        stage.run(&["say", "hello"]).ok().stdout,
        "\n  ● You\n    hello\n\n  ● Agent\n    echo: hello\n"
    );
    stage.run(&["history"]).ok().printed("● You\n    hello\n\n  ● Agent\n    echo: hello\n");
    stage.run(&["info"]).ok().printed("be scripted");
    stage.run(&["usage"]).ok();
    stage.run(&["events"]).ok().printed("message            assistant: echo: hello");
    let status = stage.json(&["status", "--json"]);
    assert_eq!((&status["room"], &status["agent"]), (&json!(venue.name), &json!("agent")));
    assert_eq!((&status["state"], &status["turns"]), (&json!("ready"), &json!(1)));
    assert!(status["identity"].as_str().unwrap().starts_with("greenroom-"), "{status}");
    stage.run(&["list"]).ok().printed(&format!("agent in {}", venue.name));
    stage.run(&["logs"]).ok().printed("the session is ready");
    wait(attach(&stage, &venue, &["--room", &venue.name])).code(2).told("a session is already running");
    let record = stage.record();
    stage.run(&["end"]).ok().told("Session ended.");
    eventually("the daemon is gone", || !runs(record.pid));
    let left: Vec<_> =
        std::fs::read_dir(stage.home()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, [".audit.jsonl"], "nothing else is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_on_a_command_line_or_in_a_file() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let _agent = Agent::join(&venue, "agent").await;
    let token = venue.manager_token("ada");
    let mut command = attach(&stage, &venue, &[]);
    command.env("LIVEKIT_TOKEN", &token).env("RUST_LOG", "trace");
    let outcome = wait(command).ok().told("as ada");
    let pid = stage.record().pid;
    let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(arguments.contains("daemon"), "{arguments}");
    let mut texts = vec![arguments, format!("{outcome:?}")];
    for name in ["session.json", "daemon.log"] {
        texts.push(std::fs::read_to_string(stage.home().join("default").join(name)).unwrap());
    }
    texts.push(stage.run(&["status", "--json"]).ok().stdout);
    stage.run(&["say", "hello"]).ok();
    let parts: Vec<&str> = token.split('.').collect();
    for text in texts {
        for secret in [SECRET, parts[1], parts[2]] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_joins_the_same_room_again() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let _agent = Agent::join(&venue, "agent").await;
    attached(&stage, &venue);
    let before = stage.record();
    let mut half = stage.command(&["restart"]);
    half.env("LIVEKIT_API_KEY", KEY);
    wait(half).code(2).told("LIVEKIT_API_SECRET");
    assert_eq!(stage.record().pid, before.pid, "what cannot be started again is not ended");
    let mut again = stage.command(&["restart"]);
    again.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    wait(again).ok();
    assert_eq!(stage.record().launch, before.launch);
    assert_ne!(stage.record().pid, before.pid);
    stage.run(&["say", "hello"]).ok().printed("echo: hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_s_end_ends_the_session_with_its_reason() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let agent = Agent::join(&venue, "agent").await;
    attached(&stage, &venue);
    let pid = stage.record().pid;
    agent.room.disconnect().await;
    eventually("the daemon is gone", || !runs(pid));
    let status = stage.run(&["status", "--json"]).code(3).json();
    assert_eq!((&status["state"], &status["reason"]), (&json!("ended"), &json!("agent_left")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_there_is_no_session_is_said() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let with_token = |token: String, more: &[&str]| {
        let mut command = attach(&stage, &venue, more);
        command.env("LIVEKIT_TOKEN", token);
        wait(command)
    };
    let room = ["--room", venue.name.as_str(), "--timeout", "1s"];
    wait(attach(&stage, &venue, &room)).code(5).told("no agent came into the room");
    with_token(venue.token("eve"), &[]).code(4).told("lacks the grant canManageAgentSession");
    with_token(format!("{}x", venue.manager_token("eve")), &[]).code(4).told("refused the token");
    with_token("nonsense".to_owned(), &[]).code(2).told("not an access token");
    with_token(venue.manager_token("ada"), &["--room", "elsewhere"]).code(2).told("not for \"elsewhere\"");
    wait(attach(&stage, &venue, &[])).code(2).told("name the room");
    let nowhere = ["--room", "r", "--url", "ws://nobody.invalid"];
    let mut command = stage.command(&[&["attach"], &nowhere[..]].concat());
    command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    wait(command).code(2).told("nobody.invalid");
    let allowed = [&["attach", "--allow-internal-url"], &nowhere[..]].concat();
    let mut command = stage.command(&allowed);
    command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    wait(command).code(3).told("nobody.invalid");

    let (_one, _two) = (Agent::join(&venue, "one").await, Agent::join(&venue, "two").await);
    wait(attach(&stage, &venue, &room)).code(2).told("2 agents: \"one\", \"two\"; name one of them");
    wait(attach(&stage, &venue, &["--room", &venue.name, "--agent", "two"])).ok();
    let status: Value = stage.json(&["status", "--json"]);
    assert_eq!(status["agent"], "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_told_apart() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let claims = json!({
        "sub": "ada", "exp": 1_700_000_000, "video": { "roomJoin": true, "room": venue.name, "canManageAgentSession": true },
    });
    let mut command = attach(&stage, &venue, &[]);
    command.env("LIVEKIT_TOKEN", crate::venue::signed(&claims));
    wait(command).code(4).told("has expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_proxy_and_with_an_authority_of_its_own() {
    let (stage, venue, authority) = (Stage::new(), Venue::new(), Authority::new());
    let _agent = Agent::join(&venue, "agent").await;
    let front = tls_before(venue.server.address(), &authority).await;
    let proxy = ConnectProxy::start_open(&[("turn.test:443", front)]).await;
    std::fs::write(stage.path().join("ca.pem"), &authority.ca).unwrap();
    let through = |proxy: &str, ca: &str| {
        let args =
            ["attach", "--url", "wss://turn.test", "--room", &venue.name, "--ca", ca, "--proxy", proxy];
        let mut command = stage.command(&args);
        command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
        wait(command)
    };
    let dead = format!("127.0.0.1:{}", free_port());
    through(&format!("http://{dead}"), "ca.pem").code(3).told(&format!("through the proxy {dead}"));
    through(&proxy.url(), "missing.pem").code(2).told("missing.pem");
    through(&proxy.url(), "ca.pem").ok();
    stage.run(&["say", "hello"]).ok().printed("echo: hello");
    let mut again = stage.command(&["restart"]);
    again.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    wait(again).ok();
    stage.run(&["say", "hello"]).ok().printed("echo: hello");
    assert_eq!(*proxy.asked.lock().unwrap(), ["turn.test:443", "turn.test:443"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_that_only_the_proxy_of_the_environment_knows_is_looked_up_by_it() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let server = venue.server.address();
    let proxy =
        ConnectProxy::start_open(&[("name.only.the.proxy.test:80", server), ("livekit:80", server)]).await;
    for url in ["ws://name.only.the.proxy.test", "ws://livekit"] {
        let stage = Stage::new();
        let run = |args: &[&str]| {
            let mut command = stage.command(args);
            command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
            command.env("HTTP_PROXY", proxy.url());
            wait(command)
        };
        let report = run(&["doctor", "--json", "--url", url, "--timeout", "10s"]).ok().json();
        assert_eq!(report["is_well"], true, "{report}");
        run(&["attach", "--url", url, "--room", &venue.name]).ok();
        stage.run(&["say", "hello"]).ok().printed("echo: hello");
    }
    assert!(!proxy.asked.lock().unwrap().is_empty());
}
