"""Speech that comes while it is said, from a microphone or what stands for one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from greenroom import _native
from greenroom._audio_frame import Frame
from greenroom._speech import warn
from greenroom.errors import InvalidArgument, SessionTimeout, from_json

__all__ = ["Device", "Elsewhere", "device_of", "say_live"]

_RATE = 48_000

# How long the first sound of a device is waited for, where the caller gives no timeout: as long as a turn.
_FIRST_SECONDS = 120.0

Call = Callable[..., Awaitable[dict[str, Any]]]
"""A session's call: `(timeout, operation, **arguments)`."""


class Device(Protocol):
    """What is spoken from: a `greenroom.audio.Capture`, or the like."""

    rate: int
    channels: int

    async def read(self, *, timeout: float | None = None) -> Frame | None: ...


def device_of(
    sound: object, channel: int | None
) -> tuple[contextlib.AbstractAsyncContextManager[Device], int | None] | None:
    """The device that a sound is, to be entered, and which of its channels is to be taken; None if it is none.

    It is closed at the end if it was opened here.
    """
    from greenroom import audio

    if isinstance(sound, str) and _native.is_virtual_device(sound):
        # As fast as possible: the session says it in its time, and no late frame tears a hole.
        return _opened(audio.capture(sound, rate=_RATE, channel=channel, frame_ms=20, clock="fast")), None
    if isinstance(sound, audio.Opening):
        return _opened(sound), channel
    if isinstance(sound, (audio.Capture, Elsewhere)):
        return contextlib.nullcontext(sound), channel
    return None


class Elsewhere:
    """A device that belongs to another event loop; `read` gives what it does."""

    def __init__(self, rate: int, channels: int, read: Callable[[], Awaitable[Frame | None]]) -> None:
        self.rate = rate
        self.channels = channels
        self._read = read

    async def read(self, *, timeout: float | None = None) -> Frame | None:
        try:
            return await asyncio.wait_for(self._read(), timeout)
        except asyncio.TimeoutError:
            raise SessionTimeout(f"a frame took longer than {timeout} s") from None


async def say_live(
    call: Call,
    device: Device,
    channel: int | None,
    duration: float | None,
    timeout: float | None,
    **arguments: Any,
) -> dict[str, Any]:
    """Have a turn that says what a device gives until it ends or `duration` is over; gives the turn."""
    first_seconds = _FIRST_SECONDS if timeout is None else timeout
    async with contextlib.aclosing(_speech(device, channel, duration, first_seconds)) as pieces:
        first = await anext(pieces, None)
        if first is None:
            raise InvalidArgument("the device ended before its first sample; pass one that has audio")
        live = uuid.uuid4().hex
        turn = asyncio.ensure_future(call(timeout, "say_audio", audio=_encoded(first), live=live, **arguments))
        saying = asyncio.ensure_future(_say_more(call, live, pieces))
        try:
            await asyncio.wait({turn, saying}, return_when=asyncio.FIRST_COMPLETED)
            if saying.done():
                saying.result()
            return await turn
        finally:
            saying.cancel()
            turn.cancel()
            await asyncio.gather(saying, turn, return_exceptions=True)


async def _say_more(call: Call, live: str, pieces: AsyncIterator[bytes]) -> None:
    # A turn that is over takes no more, and tells itself how it ended.
    with contextlib.suppress(InvalidArgument):
        async for piece in pieces:
            await call(None, "say_more", live=live, audio=_encoded(piece))
        await call(None, "say_more", live=live, last=True)


async def _speech(
    device: Device, channel: int | None, duration: float | None, first: float | None
) -> AsyncGenerator[bytes, None]:
    """What the device gives, as it goes over the wire; its first sound within `first` seconds."""
    try:
        stream = _native.SpeechStream(device.rate, device.channels, channel)
    except _native.NativeError as error:
        raise from_json(error.args[0]) from None
    left = None if duration is None else round(duration * device.rate)
    while left is None or left > 0:
        frame = await device.read(timeout=first)
        if frame is None:
            break
        data, first = frame.data, None
        if left is not None:
            data = data[: left * 2 * device.channels]
            left -= frame.samples
        if speech := stream.take(data):
            yield speech
    warn(stream.notes(), "the sound")
    if speech := stream.finish():
        yield speech


def _encoded(speech: bytes) -> str:
    return base64.b64encode(speech).decode()


@contextlib.asynccontextmanager
async def _opened(opening: Any) -> AsyncIterator[Device]:
    from greenroom import audio

    async with opening as stream:
        if not isinstance(stream, audio.Capture):
            raise InvalidArgument("what is spoken from is a capture, not a playback; pass greenroom.audio.capture(…)")
        yield stream
        warn(stream._notices(), "")
