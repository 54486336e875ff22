//! TCP connections to a name: straight or through a proxy, with TLS or without. The signal connection and TURN go this way.

use std::io;
use std::sync::{Arc, OnceLock};

use greenroom_protocol::{Code, Error};
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;
use url::Host;

/// Through which HTTP proxy the signal connection and TURN over TCP or TLS go. UDP and TCP to the server's media do not.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// The one that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names, but for what `NO_PROXY` excepts and for servers on this machine.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one, `http://…` or `https://…`, with a user and a password if it wants them; for all servers.
    Url(String),
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
pub(super) type Stream = Box<dyn Duplex>;

/// What both directions of a connection can do.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Makes connections.
pub(super) struct Dialer {
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
    pub(super) fn new(proxy: &Proxy, ca: Option<&[u8]>) -> Result<Self, Error> {
        let proxies = match proxy {
            Proxy::Environment => Some(Matcher::from_env()),
            Proxy::Direct => None,
            Proxy::Url(url) => {
                let is_http = url::Url::parse(url)
                    .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                if !is_http {
                    let message = "the proxy is no url of an HTTP proxy; give one such as http://proxy.example.com:3128";
                    return Err(Error::new(Code::InvalidArgument, message));
                }
                Some(Matcher::builder().all(url.as_str()).build())
            }
        };
        let spares_loopback = matches!(proxy, Proxy::Environment);
        Ok(Self { proxies, spares_loopback, ca: ca.map(authorities).transpose()?, tls: OnceLock::new() })
    }

    /// Connects to a server. The error says what failed, in words for people.
    pub(super) async fn dial(&self, host: &Host, port: u16, tls: bool) -> io::Result<Stream> {
        let uri = Uri::builder()
            .scheme(if tls { "https" } else { "http" })
            .authority(format!("{host}:{port}"))
            .path_and_query("/")
            .build()
            .map_err(io::Error::other)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let is_spared = self.spares_loopback && is_loopback(host);
        match self.proxies.as_ref().filter(|_| !is_spared).and_then(|proxies| proxies.intercept(&uri)) {
            None => connect(self.secured(tcp, tls)?, uri).await,
            Some(proxy) => {
                let scheme = proxy.uri().scheme_str();
                if !matches!(scheme, Some("http" | "https")) {
                    let message =
                        "the environment names a proxy that is no HTTP proxy; unset it, or name another";
                    return Err(io::Error::new(io::ErrorKind::Unsupported, message));
                }
                let way = self.secured(tcp, scheme == Some("https"))?;
                let connected = connect(self.secured(tunnel(&proxy, way), tls)?, uri).await;
                let at = proxy.uri().authority().map_or("", http::uri::Authority::as_str);
                // The authority of an intercepted uri has no user information.
                connected
                    .map_err(|error| io::Error::new(error.kind(), format!("through the proxy {at}: {error}")))
            }
        }
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

fn authorities(pem: &[u8]) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    let refuse = |why: String| {
        Error::new(
            Code::InvalidArgument,
            format!("the certificates of the authorities to trust cannot be used: {why}; give them as PEM"),
        )
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("there is none".to_owned()));
    }
    Ok(Arc::new(roots))
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
