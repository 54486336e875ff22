"""`greenroom.livekit`: the names that users of the SDK know, ours with ours and ours with the SDK's."""

import asyncio

import pytest
from livekit import rtc
from livekit.agents.voice import remote_session as sdk
from livekit.protocol.agent_pb import agent_session as pb

import greenroom
from greenroom.livekit import (
    Ending,
    IncomingMessage,
    RemoteSession,
    RoomSessionTransport,
    SendMessageOptions,
    SessionHost,
)

from .support.agents import Agent, Wire
from .support.venue import Venue, holds_grant, until

every_host = pytest.mark.parametrize("guard", ["host", "gate", None])


class Bare:
    """An agent in a room whose side of the transport is the test's own."""

    def __init__(self, room: rtc.Room, **options) -> None:
        self.room = room
        self.transport = RoomSessionTransport(room, **options)


@pytest.fixture
async def bare(venue: Venue):
    bare = Bare(await venue.connect("agent", kind="agent"))
    await bare.transport.start()
    yield bare
    await bare.transport.close()


def pong(request_id: str) -> pb.AgentSessionMessage:
    response = pb.SessionResponse(request_id=request_id, pong=pb.SessionResponse.Pong())
    return pb.AgentSessionMessage(response=response)


def told(text: str) -> pb.AgentSessionMessage:
    return pb.AgentSessionMessage(event=pb.AgentSessionEvent(error=pb.AgentSessionEvent.Error(message=text)))


# ---- RemoteSession ---------------------------------------------------------------------------------------------------


@every_host
async def test_remote_session_has_what_the_sdk_s_has(venue: Venue, agent: Agent) -> None:
    remote = RemoteSession.from_room(await venue.connect("boss", grant=True))
    added: list[str] = []

    @remote.on("conversation_item_added")
    def add(event: pb.AgentSessionEvent) -> None:
        added.append(event.conversation_item_added.item.WhichOneof("item"))

    await remote.start()
    await remote.wait_for_ready()
    response = await remote.run("weather")
    assert [item.WhichOneof("item") for item in response.items][-1] == "message"
    # The SDK's own host may answer first, and may tell only then that the first agent took over.
    await until("both messages are told", lambda: added.count("message") == 2)
    assert (await remote.get_agent_info()).instructions == "You are the barista of a coffee shop."
    assert (await remote.get_framework_info()).sdk == "python"
    assert (await remote.get_session_state()).agent_state == pb.AS_LISTENING
    assert len((await remote.get_chat_history()).items) >= 4
    await remote.get_session_usage()
    await remote.get_rtc_stats()
    await remote.update_io(input_audio_enabled=False, output_transcription_enabled=False)
    await remote.finalize_simulation(provisional_success=True, provisional_reason="fine")
    with pytest.raises(greenroom.AgentError, match="empty run_input text"):
        await remote.run("")
    await remote.aclose()
    await remote.aclose()
    with pytest.raises(greenroom.SessionClosed):
        await remote.run("hi")


@every_host
async def test_when_the_agent_leaves_what_is_pending_fails_and_closed_is_told(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    remote = RemoteSession.from_room(room, "agent")
    endings: list[Ending] = []
    remote.on("closed", endings.append)
    await remote.start()
    turn = asyncio.ensure_future(remote.run("hold on"))
    await until("it runs", lambda: bool(agent.llm.held))
    await venue.remove("agent", seen_by=room)
    done, _ = await asyncio.wait({turn}, timeout=1)
    assert done
    with pytest.raises(greenroom.AgentGone, match="'agent' left"):
        turn.result()
    await until("it is told", lambda: [ending.reason for ending in endings] == ["agent_left"])
    with pytest.raises(greenroom.AgentGone):
        await remote.get_chat_history()
    await remote.aclose()
    assert len(endings) == 1


async def test_our_own_lack_of_the_grant_is_known_before_anything_is_sent(venue: Venue, agent: Agent) -> None:
    remote = RemoteSession.from_room(await venue.connect("guest"))
    with pytest.raises(greenroom.PermissionDenied, match="canManageAgentSession"):
        await remote.start()
    assert agent.audits == []


async def test_no_agent_and_several_agents_are_errors(venue: Venue) -> None:
    room = await venue.connect("boss", grant=True)
    with pytest.raises(greenroom.SessionTimeout, match="no agent"):
        await RemoteSession.from_room(room, timeout=0.1).start()
    agents = [await venue.connect(name, kind="agent") for name in ("first", "second")]
    await venue.gather(room, *agents)
    with pytest.raises(greenroom.InvalidArgument, match='"first", "second"'):
        await RemoteSession.from_room(room).start()
    Wire(room)


async def test_a_denial_an_unanswered_call_and_a_closed_session_are_errors_of_their_own(
    bare: Bare, venue: Venue
) -> None:
    remote = RemoteSession.from_room(await venue.connect("boss", grant=True), "agent")
    with pytest.raises(greenroom.SessionClosed, match="not started"):
        await remote.get_chat_history()
    await remote.start()
    with pytest.raises(greenroom.SessionTimeout):
        await remote.get_chat_history(timeout=0.1)
    with pytest.raises(greenroom.SessionTimeout):
        await remote.wait_for_ready(timeout=0.2, retry_interval=0.1)
    await venue.set_grant("boss", False)
    await until("the agent knows", lambda: not holds_grant(bare.room, "boss"))
    with pytest.raises(greenroom.PermissionDenied):
        await remote.get_chat_history()
    await venue.set_grant("boss", True)
    pending = asyncio.ensure_future(remote.get_chat_history())
    await until("it is asked", lambda: bare.transport.status()["requests"] > 2)
    await remote.aclose()
    with pytest.raises(greenroom.SessionClosed):
        await pending


# ---- RoomSessionTransport --------------------------------------------------------------------------------------------


async def test_the_agent_s_side_tells_who_sent_what(bare: Bare, venue: Venue) -> None:
    boss, other = [Wire(await venue.connect(name, grant=True)) for name in ("boss", "other")]
    guest = Wire(await venue.connect("guest"))
    await venue.gather(bare.room, boss.room, other.room, guest.room)
    incoming = bare.transport.incoming()
    for wire in (guest, boss, other):
        await wire.request("same id", "ping")
    received: list[IncomingMessage] = [await anext(incoming), await anext(incoming)]
    assert {one.sender_identity for one in received} == {"boss", "other"}
    assert all(type(one.message) is pb.AgentSessionMessage for one in received)
    assert len({one.message.request.request_id for one in received}) == 2
    for one in received:
        options = SendMessageOptions(destination_identity=one.sender_identity)
        await bare.transport.send_message(pong(one.message.request.request_id), options)
    for wire in (boss, other):
        assert (await wire.response("same id")).WhichOneof("response") == "pong"
    await guest.response("same id")
    assert [m.response.error for _, m in guest.got] == ["permission_denied"]


async def test_a_message_for_one_goes_to_that_one_if_it_may_have_it(bare: Bare, venue: Venue) -> None:
    boss, other = [Wire(await venue.connect(name, grant=True)) for name in ("boss", "other")]
    guest = Wire(await venue.connect("guest"))
    await venue.gather(bare.room, boss.room, other.room, guest.room)
    for identity in ("boss", "guest", "nobody"):
        await bare.transport.send_message(told(f"for {identity}"), SendMessageOptions(identity))
    await bare.transport.send_message(told("for all"))
    await until("all came", lambda: len(boss.got) == 2 and len(other.got) == 1)
    texts = [[m.event.error.message for _, m in wire.got] for wire in (boss, other, guest)]
    assert texts == [["for boss", "for all"], ["for all"], []]
    assert bare.transport.status()["dropped"] == 2


async def test_broadcast_is_sent_in_order(bare: Bare, venue: Venue) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    await venue.gather(bare.room, boss.room)
    await asyncio.gather(*(bare.transport.send_message(told(str(number))) for number in range(200)))
    await until("all came", lambda: len(boss.got) == 200)
    assert [int(m.event.error.message) for _, m in boss.got] == list(range(200))


async def test_requests_of_one_controller_keep_their_order(bare: Bare, venue: Venue) -> None:
    boss = Wire(await venue.connect("boss", grant=True))
    sizes = [20_000, 1, 300_000, 1, 1, 100_000, 1]
    for number, size in enumerate(sizes):
        await boss.request(str(number), "run_input", text="x" * size)
    received = []
    async for message in bare.transport:
        received.append(len(message.request.run_input.text))
        # Text turns wait for each other.
        await bare.transport.send_message(pong(message.request.request_id))
        if len(received) == len(sizes):
            break
    assert received == sizes


async def test_a_transport_that_is_not_open_raises(venue: Venue) -> None:
    room = await venue.connect("agent", kind="agent")
    transport = RoomSessionTransport(room)
    with pytest.raises(greenroom.SessionClosed):
        await transport.send_message(told("too early"))
    await transport.start()
    await transport.start()
    await transport.close()
    await transport.close()
    with pytest.raises(greenroom.SessionClosed):
        await transport.send_message(told("too late"))
    with pytest.raises(greenroom.SessionClosed):
        await transport.start()
    assert [message async for message in transport] == []
    Wire(room)


async def test_its_identity_is_that_of_the_agent_and_cannot_change(bare: Bare, venue: Venue) -> None:
    assert bare.transport.remote_identity is None
    with pytest.raises(greenroom.InvalidArgument):
        bare.transport.remote_identity = "boss"
    transport = RoomSessionTransport(await venue.connect("boss", grant=True), "somebody")
    transport.remote_identity = "agent"
    await transport.start()
    with pytest.raises(greenroom.InvalidArgument, match="'other'"):
        await transport.send_message(told("x"), SendMessageOptions("other"))
    await transport.close()


async def test_an_agent_needs_no_grant_to_be_driven(bare: Bare, venue: Venue) -> None:
    """What the grant-based transport of the SDK's reverted attempt could not do."""
    assert not bare.room.local_participant.permissions.can_manage_agent_session
    boss = RoomSessionTransport(await venue.connect("boss", grant=True), "agent")
    await boss.start()
    await boss.send_message(pb.AgentSessionMessage(request=pb.SessionRequest(request_id="r1", ping={})))
    request = (await anext(bare.transport)).request
    await bare.transport.send_message(pong(request.request_id))
    received = await anext(boss.incoming())
    assert (received.message.response.request_id, received.sender_identity) == ("r1", "agent")
    await boss.close()


# ---- with the classes of the SDK -------------------------------------------------------------------------------------


async def test_the_sdk_s_host_over_our_transport_is_gated_and_routed(venue: Venue) -> None:
    agent = Agent(venue, "none", {})
    room = await venue.connect("agent", kind="agent")
    await agent.take(room)
    host = sdk.SessionHost(RoomSessionTransport(room))
    host.register_session(agent.session)
    await host.start()
    try:
        one, two = [Wire(await venue.connect(name, grant=True)) for name in ("one", "two")]
        guest = Wire(await venue.connect("guest"))
        await venue.gather(room, one.room, two.room, guest.room)
        await one.request("same id", "run_input", text="hold one")
        await until("it runs", lambda: bool(agent.llm.held))
        assert (await two.ask("same id", "get_agent_info")).WhichOneof("response") == "get_agent_info"
        agent.llm.release.set()
        assert (await one.response("same id")).WhichOneof("response") == "run_input"
        assert (await guest.ask("r1", "ping")).error == "permission_denied"
        assert guest.events == []
        assert one.events == two.events
    finally:
        await host.aclose()
        await agent.close()
    Wire(room)


@every_host
async def test_the_sdk_s_remote_session_over_our_transport(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    remote = sdk.RemoteSession(RoomSessionTransport(room, "agent"))
    await remote.start()
    await remote.wait_for_ready()
    assert (await remote.run("hi")).items[0].message.content[0].text == "echo: hi"
    turn = asyncio.ensure_future(remote.run("hold on"))
    await until("it runs", lambda: bool(agent.llm.held))
    await venue.remove("agent")
    with pytest.raises(RuntimeError, match="transport closed"):
        await asyncio.wait_for(turn, 15)
    await remote.aclose()
    Wire(room)


@every_host
async def test_our_remote_session_over_the_sdk_s_transport(venue: Venue, agent: Agent) -> None:
    room = await venue.connect("boss", grant=True)
    remote = RemoteSession(sdk.RoomSessionTransport(room, "agent"))
    await remote.start()
    await remote.wait_for_ready()
    assert (await remote.run("hi")).items[0].message.content[0].text == "echo: hi"
    await remote.aclose()


async def test_our_host_over_a_transport_of_somebody_s_own(agent: Agent) -> None:
    """Ids that two senders share do not mix, though the transport routes by identity alone."""
    transport = Switch()
    host = SessionHost(transport)
    host.register_session(agent.session)
    await host.start()
    ask = pb.SessionRequest
    transport.feed("one", ask(request_id="same", get_agent_info=ask.GetAgentInfo()))
    transport.feed("two", ask(request_id="same", ping=ask.Ping()))
    transport.feed("two", ask(request_id="empty"))
    await until("all are answered", lambda: len(transport.sent) == 3)
    answers = {(who, m.response.request_id): m.response for m, who in transport.sent}
    assert answers["one", "same"].WhichOneof("response") == "get_agent_info"
    assert answers["two", "same"].WhichOneof("response") == "pong"
    assert answers["two", "empty"].error == "unsupported request"
    await host.aclose()
    assert transport.is_closed


class Switch(greenroom.livekit.SessionTransport):
    """A transport in memory with several senders."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[IncomingMessage | None] = asyncio.Queue()
        self.sent: list[tuple[pb.AgentSessionMessage, str | None]] = []
        self.is_closed = False

    def feed(self, sender: str, request: pb.SessionRequest) -> None:
        self.inbox.put_nowait(IncomingMessage(pb.AgentSessionMessage(request=request), sender))

    async def start(self) -> None:
        pass

    async def send_message(self, msg, options=None) -> None:
        self.sent.append((msg, options and options.destination_identity))

    async def receive(self):
        return await self.inbox.get()

    async def close(self) -> None:
        self.is_closed = True
        self.inbox.put_nowait(None)
