"""livekit-agents, from within: the one file that touches what the SDK does not document.

It uses `SessionHost` of `livekit.agents.voice.remote_session`, the agent's side of the session protocol, over a
transport of ours. What it relies on, and a test watches:

- `SessionHost(transport, audio_input, audio_output)`, `register_session(session)`, `start()` and `aclose()`;
- a transport is asked for `start()`, `send_message(message)`, `close()` and to be iterated;
- `livekit.protocol.agent_pb.agent_session.AgentSessionMessage` is the message;
- the session, `LiveSession` of `livekit.agents.voice` or `AgentSession` before it, emits `close` with a `reason`, and
  its `current_agent` raises `RuntimeError` unless it runs;
- `get_job_context(required=False)` and the context's `add_shutdown_callback`.

Releases are told apart by what they have, never by their number: the number is for the message of an error.
tests/matrix.json lists the releases that are tested, and docs/versions.md what works with which.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, NamedTuple, TypeVar

from greenroom._link import CarriedLink
from greenroom._native import Pipe, over_pipe
from greenroom.errors import GreenroomError, InvalidArgument, SdkMissing, SdkTooOld, Unsupported

_T = TypeVar("_T")


class _Need(NamedTuple):
    """Something of the SDK without which a call cannot work."""

    package: str
    """The distribution that has it."""
    what: str
    """Its name, for people."""
    since: str
    """A release that has it; later ones do too."""
    instead: str = ""
    """What to do without it, for people."""


_HOST = _Need("livekit-agents", "voice.remote_session.SessionHost", "1.5.5")
_SESSION = _Need("livekit-agents", "voice.AgentSession", "1.5.5")
_MESSAGE = _Need("livekit-protocol", "agent_pb.agent_session.AgentSessionMessage", "1.1.5")
_HOST_CHOICE = _Need(
    "livekit-agents",
    "`session_host=` in AgentSession.start",
    "1.6.9",
    "call greenroom.gate(ctx.room) in place of host",
)
_ROOM = _Need("livekit", "rtc.Room", "1.1.2")
_FRAME = _Need("livekit", "rtc.AudioFrame", "1.1.2")
_STREAMS = _Need("livekit", "rtc.Room.register_byte_stream_handler", "1.1.2")
_SENDS = _Need("livekit", "rtc.LocalParticipant.stream_bytes", "1.1.2")
_PERMISSIONS = _Need("livekit", "rtc.Participant.permissions", "1.1.2")


def check_sdk() -> None:
    """Raise unless the livekit-agents that is installed has a session host."""
    _find(_HOST, _session_host)
    _find(_MESSAGE, _message)


def check_room(room: Any) -> None:
    """Raise unless this is a Room of a livekit that has what a session in a room takes."""
    cls = _find(_ROOM, lambda: _rtc().Room)
    if not isinstance(room, cls):
        kind = f"{type(room).__module__}.{type(room).__qualname__}"
        raise InvalidArgument(f"this takes a livekit.rtc.Room, such as a job's ctx.room, not a {kind}")
    _find(_STREAMS, lambda: (cls.register_byte_stream_handler, cls.unregister_byte_stream_handler))
    _find(_SENDS, lambda: _rtc().LocalParticipant.stream_bytes)
    _find(_PERMISSIONS, lambda: _rtc().Participant.permissions)


def is_connected(room: Any) -> bool:
    """Whether a Room is connected, and not connecting anew."""
    from livekit import rtc

    return bool(room.connection_state == rtc.ConnectionState.CONN_CONNECTED)


@cache
def tells_of_permissions() -> bool:
    """Whether a Room emits `participant_permissions_changed`.

    Releases before livekit 1.1.14 wait for a message of that name, which their native part calls otherwise, and change
    a participant's permissions silently. Of a Room that looks different it is not known, so it is not relied on.
    """
    try:
        return "participant_permission_changed" in _rtc().Room._on_room_event.__code__.co_consts
    except AttributeError:
        return False


def is_agent_kind(participant: Any) -> bool:
    """Whether a participant is of the kind agent."""
    from livekit import rtc

    return bool(participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)


def publishes_on_behalf(participant: Any) -> bool:
    """Whether a participant publishes in place of an agent, as the worker of an avatar does."""
    return "lk.publish_on_behalf" in participant.attributes


@cache
def message_class() -> Any:
    """The SDK's class of a message. Raises what `check_sdk` does."""
    check_sdk()
    return _message()


@cache
def audio_frame_class() -> Any:
    """The SDK's class of a stretch of audio. Raises `SdkMissing` and the like where there is none."""
    return _find(_FRAME, lambda: _rtc().AudioFrame)


def sdk_session_host(transport: Any, audio_input: Any = None, audio_output: Any = None) -> Any:
    """The SDK's own session host. Raises what `check_sdk` does."""
    check_sdk()
    return _session_host()(transport, audio_input, audio_output)


def check_agent_session(agent_session: Any) -> None:
    """Raise unless this is an agent session of a livekit-agents that has a session host."""
    check_sdk()
    cls = _find(_SESSION, _session_class)
    if not isinstance(agent_session, cls):
        kind = f"{type(agent_session).__module__}.{type(agent_session).__qualname__}"
        raise InvalidArgument(f"this takes a livekit.agents.{cls.__name__}, not a {kind}")


def check_host_can_be_left_out() -> None:
    """Raise unless a session can be started without the SDK's own session host."""
    start = _find(_SESSION, lambda: _session_class().start)
    if "session_host" not in inspect.signature(start).parameters:
        raise _lacking(_HOST_CHOICE, None)


def on_job_shutdown(callback: Callable[[], Coroutine[None, None, None]]) -> None:
    """Have `callback` awaited when the job ends that runs here, if one does."""
    from livekit.agents import get_job_context

    job = get_job_context(required=False)
    if job is not None:
        job.add_shutdown_callback(callback)


def _rtc() -> Any:
    from livekit import rtc

    return rtc


def _session_host() -> Any:
    from livekit.agents.voice.remote_session import SessionHost

    return SessionHost


def _session_class() -> Any:
    """`LiveSession` where the SDK has it: there `AgentSession` is an alias that warns, and goes."""
    from livekit.agents import voice

    return getattr(voice, "LiveSession", None) or voice.AgentSession


def _message() -> Any:
    from livekit.protocol.agent_pb import agent_session

    return agent_session.AgentSessionMessage


def _find(need: _Need, find: Callable[[], _T]) -> _T:
    """What `find` returns; the error of what the SDK lacks if it has none."""
    try:
        return find()
    except (ImportError, AttributeError) as error:
        raise _lacking(need, error) from error


def _lacking(need: _Need, cause: Exception | None) -> GreenroomError:
    """The error for something that the SDK lacks: it is missing, too old, or newer than this package."""
    pip = "pip install" if importlib.util.find_spec("pip") else "uv pip install"
    package, what, since, instead = need
    installed = _installed(package)
    if installed is None:
        return SdkMissing(f'{package} is not installed in this Python: {pip} "greenroom[livekit]"')
    alternative = f", or {instead}" if instead else ""
    if _numbers(installed) < _numbers(since):
        # livekit-agents pins the other two.
        upgraded = "livekit-agents" if _installed("livekit-agents") else package
        return SdkTooOld(f"{package} {installed} has no {what}, which {since} has: {pip} -U {upgraded}{alternative}")
    found = f" ({type(cause).__name__}: {cause})" if cause is not None else ""
    return Unsupported(
        f"{package} {installed} has no {what}, which {since} has and greenroom needs{found}: {pip} -U greenroom, or "
        f"install an older {package}{alternative}"
    )


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    release = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in release[0].split(".")) if release else ()


def in_process(agent_session: Any, timeout: float, text_mode: bool) -> CarriedLink:
    """The link of a session with an `AgentSession` of this process."""
    from greenroom._session import _ask

    check_agent_session(agent_session)
    try:
        _ = agent_session.current_agent
    except RuntimeError:
        raise InvalidArgument(
            "the AgentSession is not running: `await agent_session.start(agent)` before greenroom.in_process"
        ) from None
    check_sdk()
    options = {"start_timeout": timeout, "text_mode": text_mode, "sdk_version": _installed("livekit-agents")}
    driver, pipe = _ask(over_pipe, json.dumps(options))
    return CarriedLink(driver, _InProcess(agent_session, pipe))


class _InProcess:
    """Carries messages between a session and an `AgentSession` of this process."""

    def __init__(self, agent_session: Any, pipe: Pipe) -> None:
        self._agent_session: Any = agent_session
        self._pipe = pipe
        self._transport = _MemoryTransport(self._receive)
        self._host: Any = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._host = sdk_session_host(self._transport)
        self._host.register_session(self._agent_session)
        self._agent_session.on("close", self._on_close)
        await self._host.start()
        self._pipe.open()
        self.carry()

    def carry(self) -> None:
        while (message := self._pipe.poll_transmit()) is not None:
            self._transport.feed(message)

    async def close(self) -> None:
        if self._host is None:
            return
        self._agent_session.off("close", self._on_close)
        if self._ending is not None:
            await self._ending
        else:
            await self._host.aclose()

    def _receive(self, message: bytes) -> None:
        self._pipe.receive(message)
        self.carry()

    def _on_close(self, event: Any) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(event))

    async def _end(self, event: Any) -> None:
        """The AgentSession closes: what it still answers comes first, then the link ends."""
        await self._host.aclose()
        reason = getattr(event.reason, "value", event.reason)
        error = f": {event.error}" if getattr(event, "error", None) else ""
        self._pipe.closed("agent_disconnected", f"the AgentSession closed ({reason}){error}")


class _MemoryTransport:
    """A `SessionTransport` whose other end is in this process."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._message = message_class()
        self._receive = receive
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._is_closed = False

    def feed(self, message: bytes) -> None:
        """Takes a message for the agent."""
        if not self._is_closed:
            self._inbox.put_nowait(self._message.FromString(message))

    async def start(self) -> None:
        pass

    async def send_message(self, message: Any) -> None:
        if self._is_closed:
            raise RuntimeError("the greenroom session is closed")
        self._receive(message.SerializeToString())

    async def close(self) -> None:
        self._is_closed = True
        self._inbox.put_nowait(None)

    def __aiter__(self) -> _MemoryTransport:
        return self

    async def __anext__(self) -> Any:
        message = await self._inbox.get()
        if message is None:
            raise StopAsyncIteration
        return message
