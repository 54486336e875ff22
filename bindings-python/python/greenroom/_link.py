"""What a `Session` stands on: a link that takes operations as JSON and wakes an event loop when it has something.

`NativeLink` leads to a session whose link is native. `CarriedLink` leads to one whose messages the event loop carries,
for an agent that is reached through Python.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import socket
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from greenroom._asyncio import running_loop
from greenroom._native import Driver, NativeError

if TYPE_CHECKING:
    from greenroom.events import CloseReason

# How long the interpreter's exit waits for the agents of sessions that nobody closed; their guards end them anyway.
_EXIT_SECONDS = 12.0

Completion = tuple[int, bool, str]
"""The number of a call, whether it succeeded, and the JSON of its answer or its error."""


class Link(Protocol):
    """What a session stands on. Nothing here blocks; `NativeError` is raised as it is."""

    async def attach(self, wake: Callable[[], None]) -> None:
        """From now on call `wake` on the running loop whenever there is something to drain or to read."""

    def detach(self) -> None:
        """The session is closed: let go of the loop."""

    def abandon(self) -> None:
        """Nobody holds the session any more, and nobody closed it. Called on any thread."""

    def submit(self, operation: str, timeout: float | None, token: int) -> int: ...
    def cancel(self, call: int) -> None: ...
    def drain(self) -> list[Completion]: ...
    def read_events(self, start: int, most: int) -> tuple[list[str], int]: ...
    def end_of_events(self) -> int: ...
    def status(self) -> str: ...
    def close(self, token: int) -> None: ...


class _Native(Protocol):
    """What is native and has to be closed."""

    def detach_fileno(self) -> int: ...
    def wait_closed(self, timeout: float) -> bool: ...


class NativeHold:
    """Something whose thread is native. Its wake is a byte through a socket that the loop reads as a connection.

    `end` begins to close it, and may be called again.
    """

    def __init__(self, driver: _Native, end: Callable[[], None]) -> None:
        self._driver = driver
        self._end = end
        self._process = os.getpid()
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        _end_at_exit(self)

    async def attach(self, wake: Callable[[], None]) -> None:
        self._loop = running_loop()
        sock = socket.socket(fileno=self._driver.detach_fileno())
        connecting = self._loop.create_task(self._listen(sock, wake))
        # Whoever is cancelled here waits for the end next, which is told through the same socket.
        await asyncio.shield(connecting)

    async def _listen(self, sock: socket.socket, wake: Callable[[], None]) -> None:
        loop = running_loop()
        self._transport, _ = await loop.connect_accepted_socket(lambda: _Wake(wake), sock)

    def detach(self) -> None:
        _open_links.discard(self)
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> None:
        if os.getpid() != self._process:
            return
        _open_links.discard(self)
        with contextlib.suppress(NativeError):
            self._end()
        if self._transport is not None and self._loop is not None:
            # A closed loop has no use for its transports; the socket goes with the transport object.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._transport.close)

    def begin_exit(self) -> None:
        """Begin to end it."""
        if os.getpid() == self._process:
            with contextlib.suppress(NativeError):
                self._end()

    def wait_for_exit(self, timeout: float) -> None:
        """Block until it is gone."""
        if os.getpid() == self._process:
            with contextlib.suppress(NativeError):
                self._driver.wait_closed(timeout)


class NativeLink(NativeHold):
    """A session whose thread is native."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver, partial(driver.close, 0))
        self.submit = driver.submit
        self.cancel = driver.cancel
        self.drain = driver.drain
        self.read_events = driver.read_events
        self.end_of_events = driver.end_of_events
        self.status = driver.status
        self.close = driver.close


class SharedLink(NativeLink):
    """A session that a daemon holds: to close it is to let go of it."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.end = driver.end_session


class _Wake(asyncio.BufferedProtocol):
    """Turns bytes on the wake socket into calls.

    What the bytes are does not matter, so all go into one small buffer: an event loop that allots them would map and
    unmap 256 KiB of memory for each wake, which takes longer than all the rest of it.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._buffer = bytearray(64)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._wake()


_open_links: weakref.WeakSet[NativeHold] = weakref.WeakSet()


def _end_at_exit(link: NativeHold) -> None:
    # Anew each time: a forked worker of multiprocessing has forgotten what was registered before.
    atexit.unregister(_end_all)
    atexit.register(_end_all)
    _open_links.add(link)


def _end_all() -> None:
    """The interpreter exits: end what nobody closed, all at once, and wait for it."""
    links = list(_open_links)
    for link in links:
        link.begin_exit()
    deadline = time.monotonic() + _EXIT_SECONDS
    for link in links:
        link.wait_for_exit(max(0.0, deadline - time.monotonic()))


class Receiver(Protocol):
    """Who takes what comes from an agent."""

    def receive(self, message: bytes) -> None:
        """Take a message of the agent."""

    def receive_skipped(self, announced: int, head: bytes) -> None:
        """A message of `announced` bytes was over the size cap and went by; `head` are its first bytes."""

    def ended(self, reason: CloseReason, message: str) -> None:
        """There is no way to the agent any more: the reason, one of `greenroom.CloseReason`, and the same in words."""


class Carrier(Protocol):
    """Carries the messages of a session between its native half and the agent."""

    async def start(self) -> None:
        """Begin to carry. Raises what keeps the agent from being reached."""

    def carry(self) -> None:
        """Carry the messages that wait."""

    async def close(self) -> None:
        """Let go of the agent."""


class CarriedLink(NativeLink):
    """A native session whose messages the event loop carries."""

    def __init__(self, driver: Driver, carrier: Carrier) -> None:
        super().__init__(driver)
        self._native = driver
        self._carrier = carrier
        self._wake: Callable[[], None] | None = None
        self._done: list[Completion] = []
        self._closing: asyncio.Task[None] | None = None
        self.submit = self._submit
        self.cancel = self._cancel
        self.drain = self._drain
        self.close = self._close

    async def attach(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        await super().attach(self._on_wake)
        await self._carrier.start()

    def detach(self) -> None:
        self._wake = None
        super().detach()

    def abandon(self) -> None:
        super().abandon()
        if os.getpid() == self._process and self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._release)

    def _submit(self, operation: str, timeout: float | None, token: int) -> int:
        call = self._native.submit(operation, timeout, token)
        self._carrier.carry()
        return call

    def _cancel(self, call: int) -> None:
        self._native.cancel(call)
        self._carrier.carry()

    def _drain(self) -> list[Completion]:
        done, self._done = self._done, []
        return self._native.drain() + done

    def _close(self, token: int) -> None:
        # Pending calls fail now; the end is reported once the carrier has closed.
        self._native.close(0)
        self._release().add_done_callback(lambda _: self._closed(token))

    def _release(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = running_loop().create_task(self._carrier.close())
        return self._closing

    def _closed(self, token: int) -> None:
        self._done.append((token, True, '{"answer":"done"}'))
        self._on_wake()

    def _on_wake(self) -> None:
        self._carrier.carry()
        if self._wake is not None:
            self._wake()


def weak(method: Callable[[], None]) -> Callable[[], None]:
    """A call of `method` that does not keep its object alive."""
    reference: weakref.WeakMethod[Any] = weakref.WeakMethod(method)

    def call() -> None:
        target = reference()
        if target is not None:
            target()

    return call
