"""Agents of the released SDKs that end or misbehave, through the installed package."""

import asyncio
import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import greenroom

ROOT = Path(__file__).parents[2]

# What an end may take until it is reported, as is promised, and a tenth more.
AT_ONCE = 1.1


@pytest.fixture(params=["py", "mjs"], ids=["python", "node"])
def faulty(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The agent of `tests/agents` in a project of its own, one of each SDK."""
    return copied(f"faulty.{request.param}", tmp_path)


@pytest.fixture
def python_faulty(tmp_path: Path) -> Path:
    return copied("faulty.py", tmp_path)


def copied(name: str, folder: Path) -> Path:
    file = Path(shutil.copy(ROOT / "tests" / "agents" / name, folder))
    if file.suffix == ".mjs":
        (folder / "node_modules").symlink_to(ROOT / "examples" / "node" / "node_modules")
    return file


async def all_events(session: greenroom.Session) -> list[Any]:
    return [event async for event in session.events()]


def seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def types_of(events: list[Any]) -> list[str]:
    return [event.type for event in events]


@pytest.mark.parametrize("text", ["tool job shutdown", "tool session shutdown", "end call"])
async def test_agent_that_hangs_up_gives_its_turn_and_its_history(faulty: Path, gone: Callable[..., None], text: str):
    moment = faulty.parent / "moment"
    async with greenroom.start(faulty, env={"MOMENT": str(moment)}, timeout=90) as session:
        pid = session.status().pid
        turn = await session.say(text)
        assert turn.error is None
        assert turn.tool_calls[0].name == text.removeprefix("tool ").replace(" ", "_")
        events = await asyncio.wait_for(all_events(session), 30)
        (over,) = [event for event in events if event.type == "session_closed"]
        assert over.error is None
        closed = events[-1]
        assert (closed.type, closed.reason) == ("closed", "agent_ended")
        assert seconds(closed.time) - float(moment.read_text()) < AT_ONCE
        history = await session.history()
        assert any(item.type == "message" and item.text == text for item in history)
        assert any(item.type == "tool_call" for item in history)
        with pytest.raises(greenroom.AgentGone):
            await session.say("hello")
        assert session.status().state == "closed"
    gone(pid)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tool sys exit", "SystemExit: a tool exits"),
        ("tool stop loop", "event loop has ended"),
        ("tool os exit", "exit status: 7"),
    ],
)
async def test_end_of_a_python_agent_is_reported_within_a_second(python_faulty: Path, text: str, words: str):
    await ends_within_a_second(python_faulty, text, words)


async def test_end_of_a_node_agent_is_reported_within_a_second(tmp_path: Path):
    await ends_within_a_second(copied("faulty.mjs", tmp_path), "tool process exit", "exit status: 7")


async def ends_within_a_second(agent: Path, text: str, words: str) -> None:
    moment = agent.parent / "moment"
    async with greenroom.start(agent, env={"MOMENT": str(moment)}, timeout=90) as session:
        with pytest.raises(greenroom.AgentGone, match=words):
            await session.say(text)
        closed = (await asyncio.wait_for(all_events(session), 30))[-1]
        assert (closed.type, closed.reason) == ("closed", "agent_exited")
        assert seconds(closed.time) - float(moment.read_text()) < AT_ONCE


async def test_blocked_loop_is_reported_within_five_seconds(faulty: Path):
    async with greenroom.start(faulty, timeout=90) as session:
        turn = await session.say("tool block for a while")
        first, last = (event for event in turn.events if event.type == "agent_unresponsive")
        assert (first.recovered, last.recovered) == (False, True)
        assert first.silent <= 5.5
        assert "awake again" in turn.reply


async def test_odd_results_of_tools_leave_the_session_whole(python_faulty: Path):
    async with greenroom.start(python_faulty, timeout=90) as session:
        turn = await session.say("tool surrogate")
        assert turn.tool_calls[0].output == "ok \ufffd"
        for text in ("tool keyboard interrupt", "tool base exception"):
            assert (await session.say(text)).tool_calls[0].is_error
        turn = await session.say("two tools")
        slow, fast = turn.tool_calls
        assert (slow.name, fast.name) == ("slow_tool", "fast_tool")
        assert slow.output_at is not None
        assert fast.output_at is not None
        assert slow.output_at > fast.output_at
        history = [item for item in await session.history() if item.type == "tool_call"]
        assert [item.name for item in history[-2:]] == ["slow_tool", "fast_tool"]
        assert history[0].output == "ok \ufffd"


async def test_big_item_is_cut_and_the_rest_of_the_history_arrives(faulty: Path):
    async with greenroom.start(faulty, timeout=90) as session:
        await session.say("big 20000000")
        await session.say("last")
        history = await session.history()
        big = next(item for item in history if item.type == "message" and item.cut_bytes)
        assert big.cut_bytes > 19_900_000
        assert history[-1].text == "echo: last"


async def test_stand_in_is_what_the_agent_reads(python_faulty: Path):
    async with greenroom.start(
        python_faulty,
        participant={"name": "Ada", "metadata": '{"tier": "gold"}', "attributes": {"sip.phoneNumber": "+15550100"}},
        room={"name": "lobby"},
        job_metadata="from the dispatch",
        timeout=90,
    ) as session:
        turn = await session.say("tool read participant")
        known = "mock_user|Ada|{\"tier\": \"gold\"}|{'sip.phoneNumber': '+15550100'}|lobby|from the dispatch"
        assert known in turn.reply


async def test_stand_in_that_was_not_given_is_named_by_its_argument(python_faulty: Path):
    async with greenroom.start(python_faulty, timeout=90) as session:
        turn = await session.say("tool read metadata")
        assert "not MagicMock" in str(turn.tool_calls[0])


@pytest.mark.parametrize(
    ("how", "words"), [("return", "returned without starting a session"), ("shutdown", "was shut down before")]
)
async def test_start_that_never_makes_a_session_fails_at_once(faulty: Path, how: str, words: str):
    # Far below the deadline of the start.
    starting = greenroom.start(faulty, env={"START": how}, timeout=300)
    with pytest.raises(greenroom.AgentFailedToStart, match=words):
        await asyncio.wait_for(starting, 120)


def test_blocking_session_tells_of_a_hang_up(python_faulty: Path):
    with greenroom.sync.start(python_faulty, timeout=90) as session:
        assert session.say("tool session shutdown").error is None
        events = list(session.events())
        assert "session_closed" in types_of(events)
        assert events[-1].reason == "agent_ended"
        assert session.history()
