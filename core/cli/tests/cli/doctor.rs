//! `greenroom doctor`: what it finds, what it advises, and its exit codes.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::front::{Authority, ConnectProxy, answering, dropping_upgrade, tls_before, under_a_path};
use crate::server::{KEY, SECRET, Server, free_port, free_udp_port, usual_config};
use crate::stage::{Outcome, Stage, wait};
use crate::venue::Venue;

fn run(stage: &Stage, url: &str, more: &[&str]) -> Outcome {
    let mut command = stage.command(&[&["doctor", "--url", url, "--timeout", "5s"], more].concat());
    command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    wait(command)
}

/// The outcomes of a report, by step.
fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| (step["name"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap()
}

#[test]
fn a_server_that_is_well() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let url = venue.server.url();
    let report = run(&stage, &url, &["--json", "--room", &venue.name]).ok().json();
    assert_eq!(report["is_well"], true);
    let expected = [
        ("dns", "ok"),
        ("connect", "ok"),
        ("tls", "skipped"),
        ("signal", "ok"),
        ("token", "ok"),
        ("grant", "ok"),
        ("media", "ok"),
        ("tcp", "skipped"),
        ("turn", "skipped"),
    ];
    assert_eq!(outcomes(&report), expected);
    run(&stage, &url, &[]).ok().printed("✓ signal").told("Nothing stands in the way.");
}

#[test]
fn the_ways_of_those_who_have_no_udp_are_tried_too() {
    let stage = Stage::new();
    let (tcp, turn) = (free_port(), free_udp_port());
    let config = usual_config().replace("tcp_port: 0", &format!("tcp_port: {tcp}"));
    let relays = "allow_restricted_peer_cidrs: [127.0.0.0/8]";
    let server = Server::start(format!(
        "{config}turn:\n  enabled: true\n  bind_addresses: [\"127.0.0.1\"]\n  {relays}\n  udp_port: {turn}\n"
    ));
    let report = run(&stage, &server.url(), &["--json"]).ok().json();
    assert_eq!(outcomes(&report)[6..], [("media", "ok"), ("tcp", "ok"), ("turn", "ok")]);
    assert!(step(&report, "media")["found"].as_str().unwrap().contains("by UDP"), "{report}");
    assert!(step(&report, "tcp")["found"].as_str().unwrap().contains(&tcp.to_string()), "{report}");

    // One that is named, and relays nothing.
    let nobody =
        format!("{{host: 127.0.0.1, port: {}, protocol: udp, username: u, credential: p}}", free_udp_port());
    let config = usual_config().replace("tcp_port: 0", &format!("tcp_port: 0\n  turn_servers: [{nobody}]"));
    let server = Server::start(config);
    let report = run(&stage, &server.url(), &["--json"]).ok().json();
    assert_eq!(outcomes(&report)[7..], [("tcp", "skipped"), ("turn", "warning")]);
    assert!(step(&report, "turn")["advice"].as_str().unwrap().contains("firewall"), "{report}");
}

#[test]
fn what_stands_in_the_way_is_said_with_what_to_do() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let report = run(&stage, "ws://nobody.invalid", &["--json"]).code(3).json();
    assert_eq!((outcomes(&report)[0], outcomes(&report)[1]), (("dns", "failed"), ("connect", "skipped")));
    assert!(step(&report, "dns")["advice"].as_str().unwrap().contains("spelling"), "{report}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let report = run(&stage, &format!("ws://{nobody}"), &["--json"]).code(3).json();
    assert_eq!(outcomes(&report)[1], ("connect", "failed"));

    // A server without TLS.
    let url = venue.server.url().replace("ws://", "wss://");
    let report = run(&stage, &url, &["--json"]).code(3).json();
    assert_eq!(outcomes(&report)[2], ("tls", "failed"));
    assert!(step(&report, "tls")["advice"].as_str().unwrap().contains("ws://"), "{report}");

    let mut foreign = stage.command(&["doctor", "--json", "--url", &venue.server.url()]);
    foreign.env("LIVEKIT_API_KEY", "other").env("LIVEKIT_API_SECRET", "of another server, thirty-two long");
    let report = wait(foreign).code(4).json();
    assert_eq!(outcomes(&report)[4..6], [("token", "failed"), ("grant", "skipped")]);

    let mut ungranted = stage.command(&["doctor", "--json", "--url", &venue.server.url()]);
    ungranted.env("LIVEKIT_TOKEN", venue.token("eve"));
    let report = wait(ungranted).code(4).json();
    assert_eq!(outcomes(&report)[4..7], [("token", "ok"), ("grant", "failed"), ("media", "ok")]);
    assert_eq!(report["is_well"], false);
}

#[test]
fn without_a_token_the_rest_is_looked_at() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let mut half = stage.command(&["doctor", "--json", "--url", &venue.server.url()]);
    half.env("LIVEKIT_API_KEY", KEY);
    let report = wait(half).ok().json();
    assert_eq!(outcomes(&report)[3..5], [("signal", "ok"), ("token", "skipped")]);
    assert!(step(&report, "token")["found"].as_str().unwrap().contains("no LIVEKIT_API_SECRET"), "{report}");
}

#[test]
fn another_server_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    });
    let stage = Stage::new();
    let report = run(&stage, &url, &["--json"]).code(3).json();
    assert_eq!(outcomes(&report)[3], ("signal", "failed"));
    assert_eq!(step(&report, "signal")["code"], json!("protocol_error"));
    server.join().unwrap();
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let stage = Stage::new();
    stage.run(&["doctor"]).code(2).told("no url of a LiveKit server");
    stage.run(&["doctor", "--url", "localhost"]).code(2).told("not the url of a LiveKit server");
    let doctor = ["doctor", "--url", "wss://nobody.invalid"];
    for (more, what) in [
        (["--ca", "missing.pem"], "missing.pem"),
        (["--proxy", "nonsense"], "no url of an HTTP proxy"),
        (["--proxy", "http://ada:hunter2@proxy.example.com"], "set it in HTTPS_PROXY"),
    ] {
        let outcome = stage.run(&[&doctor[..], &more].concat()).code(2).told(what);
        assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_and_with_an_authority_of_its_own() {
    let (stage, venue, authority) = (Stage::new(), Venue::new(), Authority::new());
    let front = tls_before(venue.server.address(), &authority).await;
    // Only the proxy knows the name.
    let proxy = ConnectProxy::start_open(&[("turn.test:443", front)]).await;
    let file = stage.path().join("ca.pem");
    std::fs::write(&file, &authority.ca).unwrap();
    let (url, file, through) = ("wss://turn.test", file.to_str().unwrap(), proxy.url());
    let well = [
        ("dns", "ok"),
        ("connect", "ok"),
        ("tls", "ok"),
        ("signal", "ok"),
        ("token", "ok"),
        ("grant", "ok"),
        ("media", "ok"),
    ];
    let report = run(&stage, url, &["--json", "--ca", file, "--proxy", &through]).ok().json();
    assert_eq!(outcomes(&report)[..7], well);
    let found = step(&report, "connect")["found"].as_str().unwrap();
    assert!(
        through.contains(found.split(' ').nth(2).unwrap()) && found.contains("turn.test:443"),
        "{report}"
    );

    let mut by_environment = stage.command(&["doctor", "--json", "--url", url]);
    by_environment.env("ALL_PROXY", &through).env("SSL_CERT_FILE", file);
    by_environment.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    assert_eq!(outcomes(&wait(by_environment).ok().json())[..7], well);

    let report = run(&stage, url, &["--json", "--proxy", &through]).code(3).json();
    assert_eq!(outcomes(&report)[2..4], [("tls", "failed"), ("signal", "skipped")]);
    assert!(step(&report, "tls")["advice"].as_str().unwrap().contains("--ca"), "{report}");

    // One that does not know the name, and one that is not there.
    let ignorant = ConnectProxy::start_open(&[]).await.url();
    for proxy in [ignorant, format!("http://127.0.0.1:{}", free_port())] {
        let report = run(&stage, url, &["--json", "--proxy", &proxy]).code(3).json();
        assert_eq!(outcomes(&report)[..2], [("dns", "ok"), ("connect", "failed")]);
        let step = step(&report, "connect");
        let at = proxy.strip_prefix("http://").unwrap();
        assert!(step["found"].as_str().unwrap().contains(at), "{report}");
        assert!(step["advice"].as_str().unwrap().contains("--proxy"), "{report}");
    }
}

/// What a report says of the step that failed.
fn failed(report: &Value) -> (&str, &str, &str) {
    let steps = report["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["outcome"] == "failed").unwrap_or_else(|| panic!("{report}"));
    (step["name"].as_str().unwrap(), step["found"].as_str().unwrap(), step["advice"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn front_before_the_server_is_named_as_the_cause() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let of = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let moved = "Location: https://livekit.test/rtc/v1\r\n";
    for (front, found, advice) in [
        (answering(&of("503 Service Unavailable", "", "")).await, "503 Service Unavailable", "reaches none"),
        (answering(&of("429 Too Many Requests", "", "")).await, "429 Too Many Requests", "too many requests"),
        (
            answering(&of("301 Moved Permanently", moved, "")).await,
            "301",
            "use wss://livekit.test as the url",
        ),
        (answering(&of("200 OK", "Content-Type: text/html\r\n", "<html>")).await, "text/html", "website"),
        (dropping_upgrade(venue.server.address()).await, "a LiveKit server is there", "websockets"),
    ] {
        let report = run(&stage, &format!("ws://{front}"), &["--json"]).code(3).json();
        let (name, said, advised) = failed(&report);
        assert_eq!(name, "signal", "{report}");
        assert!(said.contains(found) && said.contains(&front.to_string()), "{report}");
        assert!(said.contains("/rtc"), "where it was asked: {report}");
        assert!(advised.contains(advice) && !advised.contains("UDP"), "{report}");
        assert!(outcomes(&report)[4..].iter().all(|(_, outcome)| *outcome == "skipped"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_under_a_path_is_asked_there() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let (front, asked) = under_a_path(venue.server.address()).await;
    for url in [format!("ws://{front}/livekit"), format!("ws://{front}/livekit/")] {
        let report = run(&stage, &url, &["--json"]).ok().json();
        assert_eq!(report["url"], format!("ws://{front}/livekit"));
    }
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|path| path == "/livekit/rtc/v1"), "{asked:?}");
    let mut made =
        stage.command(&["token", "--json", "--url", &format!("ws://{front}/livekit/"), "--room", "r"]);
    made.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    assert_eq!(wait(made).ok().json()["url"], format!("ws://{front}/livekit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_that_only_the_proxy_knows_is_left_to_it() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let proxy = ConnectProxy::start_open(&[("livekit.only-the-proxy.test:80", venue.server.address())]).await;
    let with = |names: &[(&str, &str)]| {
        let mut doctor = stage.command(&["doctor", "--json", "--url", "ws://livekit.only-the-proxy.test"]);
        doctor.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET).envs(names.iter().copied());
        wait(doctor)
    };
    let url = proxy.url();
    let report = with(&[("HTTP_PROXY", &url)]).ok().json();
    assert_eq!(outcomes(&report)[..2], [("dns", "ok"), ("connect", "ok")]);
    assert!(step(&report, "dns")["found"].as_str().unwrap().starts_with("the proxy 127.0.0.1"), "{report}");
    for excepted in ["*", "*.only-the-proxy.test:80"] {
        let report = with(&[("HTTP_PROXY", &url), ("NO_PROXY", excepted)]).code(3).json();
        assert_eq!(failed(&report).0, "dns", "{excepted}: {report}");
    }
    let report = with(&[("HTTP_PROXY", "://ada:hunter2@proxy")]).code(2).json();
    assert!(failed(&report).1.contains("HTTP_PROXY"), "{report}");
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_token_names_clock_key_or_secret() {
    let (stage, venue) = (Stage::new(), Venue::new());
    let signed = |key: &str, secret: &str, url: &str| {
        let mut doctor = stage.command(&["doctor", "--json", "--url", url]);
        doctor.env("LIVEKIT_API_KEY", key).env("LIVEKIT_API_SECRET", secret);
        wait(doctor).code(4).json()
    };
    let url = venue.server.url();
    let report = signed(KEY, "of another server, thirty-two long", &url);
    let (name, found, _) = failed(&report);
    assert_eq!(name, "token");
    assert!(found.contains("not signed with the secret") && found.contains("clock"), "{report}");
    let report = signed(KEY, &format!("{SECRET}\n"), &url);
    assert!(failed(&report).2.contains("is a line break"), "{report}");
    let report = signed("nobody", SECRET, &url);
    assert!(failed(&report).1.contains("does not know the key"), "{report}");

    // A server whose clock is five minutes behind.
    let body = "invalid token, error: token has invalid claims: token is not valid yet";
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(300);
    let date = httpdate::fmt_http_date(then);
    let length = body.len();
    let answer =
        format!("HTTP/1.1 401 Unauthorized\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n{body}");
    let front = answering(&answer).await;
    let report = signed(KEY, SECRET, &format!("ws://{front}"));
    let (_, found, advice) = failed(&report);
    assert!(
        found.contains("this machine's clock is 5m") && found.contains("ahead of the server's"),
        "{report}"
    );
    assert!(advice.contains("set the clock"), "{report}");
}
