//! How samples are stored, by what the header says and, where that may mean several things, by the samples themselves.

use audio_codec_algorithms::{decode_alaw, decode_ulaw};

use super::{A_LAW, AMBISONIC_TAIL, EXTENSIBLE, FLOAT, GUID_TAIL, MU_LAW, PCM, Why, u16_at, u32_at};
use crate::format::Format;
use crate::note::Note;
use crate::sample::Sample as _;

/// The most of a `fmt ` chunk that means anything.
pub(super) const FMT: usize = 40;

/// Nonzero samples that make floats believable among integers.
const BELIEVABLE: usize = 64;

/// How a sample is stored: in how many bytes, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) size: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned8,
    /// Shifted left by so many bits, it fills its bytes.
    Signed {
        shift: u32,
    },
    Signed64,
    Float32,
    /// A float whose full scale is not 1 but a power of 2.
    ScaledFloat {
        bits: u32,
    },
    Float64,
    ALaw,
    MuLaw,
}

/// What a `fmt ` chunk says.
pub(super) struct Description {
    pub(super) format: Format,
    pub(super) coding: Coding,
    /// What the header leaves open.
    pub(super) question: Option<Question>,
    pub(super) note: Option<Note>,
}

/// Integers of fewer bits than their bytes hold: where the bits are has to be seen in the samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    tag: u16,
    /// Bytes of a sample by the block size.
    size: usize,
    /// Bits of a sample.
    bits: u32,
    /// As many bytes as the bits need, so that by the specification the bits are at the top.
    is_tight: bool,
    /// The candidates if the bits are neither at the top nor at the bottom.
    otherwise: Otherwise,
    channels: usize,
}

#[derive(Clone, Copy, Debug)]
enum Otherwise {
    /// All bits count.
    Full,
    /// The block size is wrong, and the samples have as many bytes as their bits need.
    Packed,
    /// Nothing that is known.
    Refuse,
}

impl Description {
    /// Reads a `fmt ` chunk.
    pub(super) fn read(fmt: &[u8]) -> Result<Self, Why> {
        if fmt.len() < 16 {
            return Err(Why::NotWav("its format chunk is too short"));
        }
        let (mut tag, channels, rate) = (u16_at(fmt, 0), u16_at(fmt, 2), u32_at(fmt, 4));
        let (bytes_per_second, block, bits) = (u32_at(fmt, 8), u16_at(fmt, 12), u16_at(fmt, 14));
        let format = Format::new(rate, channels)?;
        let mut valid = bits;
        if tag == EXTENSIBLE {
            if fmt.len() < FMT {
                return Err(Why::Unsupported("its extended format is cut off".to_owned()));
            }
            if fmt[26..40] != GUID_TAIL && fmt[26..40] != AMBISONIC_TAIL {
                return Err(Why::Unsupported(format!(
                    "its format is one that only its maker knows ({})",
                    guid(&fmt[24..40])
                )));
            }
            tag = u16_at(fmt, 24);
            valid = Some(u16_at(fmt, 18)).filter(|valid| (1..bits).contains(valid)).unwrap_or(bits);
        }
        let needed = usize::from(bits.div_ceil(8));
        // No size where the block is no whole number of samples of some kind.
        let size = usize::from(block / channels);
        let is_size = block % channels == 0 && size >= needed && matches!(size, 1..=4 | 8);
        let size = if is_size { size } else { 0 };
        let packed = || {
            let taken = needed as u16 * channels;
            (needed, (taken != block).then_some(Note::BlockSize { said: block, taken }))
        };
        let refuse = || {
            let kind = match tag {
                PCM => "integers".to_owned(),
                FLOAT => "floats".to_owned(),
                A_LAW | MU_LAW => "A-law or μ-law".to_owned(),
                other => format!("kind {}", name_of_tag(other)),
            };
            Why::Unsupported(format!(
                "its samples of {bits} bits, in blocks of {block} bytes for {channels} channels, are of {kind}"
            ))
        };
        let mut question = None;
        let (coding, note) = match (tag, bits, size) {
            (PCM, 1..=8, 0 | 1) => {
                let (size, note) = packed();
                (Coding { size, kind: Kind::Unsigned8 }, note)
            }
            (PCM, 9..=32, 0) => {
                let (size, note) = packed();
                (Coding { size, kind: Kind::Signed { shift: 0 } }, note)
            }
            (PCM, 9..=32, size @ 2..=4) => {
                let is_tight = size == needed;
                let bits = u32::from(valid.max(2));
                let says_packed =
                    u64::from(bytes_per_second) == u64::from(rate) * u64::from(channels) * needed as u64;
                let otherwise = match (is_tight, says_packed, size) {
                    (true, ..) => Otherwise::Full,
                    (_, true, _) | (.., 3) => Otherwise::Packed,
                    _ => Otherwise::Refuse,
                };
                if bits < 8 * size as u32 {
                    let channels = usize::from(channels);
                    question = Some(Question { tag, size, bits, is_tight, otherwise, channels });
                }
                (Coding { size, kind: Kind::Signed { shift: 0 } }, None)
            }
            (PCM, 64, 0 | 8) => {
                let (size, note) = packed();
                (Coding { size, kind: Kind::Signed64 }, note)
            }
            (FLOAT, 32, 0 | 4) => {
                let (size, note) = packed();
                (Coding { size, kind: Kind::Float32 }, note)
            }
            (FLOAT, 64, 0 | 8) => {
                let (size, note) = packed();
                (Coding { size, kind: Kind::Float64 }, note)
            }
            (A_LAW | MU_LAW, 8, 0 | 1) => {
                let (size, note) = packed();
                (Coding { size, kind: if tag == A_LAW { Kind::ALaw } else { Kind::MuLaw } }, note)
            }
            _ => return Err(refuse()),
        };
        Ok(Self { format, coding, question, note })
    }
}

/// What samples look like that may be stored in several ways.
struct Look {
    /// Not all are zero.
    is_sound: bool,
    is_top: bool,
    is_bottom: bool,
    is_float: bool,
}

impl Question {
    /// Answers by the samples: `None` where all are zero, and so the same whatever the answer is.
    pub(super) fn answer(&self, samples: &[u8]) -> Result<Option<(Coding, Option<Note>)>, Why> {
        let look = self.look(samples);
        let of = |kind| Coding { size: self.size, kind };
        let bottom = of(Kind::Signed { shift: self.spare() });
        let top = of(Kind::Signed { shift: 0 });
        if !look.is_sound {
            return Ok(None);
        }
        if look.is_float {
            let note = Note::ScaledFloat { bits: self.bits as u16 };
            return Ok(Some((of(Kind::ScaledFloat { bits: self.bits }), Some(note))));
        }
        let answer = match (look.is_top, look.is_bottom) {
            (true, false) => (top, None),
            (false, true) => (bottom, None),
            // Softer than -48 dB, or without low bits.
            (true, true) => (if self.is_tight { top } else { bottom }, None),
            (false, false) => match self.otherwise {
                Otherwise::Full => (top, None),
                Otherwise::Packed => {
                    let size = self.bits.div_ceil(8) as usize;
                    let (said, taken) = ((self.size * self.channels) as u16, (size * self.channels) as u16);
                    let coding = Coding { size, kind: Kind::Signed { shift: 0 } };
                    (coding, Some(Note::BlockSize { said, taken }))
                }
                Otherwise::Refuse => {
                    return Err(self.refuse("are neither at the top nor at the bottom of them"));
                }
            },
        };
        Ok(Some(answer))
    }

    /// Checks samples against an answer that was found by others: what does not fit is an error, never noise.
    pub(super) fn check(&self, coding: Coding, samples: &[u8]) -> Result<(), Why> {
        if coding.size == self.size && coding.kind == (Kind::Signed { shift: self.spare() }) {
            let look = self.look(samples);
            if look.is_sound && !look.is_bottom {
                return Err(self.refuse("are at the bottom of them first and elsewhere later"));
            }
        }
        Ok(())
    }

    const fn spare(&self) -> u32 {
        8 * self.size as u32 - self.bits
    }

    fn look(&self, samples: &[u8]) -> Look {
        let (spare, unused) = (self.spare(), 32 - 8 * self.size as u32);
        let mut look = Look { is_sound: false, is_top: true, is_bottom: true, is_float: true };
        let (mut floats, mut exponents, mut peak) = (0, [false; 256], 0.0_f32);
        for bytes in samples.chunks_exact(self.size) {
            let mut wide = [0; 4];
            wide[..self.size].copy_from_slice(bytes);
            let raw = u32::from_le_bytes(wide);
            if raw == 0 {
                continue;
            }
            look.is_sound = true;
            // In a word of 32 bits, at its top.
            let value = (raw << unused) as i32;
            look.is_top &= raw & ((1 << spare) - 1) == 0;
            let above = value >> (31 - spare);
            let beyond = raw >> self.bits;
            look.is_bottom &= beyond == 0 || above == -1;
            let float = f32::from_bits(raw);
            look.is_float &= float.is_finite() && (f32::EPSILON..=16_777_216.0).contains(&float.abs());
            exponents[(raw >> 23 & 0xff) as usize] = true;
            peak = peak.max(float.abs());
            floats += 1;
        }
        let scale = (1_u32 << (self.bits - 1)) as f32;
        look.is_float &= self.tag == PCM
            && self.size == 4
            && !self.is_tight
            && floats >= BELIEVABLE
            && exponents.iter().filter(|&&seen| seen).count() > 3
            && (scale / 1000.0..=scale * 16.0).contains(&peak);
        look
    }

    fn refuse(&self, how: &str) -> Why {
        Why::Unsupported(format!("its samples of {} bits in {} bytes {how}", self.bits, self.size))
    }
}

impl Coding {
    pub(super) fn decode(self, bytes: &[u8], samples: &mut [f32]) {
        for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(self.size)) {
            *sample = match (self.kind, bytes) {
                (Kind::Unsigned8, &[byte]) => (f32::from(byte) - 128.0) / 128.0,
                (Kind::ALaw, &[byte]) => decode_alaw(byte).to_f32(),
                (Kind::MuLaw, &[byte]) => decode_ulaw(byte).to_f32(),
                (Kind::Signed { shift }, &[a, b]) => (i16::from_le_bytes([a, b]) << shift).to_f32(),
                (Kind::Signed { shift }, &[a, b, c]) => (i32::from_le_bytes([0, a, b, c]) << shift).to_f32(),
                (Kind::Signed { shift }, &[a, b, c, d]) => {
                    (i32::from_le_bytes([a, b, c, d]) << shift).to_f32()
                }
                (Kind::Float32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
                (Kind::ScaledFloat { bits }, &[a, b, c, d]) => {
                    f32::from_le_bytes([a, b, c, d]) / (1_u32 << (bits - 1)) as f32
                }
                (Kind::Float64, &[a, b, c, d, e, f, g, h]) => {
                    f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
                }
                (Kind::Signed64, &[a, b, c, d, e, f, g, h]) => {
                    (i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64 / -(i64::MIN as f64)) as f32
                }
                // A size goes with its kind.
                _ => 0.0,
            };
        }
    }
}

/// What files of compressed sound are called.
fn name_of_tag(tag: u16) -> String {
    let name = match tag {
        0x0002 => "Microsoft ADPCM",
        0x0011 => "IMA ADPCM",
        0x0031 => "GSM 6.10",
        0x0050 => "MPEG",
        0x0055 => "MP3",
        0x0161 | 0x0162 => "Windows Media Audio",
        0x00ff => "AAC",
        0x674f => "Vorbis",
        0x704f => "Opus",
        0xf1ac => "FLAC",
        _ => return format!("{tag:#06x}"),
    };
    format!("{tag:#06x} ({name})")
}

fn guid(bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let reversed = |bytes: &[u8]| hex(&bytes.iter().rev().copied().collect::<Vec<u8>>());
    format!(
        "{}-{}-{}-{}-{}",
        reversed(&bytes[..4]),
        reversed(&bytes[4..6]),
        reversed(&bytes[6..8]),
        hex(&bytes[8..10]),
        hex(&bytes[10..16])
    )
}
