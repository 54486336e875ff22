"""What a `Session` stands on: a link that takes operations as JSON and wakes an event loop when it has something.

`NativeLink` leads to a session whose thread is native. `ControllerLink` runs the protocol on the event loop itself, for
an agent that is reached through Python.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import socket
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from greenroom._asyncio import running_loop
from greenroom._native import Controller, Driver, NativeError

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


class Peer(Protocol):
    """The agent's end of a link that lives in Python."""

    async def start(self, link: Receiver) -> None:
        """From now on pass to `link` what comes from the agent. Back when the agent can be asked."""

    def send(self, message: bytes) -> None:
        """Take a message for the agent."""

    async def close(self) -> None:
        """Let go of the agent."""


class ControllerLink:
    """The protocol, run by the event loop: its clock is the loop's, its deadlines are the loop's timers."""

    def __init__(self, peer: Peer, **options: Any) -> None:
        self._loop = running_loop()
        self._peer = peer
        self._controller = Controller(json.dumps(options), self._loop.time())
        self._wake: Callable[[], None] | None = None
        self._wake_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._tokens: dict[int, int] = {}
        self._done: list[Completion] = []
        self._closing: asyncio.Task[None] | None = None

    async def attach(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        await self._peer.start(self)
        self._controller.open(self._loop.time())
        self._pump()

    def detach(self) -> None:
        self._wake = None

    def abandon(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.close, 0)

    def submit(self, operation: str, timeout: float | None, token: int) -> int:
        call = self._controller.submit(operation, timeout, self._loop.time())
        self._tokens[call] = token
        self._carry()
        # Not at once: who submits has to learn the number of the call first.
        if not self._wake_is_due:
            self._wake_is_due = True
            self._loop.call_soon(self._call_wake)
        return call

    def cancel(self, call: int) -> None:
        self._controller.cancel(call, self._loop.time())
        self._pump()

    def drain(self) -> list[Completion]:
        answers = [(self._tokens.pop(call, 0), ok, text) for call, ok, text in self._controller.drain()]
        done, self._done = self._done, []
        return answers + done

    def read_events(self, start: int, most: int) -> tuple[list[str], int]:
        return self._controller.read_events(start, most)

    def end_of_events(self) -> int:
        return self._controller.end_of_events()

    def status(self) -> str:
        return self._controller.status()

    def close(self, token: int) -> None:
        self.ended("closed", "the session was closed")
        self._closing = self._loop.create_task(self._close(token, self._closing))

    async def _close(self, token: int, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await earlier
        else:
            await self._peer.close()
        self._done.append((token, True, '{"answer":"done"}'))
        self._pump()

    def receive(self, message: bytes) -> None:
        self._controller.receive(message, self._loop.time())
        self._pump()

    def receive_skipped(self, announced: int, head: bytes) -> None:
        self._controller.receive_skipped(announced, head, self._loop.time())
        self._pump()

    def ended(self, reason: CloseReason, message: str) -> None:
        self._controller.closed(reason, message, self._loop.time())
        self._pump()

    def _due(self) -> None:
        self._timer = None
        self._controller.handle_timeout(self._loop.time())
        self._pump()

    def _pump(self) -> None:
        """Hand on whatever the last step has caused."""
        self._carry()
        self._call_wake()

    def _carry(self) -> None:
        while (message := self._controller.poll_transmit()) is not None:
            self._peer.send(message)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (at := self._controller.poll_timeout()) is not None:
            self._timer = self._loop.call_at(at, self._due)

    def _call_wake(self) -> None:
        self._wake_is_due = False
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
