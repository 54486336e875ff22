"""Spoken turns: `spoken.py PEER TURNS`.

The scripted agent answers with half a second of sound at the very sample at which it has heard as much, so it takes no
time of its own. Prints, for each turn, what it took beyond the two sounds, in milliseconds; and how late a bare sleep
of 20 ms wakes beside it.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import greenroom

RATE = 48_000
# Half a second that can be heard at every sample.
SOUND = b"\x00\x40" * (RATE // 2)
SOUNDS_MS = 1000.0
SLEEP = 0.02


async def main(peer: str, turns: int) -> None:
    """Measures the two in turn; the first turn warms up."""
    beyond: list[float] = []
    slept: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder, "agent.py")
        agent.write_text("# The scripted agent stands for this file.\n")
        async with greenroom.start(agent, python=peer, env={"GREENROOM_PEER": "voice"}, audio=True) as session:
            for _ in range(turns + 1):
                begun = time.perf_counter()
                turn = await session.say_audio(SOUND)
                beyond.append((time.perf_counter() - begun) * 1e3 - SOUNDS_MS)
                if turn.reply != "heard":
                    raise SystemExit(f"the scripted agent did not answer: {turn}")
                begun = time.perf_counter()
                await asyncio.sleep(SLEEP)
                slept.append((time.perf_counter() - begun - SLEEP) * 1e3)
    print(json.dumps({"beyond_ms": beyond[1:], "sleep_ms": slept[1:]}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
