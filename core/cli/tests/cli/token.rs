//! `greenroom token`: what it makes, of which sources, and what it refuses.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use greenroom_cli::args::{Args, Command};
use serde_json::{Value, json};

use crate::stage::{Outcome, Stage, wait};

const SECRET: &str = "a secret of at least thirty-two letters";

/// A command with a key and a secret in its environment.
fn run(stage: &Stage, args: &[&str]) -> Outcome {
    let mut command = stage.command(args);
    command
        .env("LIVEKIT_API_KEY", "key")
        .env("LIVEKIT_API_SECRET", SECRET)
        .env("LIVEKIT_URL", "ws://127.0.0.1:7880");
    wait(command)
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn the_token_alone_is_on_standard_output() {
    let stage = Stage::new();
    let made = run(&stage, &["token", "--room", "demo", "--identity", "ada"])
        .ok()
        .told("ada may join the room demo");
    let claims = claims(made.stdout.trim());
    assert_eq!((claims["sub"].as_str(), claims["iss"].as_str()), (Some("ada"), Some("key")));
    let video = &claims["video"];
    assert_eq!((&video["roomJoin"], &video["room"]), (&json!(true), &json!("demo")));
    assert_eq!(video["canManageAgentSession"], Value::Null, "only if it is asked for");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(), 600);
}

#[test]
fn the_document_says_what_the_token_says() {
    let stage = Stage::new();
    let made = run(&stage, &["token", "--json", "--ttl", "1h"]).ok().json();
    let claims = claims(made["token"].as_str().unwrap());
    assert_eq!(made["identity"], claims["sub"]);
    assert!(made["identity"].as_str().unwrap().starts_with("user-"), "{made}");
    assert_eq!((&made["room_id"], &made["url"]), (&json!("general"), &json!("ws://127.0.0.1:7880/")));
    assert_eq!(made["grants"]["can_publish"], true);
    assert_eq!(made["grants"]["can_manage_agent_session"], false);
    let expires = humantime::parse_rfc3339(made["expires_at"].as_str().unwrap()).unwrap();
    let expires = expires.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(claims["exp"], expires);
    let other = run(&stage, &["token", "--json"]).ok().json();
    assert_ne!(made["identity"], other["identity"], "each has a suffix of its own");
}

#[test]
fn all_that_is_asked_for_is_in_the_token() {
    let stage = Stage::new();
    let args = [
        "token",
        "--json",
        "-i",
        "bot",
        "--display-name",
        "Bot",
        "--kind",
        "agent",
        "--metadata",
        "m",
        "--attribute",
        "a.b_c=1",
        "--attribute",
        "d=2=3",
        "-g",
        "canManageAgentSession",
        "-g",
        "can_publish=false",
        "-g",
        "canPublishSources=microphone,camera",
        "-g",
        "hidden",
        "--dispatch",
        "helper",
        "--dispatch-metadata",
        "{}",
    ];
    let made = run(&stage, &args).ok().json();
    let claims = claims(made["token"].as_str().unwrap());
    assert_eq!(
        (&claims["name"], &claims["kind"], &claims["metadata"]),
        (&json!("Bot"), &json!("agent"), &json!("m"))
    );
    assert_eq!(claims["attributes"], json!({ "a.b_c": "1", "d": "2=3" }));
    let video = &claims["video"];
    assert_eq!(video["canManageAgentSession"], true);
    assert_eq!((&video["canPublish"], &video["hidden"]), (&json!(false), &json!(true)));
    assert_eq!(video["canPublishSources"], json!(["microphone", "camera"]));
    assert_eq!(claims["roomConfig"]["agents"], json!([{ "agentName": "helper", "metadata": "{}" }]));
    assert_eq!(made["grants"]["can_manage_agent_session"], true);
    assert_eq!(made["grants"]["can_publish_sources"], json!(["microphone", "camera"]));
}

#[test]
fn flags_go_before_the_environment_and_that_before_files() {
    let stage = Stage::new();
    let write = |name: &str, text: &str| std::fs::write(stage.path().join(name), text).unwrap();
    let url = |command| wait(command).ok().json()["url"].clone();
    write(
        ".env",
        "LIVEKIT_URL=ws://127.0.0.1:1\nLIVEKIT_API_KEY=from-env-file\nLIVEKIT_API_SECRET='of the file'\n",
    );
    assert_eq!(url(stage.command(&["token", "--json"])), "ws://127.0.0.1:1/");
    write(".env.local", "# mine\nexport LIVEKIT_URL=\"ws://127.0.0.1:2\"\n");
    assert_eq!(url(stage.command(&["token", "--json"])), "ws://127.0.0.1:2/");
    let mut command = stage.command(&["token", "--json"]);
    command.env("LIVEKIT_URL", "ws://127.0.0.1:3");
    assert_eq!(url(command), "ws://127.0.0.1:3/");
    let mut command = stage.command(&["token", "--json"]);
    command.env("LIVEKIT_URL", "ws://127.0.0.1:3").env("LIVEKIT_PUBLIC_URL", "ws://127.0.0.1:4");
    assert_eq!(url(command), "ws://127.0.0.1:4/", "what clients use goes before what the backend uses");
    let mut command = stage.command(&["token", "--json", "--url", "ws://127.0.0.1:5", "--api-key", "flag"]);
    command.env("LIVEKIT_URL", "ws://127.0.0.1:3");
    let made = wait(command).ok().json();
    assert_eq!(made["url"], "ws://127.0.0.1:5/");
    assert_eq!(claims(made["token"].as_str().unwrap())["iss"], "flag");
}

#[test]
fn the_pair_for_development_is_for_this_machine_alone_and_said_aloud() {
    let stage = Stage::new();
    for url in ["ws://localhost:7880", "http://[::1]:7880", "ws://127.3.4.5:7880"] {
        let made = stage.run(&["token", "--url", url]).ok().told("public pair for development");
        assert_eq!(claims(made.stdout.trim())["iss"], "devkey");
    }
    stage
        .run(&["token", "--url", "wss://192.0.2.1"])
        .code(2)
        .told("no LIVEKIT_API_KEY and no LIVEKIT_API_SECRET");
    let mut command = stage.command(&["token", "--url", "wss://192.0.2.1"]);
    command.env("LIVEKIT_API_KEY", "devkey").env("LIVEKIT_API_SECRET", "secret");
    wait(command).code(2).told("work only with a server on this machine");
}

#[test]
fn a_url_that_no_client_can_reach_is_refused_unless_it_is_allowed() {
    let stage = Stage::new();
    for (url, why) in [
        ("ws://livekit:7880", "inside containers or a cluster"),
        ("ws://host.docker.internal:7880", "inside containers or a cluster"),
        ("ws://livekit.media.svc.cluster.local", "inside containers or a cluster"),
        ("ws://0.0.0.0:7880", "where a server listens"),
        ("wss://nobody.invalid", "nobody.invalid"),
    ] {
        let refused = run(&stage, &["token", "--url", url]).code(2).told(why);
        for allow in ["--allow-internal-url", "allow_internal_url=True", "allowInternalUrl: true"] {
            assert!(refused.stderr.contains(allow), "{refused:?}");
        }
        run(&stage, &["token", "--url", url, "--allow-internal-url"]).ok();
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_name() {
    let stage = Stage::new();
    let long = "x".repeat(257);
    for (args, why) in [
        (vec!["--room", ""], "the room's name is empty"),
        (vec!["--room", long.as_str()], "has 257 bytes; at most 256"),
        (vec!["--identity", "a\nb"], "control character"),
        (vec!["--ttl", "0s"], "more than nothing"),
        (vec!["--ttl", "2y"], "more than a year"),
        (vec!["--ttl", "1ms"], "from 1 s to a year"),
        (vec!["--grant", "canFly"], "no grant \"canFly\"; there are"),
        (vec!["--grant", "hidden=maybe"], "cannot be read"),
        (vec!["--grant", "canPublishSources=radio"], "no source \"radio\""),
        (vec!["--attribute", "nothing"], "no KEY=VALUE"),
        (vec!["--url", "localhost"], "not the url of a LiveKit server"),
        (vec!["--api-secret", ""], "the secret is empty"),
        (vec!["--requested-by", ""], "the requester's name is empty"),
        (vec!["--dispatch-metadata", "x"], "--dispatch"),
    ] {
        let args: Vec<&str> = ["token"].into_iter().chain(args).collect();
        run(&stage, &args).code(2).told(why);
    }
    stage.run(&["token"]).code(2).told("no url of a LiveKit server");
    let mut half = stage.command(&["token", "--url", "ws://127.0.0.1:7880"]);
    half.env("LIVEKIT_API_KEY", "key");
    wait(half).code(2).told("there is LIVEKIT_API_KEY but no LIVEKIT_API_SECRET");
    let error = run(&stage, &["token", "--json", "--room", ""]).code(2).json();
    assert_eq!(error["error"]["code"], "invalid_argument");
}

#[test]
fn every_read_of_the_secret_is_in_the_audit_log_and_the_secret_nowhere() {
    let stage = Stage::new();
    run(&stage, &["token", "-i", "ada", "--requested-by", "the console of ada"]).ok();
    run(&stage, &["token"]).ok();
    let log = std::fs::read_to_string(stage.home().join(".audit.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |at: usize, name: &str| lines[at][name].as_str().unwrap().to_owned();
    assert_eq!((of(0, "type"), of(0, "secret")), ("secret_read".to_owned(), "LIVEKIT_API_SECRET".to_owned()));
    assert_eq!(
        (of(0, "source"), of(0, "requested_by")),
        ("environment".to_owned(), "the console of ada".to_owned())
    );
    assert_eq!((of(1, "type"), of(1, "identity")), ("token_made".to_owned(), "ada".to_owned()));
    assert_eq!(of(2, "requested_by"), "greenroom");
    assert!(!log.contains(SECRET) && !log.contains("eyJ"), "{log}");

    let mut elsewhere = stage.command(&["token", "--url", "ws://127.0.0.1:1"]);
    elsewhere.env("GREENROOM_AUDIT_LOG", stage.path().join("not/there"));
    wait(elsewhere).code(3).told("without which no secret is read");
}

#[test]
fn a_file_that_cannot_be_read_shows_nothing_of_itself() {
    let stage = Stage::new();
    std::fs::write(stage.path().join(".env.local"), "LIVEKIT_API_SECRET=\"hunter2 without an end\nX\n")
        .unwrap();
    let refused =
        stage.run(&["token", "--url", "ws://127.0.0.1:1"]).code(2).told(".env.local cannot be read");
    assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
}

#[test]
fn token_is_signed_without_looking_the_server_up() {
    let stage = Stage::new();
    // Names that nothing on any network can know (RFC 6761).
    for url in ["wss://demo.livekit.example", "https://nobody.test:7443", "wss://xn--bcher-kva.example/path"]
    {
        run(&stage, &["token", "--url", url]).ok();
    }
}

#[test]
fn free_text_that_begins_with_a_hyphen_is_taken() {
    let stage = Stage::new();
    let args = [
        "token",
        "--json",
        "--room",
        "-r",
        "--identity",
        "-i",
        "--display-name",
        "- Ada",
        "--kind",
        "-k",
        "--metadata",
        "-x",
        "--attribute",
        "-a=-1",
        "--dispatch",
        "-d",
        "--dispatch-metadata",
        "-5",
        "--requested-by",
        "--me",
        "--api-key",
        "-key",
        "--api-secret",
        "-secret of at least thirty-two letters",
    ];
    let made = run(&stage, &args).ok().json();
    let claims = claims(made["token"].as_str().unwrap());
    assert_eq!((&claims["video"]["room"], &claims["sub"]), (&json!("-r"), &json!("-i")));
    assert_eq!(
        (&claims["name"], &claims["metadata"], &claims["iss"]),
        (&json!("- Ada"), &json!("-x"), &json!("-key"))
    );
    assert_eq!(claims["attributes"], json!({ "-a": "-1" }));
    assert_eq!(claims["roomConfig"]["agents"], json!([{ "agentName": "-d", "metadata": "-5" }]));
    let start = [
        "greenroom",
        "start",
        "--participant-identity",
        "-i",
        "--participant-name",
        "- Ada",
        "--participant-metadata",
        "-x",
        "--participant-attribute",
        "-a=-1",
        "--room-name",
        "-r",
        "--room-metadata",
        "-m",
        "--job-metadata",
        "-j",
    ];
    let Command::Start(start) = Args::try_parse_from(start).unwrap().command else {
        panic!("another command")
    };
    let given = start.stand_in;
    assert_eq!(given.participant_attribute, ["-a=-1"]);
    let given = [
        given.participant_identity,
        given.participant_name,
        given.participant_metadata,
        given.room_name,
        given.room_metadata,
        given.job_metadata,
    ];
    assert_eq!(given.map(Option::unwrap), ["-i", "- Ada", "-x", "-r", "-m", "-j"]);
}
