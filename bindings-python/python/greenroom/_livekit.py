"""livekit-agents, from within: the one file that touches what the SDK does not document.

It uses `SessionHost` of `livekit.agents.voice.remote_session`, the agent's side of the session protocol, over a
transport of ours. What it relies on, and a test watches:

- `SessionHost(transport, audio_input, audio_output)`, `register_session(session)`, `start()` and `aclose()`;
- a transport is asked for `start()`, `send_message(message)`, `close()` and to be iterated;
- `livekit.protocol.agent_pb.agent_session.AgentSessionMessage` is the message;
- `AgentSession` emits `close` with a `reason`, and `current_agent` raises `RuntimeError` unless it runs;
- `get_job_context(required=False)` and the context's `add_shutdown_callback`.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

from greenroom._link import Receiver
from greenroom.errors import InvalidArgument, SdkMissing, SdkTooOld, Unsupported

# The ranges that Greenroom knows, the last version excluded; pyproject.toml declares that of livekit-agents in the
# extra `livekit`, and livekit comes with it.
_AGENTS = ((1, 8, 9), (2,))
_RTC = ((1, 1, 21), (2,))


def check_sdk() -> None:
    """Raise unless a livekit-agents that this package knows is installed."""
    _check("livekit-agents", *_AGENTS)


def check_room(room: Any) -> None:
    """Raise unless this is a Room of a livekit that this package knows."""
    _check("livekit", *_RTC)
    from livekit import rtc

    if not isinstance(room, rtc.Room):
        kind = f"{type(room).__module__}.{type(room).__qualname__}"
        raise InvalidArgument(f"this takes a livekit.rtc.Room, such as a job's ctx.room, not a {kind}")


def is_connected(room: Any) -> bool:
    """Whether a Room is connected, and not connecting anew."""
    from livekit import rtc

    return bool(room.connection_state == rtc.ConnectionState.CONN_CONNECTED)


def is_agent(participant: Any) -> bool:
    """Whether a participant is an agent of its own, and not one that lends an agent its face."""
    from livekit import rtc

    is_agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return is_agent and "lk.publish_on_behalf" not in participant.attributes


@cache
def message_class() -> Any:
    """The SDK's class of a message. Raises what `check_sdk` does."""
    check_sdk()
    from livekit.protocol.agent_pb import agent_session

    return agent_session.AgentSessionMessage


@cache
def audio_frame_class() -> Any:
    """The SDK's class of a stretch of audio. Raises `SdkMissing` and the like where there is none."""
    _check("livekit", *_RTC)
    from livekit import rtc

    return rtc.AudioFrame


def sdk_session_host(transport: Any, audio_input: Any = None, audio_output: Any = None) -> Any:
    """The SDK's own session host. Raises what `check_sdk` does."""
    check_sdk()
    from livekit.agents.voice.remote_session import SessionHost

    host: Any = SessionHost
    return host(transport, audio_input, audio_output)


def check_agent_session(agent_session: Any) -> None:
    """Raise unless this is an `AgentSession` of a livekit-agents that this package knows."""
    check_sdk()
    from livekit.agents import AgentSession

    if not isinstance(agent_session, AgentSession):
        kind = f"{type(agent_session).__module__}.{type(agent_session).__qualname__}"
        raise InvalidArgument(f"this takes a livekit.agents.AgentSession, not a {kind}")


def on_job_shutdown(callback: Callable[[], Coroutine[None, None, None]]) -> None:
    """Have `callback` awaited when the job ends that runs here, if one does."""
    from livekit.agents import get_job_context

    job = get_job_context(required=False)
    if job is not None:
        job.add_shutdown_callback(callback)


def _check(package: str, oldest: tuple[int, ...], first_unknown: tuple[int, ...]) -> None:
    install = 'pip install "greenroom[livekit]"'
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise SdkMissing(f"{package} is not installed in this Python: {install}") from None
    release = re.match(r"\d+(\.\d+)*", installed)
    version = tuple(int(part) for part in release[0].split(".")) if release else ()
    if version < oldest:
        needed = ".".join(map(str, oldest))
        raise SdkTooOld(f"{package} {installed} is installed, and {needed} or newer is needed: {install}")
    if version >= first_unknown:
        raise Unsupported(f"{package} {installed} is newer than Greenroom knows: upgrade Greenroom, or {install}")


class InProcess:
    """An `AgentSession` of this process as the peer of a link."""

    def __init__(self, agent_session: Any) -> None:
        check_agent_session(agent_session)
        try:
            _ = agent_session.current_agent
        except RuntimeError:
            raise InvalidArgument(
                "the AgentSession is not running: `await agent_session.start(agent)` before greenroom.in_process"
            ) from None
        self._agent_session: Any = agent_session
        self._transport: _MemoryTransport | None = None
        self._host: Any = None
        self._link: Receiver | None = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self, link: Receiver) -> None:
        self._link = link
        self._transport = _MemoryTransport(link.receive)
        self._host = sdk_session_host(self._transport)
        self._host.register_session(self._agent_session)
        self._agent_session.on("close", self._on_close)
        await self._host.start()

    def send(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.feed(message)

    async def close(self) -> None:
        if self._host is None:
            return
        self._agent_session.off("close", self._on_close)
        if self._ending is not None:
            await self._ending
        else:
            await self._host.aclose()

    def _on_close(self, event: Any) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(event))

    async def _end(self, event: Any) -> None:
        """The AgentSession closes: what it still answers comes first, then the link ends."""
        await self._host.aclose()
        if self._link is not None:
            reason = getattr(event.reason, "value", event.reason)
            error = f": {event.error}" if getattr(event, "error", None) else ""
            self._link.ended("agent_disconnected", f"the AgentSession closed ({reason}){error}")


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
