"""Audio beside its peers: `audio.py resamplers RUST` and `audio.py voice FOLDER`. Prints JSON.

`resamplers` judges what each engine makes of the same signals, in chunks of 10 ms, with the same sums. RUST is the
program of the Rust side, which resamples with ours and with speexdsp's. What is judged, for one channel:

- latency, in ms: how much of the input a chunk's end leaves without output, and how late in the output a pulse is;
- SINAD, in dB: the worst of sines up to 0.85 of the lower Nyquist frequency, at -1 dBFS;
- alias, in dBFS: the loudest that sines of full scale above the output's Nyquist frequency become;
- edge: how far it is flat within 0.1 dB, as a share of the lower Nyquist frequency;
- speed: for how many times real time it is fast enough, in processor time (the Rust side measures its own);
- whether chunks of other sizes give the same, and whether the end comes out to the sample.

`voice` makes utterances as WAV files of 16 kHz, with a TTS that runs offline.
"""

import json
import statistics
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from hibari import Hibari
from livekit import rtc
from numpy.typing import NDArray

Signal = NDArray[np.float64]

CONVERSIONS = ((48000, 16000), (44100, 24000), (24000, 48000))
LENGTHS = (1, 479, 4410, 12345)
SAMPLE_S = 0.2

# What each engine makes of a signal in chunks of so many samples: the output, and how long it was after each chunk.
Made = tuple[Signal, list[int]]
Engine = Callable[[Signal, int, int, int], Made]


def chunks(signal: Signal, size: int) -> Iterator[Signal]:
    """Cuts a signal."""
    for at in range(0, len(signal), size):
        yield signal[at : at + size]


def rust(program: str, engine: str) -> Engine:
    """An engine of the Rust side."""

    def run(signal: Signal, source: int, target: int, chunk: int) -> Made:
        command = [program, "audio-resample", engine, str(source), str(target), str(chunk)]
        done = subprocess.run(command, input=signal.astype("<f4").tobytes(), stdout=subprocess.PIPE, check=True)
        head, _, body = done.stdout.partition(b"\n")
        return np.frombuffer(body, "<f4").astype(np.float64), json.loads(head)["after_chunk"]

    return run


def with_soxr(signal: Signal, source: int, target: int, chunk: int) -> Made:
    """soxr at its usual quality, HQ."""
    stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="HQ")
    parts, after, length = [], [], 0
    for part in chunks(signal.astype(np.float32), chunk):
        made = stream.resample_chunk(part)
        length += len(made)
        parts.append(made)
        after.append(length)
    parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts).astype(np.float64), after


def with_livekit(signal: Signal, source: int, target: int, chunk: int) -> Made:
    """The SDK's AudioResampler at its best usual quality; it takes 16 bits."""
    resampler = rtc.AudioResampler(source, target, quality=rtc.AudioResamplerQuality.HIGH)
    whole = np.clip(np.round(signal * 32768), -32768, 32767).astype("<i2")
    parts, after, length = [], [], 0
    for part in chunks(whole, chunk):
        for frame in resampler.push(bytearray(part.tobytes())):
            parts.append(np.frombuffer(frame.data, "<i2"))
            length += frame.samples_per_channel
        after.append(length)
    parts += [np.frombuffer(frame.data, "<i2") for frame in resampler.flush()]
    return np.concatenate(parts).astype(np.float64) / 32768, after


def sine(hz: float, dbfs: float, rate: int, seconds: float) -> Signal:
    """A sine with that peak."""
    made: Signal = 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)
    return made


def middle(signal: Signal) -> Signal:
    """Where the beginning and the end are not heard."""
    return signal[len(signal) // 4 : len(signal) * 3 // 4]


def fit(signal: Signal, hz: float, rate: int) -> tuple[float, float]:
    """The amplitude of the sine that fits best, and SINAD in dB."""
    turn = 2 * np.pi * hz * np.arange(len(signal)) / rate
    basis = np.stack([np.sin(turn), np.cos(turn), np.ones(len(signal))], axis=1)
    found = np.linalg.lstsq(basis, signal, rcond=None)[0]
    tone = basis[:, :2] @ found[:2]
    rest = signal - tone - found[2]
    return float(np.hypot(found[0], found[1])), float(10 * np.log10(np.mean(tone**2) / np.mean(rest**2)))


def judge(engine: Engine, source: int, target: int) -> dict[str, Any]:
    """All that is judged of one engine."""
    chunk, lower = source // 100, min(source, target) / 2

    def heard(hz: float, dbfs: float) -> Signal:
        return middle(engine(sine(hz, dbfs, source, 0.5), source, target, chunk)[0])

    sinads = [fit(heard(share * lower, -1), share * lower, target)[1] for share in (0.013, 0.1, 0.25, 0.5, 0.7, 0.85)]
    above = [share for share in (1.0005, 1.003, 1.01, 1.03, 1.1, 1.3, 1.7) if share * target < source]
    aliases = [
        20 * np.log10(np.sqrt(2 * np.mean(heard(share * target / 2, 0) ** 2)) + 1e-12)
        for share in above
        if source > target
    ]
    shares = np.arange(0.70, 0.99, 0.01)
    gains = [20 * np.log10(fit(heard(share * lower, -1), share * lower, target)[0]) + 1 for share in shares]
    flat = next((share for share, gain in zip(shares, gains, strict=True) if gain < -0.1), 1.0) - 0.01
    signal = np.random.default_rng(1).uniform(-0.5, 0.5, source)
    same = [engine(signal, source, target, size)[0] for size in (chunk, chunk + 7, len(signal))]
    lengths = [len(engine(signal[:length], source, target, chunk)[0]) for length in LENGTHS]
    return {
        "latency_ms": latency(engine, source, target),
        "sinad_db": min(sinads),
        "alias_db": float(max(aliases)) if aliases else None,
        "edge": float(flat),
        "same_in_any_chunks": all(np.array_equal(same[0], other) for other in same[1:]),
        "exact_length": lengths == [int(length * target / source + 0.5) for length in LENGTHS],
    }


def latency(engine: Engine, source: int, target: int) -> float:
    """Milliseconds from input to output, over a second of chunks of 10 ms."""
    at = np.arange(source) / source
    pulse = np.exp(-(((at - 0.5) / 0.001) ** 2) / 2) * 0.5
    made, after = engine(pulse, source, target, source // 100)
    waits = [(index + 1) * 10 - length / target * 1000 for index, length in enumerate(after)][10:]
    centre = np.sum(np.arange(len(made)) * made**2) / np.sum(made**2) / target
    return float(max(waits) + (centre - 0.5) * 1000)


def speed(engine: Engine, source: int, target: int) -> float:
    """Times real time, in processor time."""
    signal = sine(997, -6, source, 10)
    engine(signal, source, target, source // 100)
    samples = []
    for _ in range(5):
        begun = time.process_time()
        engine(signal, source, target, source // 100)
        samples.append(10 / (time.process_time() - begun))
    return statistics.median(samples)


def resamplers(program: str) -> dict[str, Any]:
    """Each conversion with each engine."""
    engines: dict[str, Engine] = {
        "greenroom": rust(program, "greenroom"),
        "livekit": with_livekit,
        "soxr": with_soxr,
        "speexdsp": rust(program, "speexdsp"),
    }
    found: dict[str, Any] = {}
    for source, target in CONVERSIONS:
        for name, engine in engines.items():
            judged = judge(engine, source, target)
            if name in ("livekit", "soxr"):
                judged["speed"] = speed(engine, source, target)
            found.setdefault(f"{source}-{target}", {})[name] = judged
    return found


SENTENCES = (Path(__file__).parents[2] / "tests" / "speech" / "sentences.txt").read_text().splitlines()


def voice(folder: Path) -> dict[str, Any]:
    """Each sentence at its usual speed, and the first half of them faster; -23 dBFS while it speaks."""
    tts, files = Hibari(), []
    spoken = [(text, 1.0) for text in SENTENCES] + [(text, 1.25) for text in SENTENCES[:15]]
    for index, (text, pace) in enumerate(spoken):
        made = np.asarray(tts(text + ".", speed=pace, seed=0), dtype=np.float64)
        signal = soxr.resample(made, 24000, 16000, quality="VHQ")
        power = np.mean(signal[: len(signal) // 320 * 320].reshape(-1, 320) ** 2, axis=1)
        signal *= 10 ** (-23 / 20) / np.sqrt(np.mean(power[power > power.max() * 1e-3]))
        path = folder / f"{index:02d}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(np.round(np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes())
        files.append(str(path))
    return {"files": files}


def main() -> None:
    """One of both."""
    what, argument = sys.argv[1:]
    found = resamplers(argument) if what == "resamplers" else voice(Path(argument))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
