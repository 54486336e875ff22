"""The matrix of tests/gate_cases.json: what everybody in a room gets, with a real agent behind each of our guards."""

import asyncio
from collections.abc import Mapping

import pytest

from .support.cases import CASES, Case, Outcome, Unplayable, play
from .support.server import Server

# The first test waits for all cases, each of which has a deadline of its own.
pytestmark = pytest.mark.timeout(600)
# Cases at a time: they wait for each other's processor time, not for each other.
_AT_A_TIME = 8
# How long one may take, in seconds.
_DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def outcomes(server: Server, request: pytest.FixtureRequest) -> Mapping[str, Outcome | Exception]:
    """What came of each case that is to be run. They are played at the same time, each in a room of its own."""
    wanted = {item.callspec.id for item in request.session.items if item.path == request.path and item.callspec}
    return asyncio.run(play_all(server, [case for case in CASES if str(case) in wanted]))


async def play_all(server: Server, cases: list[Case]) -> Mapping[str, Outcome | Exception]:
    turns = asyncio.Semaphore(_AT_A_TIME)

    async def play_one(case: Case) -> Outcome | Exception:
        async with turns:
            try:
                return await asyncio.wait_for(play(server, case), _DEADLINE_S)
            except Exception as error:
                return error

    return dict(zip(map(str, cases), await asyncio.gather(*map(play_one, cases)), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_everybody_receives_what_the_matrix_says(outcomes: Mapping[str, Outcome | Exception], case: Case) -> None:
    outcome = outcomes[str(case)]
    if isinstance(outcome, Unplayable):
        pytest.skip(str(outcome))
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome.received == outcome.expected
    assert outcome.overheard == []
    assert outcome.turns == outcome.expected_turns
