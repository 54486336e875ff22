"""Servers that are reached through a proxy, and that an authority of their own signed for."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

import greenroom
import greenroom.sync

from .support.agents import Agent
from .support.front import ConnectProxy, TlsFront
from .support.venue import Venue

URL = "wss://livekit.test"


@pytest_asyncio.fixture
async def front(venue: Venue) -> AsyncIterator[TlsFront]:
    """TLS before the server."""
    server = urlsplit(venue.server.url)
    assert server.hostname is not None
    assert server.port is not None
    async with TlsFront((server.hostname, server.port)) as front:
        yield front


@pytest_asyncio.fixture
async def proxy(front: TlsFront) -> AsyncIterator[ConnectProxy]:
    """The only one who knows `livekit.test`."""
    async with ConnectProxy({"livekit.test:443": front.address}) as proxy:
        yield proxy


async def test_a_session_and_a_room(
    venue: Venue, agent: Agent, front: TlsFront, proxy: ConnectProxy, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(front.ca)
    async with greenroom.join(URL, venue.token("boss", grant=True), ca=file, proxy=proxy.url) as session:
        assert (await session.say("hi")).reply == "echo: hi"
    kinds: list[str | os.PathLike[str] | bytes] = [str(file), front.ca, front.ca.decode()]
    for ca in kinds:
        async with await greenroom.Room.connect(URL, venue.token("ours"), ca=ca, proxy=proxy.url) as room:
            assert room.local.identity == "ours"

    def converse() -> None:
        with greenroom.sync.join(URL, venue.token("boss", grant=True), ca=file, proxy=proxy.url) as session:
            session.ping()

    await asyncio.to_thread(converse)
    assert proxy.asked == ["livekit.test:443"] * 5


async def test_what_cannot_be_used_is_named(venue: Venue, front: TlsFront, proxy: ConnectProxy, tmp_path: Path) -> None:
    token = venue.token("boss", grant=True)
    missing = tmp_path / "missing.pem"
    with pytest.raises(greenroom.InvalidArgument, match=r"missing\.pem.*PEM"):
        await greenroom.join(URL, token, ca=missing)
    with pytest.raises(greenroom.InvalidArgument, match="not PEM"):
        greenroom.join(URL, token, ca=b"\x30\x82")
    with pytest.raises(greenroom.InvalidArgument, match="ca"):
        greenroom.join(URL, token, ca=1)  # type: ignore[arg-type]
    with pytest.raises(greenroom.InvalidArgument, match="no url of an HTTP proxy"):
        await greenroom.Room.connect(URL, token, proxy="proxy.example.com")
    with pytest.raises(greenroom.IoError, match="is not trusted"):
        await greenroom.join(URL, token, proxy=proxy.url)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(greenroom.IoError, match=rf"through the proxy {dead}.*NO_PROXY"):
            await greenroom.Room.connect(URL, token, ca=front.ca, proxy=f"http://{dead}")


async def test_name_that_only_the_proxy_of_the_environment_knows_is_left_to_it(
    venue: Venue, agent: Agent, front: TlsFront, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with greenroom.join(URL, venue.token("boss", grant=True), ca=front.ca) as session:
        await session.ping()
    assert proxy.asked == ["livekit.test:443"]


@pytest.mark.parametrize("exceptions", ["*", "livekit.test", "livekit.test:443", "*.test", ".test", "livekit.test."])
async def test_exception_from_the_proxy_of_the_environment_is_not_sent_through_it(
    venue: Venue, front: TlsFront, proxy: ConnectProxy, exceptions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", f"other.example, {exceptions}")
    with pytest.raises(greenroom.GreenroomError, match=r"livekit\.test"):
        await greenroom.join(URL, venue.token("boss", grant=True), ca=front.ca, timeout=10)
    assert proxy.asked == []


async def test_address_that_is_excepted_with_its_port_is_joined_directly(
    venue: Venue, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = urlsplit(venue.server.url).port
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", f"127.0.0.1:{port}")
    async with greenroom.join(venue.server.url, venue.token("boss", grant=True)) as session:
        await session.ping()
