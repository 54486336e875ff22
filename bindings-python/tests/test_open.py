"""A session that the command left running."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import greenroom

COMMAND = Path(sys.executable).with_name("greenroom")


@pytest.fixture
def command(monkeypatch, tmp_path_factory):
    """Runs the installed command with a state folder of its own, and ends its sessions after the test."""
    monkeypatch.setenv("GREENROOM_HOME", str(tmp_path_factory.mktemp("home")))
    names = []

    def run(*arguments, check=True):
        if arguments[0] == "start":
            names.append(arguments[arguments.index("--name") + 1])
        return subprocess.run(
            [COMMAND, *map(str, arguments)], check=check, capture_output=True, text=True, timeout=60
        ).stdout

    yield run
    for name in names:
        run("end", "--name", name, check=False)


@pytest.fixture
def daemon(command, peer_options):
    """The name of a session with the scripted peer that the command started."""
    options = peer_options()
    command("start", options["entry"], "--name", "shop", "--python", options["python"])
    return "shop"


async def test_a_session_is_shared_with_the_command(daemon, command):
    async with greenroom.open(daemon) as session:
        assert (await session.say("hello")).reply == "echo: hello"
        assert "echo: over there" in command("say", "--name", daemon, "over there")
        history = await session.history()
        assert [item.text for item in history] == ["hello", "echo: hello", "over there", "echo: over there"]
        status = session.status()
        assert (status.state, status.kind) == ("ready", "python")
        assert status.pid is not None
        events = session.events()
        seen = [await asyncio.wait_for(anext(events), 10) for _ in range(4)]
        assert [event.text for event in seen if event.type == "message"] == [item.text for item in history]


async def test_closing_lets_go_and_the_session_goes_on(daemon, command):
    for number in range(2):
        async with greenroom.open(daemon) as session:
            assert (await session.say(f"visit {number}")).number == number + 1
        with pytest.raises(greenroom.SessionClosed):
            await session.ping()
    assert "echo: third" in command("say", "--name", daemon, "third")


async def test_ending_ends_the_session_of_the_daemon_and_its_agent(daemon, command, gone):
    session = await greenroom.open(daemon)
    other = await greenroom.open(daemon)
    pending = asyncio.create_task(other.say("hang"))
    agent = session.status().pid
    await asyncio.gather(session.end(), session.end())
    gone(agent)
    with pytest.raises(greenroom.GreenroomError):
        await asyncio.wait_for(pending, 20)
    with pytest.raises(greenroom.GreenroomError):
        await session.ping()
    with pytest.raises(greenroom.NoSession):
        await greenroom.open(daemon)
    # It is over already, also for who did not end it.
    await session.end()
    await other.end()


async def test_what_was_let_go_of_cannot_be_ended(daemon, command):
    session = await greenroom.open(daemon)
    await session.close()
    with pytest.raises(greenroom.SessionClosed, match="let go of"):
        await session.end()
    assert "echo: still there" in command("say", "--name", daemon, "still there")


async def test_the_end_of_the_session_is_told_at_once(daemon, command):
    async with greenroom.open(daemon) as session:
        pending = asyncio.create_task(session.say("hang"))
        await session.ping()
        await asyncio.to_thread(command, "end", "--name", daemon)
        with pytest.raises(greenroom.GreenroomError) as caught:
            await asyncio.wait_for(pending, 20)
        assert caught.value.code in ("session_closed", "agent_gone", "no_session")
        last = [event async for event in session.events()][-1]
        assert last.type == "closed"


async def test_a_cancelled_turn_leaves_the_session_usable(daemon):
    async with greenroom.open(daemon) as session:
        with pytest.raises(greenroom.SessionTimeout):
            await session.say("hang", timeout=0.3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.say("hang"), 0.3)
        assert (await session.say("hello")).reply == "echo: hello"


def test_the_synchronous_face(daemon):
    with greenroom.sync.open(daemon) as session:
        assert session.say("hello").reply == "echo: hello"
    with pytest.raises(greenroom.SessionClosed, match="let go of"):
        session.end()
    session = greenroom.sync.open(daemon)
    session.end()
    session.end()
    with pytest.raises(greenroom.NoSession):
        greenroom.sync.open(daemon)


async def test_a_name_that_is_not_live_is_told(command):
    with pytest.raises(greenroom.NoSession, match="there-is-none"):
        await greenroom.open("there-is-none")


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 400])
async def test_a_name_that_can_be_none_is_refused(command, name):
    with pytest.raises(greenroom.InvalidArgument, match="name"):
        await greenroom.open(name)
