"""A session with a scripted agent: what it promises whatever the agent does."""

import asyncio
import gc
import os
import signal
import time
import warnings
from pathlib import Path

import pytest

import greenroom

# ---- turns and questions ---------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_a_turn_has_the_reply_and_its_times_in_seconds(start_peer, gone):
    async with start_peer() as session:
        pid = session.status().pid
        turn = await session.say("hello")
        assert (turn.number, turn.text, turn.reply) == (1, "hello", "echo: hello")
        assert not turn.silent
        assert not turn.interrupted
        assert turn.error is None
        assert 0 < turn.reply_delay <= turn.duration < 10
        assert [type(event) for event in turn.events] == [greenroom.MessageEvent]
    gone(pid)


async def test_a_session_that_is_awaited_is_closed_by_its_user(start_peer, gone):
    session = await start_peer()
    pid = session.status().pid
    assert (await session.say("hello")).reply == "echo: hello"
    await session.close()
    await session.close()
    gone(pid)


async def test_ending_a_session_that_was_started_is_closing_it(start_peer, gone):
    session = await start_peer()
    pid = session.status().pid
    await session.end()
    gone(pid)
    await session.end()
    with pytest.raises(greenroom.SessionClosed):
        await session.ping()


async def test_every_question_has_a_typed_answer(start_peer):
    async with start_peer() as session:
        await session.say("hello")
        history = await session.history()
        assert [(item.role, item.text) for item in history] == [("user", "hello"), ("assistant", "echo: hello")]
        assert all(isinstance(item, greenroom.Message) for item in history)
        assert await session.agent_info() == greenroom.AgentInfo(
            id="peer", instructions="be scripted", tools=("a",), context=()
        )
        state = await session.session_state()
        assert (state.agent_state, state.agent_id) == ("listening", "peer")
        assert await session.usage() == []
        assert await session.rtc_stats() == greenroom.RtcStats(publisher=(), subscriber=())
        assert await session.framework_info() == greenroom.FrameworkInfo(sdk="peer", sdk_version="0")
        assert (await session.finalize_simulation(True, "fine")).missing
        await session.update_io(output_audio=False)
        await session.ping()
        status = session.status()
        assert (status.state, status.turns, status.kind) == ("ready", 1, "python")
        assert status.uptime > 0


async def test_a_greeting_is_told_at_the_start(start_peer):
    async with start_peer("greet") as session:
        assert [event.text for event in session.started.events if event.type == "message"] == ["welcome"]
        assert session.started.framework == greenroom.FrameworkInfo(sdk="peer", sdk_version="0")


async def test_an_agent_that_fails_a_turn_is_told_not_raised(start_peer):
    async with start_peer() as session:
        turn = await session.say("fail")
        assert turn.error == "failed on purpose"
        assert (await session.say("hello")).reply == "echo: hello"


@pytest.mark.both_loops
async def test_turns_that_are_said_at_once_go_one_at_a_time(start_peer):
    async with start_peer() as session:
        first, second = await asyncio.gather(session.say("slow 0.3"), session.say("second"))
        assert (first.number, first.reply) == (1, "echo: slow 0.3")
        assert (second.number, second.reply) == (2, "echo: second")
        assert second.queued >= 0.25
        assert not first.interrupted
        assert not second.interrupted


@pytest.mark.both_loops
async def test_a_history_over_the_sdk_s_cap_arrives(start_peer):
    async with start_peer() as session:
        for _ in range(3):
            assert len((await session.say("big 400000")).reply) == 400_000
        history = await session.history()
        assert [len(item.text) for item in history if item.role == "assistant"] == [400_000] * 3


async def test_an_answer_past_all_caps_is_an_error_and_the_session_lives(start_peer):
    async with start_peer() as session:
        with pytest.raises(greenroom.TooLarge, match="17825"):
            await session.say("oversize")
        assert (await session.say("hello")).reply == "echo: hello"


async def test_garbage_is_one_event_and_the_session_lives(start_peer):
    async with start_peer() as session:
        events = session.events(from_now=True)
        assert (await session.say("garbage")).reply == "still here"
        seen = [await anext(events) for _ in range(3)]
        assert any(isinstance(event, greenroom.ErrorEvent) for event in seen)


# ---- giving up -------------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_a_deadline_raises_a_timeout_and_the_session_stays_usable(start_peer):
    async with start_peer() as session:
        with pytest.raises(greenroom.SessionTimeout) as caught:
            await session.say("hang", timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.code == "timeout"
        assert (await session.say("hello")).reply == "echo: hello"


async def give_up(session, text):
    """Says something and cancels it once the turn has begun."""
    turn = asyncio.create_task(session.say(text))
    while not session.status().turn_in_progress:
        await asyncio.sleep(0.01)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn


async def late_turn(events):
    return await anext(event async for event in events if isinstance(event, greenroom.LateTurnEvent))


@pytest.mark.both_loops
async def test_a_cancelled_turn_makes_way_for_the_next(start_peer):
    async with start_peer() as session:
        events = session.events(from_now=True)
        await give_up(session, "slow 4")
        turn = await session.say("hello")
        assert turn.reply == "echo: hello"
        assert turn.duration < 3.5
        assert (await asyncio.wait_for(late_turn(events), 10)).text == "slow 4"


async def test_the_answer_to_a_cancelled_turn_is_kept(start_peer):
    async with start_peer() as session:
        events = session.events(from_now=True)
        await give_up(session, "slow 2")
        late = await asyncio.wait_for(late_turn(events), 10)
        assert (late.text, late.reply, late.late) == ("slow 2", "echo: slow 2", True)
        turn = await session.say("hello")
        assert [(event.text, event.earlier, event.late) for event in turn.events] == [
            ("echo: slow 2", True, True),
            ("echo: hello", False, False),
        ]


async def test_wait_for_cancels_the_call_and_not_the_session(start_peer):
    async with start_peer() as session:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.say("hang"), 0.2)
        assert not session.status().turn_in_progress
        assert (await session.say("hello")).reply == "echo: hello"


@pytest.mark.both_loops
async def test_a_start_that_is_cancelled_ends_its_agent(start_peer, peer_python, gone):
    opening = start_peer("never")
    task = asyncio.ensure_future(opening.__aenter__())
    while opening._session is None or opening._session.status().pid is None:
        await asyncio.sleep(0.01)
    pid = opening._session.status().pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gone(pid)


@pytest.mark.both_loops
@pytest.mark.parametrize("steps", range(6))
async def test_a_start_that_is_cancelled_early_leaves_nothing(start_peer, steps):
    before = threads()
    task = asyncio.create_task(start_peer()._open())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    # The session's thread ends once its agent is gone.
    deadline = time.monotonic() + 15
    while threads() > before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def threads():
    return len(os.listdir("/proc/self/task"))


# ---- events ----------------------------------------------------------------------------------------------------------


async def all_of(events):
    return [event async for event in events]


async def test_events_come_in_order_to_every_reader_and_end_with_the_session(start_peer):
    async with start_peer("greet") as session:
        first, second = session.events(), session.events()
        from_now = session.events(from_now=True)
        await session.say("hello")
    read = [await all_of(events) for events in (first, second, from_now)]
    assert read[0] == read[1]
    assert [event.seq for event in read[0]] == list(range(1, len(read[0]) + 1))
    assert read[0][0].text == "welcome"
    assert read[2] == read[0][-len(read[2]) :]
    assert [event.text for event in read[2] if event.type == "message"] == ["hello", "echo: hello"]
    assert isinstance(read[0][-1], greenroom.ClosedEvent)
    assert read[0][-1].reason == "closed"


@pytest.mark.both_loops
async def test_a_reader_that_waits_is_woken(start_peer):
    async with start_peer() as session:
        events = session.events(from_now=True)

        async def replies():
            async for event in events:
                match event:
                    case greenroom.MessageEvent(role="assistant", text=text):
                        yield text

        reading = replies()
        waiting = asyncio.ensure_future(anext(reading))
        await session.say("one")
        assert await asyncio.wait_for(waiting, 10) == "echo: one"
        await reading.aclose()


async def test_ten_thousand_events_between_reads_are_all_there(start_peer):
    async with start_peer() as session:
        assert (await session.say("flood 10000")).reply == "flooded"
        events = session.events()
        states = 0
        async for event in events:
            states += event.type == "state"
            if event.type == "message" and event.role == "assistant":
                break
        assert states == 10_000


async def test_a_reader_that_was_left_behind_is_told_how_much_it_missed(start_peer):
    async with start_peer() as session:
        events = session.events()
        await session.say("flood 20000")
        gap = await anext(events)
        assert isinstance(gap, greenroom.GapEvent)
        first = await anext(events)
        assert gap.dropped == first.seq - 1


# ---- the agent fails -------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_an_agent_that_dies_in_a_turn_fails_it_at_once(start_peer, gone):
    async with start_peer() as session:
        pid = session.status().pid
        with pytest.raises(greenroom.AgentGone):
            await session.say("die", timeout=20)
        assert isinstance(session.closed, greenroom.AgentGone)
        with pytest.raises(greenroom.AgentGone):
            await session.say("hello")
    gone(pid)


async def test_an_agent_that_is_killed_fails_every_call_that_waits(start_peer, gone):
    async with start_peer() as session:
        pid = session.status().pid
        calls = [asyncio.create_task(session.say("hang")) for _ in range(3)]
        while not session.status().turn_in_progress:
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, greenroom.AgentGone)
        last = [event async for event in session.events()][-1]
        assert (last.type, last.reason) in [("closed", "agent_exited"), ("closed", "agent_disconnected")]
    gone(pid)


@pytest.mark.parametrize("word", ["hangup", "truncated", "absurd"])
async def test_a_broken_link_fails_the_turn_at_once(start_peer, gone, word):
    async with start_peer() as session:
        pid = session.status().pid
        with pytest.raises((greenroom.AgentGone, greenroom.ProtocolError)):
            await session.say(word, timeout=20)
    gone(pid)


async def test_an_agent_that_never_connects_is_a_timeout(start_peer):
    begun = time.monotonic()
    with pytest.raises(greenroom.GreenroomError) as caught:
        await start_peer("never", timeout=1.5)
    assert caught.value.code in ("timeout", "agent_failed_to_start")
    assert time.monotonic() - begun < 30


async def test_an_agent_that_connects_and_says_nothing_is_a_timeout(start_peer):
    begun = time.monotonic()
    with pytest.raises(greenroom.SessionTimeout, match="ping"):
        await start_peer("mute", timeout=10)
    assert time.monotonic() - begun < 40


async def test_an_agent_that_crashes_at_the_start_is_told_with_its_last_words(start_peer):
    with pytest.raises(greenroom.AgentFailedToStart) as caught:
        await start_peer("crash")
    assert "crash on purpose" in caught.value.detail
    assert "crash on purpose" in str(caught.value)


# ---- bad arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"entry": "missing.py"}, greenroom.EntryNotFound),
        ({"entry": "."}, greenroom.EntryNotFound),
        ({"entry": "notes.txt"}, greenroom.NotAnAgent),
        ({"python": "no-such-python"}, greenroom.InterpreterNotFound),
        ({"timeout": -1}, greenroom.InvalidArgument),
        ({"timeout": 0}, greenroom.InvalidArgument),
        ({"timeout": float("nan")}, greenroom.InvalidArgument),
        ({"timeout": float("inf")}, greenroom.InvalidArgument),
        ({"timeout": 1e30}, greenroom.InvalidArgument),
        ({"idle_timeout": "5s"}, greenroom.InvalidArgument),
        ({"port": 70000}, greenroom.InvalidArgument),
        ({"env": {"PEER": 1}}, greenroom.InvalidArgument),
        ({"args": [1]}, greenroom.InvalidArgument),
        ({"entry": None, "node": "node"}, greenroom.InvalidArgument),
    ],
)
async def test_a_bad_start_names_what_is_wrong(peer_options, tmp_path, arguments, error):
    (tmp_path / "notes.txt").write_text("no agent")
    options = peer_options() | {"cwd": tmp_path} | arguments
    with pytest.raises(error) as caught:
        await greenroom.start(**options)
    assert any(name in str(caught.value) or str(value) in str(caught.value) for name, value in arguments.items())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", greenroom.InvalidArgument),
        ("  \n", greenroom.InvalidArgument),
        ("x" * (2 << 20), greenroom.TooLarge),
        ("\ud800", greenroom.InvalidArgument),
        (5, greenroom.InvalidArgument),
    ],
)
async def test_a_bad_text_is_refused_and_the_session_lives(start_peer, text, error):
    async with start_peer() as session:
        with pytest.raises(error):
            await session.say(text)
        assert (await session.say("hello")).reply == "echo: hello"


async def test_a_port_that_is_taken_is_named(start_peer):
    async with start_peer() as session:
        with pytest.raises(greenroom.GreenroomError, match=str(session.status().port)):
            await start_peer(port=session.status().port)


# ---- the end ---------------------------------------------------------------------------------------------------------


async def test_a_close_that_nobody_waits_for_goes_on(start_peer, gone):
    session = await start_peer()
    pid = session.status().pid
    closing = asyncio.create_task(session.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gone(pid)
    await session.close()


@pytest.mark.both_loops
async def test_closing_fails_what_is_pending_and_every_later_call(start_peer):
    session = await start_peer()
    pending = asyncio.create_task(session.say("hang"))
    while not session.status().turn_in_progress:
        await asyncio.sleep(0.01)
    await asyncio.gather(session.close(), session.close())
    with pytest.raises(greenroom.SessionClosed):
        await pending
    with pytest.raises(greenroom.SessionClosed):
        await session.ping()
    assert isinstance(session.closed, greenroom.SessionClosed)
    assert session.status().state == "closed"


async def test_a_temporary_log_goes_with_the_session_and_a_named_one_stays(start_peer, tmp_path):
    async with start_peer() as session:
        temporary = Path(session.status().log_path)
        assert temporary.is_file()
    assert not temporary.exists()
    kept = tmp_path / "agent.log"
    async with start_peer(log=kept):
        pass
    assert "the peer is connected" in kept.read_text()


async def test_a_session_ends_by_itself_when_it_is_idle(start_peer, gone):
    async with start_peer(idle_timeout=0.5) as session:
        pid = session.status().pid
        last = [event async for event in session.events()][-1]
        assert (last.type, last.reason) == ("closed", "idle")
    gone(pid)


def collect(holder):
    holder.clear()
    gc.collect()


def test_start_whose_event_loop_is_closed_ends_without_an_error(start_peer, gone):
    async def agent_of(opening):
        while opening._session is None or opening._session.status().pid is None:
            await asyncio.sleep(0.01)
        return opening._session.status().pid

    opening = start_peer("mute")
    loop = asyncio.new_event_loop()
    starting = loop.create_task(opening._open())
    pid = loop.run_until_complete(asyncio.wait_for(agent_of(opening), 30))
    starting._log_destroy_pending = False
    loop.close()
    holder = [starting]
    del starting, opening
    # An error in a coroutine that is collected would fail the test, see pytest.ini.
    collect(holder)
    gone(pid)


@pytest.mark.both_loops
async def test_a_session_that_nobody_closes_ends_when_it_is_collected(start_peer, gone):
    session = await start_peer()
    pid = session.status().pid
    holder = [session]
    del session
    with pytest.warns(ResourceWarning, match="never closed"):
        collect(holder)
    gone(pid)


def test_a_loop_that_is_closed_with_its_session_open_leaves_nothing(start_peer, gone):
    kept = []

    async def main():
        kept.append(await start_peer())
        await kept[0].say("hello")

    asyncio.run(main())
    pid = kept[0].status().pid
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        collect(kept)
    gone(pid)


def test_a_session_of_another_loop_is_refused(start_peer):
    loop = asyncio.new_event_loop()
    session = loop.run_until_complete(start_peer().__aenter__())
    try:

        async def use():
            with pytest.raises(greenroom.InvalidArgument, match="another event loop"):
                await session.ping()

        asyncio.run(use())
    finally:
        loop.run_until_complete(session.close())
        loop.close()


async def test_ten_sessions_at_once(start_peer, gone):
    openings = [start_peer() for _ in range(10)]
    sessions = await asyncio.gather(*openings)
    pids = [session.status().pid for session in sessions]
    turns = await asyncio.gather(*(session.say(f"number {n}") for n, session in enumerate(sessions)))
    assert [turn.reply for turn in turns] == [f"echo: number {n}" for n in range(len(sessions))]
    await asyncio.gather(*(session.close() for session in sessions))
    for pid in pids:
        gone(pid)
