"""Which event loop runs here: asyncio's, or none that this package can use."""

from __future__ import annotations

import asyncio
import sys

from greenroom.errors import Unsupported


def running_loop() -> asyncio.AbstractEventLoop:
    """Returns the running event loop of asyncio.

    Every call that needs one asks here first, before it opens anything.

    Raises:
        Unsupported: The caller runs under trio, or under no event loop.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise needs_asyncio() from None
    # In trio's guest mode both run on this thread; code that trio runs has no task of asyncio.
    if is_under_trio() and asyncio.current_task(loop) is None:
        raise needs_asyncio()
    return loop


def needs_asyncio() -> Unsupported:
    """Returns the error of an asynchronous call without asyncio, with the ways out."""
    if is_under_trio():
        return Unsupported(
            "greenroom's asynchronous calls need asyncio, and this code runs under trio: run it on asyncio "
            '(`anyio.run(main, backend="asyncio")`; the pytest fixture `anyio_backend` returns "asyncio"), or call '
            'greenroom.sync in a thread (`await trio.to_thread.run_sync(greenroom.sync.start, "agent.py")`)'
        )
    return Unsupported(
        "greenroom's asynchronous calls need asyncio, and no event loop of asyncio runs here: start one "
        "(`asyncio.run(main())`), or use greenroom.sync, which needs none"
    )


def is_under_trio() -> bool:
    """Whether trio runs the caller. Trio is never imported for it."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except (RuntimeError, AttributeError):
        return False
    return True
