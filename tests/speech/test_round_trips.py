"""Real speech through a real agent and back: what is said in noise, heard, answered aloud, captured and heard again.

A few sentences of the table that `make bench` does, with bounds that leave room for processors that round otherwise.
"""

import asyncio

import numpy as np
import pytest
from livekit import rtc

import greenroom
from models import Ear, Voice
from trips import AGENT, SENTENCES, Condition, read_wav, record, trip
from words import word_errors

KEEPING_AGENT = AGENT.with_name("keeping_agent.py")

# Of both kinds; 33 words.
FEW = [SENTENCES[index] for index in (1, 7, 21, 24)]


@pytest.mark.timeout(900)
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


@pytest.mark.timeout(300)
async def test_the_agents_ear_gets_what_is_said_to_the_sample(tmp_path):
    path, kept = tmp_path / "said.wav", tmp_path / "kept"
    kept.mkdir()
    record(await asyncio.to_thread(Voice), FEW[1], Condition("white", 5), 0, path)
    async with greenroom.start(KEEPING_AGENT, audio=True, env={"KEPT": str(kept)}) as session:
        await trip(session, FEW[1], path)
    utterances = [read_wav(utterance) for utterance in kept.iterdir()]
    said = list(as_the_sdk_resamples(path))
    assert utterances
    for rate, utterance in utterances:
        assert rate == 24_000
        # Each resampling dithers by up to one step, and rounds.
        assert min(farthest_apart(utterance, one) for one in said) <= 3


def as_the_sdk_resamples(path):
    """A recording as the SDK's resampler alone makes it, where it begins at an even sample and where at an odd one."""
    rate, samples = read_wav(path)
    silence = np.zeros(rate, np.int16)
    for offset in (0, 1):
        stream = np.concatenate([silence, silence[:offset], samples, silence])
        frame = rtc.AudioFrame(stream.tobytes(), rate, 1, stream.size)
        resampled = rtc.AudioResampler(rate, 24_000).push(frame)
        yield np.concatenate([np.frombuffer(part.data, np.int16) for part in resampled])


def farthest_apart(part, whole):
    """By how much samples differ at most from those of a longer sound, where they fit best."""
    part, whole = part.astype(float), whole.astype(float)
    length = part.size + whole.size
    alike = np.fft.irfft(np.fft.rfft(whole, length) * np.conj(np.fft.rfft(part, length)), length)
    place = int(np.argmax(alike[: whole.size - part.size + 1]))
    return np.abs(part - whole[place : place + part.size]).max()


def test_words_are_compared_without_case_punctuation_and_digits():
    said = ["Please book a table for two at seven o'clock", "The girl at the booth sold fifty bonds"]
    assert word_errors(said, ["please book a table for two at 7:00.", "the girl at the booth sold 50 bonds!"]) == 0
    assert word_errors(said, ["book the table for two at seven o'clock please", said[1]]) == 3 / 17
