"""Real speech through a real agent and back: what is said in noise, heard, answered aloud, captured and heard again.

A few sentences of the table that `make bench` does, with bounds that leave room for processors that round otherwise.
"""

import asyncio

import pytest

import greenroom
from models import Ear, Voice
from trips import AGENT, SENTENCES, Condition, record, trip
from words import word_errors

# Of both kinds; 33 words.
FEW = [SENTENCES[index] for index in (1, 7, 21, 24)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("condition", "most"),
    [(Condition(), 0.07), (Condition("white", 10), 0.16)],
    ids=str,
)
async def test_what_is_said_comes_back(condition, most, tmp_path):
    voice, ear = await asyncio.to_thread(lambda: (Voice(), Ear()))
    trips = []
    async with greenroom.start(AGENT, audio=True) as session:
        for seed, sentence in enumerate(FEW):
            path = tmp_path / f"{seed}.wav"
            record(voice, sentence, condition, seed, path)
            trips.append(await trip(session, sentence, path))
    assert word_errors(FEW, [one.heard for one in trips]) <= most, trips
    # What it says is what it heard, and it says it without noise.
    assert [one.reply for one in trips] == [one.heard for one in trips]
    returned = [ear.hear(one.captured) for one in trips]
    assert word_errors([one.reply for one in trips], returned) <= 0.07, (trips, returned)


def test_words_are_compared_without_case_punctuation_and_digits():
    said = ["Please book a table for two at seven o'clock", "The girl at the booth sold fifty bonds"]
    assert word_errors(said, ["please book a table for two at 7:00.", "the girl at the booth sold 50 bonds!"]) == 0
    assert word_errors(said, ["book the table for two at seven o'clock please", said[1]]) == 3 / 17
