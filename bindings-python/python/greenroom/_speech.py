"""`Speech`, and its conversion from other kinds of sound."""

from __future__ import annotations

import base64
import os
import warnings
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from greenroom import _checks, _native
from greenroom._audio_frame import Frame, samples_of
from greenroom.errors import InvalidArgument, from_json

__all__ = ["Sound", "SoundWarning", "Speech", "TextToSpeech"]

_RATE = 48_000


class SoundWarning(UserWarning):
    """A note about a sound that is used anyway: a WAV file whose size was never written, channels
    that cancel each other out, and the like.

    Attributes:
        code: A stable name: `size_not_written`, `truncated`, `partial_sample`, `more_follows`,
            `empty_data`, `padding`, `block_size`, `scaled_float`, `channels_cancel` or
            `channels_left_out`.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Speech:
    """Speech to or from an agent: signed 16-bit little-endian samples, 48 kHz, mono.

    Attributes:
        samples: The samples, which numpy views without a copy:
            `numpy.frombuffer(speech.samples, "<i2")`.
    """

    rate = _RATE
    """Samples per second."""

    __slots__ = ("samples",)

    def __init__(self, samples: bytes) -> None:
        self.samples = _native_call(_native.speech_from_pcm, samples, _RATE, 1, False, None)[0]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / 2 / _RATE

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it into a WAV file.

        Raises:
            IoError: The file can't be written.
        """
        _native_call(_native.write_wav, os.fspath(path), self.samples)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Speech) and self.samples == other.samples

    def __hash__(self) -> int:
        return hash(self.samples)

    def __repr__(self) -> str:
        return f"<greenroom.Speech of {self.duration:.2f} s>"


class SupportsBuffer(Protocol):
    """Bytes, or another object with the buffer protocol."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class SupportsArray(Protocol):
    """An array of numpy, whose types have the buffer protocol from Python 3.12 on."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


class SupportsFrame(Protocol):
    """A frame of livekit, or another object with its properties."""

    @property
    def data(self) -> Any: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def num_channels(self) -> int: ...


Samples: TypeAlias = SupportsBuffer | SupportsArray | SupportsFrame | Frame
"""Samples or a frame of them."""

Sound: TypeAlias = (
    Speech
    | str
    | os.PathLike[str]
    | Samples
    | Iterable[Samples]
    | AsyncIterable[Samples]
    | AbstractAsyncContextManager[AsyncIterable[Samples]]
)
"""Sound in any of these shapes:

- a `Speech`;
- the path of a WAV file, of any rate and number of channels, or its content as bytes. Oddities are
  a `SoundWarning`, and a file that would sound as noise is refused;
- samples: bytes of signed 16-bit integers, or a numpy array (`int16`, or `float32` from -1 to 1;
  with several channels, one row per instant), at 48 kHz unless `rate` is set;
- a frame of `greenroom.audio` or of livekit (`rtc.AudioFrame`), or anything else with `data`,
  `sample_rate` and `num_channels`;
- an iterable, or an async iterable, of such samples or frames;
- in `say_audio`, a device: the name of a virtual one (`tone:440`, `loopback:x`, …), a
  `greenroom.audio.Capture`, which stays open, or `greenroom.audio.capture(…)` itself, which is
  opened and closed for the turn.

Several channels become one: the one that `channel` selects, counted from 0, or the mean of the
audible ones, those at most 20 dB softer than the loudest. The inverse of another channel is left
out, with a `SoundWarning`.
"""

TextToSpeech: TypeAlias = Callable[[str], Sound | Awaitable[Sound]]
"""Synthesizes a text: returns its sound, directly or as an awaitable."""


Noise: TypeAlias = Literal["white", "babble", "impulses"]
"""Kinds of noise: `white`; `babble`, eight unintelligible voices at once; `impulses`, about eight
clicks per second of 3 to 30 ms, like doors and cups."""


def noisy(
    sound: Sound, noise: Noise, *, snr: float, seed: int = 0, rate: int | None = None, channel: int | None = None
) -> Speech:
    """Returns speech in noise, for tests of an agent's recognition.

        turn = await session.say("hello", tts=lambda text: greenroom.audio.noisy(voice(text), "babble", snr=10))

    The noise is below 8 kHz, the range of speech models, and as long as the sound. The same seed
    makes the same noise. If the sum is too loud for 16 bits, all of it is made softer.

    Args:
        sound: In any shape but an async iterable.
        noise: Its kind.
        snr: Signal-to-noise ratio in dB, -60 to 120; pauses don't count as speech.
        seed: From 0 to 4294967295.
        rate: Rate of samples that don't contain theirs, in Hz. Default: 48000.
        channel: The channel to use, counted from 0. Default: the mix of the audible ones.

    Raises:
        InvalidArgument: The sound or the noise is invalid.
        IoError: The file cannot be read.
        TooLarge: The sound is longer than 3 minutes.
    """
    return _of(_native_call(_native.noisy, _gathered(sound, rate, channel).samples, noise, snr, seed))


async def speech_of(sound: Sound, rate: int | None, channel: int | None) -> Speech:
    """Returns the speech in a sound."""
    if isinstance(sound, AsyncIterable):
        sound = [part async for part in sound]
    return _gathered(sound, rate, channel)


def check_channel(channel: object) -> None:
    """Checks the argument `channel`."""
    if channel is not None and (not isinstance(channel, int) or isinstance(channel, bool) or channel < 0):
        raise InvalidArgument(
            f"channel is {_checks.shown(channel)}; it must be a whole number, 0 for the first channel"
        )


def warn(notes: Iterable[tuple[str, str]], what: str) -> None:
    """Issues the notes about a sound as warnings."""
    for code, text in notes:
        warnings.warn(SoundWarning(f"{what}: {text}" if what else text, code), stacklevel=4)


def _gathered(sound: Sound, rate: int | None, channel: int | None) -> Speech:
    """Returns the speech in a sound that needs no await."""
    _checks.optional(_checks.whole, rate=rate)
    if rate is not None and rate < 1:
        raise InvalidArgument(f"rate is {rate!r}; it must be a number of samples per second, such as 24000")
    check_channel(channel)
    if isinstance(sound, Speech):
        if channel is None:
            return sound
        return _made("the speech", _native.speech_from_pcm, sound.samples, _RATE, 1, False, channel)
    if isinstance(sound, (str, os.PathLike)):
        path = os.fspath(sound)
        return _made(path, _native.speech_from_wav, path, channel)
    parts: list[_Part] = []
    if _is_samples(sound):
        parts.append(_pcm(sound, rate))
    elif isinstance(sound, Iterable):
        parts.extend(_pcm(part, rate) for part in sound)
    else:
        raise InvalidArgument(f"a {type(sound).__name__} holds no sound; pass a WAV file, samples or frames of livekit")
    formats = {(part.rate, part.channels, part.is_float) for part in parts}
    if len(formats) > 1:
        raise InvalidArgument(
            f"the parts of the sound differ in rate, channels or kind of samples: {sorted(formats)}; pass one format"
        )
    samples = b"".join(part.data for part in parts)
    part_rate, channels, is_float = formats.pop() if formats else (_RATE, 1, False)
    return _made("the sound", _native.speech_from_pcm, samples, part_rate, channels, is_float, channel)


def _made(what: str, make: Callable[..., Any], *arguments: object) -> Speech:
    samples, notes = _native_call(make, *arguments)
    warn(notes, what)
    return _of(samples)


def decode(text: str) -> Speech:
    """Speech from the JSON of the core."""
    return _of(base64.b64decode(text))


def encode(speech: Speech) -> str:
    """Speech for the JSON of the core."""
    return base64.b64encode(speech.samples).decode()


def _of(samples: bytes) -> Speech:
    speech = Speech.__new__(Speech)
    speech.samples = samples
    return speech


def _is_samples(sound: object) -> bool:
    if isinstance(sound, Frame) or hasattr(sound, "sample_rate"):
        return True
    try:
        memoryview(sound)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


class _Part(NamedTuple):
    """A part of a sound."""

    data: bytes
    rate: int
    channels: int
    is_float: bool


def _pcm(sound: Any, rate: int | None) -> _Part:
    samples = samples_of(sound)
    own_rate, channels = samples.format or (_RATE if rate is None else rate, samples.columns)
    return _Part(samples.data, own_rate, channels, samples.is_float)


def _native_call(function: Callable[..., Any], *arguments: object) -> Any:
    try:
        return function(*arguments)
    except _native.NativeError as error:
        raise from_json(error.args[0]) from None
    except (OverflowError, TypeError) as error:
        raise InvalidArgument(f"the sound cannot be used: {error}") from None
