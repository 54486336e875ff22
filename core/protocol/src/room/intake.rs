//! From byte streams to messages: put together within bounds, and given on in the order in which each sender began them.
//!
//! Who may send what is not known here: the switchboard says it for each stream, as a [`Standing`]. Of a stream that is refused, only
//! the first bytes are read, to find the id of the request that the refusal answers; and only while the budget of refusals lasts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::bucket::Bucket;
use crate::limits::Limits;
use crate::message;
use crate::time::Time;

/// What may become of a stream of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody here listens to it.
    Nobody,
    /// The room has not announced the sender yet.
    Unannounced,
    /// It is not read to its end.
    Refused {
        /// Which stay in the room it is.
        sid: Arc<str>,
    },
    /// It is read.
    Welcome {
        /// Which stay in the room it is.
        sid: Arc<str>,
        /// Bytes at most.
        cap: usize,
        /// Which bounds hold for the sender.
        role: Role,
    },
}

/// What a welcome sender is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A controller: bounded in streams, rate and bytes.
    Controller,
    /// The agent that we drive: bounded in bytes only. After a stall of our process its streams
    /// arrive by the thousand, and each of them belongs to the session.
    Agent,
}

/// About the memory that an open stream takes besides its content. The agent's streams are as many
/// as [`Limits::stream_bytes`] has room for at this size, so that empty ones are bounded too.
const STREAM_OVERHEAD: usize = 512;

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Denied,
    TooLarge,
    Flood,
    Stalled,
}

/// What became of a stream.
#[derive(Debug)]
pub(super) enum Taken {
    /// A whole message.
    Message { identity: Arc<str>, sid: Arc<str>, message: Bytes },
    /// One of `size` bytes, as far as they are known, that is not taken; its first bytes. They are empty if it was cut unread.
    Refused { identity: Arc<str>, sid: Arc<str>, why: Refusal, size: usize, head: Vec<u8> },
    /// Nobody reads the stream any more.
    Cut { stream: u64 },
}

/// All incoming streams of one topic of one room.
#[derive(Debug)]
pub(super) struct Intake {
    limits: Limits,
    streams: BTreeMap<u64, Stream>,
    senders: BTreeMap<Arc<str>, Sender>,
    next: u64,
    /// The content of all streams, complete messages that wait for earlier streams included.
    buffered: usize,
    held: usize,
    /// At or before the first deadline of a stream: deadlines move later without moving it.
    alarm: Option<Time>,
    refusals: Bucket,
    taken: VecDeque<Taken>,
}

#[derive(Debug)]
struct Sender {
    identity: Arc<str>,
    /// Its streams that were not given on yet, in their order.
    order: VecDeque<u64>,
    refusals: Bucket,
    messages: Bucket,
}

#[derive(Debug)]
struct Stream {
    identity: Arc<str>,
    sid: Arc<str>,
    state: State,
    buffer: Vec<u8>,
    /// What was announced, or else what came.
    size: usize,
    announced: bool,
    began: Time,
    touched: Time,
    /// Whether more may come.
    is_open: bool,
}

#[derive(Debug)]
enum State {
    /// Whether it is read is not known yet.
    Held,
    Reading {
        cap: usize,
    },
    /// Read only as far as it takes to find the id.
    Peeking(Refusal),
    /// Waits for those before it.
    Settled(Option<Taken>),
}

/// The sid of a sender that the room has not announced.
const NO_SID: &str = "";

impl Intake {
    pub(super) fn new(limits: Limits, now: Time) -> Self {
        let refusals = Bucket::new(limits.all_refusals, now);
        Self {
            limits,
            streams: BTreeMap::new(),
            senders: BTreeMap::new(),
            next: 1,
            buffered: 0,
            held: 0,
            alarm: None,
            refusals,
            taken: VecDeque::new(),
        }
    }

    /// A stream begins. Gives its number.
    pub(super) fn begin(
        &mut self,
        identity: &str,
        announced: Option<usize>,
        standing: Standing,
        now: Time,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        let refusal = match standing {
            Standing::Nobody => Some(None),
            // The server gives no name to who is hidden: there is nobody to wait for, and nobody to tell.
            _ if identity.is_empty() => Some(Some(Refusal::Denied)),
            _ if !self.has_room_for(identity, &standing, now) => Some(Some(Refusal::Flood)),
            _ => None,
        };
        if let Some(why) = refusal {
            let size = announced.unwrap_or(0);
            self.taken.extend(why.map(|why| unread(identity.into(), NO_SID.into(), why, size)));
            self.taken.push_back(Taken::Cut { stream: number });
            return number;
        }
        let sender = self.sender(identity, now);
        sender.order.push_back(number);
        let identity = Arc::clone(&sender.identity);
        let stream = Stream {
            identity,
            sid: NO_SID.into(),
            state: State::Held,
            buffer: Vec::new(),
            size: announced.unwrap_or(0),
            announced: announced.is_some(),
            began: now,
            touched: now,
            is_open: true,
        };
        let due = now + self.limits.held_for.min(self.limits.stream_stall).min(self.limits.stream_age);
        self.alarm = Some(self.alarm.map_or(due, |alarm| alarm.min(due)));
        self.streams.insert(number, stream);
        self.held += 1;
        if standing != Standing::Unannounced {
            self.admit(number, standing, now);
        } else if self.held > self.limits.held_streams {
            self.refuse_unread(number, Refusal::Flood);
        }
        number
    }

    /// More of a stream. Whether to go on with it.
    pub(super) fn chunk(&mut self, number: u64, data: &[u8], now: Time) -> bool {
        let Some(stream) = self.streams.get_mut(&number).filter(|stream| stream.is_open) else {
            return false;
        };
        stream.touched = now;
        if !stream.announced {
            stream.size += data.len();
        }
        let room = match stream.state {
            State::Settled(_) => return false,
            State::Peeking(_) => 0,
            State::Held => self.limits.peer_message.saturating_sub(stream.buffer.len()),
            State::Reading { cap } => cap.saturating_sub(stream.buffer.len()),
        };
        if matches!(stream.state, State::Peeking(_)) {
            self.peek(number, data);
            self.look(number);
        } else if data.len() > room && matches!(stream.state, State::Held) {
            self.refuse_unread(number, Refusal::TooLarge);
        } else if data.len() > room {
            stream.size = stream.size.max(stream.buffer.len() + data.len());
            self.peek(number, data);
            self.refuse(number, Refusal::TooLarge);
        } else if self.buffered + data.len() > self.limits.stream_bytes {
            self.peek(number, data);
            self.refuse(number, Refusal::Flood);
        } else {
            stream.buffer.extend_from_slice(data);
            self.buffered += data.len();
        }
        self.streams.get(&number).is_some_and(|stream| !matches!(stream.state, State::Settled(_)))
    }

    /// A stream is complete.
    pub(super) fn end(&mut self, number: u64) {
        let Some(stream) = self.streams.get_mut(&number).filter(|stream| stream.is_open) else { return };
        stream.is_open = false;
        self.look(number);
    }

    /// A stream was broken off.
    pub(super) fn abort(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.is_open = false;
            if !matches!(stream.state, State::Settled(_)) {
                self.settle(number, None);
            }
        }
    }

    /// The room announced a sender: what was held goes on.
    pub(super) fn announced(&mut self, identity: &str, standing: &Standing, now: Time) {
        if self.held == 0 {
            return;
        }
        let Some(sender) = self.senders.get(identity) else { return };
        for number in sender.order.clone() {
            if self.is_held(number) {
                self.admit(number, standing.clone(), now);
            }
        }
    }

    /// What became of streams.
    pub(super) fn poll(&mut self) -> Option<Taken> {
        self.taken.pop_front()
    }

    /// When to call [`Intake::handle_timeout`].
    pub(super) const fn poll_timeout(&self) -> Option<Time> {
        self.alarm
    }

    /// Settles every stream whose deadline is at or before `now`.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.alarm.is_none_or(|alarm| alarm > now) {
            return;
        }
        let is_due = |stream: &Stream| self.due(stream).is_some_and(|due| due <= now);
        let due: Vec<u64> =
            self.streams.iter().filter(|(_, stream)| is_due(stream)).map(|(number, _)| *number).collect();
        for number in due {
            if self.is_held(number) {
                self.admit(number, Standing::Refused { sid: NO_SID.into() }, now);
            } else {
                self.refuse_unread(number, Refusal::Stalled);
            }
        }
        self.alarm = self.streams.values().filter_map(|stream| self.due(stream)).min();
    }

    /// How many streams wait for their sender to be announced.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    fn due(&self, stream: &Stream) -> Option<Time> {
        let limits = &self.limits;
        match stream.state {
            State::Held => Some(stream.began + limits.held_for),
            State::Reading { .. } | State::Peeking(_) => {
                Some((stream.touched + limits.stream_stall).min(stream.began + limits.stream_age))
            }
            State::Settled(_) => None,
        }
    }

    /// Whether one more stream of this sender is within the bounds.
    fn has_room_for(&mut self, identity: &str, standing: &Standing, now: Time) -> bool {
        let of_sender = match standing {
            Standing::Welcome { role: Role::Agent, .. } => {
                return self.streams.len() < self.limits.stream_bytes / STREAM_OVERHEAD;
            }
            Standing::Welcome { role: Role::Controller, .. } => self.limits.sender_streams,
            _ => self.limits.stranger_streams,
        };
        if self.streams.len() >= self.limits.streams {
            return false;
        }
        if let Some(sender) = self.senders.get(identity) {
            return sender.order.len() < of_sender;
        }
        if self.senders.len() >= self.limits.peers {
            let limits = &self.limits;
            self.senders.retain(|_, sender| {
                !sender.order.is_empty()
                    || !sender.refusals.is_full(limits.refusals, now)
                    || !sender.messages.is_full(limits.messages, now)
            });
        }
        self.senders.len() < self.limits.peers
    }

    fn sender(&mut self, identity: &str, now: Time) -> &mut Sender {
        let identity = match self.senders.get(identity) {
            Some(known) => Arc::clone(&known.identity),
            None => identity.into(),
        };
        self.senders.entry(identity).or_insert_with_key(|identity| Sender {
            identity: Arc::clone(identity),
            order: VecDeque::new(),
            refusals: Bucket::new(self.limits.refusals, now),
            messages: Bucket::new(self.limits.messages, now),
        })
    }

    fn is_held(&self, number: u64) -> bool {
        self.streams.get(&number).is_some_and(|stream| matches!(stream.state, State::Held))
    }

    /// A held stream learns what becomes of it.
    fn admit(&mut self, number: u64, standing: Standing, now: Time) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let Some(sender) = self.senders.get_mut(&stream.identity) else { return };
        match standing {
            Standing::Unannounced => {}
            Standing::Nobody => self.settle(number, None),
            Standing::Refused { sid } => {
                stream.sid = sid;
                let is_told = sender.refusals.take(self.limits.refusals, now)
                    && self.refusals.take(self.limits.all_refusals, now);
                if is_told {
                    self.refuse(number, Refusal::Denied);
                } else {
                    self.refuse_unread(number, Refusal::Denied);
                }
            }
            Standing::Welcome { sid, cap, role } => {
                stream.sid = sid;
                if stream.size > cap {
                    self.refuse(number, Refusal::TooLarge);
                } else if role == Role::Controller && !sender.messages.take(self.limits.messages, now) {
                    self.refuse(number, Refusal::Flood);
                } else {
                    stream.state = State::Reading { cap };
                    self.held -= 1;
                    self.look(number);
                }
            }
        }
    }

    /// The stream is not taken, and its sender is told so if the id is found.
    fn refuse(&mut self, number: u64, why: Refusal) {
        if self.is_held(number) {
            self.held -= 1;
        }
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.state = State::Peeking(why);
            self.buffered -= stream.buffer.len().saturating_sub(self.limits.peeked);
            stream.buffer.truncate(self.limits.peeked);
            stream.buffer.shrink_to_fit();
            self.look(number);
        }
    }

    /// The stream is not taken, and nobody is told.
    fn refuse_unread(&mut self, number: u64, why: Refusal) {
        if let Some(stream) = self.streams.get(&number) {
            let unread = unread(Arc::clone(&stream.identity), Arc::clone(&stream.sid), why, stream.size);
            self.settle(number, Some(unread));
        }
    }

    /// Keeps of `data` what belongs to the first bytes of the message.
    fn peek(&mut self, number: u64, data: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&number) {
            let take = self.limits.peeked.saturating_sub(stream.buffer.len()).min(data.len());
            stream.buffer.extend_from_slice(&data[..take]);
            self.buffered += take;
        }
    }

    /// Settles a stream of which enough has come.
    fn look(&mut self, number: u64) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let outcome = match stream.state {
            State::Reading { .. } if !stream.is_open => Taken::Message {
                identity: Arc::clone(&stream.identity),
                sid: Arc::clone(&stream.sid),
                // It stays counted in `buffered` until it is given on.
                message: std::mem::take(&mut stream.buffer).into(),
            },
            State::Peeking(why)
                if !stream.is_open
                    || stream.buffer.len() >= self.limits.peeked
                    || message::peek_id(&stream.buffer).is_some() =>
            {
                self.buffered -= stream.buffer.len();
                Taken::Refused {
                    identity: Arc::clone(&stream.identity),
                    sid: Arc::clone(&stream.sid),
                    why,
                    size: stream.size,
                    head: std::mem::take(&mut stream.buffer),
                }
            }
            _ => return,
        };
        self.settle(number, Some(outcome));
    }

    fn settle(&mut self, number: u64, outcome: Option<Taken>) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if matches!(stream.state, State::Held) {
            self.held -= 1;
        }
        self.buffered -= stream.buffer.len();
        stream.buffer = Vec::new();
        stream.state = State::Settled(outcome);
        if std::mem::take(&mut stream.is_open) {
            self.taken.push_back(Taken::Cut { stream: number });
        }
        let identity = Arc::clone(&stream.identity);
        self.give_on(&identity);
    }

    /// Gives on what a sender sent, up to the first stream that is not settled.
    fn give_on(&mut self, identity: &str) {
        let Some(sender) = self.senders.get_mut(identity) else { return };
        while let Some(first) = sender.order.front() {
            match self.streams.get_mut(first).map(|stream| &mut stream.state) {
                Some(State::Settled(outcome)) => {
                    if let Some(Taken::Message { message, .. }) = outcome {
                        self.buffered -= message.len();
                    }
                    self.taken.extend(outcome.take());
                }
                Some(_) => return,
                None => {}
            }
            self.streams.remove(first);
            sender.order.pop_front();
        }
        if self.streams.is_empty() {
            self.alarm = None;
        }
    }
}

fn unread(identity: Arc<str>, sid: Arc<str>, why: Refusal, size: usize) -> Taken {
    Taken::Refused { identity, sid, why, size, head: Vec::new() }
}
