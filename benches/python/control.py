"""The control of the round trips: the same agent without a session of ours, to which speech is handed in its process.

It is what users of livekit-agents have anyway: its VAD cuts utterances out, its ear hears those. A recording goes into
the session's own seam for audio, at an even pace with silence between, as from a microphone; the answer takes its time,
and the next recording begins when it is over, since what its VAD makes of speech depends on the silence before it.
Nothing of Greenroom is in it.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from livekit import rtc
from livekit.agents import Agent, ConversationItemAddedEvent, llm
from livekit.agents.voice import io

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "speech"))

from agent import INSTRUCTIONS, speaking_session
from models import Samples
from trips import read_wav

# What agents get in a room as on a console, by the SDK's resampler.
_RATE = 24_000
_FRAME_S = 0.02
# How long an agent may take to hear and to answer what it has been given all of, and what it has heard in part before.
_ANSWER_S = 60
_REST_S = 10


class Microphone(io.AudioInput):
    """Gives frames of 20 ms in real time: of what is said, of a rate of its own, and of silence else."""

    def __init__(self, rate: int) -> None:
        super().__init__(label="recordings")
        self._rate = rate
        self._frame = round(rate * _FRAME_S)
        self._resampler = None if rate == _RATE else rtc.AudioResampler(rate, _RATE)
        self._left: Samples = np.zeros(0, np.int16)
        self._said = asyncio.Event()
        self._ready: list[rtc.AudioFrame] = []
        self._due: float | None = None

    async def say(self, sound: Samples) -> None:
        """Says a sound, and comes back when it has been given to the agent."""
        self._left = sound
        self._said.clear()
        await self._said.wait()

    async def __anext__(self) -> rtc.AudioFrame:
        loop = asyncio.get_running_loop()
        while not self._ready:
            self._due = (loop.time() if self._due is None else self._due) + _FRAME_S
            await asyncio.sleep(self._due - loop.time())
            samples, self._left = self._left[: self._frame], self._left[self._frame :]
            if not self._left.size:
                self._said.set()
            silence = self._frame - samples.size
            frame = rtc.AudioFrame(np.pad(samples, (0, silence)).tobytes(), self._rate, 1, self._frame)
            self._ready = [frame] if self._resampler is None else self._resampler.push(frame)
        return self._ready.pop(0)


class Loudspeaker(io.AudioOutput):
    """Lets what the agent says take its time; nobody hears it."""

    def __init__(self) -> None:
        super().__init__(label="nobody", sample_rate=_RATE, capabilities=io.AudioOutputCapabilities(pause=False))
        self._begun = 0.0
        self._length = 0.0
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._length:
            self._begun = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=time.time())
        self._length += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._length:
            self._end = asyncio.get_running_loop().call_at(self._begun + self._length, self._finish, False)

    def clear_buffer(self) -> None:
        if self._length:
            self._finish(True)

    def _finish(self, is_interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
        heard = min(self._length, asyncio.get_running_loop().time() - self._begun) if is_interrupted else self._length
        self._length = 0.0
        self.on_playback_finished(playback_position=heard, interrupted=is_interrupted)


def hear_without_session(recordings: Mapping[int, Path]) -> dict[int, str]:
    """What an agent in this process hears of recordings, all of one rate, that are said to it one after the other."""
    return asyncio.run(_hear(recordings))


async def _hear(recordings: Mapping[int, Path]) -> dict[int, str]:
    sounds = {place: read_wav(path) for place, path in recordings.items()}
    (rate,) = {rate for rate, _ in sounds.values()}
    session, microphone = speaking_session(), Microphone(rate)
    heard: list[str] = []
    has_answered = asyncio.Event()

    def note(event: ConversationItemAddedEvent) -> None:
        if not isinstance(event.item, llm.ChatMessage):
            return
        if event.item.role == "user":
            heard.append(event.item.text_content or "")
            has_answered.clear()
        else:
            has_answered.set()

    session.on("conversation_item_added", note)
    session.input.audio, session.output.audio = microphone, Loudspeaker()
    await session.start(agent=Agent(instructions=INSTRUCTIONS))
    found = {}
    try:
        for place, (_, sound) in sounds.items():
            heard.clear()
            await asyncio.wait_for(microphone.say(sound), sound.size / rate + _ANSWER_S)
            has_answered.clear()
            # What was heard before the end may have been all.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(has_answered.wait(), _REST_S if heard else _ANSWER_S)
            if not heard:
                raise AssertionError(f"{recordings[place]} was not heard by an agent without a session")
            found[place] = " ".join(heard)
    finally:
        await session.aclose()
    return found
