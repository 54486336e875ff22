"""What stands before servers in other networks: TLS, HTTP proxies. tests/node/support/front.mjs is its twin."""

import asyncio
import ssl

import trustme

from .proxy import pipe

Address = tuple[str, int]


class TlsFront:
    """Speaks TLS before a server that does not, as `livekit.test`. Use it as an async context manager."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._authority = trustme.CA()

    @property
    def ca(self) -> bytes:
        """The certificate of the authority that signed the front's own, in PEM."""
        return self._authority.cert_pem.bytes()

    @property
    def address(self) -> Address:
        """Where clients connect."""
        host, port = self._listener.sockets[0].getsockname()
        return host, port

    async def __aenter__(self) -> "TlsFront":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("livekit.test").configure_cert(context)
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0, ssl=context)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._server)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))


class ConnectProxy:
    """An HTTP proxy that takes names to addresses of this machine. Use it as an async context manager."""

    def __init__(self, names: dict[str, Address]) -> None:
        # What it was asked for.
        self.asked: list[str] = []
        self._names = names

    @property
    def url(self) -> str:
        """How clients name it."""
        host, port = self._listener.sockets[0].getsockname()
        return f"http://{host}:{port}"

    async def __aenter__(self) -> "ConnectProxy":
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        verb, target, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        assert verb == "CONNECT"
        self.asked.append(target)
        there, back = await asyncio.open_connection(*self._names[target])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pipe(reader, back), pipe(there, writer))
