"""The server of the tests: it honours the grant, and nobody but the tests can reach it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from .support.server import Server
from .support.venue import Venue, holds_grant, until


@pytest.mark.parametrize(("grant", "shown"), [(True, True), (False, False), (None, False)])
async def test_a_grant_in_the_token_shows_to_all(venue: Venue, grant: bool | None, shown: bool) -> None:
    alice = await venue.connect("alice", grant=grant)
    bob = await venue.connect("bob")
    await venue.gather(alice, bob)
    assert holds_grant(bob, "alice") is shown
    assert holds_grant(alice, "alice") is shown
    assert not holds_grant(alice, "bob")


async def test_a_grant_that_the_server_gives_and_takes_shows_to_all(venue: Venue) -> None:
    alice = await venue.connect("alice")
    bob = await venue.connect("bob")
    await venue.gather(alice, bob)
    for grant in (True, False):
        await venue.set_grant("alice", grant)
        for room in (alice, bob):
            await until(f"the grant is {grant}", lambda room=room, grant=grant: holds_grant(room, "alice") is grant)
        assert bob.remote_participants["alice"].permissions.can_publish_data


def test_it_listens_on_loopback_only(server: Server) -> None:
    sockets = psutil.Process(server.pid).net_connections()
    assert {one.type for one in sockets} == {socket.SOCK_STREAM, socket.SOCK_DGRAM}
    assert {one.laddr.ip for one in sockets} <= {"127.0.0.1", "::1"}


def test_it_ends_with_whoever_started_it(tmp_path: Path, gone: Callable[[int | None], None]) -> None:
    folder = Path(__file__).parents[1]
    code = f"""
import os, pathlib, signal
from rooms.support.server import Server
print(Server(pathlib.Path({str(tmp_path)!r})).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    gone(int(done.stdout))


def test_it_is_started_again_on_the_same_port(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        first = server.url
        server.stop()
        server.start()
        assert server.url == first
    finally:
        server.stop()
