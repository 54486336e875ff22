"""The controller's side without any SDK: `greenroom.join`, against hosts of ours and the SDK's own."""

import asyncio
import threading

import pytest

import greenroom
import greenroom.sync

from .support.agents import Agent
from .support.venue import Venue, sees, until

# With the SDK's own host too, which guards nothing.
every_host = pytest.mark.parametrize("guard", ["host", "gate", None])


def join(venue: Venue, identity: str = "boss", agent: str | None = None, **options: float) -> greenroom.Opening:
    return greenroom.join(venue.server.url, venue.token(identity, grant=True), agent, **options)


@every_host
async def test_a_whole_conversation(venue: Venue, agent: Agent) -> None:
    async with join(venue) as session:
        assert session.started.framework.sdk == "python"
        turn = await session.say("weather")
        assert [event.type for event in turn.events] == ["tool_call", "message"]
        assert turn.reply == "The tool said: Sunny in Tokyo"
        assert (await session.say("silent")).silent
        assert (await session.say("handoff")).reply == "Billing here, how can I help?"
        assert (await session.agent_info()).instructions == "You are the cashier of a coffee shop."
        assert len([item for item in await session.history() if item.type == "message"]) >= 5
        assert (await session.session_state()).agent_state == "listening"
        await session.update_io(input_audio=False)
        await session.usage()
        await session.rtc_stats()
        await session.ping()
        status = session.status()
        assert (status.state, status.turns, status.pid) == ("ready", 3, None)
        assert (status.room, status.identity, status.agent) == (venue.name, "boss", "agent")
    assert isinstance(session.closed, greenroom.SessionClosed)
    await until("it has left the room", lambda: "boss" not in agent.room.remote_participants)


async def test_the_same_without_asyncio(venue: Venue, agent: Agent) -> None:
    def converse() -> str:
        with greenroom.sync.join(venue.server.url, venue.token("boss", grant=True)) as session:
            return session.say("hi").reply

    assert await asyncio.to_thread(converse) == "echo: hi"


async def test_several_agents_have_to_be_named(venue: Venue, agent: Agent) -> None:
    second = await venue.connect("second agent", kind="agent")
    await venue.gather(agent.room, second)
    with pytest.raises(greenroom.InvalidArgument, match=r'2 agents: "agent", "second agent"'):
        await join(venue)
    async with join(venue, agent="agent") as session:
        await session.ping()


async def test_no_agent_is_a_timeout_that_says_who_is_there(venue: Venue) -> None:
    await venue.connect("a guest")
    with pytest.raises(greenroom.SessionTimeout, match="no agent came into the room"):
        await join(venue, timeout=1.0)
    with pytest.raises(greenroom.SessionTimeout, match='"nobody" did not come into the room'):
        await join(venue, agent="nobody", timeout=1.0)


async def test_a_token_that_is_refused_says_why(venue: Venue) -> None:
    url, token = venue.server.url, venue.token("boss", grant=True)
    with pytest.raises(greenroom.PermissionDenied, match="refused the token") as refused:
        await greenroom.join(url, f"{token}x")
    assert token not in str(refused.value)
    with pytest.raises(greenroom.PermissionDenied, match="lacks the grant canManageAgentSession"):
        await greenroom.join(url, venue.token("eve"))


async def test_a_server_that_is_not_there_is_named(venue: Venue) -> None:
    token = venue.token("boss", grant=True)
    with pytest.raises(greenroom.IoError, match=r"nobody\.invalid"):
        await greenroom.join("ws://nobody.invalid", token)
    with pytest.raises(greenroom.InvalidArgument, match="not the url of a LiveKit server"):
        await greenroom.join("localhost", token)
    with pytest.raises(greenroom.InvalidArgument, match="token"):
        await greenroom.join(venue.server.url, None)  # type: ignore[arg-type]


async def test_a_join_that_is_cancelled_leaves_nothing(venue: Venue) -> None:
    witness = await venue.connect("witness", grant=True)
    threads = threading.active_count()
    # Before it is in, while it is, and while it waits for an agent.
    for seconds in (0.0, 0.01, 0.05, 0.5):
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await asyncio.wait_for(join(venue)._open(), seconds)
    await until("nobody is left", lambda: not witness.remote_participants)
    assert threading.active_count() <= threads


async def test_an_agent_that_leaves_ends_the_session(venue: Venue, agent: Agent) -> None:
    async with join(venue) as session:
        await venue.remove("agent")
        events = [event async for event in session.events()]
        assert isinstance(events[-1], greenroom.ClosedEvent)
        assert events[-1].reason == "agent_left"
        with pytest.raises(greenroom.AgentGone):
            await session.say("hi")


async def test_a_controller_that_is_put_out_is_told(venue: Venue, agent: Agent) -> None:
    async with join(venue) as session:
        await until("the agent knows it", lambda: "boss" in agent.room.remote_participants)
        await venue.remove("boss")
        events = [event async for event in session.events()]
        assert isinstance(events[-1], greenroom.ClosedEvent)
        assert events[-1].reason == "room_disconnected"


async def test_credentials_open_the_room(venue: Venue, agent: Agent, keys: None) -> None:
    made = greenroom.credentials(venue.name, identity="ada", can_manage_agent_session=True, url=venue.server.url)
    async with greenroom.join(made.url, made.token) as session:
        assert (await session.say("hi")).reply == "echo: hi"
        assert session.status().identity == made.identity
        room = agent.room
        await until("the agent knows it", lambda: made.identity in room.remote_participants)
        assert sees(room, room.remote_participants[made.identity])
