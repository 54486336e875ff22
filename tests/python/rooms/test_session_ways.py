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
from .support.venue import Venue, until

ROOT = Path(__file__).parents[3]
CONTRACT = json.loads((ROOT / "tests" / "session_ways.json").read_text())
EXAMPLE = ROOT / "examples" / "python" / "agent.py"

COMMAND = Path(sys.executable).with_name("greenroom")

in_a_room = pytest.mark.parametrize("way", CONTRACT["ways_in_a_room"])
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
            async with await reached(way, venue, **options) as session:
                yield session
        finally:
            await agent.close()


async def reached(way: str, venue: Venue, *, grant: bool = True, **options: Any) -> greenroom.Opening:
    """The way to an agent that is in the room."""
    if way == "join":
        return greenroom.join(venue.server.url, venue.token("boss", grant=grant), **options)
    return greenroom.attach(await venue.connect("boss", grant=grant), **options)


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


@in_a_room
async def test_one_of_two_agents_has_to_be_named(way: str, venue: Venue) -> None:
    expected = CONTRACT["two_agents"]
    agents = [await venue.connect(name, kind="agent") for name in expected["agents"]]
    await venue.gather(*agents)
    with pytest.raises(greenroom.GreenroomError) as caught:
        await (await reached(way, venue))
    assert caught.value.code == expected["code"]
    assert all(f'"{name}"' in str(caught.value) for name in expected["agents"])


@in_a_room
async def test_controller_without_the_grant_is_denied(way: str, venue: Venue) -> None:
    await venue.connect("agent", kind="agent")
    with pytest.raises(greenroom.GreenroomError) as caught:
        await (await reached(way, venue, grant=False))
    assert caught.value.code == CONTRACT["no_grant"]["code"]
    assert CONTRACT["no_grant"]["says"] in str(caught.value)


@in_a_room
async def test_agent_that_leaves_in_a_turn_ends_the_session(way: str, venue: Venue) -> None:
    expected = CONTRACT["agent_leaves_in_a_turn"]
    agent = Agent(venue, None, {})
    await agent.start("agent")
    try:
        async with await reached(way, venue) as session:
            pending = asyncio.ensure_future(session.say("hold"))
            await until("the agent answers", lambda: bool(agent.llm.held))
            await venue.remove("agent")
            with pytest.raises(greenroom.GreenroomError) as caught:
                await asyncio.wait_for(pending, 30)
            assert caught.value.code == expected["code"]
            last = [event async for event in session.events()][-1]
            assert (last.type, last.reason) == (expected["last_event"], expected["reason"])
    finally:
        await agent.close()
