//! The signal connection: how a room is joined, and what it means when it fails.

use std::time::Duration;

use greenroom_protocol::{Code, Error, Secret};
use livekit_protocol as proto;
use livekit_signaling::{
    NEGOTIATED_DATA_CHANNELS_PROTOCOL, SignalClient, SignalError, SignalEvents, SignalOptions,
};
use url::{Host, Url};

use super::dial::{THROUGH, is_loopback, names_a_host};

/// The protocol that we speak, and the oldest of a server that has what we use. With the next one data channels have fixed
/// numbers; of this one each side opens its own, which servers of the next still take.
const PROTOCOL: i32 = NEGOTIATED_DATA_CHANNELS_PROTOCOL.cast_signed() - 1;

/// The address of a server. It can hold no secret, so that it can be shown: user, password, query and fragment are refused.
#[derive(Clone, Debug)]
pub struct Address(Url);

impl Address {
    /// Reads `ws://…`, `wss://…`, `http://…` or `https://…`.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`], which says what is wrong with it, and quotes nothing of it.
    pub fn parse(url: &str) -> Result<Self, Error> {
        Self::parse_as("what was given", url)
    }

    /// The same, where errors call the url `what`, such as `LIVEKIT_URL (.env)`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_as(what: &str, url: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let message = format!(
                "{what} is not the url of a LiveKit server: {why}; give one such as wss://project.livekit.cloud or ws://127.0.0.1:7880"
            );
            Error::new(Code::InvalidArgument, message)
        };
        // The parser drops line breaks, and what follows one is no part of the url.
        let url = url.trim();
        if let Some(at) = url.chars().position(|c| c.is_control() || c.is_whitespace()) {
            return Err(refuse(&format!(
                "its character {} is a blank, a line break or another control character",
                at + 1
            )));
        }
        let parsed = Url::parse(url).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => refuse("it begins with no scheme"),
            error => refuse(&error.to_string()),
        })?;
        if !matches!(parsed.scheme(), "ws" | "wss" | "http" | "https") {
            return Err(refuse("its scheme is none of ws, wss, http and https"));
        }
        if !names_a_host(url) {
            return Err(refuse("its scheme is not followed by :// and a host"));
        }
        match parsed.host() {
            None => return Err(refuse("it names no host")),
            Some(Host::Domain(name)) if !name.bytes().all(is_of_a_name) => {
                return Err(refuse("its host has a character that no name of a host has"));
            }
            Some(_) => {}
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let message = format!(
                "{what} holds a user or a password; LiveKit takes a token instead: leave them out of the url"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            let message = format!(
                "{what} holds a query or a fragment (? or #), which no LiveKit server reads; leave it out of the url"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(Self(parsed))
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.0.host().is_some_and(|host| is_loopback(&host))
    }

    /// The url as it was read.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The server by name or number, and its port where that is known.
    pub fn authority(&self) -> (Option<Host<&str>>, Option<u16>) {
        (self.0.host(), self.0.port_or_known_default())
    }

    /// Whether the connection to it is encrypted.
    pub fn is_secure(&self) -> bool {
        matches!(self.0.scheme(), "wss" | "https")
    }

    /// The part that is told to people.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// Whether names of hosts hold this character. International names are of these too once they are parsed.
const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Connects and asks to join, with our offer in the same round trip.
pub(super) async fn join(
    address: &Address,
    token: &Secret,
    offer: proto::SessionDescription,
    step_timeout: Duration,
) -> Result<(SignalClient, proto::JoinResponse, SignalEvents), Error> {
    let mut options = SignalOptions::default();
    options.single_peer_connection = true;
    options.connect_timeout = step_timeout;
    // Tracks are received where somebody asks for them.
    options.auto_subscribe = false;
    options.protocol_version = PROTOCOL.unsigned_abs();
    options.client_capabilities = vec![proto::client_info::Capability::CapCompressionDeflateRaw];
    options.sdk_options.sdk_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    options.sdk_options.other_sdks = Some(concat!("greenroom:", env!("CARGO_PKG_VERSION")).to_owned());
    let joined = SignalClient::connect(address.as_str(), token.reveal().trim(), options, Some(offer)).await;
    let (client, response, events) = joined.map_err(|error| {
        let Error { code, message, detail } = explain(&error, address);
        // Servers and proxies may repeat what they were sent.
        Error { code, message: token.hidden_in(&message), detail }
    })?;
    let protocol = response.server_info.as_ref().map_or(0, |server| server.protocol);
    if !client.is_single_pc_mode_active() || protocol < PROTOCOL {
        client.close().await;
        return Err(too_old(&response));
    }
    if response.participant.is_none() || response.room.is_none() || response.ping_interval <= 0 {
        client.close().await;
        let message = format!(
            "{} answered the join with nothing that can be used; is it a LiveKit server?",
            address.host()
        );
        return Err(Error::new(Code::ProtocolError, message));
    }
    Ok((client, response, events))
}

fn too_old(response: &proto::JoinResponse) -> Error {
    let server = response.server_info.clone().unwrap_or_default();
    let version = if server.version.is_empty() { &response.server_version } else { &server.version };
    let message = format!(
        "the LiveKit server is version {version} (protocol {}), and joining a room by itself needs one of protocol {PROTOCOL} or newer; update the server, or attach to a Room of LiveKit's SDK",
        server.protocol
    );
    Error::new(Code::Unsupported, message)
}

/// What a failed join means, and what to do about it.
pub(super) fn explain(error: &SignalError, address: &Address) -> Error {
    let host = address.host();
    match error {
        // What the server says shows the token.
        SignalError::Client(status, said) if status.as_u16() == 401 && said.contains("expired") => {
            let message =
                format!("{host} refused the token ({status}), since it has expired; make a new one");
            Error::new(Code::PermissionDenied, message)
        }
        SignalError::Client(status, _) | SignalError::Handshake { status }
            if matches!(status.as_u16(), 401 | 403) =>
        {
            let message = format!(
                "{host} refused the token ({status}): it has to be signed with the server's key and secret, be valid now, and grant roomJoin for a room"
            );
            Error::new(Code::PermissionDenied, message)
        }
        SignalError::Client(status, said) | SignalError::Server(status, said) => {
            let said = said.lines().next().unwrap_or_default();
            let message = format!("{host} refused the join ({status}): {said}");
            Error::new(Code::Io, message)
        }
        SignalError::Handshake { status } => {
            let message =
                format!("{host} answered the signal connection with {status}; is it a LiveKit server?");
            Error::new(Code::Io, message)
        }
        SignalError::TokenFormat => Error::new(
            Code::InvalidArgument,
            "the token has characters that no token has; was it copied whole?",
        ),
        SignalError::Timeout(_) => {
            let message = format!(
                "{host} did not answer the signal connection in time; check the url, and that a firewall lets it through"
            );
            Error::new(Code::Timeout, message)
        }
        SignalError::Connection(why) if why.contains("invalid peer certificate") => {
            let message = format!(
                "the certificate of {host} is not trusted: {why}; give the certificate of the authority that signed it, or add it to the system's"
            );
            Error::new(Code::Io, message)
        }
        SignalError::Connection(why) if why.contains(THROUGH) => {
            let message = format!(
                "no signal connection to {host}: {why}; check the proxy that was given, or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY in the environment"
            );
            Error::new(Code::Io, message)
        }
        SignalError::Connection(why) => {
            let message = format!(
                "no signal connection to {host}: {why}; check the url, and that the server runs and can be reached from here"
            );
            Error::new(Code::Io, message)
        }
        other => Error::new(Code::Io, format!("no signal connection to {host}: {other}")),
    }
}
