//! What LiveKit's signalling crate stands on: websockets and HTTP requests over connections of [`Dialer`].
//!
//! That crate takes one network for the whole process. Ours finds out by the task that asks which room it serves; asked by anybody
//! else, it goes the way of the environment and trusts the system's authorities.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::{Code, Error};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use livekit_net::{
    Header, HttpClient, HttpMethod, HttpResponse, TransportError, WsClient, WsConnectResult, WsConnection,
};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use url::Host;

use super::dial::{Dialer, Proxy, Stream};
use super::failure::{Deadline, Failure, Step};
use crate::lock;

/// The largest message that a server may send: a room of thousands of participants.
const MESSAGE: usize = 16 << 20;
/// The largest answer to an HTTP request.
const ANSWER: usize = 1 << 20;
/// How much of an answer is looked at to learn why it is none.
const SAID: usize = 1 << 10;
/// How long a page may take that says why there is no websocket; LiveKit's crate waits less.
const PAGE: Duration = Duration::from_secs(5);

tokio::task_local! {
    static CONNECTOR: Arc<SignalConnector>;
}

/// How signal connections are opened, and what became of those that were not.
pub(super) struct SignalConnector {
    dialer: Arc<Dialer>,
    seen: std::sync::Mutex<Seen>,
}

/// What was seen while signal connections were opened.
#[derive(Default)]
pub(super) struct Seen {
    /// Our end of the last connection to the server itself, not to a proxy.
    pub(super) local: Option<SocketAddr>,
    /// What servers answered that opened no websocket, in their order.
    pub(super) answers: Vec<Answer>,
    /// The last step that failed without an answer.
    pub(super) failure: Option<Failure>,
}

/// What was answered, other than a websocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whether a websocket was asked for.
    pub(super) is_upgrade: bool,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) server: Option<String>,
    pub(super) retry_after: Option<String>,
    /// Whether it asks for a password of its own, as LiveKit does not.
    pub(super) wants_password: bool,
    /// How far the server's clock is ahead of ours, in seconds.
    pub(super) clock_ahead: Option<i64>,
    /// The beginning of what it said, which may hold the token.
    pub(super) said: String,
}

impl Answer {
    fn new(is_upgrade: bool, path: &str, status: u16, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let text = |name: http::HeaderName| headers.get(name)?.to_str().ok().map(str::to_owned);
        let date = text(http::header::DATE).and_then(|date| httpdate::parse_http_date(&date).ok());
        Self {
            is_upgrade,
            path: path.to_owned(),
            status,
            location: text(http::header::LOCATION),
            content_type: text(http::header::CONTENT_TYPE),
            server: text(http::header::SERVER),
            retry_after: text(http::header::RETRY_AFTER),
            wants_password: headers.contains_key(http::header::WWW_AUTHENTICATE),
            clock_ahead: date.map(|date| seconds_between(SystemTime::now(), date)),
            said: String::from_utf8_lossy(&body[..body.len().min(SAID)]).trim().to_owned(),
        }
    }
}

fn seconds_between(earlier: SystemTime, later: SystemTime) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match later.duration_since(earlier) {
        Ok(ahead) => whole(ahead),
        // A date has whole seconds, cut off.
        Err(behind) => -whole(behind.duration()),
    }
}

impl SignalConnector {
    pub(super) fn new(dialer: Arc<Dialer>) -> Arc<Self> {
        Arc::new(Self { dialer, seen: std::sync::Mutex::default() })
    }

    /// What was seen until now.
    pub(super) fn take_seen(&self) -> Seen {
        std::mem::take(&mut lock(&self.seen))
    }

    /// Opens a websocket, step by step.
    async fn open(
        &self,
        url: &url::Url,
        headers: &[Header],
        deadline: Deadline,
    ) -> Result<WebSocketStream<Stream>, Refused> {
        let (host, port, tls) = server_of(url)?;
        let opened = self.dialer.dial(&host, port, tls, deadline).await?;
        if !opened.is_proxied {
            lock(&self.seen).local = Some(opened.local);
        }
        upgrade(url, headers, opened.stream, deadline).await
    }

    /// Asks for a page, and notes what is answered.
    async fn ask(
        &self,
        method: HttpMethod,
        url: &url::Url,
        headers: &[Header],
        body: Option<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<HttpResponse, TransportError> {
        let failed = |error: &dyn std::fmt::Display| TransportError::Connection(error.to_string());
        let (host, port, tls) = server_of(url).map_err(|failure| failed(&Error::from(failure)))?;
        let opened = self.dialer.dial(&host, port, tls, deadline).await;
        let stream = opened.map_err(|failure| failed(&failure.found))?.stream;
        let (status, headers, body) = request(method, url, headers, body, stream).await?;
        lock(&self.seen).answers.push(Answer::new(false, url.path(), status, &headers, &body));
        let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).ok();
        let headers = headers
            .iter()
            .filter_map(|(name, value)| Some(Header { name: name.to_string(), value: text(value)? }))
            .collect();
        Ok(HttpResponse { status, headers, body: body.into() })
    }
}

/// Why there is no websocket.
pub(super) enum Refused {
    Failed(Failure),
    Answered(Box<Answer>),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Lets signal connections that `work` opens go this way.
pub(super) async fn through<T>(connector: Arc<SignalConnector>, work: impl Future<Output = T>) -> T {
    CONNECTOR.scope(connector, work).await
}

/// Asks for a websocket on a connection that stands.
pub(super) async fn upgrade(
    url: &url::Url,
    headers: &[Header],
    stream: Stream,
    deadline: Deadline,
) -> Result<WebSocketStream<Stream>, Refused> {
    let host = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let failed = |code, why: &dyn std::fmt::Display, advice: &str| {
        Failure::new(Step::Signal, code, format!("no signal connection to {host}: {why}"), advice)
    };
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|error| failed(Code::InvalidArgument, &error, "check the url"))?;
    add_headers(request.headers_mut(), headers)
        .map_err(|error| failed(Code::InvalidArgument, &error, "check the token"))?;
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    let shake = async {
        let shaken = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        match shaken {
            Ok((socket, _)) => Ok(Ok(socket)),
            Err(tungstenite::Error::Http(answer)) => {
                let body = answer.body().as_deref().unwrap_or_default();
                let status = answer.status().as_u16();
                Ok(Err(Answer::new(true, url.path(), status, answer.headers(), body)))
            }
            Err(error) => Err(not_upgraded(&error, failed)),
        }
    };
    let late = |limit| {
        let why = format!("it takes connections, and did not answer the signal connection in time ({limit})");
        failed(
            Code::Timeout,
            &why,
            "check that the port of the url is a LiveKit server's, and look at its log",
        )
    };
    match deadline.bound(shake, late).await? {
        Ok(socket) => Ok(socket),
        Err(answer) => Err(Refused::Answered(Box::new(answer))),
    }
}

/// What a handshake means that ended without an answer.
fn not_upgraded(
    error: &tungstenite::Error,
    failed: impl Fn(Code, &dyn std::fmt::Display, &str) -> Failure,
) -> Failure {
    use tungstenite::error::ProtocolError as Wrong;
    let port = "check the host and the port of the url: is it a LiveKit server's?";
    match error {
        tungstenite::Error::Protocol(
            Wrong::MissingConnectionUpgradeHeader
            | Wrong::MissingUpgradeWebSocketHeader
            | Wrong::SecWebSocketAcceptKeyMismatch,
        ) => failed(
            Code::ProtocolError,
            &format!("what answers opens no websocket: {error}"),
            "let what stands before the server (a proxy, a load balancer) pass websockets on",
        ),
        tungstenite::Error::Protocol(Wrong::HttparseError(_) | Wrong::WrongHttpVersion) => {
            failed(Code::ProtocolError, &"what answers speaks no HTTP", port)
        }
        tungstenite::Error::Protocol(Wrong::HandshakeIncomplete) => {
            failed(Code::Io, &"it takes connections, and closes them without an answer", port)
        }
        other => failed(Code::Io, other, port),
    }
}

fn server_of(url: &url::Url) -> Result<(Host, u16, bool), Failure> {
    let failed = |why: &str| Failure::new(Step::Options, Code::InvalidArgument, why, "");
    let host = url.host().ok_or_else(|| failed("the url names no host"))?.to_owned();
    let port = url.port_or_known_default().ok_or_else(|| failed("the url names no port"))?;
    Ok((host, port, matches!(url.scheme(), "wss" | "https")))
}

/// Puts our network under LiveKit's crate, once.
///
/// # Errors
/// [`Code::Unsupported`] if the program has put another there before and the room `needs_ours`.
pub(super) fn install(needs_ours: bool) -> Result<(), Error> {
    static IS_OURS: OnceLock<bool> = OnceLock::new();
    let is_ours = *IS_OURS.get_or_init(|| {
        let is_free = !livekit_net::has_ws_client() && !livekit_net::has_http_client();
        if is_free {
            livekit_net::set_ws_client(Arc::new(Net));
            livekit_net::set_http_client(Arc::new(Net));
        }
        is_free
    });
    if needs_ours && !is_ours {
        let message = "this program has given LiveKit's crates a network of its own (livekit_net), which knows no proxy and no authorities of a room; leave out one of them";
        return Err(Error::new(Code::Unsupported, message));
    }
    Ok(())
}

struct Net;

/// The way of the room that asks; that of the environment for anybody else.
fn connector() -> Result<Arc<SignalConnector>, TransportError> {
    if let Ok(connector) = CONNECTOR.try_with(Arc::clone) {
        return Ok(connector);
    }
    let dialer = Dialer::new(&Proxy::Environment, None);
    dialer
        .map(|dialer| SignalConnector::new(Arc::new(dialer)))
        .map_err(|error| TransportError::Connection(error.to_string()))
}

fn parse(url: &str) -> Result<url::Url, TransportError> {
    url::Url::parse(url).map_err(|error| TransportError::Connection(error.to_string()))
}

fn add_headers(to: &mut http::HeaderMap, headers: &[Header]) -> Result<(), TransportError> {
    for header in headers {
        let bad = |_| TransportError::Other(format!("the header {} cannot be sent", header.name));
        let name = http::HeaderName::try_from(&header.name).map_err(|_| bad(()))?;
        let value = http::HeaderValue::try_from(&header.value).map_err(|_| bad(()))?;
        to.insert(name, value);
    }
    Ok(())
}

#[async_trait]
impl WsClient for Net {
    async fn connect(
        &self,
        url: String,
        headers: Vec<Header>,
        timeout_ms: u64,
    ) -> Result<WsConnectResult, TransportError> {
        let connector = connector()?;
        let deadline = Deadline::just_before(Duration::from_millis(timeout_ms));
        let opened = connector.open(&parse(&url)?, &headers, deadline).await;
        let socket = opened.map_err(|refused| match refused {
            Refused::Answered(answer) => {
                let status = answer.status;
                lock(&connector.seen).answers.push(*answer);
                TransportError::Http { status }
            }
            Refused::Failed(failure) => {
                let error = match failure.code {
                    Code::Timeout => TransportError::Timeout,
                    _ => TransportError::Connection(failure.found.clone()),
                };
                lock(&connector.seen).failure = Some(failure);
                error
            }
        })?;
        let (writer, reader) = socket.split();
        let connection = Arc::new(Socket { writer: Mutex::new(writer), reader: Mutex::new(reader) });
        Ok(WsConnectResult { connection })
    }
}

/// A websocket.
struct Socket {
    writer: Mutex<SplitSink<WebSocketStream<Stream>, Message>>,
    reader: Mutex<SplitStream<WebSocketStream<Stream>>>,
}

#[async_trait]
impl WsConnection for Socket {
    async fn send(&self, frame: Vec<u8>) -> Result<(), TransportError> {
        let sent = self.writer.lock().await.send(Message::binary(frame)).await;
        sent.map_err(|error| TransportError::Connection(error.to_string()))
    }

    async fn recv(&self) -> Result<Option<Vec<u8>>, TransportError> {
        let mut reader = self.reader.lock().await;
        loop {
            match reader.next().await {
                Some(Ok(Message::Binary(frame))) => return Ok(Some(frame.into())),
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                // Pings are answered below; text is not of this protocol.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(TransportError::Connection(error.to_string())),
            }
        }
    }

    async fn close(&self) {
        let _ = self.writer.lock().await.close().await;
    }
}

#[async_trait]
impl HttpClient for Net {
    async fn request(
        &self,
        method: HttpMethod,
        url: String,
        headers: Vec<Header>,
        body: Option<Vec<u8>>,
    ) -> Result<HttpResponse, TransportError> {
        let connector = connector()?;
        // LiveKit's crate asks for a page to learn why there is no websocket. Where the connection
        // itself failed that is known.
        if lock(&connector.seen).failure.is_some() {
            return Err(TransportError::Closed);
        }
        connector.ask(method, &parse(&url)?, &headers, body, Deadline::after(PAGE)).await
    }
}

/// Sends a request on a connection that stands; the status, the headers and the body of the answer.
pub(super) async fn request(
    method: HttpMethod,
    url: &url::Url,
    headers: &[Header],
    body: Option<Vec<u8>>,
    stream: Stream,
) -> Result<(u16, http::HeaderMap, Bytes), TransportError> {
    let failed = |error: &dyn std::fmt::Display| TransportError::Connection(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let method = match method {
        HttpMethod::Get => http::Method::GET,
        HttpMethod::Post => http::Method::POST,
    };
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, host)
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| failed(&error))?;
    add_headers(request.headers_mut(), headers)?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER).collect().await.map_err(|error| failed(&error))?;
    connection.abort();
    Ok((head.status.as_u16(), head.headers, body.to_bytes()))
}

/// What a look at a server without a token sees of its signal connection: the answers to the
/// requests of a join, the first of them on a connection that stands.
pub(super) async fn probe(
    dialer: Arc<Dialer>,
    urls: [url::Url; 2],
    page: url::Url,
    stream: Stream,
    deadline: Deadline,
) -> Result<Vec<Answer>, Failure> {
    let connector = SignalConnector::new(dialer);
    let mut stream = Some(stream);
    for url in urls {
        let refused = match stream.take() {
            Some(stream) => upgrade(&url, &[], stream, deadline).await,
            None => connector.open(&url, &[], deadline).await,
        };
        match refused {
            // No LiveKit server does that without a token; it is for the join to find out.
            Ok(_) => return Ok(Vec::new()),
            Err(Refused::Failed(failure)) => return Err(failure),
            Err(Refused::Answered(answer)) => {
                let is_missing = answer.status == 404;
                lock(&connector.seen).answers.push(*answer);
                if !is_missing {
                    return Ok(connector.take_seen().answers);
                }
            }
        }
    }
    // Why the page is not there, nobody has to know.
    let _ = connector.ask(HttpMethod::Get, &page, &[], None, deadline).await;
    Ok(connector.take_seen().answers)
}
