"""Tasks that take their first step at once, where `asyncio.create_task` has it wait for the event loop's next round."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Coroutine, Generator
from typing import Any

if sys.version_info >= (3, 12):

    def start(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run `coroutine` on `loop`, which is the running one, up to where it first waits.

        Gives the task of the rest, or None if there is no rest.
        """
        task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        return None if task.done() else task

else:

    def start(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run `coroutine` on `loop`, which is the running one, up to where it first waits.

        Gives the task of the rest, or None if there is no rest.
        """
        # The first step is nobody's: whoever calls must not be taken for the task that a time limit cancels.
        caller = asyncio.current_task(loop)
        if caller is not None:
            asyncio._leave_task(loop, caller)
        try:
            awaited = contextvars.copy_context().run(coroutine.send, None)
        except StopIteration:
            return None
        finally:
            if caller is not None:
                asyncio._enter_task(loop, caller)
        return loop.create_task(_Rest(coroutine, awaited))

    class _Rest(Coroutine[Any, Any, None]):
        """What is left of a coroutine that waits for `awaited` already."""

        def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
            self._coroutine = coroutine
            self._awaited = [awaited]

        def send(self, value: Any) -> Any:
            return self._awaited.pop() if self._awaited else self._coroutine.send(value)

        def throw(self, *error: Any) -> Any:
            # Cancelled before the task has begun: that too is for the coroutine to see.
            self._awaited.clear()
            return self._coroutine.throw(*error)

        def close(self) -> None:
            self._coroutine.close()

        def __await__(self) -> Generator[Any, Any, None]:
            raise NotImplementedError("only a task runs it")
