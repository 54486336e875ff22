"""Spoken turns with real agents of both SDKs, which hear and sing melodies: what they hear was in the sound alone."""

import asyncio
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc

import greenroom

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "python"))

import melody  # noqa: E402

RATE = 48_000


@pytest.fixture(params=["python/voice_agent.py", "node/voice_agent.mjs"], ids=["python", "node"])
async def session(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[greenroom.Session]:
    """A session with audio, with an example agent of each SDK."""
    agent = EXAMPLES / request.param
    async with greenroom.start(agent, audio=True, recording=tmp_path / "session.wav") as session:
        yield session


def voiced(samples: np.ndarray) -> np.ndarray:
    """Without digital silence, which sound that is late leaves in its place; a melody has none within."""
    return samples[np.convolve(samples != 0, np.ones(48, int))[: samples.size] > 0]


def sung(turn: greenroom.Turn) -> str:
    """What the agent said, as an ear makes it of its sound."""
    assert turn.voice is not None
    assert turn.voice.audio is not None
    return " ".join(melody.listen(voiced(np.frombuffer(turn.voice.audio.samples, "<i2"))))


async def test_what_is_said_is_heard_and_answered_by_sound(session, tmp_path):
    before = session.status().audio_losses["late_ms"]
    turn = await session.say("hello there", tts=melody.sing)
    # What a busy machine was late with was put off, and counts.
    late = (session.status().audio_losses["late_ms"] - before) / 1000
    assert (turn.text, turn.heard, turn.reply) == ("hello there", "hello there", "echo hello there")
    assert sung(turn) == "echo hello there"
    assert not turn.silent
    assert not turn.interrupted
    voice = turn.voice
    said = len(melody.sing("hello there")) / RATE - 0.08
    assert said - 0.005 < voice.user < said + late + 0.005
    assert voice.agent > len(melody.sing("echo hello there")) / RATE - 0.06
    assert 0 < voice.response < turn.duration
    assert (voice.cut, voice.yielded, voice.lost) == (None, None, 0)


async def test_a_tool_is_called_and_its_answer_sung(session):
    turn = await session.say("weather please", tts=melody.sing)
    assert [call.name for call in turn.tool_calls] == ["lookup_weather"]
    assert sung(turn) == turn.reply
    assert "Sunny in Tokyo" in turn.reply


async def test_turns_of_text_are_heard_out_too(session):
    turn = await session.say("hello")
    assert turn.heard is None
    assert sung(turn) == turn.reply == "echo hello"
    again = await session.say("again", tts=melody.sing)
    assert (again.heard, sung(again)) == ("again", "echo again")


async def test_noise_is_not_understood_and_the_turn_says_so(session):
    samples = melody.sing("hello there").copy()
    samples[len(samples) // 3 : len(samples) // 2] = 0
    turn = await session.say_audio(samples, text="hello there")
    assert turn.text == "hello there"
    assert turn.heard.endswith("…")


async def test_who_interrupts_is_heard_and_the_agent_yields(session):
    story = asyncio.create_task(session.say("story", tts=melody.sing))
    interruption = await session.say("stop", tts=melody.sing, interrupt_after=0.4)
    cut = await story
    assert cut.interrupted
    assert cut.voice.cut is not None
    assert 0.4 < cut.voice.cut < 4
    assert cut.voice.agent == pytest.approx(cut.voice.cut, abs=0.05)
    assert interruption.heard == "stop"
    assert interruption.voice.yielded is not None
    assert interruption.voice.yielded > 0
    assert sung(interruption) == interruption.reply == "echo stop"


async def test_the_recording_has_both_voices(session, tmp_path):
    turn = await session.say("hello there", tts=melody.sing)
    path = session.status().recording
    await session.close()
    assert session.status().recording_error is None
    with wave.open(path) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (RATE, 2, 2)
        both = np.frombuffer(recording.readframes(recording.getnframes()), "<i2").reshape(-1, 2)
    assert melody.listen(voiced(both[:, 0])) == ["hello there"]
    assert melody.listen(voiced(both[:, 1])) == ["echo hello there"]
    last = int(np.flatnonzero(abs(both[:, 0]) > 200)[-1])
    first = int(np.flatnonzero(abs(both[:, 1]) > 200)[0])
    assert (first - last) / RATE == pytest.approx(turn.voice.response, abs=0.05)


async def test_sound_comes_in_many_shapes(session, tmp_path):
    samples = melody.sing("hi", 24_000)
    path = tmp_path / "hi.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(np.repeat(samples, 2).tobytes())

    async def frames():
        for start in range(0, len(samples), 240):
            part = samples[start : start + 240]
            yield rtc.AudioFrame(part.tobytes(), 24_000, 1, len(part))

    shapes = [
        (path, None),
        (path.read_bytes(), None),
        (samples, 24_000),
        (samples.tobytes(), 24_000),
        (samples.astype(np.float32) / 32768, 24_000),
        ([greenroom.audio.Frame(data=samples.tobytes(), rate=24_000)], None),
        (np.stack([samples, samples], axis=1), 24_000),
        (frames(), None),
        ([samples[:1000], samples[1000:]], 24_000),
        (greenroom.Speech(melody.sing("hi").tobytes()), None),
    ]
    for sound, rate in shapes:
        turn = await session.say_audio(sound, rate=rate)
        assert turn.heard == "hi", sound


async def test_a_tts_may_be_a_coroutine(session):
    async def tts(text: str) -> bytes:
        await asyncio.sleep(0)
        return melody.sing(text).tobytes()

    turn = await session.say("hi", tts=tts)
    assert turn.heard == "hi"


def whole(words: str, rate: int = RATE):
    """A function that gives a melody whole, and ends."""
    left = [melody.sing(words, rate)]
    return lambda samples: left.pop() if left else None


async def test_a_device_is_heard_until_it_ends(session, tmp_path):
    greenroom.Speech(melody.sing("hello there").tobytes()).save(tmp_path / "hello.wav")
    turn = await session.say_audio(f"file:{tmp_path}/hello.wav", text="hello there")
    assert (turn.text, turn.heard, sung(turn)) == ("hello there", "hello there", "echo hello there")
    # A microphone of another rate and two channels, opened and closed for the turn.
    mono = melody.sing("weather please", 16_000)
    stereo = [np.stack([mono, mono], axis=1).astype(np.float32) / 32768]
    opening = greenroom.audio.capture(lambda samples: stereo.pop() if stereo else None, channels=2, clock="fast")
    assert (await session.say_audio(opening)).heard == "weather please"


async def test_a_device_is_heard_until_it_is_closed_or_for_a_duration(session):
    async with greenroom.audio.capture("loopback:said", rate=24_000, clock="fast") as ear:
        mouth = await greenroom.audio.playback("loopback:said", rate=24_000, clock="fast")
        saying = asyncio.create_task(session.say_audio(ear))
        await mouth.write(melody.sing("hello there", 24_000))
        await mouth.drain()
        await mouth.close()
        assert (await saying).heard == "hello there"
    async with greenroom.audio.capture(whole("hello there"), rate=RATE, clock="fast") as mic:
        duration = len(melody.sing("hello there")) / RATE / 2
        turn = await session.say_audio(mic, duration=duration)
        assert turn.voice.user > duration - 0.1
        assert turn.heard != "hello there", "it was cut"
        assert await mic.read() is not None, "the microphone stays open"


async def test_a_device_that_fails_or_gives_nothing_is_an_error_and_the_session_goes_on(session):
    with pytest.raises(greenroom.DeviceLost, match="as its name says"):
        await session.say_audio("fail:after=500ms")
    with pytest.raises(greenroom.InvalidArgument, match="ended before its first sample"):
        await session.say_audio(greenroom.audio.capture(lambda samples: None))
    with pytest.raises(greenroom.InvalidArgument, match="write tone:440"):
        await session.say_audio("tone:loud")
    with pytest.raises(greenroom.SessionTimeout):
        await session.say_audio("loopback:nobody", timeout=0.1)
    with pytest.raises(greenroom.InvalidArgument, match="duration= is for a device"):
        await session.say_audio(melody.sing("hi"), duration=1)
    for duration in (0, -1, float("nan"), "2"):
        with pytest.raises(greenroom.InvalidArgument, match="duration is"):
            await session.say_audio("tone:440", duration=duration)
    with pytest.raises(greenroom.InvalidArgument, match="not a playback"):
        await session.say_audio(greenroom.audio.playback("null"))
    with pytest.raises(greenroom.TooLarge, match="pass a duration"):
        await session.say_audio(greenroom.audio.capture("null", frame_ms=1000, clock="fast"))
    assert (await session.say("hi", tts=melody.sing)).heard == "hi"


async def test_what_cannot_be_said_is_refused_and_the_session_goes_on(session, tmp_path):
    sounds = [12, None, [], b"", b"abc", np.zeros(100), [1, 2], b"RIFFnothing", ["a"]]
    for sound in sounds:
        with pytest.raises(greenroom.InvalidArgument):
            await session.say_audio(sound)
    with pytest.raises(greenroom.IoError, match=r"missing\.wav"):
        await session.say_audio(tmp_path / "missing.wav")
    with pytest.raises(greenroom.TooLarge):
        await session.say_audio(np.zeros(181 * RATE, np.int16))
    for wrong in (-1, float("nan")):
        with pytest.raises(greenroom.InvalidArgument):
            await session.say_audio(melody.sing("hi"), interrupt_after=wrong)
    with pytest.raises(greenroom.InvalidArgument, match="tts="):
        await session.say("hi", interrupt_after=1)
    with pytest.raises(greenroom.InvalidArgument, match="rate"):
        await session.say_audio(melody.sing("hi"), rate=-5)
    assert (await session.say("hi", tts=melody.sing)).heard == "hi"


async def test_a_session_of_text_cannot_be_spoken_to():
    with pytest.raises(greenroom.InvalidArgument, match="audio=True"):
        greenroom.start(EXAMPLES / "python" / "agent.py", recording="x.wav")
    async with greenroom.start(EXAMPLES / "python" / "agent.py") as session:
        with pytest.raises(greenroom.Unsupported, match="start it with audio"):
            await session.say_audio(melody.sing("hi"))


def test_the_blocking_session_speaks_too(tmp_path):
    agent = EXAMPLES / "python" / "voice_agent.py"
    with greenroom.sync.start(agent, audio=True) as session:
        turn = session.say("hi", tts=melody.sing)
        assert (turn.heard, sung(turn)) == ("hi", "echo hi")
        turn.voice.audio.save(tmp_path / "reply.wav")
        again = session.say_audio(tmp_path / "reply.wav")
        assert again.heard == "echo hi"
        with greenroom.sync.capture(whole("hello", 16_000), clock="fast") as mic:
            assert session.say_audio(mic).heard == "hello"


async def test_a_recording_that_cannot_be_made_fails_the_start(tmp_path):
    with pytest.raises(greenroom.IoError, match="nowhere"):
        await greenroom.start(
            EXAMPLES / "python" / "voice_agent.py", audio=True, recording=tmp_path / "nowhere" / "x.wav"
        )
