"""Round trips of real speech: `round_trips.py REPEATS NOISE SNR`, or `REPEATS clean`, run as tests/speech is.

Each sentence is said, in noise, to an agent that hears it and says it back; what comes back is heard here. All of them
are said so often, in other noise of the same kind each time. Meanwhile, so that both have the same machine, the same
recordings are said to as many agents without a session: see control.py. They are heard directly too, as are the same
answers from the same voice. Some agents at once, since turns take their time and the processors little of it; the ear
here listens when they have ended. Prints the share of words that were misheard:

- `agent`, `control` and `agent_direct`: of what was said, by the agent, by the one without a session, and by the same
  ear from the file;
- `chance`: the standard error of the difference between the first two, over the recordings;
- `captured` and `captured_direct`: of what the agent answered the first time, from the turn's WAV, and from the voice;
- `whole`: of what was said the first time, in what came back.

And `words`, how many were said; and `again`: how many sentences were said again, since the machine was too busy to say
them in time.
"""

import asyncio
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import greenroom

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "speech"))

from control import hear_without_session

from models import Ear, Voice
from trips import AGENT, SENTENCES, Condition, Trip, record, trip, write_wav
from words import word_errors

AGENTS = 4
EARS = 2

# What is said, by its place in the list of all that is.
Recordings = Mapping[int, Path]
T = TypeVar("T")


async def converse(recordings: Recordings) -> dict[int, Trip]:
    """Says recordings to an agent, one after the other."""
    async with greenroom.start(AGENT, audio=True, timeout=120) as session:
        return {place: await trip(session, sentence(place), path) for place, path in recordings.items()}


def sentence(place: int) -> str:
    """What is said at a place of the list: all sentences, and then all of them again."""
    return SENTENCES[place % len(SENTENCES)]


async def say_to_several(paths: Sequence[Path]) -> tuple[list[Trip], list[str]]:
    """The trips of all recordings, shared out among agents, and what as many agents without a session heard."""
    shares = [{place: paths[place] for place in range(agent, len(paths), AGENTS)} for agent in range(AGENTS)]
    # Each in a process of its own, as the others are.
    with ProcessPoolExecutor(AGENTS, multiprocessing.get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        with_us = asyncio.gather(*map(converse, shares))
        alone = asyncio.gather(*(loop.run_in_executor(pool, hear_without_session, share) for share in shares))
        trips, heard = await asyncio.gather(with_us, alone)
    return in_order(trips), in_order(heard)


def in_order(shares: Iterable[Mapping[int, T]]) -> list[T]:
    """What several agents made of their shares, by its place in the list."""
    found = {place: one for share in shares for place, one in share.items()}
    return [found[place] for place in range(len(found))]


def hear(paths: Sequence[Path]) -> list[str]:
    """What an ear makes of files; each of a few ears takes its share."""

    def listen(first: int) -> list[str]:
        ear = Ear()
        return [ear.hear(path) for path in paths[first::EARS]]

    with ThreadPoolExecutor(EARS) as pool:
        shares = list(pool.map(listen, range(EARS)))
    return [shares[index % EARS][index // EARS] for index in range(len(paths))]


def measure(repeats: int, condition: Condition, folder: Path) -> dict[str, float]:
    """All sentences, so often, in one kind of noise."""
    voice = Voice()
    said = [folder / f"{place}.wav" for place in range(repeats * len(SENTENCES))]
    for place, path in enumerate(said):
        record(voice, sentence(place), condition, place, path)
    trips, alone = asyncio.run(say_to_several(said))
    # Noise has no part in how an answer comes back.
    first = trips[: len(SENTENCES)]
    answers = [folder / f"{place}.answer.wav" for place in range(len(first))]
    for one, path in zip(first, answers, strict=True):
        write_wav(path, voice.say(one.reply))
    by_ear = hear([*said, *answers, *(one.captured for one in first)])
    directly, from_voice, captured = by_ear[: len(said)], by_ear[len(said) : -len(first)], by_ear[-len(first) :]
    sentences, heard = [one.said for one in trips], [one.heard for one in trips]
    replies = [one.reply for one in first]
    return {
        "words": words(sentences),
        "agent": word_errors(sentences, heard),
        "control": word_errors(sentences, alone),
        "agent_direct": word_errors(sentences, directly),
        "chance": chance(sentences, heard, alone),
        "captured": word_errors(replies, captured),
        "captured_direct": word_errors(replies, from_voice),
        "whole": word_errors(SENTENCES, captured),
        "again": sum(one.again for one in trips),
    }


def chance(said: Sequence[str], heard: Sequence[str], alone: Sequence[str]) -> float:
    """The standard error of the difference between two shares of misheard words, of the same sentences."""
    differences = [
        (word_errors([text], [one]) - word_errors([text], [other])) * words([text])
        for text, one, other in zip(said, heard, alone, strict=True)
    ]
    return statistics.stdev(differences) * math.sqrt(len(said)) / words(said)


def words(texts: Iterable[str]) -> int:
    """How many there are."""
    return sum(len(text.split()) for text in texts)


def main() -> None:
    """Measures what was asked for."""
    repeats, noise, *snr = sys.argv[1:]
    condition = Condition() if noise == "clean" else Condition(noise, float(*snr))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(int(repeats), condition, Path(folder))))


if __name__ == "__main__":
    main()
