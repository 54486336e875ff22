//! What is to be sent over the reliable channel, in an order that is fair: a long stream does not hold up what is sent beside it.
//!
//! Packets get their sequence number when they leave. What has left is kept for a while: after a dropped signal connection the server says
//! which number it saw last, and the rest is sent again.

use std::collections::VecDeque;

use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message;

/// What may be kept to be sent again, in bytes.
const KEPT: usize = 8 << 20;

/// The queue of one connection. `T` is given back once the packets it came with have left.
#[derive(Debug)]
pub(super) struct ReliableSendQueue<T> {
    /// Each a stream's packets, or all single packets. The first is the next to send one.
    lanes: VecDeque<Lane<T>>,
    /// Encoded under its number, and refused so far.
    next: Option<(Bytes, Option<T>)>,
    again: VecDeque<Bytes>,
    sequence: u32,
    sent: VecDeque<(u32, Bytes)>,
    sent_bytes: usize,
    sender: Sender,
}

/// Whom packets come from: us.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    pub(super) identity: String,
    pub(super) sid: String,
}

#[derive(Debug)]
struct Lane<T> {
    packets: VecDeque<(proto::DataPacket, Option<T>)>,
    /// Single packets are one lane, so that they stay in order.
    is_single: bool,
    /// Whether packets of it have left.
    has_begun: bool,
}

impl<T> ReliableSendQueue<T> {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            lanes: VecDeque::new(),
            next: None,
            again: VecDeque::new(),
            sequence: 1,
            sent: VecDeque::new(),
            sent_bytes: 0,
            sender,
        }
    }

    /// A packet that keeps its order among its like.
    pub(super) fn push(&mut self, packet: proto::DataPacket, done: T) {
        match self.lanes.iter_mut().find(|lane| lane.is_single) {
            Some(lane) => lane.packets.push_back((packet, Some(done))),
            None => self.lanes.push_back(Lane {
                packets: VecDeque::from([(packet, Some(done))]),
                is_single: true,
                has_begun: false,
            }),
        }
    }

    /// The packets of a stream; `done` is given back with the last. Gives it back at once if there are none.
    pub(super) fn push_stream(&mut self, packets: Vec<proto::DataPacket>, done: T) -> Option<T> {
        let mut packets: VecDeque<_> = packets.into_iter().map(|packet| (packet, None)).collect();
        match packets.back_mut() {
            Some((_, last)) => *last = Some(done),
            None => return Some(done),
        }
        self.lanes.push_back(Lane { packets, is_single: false, has_begun: false });
        None
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_none() && self.again.is_empty() && self.lanes.is_empty()
    }

    /// The next packet, encoded. It stays the next until it was [taken](Self::took).
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if let Some(again) = self.again.front() {
            return Some(again.clone());
        }
        if self.next.is_none() {
            let mut lane = self.lanes.pop_front()?;
            let (mut packet, done) = lane.packets.pop_front()?;
            lane.has_begun = true;
            if !lane.packets.is_empty() {
                self.lanes.push_back(lane);
            }
            self.sender.sign(&mut packet);
            packet.sequence = self.sequence;
            self.sequence += 1;
            self.next = Some((packet.encode_to_vec().into(), done));
        }
        self.next.as_ref().map(|(encoded, _)| encoded.clone())
    }

    /// The next packet has left.
    pub(super) fn took(&mut self) -> Option<T> {
        if self.again.pop_front().is_some() {
            return None;
        }
        let (encoded, done) = self.next.take()?;
        self.sent_bytes += encoded.len();
        self.sent.push_back((self.sequence - 1, encoded));
        while self.sent_bytes > KEPT
            && let Some((_, oldest)) = self.sent.pop_front()
        {
            self.sent_bytes -= oldest.len();
        }
        done
    }

    /// The connection goes on, and the server saw everything up to `last_seen`: the rest is sent again. Receivers drop what they have.
    pub(super) fn resume(&mut self, last_seen: u32) {
        self.again = self
            .sent
            .iter()
            .filter(|(sequence, _)| *sequence > last_seen)
            .map(|(_, encoded)| encoded.clone())
            .collect();
    }

    /// It is another connection, in another stay in the room. What waits whole goes on; gives back what had left in part.
    pub(super) fn restart(&mut self, sender: Sender) -> Vec<T> {
        self.sender = sender;
        self.sequence = 1;
        self.sent.clear();
        self.sent_bytes = 0;
        self.again.clear();
        let mut broken: Vec<T> = self.next.take().and_then(|(_, done)| done).into_iter().collect();
        let (begun, whole): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.lanes).into_iter().partition(|lane| lane.has_begun && !lane.is_single);
        self.lanes = whole;
        for lane in begun {
            broken.extend(lane.packets.into_iter().filter_map(|(_, done)| done));
        }
        broken
    }
}

impl Sender {
    /// Says whom a packet comes from, unless it says so itself.
    pub(super) fn sign(&self, packet: &mut proto::DataPacket) {
        if packet.participant_identity.is_empty() {
            packet.participant_identity.clone_from(&self.identity);
            packet.participant_sid.clone_from(&self.sid);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn packet(topic: &str) -> proto::DataPacket {
        let user = proto::UserPacket { topic: Some(topic.to_owned()), ..Default::default() };
        proto::DataPacket { value: Some(proto::data_packet::Value::User(user)), ..Default::default() }
    }

    fn read(encoded: &Bytes) -> (u32, String) {
        let packet = proto::DataPacket::decode(encoded.clone()).unwrap();
        let Some(proto::data_packet::Value::User(user)) = packet.value else { panic!("not ours") };
        (packet.sequence, user.topic.unwrap())
    }

    fn drain(lanes: &mut ReliableSendQueue<&'static str>) -> Vec<(u32, String, Option<&'static str>)> {
        let mut all = Vec::new();
        while let Some(encoded) = lanes.next() {
            let (sequence, topic) = read(&encoded);
            all.push((sequence, topic, lanes.took()));
        }
        all
    }

    #[test]
    fn a_long_stream_holds_up_nobody() {
        let mut lanes = ReliableSendQueue::new(Sender::default());
        lanes.push_stream((0..5).map(|n| packet(&format!("a{n}"))).collect(), "a");
        lanes.push_stream(vec![packet("b0")], "b");
        lanes.push(packet("c0"), "c0");
        lanes.push(packet("c1"), "c1");
        let order: Vec<_> = drain(&mut lanes).into_iter().map(|(_, topic, _)| topic).collect();
        assert_eq!(order, ["a0", "b0", "c0", "a1", "c1", "a2", "a3", "a4"]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_stream_is_done_with_its_last_packet() {
        let mut lanes = ReliableSendQueue::new(Sender::default());
        assert_eq!(lanes.push_stream(vec![], "nothing"), Some("nothing"));
        lanes.push_stream(vec![packet("a0"), packet("a1")], "a");
        let done: Vec<_> =
            drain(&mut lanes).into_iter().map(|(sequence, _, done)| (sequence, done)).collect();
        assert_eq!(done, [(1, None), (2, Some("a"))]);
    }

    #[test]
    fn a_refused_packet_keeps_its_number() {
        let mut lanes = ReliableSendQueue::new(Sender::default());
        lanes.push(packet("a"), "a");
        let first = lanes.next().unwrap();
        assert_eq!(lanes.next().unwrap(), first);
        assert_eq!(read(&first).0, 1);
    }

    #[test]
    fn what_the_server_did_not_see_is_sent_again_before_the_rest() {
        let mut lanes = ReliableSendQueue::new(Sender::default());
        for topic in ["a", "b", "c"] {
            lanes.push(packet(topic), topic);
        }
        drain(&mut lanes);
        lanes.push(packet("d"), "d");
        lanes.resume(1);
        let all: Vec<_> = drain(&mut lanes).into_iter().map(|(n, topic, _)| (n, topic)).collect();
        assert_eq!(all, [(2, "b".to_owned()), (3, "c".to_owned()), (4, "d".to_owned())]);
    }

    #[test]
    fn another_stay_begins_to_count_anew_under_another_sid() {
        let mut lanes = ReliableSendQueue::new(Sender { identity: "me".into(), sid: "PA_1".into() });
        lanes.push(packet("a"), "a");
        drain(&mut lanes);
        lanes.push_stream(vec![packet("s0"), packet("s1"), packet("s2")], "s");
        lanes.next();
        lanes.took();
        lanes.push(packet("b"), "b");
        let broken = lanes.restart(Sender { identity: "me".into(), sid: "PA_2".into() });
        assert_eq!(broken, ["s"]);
        let encoded = lanes.next().unwrap();
        assert_eq!(read(&encoded), (1, "b".to_owned()));
        assert_eq!(proto::DataPacket::decode(encoded).unwrap().participant_sid, "PA_2");
    }
}
