"""What tests/session_ways.json says of a session, however it is reached."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import greenroom
from greenroom import _livekit

from .support.agents import Agent, shop
from .support.venue import Venue

ROOT = Path(__file__).parents[3]
CONTRACT = json.loads((ROOT / "tests" / "session_ways.json").read_text())
EXAMPLE = ROOT / "examples" / "python" / "agent.py"

COMMAND = Path(sys.executable).with_name("greenroom")

every_way = pytest.mark.parametrize("way", CONTRACT["ways"])


@asynccontextmanager
async def opened(way: str, venue: Venue, **options: Any) -> AsyncIterator[greenroom.Session]:
    """A session with the example agent, and what it needs."""
    if way == "open":
        with left_running() as name:
            async with greenroom.open(name, **options) as session:
                yield session
    elif way == "start":
        async with greenroom.start(EXAMPLE, **options) as session:
            yield session
    elif way == "in_process":
        agent_session = _livekit._session_class()(llm=shop.ScriptedLLM(), user_away_timeout=None)
        await agent_session.start(shop.Barista())
        try:
            async with greenroom.in_process(agent_session, **options) as session:
                yield session
        finally:
            await agent_session.aclose()
    else:
        agent = Agent(venue, None, {})
        await agent.start("agent")
        try:
            if way == "join":
                token = venue.token("boss", grant=True)
                opening = greenroom.join(venue.server.url, token, **options)
            else:
                opening = greenroom.attach(await venue.connect("boss", grant=True), **options)
            async with opening as session:
                yield session
        finally:
            await agent.close()


@contextmanager
def left_running() -> Iterator[str]:
    """The name of a session with the example agent that the command started."""
    name = "ways"
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENROOM_HOME", home)
        run = partial(subprocess.run, check=True, capture_output=True, timeout=60)
        run([COMMAND, "start", EXAMPLE, "--name", name, "--python", sys.executable])
        try:
            yield name
        finally:
            run([COMMAND, "end", "--name", name])


@every_way
async def test_status_has_the_same_keys_and_a_turn_the_same_events(way: str, venue: Venue) -> None:
    async with opened(way, venue) as session:
        status = json.loads(session._link.status())
        assert set(CONTRACT["status_keys"]) <= set(status), way
        turn = await session.say(CONTRACT["turn"]["text"])
        assert turn.reply == CONTRACT["turn"]["reply"]
        assert [event.type for event in turn.events if not event.earlier] == CONTRACT["turn"]["events"]


@every_way
async def test_pending_call_fails_at_once_when_the_session_closes(way: str, venue: Venue) -> None:
    expected = CONTRACT["closed_while_pending"]
    async with opened(way, venue) as session:
        pending = asyncio.ensure_future(session.say(expected["text"]))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(session.close())
        with pytest.raises(greenroom.GreenroomError) as caught:
            await asyncio.wait_for(pending, 5)
        assert caught.value.code == expected["code"]
        await closing
        last = [event async for event in session.events()][-1]
        assert (last.type, last.reason) == (expected["last_event"], expected["reason"])


@every_way
@pytest.mark.parametrize("timeout", CONTRACT["invalid_timeouts"])
async def test_timeout_that_is_not_above_0_is_invalid(way: str, timeout: float, venue: Venue) -> None:
    with pytest.raises(greenroom.InvalidArgument):
        async with opened(way, venue, timeout=timeout):
            pass
