"""An agent of the released SDK in this very process."""

import asyncio
import importlib.metadata
import importlib.util
import inspect
import os
import socket
import threading
from pathlib import Path

import pytest

import greenroom
from greenroom import _livekit

EXAMPLE = Path(__file__).parents[2] / "examples" / "python" / "agent.py"


@pytest.fixture(scope="module")
def shop():
    """The example agent as a module."""
    spec = importlib.util.spec_from_file_location("shop", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def agent_session(shop):
    """The example agent, started without a room."""
    session = _livekit._session_class()(llm=shop.ScriptedLLM(), user_away_timeout=None)
    await session.start(shop.Barista())
    yield session
    await session.aclose()


async def test_a_whole_conversation(agent_session):
    async with greenroom.in_process(agent_session) as session:
        assert session.started.framework.sdk == "python"
        assert (await session.say("hi")).reply == "echo: hi"
        turn = await session.say("weather")
        assert [event.type for event in turn.events] == ["tool_call", "message"]
        assert turn.events[0].output == "Sunny in Tokyo"
        assert (await session.say("boom")).events[0].is_error
        assert (await session.say("silent")).silent
        turn = await session.say("handoff")
        assert turn.reply == "Billing here, how can I help?"
        assert (await session.agent_info()).instructions == "You are the cashier of a coffee shop."
        messages = [item.text for item in await session.history() if item.type == "message"]
        assert messages[:2] == ["hi", "echo: hi"]
        assert (await session.session_state()).agent_state == "listening"
        await session.usage()
        await session.rtc_stats()
        await session.ping()
        assert (await session.finalize_simulation(True, "fine")).missing
        status = session.status()
        assert (status.state, status.turns, status.pid) == ("ready", 5, os.getpid())


async def test_session_in_process_opens_no_connection_and_starts_no_process(agent_session, monkeypatch):
    await asyncio.sleep(0)
    threads = threading.active_count()

    def refuse(*_):
        pytest.fail("no connection, process or Python thread is needed")

    for use in ("bind", "connect", "connect_ex", "listen"):
        monkeypatch.setattr(socket.socket, use, refuse)
    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    async with greenroom.in_process(agent_session) as session:
        assert (await session.say("hi")).reply == "echo: hi"
        assert threading.active_count() <= threads


async def test_closing_leaves_the_agent_to_its_owner(agent_session):
    for number in range(2):
        async with greenroom.in_process(agent_session) as session:
            assert (await session.say(f"round {number}")).reply == f"echo: round {number}"
        with pytest.raises(greenroom.SessionClosed):
            await session.say("hi")
    assert [event.type async for event in session.events()][-1] == "closed"
    session = await greenroom.in_process(agent_session)
    await session.end()
    await session.end()
    result = await agent_session.run(user_input="still there")
    assert result.events


async def test_the_end_of_the_agent_session_ends_the_session(agent_session):
    async with greenroom.in_process(agent_session) as session:
        turn = asyncio.create_task(session.say("slow"))
        while not session.status().turn_in_progress:
            await asyncio.sleep(0.01)
        await agent_session.aclose()
        outcome = (await asyncio.gather(turn, return_exceptions=True))[0]
        assert isinstance(outcome, greenroom.AgentGone) or outcome.error or outcome.interrupted or outcome.silent
        last = [event async for event in session.events()][-1]
        assert (last.type, last.reason) == ("closed", "agent_disconnected")
        with pytest.raises(greenroom.AgentGone, match="AgentSession closed"):
            await session.ping()


async def test_a_deadline_and_a_cancelled_turn_leave_the_session_usable(agent_session):
    async with greenroom.in_process(agent_session) as session:
        with pytest.raises(greenroom.SessionTimeout):
            await session.say("slow", timeout=0.2)
        assert (await session.say("hi")).reply == "echo: hi"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.say("slow"), 0.2)
        assert (await session.say("hi")).reply == "echo: hi"


async def test_messages_of_any_size_pass(agent_session):
    async with greenroom.in_process(agent_session) as session:
        for _ in range(3):
            assert len((await session.say("big")).reply) == 400_000
        assert sum(len(item.text) for item in await session.history() if item.type == "message") > 1_200_000


async def test_a_greeting_before_the_link_is_told(shop, monkeypatch):
    monkeypatch.setenv("GREET", "1")
    agent_session = _livekit._session_class()(llm=shop.ScriptedLLM(), user_away_timeout=None)
    # There is no TTS: with audio on, `say` would be refused.
    agent_session.output.set_audio_enabled(False)
    await agent_session.start(shop.Barista())
    try:
        async with greenroom.in_process(agent_session) as session:
            turn = await session.say("hi")
            told = [*session.started.events, *turn.events]
            assert len([event for event in told if event.type == "message" and "Welcome" in event.text]) == 1
    finally:
        await agent_session.aclose()


# ---- what it needs ---------------------------------------------------------------------------------------------------


async def test_an_agent_session_that_is_not_started_is_refused(shop):
    with pytest.raises(greenroom.InvalidArgument, match="start"):
        await greenroom.in_process(_livekit._session_class()(llm=shop.ScriptedLLM(), user_away_timeout=None))


async def test_anything_else_is_refused():
    with pytest.raises(greenroom.InvalidArgument, match=r"livekit\.agents\.(Agent|Live)Session"):
        await greenroom.in_process(object())


@pytest.mark.parametrize(
    ("version", "error", "words"),
    [
        (None, greenroom.SdkMissing, r'pip install "greenroom\[livekit\]"'),
        (
            "1.4.6",
            greenroom.SdkTooOld,
            r"livekit-agents 1\.4\.6 has no voice\.remote_session\.SessionHost, which 1\.5\.5 has",
        ),
        ("0.12.3", greenroom.SdkTooOld, r"0\.12\.3 .*pip install -U livekit-agents"),
        ("3.0.0", greenroom.Unsupported, r"livekit-agents 3\.0\.0 has no .*SessionHost.*upgrade|-U greenroom"),
    ],
)
async def test_sdk_that_lacks_the_session_host_is_named_with_the_fix(monkeypatch, version, error, words):
    from livekit.agents.voice import remote_session

    monkeypatch.delattr(remote_session, "SessionHost")
    pretend(monkeypatch, "livekit-agents", version)
    with pytest.raises(error, match=words):
        await greenroom.in_process(object())


async def test_sdk_of_any_number_is_used_if_it_has_what_is_needed(monkeypatch, agent_session):
    for version in ("1.6.0", "1.8.8", "3.0.0", "0.0.1"):
        pretend(monkeypatch, "livekit-agents", version)
        async with greenroom.in_process(agent_session) as session:
            assert (await session.say(version)).reply == f"echo: {version}"


async def test_the_alias_of_the_session_class_is_never_asked_for(monkeypatch, agent_session):
    """In 2.0 `AgentSession` is an alias of `LiveSession` that warns, and the next release has it no more."""
    from livekit.agents import voice

    real = _livekit._session_class()
    monkeypatch.setattr(voice, "LiveSession", real, raising=False)
    if "AgentSession" in vars(voice):
        monkeypatch.delattr(voice, "AgentSession")
    monkeypatch.setattr(voice, "__getattr__", no_such_name, raising=False)
    async with greenroom.in_process(agent_session) as session:
        await session.ping()


def no_such_name(name):
    raise AttributeError(name)


def pretend(monkeypatch, package, version):
    """Have the metadata of a package say that this version is installed, or None."""
    real = importlib.metadata.version

    def installed(name):
        if name != package:
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)


def test_the_installed_sdk_has_what_the_adapter_relies_on():
    from livekit.agents.voice.events import CloseEvent
    from livekit.agents.voice.remote_session import SessionHost, SessionTransport
    from livekit.protocol.agent_pb import agent_session as pb

    _livekit.check_sdk()
    assert next(iter(inspect.signature(SessionHost).parameters)) == "transport"
    assert list(inspect.signature(SessionHost.register_session).parameters) == ["self", "session"]
    assert inspect.iscoroutinefunction(SessionHost.start)
    assert inspect.iscoroutinefunction(SessionHost.aclose)
    assert set(SessionTransport.__abstractmethods__) <= set(dir(_livekit._MemoryTransport))
    assert pb.AgentSessionMessage.DESCRIPTOR.fields_by_name["request"].number == 4
    assert "reason" in CloseEvent.model_fields
    assert isinstance(_livekit._session_class().current_agent, property)
