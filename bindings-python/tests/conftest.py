"""What the tests of the Python package share: the scripted peer, and the check that nothing outlives a session."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

import greenroom

PEER = Path(__file__).parent / "peer.py"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_loops: runs on asyncio's own event loop and on uvloop")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.get_closest_marker("both_loops"):
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture
def peer_python(tmp_path: Path) -> Path:
    """A program that stands in for a Python interpreter and is the scripted peer."""
    program = tmp_path / "peer-python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PEER}" "$@"\n')
    program.chmod(0o755)
    return program


@pytest.fixture
def peer_options(peer_python: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The arguments of `start` for the scripted peer; `mode` says how it behaves at the start."""
    entry = tmp_path / "agent.py"
    entry.write_text("# The scripted peer stands for this file.\n")

    def options(mode: str = "normal", **others: Any) -> dict[str, Any]:
        return {"entry": entry, "python": peer_python, "env": {"PEER": mode}, "timeout": 30.0, **others}

    return options


@pytest.fixture
def start_peer(peer_options: Callable[..., dict[str, Any]]) -> Callable[..., greenroom.Opening]:
    """`greenroom.start` with the scripted peer."""
    return lambda mode="normal", **others: greenroom.start(**peer_options(mode, **others))


@pytest.fixture
def gone() -> Iterator[Callable[[int | None], None]]:
    """Checks that a process and its group are gone, or go within seconds; what is left is killed after the test."""
    seen: list[int] = []

    def check(pid: int | None) -> None:
        assert pid is not None
        seen.append(pid)
        deadline = time.monotonic() + 15
        while is_there(pid):
            assert time.monotonic() < deadline, f"process group {pid} outlives its session"
            time.sleep(0.02)

    yield check
    for pid in seen:
        if is_there(pid):
            os.killpg(pid, 9)


def is_there(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True
