//! The peer connection to the server, without IO: ICE, DTLS, SCTP, the data channels and audio, by str0m.
//!
//! There is one peer connection, on which the client always offers and the server always answers, one offer at a time; what is wanted
//! meanwhile is in the next. A room without audio has no m-line for it. Datagrams, descriptions and time go in;
//! datagrams, descriptions and packets come out. After every call, drain [`Peer::poll`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::tracks::OutgoingPacket;
use livekit_protocol as proto;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaData, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive, TcpType, Transmit};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig, RtcError};

/// The largest packet that LiveKit lets through a data channel, in bytes.
pub(super) const PACKET: usize = 64_000;
/// What SCTP may hold for both channels, in bytes.
const BUFFER: usize = 2 << 20;
/// What of it reliable packets may take, in bytes: nothing overtakes any more what SCTP has, so it gets no more than keeps it busy.
const RELIABLE_BUFFER: usize = 512 << 10;

/// The msid stream of our tracks.
const STREAM: &str = "greenroom";
/// M-lines for others' tracks that are offered at once, whatever the server asks for.
const MOST_LINES: u32 = 64;

/// Pairs of a local and a remote address that are tried by turns. str0m drops those beyond 100, and
/// pairs that the server's own checks make need some room too.
const PAIRS: usize = 80;
/// Between two checks, while there are pairs that were not checked yet (RFC 8445 wants no less).
const PACE: Duration = Duration::from_millis(5);
/// How long remote addresses are tried before others take their place, where there are too many for
/// all to be tried at once. The time grows by itself with each turn.
const TURN: Duration = Duration::from_millis(1_000);
/// The longest turn.
const LONGEST_TURN: Duration = Duration::from_secs(4);

/// One of the two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// All arrives, in order.
    Reliable,
    /// What is lost is lost.
    Lossy,
}

/// What comes of the connection.
#[derive(Debug)]
pub(super) enum PeerOutput {
    /// Send this datagram.
    Transmit(Transmit),
    /// A packet came.
    Packet(Channel, Vec<u8>),
    /// A packet of audio came, of the track of this sid.
    Audio(String, Box<MediaData>),
    /// Our channels are open: packets can be sent.
    Open,
    /// Whether datagrams get through.
    Reachable(bool),
    /// The server closed the connection.
    Closed,
    /// Nothing more until this moment, at which [`Peer::handle_timeout`] is to be called.
    Until(Instant),
}

/// A peer connection.
pub(super) struct Peer {
    rtc: Rtc,
    reliable: ChannelId,
    lossy: ChannelId,
    channels: HashMap<ChannelId, Channel>,
    reliable_open: bool,
    lossy_open: bool,
    /// The m-lines of our tracks, by the ids of the latter.
    ours: HashMap<String, Mid>,
    /// The m-lines for others' tracks.
    theirs: Vec<Mid>,
    /// What comes in over which of these, as the server last said, by sid.
    tracks: HashMap<Mid, String>,
    /// Our addresses that are paired with the server's.
    locals: Vec<Candidate>,
    /// The server's addresses, in the order in which they came; those of TCP that were reached.
    remotes: Vec<Candidate>,
    /// Those of TCP, until a connection to them comes about.
    unreached: Vec<Candidate>,
    /// Which of the remotes are tried now: so many from this place on, in a circle.
    tried: Tried,
    /// Pairs that were not checked yet.
    unchecked: usize,
    is_reachable: bool,
    /// The last moment that it was told.
    last_now: Option<Instant>,
    wanted: Wanted,
    pending: Option<SdpPendingOffer>,
    offer_id: u32,
    offer: String,
    answer: String,
}

/// Which of the server's addresses are tried.
#[derive(Debug, Default)]
struct Tried {
    from: usize,
    count: usize,
    /// How many turns there were.
    turns: u32,
    /// When the next ones have their turn, where they do not fit beside these.
    until: Option<Instant>,
}

/// What the next offer is to change.
#[derive(Debug, Default)]
struct Wanted {
    /// Tracks of ours.
    publish: Vec<String>,
    unpublish: Vec<String>,
    /// How many more m-lines for others' tracks.
    lines: u32,
    /// An offer, whatever it changes.
    offer: bool,
    /// Another path.
    restart: bool,
}

impl Peer {
    /// A connection that can be reached by UDP at these addresses of ours, and its offer.
    pub(super) fn new(addresses: &[SocketAddr], now: Instant) -> (Self, proto::SessionDescription) {
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(std::sync::Arc::new(str0m::crypto::from_feature_flags()))
            .clear_codecs()
            .enable_opus(true, false)
            // Who reads has the order. str0m's outlives a track: of the next one on the same m-line it would drop what is numbered lower.
            .set_reordering_size_audio(0)
            .set_sctp_max_buffered_amount(BUFFER)
            .build(now);
        let locals: Vec<Candidate> =
            addresses.iter().flat_map(|address| Candidate::host(*address, Protocol::Udp)).collect();
        for candidate in &locals {
            rtc.add_local_candidate(candidate.clone());
        }
        let mut api = rtc.sdp_api();
        let reliable = api.add_channel_with_config(channel("_reliable", Channel::Reliable));
        let lossy = api.add_channel_with_config(channel("_lossy", Channel::Lossy));
        let applied = api.apply();
        let mut peer = Self {
            rtc,
            reliable,
            lossy,
            channels: HashMap::from([(reliable, Channel::Reliable), (lossy, Channel::Lossy)]),
            reliable_open: false,
            lossy_open: false,
            ours: HashMap::new(),
            theirs: Vec::new(),
            tracks: HashMap::new(),
            locals,
            remotes: Vec::new(),
            unreached: Vec::new(),
            tried: Tried::default(),
            unchecked: 0,
            is_reachable: false,
            last_now: None,
            wanted: Wanted::default(),
            pending: None,
            offer_id: 0,
            offer: String::new(),
            answer: String::new(),
        };
        if let Some((offer, pending)) = applied {
            peer.offered(offer.to_sdp_string(), pending);
        }
        let offer = peer.description();
        (peer, offer)
    }

    /// Offers the same connection again, over a new path. The server is told; what SCTP has goes on where it was. An offer that waits for its
    /// answer comes first, as it is: the server may have taken it.
    pub(super) fn restart_ice(&mut self) -> Option<proto::SessionDescription> {
        self.wanted.restart = true;
        if self.pending.is_some() { Some(self.description()) } else { self.offer() }
    }

    /// Wants to send a track of ours.
    pub(super) fn publish(&mut self, cid: &str) {
        if !self.ours.contains_key(cid) && !self.wanted.publish.iter().any(|wanted| wanted == cid) {
            self.wanted.publish.push(cid.to_owned());
        }
    }

    /// Wants to send it no more.
    pub(super) fn unpublish(&mut self, cid: &str) {
        self.wanted.publish.retain(|wanted| wanted != cid);
        if self.ours.contains_key(cid) {
            self.wanted.unpublish.push(cid.to_owned());
        }
    }

    /// The server wants so many more m-lines for others' tracks; or none, but an offer.
    pub(super) fn request_media_lines(&mut self, more: u32) {
        self.wanted.lines = self.wanted.lines.saturating_add(more).min(MOST_LINES);
        self.wanted.offer = true;
    }

    /// What is wanted, unless an offer waits for its answer or nothing is.
    pub(super) fn offer(&mut self) -> Option<proto::SessionDescription> {
        if self.pending.is_some() || !self.wanted.is_something() {
            return None;
        }
        let wanted = std::mem::take(&mut self.wanted);
        let mut api = self.rtc.sdp_api();
        for cid in wanted.unpublish {
            if let Some(mid) = self.ours.get(&cid) {
                api.set_direction(*mid, Direction::Inactive);
            }
        }
        for cid in wanted.publish {
            let (stream, track) = (Some(STREAM.to_owned()), Some(cid.clone()));
            self.ours.insert(cid, api.add_media(MediaKind::Audio, Direction::SendOnly, stream, track, None));
        }
        for mid in &self.theirs {
            // The server gives a free m-line to another track, and waits for an offer that changes nothing: str0m makes none.
            if wanted.offer {
                api.set_direction(*mid, Direction::Inactive);
            }
            api.set_direction(*mid, Direction::RecvOnly);
        }
        for _ in 0..wanted.lines {
            self.theirs.push(api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None));
        }
        if wanted.restart {
            api.ice_restart(true);
            // The server names its addresses again.
            self.remotes.clear();
            self.unreached.clear();
            self.tried = Tried::default();
            self.unchecked = 0;
        }
        let (offer, pending) = api.apply()?;
        self.offered(offer.to_sdp_string(), pending);
        Some(self.description())
    }

    /// Whether a track of ours can be sent.
    pub(super) fn sends(&self, cid: &str) -> bool {
        let media = self.ours.get(cid).and_then(|mid| self.rtc.media(*mid));
        media.is_some_and(|media| media.direction() == Direction::SendOnly)
    }

    /// Whether a track of ours has an m-line, or may have one by the time the server answers.
    pub(super) fn knows(&self, cid: &str) -> bool {
        self.ours.contains_key(cid)
    }

    /// Whether a track of somebody else's comes in.
    pub(super) fn receives(&self, sid: &str) -> bool {
        self.tracks.values().any(|known| known == sid)
    }

    /// Sends a packet of a track of ours.
    pub(super) fn send_audio(&mut self, leaving: OutgoingPacket, now: Instant) -> Result<(), RtcError> {
        let OutgoingPacket { cid, packed, time, begins } = leaving;
        let Some(writer) = self.ours.get(&cid).and_then(|mid| self.rtc.writer(*mid)) else { return Ok(()) };
        let opus = writer.payload_params().find(|params| params.spec().codec == Codec::Opus);
        let Some(pt) = opus.map(|params| params.pt()) else { return Ok(()) };
        let time = MediaTime::new(time, Frequency::FORTY_EIGHT_KHZ);
        writer.start_of_talkspurt(begins).audio_level(packed.level, !packed.is_silent).write(
            pt,
            now,
            time,
            packed.data,
        )
    }

    fn offered(&mut self, sdp: String, pending: SdpPendingOffer) {
        self.offer_id += 1;
        self.offer = sdp;
        self.pending = Some(pending);
    }

    fn description(&self) -> proto::SessionDescription {
        proto::SessionDescription {
            r#type: "offer".into(),
            sdp: self.offer.clone(),
            id: self.offer_id,
            ..Default::default()
        }
    }

    /// The last offer and the last answer, as a server is told of them that is to go on with the connection.
    pub(super) fn descriptions(&self) -> (proto::SessionDescription, proto::SessionDescription) {
        let answer = proto::SessionDescription {
            r#type: "answer".into(),
            sdp: self.answer.clone(),
            ..Default::default()
        };
        (self.description(), answer)
    }

    /// The server answers the last offer. An answer to another one is none.
    pub(super) fn take_answer(&mut self, answer: &proto::SessionDescription) -> Result<(), RtcError> {
        if answer.id != 0 && answer.id != self.offer_id {
            return Ok(());
        }
        let Some(pending) = self.pending.take() else { return Ok(()) };
        self.answer.clone_from(&answer.sdp);
        self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer.sdp)?)?;
        let by_mid = answer.mid_to_track_id.iter().map(|(mid, sid)| (Mid::from(mid.as_str()), sid.clone()));
        self.tracks = by_mid.filter(|(mid, _)| self.theirs.contains(mid)).collect();
        let rtc = &self.rtc;
        self.ours
            .retain(|_, mid| rtc.media(*mid).is_some_and(|media| media.direction() != Direction::Inactive));
        Ok(())
    }

    /// The server can be reached here: gives the address, and whether it is to be called by TCP.
    pub(super) fn add_remote(&mut self, candidate: &str) -> Option<(SocketAddr, bool)> {
        let candidate = Candidate::from_sdp_string(candidate).ok()?;
        let address = candidate.addr();
        let known = |known: &Candidate| known.addr() == address && known.proto() == candidate.proto();
        if self.remotes.iter().chain(&self.unreached).any(known) {
            return None;
        }
        if candidate.proto() != Protocol::Tcp {
            self.pair(candidate);
            return Some((address, false));
        }
        if candidate.tcptype() != Some(TcpType::Passive) {
            return None;
        }
        // It is one more pair only once there is a connection.
        self.unreached.push(candidate);
        Some((address, true))
    }

    /// A TCP connection to the server has come about, which is at this address on our side.
    pub(super) fn add_tcp(&mut self, address: SocketAddr, server: SocketAddr) {
        let known = self.locals.iter().any(|local| local.proto() == Protocol::Tcp && local.addr() == address);
        if !known {
            self.add_local(Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build().ok());
        }
        if let Some(place) = self.unreached.iter().position(|remote| remote.addr() == server) {
            let candidate = self.unreached.swap_remove(place);
            self.pair(candidate);
        }
    }

    /// A TURN server relays what comes to this address.
    pub(super) fn add_relay(&mut self, address: SocketAddr) {
        self.add_local(Candidate::relayed(address, address, Protocol::Udp).ok());
    }

    /// None for an address that nobody can be at.
    fn add_local(&mut self, candidate: Option<Candidate>) {
        if let Some(candidate) = candidate
            && self.rtc.add_local_candidate(candidate.clone()).is_some()
        {
            self.unchecked += self.remotes.iter().filter(|remote| pairs(&candidate, remote)).count();
            self.locals.push(candidate);
            self.fit();
        }
    }

    /// Has an address of the server tried, now or in its turn.
    fn pair(&mut self, remote: Candidate) {
        // The new one joins those that are tried if these are all, and the circle is not closed.
        let is_next = self.tried.count == self.remotes.len() && self.tried.from == 0;
        self.remotes.push(remote);
        if is_next {
            self.tried.count += 1;
            self.begin(self.remotes.len() - 1);
            self.fit();
        }
    }

    /// Has a remote address tried.
    fn begin(&mut self, place: usize) {
        let remote = self.remotes[place].clone();
        self.unchecked += self.pairs_of(place);
        self.rtc.add_remote_candidate(remote);
    }

    fn end(&mut self, place: usize) {
        let remote = self.remotes[place].clone();
        self.rtc.direct_api().invalidate_candidate(&remote);
    }

    fn pairs_of(&self, place: usize) -> usize {
        let remote = &self.remotes[place];
        self.locals.iter().filter(|local| pairs(local, remote)).count()
    }

    /// Has the last of those that are tried wait for their turn, where they are too many. What has
    /// got through stays as it is.
    fn fit(&mut self) {
        if self.is_reachable {
            return;
        }
        let all = self.remotes.len();
        let mut count: usize =
            (0..self.tried.count).map(|n| self.pairs_of((self.tried.from + n) % all)).sum();
        while count > PAIRS && self.tried.count > 1 {
            self.tried.count -= 1;
            let place = (self.tried.from + self.tried.count) % all;
            count -= self.pairs_of(place);
            self.end(place);
        }
    }

    /// Gives those remote addresses their turn that did not fit beside the others.
    fn rotate_remotes(&mut self, now: Instant) {
        let all = self.remotes.len();
        if self.is_reachable || self.tried.count == all {
            self.tried.until = None;
            return;
        }
        let turn = (TURN + TURN / 2 * self.tried.turns).min(LONGEST_TURN);
        let until = *self.tried.until.get_or_insert(now + turn);
        if now < until {
            return;
        }
        let Tried { from, count, turns, .. } = self.tried;
        for n in 0..count {
            self.end((from + n) % all);
        }
        self.tried = Tried { from: (from + count) % all, count: 0, turns: turns + 1, until: None };
        let mut pairs = 0;
        while self.tried.count < all && pairs < PAIRS {
            let place = (self.tried.from + self.tried.count) % all;
            pairs += self.pairs_of(place);
            self.tried.count += 1;
            self.begin(place);
        }
        self.unchecked = pairs;
    }

    /// How many addresses the server has named, as it is tried by UDP and by TCP.
    pub(super) fn remote_addresses(&self, proto: Protocol) -> Vec<SocketAddr> {
        let all = self.remotes.iter().chain(&self.unreached);
        all.filter(|remote| remote.proto() == proto).map(Candidate::addr).collect()
    }

    /// A datagram came. What is no part of the connection is dropped.
    pub(super) fn receive(
        &mut self,
        proto: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Result<(), RtcError> {
        let Ok(contents) = datagram.try_into() else { return Ok(()) };
        let input = Input::Receive(now, Receive { proto, source, destination, contents });
        if self.rtc.accepts(&input) { self.rtc.handle_input(input) } else { Ok(()) }
    }

    /// Time has passed. To be called after every change, too.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), RtcError> {
        self.last_now = Some(now);
        if !self.answer.is_empty() {
            self.rotate_remotes(now);
            // str0m checks one pair each time.
            self.unchecked = self.unchecked.saturating_sub(1);
        }
        self.rtc.handle_input(Input::Timeout(now))
    }

    /// What comes of it, until it is [`PeerOutput::Until`].
    pub(super) fn poll(&mut self) -> Result<PeerOutput, RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(PeerOutput::Until(self.sooner(at))),
                Output::Transmit(transmit) => return Ok(PeerOutput::Transmit(transmit)),
                Output::Event(event) => {
                    if let Some(output) = self.take_event(event) {
                        return Ok(output);
                    }
                }
            }
        }
    }

    /// When to go on, where str0m would at this moment: sooner, if a pair waits for its first check,
    /// or if other addresses have their turn before.
    fn sooner(&self, at: Instant) -> Instant {
        let is_checking = !self.is_reachable && self.unchecked > 0 && !self.answer.is_empty();
        let check = self.last_now.filter(|_| is_checking).map(|now| now + PACE);
        check.into_iter().chain(self.tried.until).fold(at, Instant::min)
    }

    fn take_event(&mut self, event: Event) -> Option<PeerOutput> {
        match event {
            // Ours are open once the server has agreed to them; the server opens its own pair beside.
            Event::ChannelOpen(id, label) => {
                let was_open = self.is_open();
                self.reliable_open |= id == self.reliable;
                self.lossy_open |= id == self.lossy;
                match label.as_str() {
                    "_reliable" => self.channels.insert(id, Channel::Reliable),
                    "_lossy" => self.channels.insert(id, Channel::Lossy),
                    _ => None,
                };
                (self.is_open() && !was_open).then_some(PeerOutput::Open)
            }
            Event::ChannelData(data) => {
                self.channels.get(&data.id).map(|channel| PeerOutput::Packet(*channel, data.data))
            }
            Event::MediaData(data) => {
                let sid = self.tracks.get(&data.mid)?;
                Some(PeerOutput::Audio(sid.clone(), Box::new(data)))
            }
            Event::ChannelClose(id) if id == self.reliable || id == self.lossy => Some(PeerOutput::Closed),
            Event::IceConnectionStateChange(state) => match state {
                IceConnectionState::Connected | IceConnectionState::Completed => {
                    self.is_reachable = true;
                    Some(PeerOutput::Reachable(true))
                }
                IceConnectionState::Disconnected => {
                    self.is_reachable = false;
                    Some(PeerOutput::Reachable(false))
                }
                IceConnectionState::New | IceConnectionState::Checking => None,
            },
            Event::Closed => Some(PeerOutput::Closed),
            _ => None,
        }
    }

    /// Whether packets can be sent.
    pub(super) const fn is_open(&self) -> bool {
        self.reliable_open && self.lossy_open
    }

    /// Sends a packet; false if there is no room for it now.
    pub(super) fn send(&mut self, channel: Channel, packet: &[u8]) -> Result<bool, RtcError> {
        if !self.is_open() {
            return Ok(false);
        }
        let id = if channel == Channel::Reliable { self.reliable } else { self.lossy };
        let Some(mut open) = self.rtc.channel(id) else { return Ok(false) };
        if channel == Channel::Reliable && open.buffered_amount() + packet.len() > RELIABLE_BUFFER {
            return Ok(false);
        }
        open.write(true, packet)
    }

    /// What was sent reliably and has not arrived yet, in bytes.
    pub(super) fn unconfirmed(&mut self) -> usize {
        self.rtc.channel(self.reliable).map_or(0, |mut channel| channel.buffered_amount())
    }
}

/// Whether ICE pairs these addresses.
fn pairs(local: &Candidate, remote: &Candidate) -> bool {
    local.proto() == remote.proto() && local.addr().is_ipv4() == remote.addr().is_ipv4()
}

impl Wanted {
    const fn is_something(&self) -> bool {
        !self.publish.is_empty() || !self.unpublish.is_empty() || self.lines > 0 || self.offer || self.restart
    }
}

fn channel(label: &str, channel: Channel) -> ChannelConfig {
    let is_reliable = channel == Channel::Reliable;
    ChannelConfig {
        label: label.to_owned(),
        ordered: is_reliable,
        reliability: if is_reliable {
            Reliability::Reliable
        } else {
            Reliability::MaxRetransmits { retransmits: 0 }
        },
        negotiated: None,
        protocol: String::new(),
    }
}

#[cfg(test)]
mod tests {
    //! What a server may say, whoever it is. Cases that ever failed lie in `proptest-regressions` and are tried first.

    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    const OURS: &str = "127.0.0.1:5000";
    const THEIRS: &str = "127.0.0.1:6000";

    fn peer() -> Peer {
        Peer::new(&[OURS.parse().unwrap()], Instant::now()).0
    }

    /// Lets it do all it wants now.
    fn drain(peer: &mut Peer) {
        let _ = peer.handle_timeout(Instant::now());
        while let Ok(output) = peer.poll() {
            if matches!(output, PeerOutput::Until(_)) {
                return;
            }
        }
    }

    /// Lines of an answer, in any order and with anything in them.
    fn sdp() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("v=0".to_owned()),
            Just("o=- 1 2 IN IP4 127.0.0.1".to_owned()),
            Just("s=-".to_owned()),
            Just("t=0 0".to_owned()),
            Just("a=group:BUNDLE 0".to_owned()),
            Just("m=application 9 UDP/DTLS/SCTP webrtc-datachannel".to_owned()),
            Just("m=audio 9 UDP/TLS/RTP/SAVPF 111".to_owned()),
            Just("c=IN IP4 0.0.0.0".to_owned()),
            Just("a=setup:active".to_owned()),
            Just("a=rtpmap:111 opus/48000/2".to_owned()),
            "a=mid:[0-9a-z]{0,4}",
            "a=ice-ufrag:[ -~]{0,20}",
            "a=ice-pwd:[ -~]{0,40}",
            "a=fingerprint:sha-256 ([0-9A-F]{2}:){0,33}[0-9A-F]{0,2}",
            "a=sctp-port:[0-9]{0,12}",
            "a=candidate:[ -~]{0,60}",
            "a=[ -~]{0,40}",
            "\\PC{0,40}",
        ];
        proptest::collection::vec(line, 0..24).prop_map(|lines| lines.join("\r\n") + "\r\n")
    }

    proptest! {
        #[test]
        fn no_answer_breaks_it(sdp in sdp(), id in 0_u32..3) {
            let mut peer = peer();
            let _ = peer.take_answer(&proto::SessionDescription { sdp, id, ..Default::default() });
            drain(&mut peer);
            let _ = peer.restart_ice();
            drain(&mut peer);
        }

        #[test]
        fn no_candidate_breaks_it(candidates in proptest::collection::vec(
            "(candidate:)?[0-9]{0,3} [0-9]{0,11} (udp|tcp|UDP|\\PC{0,4}) [0-9]{0,12} ([0-9.]{0,16}|[0-9a-f:]{0,40}) [0-9]{0,6} typ (host|srflx|relay|\\PC{0,6})( \\PC{0,30})?",
            0..8,
        )) {
            let mut peer = peer();
            for candidate in candidates {
                let _ = peer.add_remote(&candidate);
            }
            drain(&mut peer);
        }

        #[test]
        fn no_datagram_breaks_it(datagrams in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                // What looks like STUN, DTLS and RTP.
                proptest::collection::vec(any::<u8>(), 0..120).prop_map(|rest| {
                    [&[0, 1, 0, rest.len() as u8, 0x21, 0x12, 0xa4, 0x42][..], &rest].concat()
                }),
                proptest::collection::vec(any::<u8>(), 0..120).prop_map(|rest| {
                    [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, rest.len() as u8][..], &rest].concat()
                }),
                proptest::collection::vec(any::<u8>(), 0..60).prop_map(|rest| [&[0x90, 111][..], &rest].concat()),
            ],
            0..16,
        )) {
            let mut peer = peer();
            let (ours, theirs) = (OURS.parse().unwrap(), THEIRS.parse().unwrap());
            for datagram in datagrams {
                let _ = peer.receive(Protocol::Udp, theirs, ours, &datagram, Instant::now());
            }
            drain(&mut peer);
        }
    }
}
