//! The chunks of a file, one after the other.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::Why;

/// Names of chunks that programs write. They distinguish a chunk from samples.
const KNOWN: [&[u8; 4]; 38] = [
    b"data", b"fmt ", b"LIST", b"fact", b"bext", b"cue ", b"smpl", b"inst", b"JUNK", b"junk", b"PAD ",
    b"FLLR", b"iXML", b"axml", b"chna", b"cart", b"id3 ", b"ID3 ", b"_PMX", b"XMP ", b"acid", b"afsp",
    b"PEAK", b"ds64", b"plst", b"note", b"labl", b"ltxt", b"adtl", b"umid", b"minf", b"elm1", b"regn",
    b"levl", b"r64m", b"DISP", b"ResU", b"strc",
];

/// Bytes with some that were looked at before they are taken.
#[derive(Debug)]
pub(super) struct Input<R> {
    inner: R,
    held: VecDeque<u8>,
    /// Bytes that were taken.
    at: u64,
}

impl<R: Read> Input<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, held: VecDeque::new(), at: 0 }
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Takes bytes; fewer only at the end.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let held = bytes.len().min(self.held.len());
        for (byte, held) in bytes.iter_mut().zip(self.held.drain(..held)) {
            *byte = held;
        }
        let got = held + read_up_to(&mut self.inner, &mut bytes[held..])?;
        self.at += got as u64;
        Ok(got)
    }

    /// Looks at the next `count` bytes; fewer only at the end.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if let Some(missing) = count.checked_sub(self.held.len()).filter(|&missing| missing > 0) {
            let mut more = vec![0; missing];
            let got = read_up_to(&mut self.inner, &mut more)?;
            self.held.extend(&more[..got]);
        }
        let there = count.min(self.held.len());
        Ok(&self.held.make_contiguous()[..there])
    }

    /// Takes a chunk's content and keeps up to `N` bytes of it. Returns these, their number, and whether the padding is as it should be.
    pub(super) fn chunk<const N: usize>(&mut self, size: u32) -> Result<([u8; N], usize, bool), Why> {
        let mut kept = [0; N];
        let wanted = N.min(size as usize);
        let got = self.take(&mut kept[..wanted])?;
        let mut left = u64::from(size) - wanted as u64;
        let mut dropped = [0; 4096];
        while left > 0 {
            let part = dropped.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if self.take(&mut dropped[..part])? < part {
                return Err(Why::NotWav("it ends before its data chunk"));
            }
            left -= part as u64;
        }
        Ok((kept, got, size.is_multiple_of(2) || self.pad()?))
    }

    /// Takes the byte after a chunk of odd size, unless the next chunk begins there. Returns whether it is as it should be.
    fn pad(&mut self) -> io::Result<bool> {
        let next = self.peek(5)?;
        let (Some(&pad), without, with) = (next.first(), next.get(..4), next.get(1..5)) else {
            return Ok(true);
        };
        if pad != 0 {
            let is_missing = without.is_some_and(is_name)
                && (without.is_some_and(is_known) || !with.is_some_and(is_known));
            if is_missing {
                return Ok(false);
            }
        }
        self.take(&mut [0])?;
        Ok(pad == 0)
    }
}

impl<R: Read + Seek> Input<R> {
    pub(super) fn seek(&mut self, to: u64) -> io::Result<()> {
        self.held.clear();
        self.at = to;
        self.inner.seek(SeekFrom::Start(to)).map(|_| ())
    }
}

/// Whether these bytes begin a chunk rather than samples, where `left` bytes are left of the file if that is known.
pub(super) fn is_chunk(bytes: &[u8], left: Option<u64>) -> bool {
    let (Some(name), Some(size)) = (bytes.get(..4), bytes.get(4..8)) else { return false };
    let size = u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]]));
    is_known(name)
        || is_name(name) && left.is_some_and(|left| left == 8 + size || left == 8 + size + size % 2)
}

/// Whether a chunk may be called so.
fn is_name(name: &[u8]) -> bool {
    name.len() == 4 && name.iter().all(|byte| matches!(byte, 0x20..=0x7e))
}

fn is_known(name: &[u8]) -> bool {
    KNOWN.iter().any(|known| &known[..] == name)
}

/// Reads until the slice is full or the input has ended.
fn read_up_to(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match input.read(&mut bytes[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
