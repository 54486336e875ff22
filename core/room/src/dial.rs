//! TCP connections to a name: straight or through a proxy, with TLS or without. The signal connection and TURN go this way.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use greenroom_os::read_fifo;
use greenroom_protocol::{Code, Error, Secret};
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tower_service::Service;
use url::Host;

use super::failure::{Deadline, Failure, Step, listed};
use super::proxies::Proxies;

/// How long an address is tried alone before the next one is tried beside it (RFC 8305).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// What to do where a proxy is in the way.
const ABOUT_PROXIES: &str = "check the proxy (--proxy or proxy=), or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY in the environment";

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

/// Makes the connections of rooms, by their options.
pub struct Dialer {
    proxies: Source,
    ca: Option<Arc<RootCertStore>>,
    tls: OnceLock<Arc<ClientConfig>>,
}

/// Where a dialer takes its proxies from.
enum Source {
    Environment(Proxies),
    Given(Box<Matcher>),
    Nowhere,
}

impl Dialer {
    /// Goes through this proxy, and trusts the authorities of `ca` (PEM), or those of the system without it.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a proxy or certificates that are none.
    pub fn new(proxy: &Proxy, ca: Option<&[u8]>) -> Result<Self, Error> {
        let proxies = match proxy {
            Proxy::Environment => Source::Environment(Proxies::from_environment()),
            Proxy::Direct => Source::Nowhere,
            Proxy::Url(url) => {
                Proxy::parse(url.reveal())?;
                Source::Given(Box::new(Matcher::builder().all(url.reveal()).build()))
            }
        };
        let ca = ca.map(authorities).transpose().map_err(|why| unusable("", &why))?;
        Ok(Self { proxies, ca: ca.map(Arc::new), tls: OnceLock::new() })
    }

    /// The proxy through which a server is reached, by name and port; none where it is reached straight.
    pub fn proxy(&self, host: &Host, port: u16, tls: bool) -> Option<(Host, u16)> {
        let route = self.route(host, port, tls).ok()?;
        route.proxy.as_ref().map(|_| (route.host.clone(), route.port))
    }

    /// The way to a server. Nothing is looked up or connected yet.
    ///
    /// # Errors
    /// A variable of the environment that should name a proxy and names none.
    pub fn route(&self, host: &Host, port: u16, tls: bool) -> Result<Route<'_>, Failure> {
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(Step::Connect, Code::InvalidArgument, why.to_string(), ABOUT_PROXIES)
        };
        let scheme = if tls { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(format!("{host}:{port}")).path_and_query("/");
        let uri = uri.build().map_err(|error| failed(&error))?;
        let proxy = match &self.proxies {
            Source::Nowhere => None,
            Source::Environment(_) if is_loopback(host) => None,
            Source::Given(matcher) => matcher.intercept(&uri),
            Source::Environment(proxies) => proxies.intercept(host, port, &uri).map_err(|variable| {
                failed(&format!("{variable} of the environment is not the url of an HTTP proxy"))
            })?,
        };
        let straight = Route { dialer: self, uri, proxy: None, host: host.clone(), port };
        let Some(proxy) = proxy else { return Ok(straight) };
        if !matches!(proxy.uri().scheme_str(), Some("http" | "https")) {
            let why = "the environment names a proxy that is no HTTP proxy; unset it, or name another";
            return Err(failed(&why));
        }
        let at = url::Url::parse(&proxy.uri().to_string()).map_err(|error| failed(&error))?;
        let (Some(host), Some(port)) = (at.host(), at.port_or_known_default()) else {
            return Err(failed(&"the proxy has no name or no port"));
        };
        let host = host.to_owned();
        Ok(Route { proxy: Some(proxy), host, port, ..straight })
    }

    /// Connects to a server: all steps, one after the other.
    pub(super) async fn dial(
        &self,
        host: &Host,
        port: u16,
        tls: bool,
        deadline: Deadline,
    ) -> Result<Opened, Failure> {
        let route = self.route(host, port, tls)?;
        let addresses = route.resolve(deadline).await?;
        let opened = route.connect(&addresses, deadline).await?;
        if !tls {
            return Ok(opened);
        }
        let (stream, _) = self.encrypt(host, port, opened.stream, deadline).await?;
        Ok(Opened { stream, ..opened })
    }

    /// TLS on what [`Route::connect`] opened, and the version of it.
    ///
    /// # Errors
    /// Why the server is not trusted, or speaks no TLS.
    pub async fn encrypt(
        &self,
        host: &Host,
        port: u16,
        stream: Stream,
        deadline: Deadline,
    ) -> Result<(Stream, String), Failure> {
        let at = format!("{host}:{port}");
        let late = |limit| {
            let found = format!("no signal connection to {at}: no TLS handshake within {limit}");
            Failure::new(Step::Tls, Code::Timeout, found, "use ws:// if this port speaks no TLS")
        };
        let shake = async { self.handshake(host, stream).await.map_err(|error| not_encrypted(&at, &error)) };
        deadline.bound(shake, late).await
    }

    async fn handshake(&self, host: &Host, stream: Stream) -> io::Result<(Stream, String)> {
        let name = match host {
            Host::Domain(name) => {
                // A certificate names no root.
                let name = name.trim_end_matches('.').to_owned();
                ServerName::try_from(name).map_err(io::Error::other)?
            }
            Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
            Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
        };
        let stream = TlsConnector::from(self.tls()?).connect(name, stream).await?;
        let version = stream.get_ref().1.protocol_version();
        Ok((Box::new(stream), version.map_or_else(String::new, |version| format!("{version:?}"))))
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

/// The most of a named pipe with certificates, in bytes: each system's own list has less than one MiB.
const LARGEST_CA: u64 = 16 << 20;

/// The certificates of authorities, in PEM, that are in a file, or in a named pipe that something fills.
///
/// # Errors
/// [`Code::InvalidArgument`], which names the file.
pub fn read_ca(file: &Path) -> Result<Vec<u8>, Error> {
    let of = format!(" in {}", file.display());
    let failed = |error: io::Error| unusable(&of, &error.to_string());
    let kind = std::fs::metadata(file).map_err(failed)?.file_type();
    let pem = match read_fifo(file, kind, LARGEST_CA) {
        Some(read) => read,
        None if kind.is_file() || kind.is_dir() => std::fs::read(file),
        // To read a device may have no end.
        None => return Err(unusable(&of, "it is no file")),
    };
    let pem = pem.map_err(failed)?;
    authorities(&pem).map_err(|why| unusable(&of, &why))?;
    Ok(pem)
}

fn unusable(of: &str, why: &str) -> Error {
    let message = format!(
        "the certificates{of} of the authorities to trust cannot be used: {why}; give them as PEM, or a file of such"
    );
    Error::new(Code::InvalidArgument, message)
}

/// Whether a server of this name is on this machine.
pub(super) fn is_loopback(host: &Host<impl AsRef<str>>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(name) => {
            let name = name.as_ref().trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// The way to a server, of which each step can be taken by itself.
pub struct Route<'a> {
    dialer: &'a Dialer,
    /// The server.
    uri: Uri,
    proxy: Option<Intercept>,
    /// What is looked up and connected to: the proxy, or the server where there is none.
    host: Host,
    port: u16,
}

/// A connection, and how it came about.
#[non_exhaustive]
pub struct Opened {
    /// The connection, over which the server's first byte comes.
    pub stream: Stream,
    /// The address of the server, or of the proxy before it, that took the connection.
    pub address: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// Whether it is to a proxy.
    pub is_proxied: bool,
}

impl Route<'_> {
    /// The proxy, as `host:port`, if there is one.
    pub fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(|_| format!("{}:{}", self.host, self.port))
    }

    /// The host that is looked up and connected to: the proxy, which looks the server up itself, or
    /// the server.
    pub const fn first_host(&self) -> &Host {
        &self.host
    }

    /// The addresses of that host.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn resolve(&self, deadline: Deadline) -> Result<Vec<SocketAddr>, Failure> {
        let name = match &self.host {
            Host::Ipv4(ip) => return Ok(vec![((*ip), self.port).into()]),
            Host::Ipv6(ip) => return Ok(vec![((*ip), self.port).into()]),
            Host::Domain(name) => name.as_str(),
        };
        let failed = |code, why: String| {
            let found = format!("{}{name} {why}", self.whose());
            let advice = if self.proxy.is_some() {
                ABOUT_PROXIES
            } else {
                "check the spelling of the url, and that this machine has a network; a name of a container or a cluster is known there only"
            };
            Failure::new(Step::Dns, code, self.blamed(&found), advice)
        };
        let look_up = async {
            let found = tokio::net::lookup_host((name, self.port)).await;
            let found: Vec<SocketAddr> =
                found.map_err(|error| failed(Code::Io, format!("cannot be looked up: {error}")))?.collect();
            if found.is_empty() { Err(failed(Code::Io, "has no address".to_owned())) } else { Ok(found) }
        };
        deadline.bound(look_up, |limit| failed(Code::Timeout, format!("was not found within {limit}"))).await
    }

    /// A connection to one of these addresses, and through the proxy there to the server. Addresses
    /// are tried one beside the other, so that a dead one costs a quarter of a second.
    ///
    /// # Errors
    /// What each address said.
    pub async fn connect(&self, addresses: &[SocketAddr], deadline: Deadline) -> Result<Opened, Failure> {
        let tcp = Tcp { addresses: addresses.into(), ends: Arc::default() };
        let ends = Arc::clone(&tcp.ends);
        let connect = async {
            let stream = match &self.proxy {
                None => connect(tcp, self.uri.clone()).await,
                Some(proxy) => match self.dialer.secured(tcp, proxy.uri().scheme_str() == Some("https")) {
                    Ok(way) => connect(tunnel(proxy, way), self.uri.clone()).await,
                    Err(error) => Err(error),
                },
            };
            let stream = stream.map_err(|error| self.not_connected(Code::Io, &error.to_string()))?;
            let unknown = || self.not_connected(Code::Io, "it has no address");
            let (local, address) = ends.get().copied().ok_or_else(unknown)?;
            Ok(Opened { stream, address, local, is_proxied: self.proxy.is_some() })
        };
        let late = |limit| {
            let why = if ends.get().is_some() {
                format!("it did not lead to the server within {limit}")
            } else {
                format!("{} did not answer within {limit}", listed(addresses))
            };
            self.not_connected(Code::Timeout, &why)
        };
        deadline.bound(connect, late).await
    }

    fn not_connected(&self, code: Code, why: &str) -> Failure {
        let advice = if self.proxy.is_some() {
            ABOUT_PROXIES.to_owned()
        } else {
            format!(
                "check the url, and that the server runs and listens on port {} for others than its own machine; where a proxy is needed, give it with --proxy or proxy=",
                self.port
            )
        };
        Failure::new(Step::Connect, code, self.blamed(why), advice)
    }

    fn blamed(&self, why: &str) -> String {
        let server = self.uri.authority().map_or("", http::uri::Authority::as_str);
        match self.proxy() {
            Some(proxy) => format!("no signal connection to {server}: through the proxy {proxy}: {why}"),
            None => format!("no signal connection to {server}: {why}"),
        }
    }

    const fn whose(&self) -> &'static str {
        if self.proxy.is_some() { "the proxy's name " } else { "" }
    }
}

fn not_encrypted(at: &str, error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (is_untrusted, advice) = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => (true, about_certificate(why)),
        None if error.kind() == io::ErrorKind::NotFound => {
            (false, "install ca-certificates, or give a file with --ca or ca=")
        }
        _ => (
            false,
            "check the url: use ws:// if this port speaks no TLS; something between here and the server may break it off",
        ),
    };
    let found = if is_untrusted {
        format!("the certificate of {at} is not trusted: {error}")
    } else {
        format!("no signal connection to {at}: {error}")
    };
    Failure::new(Step::Tls, Code::Io, found, advice)
}

const fn about_certificate(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew the server's certificate, or set this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set the clock of this machine or of the server"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "use the name that the certificate is for, or get one for this name"
        }
        CertificateError::UnknownIssuer => {
            "give the certificate of the authority that signed it (--ca or ca=), or let this system trust it (SSL_CERT_FILE names a file of such), and let the server send all certificates in between"
        }
        _ => "look at the server's certificate",
    }
}

/// TCP to one of several addresses.
#[derive(Clone)]
struct Tcp {
    addresses: Arc<[SocketAddr]>,
    /// Both ends of the connection, once there is one.
    ends: Arc<OnceLock<(SocketAddr, SocketAddr)>>,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { addresses, ends } = self.clone();
        Box::pin(async move {
            let stream = race(&addresses, TcpStream::connect, || sleep(NEXT_ADDRESS)).await?;
            stream.set_nodelay(true)?;
            let _ = ends.set((stream.local_addr()?, stream.peer_addr()?));
            Ok(TokioIo::new(stream))
        })
    }
}

/// Tries addresses one beside the other, both families in turn, until one works (RFC 8305). The
/// error says what each said.
async fn race<T, F, P>(
    addresses: &[SocketAddr],
    attempt: impl Fn(SocketAddr) -> F,
    pause: impl Fn() -> P,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
    P: Future<Output = ()>,
{
    let mut waiting = alternating(addresses).into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            let tried = attempt(address);
            running.push(async move { (address, tried.await) });
        }
        tokio::select! {
            biased;
            done = running.next() => match done {
                Some((_, Ok(connected))) => return Ok(connected),
                Some((address, Err(error))) => failures.push((address, error)),
                None => return Err(all_failed(&failures)),
            },
            () = pause(), if waiting.peek().is_some() => {}
        }
    }
}

fn all_failed(failures: &[(SocketAddr, io::Error)]) -> io::Error {
    let kind = failures.first().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
    let shown: Vec<String> = failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    io::Error::new(kind, shown.join("; "))
}

/// The addresses in their order, but with the families in turn.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    one.reverse();
    other.reverse();
    let mut ordered = Vec::with_capacity(addresses.len());
    while !(one.is_empty() && other.is_empty()) {
        ordered.extend(one.pop());
        ordered.extend(other.pop());
    }
    ordered
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::cell::Cell;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn authorities_in_a_named_pipe_are_read_within_a_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let begun = std::time::Instant::now();
        let error = read_ca(&path).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(error.code, Code::InvalidArgument);
        for words in ["ca.pem", "named pipe, and nothing wrote to it within 3 s"] {
            assert!(error.message.contains(words), "{error}");
        }
        let pem = rcgen::generate_simple_self_signed(["livekit.test".to_owned()]).unwrap().cert.pem();
        let (to, text) = (path.clone(), pem.clone());
        let writer = std::thread::spawn(move || std::fs::write(to, text));
        assert_eq!(read_ca(&path).unwrap(), pem.as_bytes());
        writer.join().unwrap().unwrap();
        let error = read_ca(Path::new("/dev/zero")).unwrap_err();
        assert!(error.message.contains("it is no file"), "{error}");
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// An address of a network that swallows what is sent there, or refuses it, or takes it.
    async fn attempt(at: SocketAddr) -> io::Result<SocketAddr> {
        match at.port() {
            1 => std::future::pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(at),
        }
    }

    #[tokio::test]
    async fn dead_addresses_before_the_live_one_cost_a_pause_each() {
        let live = address("[2001:db8::9]:3");
        let mut addresses: Vec<SocketAddr> =
            (1..=9).map(|last| address(&format!("192.0.2.{last}:1"))).collect();
        addresses.extend([address("[2001:db8::1]:1"), live]);
        let pauses = &Cell::new(0);
        let pause = || async move { pauses.set(pauses.get() + 1) };
        assert_eq!(race(&addresses, attempt, pause).await.unwrap(), live);
        // The families take turns, so that the second of IPv6 is the fourth.
        assert_eq!(pauses.get(), 3);
    }

    #[tokio::test]
    async fn refused_addresses_are_passed_at_once_and_all_are_named() {
        let refused = [address("192.0.2.1:2"), address("192.0.2.2:2")];
        let pause = std::future::pending::<()>;
        let live = address("192.0.2.3:3");
        assert_eq!(race(&[refused[0], refused[1], live], attempt, pause).await.unwrap(), live);
        let error = race(&refused, attempt, pause).await.unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:2: ") && error.contains("192.0.2.2:2: "), "{error}");
    }

    #[test]
    fn addresses_that_never_answer_are_named() {
        let dialer = Dialer::new(&Proxy::Direct, None).unwrap();
        let route = dialer.route(&Host::parse("livekit.test").unwrap(), 7880, false).unwrap();
        let failure = route.not_connected(Code::Timeout, &listed(&[address("192.0.2.1:1")]));
        let error = Error::from(failure);
        assert!(error.message.contains("livekit.test:7880: 192.0.2.1:1"), "{error}");
    }
}
