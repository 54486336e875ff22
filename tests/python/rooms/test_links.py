"""What links a controller and an agent goes away in the middle of a turn: nothing is lost, or it is told at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from livekit.agents.voice.events import UserInputTranscribedEvent

import greenroom

from .support.agents import GUARDS, Agent, Wire
from .support.proxy import Proxy
from .support.venue import Venue, until

pytestmark = pytest.mark.parametrize("guard", GUARDS)


@pytest.mark.parametrize("whose", ["agent", "boss"])
async def test_a_websocket_that_is_cut_loses_nothing(venue: Venue, guard: str, whose: str) -> None:
    async with Proxy(venue.server) as proxy:
        detour = Venue(proxy)
        detour.name = venue.name
        agent = Agent(detour if whose == "agent" else venue, guard, {})
        await agent.start("agent")
        room = await (detour if whose == "boss" else venue).connect("boss", grant=True)
        await venue.gather(agent.room, room)
        try:
            async with greenroom.attach(room) as session:
                turn = asyncio.ensure_future(session.say("hold the line"))
                await until("it runs", lambda: bool(agent.llm.held))
                before = proxy.accepted
                proxy.cut()
                agent.llm.release.set()
                assert (await turn).reply == "released: hold the line"
                assert (await session.say("and on")).reply == "echo: and on"
                await until("it is connected again", lambda: proxy.accepted > before)
                assert (await session.say("after")).reply == "echo: after"
                texts = ["hold the line", "released: hold the line", "and on", "echo: and on", "after", "echo: after"]
                told: list[greenroom.Event] = []
                listening = asyncio.ensure_future(collect(session, told))
                await until("all is told", lambda: len(messages(told)) >= len(texts))
                await session.close()
                await listening
            # The SDK's host sends answers past the events that wait.
            in_order = list if guard == "host" else sorted
            assert in_order(messages(told)) == in_order(texts)
            assert (told[-1].type, told[-1].reason) == ("closed", "closed")
        finally:
            await agent.close()
            await detour.close()


@pytest.mark.parametrize(
    ("end", "reason"),
    [(Venue.delete, "room_disconnected"), (lambda venue: venue.remove("agent"), "agent_left")],
    ids=["the room is deleted", "the agent is removed"],
)
async def test_who_is_thrown_out_ends_in_an_error(
    venue: Venue, agent: Agent, end: Callable[[Venue], Awaitable[None]], reason: str
) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        turn = asyncio.ensure_future(session.say("hold the line"))
        await until("it runs", lambda: bool(agent.llm.held))
        await end(venue)
        with pytest.raises(greenroom.AgentGone):
            await asyncio.wait_for(turn, 20)
        with pytest.raises(greenroom.AgentGone):
            await session.ping()
        told = [event async for event in session.events()]
        assert (told[-1].type, told[-1].reason) == ("closed", reason)
    await until("the agent's Room is disconnected", lambda: not agent.room.isconnected())
    # The agent's side lives on, without a room: it takes another turn, which nobody hears of.
    agent.llm.release.set()
    await until("the turn is over", lambda: agent.session.agent_state == "listening")
    await agent.session.run(user_input="hello?")
    assert agent.counted("peers") == 0
    if reason == "agent_left":
        # The Room is its owner's: another agent may come.
        other = Agent(venue, "host", {})
        await other.start("agent-2")
        try:
            async with greenroom.attach(room) as session:
                assert (await session.say("hi")).reply == "echo: hi"
        finally:
            await other.close()


async def test_who_does_not_listen_delays_nobody(venue: Venue, agent: Agent) -> None:
    """Nor does who does not read the events that have come."""
    deaf = await venue.connect("deaf", grant=True)
    idle, busy = [await venue.connect(name, grant=True) for name in ("idle", "busy")]
    boss = Wire(busy)
    await venue.gather(agent.room, deaf, idle, busy)
    async with greenroom.attach(idle) as session:
        for number in range(1_000):
            said = UserInputTranscribedEvent(transcript=str(number), is_final=True)
            agent.session.emit("user_input_transcribed", said)
            if number % 100 == 0:
                assert (await boss.ask(f"r{number}", "ping")).WhichOneof("response") == "pong"
        await until("all have come", lambda: len(boss.events) == 1_000)
        assert (await session.say("hi")).reply == "echo: hi"
        await session.close()
        told = [event async for event in session.events()]
    heard = [m.event.user_input_transcribed.transcript for _, m in boss.got if m.HasField("event")]
    assert heard[:1_000] == [str(number) for number in range(1_000)]
    assert [event.text for event in told if event.type == "transcript"] == heard[:1_000]
    assert agent.counted("dropped") == 0


async def collect(session: greenroom.Session, told: list[greenroom.Event]) -> None:
    """Has all that a session tells, until its end."""
    async for event in session.events():
        told.append(event)


def messages(told: list[greenroom.Event]) -> list[str]:
    return [event.text for event in told if event.type == "message"]
