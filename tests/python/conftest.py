"""What the conversations with real agents share."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(params=["python/agent.py", "node/agent.mjs"], ids=["python", "node"])
def agent(request: pytest.FixtureRequest) -> Path:
    """An example agent's file, one of each SDK."""
    path: Path = EXAMPLES / request.param
    return path
