"""`Speech`: what is said aloud, and what makes one of the many things that hold sound."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

from greenroom import _checks, _native
from greenroom._audio_frame import Frame, samples_of
from greenroom.errors import InvalidArgument, from_json

__all__ = ["Sound", "Speech", "TextToSpeech"]

_RATE = 48_000


class Speech:
    """Speech as it goes to an agent and comes from it: signed 16-bit little-endian samples, 48 kHz, mono.

    Attributes:
        samples: The samples, which numpy views without a copy: `numpy.frombuffer(speech.samples, "<i2")`.
    """

    rate = _RATE
    """Samples per second."""

    __slots__ = ("samples",)

    def __init__(self, samples: bytes) -> None:
        self.samples = _native_call(_native.speech_from_pcm, samples, _RATE, 1, False)

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
- the path of a WAV file, of any rate and number of channels, or its content as bytes;
- samples: bytes of signed 16 bits, or an array of numpy (`int16`, or `float32` from -1 to 1; of several channels, one
  row for each instant), at 48 kHz unless `rate` says otherwise;
- a frame of `greenroom.audio` or of livekit (`rtc.AudioFrame`), or anything else with `data`, `sample_rate` and
  `num_channels`;
- an iterable, or an async iterable, of such samples or frames;
- in `say_audio`, a device: the name of a virtual one (`tone:440`, `loopback:x`, …), a `greenroom.audio.Capture`, which
  stays open, or `greenroom.audio.capture(…)` itself, which is opened and closed for the turn.
"""

TextToSpeech: TypeAlias = Callable[[str], Sound | Awaitable[Sound]]
"""Says a text: gives its sound."""


Noise: TypeAlias = Literal["white", "babble", "impulses"]
"""Kinds of noise: as strong at every frequency; eight voices at once, none of which is understood; about eight clicks a
second of 3 to 30 ms, as of doors and cups."""


def noisy(sound: Sound, noise: Noise, *, snr: float, seed: int = 0, rate: int | None = None) -> Speech:
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

    Raises:
        InvalidArgument: There is no sound or no such noise in the arguments.
        IoError: The file cannot be read.
        TooLarge: The sound is longer than 3 minutes.
    """
    return _of(_native_call(_native.noisy, _gathered(sound, rate).samples, noise, snr, seed))


async def speech_of(sound: Sound, rate: int | None) -> Speech:
    """The speech in a sound."""
    if isinstance(sound, AsyncIterable):
        sound = [part async for part in sound]
    return _gathered(sound, rate)


def _gathered(sound: Sound, rate: int | None) -> Speech:
    """The speech in a sound that is there, or comes without waiting."""
    _checks.optional(_checks.whole, rate=rate)
    if rate is not None and rate < 1:
        raise InvalidArgument(f"rate is {rate!r}; it must be a number of samples per second, such as 24000")
    if isinstance(sound, Speech):
        return sound
    if isinstance(sound, (str, os.PathLike)):
        return _of(_native_call(_native.speech_from_wav, os.fspath(sound)))
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
    if samples[:4] == b"RIFF" and not is_float:
        return _of(_native_call(_native.speech_from_wav_bytes, samples))
    return _of(_native_call(_native.speech_from_pcm, samples, part_rate, channels, is_float))


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
