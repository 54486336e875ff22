"""The synchronous face."""

import asyncio
import gc
import inspect
import threading
import time

import pytest

import greenroom


@pytest.fixture
def start_sync(peer_options):
    return lambda mode="normal", **others: greenroom.sync.start(**peer_options(mode, **others))


def no_thread_stays():
    deadline = time.monotonic() + 10
    while threads():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "greenroom-sync"]


def test_a_conversation(start_sync, gone):
    with start_sync("greet") as session:
        pid = session.status().pid
        assert [event.text for event in session.started.events] == ["welcome"]
        assert session.say("hello").reply == "echo: hello"
        assert len(session.history()) == 3
        session.ping()
        session.update_io(output_audio=False)
        assert session.agent_info().id == "peer"
        assert session.session_state().agent_state == "listening"
        assert session.framework_info().sdk == "peer"
        assert session.usage() == []
        assert session.rtc_stats().publisher == ()
        assert session.finalize_simulation(True).missing
        assert session.closed is None
    assert isinstance(session.closed, greenroom.SessionClosed)
    gone(pid)
    assert threads() == []
    session.end()


def test_events_are_read_by_a_for_loop(start_sync):
    with start_sync() as session:
        events = session.events()
        session.say("hello")
        assert [next(events).text for _ in range(2)] == ["hello", "echo: hello"]
    assert [event.type for event in session.events()][-1] == "closed"


def test_it_works_where_an_event_loop_runs_already(start_sync):
    async def cell():
        with start_sync() as session:
            return session.say("hello").reply

    assert asyncio.run(cell()) == "echo: hello"


def test_several_threads_share_a_session(start_sync):
    with start_sync() as session:
        replies = []
        talkers = [
            threading.Thread(target=lambda n=n: replies.append(session.say(f"number {n}").reply)) for n in range(4)
        ]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join(30)
        assert sorted(replies) == [f"echo: number {n}" for n in range(4)]


def test_errors_are_those_of_the_asynchronous_face(start_sync):
    with start_sync() as session:
        with pytest.raises(greenroom.SessionTimeout):
            session.say("hang", timeout=0.2)
        assert session.say("hello").reply == "echo: hello"
    with pytest.raises(greenroom.SessionClosed):
        session.say("hello")
    session.close()


def test_a_session_that_nobody_closes_ends_when_it_is_collected(start_sync, gone):
    holder = [start_sync()]
    pid = holder[0].status().pid
    with pytest.warns(ResourceWarning, match="never closed"):
        collect(holder)
    gone(pid)
    no_thread_stays()


def collect(holder):
    holder.clear()
    gc.collect()


def test_a_call_that_comes_while_another_thread_closes_does_not_hang(start_sync):
    session = start_sync()
    outcomes = []

    def talk():
        try:
            while True:
                session.ping()
        except greenroom.GreenroomError as error:
            outcomes.append(error.code)

    talkers = [threading.Thread(target=talk, daemon=True) for _ in range(3)]
    for talker in talkers:
        talker.start()
    session.ping()
    session.close()
    for talker in talkers:
        talker.join(20)
    assert outcomes == ["session_closed"] * 3


def test_a_start_that_fails_leaves_no_thread(start_sync):
    with pytest.raises(greenroom.AgentFailedToStart):
        start_sync("crash")
    no_thread_stays()


def test_the_two_faces_have_the_same_methods_and_arguments():
    def face(cls):
        return {
            name: [(p.name, p.kind, p.default) for p in inspect.signature(member).parameters.values()]
            for name, member in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_")
        }

    asynchronous = face(greenroom.Session)
    del asynchronous["aclose"]
    assert face(greenroom.sync.Session) == asynchronous
    for name in ("start", "open"):
        parameters = inspect.signature(getattr(greenroom, name)).parameters
        assert inspect.signature(getattr(greenroom.sync, name)).parameters == parameters
