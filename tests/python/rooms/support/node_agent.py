"""An agent of @livekit/agents, as the Node suite has them, in a process of its own."""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from types import TracebackType

from .venue import Venue

PROGRAM = Path(__file__).with_name("node_agent.mjs")
# How long it may take to be ready and to end, in seconds: far above what it takes.
DEADLINE_S = 60.0


class NodeAgent:
    """Guarded by `host` of ours, by `gate` before the SDK's own host, or by nothing (None). Its RoomIO is linked to one
    participant, whom alone the SDK's host obeys when nothing guards it. Use it as an async context manager.
    """

    def __init__(self, venue: Venue, guard: str | None, linked: str) -> None:
        self._venue = venue
        self._guard = guard
        self._linked = linked

    def hold(self) -> None:
        """From now on its turns do not end."""
        self._tell("hold")

    def release(self) -> None:
        """They go on."""
        self._tell("release")

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())

    async def __aenter__(self) -> "NodeAgent":
        node = shutil.which("node")
        assert node is not None, "node is not on PATH"
        token = self._venue.token("agent", kind="agent")
        self._process = await asyncio.create_subprocess_exec(
            node,
            str(PROGRAM),
            self._venue.server.url,
            token,
            self._guard or "",
            self._linked,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(self._until_ready(), DEADLINE_S)
            await self._venue.announce("agent")
        except BaseException:
            await self._kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = await asyncio.wait_for(self._process.wait(), DEADLINE_S)
        finally:
            await self._kill()
        assert code == 0 or error is not None, f"the agent ended with {code}"

    async def _until_ready(self) -> None:
        assert self._process.stdout is not None
        while (line := await self._process.stdout.readline()) != b"ready\n":
            # The SDK's native part may print lines before.
            assert line, "the agent ended before it was ready"

    async def _kill(self) -> None:
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
