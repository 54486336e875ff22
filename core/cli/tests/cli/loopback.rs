//! Who may speak to a session over its port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Stage, eventually, wait};

const PREAMBLE: &[u8] = &greenroom_engine::CONTROL_PREAMBLE;

/// A raw connection of whoever finds the port.
struct Raw(TcpStream);

impl Raw {
    fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(stream)
    }

    fn control(port: u16) -> Self {
        let mut raw = Self::to(port);
        raw.0.write_all(PREAMBLE).unwrap();
        raw
    }

    fn send(&mut self, request: &Value) {
        let body = request.to_string();
        self.0.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        self.0.write_all(body.as_bytes()).unwrap();
    }

    /// The next reply; None when the daemon has hung up.
    fn receive(&mut self) -> Option<Value> {
        let mut prefix = [0; 4];
        self.0.read_exact(&mut prefix).ok()?;
        let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    fn is_hung_up_on(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
            || self.0.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }
}

fn token(stage: &Stage) -> Value {
    let record = std::fs::read(stage.home().join("default/session.json")).unwrap();
    serde_json::from_slice::<Value>(&record).unwrap()["token"].clone()
}

fn welcomed(stage: &Stage) -> Raw {
    let mut raw = Raw::control(stage.record().port);
    raw.send(&json!({ "id": 0, "op": "hello", "token": token(stage), "version": 1 }));
    assert!(raw.receive().unwrap()["ok"]["end_of_events"].is_u64());
    raw
}

#[test]
fn wrong_token() {
    let stage = Stage::started();
    for wrong in [json!("0".repeat(64)), json!(""), json!(7), Value::Null] {
        let mut raw = Raw::control(stage.record().port);
        raw.send(&json!({ "id": 3, "op": "hello", "token": wrong, "version": 1 }));
        let reply = raw.receive().unwrap();
        assert!(
            reply["error"]["code"] == "permission_denied" || reply["error"]["code"] == "invalid_argument",
            "{reply}"
        );
        assert!(raw.is_hung_up_on());
    }
    let log = std::fs::read_to_string(stage.home().join("default/daemon.log")).unwrap();
    assert!(log.contains("a control connection was refused"), "{log}");
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn a_request_before_the_hello() {
    let stage = Stage::started();
    let mut raw = Raw::control(stage.record().port);
    raw.send(&json!({ "id": 1, "op": "history" }));
    assert_eq!(raw.receive().unwrap()["error"]["code"], "permission_denied");
    assert!(raw.is_hung_up_on());
}

#[test]
fn a_hello_that_does_not_come() {
    let stage = Stage::started();
    let mut raw = Raw::control(stage.record().port);
    let begun = Instant::now();
    assert_eq!(raw.receive().unwrap()["error"]["code"], "permission_denied");
    assert!(raw.is_hung_up_on());
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn frames_that_are_too_long_or_no_json() {
    let stage = Stage::started();
    let mut stranger = Raw::control(stage.record().port);
    stranger.0.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert_eq!(stranger.receive().unwrap()["error"]["code"], "too_large");
    assert!(stranger.is_hung_up_on());

    let mut friend = welcomed(&stage);
    friend.0.write_all(&3_u32.to_be_bytes()).unwrap();
    friend.0.write_all(b"{ ]").unwrap();
    assert_eq!(friend.receive().unwrap()["error"]["code"], "invalid_argument");
    friend.send(&json!({ "id": 5, "op": "ping" }));
    assert_eq!(friend.receive().unwrap()["ok"]["answer"], "done", "the connection goes on");
    friend.0.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert_eq!(friend.receive().unwrap()["error"]["code"], "too_large");
    assert!(friend.is_hung_up_on());
    stage.run(&["say", "hello"]).ok();
}

#[test]
fn an_operation_that_the_daemon_does_not_know() {
    let stage = Stage::started();
    let mut raw = welcomed(&stage);
    raw.send(&json!({ "id": 9, "op": "levitate" }));
    let reply = raw.receive().unwrap();
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&9.into(), &"invalid_argument".into()));
    assert!(reply["error"]["message"].as_str().unwrap().contains("greenroom restart"), "{reply}");
}

#[test]
fn a_client_of_another_version() {
    let stage = Stage::started();
    let mut raw = Raw::control(stage.record().port);
    raw.send(&json!({ "id": 0, "op": "hello", "token": token(&stage), "version": 99 }));
    let error = raw.receive().unwrap()["error"].clone();
    assert_eq!(error["code"], "unsupported");
    assert!(error["message"].as_str().unwrap().contains("newer"), "{error}");
}

#[test]
fn answers_find_their_requests() {
    let stage = Stage::started();
    let mut raw = welcomed(&stage);
    raw.send(&json!({ "id": 21, "op": "say", "text": "slow 100" }));
    raw.send(&json!({ "id": 22, "op": "say", "text": "hang" }));
    raw.send(&json!({ "id": 23, "op": "status" }));
    raw.send(&json!({ "id": 23, "op": "cancel", "call": 22 }));
    let mut ends = std::collections::BTreeMap::new();
    while ends.len() < 3 {
        let reply = raw.receive().unwrap();
        ends.insert(reply["id"].as_u64().unwrap(), reply);
    }
    assert_eq!(ends[&21]["ok"]["reply"], "echo: slow 100");
    assert_eq!(ends[&22]["error"]["code"], "cancelled");
    assert_eq!(ends[&23]["status"]["state"], "in_turn");
}

#[test]
fn a_stranger_connecting_first() {
    let stage = Stage::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = free.to_string();
    let peer = greenroom_test_peer::binary();
    // It connects as soon as there is a port, well before the agent, and says nothing, as an agent might.
    let strange = std::thread::spawn(move || {
        let begun = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", free)) {
                Ok(stream) => return stream,
                Err(_) => assert!(begun.elapsed() < Duration::from_secs(20)),
            }
        }
    });
    wait(stage.command(&["start", "--port", &port, "--python", peer.to_str().unwrap()])).ok();
    let mut stranger = Raw(strange.join().unwrap());
    stranger.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(stranger.is_hung_up_on());
    stage.run(&["say", "hello"]).ok().printed("echo: hello");
    eventually("the status tells", || stage.json(&["status", "--json"])["refused_connections"] == 1);
}

#[test]
fn who_hangs_up_gives_its_turn_up() {
    let stage = Stage::started();
    let mut raw = welcomed(&stage);
    raw.send(&json!({ "id": 1, "op": "say", "text": "hang" }));
    eventually("the turn is under way", || stage.in_turn());
    drop(raw);
    eventually("the turn is given up", || !stage.in_turn());
}
