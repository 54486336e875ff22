"""What all Python suites share: the check that nothing outlives a session."""

import os
import time
from collections.abc import Callable, Iterator

import pytest


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
