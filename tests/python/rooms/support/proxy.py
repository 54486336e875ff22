"""A way to the server that can be cut. tests/node/support/proxy.mjs is its twin."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from .server import Server


class Proxy:
    """Carries the signal connections of those who connect to its `url`; media and data go past it.

    Use it as an async context manager.
    """

    def __init__(self, server: Server) -> None:
        # Where the server's API is called: past the proxy.
        self.api_url = server.api_url
        # Connections so far, those that were cut included.
        self.accepted = 0
        self._port = urlsplit(server.url).port
        self._ends: set[asyncio.WriteTransport] = set()

    @property
    def url(self) -> str:
        """Where clients connect."""
        host, port = self._listener.sockets[0].getsockname()
        return f"ws://{host}:{port}"

    def cut(self) -> None:
        """Breaks off all connections that are open, without a word; new ones are carried."""
        for end in self._ends:
            end.abort()

    async def __aenter__(self) -> "Proxy":
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer.transport, back.transport}
        self._ends |= ends
        await asyncio.gather(pipe(reader, back), pipe(there, writer))
        self._ends -= ends


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carries one direction until it ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
