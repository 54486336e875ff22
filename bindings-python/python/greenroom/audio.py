"""Microphones and loudspeakers, real and virtual.

    async with greenroom.audio.capture(rate=16000) as mic:
        async for frame in mic:
            samples = numpy.frombuffer(frame.data, numpy.int16)  # a view, not a copy

    async with greenroom.audio.playback(rate=24000) as speaker:
        await speaker.write(samples)
        await speaker.drain()

Virtual devices work wherever a device is named: `null`, `file:in.wav?loop`, `file:out.wav`,
`tone:440`, `noise:white:-40`, `loopback:name`, `fail:after=2s`. Instead of a name, a function can
return the recorded or take the played audio. Virtual devices run in real time or as fast as
possible, so that code that uses devices can be tested without one. Audio played to a loopback is
recorded from it, until its playback is closed.

Samples are interleaved 16-bit integers in this machine's byte order; played samples may also be
32-bit floats from -1 to 1. Times are seconds, except `frame_ms`. Importing this module opens
nothing; ALSA's library is loaded with the first device. `greenroom.sync` has the same without
asyncio.
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

from greenroom import _checks, _json, _native
from greenroom._asyncio import running_loop
from greenroom._audio_frame import Frame, samples_to_play
from greenroom._audio_function import Function, Sink, Source
from greenroom._link import NativeHold, weak
from greenroom._native import CaptureDriver, PlaybackDriver
from greenroom._session import _ask
from greenroom._speech import Noise, check_channel, noisy
from greenroom.errors import DeviceLost, GreenroomError, InvalidArgument, SessionTimeout, forked

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
    "NoticeEvent",
    "Opening",
    "Playback",
    "Position",
    "Recorded",
    "ReopenedEvent",
    "Sink",
    "Source",
    "capture",
    "devices",
    "noisy",
    "playback",
]

_T = TypeVar("_T")
_StreamT = TypeVar("_StreamT", bound="_Stream")

Direction: TypeAlias = Literal["input", "output"]
"""`input` is recorded from, `output` played to."""

Latency: TypeAlias = Literal["normal", "low"]
"""Delay of a stream: `normal` uses blocks of 10 ms to record, and of 20 ms to play behind a jitter
buffer of 40 ms; `low` uses blocks of 5 ms, which may cause gaps on a busy machine."""

Clock: TypeAlias = Literal["real_time", "fast"]
"""Pace of a virtual device: real time, or as fast as it is read or written."""

Cause: TypeAlias = Literal["device", "reader", "writer"]
"""The cause of lost samples: the device or system, a slow reader, or a late writer."""

# Count of available answers returned before other tasks of the event loop run.
_TURN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A real device."""

    number: int
    """Position in the list of its direction, from 0; also opens it, as long as the list stays the
    same."""
    id: str
    """Id that opens it; stable as long as it is plugged in at the same place."""
    name: str
    """Display name."""
    direction: Direction
    """Its direction; a device with both is listed twice."""
    default: bool
    """Whether it is the default device."""
    rate: int
    """Native rate in Hz; other rates are resampled."""
    rates: tuple[int, int]
    """Lowest and highest rate that the system supports, in Hz."""
    channels: int
    """Count of channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Counts of a capture, in samples per channel."""

    samples: int
    """Recorded samples, including those waiting to be read."""
    lost: int
    """Lost by the device, or while no device was open."""
    dropped: int
    """Dropped because the reader was too slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Position of a playback, in samples per channel; `written` is the sum of the others."""

    written: int
    """Written so far."""
    heard: int
    """Played, as far as the device reports its latency."""
    waiting: int
    """Not played yet."""
    dropped: int
    """Cleared, or lost with a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapEvent:
    """Samples were lost."""

    type: Literal["gap"] = "gap"
    samples: int
    """Count per channel."""
    cause: Cause
    """The cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostEvent:
    """The device is gone. With `reopen` it is searched for again; otherwise the stream ends with
    `DeviceLost`."""

    type: Literal["lost"] = "lost"
    device: str
    """Its id."""
    why: str
    """How the loss was detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenedEvent:
    """A lost device is open again."""

    type: Literal["reopened"] = "reopened"
    device: str
    """Its id, which may differ if the default device was requested."""
    after: float = field(metadata={"json": "after_ms"})
    """Time without a device, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChangedEvent:
    """The system's default device changed. A stream on the default device follows if `reopen` is
    set."""

    type: Literal["device_changed"] = "device_changed"
    from_: str
    """The previous device."""
    to: str
    """The new device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedEvent:
    """Events were dropped because they were not read; 256 are kept."""

    type: Literal["missed"] = "missed"
    count: int
    """Count of dropped events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeEvent:
    """A note about the recorded audio: about its file or its channels."""

    type: Literal["notice"] = "notice"
    note: str
    """Stable name of the note; see `greenroom.SoundWarning`."""
    message: str
    """The note as a sentence."""


AudioEvent: TypeAlias = NoticeEvent | GapEvent | LostEvent | ReopenedEvent | DeviceChangedEvent | MissedEvent
"""An event of a stream."""

_EVENTS: dict[str, type[Any]] = {
    "notice": NoticeEvent,
    "gap": GapEvent,
    "lost": LostEvent,
    "reopened": ReopenedEvent,
    "device_changed": DeviceChangedEvent,
    "missed": MissedEvent,
}


def capture(
    device: str | int | Source | None = None,
    *,
    rate: int = 16000,
    channels: int = 1,
    channel: int | None = None,
    frame_ms: float = 10.0,
    queue: float = 1.0,
    latency: Latency = "normal",
    reopen: float | None = None,
    timeout: float = 5.0,
    clock: Clock = "real_time",
) -> Opening[Capture]:
    """Record. Use the result with `async with`, or await it and close the capture yourself.

    Args:
        device: An id, a name or a part of it, a number from the list of inputs, a virtual device,
            or a function that returns the audio (see `Source`) and is called on this event loop.
            Default: the system's default device.
        rate: Rate of the frames, in Hz; the device's own may differ.
        channels: Channels of the frames. One channel is the mean of the device's audible ones,
            those at most 20 dB softer than the loudest; with several, each is the device's channel
            of that number.
        channel: The device's channel to record, counted from 0, with `channels` of 1.
        frame_ms: The length of a frame in milliseconds, 1 to 1000.
        queue: Seconds of audio that may wait to be read, one frame to a minute. If it is full, the
            oldest frames are dropped, counted in the next frame's `lost`, and reported by a
            `GapEvent`.
        latency: Delay of the stream.
        reopen: Seconds to search for a lost device, each time. Default: the stream ends.
        timeout: Seconds that a real device may take to open, and then to return its first sample.
        clock: Pace of a virtual device. `fast` waits for the reader instead of dropping frames.

    Raises:
        DeviceNotFound: There is no such device; the message lists the existing ones.
        InvalidArgument: An argument is invalid, or a name matches several devices.
        Busy, PermissionDenied, DeviceLost: Another program uses it; the system denies it; it
            returns no samples, like a silently denied microphone. A function's exception is the
            `__cause__` of a `DeviceLost`.
        AudioUnavailable: No audio system is available; the message says what to install.
    """
    check_channel(channel)
    _checks.number("frame_ms", frame_ms)
    options = _options(
        device, rate, channels, queue, latency, reopen, timeout, clock, frame_ms=frame_ms, channel=channel
    )
    return Opening(lambda: Capture._begin(options, device if callable(device) else None))


def playback(
    device: str | int | Sink | None = None,
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
    """Play. Use the result with `async with`, or await it and close the playback yourself.

    Args:
        device: An id, a name or a part of it, a number from the list of outputs, a virtual device,
            or a function that takes the audio (see `Sink`) and is called on this event loop.
            Default: the system's default device.
        rate: Rate of the written audio, in Hz; the device's own may differ.
        channels: Channels of the written audio.
        queue: Seconds of audio that may wait to be played, 0.02 to a minute. If it is full, writers
            wait.
        latency: Delay of the stream.
        jitter: Seconds that must be written before playing starts, and again after a silence, so
            that late writes cause no gaps; at most `queue`. Default: 0.04, or 0.005 for low
            latency.
        reopen: Seconds to search for a lost device, each time. Default: the stream ends.
        timeout: Seconds that a real device may take to open, and then to request its first sample.
        clock: Pace of a virtual device. `real_time` plays silence while nothing is written; `fast`
            plays only written audio.

    Raises:
        Those of `capture`.
    """
    _checks.optional(_checks.seconds, jitter=jitter)
    options = _options(device, rate, channels, queue, latency, reopen, timeout, clock, jitter_ms=_ms(jitter))
    return Opening(lambda: Playback._begin(options, device if callable(device) else None))


async def devices() -> list[Device]:
    """The real devices, inputs first. Any of them may be gone when it is opened.

    Raises:
        AudioUnavailable: There is nothing to ask; the message says what to install.
    """
    running_loop()
    return await asyncio.to_thread(_devices)


def _devices() -> list[Device]:
    return [_json.build(Device, device) for device in json.loads(_ask(_native.devices))]


class Opening(Generic[_StreamT]):
    """A stream that is going to be opened: `async with` it, or await it and close the stream
    yourself."""

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
        # Before a device is opened that could not be closed.
        running_loop()
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
        """What happens besides audio, for `async for`; it ends with the stream. Each event goes to
        one reader."""
        return AudioEvents(self)

    async def close(self) -> None:
        """Close the device and wait until it is closed. May be called again.

        Raises:
            SessionTimeout: The device does not let go.
            DeviceLost, IoError: What a playback ended with, so that not all of it was heard or is
                in its file.
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

    def _hold_on(self, driver: CaptureDriver | PlaybackDriver, function: Function | None) -> None:
        self._function = function
        self._loop = running_loop()
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
            # A cancelled caller doesn't wait for a device that doesn't answer.
            self._is_detached = True
            self._abandon.detach()
            self._hold.abandon()
            if self._function is not None:
                self._function.stop()
            raise
        self.rate = about["rate"]
        self.channels = about["channels"]

    def _asked(self, ask: Callable[[], _T]) -> _T:
        """Asks the native half. A stream that its function has ended raises with what that has
        raised as the cause."""
        try:
            return _ask(ask)
        except DeviceLost as error:
            if self._function is None or self._function.failure is None:
                raise
            raise error from self._function.failure

    async def _until(self, ask: Callable[[], _T | None], timeout: float | None = None, what: str = "") -> _T:
        """Returns the first result of `ask`. Cancellation loses nothing."""
        _checks.optional(_checks.seconds, timeout=timeout)
        self._check_loop()
        deadline = None if timeout is None else self._loop.time() + timeout
        self._at_once += 1
        if self._at_once > _TURN:
            self._at_once = 0
            await asyncio.sleep(0)
        while (found := self._asked(ask)) is None:
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
        if self._function is not None:
            self._function.serve()
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
            if self._function is not None:
                self._function.stop()
            # What others wait for is there now, if only as an error.
            self._on_wake()

    def _check_loop(self) -> None:
        if os.getpid() != self._process:
            raise forked(self._process)
        if running_loop() is not self._loop:
            raise InvalidArgument(
                "this stream belongs to another event loop; use it where it was opened, or use greenroom.sync, whose "
                "streams work in any thread"
            )


class Capture(_Stream):
    """A real or virtual microphone. Create it with `capture` and iterate over its frames.

    Frames wait in a queue of `queue` seconds; a cancelled read loses none. After the last frame of
    a finite device, or after `close`, the iteration ends; if the device was lost, it raises.

    Methods can raise:
        DeviceLost: The device is gone: unplugged, its server ended, dead for half a second.
        Forked: This process is a fork of the one that opened it.
        InvalidArgument: An argument is invalid, or the stream belongs to another event loop.
    """

    _driver: CaptureDriver

    @classmethod
    def _begin(cls, options: str, function: Source | None) -> Capture:
        stream = object.__new__(cls)
        stream._driver = _ask(CaptureDriver, options, function is not None)
        stream._hold_on(stream._driver, _function(function, stream._driver, options))
        return stream

    @property
    def origin(self) -> float:
        """Origin of the frames' times, on the clock of `time.monotonic()`: half a second before the
        opening.

        A device may return earlier samples, and a time is never below zero. The end of a frame is
        never in the future, `origin + frame.time + frame.duration`, unless a virtual device runs as
        fast as possible: then time is counted in samples.
        """
        import time

        return time.monotonic() - _ask(self._driver.age)

    @property
    def recorded(self) -> Recorded:
        """Counts so far."""
        return _json.build(Recorded, json.loads(_ask(self._driver.recorded)))

    async def read(self, *, timeout: float | None = None) -> Frame | None:
        """Returns the next frame; None after the last.

        Raises:
            SessionTimeout: No frame arrived within `timeout` seconds; the stream continues.
        """
        _checks.optional(_checks.seconds, timeout=timeout)
        return self._frame(await self._until(self._driver.poll_frame, timeout, "a frame"))

    def _notices(self) -> list[tuple[str, str]]:
        """Takes the notes from the unread events."""
        notices = []
        while (polled := _ask(self._driver.poll_event)) is not None and (event := _event(polled)) is not None:
            if isinstance(event, NoticeEvent):
                notices.append((event.note, event.message))
        return notices

    def __aiter__(self) -> Capture:
        return self

    async def __anext__(self) -> Frame:
        frame = await self.read()
        if frame is None:
            raise StopAsyncIteration
        return frame

    def _take(self) -> Frame | None:
        """Returns the next frame if there is one. May be called on any thread."""
        polled = self._asked(self._driver.poll_frame)
        return None if polled is None else self._frame(polled)

    def _frame(self, polled: tuple[bytes | None, float, int]) -> Frame | None:
        data, time, lost = polled
        if data is None:
            return None
        return Frame(data=data, rate=self.rate, channels=self.channels, time=time, lost=lost)


class Playback(_Stream):
    """A real or virtual loudspeaker. Create it with `playback`.

    `close` drops audio that has not been played; `drain` waits for it.

    Methods can raise:
        DeviceLost: The device is gone: unplugged, its server ended, dead for half a second.
        SessionClosed: It was closed.
        Forked: This process is a fork of the one that opened it.
        InvalidArgument: An argument is invalid, or the stream belongs to another event loop.
    """

    _driver: PlaybackDriver

    @classmethod
    def _begin(cls, options: str, function: Sink | None) -> Playback:
        stream = object.__new__(cls)
        stream._driver = _ask(PlaybackDriver, options, function is not None)
        # The waiting writers, in order.
        stream._writers = []
        stream._hold_on(stream._driver, _function(function, stream._driver, options))
        return stream

    _writers: list[object]

    @property
    def position(self) -> Position:
        """Position so far."""
        return _json.build(Position, json.loads(_ask(self._driver.position)))

    async def write(self, audio: Frame | rtc.AudioFrame | Any, *, timeout: float | None = None) -> None:
        """Write audio, and wait until there is room for all of it. Concurrent writes are played in
        order.

        Cancellation or a timeout may leave a part written.

        Args:
            audio: A `Frame`, a `livekit.rtc.AudioFrame`, or samples: bytes of 16-bit integers, or
                any buffer with a format, such as a numpy array of int16 or float32 (from -1 to 1;
                values beyond are clipped).
            timeout: Deadline for the whole write, in seconds.

        Raises:
            SessionTimeout: There was not enough room in time.
            InvalidArgument: Its rate or channels differ from the playback's, or it is no such
                audio.
        """
        _checks.optional(_checks.seconds, timeout=timeout)
        data, is_float, *_ = samples_to_play(audio, self.rate, self.channels)
        written = 0
        me = object()

        def write() -> bool | None:
            nonlocal written
            while written < len(data):
                if self._writers[0] is not me:
                    return None
                taken = self._driver.poll_write(data, written, is_float)
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
        """Wait until all written audio has been played.

        Raises:
            SessionTimeout: It took longer than `timeout` seconds.
        """
        _checks.optional(_checks.seconds, timeout=timeout)
        _ask(self._driver.flush)
        await self._until(lambda: self._driver.poll_drained() or None, timeout, "playing what was written")

    def clear(self) -> None:
        """Drop audio that has not reached the device, which may keep playing its own buffer of 10
        to 40 ms."""
        _ask(self._driver.clear)


class AudioEvents(AsyncIterator[AudioEvent]):
    """Events of a stream; see `Capture.events`."""

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


def _function(
    function: Callable[[Any], Any] | None, driver: CaptureDriver | PlaybackDriver, options: str
) -> Function | None:
    if function is None:
        return None
    settings = json.loads(options)
    return Function(function, driver, settings["rate"], settings["channels"])


def _options(
    device: str | int | Callable[[Any], Any] | None,
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
    given: object = device
    if not isinstance(given, (str, int, type(None))) and not callable(given):
        found = _checks.shown(given)
        raise InvalidArgument(f"device is {found}; pass an id, a name, a number, a virtual device or a function")
    for what, whole in (("rate", rate), ("channels", channels)):
        _checks.whole(what, whole)
        if whole <= 0:
            raise InvalidArgument(f"{what} is {whole!r}; it must be a whole number above 0")
    for what, seconds in (("queue", queue), ("timeout", timeout), ("reopen", 0 if reopen is None else reopen)):
        _checks.seconds(what, seconds)
    _checks.each(_checks.text, latency=latency, clock=clock)
    return json.dumps(
        {
            "device": str(device) if isinstance(device, (str, int)) else None,
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
