"""The controller's side: `greenroom.attach`, against hosts of ours and the SDK's own."""

import asyncio

import pytest
from livekit import rtc

import greenroom

from .support.agents import TOPIC, Agent, Wire
from .support.venue import Venue, holds_grant, until

# With the SDK's own host too, which guards nothing.
every_host = pytest.mark.parametrize("guard", ["host", "gate", None])


@every_host
async def test_a_whole_conversation(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
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
    assert isinstance(session.closed, greenroom.SessionClosed)
    # The Room is as it was: somebody else may have the topic.
    Wire(room)


@every_host
async def test_several_controllers_at_once_do_not_meet(venue: Venue, agent: Agent) -> None:
    rooms = [await venue.connect(f"boss{number}", grant=True) for number in range(3)]
    await venue.gather(agent.room, *rooms)
    async with (
        greenroom.attach(rooms[0]) as one,
        greenroom.attach(rooms[1]) as two,
        greenroom.attach(rooms[2]) as three,
    ):
        infos = await asyncio.gather(*(session.agent_info() for session in (one, two, three) for _ in range(5)))
        assert len({info.instructions for info in infos}) == 1
        assert (await one.say("hi")).reply == "echo: hi"
        # Whoever looks on sees it too.
        events = two.events()
        while (event := await anext(events)).type != "message" or event.role != "assistant":
            pass
        assert event.text == "echo: hi"


async def test_several_sessions_share_one_room(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as one, greenroom.attach(room) as two:
        replies = await asyncio.gather(one.say("from one"), two.say("from two"))
        assert [turn.reply for turn in replies] == ["echo: from one", "echo: from two"]
    async with greenroom.attach(room) as three:
        await three.ping()


async def test_a_host_and_a_controller_share_one_room(venue: Venue, agent: Agent) -> None:
    """The agent of this room drives another, and is driven."""
    other = Agent(venue, "host", {})
    await other.start("other agent")
    try:
        await venue.set_grant("agent", True)
        await until("the agent knows", lambda: holds_grant(other.room, "agent") and holds_grant(agent.room, "agent"))
        boss = await venue.connect("boss", grant=True)
        async with greenroom.attach(agent.room, "other agent") as down, greenroom.attach(boss, "agent") as up:
            turns = await asyncio.gather(down.say("down"), up.say("up"))
            assert [turn.reply for turn in turns] == ["echo: down", "echo: up"]
        assert next(item.text_content for item in agent.session.history.items if item.type == "message") == "up"
    finally:
        await other.close()


# ---- who there is ----------------------------------------------------------------------------------------------------


async def test_without_an_agent_the_deadline_says_who_is_there(venue: Venue) -> None:
    room = await venue.connect("boss", grant=True)
    guest = await venue.connect("a guest")
    await venue.gather(room, guest)
    with pytest.raises(greenroom.SessionTimeout, match=r'no agent came .* \(in it: "a guest"\)'):
        await greenroom.attach(room, timeout=0.2)
    with pytest.raises(greenroom.SessionTimeout, match='"nobody" did not come'):
        await greenroom.attach(room, "nobody", timeout=0.2)
    Wire(room)


async def test_an_agent_that_comes_late_is_waited_for(venue: Venue) -> None:
    room = await venue.connect("boss", grant=True)
    opening = asyncio.ensure_future(greenroom.attach(room)._open())
    agent = Agent(venue, "host", {})
    await agent.start("agent")
    try:
        async with await opening as session:
            assert (await session.say("hi")).reply == "echo: hi"
    finally:
        await agent.close()


async def test_an_agent_whose_session_starts_late_is_asked_again(venue: Venue) -> None:
    room = await venue.connect("boss", grant=True)
    mute = await venue.connect("agent", kind="agent")
    # What is asked now, nobody hears.
    asked: list[str] = []
    mute.register_byte_stream_handler(TOPIC, lambda reader, who: asked.append(who))
    opening = asyncio.ensure_future(greenroom.attach(room)._open())
    await until("it was asked", lambda: bool(asked))
    mute.unregister_byte_stream_handler(TOPIC)
    agent = Agent(venue, "host", {})
    await agent.take(mute)
    try:
        async with await opening as session:
            assert (await session.say("hi")).reply == "echo: hi"
    finally:
        await agent.close()


async def test_an_agent_that_does_not_answer_is_a_timeout(venue: Venue) -> None:
    room = await venue.connect("boss", grant=True)
    mute = await venue.connect("agent", kind="agent")
    await venue.gather(room, mute)
    with pytest.raises(greenroom.SessionTimeout, match="did not answer a ping"):
        await greenroom.attach(room, timeout=0.7)
    Wire(room)


async def test_several_agents_have_to_be_named(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    second = await venue.connect("second agent", kind="agent")
    await venue.gather(room, agent.room, second)
    with pytest.raises(greenroom.InvalidArgument, match=r'2 agents: "agent", "second agent"'):
        await greenroom.attach(room)
    async with greenroom.attach(room, "agent") as session:
        await session.ping()


async def test_an_agent_of_any_kind_can_be_named(venue: Venue) -> None:
    agent = Agent(venue, "host", {})
    await agent.start("worker", kind="standard")
    try:
        async with greenroom.attach(await venue.connect("boss", grant=True), "worker") as session:
            await session.ping()
    finally:
        await agent.close()


async def test_it_listens_to_its_agent_alone(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    liar = Wire(await venue.connect("liar", grant=True))
    await venue.gather(room, liar.room)
    async with greenroom.attach(room, "agent") as session:
        events = session.events(from_now=True)
        for message in [m for _, m in liar.got if m.HasField("event")]:
            await liar.send(message, "boss")
        await liar.ask("r1", "run_input", text="hi")
        for _, message in list(liar.got):
            await liar.send(message, "boss")
        await session.ping()
        await session.close()
        texts = [event.text async for event in events if event.type == "message"]
    assert texts == ["hi", "echo: hi"]


# ---- the grant -------------------------------------------------------------------------------------------------------


@every_host
async def test_without_the_grant_nothing_is_sent_and_the_error_says_how_to_get_it(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("guest")
    with pytest.raises(greenroom.PermissionDenied, match=r'"guest".*canManageAgentSession.*token'):
        await greenroom.attach(room)
    assert agent.audits == []
    await venue.set_grant("guest", True)
    await until("we know", lambda: holds_grant(room, "guest") and holds_grant(agent.room, "guest"))
    async with greenroom.attach(room) as session:
        await session.ping()


async def test_a_grant_that_is_revoked_is_an_error_of_each_call(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        turn = asyncio.ensure_future(session.say("hold the secret"))
        await until("it runs", lambda: bool(agent.llm.held))
        await venue.set_grant("boss", False)
        await until("the agent knows", lambda: not holds_grant(agent.room, "boss"))
        agent.llm.release.set()
        with pytest.raises(greenroom.PermissionDenied):
            await turn
        with pytest.raises(greenroom.PermissionDenied):
            await session.history()
        await venue.set_grant("boss", True)
        await until("the agent knows", lambda: holds_grant(agent.room, "boss"))
        await session.history()


@pytest.mark.parametrize("gate_options", [{"policy": {"boss": []}}])
async def test_a_gate_that_lets_us_do_nothing_is_told_at_once(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    with pytest.raises(greenroom.PermissionDenied):
        await greenroom.attach(room)


# ---- the end ---------------------------------------------------------------------------------------------------------


@every_host
async def test_when_the_agent_leaves_what_is_pending_fails(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        turn = asyncio.ensure_future(session.say("hold on"))
        await until("it runs", lambda: bool(agent.llm.held))
        await venue.remove("agent", seen_by=room)
        done, _ = await asyncio.wait({turn}, timeout=1)
        assert done, "what is pending fails at once"
        with pytest.raises(greenroom.AgentGone, match='"agent" left'):
            turn.result()
        last = [event async for event in session.events()][-1]
        assert (last.type, last.reason) == ("closed", "agent_left")
        with pytest.raises(greenroom.AgentGone):
            await session.ping()
    assert room.isconnected()


async def test_when_our_room_is_disconnected_what_is_pending_fails(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        turn = asyncio.ensure_future(session.say("hold on"))
        await until("it runs", lambda: bool(agent.llm.held))
        await room.disconnect()
        with pytest.raises(greenroom.AgentGone, match=r"disconnected|lost"):
            await turn
        last = [event async for event in session.events()][-1]
        assert (last.type, last.reason) == ("closed", "room_disconnected")


async def test_a_deadline_and_a_cancelled_turn_leave_the_session_usable(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    async with greenroom.attach(room) as session:
        with pytest.raises(greenroom.SessionTimeout):
            await session.say("hold on", timeout=0.2)
        agent.llm.release.set()
        assert (await session.say("hi")).reply == "echo: hi"
        agent.llm.release.clear()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.say("hold on"), 0.2)
        agent.llm.release.set()
        assert (await session.say("hi")).reply == "echo: hi"


async def test_an_opening_that_is_cancelled_lets_go_of_the_room(venue: Venue) -> None:
    room = await venue.connect("boss", grant=True)
    opening = asyncio.ensure_future(greenroom.attach(room)._open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until("the topic is free", lambda: is_free(room))


def is_free(room: rtc.Room) -> bool:
    try:
        room.register_byte_stream_handler(TOPIC, lambda *_: None)
    except ValueError:
        return False
    room.unregister_byte_stream_handler(TOPIC)
    return True


# ---- what it needs ---------------------------------------------------------------------------------------------------


async def test_a_room_that_is_not_connected_is_refused() -> None:
    with pytest.raises(greenroom.InvalidArgument, match="not connected"):
        await greenroom.attach(rtc.Room())


async def test_a_topic_that_is_taken_is_named(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    Wire(room)
    with pytest.raises(greenroom.InvalidArgument, match=r"handles the topic lk\.agent\.session"):
        await greenroom.attach(room)
