"""Participants that mean harm, and participants that stall: nobody else is worse off."""

import asyncio

import pytest
from livekit import rtc
from livekit.protocol.agent_pb import agent_session as pb

import greenroom

from .support.agents import GUARDS, TOPIC, Agent, Wire
from .support.eavesdropper import Eavesdropper
from .support.venue import Venue, until

# What 200 participants without the grant would ask, who each open their controller.
FLOOD = 400

pytestmark = pytest.mark.parametrize("guard", GUARDS)


async def test_a_flood_of_requests_without_the_grant_starves_nobody(venue: Venue, agent: Agent) -> None:
    flooder = Wire(await venue.connect("flooder"))
    room = await venue.connect("boss", grant=True)
    await venue.gather(agent.room, flooder.room, room)
    async with greenroom.attach(room) as session:
        flood = asyncio.ensure_future(send_requests(flooder, FLOOD))
        replies = [(await session.say(f"hi {number}")).reply for number in range(5)]
        assert replies == [f"echo: hi {number}" for number in range(5)]
        await flood
        await until("all of it came", lambda: agent.counted("denied") + agent.counted("cut") >= FLOOD)
        await session.ping()
    # Denials have a budget, so that a flood is not answered by another.
    assert 1 <= len(flooder.got) < 60
    assert {m.response.error for _, m in flooder.got} == {"permission_denied"}
    assert agent.counted("cut") > 0


async def send_requests(wire: Wire, count: int) -> None:
    for first in range(0, count, 20):
        await asyncio.gather(*(wire.request(f"r{number}", "ping") for number in range(first, first + 20)))


async def test_a_stream_that_is_announced_as_5_gb_is_cut(venue: Venue, agent: Agent) -> None:
    boss, guest = Wire(await venue.connect("boss", grant=True)), Wire(await venue.connect("guest"))
    await venue.gather(agent.room, boss.room, guest.room)
    before = agent.counted("cut")
    for wire in (boss, guest):
        # Of 5 GiB the SDK itself makes nothing; a little less it would keep.
        writer = await announce(wire.room, total_size=4_900_000_000)
        await writer.write(bytes(8 << 10))
    await until("both are cut", lambda: agent.counted("cut") == before + 2)
    assert (await boss.ask("r1", "ping")).WhichOneof("response") == "pong"


async def test_a_request_over_the_cap_is_answered_with_an_error(venue: Venue, agent: Agent) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await venue.gather(agent.room, boss.room)
    response = await boss.ask("r1", "run_input", text="x" * (2 << 20))
    assert response.error
    assert response.WhichOneof("response") is None
    assert (await boss.ask("r2", "ping")).WhichOneof("response") == "pong"


async def test_streams_that_never_end_delay_nobody(venue: Venue, agent: Agent) -> None:
    stalled = [await venue.connect("boss", grant=True), await venue.connect("stranger")]
    other, guest = Wire(await venue.connect("other", grant=True)), Wire(await venue.connect("guest"))
    await venue.gather(agent.room, other.room, guest.room, *stalled)
    for room in stalled:
        writer = await announce(room)
        await writer.write(b"\x22")
    assert (await other.ask("r1", "run_input", text="hi")).run_input.items
    assert (await guest.ask("r1", "ping")).error == "permission_denied"


async def test_garbage_and_other_messages_change_nothing(venue: Venue, agent: Agent) -> None:
    boss, guest = Wire(await venue.connect("boss", grant=True)), Wire(await venue.connect("guest"))
    await venue.gather(agent.room, boss.room, guest.room)
    event = pb.AgentSessionMessage(event=pb.AgentSessionEvent(error=pb.AgentSessionEvent.Error(message="a lie")))
    answer = pb.AgentSessionMessage(response=pb.SessionResponse(request_id="r1", error="a lie"))
    for wire in (guest, boss):
        for message in (b"\xff\xff\xff", b"", b"\x22\x7f", event, answer):
            await wire.send(message)
    assert (await boss.ask("r1", "run_input", text="hi")).run_input.items
    assert (await guest.ask("r1", "ping")).error == "permission_denied"
    assert [m.response.error for _, m in guest.got] == ["permission_denied"]


async def test_an_eavesdropper_hears_nothing(venue: Venue, agent: Agent) -> None:
    """Not even the packets of what is too long for one."""
    room = await venue.connect("boss", grant=True)
    spy = await venue.connect("spy")
    await venue.gather(agent.room, room, spy)
    async with Eavesdropper(spy) as ear, greenroom.attach(room) as session:
        assert (await session.say("the secret")).reply == "echo: the secret"
        assert len((await session.say("big")).reply) == 400_000
        await session.history()
        await ear.caught_up(agent.room, room)
        assert ear.everything() == []


async def test_an_agent_that_is_not_our_peer_cannot_make_us_talk(venue: Venue, agent: Agent) -> None:
    """Whoever sends us requests or answers, while we are a controller only, gets nothing."""
    room = await venue.connect("boss", grant=True)
    other = Wire(await venue.connect("other", grant=True))
    await venue.gather(agent.room, room, other.room)
    async with greenroom.attach(room) as session:
        await other.request("r1", "get_chat_history", to="boss")
        await session.ping()
    assert other.responses == {}


async def announce(room: rtc.Room, total_size: int | None = None) -> rtc.ByteStreamWriter:
    """Begin a stream to the agent."""
    return await room.local_participant.stream_bytes(
        "a stream", total_size=total_size, topic=TOPIC, destination_identities=["agent"]
    )
