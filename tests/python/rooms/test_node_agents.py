"""Our controllers against agents of @livekit/agents: behind our host, behind our gate, and with the SDK's host alone.

The other way round is tested in tests/node.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import greenroom
from greenroom.livekit import RemoteSession

from .support.agents import GUARDS, Wire
from .support.node_agent import NodeAgent
from .support.venue import Venue

every_host = pytest.mark.parametrize("guard", [*GUARDS, None])
every_guard = pytest.mark.parametrize("guard", GUARDS)


@pytest_asyncio.fixture
async def agent(venue: Venue, guard: str | None) -> AsyncIterator[NodeAgent]:
    """The agent `agent`. It is linked to `user`, who is somebody else than its supervisor, unless the SDK's host would
    obey nobody else.
    """
    async with NodeAgent(venue, guard, linked="user" if guard else "boss") as agent:
        yield agent


@every_host
async def test_attach_has_a_whole_conversation(venue: Venue, agent: NodeAgent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        assert session.started.framework.sdk == "js"
        turn = await session.say("hi")
        assert (turn.reply, turn.error) == ("echo: hi", None)
        assert [event.text for event in turn.events if event.type == "message"] == ["echo: hi"]
        assert (await session.say("and on")).reply == "echo: and on"
        assert (await session.agent_info()).instructions == "Echo."
        texts = [item.text for item in await session.history() if item.type == "message"]
        assert texts == ["hi", "echo: hi", "and on", "echo: and on"]
        assert (await session.session_state()).agent_state == "listening"
        await session.update_io(input_audio=False)
        await session.usage()
        await session.rtc_stats()
        await session.ping()
        await session.close()
        told = [event async for event in session.events()]
    assert [event.text for event in told if event.type == "message"] == texts
    assert (told[-1].type, told[-1].reason) == ("closed", "closed")


@every_host
async def test_remote_session_has_a_whole_conversation(venue: Venue, agent: NodeAgent) -> None:
    room = await venue.connect("boss", grant=True)
    remote = RemoteSession.from_room(room)
    roles: list[str] = []
    remote.on("conversation_item_added", lambda event: roles.append(event.conversation_item_added.item.message.role))
    await remote.start()
    await remote.wait_for_ready()
    assert (await remote.run("hi")).items[-1].message.content[0].text == "echo: hi"
    assert (await remote.get_framework_info()).sdk == "js"
    assert (await remote.get_agent_info()).instructions == "Echo."
    assert len((await remote.get_chat_history()).items) >= 2
    await remote.get_session_state()
    await remote.get_session_usage()
    await remote.get_rtc_stats()
    await remote.update_io(input_audio_enabled=False)
    assert len(roles) == 2
    await remote.aclose()
    Wire(room)


@every_host
async def test_when_the_agent_leaves_what_is_pending_fails(venue: Venue, agent: NodeAgent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        agent.hold()
        events = session.events(from_now=True)
        turn = asyncio.ensure_future(session.say("hold on"))
        while (event := await asyncio.wait_for(anext(events), 15)).type != "message":
            pass
        assert event.text == "hold on"
        await venue.remove("agent")
        with pytest.raises(greenroom.AgentGone, match='"agent" left'):
            await asyncio.wait_for(turn, 15)
        last = [event async for event in session.events()][-1]
        assert (last.type, last.reason) == ("closed", "agent_left")


@every_guard
async def test_only_who_holds_the_grant_gets_through(venue: Venue, agent: NodeAgent) -> None:
    """Whoever the agent is linked to: its user holds none."""
    user = Wire(await venue.connect("user"))
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        response = await user.ask("r1", "get_chat_history")
        assert (response.error, response.WhichOneof("response")) == ("permission_denied", None)
        assert (await session.say("the secret")).reply == "echo: the secret"
        await user.ask("r2", "ping")
        with pytest.raises(greenroom.PermissionDenied, match=r'"user".*canManageAgentSession'):
            await greenroom.attach(user.room)
    assert len(user.got) == 2


@every_guard
async def test_several_controllers_at_once_do_not_meet(venue: Venue, agent: NodeAgent) -> None:
    rooms = [await venue.connect(f"boss{number}", grant=True) for number in range(2)]
    async with greenroom.attach(rooms[0]) as one, greenroom.attach(rooms[1]) as two:
        turns = await asyncio.gather(one.say("one"), two.say("two"))
        assert [turn.reply for turn in turns] == ["echo: one", "echo: two"]
        await asyncio.gather(*(session.agent_info() for session in (one, two) for _ in range(5)))


@every_guard
async def test_a_grant_that_is_revoked_in_the_middle_of_a_turn(venue: Venue, agent: NodeAgent) -> None:
    room = await venue.connect("boss", grant=True)
    watcher = await venue.connect("watcher", grant=True)
    async with greenroom.attach(room) as session, greenroom.attach(watcher) as other:
        agent.hold()
        events = other.events(from_now=True)
        turn = asyncio.ensure_future(session.say("the secret"))
        while (await asyncio.wait_for(anext(events), 15)).type != "message":
            pass
        await venue.set_grant("boss", False)
        await until_denied(session)
        agent.release()
        with pytest.raises(greenroom.PermissionDenied):
            await turn
        await other.ping()


async def until_denied(session: greenroom.Session) -> None:
    """Until the agent knows that the grant is gone."""
    with contextlib.suppress(greenroom.PermissionDenied):
        while True:
            await session.ping()
