//! The way to the server: its name, its port, TLS, and whether it answers as a LiveKit server does.
//!
//! The steps are those of a join, taken one by one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use greenroom_room::{Deadline, Dialer, Failure, Route, Step, Stream, probe_signal};
use url::Host;

use super::{Checkup, Notes, StepName};

/// The way to the server.
struct Line<'a> {
    checkup: &'a Checkup,
    dialer: &'a Arc<Dialer>,
    host: Host,
    port: u16,
}

/// Whether the server can be reached.
pub(super) async fn examine(checkup: &Checkup, dialer: &Arc<Dialer>, notes: &mut Notes<'_>) -> bool {
    let (Some(host), Some(port)) = checkup.address.authority() else { return false };
    let line = Line { checkup, dialer, host: host.to_owned(), port };
    let began = Instant::now();
    let route = match dialer.route(&line.host, port, checkup.address.is_secure()) {
        Ok(route) => route,
        Err(failure) => {
            notes.skip(StepName::Dns, "it is not clear whose name to look up");
            notes.failure(StepName::Connect, began, failure);
            return skip(notes, &[StepName::Tls, StepName::Signal], "there is no connection");
        }
    };
    let Some(addresses) = line.look_up(&route, notes).await else {
        return skip(notes, &[StepName::Connect, StepName::Tls, StepName::Signal], "there is no address");
    };
    let Some(stream) = line.connect(&route, &addresses, notes).await else {
        return skip(notes, &[StepName::Tls, StepName::Signal], "there is no connection");
    };
    if !checkup.address.is_secure() {
        notes.skip(StepName::Tls, "the url asks for none");
        return line.ask(stream, notes).await;
    }
    match line.encrypt(stream, notes).await {
        Some(stream) => line.ask(stream, notes).await,
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
    async fn look_up(&self, route: &Route<'_>, notes: &mut Notes<'_>) -> Option<Vec<SocketAddr>> {
        let began = Instant::now();
        let whose = if route.proxy().is_some() { "the proxy " } else { "" };
        let addresses = match route.resolve(self.deadline()).await {
            Ok(addresses) => addresses,
            Err(failure) => {
                notes.failure(StepName::Dns, began, failure);
                return None;
            }
        };
        let found = match route.first_host() {
            Host::Domain(name) => {
                let ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
                format!("{whose}{name} is {}", ips.join(", "))
            }
            ip => format!("{whose}{ip} is an address"),
        };
        notes.ok(StepName::Dns, began, found);
        Some(addresses)
    }

    /// A connection over which the server's first byte would come.
    async fn connect(
        &self,
        route: &Route<'_>,
        addresses: &[SocketAddr],
        notes: &mut Notes<'_>,
    ) -> Option<Stream> {
        let began = Instant::now();
        match route.connect(addresses, self.deadline()).await {
            Ok(opened) => {
                let found = match route.proxy() {
                    Some(proxy) => format!("the proxy {proxy} leads to {}", self.checkup.address.host()),
                    None => format!("{} takes connections", opened.address),
                };
                notes.ok(StepName::Connect, began, found);
                Some(opened.stream)
            }
            Err(failure) => {
                notes.failure(StepName::Connect, began, failure);
                None
            }
        }
    }

    async fn encrypt(&self, stream: Stream, notes: &mut Notes<'_>) -> Option<Stream> {
        let began = Instant::now();
        match self.dialer.encrypt(&self.host, self.port, stream, self.deadline()).await {
            Ok((stream, version)) => {
                let by = if self.checkup.ca.is_some() { "a given authority" } else { "this system" };
                notes.ok(StepName::Tls, began, format!("{version} with a certificate that {by} trusts"));
                Some(stream)
            }
            Err(failure) => {
                notes.failure(StepName::Tls, began, failure);
                None
            }
        }
    }

    /// Whether the server takes signal connections, as a LiveKit server does.
    async fn ask(&self, stream: Stream, notes: &mut Notes<'_>) -> bool {
        let began = Instant::now();
        let address = &self.checkup.address;
        match probe_signal(self.dialer, address, stream, self.deadline()).await {
            Ok(()) => {
                let found = format!("{} answers as a LiveKit server does", address.host());
                notes.ok(StepName::Signal, began, found);
                true
            }
            Err(failure) => {
                notes.failure(step_of(&failure), began, failure);
                false
            }
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.checkup.timeout)
    }
}

/// The step in the report.
const fn step_of(failure: &Failure) -> StepName {
    match failure.step {
        Step::Media => StepName::Media,
        Step::Token => StepName::Token,
        _ => StepName::Signal,
    }
}
