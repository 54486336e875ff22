//! The url of the server: the one that the client can reach.

use std::net::IpAddr;

use greenroom_protocol::{Code, Error, Secret};
use greenroom_room::{Address, Dialer, Proxy};
use url::Host;

use super::sources::{Found, Sources};

/// The variables, in the order in which they count: the url for clients, and the one that the
/// backend itself uses.
const VARIABLES: [&str; 2] = ["LIVEKIT_PUBLIC_URL", "LIVEKIT_URL"];

/// Ends of names that only containers, pods and machines of one cloud know.
const INTERNAL: [&str; 5] = [".internal", ".svc", ".cluster.local", ".docker", ".podman"];

/// What is asked of the url.
pub(super) struct Wanted<'a> {
    pub(super) given: Option<&'a Secret>,
    /// Whether it may be one that only containers know.
    pub(super) allow_internal: bool,
    /// The proxy that the client itself goes through, where the client is this process; the proxy
    /// looks names up.
    pub(super) proxy: Option<&'a Proxy>,
}

/// The url that is given, or that the sources have. One that no client can reach is refused, by
/// what it says alone: it is not looked up, since a client may be in another network than this
/// process.
pub(super) fn find(wanted: &Wanted<'_>, sources: &Sources) -> Result<Address, Error> {
    let (url, what) = match wanted.given {
        Some(url) => (url.clone(), "the given url".to_owned()),
        None => {
            let (found, variable) = from_sources(wanted, sources)?;
            let what = found.source.of(variable);
            (found.value, what)
        }
    };
    let address = Address::parse_as(&what, url.reveal())?;
    if let Some(why) = wanted.why_unreachable(&address) {
        let message = format!(
            "{what} can't be reached by clients: {why}; pass the one that clients use, as url or in {}, or allow it: \
             --allow-internal-url, in Python allow_internal_url=True, in Node allowInternalUrl: true",
            VARIABLES[0]
        );
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(address)
}

/// The environment's goes before the files', which are not read if it has one. But a backend's own
/// url that only its containers know does not hide the one for clients.
fn from_sources(wanted: &Wanted<'_>, sources: &Sources) -> Result<(Found, &'static str), Error> {
    let [public, own] = VARIABLES;
    if let Some(found) = Sources::in_environment(public)? {
        return Ok((found, public));
    }
    if let Some(found) = Sources::in_environment(own)? {
        let address = Address::parse(found.value.reveal());
        let is_internal = address.is_ok_and(|address| wanted.why_unreachable(&address).is_some());
        let better = if is_internal { sources.in_files(public) } else { None };
        return Ok(better.map_or((found, own), |better| (better, public)));
    }
    for variable in VARIABLES {
        if let Some(found) = sources.in_files(variable) {
            return Ok((found, variable));
        }
    }
    let message = format!(
        "there is no url of a LiveKit server: pass one, or set {public} or {own} in {}{}",
        sources.described(),
        sources.passed_over(&VARIABLES)
    );
    Err(Error::new(Code::InvalidArgument, message))
}

impl Wanted<'_> {
    fn why_unreachable(&self, address: &Address) -> Option<String> {
        if self.allow_internal || address.is_loopback() || self.is_looked_up_by_a_proxy(address) {
            return None;
        }
        match address.authority().0? {
            Host::Ipv4(ip) => why_no_address(ip.into()),
            Host::Ipv6(ip) => why_no_address(ip.into()),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                if !name.contains('.') || INTERNAL.iter().any(|end| name.ends_with(end)) {
                    return Some(format!("{name} is a name inside containers or a cluster"));
                }
                name.ends_with(".invalid").then(|| format!("{name} is a name that no server can have"))
            }
        }
    }

    fn is_looked_up_by_a_proxy(&self, address: &Address) -> bool {
        let Some(Ok(dialer)) = self.proxy.map(|proxy| Dialer::new(proxy, None)) else { return false };
        let (Some(host), Some(port)) = address.authority() else { return false };
        dialer.proxy(&host.to_owned(), port, address.is_secure()).is_some()
    }
}

fn why_no_address(ip: IpAddr) -> Option<String> {
    ip.is_unspecified().then(|| format!("{ip} is where a server listens, not where it is"))
}
