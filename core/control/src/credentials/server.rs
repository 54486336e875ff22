//! The url of the server: the one that the client can reach.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use greenroom_engine::room::Address;
use greenroom_protocol::{Code, Error, Secret};
use url::Host;

use super::keys::Sources;

/// The variables, in the order in which they count: the url for clients, and the one that the backend itself uses.
const VARIABLES: [&str; 2] = ["LIVEKIT_PUBLIC_URL", "LIVEKIT_URL"];

/// How long it may take to look a name up.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Ends of names that only containers, pods and machines of one cloud know.
const INTERNAL: [&str; 5] = [".internal", ".svc", ".cluster.local", ".docker", ".podman"];

/// The url that is given, or that the sources have. One that no client can reach is refused, unless `allow_internal`.
pub(super) fn find(given: Option<&Secret>, sources: &Sources, allow_internal: bool) -> Result<Address, Error> {
    let (url, source) = match given {
        Some(url) => (url.clone(), "the given url".to_owned()),
        None => from_sources(sources)?,
    };
    let address = Address::parse_as(&source, url.reveal())?;
    if !allow_internal && let Some(why) = why_unreachable(&address) {
        let message = format!(
            "{source} {:?} is none that a client can reach: {why}; give the one that clients use, as url or in {}, or allow it",
            address.as_str(),
            VARIABLES[0]
        );
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(address)
}

fn from_sources(sources: &Sources) -> Result<(Secret, String), Error> {
    for variable in VARIABLES {
        if let Some(found) = sources.find(variable)? {
            return Ok((found.value, format!("{variable} ({})", found.source)));
        }
    }
    let message = format!(
        "there is no url of a LiveKit server: give one, or set {} or {} in {}",
        VARIABLES[0],
        VARIABLES[1],
        sources.described()
    );
    Err(Error::new(Code::InvalidArgument, message))
}

fn why_unreachable(address: &Address) -> Option<String> {
    if address.is_loopback() {
        return None;
    }
    let (host, port) = address.authority();
    match host? {
        Host::Ipv4(ip) => why_no_address(ip.into()),
        Host::Ipv6(ip) => why_no_address(ip.into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            if !name.contains('.') || INTERNAL.iter().any(|end| name.ends_with(end)) {
                return Some(format!("{name} is a name inside containers or a cluster"));
            }
            look_up(name.to_owned(), port.unwrap_or_default()).err()
        }
    }
}

fn why_no_address(ip: IpAddr) -> Option<String> {
    ip.is_unspecified().then(|| format!("{ip} is where a server listens, not where it is"))
}

/// Looks a name up, on a thread of its own, since the system's way has no deadline.
fn look_up(name: String, port: u16) -> Result<(), String> {
    let (sender, answer) = mpsc::channel();
    let query = (name.clone(), port);
    let asked = std::thread::Builder::new().name("greenroom-dns".to_owned()).spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(query.to_socket_addrs().map(|mut found| found.next().is_some()));
    });
    asked.map_err(|error| format!("no thread can be started to look {name} up: {error}"))?;
    match answer.recv_timeout(LOOK_UP) {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(format!("{name} has no address")),
        Ok(Err(error)) => Err(format!("{name} cannot be looked up ({error})")),
        Err(_) => Err(format!("{name} was not found within {} s", LOOK_UP.as_secs())),
    }
}
