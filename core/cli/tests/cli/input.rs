//! Bad input: each has an error that names it and the way out, and an exit code, in JSON too.

use std::process::Command;

use crate::stage::{Outcome, Stage, wait, wait_with};

/// The error, as text and as JSON, has the exit code and these parts.
#[track_caller]
fn refused(stage: &Stage, args: &[&str], code: i32, name: &str, parts: &[&str]) {
    let plain = stage.run(args).code(code);
    let mut with_json = vec!["--json"];
    with_json.extend(args);
    let json = stage.run(&with_json).code(code);
    check(&plain, &json, name, parts);
}

#[track_caller]
fn check(plain: &Outcome, json: &Outcome, name: &str, parts: &[&str]) {
    assert_eq!(plain.stdout, "", "errors are no data: {plain:?}");
    let document = json.json();
    assert_eq!(document["error"]["code"], name, "{document}");
    let told = document["error"].to_string();
    for part in parts {
        assert!(plain.stderr.contains(part), "no {part:?} in {plain:?}");
        let escaped = serde_json::to_string(part).unwrap();
        assert!(told.contains(escaped.trim_matches('"')), "no {part:?} in {document}");
    }
}

#[test]
fn no_such_file() {
    let stage = Stage::new();
    refused(&stage, &["start", "nowhere.py"], 2, "entry_not_found", &["nowhere.py", "does not exist"]);
}

#[test]
fn no_file_at_all() {
    let stage = Stage::new();
    std::fs::remove_file(stage.path().join("agent.py")).unwrap();
    refused(&stage, &["start"], 2, "entry_not_found", &["no agent file was named", "name the file"]);
}

#[test]
fn a_directory() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path().join("folder")).unwrap();
    refused(&stage, &["start", "folder"], 2, "entry_not_found", &["folder", "is a folder"]);
}

#[test]
fn an_agent_of_neither_sdk() {
    let stage = Stage::new();
    std::fs::write(stage.path().join("agent.rb"), "").unwrap();
    refused(&stage, &["start", "agent.rb"], 2, "not_an_agent", &["agent.rb", "Python file (.py)"]);
}

#[test]
fn a_file_that_defines_no_agent() {
    let Some(stage) = with_node_sdk("export const shop = 'closed';\n") else { return };
    refused(&stage, &["start", "agent.mjs"], 2, "not_an_agent", &["agent.mjs", "defines no agent"]);
}

#[test]
fn a_syntax_error_in_the_file() {
    let Some(stage) = with_node_sdk("import {\n") else { return };
    refused(&stage, &["start", "agent.mjs"], 3, "agent_failed_to_start", &["agent.mjs", "SyntaxError"]);
}

/// A stage with this agent.mjs and the released SDK, if `GREENROOM_TEST_NODE_MODULES` says where that is; on CI it has to.
fn with_node_sdk(text: &str) -> Option<Stage> {
    let modules = std::env::var_os("GREENROOM_TEST_NODE_MODULES");
    assert!(
        modules.is_some() || std::env::var_os("CI").is_none(),
        "GREENROOM_TEST_NODE_MODULES has to be set on CI"
    );
    let modules = std::path::absolute(modules?).unwrap();
    let stage = Stage::new();
    std::os::unix::fs::symlink(modules, stage.path().join("node_modules")).unwrap();
    std::fs::write(stage.path().join("agent.mjs"), text).unwrap();
    Some(stage)
}

#[test]
fn an_interpreter_that_is_not_there() {
    let stage = Stage::new();
    refused(&stage, &["start", "--python", "./no/python"], 2, "interpreter_not_found", &["no/python"]);
}

#[test]
fn a_crash_before_connect() {
    let stage = Stage::new();
    let peer = greenroom_test_peer::binary();
    let mut command = stage.command(&["start", "--python", peer.to_str().unwrap()]);
    command.env("GREENROOM_PEER", "crash");
    wait(command).code(3).told("agent.py").told("ValueError: crash on purpose");
    // What it said can still be read.
    stage.run(&["logs"]).ok().printed("ValueError: crash on purpose");
    stage.run(&["say", "hi"]).code(3).told("the session default has ended");
}

#[test]
fn a_second_start_of_a_live_name() {
    let stage = Stage::started();
    let port = stage.record().port;
    let running = format!("a session is already running on 127.0.0.1:{port}");
    refused(&stage, &["start", "agent.py"], 2, "already_running", &[&running, "greenroom end"]);
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn empty_text() {
    let stage = Stage::started();
    for text in ["", "  \n "] {
        refused(&stage, &["say", text], 2, "invalid_argument", &["the text to say is empty"]);
    }
    wait_with(stage.command(&["say"]), b"\n").code(2).told("the text to say is empty");
    stage.run(&["say"]).code(2).told("the text to say is empty");
}

#[test]
fn text_over_the_frame_cap() {
    let stage = Stage::started();
    let too_long = "x".repeat((1 << 20) + 1);
    wait_with(stage.command(&["say"]), too_long.as_bytes()).code(1).told("1048577 bytes").told("1048576");
    // It fits the command, but not the message around it.
    let just_too_long = "x".repeat((1 << 20) - 1);
    wait_with(stage.command(&["say"]), just_too_long.as_bytes()).code(1).told("1048575 bytes");
    // The longest text arrives, though each byte of it takes six in JSON.
    let long = "\u{1}".repeat((1 << 20) - 200);
    let echoed = wait_with(stage.command(&["say", "--json"]), long.as_bytes()).ok().json();
    assert_eq!(echoed["reply"].as_str().map(str::len), Some("echo: ".len() + long.len()));
}

#[test]
fn stdin_that_is_not_utf_8() {
    let stage = Stage::new();
    let plain = wait_with(stage.command(&["say"]), b"caf\xe9").code(2);
    let json = wait_with(stage.command(&["say", "--json"]), b"caf\xe9").code(2);
    check(&plain, &json, "invalid_argument", &["standard input is not UTF-8", "byte 3"]);
}

#[test]
fn a_session_name_with_slashes() {
    let stage = Stage::new();
    for name in ["../evil", "a/b", ".hidden", "", "naïve", "a b"] {
        refused(
            &stage,
            &["status", "--name", name],
            2,
            "invalid_argument",
            &["cannot name a session", "1 to 64"],
        );
    }
    refused(&stage, &["status", "--name", "a/b"], 2, "invalid_argument", &["\"a/b\"", "'/'"]);
}

#[test]
fn a_session_name_of_400_characters() {
    let stage = Stage::new();
    let name = "n".repeat(400);
    refused(&stage, &["start", "--name", &name], 2, "invalid_argument", &["400 characters long", "1 to 64"]);
    stage.run(&["start", "--name", &"n".repeat(64), "nowhere.py"]).code(2).told("does not exist");
}

#[test]
fn an_unknown_session() {
    let stage = Stage::new();
    for command in ["say hi", "end", "history", "events", "logs", "info", "usage", "restart"] {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.extend(["--name", "ghost"]);
        refused(&stage, &args, 3, "no_session", &["there is no session ghost", "greenroom start -n ghost"]);
    }
    stage.run(&["status", "--name", "ghost"]).code(3).told("there is no session ghost");
    let status = stage.run(&["status", "--name", "ghost", "--json"]).code(3).json();
    assert_eq!((&status["running"], &status["error"]["code"]), (&false.into(), &"no_session".into()));
}

#[test]
fn an_unknown_or_misspelt_command_or_flag() {
    let stage = Stage::new();
    refused(&stage, &["sya", "hi"], 2, "invalid_argument", &["unrecognized subcommand 'sya'", "'say'"]);
    refused(&stage, &["statsu"], 2, "invalid_argument", &["'status'"]);
    refused(&stage, &["dance"], 2, "invalid_argument", &["unrecognized subcommand 'dance'"]);
    refused(&stage, &["start", "--prot", "1"], 2, "invalid_argument", &["--prot", "--port"]);
    refused(&stage, &["say", "--loud", "hi"], 2, "invalid_argument", &["--loud"]);
    stage.run(&[]).code(2);
    stage.run(&["--help"]).ok().printed("Exit codes:");
}

#[test]
fn a_bad_duration() {
    let stage = Stage::new();
    for bad in ["soon", "5", "-3s", "", "9999999y", "0s"] {
        let timeout = format!("--timeout={bad}");
        refused(&stage, &["say", &timeout, "hi"], 2, "invalid_argument", &["--timeout"]);
    }
    refused(
        &stage,
        &["start", "--idle-timeout", "5 parsecs"],
        2,
        "invalid_argument",
        &["--idle-timeout", "90s"],
    );
}

#[test]
fn a_port_out_of_range() {
    let stage = Stage::new();
    for port in ["0", "65536", "-1", "http"] {
        let port = format!("--port={port}");
        refused(&stage, &["start", &port], 2, "invalid_argument", &["--port"]);
    }
}

#[test]
fn a_port_in_use() {
    let stage = Stage::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let peer = greenroom_test_peer::binary();
    let args = ["start", "--port", &port, "--python", peer.to_str().unwrap()];
    refused(&stage, &args, 3, "io", &[&port, "is in use"]);
    drop(taken);
    stage.run(&args).ok();
    assert_eq!(stage.record().port.to_string(), port);
}

#[test]
fn daemon_run_by_hand() {
    let stage = Stage::new();
    refused(&stage, &["daemon"], 2, "invalid_argument", &["not by hand", "greenroom start"]);
}

#[test]
fn no_home() {
    let stage = Stage::new();
    let temporary = stage.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let peer = greenroom_test_peer::binary();
    let run = |args: &[&str]| {
        let mut command = stage.command(args);
        command.env_clear().env("TMPDIR", &temporary).env("PATH", "/usr/bin:/bin");
        wait(command)
    };
    run(&["start", "--python", peer.to_str().unwrap()]).ok();
    run(&["say", "hello"]).ok().printed("echo: hello");
    run(&["end"]).ok();
    let folders: Vec<_> = std::fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    assert_eq!(mode(&folders[0]), 0o700);
}

#[test]
fn a_state_folder_that_others_can_write_to() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    std::fs::create_dir(stage.home()).unwrap();
    std::fs::set_permissions(stage.home(), std::fs::Permissions::from_mode(0o777)).unwrap();
    refused(
        &stage,
        &["list"],
        4,
        "permission_denied",
        &["can be written to by other users", "GREENROOM_HOME"],
    );
}

#[test]
fn nothing_secret_can_be_read_by_others() {
    let stage = Stage::started();
    let folder = stage.home().join("default");
    assert_eq!(mode(&folder), 0o700);
    for file in std::fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let record = std::fs::read_to_string(folder.join("session.json")).unwrap();
    let token =
        serde_json::from_str::<serde_json::Value>(&record).unwrap()["token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 64);
    let shown = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&shown.stdout).contains(&token), "the token is in no command line");
    for log in ["daemon.log", "agent.log"] {
        assert!(!std::fs::read_to_string(folder.join(log)).unwrap().contains(&token));
    }
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn text_that_begins_with_a_hyphen_is_said() {
    let stage = Stage::started();
    for (args, text) in [
        (["say", "-5"].as_slice(), "-5"),
        (&["say", "- milk"], "- milk"),
        (&["say", "hello", "-5"], "hello -5"),
        (&["say", "-milk"], "-milk"),
        (&["say", "--", "--json"], "--json"),
    ] {
        stage.run(args).ok().printed(&format!("echo: {text}\n"));
    }
    let turn = stage.run(&["say", "-5", "--json"]).ok().json();
    assert_eq!(turn["reply"], "echo: -5");
    stage.run(&["say", "hello", "--tiemout", "5s"]).code(2).told("--timeout");
}
