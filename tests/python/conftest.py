"""What the conversations with real agents share."""

import os
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(params=["python/agent.py", "node/agent.mjs"], ids=["python", "node"])
def agent(request: pytest.FixtureRequest) -> Path:
    """An example agent's file, one of each SDK."""
    path: Path = EXAMPLES / request.param
    return path


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remembers how the run went, for the end of the process."""
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the process, be it a worker of xdist's or not, without taking the interpreter down, once all is reported.

    Threads of the SDK's native library (livekit 1.1.21) may still call into Python then, and now and then abort the
    process: "thread caused non-unwinding panic". Tests of how processes of ours end start processes of their own.
    """
    if "livekit.rtc" in sys.modules and STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[STATUS])


STATUS = pytest.StashKey[int]()
