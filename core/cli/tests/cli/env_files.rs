//! What people's `.env` files look like, and what `greenroom token` makes of them.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};

use crate::stage::{Outcome, Stage, wait};

const SECRET: &str = "a secret of at least thirty-two letters";
const GOOD: &str = "LIVEKIT_URL=ws://127.0.0.1:1\nLIVEKIT_API_KEY=key\nLIVEKIT_API_SECRET=a secret of at least thirty-two letters\n";

/// Whether this secret signed the token that was printed.
#[track_caller]
fn signed_by(outcome: &Outcome, secret: &str) {
    let token = outcome.stdout.trim();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(mac.verify_slice(&signature).is_ok(), "another secret than {secret:?} signed {outcome:?}");
}

fn token_of(file: &str, text: impl AsRef<[u8]>) -> Outcome {
    let stage = Stage::new();
    fs::write(stage.path().join(file), text).unwrap();
    stage.run(&["token"])
}

/// All three values in the environment.
fn with_environment(stage: &Stage, args: &[&str]) -> Command {
    let mut command = stage.command(args);
    command.env("LIVEKIT_URL", "ws://127.0.0.1:1").env("LIVEKIT_API_KEY", "key");
    command.env("LIVEKIT_API_SECRET", SECRET);
    command
}

/// Lines that others write into their files, which are not ours to judge.
const ODD_LINES: [&str; 16] = [
    "AGENT_NAME=Front Desk",
    "GREETING=Don't hang up",
    "PATH_X=C:\\Users\\me",
    "my-flag=1",
    "DEBUG",
    "KEY: v",
    "[section]",
    "\"b\" c",
    "OPEN=\"never closed",
    "OPEN='never closed",
    "A = 'x' y",
    "=nothing",
    "two words",
    "{\"json\": true}",
    "caf\u{e9}=1",
    "$(command)",
];

#[test]
fn env_file_with_lines_of_others_has_our_values() {
    for line in ODD_LINES {
        for text in
            [format!("{GOOD}{line}\n"), format!("{line}\n{GOOD}"), format!("{line}\r\n{GOOD}\r\n{line}")]
        {
            signed_by(&token_of(".env.local", text).ok(), SECRET);
        }
    }
    signed_by(&token_of(".env", format!("\u{feff}{GOOD}")).ok(), SECRET);
    signed_by(&token_of(".env", [b"NAME=caf\xe9\n", GOOD.as_bytes()].concat()).ok(), SECRET);
}

#[test]
fn secret_is_taken_byte_for_byte() {
    for secret in [
        "ab$cd12ab$ef",
        "xyz$",
        "ab\\ncd",
        "a\\b\\\\c\\",
        "ab#cd",
        "${HOME}x",
        "$(id)",
        "a=b==",
        "it's",
        "a\"b",
        "%41",
    ] {
        let file = |value: &str| GOOD.replace(SECRET, value);
        signed_by(&token_of(".env.local", file(secret)).ok(), secret);
        signed_by(
            &token_of(".env.local", file(&format!("'{secret}'")).replace("'it's'", "it's")).ok(),
            secret,
        );
    }
    signed_by(&token_of(".env", GOOD.replace(SECRET, "\"two\\nlines\"")).ok(), "two\nlines");
}

#[test]
fn cr_alone_ends_a_line() {
    signed_by(&token_of(".env", GOOD.replace('\n', "\r")).ok(), SECRET);
}

#[test]
fn unreadable_line_is_named_only_where_its_value_is_missing() {
    let missing = GOOD.replace("LIVEKIT_API_SECRET=", "LIVEKIT_API_SECRET=\"");
    let outcome = token_of(".env.local", &missing).code(2).told("LIVEKIT_API_KEY but no LIVEKIT_API_SECRET");
    let outcome = outcome.told(".env.local cannot be read in line 3 (its quote is not closed)");
    assert!(!outcome.stderr.contains("letters"), "{outcome:?}");
    // Also where the pair for development would do without.
    let open = "LIVEKIT_URL=ws://127.0.0.1:1\n\nLIVEKIT_API_KEY='key\n";
    token_of(".env", open).code(2).told(".env cannot be read in line 3");
    let swallowed = format!("HELLO=\"hi\n{GOOD}LAST=\"\n");
    let outcome = token_of(".env", swallowed).code(2).told("lines 1 to 5 of").told("LIVEKIT_URL inside");
    assert!(!outcome.stderr.contains("letters"), "{outcome:?}");
    token_of(".env", GOOD.replace(SECRET, "")).code(2).told("line 3 of").told("to nothing");
    // Another's line is another's business.
    token_of(".env", "LIVEKIT_URL=ws://127.0.0.1:1\nOPEN=\"never\n").ok().told("pair for development");
}

#[test]
fn quote_that_closes_below_the_secret_is_an_error_without_it() {
    let text = "LIVEKIT_URL=\"ws://127.0.0.1:1\nLIVEKIT_API_KEY=key\nLIVEKIT_API_SECRET=hunter2\nLAST=\"\n";
    for args in [["token"].as_slice(), &["doctor"], &["attach", "--room", "r"], &["token", "--json"]] {
        let stage = Stage::new();
        fs::write(stage.path().join(".env.local"), text).unwrap();
        let outcome = stage.run(args).code(2);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!said.contains("hunter2") && !said.contains("=key"), "{said}");
        for part in ["LIVEKIT_URL", ".env.local, lines 1 to 4, in one pair of quotes", "character 17"] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }
}

#[test]
fn file_that_is_none_is_named_where_a_value_is_missing() {
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [&[0xff, 0xfe], utf16.as_slice()].concat();
    let utf16 = utf16.as_slice();
    for (what, why) in [("folder", "it is a folder"), ("UTF-16", "it is UTF-16; save it as UTF-8")] {
        for file in [".env.local", ".env"] {
            let stage = Stage::new();
            let path = stage.path().join(file);
            match what {
                "folder" => fs::create_dir(&path).unwrap(),
                _ => fs::write(&path, utf16).unwrap(),
            }
            let named = format!("{file} cannot be read: {why}");
            stage.run(&["token"]).code(2).told("no url of a LiveKit server").told(&named);
            stage.run(&["token", "--url", "wss://192.0.2.1"]).code(2).told("LIVEKIT_API_SECRET").told(&named);
            // All is elsewhere.
            wait(with_environment(&stage, &["token"])).ok();
            let dev = stage.run(&["token", "--url", "ws://127.0.0.1:1"]);
            if what == "folder" {
                // Such as a virtual environment of that name.
                dev.ok().told("pair for development").told(&named);
            } else {
                dev.code(2).told(&named);
            }
        }
    }
    let stage = Stage::new();
    fs::create_dir(stage.path().join(".env.local")).unwrap();
    fs::write(stage.path().join(".env"), GOOD).unwrap();
    signed_by(&stage.run(&["token"]).ok(), SECRET);
}

#[cfg(unix)]
#[test]
fn link_to_nothing_is_named_where_a_value_is_missing() {
    let stage = Stage::new();
    std::os::unix::fs::symlink("/not/there", stage.path().join(".env.local")).unwrap();
    let named = ".env.local cannot be read: it is a link to a file that is not there";
    stage.run(&["token"]).code(2).told(named);
    stage.run(&["token", "--url", "ws://127.0.0.1:1"]).code(2).told(named);
    wait(with_environment(&stage, &["token"])).ok();
    fs::write(stage.path().join(".env"), GOOD).unwrap();
    signed_by(&stage.run(&["token"]).ok(), SECRET);
}

#[cfg(unix)]
mod pipes {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn pipe(stage: &Stage) -> PathBuf {
        let path = stage.path().join(".env.local");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    /// Writes once somebody reads, in parts as password managers may.
    fn fill(path: &Path) -> mpsc::Receiver<()> {
        let (sender, filled) = mpsc::channel();
        let path = path.to_owned();
        std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
            let _ = sender.send(());
            let (first, second) = GOOD.split_at(40);
            // A reader that has what it wants may be gone.
            let _ = pipe.write_all(first.as_bytes());
            let _ = pipe.write_all(second.as_bytes());
        });
        filled
    }

    #[test]
    fn env_file_that_is_a_named_pipe_is_read_once() {
        for args in [["token"].as_slice(), &["token", "--grant", "canManageAgentSession"]] {
            let stage = Stage::new();
            fill(&pipe(&stage));
            signed_by(&stage.run(args).ok(), SECRET);
        }
        let stage = Stage::new();
        fill(&pipe(&stage));
        let report = stage.run(&["doctor", "--json", "--timeout", "5s"]).code(3).json();
        assert_eq!(report["url"], "ws://127.0.0.1:1/");
    }

    #[test]
    fn named_pipe_without_a_writer_is_an_error_that_names_it() {
        let stage = Stage::new();
        pipe(&stage);
        let named = ".env.local cannot be read: it is a named pipe, and nothing wrote to it within 3 s";
        stage.run(&["token"]).code(2).told(named);
        stage.run(&["token", "--url", "ws://127.0.0.1:1"]).code(2).told("no LIVEKIT_API_KEY").told(named);
    }

    #[test]
    fn named_pipe_is_not_opened_where_the_environment_has_all() {
        let stage = Stage::new();
        let path = pipe(&stage);
        let filled = fill(&path);
        for args in [["token"].as_slice(), &["token", "--json"], &["doctor", "--timeout", "1s"]] {
            let outcome = wait(with_environment(&stage, args));
            assert!(!outcome.stderr.contains(".env.local"), "{outcome:?}");
        }
        assert!(filled.try_recv().is_err(), "it was opened");
        // Lets the writer go.
        fs::read(path).unwrap();
        filled.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn public_url_of_a_file_goes_before_an_internal_one_of_the_environment() {
    let stage = Stage::new();
    fs::write(stage.path().join(".env"), "LIVEKIT_PUBLIC_URL=wss://demo.livekit.cloud\n").unwrap();
    let url = |own: &str| {
        let mut command = with_environment(&stage, &["token", "--json"]);
        command.env("LIVEKIT_URL", own);
        wait(command).ok().json()["url"].clone()
    };
    assert_eq!(url("ws://livekit:7880"), "wss://demo.livekit.cloud/");
    assert_eq!(url("wss://other.livekit.cloud"), "wss://other.livekit.cloud/");
}

#[test]
fn secret_that_was_copied_with_more_is_doubted_by_its_character() {
    for (secret, what) in [
        (format!("{SECRET}\n"), "character 40 of 40 of LIVEKIT_API_SECRET (environment) is a line break"),
        (format!("\"{SECRET}\""), "character 1 of 41 of LIVEKIT_API_SECRET (environment) is a double quote"),
        (format!(" {SECRET}"), "is a blank"),
        (format!("\u{feff}{SECRET}"), "is a byte order mark"),
    ] {
        let stage = Stage::new();
        let mut command = with_environment(&stage, &["token"]);
        command.env("LIVEKIT_API_SECRET", &secret);
        let outcome = wait(command).ok().told(what);
        assert!(!outcome.stderr.contains(SECRET), "{outcome:?}");
        signed_by(&outcome, &secret);
        let mut command = with_environment(&stage, &["token", "--json"]);
        command.env("LIVEKIT_API_KEY", &secret);
        let doubts = wait(command).ok().json()["doubts"].clone();
        assert!(doubts[0].as_str().unwrap().contains("LIVEKIT_API_KEY"), "{doubts}");
    }
}
