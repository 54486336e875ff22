"""Under trio, by itself or through anyio: every asynchronous call names asyncio, at once, and leaves nothing behind."""

import asyncio
import os
import subprocess
import sys

import anyio
import pytest
import trio
from livekit import rtc

import greenroom
from greenroom import audio
from greenroom.livekit import RemoteSession, RoomSessionTransport, TcpSessionTransport, host

WORDS = r"need asyncio, .*runs under trio.*backend=\"asyncio\".*greenroom\.sync"


async def new_room():
    return rtc.Room()


# Made where the SDK makes one at all.
ROOM = asyncio.run(new_room())


async def enter(opening):
    async with opening:
        pass


# Every way to begin something asynchronous.
ENTRIES = {
    "start": lambda: enter(greenroom.start("agent.py")),
    "start, awaited": lambda: wait(greenroom.start("agent.py")),
    "open": lambda: enter(greenroom.open("default")),
    "join": lambda: enter(greenroom.join("ws://127.0.0.1:9", "token")),
    "attach": lambda: enter(greenroom.attach(ROOM)),
    "in_process": lambda: enter(greenroom.in_process(object())),
    "Room.connect": lambda: greenroom.Room.connect("ws://127.0.0.1:9", "token"),
    "audio.capture": lambda: enter(audio.capture("null")),
    "audio.playback": lambda: enter(audio.playback("null")),
    "audio.devices": lambda: audio.devices(),
    "livekit.host": lambda: host(object(), ROOM),
    "RemoteSession.start": lambda: RemoteSession.from_room(ROOM).start(),
    "RoomSessionTransport.start": lambda: RoomSessionTransport(ROOM).start(),
    "TcpSessionTransport.start": lambda: TcpSessionTransport("127.0.0.1", 9).start(),
    "gate": lambda: sync(greenroom.gate, ROOM),
}


async def wait(opening):
    await opening


async def sync(function, *arguments):
    function(*arguments)


@pytest.mark.parametrize("entry", ENTRIES)
def test_call_under_trio_names_asyncio_and_the_way_out(entry):
    with pytest.raises(greenroom.Unsupported, match=WORDS):
        trio.run(ENTRIES[entry])


def test_call_in_a_test_of_anyio_s_plugin_on_trio_names_asyncio(tmp_path):
    """In a process of its own: pytest-asyncio, which runs these tests, would take it over."""
    test = tmp_path / "test_agent.py"
    test.write_text(
        """
import greenroom, pytest

@pytest.fixture
def anyio_backend():
    return "trio"

@pytest.mark.anyio
async def test_agent():
    with pytest.raises(greenroom.Unsupported, match="asyncio"):
        async with greenroom.start("agent.py"):
            pass
"""
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run([*command, test], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_call_without_any_event_loop_names_asyncio_run():
    coroutine = greenroom.Room.connect("ws://127.0.0.1:9", "token")
    with pytest.raises(greenroom.Unsupported, match=r"no event loop of asyncio runs here.*asyncio\.run"):
        coroutine.send(None)


def test_sync_session_in_a_thread_works_under_trio(peer_options):
    async def main():
        session = await trio.to_thread.run_sync(lambda: greenroom.sync.start(**peer_options()))
        try:
            return (await trio.to_thread.run_sync(session.say, "hi")).reply
        finally:
            await trio.to_thread.run_sync(session.close)

    assert trio.run(main)


def test_session_works_under_anyio_on_asyncio(start_peer):
    async def main():
        async with start_peer() as session:
            return (await session.say("hi")).reply

    assert anyio.run(main, backend="asyncio")
