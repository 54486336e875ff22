"""`Session`: one agent session, however it is reached."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import logging
import math
import os
import warnings
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, TypeVar

from greenroom import _checks, _json
from greenroom._asyncio import running_loop
from greenroom._link import Link, SharedLink, weak
from greenroom._live import device_of, say_live
from greenroom._native import NativeError
from greenroom._speech import Sound, TextToSpeech, check_channel, encode, speech_of
from greenroom.errors import GreenroomError, InvalidArgument, forked, from_json
from greenroom.events import ClosedEvent, Event
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

__all__ = ["Events", "Opening", "Session"]

_T = TypeVar("_T")

# How many events are read at once.
_BATCH = 256

logger = logging.getLogger("greenroom")
logger.addHandler(logging.NullHandler())


class Session:
    """Controls one agent session. Get one from `greenroom.start`, `join`, `attach`, `open` or `in_process`.

    Every call takes `timeout` in seconds; without one the defaults hold: 120 s for a turn, 30 s for anything else. A
    call that is cancelled, by `asyncio.timeout` for instance, is given up on the other side too, and the session stays
    usable.

    Every call can raise:
        SessionTimeout: No answer came in time.
        AgentError: The agent answered with an error.
        AgentGone: The agent ended or closed the link; also what is pending at that moment.
        SessionClosed: The session was closed on this side.
        TooLarge: The request or its answer is over a size cap.
        Busy: Too many calls wait already.
        Forked: This process is a fork of the one that the session belongs to.
        InvalidArgument: An argument cannot be meant, or the session belongs to another event loop.

    Attributes:
        started: What was there before the first turn: the agent's SDK, a greeting.
    """

    started: Started

    def __init__(self, link: Link) -> None:
        self.started = Started()
        self._link = link
        self._loop = running_loop()
        self._process = os.getpid()
        self._tokens = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[bool, str]]] = {}
        self._news: set[asyncio.Future[None]] = set()
        self._closing: asyncio.Future[tuple[bool, str]] | None = None
        self._is_detached = False
        self._abandon = weakref.finalize(self, _abandon, link, os.getpid())
        self._abandon.atexit = False

    # ---- turns -----------------------------------------------------------------------------------------------------

    async def say(
        self,
        text: str,
        *,
        tts: TextToSpeech | None = None,
        rate: int | None = None,
        interrupt_after: float | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Have one turn: say something and wait until the agent has done all that it does about it.

        Turns that are said at once wait for each other. A turn whose caller gives up may go on in the agent; the next
        goes at once, and what the former still brings is kept, marked `late`.

        Args:
            text: What the user says; at least one word.
            tts: Says it aloud, in a session with audio: a function, or a coroutine function, from the text to its
                sound. The agent gets the sound alone. Without one the agent gets the text.
            rate: As in `say_audio`, for what `tts` gives.
            interrupt_after: As in `say_audio`, with `tts`.
            timeout: Seconds for this turn, waiting for those before it included.

        Returns:
            The turn; an agent that failed or was interrupted is told there, not raised.
        """
        if not isinstance(text, str):
            raise InvalidArgument(f"the text to say is a {type(text).__name__}; pass a str")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"the text to say holds half a character (a lone surrogate): {error}") from None
        _checks.optional(_checks.function, tts=tts)
        _checks.optional(_checks.whole, rate=rate)
        _checks.optional(_checks.seconds, interrupt_after=interrupt_after)
        _checks.optional(_checks.timeout, timeout=timeout)
        if tts is not None:
            sound = tts(text)
            if inspect.isawaitable(sound):
                sound = await sound
            return await self.say_audio(sound, text=text, rate=rate, interrupt_after=interrupt_after, timeout=timeout)
        if interrupt_after is not None:
            raise InvalidArgument("interrupt_after= works with speech only; pass tts= too, or use say_audio")
        return _json.build(Turn, await self._call(timeout, "say", text=text))

    async def say_audio(
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
        """Have one turn aloud, in a session with audio: speak, and wait until the agent has been heard out.

            turn = await session.say_audio("question.wav")
            print(turn.heard, turn.reply, turn.voice.response)
            turn = await session.say_audio(greenroom.audio.capture(), duration=5)

        Nothing on the wire ends such a turn. It is over once the agent has heard all of it, has answered and is silent
        again; else after 10 s in which it shows no sign of having heard, or 3 s in which it begins no answer.

        Args:
            sound: What the user says, 3 minutes at most: a WAV file (path or bytes), samples (bytes, numpy), frames of
                livekit, or an iterable of those; or a device, which is heard while it is spoken into: a virtual one by
                its name, or a capture; see `greenroom.Sound`.
            text: What it says in words, for the turn's `text`. The agent does not get it.
            rate: Samples per second of samples that do not tell theirs. 48,000 by default.
            channel: Of a sound of several channels, the one that is said, counted from 0. By default the mean of those
                that are heard; see `greenroom.Sound`.
            duration: Of a device, how many seconds of it are said. By default until it ends, or the capture is closed.
            interrupt_after: Do not wait for the turn under way: speak over the agent once it has been heard for so many
                seconds. Both turns come back; this one's `voice.yielded` tells how long the agent took to fall silent.
            timeout: Seconds for this turn, waiting included. By default 120 and as long as the sound lasts.

        Raises:
            Unsupported: The session has no audio.
            InvalidArgument, IoError, TooLarge: The sound cannot be said.
            DeviceLost, DeviceNotFound: The device failed. What it gave was said.
            SessionTimeout: The agent was done speaking before it was to be interrupted.
        """
        _checks.text("text", text)
        _checks.optional(_checks.whole, rate=rate)
        _checks.optional(_checks.number, duration=duration)
        _checks.optional(_checks.seconds, interrupt_after=interrupt_after)
        _checks.optional(_checks.timeout, timeout=timeout)
        arguments: dict[str, Any] = {"text": text}
        if interrupt_after is not None:
            arguments["interrupt_after_ms"] = interrupt_after * 1000
        if duration is not None and not 0 < duration < math.inf:
            raise InvalidArgument(f"duration is {duration!r}; it must be a number of seconds above 0")
        check_channel(channel)
        found = device_of(sound, channel)
        if found is not None:
            device, channel = found
            async with device as opened:
                return _json.build(Turn, await say_live(self._call, opened, channel, duration, timeout, **arguments))
        if duration is not None:
            raise InvalidArgument("duration= is for a device; other sounds are said whole")
        speech = await speech_of(sound, rate, channel)
        return _json.build(Turn, await self._call(timeout, "say_audio", audio=encode(speech), **arguments))

    # ---- questions -------------------------------------------------------------------------------------------------

    async def history(self, *, timeout: float | None = None) -> list[Item]:
        """The whole conversation, oldest first."""
        answer = await self._call(timeout, "history")
        return [_json.item(item) for item in answer["items"]]

    async def agent_info(self, *, timeout: float | None = None) -> AgentInfo:
        """The instructions, tools and context of the agent that speaks now."""
        return _json.build(AgentInfo, await self._call(timeout, "agent_info"))

    async def session_state(self, *, timeout: float | None = None) -> SessionState:
        """What agent and user are doing, and the session's options."""
        return _json.build(SessionState, await self._call(timeout, "session_state"))

    async def usage(self, *, timeout: float | None = None) -> list[ModelUsage]:
        """What the models have used so far, one entry for each model."""
        answer = await self._call(timeout, "usage")
        return [_json.build(ModelUsage, model) for model in answer["models"]]

    async def rtc_stats(self, *, timeout: float | None = None) -> RtcStats:
        """The agent's WebRTC statistics; empty without a room."""
        return _json.build(RtcStats, await self._call(timeout, "rtc_stats"))

    async def framework_info(self, *, timeout: float | None = None) -> FrameworkInfo:
        """The agent's SDK and its version."""
        return _json.build(FrameworkInfo, await self._call(timeout, "framework_info"))

    async def ping(self, *, timeout: float | None = None) -> None:
        """Ask whether the agent answers."""
        await self._call(timeout, "ping")

    # ---- control ---------------------------------------------------------------------------------------------------

    async def update_io(
        self,
        *,
        input_audio: bool | None = None,
        input_video: bool | None = None,
        output_audio: bool | None = None,
        output_video: bool | None = None,
        output_transcription: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Turn inputs and outputs of the agent on or off; None leaves one alone. Agents in JavaScript have no video."""
        toggles = {
            "input_audio": input_audio,
            "input_video": input_video,
            "output_audio": output_audio,
            "output_video": output_video,
            "output_transcription": output_transcription,
        }
        _checks.optional(_checks.flag, **toggles)
        await self._call(timeout, "update_io", **{name: on for name, on in toggles.items() if on is not None})

    async def finalize_simulation(
        self, provisional_success: bool, provisional_reason: str = "", *, timeout: float | None = None
    ) -> Verdict:
        """Ask the agent for its verdict on a simulation, telling it what the simulation thinks so far."""
        _checks.flag("provisional_success", provisional_success)
        _checks.text("provisional_reason", provisional_reason)
        answer = await self._call(
            timeout,
            "finalize_simulation",
            provisional_success=provisional_success,
            provisional_reason=provisional_reason,
        )
        return _json.build(Verdict, answer)

    # ---- events and state ------------------------------------------------------------------------------------------

    def events(self, *, from_now: bool = False) -> Events:
        """An iterator of the session's events, in the order in which they came; it ends after `ClosedEvent`.

        Each has a place of its own, so that several iterators see the same events. A reader that falls behind what is
        kept (16,384 events or 32 MiB) gets a `GapEvent` that counts what it missed.

        Args:
            from_now: Begin with what is to come, not with the oldest event that is kept.
        """
        _checks.flag("from_now", from_now)
        return Events(self, _ask(self._link.end_of_events) if from_now else 0)

    def status(self) -> Status:
        """How the session stands. It asks nobody: this is what is known here."""
        return _json.build(Status, json.loads(_ask(self._link.status)))

    @property
    def closed(self) -> GreenroomError | None:
        """Why the session is closed: what every call on it now raises. None while it is open."""
        error = json.loads(_ask(self._link.status)).get("closed")
        return None if error is None else from_json(error)

    # ---- the end ---------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the session and wait until all of it is gone here.

        An agent that was started for it ends with it: its processes, its link, a temporary log. One of this process is
        left to its owner, and a session that `greenroom.open` gave runs on in its daemon. What is pending fails at once
        with `SessionClosed`. May be called again, and by several at once.
        """
        self._check_loop()
        if self._is_detached:
            return
        if self._closing is None:
            token = next(self._tokens)
            self._closing = self._waiting[token] = self._loop.create_future()
            self._closing.add_done_callback(self._detach)
            logger.debug("closing a session")
            _ask(self._link.close, token)
        # Whoever stops waiting does not stop the end.
        await asyncio.shield(self._closing)
        self._detach()

    async def end(self) -> None:
        """End the session itself.

        The same as `close`, but that a session that `greenroom.open` gave is ended in its daemon, for everybody, as
        `greenroom end` does. May be called again.

        Raises:
            SessionTimeout: The daemon did not end it within 30 s.
            SessionClosed: `close` has let go of it already.
        """
        self._check_loop()
        if isinstance(self._link, SharedLink):
            if self._is_detached:
                self._check_ended()
                return
            token = next(self._tokens)
            waiter = self._waiting[token] = self._loop.create_future()
            _ask(self._link.end, token)
            try:
                succeeded, text = await waiter
            finally:
                del self._waiting[token]
            if not succeeded:
                raise from_json(text)
        await self.close()

    async def aclose(self) -> None:
        """The same as `close`, for `contextlib.aclosing`."""
        await self.close()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        try:
            state = json.loads(self._link.status())["state"]
        except NativeError:
            state = "forked"
        return f"<greenroom.Session {state}>"

    # ---- how -------------------------------------------------------------------------------------------------------

    async def _open(self, timeout: float | None) -> None:
        """Wait until the session is ready; if it does not get so far, end it."""
        try:
            await self._link.attach(weak(self._on_wake))
        except BaseException:
            # Without its wake-ups the end cannot be awaited.
            self._drop()
            raise
        try:
            self.started = _json.build(Started, await self._call(timeout, "start"))
        except GeneratorExit:
            # The event loop was closed: nothing can be awaited any more.
            self._drop()
            raise
        except BaseException:
            await self.close()
            raise
        logger.debug("a session is ready")

    def _drop(self) -> None:
        """End the session without waiting for it."""
        self._is_detached = True
        self._abandon.detach()
        self._link.abandon()

    def _detach(self, _: object = None) -> None:
        """The session is gone: let go of the loop, and tell readers that there is nothing more to come."""
        if not self._is_detached:
            self._is_detached = True
            self._abandon.detach()
            self._link.detach()
            self._on_wake()

    def _check_ended(self) -> None:
        """The session is closed here: raise if its daemon holds it on."""
        link = self._link
        if not isinstance(link, SharedLink):
            return
        # It is answered at once.
        token = next(self._tokens)
        _ask(link.end, token)
        for done, succeeded, text in link.drain():
            if done == token and not succeeded:
                raise from_json(text)

    async def _call(self, timeout: float | None, operation: str, **arguments: Any) -> dict[str, Any]:
        _checks.optional(_checks.timeout, timeout=timeout)
        self._check_loop()
        if self._is_detached and (closed := self.closed) is not None:
            raise closed
        token = next(self._tokens)
        waiter = self._waiting[token] = self._loop.create_future()
        try:
            call = _ask(self._link.submit, json.dumps({"op": operation, **arguments}), timeout, token)
            try:
                succeeded, text = await waiter
            except asyncio.CancelledError:
                with contextlib.suppress(NativeError):
                    self._link.cancel(call)
                raise
        finally:
            del self._waiting[token]
        if not succeeded:
            raise from_json(text)
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _on_wake(self) -> None:
        """There are answers or events."""
        for token, succeeded, text in self._link.drain():
            waiter = self._waiting.get(token)
            if waiter is not None and not waiter.done():
                waiter.set_result((succeeded, text))
        for waiting in self._news:
            if not waiting.done():
                waiting.set_result(None)

    async def _wait_for_news(self) -> None:
        waiting = self._loop.create_future()
        self._news.add(waiting)
        try:
            await waiting
        finally:
            self._news.discard(waiting)

    def _check_loop(self) -> None:
        if os.getpid() != self._process:
            raise forked(self._process)
        if running_loop() is not self._loop:
            raise InvalidArgument(
                "this session belongs to another event loop; use it where it was opened, or use greenroom.sync, "
                "whose sessions work in any thread"
            )


class Events(AsyncIterator[Event]):
    """The events of a session, one after the other; see `Session.events`."""

    def __init__(self, session: Session, start: int) -> None:
        self._session = session
        self._next = start
        self._read: deque[Event] = deque()
        self._ended = False

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        if not self._read:
            self._read.extend(await self._batch())
        if not self._read:
            raise StopAsyncIteration
        return self._read.popleft()

    async def aclose(self) -> None:
        """Stop reading; the session goes on."""
        self._ended = True
        self._read.clear()

    async def _batch(self) -> list[Event]:
        """The next events, at least one; none after the end."""
        self._session._check_loop()
        while not (events := self._take()) and not self._ended:
            await self._session._wait_for_news()
        return events

    def _take(self) -> list[Event]:
        """The events that are there."""
        if self._ended:
            return []
        texts, self._next = _ask(self._session._link.read_events, self._next, _BATCH)
        events = [_json.event(text) for text in texts]
        self._ended = bool(events) and isinstance(events[-1], ClosedEvent)
        return events


class Opening:
    """A session that is going to be opened: `async with` it, or await it and close the session yourself.

    Nothing happens before that. Leaving the `async with` block closes the session, whatever happened in it.
    """

    def __init__(self, connect: Callable[[], Awaitable[Link]], timeout: float | None) -> None:
        self._connect = connect
        self._timeout = timeout
        self._session: Session | None = None

    def __await__(self) -> Generator[Any, None, Session]:
        return self._open().__await__()

    async def __aenter__(self) -> Session:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def _open(self) -> Session:
        if self._session is not None:
            raise InvalidArgument(
                "this session was opened already; call start, join, open, attach or in_process again for another"
            )
        # Before anything is started that nobody could end.
        running_loop()
        session = self._session = Session(await self._connect())
        await session._open(self._timeout)
        return session


def _ask(function: Callable[..., _T], *arguments: Any) -> _T:
    """Calls the native half; its errors become those of this package."""
    try:
        return function(*arguments)
    except NativeError as error:
        raise from_json(error.args[0]) from None


def _abandon(link: Link, process: int) -> None:
    """A session was collected without having been closed."""
    if os.getpid() != process:
        return
    warnings.warn("a greenroom session was never closed; close() it, or use `with`", ResourceWarning, stacklevel=2)
    link.abandon()
