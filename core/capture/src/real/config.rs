//! Which of a device's formats is taken.

use std::time::Duration;

use cpal::traits::DeviceTrait;
use cpal::{
    BufferSize, ErrorKind, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfig,
    SupportedStreamConfigRange,
};
use greenroom_audio::Format;

use super::hosts::{is_alsa, is_pulseaudio};
use crate::devices::Direction;
use crate::options::Latency;

/// Formats of samples that are read and written here, the best first.
const FORMATS: [SampleFormat; 7] = [
    SampleFormat::I16,
    SampleFormat::I32,
    SampleFormat::F32,
    SampleFormat::I24,
    SampleFormat::F64,
    SampleFormat::U16,
    SampleFormat::U8,
];

/// How a device is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) rate: u32,
    pub(super) rates: (u32, u32),
    pub(super) channels: u16,
    pub(super) sample: SampleFormat,
    buffer: SupportedBufferSize,
}

impl Config {
    /// What cpal takes. The size of the buffer is always given: PulseAudio's own would be of two seconds.
    pub(super) fn stream(self, block: Duration) -> StreamConfig {
        let wanted =
            u32::try_from(block.as_nanos() * u128::from(self.rate) / 1_000_000_000).unwrap_or(u32::MAX);
        let block = match self.buffer {
            SupportedBufferSize::Range { min, max } => wanted.clamp(min.max(1), max.max(1)),
            SupportedBufferSize::Unknown => wanted.max(1),
        };
        StreamConfig {
            channels: self.channels,
            sample_rate: self.rate,
            buffer_size: BufferSize::Fixed(block),
        }
    }
}

/// How long the blocks are that go through the callback.
pub(super) const fn block(direction: Direction, latency: Latency) -> Duration {
    Duration::from_millis(match (direction, latency) {
        (_, Latency::Low) => 5,
        (Direction::Input, Latency::Normal) => 10,
        // PulseAudio plays from two such blocks, and is silent when a program is later than one.
        (Direction::Output, Latency::Normal) => 20,
    })
}

/// What the device works at by itself.
pub(super) fn usual(device: &cpal::Device, direction: Direction) -> Result<Config, cpal::Error> {
    best(device, direction, None)
}

/// What of the device comes nearest to what is wanted. Other systems than ALSA say what they work at, and that is taken: to make another rate
/// of it is better done here than there. What is to be played as one channel is left to PulseAudio, which knows what each of several is for.
/// What is recorded comes with all channels: PulseAudio's own mean of them loses a voice that is on one of many.
pub(super) fn best(
    device: &cpal::Device,
    direction: Direction,
    wanted: Option<Format>,
) -> Result<Config, cpal::Error> {
    let ranges = ranges(device, direction)?;
    let default = default(device, direction, &ranges)?;
    let of = |rate: u32, channels: u16| {
        let fits = move |range: &&SupportedStreamConfigRange| {
            range.channels() == channels
                && (range.min_sample_rate()..=range.max_sample_rate()).contains(&rate)
        };
        let fitting: Vec<_> = ranges.iter().filter(fits).collect();
        FORMATS
            .iter()
            .find_map(|&format| fitting.iter().find(|range| range.sample_format() == format).copied())
    };
    let (mut rate, mut channels) = (default.sample_rate(), default.channels());
    let host = device.id().ok().map(|id| id.host());
    if host.is_some_and(is_alsa) {
        let format = wanted.unwrap_or(Format::WIRE);
        let wanted_channels = u16::try_from(format.channels()).unwrap_or(1);
        channels = nearest(ranges.iter().map(SupportedStreamConfigRange::channels), wanted_channels)
            .unwrap_or(channels);
        rate = [format.rate(), 48_000, 44_100]
            .into_iter()
            .find(|&rate| of(rate, channels).is_some())
            .unwrap_or(rate);
    } else if host.is_some_and(is_pulseaudio) {
        let plays_one = direction == Direction::Output && wanted.is_some_and(|format| format.channels() == 1);
        if plays_one || Format::new(48_000, channels).is_err() {
            channels = 1;
        }
        if Format::mono(rate).is_err() {
            rate = 48_000;
        }
        if channels > 1 && wanted.is_some() && told(device).is_some_and(|told| has_plain_channels(&told)) {
            channels = plain_channels(channels);
        }
    }
    let taken = of(rate, channels);
    let all = || ranges.iter().filter(|range| FORMATS.contains(&range.sample_format()));
    Ok(Config {
        rate,
        rates: (
            all().map(SupportedStreamConfigRange::min_sample_rate).min().unwrap_or(rate),
            all().map(SupportedStreamConfigRange::max_sample_rate).max().unwrap_or(rate),
        ),
        channels,
        sample: taken.map_or(default.sample_format(), SupportedStreamConfigRange::sample_format),
        buffer: taken.map_or(*default.buffer_size(), |range| *range.buffer_size()),
    })
}

/// What the device says that it works at. cpal has no name for samples such as A-law, and then tells nothing; PulseAudio converts them.
fn default(
    device: &cpal::Device,
    direction: Direction,
    ranges: &[SupportedStreamConfigRange],
) -> Result<SupportedStreamConfig, cpal::Error> {
    let default = match direction {
        Direction::Input => device.default_input_config(),
        Direction::Output => device.default_output_config(),
    };
    let is_unnamed = default.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnsupportedConfig);
    if !(is_unnamed && device.id().is_ok_and(|id| is_pulseaudio(id.host()))) {
        return default;
    }
    let (rate, channels) = told(device).as_deref().and_then(spec).unwrap_or((48_000, 1));
    let fitting = ranges
        .iter()
        .find(|range| range.channels() == channels && range.sample_format() == SampleFormat::I16)
        .map(|range| *range.buffer_size());
    Ok(SupportedStreamConfig::new(
        channels,
        rate,
        fitting.unwrap_or(SupportedBufferSize::Unknown),
        SampleFormat::I16,
    ))
}

/// Whether PulseAudio tells of a device whose channels have numbers and no places, as those of an interface for many microphones.
fn has_plain_channels(told: &str) -> bool {
    let map = told.split_once("channel_map: [").and_then(|(_, map)| map.split_once(']'));
    map.is_some_and(|(map, _)| map.contains("Aux"))
}

/// As many channels or some more, to which cpal gives no places. PulseAudio mixes channels with places and such without into each other;
/// those that are more than the device has are silent.
fn plain_channels(channels: u16) -> u16 {
    [9, 11].into_iter().chain(13..=31).find(|&plain| plain >= channels).unwrap_or(channels)
}

#[cfg(target_os = "linux")]
fn told(device: &cpal::Device) -> Option<String> {
    match device.as_inner() {
        cpal::platform::DeviceInner::PulseAudio(device) => Some(format!("{device:?}")),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn told(_: &cpal::Device) -> Option<String> {
    None
}

/// Rate and channels out of what PulseAudio tells of a device, which cpal shows nowhere else.
fn spec(told: &str) -> Option<(u32, u16)> {
    let (_, told) = told.split_once("sample_spec: SampleSpec {")?;
    let (told, _) = told.split_once('}')?;
    let field = |name: &str| {
        let (_, value) = told.split_once(name)?;
        value.split(',').next()?.trim().parse::<u32>().ok()
    };
    Some((field("sample_rate:")?, u16::try_from(field("channels:")?).ok()?))
}

fn ranges(
    device: &cpal::Device,
    direction: Direction,
) -> Result<Vec<SupportedStreamConfigRange>, cpal::Error> {
    Ok(match direction {
        Direction::Input => device.supported_input_configs()?.collect(),
        Direction::Output => device.supported_output_configs()?.collect(),
    })
}

/// The wanted number of channels, the next larger one, or the largest.
fn nearest(channels: impl Iterator<Item = u16> + Clone, wanted: u16) -> Option<u16> {
    channels.clone().filter(|&channels| channels >= wanted).min().or_else(|| channels.max())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cpal::{BufferSize, SampleFormat, SupportedBufferSize};

    use super::{Config, block, has_plain_channels, nearest, plain_channels, spec};
    use crate::devices::Direction;
    use crate::options::Latency;

    #[test]
    fn the_size_of_the_buffer_is_never_left_to_the_system() {
        let of = |buffer| Config {
            rate: 44_100,
            rates: (44_100, 44_100),
            channels: 1,
            sample: SampleFormat::I16,
            buffer,
        };
        let size = |buffer| of(buffer).stream(block(Direction::Input, Latency::Normal)).buffer_size;
        assert_eq!(size(SupportedBufferSize::Unknown), BufferSize::Fixed(441));
        assert_eq!(size(SupportedBufferSize::Range { min: 512, max: 4096 }), BufferSize::Fixed(512));
        assert_eq!(size(SupportedBufferSize::Range { min: 0, max: 0 }), BufferSize::Fixed(1));
    }

    #[test]
    fn playback_has_longer_blocks_than_capture_unless_latency_is_low() {
        assert_eq!(block(Direction::Input, Latency::Normal), Duration::from_millis(10));
        assert_eq!(block(Direction::Output, Latency::Normal), Duration::from_millis(20));
        assert_eq!(block(Direction::Output, Latency::Low), Duration::from_millis(5));
    }

    #[test]
    fn rate_and_channels_of_a_device_whose_samples_have_no_name_are_those_that_it_tells() {
        let told = "Sink { info: SinkInfo { index: 3, sample_spec: SampleSpec { format: Alaw, channels: 2, \
                    sample_rate: 8000 }, channel_map: ChannelMap } }";
        assert_eq!(spec(told), Some((8_000, 2)));
        assert_eq!(spec("Sink"), None);
    }

    #[test]
    fn channels_without_places_are_opened_by_a_number_that_has_none() {
        assert!(has_plain_channels("Source { info: { channel_map: [Aux0, Aux1], volume: [Mono] } }"));
        assert!(!has_plain_channels("Source { info: { channel_map: [FrontLeft], name: \"Aux0\" } }"));
        assert_eq!([2, 8, 9, 10, 12, 16, 32].map(plain_channels), [9, 9, 9, 11, 13, 16, 32]);
    }

    #[test]
    fn the_channels_taken_are_those_wanted_or_more_if_there_are() {
        assert_eq!(nearest([1, 2, 8].into_iter(), 2), Some(2));
        assert_eq!(nearest([4, 8].into_iter(), 1), Some(4));
        assert_eq!(nearest([1, 2].into_iter(), 6), Some(2));
        assert_eq!(nearest([].into_iter(), 1), None);
    }
}
