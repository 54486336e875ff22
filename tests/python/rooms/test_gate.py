"""`greenroom.gate`, and what becomes of a Room that it stands on."""

import asyncio

import pytest
from livekit import rtc
from livekit.agents.voice.remote_session import RemoteSession

import greenroom
import greenroom.livekit

from .support.agents import HAS_HOST_CHOICE, TEXT_ONLY, TOPIC, Agent, AgentSession, Wire, needs_host_choice, shop
from .support.venue import Venue, holds_grant, send, until


@pytest.mark.parametrize("guard", ["gate"])
async def test_the_sdk_s_own_remote_session_gets_through_with_the_grant(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    remote = RemoteSession.from_room(room, "agent")
    await remote.start()
    events: list[str] = []
    remote.on("conversation_item_added", lambda event: events.append(event.conversation_item_added.item.message.role))
    try:
        await remote.wait_for_ready()
        assert (await remote.run("hi")).items[0].message.content[0].text == "echo: hi"
        if hasattr(remote, "get_framework_info"):  # from livekit-agents 1.6.10 on
            assert (await remote.get_framework_info()).sdk == "python"
        # The SDK's host sends answers past the events that wait.
        await until("its events are there", lambda: len(events) >= 2)
        assert len(events) == 2
    finally:
        await remote.aclose()


@pytest.mark.parametrize("guard", ["gate"])
async def test_and_not_without_it(venue: Venue, agent: Agent) -> None:
    remote = RemoteSession.from_room(await venue.connect("guest"), "agent")
    await remote.start()
    try:
        with pytest.raises(RuntimeError, match="permission_denied"):
            await remote.get_chat_history()
    finally:
        await remote.aclose()


async def test_on_a_room_that_is_connected_already(venue: Venue) -> None:
    room = await venue.connect("agent", kind="agent")
    agent = Agent(venue, "gate", {})
    await agent.take(room)
    try:
        boss, guest = Wire(await venue.connect("boss", grant=True)), Wire(await venue.connect("guest"))
        assert not (await boss.ask("r1", "run_input", text="hi")).error
        assert (await guest.ask("r1", "ping")).error == "permission_denied"
        assert guest.events == []
    finally:
        await agent.close()


async def test_a_room_that_connects_again_is_still_guarded(venue: Venue) -> None:
    room = rtc.Room()
    with greenroom.gate(room):
        await venue.connect("agent", kind="agent", room=room)
        await room.disconnect()
        agent = Agent(venue, None, {})
        await venue.connect("agent", kind="agent", room=room)
        await agent.take(room)
        try:
            boss, guest = Wire(await venue.connect("boss", grant=True)), Wire(await venue.connect("guest"))
            await venue.gather(room, boss.room, guest.room)
            assert not (await boss.ask("r1", "run_input", text="hi")).error
            assert (await guest.ask("r1", "ping")).error == "permission_denied"
            assert guest.events == []
        finally:
            await agent.close()


@pytest.mark.parametrize("guard", ["gate"])
async def test_closing_it_gives_the_room_back_as_it_was(venue: Venue, agent: Agent) -> None:
    guest = Wire(await venue.connect("guest"))
    assert (await guest.ask("r1", "ping")).error == "permission_denied"
    agent.keeper.close()
    agent.keeper.close()
    assert agent.keeper.status() == {}
    assert not {"connect", "register_byte_stream_handler"} & set(vars(agent.room))
    assert not {"send_bytes", "stream_bytes", "send_file"} & set(vars(agent.room.local_participant))
    # The SDK's host answers everybody and tells everybody, as without us.
    assert (await guest.ask("r2", "run_input", text="hi")).run_input.items
    assert "conversation_item_added" in guest.events
    await agent.session.aclose()
    Wire(agent.room)


async def test_other_topics_pass_untouched(venue: Venue) -> None:
    room = await venue.connect("agent", kind="agent")
    other = await venue.connect("other")
    await venue.gather(room, other)
    got: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def keep(reader: rtc.ByteStreamReader, identity: str) -> None:
        async def read() -> None:
            await got.put((identity, b"".join([chunk async for chunk in reader])))

        tasks.append(asyncio.ensure_future(read()))

    tasks: list[asyncio.Future[None]] = []
    with greenroom.gate(room):
        room.register_byte_stream_handler("files", keep)
        other.register_byte_stream_handler("files", keep)
        with pytest.raises(ValueError, match="already set"):
            room.register_byte_stream_handler("files", keep)
        await send(room.local_participant, b"out", topic="files")
        assert await asyncio.wait_for(got.get(), 10) == ("agent", b"out")
        writer = await room.local_participant.stream_bytes("name", topic="files")
        await writer.write(b"stream")
        await writer.aclose()
        assert await asyncio.wait_for(got.get(), 10) == ("agent", b"stream")
        await send(other.local_participant, b"in", topic="files")
        assert await asyncio.wait_for(got.get(), 10) == ("other", b"in")
        room.unregister_byte_stream_handler("files")


async def test_whatever_way_the_topic_is_sent_on_it_is_guarded(venue: Venue, tmp_path) -> None:
    room = rtc.Room()
    guest, boss = Wire(await venue.connect("guest")), Wire(await venue.connect("boss", grant=True))
    with greenroom.gate(room):
        await venue.connect("agent", kind="agent", room=room)
        await venue.gather(room, guest.room, boss.room)
        room.register_byte_stream_handler(TOPIC, lambda *_: None)
        event = b"\x1a\x0bz\x09\x0a\x07a error"
        (tmp_path / "event").write_bytes(event)
        local = room.local_participant
        await send(local, event, topic=TOPIC)
        await local.send_file(str(tmp_path / "event"), topic=TOPIC)
        writer = await local.stream_bytes("event", topic=TOPIC)
        await writer.write(event[:5])
        await writer.write(event[5:])
        await writer.aclose()
        with pytest.raises(RuntimeError):
            await writer.write(b"more")
        await send(local, event, topic=TOPIC, destination_identities=["guest"])
        await send(local, event, topic=TOPIC, destination_identities=["boss"])
        await until("the events came", lambda: boss.events == ["error"] * 4)
        assert guest.got == []
        room.unregister_byte_stream_handler(TOPIC)


async def test_method_that_takes_a_topic_and_is_not_known_refuses_the_topic(venue: Venue) -> None:
    """A later release of the SDK may send in another way; what is not guarded must not leak."""
    room = await venue.connect("agent", kind="agent")
    other = await venue.connect("other")
    await venue.gather(room, other)
    local = room.local_participant
    with greenroom.gate(room):
        with pytest.raises(greenroom.Unsupported, match=f"publish_data.*{TOPIC}"):
            await local.publish_data(b"event", topic=TOPIC)
        with pytest.raises(greenroom.Unsupported, match=f"send_text.*{TOPIC}"):
            await local.send_text("event", topic=TOPIC)
        heard: asyncio.Queue[rtc.DataPacket] = asyncio.Queue()
        other.on("data_received", heard.put_nowait)
        await local.publish_data(b"data", topic="files")
        assert (await asyncio.wait_for(heard.get(), 10)).data == b"data"
    assert not {"publish_data", "send_text", "stream_text"} & set(vars(local))


# ---- several on one Room ---------------------------------------------------------------------------------------------


async def test_a_session_that_takes_over_the_room_is_guarded_too(venue: Venue) -> None:
    """The second begins before the first ends: with the SDK alone, `already set`."""
    room = rtc.Room()
    greenroom.gate(room)
    first, second = Agent(venue, None, {}), Agent(venue, None, {})
    await venue.connect("agent", kind="agent", room=room)
    await first.take(room)
    await second.take(room)
    try:
        boss, guest = Wire(await venue.connect("boss", grant=True)), Wire(await venue.connect("guest"))
        await boss.ask("r1", "run_input", text="to the first")
        await first.close()
        await boss.ask("r2", "run_input", text="to the second")
        messages = [item.text_content for item in second.session.history.items if item.type == "message"]
        assert messages == ["to the second", "echo: to the second"]
        assert (await guest.ask("r1", "ping")).error == "permission_denied"
        assert guest.events == []
    finally:
        await second.close()


async def test_two_hosts_and_an_observer_share_one_room(venue: Venue) -> None:
    room = await venue.connect("agent", kind="agent")
    first, second = Agent(venue, "host", {}), Agent(venue, "host", {})
    await first.take(room)
    await second.take(room)
    try:
        boss = Wire(await venue.connect("boss", grant=True))
        assert (await boss.ask("r1", "run_input", text="hi")).run_input.items
        # The oldest answers, and the events of each are told.
        await second.session.run(user_input="and me")
        await boss.ask("r2", "ping")
        assert boss.events.count("conversation_item_added") == 4
        await first.close()
        assert (await boss.ask("r3", "run_input", text="still there")).run_input.items
        assert second.counted("answered") == 1
    finally:
        await first.close()
        await second.close()
    Wire(room)


# ---- what it needs ---------------------------------------------------------------------------------------------------


async def test_a_host_of_the_sdk_that_is_there_already_is_named(venue: Venue) -> None:
    agent = Agent(venue, None, {})
    await agent.start("agent")
    try:
        with pytest.raises(greenroom.InvalidArgument, match=r"before `session\.start`"):
            greenroom.gate(agent.room)
        error = greenroom.InvalidArgument if HAS_HOST_CHOICE else greenroom.SdkTooOld
        with pytest.raises(error, match="session_host="):
            await greenroom.livekit.host(agent.session, agent.room)
        assert "connect" not in vars(agent.room)
    finally:
        await agent.close()


async def test_a_second_gate_is_refused() -> None:
    room = rtc.Room()
    with greenroom.gate(room), pytest.raises(greenroom.InvalidArgument, match="has a gate already"):
        greenroom.gate(room)
    greenroom.gate(room).close()


@needs_host_choice
async def test_a_host_may_be_there_before_its_session_starts(venue: Venue) -> None:
    room = rtc.Room()
    session = AgentSession(llm=shop.ScriptedLLM(), user_away_timeout=None)
    host = await greenroom.livekit.host(session, room)
    await venue.connect("agent", kind="agent", room=room)
    boss = Wire(await venue.connect("boss", grant=True))
    await until("the agent knows", lambda: holds_grant(room, "boss"))
    await session.start(shop.Barista(), room=room, room_options=TEXT_ONLY, session_host=False)
    assert (await boss.ask("r1", "run_input", text="hi")).run_input.items
    assert "agent_state_changed" in boss.events
    await session.aclose()
    await host.aclose()
    assert host.status() == {}
    Wire(room)
