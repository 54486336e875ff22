//! What LiveKit's signalling crate stands on: websockets and HTTP requests over connections of [`Dialer`].
//!
//! That crate takes one network for the whole process. Ours finds out by the task that asks which room it serves; asked by anybody
//! else, it goes the way of the environment and trusts the system's authorities.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use super::dial::{Dialer, Proxy, Stream};

/// The largest message that a server may send: a room of thousands of participants.
const MESSAGE: usize = 16 << 20;
/// The largest answer to an HTTP request.
const ANSWER: usize = 1 << 20;

tokio::task_local! {
    static DIALER: Arc<Dialer>;
}

/// Lets signal connections that `work` opens go by this dialer.
pub(super) async fn through<T>(dialer: Arc<Dialer>, work: impl Future<Output = T>) -> T {
    DIALER.scope(dialer, work).await
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

impl Net {
    async fn dial(url: &url::Url) -> Result<Stream, TransportError> {
        let failed = |why: &dyn std::fmt::Display| TransportError::Connection(why.to_string());
        let host = url.host().ok_or_else(|| failed(&"the url names no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| failed(&"the url names no port"))?;
        let tls = matches!(url.scheme(), "wss" | "https");
        let dialer = match DIALER.try_with(Arc::clone) {
            Ok(dialer) => dialer,
            Err(_) => Arc::new(Dialer::new(&Proxy::Environment, None).map_err(|error| failed(&error))?),
        };
        dialer.dial(&host, port, tls).await.map_err(|error| failed(&error))
    }
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
        let open = async {
            let parsed = parse(&url)?;
            let mut request = url
                .as_str()
                .into_client_request()
                .map_err(|error| TransportError::Connection(error.to_string()))?;
            add_headers(request.headers_mut(), &headers)?;
            let stream = Self::dial(&parsed).await?;
            let config =
                WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.map_err(
                |error| match error {
                    tungstenite::Error::Http(answer) => {
                        TransportError::Http { status: answer.status().as_u16() }
                    }
                    other => TransportError::Connection(other.to_string()),
                },
            )
        };
        let (socket, _) =
            timeout(Duration::from_millis(timeout_ms), open).await.map_err(|_| TransportError::Timeout)??;
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
        let failed = |error: &dyn std::fmt::Display| TransportError::Connection(error.to_string());
        let parsed = parse(&url)?;
        let stream = Self::dial(&parsed).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        let connection = tokio::spawn(connection);
        let path = &parsed[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &parsed[url::Position::BeforeHost..url::Position::AfterPort];
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
        add_headers(request.headers_mut(), &headers)?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status().as_u16();
        let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).ok();
        let headers = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| Some(Header { name: name.to_string(), value: text(value)? }))
            .collect();
        let body =
            Limited::new(answer.into_body(), ANSWER).collect().await.map_err(|error| failed(&error))?;
        connection.abort();
        Ok(HttpResponse { status, headers, body: body.to_bytes().into() })
    }
}
