"""Round trips: a sentence is said in noise, an agent hears it and says it back, and what comes back is heard here."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import greenroom
from greenroom.audio import Noise, noisy
from models import Samples, Voice

AGENT = Path(__file__).with_name("agent.py")
SENTENCES = Path(__file__).with_name("sentences.txt").read_text().splitlines()
"""Twenty of the Harvard sentences, and ten that people say to assistants."""

# What is recorded around a sentence, in seconds: a room is noisy before and after it too.
_BEFORE, _AFTER = 0.3, 0.4
_MOST_AGAIN = 3


@dataclass(frozen=True)
class Condition:
    """In what noise sentences are said; in none without."""

    noise: Noise | None = None
    snr: float = 0.0

    def __str__(self) -> str:
        return "clean" if self.noise is None else f"{self.noise} {self.snr:g} dB"


@dataclass(frozen=True)
class Trip:
    """What became of a sentence."""

    said: str
    heard: str
    """By the agent."""
    reply: str
    """Of the agent, as text."""
    captured: Path
    """The WAV file of its reply."""
    again: int
    """How often the sentence had to be said again, since this machine was too busy to say it in time."""


def record(voice: Voice, sentence: str, condition: Condition, seed: int, path: Path) -> None:
    """Writes a WAV file of a sentence as a microphone would hear it."""
    sound = np.pad(voice.say(f"{sentence}."), (round(_BEFORE * voice.rate), round(_AFTER * voice.rate)))
    write_wav(path, sound)
    if condition.noise is not None:
        noisy(path, condition.noise, snr=condition.snr, seed=seed).save(path)


def write_wav(path: Path, sound: Samples) -> None:
    """Writes what a voice says."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, Voice.rate, 0, "NONE", ""))
        file.writeframes(sound.tobytes())


def read_wav(path: Path) -> tuple[int, Samples]:
    """The rate of a mono file of 16 bits, and its samples."""
    with wave.open(str(path)) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)


async def trip(session: greenroom.Session, sentence: str, path: Path) -> Trip:
    """Says the recording of a sentence to an agent, and captures its answer into a file beside it.

    What a machine is too busy for is said late, with a pause in it, and may not be heard in time: it is said again.
    """
    again = 0
    while True:
        late = session.status().audio_losses["late_ms"]
        turn = await session.say_audio(path, text=sentence)
        if session.status().audio_losses["late_ms"] == late or again == _MOST_AGAIN:
            break
        again += 1
    if turn.error is not None or turn.voice is None or turn.voice.audio is None or turn.heard is None:
        raise AssertionError(f"{sentence!r} was not heard or not answered: {turn}")
    captured = path.with_suffix(".reply.wav")
    turn.voice.audio.save(captured)
    return Trip(sentence, turn.heard, turn.reply, captured, again)
