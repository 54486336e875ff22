"""`greenroom.livekit.RemoteSession` over a transport in memory: calls, events, the end."""

import asyncio

import pytest
from livekit.protocol.agent_pb import agent_session as pb

import greenroom
from greenroom.livekit import IncomingMessage, RemoteSession, SessionTransport


class Memory(SessionTransport):
    """A transport whose other end is the test; `answers` says what becomes of each request that is sent."""

    def __init__(self, answer=None) -> None:
        self.inbox: asyncio.Queue[IncomingMessage | None] = asyncio.Queue()
        self.sent: list[pb.SessionRequest] = []
        self.answer = answer or (lambda request: None)
        self.problem: Exception | None = None

    def feed(self, **message) -> None:
        self.inbox.put_nowait(IncomingMessage(pb.AgentSessionMessage(**message)))

    async def start(self) -> None:
        pass

    async def send_message(self, msg, options=None) -> None:
        self.sent.append(msg.request)
        if self.problem is not None:
            raise self.problem
        if (response := self.answer(msg.request)) is not None:
            response.request_id = msg.request.request_id
            self.feed(response=response)

    async def receive(self):
        return await self.inbox.get()

    async def close(self) -> None:
        self.inbox.put_nowait(None)


def pong(_: pb.SessionRequest) -> pb.SessionResponse:
    return pb.SessionResponse(pong=pb.SessionResponse.Pong())


@pytest.fixture
async def transport():
    return Memory()


@pytest.fixture
async def remote(transport):
    remote = RemoteSession(transport)
    await remote.start()
    yield remote
    await remote.aclose()


def event(**fields) -> dict:
    return {"event": pb.AgentSessionEvent(**fields)}


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_answers_find_their_calls_in_any_order(transport, remote):
    calls = [asyncio.ensure_future(call()) for call in (remote.get_agent_info, remote.get_framework_info)]
    await settled()
    info, framework = transport.sent
    assert info.request_id != framework.request_id
    transport.feed(response=pb.SessionResponse(request_id="somebody else's"))
    answer = pb.SessionResponse.GetFrameworkInfoResponse(sdk="peer")
    transport.feed(response=pb.SessionResponse(request_id=framework.request_id, get_framework_info=answer))
    transport.feed(response=pb.SessionResponse(request_id=info.request_id, get_agent_info={"id": "it"}))
    assert ((await calls[0]).id, (await calls[1]).sdk) == ("it", "peer")


async def test_requests_say_what_was_meant_and_no_more(transport, remote):
    transport.answer = lambda request: pb.SessionResponse()
    await remote.run("hi")
    await remote.update_io(input_audio_enabled=False, output_transcription_enabled=True)
    await remote.update_io()
    await remote.finalize_simulation(provisional_success=True, provisional_reason="fine")
    run, io, nothing, simulation = transport.sent
    assert run.run_input.text == "hi"
    assert io.update_io.input.HasField("audio_enabled")
    assert not io.update_io.input.HasField("video_enabled")
    assert io.update_io.output.transcription_enabled
    assert nothing.WhichOneof("request") == "update_io"
    assert not nothing.update_io.HasField("input")
    assert simulation.finalize_simulation.provisional_reason == "fine"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("it failed", greenroom.AgentError),
        ("permission_denied", greenroom.PermissionDenied),
        ("unsupported request", greenroom.Unsupported),
        ("too_large: the message is 9 bytes long", greenroom.TooLarge),
    ],
)
async def test_an_answer_that_is_an_error_is_one(transport, remote, words, error):
    transport.answer = lambda request: pb.SessionResponse(error=words)
    with pytest.raises(error):
        await remote.get_chat_history()


async def test_a_send_that_fails_is_the_call_s_failure(transport, remote):
    transport.problem = ConnectionError("no way")
    with pytest.raises(ConnectionError, match="no way"):
        await remote.get_chat_history()


async def test_waiting_for_ready_goes_on_through_a_transport_that_is_not_up(transport, remote):
    transport.problem = RuntimeError("not up yet")
    waiting = asyncio.ensure_future(remote.wait_for_ready(timeout=30, retry_interval=0.01))
    while len(transport.sent) < 3:
        await asyncio.sleep(0)
    transport.problem = None
    sent = len(transport.sent)
    while len(transport.sent) < sent + 2:
        await asyncio.sleep(0)
    transport.answer = pong
    await waiting


async def test_and_tells_what_was_wrong_past_its_deadline(transport, remote):
    with pytest.raises(greenroom.SessionTimeout, match=r"within 0\.05 s"):
        await remote.wait_for_ready(timeout=0.05, retry_interval=0.01)
    transport.problem = RuntimeError("never up")
    with pytest.raises(RuntimeError, match="never up"):
        await remote.wait_for_ready(timeout=0.05, retry_interval=0.01)
    transport.problem, transport.answer = None, lambda request: pb.SessionResponse(error="permission_denied")
    with pytest.raises(greenroom.PermissionDenied):
        await remote.wait_for_ready(timeout=30)


async def test_events_come_whole_under_their_names_and_in_order(transport, remote):
    got = []
    remote.on("error", lambda event: got.append(event.error.message))
    remote.on("agent_state_changed", lambda event: got.append(event.WhichOneof("event")))
    transport.feed(**event(error={"message": "one"}))
    transport.feed(**event(agent_state_changed={}))
    transport.feed(**event())
    transport.feed(**event(error={"message": "two"}))
    await settled()
    assert got == ["one", "agent_state_changed", "two"]


async def test_callbacks_come_and_go_and_their_failures_are_their_own(transport, remote, caplog):
    got = []
    once = remote.once("error", lambda _: got.append("once"))
    assert callable(once)

    @remote.on("error")
    def fails(_):
        raise ValueError("a defect of the callback")

    @remote.on("error")
    def stays(_):
        got.append("stays")

    for _ in range(2):
        transport.feed(**event(error={"message": "x"}))
    await settled()
    remote.off("error", stays)
    transport.feed(**event(error={"message": "x"}))
    await settled()
    assert got == ["once", "stays", "stays"]
    assert "a defect of the callback" in caplog.text
    with pytest.raises(greenroom.InvalidArgument, match="async"):
        remote.on("error", settled)


async def test_the_end_of_the_transport_fails_what_is_pending_and_is_told_once(transport, remote):
    endings = []
    remote.on("closed", endings.append)
    pending = asyncio.ensure_future(remote.get_chat_history())
    await settled()
    transport.inbox.put_nowait(None)
    with pytest.raises(greenroom.AgentGone):
        await pending
    with pytest.raises(greenroom.AgentGone):
        await remote.run("hi")
    await remote.aclose()
    assert [ending.reason for ending in endings] == ["agent_disconnected"]


async def test_a_transport_that_fails_ends_the_session(transport, remote, monkeypatch):
    endings = []
    remote.on("closed", endings.append)
    monkeypatch.setattr(transport, "receive", None)
    transport.feed(**event(error={"message": "the last"}))
    await settled()
    assert [ending.reason for ending in endings] == ["protocol_error"]


async def test_closing_fails_what_is_pending(transport, remote):
    endings = []
    remote.on("closed", endings.append)
    pending = asyncio.ensure_future(remote.get_chat_history())
    await settled()
    await remote.aclose()
    with pytest.raises(greenroom.SessionClosed):
        await pending
    assert [ending.reason for ending in endings] == ["closed"]
    with pytest.raises(greenroom.SessionClosed):
        await remote.start()
