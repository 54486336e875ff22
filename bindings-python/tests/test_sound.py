"""Sound as people have it: odd WAV files, and voices on one channel of many."""

import struct
import warnings

import numpy as np
import pytest

import greenroom

RATE = 48_000
VOICE = np.round(12_000 * np.sin(np.arange(RATE // 2) * 2 * np.pi * 440 / RATE)).astype("<i2")


def wav(samples, *, channels=1, bits=16, block=None, size=None, whole=None, between=b""):
    """A WAV file, whose header may say what is not so."""
    content = samples.astype("<i2").tobytes()
    block = channels * bits // 8 if block is None else block
    fmt = struct.pack("<HHIIHH", 1, channels, RATE, RATE * channels * bits // 8, block, bits)
    data = struct.pack("<4sI", b"data", len(content) if size is None else size) + content
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", 16) + fmt + between + data
    return struct.pack("<4sI", b"RIFF", len(body) if whole is None else whole) + body


def read(sound, **options):
    """The samples of a sound, as an agent would hear them."""
    return np.frombuffer(greenroom.audio.noisy(sound, "white", snr=120, **options).samples, "<i2")


def assert_is_the_voice(samples, tolerance=2):
    assert samples.size == VOICE.size
    assert np.abs(samples.astype(int) - VOICE).max() <= tolerance


@pytest.mark.parametrize("whole", [36, 4, 8, 44, 4088, None, 0x7FFFFFFF, 0xFFFFFFFE])
def test_a_file_of_a_recorder_that_died_is_read_with_a_warning(tmp_path, whole):
    path = tmp_path / "died.wav"
    path.write_bytes(wav(VOICE, size=0, whole=whole))
    for sound in (path, str(path), path.read_bytes()):
        with pytest.warns(greenroom.SoundWarning, match="size of its samples was never written") as told:
            assert_is_the_voice(read(sound))
        assert [warning.message.code for warning in told] == ["size_not_written"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (wav(VOICE, size=4 * VOICE.size), "truncated"),
        (wav(VOICE, between=struct.pack("<4sI", b"data", 0)), "empty_data"),
        (wav(VOICE, block=3), "block_size"),
        (wav(VOICE, block=0), "block_size"),
        (wav(VOICE, between=struct.pack("<4sI", b"LIST", 3) + b"oddX"), "padding"),
        (wav(VOICE, between=struct.pack("<4sI", b"LIST", 3) + b"odd"), "padding"),
        (b"RF64" + wav(VOICE, size=0xFFFFFFFF)[4:], "size_not_written"),
    ],
)
def test_what_is_odd_about_a_file_is_a_warning_with_a_stable_code(content, code):
    with pytest.warns(greenroom.SoundWarning) as told:
        assert_is_the_voice(read(content))
    assert [warning.message.code for warning in told] == [code]


PCM = bytes.fromhex("0100000000001000800000aa00389b71")
AMBISONIC = bytes.fromhex("010000002107d3118644c8c1ca000000")


def kind_of_wav(content, *, tag=1, bits, block, valid=None, subtype=None):
    """A WAV file of one channel with another kind of samples; with a subtype, an extensible one."""
    extension = b"" if subtype is None else struct.pack("<HHI", 22, bits if valid is None else valid, 4) + subtype
    fmt = struct.pack("<HHIIHH", 0xFFFE if extension else tag, 1, RATE, RATE * block, block, bits) + extension
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + struct.pack("<4sI", b"data", len(content)) + content
    return struct.pack("<4sI", b"RIFF", len(body)) + body


TOP = (VOICE.astype("<i4") << 16).tobytes()


@pytest.mark.parametrize(
    "content",
    [
        kind_of_wav((VOICE / 32_768).astype("<f4").tobytes(), tag=3, bits=32, block=4),
        kind_of_wav((VOICE / 32_768).astype("<f8").tobytes(), tag=3, bits=64, block=8),
        kind_of_wav(TOP, bits=32, block=4),
        kind_of_wav(b"".join(TOP[at + 1 : at + 4] for at in range(0, len(TOP), 4)), bits=24, block=3),
        kind_of_wav(TOP, bits=24, block=4),
        kind_of_wav(TOP, bits=16, block=4),
        kind_of_wav(TOP, bits=32, block=4, valid=24, subtype=PCM),
        kind_of_wav(TOP, bits=32, block=4, valid=16, subtype=PCM),
        kind_of_wav(VOICE.tobytes(), bits=16, block=2, subtype=AMBISONIC),
    ],
    ids=["float", "double", "32", "24", "24 in 4", "16 in 4", "24 valid", "16 valid", "ambisonic"],
)
def test_samples_of_any_kind_are_the_voice(content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", greenroom.SoundWarning)
        assert_is_the_voice(read(content))


def test_a_file_without_oddities_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_is_the_voice(read(wav(VOICE)))
        assert_is_the_voice(read(np.stack([VOICE, VOICE], axis=1)))


@pytest.mark.parametrize("channels", [2, 4, 8, 16, 64])
def test_a_voice_on_one_channel_of_many_keeps_its_level(channels):
    many = np.zeros((VOICE.size, channels), np.int16)
    many[:, -1] = VOICE
    assert_is_the_voice(read(many))
    assert_is_the_voice(read(wav(many, channels=channels)))
    assert_is_the_voice(read(many, channel=channels - 1))
    with pytest.raises(greenroom.InvalidArgument, match=f"there is no channel {channels}"):
        read(many, channel=channels)


def test_channels_that_cancel_each_other_out_are_heard_with_a_warning():
    opposite = np.stack([VOICE, -VOICE], axis=1)
    with pytest.warns(greenroom.SoundWarning, match=r"channel 1 is left out.*with channel") as told:
        assert_is_the_voice(read(opposite))
    assert [warning.message.code for warning in told] == ["channels_cancel"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_is_the_voice(-read(opposite, channel=1))


@pytest.mark.parametrize("channel", [-1, 1.5, "left", True])
def test_what_is_no_channel_is_refused(channel):
    with pytest.raises(greenroom.InvalidArgument, match="channel is"):
        read(VOICE, channel=channel)
    with pytest.raises(greenroom.InvalidArgument, match="channel is"):
        greenroom.audio.capture("null", channel=channel)


@pytest.mark.parametrize(
    ("content", "name"), [(b"OggS" + bytes(40), "Ogg"), (b"fLaC" + bytes(40), "FLAC"), (b"ID3" + bytes(41), "MP3")]
)
def test_bytes_of_another_kind_of_file_are_refused_by_its_name(content, name):
    with pytest.raises(greenroom.InvalidArgument, match=f"{name} content.*ffmpeg"):
        read(content)


async def test_a_capture_takes_the_channel_that_is_named_and_tells_what_is_odd(tmp_path):
    path = tmp_path / "many.wav"
    many = np.zeros((VOICE.size, 4), np.int16)
    many[:, 2] = VOICE
    path.write_bytes(wav(many, channels=4, size=0))

    async def recorded(**options):
        async with greenroom.audio.capture(f"file:{path}", rate=RATE, clock="fast", **options) as capture:
            samples = np.concatenate([np.frombuffer(frame.data, np.int16) async for frame in capture])
            events = [event async for event in capture.events()]
        return samples[: VOICE.size], [event.note for event in events if event.type == "notice"]

    samples, notes = await recorded(channel=2)
    assert_is_the_voice(samples)
    assert notes == ["size_not_written"]
    assert not (await recorded(channel=0))[0].any()
    samples, _ = await recorded()
    assert np.abs(samples[960:].astype(int) - VOICE[960:]).max() <= 2
    with pytest.raises(greenroom.InvalidArgument, match="has no channel 4; it has 4, 0 to 3"):
        await recorded(channel=4)
    with pytest.raises(greenroom.InvalidArgument, match="ask for one of the two"):
        await recorded(channel=1, channels=2)
