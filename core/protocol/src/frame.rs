//! Framing of the TCP link: a 4-byte big-endian length, then one protobuf message.
//!
//! Source of the rule: livekit-agents 1.8.9 and @livekit/agents 1.9.0, TcpSessionTransport. There is no magic, version or checksum.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of the length prefix.
pub const PREFIX: usize = 4;

/// A body grows in steps of this size, so that a peer pays with bytes for the memory it announces.
const STEP: usize = 64 << 10;

/// What a [`Decoder`] finds on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message; it may be empty.
    Message(Bytes),
    /// A message over the cap went by. It was not buffered.
    Skipped {
        /// Its announced length in bytes.
        announced: usize,
        /// Its first bytes, enough to find the request it answers.
        head: Bytes,
    },
}

/// Why a frame cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The announced length is past what may be skipped: the link cannot go on.
    #[error("the peer announced a frame of {announced} bytes; more than {limit} cannot be skipped")]
    Announced {
        /// The announced length in bytes.
        announced: usize,
        /// The longest frame that is skipped, in bytes.
        limit: usize,
    },
    /// A message to send is longer than the peers can read.
    #[error("the message is {size} bytes long; the peer takes at most {limit}")]
    TooLong {
        /// Its length in bytes.
        size: usize,
        /// The longest message that may be sent, in bytes.
        limit: usize,
    },
}

/// Cuts a byte stream into messages. It buffers at most one message, of at most the cap.
#[derive(Debug)]
pub struct Decoder {
    max: usize,
    skip_max: usize,
    peek: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Prefix { bytes: [u8; PREFIX], have: usize },
    Body { length: usize, body: BytesMut },
    Skip { announced: usize, left: usize, head: BytesMut },
    Failed(FrameError),
}

impl Decoder {
    /// Takes messages of up to `max` bytes, skips those of up to `skip_max` and keeps `peek` bytes of a skipped one.
    pub const fn new(max: usize, skip_max: usize, peek: usize) -> Self {
        Self { max, skip_max, peek, state: State::EMPTY }
    }

    /// Reads from `input` up to the end of the next frame and gives it; `None` once `input` is used up.
    ///
    /// # Errors
    /// [`FrameError::Announced`]; from then on each call fails the same way.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Frame>, FrameError> {
        loop {
            match &mut self.state {
                State::Prefix { bytes, have } => {
                    let take = input.len().min(PREFIX - *have);
                    input.copy_to_slice(&mut bytes[*have..*have + take]);
                    *have += take;
                    if *have < PREFIX {
                        return Ok(None);
                    }
                    let announced = u32::from_be_bytes(*bytes) as usize;
                    self.state = self.begin(announced);
                }
                State::Body { length, body } if body.is_empty() && input.len() >= *length => {
                    let message = input.split_to(*length);
                    self.state = State::EMPTY;
                    return Ok(Some(Frame::Message(message)));
                }
                State::Body { length, body } => {
                    let take = input.len().min(*length - body.len());
                    if body.capacity() - body.len() < take {
                        body.reserve(take.max(STEP.min(*length - body.len())));
                    }
                    body.put(input.split_to(take));
                    if body.len() < *length {
                        return Ok(None);
                    }
                    let message = std::mem::take(body).freeze();
                    self.state = State::EMPTY;
                    return Ok(Some(Frame::Message(message)));
                }
                State::Skip { announced, left, head } => {
                    let take = input.len().min(*left);
                    let gone = input.split_to(take);
                    head.put(gone.slice(..take.min(self.peek - head.len())));
                    *left -= take;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let frame = Frame::Skipped { announced: *announced, head: std::mem::take(head).freeze() };
                    self.state = State::EMPTY;
                    return Ok(Some(frame));
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    /// Whether the stream may end here: no frame has begun.
    pub const fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Prefix { have: 0, .. })
    }

    fn begin(&self, announced: usize) -> State {
        if announced <= self.max {
            State::Body { length: announced, body: BytesMut::new() }
        } else if announced <= self.skip_max {
            State::Skip { announced, left: announced, head: BytesMut::new() }
        } else {
            State::Failed(FrameError::Announced { announced, limit: self.skip_max })
        }
    }
}

impl State {
    const EMPTY: Self = Self::Prefix { bytes: [0; PREFIX], have: 0 };
}

/// The length prefix for `message`, which goes on the link before it.
///
/// # Errors
/// [`FrameError::TooLong`] past `limit`; nothing has been sent and the link is whole.
pub fn prefix(message: &[u8], limit: usize) -> Result<[u8; PREFIX], FrameError> {
    let size = message.len();
    match u32::try_from(size) {
        Ok(length) if size <= limit => Ok(length.to_be_bytes()),
        _ => Err(FrameError::TooLong { size, limit }),
    }
}
