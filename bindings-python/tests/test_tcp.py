"""`greenroom.livekit.TcpSessionTransport`: framing, caps, and that it is never deaf in silence."""

import asyncio
import struct

import pytest
from livekit.agents.voice import remote_session as sdk
from livekit.protocol.agent_pb import agent_session as pb

import greenroom
from greenroom.livekit import RemoteSession, SessionHost, TcpSessionTransport

MIB = 1 << 20


class Broker:
    """The other end: takes one connection."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    def on_connection(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer
        self.connected.set()

    def frame(self, data: bytes) -> None:
        self.writer.write(struct.pack(">I", len(data)) + data)

    async def read(self) -> pb.AgentSessionMessage:
        (length,) = struct.unpack(">I", await self.reader.readexactly(4))
        return pb.AgentSessionMessage.FromString(await self.reader.readexactly(length))


@pytest.fixture
async def broker():
    broker = Broker()
    broker.server = await asyncio.start_server(broker.on_connection, "127.0.0.1", 0)
    broker.port = broker.server.sockets[0].getsockname()[1]
    yield broker
    broker.server.close()
    if broker.connected.is_set():
        broker.writer.close()


@pytest.fixture
async def transport(broker):
    transport = TcpSessionTransport("127.0.0.1", broker.port)
    await transport.start()
    await broker.connected.wait()
    yield transport
    await transport.close()


def said(text: str, request_id: str = "r") -> pb.AgentSessionMessage:
    request = pb.SessionRequest(request_id=request_id, run_input=pb.SessionRequest.RunInput(text=text))
    return pb.AgentSessionMessage(request=request)


def of_size(size: int) -> bytes:
    """A request of exactly this many bytes."""
    text = size - 64
    while (short := size - said("x" * text).ByteSize()) != 0:
        text += short
    return said("x" * text).SerializeToString()


async def test_messages_arrive_as_they_were_sent(broker, transport):
    await transport.send_message(said("out"))
    assert (await broker.read()).request.run_input.text == "out"
    broker.frame(said("in").SerializeToString())
    assert (await anext(transport)).request.run_input.text == "in"
    broker.frame(b"")
    assert (await anext(transport)).WhichOneof("message") is None
    received = []
    for byte in struct.pack(">I", 5) + b"\x22\x03\x0a\x01a":
        broker.writer.write(bytes([byte]))
        await broker.writer.drain()
    received.append(await anext(transport.incoming()))
    assert (received[0].message.request.request_id, received[0].sender_identity) == ("a", None)


async def test_messages_of_many_senders_are_not_mixed_up(broker, transport):
    texts = [str(number) * 100_000 for number in range(10)]
    sends = asyncio.gather(*(transport.send_message(said(text)) for text in texts))
    assert [(await broker.read()).request.run_input.text for _ in texts] == texts
    await sends


@pytest.mark.parametrize("size", [MIB, MIB + 1, 16 * MIB])
async def test_messages_up_to_the_cap_arrive(broker, transport, size):
    broker.frame(of_size(size))
    assert (await anext(transport)).ByteSize() == size


async def test_a_request_over_the_cap_is_answered_and_the_rest_goes_on(broker, transport):
    broker.frame(of_size(16 * MIB + 1))
    broker.frame(said("next").SerializeToString())
    assert (await anext(transport)).request.run_input.text == "next"
    response = (await broker.read()).response
    assert response.request_id == "r"
    assert "16777217" in response.error
    assert "16777216" in response.error


async def test_a_response_over_the_cap_fails_its_call_and_the_session_lives_on(broker, transport):
    remote = RemoteSession(transport)
    await remote.start()
    history = asyncio.ensure_future(remote.get_chat_history())
    request = (await broker.read()).request
    response = pb.SessionResponse(request_id=request.request_id, error="x" * (17 * MIB))
    broker.frame(pb.AgentSessionMessage(response=response).SerializeToString())
    with pytest.raises(greenroom.TooLarge, match="16777216"):
        await history
    info = asyncio.ensure_future(remote.get_framework_info())
    request = (await broker.read()).request
    answer = pb.SessionResponse(request_id=request.request_id, get_framework_info={"sdk": "peer"})
    broker.frame(pb.AgentSessionMessage(response=answer).SerializeToString())
    assert (await info).sdk == "peer"
    await remote.aclose()


async def test_an_event_over_the_cap_is_skipped_with_a_warning(broker, transport, caplog):
    broker.frame(b"\x1a" + bytes(16 * MIB))
    broker.frame(said("next").SerializeToString())
    assert (await anext(transport)).request.run_input.text == "next"
    assert "16777217 bytes was skipped" in caplog.text


async def test_garbage_is_skipped_with_a_warning(broker, transport, caplog):
    broker.frame(b"\xff\xff\xff")
    broker.frame(said("next").SerializeToString())
    assert (await anext(transport)).request.run_input.text == "next"
    assert "was skipped" in caplog.text


@pytest.mark.parametrize("header", [b"\x04\x00\x00\x01", b"LKCP", b"\xff\xff\xff\xff"])
async def test_a_length_that_is_absurd_ends_the_link_with_the_reason(broker, transport, header):
    broker.writer.write(header)
    assert [message async for message in transport] == []
    assert transport.ending.reason == "protocol_error"
    assert str(int.from_bytes(header, "big")) in transport.ending.message
    with pytest.raises(greenroom.IoError, match="over what can be skipped"):
        await transport.send_message(said("too late"))
    assert await broker.reader.read() == b""


@pytest.mark.parametrize("parting", [b"", b"\x00\x00", b"\x00\x00\x00\x10half", b"\x02\x00\x00\x00\x22\x01"])
async def test_a_peer_that_goes_away_ends_the_link_with_the_reason(broker, transport, parting):
    remote = RemoteSession(transport)
    endings = []
    remote.on("closed", endings.append)
    await remote.start()
    pending = asyncio.ensure_future(remote.run("hi"))
    await broker.read()
    broker.writer.write(parting)
    broker.writer.close()
    with pytest.raises(greenroom.AgentGone, match="closed the connection"):
        await pending
    assert [ending.reason for ending in endings] == ["agent_disconnected"]
    with pytest.raises(greenroom.AgentGone):
        await remote.run("hi")
    await remote.aclose()


async def test_closing_ends_whoever_reads_and_refuses_whoever_sends(broker, transport):
    reading = asyncio.ensure_future(anext(transport, None))
    await asyncio.sleep(0)
    await transport.close()
    await transport.close()
    assert await reading is None
    with pytest.raises(greenroom.SessionClosed):
        await transport.send_message(said("too late"))
    assert await broker.reader.read() == b""


async def test_where_nobody_listens_is_an_error(broker):
    broker.server.close()
    await broker.server.wait_closed()
    with pytest.raises(greenroom.IoError, match=f"127.0.0.1:{broker.port}"):
        await TcpSessionTransport("127.0.0.1", broker.port).start()
    with pytest.raises(greenroom.InvalidArgument):
        await TcpSessionTransport("127.0.0.1", 70_000).start()
    with pytest.raises(greenroom.SessionClosed):
        await TcpSessionTransport("127.0.0.1", 1).send_message(said("too early"))


@pytest.mark.parametrize("host_class", [SessionHost, sdk.SessionHost])
@pytest.mark.parametrize("remote_class", [RemoteSession, sdk.RemoteSession])
async def test_hosts_and_remote_sessions_of_both_sides_talk_over_it(agent_session, host_class, remote_class):
    """Both sides are clients, as in the SDKs; the broker between them passes the bytes on."""
    sides = []
    both = asyncio.Event()
    pipes = []

    async def pipe(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    def on_connection(reader, writer):
        sides.append((reader, writer))
        if len(sides) == 2:
            pipes.extend(asyncio.ensure_future(pipe(sides[n][0], sides[1 - n][1])) for n in (0, 1))
            both.set()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    host = host_class(TcpSessionTransport("127.0.0.1", port))
    host.register_session(agent_session)
    await host.start()
    remote = remote_class(TcpSessionTransport("127.0.0.1", port))
    await remote.start()
    await both.wait()
    try:
        await remote.wait_for_ready()
        assert (await remote.get_agent_info()).instructions == "be brief"
        with pytest.raises((greenroom.AgentError, RuntimeError), match="empty run_input text"):
            await remote.run("")
    finally:
        await remote.aclose()
        await host.aclose()
        await asyncio.gather(*pipes)
        server.close()


@pytest.fixture
async def agent_session():
    from livekit.agents import Agent, AgentSession

    session = AgentSession(user_away_timeout=None)
    await session.start(Agent(instructions="be brief"))
    yield session
    await session.aclose()
