"""A function as a device: the calls that a stream asks for are made on the event loop, where the
stream was opened."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from greenroom._audio_frame import Frame, samples_to_play
from greenroom._native import CaptureDriver, NativeError, PlaybackDriver

__all__ = ["Function", "Sink", "Source"]

Source: TypeAlias = Callable[[int], Any]
"""A function that is recorded from: called with the number of samples of each channel that are
wanted, it returns audio, as `Playback.write` takes it: so many, fewer or more. None, or no sample,
is the end. It may be a coroutine function."""

Sink: TypeAlias = Callable[[Frame], object]
"""A function that is played to: called with each frame when it is due. It may be a coroutine
function; the next frame comes once it is done."""


class Function:
    """The function that a stream's device is."""

    failure: BaseException | None = None
    """What it raised, which has ended the stream."""

    def __init__(
        self, function: Callable[[Any], Any], driver: CaptureDriver | PlaybackDriver, rate: int, channels: int
    ) -> None:
        self._function = function
        self._driver = driver
        self._rate = rate
        self._channels = channels
        # Of each channel, that were played.
        self._played = 0
        self._call: asyncio.Task[None] | None = None

    def serve(self) -> None:
        """Make the call that is asked for, if there is one. Each is asked for once, and waited for
        before the next."""
        argument = self._asked()
        if argument is None:
            return
        try:
            result = self._function(argument)
            if inspect.isawaitable(result):
                self._call = asyncio.get_running_loop().create_task(self._wait(result))
            else:
                self._answer(result)
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    def stop(self) -> None:
        """The stream is closed: what is under way is waited for no longer."""
        if self._call is not None:
            self._call.cancel()

    def _asked(self) -> int | Frame | None:
        with contextlib.suppress(NativeError):  # in a fork, where the stream is another process's
            if isinstance(self._driver, CaptureDriver):
                return self._driver.poll_wanted()
            data = self._driver.poll_played()
            if data is not None:
                time = self._played / self._rate
                frame = Frame(data=data, rate=self._rate, channels=self._channels, time=time)
                self._played += frame.samples
                return frame
        return None

    async def _wait(self, result: Awaitable[Any]) -> None:
        try:
            self._answer(await result)
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    def _answer(self, result: Any) -> None:
        if isinstance(self._driver, PlaybackDriver):
            self._driver.taken()
        elif result is None:
            self._driver.give(b"", False)
        else:
            samples = samples_to_play(result, self._rate, self._channels)
            self._driver.give(samples.data, samples.is_float)

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        with contextlib.suppress(NativeError):
            self._driver.fail(f"{type(error).__name__}: {error}")
