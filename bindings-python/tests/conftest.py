"""What the tests of the Python package share: the scripted peer."""

import asyncio
import sys
from collections.abc import Callable
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
