"""Microphones and loudspeakers: virtual ones, as fast as possible unless time is the point."""

import array
import asyncio
import gc
import inspect
import math
import time
import wave

import numpy
import pytest
from livekit import rtc

import greenroom
from greenroom import audio

SOON = 20.0


def ramp(samples: int) -> bytes:
    return array.array("h", [at % 30_000 for at in range(samples)]).tobytes()


def write_wav(path, data: bytes, rate: int = 16000, channels: int = 1) -> str:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(data)
    return f"file:{path}"


async def collect(mic: audio.Capture) -> list[audio.Frame]:
    return [frame async for frame in mic]


# ---- recording -------------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_frames_are_the_file_and_end_with_it(tmp_path):
    data = ramp(1600)
    async with audio.capture(write_wav(tmp_path / "in.wav", data), clock="fast") as mic:
        assert (mic.rate, mic.channels) == (16000, 1)
        assert mic.device == f"file:{tmp_path}/in.wav"
        frames = await collect(mic)
        assert mic.recorded == audio.Recorded(samples=1600, lost=0, dropped=0)
        assert await mic.read() is None
    assert b"".join(frame.data for frame in frames) == data
    assert [frame.samples for frame in frames] == [160] * 10
    assert [frame.time - frames[0].time for frame in frames] == pytest.approx([at * 0.01 for at in range(10)])
    assert all((frame.rate, frame.channels, frame.lost, frame.duration) == (16000, 1, 0, 0.01) for frame in frames)


async def test_numpy_views_a_frame_without_a_copy():
    async with audio.capture("tone:440", clock="fast") as mic:
        frame = await mic.read(timeout=SOON)
    samples = numpy.frombuffer(frame.data, numpy.int16)
    assert samples.shape == (160,)
    assert numpy.abs(samples).max() > 1000
    whole = numpy.frombuffer(frame.data, numpy.uint8)
    assert numpy.shares_memory(samples, whole)
    assert not samples.flags.owndata


async def test_rate_channels_and_length_of_frames_are_what_is_asked_for(tmp_path):
    source = write_wav(tmp_path / "in.wav", ramp(8820), rate=44100)
    async with audio.capture(source, rate=8000, channels=2, frame_ms=20, clock="fast") as mic:
        frames = await collect(mic)
    assert {frame.samples for frame in frames[:-1]} == {160}
    assert sum(frame.samples for frame in frames) == 1600
    left = numpy.frombuffer(frames[0].data, numpy.int16).reshape(-1, 2)
    assert (left[:, 0] == left[:, 1]).all()


async def test_a_reader_that_sleeps_is_told_what_it_missed():
    async with audio.capture("tone:440", queue=0.05) as mic:
        first = await mic.read(timeout=SOON)
        # It reads nothing until more was dropped than waits.
        deadline = time.monotonic() + SOON
        while mic.recorded.dropped < first.lost + 1600:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        frame = await mic.read(timeout=SOON)
        event = await anext(event async for event in mic.events() if event.cause == "reader")
        assert event.type == "gap"
        assert frame.lost >= 1600
        assert event.samples >= 1600
        # Time goes on across the gap.
        assert frame.time == pytest.approx(first.time + (160 + frame.lost) / 16000, abs=0.02)


async def test_a_wait_that_is_given_up_loses_nothing(tmp_path):
    async with (
        audio.playback("loopback:given-up", rate=16000) as mouth,
        audio.capture("loopback:given-up", queue=30) as ear,
    ):
        reading = asyncio.ensure_future(collect(ear))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        data = b"\x01\x10" * 1600
        await mouth.write(data, timeout=SOON)
        heard = b""
        while heard.count(b"\x01\x10") < 1600:
            heard += (await ear.read(timeout=SOON)).data
        assert heard.count(b"\x01\x10") == 1600


async def test_a_wait_has_a_deadline_and_the_stream_goes_on():
    async with audio.capture("tone:440", frame_ms=1000) as mic:
        with pytest.raises(greenroom.SessionTimeout, match=r"a frame took longer than 0.01 s"):
            await mic.read(timeout=0.01)
        assert (await mic.read(timeout=SOON)).samples == 16000


async def test_a_device_that_is_unplugged_is_an_event_and_an_error_after_the_last_frame():
    async with audio.capture("fail:after=50ms:tone:440", clock="fast") as mic:
        frames = [await mic.read(timeout=SOON) for _ in range(5)]
        with pytest.raises(greenroom.DeviceLost, match="fail:after"):
            await collect(mic)
        assert sum(frame.samples for frame in frames) == 800
        events = [event async for event in mic.events()]
        assert [type(event) for event in events] == [audio.LostEvent]
        assert "as its name says" in events[0].why


async def test_a_closed_stream_gives_what_it_has_and_ends():
    mic = await audio.capture("tone:440", clock="fast")
    await mic.read(timeout=SOON)
    await mic.close()
    await mic.close()
    left = await collect(mic)
    assert 0 < len(left) <= 100
    assert [event async for event in mic.events()] == []
    assert repr(mic) == "<greenroom.audio.Capture closed, 16000 Hz, 1 channels>"


async def test_who_waits_is_told_of_the_end():
    mic = await audio.capture("loopback:nobody-plays")
    events = asyncio.ensure_future(anext(mic.events(), None))
    reading = asyncio.ensure_future(collect(mic))
    await asyncio.sleep(0)
    await mic.close()
    assert await asyncio.wait_for(events, SOON) is None
    await asyncio.wait_for(reading, SOON)


async def test_a_reader_that_is_never_behind_lets_others_work():
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with audio.capture("tone:440", clock="fast") as mic:
        working = asyncio.ensure_future(other())
        for _ in range(500):
            await mic.read(timeout=SOON)
        working.cancel()
    assert turns >= 20


async def test_what_is_recorded_has_a_time_on_this_clock():
    before = asyncio.get_running_loop().time()
    async with audio.capture("tone:440") as mic:
        frame = await mic.read(timeout=SOON)
        now = asyncio.get_running_loop().time()
        assert before - 0.01 <= mic.origin + 0.5 <= mic.origin + frame.time
        assert mic.origin + frame.time + frame.duration <= now


# ---- playing ---------------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_what_is_written_is_in_the_file(tmp_path):
    data = ramp(100_001)
    async with audio.playback(f"file:{tmp_path}/out.wav", clock="fast") as speaker:
        # More than the queue holds: it waits.
        await speaker.write(data, timeout=SOON)
        await speaker.drain(timeout=SOON)
        assert speaker.position == audio.Position(written=100_001, heard=100_001, waiting=0, dropped=0)
    with wave.open(f"{tmp_path}/out.wav") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48000, 1, 2)
        assert file.readframes(200_000) == data


async def test_writers_at_once_take_turns(tmp_path):
    pieces = [bytes([number, 0]) * 60_000 for number in (1, 2, 3)]
    async with audio.playback(f"file:{tmp_path}/out.wav", clock="fast") as speaker:
        await asyncio.gather(*(speaker.write(piece, timeout=SOON) for piece in pieces))
        await speaker.drain(timeout=SOON)
    with wave.open(f"{tmp_path}/out.wav") as file:
        assert file.readframes(200_000) == b"".join(pieces)


async def test_all_that_holds_samples_can_be_written():
    samples = numpy.arange(480, dtype=numpy.int16)
    frame = audio.Frame(data=samples.tobytes(), rate=48000)
    async with audio.playback("null", clock="fast") as speaker:
        for given in (samples, samples.tobytes(), bytearray(960), memoryview(samples), array.array("h", samples)):
            await speaker.write(given, timeout=SOON)
        floats = samples.astype(numpy.float32) / 32768
        for given in (floats, memoryview(floats), array.array("f", floats), memoryview(floats.tobytes()).cast("f")):
            await speaker.write(given, timeout=SOON)
        await speaker.write(frame, timeout=SOON)
        await speaker.write(frame.to_rtc(), timeout=SOON)
        await speaker.drain(timeout=SOON)
        assert speaker.position.heard == 11 * 480


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (numpy.zeros(480), "format 'd'; pass 16-bit integers or 32-bit floats"),
        (numpy.zeros(480, numpy.int32), "format 'i'"),
        (b"123", "3 bytes are no whole number of 16-bit samples"),
        ("text", "a str is no audio"),
        (audio.Frame(data=b"", rate=16000), "the frame is of 16000 Hz and 1 channels"),
        (rtc.AudioFrame.create(24000, 2, 10), "open the stream with rate=24000, channels=2"),
    ],
)
async def test_what_is_no_audio_of_this_playback_is_refused(given, why):
    async with audio.playback("null", clock="fast") as speaker:
        with pytest.raises(greenroom.InvalidArgument, match=why):
            await speaker.write(given)
        assert speaker.position.written == 0


async def test_floats_are_samples_from_minus_1_to_1_and_clipped_beyond(tmp_path):
    floats = numpy.array([0, 0.5, -0.5, 1, -1, 2, -2, math.nan, 1 / 32768], numpy.float32)
    async with audio.playback(f"file:{tmp_path}/out.wav", clock="fast") as speaker:
        await speaker.write(floats, timeout=SOON)
        await speaker.drain(timeout=SOON)
    with wave.open(f"{tmp_path}/out.wav") as file:
        written = numpy.frombuffer(file.readframes(100), numpy.int16).tolist()
    assert written == [0, 16384, -16384, 32767, -32768, 32767, -32768, 0, 1]


async def test_clear_drops_what_waits_and_a_late_write_has_a_deadline():
    async with audio.playback("null", rate=8000, queue=10) as speaker:
        with pytest.raises(greenroom.SessionTimeout, match="room for what is written"):
            await speaker.write(bytes(2 * 8000 * 30), timeout=0.01)
        assert speaker.position.waiting > 0
        speaker.clear()
        await speaker.drain(timeout=SOON)
        position = speaker.position
        assert position.waiting == 0
        assert position.dropped > 0
        assert position.written == position.heard + position.dropped
    with pytest.raises(greenroom.SessionClosed):
        await speaker.write(b"12")


async def test_a_loopback_joins_playing_and_recording():
    tone = (numpy.sin(numpy.arange(24000) * 2 * math.pi * 440 / 24000) * 16000).astype(numpy.int16)
    async with (
        audio.capture("loopback:joined", rate=16000, clock="fast") as ear,
        audio.playback("loopback:joined", rate=24000, clock="fast") as mouth,
    ):
        await mouth.write(tone, timeout=SOON)
        await mouth.drain(timeout=SOON)
        heard = numpy.frombuffer(b"".join([(await ear.read(timeout=SOON)).data for _ in range(99)]), numpy.int16)
        heard = numpy.append(heard, numpy.zeros(160, numpy.int16))
    spectrum = numpy.abs(numpy.fft.rfft(heard))
    assert spectrum.argmax() == 440


async def test_a_recorder_of_a_loopback_ends_when_its_player_is_closed():
    async with audio.capture("loopback:ends", clock="fast") as ear:
        async with audio.playback("loopback:ends", rate=16000, clock="fast") as mouth:
            await mouth.write(ramp(1600), timeout=SOON)
            await mouth.drain(timeout=SOON)
        frames = await asyncio.wait_for(collect(ear), SOON)
        assert b"".join(frame.data for frame in frames) == ramp(1600)
        assert [event async for event in ear.events()] == []


# ---- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_what_a_function_gives_is_recorded():
    data = ramp(1600)
    wanted = []

    def give(samples: int) -> bytes | None:
        place = sum(wanted)
        wanted.append(samples)
        return data[2 * place : 2 * (place + samples)] or None

    async with audio.capture(give, clock="fast") as mic:
        assert mic.device == "callback"
        frames = await asyncio.wait_for(collect(mic), SOON)
    assert b"".join(frame.data for frame in frames) == data
    assert wanted == [160] * 11


async def test_a_function_may_give_any_audio_in_any_portion_and_later():
    ramp_of_floats = numpy.frombuffer(ramp(1000), numpy.int16).astype(numpy.float32) / 32768
    portions = [
        ramp(100),
        numpy.frombuffer(ramp(300), numpy.int16),
        ramp_of_floats,
        audio.Frame(data=ramp(40), rate=16000),
        rtc.AudioFrame(ramp(160), 16000, 1, 160),
    ]

    async def give(samples: int):
        await asyncio.sleep(0)
        return portions.pop(0) if portions else None

    async with audio.capture(give, clock="fast") as mic:
        frames = await asyncio.wait_for(collect(mic), SOON)
    assert b"".join(frame.data for frame in frames) == ramp(100) + ramp(300) + ramp(1000) + ramp(40) + ramp(160)


@pytest.mark.both_loops
async def test_what_is_played_is_given_to_a_function():
    data = ramp(4800)
    heard: list[audio.Frame] = []
    async with audio.playback(heard.append, clock="fast") as speaker:
        await speaker.write(data, timeout=SOON)
        await speaker.drain(timeout=SOON)
        assert speaker.position.heard == 4800
    assert b"".join(frame.data for frame in heard) == data
    assert [(frame.rate, frame.channels, frame.samples) for frame in heard] == [(48000, 1, 480)] * 10
    assert [frame.time for frame in heard] == pytest.approx([at / 100 for at in range(10)])


async def test_what_is_played_counts_as_heard_once_a_function_is_done_with_it():
    taking, go_on = asyncio.Event(), asyncio.Event()

    async def take(frame: audio.Frame) -> None:
        taking.set()
        await go_on.wait()

    async with audio.playback(take, clock="fast") as speaker:
        await speaker.write(ramp(480), timeout=SOON)
        draining = asyncio.ensure_future(speaker.drain(timeout=SOON))
        await asyncio.wait_for(taking.wait(), SOON)
        assert speaker.position.heard == 0
        go_on.set()
        await draining
        assert speaker.position.heard == 480


class Broken(Exception):
    pass


def breaks(_: object) -> None:
    raise Broken("as the test wants")


async def breaks_later(_: object) -> None:
    await asyncio.sleep(0)
    raise Broken("as the test wants")


@pytest.mark.parametrize("function", [breaks, breaks_later])
async def test_a_function_that_raises_ends_its_stream_with_its_error(function):
    async with audio.capture(function) as mic:
        for _ in range(2):
            with pytest.raises(greenroom.DeviceLost, match="Broken: as the test wants; the stream has ended") as raised:
                await mic.read(timeout=SOON)
            assert isinstance(raised.value.__cause__, Broken)
        events = [event async for event in mic.events()]
        assert [event.type for event in events] == ["lost"]
    speaker = await audio.playback(function, clock="fast")
    await speaker.write(ramp(480), timeout=SOON)
    for wait in (speaker.drain(timeout=SOON), speaker.close()):
        with pytest.raises(greenroom.DeviceLost) as raised:
            await wait
        assert isinstance(raised.value.__cause__, Broken)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("text", "a str is no audio"),
        (b"123", "3 bytes are no whole number"),
        (audio.Frame(data=b"", rate=8000), "the frame is of 8000 Hz"),
    ],
)
async def test_a_function_that_gives_no_audio_of_its_stream_ends_it(given, why):
    async with audio.capture(lambda samples: given) as mic:
        with pytest.raises(greenroom.DeviceLost, match=why) as raised:
            await mic.read(timeout=SOON)
        assert isinstance(raised.value.__cause__, greenroom.InvalidArgument)


async def test_a_function_that_never_comes_back_holds_up_no_end():
    cancelled = asyncio.Event()

    async def never(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with audio.capture(never) as mic:
        with pytest.raises(greenroom.SessionTimeout):
            await mic.read(timeout=0.05)
    await asyncio.wait_for(cancelled.wait(), SOON)
    assert await asyncio.wait_for(collect(mic), SOON) == []
    async with audio.playback(never, clock="fast") as speaker:
        await speaker.write(ramp(480), timeout=SOON)


def test_the_synchronous_face_takes_functions_too():
    data = [ramp(160), ramp(160)]
    heard = []
    with (
        greenroom.sync.capture(lambda samples: data.pop() if data else None, clock="fast") as mic,
        greenroom.sync.playback(heard.append, rate=16000, clock="fast") as speaker,
    ):
        for frame in mic:
            speaker.write(frame, timeout=SOON)
        speaker.drain(timeout=SOON)
    assert b"".join(frame.data for frame in heard) == ramp(160) * 2
    with greenroom.sync.capture(breaks) as mic, pytest.raises(greenroom.DeviceLost) as raised:
        mic.read(timeout=SOON)
    assert isinstance(raised.value.__cause__, Broken)


# ---- LiveKit's frames ------------------------------------------------------------------------------------------------


async def test_frames_go_to_livekit_and_back(tmp_path):
    async with audio.capture("tone:440", channels=2, clock="fast") as mic:
        frame = await mic.read(timeout=SOON)
    theirs = frame.to_rtc()
    assert isinstance(theirs, rtc.AudioFrame)
    assert (theirs.sample_rate, theirs.num_channels, theirs.samples_per_channel) == (16000, 2, 160)
    assert theirs.data.tobytes() == frame.data
    back = audio.Frame.from_rtc(theirs)
    assert (back.data, back.rate, back.channels, back.samples) == (frame.data, 16000, 2, 160)


async def test_livekits_source_takes_them():
    source = rtc.AudioSource(16000, 1)
    # It plays as soon as it has something, so a short frame could be gone when it is looked for.
    async with audio.capture("tone:440", clock="fast", frame_ms=900) as mic:
        await source.capture_frame((await mic.read(timeout=SOON)).to_rtc())
    assert source.queued_duration > 0
    await source.aclose()


# ---- opening ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_it", [audio.capture, audio.playback, greenroom.sync.capture, greenroom.sync.playback])
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"device": 1.5}, "device is 1.5"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": "16000"}, "rate is '16000'"),
        ({"channels": 1.0}, "channels is 1.0"),
        ({"queue": -1}, "queue is -1"),
        ({"reopen": math.nan}, "reopen is nan"),
        ({"timeout": None}, "timeout is None"),
        ({"latency": "none"}, "unknown variant `none`"),
        ({"clock": "slow"}, "unknown variant `slow`"),
        ({"device": "tone:loud"}, "tone:loud"),
        ({"device": "null", "queue": 100}, "queue cannot be 100000 ms"),
    ],
)
async def test_what_cannot_be_meant_is_refused(open_it, arguments, why):
    async def use():
        await open_it(**arguments)

    with pytest.raises(greenroom.InvalidArgument, match=why):
        await use()


async def test_a_device_that_cannot_be_had_says_why(tmp_path):
    with pytest.raises(greenroom.IoError, match=r"nothing\.wav"):
        await audio.capture(f"file:{tmp_path}/nothing.wav")
    with pytest.raises(greenroom.InvalidArgument, match="cannot be played to"):
        await audio.playback("tone:440")
    async with audio.playback("loopback:taken"):
        with pytest.raises(greenroom.Busy, match="loopback:taken"):
            await audio.playback("loopback:taken")


async def test_nothing_happens_before_an_opening_is_awaited_and_it_opens_once():
    audio.capture("file:/no/such/file.wav")
    opening = audio.capture("null")
    mic = await opening
    with pytest.raises(greenroom.InvalidArgument, match="opened already"):
        await opening
    await mic.close()


def test_another_event_loop_is_refused():
    mic = None

    async def begin():
        nonlocal mic
        mic = await audio.capture("tone:440")

    async def use():
        with pytest.raises(greenroom.InvalidArgument, match="another event loop"):
            await mic.read()

    own = asyncio.new_event_loop()
    own.run_until_complete(begin())
    asyncio.run(use())
    own.run_until_complete(mic.close())
    own.close()


async def test_a_stream_that_nobody_closed_warns_and_is_closed():
    mic = await audio.playback("loopback:left")
    held = [mic]
    del mic

    def drop():
        held.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="never closed"):
        drop()
    # Its end is free again, a moment later.
    for _ in range(500):
        try:
            again = await audio.playback("loopback:left")
            break
        except greenroom.Busy:
            await asyncio.sleep(0.01)
    await again.close()


# ---- without asyncio -------------------------------------------------------------------------------------------------


def test_the_synchronous_face_records_and_plays(tmp_path):
    data = ramp(16_000)
    with (
        greenroom.sync.capture(write_wav(tmp_path / "in.wav", data), clock="fast") as mic,
        greenroom.sync.playback(f"file:{tmp_path}/out.wav", rate=mic.rate, clock="fast") as speaker,
    ):
        assert repr(mic).startswith("<greenroom.sync.Capture file:")
        assert mic.device.startswith("file:")
        for frame in mic:
            speaker.write(frame, timeout=SOON)
        speaker.drain(timeout=SOON)
        assert mic.recorded.samples == speaker.position.heard == 16_000
        assert list(mic.events()) == []
    assert mic.read() is None
    with pytest.raises(greenroom.SessionClosed, match="open another"):
        speaker.write(b"12")
    with wave.open(f"{tmp_path}/out.wav") as file:
        assert file.readframes(20_000) == data


def test_a_wait_of_the_synchronous_face_has_a_deadline_and_its_errors_are_the_same():
    with greenroom.sync.capture("loopback:silent", frame_ms=1000) as mic:
        with pytest.raises(greenroom.SessionTimeout):
            mic.read(timeout=0.01)
        assert mic.origin > 0
    with greenroom.sync.capture("fail:after=20ms:tone:440", clock="fast") as mic:
        with pytest.raises(greenroom.DeviceLost):
            list(mic)
        assert [event.type for event in mic.events()] == ["lost"]
    with greenroom.sync.playback("null", rate=8000) as speaker:
        speaker.write(bytes(8000), timeout=SOON)
        speaker.clear()
        speaker.drain(timeout=SOON)


@pytest.mark.parametrize("name", ["capture", "playback"])
def test_both_faces_take_the_same_arguments(name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (greenroom.sync, audio))
    defaults = [[(it.name, it.kind, it.default) for it in face.values()] for face in (ours, theirs)]
    assert defaults[0] == defaults[1]


@pytest.mark.parametrize("noise", ["white", "babble", "impulses"])
def test_speech_in_noise_is_as_far_above_it_as_was_asked_for_and_of_its_seed(noise):
    spoken = (2000 * numpy.sin(2 * numpy.pi * 440 * numpy.arange(16000) / 16000)).round().astype(numpy.int16)
    clean = audio.noisy(spoken, noise, snr=120, rate=16000)
    noisy = audio.noisy(spoken, noise, snr=10, rate=16000)
    assert isinstance(noisy, greenroom.Speech)
    assert noisy.duration == 1
    assert audio.noisy(spoken, noise, snr=10, rate=16000, seed=0) == noisy
    assert audio.noisy(spoken, noise, snr=10, rate=16000, seed=1) != noisy
    added = numpy.frombuffer(noisy.samples, "<i2").astype(float) - numpy.frombuffer(clean.samples, "<i2")
    assert 10 * numpy.log10(2000**2 / 2 / numpy.mean(added**2)) == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize(
    ("sound", "noise", "snr", "seed", "why"),
    [
        (12, "white", 10, 0, "holds no sound"),
        (numpy.ones(100, numpy.int16), "pink", 10, 0, "white, babble and impulses"),
        (numpy.ones(100, numpy.int16), None, 10, 0, "cannot be used"),
        (numpy.ones(100, numpy.int16), "white", float("nan"), 0, "-60 to 120"),
        (numpy.ones(100, numpy.int16), "white", "loud", 0, "cannot be used"),
        (numpy.ones(100, numpy.int16), "white", 10, -1, "cannot be used"),
    ],
)
def test_what_is_no_noise_and_no_sound_is_refused(sound, noise, snr, seed, why):
    with pytest.raises(greenroom.InvalidArgument, match=why):
        audio.noisy(sound, noise, snr=snr, seed=seed)
