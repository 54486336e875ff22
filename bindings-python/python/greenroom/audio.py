"""Microphones and loudspeakers, real and virtual.

    async with greenroom.audio.capture(rate=16000) as mic:
        async for frame in mic:
            samples = numpy.frombuffer(frame.data, numpy.int16)  # a view, not a copy

    async with greenroom.audio.playback(rate=24000) as speaker:
        await speaker.write(samples)
        await speaker.drain()

Wherever a device is named, a virtual one may be: `null`, `file:in.wav?loop`, `file:out.wav`, `tone:440`,
`noise:white:-40`, `loopback:name`, `fail:after=2s`. They go by the clock that is asked for, in real time or as fast as
possible, so that code that uses devices can be tested without one.

Samples are 16-bit integers of this machine's byte order, the channels of an instant side by side. Times are seconds,
but for `frame_ms`. Importing this module opens nothing; ALSA's library is looked for when a device is. The same without
asyncio is in `greenroom.sync`.
"""

from __future__ import annotations

import asyncio
import json
import os
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from greenroom import _json, _native
from greenroom._link import NativeHold, weak
from greenroom._native import CaptureDriver, PlaybackDriver
from greenroom._session import _ask
from greenroom._speech import Noise, noisy
from greenroom._start import _check_seconds
from greenroom.errors import GreenroomError, InvalidArgument, SessionTimeout, forked

if TYPE_CHECKING:
    from livekit import rtc

__all__ = [
    "AudioEvent",
    "AudioEvents",
    "Capture",
    "Cause",
    "Clock",
    "Device",
    "DeviceChangedEvent",
    "Direction",
    "Frame",
    "GapEvent",
    "Latency",
    "LostEvent",
    "MissedEvent",
    "Noise",
    "Opening",
    "Playback",
    "Position",
    "Recorded",
    "ReopenedEvent",
    "capture",
    "devices",
    "noisy",
    "playback",
]

_T = TypeVar("_T")
_StreamT = TypeVar("_StreamT", bound="_Stream")

Direction: TypeAlias = Literal["input", "output"]
"""Whether a device is recorded from or played to."""

Latency: TypeAlias = Literal["normal", "low"]
"""How much delay a stream takes on for steadiness: blocks of 10 ms to record and of 20 ms to play behind a jitter
buffer of 40 ms, or blocks of 5 ms, which may cause gaps on a busy machine."""

Clock: TypeAlias = Literal["real_time", "fast"]
"""What a virtual device goes by: as a real device does, or as fast as it is read or written."""

Cause: TypeAlias = Literal["device", "reader", "writer"]
"""Who lost samples: the device or the system; who reads too slowly; who writes too late."""

# How many answers that are there already are given before others on the event loop have a turn.
_TURN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A real device."""

    id: str
    """What it is opened by; the same as long as it is plugged in at the same place."""
    name: str
    """What people call it."""
    direction: Direction
    """Whether it is recorded from or played to; one that does both is listed twice."""
    default: bool
    """Whether it is the one that is opened when none is named."""
    rate: int
    """What it works at by itself, in Hz; other rates are made of it."""
    rates: tuple[int, int]
    """The lowest and the highest rate that the system opens it at, in Hz."""
    channels: int
    """Its channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A short stretch of audio."""

    data: bytes
    """16-bit samples, the channels of an instant side by side; `numpy.frombuffer(frame.data, numpy.int16)` views it."""
    rate: int
    """In Hz."""
    channels: int = 1
    """How many."""
    time: float = 0.0
    """When its first sample was recorded, in seconds since the stream was opened; see `Capture.origin`."""
    lost: int = 0
    """How many samples of each channel are missing just before it."""

    @property
    def samples(self) -> int:
        """How many samples each channel has."""
        return len(self.data) // (2 * self.channels)

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return self.samples / self.rate

    def to_rtc(self) -> rtc.AudioFrame:
        """The same as a `livekit.rtc.AudioFrame`: `await source.capture_frame(frame.to_rtc())`.

        Raises:
            SdkMissing, SdkTooOld, Unsupported: There is no livekit that this package knows.
        """
        from greenroom._livekit import audio_frame_class

        frame: rtc.AudioFrame = audio_frame_class()(self.data, self.rate, self.channels, self.samples)
        return frame

    @classmethod
    def from_rtc(cls, frame: rtc.AudioFrame) -> Frame:
        """A frame from a `livekit.rtc.AudioFrame`. A playback takes those as they are."""
        return cls(data=frame.data.tobytes(), rate=frame.sample_rate, channels=frame.num_channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a capture has done so far, in samples of each channel."""

    samples: int
    """Recorded, those included that wait to be read."""
    lost: int
    """Lost by the device, or while there was none."""
    dropped: int
    """Dropped, since the reader was too slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a playback has come, in samples of each channel; `written` is the sum of the others."""

    written: int
    """Written so far."""
    heard: int
    """Heard, as far as the device tells how long it takes."""
    waiting: int
    """On its way."""
    dropped: int
    """Cleared, or lost with a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapEvent:
    """Samples were lost."""

    type: Literal["gap"] = "gap"
    samples: int
    """How many of each channel."""
    cause: Cause
    """Who lost them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostEvent:
    """The device is gone. It is looked for again if `reopen` says so; otherwise the stream ends with `DeviceLost`."""

    type: Literal["lost"] = "lost"
    device: str
    """Its id."""
    why: str
    """How that shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenedEvent:
    """A device is open again, after it was lost."""

    type: Literal["reopened"] = "reopened"
    device: str
    """Its id, which may be another where the default device was asked for."""
    after: float = field(metadata={"json": "after_ms"})
    """How long there was none, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChangedEvent:
    """The system's default device is another. A stream that was opened on it follows, if `reopen` lets it."""

    type: Literal["device_changed"] = "device_changed"
    from_: str
    """The device so far."""
    to: str
    """The device from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedEvent:
    """Events were dropped, since nobody read them; 256 are kept."""

    type: Literal["missed"] = "missed"
    count: int
    """How many."""


AudioEvent: TypeAlias = GapEvent | LostEvent | ReopenedEvent | DeviceChangedEvent | MissedEvent
"""Something that happened to a stream besides audio."""

_EVENTS: dict[str, type[Any]] = {
    "gap": GapEvent,
    "lost": LostEvent,
    "reopened": ReopenedEvent,
    "device_changed": DeviceChangedEvent,
    "missed": MissedEvent,
}


def capture(
    device: str | int | None = None,
    *,
    rate: int = 16000,
    channels: int = 1,
    frame_ms: float = 10.0,
    queue: float = 1.0,
    latency: Latency = "normal",
    reopen: float | None = None,
    timeout: float = 5.0,
    clock: Clock = "real_time",
) -> Opening[Capture]:
    """Record: `async with` what this gives, or await it and close the capture yourself. Nothing happens before that.

    Args:
        device: An id, a name or a part of it, a number from the list of inputs, or a virtual device; the default one
            without.
        rate: Of the frames, in Hz; the device's own may be another.
        channels: Of the frames. One is the mean of the device's; of several, each is the device's of that number.
        frame_ms: The length of a frame in milliseconds, 1 to 1000.
        queue: Seconds that may wait to be read, one frame to a minute. The oldest frames make room for more: they are
            counted in the next frame's `lost`, and a `GapEvent` tells.
        latency: How much delay is taken on.
        reopen: Seconds for which a device that is lost is looked for again, each time; not at all without.
        timeout: Seconds that a real device may take to open, and then to its first sample.
        clock: Of a virtual device. As fast as possible, it waits for its reader instead of dropping frames.

    Raises:
        DeviceNotFound: There is no such device; the message lists those that are there.
        InvalidArgument: An argument cannot be meant, or a name fits several devices.
        Busy, PermissionDenied, DeviceLost: Somebody else has it; the system forbids it; it gives no sample, as a
            microphone that is denied silently.
        AudioUnavailable: There is nothing to reach devices through; the message says what to install.
    """
    options = _options(device, rate, channels, queue, latency, reopen, timeout, clock, frame_ms=frame_ms)
    return Opening(lambda: Capture._begin(options))


def playback(
    device: str | int | None = None,
    *,
    rate: int = 48000,
    channels: int = 1,
    queue: float = 1.0,
    latency: Latency = "normal",
    jitter: float | None = None,
    reopen: float | None = None,
    timeout: float = 5.0,
    clock: Clock = "real_time",
) -> Opening[Playback]:
    """Play: `async with` what this gives, or await it and close the playback yourself. Nothing happens before that.

    Args:
        device: An id, a name or a part of it, a number from the list of outputs, or a virtual device; the default one
            without.
        rate: Of what is written, in Hz; the device's own may be another.
        channels: Of what is written.
        queue: Seconds that may wait to be played, 0.02 to a minute; who writes more waits.
        latency: How much delay is taken on.
        jitter: Seconds that must have been written before playing begins, and again after a silence, so that late
            writes are not heard; at most `queue`. Without, 0.04, or 0.005 for low latency.
        reopen: Seconds for which a device that is lost is looked for again, each time; not at all without.
        timeout: Seconds that a real device may take to open, and then to ask for its first sample.
        clock: Of a virtual device. In real time it plays silence when nothing is written; as fast as possible, only
            what is written.

    Raises:
        Those of `capture`.
    """
    if jitter is not None:
        _check_seconds("jitter", jitter)
    options = _options(device, rate, channels, queue, latency, reopen, timeout, clock, jitter_ms=_ms(jitter))
    return Opening(lambda: Playback._begin(options))


async def devices() -> list[Device]:
    """The real devices, inputs first. Any of them may be gone when it is opened.

    Raises:
        AudioUnavailable: There is nothing to ask; the message says what to install.
    """
    return await asyncio.to_thread(_devices)


def _devices() -> list[Device]:
    return [_json.build(Device, device) for device in json.loads(_ask(_native.devices))]


class Opening(Generic[_StreamT]):
    """A stream that is going to be opened: `async with` it, or await it and close the stream yourself."""

    def __init__(self, begin: Callable[[], _StreamT]) -> None:
        self._begin = begin
        self._stream: _StreamT | None = None

    def __await__(self) -> Generator[Any, None, _StreamT]:
        return self._open().__await__()

    async def __aenter__(self) -> _StreamT:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.close()

    async def _open(self) -> _StreamT:
        if self._stream is not None:
            raise InvalidArgument("this stream was opened already; call capture or playback again for another")
        stream = self._stream = self._begin()
        await stream._open()
        return stream


class _Stream:
    """What recording and playing have in common.

    Attributes:
        rate: Of its samples, in Hz.
        channels: Of its samples.
    """

    rate: int
    channels: int
    _driver: CaptureDriver | PlaybackDriver

    def __init__(self) -> None:
        raise InvalidArgument("a stream is opened by greenroom.audio.capture or greenroom.audio.playback")

    @property
    def device(self) -> str:
        """The id of the device that is open, or was last."""
        return str(self._about()["device"])

    def events(self) -> AudioEvents:
        """What happens besides audio, for `async for`; it ends with the stream. Each event goes to one reader."""
        return AudioEvents(self)

    async def close(self) -> None:
        """Close the device and wait until it is closed. May be called again.

        Raises:
            SessionTimeout: The device does not let go.
            DeviceLost, IoError: What a playback ended with, so that not all of it was heard or is in its file.
        """
        self._check_loop()
        if self._is_detached:
            return
        _ask(self._driver.close)
        try:
            await self._until(lambda: self._driver.poll_closed() or None)
        except GreenroomError:
            self._detach()
            raise
        self._detach()

    async def __aenter__(self: _StreamT) -> _StreamT:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        name = f"greenroom.audio.{type(self).__name__}"
        if os.getpid() != self._process:
            return f"<{name} forked>"
        state = "closed" if self._is_detached else self.device
        return f"<{name} {state}, {self.rate} Hz, {self.channels} channels>"

    # ---- how -------------------------------------------------------------------------------------------------------

    def _hold_on(self, driver: CaptureDriver | PlaybackDriver) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._news: set[asyncio.Future[None]] = set()
        self._at_once = 0
        self._is_detached = False
        self._hold = NativeHold(driver, driver.close)
        self._abandon = weakref.finalize(self, _abandon, self._hold, os.getpid())
        self._abandon.atexit = False

    async def _open(self) -> None:
        try:
            await self._hold.attach(weak(self._on_wake))
            about = json.loads(await self._until(self._driver.about))
        except BaseException:
            # Whoever gives up does not wait for a device that does not answer.
            self._is_detached = True
            self._abandon.detach()
            self._hold.abandon()
            raise
        self.rate = about["rate"]
        self.channels = about["channels"]

    async def _until(self, ask: Callable[[], _T | None], timeout: float | None = None, what: str = "") -> _T:
        """What `ask` gives, once it gives something. To cancel it loses nothing."""
        self._check_loop()
        if timeout is not None:
            _check_seconds("timeout", timeout)
        deadline = None if timeout is None else self._loop.time() + timeout
        self._at_once += 1
        if self._at_once > _TURN:
            self._at_once = 0
            await asyncio.sleep(0)
        while (found := _ask(ask)) is None:
            self._at_once = 0
            left = None if deadline is None else deadline - self._loop.time()
            if left is not None and left <= 0:
                raise SessionTimeout(f"{what} took longer than {timeout} s")
            await self._wait_for_news(left)
        return found

    async def _wait_for_news(self, timeout: float | None) -> None:
        waiting = self._loop.create_future()
        self._news.add(waiting)
        try:
            if timeout is None:
                await waiting
            else:
                await asyncio.wait([waiting], timeout=timeout)
        finally:
            self._news.discard(waiting)

    def _on_wake(self) -> None:
        for waiting in self._news:
            if not waiting.done():
                waiting.set_result(None)

    def _about(self) -> dict[str, Any]:
        about: dict[str, Any] = json.loads(_ask(self._driver.about) or "{}")
        return about

    def _detach(self) -> None:
        if not self._is_detached:
            self._is_detached = True
            self._abandon.detach()
            self._hold.detach()
            # What others wait for is there now, if only as an error.
            self._on_wake()

    def _check_loop(self) -> None:
        if os.getpid() != self._process:
            raise forked(self._process)
        if asyncio.get_running_loop() is not self._loop:
            raise InvalidArgument(
                "this stream belongs to another event loop; use it where it was opened, or use greenroom.sync, whose "
                "streams work in any thread"
            )


class Capture(_Stream):
    """A microphone, or what stands for one. Get one from `capture`; iterate over its frames.

    A frame that waits to be read is kept while `queue` lasts; to cancel a wait loses none. After the last frame of a
    device that has an end, or once it is closed, the iteration ends; if the device was lost, it raises.

    Methods can raise:
        DeviceLost: The device is gone: unplugged, its server ended, dead for half a second.
        Forked: This process is a fork of the one that opened it.
        InvalidArgument: An argument cannot be meant, or the stream belongs to another event loop.
    """

    _driver: CaptureDriver

    @classmethod
    def _begin(cls, options: str) -> Capture:
        stream = object.__new__(cls)
        stream._driver = _ask(CaptureDriver, options)
        stream._hold_on(stream._driver)
        return stream

    @property
    def origin(self) -> float:
        """When it was opened, on the clock of `time.monotonic()`; the times of its frames count from here."""
        import time

        return time.monotonic() - _ask(self._driver.age)

    @property
    def recorded(self) -> Recorded:
        """What it has done so far."""
        return _json.build(Recorded, json.loads(_ask(self._driver.recorded)))

    async def read(self, *, timeout: float | None = None) -> Frame | None:
        """The next frame; None after the last.

        Raises:
            SessionTimeout: None came within `timeout` seconds; the stream goes on.
        """
        return self._frame(await self._until(self._driver.poll_frame, timeout, "a frame"))

    def __aiter__(self) -> Capture:
        return self

    async def __anext__(self) -> Frame:
        frame = await self.read()
        if frame is None:
            raise StopAsyncIteration
        return frame

    def _take(self) -> Frame | None:
        """The next frame if it is there. This may be called on any thread."""
        polled = _ask(self._driver.poll_frame)
        return None if polled is None else self._frame(polled)

    def _frame(self, polled: tuple[bytes | None, float, int]) -> Frame | None:
        data, time, lost = polled
        if data is None:
            return None
        return Frame(data=data, rate=self.rate, channels=self.channels, time=time, lost=lost)


class Playback(_Stream):
    """A loudspeaker, or what stands for one. Get one from `playback`.

    To close it drops what has not been heard; `drain` waits for it.

    Methods can raise:
        DeviceLost: The device is gone: unplugged, its server ended, dead for half a second.
        SessionClosed: It was closed.
        Forked: This process is a fork of the one that opened it.
        InvalidArgument: An argument cannot be meant, or the stream belongs to another event loop.
    """

    _driver: PlaybackDriver

    @classmethod
    def _begin(cls, options: str) -> Playback:
        stream = object.__new__(cls)
        stream._driver = _ask(PlaybackDriver, options)
        # Those who write, in their order.
        stream._writers = []
        stream._hold_on(stream._driver)
        return stream

    _writers: list[object]

    @property
    def position(self) -> Position:
        """How far it has come."""
        return _json.build(Position, json.loads(_ask(self._driver.position)))

    async def write(self, audio: Frame | rtc.AudioFrame | Any, *, timeout: float | None = None) -> None:
        """Write audio, and wait until there is room for all of it. What is written at once is played in order.

        To cancel it, as a timeout does, may leave a part written.

        Args:
            audio: A `Frame`, a `livekit.rtc.AudioFrame`, or 16-bit samples: bytes, or any buffer such as a numpy array
                of int16.
            timeout: Seconds for all of it.

        Raises:
            SessionTimeout: There was not enough room in time.
            InvalidArgument: It has another rate or other channels than the playback, or is no 16-bit audio.
        """
        data = _samples(audio, self.rate, self.channels)
        written = 0
        me = object()

        def write() -> bool | None:
            nonlocal written
            while written < len(data):
                if self._writers[0] is not me:
                    return None
                taken = self._driver.poll_write(data, written)
                if taken is None:
                    return None
                written += taken
            return True

        self._writers.append(me)
        try:
            await self._until(write, timeout, "room for what is written")
        finally:
            self._writers.remove(me)
            self._on_wake()

    async def drain(self, *, timeout: float | None = None) -> None:
        """Wait until all that was written has been heard.

        Raises:
            SessionTimeout: It took longer than `timeout` seconds.
        """
        _ask(self._driver.flush)
        await self._until(lambda: self._driver.poll_drained() or None, timeout, "playing what was written")

    def clear(self) -> None:
        """Drop what has not reached the device, which may go on for its own buffer of 10 to 40 ms."""
        _ask(self._driver.clear)


class AudioEvents(AsyncIterator[AudioEvent]):
    """What happens to a stream besides audio; see `Capture.events`."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> AudioEvents:
        return self

    async def __anext__(self) -> AudioEvent:
        event = await self._next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def _next(self) -> AudioEvent | None:
        return _event(await self._stream._until(self._stream._driver.poll_event))


def _event(text: str) -> AudioEvent | None:
    """An event from its JSON text; None after the last."""
    event = json.loads(text)
    if event is None:
        return None
    built: AudioEvent = _json.build(_EVENTS[event["type"]], event)
    return built


def _samples(audio: Any, rate: int, channels: int) -> bytes:
    """The bytes of what is to be played at this rate with these channels."""
    given: tuple[int, int] | None = None
    data = audio
    if isinstance(audio, Frame):
        given, data = (audio.rate, audio.channels), audio.data
    elif hasattr(audio, "sample_rate") and hasattr(audio, "num_channels"):
        given, data = (audio.sample_rate, audio.num_channels), audio.data
    if given is not None and given != (rate, channels):
        raise InvalidArgument(
            f"the frame is of {given[0]} Hz and {given[1]} channels, and the playback of {rate} Hz and {channels}; "
            f"open the playback with rate={given[0]}, channels={given[1]}"
        )
    try:
        view = memoryview(data)
    except TypeError:
        raise InvalidArgument(
            f"a {type(audio).__name__} is no audio; give a frame, bytes or an array of int16"
        ) from None
    if view.format not in ("h", "<h", "B", "c"):
        raise InvalidArgument(f"the samples are of the format {view.format!r}; give 16-bit integers (numpy: int16)")
    if view.nbytes % (2 * channels):
        raise InvalidArgument(f"{view.nbytes} bytes are no whole number of 16-bit samples for {channels} channels")
    return data if isinstance(data, bytes) else view.tobytes()


def _options(
    device: str | int | None,
    rate: int,
    channels: int,
    queue: float,
    latency: Latency,
    reopen: float | None,
    timeout: float,
    clock: Clock,
    **others: float | None,
) -> str:
    """The options that recording and playing share, as JSON, and others."""
    if not isinstance(device, (str, int, type(None))):
        raise InvalidArgument(f"device is {device!r}; give an id, a name, a number or a virtual device")
    for what, whole in (("rate", rate), ("channels", channels)):
        if not isinstance(whole, int) or whole <= 0:
            raise InvalidArgument(f"{what} is {whole!r}; it must be a whole number above 0")
    for what, seconds in (("queue", queue), ("timeout", timeout), ("reopen", 0 if reopen is None else reopen)):
        _check_seconds(what, seconds)
    return json.dumps(
        {
            "device": None if device is None else str(device),
            "rate": rate,
            "channels": channels,
            "queue_ms": _ms(queue),
            "latency": latency,
            "reopen_ms": _ms(reopen),
            "timeout_ms": _ms(timeout),
            "clock": clock,
            **others,
        }
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _abandon(hold: NativeHold, process: int) -> None:
    """A stream was collected without having been closed."""
    if os.getpid() != process:
        return
    warnings.warn("a greenroom audio stream was never closed; close() it, or use `with`", ResourceWarning, stacklevel=2)
    hold.abandon()
