"""How old a frame's last sample is when Python has it: `capture.py DEVICE SECONDS`.

Prints milliseconds, and how late sleeps of 10 ms end meanwhile.
"""

import asyncio
import json
import sys
import time

import greenroom.audio

SLEEP = 0.01


async def late_sleeps(late: list[float]) -> None:
    """Sleeps beside it all."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(SLEEP)
        late.append((time.monotonic() - begun - SLEEP) * 1e3)


async def main(device: str, seconds: float) -> None:
    """Reads frames as they come."""
    ages: list[float] = []
    late: list[float] = []
    async with greenroom.audio.capture(device, rate=48_000) as capture:
        control = asyncio.ensure_future(late_sleeps(late))
        end = time.monotonic() + seconds
        async for frame in capture:
            now = time.monotonic()
            if now > end:
                break
            ages.append((now - capture.origin - frame.time - frame.duration) * 1e3)
        control.cancel()
    print(json.dumps({"ages_ms": ages, "late_sleeps_ms": late}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
