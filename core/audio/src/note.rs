//! What is odd about sound that is used all the same.

use std::fmt;

/// Something odd about a sound. It is read all the same; a caller shows it, so that nothing is passed over silently.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The size of the samples was never filled in: the recorder died, or wrote into a pipe. They go up to the file's end.
    SizeNotWritten,
    /// The file ends before what its header announces. Both in samples of each channel.
    Truncated {
        /// Announced by the header.
        announced: u64,
        /// In the file.
        found: u64,
    },
    /// The file ends inside a sample, or before the last sample of some channel.
    PartialSample,
    /// More bytes follow the announced samples than chunks explain. They are not read.
    MoreFollows {
        /// The bytes from the end of the samples on.
        bytes: u64,
    },
    /// An empty data chunk comes before the one that is read.
    EmptyData,
    /// A chunk of odd size lacks its padding byte, or the byte is not zero.
    Padding,
    /// The header's block size contradicts its bits and channels, which are taken.
    BlockSize {
        /// What the header says, in bytes.
        said: u16,
        /// What its bits and channels come to, in bytes.
        taken: u16,
    },
    /// Samples that the header calls integers are floats of 32 bits scaled to that many bits, as Cool Edit and Audition write them.
    ScaledFloat {
        /// The header's bits.
        bits: u16,
    },
    /// Channels cancel others out in the mean, so they are left out of it.
    Cancelling {
        /// These channels, counted from 0.
        channels: Vec<usize>,
    },
    /// Channels that are much softer than the loudest are left out of the mean, though there is something in them.
    LeftOut {
        /// These channels, counted from 0.
        channels: Vec<usize>,
    },
}

impl Note {
    /// A stable name, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SizeNotWritten => "size_not_written",
            Self::Truncated { .. } => "truncated",
            Self::PartialSample => "partial_sample",
            Self::MoreFollows { .. } => "more_follows",
            Self::EmptyData => "empty_data",
            Self::Padding => "padding",
            Self::BlockSize { .. } => "block_size",
            Self::ScaledFloat { .. } => "scaled_float",
            Self::Cancelling { .. } => "channels_cancel",
            Self::LeftOut { .. } => "channels_left_out",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SizeNotWritten => f.write_str(
                "the size of its samples was never written, as by a recorder that died or wrote into a pipe; they are read up to the end",
            ),
            Self::Truncated { announced, found } => write!(
                f,
                "its header announces {announced} samples of each channel, and {found} are there; these are read"
            ),
            Self::PartialSample => f.write_str("it ends in the middle of a sample, which is left out"),
            Self::MoreFollows { bytes } => write!(
                f,
                "{bytes} bytes follow the samples that its header announces and belong to no chunk; they are not read (ffmpeg -ignore_length 1 -i IN OUT.wav reads them)"
            ),
            Self::EmptyData => f.write_str("an empty data chunk comes before the one that is read"),
            Self::Padding => {
                f.write_str("a chunk of odd size is not followed by a byte of zero; it is passed over all the same")
            }
            Self::BlockSize { said, taken } => write!(
                f,
                "its header says {said} bytes for one sample of all channels, where its bits and channels make {taken}; these are taken"
            ),
            Self::ScaledFloat { bits } => write!(
                f,
                "its header says integers of {bits} bits in 4 bytes, and its samples are floats of that scale, as Cool Edit writes them; they are read so"
            ),
            Self::Cancelling { channels } => write!(
                f,
                "its channels cancel each other out (one is another upside down), so {} left out of their mean; {NAME_ONE}",
                list(channels)
            ),
            Self::LeftOut { channels } => write!(
                f,
                "{} left out of the mean of its channels, since the loudest is more than 20 dB above; {NAME_ONE}",
                list(channels)
            ),
        }
    }
}

const NAME_ONE: &str = "name the one to hear, counted from 0, with channel";

/// `channel 1 is`, `channels 1, 2 are`.
fn list(channels: &[usize]) -> String {
    let names: Vec<String> = channels.iter().map(ToString::to_string).collect();
    match channels.len() {
        1 => format!("channel {} is", names[0]),
        _ => format!("channels {} are", names.join(", ")),
    }
}
