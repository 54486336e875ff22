//! Reads and replaces the id of a request or response in its encoded bytes.
//!
//! Decoding and encoding again would lose every field newer than our schema; here all bytes but the id's own stay as they are.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint};

const EVENT: u32 = 3;
const REQUEST: u32 = 4;
const RESPONSE: u32 = 5;
/// The highest field of the envelope's oneof.
const LAST_ARM: u32 = 8;
const REQUEST_ID: u32 = 1;
const RUN_INPUT: u32 = 5;
/// Groups within groups that a field newer than our schema may hold; protobuf libraries stop at as many.
const MAX_GROUPS: usize = 100;

/// Whether it is a field of SessionRequest's oneof that the schema knows; 3 was never used.
const fn is_known(asks: u32) -> bool {
    matches!(asks, 2 | 4..=12)
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;
const FIXED32: u64 = 5;

/// What kind of message an envelope holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An event of the agent.
    Event,
    /// A request of a controller.
    Request {
        /// The field number of what is asked for; `None` if nothing is.
        asks: Option<u32>,
    },
    /// A host's response.
    Response,
    /// Anything else: audio, acknowledgements, an empty message, kinds newer than this schema.
    Other,
}

/// An encoded message whose id can be read and replaced.
#[derive(Clone, Debug)]
pub struct Envelope {
    bytes: Bytes,
    kind: Kind,
    /// Where the field with the request or response is: its key, its content.
    outer: Field,
    /// Where the id is, with its key; empty, at the content's start, if there is none.
    id: Field,
    text: String,
    /// Whether the envelope or its request has a field that our schema does not.
    newer: bool,
}

/// Why an encoded message cannot be routed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpliceError {
    /// The bytes are not protobuf.
    #[error("not a protobuf message: {0}")]
    Malformed(&'static str),
    /// A second payload or a second id would make the message mean different things to different readers.
    #[error("ambiguous message: {0}")]
    Ambiguous(&'static str),
}

/// A field of an encoded message: where its key begins, where its content begins and where it ends.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    key: usize,
    content: usize,
    end: usize,
    /// Whether it is of the wire type that strings and messages have.
    has_length: bool,
}

impl Envelope {
    /// Reads where kind and id are; nothing else is decoded.
    ///
    /// # Errors
    /// [`SpliceError`] when the bytes are no protobuf, or say one thing twice.
    pub fn parse(bytes: Bytes) -> Result<Self, SpliceError> {
        let mut arm = None;
        let mut newer = false;
        for field in Fields::new(&bytes, 0, bytes.len()) {
            let (number, field) = field?;
            if number > LAST_ARM {
                newer = true;
                continue;
            }
            if !field.has_length {
                return Err(SpliceError::Malformed("a payload that is no message"));
            }
            if arm.replace((number, field)).is_some() {
                return Err(SpliceError::Ambiguous("it has two payloads"));
            }
        }
        let (number, outer) = arm.unwrap_or_default();
        let kind = match number {
            EVENT => Kind::Event,
            REQUEST => Kind::Request { asks: None },
            RESPONSE => Kind::Response,
            _ => Kind::Other,
        };
        let mut envelope = Self { bytes, kind, outer, id: Field::default(), text: String::new(), newer };
        if matches!(kind, Kind::Request { .. } | Kind::Response) {
            envelope.find_id()?;
        }
        Ok(envelope)
    }

    /// What kind of message it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The id of the request or response; empty for other kinds and where the sender set none.
    pub fn id(&self) -> &str {
        &self.text
    }

    /// Whether it is a request for a text turn.
    pub const fn is_run_input(&self) -> bool {
        matches!(self.kind, Kind::Request { asks: Some(RUN_INPUT) })
    }

    /// Whether it is a request that a host of this schema can answer.
    pub fn is_known_request(&self) -> bool {
        matches!(self.kind, Kind::Request { asks: Some(number) } if is_known(number))
    }

    /// Whether the envelope, or the request in it, has a field that our schema does not: a reader with a newer schema may find
    /// another request in it.
    pub const fn has_newer_fields(&self) -> bool {
        self.newer
    }

    /// The message as it came.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same message with another id; every other byte stays, but for the lengths around it.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Bytes {
        if !matches!(self.kind, Kind::Request { .. } | Kind::Response) {
            return self.bytes.clone();
        }
        let id_field = if id.is_empty() { 0 } else { 1 + encoded_len_varint(id.len() as u64) + id.len() };
        let inner = self.outer.end - self.outer.content - (self.id.end - self.id.key) + id_field;
        let mut out = BytesMut::with_capacity(self.bytes.len() + id.len() + 16);
        out.put_slice(&self.bytes[..self.outer.key]);
        let arm = if self.kind == Kind::Response { RESPONSE } else { REQUEST };
        encode_key(arm, WireType::LengthDelimited, &mut out);
        encode_varint(inner as u64, &mut out);
        out.put_slice(&self.bytes[self.outer.content..self.id.key]);
        if !id.is_empty() {
            encode_key(REQUEST_ID, WireType::LengthDelimited, &mut out);
            encode_varint(id.len() as u64, &mut out);
            out.put_slice(id.as_bytes());
        }
        out.put_slice(&self.bytes[self.id.end..]);
        out.freeze()
    }

    fn find_id(&mut self) -> Result<(), SpliceError> {
        let Field { content, end, .. } = self.outer;
        let mut id = None;
        let is_request = matches!(self.kind, Kind::Request { .. });
        let mut known = None;
        let mut newer = None;
        for field in Fields::new(&self.bytes, content, end) {
            let (number, field) = field?;
            if number == REQUEST_ID {
                if !field.has_length {
                    return Err(SpliceError::Malformed("an id that is no text"));
                }
                if id.replace(field).is_some() {
                    return Err(SpliceError::Ambiguous("it has two ids"));
                }
            } else if is_request && is_known(number) {
                if !field.has_length {
                    return Err(SpliceError::Malformed("a request that is no message"));
                }
                if known.replace(number).is_some() {
                    return Err(SpliceError::Ambiguous("it asks for two things"));
                }
            } else {
                newer = Some(number);
            }
        }
        if is_request {
            self.newer |= newer.is_some();
            self.kind = Kind::Request { asks: known.or(newer) };
        }
        self.id = id.unwrap_or(Field { key: content, content, end: content, has_length: true });
        let text = &self.bytes[self.id.content..self.id.end];
        self.text =
            std::str::from_utf8(text).map_err(|_| SpliceError::Malformed("the id is not UTF-8"))?.to_owned();
        Ok(())
    }
}

/// The kind and id of a message of which only the first bytes are known; `None` if they do not tell.
pub fn peek_id(head: &[u8]) -> Option<(Kind, String)> {
    let mut rest = head;
    let key = decode_varint(&mut rest).ok()?;
    let kind = match key {
        _ if key == key_of(REQUEST) => Kind::Request { asks: None },
        _ if key == key_of(RESPONSE) => Kind::Response,
        _ => return None,
    };
    decode_varint(&mut rest).ok()?;
    // A serializer writes fields in the order of their numbers: the id is the first.
    let key = decode_varint(&mut rest).ok()?;
    if key != key_of(REQUEST_ID) {
        return None;
    }
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let id = std::str::from_utf8(rest.get(..length)?).ok()?;
    Some((kind, id.to_owned()))
}

/// The key of a field that holds text or a message.
const fn key_of(field: u32) -> u64 {
    (field as u64) << 3 | WireType::LengthDelimited as u64
}

/// The fields of one encoded message, in order.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    const fn new(bytes: &'a [u8], at: usize, end: usize) -> Self {
        Self { bytes, at, end }
    }

    fn read(&mut self) -> Result<(u32, Field), SpliceError> {
        let key = self.at;
        let (number, wire_type) = self.key()?;
        let content = match wire_type {
            START_GROUP => {
                let content = self.at;
                self.skip_group(number)?;
                content
            }
            wire_type => self.skip(wire_type)?,
        };
        Ok((number, Field { key, content, end: self.at, has_length: wire_type == LENGTH }))
    }

    /// Reads a key: the field's number and its wire type.
    fn key(&mut self) -> Result<(u32, u64), SpliceError> {
        // Some readers cut a longer key to 32 bits and would find another field than we do.
        let key = u32::try_from(self.varint()?)
            .map_err(|_| SpliceError::Malformed("a field number is too large"))?;
        match key >> 3 {
            0 => Err(SpliceError::Malformed("field number 0")),
            number => Ok((number, u64::from(key & 7))),
        }
    }

    /// Goes past the content of a field that is no group; gives where it begins.
    fn skip(&mut self, wire_type: u64) -> Result<usize, SpliceError> {
        const TRUNCATED: SpliceError = SpliceError::Malformed("it ends within a field");
        let mut content = self.at;
        let length = match wire_type {
            VARINT => {
                self.varint()?;
                self.at - content
            }
            FIXED64 => 8,
            LENGTH => {
                let length = usize::try_from(self.varint()?).map_err(|_| TRUNCATED)?;
                content = self.at;
                length
            }
            FIXED32 => 4,
            _ => return Err(SpliceError::Malformed("an unknown wire type")),
        };
        self.at = content.checked_add(length).filter(|end| *end <= self.end).ok_or(TRUNCATED)?;
        Ok(content)
    }

    /// Goes past a group, whose start was read. The schema has none; a newer one may.
    fn skip_group(&mut self, number: u32) -> Result<(), SpliceError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            match self.key()? {
                (number, END_GROUP) if number == *innermost => {
                    open.pop();
                }
                (_, END_GROUP) => return Err(SpliceError::Malformed("a group that ends another")),
                (number, START_GROUP) if open.len() < MAX_GROUPS => open.push(number),
                (_, START_GROUP) => return Err(SpliceError::Malformed("groups nested too deep")),
                (_, wire_type) => {
                    self.skip(wire_type)?;
                }
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, SpliceError> {
        let mut rest = &self.bytes[self.at..self.end];
        let before = rest.len();
        let value = decode_varint(&mut rest).map_err(|_| SpliceError::Malformed("a broken varint"))?;
        self.at += before - rest.len();
        Ok(value)
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u32, Field), SpliceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.at = self.end;
        }
        Some(field)
    }
}
