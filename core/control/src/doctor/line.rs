//! The way to the server: its name, its port, TLS, and whether it answers as a LiveKit server does.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use greenroom_engine::room::{Dialer, Stream};
use greenroom_protocol::Code;
use rustls::CertificateError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Host;

use super::{Checkup, Notes, StepName};

/// The most bytes of an answer that are looked at.
const ANSWER: u64 = 16 << 10;

/// What to do where a proxy does not let us through.
const ABOUT_PROXIES: &str =
    "check the proxy: --proxy, or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY in the environment";

/// The way to the server.
struct Line<'a> {
    checkup: &'a Checkup,
    dialer: &'a Dialer,
    host: Host,
    port: u16,
    /// The proxy through which it goes, if any.
    proxy: Option<(Host, u16)>,
}

/// Whether the server can be reached.
pub(super) async fn examine(checkup: &Checkup, dialer: &Dialer, notes: &mut Notes<'_>) -> bool {
    let (Some(host), Some(port)) = checkup.address.authority() else { return false };
    let host = host.to_owned();
    let proxy = dialer.proxy(&host, port, checkup.address.is_secure());
    let line = Line { checkup, dialer, host, port, proxy };
    let Some(addresses) = line.look_up(notes).await else {
        return skip(notes, &[StepName::Connect, StepName::Tls, StepName::Signal], "there is no address");
    };
    let Some(stream) = line.connect(&addresses, notes).await else {
        return skip(notes, &[StepName::Tls, StepName::Signal], "there is no connection");
    };
    if !checkup.address.is_secure() {
        notes.skip(StepName::Tls, "the url asks for none");
        return ask(checkup, stream, notes).await;
    }
    match line.encrypt(stream, notes).await {
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

impl Line<'_> {
    /// The addresses of the server, or of the proxy, which looks the server up itself.
    async fn look_up(&self, notes: &mut Notes<'_>) -> Option<Vec<SocketAddr>> {
        let began = Instant::now();
        let ((host, port), whose) = match &self.proxy {
            Some((host, port)) => ((host, *port), "the proxy "),
            None => ((&self.host, self.port), ""),
        };
        let name = match host {
            Host::Ipv4(ip) => {
                notes.ok(StepName::Dns, began, format!("{whose}{ip} is an address"));
                return Some(vec![(*ip, port).into()]);
            }
            Host::Ipv6(ip) => {
                notes.ok(StepName::Dns, began, format!("{whose}{ip} is an address"));
                return Some(vec![(*ip, port).into()]);
            }
            Host::Domain(name) => name.as_str(),
        };
        let limit = self.checkup.timeout;
        let (code, why) = match timeout(limit, lookup_host((name, port))).await {
            Ok(Ok(found)) => {
                let found: Vec<SocketAddr> = found.collect();
                let ips: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
                if !found.is_empty() {
                    notes.ok(StepName::Dns, began, format!("{whose}{name} is {}", ips.join(", ")));
                    return Some(found);
                }
                (Code::Io, format!("{whose}{name} has no address"))
            }
            Ok(Err(error)) => (Code::Io, format!("{whose}{name} cannot be looked up: {error}")),
            Err(_) => (Code::Timeout, format!("{whose}{name} was not found within {}", shown(limit))),
        };
        let advice = match self.proxy {
            Some(_) => ABOUT_PROXIES,
            None => "check the spelling of the url; a name of a container or a cluster is known there only",
        };
        notes.fail(StepName::Dns, code, began, why, advice);
        None
    }

    /// A connection over which the server's first byte would come.
    async fn connect(&self, addresses: &[SocketAddr], notes: &mut Notes<'_>) -> Option<Stream> {
        let Some((proxy, port)) = &self.proxy else { return self.connect_straight(addresses, notes).await };
        let began = Instant::now();
        let opening = self.dialer.open(&self.host, self.port, self.checkup.address.is_secure());
        let (code, why) = match timeout(self.checkup.timeout, opening).await {
            Ok(Ok(stream)) => {
                let found = format!("the proxy {proxy}:{port} leads to {}", self.checkup.address.host());
                notes.ok(StepName::Connect, began, found);
                return Some(stream);
            }
            Ok(Err(error)) => (Code::Io, error.to_string()),
            Err(_) => {
                let within = shown(self.checkup.timeout);
                (Code::Timeout, format!("through the proxy {proxy}:{port} there is no way within {within}"))
            }
        };
        notes.fail(StepName::Connect, code, began, why, ABOUT_PROXIES);
        None
    }

    async fn connect_straight(&self, addresses: &[SocketAddr], notes: &mut Notes<'_>) -> Option<Stream> {
        let began = Instant::now();
        let mut failures = Vec::new();
        let mut code = Code::Io;
        for address in addresses {
            match timeout(self.checkup.timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    notes.ok(StepName::Connect, began, format!("{address} takes connections"));
                    return Some(Box::new(stream));
                }
                Ok(Err(error)) => failures.push(format!("{address}: {error}")),
                Err(_) => {
                    code = Code::Timeout;
                    let within = shown(self.checkup.timeout);
                    failures.push(format!("{address} did not answer within {within}"));
                }
            }
        }
        let advice = "check that the server runs and listens on this port for others than its own machine, and that a firewall lets it through; where a proxy is needed, give it with --proxy";
        notes.fail(StepName::Connect, code, began, failures.join("; "), advice);
        None
    }

    async fn encrypt(&self, stream: Stream, notes: &mut Notes<'_>) -> Option<Stream> {
        let began = Instant::now();
        match timeout(self.checkup.timeout, self.dialer.encrypt(&self.host, stream)).await {
            Ok(Ok((stream, version))) => {
                let by = if self.checkup.ca.is_some() { "a given authority" } else { "this system" };
                notes.ok(StepName::Tls, began, format!("{version} with a certificate that {by} trusts"));
                Some(stream)
            }
            Ok(Err(error)) => {
                let advice = advice_about(&error);
                notes.fail(StepName::Tls, Code::Io, began, error.to_string(), advice);
                None
            }
            Err(_) => {
                let why = format!("no handshake within {}", shown(self.checkup.timeout));
                notes.fail(StepName::Tls, Code::Timeout, began, why, "use ws:// if this port speaks no TLS");
                None
            }
        }
    }
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
                "name who signed the certificate with --ca, or let this system trust it (SSL_CERT_FILE names a file of such), and let \
                 the server send all certificates in between"
            }
            _ => "look at the server's certificate",
        },
        None if error.kind() == io::ErrorKind::NotFound => {
            "install ca-certificates, or give a file with --ca"
        }
        _ => "use ws:// if this port speaks no TLS; something between here and the server may break it off",
    }
}

/// Whether the server answers, and as a LiveKit server does.
async fn ask(checkup: &Checkup, mut stream: Stream, notes: &mut Notes<'_>) -> bool {
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
