"""The same sessions without asyncio, for scripts, notebooks and any thread.

    with greenroom.sync.start("agent.py") as session:
        print(session.say("hi").reply)

Microphones and loudspeakers, real and virtual:

    with greenroom.sync.capture(rate=16000) as mic:
        for frame in mic: ...

An agent in a room is reached by `join`; through a Room that you have it is reached with asyncio alone, by
`greenroom.attach`, since such a Room lives on an event loop.

Each session and each stream has an event loop of its own in a background thread, which ends with it. Calls block their
thread, for `timeout` seconds at most, and can be interrupted with Ctrl-C. Several threads may use one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from greenroom import _session, _start, audio
from greenroom._live import Elsewhere
from greenroom._speech import Sound, TextToSpeech
from greenroom.errors import GreenroomError, SessionClosed, forked
from greenroom.events import Event
from greenroom.types import (
    AgentInfo,
    FrameworkInfo,
    Item,
    ModelUsage,
    RtcStats,
    SessionState,
    Started,
    Status,
    Turn,
    Verdict,
)

__all__ = ["Capture", "Playback", "Session", "capture", "devices", "join", "open", "playback", "start"]

_T = TypeVar("_T")
_StreamT = TypeVar("_StreamT", bound=audio._Stream)
_TwinT = TypeVar("_TwinT", bound="_Stream[Any]")
_Path = str | os.PathLike[str]

# How long a background thread may take to end, in seconds, once its session is gone.
_THREAD_SECONDS = 15.0


def start(
    entry: _Path | None = None,
    *,
    python: _Path | None = None,
    node: _Path | None = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: _Path | None = None,
    port: int | None = None,
    timeout: float = 60.0,
    log: _Path | None = None,
    sync: bool = True,
    idle_timeout: float | None = None,
    audio: bool = False,
    recording: _Path | None = None,
    participant: Mapping[str, Any] | None = None,
    room: Mapping[str, str] | None = None,
    job_metadata: str | None = None,
) -> Session:
    """Start an agent file and wait until it is ready; the arguments and errors are those of `greenroom.start`."""
    return _open(
        lambda: _start.start(
            entry,
            python=python,
            node=node,
            args=args,
            env=env,
            cwd=cwd,
            port=port,
            timeout=timeout,
            log=log,
            sync=sync,
            idle_timeout=idle_timeout,
            audio=audio,
            recording=recording,
            participant=participant,
            room=room,
            job_metadata=job_metadata,
        )
    )


def join(
    url: str,
    token: str,
    agent: str | None = None,
    *,
    timeout: float = 60.0,
    idle_timeout: float | None = None,
    ca: str | os.PathLike[str] | bytes | None = None,
    proxy: str | None = None,
) -> Session:
    """Join a room and open a session with the agent in it; the arguments and errors are those of `greenroom.join`."""
    return _open(lambda: _start.join(url, token, agent, timeout=timeout, idle_timeout=idle_timeout, ca=ca, proxy=proxy))


def open(name: str = "default", *, timeout: float = 10.0) -> Session:  # noqa: A001
    """Open the session that the command left running; the arguments and errors are those of `greenroom.open`."""
    return _open(lambda: _start.open(name, timeout=timeout))


def capture(
    device: str | int | audio.Source | None = None,
    *,
    rate: int = 16000,
    channels: int = 1,
    channel: int | None = None,
    frame_ms: float = 10.0,
    queue: float = 1.0,
    latency: audio.Latency = "normal",
    reopen: float | None = None,
    timeout: float = 5.0,
    clock: audio.Clock = "real_time",
) -> Capture:
    """Open a device to record from; the arguments and errors are those of `greenroom.audio.capture`.

    A function as a device is called on the stream's own thread.
    """
    opening = audio.capture(
        device,
        rate=rate,
        channels=channels,
        channel=channel,
        frame_ms=frame_ms,
        queue=queue,
        latency=latency,
        reopen=reopen,
        timeout=timeout,
        clock=clock,
    )
    return Capture(*_opened(lambda: opening))


def playback(
    device: str | int | audio.Sink | None = None,
    *,
    rate: int = 48000,
    channels: int = 1,
    queue: float = 1.0,
    latency: audio.Latency = "normal",
    jitter: float | None = None,
    reopen: float | None = None,
    timeout: float = 5.0,
    clock: audio.Clock = "real_time",
) -> Playback:
    """Open a device to play to; the arguments and errors are those of `greenroom.audio.playback`.

    A function as a device is called on the stream's own thread.
    """
    opening = audio.playback(
        device,
        rate=rate,
        channels=channels,
        queue=queue,
        latency=latency,
        jitter=jitter,
        reopen=reopen,
        timeout=timeout,
        clock=clock,
    )
    return Playback(*_opened(lambda: opening))


def devices() -> list[audio.Device]:
    """The real devices, inputs first; errors are those of `greenroom.audio.devices`."""
    return audio._devices()


class Session:
    """A `greenroom.Session` whose calls block. Get one from `greenroom.sync.start`, `join` or `open`.

    Methods, arguments and errors are those of `greenroom.Session`.

    Attributes:
        started: What was there before the first turn: the agent's SDK, a greeting.
    """

    started: Started

    def __init__(self, background: _Background, session: _session.Session) -> None:
        self.started = session.started
        self._background = background
        self._session = session
        self._stop = weakref.finalize(self, background.stop)
        self._stop.atexit = False

    def say(
        self,
        text: str,
        *,
        tts: TextToSpeech | None = None,
        rate: int | None = None,
        interrupt_after: float | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Have one turn: say something and wait until the agent has done all that it does about it."""
        return self._background.run(
            self._session.say(text, tts=tts, rate=rate, interrupt_after=interrupt_after, timeout=timeout)
        )

    def say_audio(
        self,
        sound: Sound,
        *,
        text: str = "",
        rate: int | None = None,
        channel: int | None = None,
        duration: float | None = None,
        interrupt_after: float | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Have one turn aloud, in a session with audio: speak, and wait until the agent has been heard out."""
        return self._background.run(
            self._session.say_audio(
                cast(Any, sound._elsewhere()) if isinstance(sound, Capture) else sound,
                text=text,
                rate=rate,
                channel=channel,
                duration=duration,
                interrupt_after=interrupt_after,
                timeout=timeout,
            )
        )

    def history(self, *, timeout: float | None = None) -> list[Item]:
        """The whole conversation, oldest first."""
        return self._background.run(self._session.history(timeout=timeout))

    def agent_info(self, *, timeout: float | None = None) -> AgentInfo:
        """The instructions, tools and context of the agent that speaks now."""
        return self._background.run(self._session.agent_info(timeout=timeout))

    def session_state(self, *, timeout: float | None = None) -> SessionState:
        """What agent and user are doing, and the session's options."""
        return self._background.run(self._session.session_state(timeout=timeout))

    def usage(self, *, timeout: float | None = None) -> list[ModelUsage]:
        """What the models have used so far, one entry for each model."""
        return self._background.run(self._session.usage(timeout=timeout))

    def rtc_stats(self, *, timeout: float | None = None) -> RtcStats:
        """The agent's WebRTC statistics; empty without a room."""
        return self._background.run(self._session.rtc_stats(timeout=timeout))

    def framework_info(self, *, timeout: float | None = None) -> FrameworkInfo:
        """The agent's SDK and its version."""
        return self._background.run(self._session.framework_info(timeout=timeout))

    def ping(self, *, timeout: float | None = None) -> None:
        """Ask whether the agent answers."""
        self._background.run(self._session.ping(timeout=timeout))

    def update_io(
        self,
        *,
        input_audio: bool | None = None,
        input_video: bool | None = None,
        output_audio: bool | None = None,
        output_video: bool | None = None,
        output_transcription: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Turn inputs and outputs of the agent on or off; None leaves one alone."""
        self._background.run(
            self._session.update_io(
                input_audio=input_audio,
                input_video=input_video,
                output_audio=output_audio,
                output_video=output_video,
                output_transcription=output_transcription,
                timeout=timeout,
            )
        )

    def finalize_simulation(
        self, provisional_success: bool, provisional_reason: str = "", *, timeout: float | None = None
    ) -> Verdict:
        """Ask the agent for its verdict on a simulation, telling it what the simulation thinks so far."""
        return self._background.run(
            self._session.finalize_simulation(provisional_success, provisional_reason, timeout=timeout)
        )

    def events(self, *, from_now: bool = False) -> Iterator[Event]:
        """An iterator of the session's events, which waits for the next; it ends after `ClosedEvent`."""
        return self._events(self._session.events(from_now=from_now))

    def status(self) -> Status:
        """How the session stands. It asks nobody: this is what is known here."""
        return self._session.status()

    @property
    def closed(self) -> GreenroomError | None:
        """Why the session is closed: what every call on it now raises. None while it is open."""
        return self._session.closed

    def close(self) -> None:
        """Close the session and wait until all of it is gone here. May be called again."""
        if self._stop.alive:
            self._background.run(self._session.close())
            self._background.stop()
            self._background.join()
            self._stop.detach()

    def end(self) -> None:
        """End the session itself, also one that `greenroom.sync.open` gave. May be called again."""
        if self._stop.alive:
            self._background.run(self._session.end())
            self.close()
        else:
            self._session._check_ended()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._session).replace("greenroom.Session", "greenroom.sync.Session")

    def _events(self, events: _session.Events) -> Iterator[Event]:
        # What is there already needs no other thread; after the end there is none to ask.
        while batch := events._take() or (not events._ended and self._background.run(events._batch())):
            yield from batch


class _Stream(Generic[_StreamT]):
    """What the recording and the playing that block have in common.

    Attributes:
        rate: Of its samples, in Hz.
        channels: Of its samples.
    """

    def __init__(self, background: _Background, stream: _StreamT) -> None:
        self.rate = stream.rate
        self.channels = stream.channels
        self._background = background
        self._stream = stream
        self._stop = weakref.finalize(self, background.stop)
        self._stop.atexit = False

    @property
    def device(self) -> str:
        """The id of the device that is open, or was last."""
        return self._stream.device

    def events(self) -> Iterator[audio.AudioEvent]:
        """An iterator of what happens besides audio, which waits for the next; it ends with the stream."""
        events = self._stream.events()
        while self._stop.alive and (event := self._run(events._next())) is not None:
            yield event

    def close(self) -> None:
        """Close the device and wait until it is closed. May be called again."""
        if not self._stop.alive:
            return
        try:
            self._background.run(self._stream.close())
        finally:
            self._background.stop()
            self._background.join()
            self._stop.detach()

    def __enter__(self: _TwinT) -> _TwinT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._stream).replace("greenroom.audio.", "greenroom.sync.")

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if not self._stop.alive:
            work.close()
            raise SessionClosed("the stream is closed; open another")
        return self._background.run(work)


class Capture(_Stream[audio.Capture]):
    """A `greenroom.audio.Capture` whose calls block. Get one from `greenroom.sync.capture`; iterate over its frames."""

    @property
    def origin(self) -> float:
        """What its frames' times count from, on the clock of `time.monotonic()`: half a second before it was opened.

        A device may give what it heard before that, so a time is never below zero. The end of a frame is never in the
        future, `origin + frame.time + frame.duration`, unless the device is a virtual one that goes as fast as
        possible: there time is counted by samples.
        """
        return self._stream.origin

    @property
    def recorded(self) -> audio.Recorded:
        """What it has done so far."""
        return self._stream.recorded

    def read(self, *, timeout: float | None = None) -> audio.Frame | None:
        """The next frame; None after the last. See `greenroom.audio.Capture.read`."""
        # What is there already needs no other thread, and once it is closed there is none.
        frame = self._stream._take()
        if frame is not None or not self._stop.alive:
            return frame
        return self._run(self._stream.read(timeout=timeout))

    def __iter__(self) -> Iterator[audio.Frame]:
        while (frame := self.read()) is not None:
            yield frame

    def _elsewhere(self) -> Elsewhere:
        """The same for the event loop of a session, which reads it without a thread of its own."""

        async def read() -> audio.Frame | None:
            frame = self._stream._take()
            if frame is not None or not self._stop.alive:
                return frame
            return await asyncio.wrap_future(self._background.begin(self._stream.read()))

        return Elsewhere(self.rate, self.channels, read)


class Playback(_Stream[audio.Playback]):
    """A `greenroom.audio.Playback` whose calls block. Get one from `greenroom.sync.playback`."""

    @property
    def position(self) -> audio.Position:
        """How far it has come."""
        return self._stream.position

    def write(self, samples: audio.Frame | Any, *, timeout: float | None = None) -> None:
        """Write audio, and wait until there is room for all of it. See `greenroom.audio.Playback.write`."""
        self._run(self._stream.write(samples, timeout=timeout))

    def drain(self, *, timeout: float | None = None) -> None:
        """Wait until all that was written has been heard. See `greenroom.audio.Playback.drain`."""
        self._run(self._stream.drain(timeout=timeout))

    def clear(self) -> None:
        """Drop what has not reached the device, which may go on for its own buffer of 10 to 40 ms."""
        self._stream.clear()


class _Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._accepts = True
        # Reentrant: a collection may stop this loop in the middle of anything.
        self._lock = threading.RLock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="greenroom-sync", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Have `work` done there and wait for it. An interrupted wait cancels it."""
        future = self.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Have `work` done there."""
        if os.getpid() != self._process:
            work.close()
            raise forked(self._process)
        with self._lock:
            if not self._accepts:
                work.close()
                raise SessionClosed("the session was closed")
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """Let the thread end once what it has in hand is done. Called on any thread; it does not wait."""
        if os.getpid() != self._process:
            return
        with self._lock:
            if self._accepts:
                self._accepts = False
                self._loop.call_soon_threadsafe(self._loop.stop)

    def join(self) -> None:
        """Wait for the thread's end."""
        if threading.current_thread() is not self._thread:
            self._thread.join(_THREAD_SECONDS)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            pending = asyncio.all_tasks(self._loop)
            if pending:
                self._loop.run_until_complete(asyncio.wait(pending, timeout=_THREAD_SECONDS))
            # What was to be done on the loop on the way, such as closing a transport.
            self._loop.run_until_complete(asyncio.sleep(0))
        finally:
            self._loop.close()


def _open(opening: Callable[[], _session.Opening]) -> Session:
    return Session(*_opened(opening))


def _opened(opening: Callable[[], Awaitable[_T]]) -> tuple[_Background, _T]:
    """What is opened on an event loop of its own, and that."""
    background = _Background()

    async def open_there() -> _T:
        return await opening()

    try:
        return background, background.run(open_there())
    except BaseException:
        # A start that was interrupted still ends its agent before the thread ends.
        background.stop()
        raise
