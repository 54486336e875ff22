//! The HTTP proxies that the environment names, and the servers that it excepts from them.
//!
//! curl, Go and Python's requests read the same variables and differ in what they understand. An
//! exception that at least one of them understands counts here; where two contradict each other,
//! the majority decides. The table of the tests says which tool agrees with which row.

use std::net::IpAddr;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ipnet::IpNet;
use url::Host;

/// The proxies of the environment.
pub(super) struct Proxies {
    http: Named,
    https: Named,
    exceptions: Exceptions,
}

/// What the environment says about one scheme.
enum Named {
    Nothing,
    Proxy(Box<Matcher>),
    /// The value of this variable is not the url of a proxy.
    Unreadable(&'static str),
}

impl Proxies {
    /// Reads the variables of this process.
    pub(super) fn from_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads variables. A lower-case name comes before the upper-case one, as curl and requests
    /// have it, and an empty value is none.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variable(name)?.trim().to_owned();
                (!value.is_empty()).then_some((*name, value))
            })
        };
        // A CGI program gets the header `Proxy` of its client as HTTP_PROXY.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = if is_cgi { &["http_proxy"][..] } else { &["http_proxy", "HTTP_PROXY"] };
        let all = ["all_proxy", "ALL_PROXY"];
        let exceptions = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| Exceptions::parse(&list));
        Self {
            http: Named::new(first(http).or_else(|| first(&all))),
            https: Named::new(first(&["https_proxy", "HTTPS_PROXY"]).or_else(|| first(&all))),
            exceptions: exceptions.unwrap_or_default(),
        }
    }

    /// Returns the proxy through which a server is reached, if any.
    ///
    /// # Errors
    /// The variable whose value is not the url of a proxy.
    pub(super) fn intercept(
        &self,
        host: &Host,
        port: u16,
        uri: &http::Uri,
    ) -> Result<Option<Intercept>, &'static str> {
        if self.exceptions.matches(host, port) {
            return Ok(None);
        }
        let named = if uri.scheme_str() == Some("https") { &self.https } else { &self.http };
        match named {
            Named::Nothing => Ok(None),
            Named::Proxy(matcher) => Ok(matcher.intercept(uri)),
            Named::Unreadable(variable) => Err(variable),
        }
    }
}

impl Named {
    fn new(found: Option<(&'static str, String)>) -> Self {
        let Some((variable, value)) = found else { return Self::Nothing };
        let matcher = Matcher::builder().all(value).build();
        match matcher.intercept(&http::Uri::from_static("http://example.com/")) {
            Some(_) => Self::Proxy(Box::new(matcher)),
            None => Self::Unreadable(variable),
        }
    }
}

/// The list of `NO_PROXY`.
#[derive(Debug, Default)]
struct Exceptions(Vec<Exception>);

#[derive(Debug)]
struct Exception {
    servers: Servers,
    /// All ports without one.
    port: Option<u16>,
}

#[derive(Debug)]
enum Servers {
    All,
    Network(IpNet),
    /// The subdomains of a name, and the name itself unless a `*` stands for what is before it.
    Domain {
        name: String,
        with_itself: bool,
    },
}

impl Exceptions {
    /// Reads entries between commas and blanks. One that means nothing excepts nothing.
    fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(Exception::parse).collect())
    }

    fn matches(&self, host: &Host, port: u16) -> bool {
        self.0.iter().any(|exception| {
            exception.port.is_none_or(|only| only == port) && exception.servers.contain(host)
        })
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let everywhere = |servers| Some(Self { servers, port: None });
        // `[::1]`, `[::1]:443` and `[fd00::]/8`
        if let Some((ip, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
            return match rest.chars().next() {
                None => everywhere(Servers::network(ip)?),
                Some('/') => everywhere(Servers::network(&format!("{ip}{rest}"))?),
                _ => {
                    let port = rest.strip_prefix(':')?.parse().ok()?;
                    Some(Self { servers: Servers::network(ip)?, port: Some(port) })
                }
            };
        }
        if let Some(network) = Servers::network(entry) {
            return everywhere(network);
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let servers = if host == "*" {
            Servers::All
        } else if let Some(network) = Servers::network(host) {
            network
        } else {
            Servers::domain(host)?
        };
        Some(Self { servers, port })
    }
}

impl Servers {
    /// Reads an address or a range of them.
    fn network(text: &str) -> Option<Self> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Self::Network(network));
        }
        // An interface says nothing about where a server is.
        let ip = text.split_once('%').map_or(text, |(ip, _)| ip);
        Some(Self::Network(IpNet::from(ip.parse::<IpAddr>().ok()?.to_canonical())))
    }

    fn domain(text: &str) -> Option<Self> {
        let without_star = text.strip_prefix("*.");
        let name = without_star.unwrap_or(text).trim_start_matches('.').trim_end_matches('.');
        match Host::parse(name).ok()? {
            Host::Domain(name) if !name.contains('*') => {
                Some(Self::Domain { name, with_itself: without_star.is_none() })
            }
            Host::Domain(_) => None,
            Host::Ipv4(ip) => Some(Self::Network(IpNet::from(IpAddr::from(ip)))),
            Host::Ipv6(ip) => Some(Self::Network(IpNet::from(IpAddr::from(ip)))),
        }
    }

    fn contain(&self, host: &Host) -> bool {
        let address = match host {
            Host::Ipv4(ip) => Some(IpAddr::from(*ip)),
            Host::Ipv6(ip) => Some(IpAddr::from(*ip).to_canonical()),
            Host::Domain(_) => None,
        };
        match (self, host) {
            (Self::All, _) => true,
            (Self::Network(network), _) => address.is_some_and(|address| network.contains(&address)),
            (Self::Domain { name, with_itself }, Host::Domain(host)) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                match host.strip_suffix(name.as_str()) {
                    Some("") => *with_itself,
                    Some(before) => before.ends_with('.'),
                    None => false,
                }
            }
            (Self::Domain { .. }, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    /// Whether a server at `host`:7880 is reached through a proxy, with these variables.
    fn proxy_of(
        scheme: &str,
        name: &str,
        variables: &[(&str, &str)],
    ) -> Result<Option<String>, &'static str> {
        let proxies = Proxies::read(|wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        });
        let uri = format!("{scheme}://{name}:7880/").parse().unwrap();
        let found = proxies.intercept(&host(name), 7880, &uri)?;
        Ok(found.map(|proxy| proxy.uri().to_string()))
    }

    /// What an entry excepts, with the tools that agree: curl 7.88, Go 1.26, requests 2.34.
    #[test]
    fn no_proxy_entries_except_what_curl_go_or_requests_except() {
        const NONE: &str = "";
        for (list, name, is_excepted, agree) in [
            ("*", "livekit.corp.test", true, "curl go requests"),
            ("*", "10.1.2.3", true, "curl go requests"),
            ("*", "[2001:db8::1]", true, "curl go requests"),
            ("example.com,*", "livekit.corp.test", true, "go"),
            ("*:7880", "livekit.corp.test", true, NONE),
            ("livekit.corp.test", "livekit.corp.test", true, "curl go requests"),
            ("LiveKit.Corp.TEST", "livekit.corp.test", true, "curl go requests"),
            ("corp.test", "livekit.corp.test", true, "curl go requests"),
            ("corp.test", "notcorp.test", false, "curl go requests"),
            ("corp.test", "corp.test.example.com", false, "curl go requests"),
            (".corp.test", "livekit.corp.test", true, "curl go requests"),
            (".corp.test", "corp.test", true, "curl requests"),
            ("*.corp.test", "livekit.corp.test", true, "go"),
            ("*.corp.test", "a.b.corp.test", true, "go"),
            ("*.corp.test", "corp.test", false, "curl go requests"),
            ("*.corp.test:7880", "livekit.corp.test", true, "go"),
            ("corp.test.", "livekit.corp.test", true, "curl"),
            ("corp.test", "livekit.corp.test.", true, "curl"),
            ("livekit.corp.test:7880", "livekit.corp.test", true, "go requests"),
            ("corp.test:7880", "livekit.corp.test", true, "go requests"),
            (".corp.test:7880", "livekit.corp.test", true, "go requests"),
            ("livekit.corp.test:443", "livekit.corp.test", false, "curl go requests"),
            ("livekit.corp.test:x", "livekit.corp.test", false, "curl go requests"),
            ("10.1.2.3", "10.1.2.3", true, "curl go requests"),
            ("10.1.2.3", "10.1.2.30", false, "curl go requests"),
            ("10.1.2.3:7880", "10.1.2.3", true, "go"),
            ("10.1.2.3:443", "10.1.2.3", false, "curl go requests"),
            ("10.0.0.0/8", "10.1.2.3", true, "curl go requests"),
            ("10.0.0.0/8", "11.1.2.3", false, "curl go requests"),
            ("10.0.0.0/8", "livekit.corp.test", false, "curl go requests"),
            ("10.1.2.3/32", "10.1.2.3", true, "curl go requests"),
            ("::ffff:10.1.2.3", "10.1.2.3", true, "go"),
            ("2001:db8::1", "[2001:db8::1]", true, "curl go requests"),
            ("2001:DB8:0::1", "[2001:db8::1]", true, "go"),
            ("fe80::1%eth0", "[fe80::1]", true, NONE),
            ("[2001:db8::1]", "[2001:db8::1]", true, NONE),
            ("[2001:db8::1]:7880", "[2001:db8::1]", true, "go"),
            ("[2001:db8::1]:443", "[2001:db8::1]", false, "curl go requests"),
            ("2001:db8::/32", "[2001:db8::1]", true, "go"),
            ("[2001:db8::]/32", "[2001:db8::1]", true, NONE),
            ("2001:db8::/32", "[2001:db9::1]", false, "curl go requests"),
            (" a.test , corp.test ", "livekit.corp.test", true, "curl go requests"),
            ("a.test corp.test", "livekit.corp.test", true, "curl"),
            (",,corp.test,", "livekit.corp.test", true, "curl go requests"),
            (",", "livekit.corp.test", false, "curl go requests"),
            (".", "livekit.corp.test", false, "curl go requests"),
            ("", "livekit.corp.test", false, "curl go requests"),
            ("http://livekit.corp.test", "livekit.corp.test", false, "curl go requests"),
            ("livekit.*.test", "livekit.corp.test", false, "curl go requests"),
            ("bücher.test", "xn--bcher-kva.test", true, "go"),
        ] {
            for variable in ["NO_PROXY", "no_proxy"] {
                let variables = [("HTTP_PROXY", "http://proxy.test:3128"), (variable, list)];
                let is_direct = proxy_of("http", name, &variables).unwrap().is_none();
                assert_eq!(is_direct, is_excepted, "{variable}={list:?} and {name}, as {agree:?}");
            }
        }
    }

    #[test]
    fn proxy_variables_are_read_in_the_order_of_curl() {
        let (upper, lower, all) = ("http://upper.test/", "http://lower.test/", "http://all.test/");
        for (scheme, variables, expected) in [
            ("http", &[("HTTP_PROXY", upper)][..], Some(upper)),
            ("http", &[("HTTP_PROXY", upper), ("http_proxy", lower)], Some(lower)),
            ("http", &[("HTTP_PROXY", upper), ("http_proxy", "")], Some(upper)),
            ("http", &[("HTTPS_PROXY", upper)], None),
            ("http", &[("HTTPS_PROXY", upper), ("ALL_PROXY", all)], Some(all)),
            ("http", &[("HTTP_PROXY", upper), ("REQUEST_METHOD", "GET")], None),
            ("https", &[("HTTPS_PROXY", upper), ("https_proxy", lower)], Some(lower)),
            ("https", &[("HTTP_PROXY", upper)], None),
            ("https", &[("all_proxy", all)], Some(all)),
            ("https", &[("HTTPS_PROXY", " upper.test ")], Some(upper)),
            ("https", &[("HTTPS_PROXY", " ")], None),
        ] {
            let found = proxy_of(scheme, "livekit.test", variables).unwrap();
            assert_eq!(found.as_deref(), expected, "{scheme} with {variables:?}");
        }
    }

    #[test]
    fn unreadable_proxy_is_named_by_its_variable() {
        let variables = [("HTTPS_PROXY", "://ada:hunter2@proxy"), ("NO_PROXY", "excepted.test")];
        assert_eq!(proxy_of("https", "livekit.test", &variables), Err("HTTPS_PROXY"));
        assert_eq!(proxy_of("https", "excepted.test", &variables), Ok(None));
        assert_eq!(proxy_of("http", "livekit.test", &variables), Ok(None));
    }
}
