//! The table of error codes, which every language reads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use greenroom_protocol::{Code, Error};
use serde_json::{Value, json};

/// `tests/errors.json`: codes with their exit codes and meanings.
fn table() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/errors.json");
    let table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    table["errors"].as_array().unwrap().clone()
}

#[test]
fn the_table_and_the_codes_are_the_same_both_ways() {
    let table = table();
    let theirs: BTreeMap<&str, u64> =
        table.iter().map(|row| (row["code"].as_str().unwrap(), row["exit_code"].as_u64().unwrap())).collect();
    assert_eq!(theirs.len(), table.len(), "a code stands twice");
    let ours: BTreeMap<&str, u64> =
        Code::ALL.iter().map(|code| (code.as_str(), u64::from(code.exit_code()))).collect();
    assert_eq!(ours, theirs);
    for row in &table {
        assert!(row["meaning"].as_str().is_some_and(|meaning| meaning.ends_with('.')), "{row}");
    }
}

#[test]
fn exit_codes_are_those_that_are_promised() {
    for code in Code::ALL {
        assert!(matches!(code.exit_code(), 1..=5 | 130), "{code}");
    }
}

#[test]
fn a_code_is_its_text_in_json_and_in_words() {
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert_eq!(serde_json::from_value::<Code>(json!(code.as_str())).unwrap(), *code);
        assert_eq!(code.to_string(), code.as_str());
    }
    serde_json::from_value::<Code>(json!("no_such_code")).unwrap_err();
}

#[test]
fn an_error_comes_back_from_json_as_it_went() {
    let plain = Error::new(Code::Timeout, "timed out; try again");
    assert_eq!(
        serde_json::to_value(&plain).unwrap(),
        json!({"code": "timeout", "message": "timed out; try again"})
    );
    assert_eq!(plain.to_string(), "timed out; try again");
    let detailed = plain.with_detail("the log's last line");
    let text = serde_json::to_string(&detailed).unwrap();
    assert_eq!(serde_json::from_str::<Error>(&text).unwrap(), detailed);
}
