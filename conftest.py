"""What all Python suites share: the check that nothing outlives a session, and how their own
processes end."""

import os
import sys
import time
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def gone() -> Iterator[Callable[[int | None], None]]:
    """Checks that a process and its group are gone, or go within seconds; what is left is killed
    after the test."""
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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remembers how the run went, for the end of the process."""
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the process, be it a worker of xdist's or not, without taking the interpreter down, once
    all is reported.

    Threads of the SDK's native library (livekit 1.1.21) may still call into Python then, and now
    and then abort the process: "thread caused non-unwinding panic". Tests of how processes of ours
    end start processes of their own.
    """
    if "livekit.rtc" in sys.modules and STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[STATUS])


STATUS = pytest.StashKey[int]()
