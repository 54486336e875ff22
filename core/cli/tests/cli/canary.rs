//! Secrets are shown nowhere: whatever goes in through a file, the environment or an argument, none of it comes out in an output, a log
//! or a file of a command. `tests/canary.json` has the inputs; the suites of Python and Node plant the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Parser;
use greenroom_cli::args::Args;
use serde::Deserialize;

use crate::host::Agent;
use crate::server::{KEY, SECRET, free_port};
use crate::stage::{Outcome, Stage, eventually, runs, wait};
use crate::venue::Venue;

/// What is planted. Long enough to be a secret that signs, and of characters that few encodings change.
const CANARY: &str = "C4n4ryThatN0bodyMaySee0123456789abcdef";

#[derive(Deserialize)]
struct Inputs {
    env_files: BTreeMap<String, String>,
    urls: Vec<String>,
    proxies: Vec<String>,
    tokens: Vec<String>,
    secrets: Vec<String>,
    authorities: Vec<String>,
}

impl Inputs {
    fn read() -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/canary.json");
        let text = fs::read_to_string(file).unwrap().replace("CANARY", CANARY);
        serde_json::from_str(&text).unwrap()
    }
}

/// Where a secret stands in a text, plain or in an encoding that is undone at a glance.
fn seen(text: &[u8], secret: &str) -> Option<&'static str> {
    let text = String::from_utf8_lossy(text);
    let lower = text.to_lowercase();
    let bytes = |separator: &str| {
        let listed: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
        listed.join(separator)
    };
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let spaced: String = secret.chars().flat_map(|c| [c, '\0']).collect();
    if lower.contains(&secret.to_lowercase()) {
        return Some("as it is");
    }
    if lower.contains(&hex) {
        return Some("in hexadecimal");
    }
    if text.contains(&bytes(", ")) || text.contains(&bytes(",")) {
        return Some("as a list of bytes");
    }
    if text.contains(spaced.trim_end_matches('\0')) {
        return Some("in UTF-16");
    }
    // What stands before it shifts the letters of base64: without the first and last ones, they are the same.
    (0..3).find_map(|shift| {
        let shifted = format!("{}{secret}", "x".repeat(shift));
        let encoded = STANDARD.encode(&shifted);
        let inside = &encoded[4..encoded.len() - 4];
        text.contains(inside).then_some("in base64")
    })
}

/// The files below a folder, but for those that were planted.
fn files(folder: &Path, planted: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, planted));
        } else if !planted.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Fails if a command showed the secret or left it in a file.
#[track_caller]
fn hidden(stage: &Stage, what: &str, secret: &str, outcome: &Outcome, planted: &[PathBuf]) {
    for (name, text) in [("output", &outcome.stdout), ("errors", &outcome.stderr)] {
        let seen = seen(text.as_bytes(), secret);
        assert_eq!(seen, None, "{what}: the secret is in its {name}: {outcome:#?}");
    }
    for file in files(stage.path(), planted) {
        // Daemons remove theirs.
        let Ok(text) = fs::read(&file) else { continue };
        assert_eq!(seen(&text, secret), None, "{what}: the secret is in {}", file.display());
    }
}

/// What `token` prints besides the token that it was asked for, which names the key in base64.
fn without_made_token(args: &[&str], mut outcome: Outcome) -> Outcome {
    if args[0] == "token" {
        let words = outcome.stdout.split_inclusive(|c: char| c.is_whitespace() || c == '"');
        outcome.stdout = words.filter(|word| !word.starts_with("eyJ")).collect();
    }
    outcome
}

/// The commands that read credentials.
const COMMANDS: [&[&str]; 5] = [
    &["token"],
    &["token", "--json", "-g", "canManageAgentSession"],
    &["doctor", "--timeout", "1s"],
    &["doctor", "--json", "--timeout", "1s"],
    &["attach", "--room", "r", "--timeout", "1s"],
];

/// Runs each command with what `plant` adds, and returns how many succeeded.
fn run_all(what: &str, planted: &[PathBuf], stage: &Stage, plant: impl Fn(&mut Command, &[&str])) -> usize {
    let mut succeeded = 0;
    for args in COMMANDS {
        let mut command = stage.command(args);
        command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
        plant(&mut command, args);
        let outcome = wait(command);
        assert!(outcome.code.is_some_and(|code| code != 101), "{what}: {args:?} panicked: {outcome:#?}");
        let outcome = without_made_token(args, outcome);
        hidden(stage, &format!("{what}: {args:?}"), CANARY, &outcome, planted);
        succeeded += usize::from(outcome.code == Some(0));
    }
    succeeded
}

#[test]
fn canary_in_an_output_is_found_in_every_encoding() {
    let found = |text: &[u8]| seen(text, CANARY);
    assert_eq!(found(b"error: nothing of it"), None);
    assert_eq!(found(format!("error: \"{CANARY}\"").as_bytes()), Some("as it is"));
    assert_eq!(found(CANARY.to_uppercase().as_bytes()), Some("as it is"));
    assert_eq!(found(format!("{:?}", CANARY.as_bytes()).as_bytes()), Some("as a list of bytes"));
    let utf16: Vec<u8> = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(found(&utf16), Some("in UTF-16"));
    for before in ["", "a", "ab", "key:"] {
        let text = format!("{before}{CANARY}!");
        assert_eq!(found(STANDARD.encode(&text).as_bytes()), Some("in base64"), "{text}");
        assert_eq!(found(URL_SAFE_NO_PAD.encode(&text).as_bytes()), Some("in base64"), "{text}");
    }
    let stage = Stage::new();
    fs::create_dir_all(stage.home().join("deep")).unwrap();
    fs::write(stage.home().join("deep/daemon.log"), CANARY).unwrap();
    let outcome = Outcome { code: Some(0), stdout: String::new(), stderr: String::new() };
    let caught = std::panic::catch_unwind(|| hidden(&stage, "a file", CANARY, &outcome, &[]));
    assert!(caught.is_err(), "a file with it was passed over");
}

#[test]
fn env_files_with_secrets_are_shown_nowhere() {
    for name in [".env.local", ".env"] {
        let mut succeeded = 0;
        for (what, text) in Inputs::read().env_files {
            let stage = Stage::new();
            let file = stage.path().join(name);
            let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            assert!(seen(&bytes, CANARY).is_some(), "{what} holds no canary");
            fs::write(&file, &bytes).unwrap();
            succeeded += run_all(&format!("{name}: {what}"), &[file], &stage, |_, _| ());
        }
        assert!(succeeded > 0, "no file was read to its end");
    }
}

#[test]
fn env_file_of_utf_16_is_shown_nowhere() {
    let stage = Stage::new();
    let text = format!("\u{feff}LIVEKIT_URL=ws://127.0.0.1:1\nLIVEKIT_API_SECRET={CANARY}\n");
    let file = stage.path().join(".env");
    fs::write(&file, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    run_all("UTF-16", &[file], &stage, |_, _| ());
}

#[test]
fn secrets_in_the_environment_are_shown_nowhere() {
    let inputs = Inputs::read();
    let all = [
        (["LIVEKIT_URL", "LIVEKIT_PUBLIC_URL"].as_slice(), &inputs.urls),
        (&["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"], &inputs.secrets),
        (&["LIVEKIT_TOKEN"], &inputs.tokens),
        (&["HTTP_PROXY", "ALL_PROXY"], &inputs.proxies),
    ];
    for (names, values) in all {
        for (name, value) in names.iter().flat_map(|name| values.iter().map(move |value| (name, value))) {
            if name.contains("PROXY") && value == CANARY {
                // There it is the name of a host, which is told.
                continue;
            }
            let stage = Stage::new();
            run_all(&format!("{name}={value}"), &[], &stage, |command, _| {
                // A name that only a proxy could know, so that it is asked.
                let server = if name.contains("PROXY") { "ws://livekit.test" } else { "ws://127.0.0.1:1" };
                command.env("LIVEKIT_URL", server).env("LIVEKIT_API_KEY", "key");
                command.env("LIVEKIT_API_SECRET", "a secret of at least thirty-two letters");
                command.env(name, value);
            });
        }
    }
}

#[test]
fn secrets_in_arguments_are_shown_nowhere() {
    let inputs = Inputs::read();
    let all = [
        ("--url", &inputs.urls),
        ("--api-key", &inputs.secrets),
        ("--api-secret", &inputs.secrets),
        ("--token", &inputs.tokens),
        ("--proxy", &inputs.proxies),
    ];
    for (flag, values) in all {
        for value in values {
            let stage = Stage::new();
            run_all(&format!("{flag}={value}"), &[], &stage, |command, _| {
                if flag != "--url" {
                    command.env("LIVEKIT_URL", "ws://127.0.0.1:1");
                }
                command.env("LIVEKIT_API_KEY", "key");
                command.env("LIVEKIT_API_SECRET", "a secret of at least thirty-two letters");
                command.arg(format!("{flag}={value}"));
            });
        }
    }
    for text in &inputs.authorities {
        let stage = Stage::new();
        let file = stage.path().join("ca.pem");
        fs::write(&file, text).unwrap();
        run_all("--ca", std::slice::from_ref(&file), &stage, |command, args| {
            if args[0] != "token" {
                command.arg("--ca").arg(&file);
            }
            command.env("LIVEKIT_URL", "wss://127.0.0.1:1");
            command.env("LIVEKIT_API_KEY", "key");
            command.env("LIVEKIT_API_SECRET", "a secret of at least thirty-two letters");
        });
    }
}

#[test]
fn mistyped_flags_show_no_value() {
    let stage = Stage::new();
    let flag_with_value = format!("--quiet={CANARY}");
    let number_with_value = format!("5{CANARY}");
    for args in [
        vec!["token", "--api-secrt", CANARY],
        vec!["token", "--url", "ws://127.0.0.1:1", "--api-secret", CANARY, "--api-secret", CANARY],
        vec!["attach", "--token", CANARY, "--identity", "ada", "--room", "r"],
        vec!["attach", "--tokn", CANARY],
        vec!["doctor", "--api-key", CANARY, "--timeout", "never"],
        vec!["token", "--attribute", CANARY, "--url", "ws://127.0.0.1:1"],
        vec!["start", "--participant-attribute", CANARY],
        vec!["start", "--participant-attribute", "a=b", "--participant-attribute", CANARY],
        vec![CANARY],
        vec!["attach", CANARY],
        vec!["token", CANARY],
        vec!["status", CANARY],
        vec!["start", "agent.py", CANARY],
        vec!["doctor", "--api-secret", "a", CANARY],
        vec!["attach", "--room", CANARY, CANARY],
        vec!["status", &flag_with_value],
        vec!["say", "--timeout", CANARY, "hi"],
        vec!["say", "--timeout", &number_with_value, "hi"],
        vec!["start", "--idle-timeout", CANARY],
        vec!["start", "--port", CANARY],
        vec!["talk", "--echo-control", CANARY],
    ] {
        for json in [false, true] {
            let args: Vec<&str> = args.iter().copied().chain(json.then_some("--json")).collect();
            let outcome = stage.run(&args).code(2);
            hidden(&stage, &format!("{args:?}"), CANARY, &outcome, &[]);
        }
    }
}

#[test]
fn stand_ins_are_shown_nowhere() {
    let stage = Stage::new();
    let attribute = format!("key={CANARY}");
    let value = format!("{{\"key\": \"{CANARY}\"}}");
    for given in [
        ["--participant-identity", CANARY],
        ["--participant-name", CANARY],
        ["--participant-metadata", &value],
        ["--participant-attribute", &attribute],
        ["--participant-attribute", CANARY],
        ["--room-name", CANARY],
        ["--room-metadata", &value],
        ["--job-metadata", &value],
    ] {
        for file in ["nowhere.py", "main.js"] {
            fs::write(stage.path().join("main.js"), "").unwrap();
            for json in [false, true] {
                let mut args = vec!["start", file, given[0], given[1]];
                args.extend(json.then_some("--json"));
                let outcome = stage.run(&args);
                assert_ne!(outcome.code, Some(0), "{outcome:#?}");
                hidden(&stage, &format!("{args:?}"), CANARY, &outcome, &[]);
            }
        }
    }
}

#[test]
fn debug_forms_show_no_secret() {
    let inputs = Inputs::read();
    for url in &inputs.urls {
        let args = [
            "greenroom",
            "doctor",
            &format!("--url={url}"),
            &format!("--token={CANARY}"),
            &format!("--api-key={CANARY}"),
            &format!("--api-secret={CANARY}"),
            &format!("--proxy=http://ada:{CANARY}@127.0.0.1"),
        ];
        let text = format!("{:#?}", Args::try_parse_from(args).unwrap());
        assert_eq!(seen(text.as_bytes(), CANARY), None, "{text}");
        let text = format!("{:?}", greenroom_engine::JoinOptions::new(url.as_str(), CANARY));
        assert_eq!(seen(text.as_bytes(), CANARY), None, "{text}");
    }
}

#[test]
fn environment_of_an_agent_that_cannot_run_is_shown_nowhere() {
    let stage = Stage::new();
    let python = std::env::var("GREENROOM_TEST_PYTHON").unwrap();
    // It answers what it is asked, its environment too, and fails all the same.
    let script = stage.path().join("python-that-fails");
    fs::write(&script, format!("#!/bin/sh\n\"{python}\" \"$@\"\nexit 1\n")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for args in [vec!["start", "agent.py"], vec!["--json", "start", "agent.py"]] {
        let mut command = stage.command(&args);
        command.arg("--python").arg(&script).env("OPENAI_API_KEY", CANARY);
        let outcome = wait(command);
        assert_ne!(outcome.code, Some(0), "{outcome:#?}");
        hidden(&stage, "start", CANARY, &outcome, &[]);
    }
}

#[test]
fn environment_of_an_agent_is_shown_by_no_command() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let run = |args: &[&str]| {
        let mut command = stage.command(args);
        command.env("OPENAI_API_KEY", CANARY).env("LIVEKIT_API_SECRET", CANARY);
        let outcome = wait(command).ok();
        hidden(&stage, &format!("{args:?}"), CANARY, &outcome, &[]);
    };
    run(&["start", "agent.py", "--python", peer.to_str().unwrap()]);
    for args in [
        ["say", "hi"].as_slice(),
        &["status"],
        &["status", "--json"],
        &["list", "--json"],
        &["events", "--json"],
        &["history", "--json"],
        &["info", "--json"],
        &["logs"],
        &["restart"],
        &["end", "--history", "--logs"],
        &["list", "--all", "--json"],
    ] {
        run(args);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_of_a_room_is_shown_by_no_command() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let _agent = Agent::join(&venue, "agent").await;
    let file = stage.path().join(".env.local");
    let url = venue.server.url();
    let text = format!("LIVEKIT_URL={url}\nLIVEKIT_API_KEY={KEY}\nLIVEKIT_API_SECRET={SECRET}\n");
    fs::write(&file, text).unwrap();
    let planted = [file];
    let run = |args: &[&str]| {
        let mut command = stage.command(args);
        command.env("RUST_LOG", "trace");
        // The url is of this machine, so the proxy is not asked.
        command.env("HTTP_PROXY", format!("http://ada:{CANARY}@127.0.0.1:{}", free_port()));
        let outcome = wait(command).ok();
        for secret in [SECRET, CANARY] {
            hidden(&stage, &format!("{args:?}"), secret, &outcome, &planted);
        }
    };
    run(&["attach", "--room", &venue.name]);
    for args in [
        ["say", "hi"].as_slice(),
        &["status", "--json"],
        &["list", "--json"],
        &["events", "--json"],
        &["history", "--json"],
        &["info", "--json"],
        &["logs"],
        &["restart"],
        &["doctor", "--json", "--timeout", "5s"],
    ] {
        run(args);
    }
    let pid = stage.record().pid;
    run(&["end", "--logs"]);
    eventually("the daemon is gone", || !runs(pid));
    run(&["list", "--all", "--json"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_of_a_room_is_shown_by_no_command() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let _agent = Agent::join(&venue, "agent").await;
    let token = venue.manager_token("ada");
    let signature = token.rsplit('.').next().unwrap().to_owned();
    let refused = format!("{}{CANARY}", token.trim_end_matches(&signature));
    let run = |args: &[&str], token: &str| {
        let mut command = stage.command(args);
        command.env("RUST_LOG", "trace").env("LIVEKIT_TOKEN", token).env("LIVEKIT_URL", venue.server.url());
        let outcome = wait(command);
        for secret in [signature.as_str(), CANARY] {
            hidden(&stage, &format!("{args:?}"), secret, &outcome, &[]);
        }
        outcome
    };
    run(&["attach", "--timeout", "20s"], &refused).code(4);
    run(&["doctor", "--json", "--timeout", "5s"], &refused).code(4);
    run(&["attach"], &token).ok();
    run(&["status", "--json"], &token).ok();
    run(&["events", "--json"], &token).ok();
    run(&["restart"], &token).ok();
    run(&["end", "--logs"], &token).ok();
}
