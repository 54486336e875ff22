//! The way to the server: its name, its port, TLS, and whether it answers as a LiveKit server does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_protocol::Code;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use super::{Checkup, Notes, StepName};

/// The most bytes of an answer that are looked at.
const ANSWER: u64 = 16 << 10;

/// Whether the server can be reached.
pub(super) async fn examine(checkup: &Checkup, notes: &mut Notes<'_>) -> bool {
    let Some(addresses) = look_up(checkup, notes).await else {
        return skip(
            notes,
            &[StepName::Connect, StepName::Tls, StepName::Signal],
            "the server has no address",
        );
    };
    let Some(stream) = connect(checkup, &addresses, notes).await else {
        return skip(notes, &[StepName::Tls, StepName::Signal], "there is no connection");
    };
    if !checkup.address.is_secure() {
        notes.skip(StepName::Tls, "the url asks for none");
        return ask(checkup, stream, notes).await;
    }
    match encrypt(checkup, stream, notes).await {
        Some(stream) => ask(checkup, stream, notes).await,
        None => skip(notes, &[StepName::Signal], "there is no connection"),
    }
}

fn skip(notes: &mut Notes<'_>, names: &[StepName], why: &str) -> bool {
    for name in names {
        notes.skip(*name, why);
    }
    false
}

async fn look_up(checkup: &Checkup, notes: &mut Notes<'_>) -> Option<Vec<SocketAddr>> {
    let began = Instant::now();
    let (host, port) = checkup.address.authority();
    let port = port.unwrap_or_default();
    match host? {
        Host::Ipv4(ip) => {
            notes.ok(StepName::Dns, began, format!("{ip} is an address"));
            Some(vec![(ip, port).into()])
        }
        Host::Ipv6(ip) => {
            notes.ok(StepName::Dns, began, format!("{ip} is an address"));
            Some(vec![(ip, port).into()])
        }
        Host::Domain(name) => {
            let advice =
                "check the spelling of the url; a name of a container or a cluster is known there only";
            let (code, why) = match timeout(checkup.timeout, lookup_host((name, port))).await {
                Ok(Ok(found)) => {
                    let found: Vec<SocketAddr> = found.collect();
                    let ips: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
                    if !found.is_empty() {
                        notes.ok(StepName::Dns, began, format!("{name} is {}", ips.join(", ")));
                        return Some(found);
                    }
                    (Code::Io, format!("{name} has no address"))
                }
                Ok(Err(error)) => (Code::Io, format!("{name} cannot be looked up: {error}")),
                Err(_) => (Code::Timeout, format!("{name} was not found within {}", shown(checkup.timeout))),
            };
            notes.fail(StepName::Dns, code, began, why, advice);
            None
        }
    }
}

async fn connect(checkup: &Checkup, addresses: &[SocketAddr], notes: &mut Notes<'_>) -> Option<TcpStream> {
    let began = Instant::now();
    let mut failures = Vec::new();
    let mut code = Code::Io;
    for address in addresses {
        match timeout(checkup.timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                notes.ok(StepName::Connect, began, format!("{address} takes connections"));
                return Some(stream);
            }
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => {
                code = Code::Timeout;
                failures.push(format!("{address} did not answer within {}", shown(checkup.timeout)));
            }
        }
    }
    let advice = "check that the server runs and listens on this port for others than its own machine, and that a firewall lets \
                  it through";
    notes.fail(StepName::Connect, code, began, failures.join("; "), advice);
    None
}

async fn encrypt(
    checkup: &Checkup,
    stream: TcpStream,
    notes: &mut Notes<'_>,
) -> Option<tokio_rustls::client::TlsStream<TcpStream>> {
    let began = Instant::now();
    let (host, _) = checkup.address.authority();
    let host = host?.to_owned().to_string();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    let (connector, name) = match (connector(), name) {
        (Ok(connector), Ok(name)) => (connector, name),
        (Err(why), _) => {
            notes.fail(
                StepName::Tls,
                Code::Io,
                began,
                why,
                "install the system's certificates (ca-certificates)",
            );
            return None;
        }
        (_, Err(error)) => {
            notes.fail(StepName::Tls, Code::InvalidArgument, began, error.to_string(), "check the url");
            return None;
        }
    };
    match timeout(checkup.timeout, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let version =
                session.protocol_version().map_or_else(String::new, |version| format!("{version:?}"));
            notes.ok(StepName::Tls, began, format!("{version} with a certificate that this system trusts"));
            Some(stream)
        }
        Ok(Err(error)) => {
            let advice = advice_about(&error);
            notes.fail(StepName::Tls, Code::Io, began, error.to_string(), advice);
            None
        }
        Err(_) => {
            let why = format!("no handshake within {}", shown(checkup.timeout));
            notes.fail(StepName::Tls, Code::Timeout, began, why, "use ws:// if this port speaks no TLS");
            None
        }
    }
}

fn connector() -> Result<TlsConnector, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!("this system has no certificates to trust: {}", why.join("; ")));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn advice_about(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
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
                "let this system trust who signed the certificate (SSL_CERT_FILE names a file of such), and let the server send all \
                 certificates in between"
            }
            _ => "look at the server's certificate",
        },
        _ => "use ws:// if this port speaks no TLS; something between here and the server may break it off",
    }
}

/// Whether the server answers, and as a LiveKit server does.
async fn ask(
    checkup: &Checkup,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    notes: &mut Notes<'_>,
) -> bool {
    let began = Instant::now();
    let host = checkup.address.host();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: greenroom\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let asked = async {
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // A peer that ends TLS rudely has answered all the same.
        let read = (&mut stream).take(ANSWER).read_to_end(&mut answer).await;
        if answer.is_empty() { read.map(|_| answer) } else { Ok(answer) }
    };
    let advice = "check the host and the port of the url: is it a LiveKit server's?";
    let answer = match timeout(checkup.timeout, asked).await {
        Ok(Ok(answer)) => String::from_utf8_lossy(&answer).into_owned(),
        Ok(Err(error)) => {
            notes.fail(StepName::Signal, Code::Io, began, format!("{host} does not answer: {error}"), advice);
            return false;
        }
        Err(_) => {
            let why = format!("{host} did not answer within {}", shown(checkup.timeout));
            notes.fail(StepName::Signal, Code::Timeout, began, why, advice);
            return false;
        }
    };
    let status = answer.lines().next().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    if !status.starts_with("HTTP/1.") {
        notes.fail(StepName::Signal, Code::ProtocolError, began, format!("{host} speaks no HTTP"), advice);
        return false;
    }
    if status.contains(" 200") && body.contains("OK") {
        notes.ok(StepName::Signal, began, format!("{host} answers as a LiveKit server does"));
    } else {
        notes.warn(
            StepName::Signal,
            began,
            format!("{host} answers, but not as LiveKit servers do: {status}"),
            advice,
        );
    }
    true
}

fn shown(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}
