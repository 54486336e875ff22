//! TCP connections to a name: straight or through a proxy, with TLS or without. The signal connection and TURN go this way.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use greenroom_protocol::{Code, Error, Secret};
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service;
use url::Host;

/// Through which HTTP proxy the signal connection and TURN over TCP or TLS go. UDP and TCP to the server's media do not.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// The one that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names, but for what `NO_PROXY` excepts and for servers on this machine.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one, `http://…` or `https://…`, with a user and a password if it wants them; for all servers.
    Url(Secret),
}

impl Proxy {
    /// Reads the url of an HTTP proxy; an empty one is [none](Self::Direct), as curl has it.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for what is no such url.
    pub fn parse(url: &str) -> Result<Self, Error> {
        if url.is_empty() {
            return Ok(Self::Direct);
        }
        let parsed = url::Url::parse(url);
        let at = parsed.as_ref().ok().filter(|_| names_a_host(url));
        let at = at.filter(|url| PROXY_SCHEMES.contains(&url.scheme())).and_then(shown);
        let at = at.map_or_else(String::new, |at| format!("{at:?} "));
        let why = match parsed {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "its scheme is neither http nor https".to_owned()
            }
            Ok(parsed) if !parsed.has_host() || !names_a_host(url) => "it names no host".to_owned(),
            Ok(_) => return Ok(Self::Url(url.into())),
            Err(url::ParseError::RelativeUrlWithoutBase) => "it begins with no scheme".to_owned(),
            Err(error) => error.to_string(),
        };
        let message = format!(
            "the proxy {at}is no url of an HTTP proxy: {why}; give one such as http://proxy.example.com:3128"
        );
        Err(Error::new(Code::InvalidArgument, message))
    }

    /// Whether the url holds a user or a password. Some proxies take a token for the user.
    pub fn has_credentials(&self) -> bool {
        let Self::Url(url) = self else { return false };
        url::Url::parse(url.reveal()).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
    }

    /// Returns the url with nothing in it that may be a secret, as [`parse`](Self::parse) reads it back; nothing where the environment
    /// names the proxy.
    pub fn address(&self) -> Option<String> {
        match self {
            Self::Environment => None,
            Self::Direct => Some(String::new()),
            Self::Url(url) => shown(&url::Url::parse(url.reveal()).ok()?),
        }
    }
}

/// The schemes of urls that are meant for a proxy, ours or not.
const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Whether a host stands where one belongs. The parser takes what follows `ws:` or `ws:///` for one too, whatever it is.
pub(super) fn names_a_host(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| !rest.starts_with(['/', '\\']))
}

/// Returns the part of a url that can hold no secret: scheme, host and port.
fn shown(url: &url::Url) -> Option<String> {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{}://{}{port}", url.scheme(), url.host()?))
}

impl std::fmt::Debug for Proxy {
    /// Without the url, in which may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Direct => "Direct",
            Self::Url(_) => "Url",
        })
    }
}

/// A connection.
pub type Stream = Box<dyn Duplex>;

/// What both directions of a connection can do.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Makes the connections of rooms, by their options; by itself it is for those who look at the way to a server.
pub struct Dialer {
    proxies: Option<Matcher>,
    /// Whether servers on this machine are reached without a proxy.
    spares_loopback: bool,
    ca: Option<Arc<RootCertStore>>,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Dialer {
    /// Goes through this proxy, and trusts the authorities of `ca` (PEM), or those of the system without it.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a proxy or certificates that are none.
    pub fn new(proxy: &Proxy, ca: Option<&[u8]>) -> Result<Self, Error> {
        let proxies = match proxy {
            Proxy::Environment => Some(Matcher::from_env()),
            Proxy::Direct => None,
            Proxy::Url(url) => {
                Proxy::parse(url.reveal())?;
                Some(Matcher::builder().all(url.reveal()).build())
            }
        };
        let spares_loopback = matches!(proxy, Proxy::Environment);
        let ca = ca.map(authorities).transpose().map_err(|why| unusable("", &why))?;
        Ok(Self { proxies, spares_loopback, ca: ca.map(Arc::new), tls: OnceLock::new() })
    }

    /// The proxy through which a server is reached, by name and port; none where it is reached straight.
    pub fn proxy(&self, host: &Host, port: u16, tls: bool) -> Option<(Host, u16)> {
        let uri = uri(host, port, tls).ok()?;
        host_and_port(self.intercept(host, &uri)?.uri())
    }

    /// Connects to a server. The error says what failed, in words for people.
    pub(super) async fn dial(&self, host: &Host, port: u16, tls: bool) -> io::Result<Stream> {
        let stream = self.open(host, port, tls).await?;
        if tls { self.encrypt(host, stream).await.map(|(stream, _)| stream) } else { Ok(stream) }
    }

    /// The first half of a connection that has TLS, all of another: to where the server's first byte comes from.
    ///
    /// # Errors
    /// What failed, in words for people; a proxy is named.
    pub async fn open(&self, host: &Host, port: u16, tls: bool) -> io::Result<Stream> {
        let uri = uri(host, port, tls)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let Some(proxy) = self.intercept(host, &uri) else { return connect(tcp, uri).await };
        let scheme = proxy.uri().scheme_str();
        if !matches!(scheme, Some("http" | "https")) {
            let message = "the environment names a proxy that is no HTTP proxy; unset it, or name another";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let way = self.secured(tcp, scheme == Some("https"))?;
        let connected = connect(tunnel(&proxy, way), uri).await;
        // A password that is not escaped is still in the authority, or is taken for a port.
        let at = host_and_port(proxy.uri())
            .map_or_else(|| "of the environment".to_owned(), |(host, port)| format!("{host}:{port}"));
        connected.map_err(|error| io::Error::new(error.kind(), format!("{THROUGH}{at}: {error}")))
    }

    /// The second half: TLS on what [`open`](Self::open) gave, and the version of it.
    ///
    /// # Errors
    /// The `rustls::Error` inside of it says why the server is not trusted.
    pub async fn encrypt(&self, host: &Host, stream: Stream) -> io::Result<(Stream, String)> {
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
            Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
        };
        let stream = TlsConnector::from(self.tls()?).connect(name, stream).await?;
        let version = stream.get_ref().1.protocol_version();
        Ok((Box::new(stream), version.map_or_else(String::new, |version| format!("{version:?}"))))
    }

    fn intercept(&self, host: &Host, uri: &Uri) -> Option<Intercept> {
        let is_spared = self.spares_loopback && is_loopback(host);
        self.proxies.as_ref().filter(|_| !is_spared)?.intercept(uri)
    }

    fn secured<C>(&self, below: C, needs_tls: bool) -> io::Result<HttpsConnector<C>> {
        // The system's authorities are read only where they are needed.
        let config = if needs_tls { self.tls()? } else { Arc::new(configured(RootCertStore::empty())) };
        Ok(HttpsConnector::from((below, config)))
    }

    fn tls(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let roots = match &self.ca {
            Some(roots) => RootCertStore::clone(roots),
            None => system_authorities()?,
        };
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(configured(roots)))))
    }
}

/// What errors begin with that a proxy is the cause of.
pub(super) const THROUGH: &str = "through the proxy ";

/// The proxy's name and port, without what else its uri may hold.
fn host_and_port(proxy: &Uri) -> Option<(Host, u16)> {
    let proxy = url::Url::parse(&proxy.to_string()).ok()?;
    Some((proxy.host()?.to_owned(), proxy.port_or_known_default()?))
}

/// The certificates that a host language gives: PEM, or the name of a file of it.
pub(super) fn certificates(ca: &str) -> Result<Vec<u8>, Error> {
    if ca.contains("-----BEGIN ") {
        return Ok(ca.into());
    }
    // A name of a file is told; a key that was given in its place is not.
    if ca.len() > LONGEST_PATH || ca.contains(char::is_control) {
        return Err(unusable("", "it is neither PEM nor the name of a file"));
    }
    read_ca(Path::new(ca))
}

/// The most bytes of a file's name that are taken for one.
const LONGEST_PATH: usize = 1024;

/// The certificates of authorities, in PEM, that are in a file.
///
/// # Errors
/// [`Code::InvalidArgument`], which names the file.
pub fn read_ca(file: &Path) -> Result<Vec<u8>, Error> {
    let of = format!(" in {}", file.display());
    let pem = std::fs::read(file).map_err(|error| unusable(&of, &error.to_string()))?;
    authorities(&pem).map_err(|why| unusable(&of, &why))?;
    Ok(pem)
}

fn unusable(of: &str, why: &str) -> Error {
    let message = format!(
        "the certificates{of} of the authorities to trust cannot be used: {why}; give them as PEM, or a file of such"
    );
    Error::new(Code::InvalidArgument, message)
}

fn uri(host: &Host, port: u16, tls: bool) -> io::Result<Uri> {
    Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(format!("{host}:{port}"))
        .path_and_query("/")
        .build()
        .map_err(io::Error::other)
}

/// Whether a server of this name is on this machine.
pub(super) fn is_loopback(host: &Host<impl AsRef<str>>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(name) => {
            let name = name.as_ref();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

fn tunnel<C>(proxy: &Intercept, way: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.uri().clone(), way);
    match proxy.basic_auth() {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    }
}

async fn connect<C>(mut connector: C, uri: Uri) -> io::Result<Stream>
where
    C: Service<Uri>,
    C::Response: Read + Write + Send + Unpin + 'static,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connected = async {
        std::future::poll_fn(|context| connector.poll_ready(context)).await?;
        connector.call(uri).await
    };
    let stream = connected.await.map_err(|error| explain(error.into()))?;
    Ok(Box::new(TokioIo::new(stream)))
}

/// An error with all its causes.
fn explain(error: Box<dyn std::error::Error + Send + Sync>) -> io::Error {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        // A cause that repeats what it causes says nothing.
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        cause = next.source();
    }
    io::Error::other(message)
}

fn configured(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // The reader's own words quote the line.
        let certificate = certificate.map_err(|_| "a section of it has no end, or is no base64")?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("there is none".to_owned()) } else { Ok(roots) }
}

fn system_authorities() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let message = format!(
            "this machine has no certificates of authorities to trust ({}); install its package ca-certificates, or set SSL_CERT_FILE",
            why.join("; ")
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    Ok(roots)
}
