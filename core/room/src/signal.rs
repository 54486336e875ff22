//! The signal connection: how a room is joined, and what it means when it fails.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use greenroom_protocol::{Code, Error, Secret};
use livekit_protocol as proto;
use livekit_signaling::{
    NEGOTIATED_DATA_CHANNELS_PROTOCOL, SignalClient, SignalError, SignalEvents, SignalOptions,
};
use url::{Host, Url};

use super::dial::{Dialer, Stream, is_loopback, names_a_host};
use super::failure::{Deadline, Failure, Step};
use super::token::{token_claims, token_time};
use super::websocket::{self, Answer, Seen, SignalConnector};

/// The protocol that we speak, and the oldest of a server that has what we use. With the next one data channels have fixed
/// numbers; of this one each side opens its own, which servers of the next still take.
const PROTOCOL: i32 = NEGOTIATED_DATA_CHANNELS_PROTOCOL.cast_signed() - 1;

/// The address of a server. It can hold no secret, so that it can be shown: user, password, query and fragment are refused.
#[derive(Clone, Debug)]
pub struct Address(Url);

impl Address {
    /// Reads `ws://…`, `wss://…`, `http://…` or `https://…`.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`], which says what is wrong with it, and quotes nothing of it.
    pub fn parse(url: &str) -> Result<Self, Error> {
        Self::parse_as("what was given", url)
    }

    /// The same, where errors call the url `what`, such as `LIVEKIT_URL (.env)`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_as(what: &str, url: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let message = format!(
                "{what} is not the url of a LiveKit server: {why}; pass one such as wss://project.livekit.cloud or ws://127.0.0.1:7880"
            );
            Error::new(Code::InvalidArgument, message)
        };
        // The parser drops line breaks, and what follows one is no part of the url.
        let url = url.trim();
        if let Some(at) = url.chars().position(|c| c.is_control() || c.is_whitespace()) {
            return Err(refuse(&format!(
                "its character {} is a blank, a line break or another control character",
                at + 1
            )));
        }
        let mut parsed = Url::parse(url).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => refuse("it begins with no scheme"),
            error => refuse(&error.to_string()),
        })?;
        if !matches!(parsed.scheme(), "ws" | "wss" | "http" | "https") {
            return Err(refuse("its scheme is none of ws, wss, http and https"));
        }
        if !names_a_host(url) {
            return Err(refuse("its scheme is not followed by :// and a host"));
        }
        match parsed.host() {
            None => return Err(refuse("it names no host")),
            Some(Host::Domain(name)) if !name.bytes().all(is_of_a_name) => {
                return Err(refuse("its host has a character that no name of a host has"));
            }
            Some(_) => {}
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let message = format!(
                "{what} holds a user or a password; LiveKit takes a token instead: leave them out of the url"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            let message = format!(
                "{what} holds a query or a fragment (? or #), which no LiveKit server reads; leave it out of the url"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        // LiveKit's crates append to the path, and would make `//rtc` of a slash at its end.
        let path = parsed.path().trim_end_matches('/').to_owned();
        parsed.set_path(&path);
        parsed.set_fragment(None);
        Ok(Self(parsed))
    }

    /// The same server's page under its path, such as `rtc/v1`, by the scheme of websockets.
    fn page(&self, path: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Neither fails for the four schemes that an address can have.
        let _ = url.set_scheme(if self.is_secure() { "wss" } else { "ws" });
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.0.host().is_some_and(|host| is_loopback(&host))
    }

    /// The url as it was read.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The server by name or number, and its port where that is known.
    pub fn authority(&self) -> (Option<Host<&str>>, Option<u16>) {
        (self.0.host(), self.0.port_or_known_default())
    }

    /// Whether the connection to it is encrypted.
    pub fn is_secure(&self) -> bool {
        matches!(self.0.scheme(), "wss" | "https")
    }

    /// The part that is told to people.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// Whether names of hosts hold this character. International names are of these too once they are parsed.
const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// A room that was joined: its signal connection, and our end of it where that is to the server
/// itself.
pub(super) struct Joined {
    pub(super) client: SignalClient,
    pub(super) response: proto::JoinResponse,
    pub(super) events: SignalEvents,
    pub(super) local: Option<IpAddr>,
}

/// Connects and asks to join, with our offer in the same round trip.
pub(super) async fn join(
    dialer: Arc<Dialer>,
    address: &Address,
    token: &Secret,
    offer: proto::SessionDescription,
    step_timeout: Duration,
) -> Result<Joined, Failure> {
    let mut options = SignalOptions::default();
    options.single_peer_connection = true;
    options.connect_timeout = step_timeout;
    // Tracks are received where somebody asks for them.
    options.auto_subscribe = false;
    options.protocol_version = PROTOCOL.unsigned_abs();
    options.client_capabilities = vec![proto::client_info::Capability::CapCompressionDeflateRaw];
    options.sdk_options.sdk_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    options.sdk_options.other_sdks = Some(concat!("greenroom:", env!("CARGO_PKG_VERSION")).to_owned());
    let connector = SignalConnector::new(dialer);
    let text = token.reveal().trim();
    let connect = SignalClient::connect(address.as_str(), text, options, Some(offer));
    let joined = websocket::through(Arc::clone(&connector), connect).await;
    let seen = connector.take_seen();
    let local = seen.local.map(|local| local.ip());
    let (client, response, events) = joined.map_err(|error| {
        let failure = explain(&error, seen, address, text);
        // Servers and proxies may repeat what they were sent.
        let found = token.hidden_in(&failure.found);
        Failure { found, ..failure }
    })?;
    let protocol = response.server_info.as_ref().map_or(0, |server| server.protocol);
    if !client.is_single_pc_mode_active() || protocol < PROTOCOL {
        client.close().await;
        return Err(Failure::of(Step::Signal, too_old(&response)));
    }
    if response.participant.is_none() || response.room.is_none() || response.ping_interval <= 0 {
        client.close().await;
        let found = format!("{} answered the join with nothing that can be used", address.host());
        return Err(Failure::new(Step::Signal, Code::ProtocolError, found, "is it a LiveKit server?"));
    }
    Ok(Joined { client, response, events, local })
}

/// Looks at whether a server takes signal connections, on a connection to it that stands. What a
/// join asks first is asked here without a token, which a LiveKit server refuses.
///
/// # Errors
/// What answered instead.
pub async fn probe_signal(
    dialer: &Arc<Dialer>,
    address: &Address,
    stream: Stream,
    deadline: Deadline,
) -> Result<(), Failure> {
    let urls = [address.page(&["rtc", "v1"]), address.page(&["rtc"])];
    let page = address.page(&["rtc", "validate"]);
    let answers = websocket::probe(Arc::clone(dialer), urls, page, stream, deadline).await?;
    match answers.iter().rev().find(|answer| answer.is_upgrade) {
        None => Ok(()),
        Some(answer) if matches!(answer.status, 401 | 403) && !answer.wants_password => Ok(()),
        Some(answer) => Err(explain_answer(answer, &answers, address, None)),
    }
}

fn too_old(response: &proto::JoinResponse) -> Error {
    let server = response.server_info.clone().unwrap_or_default();
    let version = if server.version.is_empty() { &response.server_version } else { &server.version };
    let message = format!(
        "the LiveKit server is version {version} (protocol {}), and joining a room by itself needs one of protocol {PROTOCOL} or newer; update the server, or attach to a Room of LiveKit's SDK",
        server.protocol
    );
    Error::new(Code::Unsupported, message)
}

/// What a failed join means, and what to do about it.
fn explain(error: &SignalError, seen: Seen, address: &Address, token: &str) -> Failure {
    let host = address.host();
    if let Some(failure) = seen.failure {
        return failure;
    }
    if let Some(answer) = seen.answers.iter().rev().find(|answer| answer.is_upgrade) {
        return explain_answer(answer, &seen.answers, address, Some(token));
    }
    let found = match error {
        SignalError::TokenFormat => {
            let found = "the token has characters that no token has";
            return Failure::new(Step::Token, Code::InvalidArgument, found, "was it copied whole?");
        }
        SignalError::Timeout(_) => {
            let found = format!("{host} took the signal connection, and did not answer the join in time");
            return Failure::new(Step::Signal, Code::Timeout, found, "look at the server's log");
        }
        SignalError::Client(status, _)
        | SignalError::Server(status, _)
        | SignalError::Handshake { status } => {
            format!("{host} answered the signal connection with {status}")
        }
        other => format!("no signal connection to {host}: {other}"),
    };
    Failure::new(Step::Signal, Code::Io, found, "check the url, and look at the server's log")
}

/// What it means that no websocket came, but this answer. `others` are the answers to all requests
/// of the same attempt.
fn explain_answer(answer: &Answer, others: &[Answer], address: &Address, token: Option<&str>) -> Failure {
    let host = address.host();
    let page = others.iter().rev().find(|other| !other.is_upgrade);
    let path = &answer.path;
    let by = answer.server.as_ref().map_or_else(String::new, |server| format!(" ({})", short(server)));
    let status = http::StatusCode::from_u16(answer.status)
        .map_or_else(|_| answer.status.to_string(), |status| status.to_string());
    let failure = |code, found: String, advice: &str| Failure::new(Step::Signal, code, found, advice);
    let answered = format!("{host} answered the signal connection at {path} with {status}{by}");
    // Nothing but a server of LiveKit's has this page, and it needs no websocket for it.
    let is_livekit = page.is_some_and(|page| matches!(page.status, 200 | 401) && !page.said.starts_with('<'));
    let drops_upgrade = "what stands before the server (a proxy, a load balancer, an ingress) does not pass the headers Upgrade and Connection on; let it pass websockets on";
    match answer.status {
        401 | 403 if answer.wants_password => failure(
            Code::PermissionDenied,
            format!("{answered}: what stands before the server asks for a password of its own"),
            "let it pass signal connections on without one, since LiveKit takes a token instead",
        ),
        401 | 403 => refused_token(answer, page, &host, &status, token),
        404 if is_livekit => {
            failure(Code::Io, format!("{answered}, though a LiveKit server is there"), drops_upgrade)
        }
        426 => failure(Code::Io, answered, drops_upgrade),
        400 if answer.said.to_ascii_lowercase().contains("upgrade") => {
            failure(Code::Io, answered, drops_upgrade)
        }
        404 => failure(
            Code::Io,
            answered,
            "there is no LiveKit server under this path; check the host, the port and the path of the url",
        ),
        429 => {
            let after = answer
                .retry_after
                .as_ref()
                .map_or_else(String::new, |after| format!("; it says to try again after {} s", short(after)));
            failure(
                Code::Io,
                format!("{answered}{after}"),
                "there were too many requests; wait, and look at the limits of the project or of what stands before the server",
            )
        }
        300..=399 => moved(answer, address, answered),
        200..=299 => {
            let kind = answer
                .content_type
                .as_ref()
                .map_or_else(String::new, |kind| format!(", a page of type {}", short(kind)));
            failure(
                Code::Io,
                format!("{answered}{kind}, and not with a websocket"),
                "check the host and the port of the url: a website or a sign-in page answers there and not a LiveKit server",
            )
        }
        502..=504 => failure(
            Code::Io,
            answered,
            "what stands before the LiveKit server reaches none, or all of its nodes are full or shutting down; check that the server runs, and where requests for it are sent",
        ),
        500..=599 => failure(Code::Io, answered, "look at the server's log"),
        _ => failure(Code::Io, answered, "check the host and the port of the url: is it a LiveKit server's?"),
    }
}

/// The server is elsewhere.
fn moved(answer: &Answer, address: &Address, answered: String) -> Failure {
    let relative = answer.location.as_deref();
    let to = relative.and_then(|location| address.page(&[]).join(location).ok());
    let Some(mut to) = to else {
        let advice = "use the url to which it redirects";
        return Failure::new(
            Step::Signal,
            Code::Io,
            format!("{answered}, without saying where to go"),
            advice,
        );
    };
    // What is asked for there is not shown, and neither is who asks.
    to.set_query(None);
    to.set_fragment(None);
    let _ = (to.set_username(""), to.set_password(None));
    let is_secure = matches!(to.scheme(), "https" | "wss");
    let path = to.path().trim_end_matches('/');
    let path = path.trim_end_matches("/rtc/v1").trim_end_matches("/rtc").to_owned();
    to.set_path(&path);
    let scheme = if is_secure { "wss" } else { "ws" };
    let server = format!("{scheme}{}", &to[url::Position::AfterScheme..]);
    let server = server.trim_end_matches('/');
    let same_page = to.host_str() == address.0.host_str() && path == address.0.path().trim_end_matches('/');
    let advice = if same_page && is_secure == address.is_secure() {
        "it leads to itself; check the rules of what stands before the server".to_owned()
    } else if answer.path.starts_with(&path) || to.host_str() == address.0.host_str() {
        format!("use {server} as the url; a signal connection follows no redirect")
    } else {
        format!("if that is the LiveKit server, use {server} as the url; a sign-in page is none")
    };
    Failure::new(Step::Signal, Code::Io, format!("{answered}, which leads to {server}"), advice)
}

/// What a refused token means, by what the server says of it, by its clock and by the token itself.
fn refused_token(
    answer: &Answer,
    page: Option<&Answer>,
    host: &str,
    status: &str,
    token: Option<&str>,
) -> Failure {
    // What the server says shows the token, so that none of it is shown.
    let said = page.map_or(answer.said.as_str(), |page| page.said.as_str());
    let said = said.rsplit_once(", error: ").map_or(said, |(_, why)| why).to_ascii_lowercase();
    let clock = answer.clock_ahead.or_else(|| page.and_then(|page| page.clock_ahead));
    let times = token.map(Times::read).unwrap_or_default();
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let theirs = clock.map_or(ours, |ahead| ours + ahead as f64);
    let about_clocks = describe_clock(clock);
    let failure = |why: &str, advice: &str| {
        let found = format!("{host} refused the token ({status}): {why}");
        Failure::new(Step::Token, Code::PermissionDenied, found, advice)
    };
    match Refusal::read(&said, &times, theirs) {
        Refusal::Expired => {
            let since = times.expires_at.map(|at| theirs - at).filter(|since| *since >= 1.0);
            let since = since.map_or_else(String::new, |since| format!(" {} ago", lasting(since)));
            if times.expires_at.is_some_and(|at| at > ours) {
                return failure(
                    &format!(
                        "by the server's clock it has expired{since}, and by this machine's it is valid: {about_clocks}"
                    ),
                    "set the clock that is wrong, or make a token that is valid for longer",
                );
            }
            failure(&format!("it has expired{since}"), "make a new one, such as with `greenroom token`")
        }
        Refusal::NotYetValid => {
            let left = times.begins_at().map(|at| at - theirs).filter(|left| *left >= 1.0);
            let left = left.map_or_else(String::new, |left| format!(" for {}", lasting(left)));
            failure(
                &format!("by the server's clock it is not valid yet{left}: {about_clocks}"),
                "set the clock that is wrong, of this machine or of the one that made the token",
            )
        }
        Refusal::UnknownKey => failure(
            "the server does not know the key that it is signed with",
            "make one with a key of this server, such as with `greenroom token`; is the url that of the key's project?",
        ),
        Refusal::OtherSecret => failure(
            &format!("it is not signed with the secret that the server has for its key ({about_clocks})"),
            "make one with that secret, byte for byte, such as with `greenroom token`: no quote, blank or line end of a file is part of it",
        ),
        Refusal::NotGranted => failure(
            "it does not grant what joining a room needs",
            "make one that grants roomJoin for a room, such as with `greenroom token`",
        ),
        Refusal::Unknown => failure(
            &format!("the times that it names are not the cause ({about_clocks})"),
            "make one with the server's own key and secret that grants roomJoin for a room, such as with `greenroom token`",
        ),
    }
}

/// Why a server refuses a token.
enum Refusal {
    Expired,
    NotYetValid,
    UnknownKey,
    OtherSecret,
    NotGranted,
    Unknown,
}

impl Refusal {
    /// By the server's word; by the times of the token where it says nothing that is known.
    fn read(said: &str, times: &Times, server_time: f64) -> Self {
        let says = |what: &[&str]| what.iter().any(|what| said.contains(what));
        if says(&["signature", "cryptographic primitive"]) {
            Self::OtherSecret
        } else if says(&["invalid api key"]) {
            Self::UnknownKey
        } else if says(&["expired"]) {
            Self::Expired
        } else if says(&["not valid yet", "used before issued", "issued in the future"]) {
            Self::NotYetValid
        } else if says(&["permission"]) {
            Self::NotGranted
        } else if times.expires_at.is_some_and(|at| at + LEEWAY < server_time) {
            Self::Expired
        } else if times.begins_at().is_some_and(|at| at - LEEWAY > server_time) {
            Self::NotYetValid
        } else {
            Self::Unknown
        }
    }
}

/// The difference that servers let pass between the times of a token and their clock, in seconds.
const LEEWAY: f64 = 60.0;

fn describe_clock(ahead: Option<i64>) -> String {
    match ahead {
        None => "the server does not say what time its clock shows".to_owned(),
        Some(-2..=2) => "both clocks show the same time".to_owned(),
        Some(ahead) => {
            let by = lasting(ahead.unsigned_abs() as f64);
            let which = if ahead > 0 { "behind" } else { "ahead of" };
            format!("this machine's clock is {by} {which} the server's")
        }
    }
}

fn lasting(seconds: f64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(seconds as u64))
}

/// A header's value as it may be shown.
fn short(value: &str) -> String {
    value.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// The times that a token names, in seconds since 1970. What cannot be read is left out.
#[derive(Debug, Default, PartialEq)]
struct Times {
    not_before: Option<f64>,
    issued_at: Option<f64>,
    expires_at: Option<f64>,
}

impl Times {
    /// When it begins to be valid.
    fn begins_at(&self) -> Option<f64> {
        [self.not_before, self.issued_at].into_iter().flatten().reduce(f64::max)
    }

    fn read(token: &str) -> Self {
        let claims = token_claims(token);
        let of = |name| claims.as_ref().and_then(|claims| token_time(claims.get(name)?));
        Self { not_before: of("nbf"), issued_at: of("iat"), expires_at: of("exp") }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn answer(status: u16) -> Answer {
        Answer { is_upgrade: true, path: "/rtc/v1".to_owned(), status, ..Answer::default() }
    }

    fn page(status: u16, said: &str) -> Answer {
        Answer {
            is_upgrade: false,
            path: "/rtc/validate".to_owned(),
            status,
            said: said.to_owned(),
            ..Answer::default()
        }
    }

    fn explained(url: &str, answers: &[Answer], token: Option<&str>) -> Failure {
        let address = Address::parse(url).unwrap();
        let upgrade = answers.iter().rev().find(|answer| answer.is_upgrade).unwrap();
        explain_answer(upgrade, answers, &address, token)
    }

    /// A token with these times, from now on, in seconds.
    fn token(begins: i64, expires: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let claims = serde_json::json!({ "nbf": now + begins, "exp": now + expires });
        let [head, claims] = ["{}", &claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{head}.{claims}.signature")
    }

    /// What a front answers, and what follows from it.
    #[test]
    fn answer_of_a_front_names_the_cause() {
        let with = |status, change: &dyn Fn(&mut Answer)| {
            let mut answer = answer(status);
            change(&mut answer);
            answer
        };
        let html = |answer: &mut Answer| answer.content_type = Some("text/html".to_owned());
        let to = |location: &str| with(301, &|answer| answer.location = Some(location.to_owned()));
        let refused_page = page(401, "no permissions to access the room");
        for (answers, found, advice) in [
            (
                vec![with(503, &|a| a.server = Some("nginx/1.25".to_owned()))],
                "503 Service Unavailable (nginx/1.25)",
                "reaches none",
            ),
            (vec![answer(502)], "502 Bad Gateway", "reaches none"),
            (vec![answer(504)], "504 Gateway Timeout", "reaches none"),
            (vec![answer(500)], "500 Internal Server Error", "server's log"),
            (
                vec![with(429, &|a| a.retry_after = Some("30".to_owned()))],
                "again after 30 s",
                "too many requests",
            ),
            (vec![answer(429)], "429 Too Many Requests", "too many requests"),
            (
                vec![to("https://livekit.test/rtc/v1?join_request=x")],
                "leads to wss://livekit.test",
                "use wss://livekit.test as the url",
            ),
            (
                vec![to("wss://ada:pw@other.test/livekit/rtc/v1")],
                "leads to wss://other.test/livekit",
                "use wss://other.test/livekit",
            ),
            (vec![to("/login?next=x")], "leads to ws://livekit.test/login", "use ws://livekit.test/login"),
            (vec![to("/rtc/v1/")], "leads to ws://livekit.test", "itself"),
            (vec![answer(302)], "without saying where", "to which it redirects"),
            (vec![with(200, &html)], "a page of type text/html", "website"),
            (vec![answer(204)], "and not with a websocket", "website"),
            (vec![answer(404), page(200, "success")], "though a LiveKit server is there", "Upgrade"),
            (vec![answer(404), refused_page], "though a LiveKit server is there", "Upgrade"),
            (vec![answer(404), page(404, "")], "404 Not Found", "under this path"),
            (vec![answer(404), page(200, "<!doctype html>")], "404 Not Found", "under this path"),
            (vec![answer(426)], "426 Upgrade Required", "Upgrade"),
            (
                vec![with(400, &|a| a.said = "'upgrade' token not found".to_owned())],
                "400 Bad Request",
                "Upgrade",
            ),
            (vec![answer(400)], "400 Bad Request", "is it a LiveKit server's?"),
            (vec![with(401, &|a| a.wants_password = true)], "a password of its own", "token instead"),
            (vec![answer(999)], "999", "is it a LiveKit server's?"),
        ] {
            let failure = explained("ws://livekit.test", &answers, None);
            assert!(failure.found.contains(found), "{answers:?}: {failure:?}");
            assert!(failure.advice.contains(advice), "{answers:?}: {failure:?}");
            assert!(failure.found.contains("livekit.test:80 answered"), "{failure:?}");
            assert!(
                !format!("{failure:?}").contains("pw@") && !failure.found.contains("join_request"),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn refused_token_names_clock_key_secret_or_grant() {
        let at = |ahead: i64, said: &str| Answer {
            clock_ahead: Some(ahead),
            said: said.to_owned(),
            ..answer(401)
        };
        let valid = token(0, 600);
        let said = |why: &str| format!("invalid token: {valid}, error: {why}");
        for (answer, token, found, advice) in [
            (at(0, "invalid API key: k"), valid.clone(), "does not know the key", "key of this server"),
            (
                at(1, &said("token signature is invalid: signature is invalid")),
                valid.clone(),
                "both clocks show the same time",
                "byte for byte",
            ),
            (
                at(301, &said("token signature is invalid")),
                valid.clone(),
                "this machine's clock is 5m 1s behind the server's",
                "byte for byte",
            ),
            (
                at(-300, &said("token has invalid claims: token is not valid yet")),
                valid.clone(),
                "this machine's clock is 5m ahead of the server's",
                "set the clock",
            ),
            (
                at(0, &said("token has invalid claims: token is not valid yet")),
                token(300, 600),
                "not valid yet for",
                "the one that made the token",
            ),
            (
                at(900, &said("token is expired")),
                valid.clone(),
                "this machine's clock is 15m behind the server's",
                "set the clock",
            ),
            (at(0, &said("token is expired")), token(-900, -300), "expired 5m", "make a new one"),
            (at(0, "permissions denied"), valid.clone(), "does not grant", "roomJoin"),
            // What says nothing that is known, is judged by the times.
            (
                at(-300, ""),
                valid.clone(),
                "this machine's clock is 5m ahead of the server's",
                "set the clock",
            ),
            (
                at(900, "<html>"),
                valid.clone(),
                "this machine's clock is 15m behind the server's",
                "set the clock",
            ),
            (at(0, ""), valid.clone(), "not the cause (both clocks show the same time)", "key and secret"),
            (answer(401), valid.clone(), "does not say what time", "key and secret"),
            (answer(403), "no token".to_owned(), "not the cause", "key and secret"),
        ] {
            let failure = explained("ws://livekit.test", std::slice::from_ref(&answer), Some(&token));
            assert_eq!((failure.step, failure.code), (Step::Token, Code::PermissionDenied));
            assert!(failure.found.contains(found), "{answer:?}: {failure:?}");
            assert!(failure.advice.contains(advice), "{answer:?}: {failure:?}");
            assert!(!format!("{failure:?}").contains(&token), "the token is shown");
        }
    }

    #[test]
    fn path_of_the_url_is_kept_once() {
        for (url, read, signal) in [
            ("ws://livekit.test", "ws://livekit.test/", "ws://livekit.test/rtc/v1"),
            ("ws://livekit.test/", "ws://livekit.test/", "ws://livekit.test/rtc/v1"),
            ("wss://livekit.test//", "wss://livekit.test/", "wss://livekit.test/rtc/v1"),
            (
                "https://livekit.test/livekit",
                "https://livekit.test/livekit",
                "wss://livekit.test/livekit/rtc/v1",
            ),
            (
                "https://livekit.test/livekit/",
                "https://livekit.test/livekit",
                "wss://livekit.test/livekit/rtc/v1",
            ),
            ("http://livekit.test/a/b///", "http://livekit.test/a/b", "ws://livekit.test/a/b/rtc/v1"),
            ("ws://livekit.test/a%20b/", "ws://livekit.test/a%20b", "ws://livekit.test/a%20b/rtc/v1"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.as_str(), read, "{url}");
            assert_eq!(address.page(&["rtc", "v1"]).as_str(), signal, "{url}");
        }
    }
}
