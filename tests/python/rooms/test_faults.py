"""The connection fails, the server too: what was promised holds, and who can go on does."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from livekit import rtc

import greenroom
from greenroom.livekit import RemoteSession

from .support.agents import GUARDS, Agent, Wire
from .support.server import Server
from .support.venue import Venue, until

# The text of a long event, in bytes: still one packet.
EVENT = 12_000

both_guards = pytest.mark.parametrize("guard", GUARDS)


@pytest_asyncio.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    """A room on a server of its own, which a test may stop."""
    server = Server(tmp_path)
    venue = Venue(server)
    yield venue
    await venue.close()
    server.stop()


@both_guards
async def test_a_server_that_is_restarted_in_the_middle_of_a_turn(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        turn = asyncio.ensure_future(session.say("hold on"))
        await until("it runs", lambda: bool(agent.llm.held))
        venue.server.stop()
        venue.server.start()
        with pytest.raises(greenroom.AgentGone):
            await asyncio.wait_for(turn, 60)
        last = [event async for event in session.events()][-1]
        assert last.reason in ("room_disconnected", "agent_left")
    agent.llm.release.set()
    # The Rooms connect anew by themselves, and the gate is where it was.
    await until("both are back", lambda: is_back(agent.room, "boss") and is_back(room, "agent"), 60)
    async with greenroom.attach(room) as session:
        assert (await session.say("again")).reply == "echo: again"
    guest = Wire(await venue.connect("guest"))
    assert (await guest.ask("r1", "ping")).error == "permission_denied"


@both_guards
@pytest.mark.parametrize("scenario", ["SIMULATE_SIGNAL_RECONNECT", "SIMULATE_FULL_RECONNECT"])
async def test_a_connection_that_is_cut_and_comes_back(venue: Venue, agent: Agent, scenario: str) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await venue.gather(agent.room, boss.room)
    await boss.request("r1", "run_input", text="hold on")
    await until("it runs", lambda: bool(agent.llm.held))
    back = asyncio.Event()
    agent.room.on("reconnected", back.set)
    await agent.room.simulate_scenario(getattr(rtc.SimulateScenarioKind, scenario))
    await asyncio.wait_for(back.wait(), 30)
    await until("they know each other", lambda: is_back(agent.room, "boss") and is_back(boss.room, "agent"), 30)
    agent.llm.release.set()
    await until("the turn is over", lambda: agent.session.agent_state == "listening")
    assert (await boss.ask("r2", "run_input", text="again")).run_input.items
    guest = Wire(await venue.connect("guest"))
    assert (await guest.ask("r1", "ping")).error == "permission_denied"


@pytest.mark.parametrize("guard", ["host"])
async def test_ten_thousand_events_to_a_controller_that_does_not_read(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        for _ in range(10_000):
            agent.session.emit("error", Failure())
        # What waits to be sent is bounded: the agent drops the rest and counts it. The answer is behind what waits.
        await session.ping(timeout=100)
        assert agent.counted("dropped") > 0
        await session.close()
        told = [event.type async for event in session.events()]
    assert told.count("error") + agent.counted("dropped") == 10_000
    assert "gap" not in told


async def test_controller_that_stood_still_while_its_agent_sent_3000_events_loses_none(venue: Venue) -> None:
    room = await venue.connect("boss", grant=True)
    heard: list[int] = []
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROMPT, venue.server.url, venue.token("agent", kind="agent")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert agent.stdin is not None
    assert agent.stdout is not None
    try:
        remote = RemoteSession.from_room(room, "agent")
        remote.on("error", lambda event: heard.append(int(event.error.message)))
        await remote.start()
        agent.stdin.write(b"go\n")
        assert await asyncio.wait_for(agent.stdout.readline(), 30)
        time.sleep(2.5)  # it is the fault under test
        await until("all are heard", lambda: len(heard) == 3_000, 60)
        assert heard == list(range(3_000))
        await remote.aclose()
    finally:
        agent.kill()
        await agent.wait()


# An agent that sends 3,000 events once it is told to, and says so when it begins.
PROMPT = """
import asyncio, sys
from livekit import rtc
from livekit.protocol.agent_pb import agent_session as pb
from greenroom.livekit import RoomSessionTransport

async def main():
    room = rtc.Room()
    await room.connect(*sys.argv[1:])
    transport = RoomSessionTransport(room)
    await transport.start()
    await asyncio.to_thread(sys.stdin.readline)
    print("now", flush=True)
    for number in range(3_000):
        event = pb.AgentSessionEvent(error=pb.AgentSessionEvent.Error(message=str(number)))
        await transport.send_message(pb.AgentSessionMessage(event=event))
    await asyncio.Event().wait()

asyncio.run(main())
"""


@both_guards
async def test_what_waits_for_a_controller_that_does_not_read_is_bounded_in_memory(venue: Venue, agent: Agent) -> None:
    deaf = await venue.connect("deaf", grant=True)
    await venue.gather(agent.room, deaf)
    process = psutil.Process()
    failure = Failure("x" * EVENT)
    before = process.memory_info().rss
    for _ in range(10_000):
        agent.session.emit("error", failure)
        # The SDK passes it on.
        await asyncio.sleep(0)
    await until("what is too much is dropped", lambda: agent.counted("dropped") > 10_000 // 2)
    grown = process.memory_info().rss - before
    # 32 MiB may wait, and 33 MiB are what it takes; all of it would be 114 MiB.
    assert grown < 64 << 20


@dataclass
class Failure:
    """What the SDK's session emits when a model fails."""

    error: str = "on purpose"


def is_back(room: rtc.Room, identity: str) -> bool:
    return room.connection_state == rtc.ConnectionState.CONN_CONNECTED and identity in room.remote_participants
