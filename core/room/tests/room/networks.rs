//! The ways to a server and its media: UDP, TCP, TURN, TLS, proxies.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use greenroom_protocol::{Code, Error, Secret};
use greenroom_room::Room;
use greenroom_room::{
    Address, CandidateType, Deadline, Dialer, Failure, IcePolicy, Impairment, Proxy, RoomOptions, Step,
    probe_signal,
};
use serde_json::json;

use crate::coturn::{Coturn, PASSWORD, USER};
use crate::front::{Authority, ConnectProxy, answering, dropping_upgrade, tls_before, under_a_path};
use crate::middle::Middle;
use crate::server::{KEY, SECRET, Server, free_port, free_udp_port, usual_config};
use crate::venue::{DEADLINE, Venue, carries, gather, signed, signed_with, within};

/// A configuration that is the usual one but for this line.
fn config_with(line: &str, instead: &str) -> String {
    let usual = usual_config();
    assert!(usual.contains(line), "no line {line:?} in the configuration");
    usual.replace(line, instead)
}

/// A network without UDP, at our own sockets.
fn no_udp() -> Option<Impairment> {
    let mut impairment = Impairment::new(1);
    impairment.loss = 1.0;
    Some(impairment)
}

/// Joins as ada with these options beside a bob with the usual ones, and has them exchange a stream each way.
async fn exchange(
    server: &Server,
    change: impl FnOnce(&mut RoomOptions),
) -> (Room, CandidateType, SocketAddr) {
    exchange_beside(server, change, |_| {}).await
}

async fn exchange_beside(
    server: &Server,
    change: impl FnOnce(&mut RoomOptions),
    of_bob: impl FnOnce(&mut RoomOptions),
) -> (Room, CandidateType, SocketAddr) {
    let venue = Venue::on(server);
    let join = async |identity: &str, options: RoomOptions| {
        let joined = within("a join", Room::connect(options)).await.unwrap();
        venue.announce(identity);
        joined.0
    };
    let (mut of_ada, mut options_of_bob) =
        (venue.options(venue.token("ada")), venue.options(venue.token("bob")));
    change(&mut of_ada);
    of_bob(&mut options_of_bob);
    let ada = join("ada", of_ada).await;
    let bob = join("bob", options_of_bob).await;
    gather(&[&ada, &bob]).await;
    carries(&ada, &bob, 300_000).await;
    carries(&bob, &ada, 300_000).await;
    let path = ada.path().unwrap();
    (ada, path.candidate_type, path.server)
}

async fn refused(options: RoomOptions) -> Error {
    match within("a refusal", Room::connect(options)).await {
        Ok(_) => panic!("joined"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn udp_where_it_gets_through() {
    let (_, way, _) = exchange(Server::shared(), |_| {}).await;
    assert_eq!(way, CandidateType::Udp);
}

#[tokio::test]
async fn tcp_where_the_server_has_nothing_else() {
    let port = free_port();
    let server = Server::start(config_with("tcp_port: 0", &format!("tcp_port: {port}\n  force_tcp: true")));
    let (_, way, at) = exchange(&server, |_| {}).await;
    assert_eq!((way, at.port()), (CandidateType::Tcp, port));
}

#[tokio::test]
async fn tcp_where_udp_is_refused() {
    let port = free_port();
    let server = Server::start(config_with("tcp_port: 0", &format!("tcp_port: {port}")));
    let (ada, way, _) = exchange(&server, |options| options.impairment = no_udp()).await;
    assert_eq!(way, CandidateType::Tcp);
    assert!(ada.counts().impaired > 0, "UDP was tried");
}

#[tokio::test]
async fn no_way_at_all_is_said_in_time() {
    let venue = Venue::new();
    let mut options = venue.options(venue.token("ada"));
    options.impairment = no_udp();
    options.connect_timeout = std::time::Duration::from_secs(2);
    let error = refused(options).await;
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("no way to the media"), "{error}");
    // What was tried is named, and what nothing speaks for is not blamed.
    assert!(error.message.contains("by UDP from 127.0.0.1"), "{error}");
    assert!(error.message.contains(&format!("to 127.0.0.1:{}", venue.server.udp_port())), "{error}");
    assert!(!error.message.contains("firewall"), "{error}");
}

/// Addresses of this machine at which nobody listens.
fn dead_addresses(count: usize) -> impl Iterator<Item = SocketAddr> {
    let port = free_udp_port();
    (0..count).map(move |n| SocketAddr::from(([127, 1, (n >> 8) as u8, n as u8], port)))
}

#[tokio::test]
async fn server_with_many_addresses_of_which_the_last_one_works_is_joined() {
    let venue = Venue::new();
    for count in [27, 37, 99, 230] {
        let candidates: Vec<String> = dead_addresses(count)
            .map(|at| format!("candidate:1 1 udp 2130706431 {} {} typ host", at.ip(), at.port()))
            .collect();
        let middle = Middle::naming(&venue, &candidates).await;
        let (ada, _) = middle.join(&venue, "ada").await;
        assert_eq!(ada.path().map(|path| path.candidate_type), Some(CandidateType::Udp), "{count} addresses");
        within("a leave", ada.disconnect()).await;
    }
}

#[tokio::test]
async fn server_with_many_addresses_for_tcp_is_joined_where_udp_is_refused() {
    let port = free_port();
    let server = Server::start(config_with("tcp_port: 0", &format!("tcp_port: {port}")));
    let venue = Venue::on(&server);
    let candidates: Vec<String> = dead_addresses(40)
        .map(|at| format!("candidate:1 1 tcp 2130706431 {} {} typ host tcptype passive", at.ip(), at.port()))
        .collect();
    let middle = Middle::naming(&venue, &candidates).await;
    let mut options = RoomOptions::new(middle.url(), venue.token("ada"));
    options.impairment = no_udp();
    let (ada, _) = within("a join", Room::connect(options)).await.unwrap();
    let path = ada.path().unwrap();
    assert_eq!((path.candidate_type, path.server.port()), (CandidateType::Tcp, port));
}

#[tokio::test]
async fn relay_reaches_a_server_with_many_addresses() {
    let server = Server::start(embedded_turn(&format!("  udp_port: {}\n", free_udp_port())));
    let venue = Venue::on(&server);
    let candidates: Vec<String> = dead_addresses(130)
        .map(|at| format!("candidate:1 1 udp 2130706431 {} {} typ host", at.ip(), at.port()))
        .collect();
    let middle = Middle::naming(&venue, &candidates).await;
    let mut options = RoomOptions::new(middle.url(), venue.token("ada"));
    options.ice_policy = IcePolicy::Relay;
    let (ada, _) = within("a join", Room::connect(options)).await.unwrap();
    assert_eq!(ada.path().map(|path| path.candidate_type), Some(CandidateType::Relay));
}

#[tokio::test]
async fn unusable_candidates_do_no_harm() {
    let venue = Venue::new();
    let candidates = [
        "candidate:1 1 udp 2130706431 3f2a7c1e-0b1d-4c55-9d0a-6f2f6f0f8a11.local 50000 typ host",
        "candidate:1 1 udp 2130706431 fe80::1 50000 typ host",
        "candidate:1 1 udp 2130706431 :: 50000 typ host",
        "candidate:1 1 udp 2130706431 0.0.0.0 50000 typ host",
        "candidate:1 1 tcp 2130706431 fe80::1 50000 typ host tcptype passive",
    ];
    let middle = Middle::naming(&venue, &candidates.map(str::to_owned)).await;
    let (ada, _) = middle.join(&venue, "ada").await;
    assert_eq!(ada.path().map(|path| path.candidate_type), Some(CandidateType::Udp));
}

/// What a join says of a server, and what a look at its signal connection says.
async fn failures(address: &str, token: &str) -> (Failure, Option<Failure>) {
    let options = RoomOptions::new(address, token);
    let joined = match within("a refusal", Room::try_connect(options)).await {
        Ok(_) => panic!("joined"),
        Err(failure) => failure,
    };
    let dialer = Arc::new(Dialer::new(&Proxy::Direct, None).unwrap());
    let address = Address::parse(address).unwrap();
    let (host, port) = address.authority();
    let limit = || Deadline::after(DEADLINE);
    let route = dialer.route(&host.unwrap().to_owned(), port.unwrap(), false).unwrap();
    let addresses = route.resolve(limit()).await.unwrap();
    let opened = route.connect(&addresses, limit()).await.unwrap();
    (joined, probe_signal(&dialer, &address, opened.stream, limit()).await.err())
}

#[tokio::test]
async fn front_that_is_in_the_way_is_explained_the_same_by_a_join_and_a_look() {
    let venue = Venue::new();
    let token = venue.token("ada");
    let moved = "HTTP/1.1 301 Moved Permanently\r\nLocation: https://livekit.test/rtc/v1\r\nContent-Length: 0\r\n\r\n";
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!doctype html>";
    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n";
    let empty = "HTTP/1.1 503 Service Unavailable\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n";
    let login = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
    let dropping = dropping_upgrade(venue.server.address()).await;
    for (front, found, advice) in [
        (answering(empty).await, "503 Service Unavailable (nginx)", "reaches none"),
        (answering(busy).await, "try again after 30 s", "too many requests"),
        (answering(moved).await, "leads to wss://livekit.test", "use wss://livekit.test as the url"),
        (answering(page).await, "a page of type text/html", "website"),
        (answering(login).await, "a password of its own", "LiveKit takes a token"),
        (answering("SSH-2.0-OpenSSH_9.2\r\n").await, "speaks no HTTP", "is it a LiveKit server's?"),
        (answering("").await, "closes them without an answer", "is it a LiveKit server's?"),
        (dropping, "though a LiveKit server is there", "pass websockets on"),
    ] {
        let (joined, looked) = failures(&format!("ws://{front}"), &token).await;
        assert!(joined.found.contains(found) && joined.advice.contains(advice), "{joined:?}");
        let looked = looked.unwrap();
        // Of a server that misses the first page, the last one is told.
        assert_eq!((joined.step, joined.code), (looked.step, looked.code));
        assert_eq!((joined.found, joined.advice), (looked.found, looked.advice));
    }
}

#[tokio::test]
async fn server_under_a_path_is_joined_with_and_without_a_slash_at_its_end() {
    let venue = Venue::new();
    let (front, asked) = under_a_path(venue.server.address()).await;
    for url in [format!("ws://{front}/livekit"), format!("http://{front}/livekit/")] {
        let options = RoomOptions::new(url, venue.token("ada"));
        let (ada, _) = within("a join", Room::connect(options)).await.unwrap();
        within("a leave", ada.disconnect()).await;
    }
    assert_eq!(*asked.lock().unwrap(), ["/livekit/rtc/v1", "/livekit/rtc/v1"]);
    let (joined, looked) = failures(&format!("ws://{front}/other"), &venue.token("ada")).await;
    assert!(joined.advice.contains("under this path"), "{joined:?}");
    assert_eq!(joined.found, looked.unwrap().found);
}

#[tokio::test]
async fn refused_token_names_the_cause() {
    let venue = Venue::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = |begins: u64, expires: u64| json!({ "sub": "ada", "nbf": begins, "exp": expires, "video": { "roomJoin": true, "room": "r" } });
    let valid = signed(&claims(now - 60, now + 600));
    let of = |key: &str, secret: &str, begins, expires| signed_with(key, secret, &claims(begins, expires));
    for (token, found, advice) in [
        (of(KEY, "another", now, now + 600), "not signed with the secret", "byte for byte"),
        (of("nobody's", SECRET, now, now + 600), "does not know the key", "key of this server"),
        (of(KEY, SECRET, now + 400, now + 900), "not valid yet for 6m", "set the clock"),
        (of(KEY, SECRET, now - 900, now - 400), "expired 6m", "make a new one"),
        (signed(&json!({ "sub": "ada", "video": {} })), "does not grant", "roomJoin"),
    ] {
        let (joined, looked) = failures(&venue.server.url(), &token).await;
        assert_eq!((joined.step, joined.code), (Step::Token, Code::PermissionDenied), "{joined:?}");
        assert!(joined.found.contains(found) && joined.advice.contains(advice), "{joined:?}");
        assert_eq!(looked, None, "it is a LiveKit server");
    }
    // A machine whose clock is five minutes ahead of the server's.
    let body = "invalid token, error: token has invalid claims: token is not valid yet";
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() - std::time::Duration::from_secs(300));
    let length = body.len();
    let behind =
        format!("HTTP/1.1 401 Unauthorized\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n{body}");
    let front = answering(&behind).await;
    let (joined, _) = failures(&format!("ws://{front}"), &valid).await;
    assert!(joined.found.contains("this machine's clock is 5m"), "{joined:?}");
    assert!(joined.found.contains("ahead of the server's"), "{joined:?}");
}

/// The server takes media on no `::1`, so that what goes by IPv6 here is the signal connection, and UDP to a TURN server.
#[tokio::test]
async fn ipv6() {
    let coturn = Coturn::start(&Authority::new());
    let config = with_coturn("[::1]", "udp", coturn.port, PASSWORD);
    let line = r#"bind_addresses: ["127.0.0.1"]"#;
    assert!(config.contains(line));
    let server = Server::start(config.replace(line, r#"bind_addresses: ["::1"]"#));
    assert!(server.address().is_ipv6());
    let (_, way, _) = exchange(&server, |options| options.ice_policy = IcePolicy::Relay).await;
    assert_eq!(way, CandidateType::Relay);
}

fn embedded_turn(more: &str) -> String {
    let turn = "turn:\n  enabled: true\n  bind_addresses: [\"127.0.0.1\"]\n  allow_restricted_peer_cidrs: [127.0.0.0/8]\n";
    format!("{}{turn}{more}", usual_config())
}

#[tokio::test]
async fn the_servers_own_turn_by_udp() {
    let server = Server::start(embedded_turn(&format!("  udp_port: {}\n", free_udp_port())));
    let relay_only = |options: &mut RoomOptions| options.ice_policy = IcePolicy::Relay;
    // Both through it, at the same time.
    let (_, way, _) = exchange_beside(&server, relay_only, relay_only).await;
    assert_eq!(way, CandidateType::Relay);
}

#[tokio::test]
async fn the_servers_own_turn_by_tls_through_a_proxy_where_udp_is_refused() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, &authority.certificate).unwrap();
    std::fs::write(&key, &authority.key).unwrap();
    let port = free_port();
    let (cert, key) = (cert.display(), key.display());
    let server = Server::start(embedded_turn(&format!(
        "  domain: turn.test\n  tls_port: {port}\n  cert_file: {cert}\n  key_file: {key}\n"
    )));
    let signal = server.address().to_string();
    let proxy = ConnectProxy::start(&[
        ("turn.test:443", SocketAddr::from(([127, 0, 0, 1], port))),
        (signal.as_str(), server.address()),
    ])
    .await;
    let (_, way, _) = exchange(&server, |options| {
        options.impairment = no_udp();
        options.proxy = Proxy::Url(proxy.url().into());
        options.ca = Some(authority.ca.clone().into_bytes());
    })
    .await;
    assert_eq!(way, CandidateType::Relay);
    let asked = proxy.asked.lock().unwrap();
    assert!(asked.contains(&signal) && asked.contains(&"turn.test:443".to_owned()));
}

/// A configuration that names a coturn, reached like this.
fn with_coturn(host: &str, protocol: &str, port: u16, password: &str) -> String {
    let server = format!(
        "{{host: '{host}', port: {port}, protocol: {protocol}, username: {USER}, credential: {password}}}"
    );
    config_with("tcp_port: 0", &format!("tcp_port: 0\n  turn_servers: [{server}]"))
}

#[tokio::test]
async fn coturn_by_udp_tcp_and_tls() {
    let authority = Authority::new();
    let coturn = Coturn::start(&authority);
    for (protocol, port) in [("udp", coturn.port), ("tcp", coturn.port), ("tls", coturn.tls_port)] {
        let server = Server::start(with_coturn("127.0.0.1", protocol, port, PASSWORD));
        let (_, way, _) = exchange(&server, |options| {
            options.ice_policy = IcePolicy::Relay;
            options.ca = Some(authority.ca.clone().into_bytes());
        })
        .await;
        assert_eq!(way, CandidateType::Relay, "by {protocol}");
    }
}

#[tokio::test]
async fn a_turn_server_that_refuses_is_named() {
    let coturn = Coturn::start(&Authority::new());
    let server = Server::start(with_coturn("127.0.0.1", "udp", coturn.port, "byron"));
    let venue = Venue::on(&server);
    let mut options = venue.options(venue.token("ada"));
    options.ice_policy = IcePolicy::Relay;
    options.connect_timeout = std::time::Duration::from_secs(3);
    let error = refused(options).await;
    assert!(error.message.contains(&format!("turn:127.0.0.1:{}", coturn.port)), "{error}");
    assert!(!error.message.contains("byron"), "{error}");
}

#[tokio::test]
async fn tls_with_an_authority_that_is_given() {
    let authority = Authority::new();
    let venue = Venue::new();
    let front = tls_before(venue.server.address(), &authority).await;
    for url in [format!("wss://{front}"), format!("wss://localhost:{}", front.port())] {
        let mut options = RoomOptions::new(url, venue.token("ada"));
        options.ca = Some(authority.ca.clone().into_bytes());
        let (room, _) = within("a join", Room::connect(options)).await.unwrap();
        within("a packet", room.publish("t", "x", &[], true)).await.unwrap();
    }
}

#[tokio::test]
async fn tls_that_is_not_trusted_is_told_apart() {
    let venue = Venue::new();
    let front = tls_before(venue.server.address(), &Authority::new()).await;
    let url = format!("wss://{front}");
    let mut options = RoomOptions::new(&url, venue.token("ada"));
    let error = refused(options.clone()).await;
    assert_eq!(error.code, Code::Io);
    assert!(error.message.contains("is not trusted"), "{error}");
    // The system's authorities are not those of the test, and neither is another one.
    options.ca = Some(Authority::new().ca.into_bytes());
    assert!(refused(options.clone()).await.message.contains("is not trusted"));
    options.ca = Some(b"no certificate".to_vec());
    let error = refused(options).await;
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.contains("PEM"), "{error}");
}

#[tokio::test]
async fn a_token_is_refused_behind_tls_too() {
    let authority = Authority::new();
    let venue = Venue::new();
    let front = tls_before(venue.server.address(), &authority).await;
    let mut options = RoomOptions::new(format!("wss://{front}"), format!("{}x", venue.token("ada")));
    options.ca = Some(authority.ca.into_bytes());
    assert_eq!(refused(options).await.code, Code::PermissionDenied);
}

#[tokio::test]
async fn a_proxy_takes_the_signal_connection() {
    let authority = Authority::new();
    let venue = Venue::new();
    let front = tls_before(venue.server.address(), &authority).await;
    let names = [("livekit.test:80", venue.server.address()), ("turn.test:443", front)];
    let proxy = ConnectProxy::start(&names).await;
    for url in ["ws://livekit.test", "wss://turn.test"] {
        let mut options = RoomOptions::new(url, venue.token("ada"));
        options.proxy = Proxy::Url(proxy.url().into());
        options.ca = Some(authority.ca.clone().into_bytes());
        let (room, _) = within("a join", Room::connect(options)).await.unwrap();
        within("a leave", room.disconnect()).await;
    }
    assert_eq!(*proxy.asked.lock().unwrap(), ["livekit.test:80", "turn.test:443"]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let venue = Venue::new();
    let proxy = ConnectProxy::start(&[]).await;
    let mut options = venue.options(venue.token("ada"));
    options.proxy = Proxy::Url(proxy.url_with_wrong_password().into());
    let error = refused(options.clone()).await;
    assert_eq!(error.code, Code::Io);
    assert!(error.message.contains("proxy") && !error.message.contains("hunter2"), "{error}");
    assert!(proxy.refused.load(Ordering::Relaxed) > 0);
    assert!(!format!("{options:?}").contains("hunter2"));
    options.proxy = Proxy::Url("ada:hunter2@proxy.example.com".into());
    let error = refused(options).await;
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.contains("neither http nor https"), "{error}");
    assert!(!error.message.contains("hunter2") && !error.message.contains("ada"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_with_the_way_out() {
    let venue = Venue::new();
    let mut options = venue.options(venue.token("ada"));
    let nobody = format!("127.0.0.1:{}", free_port());
    options.proxy = Proxy::Url(format!("http://{nobody}").into());
    let error = refused(options).await;
    assert_eq!(error.code, Code::Io);
    assert!(error.message.contains(&format!("through the proxy {nobody}")), "{error}");
    assert!(error.message.contains("NO_PROXY"), "{error}");
}

#[tokio::test]
async fn authorities_and_proxy_as_host_languages_give_them() {
    let authority = Authority::new();
    let venue = Venue::new();
    let front = tls_before(venue.server.address(), &authority).await;
    let proxy = ConnectProxy::start_open(&[("turn.test:443", front)]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &authority.ca).unwrap();
    for ca in [file.to_str().unwrap(), &authority.ca] {
        let options = RoomOptions::new("wss://turn.test", venue.token("ada"));
        let options = options.reached_by(Some(&ca.into()), Some(&proxy.url().into())).unwrap();
        let (room, _) = within("a join", Room::connect(options)).await.unwrap();
        within("a leave", room.disconnect()).await;
    }
    let through = |ca: Option<&str>, proxy: Option<&str>| {
        let (ca, proxy) = (ca.map(Secret::from), proxy.map(Secret::from));
        venue.options(String::new()).reached_by(ca.as_ref(), proxy.as_ref()).unwrap_err()
    };
    let nothing = folder.path().join("key.pem");
    std::fs::write(&nothing, "no certificate").unwrap();
    for file in [nothing, folder.path().join("missing.pem")] {
        let name = file.to_str().unwrap();
        let error = through(Some(name), None);
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.contains(name) && error.message.contains("PEM"), "{error}");
    }
    assert!(through(None, Some("socks5://127.0.0.1:1")).message.contains("socks5://127.0.0.1:1"));
    let none = venue.options(String::new()).reached_by(None, Some(&Secret::default()));
    assert!(matches!(none.unwrap().proxy, Proxy::Direct));
}

/// What [`the_proxy_of_the_environment`] wants of the process that it starts.
const URL: &str = "GREENROOM_TEST_PROXIED_URL";
const TOKEN: &str = "GREENROOM_TEST_PROXIED_TOKEN";

#[tokio::test]
async fn the_proxy_of_the_environment() {
    if let (Ok(url), Ok(token)) = (std::env::var(URL), std::env::var(TOKEN)) {
        let (room, _) = within("a join", Room::connect(RoomOptions::new(url, token))).await.unwrap();
        return within("a leave", room.disconnect()).await;
    }
    let venue = Venue::new();
    let proxy = ConnectProxy::start(&[("livekit.test:80", venue.server.address())]).await;
    // The environment is a process's own.
    let join = async |url: &str, names: &[(&str, &str)]| {
        let mut again = Command::new(std::env::current_exe().unwrap());
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            again.env_remove(name);
        }
        again.args(["--exact", "networks::the_proxy_of_the_environment"]);
        again.env(URL, url).env(TOKEN, venue.token("ada")).envs(names.iter().copied());
        let status = tokio::task::spawn_blocking(move || again.output().unwrap().status);
        within("a join in another process", status).await.unwrap().success()
    };
    let url = proxy.url();
    let url = url.as_str();
    for variable in ["HTTP_PROXY", "ALL_PROXY"] {
        assert!(join("ws://livekit.test", &[(variable, url)]).await, "by {variable}");
    }
    assert_eq!(proxy.asked.lock().unwrap().len(), 2);
    assert!(!join("ws://livekit.test", &[("HTTP_PROXY", url), ("NO_PROXY", "livekit.test")]).await);
    assert!(join(&venue.server.url(), &[("HTTP_PROXY", url)]).await, "this machine needs no proxy");
    assert_eq!(proxy.asked.lock().unwrap().len(), 2);
}
