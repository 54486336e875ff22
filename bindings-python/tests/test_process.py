"""What the process around a session does: forks, exits, is interrupted, is killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEAD = """
import asyncio, gc, json, os, signal, sys, threading, time
import greenroom
options = json.loads(sys.argv[1])
"""


@pytest.fixture
def script(peer_options: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Runs a script with the arguments of `start` in `options`."""

    def run(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", HEAD + textwrap.dedent(code), json.dumps(peer_options(), default=str)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONWARNINGS": ""},
        )

    return run


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out.splitlines(), err


def test_an_exit_without_close_leaves_no_agent_and_no_log(script, gone, tmp_path):
    code, out, err = finish(
        script("""
        async def main():
            global session
            session = await greenroom.start(**options)
            print(session.status().pid)
        asyncio.run(main())
        """)
    )
    assert code == 0, err
    gone(int(out[0]))
    assert list(tmp_path.glob("greenroom*")) == []


def test_an_exit_of_the_synchronous_face_without_close_leaves_nothing(script, gone, tmp_path):
    code, out, err = finish(
        script("""
        session = greenroom.sync.start(**options)
        print(session.status().pid)
        """)
    )
    assert code == 0, err
    gone(int(out[0]))
    assert list(tmp_path.glob("greenroom*")) == []


def test_an_unhandled_error_ends_the_agent(script, gone):
    code, out, err = finish(
        script("""
        async def main():
            async with greenroom.start(**options) as session:
                print(session.status().pid)
                raise ValueError("of the test")
        asyncio.run(main())
        """)
    )
    assert code == 1
    assert "of the test" in err
    gone(int(out[0]))


def test_a_killed_process_leaves_no_agent(script, gone):
    process = script("""
        with greenroom.sync.start(**options) as session:
            print(session.status().pid, flush=True)
            session.say("hang")
        """)
    pid = int(process.stdout.readline())
    process.kill()
    finish(process)
    gone(pid)


@pytest.mark.parametrize("face", ["sync", "async"])
def test_an_interrupt_ends_the_wait_and_the_agent(script, gone, face):
    process = script(
        """
        try:
            with greenroom.sync.start(**options) as session:
                print(session.status().pid, flush=True)
                session.say("hang")
        except KeyboardInterrupt:
            print("interrupted")
        """
        if face == "sync"
        else """
        async def main():
            async with greenroom.start(**options) as session:
                print(session.status().pid, flush=True)
                await session.say("hang")
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (0, ["interrupted"]), err
    gone(pid)


def test_a_fork_gets_a_clear_error_and_ends_nothing(script, gone):
    code, out, err = finish(
        script("""
        async def main():
            async with greenroom.start(**options) as session:
                print(session.status().pid)
                child = os.fork()
                if child == 0:
                    # The child has a copy of everything, uses it, and leaves by the way that runs every exit handler.
                    async def use(name, *arguments):
                        try:
                            await getattr(session, name)(*arguments)
                        except greenroom.Forked as error:
                            print(name, error.code)
                    for coroutine in (use("say", "hello"), use("ping"), use("close")):
                        try:
                            coroutine.send(None)
                        except StopIteration:
                            pass
                    try:
                        session.status()
                    except greenroom.Forked as error:
                        print("status", error.code)
                    print(repr(session))
                    del session, coroutine, use
                    gc.collect()
                    sys.stdout.flush()
                    sys.exit(0)
                os.waitpid(child, 0)
                turn = await session.say("hello")
                print(turn.reply)
        try:
            asyncio.run(main())
        except SystemExit:
            pass
        """)
    )
    assert code == 0, err
    lines = [line for line in out if not line.isdigit()]
    assert sorted(lines) == sorted(
        [
            "say forked",
            "ping forked",
            "close forked",
            "status forked",
            "<greenroom.Session forked>",
            "echo: hello",
        ]
    ), err
    gone(int(next(line for line in out if line.isdigit())))


def test_a_fork_of_the_synchronous_face_does_not_hang(script, gone):
    code, out, err = finish(
        script("""
        session = greenroom.sync.start(**options)
        print(session.status().pid, flush=True)
        child = os.fork()
        if child == 0:
            for use in (lambda: session.say("hello"), session.close, lambda: greenroom.sync.start(**options).close()):
                try:
                    use()
                    print("fine")
                except greenroom.Forked as error:
                    print(error.code)
            del session, use
            gc.collect()
            sys.stdout.flush()
            sys.exit(0)
        os.waitpid(child, 0)
        print(session.say("hello").reply)
        session.close()
        """)
    )
    assert code == 0, err
    # A session that the child starts itself is its own.
    assert out[1:] == ["forked", "forked", "fine", "echo: hello"], err
    gone(int(out[0]))


def test_no_thread_and_no_descriptor_stays_after_close(script):
    code, out, err = finish(
        script("""
        def count():
            return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
        async def once():
            async with greenroom.start(**options) as session:
                await session.say("hello")
        async def main():
            # The first session opens what the process keeps for all of them.
            await once()
            threads, descriptors = count()
            for _ in range(5):
                await once()
            # A session's thread says that all is gone a moment before it is gone itself.
            deadline = time.monotonic() + 10
            while (count()[0] > threads or count()[1] > descriptors) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            print(count()[0] <= threads, count()[1] <= descriptors)
        asyncio.run(main())
        """)
    )
    assert code == 0, err
    assert out == ["True True"], err
    assert "ResourceWarning" not in err
