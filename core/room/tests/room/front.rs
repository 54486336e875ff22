//! What stands before a server in other people's networks: TLS, and an HTTP proxy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// An authority of a test's own, and a certificate of 127.0.0.1, localhost and turn.test that it signed. All in PEM.
pub(crate) struct Authority {
    pub(crate) ca: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names = ["127.0.0.1", "localhost", "turn.test"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        Self { ca: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Speaks TLS before a server that does not. Gives its address.
pub(crate) async fn tls_before(server: SocketAddr, authority: &Authority) -> SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(authority.key.as_bytes()).unwrap();
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(stream).await else { return };
                let mut far = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

/// An HTTP proxy that takes names to addresses of this machine.
pub(crate) struct ConnectProxy {
    address: SocketAddr,
    wants_password: bool,
    /// What it was asked for.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    pub(crate) refused: Arc<AtomicUsize>,
}

impl ConnectProxy {
    /// One that wants `user:pa:ss`.
    pub(crate) async fn start(names: &[(&str, SocketAddr)]) -> Self {
        Self::start_as(names, true).await
    }

    /// One for everybody.
    pub(crate) async fn start_open(names: &[(&str, SocketAddr)]) -> Self {
        Self::start_as(names, false).await
    }

    async fn start_as(names: &[(&str, SocketAddr)], wants_password: bool) -> Self {
        let names: Vec<(String, SocketAddr)> =
            names.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, refused) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        tokio::spawn({
            let (asked, refused) = (Arc::clone(&asked), Arc::clone(&refused));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (asked, refused) = (Arc::clone(&asked), Arc::clone(&refused));
                    tokio::spawn(serve(stream, names.clone(), wants_password, asked, refused));
                }
            }
        });
        Self { address, wants_password, asked, refused }
    }

    /// With the right password, if it wants one.
    pub(crate) fn url(&self) -> String {
        let user = if self.wants_password { "user:pa%3Ass@" } else { "" };
        format!("http://{user}{}", self.address)
    }

    pub(crate) fn url_with_wrong_password(&self) -> String {
        format!("http://user:hunter2@{}", self.address)
    }
}

async fn serve(
    mut near: TcpStream,
    names: Vec<(String, SocketAddr)>,
    wants_password: bool,
    asked: Arc<Mutex<Vec<String>>>,
    refused: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = near.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    // user:pa:ss
    let is_known =
        head.lines().any(|line| line.eq_ignore_ascii_case("proxy-authorization: basic dXNlcjpwYTpzcw=="));
    if wants_password && !is_known {
        refused.fetch_add(1, Ordering::Relaxed);
        let _ =
            near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    asked.lock().unwrap().push(target.clone());
    let Some((_, address)) = names.iter().find(|(name, _)| *name == target) else {
        let _ = near.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        return;
    };
    let mut far = TcpStream::connect(address).await.unwrap();
    let _ = near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// Answers every request with this, whatever it asks for.
pub(crate) async fn answering(answer: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_owned();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = head(&mut stream).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

/// Passes each request on to a server as `change` has it, and all that comes after it.
pub(crate) async fn rewriting(
    server: SocketAddr,
    change: impl Fn(String) -> String + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let change = Arc::new(change);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let change = Arc::clone(&change);
            tokio::spawn(async move {
                let Some(head) = head(&mut near).await else { return };
                let Ok(mut far) = TcpStream::connect(server).await else { return };
                if far.write_all(change(head).as_bytes()).await.is_ok() {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    address
}

/// One that does not pass websockets on, as a proxy that was never told to.
pub(crate) async fn dropping_upgrade(server: SocketAddr) -> SocketAddr {
    rewriting(server, |head| {
        let is_kept = |line: &&str| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("upgrade:") && !line.starts_with("connection:")
        };
        let kept: Vec<&str> = head.trim_end().split("\r\n").filter(is_kept).collect();
        format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))
    })
    .await
}

/// One under whose path `/livekit` the server is. Gives its address and what was asked for.
pub(crate) async fn under_a_path(server: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let address = rewriting(server, move |head| {
        let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
        noted.lock().unwrap().push(path);
        // What is not under it, this server does not have.
        if head.contains(" /livekit/") {
            head.replacen(" /livekit/", " /", 1)
        } else {
            head.replacen(" /", " /nowhere/", 1)
        }
    })
    .await;
    (address, asked)
}

/// The head of a request, with the empty line at its end.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
