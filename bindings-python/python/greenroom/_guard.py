"""A guard before the session host that an agent's SDK puts on its own Room.

It stands on that one Room object, over public methods only, and a test watches them: `connect`,
`register_byte_stream_handler` and `unregister_byte_stream_handler` of the Room, `send_bytes` (from livekit 1.1.21 on),
`stream_bytes` and `send_file` of its local participant. What they are asked for on other topics passes untouched. Any
other method of the participant that takes a topic, such as one of a later release, refuses this one: what the guard
does not know lets nothing out.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from greenroom._policy import AuditCallback
from greenroom._room import TOPIC, Exchange, log_failure, logger
from greenroom.errors import InvalidArgument, Unsupported

_Handler = Callable[[Any, str], None]

# What the encoding of an event begins with.
_EVENT = b"\x1a"


class Guard:
    """Gives the SDK's host what the gate lets in, and sends what it says to those who may have it."""

    def __init__(self, room: Any, options: str, audit: AuditCallback | None) -> None:
        self._exchange = Exchange.of(room)
        self._options = options
        self._audit = audit
        self._room = room
        self._local: Any = None
        self._handlers: list[_Handler] = []
        self._host: int | None = None
        if isinstance(getattr(room.register_byte_stream_handler, "__self__", None), Guard):
            raise InvalidArgument("this Room has a gate already; close() that one first")
        self._exchange.enter()
        self._of_room = _Replaced(
            room,
            connect=self._connect,
            register_byte_stream_handler=self._register,
            unregister_byte_stream_handler=self._unregister,
        )
        self._of_local: _Replaced | None = None
        self._guard_sends()

    def status(self) -> dict[str, int] | None:
        """What the host has counted; None while the SDK has none."""
        return None if self._host is None else self._exchange.status(self._host)

    def close(self) -> None:
        """Give the Room back as it was."""
        self._of_room.undo()
        self._free_sends()
        if self._host is not None:
            self._exchange.close_host(self._host)
            self._host = None
        self._exchange.leave()
        for handler in self._handlers[:1]:
            try:
                self._room.register_byte_stream_handler(TOPIC, handler)
            except ValueError:
                logger.warning(
                    "the gate is closed, but the session host of the SDK stays unreachable: something else of "
                    "Greenroom uses this Room"
                )
        self._handlers.clear()

    # ---- the Room --------------------------------------------------------------------------------------------------

    async def _connect(self, *arguments: Any, **options: Any) -> Any:
        result = await self._of_room.originals["connect"](*arguments, **options)
        # With each connection comes another local participant.
        self._guard_sends()
        self._exchange.resync()
        return result

    def _register(self, topic: str, handler: _Handler) -> None:
        if topic != TOPIC:
            return self._of_room.originals["register_byte_stream_handler"](topic, handler)  # type: ignore[no-any-return]
        self._guard_sends()
        if self._host is None:
            self._host = self._exchange.open_host(self._options, self._give, self._audit)
        self._handlers.append(handler)
        return None

    def _unregister(self, topic: str) -> None:
        if topic != TOPIC:
            return self._of_room.originals["unregister_byte_stream_handler"](topic)  # type: ignore[no-any-return]
        # Nobody says whose: sessions that take over from each other begin before the older one ends.
        if self._handlers:
            self._handlers.pop(0)
        if not self._handlers and self._host is not None:
            self._exchange.close_host(self._host)
            self._host = None
        return None

    # ---- in --------------------------------------------------------------------------------------------------------

    def _give(self, message: bytes, sender: str) -> None:
        self._handlers[0](_Reader(message), sender)

    # ---- out -------------------------------------------------------------------------------------------------------

    def _guard_sends(self) -> None:
        try:
            local = self._room.local_participant
        except Exception:  # the SDK raises just that while the Room is not connected
            return
        if local is self._local:
            return
        self._free_sends()
        self._local = local
        known: dict[str, Callable[..., Any]] = {
            "send_bytes": self._send_bytes,
            "stream_bytes": self._stream_bytes,
            "send_file": self._send_file,
        }
        self._of_local = _Replaced(local, **_refusing(local, known), **known)
        self._exchange.own_sends = self._of_local.originals

    def _free_sends(self) -> None:
        if self._of_local is not None and self._local is not None:
            self._of_local.undo()
            self._local = self._exchange.own_sends = None

    async def _send_bytes(self, data: bytes, *, topic: str = "", **options: Any) -> Any:
        if topic != TOPIC:
            return await self._original("send_bytes")(data, topic=topic, **options)
        await self._send(bytes(data), options.get("destination_identities"))
        return _info(len(data), options)

    async def _stream_bytes(self, name: str, *, topic: str = "", **options: Any) -> Any:
        if topic != TOPIC:
            return await self._original("stream_bytes")(name, topic=topic, **options)
        return _Writer(self._send, {"name": name, **options})

    async def _send_file(self, file_path: str, *, topic: str = "", **options: Any) -> Any:
        if topic != TOPIC:
            return await self._original("send_file")(file_path, topic=topic, **options)
        data = await asyncio.to_thread(Path(file_path).read_bytes)
        await self._send(data, options.get("destination_identities"))
        return _info(len(data), options)

    def _original(self, name: str) -> Any:
        assert self._of_local is not None
        return self._of_local.originals[name]

    async def _send(self, message: bytes, destinations: Sequence[str] | None) -> None:
        host = self._host
        if host is None:
            raise InvalidArgument(f"the gate of this Room lets nothing out on the topic {TOPIC} without a session host")
        sends = [self._exchange.from_agent(host, message, who) for who in destinations or (None,)]
        if message[:1] == _EVENT:
            # The SDK takes its next event out of its queue only once this one is sent, and a response, which is not
            # queued, would come before events that led to it.
            for sending in sends:
                sending.add_done_callback(log_failure)
        else:
            await asyncio.gather(*sends)


def _refusing(local: Any, known: Mapping[str, object]) -> dict[str, Callable[..., Any]]:
    """Methods that refuse the topic, in place of those of a participant that take a topic and are not `known`."""
    refusing: dict[str, Callable[..., Any]] = {}
    for name, method in inspect.getmembers(type(local), inspect.isfunction):
        parameters = inspect.signature(method).parameters
        if not name.startswith("_") and name not in known and "topic" in parameters:
            # The first parameter is the participant itself.
            refusing[name] = _refuse(name, getattr(local, name), list(parameters).index("topic") - 1)
    return refusing


def _refuse(name: str, original: Callable[..., Any], position: int) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        topic = arguments[position] if len(arguments) > position else options.get("topic")
        if topic == TOPIC:
            raise Unsupported(
                f"the gate of this Room guards nothing that is sent by {name}, so it lets nothing out that way on the "
                f"topic {TOPIC}: upgrade greenroom, or send on another topic"
            )
        return original(*arguments, **options)

    return call


class _Reader:
    """A message that is there as a whole, with the face of the SDK's reader of a byte stream."""

    def __init__(self, message: bytes) -> None:
        self._message: bytes | None = message
        self.info = _info(len(message), {})

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        message, self._message = self._message, None
        if message is None:
            raise StopAsyncIteration
        return message

    def close(self) -> None:
        self._message = None

    async def aclose(self) -> None:
        self.close()


class _Writer:
    """What is written is one message, sent when it is closed; the face of the SDK's writer of a byte stream."""

    def __init__(self, send: Callable[[bytes, Sequence[str] | None], Any], options: Mapping[str, Any]) -> None:
        self._send = send
        self._chunks: list[bytes] = []
        self._is_closed = False
        self._destinations = options.get("destination_identities")
        self.info = _info(options.get("total_size"), options)

    async def write(self, data: bytes) -> None:
        if self._is_closed:
            raise RuntimeError("Cannot write after stream is closed")
        self._chunks.append(bytes(data))

    async def aclose(self, *, reason: str = "", attributes: Mapping[str, str] | None = None) -> None:
        if self._is_closed:
            raise RuntimeError("Stream already closed")
        self._is_closed = True
        await self._send(b"".join(self._chunks), self._destinations)


def _info(size: int | None, options: Mapping[str, Any]) -> Any:
    from livekit import rtc

    return rtc.ByteStreamInfo(
        stream_id=options.get("stream_id") or str(uuid.uuid4()),
        mime_type=options.get("mime_type") or "application/octet-stream",
        topic=TOPIC,
        timestamp=int(time.time() * 1000),
        size=size,
        attributes=dict(options.get("attributes") or {}),
        name=options.get("name") or "unknown",
    )


class _Replaced:
    """Methods that stand on one object, before those that it had."""

    def __init__(self, target: Any, **methods: Callable[..., Any]) -> None:
        self._target = target
        # A release may lack one.
        self.originals = {name: getattr(target, name) for name in methods if hasattr(target, name)}
        self._before = {name: method for name, method in vars(target).items() if name in methods}
        vars(target).update({name: methods[name] for name in self.originals})

    def undo(self) -> None:
        """Give the object back as it was."""
        for name in self.originals:
            vars(self._target).pop(name, None)
        vars(self._target).update(self._before)
