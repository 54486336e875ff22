"""Conversations with the example agents on the released SDKs, through the installed package."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

import greenroom


def types(turn: greenroom.Turn) -> list[str]:
    return [event.type for event in turn.events if not event.earlier]


async def test_a_whole_conversation(agent, gone):
    async with greenroom.start(agent) as session:
        pid = session.status().pid
        status = session.status()
        language = "python" if agent.suffix == ".py" else "node"
        assert (status.kind, status.entry) == (language, agent.name)
        assert session.started.framework == await session.framework_info()

        turn = await session.say("hi")
        assert (turn.reply, types(turn)) == ("echo: hi", ["message"])

        turn = await session.say("weather")
        (tool, message) = turn.events
        assert turn.tool_calls == (tool,)
        assert (tool.name, tool.is_error) == ("lookup_weather", False)
        assert "Sunny in Tokyo" in tool.output
        assert message.text == turn.reply == "The tool said: Sunny in Tokyo"

        turn = await session.say("boom")
        assert turn.events[0].is_error
        assert turn.reply == "The tool said: the espresso machine is broken"

        turn = await session.say("silent")
        assert turn.silent
        assert turn.error is None
        assert types(turn) == ["tool_call"]

        turn = await session.say("handoff")
        assert "handoff" in types(turn)
        assert turn.reply == "Billing here, how can I help?"
        assert (await session.agent_info()).instructions == "You are the cashier of a coffee shop."

        history = await session.history()
        assert [item.text for item in history if item.type == "message" and item.role == "user"] == [
            "hi",
            "weather",
            "boom",
            "silent",
            "handoff",
        ]
        state = await session.session_state()
        assert state.agent_state == "listening"
        assert state.options
        assert await session.rtc_stats() == greenroom.RtcStats(publisher=(), subscriber=())
        await session.usage()
    gone(pid)


async def test_failures_and_long_replies_leave_the_session_whole(agent):
    async with greenroom.start(agent) as session:
        turn = await session.say("fail", timeout=60)
        assert turn.error is not None
        assert not turn.silent
        # Together they are over the cap at which the SDKs' own readers break.
        for _ in range(3):
            assert len((await session.say("big")).reply) == 400_000
        messages = [item for item in await session.history() if item.type == "message"]
        assert [len(item.text) for item in messages if item.role == "assistant"] == [400_000] * 3


async def test_a_greeting_is_told_once(agent):
    async with greenroom.start(agent, env={"GREET": "1"}) as session:
        turn = await session.say("hi")
        told = [*session.started.events, *turn.events]
        greetings = [event for event in told if event.type == "message" and "Welcome" in event.text]
        assert len(greetings) == 1
        assert turn.reply == "echo: hi"


async def test_turns_do_not_disturb_each_other(agent):
    async with greenroom.start(agent) as session:
        turns = await asyncio.gather(*(session.say(text) for text in ("slow", "one", "two")))
        assert [turn.reply for turn in turns] == ["echo: slow", "echo: one", "echo: two"]
        assert not any(turn.interrupted for turn in turns)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.say("slow"), 0.5)
        assert (await session.say("hi")).reply == "echo: hi"


async def test_an_agent_that_is_killed_in_a_turn_fails_it_at_once(agent, gone, tmp_path: Path):
    # It cannot remove its own temporary folder.
    async with greenroom.start(agent, env={"TMPDIR": str(tmp_path)}) as session:
        pid = session.status().pid
        turn = asyncio.create_task(session.say("slow"))
        while not session.status().turn_in_progress:
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(greenroom.AgentGone):
            await asyncio.wait_for(turn, 10)
    gone(pid)


def test_the_synchronous_face(agent, gone):
    with greenroom.sync.start(agent) as session:
        pid = session.status().pid
        assert session.say("hi").reply == "echo: hi"
        assert session.say("weather").events[0].name == "lookup_weather"
    gone(pid)


async def test_a_syntax_error_is_told_with_the_log(tmp_path: Path):
    broken = tmp_path / "agent.py"
    broken.write_text("def (:\n")
    with pytest.raises(greenroom.GreenroomError) as caught:
        await greenroom.start(broken)
    assert caught.value.code in ("agent_failed_to_start", "not_an_agent")
    assert "SyntaxError" in str(caught.value)


async def test_a_file_without_an_agent_is_told(tmp_path: Path):
    empty = tmp_path / "agent.py"
    empty.write_text("print('no agent here')\n")
    with pytest.raises(greenroom.GreenroomError) as caught:
        await greenroom.start(empty)
    assert caught.value.code in ("agent_failed_to_start", "not_an_agent")
