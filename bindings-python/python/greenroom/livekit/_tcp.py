"""A session over TCP: 4 bytes of length, big-endian, then one message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any

from greenroom import _checks
from greenroom._asyncio import running_loop
from greenroom._livekit import message_class
from greenroom._native import peek_id
from greenroom.errors import InvalidArgument, IoError, SessionClosed, TooLarge
from greenroom.livekit import _oversize as oversize
from greenroom.livekit._transport import Ending, IncomingMessage, SendMessageOptions, SessionTransport

if TYPE_CHECKING:
    from livekit.protocol.agent_pb.agent_session import AgentSessionMessage

# What the reader takes at once of a message that is skipped, in bytes.
_PIECE = 64 << 10

logger = logging.getLogger("greenroom")


class TcpSessionTransport(SessionTransport):
    """Carries a session over a TCP connection that it opens, as an agent does that is started with `--connect-addr`.

    What is no message is skipped with a warning, and the rest goes on. A message of more than 16 MiB is skipped, and
    the call that it belongs to is answered with an error that names both sizes; over 64 MiB the connection is closed,
    and `ending` says why.
    """

    def __init__(self, host: str, port: int) -> None:
        _checks.text("host", host)
        _checks.whole("port", port)
        self._address = (host, port)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ending: Ending | None = None
        self._is_closed = False
        self._sends = asyncio.Lock()

    @property
    def ending(self) -> Ending | None:
        return self._ending

    async def start(self) -> None:
        """Connect.

        Raises:
            IoError: Nobody listens there.
            SdkMissing, SdkTooOld, Unsupported: The SDK is not installed, or lacks what this needs.
        """
        if self._writer is not None:
            return
        running_loop()
        message_class()
        host, port = self._address
        try:
            self._reader, self._writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise IoError(f"cannot connect to {host}:{port}: {error}") from error
        except (OverflowError, ValueError) as error:
            raise InvalidArgument(f"{host}:{port} is no address: {error}") from None
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def send_message(self, msg: AgentSessionMessage, options: SendMessageOptions | None = None) -> None:
        """Send a message; back when the connection takes more.

        Raises:
            SessionClosed: The transport is closed, or not started.
            IoError: The connection is broken.
            TooLarge: The message is over what any reader takes.
        """
        if self._writer is None or self._is_closed:
            raise SessionClosed("this TCP session transport is not open")
        data = msg.SerializeToString()
        if len(data) > oversize.SKIPPED:
            raise TooLarge(f"the message is {len(data)} bytes long; at most {oversize.SKIPPED} can be sent")
        async with self._sends:
            if self._ending is not None:
                raise IoError(f"the message cannot be sent: {self._ending.message}")
            try:
                self._writer.write(struct.pack(">I", len(data)) + data)
                await self._writer.drain()
            except OSError as error:
                raise IoError(f"the message cannot be sent: {error}") from error

    async def receive(self) -> IncomingMessage | None:
        while self._reader is not None and self._ending is None and not self._is_closed:
            try:
                (size,) = struct.unpack(">I", await self._reader.readexactly(4))
                if size > oversize.SKIPPED:
                    self._end("protocol_error", f"it sent a message of {size} bytes, over what can be skipped")
                    continue
                if size > oversize.MOST:
                    message = await self._skip(self._reader, size)
                else:
                    message = self._decode(await self._reader.readexactly(size))
            except (asyncio.IncompleteReadError, OSError):
                self._end("agent_disconnected", "it closed the connection")
                continue
            if message is not None:
                return IncomingMessage(message)
        return None

    async def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def _decode(self, data: bytes) -> Any:
        from google.protobuf.message import DecodeError

        try:
            return message_class().FromString(data)
        except DecodeError as error:
            logger.warning("what came over TCP is not a message of an agent session and was skipped: %s", error)
            return None

    async def _skip(self, reader: asyncio.StreamReader, size: int) -> Any:
        """Let a message go by; gives what stands for it, if it was the answer to a call of ours."""
        head, left = b"", size
        while left:
            piece = await reader.readexactly(min(left, _PIECE))
            head = head or piece[: oversize.PEEKED]
            left -= len(piece)
        logger.warning("a message of %d bytes was skipped: at most %d are taken", size, oversize.MOST)
        peeked = peek_id(head)
        if peeked is None:
            return None
        kind, request_id = peeked
        answer = oversize.refusal(request_id, size, oversize.MOST)
        if kind == "response":
            return answer
        with contextlib.suppress(IoError, SessionClosed):
            await self.send_message(answer)
        return None

    def _end(self, reason: Any, what: str) -> None:
        if not self._is_closed:
            host, port = self._address
            self._ending = Ending(reason, f"the link to {host}:{port} is closed: {what}")
            logger.debug("%s", self._ending.message)
        if self._writer is not None:
            self._writer.close()
