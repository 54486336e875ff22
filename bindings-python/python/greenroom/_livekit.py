"""livekit-agents, from within: the one file that touches what the SDK does not document.

It uses `SessionHost` of `livekit.agents.voice.remote_session`, the agent's side of the session protocol, over a
transport in memory. What it relies on, and a test watches:

- `SessionHost(transport)`, `register_session(session)`, `start()` and `aclose()`;
- a transport is asked for `start()`, `send_message(message)`, `close()` and to be iterated;
- `livekit.protocol.agent_pb.agent_session.AgentSessionMessage` is the message;
- `AgentSession` emits `close` with a `reason`, and `current_agent` raises `RuntimeError` unless it runs.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
from collections.abc import Callable
from typing import Any

from greenroom.errors import InvalidArgument, SdkMissing, SdkTooOld, Unsupported

# The range that pyproject.toml declares in the extra `livekit`.
_OLDEST = (1, 8, 9)
_FIRST_UNKNOWN = (2,)


def check_sdk() -> None:
    """Raise unless a livekit-agents that this package knows is installed."""
    install = 'pip install "greenroom[livekit]"'
    try:
        installed = importlib.metadata.version("livekit-agents")
    except importlib.metadata.PackageNotFoundError:
        raise SdkMissing(f"livekit-agents is not installed in this Python: {install}") from None
    release = re.match(r"\d+(\.\d+)*", installed)
    version = tuple(int(part) for part in release[0].split(".")) if release else ()
    if version < _OLDEST:
        raise SdkTooOld(f"livekit-agents {installed} is installed, and 1.8.9 or newer is needed: {install}")
    if version >= _FIRST_UNKNOWN:
        raise Unsupported(f"livekit-agents {installed} is newer than Greenroom knows: upgrade Greenroom, or {install}")


class InProcess:
    """An `AgentSession` of this process as the peer of a link."""

    def __init__(self, agent_session: Any) -> None:
        check_sdk()
        from livekit.agents import AgentSession

        if not isinstance(agent_session, AgentSession):
            kind = f"{type(agent_session).__module__}.{type(agent_session).__qualname__}"
            raise InvalidArgument(f"in_process takes a livekit.agents.AgentSession, not a {kind}")
        try:
            _ = agent_session.current_agent
        except RuntimeError:
            raise InvalidArgument(
                "the AgentSession is not running: `await agent_session.start(agent)` before greenroom.in_process"
            ) from None
        self._agent_session: Any = agent_session
        self._transport: _MemoryTransport | None = None
        self._host: Any = None
        self._ended: Callable[[str, str], None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self, receive: Callable[[bytes], None], ended: Callable[[str, str], None]) -> None:
        from livekit.agents.voice.remote_session import SessionHost

        self._ended = ended
        self._transport = _MemoryTransport(receive)
        host: Any = SessionHost(self._transport)  # type: ignore[arg-type, unused-ignore]
        self._host = host
        host.register_session(self._agent_session)
        self._agent_session.on("close", self._on_close)
        await host.start()

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
        if self._ended is not None:
            reason = getattr(event.reason, "value", event.reason)
            error = f": {event.error}" if getattr(event, "error", None) else ""
            self._ended("agent_disconnected", f"the AgentSession closed ({reason}){error}")


class _MemoryTransport:
    """A `SessionTransport` whose other end is in this process."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        from livekit.protocol.agent_pb import agent_session

        self._message: Any = agent_session.AgentSessionMessage
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
