"""What the process around an audio stream does: exits, forks, is interrupted; and a real PulseAudio."""

import os
import signal
import subprocess
import sys
import textwrap
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pulse import Pulse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has open")

HEAD = """
import asyncio, gc, logging, os, signal, sys, threading, time
import greenroom
from greenroom import audio
# With -X dev, asyncio warns of each callback that a busy machine made slow.
logging.getLogger("asyncio").setLevel(logging.ERROR)
def held():
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
async def until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
"""


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Runs a script in a folder of its own."""
    started = []

    def run(code: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", HEAD + textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out.splitlines(), err


def test_an_exit_with_streams_open_finishes_the_file(script, tmp_path):
    code, _, err = finish(
        script("""
        async def main():
            global mic, speaker
            mic = await audio.capture("tone:440")
            speaker = await audio.playback("file:out.wav", clock="fast")
            await speaker.write(bytes(9600))
            await speaker.drain()
            await mic.read()
        asyncio.run(main())
        """)
    )
    assert (code, err) == (0, "")
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getnframes() == 4800


def test_an_exit_of_the_synchronous_face_with_streams_open_finishes_the_file(script, tmp_path):
    code, _, err = finish(
        script("""
        mic = greenroom.sync.capture("tone:440")
        speaker = greenroom.sync.playback("file:out.wav", clock="fast")
        speaker.write(bytes(9600))
        speaker.drain()
        mic.read()
        """)
    )
    assert (code, err) == (0, "")
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getnframes() == 4800


def test_an_exit_while_a_function_is_called_does_not_hang(script):
    code, out, err = finish(
        script("""
        async def never(frame):
            print("called", flush=True)
            await asyncio.Event().wait()
        async def main():
            global speaker, mic
            speaker = await audio.playback(never, clock="fast")
            mic = await audio.capture(lambda samples: bytes(2 * samples))
            await speaker.write(bytes(960))
            await mic.read()
            await until(lambda: speaker._function._call)
        asyncio.run(main())
        print("ends", flush=True)
        """)
    )
    assert (code, out) == (0, ["called", "ends"]), err


@pytest.mark.parametrize("face", ["sync", "async"])
def test_an_interrupt_ends_the_wait(script, face):
    process = script(
        """
        try:
            with greenroom.sync.capture("loopback:silent") as mic:
                print("begun", flush=True)
                list(mic.events())
        except KeyboardInterrupt:
            print("interrupted")
        """
        if face == "sync"
        else """
        async def main():
            async with audio.capture("loopback:silent") as mic:
                print("begun", flush=True)
                async for event in mic.events():
                    pass
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (0, ["interrupted"]), err


def test_a_fork_gets_a_clear_error_and_stops_nothing(script):
    code, out, err = finish(
        script("""
        async def main():
            async with audio.capture("tone:440") as mic, audio.playback("null") as speaker:
                await mic.read()
                child = os.fork()
                if child == 0:
                    async def use(call):
                        try:
                            await call()
                        except greenroom.Forked as error:
                            print(error.code)
                    for call in (mic.read, mic.close, lambda: speaker.write(b"12"), speaker.drain):
                        try:
                            use(call).send(None)
                        except StopIteration:
                            pass
                    for call in (lambda: mic.device, lambda: speaker.position, speaker.clear):
                        try:
                            call()
                        except greenroom.Forked as error:
                            print(error.code)
                    print(mic)
                    # A stream of the child's own works.
                    with greenroom.sync.capture("tone:440") as own:
                        print(own.read().samples)
                    del mic, speaker, call, use
                    gc.collect()
                    sys.stdout.flush()
                    sys.exit(0)
                os.waitpid(child, 0)
                for _ in range(20):
                    await mic.read(timeout=20)
                print("goes on")
        try:
            asyncio.run(main())
        except SystemExit:
            pass
        """)
    )
    assert code == 0, err
    expected = ["forked"] * 7 + ["<greenroom.audio.Capture forked>", "160", "goes on"]
    assert sorted(out) == sorted(expected), err


def test_no_thread_and_no_descriptor_stays_after_100_openings(script):
    code, out, err = finish(
        script("""
        async def once():
            async with audio.capture("tone:440") as mic, audio.playback("null") as speaker:
                await speaker.write(await mic.read() and bytes(960))
        async def main():
            await once()
            threads, descriptors = held()
            for _ in range(100):
                await once()
            await until(lambda: held()[0] <= threads and held()[1] <= descriptors)
            print("none")
        asyncio.run(main())
        """)
    )
    assert (code, out) == (0, ["none"]), err
    assert "ResourceWarning" not in err


def test_an_opening_that_is_given_up_leaves_nothing(script, tmp_path):
    # A server that takes connections and never answers.
    code, out, err = finish(
        script(
            """
        import socket
        server = socket.socket(socket.AF_UNIX)
        server.bind("stuck")
        server.listen()
        async def main():
            threads, descriptors = held()
            begun = time.monotonic()
            opening = asyncio.ensure_future(audio.capture("pulseaudio:mic")._open())
            connection = await asyncio.to_thread(server.accept)
            opening.cancel()
            try:
                await opening
            except asyncio.CancelledError:
                print("cancelled", time.monotonic() - begun < 4)
        asyncio.run(main())
        """,
            PULSE_SERVER=f"unix:{tmp_path}/stuck",
            PULSE_RUNTIME_PATH=str(tmp_path),
            ALSA_CONFIG_PATH=f"{tmp_path}/nothing",
        )
    )
    assert (code, out) == (0, ["cancelled True"]), err


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    daemon = Pulse(tmp_path)
    yield daemon
    daemon.end()


def test_what_is_played_to_pulseaudio_is_recorded_from_it(script, pulse):
    code, out, err = finish(
        script(
            """
        import numpy
        async def whistle(speaker):
            samples = (numpy.sin(numpy.arange(16000) * 2 * numpy.pi * 1000 / 16000) * 16384).astype(numpy.int16)
            while True:
                await speaker.write(samples)
        async def main():
            found = {device.id: device for device in await audio.devices()}
            mic = found["pulseaudio:mic"]
            print(mic.name, mic.direction, mic.default, mic.rate, mic.channels)
            async with audio.capture("Microphone") as mic, audio.playback("pulseaudio:mic_feed", rate=16000) as speaker:
                print(mic.device, speaker.device)
                whistling = asyncio.ensure_future(whistle(speaker))
                heard = numpy.zeros(0, numpy.int16)
                while not (heard.size and abs(heard).max() > 13000):
                    heard = numpy.frombuffer((await mic.read(timeout=20)).data, numpy.int16)
                frames = [await mic.read(timeout=20) for _ in range(100)]
                heard = numpy.frombuffer(b"".join(frame.data for frame in frames), numpy.int16)
                # How far apart its waves are: the median, which gaps on a busy machine do not change.
                waves = numpy.flatnonzero((heard[1:] >= 0) & (heard[:-1] < 0))
                print(int(numpy.median(numpy.diff(waves))))
                os.kill(int(os.environ["PULSE_PID"]), 9)
                try:
                    while True:
                        await mic.read(timeout=20)
                except greenroom.DeviceLost as error:
                    print("pulseaudio:mic is gone" in str(error))
                print([event.type async for event in mic.events() if event.type != "gap"])
                try:
                    await whistling
                except greenroom.DeviceLost as error:
                    print("pulseaudio:mic_feed is gone" in str(error))
        try:
            asyncio.run(main())
        except greenroom.DeviceLost as error:
            # What was written has not been heard: to close the playback tells, too.
            print("pulseaudio:mic_feed is gone" in str(error))
        """,
            **pulse.environment,
            PULSE_PID=str(pulse.daemon.pid),
        )
    )
    assert code == 0, err
    assert out[:2] == ["Microphone input True 48000 1", "pulseaudio:mic pulseaudio:mic_feed"], err
    # 16 samples at 16 kHz are a wave of 1 kHz.
    assert out[2] == "16"
    assert out[3:] == ["True", "['lost']", "True", "True"]
