"""The server that the tests of rooms share, a room on it for each test, and an agent if the test asks for one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from .support.agents import HAS_HOST_CHOICE, Agent
from .support.eavesdropper import Eavesdropper
from .support.server import KEY, SECRET, Server
from .support.venue import Venue


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A LiveKit server, for all tests of this process. A test that stops it has to start it again."""
    server = Server(tmp_path_factory.mktemp("livekit-server"))
    yield server
    server.stop()


@pytest_asyncio.fixture
async def venue(server: Server) -> AsyncIterator[Venue]:
    """A room of the test's own."""
    venue = Venue(server)
    yield venue
    await venue.close()


@pytest.fixture
def guard() -> str | None:
    """What guards the agent: `host` of ours, `gate` before the SDK's own host, or nothing. A test may name another.

    Where the SDK's own host cannot be left out, it is guarded.
    """
    return "host" if HAS_HOST_CHOICE else "gate"


@pytest.fixture
def gate_options() -> dict[str, Any]:
    """What the guard is told."""
    return {}


@pytest_asyncio.fixture
async def agent(venue: Venue, guard: str | None, gate_options: dict[str, Any]) -> AsyncIterator[Agent]:
    """The example agent under the identity `agent`, started."""
    agent = Agent(venue, guard, gate_options)
    await agent.start("agent")
    yield agent
    await agent.close()


@pytest_asyncio.fixture
async def eve(venue: Venue) -> AsyncIterator[Eavesdropper]:
    """Somebody without the grant in the test's room who records all that reaches it."""
    async with Eavesdropper(await venue.connect("eve")) as eve:
        yield eve


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server's key and secret in the environment, an audit log of the test's own, and no file that has others."""
    monkeypatch.setenv("LIVEKIT_API_KEY", KEY)
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)
    monkeypatch.setenv("GREENROOM_AUDIT_LOG", str(tmp_path / "audit.jsonl"))
    monkeypatch.chdir(tmp_path)
