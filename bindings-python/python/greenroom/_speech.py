"""`Speech`: what is said aloud, and what makes one of the many things that hold sound."""

from __future__ import annotations

import base64
import os
import warnings
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

from greenroom import _checks, _native
from greenroom._audio_frame import Frame, samples_of
from greenroom.errors import InvalidArgument, from_json

__all__ = ["Sound", "SoundWarning", "Speech", "TextToSpeech"]

_RATE = 48_000


class SoundWarning(UserWarning):
    """Something is odd about a sound that is used all the same: a WAV file whose size was never written, channels that
    cancel each other out, and the like.

    Attributes:
        code: A stable name: `size_not_written`, `truncated`, `partial_sample`, `more_follows`, `empty_data`, `padding`,
            `block_size`, `scaled_float`, `channels_cancel` or `channels_left_out`.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Speech:
    """Speech as it goes to an agent and comes from it: signed 16-bit little-endian samples, 48 kHz, mono.

    Attributes:
        samples: The samples, which numpy views without a copy: `numpy.frombuffer(speech.samples, "<i2")`.
    """

    rate = _RATE
    """Samples per second."""

    __slots__ = ("samples",)

    def __init__(self, samples: bytes) -> None:
        self.samples = _native_call(_native.speech_from_pcm, samples, _RATE, 1, False, None)[0]

    @property
    def duration(self) -> float:
        """How long it lasts, in seconds."""
        return len(self.samples) / 2 / _RATE

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it into a WAV file.

        Raises:
            IoError: The system says no.
        """
        _native_call(_native.write_wav, os.fspath(path), self.samples)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Speech) and self.samples == other.samples

    def __hash__(self) -> int:
        return hash(self.samples)

    def __repr__(self) -> str:
        return f"<greenroom.Speech of {self.duration:.2f} s>"


Sound: TypeAlias = Any
"""Sound in any of these shapes:

- a `Speech`;
- the path of a WAV file, of any rate and number of channels, or its content as bytes; what is odd about one is a
  `SoundWarning`, and what would be noise is refused;
- samples: bytes of signed 16 bits, or an array of numpy (`int16`, or `float32` from -1 to 1; of several channels, one
  row for each instant), at 48 kHz unless `rate` says otherwise;
- a frame of `greenroom.audio` or of livekit (`rtc.AudioFrame`), or anything else with `data`, `sample_rate` and
  `num_channels`;
- an iterable, or an async iterable, of such samples or frames;
- in `say_audio`, a device: the name of a virtual one (`tone:440`, `loopback:x`, …), a `greenroom.audio.Capture`, which
  stays open, or `greenroom.audio.capture(…)` itself, which is opened and closed for the turn.

Several channels become one: the one that `channel` names, counted from 0, or else the mean of those that are heard,
which are those at most 20 dB softer than the loudest. One that is another upside down is left out, with a
`SoundWarning`.
"""

TextToSpeech: TypeAlias = Callable[[str], Sound | Awaitable[Sound]]
"""Says a text: gives its sound."""


Noise: TypeAlias = Literal["white", "babble", "impulses"]
"""Kinds of noise: as strong at every frequency; eight voices at once, none of which is understood; about eight clicks a
second of 3 to 30 ms, as of doors and cups."""


def noisy(
    sound: Sound, noise: Noise, *, snr: float, seed: int = 0, rate: int | None = None, channel: int | None = None
) -> Speech:
    """Speech in noise, for tests of what an agent still understands.

        turn = await session.say("hello", tts=lambda text: greenroom.audio.noisy(voice(text), "babble", snr=10))

    The noise is below 8 kHz, which is what speech models hear, and lasts as long as the sound; the same seed makes the
    same noise. If the sum is too loud for 16 bits all of it is made softer.

    Args:
        sound: In any shape but an async iterable.
        noise: Its kind.
        snr: How many dB the speech is above the noise, -60 to 120; pauses do not count as speech.
        seed: From 0 to 4294967295.
        rate: Of samples that do not tell theirs, in Hz; 48000 without.
        channel: Of several channels, the one that is taken, counted from 0; without, those that are heard.

    Raises:
        InvalidArgument: There is no sound or no such noise in the arguments.
        IoError: The file cannot be read.
        TooLarge: The sound is longer than 3 minutes.
    """
    return _of(_native_call(_native.noisy, _gathered(sound, rate, channel).samples, noise, snr, seed))


async def speech_of(sound: Sound, rate: int | None, channel: int | None) -> Speech:
    """The speech in a sound."""
    if isinstance(sound, AsyncIterable):
        sound = [part async for part in sound]
    return _gathered(sound, rate, channel)


def check_channel(channel: object) -> None:
    """A channel that may be named."""
    if channel is not None and (not isinstance(channel, int) or isinstance(channel, bool) or channel < 0):
        raise InvalidArgument(
            f"channel is {_checks.shown(channel)}; it must be a whole number, 0 for the first channel"
        )


def warn(notes: Iterable[tuple[str, str]], what: str) -> None:
    """Warn of what is odd about a sound."""
    for code, text in notes:
        warnings.warn(SoundWarning(f"{what}: {text}" if what else text, code), stacklevel=4)


def _gathered(sound: Sound, rate: int | None, channel: int | None) -> Speech:
    """The speech in a sound that is there, or comes without waiting."""
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
        raise InvalidArgument(f"a {type(sound).__name__} holds no sound; give a WAV file, samples or frames of livekit")
    formats = {(part.rate, part.channels, part.is_float) for part in parts}
    if len(formats) > 1:
        raise InvalidArgument(
            f"the parts of the sound differ in rate, channels or kind of samples: {sorted(formats)}; give one format"
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
