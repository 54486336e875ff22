"""A guarded agent as people run theirs: as a worker of a server that dispatches jobs to it, and from a terminal."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenroom

from .support.agents import GUARDS, Wire
from .support.server import KEY, SECRET
from .support.venue import Venue, until

AGENT = Path(__file__).parent / "support" / "guarded_agent.py"

pytestmark = pytest.mark.parametrize("guard", GUARDS)


@pytest.fixture
def short_tmp() -> Iterator[str]:
    """A folder for what a worker that is killed leaves, sockets among it, whose paths must be short."""
    with tempfile.TemporaryDirectory(prefix="greenroom-") as folder:
        yield folder


async def test_a_worker_s_job_is_guarded(venue: Venue, guard: str, tmp_path: Path, short_tmp: str, gone) -> None:
    credentials = {"LIVEKIT_URL": venue.server.url, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, str(AGENT), "start"],
            env={**os.environ, **credentials, "GUARD": guard, "TMPDIR": short_tmp},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        # A room's job goes to the workers that are there when it begins.
        await until("the worker is there", lambda: "registered worker" in log.read_text(errors="replace"), 60)
        room = await venue.connect("boss", grant=True)
        guest = Wire(await venue.connect("guest"))
        async with greenroom.attach(room, timeout=40) as session:
            identity = next(who for who in room.remote_participants if who != "guest")
            assert (await session.say("weather")).reply == "The tool said: Sunny in Tokyo"
            assert (await guest.ask("r1", "get_chat_history", to=identity)).error == "permission_denied"
            assert guest.events == []
            await venue.delete()
            last = [event async for event in session.events()][-1]
            assert last.reason in ("agent_left", "room_disconnected")
    except BaseException:
        print(log.read_text(errors="replace")[-4000:])
        raise
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        gone(worker.pid)
    assert "Traceback" not in log.read_text(errors="replace")


async def test_from_a_terminal_there_is_no_room_and_nothing_to_guard(guard: str) -> None:
    env = {"GUARD": guard, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    async with greenroom.start(AGENT, python=sys.executable, env=env) as session:
        assert (await session.say("hi")).reply == "echo: hi"
