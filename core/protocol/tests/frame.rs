//! Framing of the TCP link: what is cut from any sequence of chunks, what is skipped, what ends the link.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Buf, Bytes, BytesMut};
use greenroom_protocol::frame::{Decoder, Frame, FrameError, PREFIX, prefix};
use proptest::prelude::*;
use tokio_util::codec::{Decoder as _, LengthDelimitedCodec};

const MAX: usize = 1 << 20;
const SKIP_MAX: usize = 64 << 20;
const PEEK: usize = 4 << 10;

fn decoder() -> Decoder {
    Decoder::new(MAX, SKIP_MAX, PEEK)
}

/// One frame as it goes on the link.
fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// Everything a decoder finds in `chunk`.
fn feed(decoder: &mut Decoder, chunk: impl Into<Bytes>) -> Result<Vec<Frame>, FrameError> {
    let mut chunk = chunk.into();
    let mut found = Vec::new();
    while let Some(frame) = decoder.next(&mut chunk)? {
        found.push(frame);
    }
    assert!(chunk.is_empty(), "input is left over");
    Ok(found)
}

fn message(bytes: &[u8]) -> Frame {
    Frame::Message(Bytes::copy_from_slice(bytes))
}

#[test]
fn a_stream_split_at_any_two_places_gives_the_same_messages() {
    let stream: Vec<u8> =
        [&b"hello"[..], b"", b"a", &[0; 9], b"\xff\xff"].iter().flat_map(|m| framed(m)).collect();
    let whole = feed(&mut decoder(), stream.clone()).unwrap();
    assert_eq!(
        whole,
        [message(b"hello"), message(b""), message(b"a"), message(&[0; 9]), message(b"\xff\xff")]
    );
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let mut decoder = decoder();
            let mut found = Vec::new();
            for chunk in [&stream[..first], &stream[first..second], &stream[second..]] {
                found.extend(feed(&mut decoder, chunk.to_vec()).unwrap());
            }
            assert_eq!(found, whole, "split at {first} and {second}");
            assert!(decoder.is_between_frames());
        }
    }
}

#[test]
fn byte_by_byte_gives_the_same_messages_and_tells_where_the_stream_may_end() {
    let mut decoder = decoder();
    for (at, byte) in framed(b"abc").into_iter().enumerate() {
        assert_eq!(decoder.is_between_frames(), at == 0, "before byte {at}");
        let found = feed(&mut decoder, vec![byte]).unwrap();
        assert_eq!(found, if at == 6 { vec![message(b"abc")] } else { vec![] });
    }
    assert!(decoder.is_between_frames());
}

#[test]
fn an_empty_message_needs_no_byte_after_its_length() {
    let mut decoder = decoder();
    assert_eq!(feed(&mut decoder, vec![0; PREFIX]).unwrap(), [message(b"")]);
    assert_eq!(feed(&mut decoder, vec![0; 2 * PREFIX]).unwrap(), [message(b""), message(b"")]);
}

#[test]
fn exactly_the_cap_passes_and_one_more_is_skipped_and_the_link_goes_on() {
    let fits = vec![7; MAX];
    let over: Vec<u8> = (0..=MAX).map(|at| at as u8).collect();
    let stream = [framed(&fits), framed(&over), framed(b"next")].concat();
    let expected = [
        Frame::Message(fits.into()),
        Frame::Skipped { announced: MAX + 1, head: Bytes::copy_from_slice(&over[..PEEK]) },
        message(b"next"),
    ];
    for chunk in [1 << 30, 64 << 10, 4095, 3] {
        let mut decoder = decoder();
        let found: Vec<Frame> =
            stream.chunks(chunk).flat_map(|chunk| feed(&mut decoder, chunk.to_vec()).unwrap()).collect();
        assert_eq!(found, expected, "in chunks of {chunk}");
    }
}

#[test]
fn the_head_of_a_skipped_frame_is_all_of_it_where_it_is_shorter_than_the_peek() {
    let mut decoder = Decoder::new(2, 100, 50);
    let found = feed(&mut decoder, framed(b"four")).unwrap();
    assert_eq!(found, [Frame::Skipped { announced: 4, head: Bytes::from_static(b"four") }]);
    let mut decoder = Decoder::new(2, 100, 0);
    let found = feed(&mut decoder, framed(b"four")).unwrap();
    assert_eq!(found, [Frame::Skipped { announced: 4, head: Bytes::new() }]);
}

#[test]
fn a_length_past_the_skip_cap_fails_at_once_and_for_good() {
    for announced in [SKIP_MAX + 1, u32::MAX as usize, u32::from_be_bytes(*b"LKCP") as usize] {
        let mut decoder = decoder();
        let head = u32::try_from(announced).unwrap().to_be_bytes();
        let error = FrameError::Announced { announced, limit: SKIP_MAX };
        assert_eq!(feed(&mut decoder, head.to_vec()), Err(error.clone()));
        assert_eq!(feed(&mut decoder, framed(b"fine")), Err(error.clone()), "a failed decoder came back");
        assert!(!decoder.is_between_frames());
        let text = error.to_string();
        assert!(text.contains(&announced.to_string()) && text.contains(&SKIP_MAX.to_string()), "{text}");
    }
    let mut decoder = decoder();
    assert_eq!(
        feed(&mut decoder, (SKIP_MAX as u32).to_be_bytes().to_vec()),
        Ok(vec![]),
        "the skip cap itself"
    );
}

#[test]
fn a_skipped_frame_keeps_no_chunk_alive() {
    const LENGTH: usize = 60 << 20;
    let mut decoder = decoder();
    assert_eq!(feed(&mut decoder, (LENGTH as u32).to_be_bytes().to_vec()), Ok(vec![]));
    let chunk = Bytes::from(vec![9; 64 << 10]);
    let chunks = LENGTH / chunk.len();
    for at in 1..=chunks {
        let mut input = chunk.clone();
        let found = decoder.next(&mut input).unwrap();
        assert_eq!(found.is_some(), at == chunks);
        drop(input);
        // Ours is the only handle again: the decoder has not even kept a view of the chunk.
        assert!(found.is_some() || chunk.is_unique(), "chunk {at} is kept");
        if let Some(Frame::Skipped { announced, head }) = found {
            assert_eq!((announced, &head[..]), (LENGTH, &[9; PEEK][..]));
        }
    }
    assert_eq!(feed(&mut decoder, framed(b"next")).unwrap(), [message(b"next")]);
}

#[test]
fn an_announced_length_alone_costs_no_memory() {
    // Were each announced length allocated, this would take 160 GB.
    let mut announced: Vec<Decoder> = (0..10_000).map(|_| Decoder::new(16 << 20, SKIP_MAX, PEEK)).collect();
    for decoder in &mut announced {
        assert_eq!(feed(decoder, (16_u32 << 20).to_be_bytes().to_vec()), Ok(vec![]));
        assert_eq!(feed(decoder, vec![1]), Ok(vec![]));
    }
}

#[test]
fn the_prefix_of_a_message_over_the_limit_is_an_error_with_both_sizes() {
    assert_eq!(prefix(&[], MAX), Ok([0; 4]));
    assert_eq!(prefix(&vec![0; MAX], MAX), Ok([0, 0x10, 0, 0]));
    let error = prefix(&vec![0; MAX + 1], MAX).unwrap_err();
    assert_eq!(error, FrameError::TooLong { size: MAX + 1, limit: MAX });
    assert_eq!(error.to_string(), "the message is 1048577 bytes long; the peer takes at most 1048576");
}

/// Any messages, and the places at which the stream of their frames is cut into chunks.
fn messages_and_cuts() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<usize>)> {
    let message = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 60..70),
        1 => prop::collection::vec(any::<u8>(), 200..3000),
    ];
    (prop::collection::vec(message, 0..12), prop::collection::vec(any::<prop::sample::Index>(), 0..24))
        .prop_map(|(messages, cuts)| {
            let length: usize = messages.iter().map(|message| message.len() + PREFIX).sum();
            let mut cuts: Vec<usize> =
                cuts.iter().map(|cut| cut.index(length + 1)).chain([0, length]).collect();
            cuts.sort_unstable();
            (messages, cuts)
        })
}

proptest! {
    #[test]
    fn any_messages_in_any_chunks_are_the_same_messages((messages, cuts) in messages_and_cuts()) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        let mut decoder = Decoder::new(64, 4096, 16);
        let mut found = Vec::new();
        for pair in cuts.windows(2) {
            found.extend(feed(&mut decoder, stream[pair[0]..pair[1]].to_vec()).unwrap());
        }
        let expected: Vec<Frame> = messages
            .iter()
            .map(|bytes| match bytes.len() {
                0..=64 => message(bytes),
                announced => Frame::Skipped { announced, head: Bytes::copy_from_slice(&bytes[..16]) },
            })
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert!(decoder.is_between_frames());
    }

    /// tokio-util's codec is the oracle: any bytes, garbage too, are cut as it cuts them, and refused where it refuses them.
    #[test]
    fn any_bytes_are_cut_as_the_codec_of_tokio_util_cuts_them(
        lengths in prop::collection::vec(prop_oneof![9 => 0_u32..300, 1 => any::<u32>()], 0..8),
        filler in prop::collection::vec(any::<u8>(), 300),
        tail in prop::collection::vec(any::<u8>(), 0..8),
        chunk in 1_usize..200,
    ) {
        let mut stream = Vec::new();
        for length in lengths {
            stream.extend(length.to_be_bytes());
            stream.extend(filler.iter().take(length as usize));
        }
        stream.extend(tail);
        let mut oracle = LengthDelimitedCodec::builder().max_frame_length(256).new_codec();
        let mut ours = Decoder::new(256, 256, 0);
        let mut buffer = BytesMut::new();
        for chunk in stream.chunks(chunk) {
            buffer.extend_from_slice(chunk);
            let mut input = Bytes::copy_from_slice(chunk);
            loop {
                match (oracle.decode(&mut buffer), ours.next(&mut input)) {
                    (Ok(None), Ok(None)) => break,
                    (Ok(Some(theirs)), Ok(Some(Frame::Message(ours)))) => prop_assert_eq!(theirs.freeze(), ours),
                    (Err(_), Err(FrameError::Announced { announced, limit: 256 })) => {
                        prop_assert!(announced > 256);
                        return Ok(());
                    }
                    (theirs, ours) => prop_assert!(false, "{theirs:?} but {ours:?}"),
                }
            }
            prop_assert!(!input.has_remaining());
        }
    }
}
