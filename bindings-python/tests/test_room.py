"""The exchange of a Room in orders of events that no server can be made to produce. See tests/python/rooms too."""

import asyncio
import gc
import inspect
import time
import weakref
from types import SimpleNamespace

import pytest
from livekit import rtc
from livekit.protocol.agent_pb import agent_session as pb

import greenroom
from greenroom import _livekit
from greenroom.livekit import RemoteSession, RoomSessionTransport, SendMessageOptions

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class StandIn(rtc.Room):
    """A Room without a connection: its people, its streams and its failures are the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, SimpleNamespace] = {}
        self.sent: list[tuple[pb.AgentSessionMessage, list[str]]] = []
        self.state = rtc.ConnectionState.CONN_CONNECTED
        self.handler = None
        self.sends = 0
        self.send_gate = asyncio.Event()
        self.send_gate.set()
        self.send_error: Exception | None = None
        self.local = SimpleNamespace(
            identity="us",
            sid="PA_us",
            permissions=SimpleNamespace(can_manage_agent_session=True, hidden=False),
            send_bytes=self.send_bytes,
            stream_bytes=None,
            send_file=None,
        )

    remote_participants = property(lambda self: self.people)
    local_participant = property(lambda self: self.local)
    connection_state = property(lambda self: self.state)

    def isconnected(self) -> bool:
        return self.state != rtc.ConnectionState.CONN_DISCONNECTED

    def register_byte_stream_handler(self, topic, handler) -> None:
        assert self.handler is None
        self.handler = handler

    def unregister_byte_stream_handler(self, topic) -> None:
        self.handler = None

    async def send_bytes(self, data, *, topic, name, destination_identities, attributes=None) -> None:
        assert destination_identities
        self.sends += 1
        await self.send_gate.wait()
        if self.send_error is not None:
            raise self.send_error
        self.sent.append((pb.AgentSessionMessage.FromString(data), destination_identities))

    def person(self, identity: str, sid: str = "", *, grant: bool | None = True, kind: int = 0) -> SimpleNamespace:
        permissions = SimpleNamespace(can_manage_agent_session=grant, hidden=False)
        return SimpleNamespace(
            identity=identity, sid=sid or f"PA_{identity}", kind=kind, attributes={}, permissions=permissions
        )

    def join(self, identity: str, sid: str = "", **options) -> SimpleNamespace:
        person = self.people[identity] = self.person(identity, sid, **options)
        self.emit("participant_connected", person)
        return person

    def leave(self, identity: str) -> None:
        self.emit("participant_disconnected", self.people.pop(identity))

    def stream(self, identity: str, *chunks: bytes | Exception, size: int = 0) -> "Reader":
        reader = Reader(chunks, size)
        self.handler(reader, identity)
        return reader

    def ask(self, identity: str, request_id: str = "r1") -> "Reader":
        request = pb.SessionRequest(request_id=request_id, ping=pb.SessionRequest.Ping())
        return self.stream(identity, pb.AgentSessionMessage(request=request).SerializeToString())

    def texts(self) -> list[tuple[str, list[str]]]:
        """What was sent, in short: the id of a response and its error or the text of an event, and to whom."""
        return [
            (
                f"{m.response.request_id} {m.response.error}".strip()
                if m.HasField("response")
                else m.event.error.message,
                to,
            )
            for m, to in self.sent
        ]


class Reader:
    """The reader of a byte stream."""

    def __init__(self, chunks, size: int) -> None:
        self.info = SimpleNamespace(size=size, attributes={})
        self.chunks = asyncio.Queue()
        for chunk in chunks:
            self.chunks.put_nowait(chunk)
        if chunks:
            self.chunks.put_nowait(None)
        self.is_closed = False

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self.is_closed else await self.chunks.get()
        if isinstance(chunk, Exception):
            raise chunk
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        self.is_closed = True
        self.chunks.put_nowait(None)


@pytest.fixture
async def room():
    return StandIn()


@pytest.fixture
async def host(room):
    transport = RoomSessionTransport(room)
    await transport.start()
    yield transport
    await transport.close()
    assert room.handler is None


def event(text: str) -> pb.AgentSessionMessage:
    return pb.AgentSessionMessage(event=pb.AgentSessionEvent(error=pb.AgentSessionEvent.Error(message=text)))


def pong(request: pb.AgentSessionMessage) -> pb.AgentSessionMessage:
    return pb.AgentSessionMessage(response=pb.SessionResponse(request_id=request.request.request_id, pong={}))


async def next_of(transport) -> pb.AgentSessionMessage:
    return await asyncio.wait_for(anext(transport), 10)


async def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


# ---- who is there ----------------------------------------------------------------------------------------------------


async def test_a_permission_event_may_come_before_its_participant(room, host):
    boss = room.person("boss")
    room.emit("participant_permissions_changed", boss, boss.permissions)
    room.ask("boss")
    room.people["boss"] = boss
    room.emit("participant_connected", boss)
    await host.send_message(pong(await next_of(host)))
    assert room.texts() == [("r1", ["boss"])]


async def test_a_permission_counts_that_no_event_has_told_of(room, host):
    boss = room.join("boss", grant=False)
    room.ask("boss", "denied")
    await until(lambda: room.texts() == [("denied permission_denied", ["boss"])])
    boss.permissions.can_manage_agent_session = True
    room.ask("boss")
    await host.send_message(pong(await next_of(host)))
    assert room.texts()[1:] == [("r1", ["boss"])]


@pytest.mark.parametrize("grant", [None, 1, "yes"])
async def test_only_true_is_a_grant(room, host, grant):
    room.join("boss", grant=grant)
    room.ask("boss")
    await until(lambda: room.texts() == [("r1 permission_denied", ["boss"])])


@pytest.mark.parametrize("ticks", range(6))
async def test_an_agent_is_found_whenever_it_comes(room, ticks):
    remote = RemoteSession.from_room(room, timeout=60)
    starting = asyncio.ensure_future(remote.start())
    for _ in range(ticks):
        await asyncio.sleep(0)
    room.join("agent", kind=AGENT)
    await asyncio.wait_for(starting, 10)
    await remote.aclose()


async def test_participants_that_were_there_before_get_events(room):
    room.people["boss"] = room.person("boss")
    room.people["guest"] = room.person("guest", grant=False)
    transport = RoomSessionTransport(room)
    await transport.start()
    # Another has come without an event.
    room.people["late"] = room.person("late")
    await transport.send_message(event("hello"))
    assert [(text, sorted(to)) for text, to in room.texts()] == [("hello", ["boss", "late"])]
    await transport.close()


async def test_who_has_rejoined_meanwhile_is_somebody_else(room, host):
    room.join("boss", "PA_1")
    room.ask("boss")
    request = await next_of(host)
    # The room knows it, and nobody has told.
    room.people["boss"] = room.person("boss", "PA_2")
    await host.send_message(pong(request))
    await host.send_message(event("secret"))
    assert room.sent == []


async def test_a_room_that_connects_anew_keeps_nothing_of_before(room, host):
    room.join("boss", "PA_1")
    room.ask("boss")
    request = await next_of(host)
    room.state = rtc.ConnectionState.CONN_RECONNECTING
    room.leave("boss")
    room.join("boss", "PA_2")
    room.state = rtc.ConnectionState.CONN_CONNECTED
    room.emit("reconnected")
    await host.send_message(pong(request))
    assert room.sent == []
    room.ask("boss", "r2")
    await host.send_message(pong(await next_of(host)))
    assert room.texts() == [("r2", ["boss"])]


# ---- out -------------------------------------------------------------------------------------------------------------


async def test_a_send_that_fails_raises_and_the_next_goes_on(room, host):
    room.join("boss")
    room.send_error = ConnectionError("no way")
    with pytest.raises(greenroom.IoError, match="no way"):
        await host.send_message(event("lost"))
    room.send_error = None
    await host.send_message(event("found"))
    assert room.texts() == [("found", ["boss"])]


async def test_a_room_that_disconnects_fails_the_send_under_way_and_loses_the_rest(room, host):
    room.join("boss")
    room.send_gate.clear()
    sends = [asyncio.ensure_future(host.send_message(event(text))) for text in ("first", "second")]
    await until(lambda: room.sends == 1)
    room.state = rtc.ConnectionState.CONN_DISCONNECTED
    room.people.clear()
    room.emit("disconnected", 0)
    with pytest.raises(greenroom.IoError, match="disconnected"):
        await sends[0]
    await sends[1]
    assert room.sent == []


async def test_a_room_that_disconnects_just_as_a_send_begins_fails_it(room, host):
    room.join("boss")
    room.send_gate.clear()

    def disconnect() -> None:
        assert room.sends == 1
        room.state = rtc.ConnectionState.CONN_DISCONNECTED
        room.people.clear()
        room.emit("disconnected", 0)

    sending = asyncio.ensure_future(host.send_message(event("lost")))
    # The loop comes to it right after the step that begins to send.
    asyncio.get_running_loop().call_soon(disconnect)
    with pytest.raises(greenroom.IoError, match="disconnected"):
        await sending
    assert room.sent == []


async def test_what_may_leave_is_decided_when_it_leaves(room, host):
    boss = room.join("boss")
    room.join("other")
    room.ask("boss")
    request = await next_of(host)
    room.send_gate.clear()
    sends = [asyncio.ensure_future(host.send_message(message)) for message in (event("1"), event("2"), pong(request))]
    await until(lambda: room.sends == 1)
    boss.permissions.can_manage_agent_session = False
    room.emit("participant_permissions_changed", boss, boss.permissions)
    room.send_gate.set()
    await asyncio.gather(*sends)
    # The first was on its way already.
    assert [(text, sorted(to)) for text, to in room.texts()] == [
        ("1", ["boss", "other"]),
        ("2", ["other"]),
        ("r1 permission_denied", ["boss"]),
    ]


async def test_a_send_that_is_not_awaited_any_more_is_sent_all_the_same(room, host):
    room.join("boss")
    room.send_gate.clear()
    sending = asyncio.ensure_future(host.send_message(event("1")))
    await asyncio.sleep(0)
    sending.cancel()
    room.send_gate.set()
    await host.send_message(event("2"))
    assert [text for text, _ in room.texts()] == ["1", "2"]


async def test_a_long_message_that_the_sdk_cannot_address_is_sent_with_a_warning(room, host):
    room.join("boss")
    with pytest.warns(RuntimeWarning, match="everyone in the room gets its bytes"):
        await host.send_message(event("x" * 20_000))
    await host.send_message(event("x" * 10_000))
    assert [len(text) for text, _ in room.texts()] == [20_000, 10_000]


# ---- in --------------------------------------------------------------------------------------------------------------


async def test_a_stream_that_breaks_off_delivers_nothing(room, host):
    room.join("boss")
    room.stream("boss", b"\x22\x09\x0a", rtc.StreamError("gone"))
    room.ask("boss", "whole")
    await host.send_message(pong(await next_of(host)))
    assert room.texts() == [("whole", ["boss"])]


async def test_a_stream_over_the_cap_is_closed_and_read_no_further(room, host):
    room.join("boss")
    reader = room.stream("boss", b"\x22\x80\x80\x80\x01\x0a\x03big", *[bytes(200_000)] * 20)
    await until(lambda: reader.is_closed)
    assert reader.chunks.qsize() > 10
    await until(lambda: len(room.sent) == 1)
    assert room.sent[0][0].response.request_id == "big"
    assert room.sent[0][0].response.error


async def test_a_stalled_stream_delays_nobody_and_order_is_kept(room, host):
    room.join("boss")
    room.join("other")
    stalled = room.stream("boss")
    room.ask("boss", "after")
    room.ask("other", "meanwhile")
    await host.send_message(pong(await next_of(host)))
    assert room.texts() == [("meanwhile", ["other"])]
    request = pb.SessionRequest(request_id="first", ping=pb.SessionRequest.Ping())
    stalled.chunks.put_nowait(pb.AgentSessionMessage(request=request).SerializeToString())
    stalled.chunks.put_nowait(None)
    for _ in range(2):
        await host.send_message(pong(await next_of(host)))
    assert [text for text, _ in room.texts()] == ["meanwhile", "first", "after"]


async def test_closing_closes_the_readers_and_answers_what_waits(room):
    transport = RoomSessionTransport(room)
    await transport.start()
    room.join("boss")
    room.ask("boss", "waits")
    await next_of(transport)
    reader = room.stream("boss")
    await transport.close()
    assert reader.is_closed
    await until(lambda: bool(room.sent))
    assert room.sent[0][0].response.request_id == "waits"
    assert room.sent[0][0].response.error
    assert room.handler is None


# ---- the controller's side -------------------------------------------------------------------------------------------


async def test_a_controller_that_loses_its_room_for_a_while_says_so(room):
    room.join("agent", kind=AGENT, grant=None)
    transport = RoomSessionTransport(room, "agent")
    await transport.start()
    reading = asyncio.ensure_future(anext(transport, None))
    await asyncio.sleep(0)
    room.state = rtc.ConnectionState.CONN_RECONNECTING
    room.leave("agent")
    assert await reading is None
    assert transport.ending.reason == "room_disconnected"
    with pytest.raises(greenroom.AgentGone, match="connection to the room was lost"):
        await transport.send_message(event("x"))
    await transport.close()


async def test_an_avatar_s_worker_is_no_agent_of_its_own(room):
    room.join("agent", kind=AGENT, grant=None)
    room.people["avatar"] = room.person("avatar", kind=AGENT)
    room.people["avatar"].attributes["lk.publish_on_behalf"] = "agent"
    with pytest.raises(greenroom.SessionTimeout, match="the agent is in the room but did not answer a ping"):
        await greenroom.attach(room, timeout=0.1)
    assert {identity for _, to in room.texts() for identity in to} == {"agent"}
    assert room.handler is None


# ---- what it leaves --------------------------------------------------------------------------------------------------


async def test_a_room_that_nobody_holds_is_collected_with_all_that_stands_on_it():
    room = StandIn()
    greenroom.gate(room)
    await RoomSessionTransport(room).start()
    # A request that nobody takes has a deadline, minutes away.
    room.join("boss")
    room.ask("boss")
    gone = weakref.ref(room)
    del room
    # What was begun on the loop comes to its end first.
    await until(lambda: gc.collect() >= 0 and gone() is None)


# ---- what it relies on -----------------------------------------------------------------------------------------------


def test_the_installed_sdk_has_what_the_rooms_rely_on():
    """All of it is public, and takes what it is given."""

    def takes(function, *names):
        parameters = inspect.signature(function).parameters
        kinds = {parameter.kind for parameter in parameters.values()}
        assert set(names) <= set(parameters) or inspect.Parameter.VAR_KEYWORD in kinds, function

    takes(rtc.Room.register_byte_stream_handler, "topic", "handler")
    takes(rtc.Room.unregister_byte_stream_handler, "topic")
    takes(rtc.Room.on, "event", "callback")
    takes(rtc.Room.off, "event", "callback")
    assert inspect.iscoroutinefunction(rtc.Room.connect)
    assert callable(rtc.Room.isconnected)
    for name in ("remote_participants", "local_participant", "connection_state"):
        assert isinstance(inspect.getattr_static(rtc.Room, name), property)
    for name in ("sid", "identity", "kind", "attributes", "permissions"):
        assert isinstance(inspect.getattr_static(rtc.RemoteParticipant, name), property)
    fields = rtc.participant.proto_participant.ParticipantPermission.DESCRIPTOR.fields_by_name
    assert {"can_manage_agent_session", "hidden"} <= set(fields)
    takes(rtc.LocalParticipant.send_bytes, "data", "topic", "name", "destination_identities", "attributes")
    takes(rtc.LocalParticipant.stream_bytes, "name", "topic", "destination_identities", "total_size")
    takes(rtc.LocalParticipant.send_file, "file_path", "topic", "destination_identities")
    for function in ("send_bytes", "stream_bytes", "send_file"):
        assert inspect.iscoroutinefunction(getattr(rtc.LocalParticipant, function))
    public = {name for name in dir(rtc.ByteStreamReader) if not name.startswith("_")}
    # Our reader has no less.
    assert public == {"info", "close", "aclose"}
    public = {name for name in dir(rtc.ByteStreamWriter) if not name.startswith("_")}
    assert public == {"info", "write", "aclose"}
    takes(rtc.ByteStreamInfo, "stream_id", "mime_type", "topic", "timestamp", "size", "attributes", "name")
    assert rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    assert rtc.ConnectionState.CONN_CONNECTED
    _livekit.check_sdk()


def test_the_installed_sdk_has_the_private_parts_that_long_messages_rely_on():
    """Without them everybody in the room gets the bytes of long messages, with a warning."""
    from livekit.rtc._ffi_client import FfiClient
    from livekit.rtc._proto.ffi_pb2 import FfiEvent, FfiRequest

    assert "_ffi_handle" in inspect.getsource(rtc.LocalParticipant.send_bytes)
    assert "instance" in vars(FfiClient)
    for name in ("send_stream_header", "send_stream_chunk", "send_stream_trailer"):
        call = FfiRequest.DESCRIPTOR.fields_by_name[name].message_type.fields_by_name
        assert {"local_participant_handle", "destination_identities", "sender_identity"} <= set(call)
        assert {"async_id", "error"} <= set(FfiEvent.DESCRIPTOR.fields_by_name[name].message_type.fields_by_name)


def test_the_sdk_s_host_is_made_of_what_the_adapters_rely_on():
    from livekit.agents import AgentSession, JobContext, get_job_context
    from livekit.agents.voice.remote_session import TOPIC_SESSION_MESSAGES, SessionHost, SessionTransport

    from greenroom._room import TOPIC
    from greenroom.livekit._host import _Routed, _ThroughRoom

    assert TOPIC == TOPIC_SESSION_MESSAGES
    assert list(inspect.signature(SessionHost).parameters) == ["transport", "audio_input", "audio_output"]
    for ours in (_Routed, RoomSessionTransport):
        assert set(SessionTransport.__abstractmethods__) <= set(dir(ours))
    assert {"send_message", "__aiter__"} <= set(dir(_ThroughRoom))
    assert "session_host" in inspect.signature(AgentSession.start).parameters
    assert "required" in inspect.signature(get_job_context).parameters
    assert callable(JobContext.add_shutdown_callback)
    # A message of an event begins with what the gate takes for one.
    assert event("x").SerializeToString()[:1] == b"\x1a"
    assert SendMessageOptions().destination_identity is None
