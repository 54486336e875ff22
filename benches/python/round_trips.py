"""Round trips of real speech: `round_trips.py NOISE SNR`, or `round_trips.py clean`, run as tests/speech is.

Each sentence is said, in noise, to an agent that hears it and says it back; what comes back is heard here. The same
recordings, and the same answers from the same voice, are heard directly too. Some agents at once, since turns take
their time and the processors little of it; the ear here listens when they have ended. Prints the share of words that
were misheard:

- `agent` and `agent_direct`: of what was said, by the agent, and by the same ear from the file;
- `captured` and `captured_direct`: of what the agent answered, from the turn's WAV, and from the voice itself;
- `whole`: of what was said, in what came back.

And `again`: how many sentences were said again, since the machine was too busy to say them in time.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import greenroom

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "speech"))

from models import Ear, Voice
from trips import AGENT, SENTENCES, Condition, Trip, record, trip, write_wav
from words import word_errors

AGENTS = 4
EARS = 2


async def converse(sentences: dict[int, Path]) -> dict[int, Trip]:
    """Says some of the recordings to an agent, one after the other."""
    async with greenroom.start(AGENT, audio=True, timeout=120) as session:
        return {index: await trip(session, SENTENCES[index], path) for index, path in sentences.items()}


async def converse_with_several(paths: list[Path]) -> list[Trip]:
    """The same with all of them, shared out among agents."""
    shares = [{index: paths[index] for index in range(agent, len(paths), AGENTS)} for agent in range(AGENTS)]
    found = await asyncio.gather(*map(converse, shares))
    trips = {index: one for share in found for index, one in share.items()}
    return [trips[index] for index in range(len(paths))]


def hear(paths: Sequence[Path]) -> list[str]:
    """What an ear makes of files; each of a few ears takes its share."""

    def listen(first: int) -> list[str]:
        ear = Ear()
        return [ear.hear(path) for path in paths[first::EARS]]

    with ThreadPoolExecutor(EARS) as pool:
        shares = list(pool.map(listen, range(EARS)))
    return [shares[index % EARS][index // EARS] for index in range(len(paths))]


def measure(condition: Condition, folder: Path) -> dict[str, float]:
    """All sentences in one kind of noise."""
    voice = Voice()
    said = [folder / f"{index}.wav" for index in range(len(SENTENCES))]
    for index, (sentence, path) in enumerate(zip(SENTENCES, said, strict=True)):
        record(voice, sentence, condition, index, path)
    trips = asyncio.run(converse_with_several(said))
    answered = [path.with_suffix(".answer.wav") for path in said]
    for one, path in zip(trips, answered, strict=True):
        write_wav(path, voice.say(one.reply))
    count = len(trips)
    heard = hear([*said, *answered, *(one.captured for one in trips)])
    directly, from_voice, captured = heard[:count], heard[count : 2 * count], heard[2 * count :]
    replies = [one.reply for one in trips]
    return {
        "agent": word_errors(SENTENCES, [one.heard for one in trips]),
        "agent_direct": word_errors(SENTENCES, directly),
        "captured": word_errors(replies, captured),
        "captured_direct": word_errors(replies, from_voice),
        "whole": word_errors(SENTENCES, captured),
        "again": sum(one.again for one in trips),
    }


def main() -> None:
    """Measures what was asked for."""
    noise, *snr = sys.argv[1:]
    condition = Condition() if noise == "clean" else Condition(noise, float(*snr))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(condition, Path(folder))))


if __name__ == "__main__":
    main()
