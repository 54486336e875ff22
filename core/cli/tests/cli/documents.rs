//! What `--json` prints is what `tests/schema/cli.json` says.

use std::path::Path;

use serde_json::{Value, json};

use crate::stage::{Stage, wait};

fn schema(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/schema").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
pub(crate) fn is(definition: &str, document: &Value) {
    let mut schema_of_all = schema("cli.json");
    let session = schema("session.json");
    let definitions = schema_of_all["$defs"].as_object_mut().unwrap();
    definitions.extend(session["$defs"].as_object().unwrap().clone());
    schema_of_all["$ref"] = json!(format!("#/$defs/{definition}"));
    let validator = jsonschema::draft202012::new(&schema_of_all).unwrap();
    if let Err(error) = validator.validate(document) {
        panic!("{error}\nat {}\nin {document}", error.instance_path());
    }
}

#[test]
fn every_document_is_as_the_schema_says() {
    let stage = Stage::new();
    is("status", &stage.run(&["status", "--json"]).code(3).json());
    is("failure", &stage.run(&["say", "--json", "hi"]).code(3).json());
    is("failure", &stage.run(&["sya", "--json"]).code(2).json());
    is("list", &stage.json(&["list", "--json"]));
    let peer = greenroom_test_peer::binary();
    let mut command = stage.command(&["--json", "start", "--python", peer.to_str().unwrap()]);
    command.env("GREENROOM_PEER", "greet");
    let started = wait(command).ok().json();
    is("start", &started);
    assert_eq!(started["events"].as_array().unwrap().len(), 1);
    for text in ["hello", "silent", "flood 3", "hello"] {
        is("say", &stage.json(&["say", "--json", text]));
    }
    is("say", &stage.run(&["say", "--json", "fail"]).code(1).json());
    let status = stage.json(&["status", "--json"]);
    is("status", &status);
    assert_eq!(status["agent_id"], "peer");
    is("list", &stage.json(&["list", "--json"]));
    is("history", &stage.json(&["history", "--json"]));
    is("info", &stage.json(&["info", "--json"]));
    is("usage", &stage.json(&["usage", "--json"]));
    is("log_path", &stage.json(&["logs", "--path", "--json"]));
    is("say", &stage.json(&["say", "--json", "garbage"]));
    let mut failures = 0;
    for event in stage.run(&["events", "--json"]).ok().stdout.lines() {
        let event: Value = serde_json::from_str(event).unwrap();
        is("event", &event);
        if event["type"] == "error" {
            failures += 1;
            assert_eq!(event["text"], event["message"], "LiveKit's debugger calls it text");
        }
    }
    assert_eq!(failures, 1);
    for line in stage.run(&["logs", "--json"]).ok().stdout.lines() {
        is("log_line", &serde_json::from_str(line).unwrap());
    }
    is("start", &stage.json(&["restart", "--json"]));
    let ended = stage.json(&["end", "--json", "--history", "--logs"]);
    is("end", &ended);
    assert!(!ended["logs"].as_array().unwrap().is_empty());
}

#[test]
fn a_session_that_has_ended_by_itself_is_listed() {
    let stage = Stage::started();
    stage.run(&["say", "crash"]).code(3);
    let listed = stage.json(&["list", "--all", "--json"]);
    is("list", &listed);
    assert_eq!(listed["sessions"][0]["state"], "ended");
    is("status", &stage.run(&["status", "--json"]).code(3).json());
}
