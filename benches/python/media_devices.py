"""How long a click takes through livekit's MediaDevices, and between their callbacks: `media_devices.py ROUNDS`.

What is written goes to an audio source whose track their player plays; what is read comes from a track of what their
input captures. Both are on the default device, and nothing is processed on the way. Prints milliseconds, or why
there are none.
"""

import asyncio
import json
import sys
import time
from typing import Any

import numpy as np
from livekit import rtc

RATE = 48_000
CLICK = rtc.AudioFrame(np.full(RATE // 100, 16_384, np.int16).tobytes(), RATE, 1, RATE // 100)

# Frames of 10 ms without a click after which the next one is made: more than the blocks of 100 ms in which it works.
QUIET = 30
DEADLINE_S = 10


def is_loud(samples: np.ndarray[Any, Any]) -> bool:
    """Whether there is something of a click in them."""
    return bool(np.abs(samples.astype(np.int32)).max() > 8192)


def watch(sounddevice: Any, name: str, times: list[float]) -> None:
    """Has each stream of that kind note when its callback has a click."""
    plain = getattr(sounddevice, name)

    def stream(*, callback: Any, **options: Any) -> Any:
        def watched(data: Any, *rest: Any) -> None:
            callback(data, *rest)
            if is_loud(data):
                times.append(time.monotonic())

        return plain(callback=watched, **options)

    setattr(sounddevice, name, stream)


def missing() -> str | None:
    """What is not on this machine, and how to get it."""
    try:
        import sounddevice
    except OSError:
        return "PortAudio is missing (Debian: apt install libportaudio2)"
    devices = sounddevice.query_devices()
    if not any(device["max_input_channels"] for device in devices):
        return "ALSA's plugin for PulseAudio is missing (Debian: apt install libasound2-plugins)"
    return None


async def measure(rounds: int) -> dict[str, list[float]]:
    """Clicks, one after the other."""
    import sounddevice

    played: list[float] = []
    recorded: list[float] = []
    watch(sounddevice, "OutputStream", played)
    watch(sounddevice, "InputStream", recorded)
    devices = rtc.MediaDevices()
    plain = {"enable_aec": False, "noise_suppression": False, "high_pass_filter": False, "auto_gain_control": False}
    microphone = devices.open_input(**plain)
    player = devices.open_output()
    voice = rtc.AudioSource(RATE, 1)
    await player.add_track(rtc.LocalAudioTrack.create_audio_track("voice", voice))
    await player.start()
    heard = rtc.LocalAudioTrack.create_audio_track("heard", microphone.source)
    frames = rtc.AudioStream(heard, sample_rate=RATE, num_channels=1)

    async def hear() -> float:
        """When a click is read; ends when it is quiet again."""
        at, quiet = 0.0, 0
        async for event in frames:
            if is_loud(np.frombuffer(event.frame.data, np.int16)):
                at, quiet = at or time.monotonic(), 0
            elif at and (quiet := quiet + 1) == QUIET:
                break
        return at

    whole, between = [], []
    for _ in range(rounds):
        played.clear()
        recorded.clear()
        begun = time.monotonic()
        await voice.capture_frame(CLICK)
        whole.append((await asyncio.wait_for(hear(), DEADLINE_S) - begun) * 1e3)
        between.append((recorded[0] - played[0]) * 1e3)
    await frames.aclose()
    await player.aclose()
    await microphone.aclose()
    return {"whole_ms": whole, "between_ms": between}


if __name__ == "__main__":
    lacking = missing()
    print(json.dumps({"why": lacking} if lacking else asyncio.run(measure(int(sys.argv[1])))))
