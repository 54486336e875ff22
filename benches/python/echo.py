"""Echo control beside livekit's AudioProcessingModule: `echo.py RUST`. Prints JSON.

Both get the same 16 bits: what a loudspeaker plays, a voice, and what a microphone hears of it, 60 ms later and 6 dB
quieter, in a room that rings for a quarter of a second and has noise at -70 dBFS. RUST is the program of the Rust side.
What is judged at each rate, of one channel, as the median of some rooms and voices:

- early and late: how much less of the echo is left, in dB, from 1 to 4 s and from 6 to 15 s (ERLE);
- near: how loud somebody is who speaks at the same time, against how he speaks, in dB;
- frame_us: the processor time for 10 ms of both sides, in microseconds.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from hibari import Hibari
from livekit import rtc
from numpy.typing import NDArray

Samples = NDArray[np.int16]
# Takes the echo of one out of the other, at a rate; gives that and the processor time of a frame in microseconds.
Control = Callable[[Samples, Samples, int], tuple[Samples, float]]

RATES = (16000, 48000)
ROOMS = 7
SECONDS = 15
NOISE_DBFS = -70
SENTENCES = (Path(__file__).parents[2] / "tests" / "speech" / "sentences.txt").read_text().splitlines()


def rust(program: str) -> Control:
    """Ours."""

    def run(played: Samples, recorded: Samples, rate: int) -> tuple[Samples, float]:
        signal = np.concatenate([played, recorded]).astype("<f4") / 32768
        done = subprocess.run(
            [program, "audio-echo", str(rate)], input=signal.tobytes(), stdout=subprocess.PIPE, check=True
        )
        head, _, body = done.stdout.partition(b"\n")
        left = np.round(np.frombuffer(body, "<f4") * 32768)
        return np.clip(left, -32768, 32767).astype(np.int16), json.loads(head)["frame_us"]

    return run


def livekit(played: Samples, recorded: Samples, rate: int) -> tuple[Samples, float]:
    """The SDK's, with echo cancellation alone, as ours."""
    module = rtc.AudioProcessingModule(echo_cancellation=True)
    size, left = rate // 100, []
    spent = 0.0
    for at in range(0, len(played), size):
        both = [rtc.AudioFrame(bytearray(side[at : at + size].tobytes()), rate, 1, size) for side in (played, recorded)]
        begun = time.process_time()
        module.process_reverse_stream(both[0])
        module.process_stream(both[1])
        spent += time.process_time() - begun
        left.append(np.frombuffer(both[1].data, np.int16))
    return np.concatenate(left), spent / len(left) * 1e6


def voice(sentences: list[str], rate: int) -> NDArray[np.float64]:
    """Sentences one after another, at -23 dBFS while it speaks."""
    tts = Hibari()
    parts = [np.asarray(tts(text + ".", seed=0), dtype=np.float64) for text in sentences]
    signal = soxr.resample(np.concatenate(parts), 24000, rate, quality="VHQ")[: SECONDS * rate]
    assert len(signal) == SECONDS * rate, "too few sentences"
    power = np.mean(signal.reshape(-1, rate // 50) ** 2, axis=1)
    made: NDArray[np.float64] = signal * 10 ** (-23 / 20) / np.sqrt(np.mean(power[power > power.max() * 1e-3]))
    return made


def echo(played: NDArray[np.float64], rate: int, room: int) -> NDArray[np.float64]:
    """What the microphone hears of it, in a room of that number."""
    length, random = rate // 4, np.random.default_rng(room)
    response = random.normal(0, 0.15, length) * 10 ** (-3 * np.arange(length) / length)
    response[0] = 1.0
    response *= 10 ** (-6 / 20) / np.sqrt(np.sum(response**2))
    late = np.concatenate([np.zeros(rate * 60 // 1000), played])
    size = len(late) + length
    heard = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(response, size), size)
    return np.asarray(heard[: len(played)] + random.normal(0, 10 ** (NOISE_DBFS / 20), len(played)))


def whole(signal: NDArray[np.float64]) -> Samples:
    """As 16 bits."""
    return np.asarray(np.clip(np.round(signal * 32768), -32768, 32767), np.int16)


def level(signal: Samples, rate: int, begin: int, end: int) -> float:
    """In dB."""
    part = signal[begin * rate : end * rate].astype(np.float64)
    return float(10 * np.log10(np.mean(part**2) + 1e-3))


def judge(control: Control, played: Samples, heard: Samples, near: Samples, rate: int) -> dict[str, float]:
    """All that is judged of one."""
    left, spent = control(played, heard, rate)
    # Somebody speaks once the room is learnt.
    both = heard.copy()
    both[6 * rate :] = whole((heard[6 * rate :].astype(float) + near[6 * rate :]) / 32768)
    talked, _ = control(played, both, rate)
    return {
        "early": level(heard, rate, 1, 4) - level(left, rate, 1, 4),
        "late": level(heard, rate, 6, SECONDS) - level(left, rate, 6, SECONDS),
        "near": level(talked, rate, 7, SECONDS) - level(near, rate, 7, SECONDS),
        "frame_us": spent,
    }


def main() -> None:
    """Both, at each rate."""
    controls: dict[str, Control] = {"greenroom": rust(sys.argv[1]), "livekit": livekit}
    found: dict[str, Any] = {}
    for rate in RATES:
        judged: dict[str, list[dict[str, float]]] = {name: [] for name in controls}
        spoken = [voice(SENTENCES[begin : begin + 8], rate) for begin in range(0, 3 * ROOMS + 3, 3)]
        for room in range(ROOMS):
            played, near = spoken[room : room + 2]
            sides = whole(played), whole(echo(played, rate, room)), whole(near)
            for name, control in controls.items():
                judged[name].append(judge(control, *sides, rate))
        found[str(rate)] = {
            name: {key: statistics.median(room[key] for room in rooms) for key in rooms[0]}
            for name, rooms in judged.items()
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
